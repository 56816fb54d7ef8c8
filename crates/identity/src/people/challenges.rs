//! Challenges for passkeys. Each is signed together with what it is for, so that one that was made
//! up, or made for something or somebody else, is told at once, and asking for one writes nothing
//! down: nobody fills a table by asking. Answered ones are written down, and count once on every
//! node.
//!
//! ```text
//! | end: 8 | random: 16 | tag: 32 |     tag = HMAC(purpose | user | session | end | random)
//! ```

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use secrecy::ExposeSecret;
use std::sync::Arc;
use stdx::Rng;
use tenancy::{SessionId, SpentChallenge, UserId};
use types::TimestampMs;
use uuid::Uuid;

/// How long a challenge can be answered: what section 15.1 of Web Authentication proposes where the
/// user is to be verified.
pub(crate) const CHALLENGE_MS: i64 = 5 * 60_000;

const END_BYTES: usize = 8;
const RANDOM_BYTES: usize = 16;

/// What a challenge is for; it is good for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Register(UserId, SessionId),
    /// By somebody who is not known yet.
    SignIn,
    /// Of a user whose password was right.
    SecondFactor(UserId),
    Elevate(UserId, SessionId),
}

impl Purpose {
    fn bytes(self) -> Vec<u8> {
        let nobody = Uuid::nil();
        let (mark, user, session) = match self {
            Purpose::Register(user, session) => (b'r', user.0, session.0),
            Purpose::SignIn => (b's', nobody, nobody),
            Purpose::SecondFactor(user) => (b'2', user.0, nobody),
            Purpose::Elevate(user, session) => (b'e', user.0, session.0),
        };
        [&[mark], user.as_bytes().as_slice(), session.as_bytes()].concat()
    }
}

/// Makes and checks challenges.
pub(crate) struct Challenges {
    key: hmac::Key,
    rng: Arc<dyn Rng>,
}

impl Challenges {
    pub(crate) fn new(secrets: &crate::Secrets, rng: Arc<dyn Rng>) -> Challenges {
        let secret = secrets.derive("passkey challenge");
        Challenges { key: hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret()), rng }
    }

    pub(crate) fn make(&self, purpose: Purpose, now: TimestampMs) -> Vec<u8> {
        let mut random = [0; RANDOM_BYTES];
        self.rng.fill(&mut random);
        let ends_at = now.saturating_add(CHALLENGE_MS).to_be_bytes();
        let body = [ends_at.as_slice(), &random].concat();
        let tag = hmac::sign(&self.key, &[purpose.bytes(), body.clone()].concat());
        [body.as_slice(), tag.as_ref()].concat()
    }

    /// What is to be written down of a challenge that is answered now. `None`: it was not made for
    /// this, or its time is over.
    pub(crate) fn open(
        &self,
        challenge: &[u8],
        purpose: Purpose,
        now: TimestampMs,
    ) -> Option<SpentChallenge> {
        let (body, tag) = challenge.split_at_checked(END_BYTES + RANDOM_BYTES)?;
        hmac::verify(&self.key, &[purpose.bytes(), body.to_vec()].concat(), tag).ok()?;
        let (end, _) = body.split_at_checked(END_BYTES)?;
        let expires_at = i64::from_be_bytes(end.try_into().ok()?);
        let hash = digest(&SHA256, challenge).as_ref().to_vec();
        (now < expires_at).then_some(SpentChallenge { hash, expires_at })
    }
}
