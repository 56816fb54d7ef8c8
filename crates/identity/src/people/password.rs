//! Passwords: what is stored of them (argon2id, RFC 9106), checking them, and which are too weak to
//! be taken. Slow on purpose, so the work is done on threads made for it, a few at a time. It must
//! not know whose password it is.

use super::settings::PasswordCost;
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use port::{Code, Refusal};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;
use stdx::Rng;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

const HASH_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const LANES: u32 = 1;
/// Bytes of a password that are looked at; a longer one is refused, not cut.
pub(crate) const PASSWORD_BYTES_MAX: usize = 256;
/// Parts of what is stored: `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`.
const PARTS: usize = 6;
/// What many people choose, in lower case, beyond what length already rules out.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "qwertyuiop",
    "1234567890",
    "0987654321",
    "letmein",
    "iloveyou",
    "administrator",
    "changeme",
    "welcome",
    "abcdefghij",
    "mainstem",
];

/// What checks a password, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Stored {
    fn read(text: &str) -> Option<Stored> {
        let parts: Vec<&str> = text.split('$').collect();
        let [_, "argon2id", "v=19", cost, salt, hash] = parts.as_slice() else { return None };
        debug_assert_eq!(parts.len(), PARTS);
        let mut numbers = ["m=", "t=", "p="].into_iter().zip(cost.split(','));
        let mut number = || {
            let (prefix, text) = numbers.next()?;
            text.strip_prefix(prefix)?.parse::<u32>().ok()
        };
        Some(Stored {
            memory_kib: number()?,
            passes: number()?,
            lanes: number()?,
            salt: STANDARD_NO_PAD.decode(salt).ok()?,
            hash: STANDARD_NO_PAD.decode(hash).ok()?,
        })
    }

    fn write(&self) -> String {
        let Stored { memory_kib, passes, lanes, .. } = self;
        let (salt, hash) = (STANDARD_NO_PAD.encode(&self.salt), STANDARD_NO_PAD.encode(&self.hash));
        format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}")
    }

    fn stretched(&self, password: &str) -> Option<Zeroizing<Vec<u8>>> {
        let cost = Params::new(self.memory_kib, self.passes, self.lanes, Some(HASH_BYTES)).ok()?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost);
        let mut out = Zeroizing::new(vec![0; HASH_BYTES]);
        argon2.hash_password_into(password.as_bytes(), &self.salt, &mut out).ok()?;
        Some(out)
    }
}

/// What checking a password came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    /// And it should be stored anew, as this.
    RightButOld(String),
    Wrong,
}

/// Checks and stores passwords.
pub(crate) struct Passwords {
    cost: PasswordCost,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    rng: Arc<dyn Rng>,
    /// Checked in place of what an unknown account does not have, so that both take as long.
    decoy: Stored,
}

impl Passwords {
    pub(crate) fn new(cost: PasswordCost, rng: Arc<dyn Rng>) -> Passwords {
        let mut passwords = Passwords {
            cost,
            running: Arc::new(Semaphore::new(cost.at_once_max)),
            waiting: Arc::new(Semaphore::new(cost.waiters_max.max(1))),
            rng,
            decoy: Stored { memory_kib: 0, passes: 0, lanes: 0, salt: vec![], hash: vec![] },
        };
        passwords.decoy = passwords.blank();
        passwords
    }

    /// With a fresh salt and no password.
    fn blank(&self) -> Stored {
        let mut salt = vec![0; SALT_BYTES];
        self.rng.fill(&mut salt);
        Stored {
            memory_kib: self.cost.memory_kib,
            passes: self.cost.passes,
            lanes: LANES,
            salt,
            hash: vec![0; HASH_BYTES],
        }
    }

    /// What is to be stored of a password. Waits for its turn.
    pub(crate) async fn hash(&self, password: &SecretString) -> Result<String, Refusal> {
        let mut stored = self.blank();
        let password = password.clone();
        self.work(move || {
            let out = stored.stretched(password.expose_secret())?;
            stored.hash = out.to_vec();
            Some(stored.write())
        })
        .await?
        .ok_or_else(|| Refusal::internal(&"argon2 takes its own parameters"))
    }

    /// Whether the password is the one that was stored. Without anything stored it is wrong, and
    /// takes as long to be.
    pub(crate) async fn check(
        &self,
        password: &SecretString,
        stored: Option<&str>,
    ) -> Result<Verdict, Refusal> {
        let known = match stored {
            Some(text) => Some(Stored::read(text).ok_or_else(|| {
                Refusal::internal(&"what is stored of a password is not readable")
            })?),
            None => None,
        };
        let is_known = known.is_some();
        let mut fresh = self.blank();
        let stored = known.unwrap_or_else(|| self.decoy.clone());
        let is_old = (stored.memory_kib, stored.passes, stored.lanes)
            != (fresh.memory_kib, fresh.passes, fresh.lanes);
        let password = password.clone();
        let verdict = self
            .work(move || {
                let out = stored.stretched(password.expose_secret())?;
                let is_equal = verify_slices_are_equal(&out, &stored.hash).is_ok();
                if !is_equal || !is_known {
                    return Some(Verdict::Wrong);
                }
                if !is_old {
                    return Some(Verdict::Right);
                }
                fresh.hash = fresh.stretched(password.expose_secret())?.to_vec();
                Some(Verdict::RightButOld(fresh.write()))
            })
            .await?;
        verdict.ok_or_else(|| Refusal::internal(&"argon2 takes what it has made"))
    }

    async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let overloaded = || {
            Refusal::new(Code::Overloaded, "too many passwords are waiting to be checked")
                .hint("try again after the time in `retry_after`")
                .retry_around(Duration::from_secs(1))
        };
        let place = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| overloaded())?;
        // The semaphore is never closed.
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(|_| overloaded())?;
        let work = tokio::task::spawn_blocking(move || {
            let done = job();
            drop((place, turn));
            done
        });
        work.await.map_err(|error| Refusal::internal(&error))
    }
}

/// Refuses a password that would be guessed: too short, one character over and over, made of the
/// address, or of what everybody takes.
pub(crate) fn check_strength(
    password: &SecretString,
    email: &str,
    chars_min: usize,
) -> Result<(), Refusal> {
    let refuse = |why: String| {
        Err(Refusal::new(Code::InvalidRequest, why)
            .field("password")
            .hint("several words in a row are easy to keep in mind and hard to guess"))
    };
    let text = password.expose_secret();
    let count = text.chars().count();
    if count < chars_min || text.len() > PASSWORD_BYTES_MAX {
        return refuse(format!(
            "a password has {chars_min} characters or more and at most {PASSWORD_BYTES_MAX} bytes"
        ));
    }
    let mut distinct: Vec<char> = text.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 {
        return refuse("a password has at least five different characters".to_owned());
    }
    let lower = text.to_lowercase();
    let name = email.split('@').next().unwrap_or_default();
    let is_own = (!email.is_empty() && lower.contains(email))
        || (name.len() >= 4 && rest(&lower, name) < chars_min / 2);
    if is_own || COMMON.iter().any(|word| rest(&lower, word) < chars_min / 2) {
        return refuse("the password is easy to guess".to_owned());
    }
    Ok(())
}

/// Characters that are left when `part` is taken away; all of them when it is not there.
fn rest(text: &str, part: &str) -> usize {
    match text.contains(part) {
        true => text.replace(part, "").chars().count(),
        false => usize::MAX,
    }
}

#[cfg(test)]
pub(crate) fn stored_cost(text: &str) -> Option<(u32, u32, u32)> {
    Stored::read(text).map(|stored| (stored.memory_kib, stored.passes, stored.lanes))
}
