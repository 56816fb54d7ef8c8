//! Webhooks of the caller's own project on the public port: with `admin:read` and `admin:write`,
//! and only for records that he may follow himself.

use super::Own;
use crate::hooks::body::{ChooseLetters, CreateWebhook, RotateSecret, UpdateWebhook};
use crate::hooks::view::{
    AttemptList, AttemptView, CountView, DeadLetterList, SecretShown, WebhookList, WebhookView,
};
use crate::hooks::{self, LettersQuery};
use crate::page::PageQuery;
use crate::path::WebhookPath;
use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{Caller, StrictJson, StrictQuery};

pub(super) fn described() -> OpenApiRouter<Own> {
    OpenApiRouter::new()
        .routes(routes!(list_own_webhooks, create_own_webhook))
        .routes(routes!(get_own_webhook, update_own_webhook, delete_own_webhook))
        .routes(routes!(rotate_own_webhook_secret))
        .routes(routes!(test_own_webhook))
        .routes(routes!(list_own_webhook_attempts))
        .routes(routes!(list_own_webhook_dead_letters))
        .routes(routes!(replay_own_webhook_dead_letters))
        .routes(routes!(purge_own_webhook_dead_letters))
}

/// List the webhooks of the project
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "webhooks",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Webhooks in the order of their identifiers",
            body = WebhookList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_own_webhooks(
    caller: Caller,
    State(Own(control)): State<Own>,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Response {
    let who = &caller.identity;
    caller.answer(hooks::list(&control.webhooks, who, query).await)
}

/// Define a webhook; its secret is shown this once
#[utoipa::path(
    post, path = "/v1/webhooks", tag = "webhooks",
    request_body = CreateWebhook,
    responses(
        (status = 201, description = "Defined", body = SecretShown),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn create_own_webhook(
    caller: Caller,
    State(Own(control)): State<Own>,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<CreateWebhook>,
) -> Response {
    let who = &caller.identity;
    caller.answer(hooks::create(&control.webhooks, who, body).await)
}

/// Look at a webhook and how it does
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook}", tag = "webhooks",
    params(
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    responses(
        (status = 200, description = "The webhook", body = WebhookView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn get_own_webhook(
    caller: Caller,
    State(Own(control)): State<Own>,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let who = &caller.identity;
    caller.answer(hooks::get(&control.webhooks, who, id).await)
}

/// Change a webhook
#[utoipa::path(
    patch, path = "/v1/webhooks/{webhook}", tag = "webhooks",
    params(
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    request_body = UpdateWebhook,
    responses(
        (status = 200, description = "Changed", body = WebhookView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn update_own_webhook(
    caller: Caller,
    State(Own(control)): State<Own>,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<UpdateWebhook>,
) -> Response {
    let who = &caller.identity;
    caller.answer(hooks::update(&control.webhooks, who, id, body).await)
}

/// Delete a webhook; its dead letters stay in their topic
#[utoipa::path(
    delete, path = "/v1/webhooks/{webhook}", tag = "webhooks",
    params(
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn delete_own_webhook(
    caller: Caller,
    State(Own(control)): State<Own>,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let who = &caller.identity;
    caller.answer(hooks::delete(&control.webhooks, who, id).await)
}

/// Sign with a new secret, and with the old ones for a while
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook}/rotate-secret", tag = "webhooks",
    params(
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    request_body = RotateSecret,
    responses(
        (status = 200, description = "The new secret, shown this once", body = SecretShown),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn rotate_own_webhook_secret(
    caller: Caller,
    State(Own(control)): State<Own>,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<RotateSecret>,
) -> Response {
    let who = &caller.identity;
    caller.answer(hooks::rotate(&control.webhooks, who, id, body).await)
}

/// Send a test event now, and tell what came of it
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook}/test", tag = "webhooks",
    params(
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    responses(
        (status = 200, description = "The attempt", body = AttemptView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn test_own_webhook(
    caller: Caller,
    State(Own(control)): State<Own>,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let who = &caller.identity;
    caller.answer(hooks::test(&control.webhooks, who, id).await)
}

/// The newest attempts, on this node since it was started
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook}/attempts", tag = "webhooks",
    params(
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    responses(
        (status = 200, description = "Attempts, newest first", body = AttemptList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_own_webhook_attempts(
    caller: Caller,
    State(Own(control)): State<Own>,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let who = &caller.identity;
    caller.answer(hooks::attempts(&control.webhooks, who, id).await)
}

/// Records that were given up
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook}/dead-letters", tag = "webhooks",
    params(
        ("webhook" = String, Path, description = "The webhook's id"),
        ("limit" = Option<u32>, Query, description = "1 to 100, 20 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Dead letters, oldest first", body = DeadLetterList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_own_webhook_dead_letters(
    caller: Caller,
    State(Own(control)): State<Own>,
    WebhookPath(id): WebhookPath,
    StrictQuery(query): StrictQuery<LettersQuery>,
) -> Response {
    let who = &caller.identity;
    caller.answer(hooks::letters(&control.webhooks, who, id, query).await)
}

/// Deliver dead letters again
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook}/dead-letters/replay", tag = "webhooks",
    params(
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    request_body = ChooseLetters,
    responses(
        (status = 200, description = "How many", body = CountView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn replay_own_webhook_dead_letters(
    caller: Caller,
    State(Own(control)): State<Own>,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<ChooseLetters>,
) -> Response {
    let who = &caller.identity;
    caller.answer(hooks::replay(&control.webhooks, who, id, body).await)
}

/// Give dead letters up for good
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook}/dead-letters/purge", tag = "webhooks",
    params(
        ("webhook" = String, Path, description = "The webhook's id"),
    ),
    request_body = ChooseLetters,
    responses(
        (status = 200, description = "How many", body = CountView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn purge_own_webhook_dead_letters(
    caller: Caller,
    State(Own(control)): State<Own>,
    WebhookPath(id): WebhookPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<ChooseLetters>,
) -> Response {
    let who = &caller.identity;
    caller.answer(hooks::purge(&control.webhooks, who, id, body).await)
}
