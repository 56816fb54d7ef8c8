//! What was noted of people, by name, in each tenant they belong to and in the installation. The
//! store does not know what it means: conditions of roles ask about it.

use crate::audit::{Change, Entry};
use crate::entity::people::person_attributes as table;
use crate::entity::role_binding;
use crate::users::locked;
use crate::{Actor, Result, Tenancy, TenancyError, UserId};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{IntoActiveModel, QueryOrder};
use serde_json::json;
use std::collections::BTreeMap;
use types::TenantId;

/// By name.
pub type Attributes = BTreeMap<String, String>;

/// What was noted of one person, in each place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotedOf(Vec<(Option<TenantId>, Attributes)>);

impl NotedOf {
    /// In this tenant; with `None`: in the installation. Nothing noted elsewhere is among it.
    pub fn at(&self, tenant: Option<TenantId>) -> Attributes {
        let found = self.0.iter().find(|(place, _)| *place == tenant);
        found.map(|(_, attributes)| attributes.clone()).unwrap_or_default()
    }
}

fn book(tenant: Option<TenantId>) -> String {
    tenant.map_or_else(|| "installation".to_owned(), |tenant| tenant.to_string())
}

fn read(row: table::Model) -> Result<(Option<TenantId>, Attributes)> {
    let attributes = serde_json::from_value(row.attributes);
    let attributes = attributes.map_err(|error| TenancyError::Corrupt(error.to_string()))?;
    Ok((row.tenant_id.map(TenantId), attributes))
}

/// Whether the user has any role that belongs to this book.
async fn belongs(change: &Change<'_>, user: UserId, tenant: Option<TenantId>) -> Result<bool> {
    let held = role_binding::Entity::find().filter(role_binding::Column::UserId.eq(user.0));
    let here = match tenant {
        Some(tenant) => held.filter(role_binding::Column::TenantId.eq(tenant.0)),
        None => held.filter(role_binding::Column::TenantId.is_null()),
    };
    Ok(here.count(&change.transaction).await? > 0)
}

impl Tenancy {
    /// In all places together; there are as many as the user has roles at most.
    pub async fn noted_of(&self, user: UserId) -> Result<NotedOf> {
        let rows = table::Entity::find()
            .filter(table::Column::UserId.eq(user.0))
            .order_by_asc(table::Column::Book)
            .all(self.reader())
            .await?;
        Ok(NotedOf(rows.into_iter().map(read).collect::<Result<_>>()?))
    }

    /// Notes these and no others of somebody with a role there; with `None`: in the installation.
    /// The caller has checked names and values, and that whoever asks may give what they open.
    pub async fn note_attributes(
        &self,
        user: UserId,
        tenant: Option<TenantId>,
        wanted: Attributes,
        by: &Actor,
    ) -> Result<Attributes> {
        let change = self.change(by).await?;
        let holder = locked(&change, user).await?;
        if !belongs(&change, user, tenant).await? {
            return Err(TenancyError::conflict("tenant", "the user has no role there"));
        }
        let found = table::Entity::find_by_id((user.0, book(tenant)));
        let before = found.one(&change.transaction).await?.map(read).transpose()?;
        let before = before.map(|(_, attributes)| attributes).unwrap_or_default();
        if before == wanted {
            return Ok(wanted);
        }
        let row = table::Model {
            user_id: user.0,
            book: book(tenant),
            tenant_id: tenant.map(|id| id.0),
            attributes: json!(wanted),
            actor: by.as_str().to_owned(),
            at: change.at,
        };
        let mut again = OnConflict::columns([table::Column::UserId, table::Column::Book]);
        again.update_columns([table::Column::Attributes, table::Column::Actor, table::Column::At]);
        table::Entity::insert(row.into_active_model())
            .on_conflict(again)
            .exec_without_returning(&change.transaction)
            .await?;
        let entry = Entry {
            tenant,
            project: None,
            action: "user.attributes",
            target: &user,
            details: json!({"email": holder.email, "before": before, "after": wanted}),
        };
        change.commit(entry).await?;
        Ok(wanted)
    }

    /// Who gets his first role somewhere comes without what was noted of him there long ago.
    pub(crate) async fn forget_if_new(
        &self,
        change: &Change<'_>,
        user: UserId,
        tenant: Option<TenantId>,
    ) -> Result<()> {
        if !belongs(change, user, tenant).await? {
            table::Entity::delete_by_id((user.0, book(tenant))).exec(&change.transaction).await?;
        }
        Ok(())
    }

    pub(crate) async fn delete_attributes_of_user(
        &self,
        change: &Change<'_>,
        user: UserId,
    ) -> Result<()> {
        let gone = table::Entity::delete_many().filter(table::Column::UserId.eq(user.0));
        gone.exec(&change.transaction).await?;
        Ok(())
    }

    pub(crate) async fn delete_attributes_of_tenant(
        &self,
        change: &Change<'_>,
        tenant: TenantId,
    ) -> Result<()> {
        let gone = table::Entity::delete_many().filter(table::Column::TenantId.eq(tenant.0));
        gone.exec(&change.transaction).await?;
        Ok(())
    }
}
