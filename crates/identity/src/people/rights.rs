//! From the roles somebody has to what he may do where, in the circumstances of his request.

use super::People;
use port::Refusal;
use rules::{
    BuiltIn, Circumstances, Dormant, Held, Permission, PermissionSet, PersonAttributes, Place,
    Rights, RoleConditions, Unmet,
};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use tenancy::{Binding, NotedOf, Role, RoleId, Tenancy, UserId};
use types::TimestampMs;

/// As what somebody's roles are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen {
    In(Circumstances),
    /// As they would be if every condition held that depends on when and how he asks.
    AtBest,
}

/// A role that somebody has, and what keeps it from counting.
#[derive(Debug, Clone)]
pub struct Standing {
    pub binding: Binding,
    pub set: PermissionSet,
    /// `None`: it has none, or they cannot be read.
    pub conditions: Option<Arc<RoleConditions>>,
    /// Empty when it counts.
    pub unmet: Vec<Unmet>,
}

/// Where a role was given.
pub(crate) fn place(binding: &Binding) -> Place {
    match (binding.tenant, binding.project) {
        (Some(tenant), Some(project)) => Place::Project(tenant, project),
        (Some(tenant), None) => Place::Tenant(tenant),
        // A project without its tenant is refused when it is written.
        (None, _) => Place::Installation,
    }
}

/// Conditions as the store keeps them: none when they ask for nothing.
pub fn stored_conditions(conditions: Option<&RoleConditions>) -> Result<Option<Value>, Refusal> {
    let asking = conditions.filter(|conditions| !conditions.is_always());
    let stored = asking.map(serde_json::to_value).transpose();
    stored.map_err(|error| Refusal::internal(&error))
}

/// Permissions that this version does not know allow nothing.
pub(crate) fn permissions(role: &Role) -> PermissionSet {
    role.permissions.iter().filter_map(|name| Permission::named(name)).collect()
}

/// What a role allows: a built-in one by its name, another by its identifier. A role that is gone
/// allows nothing.
pub(crate) async fn of_role(tenancy: &Tenancy, role: &str) -> Result<PermissionSet, Refusal> {
    if let Some(built_in) = BuiltIn::named(role) {
        return Ok(built_in.permissions());
    }
    let Ok(id) = role.parse::<RoleId>() else { return Ok(PermissionSet::NONE) };
    match tenancy.role(id).await {
        Ok(role) => Ok(permissions(&role)),
        Err(tenancy::TenancyError::NotFound { .. }) => Ok(PermissionSet::NONE),
        Err(error) => Err(error.into()),
    }
}

fn unmet(conditions: &RoleConditions, seen: Seen, noted: &PersonAttributes) -> Vec<Unmet> {
    match seen {
        Seen::In(here) => conditions.unmet(&here, noted),
        Seen::AtBest => {
            let all = conditions.unmet_apart(0, noted);
            all.into_iter().filter(|it| *it == Unmet::Attributes).collect()
        }
    }
}

/// Each role with its conditions, and which of them do not hold.
async fn standings(
    tenancy: &Tenancy,
    user: UserId,
    unmet: impl Fn(&RoleConditions, &PersonAttributes) -> Vec<Unmet>,
) -> Result<Vec<Standing>, Refusal> {
    let bindings = tenancy.bindings_of(user).await?;
    let mut made: HashMap<String, PermissionSet> = HashMap::new();
    let mut noted: Option<NotedOf> = None;
    let mut found = Vec::with_capacity(bindings.len());
    for binding in bindings {
        let set = match made.get(binding.role.as_str()) {
            Some(set) => *set,
            None => of_role(tenancy, &binding.role).await?,
        };
        made.insert(binding.role.clone(), set);
        let Some(stored) = &binding.conditions else {
            found.push(Standing { binding, set, conditions: None, unmet: Vec::new() });
            continue;
        };
        let Ok(conditions) = serde_json::from_value::<RoleConditions>(stored.clone()) else {
            let unmet = vec![Unmet::Unreadable];
            found.push(Standing { binding, set, conditions: None, unmet });
            continue;
        };
        // Read once, and only where a role asks about it.
        if !conditions.attributes.is_empty() && noted.is_none() {
            noted = Some(tenancy.noted_of(user).await?);
        }
        let book = noted.as_ref().map(|noted| noted.at(binding.tenant)).unwrap_or_default();
        let unmet = unmet(&conditions, &book);
        found.push(Standing { binding, set, conditions: Some(Arc::new(conditions)), unmet });
    }
    Ok(found)
}

/// All that the user may do, as the records are now.
pub(crate) async fn of(tenancy: &Tenancy, user: UserId, seen: Seen) -> Result<Rights, Refusal> {
    let all = standings(tenancy, user, |conditions, noted| unmet(conditions, seen, noted)).await?;
    let (mut held, mut dormant) = (Vec::with_capacity(all.len()), Vec::new());
    for standing in all {
        let (place, set) = (place(&standing.binding), standing.set);
        match standing.unmet.is_empty() {
            true => held.push(Held { place, set, under: standing.conditions }),
            false => dormant.push(Dormant { place, set, unmet: standing.unmet }),
        }
    }
    Ok(Rights::in_force(held, dormant))
}

impl People {
    /// The user's roles, and which of their conditions do not hold in these circumstances.
    pub async fn standing(
        &self,
        user: UserId,
        here: Circumstances,
    ) -> Result<Vec<Standing>, Refusal> {
        standings(&self.tenancy, user, |conditions, noted| conditions.unmet(&here, noted)).await
    }

    /// The user's roles, and which of their conditions do not hold now whoever asks from wherever.
    pub async fn standing_apart(
        &self,
        user: UserId,
        now: TimestampMs,
    ) -> Result<Vec<Standing>, Refusal> {
        standings(&self.tenancy, user, |conditions, noted| conditions.unmet_apart(now, noted)).await
    }
}
