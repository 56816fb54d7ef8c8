//! Signing in with a provider: which there are, the way there, the way back; and the same for
//! whoever is signed in already. What is open to anybody tells nobody who has an account.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{PageQuery, next_cursor};
use crate::path::IdentityPath;
use crate::routes::auth::Tokens;
use crate::routes::people_view::SessionView;
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use identity::people::{Arrived, Back, BackWithCode, Departure, domain_of};
use port::{Code, Refusal};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tenancy::{LinkedIdentity, PAGE_ITEMS_MAX, Provider, ProviderId, UserId};
use types::{TenantId, TimestampMs};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(offer_providers))
        .routes(routes!(depart))
        .routes(routes!(arrive))
        .routes(routes!(arrive_with_code))
        .routes(routes!(depart_to_elevate))
        .routes(routes!(return_to_session))
        .routes(routes!(list_identities, depart_to_link))
        .routes(routes!(unlink_identity))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OfferQuery {
    email: Option<String>,
    tenant: Option<TenantId>,
}

#[derive(Serialize, ToSchema)]
struct Offer {
    id: String,
    /// `Sign in with <name>`.
    name: String,
}

impl From<Provider> for Offer {
    fn from(provider: Provider) -> Offer {
        Offer { id: provider.id.to_string(), name: provider.name }
    }
}

#[derive(Serialize, ToSchema)]
struct Offers {
    providers: Vec<Offer>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Depart {
    /// The provider's id.
    #[schema(value_type = String)]
    provider: ProviderId,
    /// A random text of 16 to 128 bytes that the device makes once and keeps: only with it one
    /// comes back.
    #[schema(value_type = String)]
    device: SecretString,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DepartAgain {
    /// As above.
    #[schema(value_type = String)]
    device: SecretString,
}

#[derive(Serialize, ToSchema)]
struct Way {
    /// Where the browser goes.
    url: String,
    /// Until then it may come back. Milliseconds since 1970.
    expires_at: TimestampMs,
}

impl From<Departure> for Way {
    fn from(departure: Departure) -> Way {
        Way { url: departure.url, expires_at: departure.expires_at }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Arrive {
    /// From the address that the provider sent the browser back to, as the next two.
    #[schema(value_type = String)]
    state: SecretString,
    #[schema(value_type = String)]
    code: SecretString,
    /// Only some providers name themselves.
    iss: Option<String>,
    /// As it was on the way there.
    #[schema(value_type = String)]
    device: SecretString,
    /// What the device calls itself, for the list of sessions.
    #[serde(default)]
    device_name: String,
}

impl Arrive {
    fn back(self, admin: &Admin) -> Back {
        Back {
            state: self.state,
            code: self.code,
            issuer: self.iss,
            device: self.device,
            device_name: self.device_name,
            address: admin.address(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ArriveWithCode {
    #[schema(value_type = String)]
    ticket: SecretString,
    /// Six digits, or a recovery code.
    #[schema(value_type = String)]
    code: SecretString,
    /// As it was on the way there.
    #[schema(value_type = String)]
    device: SecretString,
    #[serde(default)]
    device_name: String,
}

/// One of both.
#[derive(Serialize, ToSchema)]
struct ArrivedView {
    tokens: Option<Tokens>,
    /// The account's own second factor is asked for: send it with its code.
    ticket: Option<String>,
    /// Of the ticket.
    expires_at: Option<TimestampMs>,
}

impl From<Arrived> for ArrivedView {
    fn from(arrived: Arrived) -> ArrivedView {
        match arrived {
            Arrived::SignedIn(signed_in) => {
                let tokens = Some(Tokens::from(*signed_in));
                ArrivedView { tokens, ticket: None, expires_at: None }
            }
            Arrived::NeedsCode { ticket, expires_at } => ArrivedView {
                tokens: None,
                ticket: Some(ticket.expose_secret().to_owned()),
                expires_at: Some(expires_at),
            },
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = LinkedIdentity)]
struct IdentityView {
    id: String,
    issuer: String,
    /// Whom the provider calls so.
    subject: String,
    /// As the provider said when it was linked.
    email: String,
    created_at: TimestampMs,
    /// When it was last signed in with.
    seen_at: TimestampMs,
}

impl From<LinkedIdentity> for IdentityView {
    fn from(identity: LinkedIdentity) -> IdentityView {
        IdentityView {
            id: identity.id.to_string(),
            issuer: identity.issuer,
            subject: identity.subject,
            email: identity.email,
            created_at: identity.created_at,
            seen_at: identity.seen_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct IdentityList {
    identities: Vec<IdentityView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

/// The providers that are offered before anybody is known
///
/// Those of the installation, and those for the domain of `email` or of a `tenant`. Only the domain
/// is looked at: nothing tells whether there is such an account.
#[utoipa::path(
    get, path = "/v1/auth/providers", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    params(
        ("email" = Option<String>, Query, description = "Whoever wants to sign in"),
        ("tenant" = Option<String>, Query, description = "Of this tenant too"),
    ),
    responses(
        (status = 200, description = "Providers to choose from", body = Offers),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn offer_providers(admin: Admin, StrictQuery(query): StrictQuery<OfferQuery>) -> Response {
    let outcome = async {
        let own = admin.tenancy.providers(Some(None), None, PAGE_ITEMS_MAX).await?;
        let mut found = own.items;
        if let Some(tenant) = query.tenant {
            let of_tenant = admin.tenancy.providers(Some(Some(tenant)), None, PAGE_ITEMS_MAX);
            found.extend(of_tenant.await?.items);
        }
        found.retain(|provider| provider.is_enabled);
        if let Some(domain) = query.email.as_deref().and_then(domain_of) {
            for offered in admin.tenancy.providers_offered(&domain).await? {
                if found.iter().all(|known| known.id != offered.id) {
                    found.push(offered);
                }
            }
        }
        Ok::<_, Refusal>(Json(Offers { providers: found.into_iter().map(Offer::from).collect() }))
    };
    admin.answer(outcome.await)
}

/// Set out to sign in with a provider
#[utoipa::path(
    post, path = "/v1/auth/providers/start", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    request_body = Depart,
    responses(
        (status = 200, description = "Where to go", body = Way),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn depart(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Depart>,
) -> Response {
    let outcome = admin.people.depart(body.provider, &body.device).await;
    admin.answer(outcome.map(|departure| Json(Way::from(departure))))
}

/// Come back from a provider, and be signed in
///
/// Counts once, on the device that set out.
#[utoipa::path(
    post, path = "/v1/auth/providers/finish", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    request_body = Arrive,
    responses(
        (status = 200, description = "Signed in, or asked for the second factor",
            body = ArrivedView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn arrive(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Arrive>,
) -> Response {
    let back = body.back(&admin);
    let outcome = admin.people.arrive(back).await;
    admin.answer(outcome.map(|arrived| Json(ArrivedView::from(arrived))))
}

/// Give the second factor's code, after a provider
#[utoipa::path(
    post, path = "/v1/auth/providers/second-factor", tag = "sign-in",
    extensions(("x-permission" = json!("none"))),
    request_body = ArriveWithCode,
    responses(
        (status = 200, description = "Signed in", body = Tokens),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn arrive_with_code(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<ArriveWithCode>,
) -> Response {
    let back = BackWithCode {
        ticket: body.ticket,
        code: body.code,
        device: body.device,
        device_name: body.device_name,
        address: admin.address(),
    };
    let outcome = admin.people.arrive_with_code(back).await;
    admin.answer(outcome.map(|signed_in| Json(Tokens::from(signed_in))))
}

/// Set out to prove again who you are, with the provider of this session
#[utoipa::path(
    post, path = "/v1/auth/providers/elevate", tag = "sign-in",
    extensions(("x-permission" = json!("session"))),
    request_body = DepartAgain,
    responses(
        (status = 200, description = "Where to go", body = Way),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn depart_to_elevate(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<DepartAgain>,
) -> Response {
    let outcome = async {
        let departure = admin.people.depart_to_elevate(admin.person()?, &body.device).await?;
        Ok::<_, Refusal>(Json(Way::from(departure)))
    };
    admin.answer(outcome.await)
}

/// Come back from a provider to the session that set out: proven again, or linked
#[utoipa::path(
    post, path = "/v1/auth/providers/return", tag = "sign-in",
    extensions(("x-permission" = json!("session"))),
    request_body = Arrive,
    responses(
        (status = 200, description = "The session", body = SessionView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn return_to_session(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Arrive>,
) -> Response {
    let outcome = async {
        let back = body.back(&admin);
        let session = admin.people.return_to_session(admin.person()?, &back).await?;
        let id = session.id;
        Ok::<_, Refusal>(Json(SessionView::new(session, Some(id))))
    };
    admin.answer(outcome.await)
}

/// List the accounts at providers that stand for you
#[utoipa::path(
    get, path = "/v1/account/identities", tag = "account",
    extensions(("x-permission" = json!("session"))),
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Yours, in the order of their identifiers",
            body = IdentityList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_identities(admin: Admin, StrictQuery(query): StrictQuery<PageQuery>) -> Response {
    let outcome = async {
        let user: UserId = admin.person()?.user.id;
        let page = admin.tenancy.identities(user, query.place()?, query.limit()?).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let identities = page.items.into_iter().map(IdentityView::from).collect();
        Ok::<_, Refusal>(Json(IdentityList { identities, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Set out to a provider whose account is to stand for you
///
/// Come back to `/v1/auth/providers/return`.
#[utoipa::path(
    post, path = "/v1/account/identities", tag = "account",
    extensions(("x-permission" = json!("session")), ("x-elevated" = json!(true))),
    request_body = Depart,
    responses(
        (status = 200, description = "Where to go", body = Way),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn depart_to_link(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Depart>,
) -> Response {
    let outcome = async {
        let (person, people) = (admin.person()?, &admin.people);
        let departure = people.depart_to_link(person, body.provider, &body.device).await?;
        Ok::<_, Refusal>(Json(Way::from(departure)))
    };
    admin.answer(outcome.await)
}

/// Have an account at a provider stand for you no more
#[utoipa::path(
    delete, path = "/v1/account/identities/{identity}", tag = "account",
    extensions(("x-permission" = json!("session")), ("x-elevated" = json!(true))),
    params(("identity" = String, Path, description = "The identity's id")),
    responses(
        (status = 204, description = "Done; its sessions go on until they are ended"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn unlink_identity(
    admin: Admin,
    IdentityPath(identity): IdentityPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let person = admin.person()?;
        admin.people.require_own_session(person)?;
        let user = person.user.id;
        admin.tenancy.unlink_identity(user, identity, &admin.actor()).await.map_err(|error| {
            match error {
                tenancy::TenancyError::NotFound { .. } => {
                    Refusal::new(Code::NotFound, "there is no such identity of yours")
                }
                other => other.into(),
            }
        })?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}
