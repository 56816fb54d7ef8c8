//! The second factor of one's own account, and taking it from somebody who lost his.

use crate::Routes;
use crate::admin::Admin;
use crate::path::UserPath;
use crate::repeat::Kept;
use crate::routes::users::check_may_change;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use port::Refusal;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(start, remove))
        .routes(routes!(confirm))
        .routes(routes!(remove_of_user))
}

#[derive(Serialize, ToSchema)]
struct SecondFactorSecret {
    /// Base 32, for typing into a telephone.
    secret: String,
    /// The same as an `otpauth` address.
    uri: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Confirm {
    /// Six digits as the telephone shows them.
    code: String,
}

#[derive(Serialize, ToSchema)]
struct RecoveryCodes {
    /// Each counts once in place of the telephone's code. Shown this once.
    recovery_codes: Vec<String>,
}

/// An answer that is not kept for a repetition.
fn once(shown: impl Serialize) -> Result<Response, Refusal> {
    let shown = serde_json::to_value(shown).map_err(|error| Refusal::internal(&error))?;
    let mut response = Json(shown).into_response();
    response.extensions_mut().insert(Kept(Value::Null));
    Ok(response)
}

/// Begin to set up a second factor
///
/// It is asked for once `/v1/account/second-factor/confirm` has seen a code.
#[utoipa::path(
    post, path = "/v1/account/second-factor", tag = "account",
    extensions(("x-permission" = json!("session"))),
    responses(
        (status = 200, description = "The secret, shown this once", body = SecondFactorSecret),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn start(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        let enrolment = admin.people.start_second_factor(admin.person()?).await?;
        once(SecondFactorSecret {
            secret: enrolment.secret.expose_secret().to_owned(),
            uri: enrolment.uri.expose_secret().to_owned(),
        })
    };
    admin.answer(outcome.await)
}

/// Confirm the second factor with a code of it
#[utoipa::path(
    post, path = "/v1/account/second-factor/confirm", tag = "account",
    extensions(("x-permission" = json!("session"))),
    request_body = Confirm,
    responses(
        (status = 200, description = "Asked for from now on", body = RecoveryCodes),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn confirm(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Confirm>,
) -> Response {
    let outcome = async {
        let person = admin.person()?;
        let codes = admin.people.confirm_second_factor(person, &body.code).await?;
        once(RecoveryCodes { recovery_codes: codes })
    };
    admin.answer(outcome.await)
}

/// Do without the second factor
#[utoipa::path(
    delete, path = "/v1/account/second-factor", tag = "account",
    extensions(("x-permission" = json!("session")), ("x-elevated" = json!(true))),
    responses(
        (status = 204, description = "Removed"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn remove(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        let person = admin.person()?;
        admin.people.remove_second_factor(person.user.id, &person.actor()).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}

/// Remove the second factor of a user who lost it
#[utoipa::path(
    delete, path = "/v1/users/{user}/second-factor", tag = "users",
    extensions(
        ("x-permission" = json!("users:write")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true))
    ),
    params(("user" = String, Path, description = "The user's id")),
    responses(
        (status = 204, description = "Removed"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn remove_of_user(
    admin: Admin,
    UserPath(user): UserPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        check_may_change(&admin, user).await?;
        admin.people.remove_second_factor(user, &admin.actor()).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}
