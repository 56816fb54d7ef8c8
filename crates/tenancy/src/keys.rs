//! API keys' records. The secret is never here: `identity` makes it and hands over what may be
//! stored, a lookup prefix and a keyed hash.

use crate::audit::Entry;
use crate::entity::{api_key as table, project, tenant};
use crate::page::fetch_count;
use crate::projects::{self, check_name, parse, to_json};
use crate::tenants::{self, Word};
use crate::{Actor, Page, Project, Result, Tenancy, TenancyError, Tenant};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;
use types::{KeyId, ProjectId, Scopes, TenantId, TimestampMs};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum KeyMode {
    #[default]
    Live,
    Test,
}

impl Word for KeyMode {
    const ALL: &'static [(KeyMode, &'static str)] =
        &[(KeyMode::Live, "live"), (KeyMode::Test, "test")];
}

impl KeyMode {
    /// The word in the key's text.
    pub fn name(self) -> &'static str {
        self.word()
    }
}

#[derive(Clone, PartialEq)]
pub struct ApiKey {
    pub id: KeyId,
    pub tenant: TenantId,
    pub project: ProjectId,
    pub name: String,
    pub mode: KeyMode,
    /// Finds the record; unique and not secret.
    pub prefix: String,
    /// Keyed hash of the whole key.
    pub hash: Vec<u8>,
    pub scopes: Scopes,
    /// Grants as `identity` wrote them; `None`: bounded by scopes alone.
    pub grants: Option<Value>,
    pub rate_per_second: Option<u32>,
    pub created_at: TimestampMs,
    pub expires_at: Option<TimestampMs>,
    pub revoked_at: Option<TimestampMs>,
    /// The key that this one replaces.
    pub rotated_from: Option<KeyId>,
    /// Set when the key was replaced: it counts until then.
    pub grace_until: Option<TimestampMs>,
    /// By which it is proven without being shown, sealed by `identity`; keys of before have none.
    pub verifier: Option<Vec<u8>>,
}

impl ApiKey {
    /// When the key stops to count by itself: the earlier of its expiry and its grace.
    pub fn ends_at(&self) -> Option<TimestampMs> {
        match (self.expires_at, self.grace_until) {
            (Some(expiry), Some(grace)) => Some(expiry.min(grace)),
            (expiry, grace) => expiry.or(grace),
        }
    }

    /// Neither revoked nor past its end.
    pub fn is_usable(&self, now: TimestampMs) -> bool {
        self.revoked_at.is_none() && self.ends_at().is_none_or(|end| now < end)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("id", &self.id)
            .field("project", &self.project)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub struct NewKey {
    pub name: String,
    pub mode: KeyMode,
    pub prefix: String,
    pub hash: Vec<u8>,
    pub scopes: Scopes,
    pub grants: Option<Value>,
    pub rate_per_second: Option<u32>,
    pub expires_at: Option<TimestampMs>,
    /// See `ApiKey`; `None`: it is made when the key is shown for the first time.
    pub verifier: Option<Vec<u8>>,
}

/// A key with all that decides what it may do.
#[derive(Debug, Clone)]
pub struct FoundKey {
    pub key: ApiKey,
    pub project: Project,
    pub tenant: Tenant,
}

#[derive(Debug, Clone)]
pub struct RotatedKey {
    /// The replaced key, with its grace set.
    pub old: ApiKey,
    pub new: ApiKey,
}

fn missing() -> TenancyError {
    TenancyError::NotFound { what: "key" }
}

pub(crate) fn read(row: table::Model) -> Result<ApiKey> {
    let rate = row.rate_per_second.map(u32::try_from).transpose();
    Ok(ApiKey {
        id: KeyId(row.id),
        tenant: TenantId(row.tenant_id),
        project: ProjectId(row.project_id),
        name: row.name,
        mode: KeyMode::read(&row.mode)?,
        prefix: row.prefix,
        hash: row.hash,
        scopes: parse(row.scopes)?,
        grants: row.grants,
        rate_per_second: rate.map_err(|error| TenancyError::Corrupt(error.to_string()))?,
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
        rotated_from: row.rotated_from.map(KeyId),
        grace_until: row.grace_until,
        verifier: row.verifier,
    })
}

fn of(tenant: TenantId, project: ProjectId) -> Select<table::Entity> {
    table::Entity::find()
        .filter(table::Column::TenantId.eq(tenant.0))
        .filter(table::Column::ProjectId.eq(project.0))
}

impl Tenancy {
    fn key_row(
        &self,
        tenant: TenantId,
        project: ProjectId,
        new: NewKey,
        at: TimestampMs,
    ) -> Result<table::Model> {
        check_name(&new.name)?;
        if new.rate_per_second == Some(0) {
            let rule = "a rate is at least 1 per second; leave it out for none";
            return Err(TenancyError::invalid("rate_per_second", rule));
        }
        if new.expires_at.is_some_and(|end| end <= at) {
            return Err(TenancyError::invalid("expires_at", "the expiry is in the past"));
        }
        Ok(table::Model {
            id: self.ids.uuid(),
            tenant_id: tenant.0,
            project_id: project.0,
            name: new.name,
            mode: new.mode.word().to_owned(),
            prefix: new.prefix,
            hash: new.hash,
            scopes: to_json(&new.scopes)?,
            grants: new.grants,
            rate_per_second: new.rate_per_second.map(i64::from),
            created_at: at,
            expires_at: new.expires_at,
            revoked_at: None,
            rotated_from: None,
            grace_until: None,
            verifier: new.verifier,
        })
    }

    pub async fn create_key(
        &self,
        tenant: TenantId,
        project: ProjectId,
        new: NewKey,
        by: &Actor,
    ) -> Result<ApiKey> {
        let change = self.change(by).await?;
        projects::locked(&change, tenant, project).await?;
        let row = self.key_row(tenant, project, new, change.at)?;
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        let key = read(row)?;
        let details = describe(&key);
        let entry = entry(tenant, project, &key.id, "key.create", details);
        change.commit(entry).await?;
        Ok(key)
    }

    /// Whose key this is: asked before anybody is known, so it takes no tenant.
    pub async fn find_key_by_prefix(&self, prefix: &str) -> Result<Option<FoundKey>> {
        let by_prefix = table::Entity::find().filter(table::Column::Prefix.eq(prefix));
        let Some(key) = by_prefix.one(self.reader()).await? else {
            return Ok(None);
        };
        let project = project::Entity::find_by_id(key.project_id).one(self.reader()).await?;
        let tenant = tenant::Entity::find_by_id(key.tenant_id).one(self.reader()).await?;
        // Deleted between the queries: the key went with it.
        let (Some(project), Some(tenant)) = (project, tenant) else {
            return Ok(None);
        };
        Ok(Some(FoundKey {
            key: read(key)?,
            project: projects::read(project)?,
            tenant: tenants::read(tenant)?,
        }))
    }

    /// What `find_key_by_prefix` finds the key by, asked before anybody is known.
    pub async fn find_key_prefix(&self, key: KeyId) -> Result<Option<String>> {
        let rows = table::Entity::find_by_id(key.0).select_only().column(table::Column::Prefix);
        Ok(rows.into_tuple().one(self.reader()).await?)
    }

    /// Keeps what a key is proven by without being shown, if it has nothing of the kind yet: it
    /// adds no right, so nobody is asked and nothing is noted. `false`: it had, or is gone.
    pub async fn keep_key_verifier(
        &self,
        tenant: TenantId,
        key: KeyId,
        verifier: Vec<u8>,
    ) -> Result<bool> {
        let transaction = self.begin().await?;
        let kept = table::Entity::update_many()
            .col_expr(table::Column::Verifier, Expr::value(verifier))
            .filter(table::Column::TenantId.eq(tenant.0))
            .filter(table::Column::Id.eq(key.0))
            .filter(table::Column::Verifier.is_null())
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(kept.rows_affected > 0)
    }

    pub async fn key(&self, tenant: TenantId, project: ProjectId, key: KeyId) -> Result<ApiKey> {
        let row = of(tenant, project).filter(table::Column::Id.eq(key.0)).one(self.reader());
        read(row.await?.ok_or_else(missing)?)
    }

    /// In order of their identifiers, revoked and expired ones included.
    pub async fn keys(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Page<ApiKey>> {
        let mut rows = of(tenant, project);
        if let Some(after) = after {
            rows = rows.filter(table::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    /// Replaces a usable key; the old one counts for `grace` more. A key is replaced once.
    pub async fn rotate_key(
        &self,
        tenant: TenantId,
        project: ProjectId,
        key: KeyId,
        new: NewKey,
        grace: Duration,
        by: &Actor,
    ) -> Result<RotatedKey> {
        let change = self.change(by).await?;
        let found = of(tenant, project).filter(table::Column::Id.eq(key.0)).lock_exclusive();
        let row = found.one(&change.transaction).await?.ok_or_else(missing)?;
        let old = read(row.clone())?;
        if !old.is_usable(change.at) || old.grace_until.is_some() {
            return Err(TenancyError::state("the key was revoked, has expired or was replaced"));
        }
        let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
        let mut row = row.into_active_model();
        row.grace_until = Set(Some(change.at.saturating_add(grace_ms)));
        let old = read(row.update(&change.transaction).await?)?;
        let mut row = self.key_row(tenant, project, new, change.at)?;
        row.rotated_from = Some(key.0);
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        let new = read(row)?;
        let details = json!({"new": new.id, "grace_until": old.grace_until});
        change.commit(entry(tenant, project, &key, "key.rotate", details)).await?;
        Ok(RotatedKey { old, new })
    }

    /// For ever. Revoking again changes nothing and is not an error.
    pub async fn revoke_key(
        &self,
        tenant: TenantId,
        project: ProjectId,
        key: KeyId,
        by: &Actor,
    ) -> Result<ApiKey> {
        let change = self.change(by).await?;
        let found = of(tenant, project).filter(table::Column::Id.eq(key.0)).lock_exclusive();
        let row = found.one(&change.transaction).await?.ok_or_else(missing)?;
        if row.revoked_at.is_some() {
            return read(row);
        }
        let mut row = row.into_active_model();
        row.revoked_at = Set(Some(change.at));
        let row = row.update(&change.transaction).await?;
        change.commit(entry(tenant, project, &key, "key.revoke", json!({}))).await?;
        read(row)
    }
}

fn describe(key: &ApiKey) -> Value {
    json!({
        "name": key.name,
        "mode": key.mode,
        "prefix": key.prefix,
        "scopes": key.scopes,
        "expires_at": key.expires_at,
    })
}

fn entry<'a>(
    tenant: TenantId,
    project: ProjectId,
    key: &'a KeyId,
    action: &'static str,
    details: Value,
) -> Entry<'a> {
    Entry { tenant: Some(tenant), project: Some(project), action, target: key, details }
}
