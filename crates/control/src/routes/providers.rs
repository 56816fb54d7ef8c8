//! Providers that people sign in with: set up, looked at, changed, tried out, deleted. A tenant's
//! provider is the tenant's to set up, the installation's the installation's. Who writes one
//! answers for all of it: its rules give nothing that he could not give himself, and its word gives
//! nobody more than he may do there.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{limit, next_cursor, place as cursor_place};
use crate::path::ProviderPath;
use crate::routes::providers_view::{ProviderBody, ProviderPatch, ProviderView, TestView};
use crate::routes::roles::{check_may_give, place};
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use identity::people::{ProviderWish, place_of};
use port::{Code, Refusal};
use rules::{Permission, PermissionSet, Place};
use serde::{Deserialize, Serialize};
use tenancy::{GroupRule, Provider, ProviderId};
use types::TenantId;
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list_providers, create_provider))
        .routes(routes!(get_provider, update_provider, delete_provider))
        .routes(routes!(test_provider))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ProviderQuery {
    tenant: Option<TenantId>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct ProviderList {
    identity_providers: Vec<ProviderView>,
    /// For the next page; `null` on the last.
    next_cursor: Option<String>,
}

fn missing() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such provider")
}

/// Where he may not look, it is not there.
async fn seen(
    admin: &Admin,
    provider: ProviderId,
    permission: Permission,
) -> Result<Provider, Refusal> {
    let found = admin.people.provider(provider).await.map_err(|refusal| match refusal.code() {
        Code::NotFound => missing(),
        _ => refusal,
    })?;
    admin.require(Permission::ProvidersRead, place_of(&found)).map_err(|_| missing())?;
    admin.require(permission, place_of(&found))?;
    Ok(found)
}

/// Whoever makes a provider speak could have given each of these roles himself.
async fn check_rules(admin: &Admin, rules: &[GroupRule]) -> Result<(), Refusal> {
    for (number, rule) in rules.iter().enumerate() {
        let there = place(rule.tenant, rule.project);
        check_may_give(admin, &rule.role, there, None).await.map_err(|refusal| {
            let field = format!("rules[{number}].role");
            refusal.field(field)
        })?;
    }
    Ok(())
}

/// What whoever asks may do there whatever the circumstances: a provider's word gives nobody more.
fn ceiling(admin: &Admin, there: Place) -> Option<Vec<String>> {
    let held = admin.rights().lasting_at(there);
    match held == PermissionSet::all() {
        true => None,
        false => Some(held.iter().map(|permission| permission.name().to_owned()).collect()),
    }
}

/// To be offered to whoever types an address of a domain, the installation has to agree: else a
/// tenant could stand between others and their sign-in.
fn check_offered(admin: &Admin) -> Result<(), Refusal> {
    admin.require(Permission::ProvidersWrite, Place::Installation).map_err(|refusal| {
        refusal
            .field("is_offered")
            .hint("somebody who looks after the installation confirms that the domains are yours")
    })
}

/// Whether it is offered after the change. Other domains have to be confirmed anew.
fn offered(admin: &Admin, before: &Provider, wish: &ProviderWish) -> Result<bool, Refusal> {
    let is_confirmed = before.is_offered && wish.terms.domains == before.terms.domains;
    if !wish.is_offered || is_confirmed {
        return Ok(wish.is_offered);
    }
    match check_offered(admin) {
        Ok(()) => Ok(true),
        // It was offered for the domains of before, and nobody asked for more.
        Err(_) if before.is_offered => Ok(false),
        Err(refusal) => Err(refusal),
    }
}

/// List the providers that people sign in with
///
/// Of the installation itself and of all tenants, or, with `tenant`, of that tenant.
#[utoipa::path(
    get, path = "/v1/identity-providers", tag = "identity-providers",
    extensions(("x-permission" = json!("providers:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Only those of this tenant"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Providers in the order of their identifiers",
            body = ProviderList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_providers(admin: Admin, StrictQuery(query): StrictQuery<ProviderQuery>) -> Response {
    let outcome = async {
        let (tenant, project) = admin.narrowed(Permission::ProvidersRead, (query.tenant, None))?;
        // In one project only there is no provider to see.
        if let (Some(tenant), Some(_)) = (tenant, project) {
            admin.require(Permission::ProvidersRead, Place::Tenant(tenant))?;
        }
        let (after, limit) = (cursor_place(query.cursor.as_deref())?, limit(query.limit)?);
        let page = admin.tenancy.providers(tenant.map(Some), after, limit).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let url = admin.people.return_url();
        let all = page.items.into_iter().map(|found| ProviderView::new(found, &url));
        Ok(Json(ProviderList { identity_providers: all.collect(), next_cursor }))
    };
    admin.answer(outcome.await)
}

/// Look at a provider, without its secret
#[utoipa::path(
    get, path = "/v1/identity-providers/{provider}", tag = "identity-providers",
    extensions(("x-permission" = json!("providers:read")), ("x-checked" = json!("handler"))),
    params(("provider" = String, Path, description = "The provider's id")),
    responses(
        (status = 200, description = "The provider", body = ProviderView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_provider(
    admin: Admin,
    ProviderPath(provider): ProviderPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = seen(&admin, provider, Permission::ProvidersRead).await;
    let url = admin.people.return_url();
    admin.answer(outcome.map(|found| Json(ProviderView::new(found, &url))))
}

/// Set up a provider that people sign in with
///
/// Register `redirect_uri` of the answer with the provider. The client's secret is stored sealed,
/// and never shown.
#[utoipa::path(
    post, path = "/v1/identity-providers", tag = "identity-providers",
    extensions(
        ("x-permission" = json!("providers:write")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true))
    ),
    request_body = ProviderBody,
    responses(
        (status = 201, description = "Set up", body = ProviderView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn create_provider(
    admin: Admin,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<ProviderBody>,
) -> Response {
    let outcome = async {
        let (tenant, issuer) = (body.tenant, body.issuer.clone());
        let there = place(tenant, None);
        admin.require(Permission::ProvidersWrite, there)?;
        let wish = ProviderWish { ceiling: ceiling(&admin, there), ..body.wish() };
        check_rules(&admin, &wish.terms.rules).await?;
        if wish.is_offered {
            check_offered(&admin)?;
        }
        let made = admin.people.create_provider(tenant, issuer, wish, &admin.actor()).await?;
        let view = ProviderView::new(made, &admin.people.return_url());
        Ok((StatusCode::CREATED, Json(view)))
    };
    admin.answer(outcome.await)
}

/// Change a provider; switched off, its sessions end
///
/// What is absent stays as it is. The issuer never changes: accounts belong to it.
#[utoipa::path(
    patch, path = "/v1/identity-providers/{provider}", tag = "identity-providers",
    extensions(
        ("x-permission" = json!("providers:write")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true))
    ),
    params(("provider" = String, Path, description = "The provider's id")),
    request_body = ProviderPatch,
    responses(
        (status = 200, description = "Changed", body = ProviderView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn update_provider(
    admin: Admin,
    ProviderPath(provider): ProviderPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<ProviderPatch>,
) -> Response {
    let outcome = async {
        let before = seen(&admin, provider, Permission::ProvidersWrite).await?;
        let is_switching_off = body.only_switches_off();
        let wish = body.wish(&before);
        // Whoever may change it may switch it off, and answers for nothing by that.
        let wish = match is_switching_off {
            true => ProviderWish { ceiling: before.ceiling.clone(), ..wish },
            false => {
                check_rules(&admin, &before.terms.rules).await?;
                check_rules(&admin, &wish.terms.rules).await?;
                ProviderWish { ceiling: ceiling(&admin, place_of(&before)), ..wish }
            }
        };
        let wish = ProviderWish { is_offered: offered(&admin, &before, &wish)?, ..wish };
        let changed = admin.people.update_provider(&before, wish, &admin.actor()).await?;
        Ok(Json(ProviderView::new(changed, &admin.people.return_url())))
    };
    admin.answer(outcome.await)
}

/// Delete a provider, with its sessions and the roles its rules gave
#[utoipa::path(
    delete, path = "/v1/identity-providers/{provider}", tag = "identity-providers",
    extensions(
        ("x-permission" = json!("providers:write")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true))
    ),
    params(("provider" = String, Path, description = "The provider's id")),
    responses(
        (status = 204, description = "Deleted; accounts stay"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn delete_provider(
    admin: Admin,
    ProviderPath(provider): ProviderPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let found = seen(&admin, provider, Permission::ProvidersWrite).await?;
        check_rules(&admin, &found.terms.rules).await?;
        admin.tenancy.delete_provider(provider, &admin.actor()).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}

/// Try a provider out: its description, its keys, whether it knows the client
///
/// A made-up code shows whether the provider takes the client's id and secret.
#[utoipa::path(
    post, path = "/v1/identity-providers/{provider}/test", tag = "identity-providers",
    extensions(("x-permission" = json!("providers:write")), ("x-checked" = json!("handler"))),
    params(("provider" = String, Path, description = "The provider's id")),
    responses(
        (status = 200, description = "What was found", body = TestView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn test_provider(
    admin: Admin,
    ProviderPath(provider): ProviderPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let found = seen(&admin, provider, Permission::ProvidersWrite).await?;
        let tried = admin.people.try_provider(&found).await?;
        Ok(Json(TestView::new(tried, admin.people.return_url())))
    };
    admin.answer(outcome.await)
}
