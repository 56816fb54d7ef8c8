//! Backups of this installation: begin one, see how far it is, cancel it.

use crate::Routes;
use crate::admin::Admin;
use axum::Json;
use axum::response::Response;
use backup::{Backups, Request, Status, Wanted};
use http::StatusCode;
use port::{Code, Refusal};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use types::TimestampMs;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(create_backup, get_backup, cancel_backup))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateBackup {
    /// A directory of the server's machine or `s3://bucket/prefix`; where `backup.to` says when
    /// absent.
    to: Option<String>,
    /// `incremental` when absent: what no earlier backup in that place has. The first one is full.
    kind: Option<KindSchema>,
    /// Backups to keep there, with what they need; as `backup.keep` says when absent.
    keep: Option<u32>,
}

#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
#[schema(as = BackupKind)]
enum KindSchema {
    Full,
    Incremental,
}

#[derive(Serialize, ToSchema)]
#[schema(as = BackupStatus)]
pub(crate) struct StatusView {
    /// `null` when none is under way.
    running: Option<RunningView>,
    /// How the last one of this process ended; `null` when there was none.
    last: Option<EndedView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RunningBackup)]
struct RunningView {
    to: String,
    started_at: TimestampMs,
    /// Bytes of the log to be copied; 0 until that is known.
    expected_bytes: u64,
    copied_bytes: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EndedBackup)]
struct EndedView {
    to: String,
    ended_at: TimestampMs,
    /// `made` or `failed`.
    outcome: &'static str,
    /// Why it failed.
    error: Option<String>,
    id: Option<String>,
    is_full: Option<bool>,
    /// Bytes that it added to its place.
    bytes: Option<u64>,
    /// Everything acknowledged until then is in it.
    reaches: Option<TimestampMs>,
    /// Older backups that were given up.
    pruned: Vec<String>,
}

impl From<Status> for StatusView {
    fn from(status: Status) -> StatusView {
        let running = status.running.map(|running| RunningView {
            to: running.to,
            started_at: running.started_ms,
            expected_bytes: running.expected_bytes,
            copied_bytes: running.copied_bytes,
        });
        let last = status.last.map(|ended| {
            let (to, ended_at) = (ended.to, ended.ended_ms);
            match ended.outcome {
                Ok(made) => EndedView {
                    to,
                    ended_at,
                    outcome: "made",
                    error: None,
                    id: Some(made.id),
                    is_full: Some(made.is_full),
                    bytes: Some(made.bytes),
                    reaches: Some(made.cut_ms),
                    pruned: made.pruned,
                },
                Err(error) => EndedView {
                    to,
                    ended_at,
                    outcome: "failed",
                    error: Some(error),
                    id: None,
                    is_full: None,
                    bytes: None,
                    reaches: None,
                    pruned: Vec::new(),
                },
            }
        });
        StatusView { running, last }
    }
}

fn backups(admin: &Admin) -> Result<&Arc<Backups>, Refusal> {
    admin.backups.as_ref().ok_or_else(|| {
        Refusal::new(Code::Unsupported, "this node makes no backups of itself")
            .hint("back up the log engine and the database that it uses")
    })
}

/// Begin a backup of this installation, while it runs
#[utoipa::path(
    post, path = "/v1/backups", tag = "backups",
    extensions(("x-permission" = json!("backups:write"))),
    request_body = CreateBackup,
    responses(
        (status = 202, description = "Begun: `GET` tells how far it is", body = StatusView),
        (status = "default", description = "Refused; one at a time", body = ErrorSchema),
    ),
)]
async fn create_backup(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<CreateBackup>,
) -> Response {
    let outcome = async {
        let backups = backups(&admin)?;
        if body.keep == Some(0) {
            let refusal = Refusal::new(Code::InvalidRequest, "at least the new backup is kept");
            return Err(refusal.field("keep").hint("1 or more"));
        }
        let wanted = match body.kind {
            Some(KindSchema::Full) => Wanted::Full,
            Some(KindSchema::Incremental) | None => Wanted::Incremental,
        };
        let request = Request { to: body.to, wanted, keep: body.keep };
        backups.start(request, &admin.actor()).await?;
        Ok((StatusCode::ACCEPTED, Json(StatusView::from(backups.status()))))
    };
    admin.answer(outcome.await)
}

/// The backup under way, and how the last one ended
#[utoipa::path(
    get, path = "/v1/backups", tag = "backups",
    extensions(("x-permission" = json!("backups:read"))),
    responses(
        (status = 200, description = "What this process knows", body = StatusView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_backup(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let outcome = backups(&admin).map(|backups| Json(StatusView::from(backups.status())));
    admin.answer(outcome)
}

/// Cancel the backup under way
#[utoipa::path(
    delete, path = "/v1/backups", tag = "backups",
    extensions(("x-permission" = json!("backups:write"))),
    responses(
        (status = 204, description = "It ends soon; what it wrote is removed"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn cancel_backup(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        match backups(&admin)?.cancel(&admin.actor()).await? {
            true => Ok(StatusCode::NO_CONTENT),
            false => Err(Refusal::new(Code::NotFound, "no backup is under way")),
        }
    };
    admin.answer(outcome.await)
}
