//! Reading by offset and by time. The tail answers from memory; everything older comes from the
//! device in large pieces.

use super::core::Core;
use super::disk::{Reading, Trouble, between, memory_max, take_bytes};
use super::held::shown;
use super::partition::{Partition, Span, State};
use crate::{LogError, Pending};
use std::future::ready;
use std::ops::Range;
use std::sync::Arc;
use storage::Entry;
use types::{Batch, Offset, TimestampMs, TopicId};

/// Bytes of one read at most, whatever was asked for; a larger batch comes alone.
const READ_BYTES_MAX: usize = 8 << 20;
/// Extents one read looks into at most.
const READ_SPANS_MAX: usize = 64;

/// What a read on the device needs to know of the partition, copied out of its state.
struct Plan {
    spans: Vec<Span>,
    /// The next damage ahead, if any.
    damage: Option<Range<Offset>>,
    /// Offsets from here on are not stored, or not visible yet.
    until: Offset,
}

impl Core {
    pub fn read(
        self: &Arc<Self>,
        topic: TopicId,
        partition: types::Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Pending<Vec<Arc<Batch>>> {
        let bytes_max = bytes_max.min(READ_BYTES_MAX);
        let partition = match self.partition(topic, partition) {
            Ok(partition) => partition,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        match read_memory(&partition, from, bytes_max) {
            Some(answer) => Box::pin(ready(answer)),
            None => self
                .blocking(Reading::Piece, move |core| core.read_any(&partition, from, bytes_max)),
        }
    }

    /// The partition, if its tenant's records may be read.
    pub fn partition(
        &self,
        topic: TopicId,
        partition: types::Partition,
    ) -> Result<Arc<Partition>, LogError> {
        let partition = self.known_partition(topic, partition)?;
        self.unlock(&partition.shared)?;
        Ok(partition)
    }

    pub fn known_partition(
        &self,
        topic: TopicId,
        partition: types::Partition,
    ) -> Result<Arc<Partition>, LogError> {
        if self.is_closed() {
            return Err(LogError::Closed);
        }
        self.topics.partition(topic, partition)
    }

    /// Reads from wherever the records are. Blocks.
    pub fn read_any(
        &self,
        partition: &Partition,
        mut from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Batch>>, Trouble> {
        // Offsets rise with each turn, so this ends.
        loop {
            // Retention or new records may have changed the case since it was decided.
            if let Some(answer) = read_memory(partition, from, bytes_max) {
                return Ok(answer?);
            }
            let batches = self.read_disk(partition, from, bytes_max)?;
            // Who finds only what is hidden looks behind it.
            from = batches.last().map_or(from, |batch| batch.next_offset());
            let batches = shown(partition, batches);
            if !batches.is_empty() {
                return Ok(batches);
            }
        }
    }

    /// At least one batch, of those that are never shown too.
    fn read_disk(
        &self,
        partition: &Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Batch>>, Trouble> {
        let plan = Plan::new(&partition.state.lock(), from);
        let limit = match &plan.damage {
            Some(damage) if damage.contains(&from) => return Err(damaged(damage)),
            Some(damage) => damage.start.min(plan.until),
            None => plan.until,
        };
        let batches = self.read_spans(partition, &plan.spans, from..limit, bytes_max)?;
        match plan.damage {
            _ if !batches.is_empty() => Ok(batches),
            // Nothing lies between here and the damage.
            Some(damage) => Err(damaged(&damage)),
            None => Err(Trouble::Log(LogError::Failed(format!(
                "nothing is stored from offset {from} on although the partition ends later"
            )))),
        }
    }

    fn read_spans(
        &self,
        partition: &Partition,
        spans: &[Span],
        offsets: Range<Offset>,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Batch>>, Trouble> {
        let mut batches = Vec::new();
        let (mut bytes, mut memory, memory_max) = (0, 0, memory_max(bytes_max));
        for span in spans {
            let found = self.entries_from(partition, span, offsets.start).and_then(|entries| {
                let wanted = between(&entries, offsets.start, offsets.end);
                let fitting = take_bytes(wanted, bytes_max.saturating_sub(bytes));
                let more = self.batches_within(partition.stream, fitting, memory_max - memory)?;
                // A part of a span is followed by its rest, not by the next span.
                let is_known = entries.last().map(Entry::next_offset) >= Some(span.next_offset);
                Ok((is_known && more.len() == wanted.len(), more))
            });
            let (is_whole, more) = match found {
                Ok(found) => found,
                Err(trouble) if batches.is_empty() => return Err(trouble),
                // What was read is right; the next read meets the trouble first.
                Err(_) => break,
            };
            bytes += more.iter().map(|batch: &Arc<Batch>| batch.bytes().len()).sum::<usize>();
            memory += more.iter().map(|batch: &Arc<Batch>| batch.memory_bytes()).sum::<usize>();
            batches.extend(more);
            if !is_whole || bytes >= bytes_max || memory >= memory_max {
                break;
            }
        }
        Ok(batches)
    }

    pub fn offset_at(
        self: &Arc<Self>,
        topic: TopicId,
        partition: types::Partition,
        time: TimestampMs,
    ) -> Pending<Offset> {
        let partition = match self.partition(topic, partition) {
            Ok(partition) => partition,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        if !partition.is_stored() {
            return Box::pin(ready(Ok(partition.bounds().end)));
        }
        let older = {
            let state = partition.state.lock();
            let is_on_disk = state.spans.iter().any(|span| span.max_timestamp >= time);
            let end = state.spans.back().map_or(state.start, |span| span.next_offset);
            (!is_on_disk).then_some(end)
        };
        if let Some(older) = older {
            let found = offset_in_tail(&partition, time);
            return Box::pin(ready(Ok(skip_no_damage(&partition, older, found))));
        }
        self.blocking(Reading::Piece, move |core| core.offset_on_disk(&partition, time))
    }

    fn offset_on_disk(&self, partition: &Partition, time: TimestampMs) -> Result<Offset, Trouble> {
        let (plan, start) = {
            let state = partition.state.lock();
            (Plan::all(&state), state.start)
        };
        let mut before = start;
        for span in &plan.spans {
            if span.max_timestamp < time {
                before = span.next_offset;
                continue;
            }
            let entries = self.entries(partition.stream, span)?;
            for entry in between(&entries, start, plan.until) {
                if entry.max_timestamp >= time {
                    let batches = self.batches(partition.stream, std::slice::from_ref(entry))?;
                    let batches = shown(partition, batches);
                    let found = batches.iter().find_map(|batch| first_since(batch, start, time));
                    if let Some(found) = found {
                        return Ok(skip_no_damage(partition, before, found));
                    }
                }
                before = entry.next_offset();
            }
        }
        Ok(skip_no_damage(partition, before, offset_in_tail(partition, time)))
    }
}

/// The offset found, or damage right before it: what was there may have been what was asked for,
/// and reading it says so.
fn skip_no_damage(partition: &Partition, before: Offset, found: Offset) -> Offset {
    let state = partition.state.lock();
    match state.damage_from(before) {
        Some(damage) if damage.start < found => damage.start.max(before),
        _ => found,
    }
}

fn damaged(range: &Range<Offset>) -> Trouble {
    Trouble::Log(LogError::Damaged { from: range.start, to: range.end })
}

impl Plan {
    fn new(state: &State, from: Offset) -> Plan {
        let first = state.spans.partition_point(|span| span.next_offset <= from);
        Plan {
            spans: state.spans.range(first..).take(READ_SPANS_MAX).copied().collect(),
            damage: state.damage_from(from).cloned(),
            until: state.stored.min(state.visible),
        }
    }

    fn all(state: &State) -> Plan {
        Plan {
            spans: state.spans.iter().copied().collect(),
            damage: None,
            until: state.stored.min(state.visible),
        }
    }
}

/// The answer if it needs no device.
fn read_memory(
    partition: &Partition,
    from: Offset,
    bytes_max: usize,
) -> Option<Result<Vec<Arc<Batch>>, LogError>> {
    let is_stored = partition.is_stored();
    let state = partition.state.lock();
    if let Some(gone) = &state.gone {
        return Some(Err(gone.clone()));
    }
    let start = state.first_kept(is_stored);
    if from < start {
        return Some(Err(LogError::OffsetGone { start }));
    }
    if from >= state.visible {
        return Some(Ok(Vec::new()));
    }
    if from < state.tail_start() && state.has_stored_from(from) {
        return None;
    }
    let first = state.tail.partition_point(|tail| tail.batch.next_offset() <= from);
    let (mut bytes, mut memory) = (0usize, 0usize);
    let mut batches = Vec::new();
    for tail in state.tail.range(first..) {
        bytes = bytes.saturating_add(tail.batch.bytes().len());
        memory = memory.saturating_add(tail.batch.memory_bytes());
        if (bytes > bytes_max || memory > memory_max(bytes_max)) && !batches.is_empty() {
            break;
        }
        batches.push(Arc::clone(&tail.batch));
    }
    Some(Ok(batches))
}

/// The first record at or after a time among those in memory, else the end.
fn offset_in_tail(partition: &Partition, time: TimestampMs) -> Offset {
    let state = partition.state.lock();
    let mut batches = state.tail.iter().map(|tail| &tail.batch);
    let found = batches.find_map(|batch| first_since(batch, state.start, time));
    found.unwrap_or(state.visible)
}

fn first_since(batch: &Batch, start: Offset, time: TimestampMs) -> Option<Offset> {
    if batch.max_timestamp() < time {
        return None;
    }
    let mut views = batch.views();
    views.find(|view| view.offset >= start && view.timestamp >= time).map(|view| view.offset)
}
