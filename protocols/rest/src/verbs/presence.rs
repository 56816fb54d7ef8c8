//! Presence for clients without a connection: they enter with a lease and renew it by entering
//! again. It must not remember anybody: that is the hub's.

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use port::presence::{Entering, MemberData, PRESENCE_PAGE, PRESENCE_PAGE_MAX, PresenceAction};
use port::{Code, PresenceAnswer, PresenceCall, Refusal};
use serde::{Deserialize, Deserializer};
use std::time::Duration;
use types::{Key, TopicName};
use utoipa::ToSchema;
use wire_http::address::parse_topic;
use wire_http::json::{JSON_BODY_BYTES_MAX, utf8};
use wire_http::param::parse_key;
use wire_http::presence::{PresenceSchema, write_answer};
use wire_http::refusal::JSON;
use wire_http::schema::ErrorSchema;
use wire_http::{Caller, Rejection, StrictQuery, TopicPath, parse_json, read_body};

/// The lease of who asks for none.
const LEASE_MS: u64 = 60_000;

/// The `{topic}` and `{member}` of the path.
pub struct MemberPath {
    topic: TopicName,
    member: String,
}

impl<S: Send + Sync> FromRequestParts<S> for MemberPath {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<MemberPath, Rejection> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let parsed =
            match &params {
                Ok(params) => {
                    let text = |wanted: &str| {
                        let found = params.iter().find(|(name, _)| *name == wanted);
                        found.map(|(_, text)| text).unwrap_or_default()
                    };
                    parse_topic(text("topic"), "topic")
                        .map(|topic| MemberPath { topic, member: text("member").to_owned() })
                }
                Err(_) => Err(Refusal::new(Code::InvalidRequest, "the path is not UTF-8 text")
                    .field("member")),
            };
        parsed.map_err(|refusal| Rejection::new(parts, refusal))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    key: Option<String>,
    key_base64: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
    count_only: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutQuery {
    key: Option<String>,
    key_base64: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteQuery {
    key: Option<String>,
    key_base64: Option<String>,
    device: Option<String>,
}

/// All of it is optional, and so is the body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = PresenceEnter)]
pub struct EnterRequest {
    /// Which of the member's devices this is; `default` when absent.
    device: Option<String>,
    /// Any JSON of at most 4096 bytes. Left out, it stays what it was; `null` removes it.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<serde_json::Value>)]
    data: Option<Option<serde_json::Value>>,
    /// At least 1000, 60000 when absent: enter again before it is over.
    lease_ms: Option<u64>,
}

/// Tells `null` from nothing.
fn given<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<serde_json::Value>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Who is present
#[utoipa::path(
    get, path = "/v1/presence/{topic}", tag = "presence",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("key" = Option<String>, Query, description = "The key"),
        ("key_base64" = Option<String>, Query, description = "A key that is not text"),
        ("limit" = Option<u32>, Query, description = "0 to 1000, 100 when absent"),
        ("after" = Option<String>, Query, description = "`next` of the page before"),
        ("count_only" = Option<bool>, Query, description = "`true` lists nobody"),
    ),
    responses(
        (status = 200, description = "Members in order of their ids", body = PresenceSchema),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn list_present(
    caller: Caller,
    TopicPath(topic): TopicPath,
    StrictQuery(query): StrictQuery<ListQuery>,
) -> Response {
    let outcome = async {
        let key = parse_key(query.key.as_deref(), query.key_base64.as_deref())?;
        let limit = match query.count_only {
            Some(true) => 0,
            _ => page_limit(query.limit, PRESENCE_PAGE)?,
        };
        let action = PresenceAction::List { after: query.after };
        ask(&caller, &topic, key, PresenceCall { action, limit }).await
    };
    caller.answer(outcome.await)
}

/// Enter, or stay
///
/// Adds a device of the member, or renews its lease. Without `data` the member's stays.
#[utoipa::path(
    put, path = "/v1/presence/{topic}/members/{member}", tag = "presence",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("member" = String, Path, description = "The member's id, 1 to 255 bytes"),
        ("key" = Option<String>, Query, description = "The key"),
        ("key_base64" = Option<String>, Query, description = "A key that is not text"),
        ("limit" = Option<u32>, Query, description = "Members to list, 0 to 1000; 0 when absent"),
    ),
    request_body = Option<EnterRequest>,
    responses(
        (status = 200, description = "How many are present", body = PresenceSchema),
        (status = "default", description = "Refused; `CONFLICT` when the member is another's",
            body = ErrorSchema),
    ),
)]
pub async fn put_present(
    caller: Caller,
    MemberPath { topic, member }: MemberPath,
    StrictQuery(query): StrictQuery<PutQuery>,
    body: Body,
) -> Response {
    let outcome = async {
        let key = parse_key(query.key.as_deref(), query.key_base64.as_deref())?;
        let limit = page_limit(query.limit, 0)?;
        let body = read_body(body, JSON_BODY_BYTES_MAX).await?;
        let request: EnterRequest = match utf8(&body)? {
            "" => EnterRequest::default(),
            text => parse_json(text)?,
        };
        let action = PresenceAction::Enter(Entering {
            member,
            device: request.device,
            data: request.data.map_or(MemberData::Keep, MemberData::Set),
            lease: Some(Duration::from_millis(request.lease_ms.unwrap_or(LEASE_MS))),
        });
        ask(&caller, &topic, key, PresenceCall { action, limit }).await
    };
    caller.answer(outcome.await)
}

/// Leave
///
/// Removes a device of the member, who leaves with the last one. Done as well when it is not there.
#[utoipa::path(
    delete, path = "/v1/presence/{topic}/members/{member}", tag = "presence",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("member" = String, Path, description = "The member's id"),
        ("key" = Option<String>, Query, description = "The key"),
        ("key_base64" = Option<String>, Query, description = "A key that is not text"),
        ("device" = Option<String>, Query, description = "`default` when absent"),
    ),
    responses(
        (status = 200, description = "How many remain", body = PresenceSchema),
        (status = "default", description = "Refused; `CONFLICT` when the member is another's",
            body = ErrorSchema),
    ),
)]
pub async fn delete_present(
    caller: Caller,
    MemberPath { topic, member }: MemberPath,
    StrictQuery(query): StrictQuery<DeleteQuery>,
) -> Response {
    let outcome = async {
        let key = parse_key(query.key.as_deref(), query.key_base64.as_deref())?;
        let action = PresenceAction::Leave { member, device: query.device };
        ask(&caller, &topic, key, PresenceCall { action, limit: 0 }).await
    };
    caller.answer(outcome.await)
}

fn page_limit(given: Option<usize>, default: usize) -> Result<usize, Refusal> {
    match given.unwrap_or(default) {
        limit if limit <= PRESENCE_PAGE_MAX => Ok(limit),
        _ => Err(Refusal::new(Code::InvalidRequest, "`limit` is out of range")
            .field("limit")
            .hint(format!("0 to {PRESENCE_PAGE_MAX}"))),
    }
}

async fn ask(
    caller: &Caller,
    topic: &TopicName,
    key: Option<Key>,
    call: PresenceCall,
) -> Result<Response, Refusal> {
    let hub = &caller.hub;
    let answer = hub.presence(&caller.identity, None, topic, key.as_ref(), call).await?;
    Ok(json(&answer))
}

/// Of the moment: nobody on the way may keep it.
fn json(answer: &PresenceAnswer) -> Response {
    let mut out = BytesMut::with_capacity(128 + 160 * answer.members.len());
    out.put_u8(b'{');
    write_answer(&mut out, answer);
    out.put_u8(b'}');
    let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (headers, out.freeze()).into_response()
}
