//! What the node tells of itself: state, figures, and all of it in one document for whoever helps.

use super::configuration::configuration;
use crate::Routes;
use crate::admin::Admin;
use crate::configuration::{ConfigDifference, ConfigOrigin};
use crate::figures::{self, Figure};
use crate::logbook::{LogFilter, LogLine};
use crate::process::About;
use crate::redact::redact;
use crate::routes::backups::StatusView;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_DISPOSITION;
use port::{Code, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use types::TimestampMs;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::StrictQuery;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;

/// Names of one question.
const NAMES_MAX: usize = 50;
/// Lines of the log and revisions that a bundle holds.
const LINES_MAX: usize = 2_000;
const REVISIONS_MAX: usize = 50;
/// Tenants are counted up to here.
const TENANTS_MAX: usize = tenancy::PAGE_ITEMS_MAX;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(get_status))
        .routes(routes!(list_metrics))
        .routes(routes!(get_diagnostics))
}

#[derive(Serialize, ToSchema)]
struct NodeStatus {
    about: About,
    /// Milliseconds since 1970, by the node's clock.
    now: TimestampMs,
    /// Part by part, as `/readyz` says it.
    state: Value,
    /// `null` when the node makes no backups.
    backups: Option<StatusView>,
    /// Keys of the configuration that wait for a restart.
    pending: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FigureQuery {
    name: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct FigureList {
    at: TimestampMs,
    metrics: Vec<Figure>,
}

/// All that helps to find out what is wrong with an installation, and no secret.
#[derive(Serialize, ToSchema)]
struct Diagnostics {
    made_at: TimestampMs,
    about: About,
    state: Value,
    /// In force, without secrets; `null` when it cannot be told.
    config: Value,
    origins: Vec<ConfigOrigin>,
    /// What waits for a restart.
    pending: Vec<ConfigDifference>,
    /// Changes of the configuration, newest first.
    revisions: Vec<RevisionBrief>,
    /// Tenants by status, of the first thousand.
    tenants: std::collections::BTreeMap<&'static str, u64>,
    backups: Option<StatusView>,
    metrics: Vec<Figure>,
    /// The newest lines of the log, oldest first.
    logs: Vec<LogLine>,
}

#[derive(Serialize, ToSchema)]
struct RevisionBrief {
    revision: u64,
    actor: String,
    note: String,
    at: TimestampMs,
}

fn process(admin: &Admin) -> Result<Arc<dyn crate::Process>, Refusal> {
    admin
        .process
        .clone()
        .ok_or_else(|| Refusal::new(Code::Unsupported, "this node tells nothing of its process"))
}

fn backups(admin: &Admin) -> Option<StatusView> {
    admin.backups.as_ref().map(|backups| StatusView::from(backups.status()))
}

/// The node's state: version, parts, backups, what waits for a restart
#[utoipa::path(
    get, path = "/v1/status", tag = "telemetry",
    extensions(
        ("x-permission" = json!("telemetry:read")),
        ("x-checked" = json!("installation"))
    ),
    responses(
        (status = 200, description = "The state", body = NodeStatus),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_status(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        let process = process(&admin)?;
        let pending = configuration(&admin).map(|it| it.state().pending).unwrap_or_default();
        Ok(Json(NodeStatus {
            about: process.about(),
            now: admin.clock.now_ms(),
            state: process.state().await,
            backups: backups(&admin),
            pending: pending.into_iter().map(|it| it.key).collect(),
        }))
    };
    admin.answer(outcome.await)
}

/// Figures at this moment, of every process of the node
#[utoipa::path(
    get, path = "/v1/metrics", tag = "telemetry",
    extensions(
        ("x-permission" = json!("telemetry:read")),
        ("x-checked" = json!("installation"))
    ),
    params(
        ("name" = Option<String>, Query, description = "Names, or what they begin with, with \
            commas between; all when absent"),
    ),
    responses(
        (status = 200, description = "Figures, without the buckets of histograms",
            body = FigureList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_metrics(admin: Admin, StrictQuery(query): StrictQuery<FigureQuery>) -> Response {
    let outcome = async {
        let wanted: Vec<&str> = query.name.iter().flat_map(|names| names.split(',')).collect();
        if wanted.len() > NAMES_MAX {
            let why = format!("at most {NAMES_MAX} names");
            return Err(Refusal::new(Code::InvalidRequest, why).field("name"));
        }
        let text = process(&admin)?.figures().await;
        let metrics = figures::read(&text, &wanted);
        Ok(Json(FigureList { at: admin.clock.now_ms(), metrics }))
    };
    admin.answer(outcome.await)
}

/// All that helps to find out what is wrong, without secrets, in one document
#[utoipa::path(
    get, path = "/v1/diagnostics", tag = "telemetry",
    extensions(
        ("x-permission" = json!("telemetry:read")),
        ("x-checked" = json!("installation"))
    ),
    responses(
        (status = 200, description = "The bundle", body = Diagnostics),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_diagnostics(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        let bundle = bundle(&admin).await?;
        let mut document =
            serde_json::to_value(bundle).map_err(|error| Refusal::internal(&error))?;
        redact(&mut document);
        let mut response = Json(document).into_response();
        let name = HeaderValue::from_static("attachment; filename=\"mainstem-diagnostics.json\"");
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
        Ok(response)
    };
    admin.answer(outcome.await)
}

async fn bundle(admin: &Admin) -> Result<Diagnostics, Refusal> {
    let process = process(admin)?;
    let config = configuration(admin).ok().map(|configuration| configuration.state());
    // A bundle is wanted most when the database does not answer: what it lacks is left out.
    let revisions = admin.tenancy.config_revisions(None, REVISIONS_MAX).await;
    let revisions = revisions.map(|page| page.items).unwrap_or_default();
    let tenants = admin.tenancy.tenants(None, TENANTS_MAX).await;
    let mut by_status = std::collections::BTreeMap::new();
    for tenant in tenants.map(|page| page.items).unwrap_or_default() {
        *by_status.entry(tenant.status.name()).or_insert(0) += 1;
    }
    let brief = |it: tenancy::ConfigRevision| RevisionBrief {
        revision: it.revision,
        actor: it.actor,
        note: it.note,
        at: it.at,
    };
    Ok(Diagnostics {
        made_at: admin.clock.now_ms(),
        about: process.about(),
        state: process.state().await,
        config: config.as_ref().map_or(Value::Null, |state| state.in_force.clone()),
        origins: config.as_ref().map(|state| state.origins.clone()).unwrap_or_default(),
        pending: config.map(|state| state.pending).unwrap_or_default(),
        revisions: revisions.into_iter().map(brief).collect(),
        tenants: by_status,
        backups: backups(admin),
        metrics: figures::read(&process.figures().await, &[]),
        logs: admin.logbook.newest(&LogFilter::default(), LINES_MAX).lines,
    })
}
