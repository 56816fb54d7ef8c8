//! The one route. While it waits it is a connection like any other: counted, listed, and ended when
//! the credential is revoked, the tenant suspended or the node drained. A client that goes away
//! drops the request, and with it the place.

use crate::{Config, LongPoll};
use axum::Extension;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use port::feed::Fed;
use port::live::{Connection, Quota};
use port::{Code, Feed, Protocol, ReadAnswer, ReadRequest, Refusal};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use types::limits::READ_RECORDS_MAX;
use types::{From, TopicName};
use utoipa::ToSchema;
use wire_http::param::{parse_key, parse_limit};
use wire_http::refusal::JSON;
use wire_http::schema::{ErrorSchema, RecordSchema};
use wire_http::text::{write_member, write_string};
use wire_http::{Caller, StrictQuery, TopicPath, parse_from, parse_wait, write_record};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadQuery {
    from: Option<String>,
    key: Option<String>,
    key_base64: Option<String>,
    limit: Option<u32>,
    wait: Option<String>,
    last: Option<u32>,
}

/// A page of records.
#[derive(Serialize, ToSchema)]
pub struct RecordPage {
    pub records: Vec<RecordSchema>,
    /// The `from` of the next request. There always is one.
    pub next_cursor: String,
    /// Nothing more was stored when the answer was made.
    pub end: bool,
}

/// Read records
///
/// With `wait` the answer is held back until there is a record, at most for that time.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/records", tag = "events",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("from" = Option<String>, Query, description = "`earliest` (default), `latest`, \
            `offset:N`, `time:<ms or RFC 3339>`, or a cursor"),
        ("key" = Option<String>, Query, description = "Only this key's records"),
        ("key_base64" = Option<String>, Query, description = "A key that is not text"),
        ("limit" = Option<u32>, Query, description = "1 to 10000, 100 when absent"),
        ("wait" = Option<String>, Query, description = "Such as `30s`, `500ms` or `10`"),
        ("last" = Option<u32>, Query, description = "With a key: its newest so many records, \
            oldest first; `from` is ignored"),
    ),
    responses(
        (status = 200, description = "The page, empty when there is nothing", body = RecordPage),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn read_records(
    Extension(config): Extension<Arc<Config>>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    StrictQuery(query): StrictQuery<ReadQuery>,
) -> Response {
    let outcome = async {
        let request = query.request(topic, &config)?;
        let answer = if request.wait.is_zero() {
            caller.hub.read(&caller.identity, request).await?
        } else {
            read_waiting(&caller, request).await?
        };
        Ok(page(&answer))
    };
    caller.answer(outcome.await)
}

async fn read_waiting(caller: &Caller, request: ReadRequest) -> Result<ReadAnswer, Refusal> {
    let closer = Feed::new();
    let connection =
        Connection { protocol: LongPoll::NAME, quota: Quota::Other, address: caller.peer.address };
    let _lease = caller.hub.open(&caller.identity, connection, closer.clone()).await?;
    tokio::select! {
        answer = caller.hub.read(&caller.identity, request) => answer,
        why = closed(&closer) => Err(why),
    }
}

/// Resolves when the connection must end. Nothing else is ever fed to a closer.
async fn closed(closer: &Feed) -> Refusal {
    loop {
        if let Fed::Closed(why) = closer.next().await {
            return why;
        }
    }
}

impl ReadQuery {
    fn request(&self, topic: TopicName, config: &Config) -> Result<ReadRequest, Refusal> {
        let key = parse_key(self.key.as_deref(), self.key_base64.as_deref())?;
        let last = match self.last {
            None => None,
            Some(_) if key.is_none() => {
                let message = "`last` counts records of a key, and there is no key";
                return Err(Refusal::new(Code::InvalidRequest, message)
                    .field("last")
                    .hint("add `key`"));
            }
            last => Some(in_range(last, "last")?),
        };
        let wait_max = Duration::from_millis(config.wait_ms_max);
        let wait = self.wait.as_deref().map(|wait| parse_wait(wait, wait_max));
        // Without it, `last` says how many records there are at most.
        let limit_default = last.unwrap_or(config.limit_default);
        Ok(ReadRequest {
            topic,
            from: self.from.as_deref().map_or(Ok(From::Earliest), parse_from)?,
            key,
            last,
            limit: parse_limit(self.limit, limit_default, READ_RECORDS_MAX)?,
            wait: wait.transpose()?.unwrap_or_default(),
        })
    }
}

fn in_range(number: Option<u32>, field: &'static str) -> Result<usize, Refusal> {
    parse_limit(number, 1, READ_RECORDS_MAX).map_err(|refusal| refusal.field(field))
}

fn page(answer: &ReadAnswer) -> Response {
    let mut out = BytesMut::with_capacity(64 + 512 * answer.records.len());
    out.put_slice(b"{\"records\":[");
    for (index, record) in answer.records.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        write_record(&mut out, record);
    }
    out.put_u8(b']');
    write_member(&mut out, "next_cursor");
    write_string(&mut out, &answer.next_cursor);
    out.put_slice(if answer.is_end { b",\"end\":true}" } else { b",\"end\":false}" });
    let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (headers, out.freeze()).into_response()
}
