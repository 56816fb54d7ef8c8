//! Providers that people sign in with, as the admin API takes and shows them: a secret goes in and
//! never comes out.

use identity::people::{ProviderWish, SecretChange, Tried};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use tenancy::{GroupRule, Provider, ProviderTerms};
use types::{ProjectId, TenantId, TimestampMs};
use utoipa::ToSchema;

fn on() -> bool {
    true
}

fn usual_scopes() -> Vec<String> {
    vec!["email".to_owned(), "profile".to_owned()]
}

fn usual_verified_claim() -> String {
    "email_verified".to_owned()
}

/// A field that is there and null is something else than one that is absent.
fn present<'de, T, D>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(from).map(Some)
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GroupRule)]
pub(super) struct RuleBody {
    /// As the provider names it; `*` is everybody who comes by the provider.
    group: String,
    /// `owner`, `admin`, `developer`, `billing`, `support`, or the id of a role that was made.
    role: String,
    /// Of a tenant's provider always its own tenant, and may be absent.
    #[schema(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// In this project of the tenant only.
    #[schema(value_type = Option<String>)]
    project: Option<ProjectId>,
}

impl RuleBody {
    fn rule(self, own: Option<TenantId>) -> GroupRule {
        let RuleBody { group, role, tenant, project } = self;
        GroupRule { group, role, tenant: tenant.or(own), project }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateIdentityProvider)]
pub(super) struct ProviderBody {
    /// Of this tenant; of the whole installation when absent.
    #[schema(value_type = Option<String>)]
    pub(super) tenant: Option<TenantId>,
    /// What people see: `Sign in with <name>`. 1 to 128 bytes.
    name: String,
    /// Exactly as the provider writes it. Never changes.
    pub(super) issuer: String,
    client_id: String,
    /// Stored sealed. None for a public client.
    #[schema(value_type = Option<String>, format = Password)]
    client_secret: Option<SecretString>,
    /// Asked for besides `openid`.
    #[serde(default = "usual_scopes")]
    scopes: Vec<String>,
    /// Where an ID token lists groups; inner claims with dots: `realm_access.roles`.
    groups_claim: Option<String>,
    /// Where an ID token says that the address is the person's own.
    #[serde(default = "usual_verified_claim")]
    verified_claim: String,
    /// Which groups have which roles; looked at with each sign-in.
    #[serde(default)]
    rules: Vec<RuleBody>,
    /// Only addresses of these domains are let in; of any when empty.
    #[serde(default)]
    domains: Vec<String>,
    /// Whether somebody unknown gets an account by signing in; else he has to be invited.
    #[serde(default)]
    admits_unknown: bool,
    /// Whether its people may sign in with a password too.
    #[serde(default = "on")]
    password_allowed: bool,
    /// Whether their second factor here is asked for besides, of those who have one.
    #[serde(default)]
    require_own_second_factor: bool,
    #[serde(default = "on")]
    is_enabled: bool,
    /// Whether it is offered to whoever types an address of its domains. For a tenant's provider
    /// only the installation may say so.
    #[serde(default)]
    is_offered: bool,
}

impl ProviderBody {
    /// Without a ceiling, which the caller knows.
    pub(super) fn wish(self) -> ProviderWish {
        let own = self.tenant;
        ProviderWish {
            name: self.name,
            client_id: self.client_id,
            secret: self.client_secret.map_or(SecretChange::Keep, SecretChange::Set),
            terms: ProviderTerms {
                scopes: self.scopes,
                groups_claim: self.groups_claim,
                verified_claim: self.verified_claim,
                rules: self.rules.into_iter().map(|rule| rule.rule(own)).collect(),
                domains: lower(self.domains),
                admits_unknown: self.admits_unknown,
                password_allowed: self.password_allowed,
                requires_own_second_factor: self.require_own_second_factor,
            },
            is_enabled: self.is_enabled,
            is_offered: self.is_offered,
            ceiling: None,
        }
    }
}

fn lower(domains: Vec<String>) -> Vec<String> {
    domains.into_iter().map(|domain| domain.trim().to_lowercase()).collect()
}

/// What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UpdateIdentityProvider)]
pub(super) struct ProviderPatch {
    name: Option<String>,
    client_id: Option<String>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = Password)]
    client_secret: Option<Option<SecretString>>,
    scopes: Option<Vec<String>>,
    /// `null`: groups are not looked at.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    groups_claim: Option<Option<String>>,
    verified_claim: Option<String>,
    /// All of them; roles that none gives any more are taken at once.
    rules: Option<Vec<RuleBody>>,
    domains: Option<Vec<String>>,
    admits_unknown: Option<bool>,
    password_allowed: Option<bool>,
    require_own_second_factor: Option<bool>,
    is_enabled: Option<bool>,
    is_offered: Option<bool>,
}

impl ProviderPatch {
    /// Nothing else is changed than that it is off.
    pub(super) fn only_switches_off(&self) -> bool {
        let is_silent = self.name.is_none()
            && self.client_id.is_none()
            && self.client_secret.is_none()
            && self.scopes.is_none()
            && self.groups_claim.is_none()
            && self.verified_claim.is_none()
            && self.rules.is_none()
            && self.domains.is_none()
            && self.admits_unknown.is_none()
            && self.password_allowed.is_none()
            && self.require_own_second_factor.is_none()
            && self.is_offered.is_none();
        is_silent && self.is_enabled == Some(false)
    }

    /// Without a ceiling, which the caller knows.
    pub(super) fn wish(self, before: &Provider) -> ProviderWish {
        let (own, terms) = (before.tenant, before.terms.clone());
        let rules = self.rules.map(|all| all.into_iter().map(|rule| rule.rule(own)).collect());
        ProviderWish {
            name: self.name.unwrap_or_else(|| before.name.clone()),
            client_id: self.client_id.unwrap_or_else(|| before.client_id.clone()),
            secret: match self.client_secret {
                None => SecretChange::Keep,
                Some(None) => SecretChange::Remove,
                Some(Some(secret)) => SecretChange::Set(secret),
            },
            terms: ProviderTerms {
                scopes: self.scopes.unwrap_or(terms.scopes),
                groups_claim: self.groups_claim.unwrap_or(terms.groups_claim),
                verified_claim: self.verified_claim.unwrap_or(terms.verified_claim),
                rules: rules.unwrap_or(terms.rules),
                domains: self.domains.map_or(terms.domains, lower),
                admits_unknown: self.admits_unknown.unwrap_or(terms.admits_unknown),
                password_allowed: self.password_allowed.unwrap_or(terms.password_allowed),
                requires_own_second_factor: self
                    .require_own_second_factor
                    .unwrap_or(terms.requires_own_second_factor),
            },
            is_enabled: self.is_enabled.unwrap_or(before.is_enabled),
            is_offered: self.is_offered.unwrap_or(before.is_offered),
            ceiling: None,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = IdentityProvider)]
pub(super) struct ProviderView {
    id: String,
    /// `null`: of the whole installation.
    tenant: Option<String>,
    name: String,
    issuer: String,
    client_id: String,
    has_client_secret: bool,
    scopes: Vec<String>,
    groups_claim: Option<String>,
    verified_claim: String,
    rules: Vec<RuleBody>,
    domains: Vec<String>,
    admits_unknown: bool,
    password_allowed: bool,
    require_own_second_factor: bool,
    is_enabled: bool,
    is_offered: bool,
    /// Permissions beyond which its word gives nobody anything; `null`: everything.
    ceiling: Option<Vec<String>>,
    /// To be registered with the provider.
    redirect_uri: String,
    created_at: TimestampMs,
    updated_at: TimestampMs,
}

impl ProviderView {
    pub(super) fn new(provider: Provider, redirect_uri: &str) -> ProviderView {
        let terms = provider.terms;
        let rule = |rule: GroupRule| RuleBody {
            group: rule.group,
            role: rule.role,
            tenant: rule.tenant,
            project: rule.project,
        };
        ProviderView {
            id: provider.id.to_string(),
            tenant: provider.tenant.map(|id| id.to_string()),
            name: provider.name,
            issuer: provider.issuer,
            client_id: provider.client_id,
            has_client_secret: provider.sealed_secret.is_some(),
            scopes: terms.scopes,
            groups_claim: terms.groups_claim,
            verified_claim: terms.verified_claim,
            rules: terms.rules.into_iter().map(rule).collect(),
            domains: terms.domains,
            admits_unknown: terms.admits_unknown,
            password_allowed: terms.password_allowed,
            require_own_second_factor: terms.requires_own_second_factor,
            is_enabled: provider.is_enabled,
            is_offered: provider.is_offered,
            ceiling: provider.ceiling,
            redirect_uri: redirect_uri.to_owned(),
            created_at: provider.created_at,
            updated_at: provider.updated_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct TriedView {
    /// `discovery`, `keys` or `client`.
    what: &'static str,
    is_good: bool,
    /// In words.
    finding: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = IdentityProviderTest)]
pub(super) struct TestView {
    /// All that could be tried without a person is good.
    is_good: bool,
    /// Each step up to the first without which there is no next.
    steps: Vec<TriedView>,
    /// Has to be registered with the provider, which only a sign-in shows.
    redirect_uri: String,
}

impl TestView {
    pub(super) fn new(tried: Vec<Tried>, redirect_uri: String) -> TestView {
        let view = |tried: Tried| {
            let Tried { what, is_good, finding } = tried;
            TriedView { what, is_good, finding }
        };
        let is_good = tried.iter().all(|tried| tried.is_good);
        TestView { is_good, steps: tried.into_iter().map(view).collect(), redirect_uri }
    }
}
