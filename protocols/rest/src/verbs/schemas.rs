//! Versions of a topic's schema: list, look at, register, ask whether one would be taken. It must
//! not judge a schema: the hub does.

use crate::page::{PageQuery, next_cursor};
use axum::Json;
use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use port::{Code, Refusal, SchemaDraft, SchemaInfo};
use serde::{Deserialize, Serialize};
use types::{SchemaKind, TimestampMs, TopicName};
use utoipa::ToSchema;
use wire_http::json::{JSON_BODY_BYTES_MAX, utf8};
use wire_http::param::bad_page_cursor;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{Caller, StrictQuery, TopicPath, parse_json, read_body};

/// A schema that a topic has or had.
#[derive(Serialize, ToSchema)]
#[schema(as = SchemaVersion)]
pub struct SchemaView {
    /// Counted from 1; names this schema for ever. Records carry it in the header `ms-schema`.
    pub version: u32,
    /// `json_schema` or `avro`.
    #[schema(value_type = String, example = "json_schema")]
    pub kind: SchemaKind,
    pub schema: serde_json::Value,
    /// Milliseconds since 1970.
    pub created_at: TimestampMs,
}

#[derive(Serialize, ToSchema)]
pub struct SchemaList {
    pub schemas: Vec<SchemaView>,
    /// For the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// A schema to be registered or judged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaBody {
    /// `json_schema` (default) or `avro`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "avro")]
    pub kind: SchemaKind,
    pub schema: serde_json::Value,
}

/// Whether the topic would take a schema.
#[derive(Serialize, ToSchema)]
pub struct SchemaVerdict {
    pub is_compatible: bool,
    /// Why not, and where in the schema.
    pub reason: Option<String>,
    pub field: Option<String>,
}

impl From<SchemaInfo> for SchemaView {
    fn from(info: SchemaInfo) -> SchemaView {
        let SchemaInfo { version, kind, schema, created_at } = info;
        SchemaView { version, kind, schema, created_at }
    }
}

async fn draft(body: Body) -> Result<SchemaDraft, Refusal> {
    let body = read_body(body, JSON_BODY_BYTES_MAX).await?;
    let SchemaBody { kind, schema } = parse_json(utf8(&body)?)?;
    Ok(SchemaDraft { kind, schema })
}

/// List the schemas that a topic has and had
#[utoipa::path(
    get, path = "/v1/topics/{topic}/schemas", tag = "schemas",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Schemas, oldest version first", body = SchemaList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn list_schemas(
    caller: Caller,
    TopicPath(topic): TopicPath,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let outcome = async {
        let page = query.page()?;
        let after = match page.after.as_deref().map(std::str::from_utf8) {
            None => 0,
            Some(text) => {
                let version = text.ok().and_then(|text| text.parse().ok());
                version.ok_or_else(bad_page_cursor)?
            }
        };
        let found = caller.hub.schemas(&caller.identity, &topic, after, page.limit).await?;
        let last = found.schemas.last().map(|info| info.version.to_string());
        let next_cursor = next_cursor(last.as_deref().map(str::as_bytes), found.has_more);
        let schemas = found.schemas.into_iter().map(SchemaView::from).collect();
        Ok(Json(SchemaList { schemas, next_cursor }))
    };
    caller.answer(outcome.await)
}

/// Look at one version of a topic's schema
#[utoipa::path(
    get, path = "/v1/topics/{topic}/schemas/{version}", tag = "schemas",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("version" = u32, Path, description = "The version"),
    ),
    responses(
        (status = 200, description = "The schema", body = SchemaView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn get_schema(
    caller: Caller,
    Path((topic, version)): Path<(String, String)>,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let topic = TopicName::parse(&topic)
            .map_err(|error| Refusal::new(Code::InvalidTopic, error.to_string()).field("topic"))?;
        let version = version.parse().map_err(|_| {
            Refusal::new(Code::InvalidRequest, "the version is a whole number").field("version")
        })?;
        let found = caller.hub.schema(&caller.identity, &topic, version).await?;
        Ok(Json(SchemaView::from(found)))
    };
    caller.answer(outcome.await)
}

/// Register a schema: the topic's values must satisfy it from now on
///
/// The same schema as the present one is answered with 200 and changes nothing.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/schemas", tag = "schemas",
    params(("topic" = String, Path, description = "The topic")),
    request_body = SchemaBody,
    responses(
        (status = 200, description = "The topic has this schema already", body = SchemaView),
        (status = 201, description = "A new version", body = SchemaView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn post_schema(
    caller: Caller,
    TopicPath(topic): TopicPath,
    _: StrictQuery<NoQuery>,
    body: Body,
) -> Response {
    let outcome = async {
        let draft = draft(body).await?;
        let (info, is_new) = caller.hub.put_schema(&caller.identity, &topic, draft).await?;
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, Json(SchemaView::from(info))))
    };
    caller.answer(outcome.await)
}

/// Ask whether a topic would take a schema
#[utoipa::path(
    post, path = "/v1/topics/{topic}/schemas/check", tag = "schemas",
    params(("topic" = String, Path, description = "The topic")),
    request_body = SchemaBody,
    responses(
        (status = 200, description = "The verdict; nothing was changed", body = SchemaVerdict),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
pub async fn check_schema(
    caller: Caller,
    TopicPath(topic): TopicPath,
    _: StrictQuery<NoQuery>,
    body: Body,
) -> Response {
    let outcome = async {
        let draft = draft(body).await?;
        match caller.hub.check_schema(&caller.identity, &topic, draft).await {
            Ok(()) => Ok(Json(SchemaVerdict { is_compatible: true, reason: None, field: None })),
            Err(refusal) if refusal.code() == Code::SchemaIncompatible => Ok(Json(SchemaVerdict {
                is_compatible: false,
                reason: Some(refusal.message().to_owned()),
                field: refusal.field_name().map(str::to_owned),
            })),
            Err(refusal) => Err(refusal),
        }
    };
    caller.answer(outcome.await)
}
