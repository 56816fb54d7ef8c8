//! `GET /v1/sse`: what the request asks for, and the stream opened for it.

use crate::Config;
use crate::stream::Stream;
use axum::Extension;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use port::{Code, Refusal, Shaping};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::sync::Arc;
use std::time::Duration;
use types::filter::TopicPart;
use types::limits::SUBSCRIPTIONS_PER_CONNECTION_MAX;
use types::{Filter, From};
use wire_http::address::parse_topic;
use wire_http::param::cursors;
use wire_http::schema::{ErrorSchema, RecordSchema};
use wire_http::{StreamCaller, StrictQuery, parse_from};

const LAST_EVENT_ID: &str = "last-event-id";
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowQuery {
    topics: Option<String>,
    filter: Option<String>,
    from: Option<String>,
    #[serde(default)]
    latest: bool,
    #[serde(default)]
    exclude_own: bool,
    #[serde(rename = "where")]
    condition: Option<String>,
    conflate_ms: Option<u64>,
    /// The credential, read by `StreamCaller`.
    #[serde(rename = "access_token")]
    _access_token: Option<IgnoredAny>,
}

/// What a stream follows and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub filters: Vec<Filter>,
    pub from: From,
    pub latest_first: bool,
    pub exclude_own: bool,
    pub condition: Option<String>,
    pub conflate_ms: Option<u64>,
}

impl Wanted {
    /// What each of its subscriptions asks for beyond its filter.
    pub fn shaping(&self) -> Option<Box<Shaping>> {
        if self.condition.is_none() && self.conflate_ms.is_none() {
            return None;
        }
        let condition = self.condition.clone();
        let conflate = self.conflate_ms.map(Duration::from_millis);
        Some(Box::new(Shaping { condition, conflate, ..Shaping::default() }))
    }
}

/// Follow records
///
/// Records come as unnamed events, so that `onmessage` gets them. `caught_up`, `gap`, `ended`,
/// `closed` and `reconnect` are events of the stream itself.
#[utoipa::path(
    get, path = "/v1/sse", tag = "events",
    params(
        ("topics" = Option<String>, Query, description = "Topics, joined by commas"),
        ("filter" = Option<String>, Query, description = "`topic/level/+` or `topic/#`"),
        ("from" = Option<String>, Query, description = "`latest` (default), `earliest`, \
            `offset:N`, `time:<ms or RFC 3339>`, or a cursor"),
        ("latest" = Option<bool>, Query, description = "The newest record of an exact key first"),
        ("exclude_own" = Option<bool>, Query, description = "Not what this principal published"),
        ("where" = Option<String>, Query, description = "Only records of which this holds: \
            `header.region = 'eu' and data.price > 10`"),
        ("conflate_ms" = Option<u64>, Query, description = "Of each key only the newest record of \
            each stretch of so many milliseconds"),
        ("access_token" = Option<String>, Query, description = "The credential, for clients that \
            cannot set headers"),
        ("Last-Event-ID" = Option<String>, Header, description = "Goes on after this id; wins \
            over `from`"),
    ),
    responses(
        (status = 200, description = "The stream", body = RecordSchema,
            content_type = "text/event-stream"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn follow_events(
    Extension(config): Extension<Arc<Config>>,
    StreamCaller(caller): StreamCaller,
    StrictQuery(query): StrictQuery<FollowQuery>,
    headers: HeaderMap,
) -> Response {
    let outcome = async {
        let wanted = query.wanted(&headers)?;
        let stream = Stream::open(&caller, config, wanted).await?;
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
            // Proxies that gather answers before they pass them on are asked not to.
            (ACCEL_BUFFERING, HeaderValue::from_static("no")),
        ];
        Ok((headers, Body::new(stream)).into_response())
    };
    caller.answer(outcome.await)
}

impl FollowQuery {
    fn wanted(&self, headers: &HeaderMap) -> Result<Wanted, Refusal> {
        let from = match last_event_id(headers)? {
            Some(from) => from,
            None => self.from.as_deref().map_or(Ok(From::Latest), parse_from)?,
        };
        Ok(Wanted {
            filters: filters(self.topics.as_deref(), self.filter.as_deref())?,
            from,
            latest_first: self.latest,
            exclude_own: self.exclude_own,
            condition: self.condition.clone(),
            conflate_ms: self.conflate_ms,
        })
    }
}

/// What a browser sends when it connects again: the last `id:` it saw.
fn last_event_id(headers: &HeaderMap) -> Result<Option<From>, Refusal> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let bad = || {
        Refusal::new(Code::InvalidCursor, "the last event id is not one this stream gave out")
            .field("Last-Event-ID")
            .hint("leave the header out to begin at `from`")
    };
    match value.to_str().map_err(|_| bad())? {
        "" => Ok(None),
        ids => cursors(ids.split(',').map(str::to_owned).collect()).map(Some).map_err(|_| bad()),
    }
}

/// One filter per topic named, and the one filter. No topic may come twice: the stream has one
/// place per partition, and two readers of one partition could stand at two.
fn filters(topics: Option<&str>, filter: Option<&str>) -> Result<Vec<Filter>, Refusal> {
    let mut filters = Vec::new();
    for (index, text) in topics.iter().flat_map(|topics| topics.split(',')).enumerate() {
        if index == SUBSCRIPTIONS_PER_CONNECTION_MAX {
            let message = format!("at most {SUBSCRIPTIONS_PER_CONNECTION_MAX} topics in a stream");
            return Err(Refusal::new(Code::InvalidRequest, message).field("topics"));
        }
        let wanted = Filter::topic(parse_topic(text, "topics")?);
        if !filters.contains(&wanted) {
            filters.push(wanted);
        }
    }
    if let Some(text) = filter {
        let wanted = Filter::parse(text).map_err(|bad| {
            Refusal::new(Code::InvalidFilter, bad.to_string())
                .field("filter")
                .hint("topic/level/level, `+` for one level, `#` for the rest")
        })?;
        let is_named = |other: &Filter| match (&other.topic, &wanted.topic) {
            (TopicPart::Exact(one), TopicPart::Exact(other)) => one == other,
            _ => true,
        };
        if filters.iter().any(is_named) {
            let message = "`filter` takes in a topic that `topics` names already";
            return Err(Refusal::new(Code::InvalidRequest, message)
                .field("filter")
                .hint("name each topic once, or open two streams"));
        }
        filters.push(wanted);
    }
    if filters.is_empty() {
        let message = "the request does not say what to follow";
        return Err(Refusal::new(Code::InvalidRequest, message)
            .field("topics")
            .hint("topics=a,b or filter=topic/level/+"));
    }
    Ok(filters)
}
