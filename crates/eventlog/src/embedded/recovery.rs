//! Opening: what the store found and what the checkpoint remembers become partitions again. The
//! promises: no offset is given twice, nothing acknowledged is skipped silently, and what
//! retention removed stays removed.

use super::append::UNSTORED_RECORDS_MAX;
use super::checkpoint::{Checkpoint, KnownDamage, Mark};
use super::core::Core;
use super::partition::{Partition, Span, State};
use super::state::PRODUCER_BITS;
use super::topic::Shared;
use crate::{LogError, OpenReport, TopicSpec};
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::{Damage, ExtentId, ExtentRef, Recovery, StreamId};
use types::{Durability, Offset};

/// Offsets left out behind what is stored when a crash may have lost records that somebody saw.
const LEAP: u64 = UNSTORED_RECORDS_MAX as u64;

/// What the store found, arranged for looking up.
pub struct Found {
    spans: HashMap<StreamId, Vec<Span>>,
    /// The place of each extent in the order of age.
    ages: HashMap<ExtentId, usize>,
    /// Ages of extents with damage; `None` when such an extent shows nothing else.
    damaged_ages: Vec<Option<usize>>,
    damaged: HashMap<StreamId, Vec<Range<Offset>>>,
    checkpoint: Checkpoint,
}

impl Found {
    pub fn new(recovery: &Recovery, checkpoint: Option<Checkpoint>) -> Found {
        // One is written before the first append: without one the log is new, or it was removed
        // and nobody knows how the log ended.
        let checkpoint = checkpoint.unwrap_or_else(|| Checkpoint {
            is_clean: recovery.spans.is_empty() && recovery.damaged.is_empty(),
            ..Checkpoint::default()
        });
        let mut ages = HashMap::new();
        let mut spans: HashMap<StreamId, Vec<Span>> = HashMap::new();
        for span in &recovery.spans {
            let age = ages.len();
            ages.entry(span.extent).or_insert(age);
            spans.entry(span.stream).or_default().push(Span {
                extent: span.extent,
                generation: span.generation,
                first_offset: span.first_offset,
                next_offset: span.next_offset,
                max_timestamp: span.max_timestamp,
                bytes: span.bytes,
            });
        }
        let mut damaged: HashMap<StreamId, Vec<Range<Offset>>> = HashMap::new();
        for range in recovery.damaged.iter().flat_map(|damage| &damage.ranges) {
            damaged.entry(range.stream).or_default().push(range.from..range.to);
        }
        for (stream, range) in &checkpoint.damaged {
            damaged.entry(*stream).or_default().push(range.clone());
        }
        // What an earlier start saw of damage is in the checkpoint: a gap since then is another's.
        let is_new = |damage: &&Damage| !checkpoint.known_damage.contains(&KnownDamage::of(damage));
        let new = recovery.damaged.iter().filter(is_new);
        let damaged_ages = new.map(|damage| ages.get(&damage.extent).copied()).collect();
        Found { spans, ages, damaged_ages, damaged, checkpoint }
    }

    /// The partition as it was, as far as it can be known.
    fn state(&mut self, core: &Core, shared: &Shared, stream: StreamId) -> State {
        let spans = self.spans.remove(&stream).unwrap_or_default();
        let mark = self.checkpoint.marks.get(&stream).copied();
        let first = spans.first().map_or(0, |span| span.first_offset);
        // What the topic is now says nothing of what it was when the log ended.
        let is_relaxed = shared.durability() == Durability::Relaxed;
        let mark = mark.unwrap_or(Mark { start: first, is_relaxed, ..Mark::default() });
        let mut damaged = self.damaged.remove(&stream).unwrap_or_default();
        damaged.extend(self.gaps(&spans, mark.start));

        let recovered = spans.last().map_or(0, |span| span.next_offset).max(mark.start);
        let mut visible = recovered.max(mark.stored);
        if recovered < mark.stored {
            damaged.push(recovered..mark.stored);
        }
        let mut floor = mark.floor.max(visible);
        // After a clean end the mark says what was stored last, so that old damage is not taken for
        // a new loss at every start.
        if !self.checkpoint.is_clean && self.may_lack_its_end(&spans) {
            // Its newest records may have been in the damaged part: nobody can tell. They began at
            // the floor, which may lie far behind what is found, or at the end.
            visible = floor.saturating_add(LEAP);
            damaged.push(recovered..visible);
        }
        let mut stored = visible;
        match shared.durability() {
            Durability::Durable | Durability::Relaxed
                if mark.is_relaxed && !self.checkpoint.is_clean =>
            {
                // What was given since the checkpoint began at the floor or at the end.
                floor = floor.saturating_add(LEAP);
            }
            Durability::Ephemeral => {
                visible = floor.max(core.first_offset(Durability::Ephemeral));
                stored = recovered;
                damaged.clear();
            }
            _ => {}
        }
        floor = floor.max(visible);
        let mut start = mark.start;
        if spans.is_empty() && damaged.is_empty() {
            start = visible;
        }
        let spans = kept(spans, start);
        State {
            start,
            stored,
            visible,
            settled: visible,
            next: floor,
            floor,
            spans: spans.into(),
            damaged: merged(damaged, start),
            ..State::default()
        }
    }

    /// Holes between what extents hold, where damage may have made them.
    fn gaps(&self, spans: &[Span], start: Offset) -> Vec<Range<Offset>> {
        let mut gaps = Vec::new();
        let mut before = (start, 0);
        for span in spans {
            let age = self.ages.get(&span.extent).copied().unwrap_or(0);
            let (next_offset, age_before) = before;
            let may_be_damage = self
                .damaged_ages
                .iter()
                .any(|damaged| damaged.is_none_or(|it| (age_before..=age).contains(&it)));
            if span.first_offset > next_offset && may_be_damage {
                gaps.push(next_offset..span.first_offset);
            }
            before = (span.next_offset, age);
        }
        gaps
    }

    /// Whether damage lies where the partition's newest records may have been.
    fn may_lack_its_end(&self, spans: &[Span]) -> bool {
        let newest = spans.last().and_then(|span| self.ages.get(&span.extent));
        self.damaged_ages.iter().any(|damaged| match (damaged, newest) {
            (Some(damaged), Some(newest)) => damaged >= newest,
            _ => true,
        })
    }
}

/// Spans that still hold something after the start.
fn kept(mut spans: Vec<Span>, start: Offset) -> Vec<Span> {
    spans.retain(|span| span.next_offset > start);
    spans
}

/// Ascending, without overlaps, and only what is after the start.
fn merged(mut ranges: Vec<Range<Offset>>, start: Offset) -> Vec<Range<Offset>> {
    ranges.retain(|range| range.end > start && range.start < range.end);
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<Offset>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

impl Core {
    /// Makes the partitions of all topics.
    pub fn restore<'a>(
        &self,
        mut found: Found,
        recovery: &Recovery,
        topics: impl Iterator<Item = &'a TopicSpec>,
    ) {
        for span in &recovery.spans {
            self.extents.know(span.extent, span.generation);
        }
        let mut unreadable = Vec::new();
        for damage in recovery.damaged.iter().filter(|damage| damage.generation > 0) {
            self.extents.know(damage.extent, damage.generation);
            if !recovery.spans.iter().any(|span| span.extent == damage.extent) {
                unreadable.push(ExtentRef { id: damage.extent, generation: damage.generation });
            }
        }
        *self.unreadable.lock() = unreadable;
        *self.known_damage.lock() = recovery.damaged.iter().map(KnownDamage::of).collect();
        for spec in topics {
            self.topics.put(spec, |shared, stream| {
                let mut state = found.state(self, &shared, stream);
                self.leave_out_trimmed(stream, &mut state);
                for span in &state.spans {
                    self.extents.take(span.extent, span.generation);
                }
                shared.add_bytes(state.stored_bytes());
                Partition::new(stream, shared, state)
            });
        }
    }

    /// The first span may begin before the start: what retention removed of it counts no more.
    fn leave_out_trimmed(&self, stream: StreamId, state: &mut State) {
        let Some(span) = state.spans.front_mut() else { return };
        if span.first_offset >= state.start {
            return;
        }
        if let Ok(entries) = self.store.entries(span.extent, stream) {
            let kept = entries.iter().filter(|entry| entry.next_offset() > state.start);
            span.bytes = kept.map(|entry| u64::from(entry.location.len)).sum();
        }
    }

    /// From here on a crash is not a clean end. Without space for that the log opens all the same,
    /// to be read and to have its space given back; maintenance tries again.
    pub fn mark_open(&self) -> io::Result<()> {
        match self.write_checkpoint(false).and_then(|()| self.take_snapshot()) {
            Err(error) if is_full(&error) => {
                tracing::error!(%error, "no space to open the log for appends: they are refused");
                self.is_unmarked.store(true, Ordering::Release);
                self.must_checkpoint.store(true, Ordering::Release);
                self.intake.set_full(true);
                self.give_producers_at_random();
                Ok(())
            }
            other => other,
        }
    }

    /// Nothing says yet that the log was opened once more, so the next opening may have the number
    /// of this one. It begins with the least of its producers; these lie far from them, anywhere.
    fn give_producers_at_random(&self) {
        let half = 1u64 << (PRODUCER_BITS - 1);
        let first = half | (stdx::Rng::next_u64(&*self.world.rng) & (half - 1));
        let opens = self.opens.load(Ordering::Relaxed) << PRODUCER_BITS;
        self.transactions.begin_producers((opens | first) as i64);
    }

    /// What `Found` needs the next time.
    pub fn write_checkpoint(&self, is_clean: bool) -> io::Result<()> {
        let mut checkpoint = Checkpoint { is_clean, ..Checkpoint::default() };
        let (mut relaxed, mut starts) = (Vec::new(), Vec::new());
        for topic in self.topics.all() {
            for partition in &topic.partitions {
                let mut state = partition.state.lock();
                let floor = state.floor.max(state.settled);
                let ranges = state.damaged.iter().cloned();
                checkpoint.damaged.extend(ranges.map(|range| (partition.stream, range)));
                let has_unstored = state.unstored_records > 0;
                let is_relaxed = has_unstored || topic.shared.durability() == Durability::Relaxed;
                checkpoint.is_clean &= !has_unstored;
                if is_relaxed {
                    relaxed.push(Arc::clone(partition));
                } else {
                    // Before the disk forgets it.
                    state.is_marked_relaxed = false;
                }
                if floor > 0 || is_relaxed {
                    let (start, stored) = (state.start, state.stored);
                    starts.push((Arc::clone(partition), start));
                    let mark = Mark { start, stored, floor, is_relaxed };
                    checkpoint.marks.insert(partition.stream, mark);
                }
            }
        }
        checkpoint.known_damage.clone_from(&*self.known_damage.lock());
        checkpoint.write(&*self.world.disk, &self.options.dir)?;
        for partition in relaxed {
            partition.state.lock().is_marked_relaxed = true;
        }
        for (partition, start) in starts {
            partition.state.lock().start_kept = start;
        }
        Ok(())
    }
}

pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub fn report(recovery: &Recovery, topics: &[TopicSpec]) -> OpenReport {
    let damaged = recovery.damaged.iter().map(|damage| {
        let (from, to) = (damage.from_position, damage.to_position);
        let ranges = damage.ranges.iter().map(|range| {
            let (topic, partition) = (range.stream.topic.0, range.stream.partition);
            format!("; topic {topic} partition {partition} offsets {}..{}", range.from, range.to)
        });
        let extent = damage.extent;
        format!(
            "extent {extent}, bytes {from}..{to}: {}{}",
            damage.reason,
            ranges.collect::<String>()
        )
    });
    OpenReport {
        partitions: topics.iter().map(|spec| spec.config.partitions as usize).sum(),
        tail_cut_bytes: recovery.tail_cut_bytes,
        damaged: damaged.collect(),
    }
}

/// Storage errors at opening, in the log's words.
pub fn refused(error: storage::StoreError) -> LogError {
    match error {
        storage::StoreError::Full(_) => LogError::Full,
        other => LogError::Failed(other.to_string()),
    }
}
