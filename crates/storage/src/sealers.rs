//! The writer's side of encryption: which key seals which frame of the open extent, and the key
//! frames that go with a commit so that every sealed frame's key is durable no later than itself.
//!
//! ```text
//! commit 4 | key 1 of tenant a | frame of a | frame of a |
//! commit 5 | key 1 again | key 2 of tenant b | frame of b | frame of a |
//! ```
//! The second copy, in the commit after the first, is there because without its key all that a
//! tenant has in the extent is lost: one flipped bit must not do that.

use crate::cipher::{Cipher, NONCE_BYTES, TAG_BYTES};
use crate::layout::frame::Cover;
use crate::layout::key::{self, KEY_FRAME_BYTES};
use crate::{DataKeys, ExtentRef, Frame, KeyError, StoreError};
use std::collections::HashMap;
use std::sync::Arc;
use types::TenantId;

/// The data keys of one open extent, in memory only.
pub struct Sealers {
    keys: Arc<dyn DataKeys>,
    extent: ExtentRef,
    /// Of the keys when the sealers were made.
    epoch: u64,
    by_tenant: HashMap<TenantId, usize>,
    sealers: Vec<Sealer>,
    /// How many of them have a key frame that is durable.
    durable: usize,
    /// Rises also over commits that were refused, so that no number names two keys.
    number_next: u64,
    /// Key frames that are durable once.
    repeats: Vec<Frame>,
    /// Of the commit being made: its key frames, those just made last, and each frame's sealer.
    key_frames: Vec<Frame>,
    slots: Vec<usize>,
}

struct Sealer {
    cipher: Cipher,
    number: u64,
    /// Goes on over commits that were refused: what they held is never sealed again, other bytes
    /// under the same number would be.
    nonce_next: u64,
}

impl Sealers {
    pub fn new(keys: Arc<dyn DataKeys>, extent: ExtentRef) -> Sealers {
        Sealers {
            epoch: keys.epoch(),
            keys,
            extent,
            by_tenant: HashMap::new(),
            sealers: Vec::new(),
            durable: 0,
            number_next: 1,
            repeats: Vec::new(),
            key_frames: Vec::new(),
            slots: Vec::new(),
        }
    }

    /// Drops keys that changed since, before a commit is measured.
    pub fn refresh(&mut self) {
        let epoch = self.keys.epoch();
        if epoch != self.epoch {
            self.forget();
            self.epoch = epoch;
        }
    }

    /// What sealing these frames adds at most to a commit, in frames and in bytes.
    pub fn extra(&self, frames: &[Frame]) -> (usize, usize) {
        let mut last = None;
        let mut is_new = |frame: &&Frame| {
            let is_other = last.replace(frame.tenant) != Some(frame.tenant);
            is_other && !self.by_tenant.contains_key(&frame.tenant)
        };
        let key_frames = frames.iter().filter(|frame| is_new(frame)).count() + self.repeats.len();
        (key_frames, frames.len() * TAG_BYTES + key_frames * KEY_FRAME_BYTES)
    }

    /// Finds or makes the key of each frame, no more of them than `extra` said since the last
    /// `refresh`. `NoKey` names the first tenant that has none.
    pub fn plan(&mut self, frames: &[Frame]) -> Result<(), StoreError> {
        self.key_frames.clear();
        self.key_frames.extend_from_slice(&self.repeats);
        self.slots.clear();
        let mut last = None;
        for frame in frames {
            let slot = match last {
                Some((tenant, slot)) if tenant == frame.tenant => slot,
                _ => self.slot(frame.tenant)?,
            };
            last = Some((frame.tenant, slot));
            self.slots.push(slot);
        }
        Ok(())
    }

    fn slot(&mut self, tenant: TenantId) -> Result<usize, StoreError> {
        if let Some(&slot) = self.by_tenant.get(&tenant) {
            return Ok(slot);
        }
        let made = self.make(tenant);
        made.map_err(|error| {
            let extent = self.extent.id;
            self.settle_refused();
            StoreError::NoKey { tenant: Some(tenant), extent, error }
        })
    }

    fn make(&mut self, tenant: TenantId) -> Result<usize, KeyError> {
        let (data_key, wrapped) = self.keys.make(tenant, self.extent)?;
        let (cipher, number) = (Cipher::new(&data_key)?, self.number_next);
        self.number_next += 1;
        self.key_frames.push(key::frame(number, &wrapped));
        let slot = self.sealers.len();
        self.sealers.push(Sealer { cipher, number, nonce_next: 0 });
        self.by_tenant.insert(tenant, slot);
        Ok(slot)
    }

    /// The key frames of the commit planned.
    pub fn key_frames(&self) -> &[Frame] {
        &self.key_frames
    }

    /// With what the commit's frame at `index` is sealed. Each call uses up a nonce.
    pub fn cover(&mut self, index: usize) -> Option<Cover<'_>> {
        let slot = *self.slots.get(index)?;
        let sealer = self.sealers.get_mut(slot)?;
        let mut nonce = [0; NONCE_BYTES];
        let (counter, _) = nonce.split_first_chunk_mut()?;
        *counter = sealer.nonce_next.to_le_bytes();
        sealer.nonce_next += 1;
        Some(Cover { cipher: &sealer.cipher, key_id: sealer.number, nonce })
    }

    /// The commit planned is durable.
    pub fn settle(&mut self) {
        self.durable = self.sealers.len();
        let made = self.key_frames.split_off(self.repeats.len().min(self.key_frames.len()));
        self.repeats = made;
    }

    /// Nothing of the commit planned is on disk: keys made for it are not either.
    pub fn settle_refused(&mut self) {
        let durable = self.durable;
        self.sealers.truncate(durable);
        self.by_tenant.retain(|_, slot| *slot < durable);
        self.key_frames.clear();
        self.slots.clear();
    }

    /// Drops every key. Those on disk stay, and so do copies that are still to be written.
    fn forget(&mut self) {
        self.sealers.clear();
        self.by_tenant.clear();
        self.durable = 0;
    }
}
