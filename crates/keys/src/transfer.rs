//! Export and import: the ring and its tables as one file, everything in it still wrapped by the
//! root key, so that a copy without the root key is worth nothing. An import adds what the ring
//! lacks and never brings a shredded tenant back.

mod bundle;

use crate::error::KeysError;
use crate::folder::{self, Old};
use crate::keyring::{Keyring, State};
use crate::opened::{self, Opened};
use crate::rewrapped::Table;
use crate::ring::{Live, Progress, Ring, Slot, TENANTS_MAX, TablePresence, VERSIONS_MAX};
use crate::root::Root;
use crate::start;
pub(crate) use bundle::Bundle;
use std::sync::Arc;
use types::TenantId;

/// What an import changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    pub tenants_added: usize,
    /// Versions added to tenants that were known.
    pub versions_added: usize,
    /// Rewrapped data keys added.
    pub data_keys_added: usize,
    /// Tenants of the file that stay shredded.
    pub shredded_kept: usize,
    /// Tenants that lived here and are shredded now, because the file says so.
    pub shredded_added: usize,
    /// Keys of the file that differ from the ring's under the same version; the ring's stay.
    pub conflicts: usize,
}

impl Keyring {
    /// The ring and its tables in one file. Without the root key nobody can use it.
    pub fn export(&self) -> Result<Vec<u8>, KeysError> {
        let _one_at_a_time = self.operations.lock();
        self.look(|state| {
            let tables = state.tables.values().filter_map(|table| {
                let key = state.opened.get(&table.tenant)?;
                let key = key.key(table.version)?;
                Some((table.tenant, table.encode(key)))
            });
            let mut tables: Vec<_> = tables.collect();
            tables.sort_unstable_by_key(|(tenant, _)| *tenant);
            let tables = tables.into_iter().map(|(_, bytes)| bytes).collect();
            Bundle { ring: state.ring.encode(&state.keys.mac), tables }.encode()
        })
    }

    /// Adds what the export has and the ring lacks. Its root key must be one of those configured:
    /// an older one may be named as `encryption.next` for the time of the import. Blocking.
    pub fn import(&self, bytes: &[u8]) -> Result<Imported, KeysError> {
        let mut operations = self.operations.lock();
        let bundle = Bundle::decode(bytes).map_err(KeysError::Export)?;
        let theirs = self.unseal(&bundle)?;
        if self.is_fresh() {
            operations.staged = None;
            return self.take_over(theirs, &bundle);
        }
        let mut imported = Imported::default();
        // Tables first: a ring that says a table is there must not be without it.
        for table in theirs.tables.values() {
            imported.data_keys_added += self.merge_table(&theirs, table)?;
        }
        let changed: Vec<TenantId> = theirs.ring.tenants.keys().copied().collect();
        let merged = self.change(&changed, Old::Overwritten, |ring, keys| {
            let mut died = Vec::new();
            for (tenant, slot) in &theirs.ring.tenants {
                let opened = theirs.opened.get(tenant);
                let merge = Merge { tenant: *tenant, opened, table: self.has_table(*tenant) };
                if merge.slot(ring, slot, keys, self.rng(), &mut imported)? {
                    died.push(*tenant);
                }
            }
            Ok(died)
        })?;
        merged.into_iter().for_each(|tenant| self.forget(tenant));
        self.next_epoch();
        tracing::info!(?imported, "an export of the key ring was imported");
        Ok(imported)
    }

    fn has_table(&self, tenant: TenantId) -> bool {
        self.look(|state| state.tables.contains_key(&tenant)).unwrap_or(false)
    }

    /// Opens an export, or refuses it and says why.
    fn unseal(&self, bundle: &Bundle) -> Result<State, KeysError> {
        let wrong = |error: &dyn std::fmt::Display| KeysError::Export(error.to_string());
        let ring = Ring::decode(&bundle.ring).map_err(|fault| wrong(&fault))?;
        let root = self.root_of(&ring)?;
        let mut state = start::unseal(&self.ring_path(), &bundle.ring, ring, root).map_err(
            |error| match error {
                KeysError::Vault { .. } => error,
                KeysError::Damaged { fault, .. } => wrong(&fault),
                _ => wrong(&"its ring key does not open under its root key"),
            },
        )?;
        for bytes in &bundle.tables {
            let table = Table::decode(bytes).map_err(|fault| wrong(&fault))?;
            let table =
                start::open_table(&state, table.tenant, bytes).map_err(|fault| wrong(&fault))?;
            state.tables.insert(table.tenant, Arc::new(table));
        }
        Ok(state)
    }

    fn root_of(&self, ring: &Ring) -> Result<Root, KeysError> {
        if let Ok(root) = self.look(|state| state.root.clone())
            && root.id() == ring.root.id
        {
            return Ok(root);
        }
        for source in [Some(&self.sources.root), self.sources.next.as_ref()].into_iter().flatten() {
            if let Some(root) = source.load(self.disk(), &ring.root)?
                && root.id() == ring.root.id
            {
                return Ok(root);
            }
        }
        Err(KeysError::Export(format!(
            "it was made under another root key ({}, id {}); name that one in `encryption.root` or \
             `encryption.next` and try again",
            ring.root.kind.name(),
            ring.root.id
        )))
    }

    /// There is no ring here: the exported one becomes ours as it is.
    fn take_over(&self, state: State, bundle: &Bundle) -> Result<Imported, KeysError> {
        let tables = state.tables.values();
        let imported = Imported {
            tenants_added: state.opened.len(),
            data_keys_added: tables.map(|table| table.len()).sum(),
            shredded_kept: state.ring.tenants.len() - state.opened.len(),
            ..Imported::default()
        };
        for bytes in &bundle.tables {
            let table = Table::decode(bytes);
            let table = table.map_err(|fault| KeysError::Export(fault.to_string()))?;
            let path = self.table_path(table.tenant);
            folder::replace(self.disk(), &path, bytes, Old::Left)
                .map_err(KeysError::io("writing the rewrapped keys", &path))?;
        }
        self.install(state, Old::Left)?;
        tracing::info!(?imported, "the key ring was restored from an export");
        Ok(imported)
    }

    /// Adds the export's rewrapped data keys to ours, and answers how many were new. For a tenant
    /// we do not have, the table becomes ours as it is.
    fn merge_table(&self, theirs: &State, table: &Table) -> Result<usize, KeysError> {
        let tenant = table.tenant;
        let current = self.look(|state| {
            let is_ours = state.ring.tenants.contains_key(&tenant);
            let opened = state.opened.get(&tenant).cloned();
            (is_ours, opened, state.tables.get(&tenant).cloned())
        })?;
        let (opened, ours) = match current {
            (true, Some(opened), ours) => (opened, ours),
            // Shredded here.
            (true, None, _) => return Ok(0),
            (false, ..) => {
                let key = theirs.opened.get(&tenant);
                let key = key.and_then(|opened| opened.key(table.version));
                let bytes = table.encode(key.ok_or(KeysError::Unknown(tenant))?);
                let path = self.table_path(tenant);
                folder::replace(self.disk(), &path, &bytes, Old::Left)
                    .map_err(KeysError::io("writing the rewrapped keys", &path))?;
                self.adopt_table(tenant, Some(table.clone()));
                return Ok(table.len());
            }
        };
        let current = opened.current(tenant).ok_or(KeysError::Unknown(tenant))?;
        let version = ours.as_ref().map_or(current.version, |ours| ours.version);
        let wrapping = opened.wrapping(tenant, version).ok_or(KeysError::Unknown(tenant))?;
        let mut merged =
            ours.map_or_else(|| Table::new(tenant, version), |ours| Table::clone(&ours));
        let before = merged.len();
        for place in table.places() {
            let (Some(lying), None) = (table.find(place), merged.find(place)) else { continue };
            let theirs = theirs.opened.get(&tenant);
            let key = theirs.and_then(|opened| opened.wrapping(tenant, lying.version));
            if let Some(key) = key.and_then(|wrapping| wrapping.unwrap(place.0, &lying)) {
                merged.insert(*place, &wrapping.wrap(place.0, &key, self.rng()));
            }
        }
        let added = merged.len() - before;
        if added > 0 {
            self.write_table(&merged)?;
            self.adopt_table(tenant, Some(merged));
        }
        Ok(added)
    }
}

/// One tenant of an export, on its way into our ring.
struct Merge<'a> {
    tenant: TenantId,
    /// Its keys there.
    opened: Option<&'a Arc<Opened>>,
    /// Whether we have a table for it by now.
    table: bool,
}

impl Merge<'_> {
    /// Whether the tenant lived here and does not any more.
    fn slot(
        &self,
        ring: &mut Ring,
        slot: &Slot,
        keys: &crate::opened::RingKeys,
        rng: &dyn stdx::Rng,
        imported: &mut Imported,
    ) -> Result<bool, KeysError> {
        let tenant = self.tenant;
        if ring.tenants.len() >= TENANTS_MAX {
            return Err(KeysError::Full(TENANTS_MAX));
        }
        match (slot, ring.tenants.get_mut(&tenant)) {
            (Slot::Shredded { .. }, Some(Slot::Live(_))) => {
                ring.tenants.insert(tenant, slot.clone());
                imported.shredded_added += 1;
                Ok(true)
            }
            (Slot::Shredded { .. }, None) => {
                ring.tenants.insert(tenant, slot.clone());
                imported.shredded_added += 1;
                Ok(false)
            }
            (_, Some(Slot::Shredded { .. })) => {
                imported.shredded_kept += 1;
                Ok(false)
            }
            (Slot::Live(theirs), None) => {
                let opened = self.opened.ok_or(KeysError::Unknown(tenant))?;
                let again = opened.rewrap(tenant, theirs, keys, rng);
                let mut live = again.ok_or(KeysError::Unknown(tenant))?;
                live.progress = Progress::Settled;
                live.table = presence(self.table);
                ring.tenants.insert(tenant, Slot::Live(live));
                imported.tenants_added += 1;
                Ok(false)
            }
            (Slot::Live(theirs), Some(Slot::Live(ours))) => {
                ours.table = presence(self.table);
                self.versions(ours, theirs, keys, rng, imported).map(|()| false)
            }
        }
    }

    fn versions(
        &self,
        ours: &mut Live,
        theirs: &Live,
        keys: &crate::opened::RingKeys,
        rng: &dyn stdx::Rng,
        imported: &mut Imported,
    ) -> Result<(), KeysError> {
        let (tenant, opened) = (self.tenant, self.opened.ok_or(KeysError::Unknown(self.tenant))?);
        let mine = Opened::of(tenant, ours, keys).ok_or(KeysError::Unknown(tenant))?;
        for version in &theirs.versions {
            let key = opened.key(version.number).ok_or(KeysError::Unknown(tenant))?;
            match mine.key(version.number) {
                Some(known) if known == key => {}
                Some(_) => imported.conflicts += 1,
                None if ours.versions.len() >= VERSIONS_MAX => {
                    return Err(KeysError::Full(VERSIONS_MAX));
                }
                None => {
                    ours.versions.push(opened::carry(tenant, version, key, keys, rng));
                    imported.versions_added += 1;
                }
            }
        }
        ours.versions.sort_unstable_by_key(|version| version.number);
        Ok(())
    }
}

fn presence(has_table: bool) -> TablePresence {
    if has_table { TablePresence::Present } else { TablePresence::Absent }
}
