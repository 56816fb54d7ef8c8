//! `POST /v1/events`: one record, an array, or one per line, for one topic or several. The records
//! of one topic are appended together, all or none in each partition; topics do not wait for each
//! other and fail each by itself. It must not look into values: `wire_http::publish` has cut them
//! out.

use crate::Shared;
use crate::idempotency::{self, Answer};
use axum::Extension;
use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::join_all;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, Uri};
use port::hub::Placed;
use port::{Code, Hub, Identity, Refusal};
use std::collections::HashMap;
use types::limits::HEADERS_MAX;
use types::record::header;
use types::{Record, TopicName};
use wire_http::publish::{Framing, Publishes, make_header};
use wire_http::query::NoQuery;
use wire_http::schema::{ErrorSchema, PlacedSchema, PublishSchema};
use wire_http::trace::traceparent;
use wire_http::{Caller, StrictQuery, parse_publishes, read_body, write_error, write_placed};

/// Publish records
///
/// One record as an object, several as an array, or one object per line with the content type
/// `application/x-ndjson`. The records that come to lie in one partition of a topic are stored all
/// or none. When some topics refuse and others do not, the answer is 207 and each refused record
/// has an `error`.
#[utoipa::path(
    post, path = "/v1/events", tag = "events",
    request_body(content = PublishSchema, description = "One record, or an array of them"),
    params(("Idempotency-Key" = Option<String>, Header, description = "Same key and same request: \
        same answer, without publishing again")),
    responses(
        (status = 200, description = "Stored; an object for an object, else an array in the order \
            of the request", body = PlacedSchema),
        (status = 207, description = "Some topics refused their records"),
        (status = "default", description = "Refused; nothing was stored, unless \
            a partition of several failed", body = ErrorSchema),
    ),
)]
pub async fn publish_events(
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
        let publishes = parse_publishes(&body, framing(&headers))?;
        let fingerprint = shared.window.fingerprint(&uri, &headers, &body);
        let (hub, who) = (caller.hub.clone(), caller.identity.clone());
        let request = Request { trace: traceparent(&headers), key: key.clone() };
        let work = async move { publish(&*hub, &who, publishes, request).await };
        shared.window.run(&caller.identity, key, fingerprint, work).await
    };
    caller.answer(outcome.await)
}

fn framing(headers: &HeaderMap) -> Framing {
    let media = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let essence = media.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let lines: [&[u8]; 3] = [b"application/x-ndjson", b"application/ndjson", b"application/jsonl"];
    if lines.iter().any(|name| essence.eq_ignore_ascii_case(name)) {
        Framing::Lines
    } else {
        Framing::Json
    }
}

/// Topics in one request: each is an append of its own.
pub const TOPICS_MAX: usize = 256;

/// The records of one topic, with their places in the request.
pub struct Group {
    pub topic: TopicName,
    pub records: Vec<Record>,
    pub places: Vec<usize>,
}

/// What of a request's headers concerns all its records.
pub struct Request {
    pub trace: Option<Bytes>,
    /// The idempotency key.
    pub key: Option<String>,
}

/// Appends each topic's records with one call and answers in the order of the request.
pub async fn publish(
    hub: &dyn Hub,
    who: &Identity,
    mut publishes: Publishes,
    request: Request,
) -> Result<Answer, Refusal> {
    let is_list = publishes.is_list;
    let count = publishes.records.len();
    let ids: Vec<Option<Bytes>> =
        publishes.records.iter().map(|one| one.record.header(header::ID).cloned()).collect();
    idempotency::derive_ids(who, request.key.as_deref(), &mut publishes.records);
    let mut groups = group(publishes, request.trace.as_ref())?;
    let batches: Vec<(&TopicName, Vec<Record>)> =
        groups.iter_mut().map(|group| (&group.topic, std::mem::take(&mut group.records))).collect();
    // Polled in order, so that the topics' appends begin in the order of the request.
    let appends = batches.into_iter().map(|(topic, records)| hub.append(who, topic, records));
    let outcomes = join_all(appends).await;

    let mut refused: Vec<Option<Refusal>> = Vec::with_capacity(groups.len());
    let mut places: Vec<Option<(usize, Placed)>> = vec![None; count];
    for (number, (group, outcome)) in groups.iter().zip(outcomes).enumerate() {
        match outcome {
            Ok(placed) => {
                for (&place, placed) in group.places.iter().zip(placed) {
                    places[place] = Some((number, placed));
                }
                refused.push(None);
            }
            Err(refusal) => refused.push(Some(at_request(refusal, &group.places, is_list))),
        }
    }
    if refused.iter().all(Option::is_some)
        && let Some(refusal) = refused.iter_mut().find_map(Option::take)
    {
        return Err(refusal);
    }
    let is_partial = refused.iter().any(Option::is_some);
    let status = if is_partial { StatusCode::MULTI_STATUS } else { StatusCode::OK };
    let body = write_answer(&groups, &refused, &places, &ids, is_list);
    Ok(Answer { status, body, is_replay: false })
}

pub fn group(publishes: Publishes, trace: Option<&Bytes>) -> Result<Vec<Group>, Refusal> {
    let mut groups: Vec<Group> = Vec::new();
    let mut numbers: HashMap<TopicName, usize> = HashMap::new();
    for (place, mut one) in publishes.records.into_iter().enumerate() {
        add_trace(&mut one.record, trace);
        let number = match groups.last() {
            // Mostly it is the topic of the record before.
            Some(last) if last.topic == one.topic => groups.len() - 1,
            _ => numbers.get(&one.topic).copied().unwrap_or(groups.len()),
        };
        match groups.get_mut(number) {
            Some(group) => {
                group.records.push(one.record);
                group.places.push(place);
            }
            None if number == TOPICS_MAX => {
                let message = format!("a request has records of at most {TOPICS_MAX} topics");
                return Err(Refusal::new(Code::InvalidRequest, message)
                    .field(format!("records[{place}].topic"))
                    .hint("split the request"));
            }
            None => {
                numbers.insert(one.topic.clone(), number);
                let (records, places) = (vec![one.record], vec![place]);
                groups.push(Group { topic: one.topic, records, places });
            }
        }
    }
    Ok(groups)
}

/// The trace of the request, unless the record has one of its own.
pub fn add_trace(record: &mut Record, trace: Option<&Bytes>) {
    if let Some(trace) = trace
        && record.header(header::TRACEPARENT).is_none()
        && record.headers.len() < HEADERS_MAX
    {
        record.headers.push(make_header(header::TRACEPARENT, trace.clone()));
    }
}

/// The hub names a record by its number in the append; the client knows its number in the request.
pub fn at_request(refusal: Refusal, places: &[usize], is_list: bool) -> Refusal {
    let named = refusal.field_name().and_then(|field| {
        let (number, rest) = field.strip_prefix("records[")?.split_once(']')?;
        let place = places.get(number.parse::<usize>().ok()?)?;
        Some(match (is_list, rest.strip_prefix('.')) {
            (true, _) => format!("records[{place}]{rest}"),
            (false, Some(rest)) => rest.to_owned(),
            (false, None) => "data".to_owned(),
        })
    });
    match named {
        Some(field) => refusal.field(field),
        None => refusal,
    }
}

fn write_answer(
    groups: &[Group],
    refused: &[Option<Refusal>],
    places: &[Option<(usize, Placed)>],
    ids: &[Option<Bytes>],
    is_list: bool,
) -> Bytes {
    let mut out = BytesMut::with_capacity(places.len() * 128 + 2);
    // Which group the refused records belong to, by place.
    let mut owners = HashMap::new();
    for (group, refusal) in groups.iter().zip(refused) {
        if let Some(refusal) = refusal {
            owners.extend(group.places.iter().map(|&place| (place, (&group.topic, refusal))));
        }
    }
    if is_list {
        out.put_u8(b'[');
    }
    for (place, found) in places.iter().enumerate() {
        if place > 0 {
            out.put_u8(b',');
        }
        match found {
            Some((number, placed)) => {
                let id = ids.get(place).and_then(Option::as_ref);
                let id = id.and_then(|id| std::str::from_utf8(id).ok());
                if let Some(group) = groups.get(*number) {
                    write_placed(&mut out, &group.topic, id, placed);
                }
            }
            None => {
                if let Some((topic, refusal)) = owners.get(&place) {
                    out.put_slice(b"{\"topic\":\"");
                    out.put_slice(topic.as_str().as_bytes());
                    out.put_slice(b"\",\"error\":");
                    write_error(&mut out, refusal, None);
                    out.put_u8(b'}');
                }
            }
        }
    }
    if is_list {
        out.put_u8(b']');
    }
    out.freeze()
}
