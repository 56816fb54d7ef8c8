//! What is worth rewriting: extents that hold much nobody needs, small ones that fit together, and
//! cold ones in which partitions lie mixed in small batches. It only looks and decides.

use super::core::Core;
use super::disk::{Trouble, between};
use super::partition::{Partition, Span};
use super::rewrite::JOINED_BYTES_MAX;
use std::collections::{HashMap, HashSet};
use storage::{ExtentRef, REWRITE_EXTENTS_MAX, SealedExtent, StreamId};
use types::TimestampMs;

/// A run gives back at least this part of an extent's size.
const GAIN_SHARE: u64 = 64;
/// Extents with files below this part of an extent's size are small.
const SMALL_SHARE: u64 = 8;
/// So many small ones in a row are joined.
const SMALL_EXTENTS_MIN: usize = 4;
/// Frames are small when there are this many times as many as there need be.
const FRAGMENTS_MIN: u64 = 4;
/// What goes by age this soon is not laid in order before.
const EXPIRES_SOON_MS: i64 = 3_600_000;
/// Key hashes one estimate remembers; beyond it older records count as needed.
const HASHES_MAX: usize = 4_000_000;
/// What a commit of the new extent adds, padding included, for so many bytes of frames.
const COMMIT_BYTES: u64 = 4_096 + 64;
const FRAMES_PER_COMMIT_BYTES: u64 = 256 << 10;
/// What the two copies of a tenant's wrapped key take at most.
const WRAPPED_KEYS_BYTES: u64 = 1 << 10;

/// Neighbouring extents that become one.
#[derive(Debug)]
pub struct Run {
    pub extents: Vec<SealedExtent>,
    /// What the new extent takes at most.
    pub bytes_max: u64,
    score: f64,
}

/// What the collector remembers from one look to the next.
#[derive(Default)]
pub struct Planner {
    /// Of each compacted partition: the extents looked at, and what of each is needed.
    estimates: HashMap<StreamId, Vec<(ExtentRef, u64)>>,
    /// What seemed to be of no use in an extent right after it was written, and was not.
    stubborn: HashMap<ExtentRef, u64>,
    /// Extents that could not be rewritten; not tried again before the next start.
    failed: HashSet<ExtentRef>,
}

/// What is needed of one extent.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    /// Bytes of frames that count, as far as anybody can tell without reading them.
    live_bytes: u64,
    /// As above, without the guess of what compaction leaves out.
    kept_bytes: u64,
    expires_soon_bytes: u64,
}

type Uses = HashMap<ExtentRef, Use>;

impl Planner {
    /// The run most worth it, if one is worth it at all.
    pub fn plan(&mut self, core: &Core) -> Option<Run> {
        let sealed = core.store.sealed();
        let uses = self.uses(core, &sealed);
        let whole = sealed.iter().filter(|it| it.is_whole);
        let (mut live_bytes, mut dead_bytes) = (0, 0);
        for extent in whole {
            live_bytes += self.live_bytes(core, extent, &uses);
            dead_bytes += self.dead_bytes(core, extent, &uses);
        }
        core.figures.looked(live_bytes, dead_bytes, core.world.clock.now_ms());
        let known = sealed.iter().map(|it| it.extent).collect::<HashSet<_>>();
        self.stubborn.retain(|extent, _| known.contains(extent));
        self.failed.retain(|extent| known.contains(extent));
        let runs =
            (0..sealed.len()).filter_map(|first| self.best_from(core, &sealed[first..], &uses));
        runs.max_by(|left, right| left.score.total_cmp(&right.score))
    }

    /// The best run that begins with the first of these.
    fn best_from(&self, core: &Core, sealed: &[SealedExtent], uses: &Uses) -> Option<Run> {
        let extent_bytes = u64::from(core.options.store.extent_bytes);
        let usable = |it: &&SealedExtent| it.is_whole && !self.failed.contains(&it.extent);
        let (mut live_bytes, mut dead_bytes, mut bytes_max) = (0, 0, COMMIT_BYTES);
        let mut best: Option<Run> = None;
        for (index, extent) in sealed.iter().take_while(usable).enumerate() {
            let live = self.live_bytes(core, extent, uses);
            live_bytes += live;
            dead_bytes += self.dead_bytes(core, extent, uses);
            bytes_max += output_bytes_max(extent, uses);
            if live_bytes > extent_bytes || index >= REWRITE_EXTENTS_MAX {
                break;
            }
            let extents = sealed.get(..=index).unwrap_or_default();
            let is_gain = dead_bytes >= extent_bytes / GAIN_SHARE
                && dead_bytes * 100
                    >= (live_bytes + dead_bytes) * core.options.collect.dead_percent_min;
            let score = if is_gain {
                dead_bytes as f64 / (live_bytes + extent_bytes / GAIN_SHARE) as f64
            } else if are_small(extents, extent_bytes) {
                0.01
            } else if index == 0 && is_mixed(core, extent, uses) {
                0.005
            } else {
                continue;
            };
            if best.as_ref().is_none_or(|best| score > best.score) {
                best = Some(Run { extents: extents.to_vec(), bytes_max, score });
            }
        }
        best
    }

    pub fn failed(&mut self, run: &Run) {
        self.failed.extend(run.extents.iter().map(|it| it.extent));
    }

    /// What still seems to be of no use in what was just written is not: the guess is wrong.
    pub fn done(&mut self, core: &Core, run: &Run) {
        let order = run.extents.iter().map(|it| it.order).max();
        let sealed = core.store.sealed();
        let uses = self.uses(core, &sealed);
        for extent in sealed.iter().filter(|it| it.is_rewritten && Some(it.order) == order) {
            self.stubborn.remove(&extent.extent);
            let dead_bytes = self.dead_bytes(core, extent, &uses);
            self.stubborn.insert(extent.extent, dead_bytes);
        }
    }

    fn live_bytes(&self, core: &Core, extent: &SealedExtent, uses: &Uses) -> u64 {
        let live_bytes = uses.get(&extent.extent).map_or(0, |it| it.live_bytes);
        match core.world.clock.now_ms() >= extent.expiring.at {
            true => live_bytes.saturating_sub(extent.expiring.bytes),
            false => live_bytes,
        }
    }

    fn dead_bytes(&self, core: &Core, extent: &SealedExtent, uses: &Uses) -> u64 {
        let stubborn = self.stubborn.get(&extent.extent).copied().unwrap_or(0);
        let around = self.live_bytes(core, extent, uses) + extent.footer_bytes + stubborn;
        extent.file_bytes.saturating_sub(around)
    }

    fn uses(&mut self, core: &Core, sealed: &[SealedExtent]) -> Uses {
        let known = sealed.iter().map(|it| it.extent).collect::<HashSet<_>>();
        let now = core.world.clock.now_ms();
        let mut uses = Uses::new();
        let mut compacted = HashSet::new();
        for topic in core.topics.all() {
            let shared = &topic.shared;
            let age_ms = shared.age_ms_max().and_then(|age| i64::try_from(age).ok());
            for partition in &topic.partitions {
                let spans = partition.state.lock().spans.iter().copied().collect::<Vec<_>>();
                for span in &spans {
                    let used = uses.entry(extent_of(span)).or_default();
                    used.live_bytes += span.bytes;
                    used.kept_bytes += span.bytes;
                    if expires_soon(span, age_ms, now) {
                        used.expires_soon_bytes += span.bytes;
                    }
                }
                if shared.cleanup().compacts() {
                    compacted.insert(partition.stream);
                    self.discount(core, partition, &spans, &known, &mut uses);
                }
            }
        }
        self.estimates.retain(|stream, _| compacted.contains(stream));
        uses
    }

    /// Takes off what compaction would leave out of a partition.
    fn discount(
        &mut self,
        core: &Core,
        partition: &Partition,
        spans: &[Span],
        known: &HashSet<ExtentRef>,
        uses: &mut Uses,
    ) {
        let sealed = spans.iter().filter(|span| known.contains(&extent_of(span)));
        let looked_at = self.estimates.get(&partition.stream);
        let is_fresh = looked_at.is_some_and(|held| {
            held.iter().map(|(extent, _)| *extent).eq(sealed.clone().map(extent_of))
        });
        if !is_fresh {
            let needed = match needed_bytes(core, partition, spans) {
                Ok(needed) => needed,
                // It is looked at again the next time.
                Err(trouble) => return tracing::debug!(?trouble, "an index cannot be looked into"),
            };
            let held = needed.into_iter().filter(|(extent, _)| known.contains(extent)).collect();
            self.estimates.insert(partition.stream, held);
        }
        let bytes =
            spans.iter().map(|span| (extent_of(span), span.bytes)).collect::<HashMap<_, _>>();
        for (extent, needed) in self.estimates.get(&partition.stream).into_iter().flatten() {
            let held = bytes.get(extent).copied().unwrap_or(0);
            if let Some(used) = uses.get_mut(extent) {
                used.live_bytes = used.live_bytes.saturating_sub(held.saturating_sub(*needed));
            }
        }
    }
}

fn extent_of(span: &Span) -> ExtentRef {
    ExtentRef { id: span.extent, generation: span.generation }
}

fn expires_soon(span: &Span, age_ms: Option<i64>, now: TimestampMs) -> bool {
    let ends = age_ms.map(|age_ms| span.max_timestamp.saturating_add(age_ms));
    ends.is_some_and(|ends| ends < now.saturating_add(EXPIRES_SOON_MS))
}

/// What of each span has no newer record of its key, by the hashes of the indexes: oldest first.
fn needed_bytes(
    core: &Core,
    partition: &Partition,
    spans: &[Span],
) -> Result<Vec<(ExtentRef, u64)>, Trouble> {
    let start = partition.state.lock().start;
    let mut newer = HashSet::new();
    let mut needed = Vec::with_capacity(spans.len());
    for span in spans.iter().rev() {
        let keys = core.keys_of(partition, span)?;
        let entries = core.entries(partition.stream, span)?;
        let kept = between(&entries, start, span.next_offset);
        let records = kept.iter().map(|entry| u64::from(entry.count)).sum::<u64>();
        let newest = keys.iter().filter(|(hash, place)| *place >= start && !newer.contains(hash));
        let live = newest.count() as u64;
        let records = records.max(live).max(1);
        // In wide numbers: both factors may be large.
        let bytes = u128::from(span.bytes) * u128::from(live) / u128::from(records);
        needed.push((extent_of(span), bytes as u64));
        let room = HASHES_MAX.saturating_sub(newer.len());
        newer.extend(keys.iter().take(room).map(|(hash, _)| *hash));
    }
    needed.reverse();
    Ok(needed)
}

/// What an extent's part of the new one takes at most.
fn output_bytes_max(extent: &SealedExtent, uses: &Uses) -> u64 {
    let kept_bytes = uses.get(&extent.extent).map_or(0, |used| used.kept_bytes);
    let commits = kept_bytes / FRAMES_PER_COMMIT_BYTES + 1;
    // Each stream may be of a tenant whose data key is new in the extent, and is kept twice.
    let keys = extent.streams * WRAPPED_KEYS_BYTES;
    kept_bytes + commits * COMMIT_BYTES + 2 * extent.footer_bytes + keys + COMMIT_BYTES
}

/// Restarts and earlier rewrites leave small files; a few in a row become one.
fn are_small(extents: &[SealedExtent], extent_bytes: u64) -> bool {
    let is_small = |it: &SealedExtent| it.file_bytes < extent_bytes / SMALL_SHARE;
    extents.len() >= SMALL_EXTENTS_MIN && extents.iter().all(is_small)
}

/// Whether reading one partition of it means skipping many small frames of others.
fn is_mixed(core: &Core, extent: &SealedExtent, uses: &Uses) -> bool {
    let collect = &core.options.collect;
    let age_ms = core.world.clock.now_ms().saturating_sub(extent.created);
    let used = uses.get(&extent.extent).copied().unwrap_or_default();
    let needed = used.live_bytes / JOINED_BYTES_MAX as u64 + extent.streams;
    collect.clusters
        && !extent.is_rewritten
        && age_ms >= collect.cold_ms
        && extent.frames >= FRAGMENTS_MIN * needed
        && used.expires_soon_bytes <= used.live_bytes / 2
}
