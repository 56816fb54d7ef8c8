//! The node's own configuration: what is in effect, its revisions, and going back to one. Each
//! change is checked whole before it takes effect, kept as a revision, and in the audit trail.

use crate::Configuration;
use crate::Routes;
use crate::admin::Admin;
use crate::page::{PageQuery, next_cursor};
use crate::view::RevisionView;
use axum::Json;
use axum::response::Response;
use port::{Code, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tenancy::ConfigRevision;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

/// Bytes of a note.
const NOTE_BYTES_MAX: usize = 1_000;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(get_config, set_config))
        .routes(routes!(list_config_revisions))
        .routes(routes!(roll_back_config))
}

#[derive(Serialize, ToSchema)]
struct CurrentConfig {
    /// What is in effect, secrets left out.
    config: Value,
    /// The newest kept revision; `null` when it was never changed through this API.
    revision: Option<u64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetConfig {
    /// The whole configuration.
    config: Value,
    /// Why, for the audit trail.
    note: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RollBack {
    /// The revision to go back to; it is put into effect as a new revision.
    revision: u64,
    /// Why, for the audit trail.
    note: String,
}

#[derive(Serialize, ToSchema)]
struct RevisionList {
    revisions: Vec<RevisionView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

fn configuration(admin: &Admin) -> Result<Arc<dyn Configuration>, Refusal> {
    admin.configuration.clone().ok_or_else(|| {
        Refusal::new(Code::Unsupported, "this node's configuration is fixed while it runs")
            .hint("change its file and restart it")
    })
}

async fn put_into_effect(
    admin: &Admin,
    config: &Value,
    note: &str,
) -> Result<ConfigRevision, Refusal> {
    if note.trim().is_empty() || note.len() > NOTE_BYTES_MAX {
        return Err(Refusal::new(Code::InvalidRequest, "a note has 1 to 1000 bytes").field("note"));
    }
    let configuration = configuration(admin)?;
    let before = configuration.current();
    configuration.apply(config).await?;
    let kept = admin.tenancy.add_config_revision(config, note, &admin.actor()).await;
    match kept {
        Ok(revision) => Ok(revision),
        Err(error) => {
            // A change that the trail does not tell of must not stay.
            if let Err(refusal) = configuration.apply(&before).await {
                tracing::error!(%refusal, "a configuration change without audit cannot be undone");
            }
            Err(error.into())
        }
    }
}

/// The node's configuration
#[utoipa::path(
    get, path = "/v1/config", tag = "configuration",
    extensions(("x-permission" = json!("config:read"))),
    responses(
        (status = 200, description = "What is in effect", body = CurrentConfig),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_config(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        let config = configuration(&admin)?.current();
        let newest = admin.tenancy.config_revision(None).await?;
        Ok(Json(CurrentConfig { config, revision: newest.map(|kept| kept.revision) }))
    };
    admin.answer(outcome.await)
}

/// Replace the node's configuration while it runs
#[utoipa::path(
    put, path = "/v1/config", tag = "configuration",
    extensions(("x-permission" = json!("config:write"))),
    request_body = SetConfig,
    responses(
        (status = 200, description = "In effect", body = RevisionView),
        (status = "default", description = "Refused; nothing was changed", body = ErrorSchema),
    ),
)]
async fn set_config(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<SetConfig>,
) -> Response {
    let outcome = async {
        let _one_at_a_time = admin.lock_configuration().await;
        let kept = put_into_effect(&admin, &body.config, &body.note).await?;
        Ok(Json(RevisionView::from(kept)))
    };
    admin.answer(outcome.await)
}

/// List the kept revisions
#[utoipa::path(
    get, path = "/v1/config/revisions", tag = "configuration",
    extensions(("x-permission" = json!("config:read"))),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Revisions, newest first", body = RevisionList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_config_revisions(
    admin: Admin,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let outcome = async {
        let page = admin.tenancy.config_revisions(query.place()?, query.limit()?).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.revision), page.has_more);
        let revisions = page.items.into_iter().map(RevisionView::from).collect();
        Ok(Json(RevisionList { revisions, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Go back to an earlier revision
#[utoipa::path(
    post, path = "/v1/config/rollback", tag = "configuration",
    extensions(("x-permission" = json!("config:write"))),
    request_body = RollBack,
    responses(
        (status = 200, description = "In effect, as a new revision", body = RevisionView),
        (status = "default", description = "Refused; nothing was changed", body = ErrorSchema),
    ),
)]
async fn roll_back_config(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<RollBack>,
) -> Response {
    let outcome = async {
        let _one_at_a_time = admin.lock_configuration().await;
        let found = admin.tenancy.config_revision(Some(body.revision)).await?;
        let found = found.ok_or_else(|| {
            Refusal::new(Code::NotFound, "there is no such revision").field("revision")
        })?;
        let kept = put_into_effect(&admin, &found.config, &body.note).await?;
        Ok(Json(RevisionView::from(kept)))
    };
    admin.answer(outcome.await)
}
