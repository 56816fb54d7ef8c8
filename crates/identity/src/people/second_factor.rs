//! The second factor: setting it up, asking for it, doing without it.

use super::{People, Person, totp};
use port::{Code, Refusal};
use secrecy::{ExposeSecret, SecretString};
use tenancy::{Actor, Proven, User, UserId};
use zeroize::Zeroizing;

/// A secret to be read into a telephone, shown this once.
pub struct Enrolment {
    /// Base 32, for typing.
    pub secret: SecretString,
    /// `otpauth://...`, for a picture.
    pub uri: SecretString,
}

pub(super) fn wrong_code() -> Refusal {
    Refusal::new(Code::InvalidToken, "the code is wrong")
        .field("code")
        .hint("six digits as the telephone shows them now, or a recovery code not used before")
}

fn needed() -> Refusal {
    Refusal::new(Code::CredentialMissing, "the account asks for a second factor")
        .field("code")
        .hint("send the same again with the telephone's six digits, a recovery code or a passkey")
}

/// Where the secret is stored: sealed for one user, it opens for no other.
fn place(user: UserId) -> String {
    format!("second_factors/{user}")
}

impl People {
    /// A new secret, which counts once `confirm_second_factor` has seen a code made with it.
    pub async fn start_second_factor(&self, who: &Person) -> Result<Enrolment, Refusal> {
        let mut secret = Zeroizing::new([0; totp::SECRET_BYTES]);
        self.rng.fill(&mut *secret);
        let sealed = self.sealer.seal(&place(who.user.id), &*secret);
        self.tenancy.start_second_factor(who.user.id, &sealed, &who.actor()).await?;
        Ok(Enrolment {
            secret: totp::base32(&*secret).into(),
            uri: totp::uri(&*secret, &who.user.email).into(),
        })
    }

    /// From now on the second factor is asked for. The recovery codes are shown this once.
    pub async fn confirm_second_factor(
        &self,
        who: &Person,
        code: &str,
    ) -> Result<Vec<String>, Refusal> {
        let user = who.user.id;
        let found = self.tenancy.second_factor(user).await?;
        let found = found.filter(|found| !found.is_confirmed).ok_or_else(|| {
            Refusal::new(Code::Conflict, "there is no second factor to be confirmed")
        })?;
        let step = self.step(user, &found.sealed, code)?.ok_or_else(wrong_code)?;
        let codes = totp::recovery_codes(self.rng.as_ref());
        let mut hashes = Vec::with_capacity(codes.len());
        for code in &codes {
            hashes.push(self.texts.recovery(&totp::plain(code)?));
        }
        self.tenancy.confirm_second_factor(user, step, &hashes, &who.actor()).await?;
        Ok(codes)
    }

    /// Whether the user is asked for a second factor.
    pub async fn has_second_factor(&self, user: UserId) -> Result<bool, Refusal> {
        Ok(self.tenancy.second_factor(user).await?.is_some_and(|found| found.is_confirmed))
    }

    /// The password alone again; the caller has asked for a recent proof.
    pub async fn remove_second_factor(&self, user: UserId, by: &Actor) -> Result<(), Refusal> {
        Ok(self.tenancy.remove_second_factor(user, by).await?)
    }

    fn step(&self, user: UserId, sealed: &[u8], code: &str) -> Result<Option<i64>, Refusal> {
        let secret = self.sealer.open(&place(user), sealed);
        let secret = secret.map_err(|error| Refusal::internal(&error))?;
        Ok(totp::step_of(secret.expose_secret(), code, self.clock.now_ms()))
    }

    /// Asks for the second factor of somebody whose password was right; who has none passes.
    pub(super) async fn prove_second(
        &self,
        user: &User,
        code: Option<&SecretString>,
    ) -> Result<Proven, Refusal> {
        let found = self.tenancy.second_factor(user.id).await?;
        let Some(found) = found.filter(|found| found.is_confirmed) else {
            return Ok(Proven::Password);
        };
        let code = code.ok_or_else(needed)?.expose_secret();
        if let Some(step) = self.step(user.id, &found.sealed, code)? {
            // A code counts once, also for who looked over a shoulder.
            return match self.tenancy.use_step(user.id, step).await? {
                true => Ok(Proven::PasswordAndCode),
                false => Err(wrong_code()),
            };
        }
        let hash = self.texts.recovery(&totp::plain(code)?);
        let by = Actor::user(user.id, &user.email);
        match self.tenancy.use_recovery_code(user.id, &hash, &by).await? {
            true => Ok(Proven::PasswordAndCode),
            false => Err(wrong_code()),
        }
    }
}
