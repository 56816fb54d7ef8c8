//! What a topic holds by key: the newest record of one key, and the keys themselves. It must not
//! read the log in any other way.

use crate::page::{PageQuery, next_cursor};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use http::header::CONTENT_TYPE;
use port::{Code, Refusal};
use serde::{Deserialize, Serialize};
use types::Key;
use utoipa::ToSchema;
use wire_http::param::{bad_page_cursor, parse_key};
use wire_http::refusal::JSON;
use wire_http::schema::{ErrorSchema, RecordSchema};
use wire_http::text::{write_member, write_string};
use wire_http::view::write_key;
use wire_http::{Caller, StrictQuery, TopicPath, write_record};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyQuery {
    key: Option<String>,
    key_base64: Option<String>,
}

/// The newest record of a key
#[utoipa::path(
    get, path = "/v1/topics/{topic}/latest", tag = "topics",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("key" = Option<String>, Query, description = "The key"),
        ("key_base64" = Option<String>, Query, description = "A key that is not text"),
    ),
    responses(
        (status = 200, description = "The record", body = RecordSchema),
        (status = "default", description = "Refused; `NOT_FOUND` when the key has no value",
            body = ErrorSchema),
    ),
)]
pub async fn get_latest(
    caller: Caller,
    TopicPath(topic): TopicPath,
    StrictQuery(query): StrictQuery<KeyQuery>,
) -> Response {
    let outcome = async {
        let key =
            parse_key(query.key.as_deref(), query.key_base64.as_deref())?.ok_or_else(|| {
                Refusal::new(Code::InvalidRequest, "the query parameter `key` is missing")
                    .field("key")
            })?;
        let found = caller.hub.latest(&caller.identity, &topic, &key).await?;
        let found = found.ok_or_else(|| {
            Refusal::new(Code::NotFound, "the key has no value")
                .field("key")
                .hint("it was never published, or its newest record is a tombstone")
        })?;
        let mut out = BytesMut::new();
        write_record(&mut out, &found);
        Ok(json(out))
    };
    caller.answer(outcome.await)
}

/// One key of a list: `key` when it is text, else `key_base64`.
#[derive(Serialize, ToSchema)]
pub struct KeyView {
    pub key: Option<String>,
    pub key_base64: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct KeyList {
    pub keys: Vec<KeyView>,
    /// For the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// The keys that hold a value
#[utoipa::path(
    get, path = "/v1/topics/{topic}/keys", tag = "topics",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Keys in byte order", body = KeyList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn list_keys(
    caller: Caller,
    TopicPath(topic): TopicPath,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let outcome = async {
        let page = query.page()?;
        let after = page.after.map(Key::new).transpose().map_err(|_| bad_page_cursor())?;
        let found = caller.hub.keys(&caller.identity, &topic, after, page.limit).await?;
        let last = found.keys.last().map(|key| &key.bytes()[..]);
        let next = next_cursor(last, found.has_more);
        Ok(json(write_keys(&found.keys, next.as_deref())))
    };
    caller.answer(outcome.await)
}

fn write_keys(keys: &[Key], next_cursor: Option<&str>) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_slice(b"{\"keys\":[");
    for (index, key) in keys.iter().enumerate() {
        out.put_slice(if index == 0 { b"{" } else { b",{" });
        write_key(&mut out, key);
        out.put_u8(b'}');
    }
    out.put_u8(b']');
    write_member(&mut out, "next_cursor");
    match next_cursor {
        Some(cursor) => write_string(&mut out, cursor),
        None => out.put_slice(b"null"),
    }
    out.put_u8(b'}');
    out
}

fn json(body: BytesMut) -> Response {
    ([(CONTENT_TYPE, JSON)], body.freeze()).into_response()
}
