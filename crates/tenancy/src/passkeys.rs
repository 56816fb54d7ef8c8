//! Passkeys of users: what checks them, how often they were used, and which challenges were
//! answered already. The database is what nodes share, so an answer counts once on all of them.
//! This file keeps public keys and cannot check a signature.

use crate::audit::Change;
use crate::entity::{passkey as table, spent_challenge, user};
use crate::ids::record_id;
use crate::projects::check_name;
use crate::users::{entry, locked, read as read_user};
use crate::{Actor, Result, Tenancy, TenancyError, User, UserId};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::json;
use types::TimestampMs;

/// Passkeys of one user.
pub const PASSKEYS_MAX: usize = 20;
/// Ways to an authenticator that a browser may be told of (W3C Web Authentication section 5.8.4).
const TRANSPORTS: &[&str] = &["usb", "nfc", "ble", "smart-card", "hybrid", "internal"];

record_id!(
    /// A passkey of a user.
    PasskeyId,
    "pky_"
);

#[derive(Debug, Clone, PartialEq)]
pub struct Passkey {
    pub id: PasskeyId,
    pub user: UserId,
    /// As the user calls it.
    pub name: String,
    /// As the authenticator names it; unique in the installation.
    pub credential_id: Vec<u8>,
    pub transports: Vec<String>,
    /// It lives on several devices, or in a backup.
    pub is_synced: bool,
    pub created_at: TimestampMs,
    pub used_at: Option<TimestampMs>,
}

/// A passkey with what checks it, and whose it is.
#[derive(Debug, Clone)]
pub struct PasskeyLogin {
    pub passkey: Passkey,
    pub public_key: Vec<u8>,
    pub user: User,
}

/// A challenge that was answered, and until when it could have been.
#[derive(Debug, Clone)]
pub struct SpentChallenge {
    pub hash: Vec<u8>,
    pub expires_at: TimestampMs,
}

#[derive(Debug, Clone)]
pub struct NewPasskey {
    pub user: UserId,
    pub name: String,
    pub credential_id: Vec<u8>,
    pub public_key: Vec<u8>,
    pub transports: Vec<String>,
    pub count: u32,
    pub is_synced: bool,
    pub challenge: SpentChallenge,
}

/// A genuine answer, as its authenticator gave it.
#[derive(Debug, Clone)]
pub struct PasskeyAnswer {
    pub passkey: PasskeyId,
    pub count: u32,
    pub is_synced: bool,
    pub challenge: SpentChallenge,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasskeyUse {
    Done,
    /// The challenge was answered before.
    Replayed,
    /// The authenticator has signed more often than it says: there is a copy of it.
    CountWentBack,
    /// The passkey was removed meanwhile.
    Gone,
}

fn missing() -> TenancyError {
    TenancyError::NotFound { what: "passkey" }
}

fn read(row: table::Model) -> Passkey {
    let transports = row.transports.split(',').filter(|word| !word.is_empty());
    Passkey {
        id: PasskeyId(row.id),
        user: UserId(row.user_id),
        name: row.name,
        credential_id: row.credential_id,
        transports: transports.map(str::to_owned).collect(),
        is_synced: row.is_synced,
        created_at: row.created_at,
        used_at: row.used_at,
    }
}

/// `false`: the challenge was spent before. Those whose time is over are forgotten.
async fn spend(change: &Change<'_>, challenge: &SpentChallenge) -> Result<bool> {
    spent_challenge::Entity::delete_many()
        .filter(spent_challenge::Column::ExpiresAt.lt(change.at))
        .exec(&change.transaction)
        .await?;
    let row = spent_challenge::ActiveModel {
        hash: Set(challenge.hash.clone()),
        expires_at: Set(challenge.expires_at),
    };
    let once = OnConflict::column(spent_challenge::Column::Hash).do_nothing().to_owned();
    let insert = spent_challenge::Entity::insert(row).on_conflict(once);
    Ok(insert.exec_without_returning(&change.transaction).await? > 0)
}

async fn of_user(change: &Change<'_>, user: UserId, passkey: PasskeyId) -> Result<table::Model> {
    let found = table::Entity::find_by_id(passkey.0).filter(table::Column::UserId.eq(user.0));
    found.lock_exclusive().one(&change.transaction).await?.ok_or_else(missing)
}

impl Tenancy {
    /// Keeps a passkey that was just made. Refused when the user has as many as he may, when the
    /// credential is known, or its challenge was answered before.
    pub async fn add_passkey(&self, new: NewPasskey, by: &Actor) -> Result<Passkey> {
        check_name(&new.name)?;
        let change = self.change(by).await?;
        locked(&change, new.user).await?;
        let of_user = table::Entity::find().filter(table::Column::UserId.eq(new.user.0));
        if of_user.count(&change.transaction).await? >= PASSKEYS_MAX as u64 {
            let why = format!("a user may have {PASSKEYS_MAX} passkeys: remove one first");
            return Err(TenancyError::conflict("passkeys", why));
        }
        if !spend(&change, &new.challenge).await? {
            return Err(TenancyError::conflict("challenge", "the challenge was answered before"));
        }
        let known = TRANSPORTS.iter().filter(|word| new.transports.iter().any(|at| at == *word));
        let row = table::Model {
            id: self.ids.uuid(),
            user_id: new.user.0,
            name: new.name,
            credential_id: new.credential_id,
            public_key: new.public_key,
            transports: known.copied().collect::<Vec<_>>().join(","),
            count: i64::from(new.count),
            is_synced: new.is_synced,
            created_at: change.at,
            used_at: None,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await
            .map_err(|error| match TenancyError::from(error) {
                TenancyError::Conflict { .. } => {
                    TenancyError::conflict("credential", "the passkey is registered already")
                }
                other => other,
            })?;
        let passkey = read(row);
        let details = json!({
            "passkey": passkey.id, "name": passkey.name, "is_synced": passkey.is_synced,
        });
        change.commit(entry(&new.user, "passkey.register", details)).await?;
        Ok(passkey)
    }

    /// All passkeys of a user, the oldest first.
    pub async fn passkeys(&self, user: UserId) -> Result<Vec<Passkey>> {
        let rows = table::Entity::find()
            .filter(table::Column::UserId.eq(user.0))
            .order_by_asc(table::Column::Id)
            .limit(PASSKEYS_MAX as u64)
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(read).collect())
    }

    /// Whose credential this is.
    pub async fn passkey_by_credential(&self, credential: &[u8]) -> Result<Option<PasskeyLogin>> {
        let found = table::Entity::find().filter(table::Column::CredentialId.eq(credential));
        let Some(row) = found.one(self.reader()).await? else { return Ok(None) };
        let holder = user::Entity::find_by_id(row.user_id).one(self.reader()).await?;
        let Some(holder) = holder else { return Ok(None) };
        let public_key = row.public_key.clone();
        Ok(Some(PasskeyLogin { passkey: read(row), public_key, user: read_user(holder)? }))
    }

    /// Counts a genuine answer, once. A count that went back is in the trail and changes nothing.
    pub async fn use_passkey(&self, answer: PasskeyAnswer, by: &Actor) -> Result<PasskeyUse> {
        let change = self.change(by).await?;
        let row = table::Entity::find_by_id(answer.passkey.0).lock_exclusive();
        let Some(row) = row.one(&change.transaction).await? else { return Ok(PasskeyUse::Gone) };
        if !spend(&change, &answer.challenge).await? {
            return Ok(PasskeyUse::Replayed);
        }
        let holder = UserId(row.user_id);
        let count = i64::from(answer.count);
        // Section 7.2, step 22: authenticators that do not count say zero, always.
        let is_counting = count != 0 || row.count != 0;
        if is_counting && count <= row.count {
            let details = json!({
                "passkey": answer.passkey, "name": row.name, "reason": "count_went_back",
                "count": count, "count_before": row.count,
            });
            change.commit(entry(&holder, "passkey.refuse", details)).await?;
            return Ok(PasskeyUse::CountWentBack);
        }
        let mut row = row.into_active_model();
        row.count = Set(count);
        row.is_synced = Set(answer.is_synced);
        row.used_at = Set(Some(change.at));
        row.update(&change.transaction).await?;
        // What it was used for is told by what follows: a session, an elevation.
        change.transaction.commit().await?;
        Ok(PasskeyUse::Done)
    }

    pub async fn rename_passkey(
        &self,
        user: UserId,
        passkey: PasskeyId,
        name: &str,
        by: &Actor,
    ) -> Result<Passkey> {
        check_name(name)?;
        let change = self.change(by).await?;
        let row = of_user(&change, user, passkey).await?;
        let details = json!({"passkey": passkey, "name": name, "name_before": row.name});
        let mut row = row.into_active_model();
        row.name = Set(name.to_owned());
        let row = row.update(&change.transaction).await?;
        change.commit(entry(&user, "passkey.rename", details)).await?;
        Ok(read(row))
    }

    /// Refused when it is the last way in which the user can sign in.
    pub async fn remove_passkey(&self, user: UserId, passkey: PasskeyId, by: &Actor) -> Result<()> {
        let change = self.change(by).await?;
        // Removals of one user wait for each other.
        let holder = locked(&change, user).await?;
        let row = of_user(&change, user, passkey).await?;
        let others = table::Entity::find()
            .filter(table::Column::UserId.eq(user.0))
            .filter(table::Column::Id.ne(passkey.0))
            .count(&change.transaction)
            .await?;
        if others == 0 && holder.password.is_none() {
            let why = "this passkey is the last way to sign in: choose a password, or add another";
            return Err(TenancyError::conflict("passkey", why));
        }
        table::Entity::delete_by_id(passkey.0).exec(&change.transaction).await?;
        let details = json!({"passkey": passkey, "name": row.name, "passkeys_left": others});
        change.commit(entry(&user, "passkey.remove", details)).await
    }

    pub(crate) async fn delete_passkeys_of(&self, change: &Change<'_>, user: UserId) -> Result<()> {
        table::Entity::delete_many()
            .filter(table::Column::UserId.eq(user.0))
            .exec(&change.transaction)
            .await?;
        Ok(())
    }
}
