//! Reading sealed frames: finding the key a frame names, in the extent the frame lies in, and
//! opening the body with it. The checksum is checked before any key is asked for, so that damage
//! is told from a key that is not there.

use crate::cipher::Cipher;
use crate::extent::{Extent, Knowledge};
use crate::layout::frame::{self, FrameHeader};
use crate::layout::key::{self, KEY_STREAM};
use crate::{
    Entry, ExtentId, ExtentRef, KeyError, Location, Store, StoreError, StreamId, WrappedKey, read,
};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use types::TenantId;

/// The key of the last frame read: neighbours mostly have the same.
#[derive(Default)]
pub struct LastKey(Option<(u64, Arc<Cipher>)>);

impl Store {
    /// Where in the frame at `position`, whose bytes these are, its plain body lies from now on.
    pub(crate) fn body(
        &self,
        extent: &Extent,
        stream: StreamId,
        position: u32,
        frame: &mut [u8],
        last: &mut LastKey,
    ) -> Result<Range<usize>, StoreError> {
        let header = read::check(extent, stream, position, frame)?;
        if header.key_id == 0 {
            return Ok(header.body_start() as usize..frame.len());
        }
        let cipher = match &last.0 {
            Some((number, cipher)) if *number == header.key_id => Arc::clone(cipher),
            _ => self.cipher(extent, &header)?,
        };
        let body = frame::unseal(&header, frame, &cipher);
        last.0 = Some((header.key_id, cipher));
        let unfit = || extent.damaged(u64::from(position), "a sealed frame does not open");
        body.ok_or_else(unfit)
    }

    fn cipher(&self, extent: &Extent, header: &FrameHeader) -> Result<Arc<Cipher>, StoreError> {
        self.inner
            .vault
            .cipher(extent.reference(), header.key_id, || self.wrapped_key(extent, header.key_id))
    }

    /// The first whole copy of the key with that number.
    fn wrapped_key(&self, extent: &Extent, number: u64) -> Result<WrappedKey, StoreError> {
        let lost = || {
            let error = KeyError::Unavailable("its key frame is not there or damaged".to_owned());
            StoreError::NoKey { tenant: None, extent: extent.id, error }
        };
        let entries = self.key_entries(extent.id)?;
        let first = entries.partition_point(|entry| entry.base_offset < number);
        let copies = entries.iter().skip(first).take_while(|entry| entry.base_offset == number);
        let mut whole = copies.filter_map(|entry| self.read_key(entry.location).ok());
        whole.next().ok_or_else(lost)
    }

    fn read_key(&self, location: Location) -> Result<WrappedKey, StoreError> {
        let body = self.read(location, KEY_STREAM)?;
        let position = u64::from(location.position);
        let reason = "a key frame holds no key";
        let flaw = StoreError::Damaged { extent: location.extent, position, reason };
        key::decode(&body).ok_or(flaw)
    }

    fn key_entries(&self, extent: ExtentId) -> Result<Arc<[Entry]>, StoreError> {
        match self.entries(extent, KEY_STREAM) {
            Err(StoreError::NotFound(_)) => Ok(Arc::default()),
            entries => entries,
        }
    }

    /// Whether the extent's frames are sealed: an extent holds either sealed ones or plain ones.
    /// False also when that cannot be told. Blocking when the footer is not cached.
    pub fn is_sealed(&self, extent: ExtentRef) -> bool {
        let found = self.inner.current(extent.id).filter(|found| found.reference() == extent);
        let Some(found) = found else { return false };
        let trailer = match &*found.knowledge.read() {
            Knowledge::Live { index, .. } => return index.get(&KEY_STREAM).is_some(),
            Knowledge::Sealed(trailer) => *trailer,
        };
        self.inner.footers.holds(&self.inner.device, &found, &trailer, KEY_STREAM)
    }

    /// Every use of an extent there is, oldest first. From memory.
    pub fn extents(&self) -> Vec<ExtentRef> {
        let id =
            |found: &Arc<Extent>| ExtentRef { id: found.id, generation: found.seal.generation };
        let mut extents: Vec<_> = self.inner.extents.read().values().map(id).collect();
        extents.sort_unstable_by_key(|extent| extent.generation);
        extents
    }

    /// Shows every data key as it is wrapped in its extent, newest extent first, until `visit`
    /// breaks off. Blocking: reads each extent's key frames. An extent released meanwhile is left
    /// out, and so is a key of which no copy is whole, since no frame can be read with it.
    pub fn each_key(
        &self,
        visit: &mut dyn FnMut(ExtentRef, &WrappedKey) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        for extent in self.extents().into_iter().rev() {
            if self.visit_keys(extent, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn visit_keys(
        &self,
        extent: ExtentRef,
        visit: &mut dyn FnMut(ExtentRef, &WrappedKey) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut number_last = 0;
        for entry in self.key_entries(extent.id)?.iter() {
            let is_of_extent = entry.location.generation == extent.generation;
            if entry.base_offset == number_last || !is_of_extent {
                continue;
            }
            match self.read_key(entry.location) {
                Ok(wrapped) => {
                    number_last = entry.base_offset;
                    if visit(extent, &wrapped).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Err(StoreError::Recycled(_)) => break,
                Err(StoreError::Damaged { position, reason, .. }) => {
                    tracing::error!(extent = %extent.id, position, reason, "a key is damaged");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The tenant's data keys in all extents, oldest extent first; see `each_key`.
    pub fn wrapped_keys(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<(ExtentRef, WrappedKey)>, StoreError> {
        let mut found = Vec::new();
        self.each_key(&mut |extent, wrapped| {
            found.extend((wrapped.tenant == tenant).then_some((extent, *wrapped)));
            ControlFlow::Continue(())
        })?;
        // Stable, so that the keys of one extent stay in their order.
        found.sort_by_key(|(extent, _)| extent.generation);
        Ok(found)
    }

    /// Drops every opened data key kept for reading; the writer drops its own with the next
    /// commit. For whoever has just shredded a tenant, so that no key stays in memory because
    /// nobody asks. Reading is refused from the moment the keys' epoch rose, with or without this.
    pub fn forget_keys(&self) {
        self.inner.vault.forget();
        self.wake();
    }
}
