//! The audit trail on its way out of the admin API: live as it is written, as a file of a time, and
//! the check of its chain. Answers that go on ask again and again whether who asked still may.

use super::audit::AuditQuery;
use crate::Routes;
use crate::admin::Admin;
use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, header};
use port::{Code, Refusal};
use rules::Permission;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;
use tenancy::{AuditFilter, AuditHash, AuditMark, AuditRecord};
use tokio::sync::{Semaphore, SemaphorePermit};
use types::{Offset, TenantId};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::StrictQuery;
use wire_http::param::{bad_page_cursor, page_cursor, parse_page_cursor};
use wire_http::schema::ErrorSchema;

/// Live answers at the same time.
const LIVE_MAX: usize = 64;
/// Records of one step of an answer that goes on.
const STEP_RECORDS_MAX: usize = 200;
/// Who lost his right is cut off so soon.
const RECHECK_EVERY: Duration = Duration::from_millis(700);
/// Steps without a record after which a comment keeps the connection open.
const QUIET_STEPS_MAX: u32 = 20;
static LIVE: Semaphore = Semaphore::const_new(LIVE_MAX);

pub(crate) fn routes() -> Routes {
    let out = Routes::new().routes(routes!(follow_audit)).routes(routes!(export_audit));
    out.routes(routes!(verify_audit))
}

/// Whether the trail's reader wants this record; what the database does for lists.
fn is_wanted(record: &AuditRecord, tenant: Option<TenantId>, filter: &AuditFilter) -> bool {
    let like = |wanted: &Option<String>, text: &str| match wanted.as_deref() {
        None => true,
        Some(wanted) => match wanted.strip_suffix('*') {
            Some(start) => text.starts_with(start),
            None => text == wanted,
        },
    };
    tenant.is_none_or(|tenant| record.tenant == Some(tenant))
        && filter.project.is_none_or(|project| record.project == Some(project))
        && like(&filter.action, &record.action)
        && like(&filter.actor, &record.actor)
        && like(&filter.target, &record.target)
        && filter.outcome.is_none_or(|outcome| record.outcome == outcome)
        && filter.address.as_ref().is_none_or(|wanted| record.address.as_ref() == Some(wanted))
        && filter.from.is_none_or(|from| record.at >= from)
        && filter.to.is_none_or(|to| record.at < to)
}

struct Live {
    admin: Admin,
    query: AuditQuery,
    filter: AuditFilter,
    next: Offset,
    quiet: u32,
    ready: VecDeque<Bytes>,
    _place: SemaphorePermit<'static>,
}

impl Live {
    /// The next bytes; `None` when who asked may ask no more, or the node stops.
    async fn step(mut self) -> Option<(Result<Bytes, std::io::Error>, Live)> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some((Ok(bytes), self));
            }
            let wanted = (self.query.tenant, self.query.project);
            let admin = self.admin.rechecked().await.ok()?;
            let (tenant, project) = admin.narrowed(Permission::AuditRead, wanted).ok()?;
            let trail = &self.admin.trail;
            let read = trail.read(Some(self.next), STEP_RECORDS_MAX, RECHECK_EVERY).await;
            let entries = read.ok()?;
            self.quiet += 1;
            self.filter.project = project;
            for entry in entries {
                self.next = entry.offset + 1;
                let Ok(record) = &entry.record else { continue };
                if !is_wanted(record, tenant, &self.filter) {
                    continue;
                }
                let number = record.link.map_or(0, |link| link.sequence);
                let text = format!("id: {number}\nevent: record\ndata: {}\n\n", entry.text);
                self.ready.push_back(text.into());
                self.quiet = 0;
            }
            if self.quiet >= QUIET_STEPS_MAX {
                self.quiet = 0;
                self.ready.push_back(Bytes::from_static(b": still here\n\n"));
            }
        }
    }
}

/// Follow the audit trail live
///
/// Server-Sent Events: each is a record, its id the record's number. `Last-Event-ID` goes on behind
/// that number; without it, what is written from now on comes.
#[utoipa::path(
    get, path = "/v1/audit/live", tag = "audit",
    extensions(("x-permission" = json!("audit:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Only this tenant's"),
        ("project" = Option<String>, Query, description = "Only this project's"),
        ("action" = Option<String>, Query, description = "As in the list"),
        ("actor" = Option<String>, Query, description = "As in the list"),
        ("target" = Option<String>, Query, description = "As in the list"),
        ("outcome" = Option<String>, Query, description = "As in the list"),
        ("address" = Option<String>, Query, description = "As in the list"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The last number that was had"),
    ),
    responses(
        (status = 200, description = "Records as they are written",
            content_type = "text/event-stream"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn follow_audit(
    admin: Admin,
    headers: HeaderMap,
    StrictQuery(query): StrictQuery<AuditQuery>,
) -> Response {
    let outcome = async {
        admin.narrowed(Permission::AuditRead, (query.tenant, query.project))?;
        let filter = query.filter()?;
        let place = LIVE.try_acquire().map_err(|_| {
            Refusal::new(Code::Overloaded, format!("{LIVE_MAX} follow the trail already"))
                .retry_around(Duration::from_secs(5))
        })?;
        let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
        let next = match last.and_then(|text| text.parse::<u64>().ok()) {
            Some(number) => admin.trail.behind(number).await?.unwrap_or(0),
            None => admin.trail.end().await?,
        };
        // A first comment, so that the client knows at once that it follows.
        let ready = VecDeque::from([Bytes::from_static(b": following\n\n")]);
        let live =
            Live { admin: admin.clone(), query, filter, next, quiet: 0, ready, _place: place };
        let body = Body::from_stream(stream::unfold(live, Live::step));
        Ok(([(header::CONTENT_TYPE, "text/event-stream")], body).into_response())
    };
    admin.answer(outcome.await)
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FormatWord {
    #[default]
    Jsonl,
    Cef,
    Syslog,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ExportQuery {
    format: FormatWord,
    tenant: Option<TenantId>,
    project: Option<types::ProjectId>,
    action: Option<String>,
    actor: Option<String>,
    target: Option<String>,
    outcome: Option<tenancy::AuditOutcome>,
    from: Option<types::TimestampMs>,
    to: Option<types::TimestampMs>,
}

struct Export {
    admin: Admin,
    query: ExportQuery,
    filter: AuditFilter,
    after: u64,
    is_over: bool,
}

fn line(record: &AuditRecord, format: FormatWord) -> String {
    match format {
        FormatWord::Jsonl => ::audit::Format::Json.line(record),
        FormatWord::Cef => ::audit::Format::Cef.line(record),
        FormatWord::Syslog => ::audit::syslog(record, ::audit::Format::Json, None),
    }
}

impl Export {
    async fn step(mut self) -> Option<(Result<Bytes, std::io::Error>, Export)> {
        if self.is_over {
            return None;
        }
        let piece = self.piece().await;
        self.is_over |= piece.is_err();
        Some((piece.map_err(|refusal| std::io::Error::other(refusal.to_string())), self))
    }

    async fn piece(&mut self) -> Result<Bytes, Refusal> {
        let wanted = (self.query.tenant, self.query.project);
        let admin = self.admin.rechecked().await?;
        let (tenant, project) = admin.narrowed(Permission::AuditRead, wanted)?;
        self.filter.project = project;
        let (store, filter) = (&self.admin.tenancy, &self.filter);
        let page = match tenant {
            Some(tenant) => store.audit_after(tenant, filter, self.after, STEP_RECORDS_MAX).await?,
            None => store.audit_of_all_after(filter, self.after, STEP_RECORDS_MAX).await?,
        };
        let mut text = String::new();
        for record in &page.items {
            text.push_str(&line(record, self.query.format));
            text.push('\n');
        }
        let last = page.items.last().and_then(|record| record.link);
        self.after = last.map_or(self.after, |link| link.sequence);
        self.is_over = !page.has_more;
        Ok(text.into())
    }
}

/// Export the audit trail of a time, a record a line, in the order of the chain
#[utoipa::path(
    get, path = "/v1/audit/export", tag = "audit",
    extensions(
        ("x-permission" = json!("audit:read")),
        ("x-checked" = json!("handler")),
        ("x-approval" = json!("pass"))
    ),
    params(
        ("format" = Option<String>, Query,
            description = "`jsonl` when absent: records as they are in the log; `cef`; `syslog`"),
        ("tenant" = Option<String>, Query, description = "Only this tenant's"),
        ("project" = Option<String>, Query, description = "Only this project's"),
        ("action" = Option<String>, Query, description = "As in the list"),
        ("actor" = Option<String>, Query, description = "As in the list"),
        ("target" = Option<String>, Query, description = "As in the list"),
        ("outcome" = Option<String>, Query, description = "As in the list"),
        ("from" = Option<i64>, Query, description = "Written then or later (ms since 1970)"),
        ("to" = Option<i64>, Query, description = "Written before then (ms since 1970)"),
    ),
    responses(
        (status = 200, description = "Lines", content_type = "application/x-ndjson"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn export_audit(admin: Admin, StrictQuery(query): StrictQuery<ExportQuery>) -> Response {
    let outcome = async {
        let wanted = (query.tenant, query.project);
        let (tenant, project) = admin.narrowed(Permission::AuditRead, wanted)?;
        let search = AuditQuery {
            action: query.action.clone(),
            actor: query.actor.clone(),
            target: query.target.clone(),
            outcome: query.outcome,
            from: query.from,
            to: query.to,
            ..AuditQuery::default()
        };
        let filter = AuditFilter { project, ..search.filter()? };
        let details = serde_json::json!({
            "tenant": tenant, "project": project, "from": query.from, "to": query.to,
        });
        admin.tenancy.note("audit.export", "audit", details, &admin.actor()).await?;
        let kind = match query.format {
            FormatWord::Jsonl => "application/x-ndjson",
            FormatWord::Cef | FormatWord::Syslog => "text/plain; charset=utf-8",
        };
        let export = Export { admin: admin.clone(), query, filter, after: 0, is_over: false };
        let body = Body::from_stream(stream::unfold(export, Export::step));
        Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
    };
    admin.answer(outcome.await)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct VerifyQuery {
    cursor: Option<String>,
    sequence: Option<u64>,
    hash: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditBroken)]
struct BrokenView {
    /// The number of the record there, or of the one that should be there.
    sequence: u64,
    /// `log`, or `index`: the database by which the trail is searched.
    place: &'static str,
    offset: Option<Offset>,
    why: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditMark)]
struct MarkView {
    sequence: u64,
    hash: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditVerdict)]
struct VerdictView {
    /// No link of those that were looked at is broken.
    holds: bool,
    records: u64,
    /// The number of the first record that is kept.
    first: Option<u64>,
    /// The last record that holds: worth writing down elsewhere.
    last: Option<MarkView>,
    broken: Option<BrokenView>,
    /// The walk did not reach the end: go on with this as `cursor`.
    next_cursor: Option<String>,
}

/// Number, hash and offset, as the cursor holds them.
fn read_cursor(cursor: &str) -> Result<(AuditMark, Offset), Refusal> {
    let bytes = parse_page_cursor(cursor)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| bad_page_cursor())?;
    let mut parts = text.split(':');
    let (Some(sequence), Some(hash), Some(offset), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad_page_cursor());
    };
    let number = |text: &str| text.parse::<u64>().map_err(|_| bad_page_cursor());
    let hash = AuditHash::from_str(hash).map_err(|_| bad_page_cursor())?;
    Ok((AuditMark { sequence: number(sequence)?, hash }, number(offset)?))
}

/// Check the chain of the audit trail
///
/// Every record's hash, that each follows the one before, that none is missing, and that the
/// database has what the log has. Names the first broken link. With `sequence` and `hash`, which
/// somebody wrote down earlier, that this record is in the chain.
#[utoipa::path(
    get, path = "/v1/audit/verify", tag = "audit",
    extensions(("x-permission" = json!("audit:read")), ("x-checked" = json!("installation"))),
    params(
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the answer before"),
        ("sequence" = Option<u64>, Query, description = "The number of a record known before"),
        ("hash" = Option<String>, Query, description = "Its hash"),
    ),
    responses(
        (status = 200, description = "What was found", body = VerdictView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn verify_audit(admin: Admin, StrictQuery(query): StrictQuery<VerifyQuery>) -> Response {
    let outcome = async {
        let from = query.cursor.as_deref().map(read_cursor).transpose()?;
        let expected = match (query.sequence, &query.hash) {
            (Some(sequence), Some(hash)) => {
                Some(::audit::Expected { sequence, hash: hash.parse::<AuditHash>()? })
            }
            (None, None) => None,
            _ => {
                let why = "`sequence` and `hash` belong together";
                return Err(Refusal::new(Code::InvalidRequest, why).field("hash"));
            }
        };
        let verdict = admin.trail.verify(from, expected).await?;
        let next_cursor = verdict.next.map(|(mark, offset)| {
            page_cursor(format!("{}:{}:{offset}", mark.sequence, mark.hash).as_bytes())
        });
        Ok(Json(VerdictView {
            holds: verdict.broken.is_none(),
            records: verdict.records,
            first: verdict.first,
            last: verdict
                .last
                .map(|(sequence, hash)| MarkView { sequence, hash: hash.to_string() }),
            broken: verdict.broken.map(|broken| BrokenView {
                sequence: broken.sequence,
                place: broken.place.name(),
                offset: broken.offset,
                why: broken.why,
            }),
            next_cursor,
        }))
    };
    admin.answer(outcome.await)
}
