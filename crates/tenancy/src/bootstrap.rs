//! The first tenant and project of a fresh installation, made once however often it is asked for.

use crate::audit::{Change, Entry};
use crate::entity::bootstrap as table;
use crate::{Actor, NewProject, NewTenant, Plan, Project, Result, Tenancy, TenancyError, Tenant};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, DatabaseTransaction};
use serde_json::json;
use types::{ProjectId, TenantId};

/// The name under which the platform makes a tenant and project for itself: what belongs to no
/// project is told there. It cannot be deleted.
pub const SYSTEM: &str = "system";

#[derive(Debug, Clone, PartialEq)]
pub struct Bootstrapped {
    pub tenant: Tenant,
    pub project: Project,
    /// Made by this very call.
    pub is_new: bool,
}

/// What a tenant or project was deleted for is not made again behind its owner's back.
fn gone(name: &str) -> TenancyError {
    TenancyError::state(format!("the tenant or project made as `{name}` was deleted"))
}

async fn find(
    name: &str,
    transaction: &DatabaseTransaction,
) -> Result<Option<(TenantId, ProjectId)>> {
    let row = table::Entity::find_by_id(name.to_owned()).one(transaction).await?;
    Ok(row.map(|row| (TenantId(row.tenant_id), ProjectId(row.project_id))))
}

/// Refuses to delete what the platform made for itself.
pub(crate) async fn check_not_system(change: &Change<'_>, tenant: TenantId) -> Result<()> {
    match find(SYSTEM, &change.transaction).await? {
        Some((system, _)) if system == tenant => {
            Err(TenancyError::state("the platform's own tenant and project cannot be deleted"))
        }
        _ => Ok(()),
    }
}

impl Tenancy {
    /// The tenant and project made under `name`, which names this call and nothing else.
    pub async fn bootstrap(&self, name: &str, by: &Actor) -> Result<Bootstrapped> {
        let change = self.change(by).await?;
        if let Some((tenant, project)) = find(name, &change.transaction).await? {
            drop(change);
            let (tenant, project) =
                self.standing(tenant, project).await.map_err(|error| match error {
                    TenancyError::NotFound { .. } => gone(name),
                    other => other,
                })?;
            return Ok(Bootstrapped { tenant, project, is_new: false });
        }
        // Whoever runs the platform for himself owes nobody.
        let plan = Plan::Enterprise;
        let new = NewTenant { name: name.to_owned(), plan, ..NewTenant::default() };
        let tenant = self.insert_tenant(&change, new).await?;
        let new = NewProject { name: name.to_owned(), ..NewProject::default() };
        let project = self.insert_project(&change, tenant.id, new).await?;
        let row = table::ActiveModel {
            name: Set(name.to_owned()),
            tenant_id: Set(tenant.id.0),
            project_id: Set(project.id.0),
        };
        // Another node that did the same at this moment makes this insert, and so all, fail.
        table::Entity::insert(row).exec_without_returning(&change.transaction).await?;
        let entry = Entry {
            tenant: Some(tenant.id),
            project: Some(project.id),
            action: "tenant.bootstrap",
            target: &tenant.id,
            details: json!({"name": name}),
        };
        change.commit(entry).await?;
        Ok(Bootstrapped { tenant, project, is_new: true })
    }
}
