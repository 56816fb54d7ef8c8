//! Fetching: records leased to the caller. While a fetch waits it is a connection like any other:
//! counted, listed, and ended when the credential is revoked, the tenant suspended or the node
//! drained.

use super::{ConsumerPath, consumers, json};
use crate::Rest;
use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, BytesMut};
use port::consumers::{FETCH_BYTES_MAX, FETCH_RECORDS_MAX, FETCH_WAIT_MAX, Fetch, Leased};
use port::feed::Fed;
use port::live::{Connection, Quota};
use port::{Code, Feed, Protocol, Refusal};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;
use wire_http::json::{JSON_BODY_BYTES_MAX, utf8};
use wire_http::query::NoQuery;
use wire_http::schema::{ErrorSchema, RecordSchema};
use wire_http::text::{write_member, write_number, write_string};
use wire_http::{Caller, StrictQuery, parse_json, read_body, write_record};

const RECORDS_DEFAULT: usize = 100;

/// How much, and how long to wait for a first record. All of it is optional, and so is the body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ConsumerFetch)]
pub struct FetchRequest {
    /// 1 to 1000; 100 when absent.
    records_max: Option<usize>,
    /// 1 to 4194304; a first record comes also when it is larger.
    bytes_max: Option<usize>,
    /// 0 to 60000; without it the answer comes at once.
    wait_ms: Option<u64>,
}

/// A record in the caller's hands until it is settled or the lease ends.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsumerDelivery)]
pub struct DeliveryView {
    /// What it is settled with.
    pub token: String,
    /// This one included.
    pub deliveries: u32,
    pub lease_ms: u64,
    pub record: RecordSchema,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ConsumerFetched)]
pub struct FetchAnswer {
    pub deliveries: Vec<DeliveryView>,
}

/// Fetch records
///
/// Each is leased for `ack_wait_ms`: settled in that time, or delivered again to somebody.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/consumers/{consumer}/fetch", tag = "consumers",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("consumer" = String, Path, description = "The consumer"),
    ),
    request_body = Option<FetchRequest>,
    responses(
        (status = 200, description = "Empty when there is nothing", body = FetchAnswer),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn fetch(
    caller: Caller,
    ConsumerPath(at): ConsumerPath,
    _: StrictQuery<NoQuery>,
    body: Body,
) -> Response {
    let outcome = async {
        let body = read_body(body, JSON_BODY_BYTES_MAX).await?;
        let request: FetchRequest = match utf8(&body)? {
            "" => FetchRequest::default(),
            text => parse_json(text)?,
        };
        let fetch = request.fetch()?;
        let fetching = consumers(&caller)?.fetch(&caller.identity, &at, fetch);
        if fetch.wait.is_zero() {
            return Ok(json(write(&fetching.await?)));
        }
        let closer = Feed::new();
        let address = caller.peer.address;
        let connection = Connection { protocol: Rest::NAME, quota: Quota::Other, address };
        let _lease = caller.hub.open(&caller.identity, connection, closer.clone()).await?;
        tokio::select! {
            fetched = fetching => Ok(json(write(&fetched?))),
            why = closed(&closer) => Err(why),
        }
    };
    caller.answer(outcome.await)
}

/// Resolves when the connection must end. Nothing else is ever fed to a closer.
async fn closed(closer: &Feed) -> Refusal {
    loop {
        if let Fed::Closed(why) = closer.next().await {
            return why;
        }
    }
}

impl FetchRequest {
    fn fetch(&self) -> Result<Fetch, Refusal> {
        let wait_ms_max = u64::try_from(FETCH_WAIT_MAX.as_millis()).unwrap_or(u64::MAX);
        Ok(Fetch {
            records_max: within(self.records_max, RECORDS_DEFAULT, FETCH_RECORDS_MAX)
                .ok_or_else(|| out_of_range("records_max", &format!("1 to {FETCH_RECORDS_MAX}")))?,
            bytes_max: within(self.bytes_max, FETCH_BYTES_MAX, FETCH_BYTES_MAX)
                .ok_or_else(|| out_of_range("bytes_max", &format!("1 to {FETCH_BYTES_MAX}")))?,
            wait: match self.wait_ms.unwrap_or(0) {
                wait_ms if wait_ms <= wait_ms_max => Duration::from_millis(wait_ms),
                _ => return Err(out_of_range("wait_ms", &format!("0 to {wait_ms_max}"))),
            },
        })
    }
}

fn within(given: Option<usize>, default: usize, max: usize) -> Option<usize> {
    Some(given.unwrap_or(default)).filter(|given| (1..=max).contains(given))
}

fn out_of_range(field: &'static str, range: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, format!("`{field}` is out of range"))
        .field(field)
        .hint(range)
}

fn write(leased: &[Leased]) -> BytesMut {
    let mut out = BytesMut::with_capacity(64 + 640 * leased.len());
    out.put_slice(b"{\"deliveries\":[");
    for (index, one) in leased.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        out.put_slice(b"{\"token\":");
        write_string(&mut out, &one.token);
        write_member(&mut out, "deliveries");
        write_number(&mut out, one.deliveries.into());
        write_member(&mut out, "lease_ms");
        write_number(&mut out, u64::try_from(one.lease.as_millis()).unwrap_or(u64::MAX));
        write_member(&mut out, "record");
        write_record(&mut out, &one.delivery);
        out.put_u8(b'}');
    }
    out.put_slice(b"]}");
    out
}
