//! Topics of any project, through the hub like anybody's: the operator acts as a principal of the
//! project.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{PageQuery, next_cursor};
use crate::path::ProjectPath;
use crate::view::{SchemaVersionView, TopicConfigSchema, TopicView};
use axum::Json;
use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use types::{TopicConfig, TopicName};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::json::{JSON_BODY_BYTES_MAX, utf8};
use wire_http::param::bad_page_cursor;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictQuery, TopicPath, parse_json, read_body};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list_topics))
        .routes(routes!(put_topic, get_topic, delete_topic))
        .routes(routes!(list_topic_schemas))
}

#[derive(Serialize, ToSchema)]
struct TopicList {
    topics: Vec<TopicView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct SchemaList {
    schemas: Vec<SchemaVersionView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

/// List the topics of a project
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/topics", tag = "topics",
    extensions(("x-permission" = json!("topics:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Topics in the order of their names", body = TopicList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_topics(
    admin: Admin,
    at: ProjectPath,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let outcome = async {
        let limit = query.limit()?;
        let after = query.place::<String>()?;
        let after = after.map(|name| TopicName::parse(&name)).transpose();
        let after = after.map_err(|_| bad_page_cursor())?;
        let who = admin.identity(at.tenant, at.project).await?;
        // One more than asked for tells whether there is a next page.
        let mut found = admin.hub.topics(&who, after, limit + 1).await?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = next_cursor(found.last().map(|info| info.name.clone()), has_more);
        let topics = found.into_iter().map(TopicView::from).collect();
        Ok(Json(TopicList { topics, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Look at a topic
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/topics/{topic}", tag = "topics",
    extensions(("x-permission" = json!("topics:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("topic" = String, Path, description = "The topic"),
    ),
    responses(
        (status = 200, description = "The topic", body = TopicView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_topic(
    admin: Admin,
    at: ProjectPath,
    TopicPath(topic): TopicPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let who = admin.identity(at.tenant, at.project).await?;
        let info = admin.hub.topic(&who, &topic).await?;
        Ok(Json(TopicView::from(info)))
    };
    admin.answer(outcome.await)
}

/// Create or configure a topic
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/projects/{project}/topics/{topic}", tag = "topics",
    extensions(("x-permission" = json!("topics:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("topic" = String, Path, description = "The topic"),
    ),
    request_body = Option<TopicConfigSchema>,
    responses(
        (status = 200, description = "Configured", body = TopicView),
        (status = 201, description = "Created", body = TopicView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn put_topic(
    admin: Admin,
    at: ProjectPath,
    TopicPath(topic): TopicPath,
    _: StrictQuery<NoQuery>,
    body: Body,
) -> Response {
    let outcome = async {
        let body = read_body(body, JSON_BODY_BYTES_MAX).await?;
        let config = match utf8(&body)? {
            "" => TopicConfig::default(),
            text => parse_json::<TopicConfig>(text)?,
        };
        let who = admin.identity(at.tenant, at.project).await?;
        let (info, is_new) = admin.hub.put_topic(&who, &topic, config).await?;
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, Json(TopicView::from(info))))
    };
    admin.answer(outcome.await)
}

/// Delete a topic with its records
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/projects/{project}/topics/{topic}", tag = "topics",
    extensions(("x-permission" = json!("topics:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("topic" = String, Path, description = "The topic"),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn delete_topic(
    admin: Admin,
    at: ProjectPath,
    TopicPath(topic): TopicPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let who = admin.identity(at.tenant, at.project).await?;
        admin.hub.delete_topic(&who, &topic).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}

/// The schemas that a topic has and had
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/topics/{topic}/schemas", tag = "topics",
    extensions(("x-permission" = json!("topics:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("topic" = String, Path, description = "The topic"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Schemas, oldest version first", body = SchemaList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_topic_schemas(
    admin: Admin,
    at: ProjectPath,
    TopicPath(topic): TopicPath,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let outcome = async {
        let after = query.place::<u32>()?.unwrap_or(0);
        let (tenant, project) = (at.tenant, at.project);
        let limit = query.limit()?;
        let page = admin.tenancy.topic_schemas(tenant, project, &topic, after, limit).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.version), page.has_more);
        let schemas = page.items.into_iter().map(SchemaVersionView::from).collect();
        Ok(Json(SchemaList { schemas, next_cursor }))
    };
    admin.answer(outcome.await)
}
