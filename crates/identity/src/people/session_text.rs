//! The texts that prove a session: a short-lived access token, checked without the database before
//! it is looked up, and a refresh token that counts once. Both are signed, so that made-up ones
//! cost nothing; of the refresh token's random part only a hash is stored.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use stdx::Rng;
use tenancy::{DeviceSignInId, MailTokenId, SessionId, SignInId};
use types::TimestampMs;
use uuid::Uuid;
use zeroize::Zeroizing;

const ACCESS: &str = "mss_";
const REFRESH: &str = "msr_";
const MAILED: &str = "msi_";
const DEVICE: &str = "msc_";
const SIGN_IN: &str = "msp_";
const ID_BYTES: usize = 16;
const NUMBER_BYTES: usize = 8;
const RANDOM_BYTES: usize = 32;
const TAG_BYTES: usize = 32;

/// Makes and checks the texts.
pub(crate) struct SessionTexts {
    access: hmac::Key,
    refresh: hmac::Key,
    mailed: hmac::Key,
    waiting: hmac::Key,
    sign_in: hmac::Key,
    recovery: hmac::Key,
    device: hmac::Key,
    rng: Arc<dyn Rng>,
}

/// A refresh token that is genuine; whether it still counts is known to the store.
pub(crate) struct Presented {
    pub(crate) session: SessionId,
    pub(crate) generation: u64,
    pub(crate) hash: Vec<u8>,
}

/// What somebody who comes back from a provider brings, when it is genuine, and what was made for
/// his way there: both follow from the random part, so neither is stored.
pub(crate) struct Returning {
    pub(crate) id: SignInId,
    pub(crate) hash: Vec<u8>,
    /// RFC 7636 section 4.1: 43 characters.
    pub(crate) verifier: SecretString,
    pub(crate) nonce: String,
}

/// The random part of a refresh token to be, and what is stored of it.
pub(crate) struct Fresh {
    random: Zeroizing<[u8; RANDOM_BYTES]>,
    pub(crate) hash: Vec<u8>,
}

fn signed(key: &hmac::Key, prefix: &str, parts: &[&[u8]]) -> SecretString {
    let mut body = Zeroizing::new(parts.concat());
    let tag = hmac::sign(key, &body);
    body.extend_from_slice(tag.as_ref());
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(&*body)).into()
}

/// What was signed, when it was, by this key.
fn opened<const N: usize>(key: &hmac::Key, prefix: &str, text: &str) -> Option<Zeroizing<[u8; N]>> {
    let digits = text.strip_prefix(prefix)?;
    // Not decoded when it cannot be one: four digits for three bytes.
    if digits.len() != (N + TAG_BYTES).div_ceil(3) * 4 - (3 - (N + TAG_BYTES) % 3) % 3 {
        return None;
    }
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(digits).ok()?);
    let (body, tag) = bytes.split_at_checked(N)?;
    hmac::verify(key, body, tag).ok()?;
    Some(Zeroizing::new(body.try_into().ok()?))
}

fn id_and_number(body: &[u8]) -> Option<(SessionId, u64)> {
    let (id, rest) = body.split_at_checked(ID_BYTES)?;
    let (number, _) = rest.split_at_checked(NUMBER_BYTES)?;
    let id = Uuid::from_slice(id).ok()?;
    Some((SessionId(id), u64::from_be_bytes(number.try_into().ok()?)))
}

impl SessionTexts {
    pub(crate) fn new(secrets: &crate::Secrets, rng: Arc<dyn Rng>) -> SessionTexts {
        let key = |purpose: &str| {
            hmac::Key::new(hmac::HMAC_SHA256, secrets.derive(purpose).expose_secret())
        };
        SessionTexts {
            access: key("session access"),
            refresh: key("session refresh"),
            mailed: key("mailed token"),
            waiting: key("device code"),
            sign_in: key("provider sign-in"),
            recovery: key("recovery code"),
            device: key("session device"),
            rng,
        }
    }

    /// Whether the text is an access token by its looks.
    pub(crate) fn is_access(text: &str) -> bool {
        text.starts_with(ACCESS)
    }

    pub(crate) fn access(&self, session: SessionId, expires_at: TimestampMs) -> SecretString {
        let expires_at = u64::try_from(expires_at).unwrap_or_default().to_be_bytes();
        signed(&self.access, ACCESS, &[session.0.as_bytes(), &expires_at])
    }

    /// The session, and until when the token counts.
    pub(crate) fn open_access(&self, text: &str) -> Option<(SessionId, TimestampMs)> {
        let body = opened::<{ ID_BYTES + NUMBER_BYTES }>(&self.access, ACCESS, text)?;
        let (session, expires_at) = id_and_number(&*body)?;
        Some((session, i64::try_from(expires_at).ok()?))
    }

    pub(crate) fn fresh(&self) -> Fresh {
        let mut random = Zeroizing::new([0; RANDOM_BYTES]);
        self.rng.fill(&mut *random);
        let hash = hmac::sign(&self.refresh, &*random).as_ref().to_vec();
        Fresh { random, hash }
    }

    pub(crate) fn refresh(&self, fresh: &Fresh, session: SessionId, turn: u64) -> SecretString {
        let parts: [&[u8]; 3] = [session.0.as_bytes(), &turn.to_be_bytes(), &*fresh.random];
        signed(&self.refresh, REFRESH, &parts)
    }

    pub(crate) fn open_refresh(&self, text: &str) -> Option<Presented> {
        const BODY: usize = ID_BYTES + NUMBER_BYTES + RANDOM_BYTES;
        let body = opened::<BODY>(&self.refresh, REFRESH, text)?;
        let (session, generation) = id_and_number(&*body)?;
        let (_, random) = body.split_at_checked(ID_BYTES + NUMBER_BYTES)?;
        let hash = hmac::sign(&self.refresh, random).as_ref().to_vec();
        Some(Presented { session, generation, hash })
    }

    /// A token for a letter.
    pub(crate) fn mailed(&self, fresh: &Fresh, id: MailTokenId) -> SecretString {
        signed(&self.mailed, MAILED, &[id.0.as_bytes(), &*fresh.random])
    }

    /// A token from a letter, and what is stored of its random part.
    pub(crate) fn open_mailed(&self, text: &str) -> Option<(MailTokenId, Vec<u8>)> {
        let body = opened::<{ ID_BYTES + RANDOM_BYTES }>(&self.mailed, MAILED, text)?;
        let (id, random) = body.split_at_checked(ID_BYTES)?;
        let hash = hmac::sign(&self.refresh, random).as_ref().to_vec();
        Some((MailTokenId(Uuid::from_slice(id).ok()?), hash))
    }

    /// What a device asks with that waits to be confirmed.
    pub(crate) fn device_code(&self, fresh: &Fresh, id: DeviceSignInId) -> SecretString {
        signed(&self.waiting, DEVICE, &[id.0.as_bytes(), &*fresh.random])
    }

    /// The device that asks, and what is stored of the code's random part.
    pub(crate) fn open_device_code(&self, text: &str) -> Option<(DeviceSignInId, Vec<u8>)> {
        let body = opened::<{ ID_BYTES + RANDOM_BYTES }>(&self.waiting, DEVICE, text)?;
        let (id, random) = body.split_at_checked(ID_BYTES)?;
        let hash = hmac::sign(&self.refresh, random).as_ref().to_vec();
        Some((DeviceSignInId(Uuid::from_slice(id).ok()?), hash))
    }

    /// The `state` of somebody's way to a provider and back.
    pub(crate) fn sign_in(&self, fresh: &Fresh, id: SignInId) -> SecretString {
        signed(&self.sign_in, SIGN_IN, &[id.0.as_bytes(), &*fresh.random])
    }

    pub(crate) fn open_sign_in(&self, text: &str) -> Option<Returning> {
        let body = opened::<{ ID_BYTES + RANDOM_BYTES }>(&self.sign_in, SIGN_IN, text)?;
        let (id, random) = body.split_at_checked(ID_BYTES)?;
        let derived = |purpose: &str| {
            let tag = hmac::sign(&self.sign_in, &[purpose.as_bytes(), random].concat());
            URL_SAFE_NO_PAD.encode(tag.as_ref())
        };
        Some(Returning {
            id: SignInId(Uuid::from_slice(id).ok()?),
            hash: hmac::sign(&self.refresh, random).as_ref().to_vec(),
            verifier: derived("verifier").into(),
            nonce: derived("nonce"),
        })
    }

    /// What is stored of a recovery code.
    pub(crate) fn recovery(&self, plain: &str) -> Vec<u8> {
        hmac::sign(&self.recovery, plain.as_bytes()).as_ref().to_vec()
    }

    /// What is stored of the secret by which a device is known again.
    pub(crate) fn device(&self, secret: &str) -> Vec<u8> {
        hmac::sign(&self.device, secret.as_bytes()).as_ref().to_vec()
    }
}
