//! The readers' side of encryption: opened data keys, kept while there is room and only until the
//! keys change. It must not know where in an extent a wrapped key lies; whoever asks brings it.

use crate::cache::Cache;
use crate::cipher::Cipher;
use crate::{DataKeys, ExtentRef, KeyError, StoreError, WrappedKey};
use parking_lot::Mutex;
use std::sync::Arc;

/// Opened data keys kept at the same time; each takes about one KiB.
const OPENED_KEYS_MAX: u64 = 8_192;

pub struct Vault {
    keys: Option<Arc<dyn DataKeys>>,
    held: Mutex<Held>,
}

/// A key by its extent and its number within it.
type KeyName = (ExtentRef, u64);

struct Held {
    epoch: u64,
    opened: Cache<KeyName, Arc<Cipher>>,
}

impl Vault {
    pub fn new(keys: Option<Arc<dyn DataKeys>>) -> Vault {
        let epoch = keys.as_ref().map_or(0, |keys| keys.epoch());
        let held = Held { epoch, opened: Cache::new(OPENED_KEYS_MAX) };
        Vault { keys, held: Mutex::new(held) }
    }

    pub fn keys(&self) -> Option<&Arc<dyn DataKeys>> {
        self.keys.as_ref()
    }

    /// The key with that number. `find` reads its wrapped form from the extent.
    pub fn cipher(
        &self,
        extent: ExtentRef,
        number: u64,
        find: impl FnOnce() -> Result<WrappedKey, StoreError>,
    ) -> Result<Arc<Cipher>, StoreError> {
        let no_key = |tenant, error| StoreError::NoKey { tenant, extent: extent.id, error };
        let Some(keys) = &self.keys else {
            let text = "the log was opened without its key ring".to_owned();
            return Err(no_key(None, KeyError::Unavailable(text)));
        };
        let epoch = keys.epoch();
        let name = (extent, number);
        if let Some(cipher) = self.opened(epoch, &name) {
            return Ok(cipher);
        }
        let wrapped = find()?;
        let opened = keys.open(extent, &wrapped).and_then(|key| Cipher::new(&key));
        let cipher = opened.map_err(|error| no_key(Some(wrapped.tenant), error))?;
        let cipher = Arc::new(cipher);
        let mut held = self.held.lock();
        // A key opened before the keys changed must not outlive the change.
        if held.epoch == epoch {
            held.opened.put(name, Arc::clone(&cipher), 1);
        }
        Ok(cipher)
    }

    fn opened(&self, epoch: u64, name: &KeyName) -> Option<Arc<Cipher>> {
        let mut held = self.held.lock();
        if held.epoch != epoch {
            *held = Held { epoch, opened: Cache::new(OPENED_KEYS_MAX) };
        }
        held.opened.get(name)
    }

    /// Drops every opened key.
    pub fn forget(&self) {
        self.held.lock().opened = Cache::new(OPENED_KEYS_MAX);
    }
}
