//! API keys: from the text to the record behind it, with as few questions to the database as the
//! promise allows that a revocation counts within a second. Floods of bad keys cost no questions:
//! a lookup id that this installation did not make is refused at once, one that is unknown is
//! remembered, and the rest wait at a narrow gate.

mod unseen;

use crate::api_key::{ApiKeyText, HASH_BYTES, KeyHasher};
use crate::cache::Cache;
use crate::directory::Directory;
use crate::gate::{Epoch, Gate};
use crate::grant_text;
use crate::jwks::KeySets;
use crate::liveness::{Holder, HolderKind, LivenessTable};
use crate::refusal;
use crate::scram::{Scram, Verifier};
use crate::settings::Settings;
use parking_lot::Mutex;
use port::{Claims, Liveness, Refusal};
use rules::rate::{Gcra, Rate};
use std::sync::Arc;
use std::time::Duration;
use stdx::Clock;
use tenancy::{ApiKey, FoundKey};
use tokio::sync::Semaphore;
use types::{Grant, KeyId, PrincipalId};

/// Attempts to read a record that keeps being changed meanwhile.
const READS_MAX: usize = 4;

/// A record as it was read, with the switch that its sessions share.
#[derive(Debug)]
pub(crate) struct KnownKey {
    record: ApiKey,
    grants: Option<Arc<[Grant]>>,
    principal: PrincipalId,
    liveness: Arc<Liveness>,
    verifier: Option<Verifier>,
}

pub(crate) struct KeyCheck {
    pub hasher: KeyHasher,
    pub scram: Arc<Scram>,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    gate: Arc<Gate>,
    epoch: Arc<Epoch>,
    livenesses: Arc<LivenessTable>,
    known: Mutex<Cache<Arc<str>, Arc<KnownKey>>>,
    unknown: Mutex<Cache<Arc<str>, ()>>,
    /// Lookup ids by ids. They never change.
    lookups: Mutex<Cache<KeyId, Arc<str>>>,
    learning: Semaphore,
    misses: Mutex<Gcra>,
    misses_rate: Rate,
    fresh_max: Duration,
    stale_max: Duration,
    unknown_max: Duration,
}

/// Parts of the authenticator that both kinds of check share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub directory: Arc<dyn Directory>,
    pub clock: Arc<dyn Clock>,
    pub gate: Arc<Gate>,
    pub epoch: Arc<Epoch>,
    pub livenesses: Arc<LivenessTable>,
    pub key_sets: Arc<KeySets>,
}

impl KeyCheck {
    pub fn new(hasher: KeyHasher, scram: Scram, shared: &Shared, settings: &Settings) -> KeyCheck {
        let shared = shared.clone();
        KeyCheck {
            hasher,
            scram: Arc::new(scram),
            directory: shared.directory,
            clock: shared.clock,
            gate: shared.gate,
            epoch: shared.epoch,
            livenesses: shared.livenesses,
            known: Mutex::new(Cache::new(settings.keys_max)),
            unknown: Mutex::new(Cache::new(settings.unknown_keys_max)),
            lookups: Mutex::new(Cache::new(settings.keys_max)),
            learning: Semaphore::new(1),
            misses: Mutex::default(),
            misses_rate: Rate::per_second(settings.unknown_projects_per_second_max),
            fresh_max: Duration::from_millis(settings.fresh_ms_max),
            stale_max: Duration::from_millis(settings.stale_ms_max),
            unknown_max: Duration::from_millis(settings.unknown_ms_max),
        }
    }

    /// Proves a key and answers its claims and switch; the project's standing is not checked.
    pub async fn check(&self, text: &str) -> Result<(Claims, Arc<Liveness>), Refusal> {
        let Some(text) = ApiKeyText::parse(text) else {
            return Err(refusal::invalid_key());
        };
        let found = match self.hasher.is_own(&text) {
            true => self.find(text.lookup, self.fresh_max).await?,
            false => None,
        };
        let Some(known) = found else {
            // As much work as for a known key, so that the time does not tell which exist.
            self.hasher.matches(&text, &[0; HASH_BYTES]);
            return Err(refusal::invalid_key());
        };
        if !self.hasher.matches(&text, &known.record.hash) {
            return Err(refusal::invalid_key());
        }
        self.standing(&known)
    }

    /// What a proven key says, if it still counts.
    fn standing(&self, known: &KnownKey) -> Result<(Claims, Arc<Liveness>), Refusal> {
        if known.record.revoked_at.is_some() {
            return Err(refusal::invalid_key());
        }
        if !known.record.is_usable(self.clock.now_ms()) {
            return Err(refusal::expired_key());
        }
        Ok((known.claims(), Arc::clone(&known.liveness)))
    }

    async fn find(
        &self,
        lookup: &str,
        age_max: Duration,
    ) -> Result<Option<Arc<KnownKey>>, Refusal> {
        let now = self.clock.monotonic();
        if let Some(known) = self.cached(lookup, age_max, now) {
            return Ok(Some(known));
        }
        if self.is_known_missing(lookup, now) {
            return Ok(None);
        }
        self.read(lookup, age_max).await
    }

    fn cached(&self, lookup: &str, age_max: Duration, now: Duration) -> Option<Arc<KnownKey>> {
        let known = self.known.lock();
        let entry = known.get(lookup)?;
        (entry.age(now) < age_max).then(|| Arc::clone(&entry.value))
    }

    fn is_known_missing(&self, lookup: &str, now: Duration) -> bool {
        let unknown = self.unknown.lock();
        unknown.get(lookup).is_some_and(|entry| entry.age(now) < self.unknown_max)
    }

    /// Asks the database. A change made meanwhile makes it ask again, so that neither an old
    /// record is kept nor a switch handed out that the change did not see.
    async fn read(
        &self,
        lookup: &str,
        age_max: Duration,
    ) -> Result<Option<Arc<KnownKey>>, Refusal> {
        let _place = self.gate.enter().await?;
        // Somebody may have read it while this one waited.
        let now = self.clock.monotonic();
        if let Some(known) = self.cached(lookup, age_max, now) {
            return Ok(Some(known));
        }
        if self.is_known_missing(lookup, now) {
            return Ok(None);
        }
        for _ in 0..READS_MAX {
            let epoch = self.epoch.get();
            let now = self.clock.monotonic();
            let found = match self.directory.key(lookup).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, "an API key cannot be looked up");
                    let stale = self.cached(lookup, self.stale_max, now);
                    return stale.map(Some).ok_or_else(refusal::database_silent);
                }
            };
            let known = found.map(|found| self.known(found)).transpose()?;
            if self.keep(lookup, known.as_ref(), epoch, now) {
                return Ok(known);
            }
        }
        Err(refusal::too_many_waiting())
    }

    fn known(&self, found: FoundKey) -> Result<Arc<KnownKey>, Refusal> {
        let record = found.key;
        let liveness = self.livenesses.get(holder(&record));
        let grants = match record.grants.as_ref().map(grant_text::read_value).transpose() {
            Ok(grants) => grants.map(Into::into),
            Err(why) => return Err(Refusal::internal(&format!("grants of {}: {why}", record.id))),
        };
        let principal = PrincipalId(format!("key:{}", record.id).into());
        let sealed = record.verifier.as_deref();
        let verifier = sealed.map(|sealed| self.scram.open(&record.prefix, sealed)).transpose();
        let verifier = verifier.unwrap_or_else(|error| {
            tracing::warn!(key = %record.id, %error, "a key can be proven by showing it only");
            None
        });
        Ok(Arc::new(KnownKey { record, grants, principal, liveness, verifier }))
    }

    /// `false` when something was changed since `epoch`; then nothing is kept.
    fn keep(&self, lookup: &str, known: Option<&Arc<KnownKey>>, epoch: u64, now: Duration) -> bool {
        // Both locks, always in this order: a change that comes later removes what is put here.
        let (mut all_known, mut all_unknown) = (self.known.lock(), self.unknown.lock());
        if self.epoch.get() != epoch {
            return false;
        }
        match known {
            Some(known) => {
                all_known.insert(lookup.into(), Arc::clone(known), now);
                all_unknown.remove(lookup);
            }
            None => {
                all_known.remove(lookup);
                all_unknown.insert(lookup.into(), (), now);
            }
        }
        true
    }

    /// Forgets what was read of these keys. The epoch must have been advanced before.
    pub fn forget(&self, is_changed: impl Fn(&ApiKey) -> bool) {
        let (mut known, mut unknown) = (self.known.lock(), self.unknown.lock());
        let lookups: Vec<Arc<str>> = known
            .iter()
            .filter(|(_, entry)| is_changed(&entry.value.record))
            .map(|(lookup, _)| Arc::clone(lookup))
            .collect();
        for lookup in lookups {
            known.remove(&*lookup);
        }
        // A new key may have been asked for before it existed.
        unknown.clear();
    }

    /// Looks at the record behind open sessions again, and ends them when it no longer counts.
    /// Half the time a record is trusted for, so that looking twice in that time is enough to keep
    /// the promise, and requests seldom have to wait for the database themselves. Answers `true`
    /// when it ended some; an error when the record cannot be had.
    pub async fn review(&self, holder: &Holder, lookup: &str) -> Result<bool, Refusal> {
        let known = self.find(lookup, self.fresh_max / 2).await?;
        let now_ms = self.clock.now_ms();
        match known {
            Some(known) if known.record.is_usable(now_ms) => Ok(false),
            _ => Ok(self.livenesses.revoke(holder)),
        }
    }

    /// Sessions besides the cache hold the switch of this key.
    pub fn is_in_use(&self, lookup: &str, switch: &Arc<Liveness>) -> bool {
        let known = self.known.lock();
        let by_cache =
            known.get(lookup).is_some_and(|entry| Arc::ptr_eq(&entry.value.liveness, switch));
        // One is the caller's.
        Arc::strong_count(switch) > 1 + usize::from(by_cache)
    }
}

impl KnownKey {
    fn claims(&self) -> Claims {
        Claims {
            tenant: self.record.tenant,
            project: self.record.project,
            principal: self.principal.clone(),
            scopes: self.record.scopes,
            grants: self.grants.clone(),
            key: Some(self.record.id),
            issued_at: None,
            expires_at: self.record.ends_at(),
            rate_per_second: self.record.rate_per_second,
            origin: None,
            marks: None,
            attributes: None,
        }
    }
}

fn holder(record: &ApiKey) -> Holder {
    let lookup = record.prefix.as_str().into();
    Holder { project: record.project, kind: HolderKind::ApiKey { id: record.id, lookup } }
}
