//! Key sets (JWKS, RFC 7517) of projects' own token issuers: fetched when needed, kept while they
//! are good, fetched again with growing waits when their source fails. One fetch at a time per
//! set; a token with an unknown key id causes at most one per interval.

use crate::cache::Cache;
use crate::jwks_target::{self, GuardedResolver};
use crate::refusal;
use crate::settings::JwksSettings;
use crate::signing::{Algorithm, VerifyingKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse, ThumbprintHash,
};
use parking_lot::Mutex;
use port::Refusal;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use stdx::backoff::Backoff;
use stdx::{Clock, Rng};

/// Bytes of an RSA modulus: 2048 to 8192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;

/// The thumbprint of a published key (RFC 7638): the same for the same key under any id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyPrint(pub Arc<str>);

/// A key of a set, with the id its issuer gave it.
#[derive(Debug, Clone)]
pub struct PublishedKey {
    pub kid: Option<String>,
    pub print: KeyPrint,
    pub key: VerifyingKey,
}

/// What is known of one set.
#[derive(Clone, Default)]
struct State {
    keys: Arc<[PublishedKey]>,
    /// Monotonic; `None` before the first success.
    fetched_at: Option<Duration>,
    /// When the last fetch began, whatever came of it.
    tried_at: Option<Duration>,
    /// Not before this time again.
    retry_at: Duration,
    failures: u32,
}

#[derive(Default)]
struct KeySet {
    state: Mutex<State>,
    /// Held while fetching.
    fetching: tokio::sync::Mutex<()>,
}

pub(crate) struct KeySets {
    client: Client,
    settings: JwksSettings,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    sets: Mutex<Cache<Arc<str>, Arc<KeySet>>>,
}

/// What to do next for a token.
enum Next {
    Use(PublishedKey),
    /// Fetch; with a key at hand, only if nobody else is fetching already.
    Fetch(Option<PublishedKey>),
    Refuse(Refusal),
}

impl KeySets {
    pub fn new(
        settings: JwksSettings,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<KeySets, Refusal> {
        let client = Client::builder()
            .dns_resolver(Arc::new(GuardedResolver { settings: settings.clone() }))
            // A redirect could lead where the first URL may not.
            .redirect(Policy::none())
            .no_proxy()
            .timeout(Duration::from_millis(settings.timeout_ms))
            .build()
            .map_err(|error| Refusal::internal(&error))?;
        let sets = Mutex::new(Cache::new(settings.sets_max));
        Ok(KeySets { client, settings, clock, rng, sets })
    }

    /// The key of this id for this algorithm; without an id, the only key for the algorithm.
    pub async fn find(
        &self,
        url: &str,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<PublishedKey, Refusal> {
        let set = self.set(url);
        let key = match self.next(&set, kid, algorithm) {
            Next::Use(key) => return Ok(key),
            Next::Refuse(refusal) => return Err(refusal),
            Next::Fetch(key) => key,
        };
        let _fetching = match (key, set.fetching.try_lock()) {
            (_, Ok(fetching)) => fetching,
            (Some(key), Err(_)) => return Ok(key),
            (None, Err(_)) => set.fetching.lock().await,
        };
        // Somebody may have fetched while this one waited.
        match self.next(&set, kid, algorithm) {
            Next::Use(key) => return Ok(key),
            Next::Refuse(refusal) => return Err(refusal),
            Next::Fetch(_) => {}
        }
        self.renew_now(&set, url).await;
        match self.next(&set, kid, algorithm) {
            Next::Use(key) | Next::Fetch(Some(key)) => Ok(key),
            Next::Refuse(refusal) => Err(refusal),
            Next::Fetch(None) => Err(refusal::key_set_silent()),
        }
    }

    async fn renew_now(&self, set: &KeySet, url: &str) {
        set.state.lock().tried_at = Some(self.clock.monotonic());
        let fetched = self.fetch(url).await;
        self.keep(set, url, fetched);
    }

    /// Fetches a set that is older than `JwksSettings::fresh_ms_max`, as a token would have it
    /// fetched, so that open sessions do not stand on keys that are published no more.
    pub async fn renew(&self, url: &str) {
        let set = self.set(url);
        let is_due = || {
            let (now, state) = (self.clock.monotonic(), set.state.lock());
            let fresh_max = Duration::from_millis(self.settings.fresh_ms_max);
            let is_old = state.fetched_at.is_none_or(|at| now.saturating_sub(at) >= fresh_max);
            is_old && now >= state.retry_at
        };
        // Whoever fetches already does it for all.
        let Ok(_fetching) = set.fetching.try_lock() else { return };
        if is_due() {
            self.renew_now(&set, url).await;
        }
    }

    /// Whether the set held this key when it was last fetched. What is not known now is not denied:
    /// a source that does not answer withdraws nothing.
    pub fn publishes(&self, url: &str, key: &KeyPrint) -> bool {
        let set = self.sets.lock().get(url).map(|entry| Arc::clone(&entry.value));
        let Some(set) = set else { return true };
        let state = set.state.lock();
        state.fetched_at.is_none() || state.keys.iter().any(|published| published.print == *key)
    }

    fn set(&self, url: &str) -> Arc<KeySet> {
        let mut sets = self.sets.lock();
        if let Some(entry) = sets.get(url) {
            return Arc::clone(&entry.value);
        }
        let fresh = Arc::<KeySet>::default();
        sets.insert(url.into(), Arc::clone(&fresh), self.clock.monotonic());
        fresh
    }

    fn next(&self, set: &KeySet, kid: Option<&str>, algorithm: Algorithm) -> Next {
        let now = self.clock.monotonic();
        let state = set.state.lock().clone();
        let age = state.fetched_at.map(|at| now.saturating_sub(at));
        let is_within = |ms| age.is_some_and(|age| age < Duration::from_millis(ms));
        let found = choose(&state.keys, kid, algorithm);
        let may_try = now >= state.retry_at;
        if is_within(self.settings.fresh_ms_max) {
            let interval = Duration::from_millis(self.settings.unknown_key_interval_ms);
            let is_due = state.tried_at.is_none_or(|at| now.saturating_sub(at) >= interval);
            return match found {
                Some(key) => Next::Use(key),
                None if is_due && may_try => Next::Fetch(None),
                None => Next::Refuse(refusal::invalid_token(
                    "the token is not signed by a key of the project's key set",
                )),
            };
        }
        let usable = found.filter(|_| is_within(self.settings.stale_ms_max));
        match usable {
            usable if may_try => Next::Fetch(usable),
            Some(key) => Next::Use(key),
            None => {
                let wait = state.retry_at.saturating_sub(now);
                Next::Refuse(refusal::key_set_silent().retry_after(wait))
            }
        }
    }

    fn keep(&self, set: &KeySet, url: &str, fetched: Result<Vec<PublishedKey>, FetchError>) {
        let now = self.clock.monotonic();
        let mut state = set.state.lock();
        match fetched {
            Ok(keys) => {
                state.keys = keys.into();
                state.fetched_at = Some(now);
                state.failures = 0;
                state.retry_at = now;
            }
            Err(error) => {
                tracing::warn!(url, %error, "a key set cannot be fetched");
                let backoff = Backoff {
                    first: Duration::from_millis(self.settings.backoff_ms_first),
                    max: Duration::from_millis(self.settings.backoff_ms_max),
                };
                // At least the first wait, so that jitter never means at once.
                let wait = backoff.wait(state.failures, self.rng.as_ref()).max(backoff.first);
                state.retry_at = now + wait;
                state.failures = state.failures.saturating_add(1);
            }
        }
    }

    async fn fetch(&self, url: &str) -> Result<Vec<PublishedKey>, FetchError> {
        let url = jwks_target::check(url, &self.settings).map_err(FetchError::Target)?;
        let accept = (reqwest::header::ACCEPT, "application/json, application/jwk-set+json");
        let mut response = self.client.get(url).header(accept.0, accept.1).send().await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > self.settings.body_bytes_max {
                return Err(FetchError::Length(self.settings.body_bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        read_set(&body, self.settings.keys_max).ok_or(FetchError::Form)
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Target(&'static str),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("it has more than {0} bytes")]
    Length(usize),
    #[error("it is not a key set")]
    Form,
    #[error("{0}")]
    Http(#[from] reqwest::Error),
}

fn choose(keys: &[PublishedKey], kid: Option<&str>, algorithm: Algorithm) -> Option<PublishedKey> {
    let mut fitting = keys
        .iter()
        .filter(|published| published.key.algorithm == algorithm)
        .filter(|published| kid.is_none() || published.kid.as_deref() == kid);
    let first = fitting.next()?;
    // Without an id there must be no choice.
    if kid.is_none() && fitting.next().is_some() {
        return None;
    }
    Some(first.clone())
}

/// Reads a set; keys that cannot be used here are left out. `None` when it is not a set at all.
pub fn read_set(body: &[u8], keys_max: usize) -> Option<Vec<PublishedKey>> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(body).ok()?;
    Some(set.keys.into_iter().filter_map(read_key).take(keys_max).collect())
}

fn read_key(value: serde_json::Value) -> Option<PublishedKey> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(parameters) => {
            let modulus = URL_SAFE_NO_PAD.decode(&parameters.n).ok()?;
            RSA_BYTES.contains(&modulus.len()).then_some(Algorithm::Rs256)
        }
        AlgorithmParameters::EllipticCurve(parameters) => {
            (parameters.curve == EllipticCurve::P256).then_some(Algorithm::Es256)
        }
        AlgorithmParameters::OctetKeyPair(parameters) => {
            (parameters.curve == EllipticCurve::Ed25519).then_some(Algorithm::EdDsa)
        }
        // A shared secret has no business in a published set; other kinds are not known here.
        _ => None,
    }?;
    let is_for_signing = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let is_for_algorithm = match jwk.common.key_algorithm {
        None => true,
        Some(KeyAlgorithm::RS256) => algorithm == Algorithm::Rs256,
        Some(KeyAlgorithm::ES256) => algorithm == Algorithm::Es256,
        Some(KeyAlgorithm::EdDSA) => algorithm == Algorithm::EdDsa,
        Some(_) => false,
    };
    if !is_for_signing || !is_for_algorithm {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let print = KeyPrint(jwk.thumbprint(ThumbprintHash::SHA256).ok()?.into());
    Some(PublishedKey { kid: jwk.common.key_id, print, key: VerifyingKey::new(algorithm, key) })
}
