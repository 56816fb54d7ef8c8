//! Facts for the security checks, of one tenant or of the whole installation, and what the checks
//! find in them. Everything that is read has a bound; what is beyond it is said to be left out.

use crate::{Control, figures};
use port::{Refusal, metric};
use posture::{Counts, Finding, Key, List, Person, Records, Role, SigningKey, Standing, Webhook};
use rules::{BuiltIn, Permission, PermissionSet, Place};
use std::collections::HashMap;
use tenancy::{
    Acceptance, ApprovalRule, AuditFilter, AuditOutcome, Binding, ListOwner, SurveyedPerson,
    UserStatus,
};
use types::{TenantId, TimestampMs};

/// Time back to which acts with the operator's token count.
const OPERATOR_MS: i64 = 30 * 24 * 3_600_000;
/// Roles that were made: there are not more.
const ROLES_MAX: usize = 200;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The configuration, the process and everybody's records.
    Installation,
    Tenant(TenantId),
}

impl Scope {
    fn tenant(self) -> Option<TenantId> {
        match self {
            Scope::Installation => None,
            Scope::Tenant(tenant) => Some(tenant),
        }
    }
}

/// What one look found.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) at: TimestampMs,
    /// The worst first, then by their names; each with what is said of it.
    pub(crate) findings: Vec<(Finding, Option<Acceptance>)>,
    /// Some records were left out: there are too many.
    pub(crate) is_partial: bool,
}

impl Look {
    /// Findings that nobody has accepted, by severity.
    pub(crate) fn open(&self) -> Counts {
        let mut counts = Counts::default();
        for (finding, acceptance) in &self.findings {
            if acceptance.is_none() {
                counts.add(finding.severity);
            }
        }
        counts
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.findings.iter().filter(|(_, acceptance)| acceptance.is_some()).count() as u64
    }
}

/// Looks at everything there.
pub(crate) async fn look(control: &Control, scope: Scope) -> Result<Look, Refusal> {
    let now = control.clock.now_ms();
    let mut found = Vec::new();
    if scope == Scope::Installation {
        found.extend(of_node(control, now).await?);
    }
    let (people, is_cut) = people(control, scope).await?;
    let operator_acts = match scope {
        Scope::Installation => Some(operator_acts(control, now).await?),
        Scope::Tenant(_) => None,
    };
    found.extend(posture::of_people(&people, operator_acts, now));
    let (records, are_cut) = records(control, scope, now).await?;
    found.extend(posture::of_records(&records));
    let mut said: HashMap<String, Acceptance> = HashMap::new();
    for acceptance in control.tenancy.acceptances(now).await? {
        said.insert(acceptance.finding.clone(), acceptance);
    }
    found.sort_by_cached_key(|finding| (std::cmp::Reverse(finding.severity), finding.id()));
    let findings = found.into_iter().map(|finding| {
        let acceptance = said.get(&finding.id()).cloned();
        (finding, acceptance)
    });
    Ok(Look { at: now, findings: findings.collect(), is_partial: is_cut || are_cut })
}

async fn of_node(control: &Control, now: TimestampMs) -> Result<Vec<Finding>, Refusal> {
    let Some(setup) = &control.setup else { return Ok(Vec::new()) };
    let config = posture::Config { now, ..setup.configuration().await };
    let mut found = posture::of_configuration(&config);
    let mut running = setup.running().await;
    running.now = now;
    if let Some(process) = &control.process {
        let figures = figures::read(&process.figures().await, &[metric::DISK_FREE_RATIO]);
        running.disk_free = figures.first().map(|figure| figure.value).or(running.disk_free);
    }
    running.key_ring_failure = control.keyring.as_ref().and_then(|keyring| keyring.failure());
    let waiting = control.configuration.as_ref().map(|it| it.state().pending).unwrap_or_default();
    running.waiting = waiting.into_iter().map(|difference| difference.key).collect();
    let made = AuditFilter { action: Some("backup.made".to_owned()), ..AuditFilter::default() };
    let newest = control.tenancy.audit_of_all_tenants(&made, 1).await?;
    running.backup_at = newest.items.first().map(|record| record.at);
    found.extend(posture::of_running(&running));
    Ok(found)
}

async fn operator_acts(control: &Control, now: TimestampMs) -> Result<u64, Refusal> {
    let filter = AuditFilter {
        actor: Some("operator".to_owned()),
        outcome: Some(AuditOutcome::Done),
        from: Some(now - OPERATOR_MS),
        ..AuditFilter::default()
    };
    let counts = control.tenancy.audit_counts(None, &filter).await?;
    Ok(counts.items.iter().map(|group| group.count).sum())
}

fn place_of(binding: &Binding) -> Place {
    match (binding.tenant, binding.project) {
        (None, _) => Place::Installation,
        (Some(tenant), None) => Place::Tenant(tenant),
        (Some(tenant), Some(project)) => Place::Project(tenant, project),
    }
}

/// Names and permissions of the roles that were made, by their identifiers.
async fn made_roles(
    control: &Control,
) -> Result<HashMap<String, (String, PermissionSet)>, Refusal> {
    let roles = control.tenancy.roles(None, ROLES_MAX).await?;
    let named = roles.items.into_iter().map(|role| {
        let names = role.permissions.iter();
        let set = names.filter_map(|name| Permission::named(name)).collect();
        (role.id.to_string(), (role.name, set))
    });
    Ok(named.collect())
}

async fn people(control: &Control, scope: Scope) -> Result<(Vec<Person>, bool), Refusal> {
    let made = made_roles(control).await?;
    let surveyed = control.tenancy.surveyed_people(scope.tenant()).await?;
    let role = |binding: &Binding| {
        let place = place_of(binding);
        match (BuiltIn::named(&binding.role), made.get(&binding.role)) {
            (Some(role), _) => {
                let (name, permissions) = (role.name().to_owned(), role.permissions());
                Some(Role { place, name, permissions, is_made: false })
            }
            (None, Some((name, permissions))) => {
                let (name, permissions) = (name.clone(), *permissions);
                Some(Role { place, name, permissions, is_made: true })
            }
            // Nothing is allowed by a role that is gone.
            (None, None) => None,
        }
    };
    let person = |it: SurveyedPerson| Person {
        id: it.user.id.to_string(),
        email: it.user.email,
        standing: match it.user.status {
            UserStatus::Invited => Standing::Invited,
            UserStatus::Active => Standing::Active,
            UserStatus::Disabled => Standing::Disabled,
        },
        created_at: it.user.created_at,
        signed_in_at: it.user.signed_in_at,
        is_strong: it.is_strong,
        roles: it.bindings.iter().filter_map(role).collect(),
    };
    Ok((surveyed.items.into_iter().map(person).collect(), surveyed.has_more))
}

async fn records(
    control: &Control,
    scope: Scope,
    now: TimestampMs,
) -> Result<(Records, bool), Refusal> {
    let (store, tenant) = (&control.tenancy, scope.tenant());
    let keys = store.surveyed_keys(tenant, now).await?;
    let signing_keys = store.surveyed_signing_keys(tenant).await?;
    let webhooks = store.surveyed_webhooks(tenant).await?;
    let lists = store.surveyed_lists(tenant).await?;
    let rules = store.approval_rules(tenant).await?;
    let is_cut = keys.has_more || signing_keys.has_more || webhooks.has_more || lists.has_more;
    let records = Records {
        now,
        keys: keys.items.into_iter().map(key).collect(),
        signing_keys: signing_keys
            .items
            .into_iter()
            .map(|(tenant, project, id, kid, created_at)| {
                let place = Place::Project(tenant, project);
                SigningKey { place, id: id.to_string(), kid, created_at }
            })
            .collect(),
        webhooks: webhooks
            .items
            .into_iter()
            .map(|(tenant, project, id, url)| {
                let place = Place::Project(tenant, project);
                Webhook { place, id: id.to_string(), url, is_enabled: true }
            })
            .collect(),
        lists: lists.items.into_iter().map(|(owner, list)| list_at(owner, list)).collect(),
        without_approvals: without_approvals(scope, &rules),
    };
    Ok((records, is_cut))
}

fn key(key: tenancy::ApiKey) -> Key {
    let expires_at = key.ends_at();
    Key {
        expires_at,
        place: Place::Project(key.tenant, key.project),
        id: key.id.to_string(),
        name: key.name,
        scopes: key.scopes,
        has_grants: key.grants.is_some(),
        created_at: key.created_at,
    }
}

fn list_at(owner: ListOwner, list: types::AccessList) -> List {
    let place = match owner {
        ListOwner::Installation => Place::Installation,
        ListOwner::Tenant(tenant) => Place::Tenant(tenant),
        ListOwner::Project(tenant, project) => Place::Project(tenant, project),
    };
    List { place, list }
}

/// Marks of the installation count in every tenant.
fn without_approvals(scope: Scope, rules: &[ApprovalRule]) -> Vec<Place> {
    let place = match scope {
        Scope::Installation => Place::Installation,
        Scope::Tenant(tenant) => Place::Tenant(tenant),
    };
    let counts = |rule: &&ApprovalRule| rule.tenant.is_none() || rule.tenant == scope.tenant();
    match rules.iter().find(counts) {
        Some(_) => Vec::new(),
        None => vec![place],
    }
}
