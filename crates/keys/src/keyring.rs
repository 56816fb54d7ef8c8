//! The ring in use: data keys for the store, answered from memory, and the one way in which the
//! ring changes: written whole beside the old one, flushed, put in its place, and only then taken
//! for true.
//!
//! Locks, always taken in this order: `operations` (one rotation, shredding or import at a time),
//! `writing` (one writer of the ring's file), `state` (never held over a disk or a vault).

use crate::error::KeysError;
use crate::folder::{self, Old};
use crate::opened::{self, Opened, RingKeys};
use crate::recent::Recent;
use crate::rewrapped::Table;
use crate::ring::{Live, Ring, Slot, TENANTS_MAX};
use crate::root::Root;
use crate::secret::Secret;
use crate::settings::Sources;
use metrics::{counter, gauge};
use parking_lot::{Mutex, RwLock};
use port::metric;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use stdx::disk::Lock;
use stdx::{Clock, Disk, Rng};
use storage::{DataKey, DataKeys, ExtentRef, KeyError, WrappedKey};
use types::TenantId;

/// Everything that is not computation.
#[derive(Clone)]
pub struct World {
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
}

/// What holds sealed records, and therefore knows which data keys are needed.
pub trait SealedLog: Send + Sync {
    /// Shows every data key that lies in an extent, newest extent first, until `visit` breaks off.
    /// Blocking: reads the extents. An error, for people, means that some may not have been shown.
    fn each_key(&self, visit: &mut Visit<'_>) -> Result<(), String>;
    /// Every extent there is. From memory.
    fn extents(&self) -> Vec<ExtentRef>;
    /// Drops opened data keys: a tenant's were destroyed.
    fn forget_keys(&self);
}

/// Whose records those are that the log keeps of itself, for all tenants: no tenant's. Its key can
/// be rotated like any, and must not be shredded.
pub const NODE: TenantId = TenantId(uuid::Uuid::nil());

/// Is shown a data key as it lies in an extent.
pub type Visit<'a> = dyn FnMut(ExtentRef, &WrappedKey) -> ControlFlow<()> + 'a;

/// The folder of the keys, held by one process.
pub struct Keyring {
    pub(crate) world: World,
    /// `<data>/keys`
    pub(crate) dir: PathBuf,
    pub(crate) sources: Sources,
    pub(crate) operations: Mutex<Operations>,
    writing: Mutex<()>,
    /// `None`: there is no ring yet, and whether one may be made is not settled.
    state: RwLock<Option<State>>,
    pub(crate) recent: Mutex<Recent>,
    pub(crate) log: OnceLock<Arc<dyn SealedLog>>,
    epoch: AtomicU64,
    /// Why the ring could not be written the last time.
    failure: Mutex<Option<String>>,
    _lock: Box<dyn Lock>,
}

/// What one operation leaves to the next.
#[derive(Default)]
pub(crate) struct Operations {
    /// A root key that may be the ring's already: the write that put the ring under it failed in a
    /// way that does not tell.
    pub(crate) staged: Option<Secret>,
}

/// A ring and everything in it, opened.
pub(crate) struct State {
    pub(crate) ring: Ring,
    pub(crate) keys: RingKeys,
    pub(crate) root: Root,
    pub(crate) opened: HashMap<TenantId, Arc<Opened>>,
    pub(crate) tables: HashMap<TenantId, Arc<Table>>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Keyring {
    pub(crate) fn new(
        world: World,
        dir: PathBuf,
        sources: Sources,
        state: Option<State>,
        lock: Box<dyn Lock>,
    ) -> Keyring {
        let keyring = Keyring {
            world,
            dir,
            sources,
            operations: Mutex::default(),
            writing: Mutex::default(),
            state: RwLock::new(state),
            recent: Mutex::default(),
            log: OnceLock::new(),
            epoch: AtomicU64::new(1),
            failure: Mutex::default(),
            _lock: lock,
        };
        keyring.set_gauges();
        keyring
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.world.disk
    }

    pub(crate) fn rng(&self) -> &dyn Rng {
        &*self.world.rng
    }

    pub(crate) fn ring_path(&self) -> PathBuf {
        ring_path(&self.dir)
    }

    pub(crate) fn table_path(&self, tenant: TenantId) -> PathBuf {
        table_path(&self.dir, tenant)
    }

    /// Why the ring cannot be written, while that is so; data keys are still given.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    /// Looks at the ring as it is.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&State) -> T) -> Result<T, KeysError> {
        let state = self.state.read();
        state.as_ref().map(at).ok_or(KeysError::NoLog)
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.state.read().is_none()
    }

    /// Changes the ring: the edited copy is durable before anybody sees it. `tenants` are those
    /// whose keys the edit touches; `old` says what becomes of the bytes replaced. An error of the
    /// edit or of the disk changes nothing in memory; on the disk lies the old ring or the new one.
    pub(crate) fn change<T>(
        &self,
        tenants: &[TenantId],
        old: Old,
        edit: impl FnOnce(&mut Ring, &RingKeys) -> Result<T, KeysError>,
    ) -> Result<T, KeysError> {
        let _one_at_a_time = self.writing.lock();
        let (mut ring, keys) = self.look(|state| (state.ring.clone(), state.keys.clone()))?;
        let outcome = edit(&mut ring, &keys)?;
        ring.sequence += 1;
        self.write(&ring, &keys, old)?;
        if let Some(state) = self.state.write().as_mut() {
            state.ring = ring;
            tenants.iter().for_each(|tenant| state.reopen(*tenant));
        }
        self.set_gauges();
        Ok(outcome)
    }

    /// Puts a whole ring in place, durable before anybody sees it.
    pub(crate) fn install(&self, state: State, old: Old) -> Result<(), KeysError> {
        let _one_at_a_time = self.writing.lock();
        self.put(state, old)
    }

    /// As `install`, for a state that is made out of the one there is.
    pub(crate) fn rebuild(
        &self,
        old: Old,
        build: impl FnOnce(&State) -> Result<State, KeysError>,
    ) -> Result<(), KeysError> {
        let _one_at_a_time = self.writing.lock();
        let state = self.look(build)??;
        self.put(state, old)
    }

    fn put(&self, mut state: State, old: Old) -> Result<(), KeysError> {
        state.ring.sequence += 1;
        self.write(&state.ring, &state.keys, old)?;
        *self.state.write() = Some(state);
        self.set_gauges();
        Ok(())
    }

    fn write(&self, ring: &Ring, keys: &RingKeys, old: Old) -> Result<(), KeysError> {
        let path = self.ring_path();
        let written = folder::replace(self.disk(), &path, &ring.encode(&keys.mac), old);
        *self.failure.lock() = written.as_ref().err().map(ToString::to_string);
        gauge!(metric::KEYS_FAILED).set(if written.is_err() { 1.0 } else { 0.0 });
        written.map_err(KeysError::io("writing the key ring", &path))
    }

    /// What `epoch` promises: whoever kept an opened key or plaintext drops it.
    pub(crate) fn next_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// The table takes effect; a rotation drops old versions only afterwards.
    pub(crate) fn adopt_table(&self, tenant: TenantId, table: Option<Table>) {
        if let Some(state) = self.state.write().as_mut() {
            match table {
                Some(table) => state.tables.insert(tenant, Arc::new(table)),
                None => state.tables.remove(&tenant),
            };
        }
    }

    /// Makes keys for those of the tenants that have none, durably and in one step. Blocking. They
    /// would be made on demand too, but then whoever stores the first record waits for the disk.
    pub fn prepare(&self, tenants: &[TenantId]) -> Result<(), KeysError> {
        let mut missing = self.look(|state| {
            let is_new = |tenant: &&TenantId| !state.ring.tenants.contains_key(*tenant);
            tenants.iter().filter(is_new).copied().collect::<Vec<_>>()
        })?;
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let at = self.world.clock.now_ms();
        self.change(&missing, Old::Left, |ring, keys| {
            for tenant in &missing {
                // Somebody may have been faster, to make or to shred.
                if ring.tenants.contains_key(tenant) {
                    continue;
                }
                if ring.tenants.len() >= TENANTS_MAX {
                    return Err(KeysError::Full(TENANTS_MAX));
                }
                let live = opened::make(*tenant, at, keys, self.rng());
                ring.tenants.insert(*tenant, Slot::Live(live));
            }
            Ok(())
        })
    }

    /// The tenant's secrets, made when it has none.
    fn secrets(&self, tenant: TenantId) -> Result<Arc<Opened>, KeyError> {
        if let Some(opened) = self.known(tenant)? {
            return Ok(opened);
        }
        self.prepare(&[tenant]).map_err(|error| KeyError::Unavailable(error.to_string()))?;
        let unavailable = || KeyError::Unavailable("the key was not kept".to_owned());
        self.known(tenant)?.ok_or_else(unavailable)
    }

    /// `None`: the tenant never had keys.
    fn known(&self, tenant: TenantId) -> Result<Option<Arc<Opened>>, KeyError> {
        let found = self.look(|state| state.secrets(tenant));
        found.map_err(|error| KeyError::Unavailable(error.to_string()))?
    }

    pub(crate) fn set_gauges(&self) {
        let counted = self.look(|state| {
            let live = state.opened.len();
            (live, state.ring.tenants.len() - live)
        });
        if let Ok((live, shredded)) = counted {
            gauge!(metric::KEYS_TENANTS, "state" => "live").set(live as f64);
            gauge!(metric::KEYS_TENANTS, "state" => "shredded").set(shredded as f64);
        }
    }
}

impl State {
    /// `None` when something in the ring was not wrapped under its ring key.
    pub(crate) fn open(ring: Ring, keys: RingKeys, root: Root) -> Option<State> {
        let mut opened = HashMap::new();
        for (tenant, slot) in &ring.tenants {
            if let Slot::Live(live) = slot {
                opened.insert(*tenant, Arc::new(Opened::of(*tenant, live, &keys)?));
            }
        }
        Some(State { ring, keys, root, opened, tables: HashMap::new() })
    }

    fn reopen(&mut self, tenant: TenantId) {
        let live = self.ring.live(tenant);
        match live.and_then(|live: &Live| Opened::of(tenant, live, &self.keys)) {
            Some(opened) => {
                self.opened.insert(tenant, Arc::new(opened));
            }
            None => {
                self.opened.remove(&tenant);
                self.tables.remove(&tenant);
            }
        }
    }

    fn secrets(&self, tenant: TenantId) -> Result<Option<Arc<Opened>>, KeyError> {
        if self.ring.is_shredded(tenant) {
            return Err(KeyError::Shredded(tenant));
        }
        Ok(self.opened.get(&tenant).cloned())
    }

    /// Whether the key is here that a data key lying in that extent is under, or was destroyed on
    /// purpose.
    pub(crate) fn has(&self, extent: ExtentRef, wrapped: &WrappedKey) -> bool {
        let table = self.tables.get(&wrapped.tenant);
        let now = table.and_then(|table| table.find(&(extent, wrapped.nonce)));
        match self.secrets(wrapped.tenant) {
            Ok(Some(opened)) => opened.key(now.as_ref().unwrap_or(wrapped).version).is_some(),
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// The data key of a wrapped one that lies in that extent.
    pub(crate) fn unwrap(
        &self,
        extent: ExtentRef,
        wrapped: &WrappedKey,
    ) -> Result<DataKey, KeyError> {
        let tenant = wrapped.tenant;
        let missing = KeyError::Missing { tenant, version: wrapped.version };
        let opened = self.secrets(tenant)?.ok_or(missing.clone())?;
        let table = self.tables.get(&tenant);
        let now = table.and_then(|table| table.find(&(extent, wrapped.nonce)));
        let now = now.as_ref().unwrap_or(wrapped);
        let wrapping = opened.wrapping(tenant, now.version).ok_or(missing)?;
        wrapping.unwrap(extent, now).ok_or(KeyError::Foreign)
    }
}

impl DataKeys for Keyring {
    fn make(&self, tenant: TenantId, extent: ExtentRef) -> Result<(DataKey, WrappedKey), KeyError> {
        self.secrets(tenant)?;
        let state = self.state.read();
        let now = state.as_ref().map(|state| state.secrets(tenant)).transpose()?.flatten();
        let wrapping = now.as_ref().and_then(|opened| opened.current(tenant));
        let wrapping = wrapping.ok_or(KeyError::Shredded(tenant))?;
        let secret = Secret::random(self.rng());
        let key = DataKey::new(*secret.bytes());
        let wrapped = wrapping.wrap(extent, &key, self.rng());
        // Still under the lock: a rotation that makes another version current afterwards finds
        // this one in the list.
        self.recent.lock().add(extent, wrapped);
        Ok((key, wrapped))
    }

    fn open(&self, extent: ExtentRef, wrapped: &WrappedKey) -> Result<DataKey, KeyError> {
        let opened = self.look(|state| state.unwrap(extent, wrapped));
        let opened = opened.map_err(|error| KeyError::Unavailable(error.to_string()));
        opened.flatten().inspect_err(|error| {
            let reason = match error {
                KeyError::Shredded(_) => "shredded",
                KeyError::Missing { .. } => "missing",
                KeyError::Foreign => "foreign",
                KeyError::Unavailable(_) => "unavailable",
            };
            counter!(metric::KEYS_REFUSED, "reason" => reason).increment(1);
        })
    }

    fn index_secret(&self, tenant: TenantId) -> Result<[u8; 16], KeyError> {
        self.secrets(tenant).map(|opened| **opened.index_secret)
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }
}

pub(crate) fn ring_path(dir: &Path) -> PathBuf {
    dir.join("ring")
}

pub(crate) fn table_path(dir: &Path, tenant: TenantId) -> PathBuf {
    dir.join(format!("rewrapped-{tenant}"))
}
