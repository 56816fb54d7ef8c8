//! Alerts: the rules, what fires and what did, what people were told.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{limit, next_cursor, place};
use crate::path::AlertRulePath;
use ::alerts::Terms;
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use port::metric::{self, MetricKind};
use port::{Code, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tenancy::{
    Alert, AlertNotice, AlertRule, AlertRuleId, AlertRulePatch, AlertState, NewAlertRule, Severity,
};
use types::TimestampMs;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list_alerts))
        .routes(routes!(list_alert_metrics))
        .routes(routes!(list_alert_notices))
        .routes(routes!(list_alert_rules, create_alert_rule))
        .routes(routes!(update_alert_rule, delete_alert_rule))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Alert)]
pub(crate) struct AlertView {
    id: String,
    rule: String,
    /// The rule's name at that time.
    name: String,
    /// `info`, `warning` or `critical`.
    severity: &'static str,
    labels: BTreeMap<String, String>,
    summary: String,
    /// `pending`, `firing` or `resolved`.
    state: &'static str,
    /// What was measured last.
    value: f64,
    started_at: TimestampMs,
    fired_at: Option<TimestampMs>,
    /// When the condition was last met, to the minute.
    seen_at: TimestampMs,
    resolved_at: Option<TimestampMs>,
    /// When people were last told.
    notified_at: Option<TimestampMs>,
}

impl From<Alert> for AlertView {
    fn from(alert: Alert) -> AlertView {
        AlertView {
            id: alert.id.to_string(),
            rule: alert.rule.to_string(),
            name: alert.name,
            severity: alert.severity.name(),
            labels: alert.labels,
            summary: alert.summary,
            state: alert.state.name(),
            value: alert.value,
            started_at: alert.started_at,
            fired_at: alert.fired_at,
            seen_at: alert.seen_at,
            resolved_at: alert.resolved_at,
            notified_at: alert.notified_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct AlertList {
    alerts: Vec<AlertView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AlertQuery {
    state: Option<AlertState>,
    rule: Option<AlertRuleId>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// List alerts
#[utoipa::path(
    get, path = "/v1/alerts", tag = "alerts",
    extensions(("x-permission" = json!("alerts:read")), ("x-checked" = json!("installation"))),
    params(
        ("state" = Option<String>, Query, description = "`pending`, `firing` or `resolved`"),
        ("rule" = Option<String>, Query, description = "Only of this rule"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Newest first", body = AlertList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_alerts(admin: Admin, StrictQuery(query): StrictQuery<AlertQuery>) -> Response {
    let outcome = async {
        let before = place(query.cursor.as_deref())?;
        let limit = limit(query.limit)?;
        let page = admin.tenancy.alerts(query.state, query.rule, before, limit).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let alerts = page.items.into_iter().map(AlertView::from).collect();
        Ok(Json(AlertList { alerts, next_cursor }))
    };
    admin.answer(outcome.await)
}

#[derive(Serialize, ToSchema)]
#[schema(as = AlertMetric)]
struct MetricView {
    name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    kind: &'static str,
    meaning: &'static str,
}

#[derive(Serialize, ToSchema)]
struct MetricList {
    metrics: Vec<MetricView>,
}

/// List the metrics that rules can watch
#[utoipa::path(
    get, path = "/v1/alerts/metrics", tag = "alerts",
    extensions(("x-permission" = json!("alerts:read")), ("x-checked" = json!("installation"))),
    responses(
        (status = 200, description = "All of them", body = MetricList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_alert_metrics(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let kind = |kind| match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    };
    let view = |it: &metric::Metric| MetricView {
        name: it.name,
        kind: kind(it.kind),
        meaning: it.meaning,
    };
    let metrics = metric::ALL.iter().map(view).collect();
    admin.answer(Ok(Json(MetricList { metrics })))
}

#[derive(Serialize, ToSchema)]
#[schema(as = AlertNotice)]
struct NoticeView {
    id: String,
    alert: Option<String>,
    channel: String,
    /// `firing`, `repeat`, `resolved` or `test`.
    kind: String,
    body: Value,
    attempts: u32,
    created_at: TimestampMs,
    ended_at: Option<TimestampMs>,
    /// `sent` or `given_up`; `null` while it is on its way.
    outcome: Option<String>,
    error: Option<String>,
}

impl From<AlertNotice> for NoticeView {
    fn from(notice: AlertNotice) -> NoticeView {
        NoticeView {
            id: notice.id.to_string(),
            alert: notice.alert.map(|id| id.to_string()),
            channel: notice.channel.to_string(),
            kind: notice.kind,
            body: notice.body,
            attempts: notice.attempts,
            created_at: notice.created_at,
            ended_at: notice.ended_at,
            outcome: notice.outcome,
            error: notice.error,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct NoticeList {
    notices: Vec<NoticeView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

/// List what people were told
#[utoipa::path(
    get, path = "/v1/alerts/notices", tag = "alerts",
    extensions(("x-permission" = json!("alerts:read")), ("x-checked" = json!("installation"))),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Newest first", body = NoticeList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_alert_notices(
    admin: Admin,
    StrictQuery(query): StrictQuery<crate::page::PageQuery>,
) -> Response {
    let outcome = async {
        let page = admin.tenancy.alert_notices(query.place()?, query.limit()?).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let notices = page.items.into_iter().map(NoticeView::from).collect();
        Ok(Json(NoticeList { notices, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// A figure and when it is too much, or too little.
#[derive(Serialize, ToSchema)]
#[schema(as = AlertMetricTerms)]
#[allow(dead_code, reason = "describes; the value itself is `alerts::MetricTerms`")]
struct MetricTermsSchema {
    /// A name of `GET /v1/alerts/metrics`.
    name: String,
    /// Only series that carry all of these.
    labels: Option<BTreeMap<String, String>>,
    /// `value` when absent, `rate`, `increase` or `quantile`.
    measure: Option<String>,
    /// With `quantile`: 0 to 1.
    quantile: Option<f64>,
    /// With `rate`, `increase` and `quantile`: 10 to 86400, 300 when absent.
    window_seconds: Option<u32>,
    /// One alert for each value of these labels.
    by: Option<Vec<String>>,
    /// `sum` when absent, `max` or `min`.
    aggregate: Option<String>,
    /// `above`, `at_least`, `below` or `at_most`.
    comparison: String,
    threshold: f64,
}

/// Something in the audit trail.
#[derive(Serialize, ToSchema)]
#[schema(as = AlertEventTerms)]
#[allow(dead_code, reason = "describes; the value itself is `alerts::EventTerms`")]
struct EventTermsSchema {
    /// An action, or with a `*` at its end all that begin so.
    action: String,
    /// `done`, `refused` or `failed`.
    outcome: Option<String>,
    tenant: Option<String>,
    /// 1 when absent.
    count_min: Option<u64>,
    /// 10 to 86400, 300 when absent.
    window_seconds: Option<u32>,
}

/// One of the two.
#[derive(Serialize, ToSchema)]
#[schema(as = AlertSource)]
#[allow(dead_code, reason = "describes; the value itself is `alerts::Source`")]
struct SourceSchema {
    metric: Option<MetricTermsSchema>,
    event: Option<EventTermsSchema>,
}

/// Everything a rule says but its name and severity.
#[derive(Serialize, ToSchema)]
#[schema(as = AlertTerms)]
#[allow(dead_code, reason = "describes; the value itself is `alerts::Terms`")]
struct TermsSchema {
    source: SourceSchema,
    /// The condition must be met for so long before anybody is told; 0 when absent.
    for_seconds: Option<u32>,
    /// People are told again after so long; 14400 when absent.
    repeat_seconds: Option<u32>,
    /// Absent: every channel that takes the severity.
    channels: Option<Vec<String>>,
    /// What it means and what to do.
    summary: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AlertRule)]
struct RuleView {
    id: String,
    name: String,
    /// Which of the rules that are always there.
    built_in: Option<String>,
    #[schema(value_type = TermsSchema)]
    terms: Value,
    severity: &'static str,
    is_enabled: bool,
    created_at: TimestampMs,
    updated_at: TimestampMs,
}

impl From<AlertRule> for RuleView {
    fn from(rule: AlertRule) -> RuleView {
        RuleView {
            id: rule.id.to_string(),
            name: rule.name,
            built_in: rule.built_in,
            terms: rule.terms,
            severity: rule.severity.name(),
            is_enabled: rule.is_enabled,
            created_at: rule.created_at,
            updated_at: rule.updated_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct RuleList {
    rules: Vec<RuleView>,
}

/// List alert rules
#[utoipa::path(
    get, path = "/v1/alerts/rules", tag = "alerts",
    extensions(("x-permission" = json!("alerts:read")), ("x-checked" = json!("installation"))),
    responses(
        (status = 200, description = "All of them, oldest first", body = RuleList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_alert_rules(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let rules = admin.tenancy.alert_rules().await;
    let rules = rules.map(|rules| rules.into_iter().map(RuleView::from).collect());
    admin.answer(rules.map(|rules| Json(RuleList { rules })).map_err(Refusal::from))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateAlertRule {
    /// For people, 1 to 128 bytes, unique.
    name: String,
    /// `info`, `warning` or `critical`.
    #[schema(value_type = String)]
    severity: Severity,
    #[schema(value_type = TermsSchema)]
    terms: Value,
    /// `true` when absent.
    is_enabled: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateAlertRule {
    name: Option<String>,
    /// `info`, `warning` or `critical`.
    #[schema(value_type = Option<String>)]
    severity: Option<Severity>,
    #[schema(value_type = Option<TermsSchema>)]
    terms: Option<Value>,
    is_enabled: Option<bool>,
}

/// The terms with all defaults filled in, when they can be meant.
async fn checked(admin: &Admin, terms: &Value) -> Result<Value, Refusal> {
    let terms = Terms::read(terms)?;
    terms.check()?;
    let known = admin.tenancy.alert_channels().await?;
    let unknown = terms.channels.iter().flatten();
    let unknown = unknown.filter(|id| !known.iter().any(|channel| channel.id == **id));
    if let Some(id) = unknown.into_iter().next() {
        let why = format!("there is no channel {id}");
        return Err(Refusal::new(Code::InvalidRequest, why).field("terms.channels"));
    }
    serde_json::to_value(&terms).map_err(|error| Refusal::internal(&error))
}

/// Make an alert rule, in force with the next round
#[utoipa::path(
    post, path = "/v1/alerts/rules", tag = "alerts",
    extensions(("x-permission" = json!("alerts:write")), ("x-checked" = json!("installation"))),
    request_body = CreateAlertRule,
    responses(
        (status = 201, description = "Made", body = RuleView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn create_alert_rule(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<CreateAlertRule>,
) -> Response {
    let outcome = async {
        let new = NewAlertRule {
            name: body.name,
            terms: checked(&admin, &body.terms).await?,
            severity: body.severity,
            is_enabled: body.is_enabled.unwrap_or(true),
        };
        let rule = admin.tenancy.create_alert_rule(new, &admin.actor()).await?;
        Ok((StatusCode::CREATED, Json(RuleView::from(rule))))
    };
    admin.answer(outcome.await)
}

/// Change an alert rule, in force with the next round
#[utoipa::path(
    patch, path = "/v1/alerts/rules/{alert_rule}", tag = "alerts",
    extensions(("x-permission" = json!("alerts:write")), ("x-checked" = json!("installation"))),
    params(("alert_rule" = String, Path, description = "The rule's id")),
    request_body = UpdateAlertRule,
    responses(
        (status = 200, description = "Changed", body = RuleView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn update_alert_rule(
    admin: Admin,
    AlertRulePath(rule): AlertRulePath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<UpdateAlertRule>,
) -> Response {
    let outcome = async {
        let terms = match &body.terms {
            Some(terms) => Some(checked(&admin, terms).await?),
            None => None,
        };
        let (name, severity, is_enabled) = (body.name, body.severity, body.is_enabled);
        let patch = AlertRulePatch { name, terms, severity, is_enabled };
        let rule = admin.tenancy.update_alert_rule(rule, patch, &admin.actor()).await?;
        Ok(Json(RuleView::from(rule)))
    };
    admin.answer(outcome.await)
}

/// Delete an alert rule; those that are always there can only be switched off
#[utoipa::path(
    delete, path = "/v1/alerts/rules/{alert_rule}", tag = "alerts",
    extensions(("x-permission" = json!("alerts:write")), ("x-checked" = json!("installation"))),
    params(("alert_rule" = String, Path, description = "The rule's id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn delete_alert_rule(
    admin: Admin,
    AlertRulePath(rule): AlertRulePath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = admin.tenancy.delete_alert_rule(rule, &admin.actor()).await;
    admin.answer(outcome.map(|()| StatusCode::NO_CONTENT).map_err(Refusal::from))
}
