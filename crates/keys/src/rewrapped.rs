//! Data keys of a tenant that lie in extents under a version of its key that is no more, wrapped
//! under one that is: extents are written once, so a rotation cannot change them. One file per
//! tenant beside the ring, authenticated by a key derived from the version it is under.
//!
//! ```text
//! "MSREWRAP"  format u16  tenant [16]  version u32  count u32, rising by extent and nonce:
//!   extent u32  generation u64  nonce in the extent [12]  nonce [12]  key [48]
//! HMAC-SHA256 over all of it [32]
//! ```

use crate::cipher::{self, MAC_BYTES, NONCE_BYTES};
use crate::fields::Fields;
use crate::ring::RingFault;
use crate::secret::Secret;
use std::collections::BTreeMap;
use storage::{ExtentId, ExtentRef, WrappedKey};
use types::TenantId;
use uuid::Uuid;

const MAGIC: &[u8; 8] = b"MSREWRAP";
const FORMAT: u16 = 1;
const ENTRY_BYTES: usize = 4 + 8 + NONCE_BYTES + NONCE_BYTES + 48;
/// Of one tenant; a table is held in memory.
pub(crate) const ENTRIES_MAX: usize = 4_000_000;
pub(crate) const TABLE_BYTES_MAX: u64 = (64 + ENTRIES_MAX * ENTRY_BYTES) as u64;

/// A data key as it lies in an extent. An extent may hold two of one tenant when a commit was
/// refused and a key made anew; the nonce tells them apart.
pub(crate) type Place = (ExtentRef, [u8; NONCE_BYTES]);

/// A decoded table. What it says is not to be trusted before its authentication was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub(crate) tenant: TenantId,
    /// The version of the tenant's key that all entries are under.
    pub(crate) version: u32,
    entries: BTreeMap<Place, Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    nonce: [u8; NONCE_BYTES],
    bytes: [u8; 48],
}

impl Table {
    pub(crate) fn new(tenant: TenantId, version: u32) -> Table {
        Table { tenant, version, entries: BTreeMap::new() }
    }

    /// The data key that lies there, as it is wrapped now.
    pub(crate) fn find(&self, place: &Place) -> Option<WrappedKey> {
        self.entries.get(place).map(|entry| WrappedKey {
            tenant: self.tenant,
            version: self.version,
            nonce: entry.nonce,
            bytes: entry.bytes,
        })
    }

    /// `wrapped` must be of this table's tenant and version.
    pub(crate) fn insert(&mut self, place: Place, wrapped: &WrappedKey) {
        debug_assert_eq!((wrapped.tenant, wrapped.version), (self.tenant, self.version));
        let entry = Entry { nonce: wrapped.nonce, bytes: wrapped.bytes };
        self.entries.insert(place, entry);
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.entries.keys()
    }

    /// Keeps what is still asked for, and answers how many were not.
    pub(crate) fn retain(&mut self, mut is_needed: impl FnMut(&Place) -> bool) -> usize {
        let before = self.entries.len();
        self.entries.retain(|place, _| is_needed(place));
        before - self.entries.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reads a table without asking whether it is authentic.
    pub fn decode(bytes: &[u8]) -> Result<Table, RingFault> {
        let (body, _) = split(bytes)?;
        let mut fields = Fields(body);
        if fields.array() != Some(*MAGIC) {
            return Err(RingFault::NotARing);
        }
        match fields.u16().ok_or(RingFault::Length)? {
            FORMAT => {}
            other => return Err(RingFault::Format(other)),
        }
        let tenant = TenantId(Uuid::from_bytes(fields.array().ok_or(RingFault::Length)?));
        let version = fields.u32().ok_or(RingFault::Length)?;
        let count = fields.u32().ok_or(RingFault::Length)? as usize;
        if count > ENTRIES_MAX {
            return Err(RingFault::Invalid("number of entries"));
        }
        let mut table = Table::new(tenant, version);
        for _ in 0..count {
            let (place, entry) = read(&mut fields).ok_or(RingFault::Length)?;
            if table.entries.last_key_value().is_some_and(|(last, _)| *last >= place) {
                return Err(RingFault::Invalid("order of entries"));
            }
            table.entries.insert(place, entry);
        }
        if fields.is_empty() { Ok(table) } else { Err(RingFault::Length) }
    }

    /// `version_key` is the tenant's key of the version the table says it is under.
    pub(crate) fn authenticate(bytes: &[u8], version_key: &Secret) -> Result<(), RingFault> {
        let (body, tag) = split(bytes)?;
        let key = mac_key(version_key);
        if cipher::is_mac(&key, body, tag) { Ok(()) } else { Err(RingFault::Forged) }
    }

    pub(crate) fn encode(&self, version_key: &Secret) -> Vec<u8> {
        let mut out = self.body();
        let tag = cipher::mac(&mac_key(version_key), &out);
        out.extend_from_slice(&tag);
        out
    }

    /// All but the authentication.
    pub fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.entries.len() * ENTRY_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(self.tenant.0.as_bytes());
        out.extend_from_slice(&self.version.to_le_bytes());
        // Cannot be more: `ENTRIES_MAX` is far below.
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        for ((extent, lying), entry) in &self.entries {
            out.extend_from_slice(&extent.id.0.to_le_bytes());
            out.extend_from_slice(&extent.generation.to_le_bytes());
            out.extend_from_slice(lying);
            out.extend_from_slice(&entry.nonce);
            out.extend_from_slice(&entry.bytes);
        }
        out
    }
}

fn mac_key(version_key: &Secret) -> Secret {
    cipher::derive(version_key, b"rewrapped table")
}

fn split(bytes: &[u8]) -> Result<(&[u8], &[u8; MAC_BYTES]), RingFault> {
    if !bytes.starts_with(MAGIC) {
        return Err(RingFault::NotARing);
    }
    bytes.split_last_chunk::<MAC_BYTES>().ok_or(RingFault::Length)
}

fn read(fields: &mut Fields<'_>) -> Option<(Place, Entry)> {
    let extent = ExtentRef { id: ExtentId(fields.u32()?), generation: fields.u64()? };
    let lying = fields.array()?;
    Some(((extent, lying), Entry { nonce: fields.array()?, bytes: fields.array()? }))
}
