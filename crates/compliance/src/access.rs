//! Who may do what at the moment of the report: people with their roles, keys, signing keys,
//! operators' tokens and the providers that people sign in with. No secret comes in here.

use crate::report::Section;
use crate::{Facts, Moment};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use tenancy::{ApiKey, Binding, Provider, SurveyedPerson, SurveyedSigningKey, UserStatus};
use types::TimestampMs;
use utoipa::ToSchema;

/// A role that somebody has somewhere.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportRole)]
pub struct RoleAccess {
    /// As people call it.
    pub role: String,
    /// `null`: in the whole installation.
    pub tenant: Option<String>,
    /// `null`: in all projects of the tenant.
    pub project: Option<String>,
    /// Under which circumstances it counts; `null`: always.
    #[schema(value_type = Option<Object>)]
    pub conditions: Option<Value>,
    pub given_at: Moment,
    /// The sign-in provider whose rules gave it; `null`: somebody gave it by hand.
    pub provider: Option<String>,
}

/// Whether somebody may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReportStanding)]
pub enum Standing {
    Invited,
    Active,
    Disabled,
}

impl Standing {
    pub fn name(self) -> &'static str {
        match self {
            Standing::Invited => "invited",
            Standing::Active => "active",
            Standing::Disabled => "disabled",
        }
    }
}

/// Somebody with a role there.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportPerson)]
pub struct PersonAccess {
    pub id: String,
    pub email: String,
    pub name: String,
    pub status: Standing,
    /// A password alone does not let him in: he has a second factor, or no password at all.
    pub second_factor: bool,
    pub created_at: Moment,
    /// `null`: never.
    pub signed_in_at: Option<Moment>,
    /// Those in the place that the report is of.
    pub roles: Vec<RoleAccess>,
}

/// A key of a project that counts.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportKey)]
pub struct KeyAccess {
    pub id: String,
    pub name: String,
    /// What its text begins with.
    pub prefix: String,
    pub tenant: String,
    pub project: String,
    pub scopes: Vec<String>,
    /// Topics bound it besides its scopes.
    pub has_grants: bool,
    pub created_at: Moment,
    /// `null`: it has no end.
    pub ends_at: Option<Moment>,
}

/// A key that checks tokens of a project.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportSigningKey)]
pub struct SigningKeyAccess {
    pub id: String,
    /// Its name in tokens.
    pub name: String,
    pub tenant: String,
    pub project: String,
    pub created_at: Moment,
}

/// The operators' tokens, which may do everything and are all alike in the trail.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportOperatorTokens)]
pub struct OperatorAccess {
    /// How many are configured.
    pub tokens: u64,
    /// Acts done with one in the period.
    pub acts: u64,
    /// The last of them; `null`: there was none in the period.
    pub last_act_at: Option<Moment>,
}

/// A provider that people sign in with.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportProvider)]
pub struct ProviderAccess {
    pub id: String,
    pub name: String,
    pub issuer: String,
    /// `null`: of the installation.
    pub tenant: Option<String>,
    pub is_enabled: bool,
    /// Whoever it vouches for and has no account gets one.
    pub admits_unknown: bool,
    /// Addresses of which it vouches for; none: of any.
    pub domains: Vec<String>,
    /// Rules by which it gives roles.
    pub rules: u64,
}

/// Who may do what at the moment of the report.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportAccess)]
pub struct Access {
    pub people: Section<PersonAccess>,
    pub keys: Section<KeyAccess>,
    pub signing_keys: Section<SigningKeyAccess>,
    /// `null` in a tenant's report: they are the installation's.
    pub operator_tokens: Option<OperatorAccess>,
    pub identity_providers: Section<ProviderAccess>,
}

fn role(binding: Binding, names: &HashMap<String, String>) -> RoleAccess {
    RoleAccess {
        role: names.get(&binding.role).cloned().unwrap_or(binding.role),
        tenant: binding.tenant.map(|id| id.to_string()),
        project: binding.project.map(|id| id.to_string()),
        conditions: binding.conditions,
        given_at: Moment(binding.created_at),
        provider: binding.provider.map(|id| id.to_string()),
    }
}

fn person(person: SurveyedPerson, names: &HashMap<String, String>) -> PersonAccess {
    let SurveyedPerson { user, is_strong, bindings } = person;
    PersonAccess {
        id: user.id.to_string(),
        email: user.email,
        name: user.name,
        status: match user.status {
            UserStatus::Invited => Standing::Invited,
            UserStatus::Active => Standing::Active,
            UserStatus::Disabled => Standing::Disabled,
        },
        second_factor: is_strong,
        created_at: Moment(user.created_at),
        signed_in_at: user.signed_in_at.map(Moment),
        roles: bindings.into_iter().map(|binding| role(binding, names)).collect(),
    }
}

fn key(key: ApiKey) -> KeyAccess {
    KeyAccess {
        ends_at: key.ends_at().map(Moment),
        id: key.id.to_string(),
        tenant: key.tenant.to_string(),
        project: key.project.to_string(),
        scopes: key.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        has_grants: key.grants.is_some(),
        created_at: Moment(key.created_at),
        name: key.name,
        prefix: key.prefix,
    }
}

fn signing_key(key: SurveyedSigningKey) -> SigningKeyAccess {
    let (tenant, project, id, name, created_at) = key;
    SigningKeyAccess {
        id: id.to_string(),
        name,
        tenant: tenant.to_string(),
        project: project.to_string(),
        created_at: Moment(created_at),
    }
}

fn provider(provider: Provider) -> ProviderAccess {
    ProviderAccess {
        id: provider.id.to_string(),
        name: provider.name,
        issuer: provider.issuer,
        tenant: provider.tenant.map(|id| id.to_string()),
        is_enabled: provider.is_enabled,
        admits_unknown: provider.terms.admits_unknown,
        domains: provider.terms.domains,
        rules: provider.terms.rules.len() as u64,
    }
}

/// `operator`: acts with an operator's token in the period, and the last of them.
pub(crate) fn access(facts: &mut Facts, operator: (u64, Option<TimestampMs>)) -> Access {
    let people = std::mem::take(&mut facts.people.items);
    let keys = std::mem::take(&mut facts.keys.items);
    let signing_keys = std::mem::take(&mut facts.signing_keys.items);
    let providers = std::mem::take(&mut facts.providers.items);
    let names = &facts.role_names;
    let list = |path: &str| format!("GET {path} of the admin API lists all, page by page");
    Access {
        people: Section::of(
            people.into_iter().map(|it| person(it, names)),
            facts.people.has_more,
            &list("/v1/users"),
        ),
        keys: Section::of(
            keys.into_iter().map(key),
            facts.keys.has_more,
            &list("/v1/tenants/{tenant}/projects/{project}/keys"),
        ),
        signing_keys: Section::of(
            signing_keys.into_iter().map(signing_key),
            facts.signing_keys.has_more,
            &list("/v1/tenants/{tenant}/projects/{project}/signing-keys"),
        ),
        operator_tokens: facts.operator_tokens.map(|tokens| OperatorAccess {
            tokens,
            acts: operator.0,
            last_act_at: operator.1.map(Moment),
        }),
        identity_providers: Section::of(
            providers.into_iter().map(provider),
            facts.providers.has_more,
            &list("/v1/identity-providers"),
        ),
    }
}
