//! Settling deliveries: acknowledged, to be retried, extended, or given up. Each by itself; what
//! became of them is answered in their order.

use super::define::ConsumerView;
use super::{ConsumerPath, consumers, json};
use axum::Json;
use axum::response::Response;
use bytes::{BufMut, BytesMut};
use http::StatusCode;
use port::consumers::{SETTLE_MAX, Settled, Settlement, Verdict};
use port::{Code, Refusal};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use types::consumer::DELAY_MS_MAX;
use utoipa::ToSchema;
use wire_http::query::NoQuery;
use wire_http::schema::{ErrorObjectSchema, ErrorSchema};
use wire_http::text::{write_member, write_number};
use wire_http::{Caller, StrictJson, StrictQuery, write_error};

/// Deliveries and what became of each.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConsumerSettle)]
pub struct SettleRequest {
    /// 1 to 1000.
    settlements: Vec<SettlementBody>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConsumerSettlement)]
pub struct SettlementBody {
    /// Of the fetched delivery.
    token: String,
    action: Action,
    /// With `retry`: when it comes again at the earliest; the consumer's backoff when absent.
    delay_ms: Option<u64>,
    /// With `retry` and `reject`: kept with the dead letter.
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConsumerAction)]
pub enum Action {
    /// Done with.
    Acknowledge,
    /// Failed, to be delivered again.
    Retry,
    /// Still being worked on: the lease starts anew.
    Extend,
    /// Will never succeed: straight to the dead letters.
    Reject,
}

/// How far a reader has come.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConsumerCommit)]
pub struct CommitRequest {
    /// Of records that were read, followed or fetched, one per partition; 1 to 4096.
    cursors: Vec<String>,
}

/// What became of a delivery, or why nothing did.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsumerOutcome)]
pub struct OutcomeView {
    /// `acknowledged`, `retries`, `extended` or `dead`.
    pub outcome: Option<String>,
    /// With `retries`.
    pub delay_ms: Option<u64>,
    /// With `extended`.
    pub lease_ms: Option<u64>,
    pub error: Option<ErrorObjectSchema>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ConsumerSettled)]
pub struct SettleAnswer {
    /// In the order of the request.
    pub outcomes: Vec<OutcomeView>,
}

/// Settle deliveries
#[utoipa::path(
    post, path = "/v1/topics/{topic}/consumers/{consumer}/settle", tag = "consumers",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("consumer" = String, Path, description = "The consumer"),
    ),
    request_body = SettleRequest,
    responses(
        (status = 200, description = "All are settled, and that is on disk", body = SettleAnswer),
        (status = 207, description = "Some are not: each of those has an `error`",
            body = SettleAnswer),
        (status = "default", description = "Refused; nothing is certain", body = ErrorSchema),
    ),
)]
pub async fn settle(
    caller: Caller,
    ConsumerPath(at): ConsumerPath,
    _: StrictQuery<NoQuery>,
    StrictJson(request): StrictJson<SettleRequest>,
) -> Response {
    let outcome = async {
        let settlements = request.settlements()?;
        let outcomes = consumers(&caller)?.settle(&caller.identity, &at, settlements).await?;
        let is_partial = outcomes.iter().any(Result::is_err);
        let status = if is_partial { StatusCode::MULTI_STATUS } else { StatusCode::OK };
        Ok((status, json(write(&outcomes))))
    };
    caller.answer(outcome.await)
}

/// Acknowledge everything that cursors cover
///
/// For who follows or reads the topic with `from=consumer:NAME` instead of fetching: everything up
/// to the cursors is acknowledged, whether it was fetched or not. The place only rises.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/consumers/{consumer}/commit", tag = "consumers",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("consumer" = String, Path, description = "The consumer"),
    ),
    request_body = CommitRequest,
    responses(
        (status = 200, description = "Where it stands now; that is on disk", body = ConsumerView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn commit(
    caller: Caller,
    ConsumerPath(at): ConsumerPath,
    _: StrictQuery<NoQuery>,
    StrictJson(request): StrictJson<CommitRequest>,
) -> Response {
    let outcome =
        async { consumers(&caller)?.commit(&caller.identity, &at, request.cursors).await };
    caller.answer(outcome.await.map(|info| Json(ConsumerView::from(info))))
}

impl SettleRequest {
    fn settlements(self) -> Result<Vec<Settlement>, Refusal> {
        if !(1..=SETTLE_MAX).contains(&self.settlements.len()) {
            let message = "a request settles at least one delivery, and not too many";
            return Err(Refusal::new(Code::InvalidRequest, message)
                .field("settlements")
                .hint(format!("1 to {SETTLE_MAX}")));
        }
        let settlements = self.settlements.into_iter().enumerate();
        settlements.map(|(index, body)| body.settlement(index)).collect()
    }
}

impl SettlementBody {
    fn settlement(self, index: usize) -> Result<Settlement, Refusal> {
        let refused = |field: &str, message: &str, hint: String| {
            Err(Refusal::new(Code::InvalidRequest, message)
                .field(format!("settlements[{index}].{field}"))
                .hint(hint))
        };
        if self.delay_ms.is_some() && self.action != Action::Retry {
            return refused("delay_ms", "only a retry has a delay", "leave it out".to_owned());
        }
        if self.delay_ms.is_some_and(|delay_ms| delay_ms > DELAY_MS_MAX) {
            return refused("delay_ms", "the delay is too long", format!("0 to {DELAY_MS_MAX}"));
        }
        if self.reason.is_some() && !matches!(self.action, Action::Retry | Action::Reject) {
            return refused(
                "reason",
                "only a retry and a reject have a reason",
                "leave it out".to_owned(),
            );
        }
        let verdict = match self.action {
            Action::Acknowledge => Verdict::Acknowledge,
            Action::Extend => Verdict::Extend,
            Action::Reject => Verdict::Reject { reason: self.reason },
            Action::Retry => Verdict::Retry {
                delay: self.delay_ms.map(Duration::from_millis),
                reason: self.reason,
            },
        };
        Ok(Settlement { token: self.token, verdict })
    }
}

fn write(outcomes: &[Result<Settled, Refusal>]) -> BytesMut {
    let mut out = BytesMut::with_capacity(16 + 40 * outcomes.len());
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    out.put_slice(b"{\"outcomes\":[");
    for (index, outcome) in outcomes.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        match outcome {
            Ok(Settled::Acknowledged) => out.put_slice(b"{\"outcome\":\"acknowledged\"}"),
            Ok(Settled::Dead) => out.put_slice(b"{\"outcome\":\"dead\"}"),
            Ok(Settled::Retries { delay }) => {
                out.put_slice(b"{\"outcome\":\"retries\"");
                write_member(&mut out, "delay_ms");
                write_number(&mut out, ms(*delay));
                out.put_u8(b'}');
            }
            Ok(Settled::Extended { lease }) => {
                out.put_slice(b"{\"outcome\":\"extended\"");
                write_member(&mut out, "lease_ms");
                write_number(&mut out, ms(*lease));
                out.put_u8(b'}');
            }
            Err(refusal) => {
                out.put_slice(b"{\"error\":");
                write_error(&mut out, refusal, None);
                out.put_u8(b'}');
            }
        }
    }
    out.put_slice(b"]}");
    out
}
