//! Signing in and out, and setting the installation up. Tokens are in answers only, shown once and
//! never kept for a repetition.

use crate::Routes;
use crate::admin::Admin;
use crate::routes::passkey_json::PasskeyCredential;
use crate::routes::people_view::{SessionView, UserView};
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use identity::people::{NewOwner, Proof, Refresh, SignIn, SignedIn};
use port::{Code, Refusal};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use types::TimestampMs;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(look_at_setup, set_up))
        .routes(routes!(log_in))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(elevate))
}

#[derive(Serialize, ToSchema)]
struct SetupView {
    /// Nobody was set up yet: the installation waits for its owner.
    needs_owner: bool,
    /// The origin on whose pages passkeys can be used; `null` where there are none.
    passkey_origin: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetUp {
    email: String,
    /// 1 to 128 bytes.
    name: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LogIn {
    email: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// Of the second factor, when the account has one: six digits, or a recovery code.
    #[schema(value_type = Option<String>)]
    code: Option<SecretString>,
    /// In place of the code: what a passkey answered to
    /// `/v1/auth/passkey/second-factor-options`.
    passkey: Option<PasskeyCredential>,
    /// A random text of 16 to 128 bytes that the device makes once and keeps. Refresh tokens count
    /// together with it only, and the user is told when somebody signs in with another.
    #[schema(value_type = String)]
    device: SecretString,
    /// What the device calls itself, for the list of sessions.
    #[serde(default)]
    device_name: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefreshTokens {
    #[schema(value_type = String)]
    refresh_token: SecretString,
    /// As it was when the user signed in.
    #[schema(value_type = String)]
    device: SecretString,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Elevate {
    /// Not needed with `passkey`.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// Of the second factor, when the account has one.
    #[schema(value_type = Option<String>)]
    code: Option<SecretString>,
    /// What a passkey answered to `/v1/auth/passkey/elevate-options`; it proves enough by itself.
    passkey: Option<PasskeyCredential>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    user: UserView,
    session: SessionView,
    /// For `Authorization: Bearer`.
    access_token: String,
    /// Milliseconds since 1970.
    access_expires_at: TimestampMs,
    /// Counts once, for the next tokens.
    refresh_token: String,
}

impl From<SignedIn> for Tokens {
    fn from(signed_in: SignedIn) -> Tokens {
        let id = signed_in.session.id;
        Tokens {
            user: signed_in.user.into(),
            session: SessionView::new(signed_in.session, Some(id)),
            access_token: signed_in.access.expose_secret().to_owned(),
            access_expires_at: signed_in.access_expires_at,
            refresh_token: signed_in.refresh.expose_secret().to_owned(),
        }
    }
}

/// Whether the installation still needs its owner
#[utoipa::path(
    get, path = "/v1/setup", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    responses(
        (status = 200, description = "Whether somebody has to be set up", body = SetupView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn look_at_setup(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let outcome = admin.people.needs_owner().await;
    let passkey_origin = admin.people.passkey_origin();
    admin.answer(outcome.map(|needs_owner| Json(SetupView { needs_owner, passkey_origin })))
}

/// Create the first user, who owns the installation
#[utoipa::path(
    post, path = "/v1/setup", tag = "sign-in",
    extensions(("x-permission" = json!("operator"))),
    request_body = SetUp,
    responses(
        (status = 201, description = "Created", body = UserView),
        (status = "default", description = "Refused, as soon as there is a user",
            body = ErrorSchema),
    ),
)]
async fn set_up(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<SetUp>,
) -> Response {
    let new = NewOwner { email: body.email, name: body.name, password: body.password };
    let outcome = admin.people.create_owner(new, &admin.actor()).await;
    admin.answer(outcome.map(|user| (StatusCode::CREATED, Json(UserView::from(user)))))
}

/// Sign in with address and password
#[utoipa::path(
    post, path = "/v1/auth/login", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    request_body = LogIn,
    responses(
        (status = 200, description = "Signed in", body = Tokens),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn log_in(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<LogIn>,
) -> Response {
    let outcome = async {
        let wish = SignIn {
            email: body.email,
            password: body.password,
            code: body.code,
            passkey: body.passkey.map(PasskeyCredential::proof).transpose()?,
            device: body.device,
            device_name: body.device_name,
            address: admin.address(),
        };
        admin.people.sign_in(wish).await
    };
    admin.answer(outcome.await.map(|signed_in| Json(Tokens::from(signed_in))))
}

/// Stay signed in: the next tokens of a session
///
/// A refresh token counts once. One that comes again, or from another device, ends its session.
#[utoipa::path(
    post, path = "/v1/auth/refresh", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    request_body = RefreshTokens,
    responses(
        (status = 200, description = "The next tokens", body = Tokens),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn refresh(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<RefreshTokens>,
) -> Response {
    let wish = Refresh { token: body.refresh_token, device: body.device, address: admin.address() };
    let outcome = admin.people.refresh(wish).await;
    admin.answer(outcome.map(|signed_in| Json(Tokens::from(signed_in))))
}

/// Sign out: end the session of the access token
#[utoipa::path(
    post, path = "/v1/auth/logout", tag = "sign-in",
    extensions(("x-permission" = json!("session"))),
    responses(
        (status = 204, description = "Signed out"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn log_out(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        admin.people.sign_out(admin.person()?).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}

fn no_proof() -> Refusal {
    Refusal::new(Code::CredentialMissing, "there is no proof of who you are")
        .field("password")
        .hint("send the password, or what a passkey answered as `passkey`")
}

/// Prove again who you are, for acts that need a recent proof
#[utoipa::path(
    post, path = "/v1/auth/elevate", tag = "sign-in",
    extensions(("x-permission" = json!("session"))),
    request_body = Elevate,
    responses(
        (status = 200, description = "The session, with how long the proof counts",
            body = SessionView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn elevate(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Elevate>,
) -> Response {
    let outcome = async {
        let person = admin.person()?;
        let address = admin.address();
        let session = match (body.passkey, body.password) {
            (Some(passkey), _) => {
                let proof = passkey.proof()?;
                admin.people.elevate_with_passkey(person, &proof, address).await?
            }
            (None, Some(password)) => {
                let proof = Proof { password, code: body.code, address };
                admin.people.elevate(person, &proof).await?
            }
            (None, None) => return Err(no_proof()),
        };
        let id = session.id;
        Ok(Json(SessionView::new(session, Some(id))))
    };
    admin.answer(outcome.await)
}
