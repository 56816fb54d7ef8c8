//! The start: finding the root key the ring is under, opening everything before anything is
//! served, and finishing what a stop interrupted. It makes a new root key and ring only where
//! nothing sealed exists, and changes nothing when it refuses.

use crate::error::KeysError;
use crate::folder;
use crate::keyring::{self, Keyring, SealedLog, State, World};
use crate::opened::RingKeys;
use crate::rewrapped::{TABLE_BYTES_MAX, Table};
use crate::ring::{Ring, RingFault, TablePresence};
use crate::root::{Root, RootSource, file};
use crate::secret::Secret;
use crate::settings::Sources;
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use stdx::Disk;
use storage::{ExtentRef, KeyError, WrappedKey};
use types::TenantId;

pub(crate) const RING_BYTES_MAX: u64 = 512 << 20;
/// Data keys that are looked at when the log is attached.
const SAMPLE_KEYS: usize = 1_024;

impl Keyring {
    /// Opens `<data>/keys`, held by this process until dropped. Without a ring nothing is made
    /// yet: that waits for `attach`, when it is known whether the log holds something sealed.
    /// Blocking; a vault is asked.
    pub fn open(world: World, dir: &Path, sources: Sources) -> Result<Keyring, KeysError> {
        let disk = &*world.disk;
        disk.create_dir(dir).map_err(KeysError::io("making the folder of the keys", dir))?;
        let path = dir.join("lock");
        let lock = disk.lock(&path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => KeysError::Locked(dir.to_owned()),
            _ => KeysError::io("locking", &path)(error),
        })?;
        // What is read below may be newer than what would survive a power cut: not any more.
        disk.flush_dir(dir).map_err(KeysError::io("flushing the folder of the keys", dir))?;
        let state = read(disk, dir, &sources)?;
        if let Some(state) = &state {
            sweep(disk, dir, state)?;
            tracing::info!(
                root = %state.root.kind().name(),
                id = %state.root.id(),
                tenants = state.opened.len(),
                "the key ring is open"
            );
        }
        Ok(Keyring::new(world, dir.to_owned(), sources, state, lock))
    }

    /// Gives the log to the ring, once: refuses when the log is sealed under keys that the ring
    /// does not have, makes the first ring when there is none, and finishes rotations that a stop
    /// interrupted. Blocking.
    pub fn attach(&self, log: Arc<dyn SealedLog>) -> Result<(), KeysError> {
        let (newest, failure) = newest_keys(&*log);
        if self.is_fresh() {
            if !newest.is_empty() {
                return Err(KeysError::RingMissing { ring: self.ring_path() });
            }
            // What cannot be read may be sealed.
            failure.map_or(Ok(()), |error| Err(KeysError::Log(error)))?;
            self.settle()?;
        } else if let Some(error) = failure {
            tracing::warn!(error, "not all of the log's data keys could be looked at");
        }
        self.refuse_orphans(&newest)?;
        // A second call keeps the first log; the server makes one.
        let _ = self.log.set(log);
        self.resume()
    }

    /// The first ring, and its root key where that is ours to make.
    pub fn settle(&self) -> Result<(), KeysError> {
        let _one_at_a_time = self.operations.lock();
        if !self.is_fresh() {
            return Ok(());
        }
        let source = &self.sources.root;
        let root = match source.load_fresh(self.disk(), self.rng())? {
            Some(root) => root,
            None => self.make_file(source)?,
        };
        let keys = RingKeys::new(Secret::random(self.rng()));
        let header = root.wrap(&keys.key, self.rng())?;
        let ring = Ring { sequence: 0, root: header, tenants: BTreeMap::new() };
        let forged = || KeysError::RingKey(self.ring_path());
        let state = State::open(ring, keys, root).ok_or_else(forged)?;
        self.install(state, folder::Old::Left)?;
        tracing::info!(root = %source.place(), "a key ring was made: keep a copy of its root key");
        Ok(())
    }

    /// A root key of the only kind that can be made here.
    pub(crate) fn make_file(&self, source: &RootSource) -> Result<Root, KeysError> {
        let RootSource::File(path) = source else {
            return Err(KeysError::NothingNext(source.kind()));
        };
        let key = Secret::random(self.rng());
        file::write(self.disk(), path, &key)?;
        Ok(Root::of_key(source.kind(), key))
    }

    /// The newest data keys must be under keys that the ring has: an older ring lacks the newest
    /// first. And of each tenant's some must really open: a ring of another installation may have
    /// the same tenant.
    fn refuse_orphans(&self, newest: &[(ExtentRef, WrappedKey)]) -> Result<(), KeysError> {
        let mut by_tenant: BTreeMap<TenantId, Vec<&(ExtentRef, WrappedKey)>> = BTreeMap::new();
        for found in newest {
            by_tenant.entry(found.1.tenant).or_default().push(found);
        }
        let mut orphan = None;
        let mut count = 0;
        for (tenant, lying) in by_tenant {
            let missing = self.look(|state| {
                let missing = lying.iter().filter(|(extent, key)| !state.has(*extent, key)).count();
                let is_foreign = |(extent, key): &&(ExtentRef, WrappedKey)| {
                    matches!(state.unwrap(*extent, key), Err(KeyError::Foreign))
                };
                if lying.iter().all(is_foreign) { lying.len() } else { missing }
            })?;
            if missing > 0 {
                count += missing;
                orphan.get_or_insert(tenant);
            }
        }
        match orphan {
            Some(tenant) => Err(KeysError::Orphaned { ring: self.ring_path(), tenant, count }),
            None => Ok(()),
        }
    }
}

/// A sample from the end of the log, so that a start does not read all of it; and why it is not
/// larger, if it should be.
fn newest_keys(log: &dyn SealedLog) -> (Vec<(ExtentRef, WrappedKey)>, Option<String>) {
    let mut newest = Vec::new();
    let shown = log.each_key(&mut |extent, wrapped| {
        newest.push((extent, *wrapped));
        match newest.len() < SAMPLE_KEYS {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    (newest, shown.err())
}

/// `None`: there is no ring, and no trace of one.
fn read(disk: &dyn Disk, dir: &Path, sources: &Sources) -> Result<Option<State>, KeysError> {
    let path = keyring::ring_path(dir);
    let bytes = folder::read(disk, &path, RING_BYTES_MAX);
    let bytes = bytes.map_err(KeysError::io("reading the key ring", &path))?;
    let Some(bytes) = bytes else {
        let names = disk.list(dir).map_err(KeysError::io("listing", dir))?;
        let is_table = |name: &Path| name.to_string_lossy().starts_with("rewrapped-");
        return match names.iter().any(|name| is_table(name)) {
            true => Err(KeysError::RingMissing { ring: path }),
            false => Ok(None),
        };
    };
    let ring = Ring::decode(&bytes).map_err(KeysError::damaged(&path))?;
    let (root, staged) = find_root(disk, &path, &ring, sources)?;
    let mut state = unseal(&path, &bytes, ring, root)?;
    load_tables(disk, dir, &mut state)?;
    if let Some(root_path) = staged {
        file::switch(disk, root_path)?;
    }
    Ok(Some(state))
}

/// Opens a ring whose root was found; the bytes are what it was decoded from.
pub(crate) fn unseal(
    path: &Path,
    bytes: &[u8],
    ring: Ring,
    root: Root,
) -> Result<State, KeysError> {
    let forged = || KeysError::RingKey(path.to_owned());
    let key = root.unwrap(&ring.root)?.ok_or_else(forged)?;
    let keys = RingKeys::new(key);
    Ring::authenticate(bytes, &keys.mac).map_err(KeysError::damaged(path))?;
    State::open(ring, keys, root).ok_or_else(forged)
}

/// The one that the ring names, among those configured. A file's staged successor counts; then the
/// file is answered too, whose place it is to take, since the ring is under it already.
fn find_root<'a>(
    disk: &dyn Disk,
    ring_path: &Path,
    ring: &Ring,
    sources: &'a Sources,
) -> Result<(Root, Option<&'a Path>), KeysError> {
    let mut given = Vec::new();
    let mut missing = None;
    let mut is_another = false;
    for source in [Some(&sources.root), sources.next.as_ref()].into_iter().flatten() {
        let root = source.load(disk, &ring.root)?;
        if let Some(root) = &root
            && root.id() == ring.root.id
        {
            return Ok((root.clone(), None));
        }
        if let RootSource::File(path) = source {
            if let Some(root) = staged(disk, path)?
                && root.id() == ring.root.id
                && root.kind() == ring.root.kind
            {
                return Ok((root, Some(path)));
            }
            if root.is_none() && ring.root.kind == source.kind() {
                missing.get_or_insert_with(|| path.clone());
            }
        }
        is_another |= root.is_some();
        let id = root.map(|root| format!(", id {}", root.id())).unwrap_or_default();
        given.push(format!("{}{id}", source.place()));
    }
    match missing {
        Some(root) if !is_another => {
            Err(KeysError::RootMissing { root, ring: ring_path.to_owned() })
        }
        _ => Err(KeysError::WrongRoot {
            ring: ring_path.to_owned(),
            needed: format!("{}, id {}", ring.root.kind.name(), ring.root.id),
            given: given.join("; "),
        }),
    }
}

fn staged(disk: &dyn Disk, path: &Path) -> Result<Option<Root>, KeysError> {
    match file::read(disk, &file::staged(path)) {
        Ok(key) => Ok(key.map(|key| Root::of_key(crate::root::RootKind::File, key))),
        // Written in part by a rotation that did not get far.
        Err(KeysError::RootLength(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn load_tables(disk: &dyn Disk, dir: &Path, state: &mut State) -> Result<(), KeysError> {
    let live: Vec<TenantId> = state.opened.keys().copied().collect();
    for tenant in live {
        let path = keyring::table_path(dir, tenant);
        let is_needed =
            state.ring.live(tenant).is_some_and(|live| live.table == TablePresence::Present);
        let is_rotating = state.ring.rotating().contains(&tenant);
        if !is_needed && !is_rotating {
            continue;
        }
        let bytes = folder::read(disk, &path, TABLE_BYTES_MAX);
        match bytes.map_err(KeysError::io("reading the rewrapped keys", &path))? {
            Some(bytes) => {
                let table = open_table(state, tenant, &bytes).map_err(KeysError::damaged(&path))?;
                state.tables.insert(tenant, Arc::new(table));
            }
            None if is_needed => return Err(KeysError::TableMissing { path, tenant }),
            None => {}
        }
    }
    Ok(())
}

/// An authentic table of that tenant, under a version the ring has.
pub(crate) fn open_table(
    state: &State,
    tenant: TenantId,
    bytes: &[u8],
) -> Result<Table, RingFault> {
    let table = Table::decode(bytes)?;
    if table.tenant != tenant {
        return Err(RingFault::Invalid("tenant"));
    }
    let opened = state.opened.get(&tenant);
    let key = opened.and_then(|opened| opened.key(table.version));
    Table::authenticate(bytes, key.ok_or(RingFault::Invalid("key version"))?)?;
    Ok(table)
}

/// Removes what earlier changes left: half-written files, a root key that was not gone over to,
/// tables of shredded tenants.
fn sweep(disk: &dyn Disk, dir: &Path, state: &State) -> Result<(), KeysError> {
    let names = disk.list(dir).map_err(KeysError::io("listing", dir))?;
    for name in names {
        let text = name.to_string_lossy();
        let tenant = text.strip_prefix("rewrapped-").and_then(|id| id.parse().ok());
        let is_dead = tenant.is_some_and(|tenant| state.ring.is_shredded(tenant));
        if is_dead || text.ends_with(".new") {
            let path = dir.join(&name);
            folder::destroy(disk, &path).map_err(KeysError::io("removing", &path))?;
        }
    }
    Ok(())
}

/// The ring does not need a root key that was staged and not gone over to; called once the ring
/// was opened with the one in its place.
pub(crate) fn drop_staged(keyring: &Keyring) -> Result<(), KeysError> {
    for source in [Some(&keyring.sources.root), keyring.sources.next.as_ref()] {
        if let Some(RootSource::File(path)) = source {
            file::drop_staged(keyring.disk(), path)?;
        }
    }
    Ok(())
}
