//! The process's own log while it runs: its newest lines, those that come, and what is logged.

use super::configuration::{configuration, put_into_effect};
use crate::Routes;
use crate::admin::Admin;
use crate::configuration::ConfigWhen;
use crate::logbook::{LogFilter, LogLevel, LogLine, LogLines, Logbook};
use crate::page::{limit, next_cursor, place};
use crate::view::RevisionView;
use axum::Json;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http::HeaderMap;
use port::{Code, Refusal};
use rules::{Permission, Place};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

/// How long a request may wait for a line.
const WAIT_MS_MAX: u64 = 30_000;
/// A stream ends after that; clients come again with `Last-Event-ID`.
const STREAM_TIME_MAX: Duration = Duration::from_secs(300);
/// Who may no longer look is cut off so soon.
const RECHECK_EVERY: Duration = Duration::from_millis(700);
/// Lines of one turn of a stream.
const TURN_LINES_MAX: usize = 500;
/// Characters of a filter.
const FILTER_CHARS_MAX: usize = 200;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list_logs))
        .routes(routes!(stream_logs))
        .routes(routes!(set_log_level))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LogQuery {
    level: Option<String>,
    target: Option<String>,
    text: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
    wait_ms: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StreamQuery {
    level: Option<String>,
    target: Option<String>,
    text: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct LogList {
    /// Oldest first.
    lines: Vec<LogLine>,
    /// For what comes next; always there, since a log does not end.
    next_cursor: Option<String>,
    /// Lines between the cursor and these were gone already.
    is_torn: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetLogLevel {
    /// In the syntax of `RUST_LOG`: `info`, or `warn,hub=debug`.
    log: String,
    /// Why, for the audit trail.
    note: String,
}

fn filter(
    level: Option<&str>,
    target: Option<String>,
    text: Option<String>,
) -> Result<LogFilter, Refusal> {
    let level = level.map(|name| {
        LogLevel::named(name).ok_or_else(|| {
            Refusal::new(Code::InvalidRequest, "there is no such level")
                .field("level")
                .hint("error, warn, info, debug or trace")
        })
    });
    for (name, given) in [("target", &target), ("text", &text)] {
        if given.as_ref().is_some_and(|given| given.chars().count() > FILTER_CHARS_MAX) {
            let why = format!("at most {FILTER_CHARS_MAX} characters");
            return Err(Refusal::new(Code::InvalidRequest, why).field(name));
        }
    }
    // What a field left empty means.
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    Ok(LogFilter { level: level.transpose()?, target: given(target), text: given(text) })
}

/// Lines of this process's log, newest or after a cursor
#[utoipa::path(
    get, path = "/v1/logs", tag = "telemetry",
    extensions(
        ("x-permission" = json!("telemetry:read")),
        ("x-checked" = json!("installation"))
    ),
    params(
        ("level" = Option<String>, Query, description = "`error`, `warn`, `info`, `debug` or \
            `trace`: this bad or worse"),
        ("target" = Option<String>, Query, description = "Only this part of the program, `hub`"),
        ("text" = Option<String>, Query, description = "Only lines that have it, in whatever case"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the answer before; the \
            newest lines when absent"),
        ("wait_ms" = Option<u64>, Query, description = "With a cursor: how long to wait for a \
            line, at most 30000"),
    ),
    responses(
        (status = 200, description = "Lines, oldest first", body = LogList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_logs(admin: Admin, StrictQuery(query): StrictQuery<LogQuery>) -> Response {
    let outcome = async {
        let filter = filter(query.level.as_deref(), query.target, query.text)?;
        let (limit, after) = (limit(query.limit)?, place(query.cursor.as_deref())?);
        let wait = Duration::from_millis(query.wait_ms.unwrap_or(0).min(WAIT_MS_MAX));
        let found = match after {
            None => admin.logbook.newest(&filter, limit),
            Some(after) => {
                let found = awaited(&admin.logbook, &filter, after, limit, wait).await;
                if !wait.is_zero() {
                    check_still(&admin).await?;
                }
                found
            }
        };
        let next_cursor = next_cursor(Some(found.place), true);
        Ok(Json(LogList { lines: found.lines, next_cursor, is_torn: found.is_torn }))
    };
    admin.answer(outcome.await)
}

/// Lines after a place; waits for the first one when there is none.
async fn awaited(
    logbook: &Logbook,
    filter: &LogFilter,
    after: u64,
    limit: usize,
    wait: Duration,
) -> LogLines {
    let (mut newest, deadline) = (logbook.watch(), Instant::now() + wait);
    let (mut after, mut is_torn) = (after, false);
    loop {
        let mut found = logbook.after(filter, after, limit);
        is_torn |= found.is_torn;
        found.is_torn = is_torn;
        // What the filter leaves out is passed by.
        after = found.place;
        if !found.lines.is_empty() {
            return found;
        }
        let changed = tokio::time::timeout_at(deadline, newest.changed()).await;
        if !matches!(changed, Ok(Ok(()))) {
            return found;
        }
    }
}

/// Refuses when who asked may look no more.
async fn check_still(admin: &Admin) -> Result<(), Refusal> {
    admin.rechecked().await?.require(Permission::TelemetryRead, Place::Installation)
}

struct Tail {
    admin: Admin,
    checked_at: Instant,
    filter: LogFilter,
    after: u64,
    ends: Instant,
}

/// Lines as they come, as Server-Sent Events
#[utoipa::path(
    get, path = "/v1/logs/stream", tag = "telemetry",
    extensions(
        ("x-permission" = json!("telemetry:read")),
        ("x-checked" = json!("installation"))
    ),
    params(
        ("level" = Option<String>, Query, description = "`error`, `warn`, `info`, `debug` or \
            `trace`: this bad or worse"),
        ("target" = Option<String>, Query, description = "Only this part of the program, `hub`"),
        ("text" = Option<String>, Query, description = "Only lines that have it, in whatever case"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The last line that was seen; only \
            new ones when absent"),
    ),
    responses(
        (status = 200, description = "Events with a line each, for at most five minutes",
            body = String, content_type = "text/event-stream"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn stream_logs(
    admin: Admin,
    headers: HeaderMap,
    StrictQuery(query): StrictQuery<StreamQuery>,
) -> Response {
    let outcome = || {
        let filter = filter(query.level.as_deref(), query.target, query.text)?;
        let seen = headers.get("last-event-id").and_then(|value| value.to_str().ok());
        let newest = || *admin.logbook.watch().borrow();
        let after = seen.and_then(|text| text.parse().ok()).unwrap_or_else(newest);
        let ends = Instant::now() + STREAM_TIME_MAX;
        let (admin, checked_at) = (admin.clone(), Instant::now());
        let tail = Tail { admin, checked_at, filter, after, ends };
        let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
        Ok(Sse::new(tail.events()).keep_alive(keep_alive).into_response())
    };
    admin.answer(outcome())
}

impl Tail {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        let turns = stream::unfold(self, |mut tail| async move {
            let lines = tail.turn().await?;
            Some((stream::iter(lines), tail))
        });
        turns.flatten().map(|line| Ok(event(&line)))
    }

    /// The next lines, none when it was time to look whether he still may; `None`: over.
    async fn turn(&mut self) -> Option<Vec<LogLine>> {
        if self.ends.saturating_duration_since(Instant::now()).is_zero() {
            return None;
        }
        let (logbook, filter, after) = (&self.admin.logbook, &self.filter, self.after);
        let found = awaited(logbook, filter, after, TURN_LINES_MAX, RECHECK_EVERY).await;
        self.after = found.place;
        if self.checked_at.elapsed() >= RECHECK_EVERY {
            check_still(&self.admin).await.ok()?;
            self.checked_at = Instant::now();
        }
        Some(found.lines)
    }
}

fn event(line: &LogLine) -> Event {
    let event = Event::default().id(line.sequence.to_string()).event("line");
    // A line is plain data and always serialises.
    event.json_data(line).unwrap_or_default()
}

/// Change what is logged, at once; kept as a revision of the configuration
#[utoipa::path(
    put, path = "/v1/logs/level", tag = "telemetry",
    extensions(("x-permission" = json!("config:write"))),
    request_body = SetLogLevel,
    responses(
        (status = 200, description = "In effect", body = RevisionView),
        (status = "default", description = "Refused; nothing was changed", body = ErrorSchema),
    ),
)]
async fn set_log_level(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<SetLogLevel>,
) -> Response {
    let outcome = async {
        let _one_at_a_time = admin.lock_configuration().await;
        let mut wanted = configuration(&admin)?.state().configured;
        let telemetry = wanted.get_mut("telemetry").and_then(|part| part.as_object_mut());
        let telemetry = telemetry.ok_or_else(|| {
            Refusal::new(Code::Unsupported, "what is logged cannot be set here").field("log")
        })?;
        telemetry.insert("log".to_owned(), body.log.into());
        let effect = put_into_effect(&admin, &wanted, ConfigWhen::Restart, &body.note).await;
        Ok(Json(RevisionView::from(effect?.0)))
    };
    admin.answer(outcome.await)
}
