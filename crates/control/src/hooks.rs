//! What the two faces of webhooks share: bodies, views, and one function per operation that takes
//! who asks. It must not decide what he may do: `webhooks` does.

pub(crate) mod body;
pub(crate) mod view;

use crate::page::{PageQuery, next_cursor};
use axum::Json;
use axum::response::{IntoResponse, Response};
use body::{ChooseLetters, CreateWebhook, RotateSecret, UpdateWebhook};
use http::StatusCode;
use port::{Identity, Refusal};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tenancy::{Webhook, WebhookId};
use view::{
    AttemptList, CountView, DeadLetterList, DeadLetterView, SecretShown, WebhookList, WebhookView,
};
use webhooks::Webhooks;

/// Dead letters of one page: each may be as large as a record.
const LETTERS_DEFAULT: usize = 20;
const LETTERS_MAX: usize = 100;

/// The query of a list of dead letters.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LettersQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

type Outcome = Result<Response, Refusal>;

async fn show(all: &Webhooks, webhook: Webhook) -> WebhookView {
    let status = all.status(&webhook).await;
    WebhookView::new(all.header_names(&webhook), webhook, status)
}

/// An answer that holds a secret once, and what may be kept of it: without.
async fn shown_once(
    all: &Webhooks,
    webhook: Webhook,
    secret: &SecretString,
    status: StatusCode,
) -> Outcome {
    let mut shown = SecretShown { webhook: show(all, webhook).await, secret: None };
    let kept: Value = serde_json::to_value(&shown).map_err(|error| Refusal::internal(&error))?;
    shown.secret = Some(secret.expose_secret().to_owned());
    let mut response = (status, Json(shown)).into_response();
    response.extensions_mut().insert(crate::repeat::Kept(kept));
    Ok(response)
}

pub(crate) async fn list(all: &Webhooks, who: &Identity, query: PageQuery) -> Outcome {
    let (after, limit) = (query.place::<WebhookId>()?, query.limit()?);
    let page = all.list(who, after, limit).await?;
    let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
    let mut webhooks = Vec::with_capacity(page.items.len());
    for webhook in page.items {
        webhooks.push(show(all, webhook).await);
    }
    Ok(Json(WebhookList { webhooks, next_cursor }).into_response())
}

pub(crate) async fn create(all: &Webhooks, who: &Identity, body: CreateWebhook) -> Outcome {
    let (webhook, secret) = all.create(who, body.read()?).await?;
    shown_once(all, webhook, &secret, StatusCode::CREATED).await
}

pub(crate) async fn get(all: &Webhooks, who: &Identity, id: WebhookId) -> Outcome {
    let webhook = all.get(who, id).await?;
    Ok(Json(show(all, webhook).await).into_response())
}

pub(crate) async fn update(
    all: &Webhooks,
    who: &Identity,
    id: WebhookId,
    body: UpdateWebhook,
) -> Outcome {
    let settings = match body.changes_settings() {
        true => Some(body.settings(all.settings(who, id).await?)),
        false => None,
    };
    let webhook = all.update(who, id, body.read(settings)).await?;
    Ok(Json(show(all, webhook).await).into_response())
}

pub(crate) async fn delete(all: &Webhooks, who: &Identity, id: WebhookId) -> Outcome {
    all.delete(who, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn rotate(
    all: &Webhooks,
    who: &Identity,
    id: WebhookId,
    body: RotateSecret,
) -> Outcome {
    let overlap = body.overlap();
    let (webhook, secret) = all.rotate(who, id, body.secret, overlap).await?;
    shown_once(all, webhook, &secret, StatusCode::OK).await
}

pub(crate) async fn test(all: &Webhooks, who: &Identity, id: WebhookId) -> Outcome {
    let attempt = all.test(who, id).await?;
    Ok(Json(view::AttemptView::from(attempt)).into_response())
}

pub(crate) async fn attempts(all: &Webhooks, who: &Identity, id: WebhookId) -> Outcome {
    let attempts = all.attempts(who, id).await?.into_iter().map(Into::into).collect();
    Ok(Json(AttemptList { attempts }).into_response())
}

pub(crate) async fn letters(
    all: &Webhooks,
    who: &Identity,
    id: WebhookId,
    query: LettersQuery,
) -> Outcome {
    let limit = wire_http::param::parse_limit(query.limit, LETTERS_DEFAULT, LETTERS_MAX)?;
    let found = all.dead_letters(who, id, query.cursor, limit).await?;
    let next_cursor = (!found.is_end).then_some(found.next_cursor);
    let dead_letters: Result<Vec<DeadLetterView>, Refusal> =
        found.letters.iter().map(DeadLetterView::new).collect();
    Ok(Json(DeadLetterList { dead_letters: dead_letters?, next_cursor }).into_response())
}

pub(crate) async fn replay(
    all: &Webhooks,
    who: &Identity,
    id: WebhookId,
    body: ChooseLetters,
) -> Outcome {
    let count = all.replay(who, id, body.read()?).await?;
    Ok(Json(CountView { count }).into_response())
}

pub(crate) async fn purge(
    all: &Webhooks,
    who: &Identity,
    id: WebhookId,
    body: ChooseLetters,
) -> Outcome {
    let count = all.purge(who, id, body.read()?).await?;
    Ok(Json(CountView { count }).into_response())
}
