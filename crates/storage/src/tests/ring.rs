//! A key ring in memory for tests: versions of each tenant's key, overrides after a rotation, and
//! shredding. It wraps as a real one must: bound to the extent.

use crate::cipher::{Cipher, Place};
use crate::{DataKey, DataKeys, ExtentRef, KeyError, WrappedKey};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::TenantId;

#[derive(Default)]
pub struct Ring {
    state: Mutex<State>,
    epoch: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Newest last; none left when the tenant was shredded.
    tenants: BTreeMap<TenantId, Vec<(u32, DataKey)>>,
    /// Data keys wrapped anew, by what is in the extent.
    overrides: HashMap<(ExtentRef, [u8; 12]), WrappedKey>,
    missing: Option<TenantId>,
    drawn: u64,
}

impl State {
    fn draw<const N: usize>(&mut self) -> [u8; N] {
        self.drawn += 1;
        let mut bytes = [0; N];
        let mixed = self.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        bytes.iter_mut().zip(mixed.iter().cycle()).for_each(|(out, byte)| *out = *byte);
        bytes
    }

    fn newest(&mut self, tenant: TenantId) -> Result<(u32, DataKey), KeyError> {
        if self.missing == Some(tenant) {
            return Err(KeyError::Missing { tenant, version: 1 });
        }
        if !self.tenants.contains_key(&tenant) {
            let key = DataKey::new(self.draw());
            self.tenants.insert(tenant, vec![(1, key)]);
        }
        let newest = self.tenants.get(&tenant).and_then(|versions| versions.last());
        newest.cloned().ok_or(KeyError::Shredded(tenant))
    }
}

fn bound(extent: ExtentRef) -> Vec<u8> {
    [&u64::from(extent.id.0).to_le_bytes()[..], &extent.generation.to_le_bytes()].concat()
}

fn wrap(
    extent: ExtentRef,
    tenant: TenantId,
    (version, key): &(u32, DataKey),
    nonce: [u8; 12],
    data_key: &DataKey,
) -> WrappedKey {
    let mut bytes = [0; crate::WRAPPED_BYTES];
    let place = Place { nonce, header: &bound(extent) };
    assert!(Cipher::new(key).expect("fits").seal(&place, data_key.bytes(), &mut bytes));
    WrappedKey { tenant, version: *version, nonce, bytes }
}

impl Ring {
    pub fn shared() -> Arc<Ring> {
        Arc::new(Ring::default())
    }

    pub fn shred(&self, tenant: TenantId) {
        self.state.lock().tenants.insert(tenant, Vec::new());
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    pub fn set_missing(&self, tenant: Option<TenantId>) {
        self.state.lock().missing = tenant;
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Gives the tenant another key, wraps the data keys anew and forgets the old key.
    pub fn rotate(&self, tenant: TenantId, wrapped: &[(ExtentRef, WrappedKey)]) {
        let opened: Vec<_> =
            wrapped.iter().map(|(extent, key)| self.open(*extent, key).expect("opens")).collect();
        let mut state = self.state.lock();
        let (version, _) = state.newest(tenant).expect("has one");
        let newest = (version + 1, DataKey::new(state.draw()));
        for ((extent, old), data_key) in wrapped.iter().zip(&opened) {
            let nonce = state.draw();
            let anew = wrap(*extent, tenant, &newest, nonce, data_key);
            state.overrides.insert((*extent, old.nonce), anew);
        }
        state.tenants.insert(tenant, vec![newest]);
        drop(state);
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }
}

impl DataKeys for Ring {
    fn make(&self, tenant: TenantId, extent: ExtentRef) -> Result<(DataKey, WrappedKey), KeyError> {
        let mut state = self.state.lock();
        let newest = state.newest(tenant)?;
        let (data_key, nonce) = (DataKey::new(state.draw()), state.draw());
        let wrapped = wrap(extent, tenant, &newest, nonce, &data_key);
        Ok((data_key, wrapped))
    }

    fn open(&self, extent: ExtentRef, wrapped: &WrappedKey) -> Result<DataKey, KeyError> {
        let state = self.state.lock();
        let wrapped = state.overrides.get(&(extent, wrapped.nonce)).unwrap_or(wrapped);
        let WrappedKey { tenant, version, nonce, mut bytes } = *wrapped;
        let versions = state.tenants.get(&tenant).ok_or(KeyError::Foreign)?;
        if versions.is_empty() {
            return Err(KeyError::Shredded(tenant));
        }
        let key = versions.iter().find(|(held, _)| *held == version);
        let (_, key) = key.ok_or(KeyError::Missing { tenant, version })?;
        let place = Place { nonce, header: &bound(extent) };
        let length = Cipher::new(key)?.open(&place, &mut bytes).ok_or(KeyError::Foreign)?;
        Ok(DataKey::new(bytes[..length].try_into().expect("a key's length")))
    }

    fn index_secret(&self, tenant: TenantId) -> Result<[u8; 16], KeyError> {
        self.state.lock().newest(tenant).map(|_| *tenant.0.as_bytes())
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }
}
