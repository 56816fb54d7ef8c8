//! Roles that operators made besides the built-in ones: a name for a set of permissions. The store
//! keeps the permissions' names and does not know what they allow.

use crate::audit::{Change, Entry};
use crate::entity::{role as table, role_binding};
use crate::ids::record_id;
use crate::page::fetch_count;
use crate::projects::check_name;
use crate::{Actor, Page, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::{Value, json};
use types::TimestampMs;

/// Bytes of a role's description.
const DESCRIPTION_BYTES_MAX: usize = 1_000;
/// Roles of an installation: all of them are read when a user's rights are worked out.
const ROLES_MAX: u64 = 200;
/// Names that mean something else already.
const RESERVED: &[&str] = &["owner", "admin", "developer", "billing", "support"];

record_id!(
    /// A role that was made here.
    RoleId,
    "rol_"
);

#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    pub id: RoleId,
    /// Unique in the installation.
    pub name: String,
    pub description: String,
    pub permissions: Vec<String>,
    pub created_at: TimestampMs,
    pub updated_at: TimestampMs,
}

#[derive(Debug, Clone)]
pub struct NewRole {
    pub name: String,
    pub description: String,
    /// The caller has checked that they exist.
    pub permissions: Vec<String>,
}

/// What is absent stays as it is.
#[derive(Debug, Clone, Default)]
pub struct RolePatch {
    pub name: Option<String>,
    pub description: Option<String>,
    pub permissions: Option<Vec<String>>,
}

fn read(row: table::Model) -> Result<Role> {
    Ok(Role {
        id: RoleId(row.id),
        name: row.name,
        description: row.description,
        permissions: serde_json::from_value(row.permissions)
            .map_err(|error| TenancyError::Corrupt(error.to_string()))?,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

fn check(name: &str, description: &str) -> Result<()> {
    check_name(name)?;
    if RESERVED.contains(&name.to_lowercase().as_str()) {
        return Err(TenancyError::conflict("name", "a built-in role has this name"));
    }
    if description.len() > DESCRIPTION_BYTES_MAX {
        return Err(TenancyError::invalid("description", "at most 1000 bytes"));
    }
    Ok(())
}

fn entry<'a>(role: &'a RoleId, action: &'static str, details: Value) -> Entry<'a> {
    Entry { tenant: None, project: None, action, target: role, details }
}

fn name_taken(error: DbErr) -> TenancyError {
    match TenancyError::from(error) {
        TenancyError::Conflict { .. } => {
            TenancyError::conflict("name", "there is a role of this name")
        }
        other => other,
    }
}

fn missing() -> TenancyError {
    TenancyError::NotFound { what: "role" }
}

async fn locked(change: &Change<'_>, role: RoleId) -> Result<table::Model> {
    let found = table::Entity::find_by_id(role.0).lock_exclusive();
    found.one(&change.transaction).await?.ok_or_else(missing)
}

impl Tenancy {
    pub async fn create_role(&self, new: NewRole, by: &Actor) -> Result<Role> {
        check(&new.name, &new.description)?;
        let change = self.change(by).await?;
        if table::Entity::find().count(&change.transaction).await? >= ROLES_MAX {
            return Err(TenancyError::state(format!("there may be {ROLES_MAX} roles")));
        }
        let row = table::Model {
            id: self.ids.uuid(),
            name: new.name,
            description: new.description,
            permissions: json!(new.permissions),
            created_at: change.at,
            updated_at: change.at,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await
            .map_err(name_taken)?;
        let role = read(row)?;
        let details = json!({"name": role.name, "permissions": role.permissions});
        change.commit(entry(&role.id, "role.create", details)).await?;
        Ok(role)
    }

    pub async fn role(&self, role: RoleId) -> Result<Role> {
        read(table::Entity::find_by_id(role.0).one(self.reader()).await?.ok_or_else(missing)?)
    }

    /// In the order of their identifiers.
    pub async fn roles(&self, after: Option<RoleId>, limit: usize) -> Result<Page<Role>> {
        let mut rows = table::Entity::find();
        if let Some(after) = after {
            rows = rows.filter(table::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    /// Counts at once for everybody who has the role.
    pub async fn update_role(&self, role: RoleId, patch: RolePatch, by: &Actor) -> Result<Role> {
        let change = self.change(by).await?;
        let found = locked(&change, role).await?;
        let before = read(found.clone())?;
        let name = patch.name.unwrap_or_else(|| before.name.clone());
        let description = patch.description.unwrap_or_else(|| before.description.clone());
        check(&name, &description)?;
        let permissions = patch.permissions.unwrap_or_else(|| before.permissions.clone());
        let mut row = found.into_active_model();
        row.name = Set(name);
        row.description = Set(description);
        row.permissions = Set(json!(permissions));
        row.updated_at = Set(change.at);
        let role = read(row.update(&change.transaction).await.map_err(name_taken)?)?;
        let details = json!({
            "name": role.name,
            "permissions": role.permissions,
            "permissions_before": before.permissions,
        });
        change.commit(entry(&role.id, "role.update", details)).await?;
        Ok(role)
    }

    /// Refused while somebody has it.
    pub async fn delete_role(&self, role: RoleId, by: &Actor) -> Result<()> {
        let change = self.change(by).await?;
        let found = locked(&change, role).await?;
        let bound = role_binding::Entity::find()
            .filter(role_binding::Column::Role.eq(role.to_string()))
            .count(&change.transaction)
            .await?;
        if bound > 0 {
            return Err(TenancyError::state(format!("{bound} users still have the role")));
        }
        table::Entity::delete_by_id(role.0).exec(&change.transaction).await?;
        change.commit(entry(&role, "role.delete", json!({"name": found.name}))).await
    }
}
