//! Consumers made, shown, listed, moved and deleted.

use super::{ConsumerPath, consumers, parse_name};
use crate::page::{PageQuery, next_cursor};
use axum::Json;
use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use port::consumers::{ConsumerInfo, ResetTo};
use port::{Code, Refusal};
use serde::{Deserialize, Serialize};
use types::consumer::Start;
use types::{ConsumerConfig, Offset, Partition, TimestampMs};
use utoipa::ToSchema;
use wire_http::json::{JSON_BODY_BYTES_MAX, utf8};
use wire_http::param::bad_page_cursor;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{Caller, StrictJson, StrictQuery, TopicPath, parse_json, read_body};

/// What can be set. All of it is optional, and so is the body.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsumerConfig)]
pub struct ConsumerConfigSchema {
    /// `earliest` (default), `latest`, `offset:N` or `time:<milliseconds since 1970>`. Fixed once
    /// the consumer exists; a reset moves it.
    pub start: Option<String>,
    /// Only keys that fit: one exact key, or levels with `+` and a last `#`.
    pub filter: Option<String>,
    /// `none` (default) or `key`: a key whose record is not acknowledged holds its later ones back.
    pub ordering: Option<String>,
    /// 100 to 43200000; 30000 when absent.
    pub ack_wait_ms: Option<u64>,
    /// 1 to 1000; 5 when absent.
    pub deliveries_max: Option<u32>,
    pub backoff: Option<BackoffSchema>,
    /// 1 to 10000; 1000 when absent.
    pub pending_max: Option<u32>,
    /// `<topic>.<consumer>.dead` when absent.
    pub dead_letter_topic: Option<String>,
}

/// How long a record that failed waits.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsumerBackoff)]
pub struct BackoffSchema {
    /// The wait after the first failed delivery, the second and so on; the last one goes on.
    pub delays_ms: Option<Vec<u64>>,
    /// Without a list: this, doubled with each delivery.
    pub delay_ms_min: Option<u64>,
    pub delay_ms_max: Option<u64>,
    /// Up to so many hundredths of the wait are added at random.
    pub jitter_percent: Option<u8>,
}

/// A consumer and where it stands.
#[derive(Serialize, ToSchema)]
pub struct ConsumerView {
    pub topic: String,
    pub consumer: String,
    #[schema(value_type = ConsumerConfigSchema)]
    pub config: ConsumerConfig,
    pub dead_letter_topic: String,
    /// Milliseconds since 1970.
    pub created_at: TimestampMs,
    pub partitions: Vec<ConsumerPositionView>,
    /// Records not acknowledged yet.
    pub lag: u64,
    /// Leased now.
    pub pending: u64,
    /// Delivered before, waiting to be delivered again.
    pub retrying: u64,
    /// Held back by an earlier record of their key.
    pub held: u64,
    /// Neither replayed nor purged.
    pub dead_letters: u64,
    /// The last fetch or settlement since the server started.
    pub active_at: Option<TimestampMs>,
}

#[derive(Serialize, ToSchema)]
pub struct ConsumerPositionView {
    pub partition: Partition,
    /// Everything before it is acknowledged.
    pub committed: Offset,
    /// What was not delivered yet begins here.
    pub next: Offset,
    pub end: Offset,
}

#[derive(Serialize, ToSchema)]
pub struct ConsumerList {
    pub consumers: Vec<ConsumerView>,
    /// For the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// Where to: one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerReset {
    /// `earliest`, `latest`, `offset:N` or `time:<milliseconds since 1970>`.
    to: Option<String>,
    /// These partitions; the others stay.
    positions: Option<Vec<ConsumerResetPosition>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerResetPosition {
    partition: Partition,
    offset: Offset,
}

impl From<ConsumerInfo> for ConsumerView {
    fn from(info: ConsumerInfo) -> ConsumerView {
        let position = |at: port::consumers::ConsumerPosition| ConsumerPositionView {
            partition: at.partition,
            committed: at.committed,
            next: at.next,
            end: at.end,
        };
        ConsumerView {
            topic: info.at.topic.to_string(),
            consumer: info.at.name.to_string(),
            config: info.config,
            dead_letter_topic: info.dead_letter_topic.to_string(),
            created_at: info.created_at,
            partitions: info.partitions.into_iter().map(position).collect(),
            lag: info.lag,
            pending: info.pending,
            retrying: info.retrying,
            held: info.held,
            dead_letters: info.dead_letters,
            active_at: info.active_at,
        }
    }
}

/// Create or configure a consumer
#[utoipa::path(
    put, path = "/v1/topics/{topic}/consumers/{consumer}", tag = "consumers",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("consumer" = String, Path, description = "1 to 100 letters, digits, `.`, `_` and `-`"),
    ),
    request_body = Option<ConsumerConfigSchema>,
    responses(
        (status = 200, description = "Configured", body = ConsumerView),
        (status = 201, description = "Created", body = ConsumerView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn put_consumer(
    caller: Caller,
    ConsumerPath(at): ConsumerPath,
    _: StrictQuery<NoQuery>,
    body: Body,
) -> Response {
    let outcome = async {
        let body = read_body(body, JSON_BODY_BYTES_MAX).await?;
        let config = match utf8(&body)? {
            "" => ConsumerConfig::default(),
            text => parse_json(text)?,
        };
        let (info, is_new) = consumers(&caller)?.put(&caller.identity, &at, config).await?;
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, Json(ConsumerView::from(info))))
    };
    caller.answer(outcome.await)
}

/// Look at a consumer
#[utoipa::path(
    get, path = "/v1/topics/{topic}/consumers/{consumer}", tag = "consumers",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("consumer" = String, Path, description = "The consumer"),
    ),
    responses(
        (status = 200, description = "The consumer", body = ConsumerView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn get_consumer(
    caller: Caller,
    ConsumerPath(at): ConsumerPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async { consumers(&caller)?.get(&caller.identity, &at).await };
    caller.answer(outcome.await.map(|info| Json(ConsumerView::from(info))))
}

/// Delete a consumer and where it stood
///
/// Its dead letters stay in their topic.
#[utoipa::path(
    delete, path = "/v1/topics/{topic}/consumers/{consumer}", tag = "consumers",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("consumer" = String, Path, description = "The consumer"),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn delete_consumer(
    caller: Caller,
    ConsumerPath(at): ConsumerPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async { consumers(&caller)?.delete(&caller.identity, &at).await };
    caller.answer(outcome.await.map(|()| StatusCode::NO_CONTENT))
}

/// List a topic's consumers
#[utoipa::path(
    get, path = "/v1/topics/{topic}/consumers", tag = "consumers",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Consumers in the order of their names", body = ConsumerList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn list_consumers(
    caller: Caller,
    TopicPath(topic): TopicPath,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let outcome = async {
        let page = query.page()?;
        let after = match &page.after {
            None => None,
            Some(after) => {
                let text = std::str::from_utf8(after).map_err(|_| bad_page_cursor())?;
                Some(parse_name(text, "cursor").map_err(|_| bad_page_cursor())?)
            }
        };
        let all = consumers(&caller)?;
        // One more than asked for tells whether there is a next page.
        let mut found = all.list(&caller.identity, &topic, after, page.limit + 1).await?;
        let has_more = found.len() > page.limit;
        found.truncate(page.limit);
        let last = found.last().map(|info| info.at.name.as_str().as_bytes());
        let next_cursor = next_cursor(last, has_more);
        let consumers = found.into_iter().map(ConsumerView::from).collect();
        Ok(Json(ConsumerList { consumers, next_cursor }))
    };
    caller.answer(outcome.await)
}

/// Put a consumer elsewhere
///
/// Also back. Deliveries under way are forgotten; the audit trail remembers the reset.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/consumers/{consumer}/reset", tag = "consumers",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("consumer" = String, Path, description = "The consumer"),
    ),
    request_body = ConsumerReset,
    responses(
        (status = 200, description = "Where it stands now", body = ConsumerView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn reset_consumer(
    caller: Caller,
    ConsumerPath(at): ConsumerPath,
    _: StrictQuery<NoQuery>,
    StrictJson(reset): StrictJson<ConsumerReset>,
) -> Response {
    let outcome = async {
        let to = reset.target()?;
        consumers(&caller)?.reset(&caller.identity, &at, to).await
    };
    caller.answer(outcome.await.map(|info| Json(ConsumerView::from(info))))
}

impl ConsumerReset {
    fn target(self) -> Result<ResetTo, Refusal> {
        match (self.to, self.positions) {
            (Some(to), None) => to.parse::<Start>().map(ResetTo::Start).map_err(|_| {
                Refusal::new(Code::InvalidRequest, "`to` cannot be read")
                    .field("to")
                    .hint("earliest, latest, offset:N or time:<milliseconds since 1970>")
            }),
            (None, Some(positions)) if !positions.is_empty() => {
                let position = |at: ConsumerResetPosition| (at.partition, at.offset);
                Ok(ResetTo::Positions(positions.into_iter().map(position).collect()))
            }
            _ => Err(Refusal::new(Code::InvalidRequest, "say where to, in one of two ways")
                .field("to")
                .hint("`to`, or `positions` with at least one of them")),
        }
    }
}
