//! The node's own configuration: what is in effect and where it came from, what another one would
//! change, its revisions, and going back to one. Each change is checked whole before it takes
//! effect, kept as a revision, and in the audit trail.

use crate::Routes;
use crate::admin::Admin;
use crate::configuration::{
    Checked, ConfigDifference, ConfigEffect, ConfigFormat, ConfigOrigin, ConfigProblem, ConfigWhen,
    Configuration, Proposal, differences,
};
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
        .routes(routes!(validate_config))
        .routes(routes!(diff_config))
        .routes(routes!(list_config_revisions))
        .routes(routes!(roll_back_config))
}

#[derive(Serialize, ToSchema)]
struct CurrentConfig {
    /// What is in effect; secrets that are set are `***`.
    config: Value,
    /// The newest kept revision; `null` when it was never changed through this API.
    revision: Option<u64>,
    /// What the next start takes: `config`, and what waits for a restart.
    configured: Value,
    /// `configured` as YAML, to be edited and sent back.
    text: String,
    /// Where each key came from that is not as by default.
    origins: Vec<ConfigOrigin>,
    /// What waits for a restart.
    pending: Vec<ConfigDifference>,
}

/// The whole configuration: as `config`, or as `text` in a `format`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProposeConfig {
    config: Option<Value>,
    text: Option<String>,
    /// Of the text: `yaml` when absent, `json` or `toml`.
    #[serde(default)]
    format: ConfigFormat,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetConfig {
    /// The whole configuration; or `text` in a `format`.
    config: Option<Value>,
    text: Option<String>,
    /// Of the text: `yaml` when absent, `json` or `toml`.
    #[serde(default)]
    format: ConfigFormat,
    /// `now` when absent: what needs a restart is refused. `restart`: it waits for one.
    #[serde(default)]
    when: ConfigWhen,
    /// Why, for the audit trail.
    note: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RollBack {
    /// The revision to go back to; it is put into effect as a new revision.
    revision: u64,
    /// `now` when absent: what needs a restart is refused. `restart`: it waits for one.
    #[serde(default)]
    when: ConfigWhen,
    /// Why, for the audit trail.
    note: String,
}

/// What a configuration would change.
#[derive(Serialize, ToSchema)]
struct CheckedConfig {
    is_valid: bool,
    /// Why it cannot be.
    problems: Vec<ConfigProblem>,
    /// What it changes, and when that would take effect.
    differences: Vec<ConfigDifference>,
    /// Whether something of it waits for a restart.
    needs_restart: bool,
    /// What is allowed and yet unwise.
    warnings: Vec<ConfigProblem>,
}

/// A change that was carried out.
#[derive(Serialize, ToSchema)]
struct AppliedConfig {
    #[serde(flatten)]
    revision: RevisionView,
    /// What it changed, and when that takes effect.
    differences: Vec<ConfigDifference>,
    needs_restart: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DiffQuery {
    from: Option<u64>,
    to: Option<u64>,
}

#[derive(Serialize, ToSchema)]
struct ConfigDiff {
    differences: Vec<ConfigDifference>,
}

#[derive(Serialize, ToSchema)]
struct RevisionList {
    revisions: Vec<RevisionView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

pub(super) fn configuration(admin: &Admin) -> Result<Arc<dyn Configuration>, Refusal> {
    admin.configuration.clone().ok_or_else(|| {
        Refusal::new(Code::Unsupported, "this node's configuration is fixed while it runs")
            .hint("change its file and restart it")
    })
}

fn proposal<'a>(
    config: Option<&'a Value>,
    text: Option<&'a str>,
    format: ConfigFormat,
) -> Result<Proposal<'a>, Refusal> {
    match (config, text) {
        (Some(config), None) => Ok(Proposal::Value(config)),
        (None, Some(text)) => Ok(Proposal::Text(text, format)),
        _ => Err(Refusal::new(Code::InvalidRequest, "say the whole configuration once")
            .field("config")
            .hint("either `config`, or `text` with its `format`")),
    }
}

fn needs_restart(differences: &[ConfigDifference]) -> bool {
    differences.iter().any(|it| it.effect == Some(ConfigEffect::AtRestart))
}

/// The first problem as a refusal.
fn usable(checked: Checked) -> Result<Value, Refusal> {
    let Some(problem) = checked.problems.into_iter().next() else { return Ok(checked.config) };
    let message = match problem.line {
        Some(line) => format!("line {line}: {}", problem.message),
        None => problem.message,
    };
    let refusal = Refusal::new(Code::InvalidRequest, message).field(problem.key);
    Err(match problem.suggestion {
        Some(meant) => refusal.hint(format!("did you mean `{meant}`?")),
        None => refusal,
    })
}

/// Puts a configuration that was checked into effect and keeps it as a revision.
pub(super) async fn put_into_effect(
    admin: &Admin,
    config: &Value,
    when: ConfigWhen,
    note: &str,
) -> Result<(ConfigRevision, Vec<ConfigDifference>), Refusal> {
    if note.trim().is_empty() || note.len() > NOTE_BYTES_MAX {
        return Err(Refusal::new(Code::InvalidRequest, "a note has 1 to 1000 bytes").field("note"));
    }
    let configuration = configuration(admin)?;
    let before = configuration.state().configured;
    let differences = configuration.apply(config, when).await?;
    let kept = admin.tenancy.add_config_revision(config, note, &admin.actor()).await;
    match kept {
        Ok(revision) => Ok((revision, differences)),
        Err(error) => {
            // A change that the trail does not tell of must not stay.
            if let Err(refusal) = configuration.apply(&before, ConfigWhen::Restart).await {
                tracing::error!(%refusal, "a configuration change without audit cannot be undone");
            }
            Err(error.into())
        }
    }
}

fn applied((revision, differences): (ConfigRevision, Vec<ConfigDifference>)) -> AppliedConfig {
    let needs_restart = needs_restart(&differences);
    AppliedConfig { revision: revision.into(), differences, needs_restart }
}

/// A kept revision, or what is configured now.
async fn revision_or_now(admin: &Admin, revision: Option<u64>) -> Result<Value, Refusal> {
    match revision {
        None => Ok(configuration(admin)?.state().configured),
        Some(_) => Ok(kept_revision(admin, revision).await?.config),
    }
}

async fn kept_revision(admin: &Admin, revision: Option<u64>) -> Result<ConfigRevision, Refusal> {
    let found = admin.tenancy.config_revision(revision).await?;
    found.ok_or_else(|| Refusal::new(Code::NotFound, "there is no such revision").field("revision"))
}

/// The node's configuration: in force, as configured, and where each part came from
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
        let state = configuration(&admin)?.state();
        let newest = admin.tenancy.config_revision(None).await?;
        Ok(Json(CurrentConfig {
            config: state.in_force,
            revision: newest.map(|kept| kept.revision),
            configured: state.configured,
            text: state.text,
            origins: state.origins,
            pending: state.pending,
        }))
    };
    admin.answer(outcome.await)
}

/// Check a configuration and tell what it would change, and when; nothing is changed
#[utoipa::path(
    post, path = "/v1/config/validate", tag = "configuration",
    extensions(("x-permission" = json!("config:read"))),
    request_body = ProposeConfig,
    responses(
        (status = 200, description = "What is wrong with it, or what it changes",
            body = CheckedConfig),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn validate_config(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<ProposeConfig>,
) -> Response {
    let outcome = || {
        let proposal = proposal(body.config.as_ref(), body.text.as_deref(), body.format)?;
        let checked = configuration(&admin)?.check(proposal);
        Ok(Json(CheckedConfig {
            is_valid: checked.problems.is_empty(),
            needs_restart: needs_restart(&checked.differences),
            problems: checked.problems,
            differences: checked.differences,
            warnings: checked.warnings,
        }))
    };
    admin.answer(outcome())
}

/// Compare two revisions, or one with what is configured now
#[utoipa::path(
    get, path = "/v1/config/diff", tag = "configuration",
    extensions(("x-permission" = json!("config:read"))),
    params(
        ("from" = Option<u64>, Query, description = "A revision; what is configured now when \
            absent"),
        ("to" = Option<u64>, Query, description = "A revision; what is configured now when absent"),
    ),
    responses(
        (status = 200, description = "Key by key", body = ConfigDiff),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn diff_config(admin: Admin, StrictQuery(query): StrictQuery<DiffQuery>) -> Response {
    let outcome = async {
        let from = revision_or_now(&admin, query.from).await?;
        let to = revision_or_now(&admin, query.to).await?;
        Ok(Json(ConfigDiff { differences: differences(&from, &to) }))
    };
    admin.answer(outcome.await)
}

/// Replace the node's configuration
#[utoipa::path(
    put, path = "/v1/config", tag = "configuration",
    extensions(("x-permission" = json!("config:write"))),
    request_body = SetConfig,
    responses(
        (status = 200, description = "Kept, and in effect unless it waits for a restart",
            body = AppliedConfig),
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
        let proposal = proposal(body.config.as_ref(), body.text.as_deref(), body.format)?;
        let config = usable(configuration(&admin)?.check(proposal))?;
        let kept = put_into_effect(&admin, &config, body.when, &body.note).await?;
        Ok(Json(applied(kept)))
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
        (status = 200, description = "Kept as a new revision, and in effect unless it waits for a \
            restart", body = AppliedConfig),
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
        let found = kept_revision(&admin, Some(body.revision)).await?;
        let config = usable(configuration(&admin)?.check(Proposal::Value(&found.config)))?;
        let kept = put_into_effect(&admin, &config, body.when, &body.note).await?;
        Ok(Json(applied(kept)))
    };
    admin.answer(outcome.await)
}
