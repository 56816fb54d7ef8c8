//! What a project's tokens are checked with: its own signing keys, or a key set published at a
//! URL. HMAC secrets arrive sealed by `identity` and are opaque bytes here.

use crate::audit::Entry;
use crate::entity::{project, signing_key as table, tenant};
use crate::page::fetch_count;
use crate::projects::{self, parse, to_json};
use crate::revocations::RevocationHead;
use crate::tenants::{self, Word};
use crate::{Actor, Page, Project, Result, Tenancy, TenancyError, Tenant};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;
use types::{ProjectId, TenantId, TimestampMs};

/// Signing keys of one project at most: enough to rotate, few enough to load at once.
pub const SIGNING_KEYS_MAX: u64 = 32;
const KID_BYTES_MAX: usize = 128;
const MATERIAL_BYTES_MAX: usize = 20 * 1024;
const SETTING_BYTES_MAX: usize = 2_048;
const SETTING_VALUES_MAX: usize = 16;

/// RFC 7518 section 3.1 and RFC 8037 section 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    #[serde(rename = "HS256")]
    Hs256,
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Word for SigningAlgorithm {
    const ALL: &'static [(SigningAlgorithm, &'static str)] = &[
        (SigningAlgorithm::Hs256, "HS256"),
        (SigningAlgorithm::Rs256, "RS256"),
        (SigningAlgorithm::Es256, "ES256"),
        (SigningAlgorithm::EdDsa, "EdDSA"),
    ];
}

impl SigningAlgorithm {
    pub fn name(self) -> &'static str {
        self.word()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SigningKeyId(pub Uuid);

impl fmt::Display for SigningKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sgk_{}", self.0.simple())
    }
}

impl FromStr for SigningKeyId {
    type Err = TenancyError;
    fn from_str(text: &str) -> Result<SigningKeyId> {
        text.strip_prefix("sgk_")
            .and_then(|digits| Uuid::try_parse(digits).ok())
            .map(SigningKeyId)
            .ok_or_else(|| TenancyError::invalid("id", "expected `sgk_` and 32 hexadecimal digits"))
    }
}

impl Serialize for SigningKeyId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[derive(Clone, PartialEq)]
pub struct SigningKey {
    pub id: SigningKeyId,
    pub tenant: TenantId,
    pub project: ProjectId,
    /// Unique in the project: tokens name their key by it.
    pub kid: String,
    pub algorithm: SigningAlgorithm,
    /// PEM text of the public key, or the sealed HMAC secret.
    pub material: Vec<u8>,
    pub created_at: TimestampMs,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub struct NewSigningKey {
    pub kid: String,
    pub algorithm: SigningAlgorithm,
    pub material: Vec<u8>,
}

/// How tokens of a project are checked besides its own keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenSettings {
    /// Where the tenant publishes its key set (RFC 7517).
    pub jwks_url: Option<String>,
    /// Values of `aud` that mean this project, besides its own id.
    pub audiences: Vec<String>,
    /// Values of `iss` that tokens of the published key set must have; empty for any.
    pub issuers: Vec<String>,
}

/// All that is needed to check a token of one project.
#[derive(Debug, Clone)]
pub struct Verification {
    pub tenant: Tenant,
    pub project: Project,
    pub keys: Vec<SigningKey>,
    pub settings: TokenSettings,
    /// Whether what is known of taken back tokens still counts.
    pub revocations: RevocationHead,
    /// What the tenant may use.
    pub allowance: crate::Allowance,
    /// Which access lists count.
    pub lists: crate::ListVersions,
}

fn read(row: table::Model) -> Result<SigningKey> {
    Ok(SigningKey {
        id: SigningKeyId(row.id),
        tenant: TenantId(row.tenant_id),
        project: ProjectId(row.project_id),
        kid: row.kid,
        algorithm: SigningAlgorithm::read(&row.algorithm)?,
        material: row.material,
        created_at: row.created_at,
    })
}

fn of(tenant: TenantId, project: ProjectId) -> Select<table::Entity> {
    table::Entity::find()
        .filter(table::Column::TenantId.eq(tenant.0))
        .filter(table::Column::ProjectId.eq(project.0))
}

fn check_key(new: &NewSigningKey) -> Result<()> {
    if new.kid.is_empty() || new.kid.len() > KID_BYTES_MAX {
        return Err(TenancyError::invalid("kid", "a key id has 1 to 128 bytes"));
    }
    if new.material.is_empty() || new.material.len() > MATERIAL_BYTES_MAX {
        return Err(TenancyError::invalid("key", "a key has 1 to 20480 bytes"));
    }
    Ok(())
}

fn check_settings(settings: &TokenSettings) -> Result<()> {
    let fits = |text: &String| !text.is_empty() && text.len() <= SETTING_BYTES_MAX;
    if !settings.jwks_url.iter().all(fits) {
        return Err(TenancyError::invalid("jwks_url", "a URL has 1 to 2048 bytes; null is none"));
    }
    for (field, values) in [("audiences", &settings.audiences), ("issuers", &settings.issuers)] {
        if values.len() > SETTING_VALUES_MAX || !values.iter().all(fits) {
            return Err(TenancyError::invalid(field, "at most 16 values of 1 to 2048 bytes"));
        }
    }
    Ok(())
}

fn entry<'a>(
    tenant: TenantId,
    project: ProjectId,
    target: &'a (dyn fmt::Display + Sync),
    action: &'static str,
    details: Value,
) -> Entry<'a> {
    Entry { tenant: Some(tenant), project: Some(project), action, target, details }
}

impl Tenancy {
    pub async fn add_signing_key(
        &self,
        tenant: TenantId,
        project: ProjectId,
        new: NewSigningKey,
        by: &Actor,
    ) -> Result<SigningKey> {
        check_key(&new)?;
        let change = self.change(by).await?;
        projects::locked(&change, tenant, project).await?;
        let count = of(tenant, project).count(&change.transaction).await?;
        if count >= SIGNING_KEYS_MAX {
            let what = "signing keys";
            return Err(TenancyError::LimitReached { what, max: SIGNING_KEYS_MAX });
        }
        let row = table::Model {
            id: self.ids.uuid(),
            tenant_id: tenant.0,
            project_id: project.0,
            kid: new.kid,
            algorithm: new.algorithm.word().to_owned(),
            material: new.material,
            created_at: change.at,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await
            .map_err(|error| match TenancyError::from(error) {
                TenancyError::Conflict { .. } => {
                    TenancyError::conflict("kid", "the project has a signing key of this id")
                }
                other => other,
            })?;
        let key = read(row)?;
        let details = json!({"kid": key.kid, "algorithm": key.algorithm});
        change.commit(entry(tenant, project, &key.id, "signing_key.add", details)).await?;
        Ok(key)
    }

    /// In order of their identifiers.
    pub async fn signing_keys(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: Option<SigningKeyId>,
        limit: usize,
    ) -> Result<Page<SigningKey>> {
        let mut rows = of(tenant, project);
        if let Some(after) = after {
            rows = rows.filter(table::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    /// Tokens signed with it are refused from when the node is told.
    pub async fn remove_signing_key(
        &self,
        tenant: TenantId,
        project: ProjectId,
        key: SigningKeyId,
        by: &Actor,
    ) -> Result<()> {
        let change = self.change(by).await?;
        let found = of(tenant, project).filter(table::Column::Id.eq(key.0));
        let row = found.one(&change.transaction).await?;
        let row = row.ok_or(TenancyError::NotFound { what: "signing key" })?;
        let details = json!({"kid": row.kid});
        table::Entity::delete_by_id(key.0).exec(&change.transaction).await?;
        change.commit(entry(tenant, project, &key, "signing_key.remove", details)).await
    }

    pub async fn token_settings(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<TokenSettings> {
        let row = projects::of(tenant, project).one(self.reader()).await?;
        parse(row.ok_or_else(projects::missing)?.token_settings)
    }

    /// Replaces the settings whole.
    pub async fn set_token_settings(
        &self,
        tenant: TenantId,
        project: ProjectId,
        settings: &TokenSettings,
        by: &Actor,
    ) -> Result<()> {
        check_settings(settings)?;
        let change = self.change(by).await?;
        let row = projects::locked(&change, tenant, project).await?;
        let mut row = row.into_active_model();
        let value = to_json(settings)?;
        row.token_settings = Set(value.clone());
        row.update(&change.transaction).await?;
        change.commit(entry(tenant, project, &project, "token_settings.set", value)).await
    }

    /// What checks the tokens of a project that an unproven token names: asked before anybody is
    /// known, so it takes no tenant.
    pub async fn find_verification(&self, project: ProjectId) -> Result<Option<Verification>> {
        let row = project::Entity::find_by_id(project.0).one(self.reader()).await?;
        let Some(row) = row else { return Ok(None) };
        let owner = tenant::Entity::find_by_id(row.tenant_id).one(self.reader()).await?;
        // Deleted between the queries: the project went before.
        let Some(owner) = owner else { return Ok(None) };
        let owner = tenants::read(owner)?;
        let keys = of(TenantId(row.tenant_id), project)
            .order_by_asc(table::Column::Id)
            .limit(SIGNING_KEYS_MAX)
            .all(self.reader())
            .await?;
        Ok(Some(Verification {
            settings: parse(row.token_settings.clone())?,
            revocations: RevocationHead::of(&row)?,
            keys: keys.into_iter().map(read).collect::<Result<Vec<SigningKey>>>()?,
            project: projects::read(row)?,
            allowance: self.allowance(&owner.plan, owner.id).await?,
            lists: self.access_list_heads(owner.id, project).await?,
            tenant: owner,
        }))
    }
}
