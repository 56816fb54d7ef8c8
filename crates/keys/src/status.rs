//! What the ring holds, for operators: ids, versions and counts, never a key.

use crate::error::KeysError;
use crate::keyring::Keyring;
use crate::ring::{Progress, Slot};
use crate::root::{RootId, RootKind};
use crate::rotation::KeyCounts;
use types::{TenantId, TimestampMs};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub root_kind: RootKind,
    /// Where the configured root key is.
    pub root_place: String,
    pub root_id: RootId,
    /// Whether the ring is under the root key of `encryption.next`.
    pub is_next: bool,
    /// Rises with every change of the ring.
    pub sequence: u64,
    pub live_count: usize,
    pub shredded_count: usize,
    /// Tenants whose key is being rotated.
    pub rotating_count: usize,
    /// A page of tenants by id.
    pub tenants: Vec<TenantStatus>,
    pub has_more: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantStatus {
    pub tenant: TenantId,
    pub state: TenantState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantState {
    Live {
        /// The version that wraps new data keys.
        current: u32,
        is_rotating: bool,
        versions: Vec<VersionStatus>,
        /// Data keys that lie in the table beside the ring.
        rewrapped: usize,
    },
    Shredded {
        at: TimestampMs,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionStatus {
    pub version: u32,
    pub made_at: TimestampMs,
    /// Data keys of the log that are under it.
    pub data_keys: usize,
}

impl Keyring {
    /// The ring and a page of its tenants. Counting data keys reads the log's extents;
    /// without a log they are 0.
    pub fn status(&self, after: Option<TenantId>, limit: usize) -> Result<Status, KeysError> {
        let next_id = self.next_id()?;
        let (mut status, page) = self.look(|state| {
            let ring = &state.ring;
            let after =
                ring.tenants.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
            let mut page: Vec<(TenantId, Slot)> =
                after.take(limit + 1).map(|(id, slot)| (*id, slot.clone())).collect();
            let has_more = page.len() > limit;
            page.truncate(limit);
            let live_count = state.opened.len();
            let status = Status {
                root_kind: state.root.kind(),
                root_place: self.sources.root.place(),
                root_id: state.root.id(),
                is_next: false,
                sequence: ring.sequence,
                live_count,
                shredded_count: ring.tenants.len() - live_count,
                rotating_count: ring.rotating().len(),
                tenants: Vec::with_capacity(page.len()),
                has_more,
            };
            (status, page)
        })?;
        status.is_next = next_id == Some(status.root_id);
        if let (true, Some(next)) = (status.is_next, &self.sources.next) {
            status.root_place = next.place();
        }
        let tenants: Vec<TenantId> = page.iter().map(|(tenant, _)| *tenant).collect();
        let counts = self.count_keys(&tenants)?;
        for (tenant, slot) in page {
            let state = self.state_of(tenant, &slot, &counts)?;
            status.tenants.push(TenantStatus { tenant, state });
        }
        Ok(status)
    }

    /// The tenant's part of the status; `None` when the ring never heard of it.
    pub fn tenant_status(&self, tenant: TenantId) -> Result<Option<TenantStatus>, KeysError> {
        let slot = self.look(|state| state.ring.tenants.get(&tenant).cloned())?;
        let Some(slot) = slot else { return Ok(None) };
        let counts = self.count_keys(&[tenant])?;
        Ok(Some(TenantStatus { tenant, state: self.state_of(tenant, &slot, &counts)? }))
    }

    fn next_id(&self) -> Result<Option<RootId>, KeysError> {
        let Some(next) = &self.sources.next else { return Ok(None) };
        let header = self.look(|state| state.ring.root.clone())?;
        Ok(next.load(self.disk(), &header)?.map(|root| root.id()))
    }

    fn state_of(
        &self,
        tenant: TenantId,
        slot: &Slot,
        counts: &KeyCounts,
    ) -> Result<TenantState, KeysError> {
        let live = match slot {
            Slot::Shredded { at } => return Ok(TenantState::Shredded { at: *at }),
            Slot::Live(live) => live,
        };
        let versions = live.versions.iter().map(|version| VersionStatus {
            version: version.number,
            made_at: version.made_at,
            data_keys: counts.get(&(tenant, version.number)).copied().unwrap_or_default(),
        });
        let rewrapped =
            self.look(|state| state.tables.get(&tenant).map_or(0, |table| table.len()))?;
        Ok(TenantState::Live {
            current: live.current(),
            is_rotating: live.progress == Progress::Rotating,
            versions: versions.collect(),
            rewrapped,
        })
    }
}
