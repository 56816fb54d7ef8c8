//! Access lists: of the installation, of a tenant (`tenant`), of a project (`tenant` and
//! `project`). Look at one, replace it, change entries of it; its versions, what is different
//! between two, going back to one; trying one out, and having a decision explained.

mod view;

use crate::Routes;
use crate::admin::Admin;
use crate::lists::{At, Patch, Question};
use crate::page::{limit, next_cursor, place};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue};
use port::{Code, Refusal};
use rules::Permission;
use rules::acl::difference;
use serde::Deserialize;
use tenancy::ListVersion;
use types::acl::Origin;
use types::{AccessList, Effect, Operation, ProjectId, TenantId, TopicName};
use utoipa_axum::routes;
use view::{
    DifferenceView, EntryList, ExplainList, Explained, ListView, PatchList, PutList, RollBackList,
    ValidateList, Validated, VersionList, VersionView,
};
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(get_acl, put_acl, patch_acl))
        .routes(routes!(list_acl_entries))
        .routes(routes!(list_acl_versions))
        .routes(routes!(diff_acl))
        .routes(routes!(roll_back_acl))
        .routes(routes!(validate_acl))
        .routes(routes!(explain_acl))
}

/// Where the list is: neither, the installation's; `tenant`; or both.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PlaceQuery {
    tenant: Option<TenantId>,
    project: Option<ProjectId>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GetQuery {
    tenant: Option<TenantId>,
    project: Option<ProjectId>,
    version: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EntriesQuery {
    tenant: Option<TenantId>,
    project: Option<ProjectId>,
    effect: Option<Effect>,
    operation: Option<Operation>,
    principal: Option<String>,
    topic: Option<TopicName>,
    text: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct VersionsQuery {
    tenant: Option<TenantId>,
    project: Option<ProjectId>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DiffQuery {
    tenant: Option<TenantId>,
    project: Option<ProjectId>,
    from: Option<u64>,
    to: Option<u64>,
}

/// The version that the change was made from, from the header or the body.
fn expected(headers: &HeaderMap, in_body: Option<u64>) -> Result<Option<u64>, Refusal> {
    let Some(header) = headers.get(IF_MATCH) else { return Ok(in_body) };
    let text = header.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(in_body);
    }
    let version = text.trim_matches('"').parse::<u64>().map_err(|_| {
        Refusal::new(Code::InvalidRequest, "`If-Match` names no version of a list")
            .field("if-match")
            .hint("send the `ETag` of the list as it was read, such as `\"3\"`")
    })?;
    Ok(Some(version))
}

fn with_tag(version: u64, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

fn written(made: ListVersion) -> Response {
    with_tag(made.version, Json(VersionView::from(made)))
}

/// Look at an access list
#[utoipa::path(
    get, path = "/v1/acl", tag = "access lists",
    extensions(("x-permission" = json!("acl:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Absent: the installation's list"),
        ("project" = Option<String>, Query, description = "Absent: the tenant's list"),
        ("version" = Option<u64>, Query, description = "The newest when absent"),
    ),
    responses(
        (status = 200, description = "The list; `ETag` is its version", body = ListView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_acl(admin: Admin, StrictQuery(query): StrictQuery<GetQuery>) -> Response {
    let outcome = async {
        let named = (query.tenant, query.project);
        let at = At::new(&admin, Permission::AccessRead, named).await?;
        let found = match query.version {
            Some(version) => Some(at.version(&admin, version).await?),
            None => admin.tenancy.access_list(at.owner, None).await?,
        };
        let version = found.as_ref().map_or(0, |(about, _)| about.version);
        Ok(with_tag(version, Json(ListView::from(found))))
    };
    admin.answer(outcome.await)
}

/// Replace an access list, or remove it
#[utoipa::path(
    put, path = "/v1/acl", tag = "access lists",
    extensions(("x-permission" = json!("acl:write")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Absent: the installation's list"),
        ("project" = Option<String>, Query, description = "Absent: the tenant's list"),
        ("If-Match" = Option<String>, Header,
            description = "The `ETag` the change was made from; refused when there is a newer"),
    ),
    request_body = PutList,
    responses(
        (status = 200, description = "The new version, in force within a second",
            body = VersionView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn put_acl(
    admin: Admin,
    headers: HeaderMap,
    StrictQuery(query): StrictQuery<PlaceQuery>,
    StrictJson(body): StrictJson<PutList>,
) -> Response {
    let outcome = async {
        let named = (query.tenant, query.project);
        let at = At::new(&admin, Permission::AccessWrite, named).await?;
        let from = expected(&headers, body.version)?;
        Ok(written(at.write(&admin, body.list, from, body.note).await?))
    };
    admin.answer(outcome.await)
}

/// Change entries of an access list, all of the changes or none
#[utoipa::path(
    patch, path = "/v1/acl", tag = "access lists",
    extensions(("x-permission" = json!("acl:write")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Absent: the installation's list"),
        ("project" = Option<String>, Query, description = "Absent: the tenant's list"),
        ("If-Match" = Option<String>, Header,
            description = "The `ETag` the change was made from; refused when there is a newer"),
    ),
    request_body = PatchList,
    responses(
        (status = 200, description = "The new version, in force within a second",
            body = VersionView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn patch_acl(
    admin: Admin,
    headers: HeaderMap,
    StrictQuery(query): StrictQuery<PlaceQuery>,
    StrictJson(body): StrictJson<PatchList>,
) -> Response {
    let outcome = async {
        let named = (query.tenant, query.project);
        let at = At::new(&admin, Permission::AccessWrite, named).await?;
        let expected = expected(&headers, body.version)?;
        let (newest, list) = at.newest(&admin).await?;
        let mut list: AccessList = list.unwrap_or_default();
        let patch = Patch {
            add: body.add,
            replace: body.replace,
            remove: body.remove,
            groups: body.groups,
            default: body.default,
        };
        patch.apply(&mut list)?;
        // What was read just now is what is changed, also when the caller names no version.
        let from = expected.unwrap_or(newest);
        Ok(written(at.write(&admin, Some(list), Some(from), body.note).await?))
    };
    admin.answer(outcome.await)
}

/// List entries of an access list that fit
#[utoipa::path(
    get, path = "/v1/acl/entries", tag = "access lists",
    extensions(("x-permission" = json!("acl:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Absent: the installation's list"),
        ("project" = Option<String>, Query, description = "Absent: the tenant's list"),
        ("effect" = Option<String>, Query, description = "`allow` or `deny`"),
        ("operation" = Option<String>, Query, description = "Entries that speak of it"),
        ("principal" = Option<String>, Query,
            description = "Entries that name it themselves, in a group, or by `*`"),
        ("topic" = Option<String>, Query, description = "Entries that speak of the topic"),
        ("text" = Option<String>, Query, description = "In the identifier or the note"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Entries in the order of the list", body = EntryList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_acl_entries(admin: Admin, StrictQuery(query): StrictQuery<EntriesQuery>) -> Response {
    let outcome = async {
        let limit = limit(query.limit)?;
        let skipped: usize = place(query.cursor.as_deref())?.unwrap_or(0);
        let named = (query.tenant, query.project);
        let at = At::new(&admin, Permission::AccessRead, named).await?;
        let (version, list) = at.newest(&admin).await?;
        let list = list.unwrap_or_default();
        let fitting = view::fitting(&list, &query);
        let total = fitting.len();
        let entries: Vec<_> = fitting.into_iter().skip(skipped).take(limit).cloned().collect();
        let next = skipped + entries.len();
        let next_cursor = next_cursor(Some(next), next < total);
        Ok(Json(EntryList { version, total, entries, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// List the versions of an access list
#[utoipa::path(
    get, path = "/v1/acl/versions", tag = "access lists",
    extensions(("x-permission" = json!("acl:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Absent: the installation's list"),
        ("project" = Option<String>, Query, description = "Absent: the tenant's list"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Newest first; the last 100 are kept", body = VersionList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_acl_versions(
    admin: Admin,
    StrictQuery(query): StrictQuery<VersionsQuery>,
) -> Response {
    let outcome = async {
        let limit = limit(query.limit)?;
        let before = place(query.cursor.as_deref())?;
        let named = (query.tenant, query.project);
        let at = At::new(&admin, Permission::AccessRead, named).await?;
        let page = admin.tenancy.access_list_versions(at.owner, before, limit).await?;
        let next_cursor = next_cursor(page.items.last().map(|last| last.version), page.has_more);
        let versions = page.items.into_iter().map(VersionView::from).collect();
        Ok(Json(VersionList { versions, next_cursor }))
    };
    admin.answer(outcome.await)
}

/// What is different between two versions of an access list
#[utoipa::path(
    get, path = "/v1/acl/diff", tag = "access lists",
    extensions(("x-permission" = json!("acl:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Absent: the installation's list"),
        ("project" = Option<String>, Query, description = "Absent: the tenant's list"),
        ("from" = Option<u64>, Query,
            description = "The version before `to` when absent; 0 is before the first"),
        ("to" = Option<u64>, Query, description = "The newest when absent"),
    ),
    responses(
        (status = 200, description = "Entries that came, went and changed",
            body = DifferenceView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn diff_acl(admin: Admin, StrictQuery(query): StrictQuery<DiffQuery>) -> Response {
    let outcome = async {
        let named = (query.tenant, query.project);
        let at = At::new(&admin, Permission::AccessRead, named).await?;
        let to = match query.to {
            Some(to) => to,
            None => at.newest(&admin).await?.0,
        };
        let from = query.from.unwrap_or(to.saturating_sub(1));
        let (before, after) = (at.side(&admin, from).await?, at.side(&admin, to).await?);
        Ok(Json(DifferenceView::new(from, to, difference(&before, &after))))
    };
    admin.answer(outcome.await)
}

/// Go back to a version of an access list, as a new version
#[utoipa::path(
    post, path = "/v1/acl/rollback", tag = "access lists",
    extensions(("x-permission" = json!("acl:write")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Absent: the installation's list"),
        ("project" = Option<String>, Query, description = "Absent: the tenant's list"),
    ),
    request_body = RollBackList,
    responses(
        (status = 200, description = "The new version, in force within a second",
            body = VersionView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn roll_back_acl(
    admin: Admin,
    StrictQuery(query): StrictQuery<PlaceQuery>,
    StrictJson(body): StrictJson<RollBackList>,
) -> Response {
    let outcome = async {
        let named = (query.tenant, query.project);
        let at = At::new(&admin, Permission::AccessWrite, named).await?;
        let (newest, _) = at.newest(&admin).await?;
        let (_, list) = at.version(&admin, body.version).await?;
        let note = match body.note.trim() {
            "" => format!("back to version {}", body.version),
            note => note.to_owned(),
        };
        Ok(written(at.write(&admin, list, Some(newest), note).await?))
    };
    admin.answer(outcome.await)
}

/// Try an access list out: what is wrong with it, what is odd, what it would change
#[utoipa::path(
    post, path = "/v1/acl/validate", tag = "access lists",
    extensions(("x-permission" = json!("acl:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Absent: the installation's list"),
        ("project" = Option<String>, Query, description = "Absent: the tenant's list"),
    ),
    request_body = ValidateList,
    responses(
        (status = 200, description = "Nothing was changed", body = Validated),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn validate_acl(
    admin: Admin,
    StrictQuery(query): StrictQuery<PlaceQuery>,
    StrictJson(body): StrictJson<ValidateList>,
) -> Response {
    let outcome = async {
        let named = (query.tenant, query.project);
        let at = At::new(&admin, Permission::AccessRead, named).await?;
        let problems = at.problems(&admin, &body.list).await?;
        let warnings = at.warnings(&admin, &body.list).await?;
        let (version, list) = at.newest(&admin).await?;
        let changes = difference(&list.unwrap_or_default(), &body.list);
        let is_valid = problems.is_empty();
        let changes = DifferenceView::new(version, version + 1, changes);
        Ok(Json(Validated { is_valid, problems, warnings, changes }))
    };
    admin.answer(outcome.await)
}

/// Would somebody be allowed something, and which entry decides it
#[utoipa::path(
    post, path = "/v1/acl/explain", tag = "access lists",
    extensions(("x-permission" = json!("acl:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "The tenant's id"),
        ("project" = Option<String>, Query, description = "The project's id"),
    ),
    request_body = ExplainList,
    responses(
        (status = 200, description = "Nothing was done", body = Explained),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn explain_acl(
    admin: Admin,
    StrictQuery(query): StrictQuery<PlaceQuery>,
    StrictJson(body): StrictJson<ExplainList>,
) -> Response {
    let outcome = async {
        let named = (query.tenant, query.project);
        let at = At::new(&admin, Permission::AccessRead, named).await?;
        if let Some(draft) = &body.list {
            let first = at.problems(&admin, draft).await?.into_iter().next();
            if let Some(problem) = first {
                let refusal = Refusal::new(Code::InvalidRequest, problem.message);
                return Err(refusal.field(format!("list.{}", problem.field)));
            }
        }
        let about = body.about()?;
        let question = Question {
            origin: body.address.map(|address| Origin { address, is_tls: body.tls }),
            attributes: body.attributes(),
            at: body.at.unwrap_or_else(|| admin.clock.now_ms()),
            principal: body.principal,
            operation: body.operation,
            about,
            draft: body.list,
        };
        Ok(Json(Explained::from(at.answer(&admin, question).await?)))
    };
    admin.answer(outcome.await)
}
