//! Providers with which people sign in (OpenID Connect), of the installation or of one tenant. The
//! store keeps what was set up, with the client's secret sealed, and speaks to none of them. What a
//! provider gave goes with it: sessions when it is switched off, roles when it is deleted.

use crate::audit::{Change, Entry};
use crate::bindings::check_place;
use crate::entity::providers::{provider as table, provider_domain, provider_sign_in};
use crate::entity::{role_binding, session};
use crate::ids::record_id;
use crate::page::fetch_count;
use crate::projects::check_name;
use crate::tenants::Word;
use crate::{Actor, NewBinding, Page, Result, SessionEnd, Tenancy, TenancyError, UserId};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use types::{ProjectId, TenantId, TimestampMs};

/// Providers of one tenant, or of the installation itself.
pub const PROVIDERS_MAX: u64 = 10;
/// Rules of one provider.
pub const GROUP_RULES_MAX: usize = 50;
/// Domains of one provider.
pub const PROVIDER_DOMAINS_MAX: usize = 20;
/// Providers that are offered for one domain.
const OFFERED_MAX: u64 = 20;
/// Bytes of a group's name.
const GROUP_BYTES_MAX: usize = 256;

record_id!(
    /// A provider that people sign in with.
    ProviderId,
    "idp_"
);

/// What people of a group may do here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRule {
    /// As the provider names it; `*` is everybody who comes by the provider.
    pub group: String,
    /// A built-in role's name, or the identifier of one that was made.
    pub role: String,
    pub tenant: Option<TenantId>,
    pub project: Option<ProjectId>,
}

/// What a provider is asked for and trusted with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderTerms {
    /// Asked for besides `openid`.
    pub scopes: Vec<String>,
    /// Where an ID token lists groups; inner claims with dots.
    pub groups_claim: Option<String>,
    /// Where an ID token says that the address is the person's own.
    pub verified_claim: String,
    pub rules: Vec<GroupRule>,
    /// In lower case; none: addresses of any domain.
    pub domains: Vec<String>,
    /// Whether somebody who has no account gets one by signing in.
    pub admits_unknown: bool,
    /// Whether its people may sign in with a password too.
    pub password_allowed: bool,
    /// Whether a second factor of ours is asked for as well, of those who have one.
    pub requires_own_second_factor: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    pub id: ProviderId,
    /// `None`: of the whole installation.
    pub tenant: Option<TenantId>,
    pub name: String,
    pub issuer: String,
    pub client_id: String,
    /// `None`: a public client, which PKCE alone protects.
    pub sealed_secret: Option<Vec<u8>>,
    pub terms: ProviderTerms,
    pub is_enabled: bool,
    /// Whether it is offered to whoever types an address of its domains.
    pub is_offered: bool,
    /// Permissions of whoever set it up, where it counts: it gives nobody more. `None`: everything.
    pub ceiling: Option<Vec<String>>,
    pub created_at: TimestampMs,
    pub updated_at: TimestampMs,
}

/// All of it but what never changes.
#[derive(Clone)]
pub struct ProviderSettings {
    pub name: String,
    pub client_id: String,
    pub sealed_secret: Option<Vec<u8>>,
    pub terms: ProviderTerms,
    pub is_enabled: bool,
    pub is_offered: bool,
    pub ceiling: Option<Vec<String>>,
}

pub(crate) fn read(row: table::Model) -> Result<Provider> {
    let corrupt = |error: serde_json::Error| TenancyError::Corrupt(error.to_string());
    Ok(Provider {
        id: ProviderId(row.id),
        tenant: row.tenant_id.map(TenantId),
        name: row.name,
        issuer: row.issuer,
        client_id: row.client_id,
        sealed_secret: row.sealed_secret,
        terms: serde_json::from_value(row.terms).map_err(corrupt)?,
        is_enabled: row.is_enabled,
        is_offered: row.is_offered,
        ceiling: row.ceiling.map(serde_json::from_value).transpose().map_err(corrupt)?,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

fn missing() -> TenancyError {
    TenancyError::NotFound { what: "identity provider" }
}

fn check_terms(tenant: Option<TenantId>, terms: &ProviderTerms) -> Result<()> {
    if terms.rules.len() > GROUP_RULES_MAX {
        return Err(TenancyError::invalid("rules", "at most 50 rules"));
    }
    for rule in &terms.rules {
        if rule.group.is_empty() || rule.group.len() > GROUP_BYTES_MAX {
            return Err(TenancyError::invalid("rules", "a group has 1 to 256 bytes"));
        }
        // A tenant's provider gives nothing outside of the tenant.
        if tenant.is_some() && rule.tenant != tenant {
            return Err(TenancyError::invalid("rules", "roles of the provider's own tenant only"));
        }
    }
    let is_domain = |domain: &String| {
        let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        (1..=253).contains(&domain.len()) && domain.chars().all(is_letter)
    };
    if terms.domains.len() > PROVIDER_DOMAINS_MAX || !terms.domains.iter().all(is_domain) {
        let rule = "at most 20 domains like example.org, in lower case";
        return Err(TenancyError::invalid("domains", rule));
    }
    Ok(())
}

/// What the trail says of a provider: never its secret.
fn told(provider: &Provider) -> Value {
    json!({
        "name": provider.name,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "has_secret": provider.sealed_secret.is_some(),
        "terms": provider.terms,
        "is_enabled": provider.is_enabled,
        "is_offered": provider.is_offered,
    })
}

fn entry<'a>(
    tenant: Option<TenantId>,
    provider: &'a ProviderId,
    action: &'static str,
    details: Value,
) -> Entry<'a> {
    Entry { tenant, project: None, action, target: provider, details }
}

fn to_json(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| TenancyError::Corrupt(error.to_string()))
}

/// The places of the rules must be there when they are written down.
async fn check_places(change: &Change<'_>, terms: &ProviderTerms) -> Result<()> {
    for rule in &terms.rules {
        let (tenant, project) = (rule.tenant, rule.project);
        let nobody = UserId(Uuid::nil());
        let wanted =
            NewBinding { user: nobody, role: rule.role.clone(), tenant, project, conditions: None };
        check_place(change, &wanted).await?;
    }
    Ok(())
}

async fn put_domains(change: &Change<'_>, provider: ProviderId, domains: &[String]) -> Result<()> {
    provider_domain::Entity::delete_many()
        .filter(provider_domain::Column::ProviderId.eq(provider.0))
        .exec(&change.transaction)
        .await?;
    let mut domains = domains.to_vec();
    domains.sort_unstable();
    domains.dedup();
    for domain in domains {
        let row = provider_domain::Model { domain, provider_id: provider.0 };
        provider_domain::Entity::insert(row.into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
    }
    Ok(())
}

/// Ends the open sessions that the provider vouched for, and answers how many.
async fn end_sessions(change: &Change<'_>, provider: ProviderId) -> Result<u64> {
    let ending = session::Entity::update_many()
        .col_expr(session::Column::EndedAt, Expr::value(change.at))
        .col_expr(session::Column::EndedReason, Expr::value(SessionEnd::ProviderOff.word()))
        .filter(session::Column::ProviderId.eq(provider.0))
        .filter(session::Column::EndedAt.is_null());
    Ok(ending.exec(&change.transaction).await?.rows_affected)
}

/// Takes the roles that the provider gave and that none of these rules would give.
async fn take_roles(change: &Change<'_>, provider: ProviderId, kept: &[GroupRule]) -> Result<u64> {
    let given = role_binding::Entity::find()
        .filter(role_binding::Column::ProviderId.eq(provider.0))
        .all(&change.transaction)
        .await?;
    let is_kept = |row: &role_binding::Model| {
        kept.iter().any(|rule| {
            row.role == rule.role
                && row.tenant_id == rule.tenant.map(|id| id.0)
                && row.project_id == rule.project.map(|id| id.0)
        })
    };
    let mut taken = 0;
    for row in given.into_iter().filter(|row| !is_kept(row)) {
        role_binding::Entity::delete_by_id(row.id).exec(&change.transaction).await?;
        taken += 1;
    }
    Ok(taken)
}

impl Tenancy {
    pub async fn create_provider(
        &self,
        tenant: Option<TenantId>,
        issuer: String,
        new: ProviderSettings,
        by: &Actor,
    ) -> Result<Provider> {
        check_name(&new.name)?;
        check_terms(tenant, &new.terms)?;
        let change = self.change(by).await?;
        let beside = match tenant {
            Some(tenant) => table::Column::TenantId.eq(tenant.0),
            None => table::Column::TenantId.is_null(),
        };
        let count = table::Entity::find().filter(beside).count(&change.transaction).await?;
        if count >= PROVIDERS_MAX {
            return Err(TenancyError::state(format!("there may be {PROVIDERS_MAX} providers")));
        }
        if let Some(tenant) = tenant {
            crate::tenants::locked(&change, tenant).await?;
        }
        check_places(&change, &new.terms).await?;
        let row = table::Model {
            id: self.ids.uuid(),
            tenant_id: tenant.map(|id| id.0),
            name: new.name,
            issuer,
            client_id: new.client_id,
            sealed_secret: new.sealed_secret,
            terms: to_json(&new.terms)?,
            is_enabled: new.is_enabled,
            is_offered: new.is_offered,
            ceiling: new.ceiling.map(|names| json!(names)),
            created_at: change.at,
            updated_at: change.at,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        let made = read(row)?;
        put_domains(&change, made.id, &made.terms.domains).await?;
        change.commit(entry(tenant, &made.id, "provider.create", told(&made))).await?;
        Ok(made)
    }

    pub async fn provider(&self, provider: ProviderId) -> Result<Provider> {
        let row = table::Entity::find_by_id(provider.0).one(self.reader()).await?;
        read(row.ok_or_else(missing)?)
    }

    /// Of this tenant, of the installation itself (`Some(None)`), or all, in the order of their
    /// identifiers.
    pub async fn providers(
        &self,
        of: Option<Option<TenantId>>,
        after: Option<ProviderId>,
        limit: usize,
    ) -> Result<Page<Provider>> {
        let mut rows = table::Entity::find();
        match of {
            None => {}
            Some(None) => rows = rows.filter(table::Column::TenantId.is_null()),
            Some(Some(tenant)) => rows = rows.filter(table::Column::TenantId.eq(tenant.0)),
        }
        if let Some(after) = after {
            rows = rows.filter(table::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    /// Those that are switched on and offered to whoever types an address of this domain.
    pub async fn providers_offered(&self, domain: &str) -> Result<Vec<Provider>> {
        let offering = provider_domain::Entity::find()
            .select_only()
            .column(provider_domain::Column::ProviderId)
            .filter(provider_domain::Column::Domain.eq(domain));
        let rows = table::Entity::find()
            .filter(table::Column::Id.in_subquery(offering.into_query()))
            .filter(table::Column::IsEnabled.eq(true))
            .filter(table::Column::IsOffered.eq(true))
            .order_by_asc(table::Column::Id)
            .limit(OFFERED_MAX)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read).collect()
    }

    /// Counts at once: switched off, its sessions end; roles that no rule gives any more are taken.
    pub async fn update_provider(
        &self,
        provider: ProviderId,
        new: ProviderSettings,
        by: &Actor,
    ) -> Result<Provider> {
        check_name(&new.name)?;
        let change = self.change(by).await?;
        let found = table::Entity::find_by_id(provider.0).lock_exclusive();
        let found = found.one(&change.transaction).await?.ok_or_else(missing)?;
        let before = read(found.clone())?;
        check_terms(before.tenant, &new.terms)?;
        check_places(&change, &new.terms).await?;
        let mut row = found.into_active_model();
        row.name = Set(new.name);
        row.client_id = Set(new.client_id);
        row.sealed_secret = Set(new.sealed_secret);
        row.terms = Set(to_json(&new.terms)?);
        row.is_enabled = Set(new.is_enabled);
        row.is_offered = Set(new.is_offered);
        row.ceiling = Set(new.ceiling.map(|names| json!(names)));
        row.updated_at = Set(change.at);
        let changed = read(row.update(&change.transaction).await?)?;
        put_domains(&change, provider, &changed.terms.domains).await?;
        let ended = match changed.is_enabled {
            true => 0,
            false => end_sessions(&change, provider).await?,
        };
        let taken = take_roles(&change, provider, &changed.terms.rules).await?;
        let mut details = told(&changed);
        details["terms_before"] = to_json(&before.terms)?;
        details["secret_changed"] = json!(before.sealed_secret != changed.sealed_secret);
        details["sessions_ended"] = json!(ended);
        details["roles_taken"] = json!(taken);
        change.commit(entry(changed.tenant, &provider, "provider.update", details)).await?;
        Ok(changed)
    }

    /// With the sessions and roles it gave. Whom it vouched for keeps his account.
    pub async fn delete_provider(&self, provider: ProviderId, by: &Actor) -> Result<()> {
        let change = self.change(by).await?;
        let found = table::Entity::find_by_id(provider.0).lock_exclusive();
        let found = read(found.one(&change.transaction).await?.ok_or_else(missing)?)?;
        let (ended, taken) = delete_one(&change, provider).await?;
        let details = json!({
            "name": found.name,
            "issuer": found.issuer,
            "sessions_ended": ended,
            "roles_taken": taken,
        });
        change.commit(entry(found.tenant, &provider, "provider.delete", details)).await
    }

    /// A tenant's providers end with it.
    pub(crate) async fn delete_providers_of(
        &self,
        change: &Change<'_>,
        tenant: TenantId,
    ) -> Result<()> {
        let rows = table::Entity::find()
            .filter(table::Column::TenantId.eq(tenant.0))
            .all(&change.transaction)
            .await?;
        for row in rows {
            delete_one(change, ProviderId(row.id)).await?;
        }
        Ok(())
    }
}

/// Sessions that ended by it, and roles that were taken.
async fn delete_one(change: &Change<'_>, provider: ProviderId) -> Result<(u64, u64)> {
    let ended = end_sessions(change, provider).await?;
    let taken = take_roles(change, provider, &[]).await?;
    put_domains(change, provider, &[]).await?;
    provider_sign_in::Entity::delete_many()
        .filter(provider_sign_in::Column::ProviderId.eq(provider.0))
        .exec(&change.transaction)
        .await?;
    table::Entity::delete_by_id(provider.0).exec(&change.transaction).await?;
    Ok((ended, taken))
}
