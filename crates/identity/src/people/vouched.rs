//! Whom a provider's word lets in, and as whom. An account belongs to an issuer's subject, never to
//! an address: whoever runs a provider can make it say any address. So by its address an account is
//! found only inside the tenant whose provider it is, and only when it may do no more there than
//! whoever set the provider up; and what such a session may do ends at that tenant for ever.

use super::{People, is_active, rights};
use port::{Code, Refusal};
use rules::{PermissionSet, Place, Rights};
use std::collections::BTreeSet;
use tenancy::{Actor, NewBinding, NewIdentity, Provider, TenancyError, User, UserId, UserLogin};
use types::TenantId;

/// The group that everybody is in who comes by a provider.
pub const EVERYBODY: &str = "*";

/// What an ID token proved.
pub(super) struct Vouched {
    pub(super) subject: String,
    pub(super) email: Option<String>,
    /// The provider says that the address is the person's own.
    pub(super) is_verified: bool,
    pub(super) name: Option<String>,
    pub(super) groups: BTreeSet<String>,
}

impl Vouched {
    pub(super) fn identity(&self, provider: &Provider) -> NewIdentity {
        NewIdentity {
            issuer: provider.issuer.clone(),
            subject: self.subject.clone(),
            email: self.email.clone().unwrap_or_default(),
        }
    }

    /// The address, when it is the person's own.
    fn own_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.is_verified)
    }
}

/// Told alike whether there is no account, or one that the provider's word does not open.
fn not_let_in() -> Refusal {
    Refusal::new(Code::InvalidToken, "your account at the provider opens nothing here")
        .field("account")
        .hint(
            "ask for an invitation; who has an account here signs in to it and adds the provider \
             under Account",
        )
}

/// The part of an address behind its last `@`, in lower case.
pub fn domain_of(email: &str) -> Option<String> {
    email.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase())
}

/// The place beyond which a provider's word does not reach.
pub fn place_of(provider: &Provider) -> Place {
    provider.tenant.map_or(Place::Installation, Place::Tenant)
}

/// All that anybody may have by a provider's word.
pub(super) fn ceiling(provider: &Provider) -> PermissionSet {
    match &provider.ceiling {
        None => PermissionSet::all(),
        Some(names) => names.iter().filter_map(|name| rules::Permission::named(name)).collect(),
    }
}

/// What is left of somebody's rights in a session for which the provider vouches.
pub(super) fn limited(rights: Rights, provider: &Provider) -> Rights {
    rights.within(place_of(provider), ceiling(provider))
}

impl People {
    /// The user whom the provider vouches for, with the roles that its rules give him now.
    pub(super) async fn vouched_user(
        &self,
        provider: &Provider,
        proven: &Vouched,
        by: &Actor,
    ) -> Result<User, Refusal> {
        check_domain(provider, proven)?;
        let known = self.tenancy.user_of_identity(&provider.issuer, &proven.subject).await?;
        let user = match known {
            Some(user) => user,
            None => self.new_here(provider, proven, by).await?,
        };
        if !is_active(&user) {
            return Err(not_let_in());
        }
        let wanted = wanted_roles(provider, proven, user.id);
        self.tenancy.set_vouched_roles(user.id, provider, &wanted, by).await?;
        self.tenancy.see_identity(&provider.issuer, &proven.subject).await?;
        Ok(user)
    }

    /// Somebody for whom no account stands yet.
    async fn new_here(
        &self,
        provider: &Provider,
        proven: &Vouched,
        by: &Actor,
    ) -> Result<User, Refusal> {
        let email = proven.own_email().ok_or_else(|| {
            Refusal::new(Code::InvalidToken, "the provider does not say that the address is yours")
                .field("email")
                .hint("confirm your address at the provider, or have it tell so")
        })?;
        let found = match self.tenancy.user_by_email(email).await {
            Ok(found) => found,
            Err(TenancyError::Invalid { .. }) => return Err(not_let_in()),
            Err(error) => return Err(error.into()),
        };
        let identity = proven.identity(provider);
        match found {
            Some(login) => self.link_by_address(provider, login, identity, by).await,
            None if provider.terms.admits_unknown => {
                let name = proven.name.as_deref().map(shown_name).filter(|name| !name.is_empty());
                let name = name.unwrap_or_else(|| shown_name(email));
                Ok(self.tenancy.create_vouched_user(&name, identity, provider, by).await?)
            }
            None => Err(not_let_in()),
        }
    }

    /// By its address an account is found only by the provider of the one tenant it has roles in,
    /// when it may do no more there than whoever set the provider up, and when no other account of
    /// the same issuer stands for it: addresses are given to others, subjects are not.
    async fn link_by_address(
        &self,
        provider: &Provider,
        login: UserLogin,
        identity: NewIdentity,
        by: &Actor,
    ) -> Result<User, Refusal> {
        let user = login.user;
        let tenant = provider.tenant.ok_or_else(not_let_in)?;
        let most = ceiling(provider);
        for binding in self.tenancy.bindings_of(user.id).await? {
            let held = rights::of_role(&self.tenancy, &binding.role).await?;
            if binding.tenant != Some(tenant) || !most.contains(held) {
                return Err(not_let_in());
            }
        }
        let linked = self.tenancy.identities(user.id, None, tenancy::PAGE_ITEMS_MAX).await?;
        if linked.items.iter().any(|other| other.issuer == identity.issuer) {
            return Err(not_let_in());
        }
        match self.tenancy.link_identity(user.id, identity, Some(tenant), by).await {
            Ok(_) => Ok(self.tenancy.user(user.id).await?),
            Err(TenancyError::Conflict { .. }) => Err(not_let_in()),
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses a password where the provider that vouches for the user wants none. A provider of a
    /// tenant has no say over somebody with roles elsewhere, and owners of the installation keep a
    /// way in.
    pub(super) async fn check_password_allowed(&self, user: UserId) -> Result<(), Refusal> {
        let without = self.tenancy.providers_without_password(user).await?;
        if without.is_empty() {
            return Ok(());
        }
        let bindings = self.tenancy.bindings_of(user).await?;
        let owns = bindings.iter().any(|held| held.role == "owner" && held.tenant.is_none());
        let is_inside = |tenant: TenantId| bindings.iter().all(|held| held.tenant == Some(tenant));
        let mut deciding = without.iter().filter(|it| it.tenant.is_none_or(is_inside));
        match deciding.next().filter(|_| !owns) {
            None => Ok(()),
            Some(provider) => {
                let why = format!("this account signs in with {}", provider.name);
                Err(Refusal::new(Code::InvalidToken, why)
                    .field("password")
                    .hint("choose the provider on the page where you sign in"))
            }
        }
    }
}

fn check_domain(provider: &Provider, proven: &Vouched) -> Result<(), Refusal> {
    let allowed = &provider.terms.domains;
    let domain = proven.own_email().and_then(domain_of);
    if allowed.is_empty() || domain.is_some_and(|domain| allowed.contains(&domain)) {
        return Ok(());
    }
    let why = "addresses of your domain are not let in with this provider";
    Err(Refusal::new(Code::InvalidToken, why)
        .field("email")
        .hint("use the account with an address of your organisation"))
}

/// What a provider calls somebody, as far as it is a name here.
fn shown_name(text: &str) -> String {
    let mut name: String = text.chars().filter(|c| !c.is_control()).collect();
    name.truncate(name.floor_char_boundary(tenancy::NAME_BYTES_MAX));
    name.trim().to_owned()
}

/// What the rules give to somebody in these groups; each role in each place once.
fn wanted_roles(provider: &Provider, proven: &Vouched, user: UserId) -> Vec<NewBinding> {
    let mut wanted: Vec<NewBinding> = Vec::new();
    for rule in &provider.terms.rules {
        if rule.group != EVERYBODY && !proven.groups.contains(&rule.group) {
            continue;
        }
        // Whatever the rule says, a tenant's provider gives nothing elsewhere.
        if provider.tenant.is_some() && rule.tenant != provider.tenant {
            continue;
        }
        let (role, tenant, project) = (rule.role.clone(), rule.tenant, rule.project);
        let binding = NewBinding { user, role, tenant, project, conditions: None };
        if !wanted.contains(&binding) {
            wanted.push(binding);
        }
    }
    wanted
}
