//! Signing in, staying signed in, signing out. An account that does not exist, a wrong password
//! and a user who may not sign in are told alike, and take alike.

use super::passkey_proof::PasskeyProof;
use super::password::Verdict;
use super::session_text::Presented;
use super::throttle::{Blocked, Subject};
use super::{People, Person, is_active, not_signed_in};
use port::{Code, Refusal, metric};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use tenancy::{
    Actor, AuditOutcome, DeviceSeen, Incident, NewSession, Proven, Rotation, Session, SessionEnd,
    SessionId, Turnover, User, UserId, UserLogin,
};
use types::TimestampMs;
use uuid::Uuid;

/// Bytes of the secret by which a device is known again.
const DEVICE_BYTES: std::ops::RangeInclusive<usize> = 16..=128;

/// What somebody brings who wants to sign in.
pub struct SignIn {
    pub email: String,
    pub password: SecretString,
    /// Of the second factor, when the account has one: six digits, or a recovery code.
    pub code: Option<SecretString>,
    /// In place of the code: the answer of a passkey to `second_factor_options`.
    pub passkey: Option<PasskeyProof>,
    /// A random text that the device keeps; the refresh tokens count with it only.
    pub device: SecretString,
    /// What the user calls the device, or what it calls itself.
    pub device_name: String,
    pub address: IpAddr,
}

/// What somebody brings who wants to stay signed in.
pub struct Refresh {
    pub token: SecretString,
    pub device: SecretString,
    pub address: IpAddr,
}

/// A session with the tokens that prove it.
pub struct SignedIn {
    pub user: User,
    pub session: Session,
    pub access: SecretString,
    pub access_expires_at: TimestampMs,
    pub refresh: SecretString,
}

/// The part of an address that a provider gives to one customer or site.
pub(super) fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

fn wrong() -> Refusal {
    Refusal::new(Code::InvalidToken, "the address or the password is wrong")
        .field("password")
        .hint("a forgotten password can be reset")
}

fn wait(blocked: Blocked) -> Refusal {
    Refusal::new(Code::RateLimitExceeded, "too many attempts to sign in")
        .field("email")
        .hint("wait as told in `retry_after`")
        .retry_after(blocked.wait)
}

pub(super) fn device_secret(device: &SecretString) -> Result<&str, Refusal> {
    let text = device.expose_secret();
    if !DEVICE_BYTES.contains(&text.len()) {
        return Err(Refusal::new(Code::InvalidRequest, "the device's secret has 16 to 128 bytes")
            .field("device")
            .hint("a random text that the device makes once and keeps"));
    }
    Ok(text)
}

impl People {
    /// Opens a session. Refuses with `INVALID_TOKEN` when address or password are wrong, and with
    /// `RATE_LIMIT_EXCEEDED` after too many attempts.
    pub async fn sign_in(&self, wish: SignIn) -> Result<SignedIn, Refusal> {
        let device_hash = self.texts.device(device_secret(&wish.device)?);
        // An address in no form of one is as unknown as any other.
        let found = self.tenancy.user_by_email(&wish.email).await.or_else(not_an_address)?;
        let asked = found.as_ref().map_or(UserId(Uuid::nil()), |login| login.user.id);
        let is_known = self.tenancy.knows_device(asked, &device_hash).await?;
        let subjects = [
            Subject::account(&wish.email, is_known.then_some(device_hash.as_slice())),
            Subject::address(&network(wish.address)),
        ];
        let known = found.as_ref().map(|login| &login.user);
        self.admit(&subjects, known, wish.address)?;
        let login = self.prove(found, &wish.password, wish.address).await?;
        let how = match &wish.passkey {
            Some(proof) => {
                self.prove_second_by_passkey(&login, proof, wish.address).await?;
                Proven::PasswordAndPasskey
            }
            None => self.prove_second(&login, wish.code.as_ref()).await?,
        };
        self.check_password_allowed(login.id).await?;
        self.throttle.forgive(&subjects);
        let new = NewSession {
            user: login.id,
            how,
            refresh_hash: Vec::new(),
            device_hash,
            device: wish.device_name,
            address: wish.address.to_string(),
            network: network(wish.address),
            provider: None,
        };
        self.open(login, new).await
    }

    pub(super) fn admit(
        &self,
        subjects: &[Subject],
        known: Option<&User>,
        address: IpAddr,
    ) -> Result<(), Refusal> {
        let Err(blocked) = self.throttle.admit(subjects) else { return Ok(()) };
        metrics::counter!(metric::SIGN_INS, "outcome" => "throttled").increment(1);
        if let Some(user) = known.filter(|_| blocked.is_news) {
            self.note_later(user.id, "session.throttle", address);
        }
        Err(wait(blocked))
    }

    /// Writes an attempt into the trail without waiting for it: there is one for accounts that
    /// exist only, and nobody is to see by the clock which do. Bounded by the throttle.
    fn note_later(&self, user: UserId, action: &'static str, address: IpAddr) {
        let tenancy = Arc::clone(&self.tenancy);
        tokio::spawn(async move {
            let details = json!({"address": address.to_string()});
            let by = Actor::system().from_address(address);
            let noted = tenancy.note_attempt(user, action, details, &by).await;
            if let Err(error) = noted {
                tracing::warn!(%error, action, "an attempt is not in the trail");
            }
        });
    }

    /// Somebody tried an account that does not exist. The name he gave is kept out: it may be a
    /// password in the wrong field.
    pub(super) fn note_stranger(&self, address: IpAddr) {
        let incident = Incident {
            tenant: None,
            project: None,
            actor: "unknown".to_owned(),
            action: "session.refuse",
            target: "unknown".to_owned(),
            outcome: AuditOutcome::Refused,
            reason: "no such account".to_owned(),
            address: Some(address),
            request: None,
        };
        self.tenancy.incidents().note(incident, self.clock.now_ms());
    }

    /// The user, when the password is his and he may sign in.
    pub(super) async fn prove(
        &self,
        found: Option<UserLogin>,
        password: &SecretString,
        address: IpAddr,
    ) -> Result<User, Refusal> {
        let stored = found.as_ref().and_then(|login| login.password.as_deref());
        let verdict = self.passwords.check(password, stored).await?;
        let is_right = verdict != Verdict::Wrong;
        let active = found.as_ref().filter(|login| is_right && is_active(&login.user));
        let Some(login) = active else {
            metrics::counter!(metric::SIGN_INS, "outcome" => "refused").increment(1);
            match &found {
                Some(login) => self.note_later(login.user.id, "session.refuse", address),
                None => self.note_stranger(address),
            }
            return Err(wrong());
        };
        if let (Verdict::RightButOld(new), Some(old)) = (verdict, &login.password) {
            self.tenancy.rehash_password(login.user.id, old, &new).await?;
        }
        Ok(login.user.clone())
    }

    /// Opens a session for somebody who has proved who he is.
    pub(super) async fn open(&self, user: User, mut new: NewSession) -> Result<SignedIn, Refusal> {
        let fresh = self.texts.fresh();
        new.refresh_hash.clone_from(&fresh.hash);
        let address = new.address.clone();
        let by = match address.parse() {
            Ok(from) => Actor::user(user.id, &user.email).from_address(from),
            Err(_) => Actor::user(user.id, &user.email),
        };
        let (session, seen) = self.tenancy.open_session(new, &by).await?;
        metrics::counter!(metric::SIGN_INS, "outcome" => "done").increment(1);
        self.suspect(&user, &session, seen, &address).await?;
        let refresh = self.texts.refresh(&fresh, session.id, session.generation);
        Ok(self.signed_in(user, session, refresh))
    }

    /// A session on a device or from a network that the user was never seen with is told of.
    async fn suspect(
        &self,
        user: &User,
        session: &Session,
        seen: DeviceSeen,
        address: &str,
    ) -> Result<(), Refusal> {
        if seen.is_first || !(seen.is_new_device || seen.is_new_network) {
            return Ok(());
        }
        let details = json!({
            "session": session.id,
            "address": address,
            "device": session.device,
            "new_device": seen.is_new_device,
            "new_network": seen.is_new_network,
        });
        self.tell_of_session(user, session);
        let by = match address.parse() {
            Ok(from) => Actor::system().from_address(from),
            Err(_) => Actor::system(),
        };
        Ok(self.tenancy.note_attempt(user.id, "session.suspect", details, &by).await?)
    }

    fn signed_in(&self, user: User, session: Session, refresh: SecretString) -> SignedIn {
        let access_ms = i64::try_from(self.settings.access_ms).unwrap_or(i64::MAX);
        let access_expires_at = self.clock.now_ms().saturating_add(access_ms);
        let access = self.texts.access(session.id, access_expires_at);
        SignedIn { user, session, access, access_expires_at, refresh }
    }

    /// The next tokens of a session. The refresh token counts once and on its device: used again,
    /// or elsewhere, it ends the session, since somebody has a copy. Refuses with `INVALID_TOKEN`.
    pub async fn refresh(&self, wish: Refresh) -> Result<SignedIn, Refusal> {
        let device = device_secret(&wish.device)?;
        let presented = self.presented(&wish.token)?;
        let fresh = self.texts.fresh();
        let turn = Turnover {
            session: presented.session,
            generation: presented.generation,
            old_hash: presented.hash,
            new_hash: fresh.hash.clone(),
            device_hash: self.texts.device(device),
            address: wish.address.to_string(),
        };
        match self.tenancy.rotate_session(&turn, self.settings.times()).await? {
            Rotation::Done(session, user) if is_active(&user) => {
                let refresh = self.texts.refresh(&fresh, session.id, session.generation);
                Ok(self.signed_in(user, session, refresh))
            }
            Rotation::Done(..) | Rotation::Ended => Err(not_signed_in()),
            Rotation::Reused(user) => {
                metrics::counter!(metric::SIGN_INS, "outcome" => "reused").increment(1);
                let session = turn.session;
                tracing::warn!(user = %user.id, %session, "a refresh token came twice");
                self.tell_of_reuse(&user);
                Err(not_signed_in())
            }
        }
    }

    fn presented(&self, token: &SecretString) -> Result<Presented, Refusal> {
        self.texts.open_refresh(token.expose_secret()).ok_or_else(not_signed_in)
    }

    /// Ends the session of this person.
    pub async fn sign_out(&self, who: &Person) -> Result<(), Refusal> {
        self.end_own(who, who.session.id, SessionEnd::SignedOut).await
    }

    /// Ends one of a person's own sessions.
    pub async fn end_own(
        &self,
        who: &Person,
        session: SessionId,
        why: SessionEnd,
    ) -> Result<(), Refusal> {
        Ok(self.tenancy.end_session(who.user.id, session, why, &who.actor()).await?)
    }
}

pub(super) fn not_an_address(error: tenancy::TenancyError) -> Result<Option<UserLogin>, Refusal> {
    match error {
        tenancy::TenancyError::Invalid { .. } => Ok(None),
        other => Err(other.into()),
    }
}
