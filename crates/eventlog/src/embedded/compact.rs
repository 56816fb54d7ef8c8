//! What compaction leaves out of one partition: records whose key has a newer one, and tombstones
//! that have stayed long enough. Hashes of the indexes say where to look; keys decide, so that two
//! keys of one hash never cost a record.
//!
//! ```text
//!  before        | part being rewritten     | after                            | end
//!  K=1 ...       | K=2  L=1  M=gone  L=2    | ... K=3 ...                      |
//!                  ^    ^    ^- stays its time, and while `before` may hold an M
//!                  |    +- L=2 is newer      K=2 goes because of K=3
//! ```

use super::core::Core;
use super::disk::{Trouble, between};
use super::pace::{Pace, Stop};
use super::partition::{KeyHashes, Partition, Span};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use storage::Entry;
use types::batch::RecordView;
use types::{Batch, Offset, TimestampMs};

/// Keys of one partition that one rewrite remembers. Records of further ones stay until the next.
const KEYS_MAX: usize = 2_000_000;
/// How long batches of writers that count are left alone: they show which were sent already.
const SEQUENCES_MS: i64 = 7 * 86_400_000;
/// Stored bytes read at once.
const READ_BYTES_MAX: usize = 1 << 20;

/// A key in 16 bytes, by two hashes with secrets of this process: nobody can make keys that
/// collide, and by chance two do not before there are 2^64.
type Fingerprint = (u64, u64);

/// The part of a partition that is rewritten, and what lies around it.
pub struct Around {
    pub before: Vec<Span>,
    pub part: Vec<Span>,
    pub after: Vec<Span>,
    /// Retention removed what is before this offset.
    pub start: Offset,
}

/// What is known of a partition while a part of it is rewritten.
pub struct Compaction {
    hashers: (RandomState, RandomState),
    /// The newest record of each key that the part holds.
    newest: HashMap<Fingerprint, Offset>,
    /// Tombstones of the part whose time is over, with the hash of their key.
    tombstones: Vec<(Fingerprint, Offset, [u64; 2])>,
    /// Hashes of tombstones whose time is over and which are the newest of their key.
    due: HashSet<u64>,
    /// What follows stays as it is: the partition's newest batch, which shows what offsets were
    /// given, the newest that readers see, and all that is not decided or has ids that only it
    /// shows.
    until: Offset,
    /// Batches of writers that count stay whole from this time on.
    sequences_from: TimestampMs,
    /// Tombstones from this time on stay.
    tombstones_from: TimestampMs,
    pub left: Left,
}

/// What is left in the part that a later rewrite may leave out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Left {
    /// When the last tombstone that stays was written.
    pub tombstone_at: TimestampMs,
    pub tombstone_bytes: u64,
    /// The offset after the last tombstone that went.
    pub tombstones_gone: Offset,
}

impl Compaction {
    /// Learns all it needs to know: reads the part, and of what comes after it the batches that
    /// have newer records of its keys.
    pub fn learn(
        core: &Core,
        partition: &Partition,
        around: &Around,
        pace: &Pace<'_>,
    ) -> Result<Compaction, Stop> {
        let age_ms = i64::try_from(partition.shared.tombstone_ms()).unwrap_or(i64::MAX);
        let mut compaction = Compaction {
            hashers: (RandomState::new(), RandomState::new()),
            newest: HashMap::new(),
            tombstones: Vec::new(),
            due: HashSet::new(),
            until: newest_batch(core, partition)?
                // The last one that readers see stays too: what is behind it may wait for long,
                // and who reads up to the end must come there.
                .min(partition.state.lock().visible.saturating_sub(1))
                .min(core.ids_covered_in(partition)),
            sequences_from: core.world.clock.now_ms().saturating_sub(SEQUENCES_MS),
            tombstones_from: core.world.clock.now_ms().saturating_sub(age_ms),
            left: Left::default(),
        };
        let mut sections = Vec::with_capacity(around.part.len());
        for span in &around.part {
            sections.push(core.keys_of(partition, span)?);
            let entries = core.entries(partition.stream, span)?;
            let wanted = between(&entries, around.start, span.next_offset);
            core.each_batch(partition, wanted, pace, &mut |_, batch| {
                if is_shown(partition, &batch) {
                    batch.views().for_each(|view| compaction.note(core, partition, &view));
                }
                Ok(())
            })?;
        }
        compaction.learn_newer(core, partition, &around.after, &sections, pace)?;
        compaction.find_due(core, partition, around, pace)?;
        Ok(compaction)
    }

    fn learn_newer(
        &mut self,
        core: &Core,
        partition: &Partition,
        after: &[Span],
        sections: &[KeyHashes],
        pace: &Pace<'_>,
    ) -> Result<(), Stop> {
        let is_wanted =
            |hash: u64| sections.iter().any(|it| it.binary_search_by_key(&hash, |k| k.0).is_ok());
        let mut found = HashSet::new();
        for span in after.iter().rev() {
            let keys = core.keys_of(partition, span)?;
            let newer = keys.iter().filter(|(hash, _)| is_wanted(*hash) && found.insert(*hash));
            let mut places = newer.map(|(_, place)| *place).collect::<Vec<_>>();
            places.sort_unstable();
            let visible = partition.state.lock().visible;
            let entries = core.entries(partition.stream, span)?;
            let wanted = entries.iter().filter(|entry| {
                entry.next_offset() <= visible && places.binary_search(&entry.base_offset).is_ok()
            });
            let wanted = wanted.copied().collect::<Vec<_>>();
            core.each_batch(partition, &wanted, pace, &mut |_, batch| {
                if is_shown(partition, &batch) {
                    batch.views().for_each(|view| self.note_known(&view));
                }
                Ok(())
            })?;
            pace.check()?;
        }
        Ok(())
    }

    /// A tombstone may go when no older record of its key would come to light.
    fn find_due(
        &mut self,
        core: &Core,
        partition: &Partition,
        around: &Around,
        pace: &Pace<'_>,
    ) -> Result<(), Stop> {
        // By every hash that an older extent may know a key by, the one it is due under.
        let mut known = HashMap::new();
        for (fingerprint, offset, hashes) in std::mem::take(&mut self.tombstones) {
            if self.newest.get(&fingerprint) == Some(&offset) {
                self.due.insert(hashes[0]);
                known.extend(hashes.map(|hash| (hash, hashes[0])));
            }
        }
        for span in &around.before {
            if self.due.is_empty() {
                break;
            }
            let keys = core.keys_of(partition, span)?;
            for (hash, _) in keys.iter().filter(|(_, place)| *place >= around.start) {
                if let Some(due) = known.get(hash) {
                    self.due.remove(due);
                }
            }
            pace.check()?;
        }
        Ok(())
    }

    fn fingerprint(&self, key: &[u8]) -> Fingerprint {
        (self.hashers.0.hash_one(key), self.hashers.1.hash_one(key))
    }

    fn note(&mut self, core: &Core, partition: &Partition, view: &RecordView<'_>) {
        let Some(key) = view.key else { return };
        let fingerprint = self.fingerprint(key);
        if self.newest.len() >= KEYS_MAX && !self.newest.contains_key(&fingerprint) {
            return;
        }
        self.newest.insert(fingerprint, view.offset);
        let is_old = view.value.is_none() && view.timestamp < self.tombstones_from;
        if is_old && self.tombstones.len() < KEYS_MAX {
            self.tombstones.push((fingerprint, view.offset, core.key_hashes(partition, key)));
        }
    }

    fn note_known(&mut self, view: &RecordView<'_>) {
        let Some(key) = view.key else { return };
        let fingerprint = self.fingerprint(key);
        if let Some(newest) = self.newest.get_mut(&fingerprint) {
            *newest = view.offset.max(*newest);
        }
    }

    /// The batch without what nobody needs; `None` when nothing of it is left.
    pub fn thin(
        &mut self,
        core: &Core,
        partition: &Partition,
        entry: &Entry,
        batch: Arc<Batch>,
    ) -> Option<Arc<Batch>> {
        if entry.next_offset() > self.until || self.tells_sequence(&batch) {
            return Some(batch);
        }
        let mut left = self.left;
        let thinned = batch.thinned(|view| self.stays(core, partition, view, &mut left));
        let thinned = match thinned {
            // Its writer compressed it better than we do: it stays until more of it can go.
            Some(thinned) if thinned.bytes().len() > batch.bytes().len() => {
                left.tombstones_gone = self.left.tombstones_gone;
                Some(batch)
            }
            thinned => thinned.map(Arc::new),
        };
        self.left = left;
        thinned
    }

    /// Whether the batch tells how far its writer has counted, for as long as that matters.
    fn tells_sequence(&self, batch: &Batch) -> bool {
        let counts = batch.stamp().is_some_and(|stamp| stamp.sequence.is_some());
        counts && batch.max_timestamp() >= self.sequences_from
    }

    fn stays(
        &self,
        core: &Core,
        partition: &Partition,
        view: &RecordView<'_>,
        left: &mut Left,
    ) -> bool {
        // Without a key nothing can be newer: such records are from before the topic was compacted.
        let Some(key) = view.key else { return true };
        let Some(newest) = self.newest.get(&self.fingerprint(key)) else { return true };
        if *newest > view.offset {
            return false;
        }
        if view.value.is_some() {
            return true;
        }
        let is_due = view.timestamp < self.tombstones_from
            && self.due.contains(&core.key_hash(partition, key));
        if is_due {
            left.tombstones_gone = left.tombstones_gone.max(view.offset + 1);
            return false;
        }
        left.tombstone_at = left.tombstone_at.max(view.timestamp);
        left.tombstone_bytes += key.len() as u64;
        true
    }
}

/// Whether readers see the batch. What was given up with its transaction tells nothing of a key,
/// and what is undecided tells nothing yet.
fn is_shown(partition: &Partition, batch: &Batch) -> bool {
    let state = partition.state.lock();
    batch.next_offset() <= state.visible && !state.hidden.holds(batch.base_offset())
}

/// Is shown a stored batch, and where it lies.
pub type Each<'a> = dyn FnMut(&Entry, Arc<Batch>) -> Result<(), Stop> + 'a;

/// Where the partition's newest stored batch begins.
fn newest_batch(core: &Core, partition: &Partition) -> Result<Offset, Stop> {
    let newest = partition.state.lock().spans.back().copied();
    let Some(span) = newest else { return Ok(0) };
    let entries = core.entries(partition.stream, &span)?;
    // Batches stored since only make more of the partition compactable.
    Ok(entries.last().map_or(0, |entry| entry.base_offset))
}

impl Core {
    /// The hash by which the indexes know a key of the partition.
    pub fn key_hash(&self, partition: &Partition, key: &[u8]) -> u64 {
        // Whoever holds a key of the partition has just opened its batch.
        self.unlock(&partition.shared).unwrap_or_default().hash(key)
    }

    /// Every hash by which they may know it: an extent from before the log was encrypted has
    /// others.
    pub fn key_hashes(&self, partition: &Partition, key: &[u8]) -> [u64; 2] {
        self.unlock(&partition.shared).unwrap_or_default().hashes(key)
    }

    /// Sorted key hashes of what the extent holds of the partition.
    pub fn keys_of(&self, partition: &Partition, span: &Span) -> Result<KeyHashes, Trouble> {
        let keys = self.store.keys(span.extent, partition.stream)?;
        // Entries know their generation: were these another's, they would be now.
        self.entries(partition.stream, span)?;
        Ok(keys)
    }

    /// Shows the batches of the entries one after the other, no faster than the pace allows.
    pub fn each_batch(
        &self,
        partition: &Partition,
        mut entries: &[Entry],
        pace: &Pace<'_>,
        each: &mut Each<'_>,
    ) -> Result<(), Stop> {
        while !entries.is_empty() {
            let chunk = super::disk::take_bytes(entries, READ_BYTES_MAX);
            let batches = self.batches(partition.stream, chunk)?;
            // The next turn goes on behind them, or says what is wrong there.
            let chunk = chunk.get(..batches.len()).unwrap_or(chunk);
            pace.spend(chunk.iter().map(|entry| u64::from(entry.location.len)).sum())?;
            for (entry, batch) in chunk.iter().zip(batches) {
                each(entry, batch)?;
            }
            entries = entries.get(chunk.len()..).unwrap_or_default();
        }
        Ok(())
    }
}
