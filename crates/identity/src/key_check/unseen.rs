//! Keys that are proven without being shown: found by their ids, which are names and no secrets, so
//! that whoever asks learns nothing from what is found, nor from how long it takes.

use super::{KeyCheck, KnownKey};
use crate::refusal;
use port::{Challenge, Claims, Liveness, Refusal, Response};
use secrecy::SecretString;
use std::sync::Arc;
use types::KeyId;

impl KeyCheck {
    /// The same for one name whenever it is asked, whether somebody has it or not.
    pub async fn challenge(&self, name: &str) -> Result<Challenge, Refusal> {
        let lookup = match name.parse() {
            Ok(key) => self.lookup(key).await?,
            Err(_) => None,
        };
        let salt = self.scram.salt(lookup.as_deref().unwrap_or(name));
        let iterations = crate::scram::ITERATIONS;
        Ok(Challenge { salt, iterations, nonce: self.scram.nonce() })
    }

    /// Proves a key by the response to a challenge; answers our own proof, too.
    pub async fn respond(
        &self,
        response: &Response,
    ) -> Result<(Claims, Arc<Liveness>, Vec<u8>), Refusal> {
        let known = self.named(&response.name).await?;
        let verifier = known.as_ref().and_then(|known| known.verifier.as_ref());
        let Response { digest, message, proof, .. } = response;
        let signature = self.scram.confirm(verifier, *digest, message, proof);
        let Some(known) = &known else {
            return Err(refusal::invalid_key());
        };
        if verifier.is_none() {
            tracing::warn!(
                key = %known.record.id,
                "a key of before cannot be proven without being shown: sign in by PLAIN once, or \
                 rotate it"
            );
        }
        let Some(signature) = signature else {
            return Err(refusal::invalid_key());
        };
        let (claims, liveness) = self.standing(known)?;
        Ok((claims, liveness, signature))
    }

    /// What a key says that somebody else has proven: the caller answers for it.
    pub async fn vouched(&self, name: &str) -> Result<(Claims, Arc<Liveness>), Refusal> {
        let known = self.named(name).await?.ok_or_else(refusal::invalid_key)?;
        self.standing(&known)
    }

    /// Makes and keeps what a key of before is checked with, now that its text is here. One at a
    /// time: who comes meanwhile is asked the next time.
    pub async fn learn(&self, lookup: &str, text: SecretString) {
        let known = self.find(lookup, self.fresh_max).await;
        let Ok(Some(known)) = known else { return };
        let Ok(_place) = self.learning.try_acquire() else { return };
        if known.verifier.is_some() {
            return;
        }
        let (scram, of) = (Arc::clone(&self.scram), lookup.to_owned());
        let made = tokio::task::spawn_blocking(move || scram.make(&of, &text)).await;
        let Ok(made) = made else { return };
        let (tenant, key) = (known.record.tenant, known.record.id);
        match self.directory.keep_verifier(tenant, key, made).await {
            Ok(_) => tracing::info!(%key, "the key can be proven without being shown from now on"),
            Err(error) => tracing::warn!(%key, %error, "what a key is checked with is not kept"),
        }
        // Read again, also where somebody else was faster.
        self.epoch.advance();
        self.forget(|record| record.id == key);
    }

    async fn named(&self, name: &str) -> Result<Option<Arc<KnownKey>>, Refusal> {
        let Ok(key) = name.parse() else { return Ok(None) };
        match self.lookup(key).await? {
            Some(lookup) => self.find(&lookup, self.fresh_max).await,
            None => Ok(None),
        }
    }

    /// The lookup id of a key. Ids carry no check of their own, so the database is asked for a
    /// bounded number of those that nobody has.
    async fn lookup(&self, key: KeyId) -> Result<Option<Arc<str>>, Refusal> {
        if let Some(answer) = self.remembered_lookup(key) {
            return Ok(answer);
        }
        let _place = self.gate.enter().await?;
        // Somebody may have asked while this one waited.
        if let Some(answer) = self.remembered_lookup(key) {
            return Ok(answer);
        }
        let now = self.clock.monotonic();
        self.misses
            .lock()
            .take(self.misses_rate, 1, now)
            .map_err(|_| refusal::too_many_waiting())?;
        let epoch = self.epoch.get();
        let found = self.directory.lookup(key).await.map_err(|error| {
            tracing::warn!(%key, %error, "an API key cannot be looked up");
            refusal::database_silent()
        })?;
        let found: Option<Arc<str>> = found.map(Into::into);
        match &found {
            Some(lookup) => self.lookups.lock().insert(key, Arc::clone(lookup), now),
            None => {
                let mut unknown = self.unknown.lock();
                if self.epoch.get() == epoch {
                    unknown.insert(key.to_string().into(), (), now);
                }
            }
        }
        Ok(found)
    }

    fn remembered_lookup(&self, key: KeyId) -> Option<Option<Arc<str>>> {
        if let Some(entry) = self.lookups.lock().get(&key) {
            return Some(Some(Arc::clone(&entry.value)));
        }
        self.is_known_missing(&key.to_string(), self.clock.monotonic()).then_some(None)
    }
}
