//! The keys of a topic in byte order. A listing is made by reading the topic once, kept while
//! memory allows, and brought up to date by reading only what came since. When a topic has more
//! keys than fit, the listing is a window: the first of them after some key.

use super::core::Core;
use super::disk::{Reading, Trouble};
use super::topic::Topic;
use crate::{LogError, Pending};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::future::ready;
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;
use types::limits::READ_RECORDS_MAX;
use types::{Batch, Key, Offset, TopicId};

/// Bytes read at once while listing.
const SCAN_BYTES_MAX: usize = 1 << 20;
/// Windows made for one answer at most; each goes on where the one before ended.
const WINDOWS_MAX: usize = 64;
/// What a key takes beside its bytes, about.
const KEY_HOLDERS_BYTES: usize = 120;

pub struct Directory {
    bytes_max: usize,
    listings: Mutex<HashMap<TopicId, Slot>>,
}

/// Whether a listing has read every tombstone of a key it holds, or compaction was there first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tombstones {
    Seen,
    Missed,
}

#[derive(Default)]
struct Slot {
    listing: Arc<tokio::sync::Mutex<Listing>>,
    bytes: usize,
}

/// Keys that hold a value, from `start` up to `cut`.
#[derive(Default)]
struct Listing {
    /// The least key that belongs here.
    start: Vec<u8>,
    /// Keys from here on did not fit.
    cut: Option<Bytes>,
    /// Where each key's newest record is.
    keys: BTreeMap<Bytes, (types::Partition, Offset)>,
    bytes: usize,
    /// By partition, what has been read.
    read: HashMap<types::Partition, Offset>,
    /// By partition, the oldest record kept when it was last looked at.
    kept: Vec<Offset>,
}

impl Directory {
    pub fn new(bytes_max: usize) -> Directory {
        Directory { bytes_max, listings: Mutex::default() }
    }

    pub fn forget(&self, topic: TopicId) {
        self.listings.lock().remove(&topic);
    }

    fn listing(&self, topic: TopicId) -> Arc<tokio::sync::Mutex<Listing>> {
        Arc::clone(&self.listings.lock().entry(topic).or_default().listing)
    }

    /// Counts the topic's listing and drops those of other topics while all are too large.
    fn account(&self, topic: TopicId, bytes: usize) {
        let mut listings = self.listings.lock();
        if let Some(slot) = listings.get_mut(&topic) {
            slot.bytes = bytes;
        }
        let mut total = listings.values().map(|slot| slot.bytes).sum::<usize>();
        listings.retain(|id, slot| {
            let stays = *id == topic || total <= self.bytes_max;
            total -= if stays { 0 } else { slot.bytes };
            stays
        });
    }
}

impl Core {
    pub fn keys(
        self: &Arc<Self>,
        topic: TopicId,
        after: Option<Key>,
        limit: usize,
    ) -> Pending<(Vec<Key>, bool)> {
        let found = if self.is_closed() { Err(LogError::Closed) } else { self.topics.get(topic) };
        let found = found.and_then(|found| self.unlock(&found.shared).map(|_| found));
        let found = match found {
            Ok(found) => found,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let limit = limit.clamp(1, READ_RECORDS_MAX);
        let core = Arc::clone(self);
        Box::pin(async move {
            // One reader per topic; the others profit from what it has read.
            let listing = core.directory.listing(topic).lock_owned().await;
            let listing = Mutex::new(listing);
            let list =
                move |core: &Core| core.list(&found, &mut listing.lock(), after.as_ref(), limit);
            core.blocking(Reading::Scan, list).await
        })
    }

    fn list(
        &self,
        topic: &Topic,
        listing: &mut OwnedMutexGuard<Listing>,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<(Vec<Key>, bool), Trouble> {
        // The least key after `after` is the same with a zero byte behind it.
        let mut start = after.map_or_else(Vec::new, |after| [after.bytes(), &[0][..]].concat());
        for _ in 0..WINDOWS_MAX {
            if !listing.covers(&start) {
                **listing = Listing { start: start.clone(), ..Listing::default() };
            }
            listing.forget_removed(topic);
            if self.catch_up(topic, listing)? == Tombstones::Missed {
                // Begun anew, nothing is missed: what is left out then has no older record either.
                **listing = Listing { start: start.clone(), ..Listing::default() };
                return Err(Trouble::Moved);
            }
            self.directory.account(topic.shared.id, listing.bytes);
            let mut keys = listing.page(&start, limit + 1);
            let has_more = listing.cut.is_some() || keys.len() > limit;
            match &listing.cut {
                // All there was of this window has been removed again: on to the next.
                Some(cut) if keys.is_empty() => start = cut.to_vec(),
                _ => {
                    keys.truncate(limit);
                    return Ok((keys, has_more));
                }
            }
        }
        Err(Trouble::Log(LogError::Busy))
    }

    /// Reads what the partitions got since the listing was last brought up to date.
    fn catch_up(&self, topic: &Topic, listing: &mut Listing) -> Result<Tombstones, Trouble> {
        for partition in &topic.partitions {
            let gone_before = partition.state.lock().tombstones_gone;
            let end = partition.bounds().end;
            let number = partition.stream.partition;
            let mut from = listing.read.get(&number).copied().unwrap_or(0);
            let has_missed = from > 0 && from < gone_before;
            while from < end {
                from = from.max(partition.bounds().start);
                let batches = match self.read_any(partition, from, SCAN_BYTES_MAX) {
                    Err(Trouble::Log(LogError::OffsetGone { .. })) => continue,
                    other => other?,
                };
                let Some(last) = batches.last() else { break };
                from = last.next_offset();
                for batch in &batches {
                    listing.add(number, batch, self.directory.bytes_max);
                }
                listing.read.insert(number, from);
            }
            if has_missed || partition.state.lock().tombstones_gone > gone_before {
                return Ok(Tombstones::Missed);
            }
        }
        Ok(Tombstones::Seen)
    }
}

impl Listing {
    fn covers(&self, start: &[u8]) -> bool {
        self.start[..] <= *start && self.is_before_cut(start)
    }

    fn is_before_cut(&self, key: &[u8]) -> bool {
        self.cut.as_ref().is_none_or(|cut| *key < **cut)
    }

    /// Drops keys whose newest record retention has removed.
    fn forget_removed(&mut self, topic: &Topic) {
        let kept = topic.partitions.iter().map(|p| p.bounds().start).collect::<Vec<_>>();
        if kept == self.kept {
            return;
        }
        let bytes = &mut self.bytes;
        self.keys.retain(|key, (partition, offset)| {
            let stays = kept.get(*partition as usize).is_some_and(|start| *offset >= *start);
            *bytes -= if stays { 0 } else { memory_bytes(key) };
            stays
        });
        self.kept = kept;
    }

    fn add(&mut self, partition: types::Partition, batch: &Batch, bytes_max: usize) {
        for view in batch.views() {
            let Some(key) = view.key else { continue };
            if *key < self.start[..] || !self.is_before_cut(key) {
                continue;
            }
            if view.value.is_none() {
                self.bytes -= self.keys.remove(key).map_or(0, |_| memory_bytes(key));
            } else if let Some(place) = self.keys.get_mut(key) {
                *place = (partition, view.offset);
            } else {
                // Copied, since a slice would keep the whole read in memory.
                self.keys.insert(Bytes::copy_from_slice(key), (partition, view.offset));
                self.bytes += memory_bytes(key);
                self.cut_to(bytes_max);
            }
        }
    }

    /// Drops the last keys while there is too much, so that those before stay complete.
    fn cut_to(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max && self.keys.len() > 1 {
            let Some((key, _)) = self.keys.pop_last() else { return };
            self.bytes -= memory_bytes(&key);
            self.cut = Some(key);
        }
    }

    fn page(&self, start: &[u8], limit: usize) -> Vec<Key> {
        self.keys
            .range::<[u8], _>((Bound::Included(start), Bound::Unbounded))
            // A batch holds no key that is too long.
            .filter_map(|(key, _)| Key::new(key.clone()).ok())
            .take(limit)
            .collect()
    }
}

fn memory_bytes(key: &[u8]) -> usize {
    key.len() + KEY_HOLDERS_BYTES
}
