//! One entry or one key hash of a sealed extent, without reading its whole footer: the fences say
//! which page of it to read. What is read is checked as everything else is.

use crate::device::Device;
use crate::extent::{Extent, Knowledge};
use crate::layout::footer::{
    self, DirectoryRow, ENTRIES_PER_FENCE, ENTRY_BYTES, FENCE_BYTES, Fence, KEY_BYTES,
    KEYS_PER_FENCE,
};
use crate::layout::trailer::Trailer;
use crate::read::{Footers, Section};
use crate::{Entry, ExtentRef, Store, StoreError, StreamId};
use std::sync::Arc;
use types::Offset;

/// Parts of the entries answered at once: a reader goes on from there.
const PARTS_MAX: usize = 8;

/// The fences of one stream's section.
pub struct Fences {
    row: DirectoryRow,
    entries: Vec<Fence>,
    keys: Vec<Fence>,
}

impl Fences {
    pub fn read(
        device: &Device,
        extent: &Extent,
        trailer: &Trailer,
        row: DirectoryRow,
    ) -> Result<Fences, StoreError> {
        let at = row.fences_at() as u64;
        let bytes = section_part(device, extent, trailer, &row, at, row.fences() * FENCE_BYTES)?;
        let whole = footer::decode_fences(&bytes, extent.seal.salt, &row);
        let (entries, keys) =
            whole.ok_or_else(|| extent.damaged(trailer.footer_at + at, "fences are not whole"))?;
        Ok(Fences { row, entries, keys })
    }

    pub fn weight(&self) -> u64 {
        ((self.entries.len() + self.keys.len()) * size_of::<Fence>() + size_of::<Fences>()) as u64
    }

    fn key(
        &self,
        device: &Device,
        extent: &Extent,
        trailer: &Trailer,
        hash: u64,
    ) -> Result<Option<Offset>, StoreError> {
        let Some(index) = self.keys.partition_point(|fence| fence.0 <= hash).checked_sub(1) else {
            return Ok(None);
        };
        let at = (self.row.keys_at() + index * KEYS_PER_FENCE * KEY_BYTES) as u64;
        let rest = (self.row.keys as usize).saturating_sub(index * KEYS_PER_FENCE);
        let len = rest.min(KEYS_PER_FENCE) * KEY_BYTES;
        let bytes = section_part(device, extent, trailer, &self.row, at, len)?;
        let crc = self.keys.get(index).map_or(0, |fence| fence.1);
        let keys = footer::decode_keys(&bytes, extent.seal.salt, crc);
        let keys =
            keys.ok_or_else(|| extent.damaged(trailer.footer_at + at, "key hashes are not whole"))?;
        let found = keys.binary_search_by_key(&hash, |(hash, _)| *hash).ok();
        Ok(found.and_then(|found| keys.get(found)).map(|(_, offset)| *offset))
    }

    /// Entries from the one that holds `from`, or the next one, on: some of them, at least one if
    /// there is any.
    fn entries_from(
        &self,
        device: &Device,
        extent: &Extent,
        trailer: &Trailer,
        from: Offset,
    ) -> Result<Vec<Entry>, StoreError> {
        let before = self.entries.partition_point(|fence| fence.0 <= from);
        let first = before.saturating_sub(1);
        let parts = self.entries.get(first..).unwrap_or_default();
        let mut entries = Vec::new();
        for (index, fence) in (first..).zip(parts).take(PARTS_MAX) {
            let at = (index * ENTRIES_PER_FENCE * ENTRY_BYTES) as u64;
            let rest = (self.row.frames as usize).saturating_sub(index * ENTRIES_PER_FENCE);
            let len = rest.min(ENTRIES_PER_FENCE) * ENTRY_BYTES;
            let bytes = section_part(device, extent, trailer, &self.row, at, len)?;
            let rows = footer::decode_entries(&bytes, extent.seal.salt, fence.1);
            let rows = rows
                .ok_or_else(|| extent.damaged(trailer.footer_at + at, "entries are not whole"))?;
            let (id, generation) = (extent.id, extent.seal.generation);
            entries.extend(rows.iter().map(|row| row.entry(id, generation)));
        }
        Ok(entries)
    }
}

/// A part of the stream's section in the footer.
fn section_part(
    device: &Device,
    extent: &Extent,
    trailer: &Trailer,
    row: &DirectoryRow,
    at: u64,
    len: usize,
) -> Result<Vec<u8>, StoreError> {
    let at = u64::from(row.section_at) + at;
    if at + len as u64 > trailer.footer_bytes {
        return Err(extent.damaged(trailer.footer_at + at, "a footer's section is not whole"));
    }
    extent.read_exact(device, len, trailer.footer_at + at)
}

/// Where to look.
enum Place {
    /// All of the stream's section, from memory or read anew.
    Whole(Section),
    Fenced(Arc<Fences>, Trailer),
}

impl Store {
    /// The base offset of the newest frame of the stream in that extent that has the key hash.
    /// Blocking.
    pub fn find_key(
        &self,
        extent: ExtentRef,
        stream: StreamId,
        hash: u64,
    ) -> Result<Option<Offset>, StoreError> {
        let found = self.sealed_or_not(extent)?;
        let in_section = |keys: &[(u64, Offset)]| {
            let at = keys.binary_search_by_key(&hash, |(hash, _)| *hash).ok();
            at.and_then(|at| keys.get(at)).map(|(_, offset)| *offset)
        };
        match self.place(&found, stream)? {
            Place::Whole((_, keys)) => Ok(in_section(&keys)),
            Place::Fenced(fences, trailer) => {
                let device = &self.inner.device;
                match fences.key(device, &found, &trailer, hash) {
                    Err(StoreError::Damaged { .. }) => {
                        Ok(in_section(&self.keys(extent.id, stream)?))
                    }
                    other => other,
                }
            }
        }
    }

    /// Entries of the stream in that extent from the one that holds `from`, or the next, on:
    /// perhaps not all of them, but at least one if there is any. Earlier ones may come with them.
    /// Blocking.
    pub fn entries_from(
        &self,
        extent: ExtentRef,
        stream: StreamId,
        from: Offset,
    ) -> Result<Arc<[Entry]>, StoreError> {
        let found = self.sealed_or_not(extent)?;
        match self.place(&found, stream)? {
            Place::Whole((entries, _)) => Ok(entries),
            Place::Fenced(fences, trailer) => {
                let device = &self.inner.device;
                match fences.entries_from(device, &found, &trailer, from) {
                    Err(StoreError::Damaged { .. }) => self.entries(extent.id, stream),
                    other => other.map(Arc::from),
                }
            }
        }
    }

    fn sealed_or_not(&self, extent: ExtentRef) -> Result<Arc<Extent>, StoreError> {
        let found = self.inner.current(extent.id).ok_or(StoreError::NotFound(extent.id))?;
        match found.seal.generation == extent.generation {
            true => Ok(found),
            false => Err(StoreError::Recycled(extent.id)),
        }
    }

    fn place(&self, extent: &Arc<Extent>, stream: StreamId) -> Result<Place, StoreError> {
        let trailer = match &*extent.knowledge.read() {
            Knowledge::Sealed(trailer) => Some(*trailer),
            Knowledge::Live { .. } => None,
        };
        let whole =
            || Ok(Place::Whole((self.entries(extent.id, stream)?, self.keys(extent.id, stream)?)));
        let Some(trailer) = trailer else { return whole() };
        let footers: &Footers = &self.inner.footers;
        if let Some(section) = footers.cached(extent, stream) {
            return Ok(Place::Whole(section));
        }
        match footers.fences(&self.inner.device, extent, &trailer, stream) {
            Ok(Some(fences)) => Ok(Place::Fenced(fences, trailer)),
            // Written before there were fences, or they are not whole: the section says it too.
            Ok(None) | Err(StoreError::Damaged { .. }) => whole(),
            Err(error) => Err(error),
        }
    }
}
