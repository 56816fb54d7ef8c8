//! Topics of the project: list, configure, look at, delete. It must not check a configuration: the
//! hub does, for every protocol alike.

use crate::page::{PageQuery, next_cursor};
use axum::Json;
use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use port::TopicInfo;
use serde::Serialize;
use types::{
    Cleanup, Compatibility, Durability, Offset, Partition, SchemaKind, TimestampMs, TopicConfig,
    TopicName,
};
use utoipa::ToSchema;
use wire_http::json::{JSON_BODY_BYTES_MAX, utf8};
use wire_http::param::bad_page_cursor;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{Caller, StrictQuery, TopicPath, parse_json, read_body};

/// A topic as it is.
#[derive(Serialize, ToSchema)]
pub struct TopicView {
    pub topic: String,
    /// Never used again, even when the name is. Text, because it may pass 2^53.
    pub topic_id: String,
    pub partitions: u32,
    #[schema(value_type = String, example = "durable")]
    pub durability: Durability,
    pub retention: RetentionView,
    #[schema(value_type = String, example = "delete")]
    pub cleanup: Cleanup,
    /// How long a record without a value stays at least in a compacted topic.
    pub tombstone_ms: u64,
    /// How long the ids of records are remembered against duplicates; 0 for not at all.
    pub idempotency_window_ms: u64,
    /// Bytes of a record, or of a batch as its publisher made it, at most; `null`: as many as
    /// limits allow.
    pub message_bytes_max: Option<u32>,
    /// Whether `$occupancy` tells when its addresses come to be followed, and when no more.
    pub occupancy: bool,
    /// The schema that values must satisfy.
    pub schema: Option<serde_json::Value>,
    /// `json_schema` or `avro`.
    #[schema(value_type = String, example = "json_schema")]
    pub schema_kind: SchemaKind,
    /// What another schema must keep towards this one: `none`, `backward`, `forward` or `full`.
    #[schema(value_type = String, example = "backward")]
    pub schema_compatibility: Compatibility,
    /// Subscribers that ask for it get values as differences to the ones before.
    pub delta: bool,
    /// Counted from 1; 0 without a schema.
    pub schema_version: u32,
    /// Milliseconds since 1970.
    pub created_at: TimestampMs,
    pub stored_bytes: u64,
    /// What each partition holds: from `start`, and up to before `end`.
    pub offsets: Vec<OffsetsView>,
}

#[derive(Serialize, ToSchema)]
pub struct RetentionView {
    pub age_ms_max: Option<u64>,
    pub bytes_max: Option<u64>,
    pub records_max: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub struct OffsetsView {
    pub partition: Partition,
    pub start: Offset,
    pub end: Offset,
}

#[derive(Serialize, ToSchema)]
pub struct TopicList {
    pub topics: Vec<TopicView>,
    /// For the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// What can be set. All of it is optional, and so is the body.
#[derive(Serialize, ToSchema)]
#[schema(as = TopicConfig)]
pub struct TopicConfigSchema {
    /// Fixed when the topic is created; 1 when absent.
    pub partitions: Option<u32>,
    /// `durable`, `relaxed` or `ephemeral`.
    pub durability: Option<String>,
    pub retention: Option<RetentionView>,
    /// `delete` (default), `compact` or `compact_delete`.
    pub cleanup: Option<String>,
    /// How long a record without a value stays at least in a compacted topic; a day when absent.
    pub tombstone_ms: Option<u64>,
    /// How long the ids of records are remembered against duplicates: one day when absent, 0 for
    /// not at all, at most 30 days.
    pub idempotency_window_ms: Option<u64>,
    /// Bytes of a record, or of a batch as its publisher made it, at most.
    pub message_bytes_max: Option<u32>,
    /// Tells in `$occupancy` when its addresses get followers or members, and when they lose the
    /// last.
    pub occupancy: Option<bool>,
    pub schema: Option<serde_json::Value>,
    /// `json_schema` when absent, or `avro`.
    pub schema_kind: Option<String>,
    /// `backward` when absent, `none`, `forward` or `full`.
    pub schema_compatibility: Option<String>,
    /// Subscribers that ask for it get a key's values as differences to the ones before.
    pub delta: Option<bool>,
}

impl From<TopicInfo> for TopicView {
    fn from(info: TopicInfo) -> TopicView {
        let offsets = (0..).zip(&info.partitions);
        TopicView {
            topic: info.name.to_string(),
            topic_id: info.id.0.to_string(),
            partitions: info.config.partitions,
            durability: info.config.durability,
            retention: RetentionView {
                age_ms_max: info.config.retention.age_ms_max,
                bytes_max: info.config.retention.bytes_max,
                records_max: info.config.retention.records_max,
            },
            cleanup: info.config.cleanup,
            tombstone_ms: info.config.tombstone_ms,
            idempotency_window_ms: info.config.idempotency_window_ms,
            message_bytes_max: info.config.message_bytes_max,
            occupancy: info.config.occupancy,
            schema_version: info.schema_version,
            schema_kind: info.config.schema_kind,
            schema_compatibility: info.config.schema_compatibility,
            delta: info.config.delta,
            created_at: info.created_at,
            stored_bytes: info.stored_bytes,
            offsets: offsets
                .map(|(partition, at)| OffsetsView { partition, start: at.start, end: at.end })
                .collect(),
            schema: info.config.schema,
        }
    }
}

/// List topics
#[utoipa::path(
    get, path = "/v1/topics", tag = "topics",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Topics in the order of their names", body = TopicList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn list_topics(caller: Caller, StrictQuery(query): StrictQuery<PageQuery>) -> Response {
    let outcome = async {
        let page = query.page()?;
        let after = match &page.after {
            None => None,
            Some(after) => {
                let text = std::str::from_utf8(after).map_err(|_| bad_page_cursor())?;
                Some(TopicName::parse(text).map_err(|_| bad_page_cursor())?)
            }
        };
        // One more than asked for tells whether there is a next page.
        let mut found = caller.hub.topics(&caller.identity, after, page.limit + 1).await?;
        let has_more = found.len() > page.limit;
        found.truncate(page.limit);
        let last = found.last().map(|info| info.name.as_str().as_bytes());
        let next_cursor = next_cursor(last, has_more);
        let topics = found.into_iter().map(TopicView::from).collect();
        Ok(Json(TopicList { topics, next_cursor }))
    };
    caller.answer(outcome.await)
}

/// Look at a topic
#[utoipa::path(
    get, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = String, Path, description = "The topic")),
    responses(
        (status = 200, description = "The topic", body = TopicView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn get_topic(
    caller: Caller,
    TopicPath(topic): TopicPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = caller.hub.topic(&caller.identity, &topic).await;
    caller.answer(outcome.map(|info| Json(TopicView::from(info))))
}

/// Create or configure a topic
#[utoipa::path(
    put, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = String, Path, description = "The topic")),
    request_body = Option<TopicConfigSchema>,
    responses(
        (status = 200, description = "Configured", body = TopicView),
        (status = 201, description = "Created", body = TopicView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn put_topic(
    caller: Caller,
    TopicPath(topic): TopicPath,
    _: StrictQuery<NoQuery>,
    body: Body,
) -> Response {
    let outcome = async {
        let body = read_body(body, JSON_BODY_BYTES_MAX).await?;
        let config = match utf8(&body)? {
            "" => TopicConfig::default(),
            text => parse_json(text)?,
        };
        let (info, is_new) = caller.hub.put_topic(&caller.identity, &topic, config).await?;
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, Json(TopicView::from(info))))
    };
    caller.answer(outcome.await)
}

/// Delete a topic with its records
#[utoipa::path(
    delete, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = String, Path, description = "The topic")),
    responses(
        (status = 204, description = "Deleted"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn delete_topic(
    caller: Caller,
    TopicPath(topic): TopicPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = caller.hub.delete_topic(&caller.identity, &topic).await;
    caller.answer(outcome.map(|()| StatusCode::NO_CONTENT))
}
