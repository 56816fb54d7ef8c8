//! Devices without a browser that wait for somebody to confirm them (RFC 8628). Each waits for a
//! few minutes, is confirmed or refused once, and turned into a session once. Only hashes are kept
//! of what the device proves itself with.

use crate::audit::Change;
use crate::entity::{device_sign_in as table, user};
use crate::ids::record_id;
use crate::tenants::Word;
use crate::users::{entry, locked, read as read_user};
use crate::{Actor, Result, Tenancy, TenancyError, User, UserId, UserStatus};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel, QuerySelect};
use serde_json::json;
use types::TimestampMs;

/// Devices that wait at the same moment, of all users: nobody is known yet who could be limited.
pub const DEVICE_SIGN_INS_MAX: u64 = 1_000;
/// Bytes of what a device calls itself.
const DEVICE_NAME_BYTES_MAX: usize = 200;

record_id!(
    /// A device that waits to be signed in.
    DeviceSignInId,
    "dsi_"
);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Confirmed,
    Refused,
}

impl Word for State {
    const ALL: &'static [(State, &'static str)] = &[
        (State::Waiting, "waiting"),
        (State::Confirmed, "confirmed"),
        (State::Refused, "refused"),
    ];
}

/// A device that waits, as whoever is to confirm it sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSignIn {
    pub user_code: String,
    /// What the device calls itself.
    pub device: String,
    /// Where it asked from.
    pub address: String,
    pub created_at: TimestampMs,
    pub expires_at: TimestampMs,
}

#[derive(Debug, Clone)]
pub struct NewDeviceSignIn {
    pub user_code: String,
    pub secret_hash: Vec<u8>,
    pub device_hash: Vec<u8>,
    pub device: String,
    pub address: String,
    pub expires_at: TimestampMs,
}

/// A device that asks whether it was confirmed.
#[derive(Debug, Clone)]
pub struct DeviceAsking {
    pub id: DeviceSignInId,
    pub secret_hash: Vec<u8>,
    pub device_hash: Vec<u8>,
    /// Milliseconds that it has to wait between two questions.
    pub interval_ms: i64,
}

/// What a device is told.
#[derive(Debug, Clone, PartialEq)]
pub enum DeviceAnswer {
    Waiting,
    TooSoon,
    Refused,
    /// Its time is over, it was answered before, or there never was one.
    Gone,
    /// Told once: whoever is told opens the session.
    Confirmed {
        user: User,
        /// What the device calls itself.
        device: String,
    },
}

/// What somebody says of a device that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceWord {
    Confirm,
    Refuse,
}

fn missing() -> TenancyError {
    TenancyError::NotFound { what: "device that waits under this code" }
}

fn read(row: table::Model) -> DeviceSignIn {
    DeviceSignIn {
        user_code: row.user_code,
        device: row.device_name,
        address: row.address,
        created_at: row.created_at,
        expires_at: row.expires_at,
    }
}

impl Tenancy {
    /// Lets a device wait. Refused when too many do.
    pub async fn start_device_sign_in(&self, new: NewDeviceSignIn) -> Result<DeviceSignInId> {
        let by = Actor::system();
        let change = self.change(&by).await?;
        table::Entity::delete_many()
            .filter(table::Column::ExpiresAt.lte(change.at))
            .exec(&change.transaction)
            .await?;
        if table::Entity::find().count(&change.transaction).await? >= DEVICE_SIGN_INS_MAX {
            return Err(TenancyError::state(
                "too many devices wait to be signed in: try again later",
            ));
        }
        let mut name = new.device;
        name.truncate(name.floor_char_boundary(DEVICE_NAME_BYTES_MAX));
        let row = table::Model {
            id: self.ids.uuid(),
            user_code: new.user_code,
            secret_hash: new.secret_hash,
            device_hash: new.device_hash,
            device_name: name,
            address: new.address,
            state: State::Waiting.word().to_owned(),
            user_id: None,
            created_at: change.at,
            expires_at: new.expires_at,
            asked_at: None,
        };
        let id = DeviceSignInId(row.id);
        table::Entity::insert(row.into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        // Nobody has done anything yet that the trail should tell of.
        change.transaction.commit().await?;
        Ok(id)
    }

    /// The device that waits under this code.
    pub async fn device_sign_in(&self, user_code: &str) -> Result<DeviceSignIn> {
        let transaction = self.begin().await?;
        let found = waiting(user_code, self.ids.now_ms()).one(&transaction).await?;
        transaction.commit().await?;
        found.map(read).ok_or_else(missing)
    }

    /// Says once what is to become of it.
    pub async fn answer_device_sign_in(
        &self,
        user: UserId,
        user_code: &str,
        word: DeviceWord,
        by: &Actor,
    ) -> Result<()> {
        let change = self.change(by).await?;
        locked(&change, user).await?;
        let found = waiting(user_code, change.at).lock_exclusive().one(&change.transaction).await?;
        let row = found.ok_or_else(missing)?;
        let details = json!({"device": row.device_name, "address": row.address});
        let (state, action) = match word {
            DeviceWord::Confirm => (State::Confirmed, "device.confirm"),
            DeviceWord::Refuse => (State::Refused, "device.refuse"),
        };
        let mut row = row.into_active_model();
        row.state = Set(state.word().to_owned());
        row.user_id = Set(Some(user.0));
        row.update(&change.transaction).await?;
        change.commit(entry(&user, action, details)).await
    }

    /// What became of it. The answer that is not "wait" is given once.
    pub async fn ask_device_sign_in(&self, asking: DeviceAsking) -> Result<DeviceAnswer> {
        let by = Actor::system();
        let change = self.change(&by).await?;
        let row = table::Entity::find_by_id(asking.id.0)
            .filter(table::Column::SecretHash.eq(asking.secret_hash))
            .filter(table::Column::DeviceHash.eq(asking.device_hash))
            .filter(table::Column::ExpiresAt.gt(change.at))
            .lock_exclusive()
            .one(&change.transaction)
            .await?;
        let Some(row) = row else { return Ok(DeviceAnswer::Gone) };
        let answer = match (State::read(&row.state)?, row.user_id) {
            (State::Waiting, _) => {
                if row.asked_at.is_some_and(|at| change.at - at < asking.interval_ms) {
                    return Ok(DeviceAnswer::TooSoon);
                }
                let mut row = row.into_active_model();
                row.asked_at = Set(Some(change.at));
                row.update(&change.transaction).await?;
                change.transaction.commit().await?;
                return Ok(DeviceAnswer::Waiting);
            }
            (State::Confirmed, Some(holder)) => {
                confirmed(&change, UserId(holder), row.device_name).await?
            }
            (State::Refused, _) | (State::Confirmed, None) => DeviceAnswer::Refused,
        };
        table::Entity::delete_by_id(asking.id.0).exec(&change.transaction).await?;
        change.transaction.commit().await?;
        Ok(answer)
    }

    pub(crate) async fn delete_device_sign_ins_of(
        &self,
        change: &Change<'_>,
        user: UserId,
    ) -> Result<()> {
        table::Entity::delete_many()
            .filter(table::Column::UserId.eq(user.0))
            .exec(&change.transaction)
            .await?;
        Ok(())
    }
}

fn waiting(user_code: &str, now: TimestampMs) -> Select<table::Entity> {
    table::Entity::find()
        .filter(table::Column::UserCode.eq(user_code))
        .filter(table::Column::State.eq(State::Waiting.word()))
        .filter(table::Column::ExpiresAt.gt(now))
}

/// Who confirmed it, unless he may not sign in any more.
async fn confirmed(change: &Change<'_>, holder: UserId, device: String) -> Result<DeviceAnswer> {
    let found = user::Entity::find_by_id(holder.0).one(&change.transaction).await?;
    let holder = found.map(read_user).transpose()?;
    let active = holder.filter(|holder| holder.status == UserStatus::Active);
    Ok(active.map_or(DeviceAnswer::Refused, |user| DeviceAnswer::Confirmed { user, device }))
}
