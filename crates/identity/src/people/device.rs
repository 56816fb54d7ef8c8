//! Signing a device in that has no browser (RFC 8628): it shows a short code, somebody who is
//! signed in elsewhere confirms it after a fresh proof, and the device, which asks again and
//! again, gets a session once.

use super::sign_in::{device_secret, network};
use super::throttle::Subject;
use super::{People, Person, SignedIn};
use port::{Code, Refusal};
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use std::time::Duration;
use tenancy::{
    Actor, DeviceAnswer, DeviceAsking, DeviceSignIn, DeviceWord, NewDeviceSignIn, NewSession,
    Proven,
};
use types::TimestampMs;

/// How long a device waits to be confirmed.
const WAIT_MS: i64 = 10 * 60_000;
/// Between two questions of a device (RFC 8628 section 3.5).
const INTERVAL_MS: i64 = 5_000;
/// Letters that make no words and are not taken for each other (RFC 8628 section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const CODE_LETTERS: usize = 8;
/// Bytes of a code as somebody types it.
const TYPED_BYTES_MAX: usize = 64;

/// A device that wants to be signed in.
pub struct DeviceStart {
    /// As in `SignIn`.
    pub device: SecretString,
    pub device_name: String,
    pub address: IpAddr,
}

/// What the device shows, and what it asks with.
pub struct DeviceStarted {
    /// The device's own: it asks with it and shows it to nobody.
    pub device_code: SecretString,
    /// For people to type: `BCDF-GHJK`.
    pub user_code: String,
    /// Where people confirm it.
    pub page: String,
    pub expires_at: TimestampMs,
    pub interval_ms: i64,
}

/// A device that asks whether it was confirmed.
pub struct DevicePoll {
    pub device_code: SecretString,
    pub device: SecretString,
    pub address: IpAddr,
}

/// What a device is told.
pub enum DeviceOutcome {
    /// Nobody has said anything yet; ask again after the interval.
    Waiting {
        interval_ms: i64,
    },
    SignedIn(Box<SignedIn>),
}

/// A code in its one form; what is none is no device's.
fn plain(typed: &str) -> Result<String, Refusal> {
    let letters = typed.bytes().take(TYPED_BYTES_MAX).filter(u8::is_ascii_alphanumeric);
    let code: String = letters.map(|letter| char::from(letter.to_ascii_uppercase())).collect();
    if typed.len() > TYPED_BYTES_MAX || code.len() != CODE_LETTERS {
        return Err(unknown());
    }
    Ok(code)
}

/// As people read it best.
fn shown(code: &str) -> String {
    match code.split_at_checked(CODE_LETTERS / 2) {
        Some((front, back)) => format!("{front}-{back}"),
        None => code.to_owned(),
    }
}

fn unknown() -> Refusal {
    Refusal::new(Code::NotFound, "no device waits under this code")
        .field("user_code")
        .hint("type the code as the device shows it; it counts for ten minutes, once")
}

fn gone() -> Refusal {
    Refusal::new(Code::ExpiredToken, "the device's time is over")
        .field("device_code")
        .hint("begin again at /v1/auth/device")
}

impl People {
    fn user_code(&self) -> String {
        let mut number = self.rng.next_u64();
        let mut letter = || {
            let at = usize::try_from(number % LETTERS.len() as u64).unwrap_or(0);
            number /= LETTERS.len() as u64;
            char::from(LETTERS.get(at).copied().unwrap_or(b'B'))
        };
        (0..CODE_LETTERS).map(|_| letter()).collect()
    }

    /// Lets a device wait for somebody to confirm it.
    pub async fn start_device(&self, wish: DeviceStart) -> Result<DeviceStarted, Refusal> {
        let device_hash = self.texts.device(device_secret(&wish.device)?);
        let subjects = [Subject::address(&format!("device {}", network(wish.address)))];
        self.admit(&subjects, None, wish.address)?;
        let (fresh, user_code) = (self.texts.fresh(), self.user_code());
        let expires_at = self.clock.now_ms().saturating_add(WAIT_MS);
        let new = NewDeviceSignIn {
            user_code: user_code.clone(),
            secret_hash: fresh.hash.clone(),
            device_hash,
            device: wish.device_name,
            address: wish.address.to_string(),
            expires_at,
        };
        let id = self.tenancy.start_device_sign_in(new).await?;
        Ok(DeviceStarted {
            device_code: self.texts.device_code(&fresh, id),
            user_code: shown(&user_code),
            page: format!("{}/device", self.settings.console_url.trim_end_matches('/')),
            expires_at,
            interval_ms: INTERVAL_MS,
        })
    }

    /// The device that waits under a code, for whoever is to confirm it. Refuses with `NOT_FOUND`.
    pub async fn look_at_device(
        &self,
        who: &Person,
        user_code: &str,
        address: IpAddr,
    ) -> Result<DeviceSignIn, Refusal> {
        // Codes are short: nobody tries many.
        let subjects = [Subject::account(&format!("device code {}", who.user.id), None)];
        self.admit(&subjects, Some(&who.user), address)?;
        let found = self.tenancy.device_sign_in(&plain(user_code)?).await;
        let mut found = found.map_err(|error| match error {
            tenancy::TenancyError::NotFound { .. } => unknown(),
            other => other.into(),
        })?;
        self.throttle.forgive(&subjects);
        found.user_code = shown(&found.user_code);
        Ok(found)
    }

    /// Confirms or refuses the device, once. For a confirmation the caller has asked for a recent
    /// proof: the device will be signed in as this person.
    pub async fn answer_device(
        &self,
        who: &Person,
        user_code: &str,
        word: DeviceWord,
        by: &Actor,
    ) -> Result<(), Refusal> {
        // What a device gets is the user's own, beyond what a provider's word reaches.
        if word == DeviceWord::Confirm {
            self.require_own_session(who)?;
        }
        let code = plain(user_code)?;
        Ok(self.tenancy.answer_device_sign_in(who.user.id, &code, word, by).await?)
    }

    /// What became of the device. Refuses with `EXPIRED_TOKEN` when it waits no more,
    /// `INVALID_TOKEN` when somebody refused it, `RATE_LIMIT_EXCEEDED` when it asks too often.
    pub async fn poll_device(&self, wish: DevicePoll) -> Result<DeviceOutcome, Refusal> {
        let device_hash = self.texts.device(device_secret(&wish.device)?);
        let opened = self.texts.open_device_code(wish.device_code.expose_secret());
        let (id, secret_hash) = opened.ok_or_else(gone)?;
        let asking = DeviceAsking {
            id,
            secret_hash,
            device_hash: device_hash.clone(),
            // A little less, for clocks and networks that are not quite even.
            interval_ms: INTERVAL_MS * 4 / 5,
        };
        let (user, name) = match self.tenancy.ask_device_sign_in(asking).await? {
            DeviceAnswer::Waiting => {
                return Ok(DeviceOutcome::Waiting { interval_ms: INTERVAL_MS });
            }
            DeviceAnswer::TooSoon => {
                let interval = Duration::from_millis(INTERVAL_MS.unsigned_abs());
                return Err(Refusal::new(Code::RateLimitExceeded, "the device asks too often")
                    .field("device_code")
                    .hint("wait as told in `retry_after`")
                    .retry_after(interval));
            }
            DeviceAnswer::Refused => {
                return Err(Refusal::new(Code::InvalidToken, "somebody refused the device")
                    .field("device_code")
                    .hint("begin again at /v1/auth/device"));
            }
            DeviceAnswer::Gone => return Err(gone()),
            DeviceAnswer::Confirmed { user, device } => (user, device),
        };
        self.throttle.forgive(&[Subject::address(&format!("device {}", network(wish.address)))]);
        let new = NewSession {
            user: user.id,
            how: Proven::Confirmed,
            refresh_hash: Vec::new(),
            device_hash,
            device: name,
            address: wish.address.to_string(),
            network: network(wish.address),
            provider: None,
        };
        Ok(DeviceOutcome::SignedIn(Box::new(self.open(user, new).await?)))
    }
}
