//! Dead letters: listed, brought back, given up.

use super::{ConsumerPath, consumers, json};
use axum::Json;
use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, BytesMut};
use port::consumers::{DEAD_LETTERS_MAX, DeadLetters, ReplayTo, Which};
use port::{Code, Refusal};
use serde::{Deserialize, Serialize};
use types::{Offset, Partition};
use utoipa::ToSchema;
use wire_http::json::{JSON_BODY_BYTES_MAX, utf8};
use wire_http::param::parse_limit;
use wire_http::query::NoQuery;
use wire_http::schema::{ErrorSchema, RecordSchema};
use wire_http::text::{write_display, write_member, write_number, write_string};
use wire_http::{Caller, StrictQuery, parse_json, read_body, write_record};

const PAGE_DEFAULT: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LettersQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Which dead letters. All of it is optional, and so is the body.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ConsumerPurge)]
pub struct PurgeRequest {
    /// The oldest so many, 1 to 1000; 1000 when absent.
    limit: Option<u32>,
    /// These, instead of the oldest.
    letters: Option<Vec<LetterPlace>>,
}

/// Which dead letters, and where to.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ConsumerReplay)]
pub struct ReplayRequest {
    /// `topic` (default): published anew under the original's key, for every reader of the topic.
    /// `consumer`: the original is delivered again, to this consumer only.
    to: Target,
    /// The oldest so many, 1 to 1000; 1000 when absent.
    limit: Option<u32>,
    /// These, instead of the oldest.
    letters: Option<Vec<LetterPlace>>,
}

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConsumerReplayTarget)]
pub enum Target {
    #[default]
    Topic,
    Consumer,
}

/// A place in the dead-letter topic, as listed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConsumerLetterPlace)]
pub struct LetterPlace {
    partition: Partition,
    offset: Offset,
}

/// A record that failed for good.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsumerDeadLetter)]
pub struct DeadLetterView {
    /// Its place in the dead-letter topic.
    pub partition: Partition,
    pub offset: Offset,
    pub reason: String,
    pub deliveries: u32,
    pub original: OriginalView,
    /// As it lies in the dead-letter topic; `timestamp` is when it failed.
    pub record: RecordSchema,
}

/// Where the record was published.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsumerOriginal)]
pub struct OriginalView {
    pub topic: String,
    pub partition: Partition,
    pub offset: Offset,
    pub timestamp: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ConsumerDeadLetterPage)]
pub struct DeadLetterPage {
    pub dead_letters: Vec<DeadLetterView>,
    /// For the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ConsumerPurged)]
pub struct Purged {
    pub purged: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ConsumerReplayed)]
pub struct Replayed {
    pub replayed: u64,
}

/// List dead letters
///
/// Those that were neither replayed nor purged, oldest first.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/consumers/{consumer}/dead-letters", tag = "consumers",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("consumer" = String, Path, description = "The consumer"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Dead letters", body = DeadLetterPage),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn list_letters(
    caller: Caller,
    ConsumerPath(at): ConsumerPath,
    StrictQuery(query): StrictQuery<LettersQuery>,
) -> Response {
    let outcome = async {
        let limit = parse_limit(query.limit, PAGE_DEFAULT, DEAD_LETTERS_MAX)?;
        let all = consumers(&caller)?;
        let found = all.dead_letters(&caller.identity, &at, query.cursor, limit).await?;
        Ok(json(write(&found)))
    };
    caller.answer(outcome.await)
}

/// Replay dead letters
///
/// What is replayed is a dead letter no more.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/consumers/{consumer}/dead-letters/replay", tag = "consumers",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("consumer" = String, Path, description = "The consumer"),
    ),
    request_body = Option<ReplayRequest>,
    responses(
        (status = 200, description = "How many were replayed", body = Replayed),
        (status = "default", description = "Refused; none was replayed", body = ErrorSchema),
    ),
)]
pub async fn replay_letters(
    caller: Caller,
    ConsumerPath(at): ConsumerPath,
    _: StrictQuery<NoQuery>,
    body: Body,
) -> Response {
    let outcome = async {
        let request: ReplayRequest = optional(body).await?;
        let which = which(request.limit, request.letters)?;
        let to = match request.to {
            Target::Topic => ReplayTo::Topic,
            Target::Consumer => ReplayTo::Consumer,
        };
        let replayed = consumers(&caller)?.replay(&caller.identity, &at, which, to).await?;
        Ok(Json(Replayed { replayed }))
    };
    caller.answer(outcome.await)
}

/// Purge dead letters
///
/// They are not listed any more; their records stay in the dead-letter topic until its retention
/// removes them.
#[utoipa::path(
    delete, path = "/v1/topics/{topic}/consumers/{consumer}/dead-letters", tag = "consumers",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("consumer" = String, Path, description = "The consumer"),
    ),
    request_body = Option<PurgeRequest>,
    responses(
        (status = 200, description = "How many were purged", body = Purged),
        (status = "default", description = "Refused; none was purged", body = ErrorSchema),
    ),
)]
pub async fn purge_letters(
    caller: Caller,
    ConsumerPath(at): ConsumerPath,
    _: StrictQuery<NoQuery>,
    body: Body,
) -> Response {
    let outcome = async {
        let request: PurgeRequest = optional(body).await?;
        let which = which(request.limit, request.letters)?;
        let purged = consumers(&caller)?.purge(&caller.identity, &at, which).await?;
        Ok(Json(Purged { purged }))
    };
    caller.answer(outcome.await)
}

/// The body, or what stands for none.
async fn optional<T: Default + serde::de::DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    let body = read_body(body, JSON_BODY_BYTES_MAX).await?;
    match utf8(&body)? {
        "" => Ok(T::default()),
        text => parse_json(text),
    }
}

fn which(limit: Option<u32>, letters: Option<Vec<LetterPlace>>) -> Result<Which, Refusal> {
    match (limit, letters) {
        (Some(_), Some(_)) => {
            let message = "`limit` counts the oldest, and `letters` names some";
            Err(Refusal::new(Code::InvalidRequest, message)
                .field("limit")
                .hint("give one of the two"))
        }
        (limit, None) => parse_limit(limit, DEAD_LETTERS_MAX, DEAD_LETTERS_MAX).map(Which::Oldest),
        (None, Some(letters)) if letters.is_empty() || letters.len() > DEAD_LETTERS_MAX => {
            Err(Refusal::new(Code::InvalidRequest, "`letters` names none, or too many")
                .field("letters")
                .hint(format!("1 to {DEAD_LETTERS_MAX}")))
        }
        (None, Some(letters)) => {
            Ok(Which::At(letters.iter().map(|at| (at.partition, at.offset)).collect()))
        }
    }
}

fn write(found: &DeadLetters) -> BytesMut {
    let mut out = BytesMut::with_capacity(64 + 768 * found.letters.len());
    out.put_slice(b"{\"dead_letters\":[");
    for (index, letter) in found.letters.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        out.put_slice(b"{\"partition\":");
        write_number(&mut out, letter.delivery.partition.into());
        write_member(&mut out, "offset");
        write_number(&mut out, letter.delivery.offset);
        write_member(&mut out, "reason");
        write_string(&mut out, &letter.reason);
        write_member(&mut out, "deliveries");
        write_number(&mut out, letter.deliveries.into());
        out.put_slice(b",\"original\":{\"topic\":");
        write_string(&mut out, &letter.topic);
        write_member(&mut out, "partition");
        write_number(&mut out, letter.partition.into());
        write_member(&mut out, "offset");
        write_number(&mut out, letter.offset);
        write_member(&mut out, "timestamp");
        write_display(&mut out, letter.timestamp);
        out.put_slice(b"},\"record\":");
        write_record(&mut out, &letter.delivery);
        out.put_u8(b'}');
    }
    out.put_u8(b']');
    write_member(&mut out, "next_cursor");
    match found.is_end {
        true => out.put_slice(b"null"),
        false => write_string(&mut out, &found.next_cursor),
    }
    out.put_u8(b'}');
    out
}
