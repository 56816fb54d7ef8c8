//! Whom providers vouch for: people who are under way to sign in, accounts by issuer and subject,
//! and the roles that a provider's rules give and take. Whether somebody is to be let in is decided
//! elsewhere; here what was decided is made sure of once more in the same transaction.

use crate::entity::providers::{identity as table, provider, provider_sign_in as sign_in};
use crate::entity::{role_binding, user};
use crate::ids::record_id;
use crate::page::fetch_count;
use crate::projects::check_name;
use crate::providers::{Provider, ProviderId, read as read_provider};
use crate::tenants::Word;
use crate::users::{check_email, entry, locked, read as read_user};
use crate::{
    Actor, NewBinding, Page, Result, SessionId, Tenancy, TenancyError, User, UserId, UserStatus,
};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::json;
use types::{TenantId, TimestampMs};

/// People under way to sign in with one provider; the oldest gives way.
const UNDER_WAY_MAX: u64 = 10_000;
/// Identities of one user.
const IDENTITIES_MAX: u64 = 20;
/// Bytes of a subject (OpenID Connect Core section 2: 255 ASCII characters).
const SUBJECT_BYTES_MAX: usize = 255;

record_id!(
    /// Somebody under way to sign in with a provider.
    SignInId,
    "psi_"
);
record_id!(
    /// An account at a provider that stands for a user here.
    IdentityId,
    "idn_"
);

/// What somebody is under way for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInPurpose {
    SignIn,
    /// To prove once more who he is.
    Elevate,
    /// To have the account at the provider stand for him.
    Link,
    /// The provider has vouched for him; his own second factor is still to come.
    SecondFactor,
}

impl Word for SignInPurpose {
    const ALL: &'static [(SignInPurpose, &'static str)] = &[
        (SignInPurpose::SignIn, "sign_in"),
        (SignInPurpose::Elevate, "elevate"),
        (SignInPurpose::Link, "link"),
        (SignInPurpose::SecondFactor, "second_factor"),
    ];
}

#[derive(Clone)]
pub struct NewSignIn {
    pub provider: ProviderId,
    pub purpose: SignInPurpose,
    pub hash: Vec<u8>,
    pub device_hash: Vec<u8>,
    pub session: Option<SessionId>,
    pub user: Option<UserId>,
    pub expires_at: TimestampMs,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PendingSignIn {
    pub provider: Provider,
    pub purpose: SignInPurpose,
    pub session: Option<SessionId>,
    pub user: Option<UserId>,
    pub created_at: TimestampMs,
    pub attempts: i64,
}

/// Who comes back, by the random part of what he brings and by his device.
#[derive(Clone)]
pub struct Return {
    pub sign_in: SignInId,
    pub hash: Vec<u8>,
    pub device_hash: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LinkedIdentity {
    pub id: IdentityId,
    pub user: UserId,
    pub issuer: String,
    pub subject: String,
    /// As the provider said when it was linked.
    pub email: String,
    pub created_at: TimestampMs,
    pub seen_at: TimestampMs,
}

#[derive(Debug, Clone)]
pub struct NewIdentity {
    pub issuer: String,
    pub subject: String,
    pub email: String,
}

fn read(row: table::Model) -> LinkedIdentity {
    LinkedIdentity {
        id: IdentityId(row.id),
        user: UserId(row.user_id),
        issuer: row.issuer,
        subject: row.subject,
        email: row.email,
        created_at: row.created_at,
        seen_at: row.seen_at,
    }
}

fn over() -> TenancyError {
    TenancyError::invalid("state", "this sign-in was finished before, or its time is over")
}

fn no_identity() -> TenancyError {
    TenancyError::NotFound { what: "identity" }
}

impl Tenancy {
    /// Somebody sets out for a provider, which must be switched on.
    pub async fn begin_sign_in(&self, new: NewSignIn) -> Result<SignInId> {
        let transaction = self.begin().await?;
        let at = self.ids.now_ms();
        let found = provider::Entity::find_by_id(new.provider.0).lock_shared();
        let found = found.one(&transaction).await?.filter(|found| found.is_enabled);
        found.ok_or(TenancyError::NotFound { what: "identity provider" })?;
        sign_in::Entity::delete_many()
            .filter(sign_in::Column::ExpiresAt.lte(at))
            .exec(&transaction)
            .await?;
        let of_provider = sign_in::Column::ProviderId.eq(new.provider.0);
        let others = sign_in::Entity::find().filter(of_provider);
        if others.clone().count(&transaction).await? >= UNDER_WAY_MAX
            && let Some(oldest) = others.order_by_asc(sign_in::Column::Id).one(&transaction).await?
        {
            sign_in::Entity::delete_by_id(oldest.id).exec(&transaction).await?;
        }
        let row = sign_in::Model {
            id: self.ids.uuid(),
            provider_id: new.provider.0,
            purpose: new.purpose.word().to_owned(),
            hash: new.hash,
            device_hash: new.device_hash,
            session_id: new.session.map(|id| id.0),
            user_id: new.user.map(|id| id.0),
            attempts: 0,
            created_at: at,
            expires_at: new.expires_at,
        };
        let id = SignInId(row.id);
        sign_in::Entity::insert(row.into_active_model())
            .exec_without_returning(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Somebody comes back: once, in time, on the device he set out with. Whatever is wrong with
    /// it, it is over afterwards.
    pub async fn take_sign_in(&self, back: &Return) -> Result<PendingSignIn> {
        let transaction = self.begin().await?;
        let row = sign_in::Entity::find_by_id(back.sign_in.0).lock_exclusive();
        let row = row.one(&transaction).await?.filter(|row| row.hash == back.hash);
        let row = row.ok_or_else(over)?;
        sign_in::Entity::delete_by_id(row.id).exec(&transaction).await?;
        let found = provider::Entity::find_by_id(row.provider_id).one(&transaction).await?;
        transaction.commit().await?;
        let is_his = row.device_hash == back.device_hash && row.expires_at > self.ids.now_ms();
        let found = found.filter(|found| found.is_enabled && is_his).ok_or_else(over)?;
        pending(row, found)
    }

    /// As `take_sign_in`, but it stays until it is taken; each look is counted.
    pub async fn try_sign_in(&self, back: &Return) -> Result<PendingSignIn> {
        let transaction = self.begin().await?;
        let row = sign_in::Entity::find_by_id(back.sign_in.0).lock_exclusive();
        let row = row.one(&transaction).await?.filter(|row| {
            row.hash == back.hash
                && row.device_hash == back.device_hash
                && row.expires_at > self.ids.now_ms()
        });
        let row = row.ok_or_else(over)?;
        let found = provider::Entity::find_by_id(row.provider_id).one(&transaction).await?;
        let found = found.filter(|found| found.is_enabled).ok_or_else(over)?;
        let mut counted = row.clone().into_active_model();
        counted.attempts = Set(row.attempts + 1);
        let row = counted.update(&transaction).await?;
        transaction.commit().await?;
        pending(row, found)
    }

    /// The user that an account at a provider stands for.
    pub async fn user_of_identity(&self, issuer: &str, subject: &str) -> Result<Option<User>> {
        let found = table::Entity::find()
            .filter(table::Column::Issuer.eq(issuer))
            .filter(table::Column::Subject.eq(subject))
            .one(self.reader())
            .await?;
        let Some(found) = found else { return Ok(None) };
        let holder = user::Entity::find_by_id(found.user_id).one(self.reader()).await?;
        holder.map(read_user).transpose()
    }

    /// A new user, for whom the provider vouches. Refused when the address is somebody's.
    pub async fn create_vouched_user(
        &self,
        name: &str,
        identity: NewIdentity,
        provider: &Provider,
        by: &Actor,
    ) -> Result<User> {
        check_name(name)?;
        let email = check_email(&identity.email)?;
        let change = self.change(by).await?;
        let row = user::Model {
            id: self.ids.uuid(),
            email,
            name: name.to_owned(),
            password: None,
            status: UserStatus::Active.word().to_owned(),
            is_first: None,
            created_at: change.at,
            password_changed_at: None,
            signed_in_at: None,
        };
        user::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        let made = read_user(row)?;
        self.insert_identity(&change, made.id, &identity).await?;
        let details = json!({
            "email": made.email,
            "provider": provider.id,
            "issuer": identity.issuer,
            "subject": identity.subject,
        });
        let mut entry = entry(&made.id, "user.create", details);
        entry.tenant = provider.tenant;
        change.commit(entry).await?;
        Ok(made)
    }

    /// From now on the account at the provider stands for this user. With `within` only if he has
    /// roles, all of them in this tenant. Who was invited has joined by it.
    pub async fn link_identity(
        &self,
        holder: UserId,
        identity: NewIdentity,
        within: Option<TenantId>,
        by: &Actor,
    ) -> Result<LinkedIdentity> {
        let change = self.change(by).await?;
        let row = locked(&change, holder).await?;
        if UserStatus::read(&row.status)? == UserStatus::Disabled {
            return Err(TenancyError::state("the user is disabled"));
        }
        if let Some(tenant) = within {
            let held = role_binding::Entity::find()
                .filter(role_binding::Column::UserId.eq(holder.0))
                .all(&change.transaction)
                .await?;
            let is_inside = |row: &role_binding::Model| row.tenant_id == Some(tenant.0);
            if held.is_empty() || !held.iter().all(is_inside) {
                return Err(TenancyError::state("the user has roles elsewhere"));
            }
        }
        let mut row = row.into_active_model();
        row.status = Set(UserStatus::Active.word().to_owned());
        row.update(&change.transaction).await?;
        // An invitation that is still in the mail is of no more use.
        self.delete_tokens_of(&change, holder).await?;
        let linked = self.insert_identity(&change, holder, &identity).await?;
        let (issuer, subject) = (&linked.issuer, &linked.subject);
        let details = json!({"identity": linked.id, "issuer": issuer, "subject": subject});
        let mut entry = entry(&holder, "identity.link", details);
        entry.tenant = within;
        change.commit(entry).await?;
        Ok(linked)
    }

    async fn insert_identity(
        &self,
        change: &crate::audit::Change<'_>,
        holder: UserId,
        new: &NewIdentity,
    ) -> Result<LinkedIdentity> {
        if new.subject.is_empty() || new.subject.len() > SUBJECT_BYTES_MAX {
            return Err(TenancyError::invalid("sub", "a subject has 1 to 255 bytes"));
        }
        let held = table::Entity::find().filter(table::Column::UserId.eq(holder.0));
        if held.count(&change.transaction).await? >= IDENTITIES_MAX {
            return Err(TenancyError::state(format!(
                "a user may have {IDENTITIES_MAX} identities"
            )));
        }
        let row = table::Model {
            id: self.ids.uuid(),
            user_id: holder.0,
            issuer: new.issuer.clone(),
            subject: new.subject.clone(),
            email: new.email.clone(),
            created_at: change.at,
            seen_at: change.at,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await
            .map_err(|error| match TenancyError::from(error) {
                TenancyError::Conflict { .. } => {
                    TenancyError::state("this account at the provider stands for somebody already")
                }
                other => other,
            })?;
        Ok(read(row))
    }

    /// A user's identities, in the order of identifiers.
    pub async fn identities(
        &self,
        holder: UserId,
        after: Option<IdentityId>,
        limit: usize,
    ) -> Result<Page<LinkedIdentity>> {
        let mut rows = table::Entity::find().filter(table::Column::UserId.eq(holder.0));
        if let Some(after) = after {
            rows = rows.filter(table::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, |row| Ok(read(row)))
    }

    /// The account at the provider stands for this user no more.
    pub async fn unlink_identity(
        &self,
        holder: UserId,
        identity: IdentityId,
        by: &Actor,
    ) -> Result<()> {
        let change = self.change(by).await?;
        locked(&change, holder).await?;
        let found = table::Entity::find_by_id(identity.0)
            .filter(table::Column::UserId.eq(holder.0))
            .one(&change.transaction)
            .await?;
        let found = read(found.ok_or_else(no_identity)?);
        table::Entity::delete_by_id(identity.0).exec(&change.transaction).await?;
        let details = json!({
            "identity": identity,
            "issuer": found.issuer,
            "subject": found.subject,
        });
        change.commit(entry(&holder, "identity.unlink", details)).await
    }

    /// Providers that are switched on, vouch for this user, and do not let him use a password.
    pub async fn providers_without_password(&self, holder: UserId) -> Result<Vec<Provider>> {
        let held = table::Entity::find().filter(table::Column::UserId.eq(holder.0));
        let issuers: Vec<String> =
            held.all(self.reader()).await?.into_iter().map(|row| row.issuer).collect();
        if issuers.is_empty() {
            return Ok(Vec::new());
        }
        let rows = provider::Entity::find()
            .filter(provider::Column::Issuer.is_in(issuers))
            .filter(provider::Column::IsEnabled.eq(true))
            .all(self.reader())
            .await?;
        let all: Result<Vec<Provider>> = rows.into_iter().map(read_provider).collect();
        Ok(all?.into_iter().filter(|provider| !provider.terms.password_allowed).collect())
    }

    /// The roles that the provider's rules give this user are these: what is missing is given, what
    /// the rules gave before and give no more is taken. What somebody gave by hand stays.
    pub async fn set_vouched_roles(
        &self,
        holder: UserId,
        provider: &Provider,
        wanted: &[NewBinding],
        by: &Actor,
    ) -> Result<()> {
        let held = role_binding::Entity::find()
            .filter(role_binding::Column::UserId.eq(holder.0))
            .filter(role_binding::Column::ProviderId.eq(provider.id.0))
            .all(self.reader())
            .await?;
        // Given first: who changes from one group to another has a role there all the while.
        for new in wanted {
            match self.bind_role_by(new.clone(), Some(provider.id), by).await {
                Ok(_) => {}
                // A project or a role that the rule names is no more.
                Err(TenancyError::NotFound { what }) => {
                    tracing::warn!(provider = %provider.id, what, "a rule names what is gone");
                }
                Err(error) => return Err(error),
            }
        }
        for row in held {
            let is_wanted = wanted.iter().any(|new| {
                new.role == row.role
                    && new.tenant.map(|id| id.0) == row.tenant_id
                    && new.project.map(|id| id.0) == row.project_id
            });
            if !is_wanted {
                match self.unbind_role(crate::BindingId(row.id), by).await {
                    // Somebody else took it a moment ago.
                    Ok(_) | Err(TenancyError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// He was seen with this provider just now.
    pub async fn see_identity(&self, issuer: &str, subject: &str) -> Result<()> {
        let transaction = self.begin().await?;
        table::Entity::update_many()
            .col_expr(table::Column::SeenAt, Expr::value(self.ids.now_ms()))
            .filter(table::Column::Issuer.eq(issuer))
            .filter(table::Column::Subject.eq(subject))
            .exec(&transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn delete_identities_of(
        &self,
        change: &crate::audit::Change<'_>,
        holder: UserId,
    ) -> Result<()> {
        table::Entity::delete_many()
            .filter(table::Column::UserId.eq(holder.0))
            .exec(&change.transaction)
            .await?;
        sign_in::Entity::delete_many()
            .filter(sign_in::Column::UserId.eq(holder.0))
            .exec(&change.transaction)
            .await?;
        Ok(())
    }
}

fn pending(row: sign_in::Model, found: provider::Model) -> Result<PendingSignIn> {
    Ok(PendingSignIn {
        provider: read_provider(found)?,
        purpose: SignInPurpose::read(&row.purpose)?,
        session: row.session_id.map(SessionId),
        user: row.user_id.map(UserId),
        created_at: row.created_at,
        attempts: row.attempts,
    })
}
