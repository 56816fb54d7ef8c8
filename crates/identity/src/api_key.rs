//! The text of an API key and its keyed hash. Pure, but for the random source passed in.
//!
//! ```text
//! ms_live_4fG7kQ2xB9aZ_0123...(43 digits)
//!         ^ lookup     ^ secret
//! ```
//! The lookup id finds the record and is not secret. Its last four digits are a check that only
//! this installation can make: a made-up key is refused without asking the database. The secret
//! is 43 uniform base-62 digits, which is 256 bits. What is stored is an HMAC-SHA256 of the whole
//! text, so a stolen database opens nothing without the root secret.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use stdx::Rng;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Random digits of the lookup id.
const LOOKUP_RANDOM: usize = 8;
/// Check digits of the lookup id.
const LOOKUP_CHECK: usize = 4;
pub const LOOKUP_DIGITS: usize = LOOKUP_RANDOM + LOOKUP_CHECK;
/// The smallest number of base-62 digits with 256 bits.
pub const SECRET_DIGITS: usize = 43;
pub const HASH_BYTES: usize = 32;
/// `ms_live_`, the lookup id, `_` and the secret.
pub const TEXT_BYTES: usize = 8 + LOOKUP_DIGITS + 1 + SECRET_DIGITS;

/// Tells a key of real data from one for trying out; both work alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Environment {
    Live,
    Test,
}

impl Environment {
    pub fn prefix(self) -> &'static str {
        match self {
            Environment::Live => "ms_live_",
            Environment::Test => "ms_test_",
        }
    }
}

/// What an administrator gets once, and what is stored for good.
pub struct NewApiKey {
    /// Shown to the administrator, never stored.
    pub text: SecretString,
    /// Stored; unique.
    pub lookup: String,
    /// Stored.
    pub hash: [u8; HASH_BYTES],
}

impl fmt::Debug for NewApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewApiKey({})", self.lookup)
    }
}

/// A well-formed key as presented, not yet proven.
#[derive(Clone, Copy)]
pub struct ApiKeyText<'a> {
    pub environment: Environment,
    pub lookup: &'a str,
    text: &'a str,
}

impl<'a> ApiKeyText<'a> {
    /// `None` when the text does not have the form of a key.
    pub fn parse(text: &'a str) -> Option<ApiKeyText<'a>> {
        if text.len() != TEXT_BYTES {
            return None;
        }
        let environment = [Environment::Live, Environment::Test]
            .into_iter()
            .find(|environment| text.starts_with(environment.prefix()))?;
        let rest = text.strip_prefix(environment.prefix())?;
        let (lookup, secret) = rest.split_once('_')?;
        let is_digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_alphanumeric());
        let fits = lookup.len() == LOOKUP_DIGITS && is_digits(lookup) && is_digits(secret);
        fits.then_some(ApiKeyText { environment, lookup, text })
    }
}

impl fmt::Debug for ApiKeyText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyText({})", self.lookup)
    }
}

/// Makes and checks keys under the installation's pepper.
#[derive(Clone)]
pub struct KeyHasher {
    pepper: hmac::Key,
}

impl KeyHasher {
    pub fn new(pepper: hmac::Key) -> KeyHasher {
        KeyHasher { pepper }
    }

    pub fn generate(&self, environment: Environment, rng: &dyn Rng) -> NewApiKey {
        let mut lookup = random_digits(LOOKUP_RANDOM, rng);
        let check = self.check_digits(&lookup);
        lookup.push_str(&check);
        let secret = random_digits(SECRET_DIGITS, rng);
        let text = format!("{}{lookup}_{secret}", environment.prefix());
        let hash = self.hash_text(&text);
        NewApiKey { text: SecretString::from(text), lookup, hash }
    }

    /// The lookup id was made here. Not a proof of anything: it only saves looking it up.
    pub fn is_own(&self, key: &ApiKeyText<'_>) -> bool {
        key.lookup
            .split_at_checked(LOOKUP_RANDOM)
            .is_some_and(|(random, check)| self.check_digits(random) == check)
    }

    /// Compares with the stored hash in constant time.
    pub fn matches(&self, key: &ApiKeyText<'_>, hash: &[u8]) -> bool {
        verify_slices_are_equal(&self.hash_text(key.text), hash).is_ok()
    }

    /// The hash to store of a key's whole text.
    pub fn hash(&self, text: &SecretString) -> [u8; HASH_BYTES] {
        self.hash_text(text.expose_secret())
    }

    fn hash_text(&self, text: &str) -> [u8; HASH_BYTES] {
        let mut hash = [0; HASH_BYTES];
        let tag = hmac::sign(&self.pepper, text.as_bytes());
        for (to, from) in hash.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        hash
    }

    fn check_digits(&self, random: &str) -> String {
        let mut context = hmac::Context::with_key(&self.pepper);
        context.update(b"lookup check\0");
        context.update(random.as_bytes());
        context.sign().as_ref().iter().take(LOOKUP_CHECK).map(|&byte| digit(byte % 62)).collect()
    }
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHasher(hidden)")
    }
}

/// `value` is below 62.
fn digit(value: u8) -> char {
    char::from(DIGITS[usize::from(value)])
}

/// Uniform: bytes of 248 and more, which would favour the first digits, are thrown away. A source
/// that gives nothing else for long is broken, and going on would hand out a guessable key.
fn random_digits(count: usize, rng: &dyn Rng) -> String {
    const DRAWS_MAX: usize = 64;
    let mut digits = String::with_capacity(count);
    for _ in 0..DRAWS_MAX {
        let mut bytes = [0; 64];
        rng.fill(&mut bytes);
        let wanted = count - digits.len();
        digits.extend(bytes.iter().filter(|&&byte| byte < 248).take(wanted).map(|b| digit(b % 62)));
        if digits.len() == count {
            return digits;
        }
    }
    panic!("the random source is broken");
}
