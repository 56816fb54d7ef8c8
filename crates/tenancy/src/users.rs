//! Users: the people who look after an installation or after tenants in it. One address, one user,
//! whatever number of tenants he works for: what he may do where is in `bindings`. This file keeps
//! what checks a password and cannot check it.

use crate::audit::{Change, Entry};
use crate::entity::providers::identity;
use crate::entity::{device, role_binding, session, user as table};
use crate::ids::record_id;
use crate::page::fetch_count;
use crate::projects::check_name;
use crate::tenants::Word;
use crate::{Actor, Page, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::{Value, json};
use std::fmt;
use types::TimestampMs;

/// RFC 5321 section 4.5.3.1.3: a path of 256 octets with its brackets.
const EMAIL_BYTES_MAX: usize = 254;
/// The built-in role without which nobody could repair an installation.
const OWNER: &str = "owner";

record_id!(
    /// A person who may sign in.
    UserId,
    "usr_"
);

/// Whether a user may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserStatus {
    /// Has no password yet.
    Invited,
    Active,
    /// May not sign in, and has no open sessions.
    Disabled,
}

impl Word for UserStatus {
    const ALL: &'static [(UserStatus, &'static str)] = &[
        (UserStatus::Invited, "invited"),
        (UserStatus::Active, "active"),
        (UserStatus::Disabled, "disabled"),
    ];
}

impl UserStatus {
    /// As it is stored and shown.
    pub fn name(self) -> &'static str {
        self.word()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct User {
    pub id: UserId,
    /// Unique in the installation, in lower case.
    pub email: String,
    pub name: String,
    pub status: UserStatus,
    pub created_at: TimestampMs,
    pub password_changed_at: Option<TimestampMs>,
    pub signed_in_at: Option<TimestampMs>,
}

/// A user with what checks his password.
#[derive(Clone)]
pub struct UserLogin {
    pub user: User,
    /// `None` until an invitation is accepted.
    pub password: Option<String>,
}

impl fmt::Debug for UserLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
pub struct NewUser {
    pub email: String,
    pub name: String,
}

pub(crate) fn read(row: table::Model) -> Result<User> {
    Ok(User {
        id: UserId(row.id),
        status: UserStatus::read(&row.status)?,
        email: row.email,
        name: row.name,
        created_at: row.created_at,
        password_changed_at: row.password_changed_at,
        signed_in_at: row.signed_in_at,
    })
}

/// The one form in which an address is stored and looked for.
pub(crate) fn check_email(email: &str) -> Result<String> {
    let has_parts = email
        .rsplit_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    let has_blank = email.chars().any(|c| c.is_whitespace() || c.is_control());
    if !has_parts || has_blank || email.len() > EMAIL_BYTES_MAX {
        return Err(TenancyError::invalid("email", "expected an address like name@example.org"));
    }
    Ok(email.to_lowercase())
}

pub(crate) fn missing() -> TenancyError {
    TenancyError::NotFound { what: "user" }
}

pub(crate) async fn locked(change: &Change<'_>, user: UserId) -> Result<table::Model> {
    let found = table::Entity::find_by_id(user.0).lock_exclusive();
    found.one(&change.transaction).await?.ok_or_else(missing)
}

pub(crate) fn entry<'a>(user: &'a UserId, action: &'static str, details: Value) -> Entry<'a> {
    Entry { tenant: None, project: None, action, target: user, details }
}

/// Refuses a change after which no active user would own the installation whatever the
/// circumstances. `user` is who loses his ownership by it.
pub(crate) async fn check_owner_remains(change: &Change<'_>, user: UserId) -> Result<()> {
    let owners = role_binding::Entity::find()
        .filter(role_binding::Column::Role.eq(OWNER))
        .filter(role_binding::Column::TenantId.is_null())
        .filter(role_binding::Column::Conditions.is_null())
        .lock_exclusive()
        .all(&change.transaction)
        .await?;
    if !owners.iter().any(|owner| owner.user_id == user.0) {
        return Ok(());
    }
    let others = owners.iter().map(|owner| owner.user_id).filter(|owner| *owner != user.0);
    let active = table::Entity::find()
        .filter(table::Column::Id.is_in(others))
        .filter(table::Column::Status.eq(UserStatus::Active.word()))
        .count(&change.transaction)
        .await?;
    match active {
        0 => {
            Err(TenancyError::state("the last owner of the installation stays, without conditions"))
        }
        _ => Ok(()),
    }
}

impl Tenancy {
    /// Whether anybody was ever set up here.
    pub async fn has_users(&self) -> Result<bool> {
        Ok(table::Entity::find().one(self.reader()).await?.is_some())
    }

    /// The first user, who owns the installation. Refused when there is any user, also when two ask
    /// at the same moment.
    pub async fn create_owner(&self, new: NewUser, password: &str, by: &Actor) -> Result<User> {
        check_name(&new.name)?;
        let email = check_email(&new.email)?;
        let taken = || TenancyError::state("the installation has its owner already");
        let change = self.change(by).await?;
        if table::Entity::find().one(&change.transaction).await?.is_some() {
            return Err(taken());
        }
        let row = table::Model {
            id: self.ids.uuid(),
            email,
            name: new.name,
            password: Some(password.to_owned()),
            status: UserStatus::Active.word().to_owned(),
            is_first: Some(true),
            created_at: change.at,
            password_changed_at: Some(change.at),
            signed_in_at: None,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await
            .map_err(|error| match TenancyError::from(error) {
                TenancyError::Conflict { .. } => taken(),
                other => other,
            })?;
        let binding = role_binding::Model {
            id: self.ids.uuid(),
            user_id: row.id,
            role: OWNER.to_owned(),
            tenant_id: None,
            project_id: None,
            created_at: change.at,
            provider_id: None,
            conditions: None,
        };
        role_binding::Entity::insert(binding.into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        let user = read(row)?;
        change.commit(entry(&user.id, "user.create", json!({"email": user.email}))).await?;
        Ok(user)
    }

    pub async fn user(&self, user: UserId) -> Result<User> {
        read(table::Entity::find_by_id(user.0).one(self.reader()).await?.ok_or_else(missing)?)
    }

    /// Of this address, in whatever case it is written.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<UserLogin>> {
        let email = check_email(email)?;
        let found = table::Entity::find().filter(table::Column::Email.eq(email));
        let found = found.one(self.reader()).await?;
        found
            .map(|row| Ok(UserLogin { password: row.password.clone(), user: read(row)? }))
            .transpose()
    }

    /// With what checks his password.
    pub async fn user_login(&self, user: UserId) -> Result<UserLogin> {
        let row = table::Entity::find_by_id(user.0).one(self.reader()).await?;
        let row = row.ok_or_else(missing)?;
        Ok(UserLogin { password: row.password.clone(), user: read(row)? })
    }

    /// Everybody, in the order of their identifiers.
    pub async fn users(&self, after: Option<UserId>, limit: usize) -> Result<Page<User>> {
        let mut rows = table::Entity::find();
        if let Some(after) = after {
            rows = rows.filter(table::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    /// Replaces the password and ends the user's sessions, but for the one that is kept. An
    /// invited user becomes an active one.
    pub async fn set_password(
        &self,
        user: UserId,
        password: &str,
        kept: Option<crate::SessionId>,
        by: &Actor,
    ) -> Result<()> {
        let change = self.change(by).await?;
        let row = locked(&change, user).await?;
        if UserStatus::read(&row.status)? == UserStatus::Disabled {
            return Err(TenancyError::state("the user is disabled"));
        }
        let mut row = row.into_active_model();
        row.password = Set(Some(password.to_owned()));
        row.password_changed_at = Set(Some(change.at));
        row.status = Set(UserStatus::Active.word().to_owned());
        row.update(&change.transaction).await?;
        let ended =
            crate::sessions::end_all(&change, user, kept, crate::SessionEnd::PasswordChanged)
                .await?;
        let details = json!({"sessions_ended": ended});
        change.commit(entry(&user, "user.password.change", details)).await
    }

    /// The same password under stronger parameters; nothing that anybody has to be told of.
    pub async fn rehash_password(&self, user: UserId, old: &str, new: &str) -> Result<()> {
        let transaction = self.begin().await?;
        table::Entity::update_many()
            .col_expr(table::Column::Password, Expr::value(new))
            .filter(table::Column::Id.eq(user.0))
            .filter(table::Column::Password.eq(old))
            .exec(&transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Lets a user sign in no more, and ends his sessions.
    pub async fn disable_user(&self, user: UserId, by: &Actor) -> Result<User> {
        let change = self.change(by).await?;
        let row = locked(&change, user).await?;
        check_owner_remains(&change, user).await?;
        let mut row = row.into_active_model();
        row.status = Set(UserStatus::Disabled.word().to_owned());
        let row = row.update(&change.transaction).await?;
        let ended =
            crate::sessions::end_all(&change, user, None, crate::SessionEnd::Disabled).await?;
        let details = json!({"email": row.email, "sessions_ended": ended});
        change.commit(entry(&user, "user.disable", details)).await?;
        read(row)
    }

    pub async fn enable_user(&self, user: UserId, by: &Actor) -> Result<User> {
        let change = self.change(by).await?;
        let row = locked(&change, user).await?;
        let vouched = identity::Entity::find().filter(identity::Column::UserId.eq(user.0));
        let is_vouched = vouched.count(&change.transaction).await? > 0;
        let status = match row.password {
            Some(_) => UserStatus::Active,
            None if is_vouched => UserStatus::Active,
            None => UserStatus::Invited,
        };
        let mut row = row.into_active_model();
        row.status = Set(status.word().to_owned());
        let row = row.update(&change.transaction).await?;
        change.commit(entry(&user, "user.enable", json!({"email": row.email}))).await?;
        read(row)
    }

    /// With sessions, devices and roles. The trail keeps what the user did.
    pub async fn delete_user(&self, user: UserId, by: &Actor) -> Result<()> {
        let change = self.change(by).await?;
        let row = locked(&change, user).await?;
        check_owner_remains(&change, user).await?;
        let transaction = &change.transaction;
        session::Entity::delete_many()
            .filter(session::Column::UserId.eq(user.0))
            .exec(transaction)
            .await?;
        device::Entity::delete_many()
            .filter(device::Column::UserId.eq(user.0))
            .exec(transaction)
            .await?;
        role_binding::Entity::delete_many()
            .filter(role_binding::Column::UserId.eq(user.0))
            .exec(transaction)
            .await?;
        self.delete_tokens_of(&change, user).await?;
        self.delete_second_factor_of(&change, user).await?;
        self.delete_passkeys_of(&change, user).await?;
        self.delete_device_sign_ins_of(&change, user).await?;
        self.delete_identities_of(&change, user).await?;
        self.delete_attributes_of_user(&change, user).await?;
        table::Entity::delete_by_id(user.0).exec(transaction).await?;
        change.commit(entry(&user, "user.delete", json!({"email": row.email}))).await
    }
}
