//! From the roles somebody has to what he may do where.

use port::Refusal;
use rules::{BuiltIn, Permission, PermissionSet, Place, Rights};
use std::collections::HashMap;
use tenancy::{Binding, Role, RoleId, Tenancy, UserId};

/// Where a role was given.
pub(crate) fn place(binding: &Binding) -> Place {
    match (binding.tenant, binding.project) {
        (Some(tenant), Some(project)) => Place::Project(tenant, project),
        (Some(tenant), None) => Place::Tenant(tenant),
        // A project without its tenant is refused when it is written.
        (None, _) => Place::Installation,
    }
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

/// All that the user may do, as the records are now.
pub(crate) async fn of(tenancy: &Tenancy, user: UserId) -> Result<Rights, Refusal> {
    let bindings = tenancy.bindings_of(user).await?;
    let mut made: HashMap<&str, PermissionSet> = HashMap::new();
    let mut held = Vec::with_capacity(bindings.len());
    for binding in &bindings {
        let set = match made.get(binding.role.as_str()) {
            Some(set) => *set,
            None => of_role(tenancy, &binding.role).await?,
        };
        made.insert(&binding.role, set);
        held.push((place(binding), set));
    }
    Ok(Rights::new(held))
}
