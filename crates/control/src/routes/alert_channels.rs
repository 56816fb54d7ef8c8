//! Whom alerts are told, and what is silent for a while.

use crate::Routes;
use crate::admin::Admin;
use crate::path::{AlertChannelPath, AlertSilencePath};
use crate::repeat::Kept;
use ::alerts::{AlertWorker, Parts};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use port::{Code, Refusal};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use tenancy::{
    AlertChannel, AlertRuleId, AlertSilence, ChannelKind, NewAlertChannel, NewAlertSilence,
    Severity,
};
use types::TimestampMs;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list_alert_channels, create_alert_channel))
        .routes(routes!(update_alert_channel, delete_alert_channel))
        .routes(routes!(test_alert_channel))
        .routes(routes!(list_alert_silences, create_alert_silence))
        .routes(routes!(delete_alert_silence))
}

#[derive(Serialize, ToSchema)]
#[schema(as = AlertChannel)]
struct ChannelView {
    id: String,
    name: String,
    /// `mail`, `webhook` or `slack`.
    kind: &'static str,
    /// A Slack address is a secret: only its host is shown.
    address: String,
    /// Alerts below it are not told here.
    severity_min: &'static str,
    is_enabled: bool,
    created_at: TimestampMs,
}

impl From<AlertChannel> for ChannelView {
    fn from(channel: AlertChannel) -> ChannelView {
        ChannelView {
            id: channel.id.to_string(),
            name: channel.name,
            kind: channel.kind.name(),
            address: channel.address,
            severity_min: channel.severity_min.name(),
            is_enabled: channel.is_enabled,
            created_at: channel.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct ChannelList {
    channels: Vec<ChannelView>,
}

#[derive(Serialize, ToSchema)]
struct MadeChannel {
    channel: ChannelView,
    /// What a webhook's requests are signed with, `whsec_...`: shown this once.
    secret: Option<String>,
}

/// List whom alerts are told
#[utoipa::path(
    get, path = "/v1/alerts/channels", tag = "alerts",
    extensions(("x-permission" = json!("alerts:read")), ("x-checked" = json!("installation"))),
    responses(
        (status = 200, description = "All of them, oldest first", body = ChannelList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_alert_channels(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let found = admin.tenancy.alert_channels().await;
    let channels = found.map(|all| all.into_iter().map(ChannelView::from).collect());
    admin.answer(channels.map(|channels| Json(ChannelList { channels })).map_err(Refusal::from))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateAlertChannel {
    /// For people, 1 to 128 bytes, unique.
    name: String,
    /// `mail`, `webhook` or `slack`.
    #[schema(value_type = String)]
    kind: ChannelKind,
    /// A mail address, or `https://host/path`. The rules of `webhooks` on addresses hold.
    address: String,
    /// `info` when absent, `warning` or `critical`.
    #[schema(value_type = Option<String>)]
    severity_min: Option<Severity>,
}

fn parts(admin: &Admin) -> Result<&Parts, Refusal> {
    let none = || Refusal::new(Code::Unsupported, "nobody watches this node's figures");
    admin.alerts.as_ref().ok_or_else(none)
}

/// Add somebody who is told of alerts
#[utoipa::path(
    post, path = "/v1/alerts/channels", tag = "alerts",
    extensions(("x-permission" = json!("alerts:write")), ("x-checked" = json!("installation"))),
    request_body = CreateAlertChannel,
    responses(
        (status = 201, description = "Added", body = MadeChannel),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn create_alert_channel(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<CreateAlertChannel>,
) -> Response {
    let outcome = async {
        let parts = parts(&admin)?;
        let (name, kind) = (body.name.as_str(), body.kind);
        let (courier, sealer) = (&parts.courier, &parts.sealer);
        let made =
            ::alerts::seal_channel(name, kind, &body.address, courier, sealer, admin.rng.as_ref())?;
        let new = NewAlertChannel {
            name: body.name,
            kind,
            address: made.shown,
            sealed: made.sealed,
            severity_min: body.severity_min.unwrap_or(Severity::Info),
        };
        let channel = admin.tenancy.create_alert_channel(new, &admin.actor()).await?;
        let secret = made.secret.map(|secret| secret.expose_secret().to_owned());
        let made = MadeChannel { channel: channel.into(), secret };
        let kept = Kept(json!({"channel": made.channel, "secret": null}));
        Ok((StatusCode::CREATED, Extension(kept), Json(made)).into_response())
    };
    admin.answer(outcome.await)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateAlertChannel {
    is_enabled: Option<bool>,
    /// `info`, `warning` or `critical`.
    #[schema(value_type = Option<String>)]
    severity_min: Option<Severity>,
}

/// Switch a channel on or off, or change what it is told
#[utoipa::path(
    patch, path = "/v1/alerts/channels/{alert_channel}", tag = "alerts",
    extensions(("x-permission" = json!("alerts:write")), ("x-checked" = json!("installation"))),
    params(("alert_channel" = String, Path, description = "The channel's id")),
    request_body = UpdateAlertChannel,
    responses(
        (status = 200, description = "Changed", body = ChannelView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn update_alert_channel(
    admin: Admin,
    AlertChannelPath(channel): AlertChannelPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<UpdateAlertChannel>,
) -> Response {
    let by = admin.actor();
    let UpdateAlertChannel { is_enabled, severity_min } = body;
    let changed = admin.tenancy.update_alert_channel(channel, is_enabled, severity_min, &by).await;
    admin.answer(changed.map(|it| Json(ChannelView::from(it))).map_err(Refusal::from))
}

/// Delete a channel; what is on its way to it is given up
#[utoipa::path(
    delete, path = "/v1/alerts/channels/{alert_channel}", tag = "alerts",
    extensions(("x-permission" = json!("alerts:write")), ("x-checked" = json!("installation"))),
    params(("alert_channel" = String, Path, description = "The channel's id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn delete_alert_channel(
    admin: Admin,
    AlertChannelPath(channel): AlertChannelPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = admin.tenancy.delete_alert_channel(channel, &admin.actor()).await;
    admin.answer(outcome.map(|()| StatusCode::NO_CONTENT).map_err(Refusal::from))
}

/// Send a test to a channel; what came of it is in the list of notices within seconds
#[utoipa::path(
    post, path = "/v1/alerts/channels/{alert_channel}/test", tag = "alerts",
    extensions(("x-permission" = json!("alerts:write")), ("x-checked" = json!("installation"))),
    params(("alert_channel" = String, Path, description = "The channel's id")),
    responses(
        (status = 202, description = "On its way"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn test_alert_channel(
    admin: Admin,
    AlertChannelPath(channel): AlertChannelPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let channel = admin.tenancy.alert_channel(channel).await?;
        AlertWorker::test(parts(&admin)?, &channel).await?;
        Ok(StatusCode::ACCEPTED)
    };
    admin.answer(outcome.await)
}

#[derive(Serialize, ToSchema)]
#[schema(as = AlertSilence)]
struct SilenceView {
    id: String,
    /// `null`: of every rule.
    rule: Option<String>,
    labels: BTreeMap<String, String>,
    reason: String,
    actor: String,
    created_at: TimestampMs,
    ends_at: TimestampMs,
}

impl From<AlertSilence> for SilenceView {
    fn from(silence: AlertSilence) -> SilenceView {
        SilenceView {
            id: silence.id.to_string(),
            rule: silence.rule.map(|id| id.to_string()),
            labels: silence.labels,
            reason: silence.reason,
            actor: silence.actor,
            created_at: silence.created_at,
            ends_at: silence.ends_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct SilenceList {
    silences: Vec<SilenceView>,
}

/// List what is silent now
#[utoipa::path(
    get, path = "/v1/alerts/silences", tag = "alerts",
    extensions(("x-permission" = json!("alerts:read")), ("x-checked" = json!("installation"))),
    responses(
        (status = 200, description = "All that have not ended", body = SilenceList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_alert_silences(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let found = admin.tenancy.alert_silences(admin.clock.now_ms()).await;
    let silences = found.map(|all| all.into_iter().map(SilenceView::from).collect());
    admin.answer(silences.map(|silences| Json(SilenceList { silences })).map_err(Refusal::from))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateAlertSilence {
    /// Absent: every rule.
    #[schema(value_type = Option<String>)]
    rule: Option<AlertRuleId>,
    /// Only alerts that carry all of these.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// For people, 1 to 1000 bytes.
    reason: String,
    /// A moment within the next 366 days (ms since 1970).
    ends_at: TimestampMs,
}

/// Tell nobody of some alerts for a while
#[utoipa::path(
    post, path = "/v1/alerts/silences", tag = "alerts",
    extensions(("x-permission" = json!("alerts:write")), ("x-checked" = json!("installation"))),
    request_body = CreateAlertSilence,
    responses(
        (status = 201, description = "Silent from now on", body = SilenceView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn create_alert_silence(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<CreateAlertSilence>,
) -> Response {
    let outcome = async {
        if let Some(rule) = body.rule {
            let found = admin.tenancy.alert_rule(rule).await;
            found.map_err(|error| Refusal::from(error).field("rule"))?;
        }
        let CreateAlertSilence { rule, labels, reason, ends_at } = body;
        let new = NewAlertSilence { rule, labels, reason, ends_at };
        let made = admin.tenancy.create_alert_silence(new, &admin.actor()).await?;
        Ok((StatusCode::CREATED, Json(SilenceView::from(made))))
    };
    admin.answer(outcome.await)
}

/// End a silence
#[utoipa::path(
    delete, path = "/v1/alerts/silences/{alert_silence}", tag = "alerts",
    extensions(("x-permission" = json!("alerts:write")), ("x-checked" = json!("installation"))),
    params(("alert_silence" = String, Path, description = "The silence's id")),
    responses(
        (status = 204, description = "Ended"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn delete_alert_silence(
    admin: Admin,
    AlertSilencePath(silence): AlertSilencePath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = admin.tenancy.delete_alert_silence(silence, &admin.actor()).await;
    admin.answer(outcome.map(|()| StatusCode::NO_CONTENT).map_err(Refusal::from))
}
