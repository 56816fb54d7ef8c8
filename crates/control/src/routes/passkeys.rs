//! Passkeys: signing in with one, those of one's own account, and looking after those of others.
//! Options and answers are in the form browsers read and write themselves (Web Authentication
//! Level 3, `parseCreationOptionsFromJSON` and `toJSON`).

use crate::Routes;
use crate::admin::Admin;
use crate::path::{PasskeyPath, UserPasskeyPath, UserPath};
use crate::routes::auth::Tokens;
use crate::routes::passkey_json::{
    AttestedCredential, CreationOptionsView, PasskeyCredential, RequestOptionsView,
};
use crate::routes::users::{check_may_change, check_may_see};
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use identity::people::{MadePasskey, PasskeyAfterPassword, PasskeySignIn};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tenancy::Passkey;
use types::TimestampMs;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(passkey_options))
        .routes(routes!(sign_in_with_passkey))
        .routes(routes!(passkey_second_factor_options))
        .routes(routes!(passkey_elevate_options))
        .routes(routes!(passkey_creation_options))
        .routes(routes!(list_own_passkeys, register_passkey))
        .routes(routes!(rename_passkey, remove_passkey))
        .routes(routes!(list_passkeys_of_user))
        .routes(routes!(remove_passkey_of_user))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Passkey)]
struct PasskeyView {
    id: String,
    name: String,
    /// It lives on several devices, or in a backup.
    is_synced: bool,
    /// Milliseconds since 1970.
    created_at: TimestampMs,
    used_at: Option<TimestampMs>,
}

impl From<Passkey> for PasskeyView {
    fn from(passkey: Passkey) -> PasskeyView {
        PasskeyView {
            id: passkey.id.to_string(),
            name: passkey.name,
            is_synced: passkey.is_synced,
            created_at: passkey.created_at,
            used_at: passkey.used_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct PasskeyList {
    /// The oldest first; there are never more than 20.
    passkeys: Vec<PasskeyView>,
    /// Where they can be used: the origin of the console. `null`: nowhere, see
    /// `people.console_url`.
    origin: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasskeyLogIn {
    credential: PasskeyCredential,
    /// As in `POST /v1/auth/login`.
    #[schema(value_type = String)]
    device: SecretString,
    #[serde(default)]
    device_name: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SecondFactorOptions {
    email: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// As in `POST /v1/auth/login`.
    #[schema(value_type = String)]
    device: SecretString,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegisterPasskey {
    /// 1 to 128 bytes.
    name: String,
    credential: AttestedCredential,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RenamePasskey {
    /// 1 to 128 bytes.
    name: String,
}

/// Ask for options to sign in with a passkey
///
/// Whichever passkey the authenticator finds for the console's origin, with its user verified. The
/// challenge can be answered for five minutes, once.
#[utoipa::path(
    post, path = "/v1/auth/passkey/options", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    responses(
        (status = 200, description = "For `navigator.credentials.get`", body = RequestOptionsView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn passkey_options(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let options = admin.people.passkey_options();
    admin.answer(options.map(|options| Json(RequestOptionsView::from(options))))
}

/// Sign in with a passkey
#[utoipa::path(
    post, path = "/v1/auth/passkey/login", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    request_body = PasskeyLogIn,
    responses(
        (status = 200, description = "Signed in", body = Tokens),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn sign_in_with_passkey(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<PasskeyLogIn>,
) -> Response {
    let outcome = async {
        let wish = PasskeySignIn {
            proof: body.credential.proof()?,
            device: body.device,
            device_name: body.device_name,
            address: admin.address(),
        };
        admin.people.sign_in_with_passkey(wish).await
    };
    admin.answer(outcome.await.map(|signed_in| Json(Tokens::from(signed_in))))
}

/// Ask for options to use a passkey in place of the second factor's code
///
/// The answer goes as `passkey` into `POST /v1/auth/login`, with the same address and password.
#[utoipa::path(
    post, path = "/v1/auth/passkey/second-factor-options", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    request_body = SecondFactorOptions,
    responses(
        (status = 200, description = "For `navigator.credentials.get`", body = RequestOptionsView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn passkey_second_factor_options(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<SecondFactorOptions>,
) -> Response {
    let wish = PasskeyAfterPassword {
        email: body.email,
        password: body.password,
        device: body.device,
        address: admin.address(),
    };
    let outcome = admin.people.second_factor_options(wish).await;
    admin.answer(outcome.map(|options| Json(RequestOptionsView::from(options))))
}

/// Ask for options to prove again with a passkey who you are
///
/// The answer goes as `passkey` into `POST /v1/auth/elevate`.
#[utoipa::path(
    post, path = "/v1/auth/passkey/elevate-options", tag = "sign-in",
    extensions(("x-permission" = json!("session"))),
    responses(
        (status = 200, description = "For `navigator.credentials.get`", body = RequestOptionsView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn passkey_elevate_options(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        let options = admin.people.elevate_options(admin.person()?).await?;
        Ok(Json(RequestOptionsView::from(options)))
    };
    admin.answer(outcome.await)
}

/// Ask for options to make a passkey
#[utoipa::path(
    post, path = "/v1/account/passkeys/options", tag = "account",
    extensions(("x-permission" = json!("session")), ("x-elevated" = json!(true))),
    responses(
        (status = 200, description = "For `navigator.credentials.create`",
            body = CreationOptionsView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn passkey_creation_options(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async {
        let options = admin.people.begin_passkey(admin.person()?).await?;
        Ok(Json(CreationOptionsView::from(options)))
    };
    admin.answer(outcome.await)
}

/// Keep the passkey that was made
///
/// The challenge must be one of this session from the last five minutes. The user is told by mail.
#[utoipa::path(
    post, path = "/v1/account/passkeys", tag = "account",
    extensions(("x-permission" = json!("session")), ("x-elevated" = json!(true))),
    request_body = RegisterPasskey,
    responses(
        (status = 201, description = "Kept: it can be used from now on", body = PasskeyView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn register_passkey(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<RegisterPasskey>,
) -> Response {
    let outcome = async {
        let person = admin.person()?;
        let (answer, transports) = body.credential.answer()?;
        let made = MadePasskey { name: body.name, answer, transports };
        let passkey = admin.people.add_passkey(person, made, &admin.actor()).await?;
        Ok((StatusCode::CREATED, Json(PasskeyView::from(passkey))))
    };
    admin.answer(outcome.await)
}

async fn list(admin: &Admin, user: tenancy::UserId) -> Result<Json<PasskeyList>, port::Refusal> {
    let passkeys = admin.tenancy.passkeys(user).await?;
    Ok(Json(PasskeyList {
        passkeys: passkeys.into_iter().map(Into::into).collect(),
        origin: admin.people.passkey_origin(),
    }))
}

/// List one's own passkeys
#[utoipa::path(
    get, path = "/v1/account/passkeys", tag = "account",
    extensions(("x-permission" = json!("session"))),
    responses(
        (status = 200, description = "All of them", body = PasskeyList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_own_passkeys(admin: Admin, _: StrictQuery<NoQuery>) -> Response {
    let outcome = async { list(&admin, admin.person()?.user.id).await };
    admin.answer(outcome.await)
}

/// Give one of one's own passkeys another name
#[utoipa::path(
    patch, path = "/v1/account/passkeys/{passkey}", tag = "account",
    extensions(("x-permission" = json!("session"))),
    params(("passkey" = String, Path, description = "The passkey's id")),
    request_body = RenamePasskey,
    responses(
        (status = 200, description = "Renamed", body = PasskeyView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn rename_passkey(
    admin: Admin,
    PasskeyPath(passkey): PasskeyPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<RenamePasskey>,
) -> Response {
    let outcome = async {
        let (user, by) = (admin.person()?.user.id, admin.actor());
        let passkey = admin.tenancy.rename_passkey(user, passkey, &body.name, &by).await?;
        Ok(Json(PasskeyView::from(passkey)))
    };
    admin.answer(outcome.await)
}

/// Remove one of one's own passkeys
///
/// Refused when it is the last way to sign in. The user is told by mail.
#[utoipa::path(
    delete, path = "/v1/account/passkeys/{passkey}", tag = "account",
    extensions(("x-permission" = json!("session")), ("x-elevated" = json!(true))),
    params(("passkey" = String, Path, description = "The passkey's id")),
    responses(
        (status = 204, description = "Removed"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn remove_passkey(
    admin: Admin,
    PasskeyPath(passkey): PasskeyPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let user = &admin.person()?.user;
        admin.people.remove_passkey(user, passkey, &admin.actor()).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}

/// List a user's passkeys
#[utoipa::path(
    get, path = "/v1/users/{user}/passkeys", tag = "users",
    extensions(("x-permission" = json!("users:read")), ("x-checked" = json!("handler"))),
    params(("user" = String, Path, description = "The user's id")),
    responses(
        (status = 200, description = "All of them", body = PasskeyList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_passkeys_of_user(
    admin: Admin,
    UserPath(user): UserPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        check_may_see(&admin, user).await?;
        list(&admin, user).await
    };
    admin.answer(outcome.await)
}

/// Remove a passkey of a user who lost it
#[utoipa::path(
    delete, path = "/v1/users/{user}/passkeys/{passkey}", tag = "users",
    extensions(
        ("x-permission" = json!("users:write")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true))
    ),
    params(
        ("user" = String, Path, description = "The user's id"),
        ("passkey" = String, Path, description = "The passkey's id"),
    ),
    responses(
        (status = 204, description = "Removed"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn remove_passkey_of_user(
    admin: Admin,
    UserPasskeyPath { user, passkey }: UserPasskeyPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        check_may_change(&admin, user).await?;
        let user = admin.tenancy.user(user).await?;
        admin.people.remove_passkey(&user, passkey, &admin.actor()).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}
