//! Bytes of the ring: encode, decode, nothing else. The bytes come from a disk that may have been
//! tampered with, so every length is bounded before anything is taken, and what decodes encodes to
//! the same bytes again.
//!
//! ```text
//! "MSKEYRNG"  format u16  sequence u64
//! root kind u8  root id [16]  ring key u16 + bytes
//!   of a passphrase, between id and key: salt [16]  memory_kib u32  passes u32  lanes u32
//! tenants u32, rising by id:
//!   id [16]  1  index secret [44]  rotating u8  table u8
//!     versions u16, rising: number u32  made at i64  key [60]
//!   id [16]  2  shredded at i64
//! HMAC-SHA256 over all of it [32]
//! ```

use super::{
    Live, Progress, Ring, RootHeader, Slot, TENANTS_MAX, TablePresence, VERSIONS_MAX, Version,
    WRAPPED_RING_KEY_BYTES_MAX,
};
use crate::cipher::{self, MAC_BYTES};
use crate::fields::{Fields, put_short};
use crate::root::{Derivation, RootId, RootKind};
use crate::secret::Secret;
use std::collections::BTreeMap;
use types::TenantId;
use uuid::Uuid;

const MAGIC: &[u8; 8] = b"MSKEYRNG";
const FORMAT: u16 = 1;
const LIVE: u8 = 1;
const SHREDDED: u8 = 2;

/// Why bytes are not a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RingFault {
    #[error("it is not a key ring")]
    NotARing,
    #[error("it is of format {0}, and this program reads format 1 only")]
    Format(u16),
    #[error("it is cut off or has bytes too many")]
    Length,
    #[error("its {0} cannot be")]
    Invalid(&'static str),
    #[error("its authentication code does not fit: it was changed or damaged")]
    Forged,
}

impl Ring {
    /// Reads a ring without asking whether it is authentic.
    pub fn decode(bytes: &[u8]) -> Result<Ring, RingFault> {
        let (body, _) = split(bytes)?;
        let mut fields = Fields(body);
        if fields.array() != Some(*MAGIC) {
            return Err(RingFault::NotARing);
        }
        match fields.u16().ok_or(RingFault::Length)? {
            FORMAT => {}
            other => return Err(RingFault::Format(other)),
        }
        let sequence = fields.u64().ok_or(RingFault::Length)?;
        let root = root(&mut fields)?;
        let tenants = tenants(&mut fields)?;
        if !fields.is_empty() {
            return Err(RingFault::Length);
        }
        Ok(Ring { sequence, root, tenants })
    }

    /// Whether the bytes a ring was read from were written by somebody who has its ring key.
    pub(crate) fn authenticate(bytes: &[u8], mac_key: &Secret) -> Result<(), RingFault> {
        let (body, tag) = split(bytes)?;
        if cipher::is_mac(mac_key, body, tag) { Ok(()) } else { Err(RingFault::Forged) }
    }

    pub(crate) fn encode(&self, mac_key: &Secret) -> Vec<u8> {
        let mut out = self.body();
        let tag = cipher::mac(mac_key, &out);
        out.extend_from_slice(&tag);
        out
    }

    /// All but the authentication.
    pub fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.tenants.len() * 160);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        put_root(&mut out, &self.root);
        // Cannot be more: `TENANTS_MAX` is far below.
        out.extend_from_slice(&(self.tenants.len() as u32).to_le_bytes());
        for (tenant, slot) in &self.tenants {
            out.extend_from_slice(tenant.0.as_bytes());
            put_slot(&mut out, slot);
        }
        out
    }
}

fn split(bytes: &[u8]) -> Result<(&[u8], &[u8; MAC_BYTES]), RingFault> {
    if !bytes.starts_with(MAGIC) {
        return Err(RingFault::NotARing);
    }
    bytes.split_last_chunk::<MAC_BYTES>().ok_or(RingFault::Length)
}

fn root(fields: &mut Fields<'_>) -> Result<RootHeader, RingFault> {
    let kind = fields.u8().ok_or(RingFault::Length)?;
    let kind = RootKind::from_code(kind).ok_or(RingFault::Invalid("kind of root key"))?;
    let id = RootId(fields.array().ok_or(RingFault::Length)?);
    let derivation = match kind {
        RootKind::Passphrase => Some(derivation(fields)?),
        RootKind::File | RootKind::Environment | RootKind::Vault => None,
    };
    let wrapped = fields.short(WRAPPED_RING_KEY_BYTES_MAX).ok_or(RingFault::Length)?.to_vec();
    Ok(RootHeader { kind, id, derivation, wrapped })
}

fn derivation(fields: &mut Fields<'_>) -> Result<Derivation, RingFault> {
    let read = |fields: &mut Fields<'_>| {
        Some(Derivation {
            salt: fields.array()?,
            memory_kib: fields.u32()?,
            passes: fields.u32()?,
            lanes: fields.u32()?,
        })
    };
    let read = read(fields).ok_or(RingFault::Length)?;
    // Asked before the authentication can be: a forged ring must not take all memory.
    if read.is_bearable() { Ok(read) } else { Err(RingFault::Invalid("cost of the passphrase")) }
}

fn tenants(fields: &mut Fields<'_>) -> Result<BTreeMap<TenantId, Slot>, RingFault> {
    let count = fields.u32().ok_or(RingFault::Length)? as usize;
    if count > TENANTS_MAX {
        return Err(RingFault::Invalid("number of tenants"));
    }
    let mut tenants = BTreeMap::new();
    for _ in 0..count {
        let id = TenantId(Uuid::from_bytes(fields.array().ok_or(RingFault::Length)?));
        let slot = slot(fields)?;
        if tenants.last_key_value().is_some_and(|(last, _)| *last >= id) {
            return Err(RingFault::Invalid("order of tenants"));
        }
        tenants.insert(id, slot);
    }
    Ok(tenants)
}

fn slot(fields: &mut Fields<'_>) -> Result<Slot, RingFault> {
    match fields.u8().ok_or(RingFault::Length)? {
        SHREDDED => Ok(Slot::Shredded { at: fields.i64().ok_or(RingFault::Length)? }),
        LIVE => live(fields).map(Slot::Live),
        _ => Err(RingFault::Invalid("state of a tenant")),
    }
}

fn live(fields: &mut Fields<'_>) -> Result<Live, RingFault> {
    let index_secret = fields.array().ok_or(RingFault::Length)?;
    let progress = match fields.u8().ok_or(RingFault::Length)? {
        0 => Progress::Settled,
        1 => Progress::Rotating,
        _ => return Err(RingFault::Invalid("progress of a rotation")),
    };
    let table = match fields.u8().ok_or(RingFault::Length)? {
        0 => TablePresence::Absent,
        1 => TablePresence::Present,
        _ => return Err(RingFault::Invalid("mark of a table")),
    };
    let count = usize::from(fields.u16().ok_or(RingFault::Length)?);
    if !(1..=VERSIONS_MAX).contains(&count) {
        return Err(RingFault::Invalid("number of versions"));
    }
    let mut versions: Vec<Version> = Vec::with_capacity(count);
    for _ in 0..count {
        let version = version(fields).ok_or(RingFault::Length)?;
        if versions.last().map_or(0, |last| last.number) >= version.number {
            return Err(RingFault::Invalid("order of versions"));
        }
        versions.push(version);
    }
    Ok(Live { index_secret, progress, table, versions })
}

fn version(fields: &mut Fields<'_>) -> Option<Version> {
    Some(Version { number: fields.u32()?, made_at: fields.i64()?, sealed: fields.array()? })
}

fn put_root(out: &mut Vec<u8>, root: &RootHeader) {
    out.push(root.kind.code());
    out.extend_from_slice(&root.id.0);
    if let Some(derivation) = &root.derivation {
        out.extend_from_slice(&derivation.salt);
        out.extend_from_slice(&derivation.memory_kib.to_le_bytes());
        out.extend_from_slice(&derivation.passes.to_le_bytes());
        out.extend_from_slice(&derivation.lanes.to_le_bytes());
    }
    put_short(out, &root.wrapped);
}

fn put_slot(out: &mut Vec<u8>, slot: &Slot) {
    match slot {
        Slot::Shredded { at } => {
            out.push(SHREDDED);
            out.extend_from_slice(&at.to_le_bytes());
        }
        Slot::Live(live) => {
            out.push(LIVE);
            out.extend_from_slice(&live.index_secret);
            out.push(u8::from(live.progress == Progress::Rotating));
            out.push(u8::from(live.table == TablePresence::Present));
            out.extend_from_slice(&(live.versions.len() as u16).to_le_bytes());
            for version in &live.versions {
                out.extend_from_slice(&version.number.to_le_bytes());
                out.extend_from_slice(&version.made_at.to_le_bytes());
                out.extend_from_slice(&version.sealed);
            }
        }
    }
}
