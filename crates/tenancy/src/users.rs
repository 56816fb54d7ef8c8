//! Users: people of a tenant. Only what other records refer to; signing in comes with `identity`'s
//! login service.

use crate::audit::{Change, Entry};
use crate::entity::{tenant, user as table};
use crate::page::fetch_count;
use crate::projects::check_name;
use crate::{Actor, Page, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect};
use serde::Serialize;
use serde_json::json;
use std::fmt;
use std::str::FromStr;
use types::{TenantId, TimestampMs};

/// RFC 5321 section 4.5.3.1.3: a path of 256 octets with its brackets.
const EMAIL_BYTES_MAX: usize = 254;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub Uuid);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "usr_{}", self.0.simple())
    }
}

impl FromStr for UserId {
    type Err = TenancyError;
    fn from_str(text: &str) -> Result<UserId> {
        text.strip_prefix("usr_")
            .and_then(|digits| Uuid::try_parse(digits).ok())
            .map(UserId)
            .ok_or_else(|| TenancyError::invalid("id", "expected `usr_` and 32 hexadecimal digits"))
    }
}

impl Serialize for UserId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct User {
    pub id: UserId,
    pub tenant: TenantId,
    /// Unique in its tenant, in lower case.
    pub email: String,
    pub name: String,
    pub created_at: TimestampMs,
}

#[derive(Debug, Clone)]
pub struct NewUser {
    pub email: String,
    pub name: String,
}

fn read(row: table::Model) -> Result<User> {
    Ok(User {
        id: UserId(row.id),
        tenant: TenantId(row.tenant_id),
        email: row.email,
        name: row.name,
        created_at: row.created_at,
    })
}

fn check_email(email: &str) -> Result<()> {
    let has_parts = email
        .rsplit_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    let has_blank = email.chars().any(|c| c.is_whitespace() || c.is_control());
    if !has_parts || has_blank || email.len() > EMAIL_BYTES_MAX {
        return Err(TenancyError::invalid("email", "expected an address like name@example.org"));
    }
    Ok(())
}

impl Tenancy {
    pub async fn create_user(&self, tenant: TenantId, new: NewUser, by: &Actor) -> Result<User> {
        check_name(&new.name)?;
        check_email(&new.email)?;
        let change = self.change(by).await?;
        let owner = tenant::Entity::find_by_id(tenant.0).lock_shared();
        if owner.one(&change.transaction).await?.is_none() {
            return Err(TenancyError::NotFound { what: "tenant" });
        }
        let row = table::Model {
            id: self.ids.uuid(),
            tenant_id: tenant.0,
            email: new.email.to_lowercase(),
            name: new.name,
            created_at: change.at,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await
            .map_err(|error| match TenancyError::from(error) {
                TenancyError::Conflict { .. } => {
                    TenancyError::conflict("email", "the tenant has a user of this address")
                }
                other => other,
            })?;
        let user = read(row)?;
        let entry = Entry {
            tenant: Some(tenant),
            project: None,
            action: "user.create",
            target: &user.id,
            details: json!({"email": user.email}),
        };
        change.commit(entry).await?;
        Ok(user)
    }

    pub async fn user(&self, tenant: TenantId, user: UserId) -> Result<User> {
        let found = table::Entity::find_by_id(user.0)
            .filter(table::Column::TenantId.eq(tenant.0))
            .one(self.reader())
            .await?;
        read(found.ok_or(TenancyError::NotFound { what: "user" })?)
    }

    /// In order of their identifiers.
    pub async fn users(
        &self,
        tenant: TenantId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Page<User>> {
        let mut rows = table::Entity::find().filter(table::Column::TenantId.eq(tenant.0));
        if let Some(after) = after {
            rows = rows.filter(table::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    pub(crate) async fn delete_users_of(
        &self,
        change: &Change<'_>,
        tenant: TenantId,
    ) -> Result<()> {
        table::Entity::delete_many()
            .filter(table::Column::TenantId.eq(tenant.0))
            .exec(&change.transaction)
            .await?;
        Ok(())
    }
}
