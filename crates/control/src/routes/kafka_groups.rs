//! Kafka's groups in a project: which there are, who reads what and how far behind; forgotten or
//! put elsewhere while nobody is in them.

mod view;

use crate::Routes;
use crate::admin::Admin;
use crate::page::{PageQuery, next_cursor};
use crate::path::{KafkaGroupPath, ProjectPath};
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use port::{Code, Doing, GroupCaller, Groups, Refusal};
use serde_json::json;
use std::sync::Arc;
use types::{ProjectId, TenantId};
use utoipa_axum::routes;
use view::{KafkaGroupDetails, KafkaGroupList, KafkaGroupMoved, KafkaGroupReset, KafkaGroupView};
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list_kafka_groups))
        .routes(routes!(get_kafka_group, delete_kafka_group))
        .routes(routes!(reset_kafka_group))
}

/// The groups, and who is asking in this project of this tenant.
async fn open(
    admin: &Admin,
    tenant: TenantId,
    project: ProjectId,
) -> Result<(Arc<dyn Groups>, GroupCaller), Refusal> {
    let who = admin.identity(tenant, project).await?;
    let groups = admin.groups.clone().ok_or_else(|| {
        Refusal::new(Code::Unsupported, "this installation does not speak Kafka")
            .hint("switch `protocols.kafka` on")
    })?;
    let (hub, clock) = (Arc::clone(&admin.hub), Arc::clone(&admin.clock));
    Ok((groups, GroupCaller { hub, who, clock }))
}

/// List the Kafka groups of a project
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/kafka/groups", tag = "kafka groups",
    extensions(("x-permission" = json!("topics:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Groups in the order of their names", body = KafkaGroupList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_kafka_groups(
    admin: Admin,
    at: ProjectPath,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let outcome = async {
        let limit = query.limit()?;
        let after = query.place::<String>()?;
        let (groups, caller) = open(&admin, at.tenant, at.project).await?;
        // One more than asked for tells whether there is a next page.
        let mut found = groups.list(&caller, after.as_deref(), limit + 1).await?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = next_cursor(found.last().map(|group| group.name.clone()), has_more);
        let groups = found.into_iter().map(KafkaGroupView::from).collect();
        Ok(Json(KafkaGroupList { groups, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Look at a Kafka group: its members, and how far behind it is
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/kafka/groups/{group}",
    tag = "kafka groups",
    extensions(("x-permission" = json!("topics:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("group" = String, Path, description = "The group's name"),
    ),
    responses(
        (status = 200, description = "The group", body = KafkaGroupDetails),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_kafka_group(admin: Admin, at: KafkaGroupPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        let (groups, caller) = open(&admin, at.tenant, at.project).await?;
        Ok(Json(KafkaGroupDetails::from(groups.get(&caller, &at.group).await?)))
    };
    admin.answer(outcome.await)
}

/// Forget a Kafka group and what it has committed; it must have no members
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/projects/{project}/kafka/groups/{group}",
    tag = "kafka groups",
    extensions(("x-permission" = json!("topics:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("group" = String, Path, description = "The group's name"),
    ),
    responses(
        (status = 204, description = "Forgotten"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn delete_kafka_group(admin: Admin, at: KafkaGroupPath, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        let (groups, caller) = open(&admin, at.tenant, at.project).await?;
        groups.delete(&caller, &at.group).await?;
        let place = (at.tenant, at.project);
        let (trail, by) = (&admin.tenancy, admin.actor());
        trail.note_kafka_group(place, &at.group, "kafka_group.delete", json!({}), &by).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}

/// Put a Kafka group elsewhere, or see where that would be; it must have no members
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects/{project}/kafka/groups/{group}/reset",
    tag = "kafka groups",
    extensions(("x-permission" = json!("topics:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("group" = String, Path, description = "The group's name"),
    ),
    request_body = KafkaGroupReset,
    responses(
        (status = 200, description = "What was committed before, and what is now",
            body = KafkaGroupMoved),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn reset_kafka_group(
    admin: Admin,
    at: KafkaGroupPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<KafkaGroupReset>,
) -> Response {
    let outcome = async {
        let (reset, doing) = body.wanted()?;
        let (groups, caller) = open(&admin, at.tenant, at.project).await?;
        let moves = groups.reset(&caller, &at.group, &reset, doing).await?;
        if doing == Doing::ForReal {
            let details = json!({
                "to": reset.to.to_string(),
                "topic": reset.topic,
                "partitions": moves.len(),
            });
            let place = (at.tenant, at.project);
            let (trail, by) = (&admin.tenancy, admin.actor());
            trail.note_kafka_group(place, &at.group, "kafka_group.reset", details, &by).await?;
        }
        Ok(Json(KafkaGroupMoved::new(moves, doing)))
    };
    admin.answer(outcome.await)
}
