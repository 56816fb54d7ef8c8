//! Who has which role where: in the installation, in a tenant, or in a project. What a role allows
//! is not known here.

use crate::audit::{Change, Entry};
use crate::entity::{project, role, role_binding as table, tenant, user};
use crate::ids::record_id;
use crate::page::{PAGE_ITEMS_MAX, fetch_count};
use crate::tenants::Word;
use crate::users::{check_owner_remains, locked, read as read_user};
use crate::{
    Actor, Page, ProviderId, Result, RoleId, Tenancy, TenancyError, User, UserId, UserStatus,
};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, Condition, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde_json::{Value, json};
use types::{ProjectId, TenantId, TimestampMs};

/// Roles of one user, all places together: all of them are read with each of his requests.
pub const BINDINGS_MAX: u64 = 200;

record_id!(
    /// A role that somebody has somewhere.
    BindingId,
    "bnd_"
);

#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    pub id: BindingId,
    pub user: UserId,
    /// A built-in role's name, or the identifier of one that was made.
    pub role: String,
    /// `None`: in the whole installation.
    pub tenant: Option<TenantId>,
    /// `None`: in all projects of the tenant.
    pub project: Option<ProjectId>,
    pub created_at: TimestampMs,
    /// The provider whose rules gave it, and take it.
    pub provider: Option<ProviderId>,
    /// Under which circumstances it counts; `None`: always. The store does not read them.
    pub conditions: Option<Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NewBinding {
    pub user: UserId,
    /// The caller has checked that a name which is no identifier is that of a built-in role.
    pub role: String,
    pub tenant: Option<TenantId>,
    pub project: Option<ProjectId>,
    /// The caller has checked them; never an empty set.
    pub conditions: Option<Value>,
}

/// Under which circumstances a role counts from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionsChange {
    pub binding: BindingId,
    /// As the caller has read them; refused when they are others by now.
    pub from: Option<Value>,
    /// The caller has checked them; `None`: always.
    pub to: Option<Value>,
}

pub(crate) fn read(row: table::Model) -> Binding {
    Binding {
        id: BindingId(row.id),
        user: UserId(row.user_id),
        role: row.role,
        tenant: row.tenant_id.map(TenantId),
        project: row.project_id.map(ProjectId),
        created_at: row.created_at,
        provider: row.provider_id.map(ProviderId),
        conditions: row.conditions,
    }
}

/// Whether place and role exist, so that no binding stands on nothing.
pub(crate) async fn check_place(change: &Change<'_>, new: &NewBinding) -> Result<()> {
    let transaction = &change.transaction;
    match (new.tenant, new.project) {
        (None, Some(_)) => {
            return Err(TenancyError::invalid("tenant", "a project needs its tenant"));
        }
        (None, None) => {}
        (Some(at), None) => {
            let found = tenant::Entity::find_by_id(at.0).lock_shared();
            found.one(transaction).await?.ok_or(TenancyError::NotFound { what: "tenant" })?;
        }
        (Some(at), Some(inside)) => {
            let found = project::Entity::find_by_id(inside.0)
                .filter(project::Column::TenantId.eq(at.0))
                .lock_shared();
            found.one(transaction).await?.ok_or(TenancyError::NotFound { what: "project" })?;
        }
    }
    if let Ok(made) = new.role.parse::<RoleId>() {
        let found = role::Entity::find_by_id(made.0).lock_shared();
        found.one(transaction).await?.ok_or(TenancyError::NotFound { what: "role" })?;
    }
    Ok(())
}

impl Tenancy {
    /// Gives a user a role somewhere. Having it already is no error: what there is, is answered.
    /// Having it under other conditions is one, since one of the two would be silently left out.
    pub async fn bind_role(&self, new: NewBinding, by: &Actor) -> Result<Binding> {
        self.bind_role_by(new, None, by).await
    }

    /// As `bind_role`; a provider's rules take away what they gave, and that only.
    pub(crate) async fn bind_role_by(
        &self,
        new: NewBinding,
        provider: Option<ProviderId>,
        by: &Actor,
    ) -> Result<Binding> {
        let change = self.change(by).await?;
        let holder = locked(&change, new.user).await?;
        let (made, is_new) = self.insert_binding(&change, new, provider).await?;
        if is_new {
            let mut details = json!({"binding": made.id, "email": holder.email, "role": made.role});
            if let Some(provider) = provider {
                details["provider"] = json!(provider);
            }
            if let Some(conditions) = &made.conditions {
                details["conditions"] = conditions.clone();
            }
            let entry = Entry {
                tenant: made.tenant,
                project: made.project,
                action: "role.grant",
                target: &made.user,
                details,
            };
            change.commit(entry).await?;
        }
        Ok(made)
    }

    /// Within somebody's change; tells whether it is new. The user's row is locked.
    pub(crate) async fn insert_binding(
        &self,
        change: &Change<'_>,
        new: NewBinding,
        provider: Option<ProviderId>,
    ) -> Result<(Binding, bool)> {
        check_place(change, &new).await?;
        let held = table::Entity::find()
            .filter(table::Column::UserId.eq(new.user.0))
            .all(&change.transaction)
            .await?;
        let same = held.iter().find(|row| {
            row.role == new.role
                && row.tenant_id == new.tenant.map(|id| id.0)
                && row.project_id == new.project.map(|id| id.0)
        });
        if let Some(same) = same {
            if provider.is_none() && same.conditions != new.conditions {
                let why = "the user has this role there under other conditions: change them";
                return Err(TenancyError::conflict("conditions", why));
            }
            if same.provider_id.is_none() || provider.is_some() {
                return Ok((read(same.clone()), false));
            }
            // What a provider's rules gave, somebody gives by hand now: they take it no more.
            let mut kept = same.clone().into_active_model();
            kept.provider_id = Set(None);
            return Ok((read(kept.update(&change.transaction).await?), true));
        }
        self.forget_if_new(change, new.user, new.tenant).await?;
        if held.len() as u64 >= BINDINGS_MAX {
            return Err(TenancyError::state(format!("a user may have {BINDINGS_MAX} roles")));
        }
        let row = table::Model {
            id: self.ids.uuid(),
            user_id: new.user.0,
            role: new.role,
            tenant_id: new.tenant.map(|id| id.0),
            project_id: new.project.map(|id| id.0),
            created_at: change.at,
            provider_id: provider.map(|id| id.0),
            conditions: new.conditions,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        Ok((read(row), true))
    }

    /// Takes a role away. Refused for the last owner of the installation.
    pub async fn unbind_role(&self, binding: BindingId, by: &Actor) -> Result<Binding> {
        let change = self.change(by).await?;
        let gone = || TenancyError::NotFound { what: "binding" };
        let row = table::Entity::find_by_id(binding.0).one(&change.transaction).await?;
        let found = read(row.ok_or_else(gone)?);
        let holder = locked(&change, found.user).await?;
        if found.tenant.is_none() && found.role == "owner" && found.conditions.is_none() {
            check_owner_remains(&change, found.user).await?;
        }
        let deleted = table::Entity::delete_by_id(binding.0).exec(&change.transaction).await?;
        if deleted.rows_affected == 0 {
            return Err(gone());
        }
        let entry = Entry {
            tenant: found.tenant,
            project: found.project,
            action: "role.take",
            target: &found.user,
            details: json!({
                "binding": found.id,
                "email": holder.email,
                "role": found.role,
                "conditions": found.conditions,
            }),
        };
        change.commit(entry).await?;
        Ok(found)
    }

    /// The role counts under these conditions from now on. Refused with a conflict of `if-match`
    /// when somebody else was faster, and when the last owner of the installation would own it
    /// under conditions only.
    pub async fn set_role_conditions(
        &self,
        wanted: ConditionsChange,
        by: &Actor,
    ) -> Result<Binding> {
        let ConditionsChange { binding, from, to: conditions } = wanted;
        let change = self.change(by).await?;
        let gone = || TenancyError::NotFound { what: "binding" };
        let found = table::Entity::find_by_id(binding.0).one(&change.transaction).await?;
        // Whoever changes a user's roles holds the user first, here as elsewhere.
        let holder = locked(&change, UserId(found.ok_or_else(gone)?.user_id)).await?;
        let row = table::Entity::find_by_id(binding.0).one(&change.transaction).await?;
        let row = row.ok_or_else(gone)?;
        let before = read(row.clone());
        if before.conditions != from {
            let why = "somebody changed the conditions meanwhile: look at them again";
            return Err(TenancyError::conflict("if-match", why));
        }
        if before.conditions == conditions {
            return Ok(before);
        }
        let is_owned = before.tenant.is_none() && before.role == "owner";
        if is_owned && before.conditions.is_none() {
            check_owner_remains(&change, before.user).await?;
        }
        let mut row = row.into_active_model();
        row.conditions = Set(conditions);
        let after = read(row.update(&change.transaction).await?);
        let entry = Entry {
            tenant: after.tenant,
            project: after.project,
            action: "role.condition",
            target: &after.user,
            details: json!({
                "binding": after.id,
                "email": holder.email,
                "role": after.role,
                "before": before.conditions,
                "after": after.conditions,
            }),
        };
        change.commit(entry).await?;
        Ok(after)
    }

    pub async fn binding(&self, binding: BindingId) -> Result<Binding> {
        let row = table::Entity::find_by_id(binding.0).one(self.reader()).await?;
        row.map(read).ok_or(TenancyError::NotFound { what: "binding" })
    }

    /// All that a user has; there are `BINDINGS_MAX` at most.
    pub async fn bindings_of(&self, user: UserId) -> Result<Vec<Binding>> {
        let rows = table::Entity::find()
            .filter(table::Column::UserId.eq(user.0))
            .order_by_asc(table::Column::Id)
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(read).collect())
    }

    /// Who has a role in this tenant or in one of its projects, in the order of identifiers.
    pub async fn users_of_tenant(
        &self,
        tenant: TenantId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Page<User>> {
        let members = table::Entity::find()
            .select_only()
            .column(table::Column::UserId)
            .filter(table::Column::TenantId.eq(tenant.0));
        let mut rows =
            user::Entity::find().filter(user::Column::Id.in_subquery(members.into_query()));
        if let Some(after) = after {
            rows = rows.filter(user::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(user::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read_user)
    }

    /// Active users with a role in the installation, or in this tenant or one of its projects, in
    /// the order of identifiers and no more than `limit`.
    pub async fn users_bound_at(
        &self,
        tenant: Option<TenantId>,
        limit: usize,
    ) -> Result<Vec<User>> {
        let mut there = Condition::any().add(table::Column::TenantId.is_null());
        if let Some(tenant) = tenant {
            there = there.add(table::Column::TenantId.eq(tenant.0));
        }
        let bound = table::Entity::find().select_only().column(table::Column::UserId).filter(there);
        let rows = user::Entity::find()
            .filter(user::Column::Id.in_subquery(bound.into_query()))
            .filter(user::Column::Status.eq(UserStatus::Active.word()))
            .order_by_asc(user::Column::Id)
            .limit(limit.min(PAGE_ITEMS_MAX) as u64)
            .all(self.reader())
            .await?;
        rows.into_iter().map(read_user).collect()
    }

    /// What was given in a tenant ends with it.
    pub(crate) async fn delete_bindings_of(
        &self,
        change: &Change<'_>,
        tenant: TenantId,
        project: Option<ProjectId>,
    ) -> Result<()> {
        let mut gone = table::Entity::delete_many().filter(table::Column::TenantId.eq(tenant.0));
        if let Some(project) = project {
            gone = gone.filter(table::Column::ProjectId.eq(project.0));
        }
        gone.exec(&change.transaction).await?;
        Ok(())
    }
}
