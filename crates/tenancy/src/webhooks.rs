//! Where a project wants its records delivered: endpoint, choice of records, how to sign and how to
//! try. Secrets and custom headers arrive sealed and are opaque bytes here. This file must not know
//! how anything is sent; whether a URL may be called is decided by who sends.

use crate::audit::{Change, Entry};
use crate::entity::{webhook as table, webhook_secret as secret_table};
use crate::page::{PAGE_ITEMS_MAX, fetch_count};
use crate::projects::{self, parse, to_json};
use crate::tenants::Word;
use crate::{Actor, Page, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use types::{Filter, ProjectId, TenantId, TimestampMs};

/// Webhooks of one project at most: each is a reader of the log with work of its own.
pub const WEBHOOKS_MAX: u64 = 100;
/// Secrets of one webhook that count at the same time; a rotation beyond it drops the oldest.
pub const WEBHOOK_SECRETS_MAX: usize = 4;
/// Webhooks one node delivers for at most.
pub const WEBHOOKS_LOADED_MAX: usize = 20_000;
const URL_BYTES_MAX: usize = 2_048;
const DESCRIPTION_BYTES_MAX: usize = 1_000;
const SEALED_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebhookId(pub Uuid);

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "whk_{}", self.0.simple())
    }
}

impl FromStr for WebhookId {
    type Err = TenancyError;
    fn from_str(text: &str) -> Result<WebhookId> {
        text.strip_prefix("whk_")
            .and_then(|digits| Uuid::try_parse(digits).ok())
            .map(WebhookId)
            .ok_or_else(|| TenancyError::invalid("id", "expected `whk_` and 32 hexadecimal digits"))
    }
}

/// The two kinds of signature of the Standard Webhooks specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum WebhookSigning {
    /// `v1`: HMAC-SHA256 with a secret that both sides hold.
    #[default]
    Hmac,
    /// `v1a`: Ed25519, of which the receiver holds the public half only.
    Ed25519,
}

impl Word for WebhookSigning {
    const ALL: &'static [(WebhookSigning, &'static str)] =
        &[(WebhookSigning::Hmac, "hmac"), (WebhookSigning::Ed25519, "ed25519")];
}

impl WebhookSigning {
    pub fn name(self) -> &'static str {
        self.word()
    }
}

/// How hard one endpoint is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSettings {
    /// How long one request may take, the whole answer included.
    pub timeout_ms: u32,
    /// Requests under way at the same time; those of one key never are.
    pub concurrency: u32,
    /// Requests per second at most; `None` is as many as the endpoint takes.
    pub rate_per_second: Option<u32>,
    /// Attempts, the first included, before a record is a dead letter.
    pub attempts_max: u32,
}

impl Default for WebhookSettings {
    fn default() -> WebhookSettings {
        WebhookSettings {
            timeout_ms: 15_000,
            concurrency: 4,
            rate_per_second: None,
            attempts_max: 12,
        }
    }
}

impl WebhookSettings {
    fn check(&self) -> Result<()> {
        let refuse = |field, rule| Err(TenancyError::invalid(field, rule));
        if !(100..=60_000).contains(&self.timeout_ms) {
            return refuse("timeout_ms", "a timeout is 100 to 60000 ms");
        }
        if !(1..=64).contains(&self.concurrency) {
            return refuse("concurrency", "1 to 64 requests at the same time");
        }
        if self.rate_per_second.is_some_and(|rate| !(1..=10_000).contains(&rate)) {
            return refuse("rate_per_second", "a rate is 1 to 10000; leave it out for none");
        }
        if !(1..=100).contains(&self.attempts_max) {
            return refuse("attempts_max", "1 to 100 attempts");
        }
        Ok(())
    }
}

/// What a request is signed with, until it expires.
#[derive(Clone, PartialEq)]
pub struct WebhookSecret {
    pub id: Uuid,
    pub sealed: Vec<u8>,
    /// Of Ed25519: what receivers check with.
    pub public_key: Option<String>,
    pub created_at: TimestampMs,
    /// Set when another took its place: it signs beside it until then.
    pub expires_at: Option<TimestampMs>,
}

#[derive(Clone, PartialEq)]
pub struct Webhook {
    pub id: WebhookId,
    pub tenant: TenantId,
    pub project: ProjectId,
    pub url: String,
    /// `topic`, `topic/key` or `topic/level/+/#`: one topic, and which of its keys.
    pub filter: Filter,
    pub description: String,
    pub is_enabled: bool,
    /// Why the platform disabled it; `None` when people did, or nobody.
    pub disabled_reason: Option<String>,
    pub signing: WebhookSigning,
    pub settings: WebhookSettings,
    pub sealed_headers: Option<Vec<u8>>,
    /// Newest first.
    pub secrets: Vec<WebhookSecret>,
    pub created_at: TimestampMs,
    pub updated_at: TimestampMs,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("id", &self.id)
            .field("project", &self.project)
            .field("filter", &self.filter.to_string())
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub struct NewWebhookSecret {
    pub sealed: Vec<u8>,
    pub public_key: Option<String>,
}

#[derive(Clone)]
pub struct NewWebhook {
    /// From `Tenancy::new_webhook_id`: secrets are sealed for it before it is stored.
    pub id: WebhookId,
    pub url: String,
    pub filter: Filter,
    pub description: String,
    pub is_enabled: bool,
    pub signing: WebhookSigning,
    pub settings: WebhookSettings,
    pub sealed_headers: Option<Vec<u8>>,
    pub secret: NewWebhookSecret,
}

/// Changes what is `Some`.
#[derive(Clone, Default)]
pub struct WebhookPatch {
    pub url: Option<String>,
    pub description: Option<String>,
    pub is_enabled: Option<bool>,
    pub settings: Option<WebhookSettings>,
    /// `Some(None)` takes them away.
    pub sealed_headers: Option<Option<Vec<u8>>>,
}

fn missing() -> TenancyError {
    TenancyError::NotFound { what: "webhook" }
}

fn read(row: table::Model, secrets: Vec<WebhookSecret>) -> Result<Webhook> {
    let filter = Filter::parse(&row.filter);
    Ok(Webhook {
        id: WebhookId(row.id),
        tenant: TenantId(row.tenant_id),
        project: ProjectId(row.project_id),
        url: row.url,
        filter: filter.map_err(|error| TenancyError::Corrupt(error.to_string()))?,
        description: row.description,
        is_enabled: row.is_enabled,
        disabled_reason: row.disabled_reason,
        signing: WebhookSigning::read(&row.signing)?,
        settings: parse(row.settings)?,
        sealed_headers: row.sealed_headers,
        secrets,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

fn read_secret(row: secret_table::Model) -> WebhookSecret {
    WebhookSecret {
        id: row.id,
        sealed: row.sealed,
        public_key: row.public_key,
        created_at: row.created_at,
        expires_at: row.expires_at,
    }
}

fn of(tenant: TenantId, project: ProjectId) -> Select<table::Entity> {
    table::Entity::find()
        .filter(table::Column::TenantId.eq(tenant.0))
        .filter(table::Column::ProjectId.eq(project.0))
}

/// Newest first.
fn secrets_of(webhook: Uuid) -> Select<secret_table::Entity> {
    secret_table::Entity::find()
        .filter(secret_table::Column::WebhookId.eq(webhook))
        .order_by_desc(secret_table::Column::Id)
}

async fn locked(
    change: &Change<'_>,
    tenant: TenantId,
    project: ProjectId,
    webhook: WebhookId,
) -> Result<table::Model> {
    let found = of(tenant, project).filter(table::Column::Id.eq(webhook.0)).lock_exclusive();
    found.one(&change.transaction).await?.ok_or_else(missing)
}

fn check(url: &str, description: &str, sealed: Option<&Vec<u8>>) -> Result<()> {
    if url.is_empty() || url.len() > URL_BYTES_MAX {
        return Err(TenancyError::invalid("url", "a URL has 1 to 2048 bytes"));
    }
    if description.len() > DESCRIPTION_BYTES_MAX {
        return Err(TenancyError::invalid("description", "a description has at most 1000 bytes"));
    }
    if sealed.is_some_and(|sealed| sealed.len() > SEALED_BYTES_MAX) {
        return Err(TenancyError::invalid("headers", "custom headers have at most 32 KiB"));
    }
    Ok(())
}

/// The trail names the host only: paths and queries of such URLs often hold a secret.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

fn entry<'a>(
    tenant: TenantId,
    project: ProjectId,
    webhook: &'a WebhookId,
    action: &'static str,
    details: Value,
) -> Entry<'a> {
    Entry { tenant: Some(tenant), project: Some(project), action, target: webhook, details }
}

impl Tenancy {
    /// For a webhook about to be created.
    pub fn new_webhook_id(&self) -> WebhookId {
        WebhookId(self.ids.uuid())
    }

    pub async fn create_webhook(
        &self,
        tenant: TenantId,
        project: ProjectId,
        new: NewWebhook,
        by: &Actor,
    ) -> Result<Webhook> {
        check(&new.url, &new.description, new.sealed_headers.as_ref())?;
        new.settings.check()?;
        let change = self.change(by).await?;
        projects::locked(&change, tenant, project).await?;
        if of(tenant, project).count(&change.transaction).await? >= WEBHOOKS_MAX {
            return Err(TenancyError::LimitReached { what: "webhooks", max: WEBHOOKS_MAX });
        }
        let row = table::Model {
            id: new.id.0,
            tenant_id: tenant.0,
            project_id: project.0,
            url: new.url,
            filter: new.filter.to_string(),
            description: new.description,
            is_enabled: new.is_enabled,
            disabled_reason: None,
            signing: new.signing.word().to_owned(),
            settings: to_json(&new.settings)?,
            sealed_headers: new.sealed_headers,
            created_at: change.at,
            updated_at: change.at,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        let secret = self.add_secret(&change, &row, new.secret).await?;
        let webhook = read(row, vec![secret])?;
        let details = json!({
            "host": host_of(&webhook.url),
            "filter": webhook.filter.to_string(),
            "signing": webhook.signing,
            "settings": webhook.settings,
            "is_enabled": webhook.is_enabled,
        });
        change.commit(entry(tenant, project, &webhook.id, "webhook.create", details)).await?;
        Ok(webhook)
    }

    async fn add_secret(
        &self,
        change: &Change<'_>,
        webhook: &table::Model,
        new: NewWebhookSecret,
    ) -> Result<WebhookSecret> {
        let row = secret_table::Model {
            id: self.ids.uuid(),
            webhook_id: webhook.id,
            tenant_id: webhook.tenant_id,
            project_id: webhook.project_id,
            sealed: new.sealed,
            public_key: new.public_key,
            created_at: change.at,
            expires_at: None,
        };
        secret_table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        Ok(read_secret(row))
    }

    pub async fn webhook(
        &self,
        tenant: TenantId,
        project: ProjectId,
        webhook: WebhookId,
    ) -> Result<Webhook> {
        let found = of(tenant, project).filter(table::Column::Id.eq(webhook.0));
        let row = found.one(self.reader()).await?.ok_or_else(missing)?;
        self.with_secrets(vec![row]).await?.pop().ok_or_else(missing)
    }

    /// In order of their identifiers.
    pub async fn webhooks(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: Option<WebhookId>,
        limit: usize,
    ) -> Result<Page<Webhook>> {
        let mut rows = of(tenant, project);
        if let Some(after) = after {
            rows = rows.filter(table::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(limit));
        let page = Page::collect(rows.all(self.reader()).await?, limit, Ok::<_, TenancyError>)?;
        Ok(Page { items: self.with_secrets(page.items).await?, has_more: page.has_more })
    }

    /// The enabled webhooks of every project, at most `WEBHOOKS_LOADED_MAX`: for the node, which
    /// delivers for each as its owner's project. In order of their identifiers.
    pub async fn all_webhooks(&self) -> Result<Vec<Webhook>> {
        let mut webhooks: Vec<Webhook> = Vec::new();
        while webhooks.len() < WEBHOOKS_LOADED_MAX {
            let mut rows = table::Entity::find().filter(table::Column::IsEnabled.eq(true));
            if let Some(last) = webhooks.last() {
                rows = rows.filter(table::Column::Id.gt(last.id.0));
            }
            let limit = PAGE_ITEMS_MAX / 2;
            let rows = rows.order_by_asc(table::Column::Id).limit(limit as u64);
            let rows = rows.all(self.reader()).await?;
            let is_last = rows.len() < limit;
            webhooks.extend(self.with_secrets(rows).await?);
            if is_last {
                break;
            }
        }
        Ok(webhooks)
    }

    async fn with_secrets(&self, rows: Vec<table::Model>) -> Result<Vec<Webhook>> {
        let mut secrets: HashMap<Uuid, Vec<WebhookSecret>> = HashMap::new();
        for chunk in rows.chunks(PAGE_ITEMS_MAX / 2) {
            let found = secret_table::Entity::find()
                .filter(secret_table::Column::WebhookId.is_in(chunk.iter().map(|row| row.id)))
                .order_by_desc(secret_table::Column::Id)
                .all(self.reader())
                .await?;
            for row in found {
                secrets.entry(row.webhook_id).or_default().push(read_secret(row));
            }
        }
        rows.into_iter()
            .map(|row| {
                let own = secrets.remove(&row.id).unwrap_or_default();
                read(row, own)
            })
            .collect()
    }

    /// Enabling forgets why the platform disabled it.
    pub async fn update_webhook(
        &self,
        tenant: TenantId,
        project: ProjectId,
        webhook: WebhookId,
        patch: WebhookPatch,
        by: &Actor,
    ) -> Result<Webhook> {
        let change = self.change(by).await?;
        let mut row = locked(&change, tenant, project, webhook).await?.into_active_model();
        let mut details = serde_json::Map::new();
        if let Some(url) = patch.url {
            check(&url, "", None)?;
            details.insert("host".into(), host_of(&url).into());
            row.url = Set(url);
        }
        if let Some(description) = patch.description {
            check("-", &description, None)?;
            details.insert("description".into(), description.clone().into());
            row.description = Set(description);
        }
        if let Some(is_enabled) = patch.is_enabled {
            details.insert("is_enabled".into(), is_enabled.into());
            row.is_enabled = Set(is_enabled);
            row.disabled_reason = Set(None);
        }
        if let Some(settings) = patch.settings {
            settings.check()?;
            let settings = to_json(&settings)?;
            details.insert("settings".into(), settings.clone());
            row.settings = Set(settings);
        }
        if let Some(sealed) = patch.sealed_headers {
            check("-", "", sealed.as_ref())?;
            details.insert("has_headers".into(), sealed.is_some().into());
            row.sealed_headers = Set(sealed);
        }
        if details.is_empty() {
            drop(change);
            return self.webhook(tenant, project, webhook).await;
        }
        row.updated_at = Set(change.at);
        row.update(&change.transaction).await?;
        let entry = entry(tenant, project, &webhook, "webhook.update", details.into());
        change.commit(entry).await?;
        self.webhook(tenant, project, webhook).await
    }

    /// The platform gives an endpoint up: it said that it is gone for good.
    pub async fn disable_webhook(
        &self,
        tenant: TenantId,
        project: ProjectId,
        webhook: WebhookId,
        reason: &str,
    ) -> Result<()> {
        let by = Actor::system();
        let change = self.change(&by).await?;
        let found = locked(&change, tenant, project, webhook).await?;
        if !found.is_enabled {
            return Ok(());
        }
        let mut row = found.into_active_model();
        row.is_enabled = Set(false);
        row.disabled_reason = Set(Some(reason.to_owned()));
        row.updated_at = Set(change.at);
        row.update(&change.transaction).await?;
        let details = json!({"reason": reason});
        change.commit(entry(tenant, project, &webhook, "webhook.disable", details)).await
    }

    /// From now on `new` signs; those before it sign beside it for `overlap` at most.
    pub async fn rotate_webhook_secret(
        &self,
        tenant: TenantId,
        project: ProjectId,
        webhook: WebhookId,
        new: NewWebhookSecret,
        overlap: Duration,
        by: &Actor,
    ) -> Result<Webhook> {
        let change = self.change(by).await?;
        let row = locked(&change, tenant, project, webhook).await?;
        let overlap_ms = i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX);
        let until = change.at.saturating_add(overlap_ms);
        let old = secrets_of(row.id).all(&change.transaction).await?;
        for (index, secret) in old.into_iter().enumerate() {
            let expires_at = secret.expires_at.map_or(until, |end| end.min(until));
            if expires_at <= change.at || index + 1 >= WEBHOOK_SECRETS_MAX {
                let gone = secret_table::Entity::delete_by_id(secret.id);
                gone.exec(&change.transaction).await?;
                continue;
            }
            let mut secret = secret.into_active_model();
            secret.expires_at = Set(Some(expires_at));
            secret.update(&change.transaction).await?;
        }
        self.add_secret(&change, &row, new).await?;
        let mut row = row.into_active_model();
        row.updated_at = Set(change.at);
        row.update(&change.transaction).await?;
        let details = json!({"old_until": until});
        change.commit(entry(tenant, project, &webhook, "webhook_secret.rotate", details)).await?;
        self.webhook(tenant, project, webhook).await
    }

    pub async fn delete_webhook(
        &self,
        tenant: TenantId,
        project: ProjectId,
        webhook: WebhookId,
        by: &Actor,
    ) -> Result<()> {
        let change = self.change(by).await?;
        let row = locked(&change, tenant, project, webhook).await?;
        secret_table::Entity::delete_many()
            .filter(secret_table::Column::WebhookId.eq(row.id))
            .exec(&change.transaction)
            .await?;
        table::Entity::delete_by_id(row.id).exec(&change.transaction).await?;
        let details = json!({"host": host_of(&row.url), "filter": row.filter});
        change.commit(entry(tenant, project, &webhook, "webhook.delete", details)).await
    }

    /// They go with their project.
    pub(crate) async fn delete_webhooks_of(
        &self,
        change: &Change<'_>,
        project: ProjectId,
    ) -> Result<()> {
        secret_table::Entity::delete_many()
            .filter(secret_table::Column::ProjectId.eq(project.0))
            .exec(&change.transaction)
            .await?;
        table::Entity::delete_many()
            .filter(table::Column::ProjectId.eq(project.0))
            .exec(&change.transaction)
            .await?;
        Ok(())
    }
}
