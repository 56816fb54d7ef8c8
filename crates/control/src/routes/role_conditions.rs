//! Conditions of a role that somebody has, what was noted of people that conditions ask about, and
//! the question whether somebody may do something somewhere, from an address, at a time. Whoever
//! loosens conditions, or notes what fulfils them, gives: so he must have what he gives.

use crate::Routes;
use crate::admin::Admin;
use crate::path::{BindingPath, UserPath};
use crate::routes::conditions_view::{
    BindingView, ConditionsSchema, check, check_givable, version_of, view_of,
};
use crate::routes::roles::{check_takes, place, place_of, set_of};
use crate::routes::users::check_may_see;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue};
use identity::people::{Standing, stored_conditions};
use port::{Code, Refusal};
use rules::role_conditions::{ATTRIBUTES_MAX, is_attribute_name, is_attribute_value};
use rules::{Circumstances, Permission, Place, RoleConditions};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;
use tenancy::{Attributes, ConditionsChange, UserStatus};
use types::{ProjectId, TenantId, TimestampMs};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

/// The longest that somebody can be asked about who proved himself so long ago.
const MINUTES_MAX: u32 = 60 * 24 * 366;
const MINUTE_MS: i64 = 60_000;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(get_binding, set_role_conditions))
        .routes(routes!(get_attributes, set_attributes))
        .routes(routes!(explain_user))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetConditions {
    /// All of them; `{}`: the role counts always.
    #[schema(value_type = ConditionsSchema)]
    conditions: RoleConditions,
    /// The `version` that the change was made from: refused when there is another by now. May come
    /// as `If-Match` too.
    version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AttributeQuery {
    tenant: Option<TenantId>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AttributeSet {
    /// By name: 1 to 32 of `a-z`, `0-9` and `_`, the first a letter; values of 1 to 128 bytes; 20
    /// at most.
    attributes: Attributes,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ExplainUser {
    /// One of those that `/v1/permissions` lists.
    permission: String,
    /// In this tenant; in the installation when absent.
    #[schema(value_type = Option<String>)]
    tenant: Option<TenantId>,
    #[schema(value_type = Option<String>)]
    project: Option<ProjectId>,
    /// From there; not known when absent, and what is not known is not fulfilled.
    #[schema(value_type = Option<String>)]
    address: Option<IpAddr>,
    #[serde(default)]
    tls: bool,
    /// Milliseconds since 1970; now when absent.
    at: Option<TimestampMs>,
    /// With a second factor or a passkey.
    #[serde(default)]
    strong_sign_in: bool,
    /// The last proof of who he is was so many minutes before.
    signed_in_minutes: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct ConsideredRole {
    role: BindingView,
    /// Why it does not allow it: `permission`, `place` or `conditions`; `null`: it does.
    lacks: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
struct ExplainedUser {
    is_allowed: bool,
    reason: String,
    /// The identifier of the role that allows it.
    decided_by: Option<String>,
    /// The user's roles: what allows it first, then what a condition keeps from that.
    considered: Vec<ConsideredRole>,
    /// `false`: roles in places that you may not look into are not among them.
    is_complete: bool,
}

fn conditions_of(stored: Option<serde_json::Value>) -> Option<RoleConditions> {
    match stored {
        None => Some(RoleConditions::default()),
        Some(stored) => serde_json::from_value(stored).ok(),
    }
}

/// Refuses a change that was made from other conditions than there are.
fn check_version(
    headers: &HeaderMap,
    in_body: Option<String>,
    found: Option<&Value>,
) -> Result<(), Refusal> {
    let in_header = headers.get(IF_MATCH).and_then(|it| it.to_str().ok()).map(str::trim);
    let in_header = in_header.filter(|text| *text != "*").map(|text| text.trim_matches('"'));
    match in_header.or(in_body.as_deref()) {
        Some(expected) if expected != version_of(found) => {
            let why = "somebody changed the conditions meanwhile";
            let hint = "look at the role again, and change it from there";
            Err(Refusal::new(Code::Conflict, why).field("if-match").hint(hint))
        }
        _ => Ok(()),
    }
}

fn with_tag(view: BindingView) -> Response {
    let tag = view.version.as_deref().map(|version| format!("\"{version}\""));
    let tag = tag.and_then(|tag| HeaderValue::try_from(tag).ok());
    let mut response = Json(view).into_response();
    if let Some(tag) = tag {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Look at a role that somebody has
#[utoipa::path(
    get, path = "/v1/role-bindings/{binding}", tag = "roles",
    extensions(("x-permission" = json!("users:read")), ("x-checked" = json!("handler"))),
    params(("binding" = String, Path, description = "The binding's id")),
    responses(
        (status = 200, description = "The role with its conditions; `ETag` is their version",
            body = BindingView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_binding(
    admin: Admin,
    BindingPath(binding): BindingPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let found = admin.tenancy.binding(binding).await?;
        let may = admin.require(Permission::UsersRead, place_of(&found));
        may.map_err(|_| Refusal::new(Code::NotFound, "there is no such binding"))?;
        view_of(&admin, found).await.map(with_tag)
    };
    admin.answer(outcome.await)
}

/// Say under which circumstances a role counts; in force with the next request
#[utoipa::path(
    patch, path = "/v1/role-bindings/{binding}", tag = "roles",
    extensions(
        ("x-permission" = json!("roles:write")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true))
    ),
    params(
        ("binding" = String, Path, description = "The binding's id"),
        ("If-Match" = Option<String>, Header,
            description = "The `ETag` that the change was made from"),
    ),
    request_body = SetConditions,
    responses(
        (status = 200, description = "Changed", body = BindingView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn set_role_conditions(
    admin: Admin,
    BindingPath(binding): BindingPath,
    headers: HeaderMap,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<SetConditions>,
) -> Response {
    let outcome = async {
        let wanted = body.conditions;
        check(Some(&wanted))?;
        let found = admin.tenancy.binding(binding).await?;
        let (there, is_owner) = (place_of(&found), found.role == "owner");
        let may = admin.require(Permission::RolesWrite, there);
        may.map_err(|_| Refusal::new(Code::NotFound, "there is no such binding"))?;
        let set = set_of(&admin, &found.role).await?;
        check_takes(&admin, set, there)?;
        check_version(&headers, body.version, found.conditions.as_ref())?;
        // Stricter than before is taking; all else is giving.
        let is_stricter =
            conditions_of(found.conditions.clone()).is_some_and(|before| wanted.is_within(&before));
        if !is_stricter {
            check_givable(&admin, set, there, Some(&wanted))?;
        }
        let to = stored_conditions(Some(&wanted))?;
        // What was judged just now is what is changed, also when the caller names no version.
        let change = ConditionsChange { binding, from: found.conditions, to };
        let changed = admin.tenancy.set_role_conditions(change, &admin.actor()).await;
        let changed = changed.map_err(|error| {
            let refusal = Refusal::from(error);
            match refusal.code() {
                Code::Conflict if is_owner && refusal.field_name() != Some("if-match") => {
                    refusal.field("conditions").hint(
                        "somebody owns the installation whatever the circumstances: make another \
                     active user owner without conditions first",
                    )
                }
                _ => refusal,
            }
        })?;
        view_of(&admin, changed).await.map(with_tag)
    };
    admin.answer(outcome.await)
}

fn book(tenant: Option<TenantId>) -> Place {
    tenant.map_or(Place::Installation, Place::Tenant)
}

/// Look at what was noted of a user
///
/// In the tenant, or, without one, in the installation: conditions of roles there ask about it.
#[utoipa::path(
    get, path = "/v1/users/{user}/attributes", tag = "users",
    extensions(("x-permission" = json!("users:read")), ("x-checked" = json!("handler"))),
    params(
        ("user" = String, Path, description = "The user's id"),
        ("tenant" = Option<String>, Query, description = "In this tenant"),
    ),
    responses(
        (status = 200, description = "What was noted", body = AttributeSet),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_attributes(
    admin: Admin,
    UserPath(user): UserPath,
    StrictQuery(query): StrictQuery<AttributeQuery>,
) -> Response {
    let outcome = async {
        check_may_see(&admin, user).await?;
        admin.require(Permission::UsersRead, book(query.tenant))?;
        let attributes = admin.tenancy.noted_of(user).await?.at(query.tenant);
        Ok(Json(AttributeSet { attributes }))
    };
    admin.answer(outcome.await)
}

fn check_attributes(wanted: &Attributes) -> Result<(), Refusal> {
    let invalid = |field: String, hint: String| {
        let why = "these attributes cannot be noted";
        Err(Refusal::new(Code::InvalidRequest, why).field(field).hint(hint))
    };
    if wanted.len() > ATTRIBUTES_MAX {
        return invalid("attributes".to_owned(), format!("at most {ATTRIBUTES_MAX}"));
    }
    for (name, value) in wanted {
        if !is_attribute_name(name) {
            let rule = "names have 1 to 32 of `a-z`, `0-9` and `_`, the first a letter";
            return invalid("attributes".to_owned(), rule.to_owned());
        }
        if !is_attribute_value(value) {
            return invalid(format!("attributes.{name}"), "values have 1 to 128 bytes".to_owned());
        }
    }
    Ok(())
}

/// Note these attributes of a user, and no others
///
/// Of somebody with a role there. Whoever notes what lets a role count gives it.
#[utoipa::path(
    put, path = "/v1/users/{user}/attributes", tag = "users",
    extensions(
        ("x-permission" = json!("roles:write")),
        ("x-checked" = json!("handler")),
        ("x-elevated" = json!(true))
    ),
    params(
        ("user" = String, Path, description = "The user's id"),
        ("tenant" = Option<String>, Query, description = "In this tenant"),
    ),
    request_body = AttributeSet,
    responses(
        (status = 200, description = "Noted", body = AttributeSet),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn set_attributes(
    admin: Admin,
    UserPath(user): UserPath,
    StrictQuery(query): StrictQuery<AttributeQuery>,
    StrictJson(body): StrictJson<AttributeSet>,
) -> Response {
    let outcome = async {
        check_attributes(&body.attributes)?;
        check_may_see(&admin, user).await?;
        admin.require(Permission::RolesWrite, book(query.tenant))?;
        for held in admin.tenancy.bindings_of(user).await? {
            let Some(stored) = held.conditions.clone().filter(|_| held.tenant == query.tenant)
            else {
                continue;
            };
            let (set, there) = (set_of(&admin, &held.role).await?, place_of(&held));
            match conditions_of(Some(stored)) {
                Some(conditions) if conditions.attributes.is_empty() => {}
                Some(conditions) => check_givable(&admin, set, there, Some(&conditions))?,
                None => check_givable(&admin, set, there, None)?,
            }
        }
        let (wanted, by) = (body.attributes, admin.actor());
        let attributes = admin.tenancy.note_attributes(user, query.tenant, wanted, &by).await?;
        Ok(Json(AttributeSet { attributes }))
    };
    admin.answer(outcome.await)
}

/// Ask whether a user may do something somewhere, from an address, at a time, and which role or
/// condition decides it
///
/// By his roles alone: what a sign-in provider's word leaves of them, fresh proofs, and a second
/// person's approval are asked for besides.
#[utoipa::path(
    post, path = "/v1/users/{user}/explain", tag = "users",
    extensions(("x-permission" = json!("users:read")), ("x-checked" = json!("handler"))),
    params(("user" = String, Path, description = "The user's id")),
    request_body = ExplainUser,
    responses(
        (status = 200, description = "The answer, with each of the roles", body = ExplainedUser),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn explain_user(
    admin: Admin,
    UserPath(user): UserPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<ExplainUser>,
) -> Response {
    let outcome = async {
        check_may_see(&admin, user).await?;
        let invalid = |field: &'static str, why: &'static str| {
            Refusal::new(Code::InvalidRequest, why).field(field)
        };
        let permission = Permission::named(&body.permission).ok_or_else(|| {
            invalid("permission", "there is no such permission").hint("see /v1/permissions")
        })?;
        if body.tenant.is_none() && body.project.is_some() {
            return Err(invalid("tenant", "a project needs its tenant"));
        }
        if body.signed_in_minutes.is_some_and(|minutes| minutes > MINUTES_MAX) {
            return Err(invalid("signed_in_minutes", "at most a year"));
        }
        let there = place(body.tenant, body.project);
        admin.require(Permission::UsersRead, there)?;
        let now = body.at.unwrap_or_else(|| admin.clock.now_ms());
        let ago = |minutes: u32| now.saturating_sub(i64::from(minutes) * MINUTE_MS);
        let here = Circumstances {
            now,
            address: body.address,
            is_tls: body.tls,
            is_strong: body.strong_sign_in,
            proven_at: body.signed_in_minutes.map(ago),
        };
        let status = admin.tenancy.user(user).await?.status;
        let mut roles = admin.people.standing(user, here).await?;
        let rights = admin.rights();
        roles.retain(|it| rights.allow(Permission::UsersRead, place_of(&it.binding)));
        let is_complete = rights.allow(Permission::UsersRead, Place::Installation);
        Ok(Json(explained(roles, (permission, there), status, is_complete)))
    };
    admin.answer(outcome.await)
}

fn explained(
    roles: Vec<Standing>,
    (permission, there): (Permission, Place),
    status: UserStatus,
    is_complete: bool,
) -> ExplainedUser {
    let lacks = |it: &Standing| match it {
        it if !it.set.has(permission) => Some("permission"),
        it if !place_of(&it.binding).covers(there) => Some("place"),
        it if !it.unmet.is_empty() => Some("conditions"),
        _ => None,
    };
    let decided_by = roles.iter().find(|it| lacks(it).is_none()).map(|it| it.binding.id);
    let nearest = roles.iter().filter(|it| lacks(it) == Some("conditions"));
    let nearest = nearest.min_by_key(|it| it.unmet.len());
    let is_active = status == UserStatus::Active;
    let reason = match (is_active, decided_by, nearest) {
        (false, ..) => format!("the user is {}", status.name()),
        (true, Some(_), _) => "a role allows it".to_owned(),
        (true, None, Some(role)) => {
            let why: Vec<&str> = role.unmet.iter().map(|unmet| unmet.meaning()).collect();
            format!("a role would allow it, and is not in force: {}", why.join(", "))
        }
        (true, None, None) if is_complete => "no role allows it there".to_owned(),
        (true, None, None) => "no role that you may see allows it there".to_owned(),
    };
    let order = |lacks: Option<&str>| match lacks {
        None => 0,
        Some("conditions") => 1,
        Some(_) => 2,
    };
    let mut considered: Vec<ConsideredRole> = roles
        .into_iter()
        .map(|it| ConsideredRole { lacks: lacks(&it), role: BindingView::new(it) })
        .collect();
    considered.sort_by_key(|it| order(it.lacks));
    ExplainedUser {
        is_allowed: is_active && decided_by.is_some(),
        reason,
        decided_by: decided_by.filter(|_| is_active).map(|id| id.to_string()),
        considered,
        is_complete,
    }
}
