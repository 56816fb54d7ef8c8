//! Rotation: the same data under new keys, while everything goes on, and safe to be cut off
//! anywhere.
//!
//! The root key: the ring is written anew under a fresh ring key that the new root wraps, in one
//! atomic step; a new root file lies staged beside the old one before it, and takes its place
//! after.
//!
//! A tenant's key, in three durable steps:
//!
//! ```text
//! 1. ring:  versions 1, 2*  rotating        new data keys are under 2 from now on
//! 2. table: every data key that lies under 1, wrapped under 2
//! 3. ring:  versions 2*                     version 1 is no more
//! ```
//!
//! A start that finds `rotating` goes on with step 2.

use crate::error::KeysError;
use crate::folder::{self, Old};
use crate::keyring::{Keyring, SealedLog, State};
use crate::opened::{self, RingKeys};
use crate::rewrapped::{ENTRIES_MAX, Place, Table};
use crate::ring::{Live, Progress, Slot, TablePresence, VERSIONS_MAX};
use crate::root::{Root, RootId, RootKind, RootSource, file};
use crate::secret::Secret;
use metrics::counter;
use port::metric;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use storage::{ExtentRef, WrappedKey};
use types::TenantId;

/// What a rotation of the root key came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootRotation {
    pub from: RootId,
    pub to: RootId,
    pub kind: RootKind,
    /// For people: what to do next, when there is something.
    pub advice: Option<&'static str>,
}

/// What a rotation of a tenant's key came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRotation {
    pub from: u32,
    pub to: u32,
    /// Data keys that were wrapped anew.
    pub rewrapped: usize,
    /// Data keys that did not open before either: what they seal was unreadable already.
    pub unreadable: usize,
}

/// Fewer entries of released extents are not worth a new table; the next rotation drops them too.
pub(crate) const STALE_ENTRIES_MIN: usize = 64;

const MOVE_NEXT: &str = "move `encryption.next` to `encryption.root` before the next restart but \
                         one; until then both may stay";
const COPY_ROOT: &str = "keep a copy of the new root key; copies of the old one open old copies of \
                         the ring only";

impl Keyring {
    /// Puts the ring under the root key of `encryption.next`, or, where there is none, under a new
    /// file in place of the old one or the newest version of the vault's key. Blocking.
    pub fn rotate_root(&self) -> Result<RootRotation, KeysError> {
        let mut operations = self.operations.lock();
        let (now, header) = self.look(|state| (state.root.clone(), state.ring.root.clone()))?;
        let (from, kind) = (header.id, header.kind);
        let (next, advice) = match (&self.sources.next, &self.sources.root) {
            (Some(next), _) => {
                let root = next.load(self.disk(), &header)?;
                if root.is_some_and(|root| root.id() == from) {
                    return Err(KeysError::AlreadyNext);
                }
                let found = next.load_fresh(self.disk(), self.rng())?;
                let found = found.map_or_else(|| self.make_file(next), Ok)?;
                (found, MOVE_NEXT)
            }
            (None, RootSource::File(path)) => {
                self.settle_file(path, &now)?;
                let key = operations.staged.get_or_insert_with(|| Secret::random(self.rng()));
                file::write(self.disk(), &file::staged(path), key)?;
                (Root::of_key(RootKind::File, key.clone()), COPY_ROOT)
            }
            (None, RootSource::Vault(_)) => (now, "the vault may now drop the key's old versions"),
            (None, _) => return Err(KeysError::NothingNext(kind)),
        };
        self.go_over_to(&next)?;
        operations.staged = None;
        if let (None, RootSource::File(path)) = (&self.sources.next, &self.sources.root) {
            // The ring is under the staged key: a start would finish this too.
            if let Err(error) = file::switch(self.disk(), path) {
                tracing::error!(%error, "the new root key waits in its staged file");
            }
        }
        counter!(metric::KEYS_ROTATIONS, "key" => "root").increment(1);
        let to = next.id();
        tracing::info!(%from, %to, kind = next.kind().name(), "the root key was rotated");
        Ok(RootRotation { from, to, kind: next.kind(), advice: Some(advice) })
    }

    /// The file must hold what the ring is under before another key is staged beside it.
    fn settle_file(&self, path: &std::path::Path, now: &Root) -> Result<(), KeysError> {
        let Root::Key { kind: RootKind::File, key, .. } = now else { return Ok(()) };
        match file::read(self.disk(), path)? {
            Some(found) if found == *key => Ok(()),
            _ => file::write(self.disk(), path, key),
        }
    }

    /// A fresh ring key under that root, and everything in the ring wrapped anew under it.
    fn go_over_to(&self, root: &Root) -> Result<(), KeysError> {
        let keys = RingKeys::new(Secret::random(self.rng()));
        // The vault is asked here, before any lock on the ring is taken.
        let header = root.wrap(&keys.key, self.rng())?;
        let ring_path = self.ring_path();
        self.rebuild(Old::Overwritten, |state| {
            let forged = || KeysError::RingKey(ring_path.clone());
            let mut ring = state.ring.clone();
            ring.root = header;
            for (tenant, slot) in &mut ring.tenants {
                if let Slot::Live(live) = slot {
                    let opened = state.opened.get(tenant).ok_or_else(forged)?;
                    let again = opened.rewrap(*tenant, live, &keys, self.rng());
                    *live = again.ok_or_else(forged)?;
                }
            }
            Ok(State {
                ring,
                keys,
                root: root.clone(),
                opened: state.opened.clone(),
                tables: state.tables.clone(),
            })
        })
    }

    /// Gives the tenant a new key and ends the old ones; records stay where they are, readable all
    /// the while. Blocking. Goes on where an interrupted one ended.
    pub fn rotate_tenant(&self, tenant: TenantId) -> Result<TenantRotation, KeysError> {
        let _one_at_a_time = self.operations.lock();
        let log = self.log.get().cloned().ok_or(KeysError::NoLog)?;
        let at = self.world.clock.now_ms();
        let progress = self.look(|state| live_of(state, tenant).map(|live| live.progress))??;
        if progress == Progress::Settled {
            self.change(&[tenant], Old::Left, |ring, keys| {
                let live = ring.live_mut(tenant).ok_or(KeysError::Unknown(tenant))?;
                let next = live.current().checked_add(1);
                let next = next.filter(|_| live.versions.len() < VERSIONS_MAX);
                let next = next.ok_or(KeysError::Full(VERSIONS_MAX))?;
                let version = opened::make_version(tenant, next, at, keys, self.rng());
                live.versions.push(version);
                live.progress = Progress::Rotating;
                Ok(())
            })?;
        }
        self.finish(tenant, &*log)
    }

    /// Finishes what stops interrupted. What cannot be finished now waits for the next start or
    /// rotation: everything opens meanwhile, so it keeps nobody from starting.
    pub(crate) fn resume(&self) -> Result<(), KeysError> {
        let _one_at_a_time = self.operations.lock();
        let log = self.log.get().cloned().ok_or(KeysError::NoLog)?;
        if let Err(error) = crate::start::drop_staged(self) {
            tracing::warn!(%error, "a root key that was not gone over to stays");
        }
        for tenant in self.look(|state| state.ring.rotating())? {
            match self.finish(tenant, &*log) {
                Ok(done) => {
                    tracing::info!(%tenant, to = done.to, "an interrupted rotation is done");
                }
                Err(error) => tracing::error!(%tenant, %error, "a rotation stays unfinished"),
            }
        }
        let tables = self.look(|state| state.tables.values().cloned().collect::<Vec<_>>())?;
        for table in &tables {
            if let Err(error) = self.prune(table, &*log) {
                tracing::warn!(tenant = %table.tenant, %error, "a table stays longer than needed");
            }
        }
        Ok(())
    }

    /// Steps 2 and 3.
    fn finish(&self, tenant: TenantId, log: &dyn SealedLog) -> Result<TenantRotation, KeysError> {
        let (from, to) = self.look(|state| {
            live_of(state, tenant).map(|live| {
                let first = live.versions.first().map_or(0, |first| first.number);
                (first, live.current())
            })
        })??;
        // Every key made under an older version is in one of the two by now.
        let mut lying = self.recent.lock().of(tenant);
        let listed = log.each_key(&mut |extent, wrapped| {
            lying.extend((wrapped.tenant == tenant).then_some((extent, *wrapped)));
            ControlFlow::Continue(())
        });
        listed.map_err(KeysError::Log)?;
        let (table, unreadable) = self.rewrap(tenant, to, &lying)?;
        let rewrapped = table.len();
        let presence = match table.is_empty() {
            true => TablePresence::Absent,
            false => {
                self.write_table(&table)?;
                self.adopt_table(tenant, Some(table));
                TablePresence::Present
            }
        };
        self.change(&[tenant], Old::Overwritten, |ring, _| {
            let live = ring.live_mut(tenant).ok_or(KeysError::Unknown(tenant))?;
            live.versions.retain(|version| version.number >= to);
            live.progress = Progress::Settled;
            live.table = presence;
            Ok(())
        })?;
        if presence == TablePresence::Absent {
            self.adopt_table(tenant, None);
            self.drop_table(tenant);
        }
        counter!(metric::KEYS_ROTATIONS, "key" => "tenant").increment(1);
        tracing::info!(%tenant, from, to, rewrapped, unreadable, "a tenant's key was rotated");
        Ok(TenantRotation { from, to, rewrapped, unreadable })
    }

    /// All data keys that lie under older versions, wrapped under that one.
    fn rewrap(
        &self,
        tenant: TenantId,
        version: u32,
        lying: &[(ExtentRef, WrappedKey)],
    ) -> Result<(Table, usize), KeysError> {
        let opened = self.look(|state| state.opened.get(&tenant).cloned())?;
        let opened = opened.ok_or(KeysError::Unknown(tenant))?;
        let wrapping = opened.wrapping(tenant, version).ok_or(KeysError::Unknown(tenant))?;
        let mut table = Table::new(tenant, version);
        let mut unreadable = 0;
        for (extent, wrapped) in lying {
            if wrapped.version == version {
                continue;
            }
            if table.len() >= ENTRIES_MAX {
                return Err(KeysError::Full(ENTRIES_MAX));
            }
            match self.look(|state| state.unwrap(*extent, wrapped))? {
                Ok(key) => {
                    let again = wrapping.wrap(*extent, &key, self.rng());
                    table.insert((*extent, wrapped.nonce), &again);
                }
                Err(error) => {
                    unreadable += 1;
                    tracing::warn!(%tenant, extent = %extent.id, %error, "cannot be rewrapped");
                }
            }
        }
        Ok((table, unreadable))
    }

    pub(crate) fn write_table(&self, table: &Table) -> Result<(), KeysError> {
        let tenant = table.tenant;
        let bytes = self.look(|state| {
            let opened = state.opened.get(&tenant);
            opened.and_then(|opened| Some(table.encode(opened.key(table.version)?)))
        })?;
        let path = self.table_path(tenant);
        folder::replace(
            self.disk(),
            &path,
            &bytes.ok_or(KeysError::Unknown(tenant))?,
            Old::Overwritten,
        )
        .map_err(KeysError::io("writing the rewrapped keys", &path))
    }

    /// Nothing needs it any more; one that stays harms nothing.
    pub(crate) fn drop_table(&self, tenant: TenantId) {
        let path = self.table_path(tenant);
        if let Err(error) = folder::destroy(self.disk(), &path) {
            tracing::warn!(path = %path.display(), %error, "a table could not be removed");
        }
    }

    /// Drops the entries of extents that were released since.
    fn prune(&self, table: &Arc<Table>, log: &dyn SealedLog) -> Result<(), KeysError> {
        let tenant = table.tenant;
        let extents: HashSet<ExtentRef> = log.extents().into_iter().collect();
        let is_stale = |place: &&Place| !extents.contains(&place.0);
        if table.places().filter(is_stale).count() < STALE_ENTRIES_MIN {
            return Ok(());
        }
        let mut pruned = Table::clone(table);
        let dropped = pruned.retain(|place| extents.contains(&place.0));
        if pruned.is_empty() {
            self.change(&[], Old::Left, |ring, _| {
                let live = ring.live_mut(tenant).ok_or(KeysError::Unknown(tenant))?;
                live.table = TablePresence::Absent;
                Ok(())
            })?;
            self.adopt_table(tenant, None);
            self.drop_table(tenant);
        } else {
            self.write_table(&pruned)?;
            self.adopt_table(tenant, Some(pruned));
        }
        tracing::info!(%tenant, dropped, "rewrapped keys of released extents were dropped");
        Ok(())
    }

    /// How many of the log's data keys are under which version of those tenants' keys. Reads the
    /// extents; without a log nothing is counted.
    pub(crate) fn count_keys(&self, tenants: &[TenantId]) -> Result<KeyCounts, KeysError> {
        let mut counts = KeyCounts::new();
        let Some(log) = self.log.get() else { return Ok(counts) };
        let wanted: HashSet<TenantId> = tenants.iter().copied().collect();
        let tables: HashMap<TenantId, Arc<Table>> = self.look(|state| {
            let all = tenants.iter().filter_map(|id| Some((*id, state.tables.get(id)?.clone())));
            all.collect()
        })?;
        let listed = log.each_key(&mut |extent, wrapped| {
            if wanted.contains(&wrapped.tenant) {
                let table = tables.get(&wrapped.tenant);
                let now = table.and_then(|table| table.find(&(extent, wrapped.nonce)));
                let version = now.as_ref().unwrap_or(wrapped).version;
                *counts.entry((wrapped.tenant, version)).or_default() += 1;
            }
            ControlFlow::Continue(())
        });
        listed.map_err(KeysError::Log)?;
        Ok(counts)
    }
}

/// Data keys by tenant and version.
pub(crate) type KeyCounts = HashMap<(TenantId, u32), usize>;

fn live_of(state: &State, tenant: TenantId) -> Result<&Live, KeysError> {
    if state.ring.is_shredded(tenant) {
        return Err(KeysError::Shredded(tenant));
    }
    state.ring.live(tenant).ok_or(KeysError::Unknown(tenant))
}
