//! Webhooks of any project: the operator acts as a principal of the project.

use crate::Routes;
use crate::admin::Admin;
use crate::hooks::body::{ChooseLetters, CreateWebhook, RotateSecret, UpdateWebhook};
use crate::hooks::view::{
    AttemptList, AttemptView, CountView, DeadLetterList, SecretShown, WebhookList, WebhookView,
};
use crate::hooks::{self, LettersQuery};
use crate::page::PageQuery;
use crate::path::{ProjectPath, WebhookPath};
use axum::response::Response;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list_webhooks, create_webhook))
        .routes(routes!(get_webhook, update_webhook, delete_webhook))
        .routes(routes!(rotate_webhook_secret))
        .routes(routes!(test_webhook))
        .routes(routes!(list_webhook_attempts))
        .routes(routes!(list_webhook_dead_letters))
        .routes(routes!(replay_webhook_dead_letters))
        .routes(routes!(purge_webhook_dead_letters))
}

/// List the webhooks of a project
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/webhooks", tag = "webhooks",
    extensions(("x-permission" = json!("webhooks:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Webhooks in the order of their identifiers",
            body = WebhookList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_webhooks(
    admin: Admin,
    at: ProjectPath,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let outcome = async {
        let who = admin.identity(at.tenant, at.project).await?;
        hooks::list(&admin.webhooks, &who, query).await
    };
    admin.answer(outcome.await)
}

/// Define a webhook; its secret is shown this once
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects/{project}/webhooks", tag = "webhooks",
    extensions(("x-permission" = json!("webhooks:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
    ),
    request_body = CreateWebhook,
    responses(
        (status = 201, description = "Defined", body = SecretShown),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn create_webhook(
    admin: Admin,
    at: ProjectPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<CreateWebhook>,
) -> Response {
    let outcome = async {
        let who = admin.identity(at.tenant, at.project).await?;
        hooks::create(&admin.webhooks, &who, body).await
    };
    admin.answer(outcome.await)
}

/// Look at a webhook and how it does
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/webhooks/{webhook}", tag = "webhooks",
    extensions(("x-permission" = json!("webhooks:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    responses(
        (status = 200, description = "The webhook", body = WebhookView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_webhook(
    admin: Admin,
    at: ProjectPath,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let who = admin.identity(at.tenant, at.project).await?;
        hooks::get(&admin.webhooks, &who, id).await
    };
    admin.answer(outcome.await)
}

/// Change a webhook
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}/projects/{project}/webhooks/{webhook}", tag = "webhooks",
    extensions(("x-permission" = json!("webhooks:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    request_body = UpdateWebhook,
    responses(
        (status = 200, description = "Changed", body = WebhookView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn update_webhook(
    admin: Admin,
    at: ProjectPath,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<UpdateWebhook>,
) -> Response {
    let outcome = async {
        let who = admin.identity(at.tenant, at.project).await?;
        hooks::update(&admin.webhooks, &who, id, body).await
    };
    admin.answer(outcome.await)
}

/// Delete a webhook; its dead letters stay in their topic
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/projects/{project}/webhooks/{webhook}", tag = "webhooks",
    extensions(("x-permission" = json!("webhooks:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn delete_webhook(
    admin: Admin,
    at: ProjectPath,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let who = admin.identity(at.tenant, at.project).await?;
        hooks::delete(&admin.webhooks, &who, id).await
    };
    admin.answer(outcome.await)
}

/// Sign with a new secret, and with the old ones for a while
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects/{project}/webhooks/{webhook}/rotate-secret",
    tag = "webhooks",
    extensions(("x-permission" = json!("webhooks:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    request_body = RotateSecret,
    responses(
        (status = 200, description = "The new secret, shown this once", body = SecretShown),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn rotate_webhook_secret(
    admin: Admin,
    at: ProjectPath,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<RotateSecret>,
) -> Response {
    let outcome = async {
        let who = admin.identity(at.tenant, at.project).await?;
        hooks::rotate(&admin.webhooks, &who, id, body).await
    };
    admin.answer(outcome.await)
}

/// Send a test event now, and tell what came of it
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects/{project}/webhooks/{webhook}/test",
    tag = "webhooks",
    extensions(("x-permission" = json!("webhooks:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    responses(
        (status = 200, description = "The attempt", body = AttemptView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn test_webhook(
    admin: Admin,
    at: ProjectPath,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let who = admin.identity(at.tenant, at.project).await?;
        hooks::test(&admin.webhooks, &who, id).await
    };
    admin.answer(outcome.await)
}

/// The newest attempts, on this node since it was started
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/webhooks/{webhook}/attempts",
    tag = "webhooks",
    extensions(("x-permission" = json!("webhooks:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    responses(
        (status = 200, description = "Attempts, newest first", body = AttemptList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_webhook_attempts(
    admin: Admin,
    at: ProjectPath,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let who = admin.identity(at.tenant, at.project).await?;
        hooks::attempts(&admin.webhooks, &who, id).await
    };
    admin.answer(outcome.await)
}

/// Records that were given up
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/webhooks/{webhook}/dead-letters",
    tag = "webhooks",
    extensions(("x-permission" = json!("webhooks:read"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("webhook" = String, Path, description = "The webhook's id"),
        ("limit" = Option<u32>, Query, description = "1 to 100, 20 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Dead letters, oldest first", body = DeadLetterList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_webhook_dead_letters(
    admin: Admin,
    at: ProjectPath,
    WebhookPath(id): WebhookPath,
    StrictQuery(query): StrictQuery<LettersQuery>,
) -> Response {
    let outcome = async {
        let who = admin.identity(at.tenant, at.project).await?;
        hooks::letters(&admin.webhooks, &who, id, query).await
    };
    admin.answer(outcome.await)
}

/// Deliver dead letters again
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects/{project}/webhooks/{webhook}/dead-letters/replay",
    tag = "webhooks",
    extensions(("x-permission" = json!("webhooks:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    request_body = ChooseLetters,
    responses(
        (status = 200, description = "How many", body = CountView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn replay_webhook_dead_letters(
    admin: Admin,
    at: ProjectPath,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<ChooseLetters>,
) -> Response {
    let outcome = async {
        let who = admin.identity(at.tenant, at.project).await?;
        hooks::replay(&admin.webhooks, &who, id, body).await
    };
    admin.answer(outcome.await)
}

/// Give dead letters up for good
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects/{project}/webhooks/{webhook}/dead-letters/purge",
    tag = "webhooks",
    extensions(("x-permission" = json!("webhooks:write"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    request_body = ChooseLetters,
    responses(
        (status = 200, description = "How many", body = CountView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn purge_webhook_dead_letters(
    admin: Admin,
    at: ProjectPath,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<ChooseLetters>,
) -> Response {
    let outcome = async {
        let who = admin.identity(at.tenant, at.project).await?;
        hooks::purge(&admin.webhooks, &who, id, body).await
    };
    admin.answer(outcome.await)
}
