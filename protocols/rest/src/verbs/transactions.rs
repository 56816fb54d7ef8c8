//! `POST /v1/transactions`: records of several topics, stored all or none. It must not look into
//! values, and it decides nothing about what all or none costs: that is the hub's.

use super::publish::{Group, Request, at_request, group};
use crate::Shared;
use crate::idempotency::{self, Answer};
use axum::Extension;
use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, StatusCode, Uri};
use port::consumers::ConsumerAddress;
use port::hub::Placed;
use port::{Code, Hub, Identity, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::ConsumerName;
use types::record::header;
use utoipa::ToSchema;
use wire_http::address::parse_topic;
use wire_http::json::utf8;
use wire_http::publish::{Framing, Publishes};
use wire_http::query::NoQuery;
use wire_http::schema::{ErrorSchema, PlacedSchema, PublishSchema};
use wire_http::trace::traceparent;
use wire_http::{Caller, StrictQuery, parse_json, parse_publishes, read_body, write_placed};

/// What is to be done together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a transaction, which is an object")]
struct TransactionView<'a> {
    #[serde(borrow)]
    records: &'a RawValue,
    acknowledge: Option<AcknowledgeView>,
}

/// Deliveries of a durable consumer that are acknowledged with the records.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TransactionAcknowledge)]
pub struct AcknowledgeView {
    topic: String,
    consumer: String,
    /// Of fetched deliveries, 1 to 1000. One that was acknowledged before, or delivered again
    /// since, refuses the whole.
    tokens: Vec<String>,
}

/// What is to be done together.
#[derive(Serialize, ToSchema)]
#[schema(as = Transaction)]
pub struct TransactionSchema {
    /// Records of up to 256 topics, 16 MiB together.
    pub records: Vec<PublishSchema>,
    /// What was worked off: whoever reads one topic and writes others does so exactly once.
    pub acknowledge: Option<AcknowledgeView>,
}

/// What was done.
#[derive(Serialize, ToSchema)]
#[schema(as = TransactionAnswer)]
pub struct TransactionAnswerSchema {
    /// In the order of the request.
    pub records: Vec<PlacedSchema>,
}

/// Publish to several topics, all or nothing
///
/// Either every record is stored and seen by readers, or none is, also when the server is killed in
/// between. A record whose `id` its topic has seen is answered with the place of the first one.
#[utoipa::path(
    post, path = "/v1/transactions", tag = "events",
    request_body = TransactionSchema,
    params(("Idempotency-Key" = Option<String>, Header, description = "Same key and same request: \
        same answer, without publishing again")),
    responses(
        (status = 200, description = "All is stored", body = TransactionAnswerSchema),
        (status = "default", description = "Refused; nothing was stored", body = ErrorSchema),
    ),
)]
pub async fn transact(
    Extension(shared): Extension<Shared>,
    caller: Caller,
    _: StrictQuery<NoQuery>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let outcome = async {
        let key = idempotency::key(&headers)?;
        let body = read_body(body, shared.config.body_bytes_max).await?;
        let view: TransactionView<'_> = parse_json(utf8(&body)?)?;
        let records = body.slice_ref(view.records.get().as_bytes());
        let publishes = parse_publishes(&records, Framing::Json)?;
        let fingerprint = shared.window.fingerprint(&uri, &headers, &body);
        let (hub, who) = (caller.hub.clone(), caller.identity.clone());
        let request = Request { trace: traceparent(&headers), key: key.clone() };
        let acknowledge = view.acknowledge.map(AcknowledgeView::read).transpose()?;
        let work = async move { publish(&*hub, &who, publishes, acknowledge, request).await };
        shared.window.run(&caller.identity, key, fingerprint, work).await
    };
    caller.answer(outcome.await)
}

impl AcknowledgeView {
    fn read(self) -> Result<(ConsumerAddress, Vec<String>), Refusal> {
        let topic = parse_topic(&self.topic, "acknowledge.topic")?;
        let name = ConsumerName::parse(&self.consumer).map_err(|bad| {
            Refusal::new(Code::InvalidRequest, bad.to_string()).field("acknowledge.consumer")
        })?;
        Ok((ConsumerAddress { topic, name }, self.tokens))
    }
}

async fn publish(
    hub: &dyn Hub,
    who: &Identity,
    mut publishes: Publishes,
    acknowledge: Option<(ConsumerAddress, Vec<String>)>,
    request: Request,
) -> Result<Answer, Refusal> {
    let ids: Vec<Option<Bytes>> =
        publishes.records.iter().map(|one| one.record.header(header::ID).cloned()).collect();
    idempotency::derive_ids(who, request.key.as_deref(), &mut publishes.records);
    let mut groups = group(publishes, request.trace.as_ref())?;
    let parts = groups.iter_mut();
    let parts = parts.map(|group| (group.topic.clone(), std::mem::take(&mut group.records)));
    let parts = parts.collect();
    let outcome = match acknowledge {
        None => hub.transact(who, parts).await,
        Some((at, tokens)) => match hub.consumers() {
            Some(consumers) => consumers.settle_with(who, &at, tokens, parts).await,
            None => Err(Refusal::new(Code::Unsupported, "this server has no durable consumers")),
        },
    };
    // Refusals name a record by its number in its topic; with one topic that is its number here.
    let places = groups.first().filter(|_| groups.len() == 1).map(|group| &group.places[..]);
    let placed = outcome.map_err(|refusal| match places {
        Some(places) => at_request(refusal, places, true),
        None => refusal,
    })?;
    Ok(Answer { status: StatusCode::OK, body: write(&groups, &placed, &ids), is_replay: false })
}

fn write(groups: &[Group], placed: &[Vec<Placed>], ids: &[Option<Bytes>]) -> Bytes {
    let mut in_order: Vec<Option<(&Group, &Placed)>> = vec![None; ids.len()];
    for (group, placed) in groups.iter().zip(placed) {
        for (&place, placed) in group.places.iter().zip(placed) {
            if let Some(slot) = in_order.get_mut(place) {
                *slot = Some((group, placed));
            }
        }
    }
    let mut out = BytesMut::with_capacity(in_order.len() * 128 + 16);
    out.put_slice(b"{\"records\":[");
    for (number, ((group, placed), id)) in in_order.into_iter().flatten().zip(ids).enumerate() {
        if number > 0 {
            out.put_u8(b',');
        }
        let id = id.as_ref().and_then(|id| std::str::from_utf8(id).ok());
        write_placed(&mut out, &group.topic, id, placed);
    }
    out.put_slice(b"]}");
    out.freeze()
}
