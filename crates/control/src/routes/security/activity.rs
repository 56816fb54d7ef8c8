//! What is happening to the installation, or to a tenant of it: counted from the audit trail of a
//! window, with what is odd by plain rules; and the sessions in force, each with its last act.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{next_cursor, place};
use crate::path::UserSessionPath;
use crate::routes::people_view::SessionView;
use crate::routes::users::check_may_change;
use crate::security::{past, window};
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use port::{Code, Refusal};
use posture::{Anomaly, AnomalyRule, Line};
use rules::Permission;
use serde::{Deserialize, Serialize};
use tenancy::{AuditFilter, SessionEnd, SessionId};
use types::{TenantId, TimestampMs};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::StrictQuery;
use wire_http::param::parse_limit;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;

const HOUR_MS: i64 = 3_600_000;
const HOURS: u32 = 24;
const HOURS_MAX: u32 = 7 * 24;
/// Sessions of one page: the last act of each is looked up.
const SESSIONS: usize = 50;
const SESSIONS_MAX: usize = 200;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(get_activity))
        .routes(routes!(list_sessions_in_force))
        .routes(routes!(end_session))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ActivityQuery {
    tenant: Option<TenantId>,
    hours: Option<u32>,
}

/// How often, in the window.
#[derive(Serialize, ToSchema)]
#[schema(as = ActivityTotals)]
#[allow(dead_code, reason = "describes; the value itself is `posture::Totals`")]
struct TotalsSchema {
    records: u64,
    sign_ins: u64,
    sign_ins_refused: u64,
    /// Accounts that had to wait because of wrong passwords.
    throttled: u64,
    /// Sign-ins from an unknown device or network.
    suspicious: u64,
    credentials_refused: u64,
    /// Of those, credentials that were good once.
    ended_credentials_tried: u64,
    calls_refused: u64,
    elevations_refused: u64,
    deletions: u64,
}

/// Somebody, or somewhere, and how often.
#[derive(Serialize, ToSchema)]
#[schema(as = ActivityLine)]
struct LineView {
    name: String,
    count: u64,
    last_at: TimestampMs,
}

impl From<Line> for LineView {
    fn from(line: Line) -> LineView {
        LineView { name: line.name, count: line.count, last_at: line.last_at }
    }
}

/// Something odd, by a rule that is told with it.
#[derive(Serialize, ToSchema)]
#[schema(as = Anomaly)]
struct AnomalyView {
    rule: &'static str,
    severity: &'static str,
    title: &'static str,
    /// The rule in full.
    why: &'static str,
    advice: &'static str,
    /// The address or the actor.
    subject: String,
    what: String,
    count: u64,
    /// When the rule was met.
    at: TimestampMs,
}

impl From<Anomaly> for AnomalyView {
    fn from(anomaly: Anomaly) -> AnomalyView {
        let AnomalyRule { id, severity, title, rule, advice, .. } = anomaly.rule;
        AnomalyView {
            rule: id,
            severity: severity.name(),
            title,
            why: rule,
            advice,
            subject: anomaly.subject,
            what: anomaly.what,
            count: anomaly.count,
            at: anomaly.at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SecurityActivity)]
struct ActivityView {
    from: TimestampMs,
    to: TimestampMs,
    /// Older records of the window were not looked at: `from` says since when.
    is_partial: bool,
    #[schema(value_type = TotalsSchema)]
    totals: posture::Totals,
    /// The newest first.
    anomalies: Vec<AnomalyView>,
    sign_ins_refused_by_address: Vec<LineView>,
    sign_ins_refused_by_account: Vec<LineView>,
    throttled_accounts: Vec<LineView>,
    new_devices: Vec<LineView>,
    credentials_refused_by_address: Vec<LineView>,
    ended_credentials_by_actor: Vec<LineView>,
    calls_refused_by_actor: Vec<LineView>,
    elevations_refused_by_actor: Vec<LineView>,
    deletions_by_actor: Vec<LineView>,
}

fn lines(lines: Vec<Line>) -> Vec<LineView> {
    lines.into_iter().map(LineView::from).collect()
}

/// What happened lately, counted from the audit trail, and what of it is odd
///
/// Of the whole installation, or of one tenant: then only what its own trail tells, in which
/// attempts to sign in are not. The newest 20,000 records of the window are looked at.
#[utoipa::path(
    get, path = "/v1/security/activity", tag = "security",
    extensions(("x-permission" = json!("security:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Only this tenant's"),
        ("hours" = Option<u32>, Query, description = "The window, 1 to 168; 24 when absent"),
    ),
    responses(
        (status = 200, description = "Counts, lists and what is odd", body = ActivityView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_activity(admin: Admin, StrictQuery(query): StrictQuery<ActivityQuery>) -> Response {
    let outcome = async {
        let hours = query.hours.unwrap_or(HOURS);
        if !(1..=HOURS_MAX).contains(&hours) {
            let why = format!("1 to {HOURS_MAX} hours");
            return Err(Refusal::new(Code::InvalidRequest, why).field("hours"));
        }
        let (tenant, project) = admin.narrowed(Permission::SecurityRead, (query.tenant, None))?;
        if project.is_some() {
            // Who may look into one project only has no trail of its tenant.
            admin.require(Permission::SecurityRead, rules::Place::Installation)?;
        }
        let to = admin.clock.now_ms();
        let window = window(&admin, tenant, (to - i64::from(hours) * HOUR_MS, to)).await?;
        let past = past(&admin, tenant, &window).await?;
        let found = posture::activity(&window.events);
        let mut anomalies = posture::anomalies(&window.events, &past);
        anomalies.reverse();
        Ok(Json(ActivityView {
            from: window.from,
            to,
            is_partial: window.is_partial,
            totals: found.totals,
            anomalies: anomalies.into_iter().map(AnomalyView::from).collect(),
            sign_ins_refused_by_address: lines(found.sign_ins_refused_by_address),
            sign_ins_refused_by_account: lines(found.sign_ins_refused_by_account),
            throttled_accounts: lines(found.throttled_accounts),
            new_devices: lines(found.new_devices),
            credentials_refused_by_address: lines(found.credentials_refused_by_address),
            ended_credentials_by_actor: lines(found.ended_credentials_by_actor),
            calls_refused_by_actor: lines(found.calls_refused_by_actor),
            elevations_refused_by_actor: lines(found.elevations_refused_by_actor),
            deletions_by_actor: lines(found.deletions_by_actor),
        }))
    };
    admin.answer(outcome.await)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SessionQuery {
    tenant: Option<TenantId>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// The last that somebody did.
#[derive(Serialize, ToSchema)]
#[schema(as = LastAct)]
struct LastActView {
    action: String,
    at: TimestampMs,
    address: Option<String>,
}

/// A session in force, whose it is, and the last that its user did.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionInForce)]
struct InForceView {
    user: String,
    email: String,
    #[serde(flatten)]
    session: SessionView,
    /// By any of his sessions; `null`: the trail knows of nothing.
    last_act: Option<LastActView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SessionsInForce)]
struct InForceList {
    sessions: Vec<InForceView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

/// List sessions in force, of everybody or of people with a role in a tenant
#[utoipa::path(
    get, path = "/v1/security/sessions", tag = "security",
    extensions(("x-permission" = json!("users:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Only people with a role in it"),
        ("limit" = Option<u32>, Query, description = "1 to 200, 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Sessions", body = InForceList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_sessions_in_force(
    admin: Admin,
    StrictQuery(query): StrictQuery<SessionQuery>,
) -> Response {
    let outcome = async {
        let limit = parse_limit(query.limit, SESSIONS, SESSIONS_MAX)?;
        let after: Option<SessionId> = place(query.cursor.as_deref())?;
        let (tenant, project) = admin.narrowed(Permission::UsersRead, (query.tenant, None))?;
        if project.is_some() {
            admin.require(Permission::UsersRead, rules::Place::Installation)?;
        }
        let page = admin.tenancy.surveyed_sessions(tenant, after, limit).await?;
        let next_cursor = next_cursor(page.items.last().map(|(it, _)| it.id), page.has_more);
        let current = admin.person().ok().map(|person| person.session.id);
        let mut sessions = Vec::new();
        for (session, user) in page.items {
            if !admin.people.is_open(&session) {
                continue;
            }
            let actor = Some(format!("{}:{}", user.id, user.email));
            let filter = AuditFilter { actor, ..AuditFilter::default() };
            let acts = match tenant {
                Some(tenant) => admin.tenancy.audit(tenant, &filter, 1).await?,
                None => admin.tenancy.audit_of_all_tenants(&filter, 1).await?,
            };
            let last_act = acts.items.into_iter().next().map(|act| LastActView {
                action: act.action,
                at: act.at,
                address: act.address,
            });
            sessions.push(InForceView {
                user: user.id.to_string(),
                email: user.email,
                session: SessionView::new(session, current),
                last_act,
            });
        }
        Ok(Json(InForceList { sessions, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// End one session of a user
#[utoipa::path(
    delete, path = "/v1/users/{user}/sessions/{session}", tag = "users",
    extensions(("x-permission" = json!("users:write")), ("x-checked" = json!("handler"))),
    params(
        ("user" = String, Path, description = "The user's id"),
        ("session" = String, Path, description = "The session's id"),
    ),
    responses(
        (status = 204, description = "Ended"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn end_session(
    admin: Admin,
    UserSessionPath { user, session }: UserSessionPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        check_may_change(&admin, user).await?;
        let by = admin.actor();
        admin.tenancy.end_session(user, session, SessionEnd::Revoked, &by).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}
