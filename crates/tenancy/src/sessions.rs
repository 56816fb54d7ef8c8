//! Sessions of signed-in users, and the devices they were opened on. A session is a family of
//! refresh tokens: each is used once and replaced by the next; one that comes again was copied, and
//! ends the family. Only hashes are kept, which this file compares and cannot make.

use crate::audit::Change;
use crate::entity::providers::provider;
use crate::entity::{device, session as table, user};
use crate::ids::record_id;
use crate::page::fetch_count;
use crate::tenants::Word;
use crate::users::{entry, locked, read as read_user};
use crate::{Actor, Page, ProviderId, Result, Tenancy, TenancyError, User, UserId, UserStatus};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, Condition, IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::{Value, json};
use types::TimestampMs;

/// Open sessions of one user: with the next one the oldest ends.
pub const SESSIONS_MAX: usize = 20;
/// How long a session that ended can be looked at.
const ENDED_AGE_MS_MAX: i64 = 30 * 24 * 3_600_000;
/// Devices remembered of one user; the least recently seen is forgotten.
const DEVICES_MAX: u64 = 50;
/// Bytes of a device's name.
const DEVICE_NAME_BYTES_MAX: usize = 200;

record_id!(
    /// One signing-in, until it ends.
    SessionId,
    "ses_"
);

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    SignedOut,
    /// Somebody with the right to do so ended it.
    Revoked,
    /// Too long without use, or too old.
    Expired,
    /// A refresh token came a second time, or from another device.
    Reused,
    PasswordChanged,
    Disabled,
    /// The user opened more sessions than he may have.
    Displaced,
    /// The provider that vouched for him was switched off or deleted.
    ProviderOff,
}

impl Word for SessionEnd {
    const ALL: &'static [(SessionEnd, &'static str)] = &[
        (SessionEnd::SignedOut, "signed_out"),
        (SessionEnd::Revoked, "revoked"),
        (SessionEnd::Expired, "expired"),
        (SessionEnd::Reused, "reused"),
        (SessionEnd::PasswordChanged, "password_changed"),
        (SessionEnd::Disabled, "disabled"),
        (SessionEnd::Displaced, "displaced"),
        (SessionEnd::ProviderOff, "provider_off"),
    ];
}

/// How a user proved who he is, as the trail tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proven {
    Password,
    /// And a code of the second factor.
    PasswordAndCode,
    PasswordAndPasskey,
    Passkey,
    /// Somebody who was signed in confirmed the device.
    Confirmed,
    /// A provider vouched for him.
    Provider,
    /// And a code of his second factor here.
    ProviderAndCode,
}

impl Word for Proven {
    const ALL: &'static [(Proven, &'static str)] = &[
        (Proven::Password, "password"),
        (Proven::PasswordAndCode, "password+code"),
        (Proven::PasswordAndPasskey, "password+passkey"),
        (Proven::Passkey, "passkey"),
        (Proven::Confirmed, "confirmed"),
        (Proven::Provider, "provider"),
        (Proven::ProviderAndCode, "provider+code"),
    ];
}

impl Proven {
    /// By more than something that can be told to somebody else. Who confirmed a device proved
    /// himself elsewhere, and what a provider asked for is not known here.
    pub fn is_strong(self) -> bool {
        match self {
            Proven::PasswordAndCode
            | Proven::PasswordAndPasskey
            | Proven::Passkey
            | Proven::ProviderAndCode => true,
            Proven::Password | Proven::Confirmed | Proven::Provider => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    pub id: SessionId,
    pub user: UserId,
    /// How often its refresh token was replaced.
    pub generation: u64,
    /// As the client called its device.
    pub device: String,
    pub address: String,
    pub created_at: TimestampMs,
    /// When it was opened or last refreshed.
    pub seen_at: TimestampMs,
    /// Until then the user counts as having just proved who he is.
    pub elevated_until: Option<TimestampMs>,
    pub ended: Option<(TimestampMs, SessionEnd)>,
    /// Who vouched for the user; `None`: he proved himself here.
    pub provider: Option<ProviderId>,
    /// A second factor or a passkey proved him in it.
    pub is_strong: bool,
    /// When he last proved in it who he is.
    pub proven_at: TimestampMs,
}

/// How long sessions last, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimes {
    pub idle_ms_max: i64,
    pub age_ms_max: i64,
}

impl Session {
    /// Neither ended nor too old nor too long unused.
    pub fn is_open(&self, now: TimestampMs, times: SessionTimes) -> bool {
        self.ended.is_none()
            && now - self.seen_at < times.idle_ms_max
            && now - self.created_at < times.age_ms_max
    }
}

#[derive(Clone)]
pub struct NewSession {
    pub user: UserId,
    pub how: Proven,
    pub refresh_hash: Vec<u8>,
    pub device_hash: Vec<u8>,
    pub device: String,
    pub address: String,
    /// The part of the address that stays the same as the user moves about.
    pub network: String,
    /// Who vouches for the user, and must be switched on.
    pub provider: Option<ProviderId>,
}

/// What was known of the device a session was opened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceSeen {
    /// The user's first signing-in of all.
    pub is_first: bool,
    pub is_new_device: bool,
    /// None of the user's devices was seen in this network.
    pub is_new_network: bool,
}

/// What became of a refresh token.
#[derive(Debug, Clone, PartialEq)]
pub enum Rotation {
    Done(Session, User),
    /// It was used before, or on another device: the session has ended by this.
    Reused(User),
    /// The session had ended, or there is none.
    Ended,
}

/// A refresh token as it was presented, and what replaces it.
#[derive(Clone)]
pub struct Turnover {
    pub session: SessionId,
    pub generation: u64,
    pub old_hash: Vec<u8>,
    pub new_hash: Vec<u8>,
    pub device_hash: Vec<u8>,
    pub address: String,
}

pub(crate) fn read(row: table::Model) -> Result<Session> {
    let ended = match (row.ended_at, row.ended_reason) {
        (Some(at), Some(reason)) => Some((at, SessionEnd::read(&reason)?)),
        _ => None,
    };
    let generation = u64::try_from(row.generation);
    Ok(Session {
        id: SessionId(row.id),
        user: UserId(row.user_id),
        generation: generation.map_err(|error| TenancyError::Corrupt(error.to_string()))?,
        device: row.device_name,
        address: row.address,
        created_at: row.created_at,
        seen_at: row.seen_at,
        elevated_until: row.elevated_until,
        ended,
        provider: row.provider_id.map(ProviderId),
        is_strong: row.is_strong,
        proven_at: row.proven_at.unwrap_or(row.created_at),
    })
}

fn open_of(user: UserId) -> Select<table::Entity> {
    table::Entity::find()
        .filter(table::Column::UserId.eq(user.0))
        .filter(table::Column::EndedAt.is_null())
}

/// Ends all open sessions of a user but one, and answers how many.
pub(crate) async fn end_all(
    change: &Change<'_>,
    user: UserId,
    kept: Option<SessionId>,
    why: SessionEnd,
) -> Result<u64> {
    let mut ending = table::Entity::update_many()
        .col_expr(table::Column::EndedAt, Expr::value(change.at))
        .col_expr(table::Column::EndedReason, Expr::value(why.word()))
        .filter(table::Column::UserId.eq(user.0))
        .filter(table::Column::EndedAt.is_null());
    if let Some(kept) = kept {
        ending = ending.filter(table::Column::Id.ne(kept.0));
    }
    Ok(ending.exec(&change.transaction).await?.rows_affected)
}

async fn end_one(change: &Change<'_>, row: table::Model, why: SessionEnd) -> Result<()> {
    let mut row = row.into_active_model();
    row.ended_at = Set(Some(change.at));
    row.ended_reason = Set(Some(why.word().to_owned()));
    row.update(&change.transaction).await?;
    Ok(())
}

/// Notes that the user was seen on this device, and tells what was known of it before.
async fn see_device(change: &Change<'_>, new: &NewSession) -> Result<DeviceSeen> {
    let transaction = &change.transaction;
    let known = device::Entity::find()
        .filter(device::Column::UserId.eq(new.user.0))
        .order_by_desc(device::Column::SeenAt)
        .limit(DEVICES_MAX)
        .all(transaction)
        .await?;
    let seen = DeviceSeen {
        is_first: known.is_empty(),
        is_new_device: known.iter().all(|device| device.device_hash != new.device_hash),
        is_new_network: known.iter().all(|device| device.network != new.network),
    };
    if let Some(oldest) = known.last().filter(|_| known.len() as u64 >= DEVICES_MAX) {
        device::Entity::delete_by_id((oldest.user_id, oldest.device_hash.clone()))
            .exec(transaction)
            .await?;
    }
    let row = device::Model {
        user_id: new.user.0,
        device_hash: new.device_hash.clone(),
        network: new.network.clone(),
        first_seen_at: change.at,
        seen_at: change.at,
    };
    let mut again = OnConflict::columns([device::Column::UserId, device::Column::DeviceHash]);
    again.update_columns([device::Column::Network, device::Column::SeenAt]);
    device::Entity::insert(row.into_active_model())
        .on_conflict(again)
        .exec_without_returning(transaction)
        .await?;
    Ok(seen)
}

/// Makes room for one more session, and forgets those that ended long ago.
async fn make_room(change: &Change<'_>, user: UserId) -> Result<()> {
    let open = open_of(user).order_by_asc(table::Column::SeenAt).all(&change.transaction).await?;
    let surplus = (open.len() + 1).saturating_sub(SESSIONS_MAX);
    for oldest in open.into_iter().take(surplus) {
        end_one(change, oldest, SessionEnd::Displaced).await?;
    }
    let stale = Condition::any()
        .add(table::Column::EndedAt.lt(change.at - ENDED_AGE_MS_MAX))
        .add(table::Column::SeenAt.lt(change.at - 12 * ENDED_AGE_MS_MAX));
    table::Entity::delete_many()
        .filter(table::Column::UserId.eq(user.0))
        .filter(stale)
        .exec(&change.transaction)
        .await?;
    Ok(())
}

impl Tenancy {
    /// A session of a user whose credentials were just checked. Refused unless he is active.
    pub async fn open_session(&self, new: NewSession, by: &Actor) -> Result<(Session, DeviceSeen)> {
        let change = self.change(by).await?;
        let holder = locked(&change, new.user).await?;
        if UserStatus::read(&holder.status)? != UserStatus::Active {
            return Err(TenancyError::state("the user is not active"));
        }
        if let Some(vouching) = new.provider {
            // Locked, so that whoever switches it off ends this session too.
            let found = provider::Entity::find_by_id(vouching.0).lock_shared();
            let found = found.one(&change.transaction).await?.filter(|found| found.is_enabled);
            found.ok_or_else(|| TenancyError::state("the provider is switched off"))?;
        }
        make_room(&change, new.user).await?;
        let seen = see_device(&change, &new).await?;
        let mut name = new.device;
        name.truncate(name.floor_char_boundary(DEVICE_NAME_BYTES_MAX));
        let row = table::Model {
            id: self.ids.uuid(),
            user_id: new.user.0,
            generation: 0,
            refresh_hash: new.refresh_hash,
            device_hash: new.device_hash,
            device_name: name,
            address: new.address,
            created_at: change.at,
            seen_at: change.at,
            elevated_until: None,
            ended_at: None,
            ended_reason: None,
            provider_id: new.provider.map(|id| id.0),
            is_strong: new.how.is_strong(),
            proven_at: Some(change.at),
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await?;
        let mut holder = holder.into_active_model();
        holder.signed_in_at = Set(Some(change.at));
        holder.update(&change.transaction).await?;
        let session = read(row)?;
        let details = json!({
            "session": session.id,
            "how": new.how.word(),
            "provider": session.provider,
            "device": session.device,
            "address": session.address,
            "new_device": seen.is_new_device,
            "new_network": seen.is_new_network,
        });
        change.commit(entry(&new.user, "session.open", details)).await?;
        Ok((session, seen))
    }

    /// Whether this device was used by this user before.
    pub async fn knows_device(&self, user: UserId, device_hash: &[u8]) -> Result<bool> {
        let found = device::Entity::find_by_id((user.0, device_hash.to_vec()));
        Ok(found.one(self.reader()).await?.is_some())
    }

    /// With its user. Belongs to whoever presents the identifier with a proof.
    pub async fn session(&self, session: SessionId) -> Result<Option<(Session, User)>> {
        let Some(row) = table::Entity::find_by_id(session.0).one(self.reader()).await? else {
            return Ok(None);
        };
        let holder = user::Entity::find_by_id(row.user_id).one(self.reader()).await?;
        match holder {
            Some(holder) => Ok(Some((read(row)?, read_user(holder)?))),
            None => Ok(None),
        }
    }

    /// The next refresh token of a session. Whatever is not the newest one, on the device it was
    /// given to, ends the session.
    pub async fn rotate_session(&self, turn: &Turnover, times: SessionTimes) -> Result<Rotation> {
        let by = Actor::system();
        let change = self.change(&by).await?;
        let row = table::Entity::find_by_id(turn.session.0).lock_exclusive();
        let Some(row) = row.one(&change.transaction).await? else { return Ok(Rotation::Ended) };
        let session = read(row.clone())?;
        if session.ended.is_some() {
            return Ok(Rotation::Ended);
        }
        let holder = locked(&change, session.user).await?;
        let holder = read_user(holder)?;
        let expired = !session.is_open(change.at, times);
        let is_newest = session.generation == turn.generation
            && row.refresh_hash == turn.old_hash
            && row.device_hash == turn.device_hash;
        if is_newest && !expired {
            let mut row = row.into_active_model();
            row.generation = Set(row.generation.take().unwrap_or_default() + 1);
            row.refresh_hash = Set(turn.new_hash.clone());
            row.address = Set(turn.address.clone());
            row.seen_at = Set(change.at);
            let row = row.update(&change.transaction).await?;
            change.transaction.commit().await?;
            return Ok(Rotation::Done(read(row)?, holder));
        }
        let why = if expired { SessionEnd::Expired } else { SessionEnd::Reused };
        end_one(&change, row, why).await?;
        let details = json!({
            "session": session.id,
            "reason": why.word(),
            "address": turn.address,
        });
        change.commit(entry(&session.user, "session.end", details)).await?;
        Ok(if expired { Rotation::Ended } else { Rotation::Reused(holder) })
    }

    /// The user has just proved again who he is.
    pub async fn elevate_session(
        &self,
        session: SessionId,
        until: TimestampMs,
        how: Proven,
        by: &Actor,
    ) -> Result<Session> {
        let change = self.change(by).await?;
        let row = self.open_row(&change, session).await?;
        let holder = UserId(row.user_id);
        let mut row = row.into_active_model();
        row.elevated_until = Set(Some(until));
        row.proven_at = Set(Some(change.at));
        if how.is_strong() {
            row.is_strong = Set(true);
        }
        let row = row.update(&change.transaction).await?;
        let details = json!({"session": session, "until": until, "how": how.word()});
        change.commit(entry(&holder, "session.elevate", details)).await?;
        read(row)
    }

    async fn open_row(&self, change: &Change<'_>, session: SessionId) -> Result<table::Model> {
        let row = table::Entity::find_by_id(session.0)
            .filter(table::Column::EndedAt.is_null())
            .lock_exclusive()
            .one(&change.transaction)
            .await?;
        row.ok_or(TenancyError::NotFound { what: "session" })
    }

    /// Ends one session of this user.
    pub async fn end_session(
        &self,
        user: UserId,
        session: SessionId,
        why: SessionEnd,
        by: &Actor,
    ) -> Result<()> {
        let change = self.change(by).await?;
        let row = self.open_row(&change, session).await?;
        if row.user_id != user.0 {
            return Err(TenancyError::NotFound { what: "session" });
        }
        end_one(&change, row, why).await?;
        let details = json!({"session": session, "reason": why.word()});
        change.commit(entry(&user, "session.end", details)).await
    }

    /// Ends a user's sessions, but for the one that is kept, and answers how many.
    pub async fn end_sessions(
        &self,
        user: UserId,
        kept: Option<SessionId>,
        by: &Actor,
    ) -> Result<u64> {
        let change = self.change(by).await?;
        locked(&change, user).await?;
        let ended = end_all(&change, user, kept, SessionEnd::Revoked).await?;
        let details: Value = json!({"count": ended, "reason": SessionEnd::Revoked.word()});
        change.commit(entry(&user, "session.end", details)).await?;
        Ok(ended)
    }

    /// A user's sessions that have not ended, in the order of identifiers. Those that are too old
    /// are among them: `Session::is_open` tells.
    pub async fn sessions(
        &self,
        user: UserId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Page<Session>> {
        let mut rows = open_of(user);
        if let Some(after) = after {
            rows = rows.filter(table::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(table::Column::Id).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, read)
    }

    /// What could not be done as somebody, and why: the trail of attempts. The caller bounds how
    /// often it is called.
    pub async fn note_attempt(
        &self,
        user: UserId,
        action: &'static str,
        details: Value,
        by: &Actor,
    ) -> Result<()> {
        self.change(by).await?.commit(entry(&user, action, details)).await
    }
}
