//! Signing devices in that have no browser: what the device asks (RFC 8628), and what somebody who
//! is signed in says of it. Codes travel in bodies, which no log holds.

use crate::Routes;
use crate::admin::Admin;
use crate::routes::auth::Tokens;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use identity::people::{DeviceOutcome, DevicePoll, DeviceStart};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tenancy::{DeviceSignIn, DeviceWord};
use types::TimestampMs;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(start_device))
        .routes(routes!(poll_device))
        .routes(routes!(look_at_device))
        .routes(routes!(confirm_device))
        .routes(routes!(refuse_device))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StartDevice {
    /// As in `POST /v1/auth/login`.
    #[schema(value_type = String)]
    device: SecretString,
    /// What the device calls itself: shown to whoever confirms it.
    #[serde(default)]
    device_name: String,
}

#[derive(Serialize, ToSchema)]
struct StartedDevice {
    /// The device's own: it asks with it, and shows it to nobody.
    device_code: String,
    /// To be typed by people, such as `BCDF-GHJK`.
    user_code: String,
    /// Where people type it.
    verification_url: String,
    /// The same page with the code behind a `#`.
    verification_url_complete: String,
    /// Milliseconds since 1970.
    expires_at: TimestampMs,
    /// Milliseconds between two questions.
    interval_ms: i64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PollDevice {
    #[schema(value_type = String)]
    device_code: SecretString,
    /// As it was when the device began.
    #[schema(value_type = String)]
    device: SecretString,
}

#[derive(Serialize, ToSchema)]
struct WaitingDevice {
    /// Milliseconds to wait before the next question.
    interval_ms: i64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UserCode {
    /// As the device shows it; case and hyphen do not matter.
    user_code: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeviceSignIn)]
struct DeviceView {
    user_code: String,
    /// What the device calls itself: anybody can call himself anything.
    device: String,
    /// Where it asks from.
    address: String,
    created_at: TimestampMs,
    expires_at: TimestampMs,
}

impl From<DeviceSignIn> for DeviceView {
    fn from(found: DeviceSignIn) -> DeviceView {
        DeviceView {
            user_code: found.user_code,
            device: found.device,
            address: found.address,
            created_at: found.created_at,
            expires_at: found.expires_at,
        }
    }
}

/// Begin to sign a device in that has no browser
#[utoipa::path(
    post, path = "/v1/auth/device", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    request_body = StartDevice,
    responses(
        (status = 200, description = "What to show, and to ask with", body = StartedDevice),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn start_device(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<StartDevice>,
) -> Response {
    let wish = DeviceStart {
        device: body.device,
        device_name: body.device_name,
        address: admin.address(),
    };
    let outcome = admin.people.start_device(wish).await;
    admin.answer(outcome.map(|started| {
        Json(StartedDevice {
            device_code: started.device_code.expose_secret().to_owned(),
            verification_url_complete: format!("{}#code={}", started.page, started.user_code),
            user_code: started.user_code,
            verification_url: started.page,
            expires_at: started.expires_at,
            interval_ms: started.interval_ms,
        })
    }))
}

/// Ask whether the device was confirmed
///
/// 202 until somebody has said something, then the tokens once. `RATE_LIMIT_EXCEEDED` when asked
/// before `interval_ms` is over, `INVALID_TOKEN` when it was refused, `EXPIRED_TOKEN` when its ten
/// minutes are over.
#[utoipa::path(
    post, path = "/v1/auth/device/token", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    request_body = PollDevice,
    responses(
        (status = 200, description = "Signed in", body = Tokens),
        (status = 202, description = "Nobody has said anything yet", body = WaitingDevice),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn poll_device(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<PollDevice>,
) -> Response {
    let wish =
        DevicePoll { device_code: body.device_code, device: body.device, address: admin.address() };
    let outcome = admin.people.poll_device(wish).await;
    admin.answer(outcome.map(|outcome| match outcome {
        DeviceOutcome::Waiting { interval_ms } => {
            (StatusCode::ACCEPTED, Json(WaitingDevice { interval_ms })).into_response()
        }
        DeviceOutcome::SignedIn(signed_in) => Json(Tokens::from(*signed_in)).into_response(),
    }))
}

/// Look at the device that waits under a code
#[utoipa::path(
    post, path = "/v1/account/device", tag = "account",
    extensions(("x-permission" = json!("session"))),
    request_body = UserCode,
    responses(
        (status = 200, description = "What asks to be signed in as you", body = DeviceView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn look_at_device(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<UserCode>,
) -> Response {
    let outcome = async {
        let (person, address) = (admin.person()?, admin.address());
        let found = admin.people.look_at_device(person, &body.user_code, address).await?;
        Ok(Json(DeviceView::from(found)))
    };
    admin.answer(outcome.await)
}

async fn answer(admin: &Admin, code: &str, word: DeviceWord) -> Response {
    let outcome = async {
        let (person, by) = (admin.person()?, admin.actor());
        admin.people.look_at_device(person, code, admin.address()).await?;
        admin.people.answer_device(person, code, word, &by).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}

/// Confirm the device: it is signed in as you
#[utoipa::path(
    post, path = "/v1/account/device/confirm", tag = "account",
    extensions(("x-permission" = json!("session")), ("x-elevated" = json!(true))),
    request_body = UserCode,
    responses(
        (status = 204, description = "Confirmed: it gets a session when it asks next"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn confirm_device(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<UserCode>,
) -> Response {
    answer(&admin, &body.user_code, DeviceWord::Confirm).await
}

/// Refuse the device
#[utoipa::path(
    post, path = "/v1/account/device/refuse", tag = "account",
    extensions(("x-permission" = json!("session"))),
    request_body = UserCode,
    responses(
        (status = 204, description = "Refused: it gets nothing"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn refuse_device(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<UserCode>,
) -> Response {
    answer(&admin, &body.user_code, DeviceWord::Refuse).await
}
