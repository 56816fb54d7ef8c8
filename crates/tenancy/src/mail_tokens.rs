//! One-time tokens that were mailed to somebody: an invitation, a password's reset. Only hashes are
//! kept, each until it is used or its time is over.

use crate::audit::Change;
use crate::entity::{mail_token as table, user};
use crate::ids::record_id;
use crate::projects::check_name;
use crate::tenants::Word;
use crate::users::{check_email, entry, locked, read as read_user};
use crate::{Actor, Binding, NewBinding, Result, SessionEnd, Tenancy, TenancyError};
use crate::{User, UserId, UserStatus};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QuerySelect};
use serde_json::{Value, json};
use types::{ProjectId, TenantId, TimestampMs};

record_id!(
    /// A token that was mailed to somebody.
    MailTokenId,
    "mtk_"
);

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTokenKind {
    /// To choose one's first password.
    Invitation,
    /// To choose another.
    Reset,
}

impl Word for MailTokenKind {
    const ALL: &'static [(MailTokenKind, &'static str)] =
        &[(MailTokenKind::Invitation, "invitation"), (MailTokenKind::Reset, "reset")];
}

#[derive(Clone)]
pub struct NewInvitation {
    pub email: String,
    /// Until the user says himself.
    pub name: String,
    pub role: String,
    pub tenant: Option<TenantId>,
    pub project: Option<ProjectId>,
    /// `None`: the role counts always.
    pub conditions: Option<Value>,
    pub token_hash: Vec<u8>,
    pub expires_at: TimestampMs,
}

/// What came of an invitation.
#[derive(Debug, Clone, PartialEq)]
pub struct Invited {
    pub user: User,
    pub binding: Binding,
    /// `None`: the user has a password already and needs no token.
    pub token: Option<MailTokenId>,
}

/// A presented token with what it is used for.
#[derive(Clone)]
pub struct Redemption {
    pub kind: MailTokenKind,
    pub token: MailTokenId,
    pub token_hash: Vec<u8>,
    /// What checks the new password.
    pub password: String,
    /// How the user wants to be called, when that changes.
    pub name: Option<String>,
}

fn worthless() -> TenancyError {
    TenancyError::invalid("token", "the link was used before, or its time is over")
}

impl Tenancy {
    /// Replaces the user's tokens of this kind by a new one.
    async fn put_token(
        &self,
        change: &Change<'_>,
        user: UserId,
        kind: MailTokenKind,
        hash: &[u8],
        expires_at: TimestampMs,
    ) -> Result<MailTokenId> {
        table::Entity::delete_many()
            .filter(table::Column::UserId.eq(user.0))
            .filter(table::Column::Kind.eq(kind.word()))
            .exec(&change.transaction)
            .await?;
        let row = table::Model {
            id: self.ids.uuid(),
            user_id: user.0,
            kind: kind.word().to_owned(),
            hash: hash.to_vec(),
            created_at: change.at,
            expires_at,
        };
        let id = MailTokenId(row.id);
        table::Entity::insert(row.into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        Ok(id)
    }

    /// Gives somebody a role by his address. Who is not known yet becomes a user without a
    /// password, and gets a token to choose one; so does one who never used his.
    pub async fn invite_user(&self, new: NewInvitation, by: &Actor) -> Result<Invited> {
        check_name(&new.name)?;
        let email = check_email(&new.email)?;
        let change = self.change(by).await?;
        let found = user::Entity::find()
            .filter(user::Column::Email.eq(&email))
            .lock_exclusive()
            .one(&change.transaction)
            .await?;
        let row = match found {
            Some(row) => row,
            None => {
                let row = user::Model {
                    id: self.ids.uuid(),
                    email,
                    name: new.name,
                    password: None,
                    status: UserStatus::Invited.word().to_owned(),
                    is_first: None,
                    created_at: change.at,
                    password_changed_at: None,
                    signed_in_at: None,
                };
                user::Entity::insert(row.clone().into_active_model())
                    .exec_without_returning(&change.transaction)
                    .await?;
                row
            }
        };
        let user = read_user(row)?;
        let binding = NewBinding {
            user: user.id,
            role: new.role,
            tenant: new.tenant,
            project: new.project,
            conditions: new.conditions,
        };
        let (binding, _) = self.insert_binding(&change, binding, None).await?;
        let token = match user.status {
            UserStatus::Invited => {
                let (kind, hash) = (MailTokenKind::Invitation, &new.token_hash);
                Some(self.put_token(&change, user.id, kind, hash, new.expires_at).await?)
            }
            UserStatus::Active | UserStatus::Disabled => None,
        };
        let mut details = json!({"email": user.email, "role": binding.role, "binding": binding.id});
        if let Some(conditions) = &binding.conditions {
            details["conditions"] = conditions.clone();
        }
        let mut entry = entry(&user.id, "user.invite", details);
        entry.tenant = binding.tenant;
        entry.project = binding.project;
        change.commit(entry).await?;
        Ok(Invited { user, binding, token })
    }

    /// A token to choose another password with; those of before count no more.
    pub async fn start_reset(
        &self,
        user: UserId,
        token_hash: &[u8],
        expires_at: TimestampMs,
        by: &Actor,
    ) -> Result<MailTokenId> {
        let change = self.change(by).await?;
        let row = locked(&change, user).await?;
        if UserStatus::read(&row.status)? != UserStatus::Active {
            return Err(TenancyError::state("the user is not active"));
        }
        let kind = MailTokenKind::Reset;
        let token = self.put_token(&change, user, kind, token_hash, expires_at).await?;
        change.commit(entry(&user, "password.reset", json!({"expires_at": expires_at}))).await?;
        Ok(token)
    }

    /// Uses a token up: the user has the new password, and none of his sessions.
    pub async fn redeem(&self, wish: Redemption) -> Result<User> {
        if let Some(name) = &wish.name {
            check_name(name)?;
        }
        let by = Actor::system();
        let change = self.change(&by).await?;
        let found = table::Entity::find_by_id(wish.token.0)
            .filter(table::Column::Kind.eq(wish.kind.word()))
            .filter(table::Column::Hash.eq(wish.token_hash))
            .filter(table::Column::ExpiresAt.gt(change.at))
            .lock_exclusive()
            .one(&change.transaction)
            .await?;
        let found = found.ok_or_else(worthless)?;
        let holder = UserId(found.user_id);
        let row = locked(&change, holder).await?;
        if UserStatus::read(&row.status)? == UserStatus::Disabled {
            return Err(worthless());
        }
        // Each of them: a reset makes an open invitation worthless too.
        table::Entity::delete_many()
            .filter(table::Column::UserId.eq(holder.0))
            .exec(&change.transaction)
            .await?;
        let mut row = row.into_active_model();
        row.password = Set(Some(wish.password));
        row.password_changed_at = Set(Some(change.at));
        row.status = Set(UserStatus::Active.word().to_owned());
        if let Some(name) = wish.name {
            row.name = Set(name);
        }
        let user = read_user(row.update(&change.transaction).await?)?;
        let why = SessionEnd::PasswordChanged;
        let ended = crate::sessions::end_all(&change, holder, None, why).await?;
        let action = match wish.kind {
            MailTokenKind::Invitation => "user.join",
            MailTokenKind::Reset => "password.change",
        };
        let details = json!({"email": user.email, "sessions_ended": ended});
        change.commit(entry(&holder, action, details)).await?;
        Ok(user)
    }

    pub(crate) async fn delete_tokens_of(&self, change: &Change<'_>, user: UserId) -> Result<()> {
        table::Entity::delete_many()
            .filter(table::Column::UserId.eq(user.0))
            .exec(&change.transaction)
            .await?;
        Ok(())
    }
}
