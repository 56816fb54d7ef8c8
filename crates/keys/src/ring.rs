//! The ring as it lies on disk: which root key it is under, and per tenant its wrapped key
//! versions or the mark that they were destroyed. Plain data and pure changes; everything in it is
//! wrapped, so it needs no care in memory. It must not open anything nor touch a file.

mod codec;

pub use codec::RingFault;

use crate::cipher::{SEALED_INDEX_BYTES, SEALED_KEY_BYTES};
use crate::root::{Derivation, RootId, RootKind};
use std::collections::BTreeMap;
use types::{TenantId, TimestampMs};

/// Tenants that one ring holds, shredded ones included.
pub(crate) const TENANTS_MAX: usize = 1_000_000;
/// Versions of one tenant's key at a time: the current one, the one being rotated away from and
/// what imports brought back.
pub(crate) const VERSIONS_MAX: usize = 64;
/// A ring key as its root wraps it; those of a vault are texts.
pub(crate) const WRAPPED_RING_KEY_BYTES_MAX: usize = 1_024;

/// A decoded ring. What it says is not to be trusted before its authentication was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// Rises with every ring written, so that the newer of two is known.
    pub(crate) sequence: u64,
    pub(crate) root: RootHeader,
    pub(crate) tenants: BTreeMap<TenantId, Slot>,
}

/// What opens the ring, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootHeader {
    pub(crate) kind: RootKind,
    pub(crate) id: RootId,
    /// How the root key comes from a passphrase.
    pub(crate) derivation: Option<Derivation>,
    /// The ring key, wrapped by the root.
    pub(crate) wrapped: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    Live(Live),
    /// The keys were destroyed; none is ever made again.
    Shredded {
        at: TimestampMs,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) index_secret: [u8; SEALED_INDEX_BYTES],
    pub(crate) progress: Progress,
    /// Whether data keys lie rewrapped in a table beside the ring.
    pub(crate) table: TablePresence,
    /// In rising order of their numbers; the last one wraps new data keys. Never empty.
    pub(crate) versions: Vec<Version>,
}

/// Whether a rotation of the tenant's key has begun and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Settled,
    Rotating,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TablePresence {
    Absent,
    Present,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) number: u32,
    pub(crate) made_at: TimestampMs,
    pub(crate) sealed: [u8; SEALED_KEY_BYTES],
}

impl Live {
    /// The version that wraps new data keys; 0 cannot occur, since one is always there.
    pub(crate) fn current(&self) -> u32 {
        self.versions.last().map_or(0, |last| last.number)
    }
}

impl Ring {
    pub(crate) fn live(&self, tenant: TenantId) -> Option<&Live> {
        match self.tenants.get(&tenant) {
            Some(Slot::Live(live)) => Some(live),
            _ => None,
        }
    }

    pub(crate) fn live_mut(&mut self, tenant: TenantId) -> Option<&mut Live> {
        match self.tenants.get_mut(&tenant) {
            Some(Slot::Live(live)) => Some(live),
            _ => None,
        }
    }

    pub(crate) fn is_shredded(&self, tenant: TenantId) -> bool {
        matches!(self.tenants.get(&tenant), Some(Slot::Shredded { .. }))
    }

    /// Tenants whose rotation a stop interrupted.
    pub(crate) fn rotating(&self) -> Vec<TenantId> {
        let live = self.tenants.iter().filter_map(|(tenant, slot)| match slot {
            Slot::Live(live) if live.progress == Progress::Rotating => Some(*tenant),
            _ => None,
        });
        live.collect()
    }
}
