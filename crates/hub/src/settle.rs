//! Counting from the log: what a process that was killed had not written down, and any range again
//! when somebody doubts what was counted.

use crate::node::Node;
use crate::topic::Topic;
use eventlog::LogError;
use port::{Recount, Refusal};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tenancy::{Actor, Correction, USAGE_WINDOW_MS, UsageMark, UsageRange, UsageWrite};
use types::{Batch, LogRange, Offset, Partition, TimestampMs, TopicId, Usage};

/// Bytes of one read.
const READ_BYTES: usize = 4 << 20;

/// What lies in one partition and is in no window, by the window it belongs to.
type Uncounted = BTreeMap<TimestampMs, Vec<UsageRange>>;

/// Where counting begins in a partition that has no mark.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unmarked {
    /// Nothing of it was counted.
    FromStart,
    /// An older version counted without marks: what is there now is in its windows.
    FromEnd,
}

fn window_of(at: TimestampMs) -> TimestampMs {
    at.div_euclid(USAGE_WINDOW_MS) * USAGE_WINDOW_MS
}

impl Node {
    /// Brings the windows up to the log's end, before traffic. What cannot be read is said in the
    /// log of the process and left out: a damaged partition must not keep the node from starting.
    pub(crate) async fn settle_usage(&self) -> Result<(), Refusal> {
        let unmarked = match self.tenancy.has_usage_without_marks().await? {
            true => Unmarked::FromEnd,
            false => Unmarked::FromStart,
        };
        let marks = self.tenancy.usage_marks().await?;
        let marks: HashMap<(TopicId, Partition), UsageMark> =
            marks.into_iter().map(|mark| ((mark.topic, mark.partition), mark)).collect();
        let mut uncounted = Uncounted::new();
        let mut topics = self.catalogue.all();
        topics.sort_by_key(|topic| topic.id);
        for topic in topics {
            if topic.name.is_internal() || topic.is_ephemeral() {
                continue;
            }
            for partition in 0..topic.partitions() {
                let mark = marks.get(&(topic.id, partition)).copied();
                if let Err(error) =
                    self.settle(&topic, partition, mark, unmarked, &mut uncounted).await
                {
                    let (topic, name) = (topic.id.0, &topic.name);
                    tracing::error!(%name, topic, partition, %error, "usage cannot be counted");
                }
            }
        }
        self.write_uncounted(uncounted).await
    }

    async fn settle(
        &self,
        topic: &Topic,
        partition: Partition,
        mark: Option<UsageMark>,
        unmarked: Unmarked,
        uncounted: &mut Uncounted,
    ) -> Result<(), Refusal> {
        let now = self.world.clock.now_ms();
        let bounds = self.engine.bounds(topic.id, partition).map_err(crate::refusal::refusal_of)?;
        let (mut from, since) = match mark {
            Some(mark) => (mark.next, mark.at),
            None if unmarked == Unmarked::FromEnd => (bounds.end, now),
            None => (0, topic.created_at),
        };
        if let Some(back) = self.engine.lost_behind(topic.id, partition, from) {
            self.take_back(topic, partition, back).await?;
        }
        if mark.is_some() && from < bounds.start {
            let name = &topic.name;
            let offsets = bounds.start - from;
            tracing::warn!(%name, partition, offsets, "retention took records that no window has");
        }
        from = from.max(bounds.start);
        let mut latest = since.min(now);
        let empty = UsageRange {
            tenant: topic.tenant,
            project: topic.project,
            window_start: 0,
            range: LogRange { topic: topic.id, partition, from, to: from },
            records: 0,
            bytes: 0,
        };
        let mut found: BTreeMap<TimestampMs, UsageRange> = BTreeMap::new();
        if mark.is_none() && unmarked == Unmarked::FromEnd {
            found.insert(window_of(now), empty);
        }
        let visit = |batch: &Arc<Batch>| {
            // Publishers date their records as they like; the hour of the count is ours to bound.
            latest = batch.max_timestamp().clamp(latest, now);
            // Several publishes may have become one batch, and a mark may lie between them.
            let base = batch.base_offset().max(from);
            let first = UsageRange { range: LogRange { from: base, ..empty.range }, ..empty };
            let of_hour = found.entry(window_of(latest)).or_insert(first);
            of_hour.range.to = batch.next_offset();
            if base == batch.base_offset() {
                of_hour.records += u64::from(batch.count());
                of_hour.bytes += batch.records_bytes();
                return;
            }
            for view in batch.views().filter(|view| view.offset >= base) {
                of_hour.records += 1;
                of_hour.bytes += view.size() as u64;
            }
        };
        self.visit(topic.id, partition, from..bounds.end, visit).await?;
        for (window, range) in found {
            uncounted.entry(window).or_default().push(range);
        }
        Ok(())
    }

    /// One write per hour, oldest first, so that marks only move on.
    async fn write_uncounted(&self, uncounted: Uncounted) -> Result<(), Refusal> {
        let mut writer = self.usage_writer.lock().await;
        for (window, ranges) in uncounted {
            let at = window.max(self.world.clock.now_ms().min(window + USAGE_WINDOW_MS - 1));
            let usage = ranges.iter().map(|it| {
                let usage = Usage {
                    events_published: it.records,
                    bytes_published: it.bytes,
                    ..Usage::default()
                };
                (it.tenant, it.project, usage)
            });
            let write = writer.next(at);
            let write = UsageWrite { usage: usage.collect(), ranges, ..write };
            self.tenancy.write_usage(&write).await?;
            let records: u64 = write.ranges.iter().map(|it| it.records).sum();
            if records > 0 {
                tracing::info!(records, "records of an unclean end were counted from the log");
            }
        }
        Ok(())
    }

    /// The log has lost what lay from `back` on and was counted: its windows are set right.
    async fn take_back(
        &self,
        topic: &Topic,
        partition: Partition,
        back: Offset,
    ) -> Result<(), Refusal> {
        let counted = self.tenancy.usage_ranges_beyond(topic.tenant, topic.id, partition, back);
        let mut corrections = Vec::new();
        for counted in counted.await? {
            let (Recount::Whole { records, bytes } | Recount::Partly { records, bytes }) =
                self.recount_one(counted.range).await?;
            if (records, bytes) != (counted.records, counted.bytes) {
                corrections.push(Correction { counted, records, bytes });
            }
        }
        if !corrections.is_empty() {
            self.tenancy.correct_usage(topic.tenant, &corrections, &Actor::system()).await?;
        }
        Ok(())
    }

    /// What the log holds of a range now.
    pub(crate) async fn recount_one(&self, of: LogRange) -> Result<Recount, Refusal> {
        let (mut records, mut bytes) = (0, 0);
        let gone = Recount::Partly { records, bytes };
        let Some(topic) = self.catalogue.by_id(of.topic) else {
            return Ok(gone);
        };
        let Ok(bounds) = self.engine.bounds(of.topic, of.partition) else {
            return Ok(gone);
        };
        let from = of.from.max(bounds.start);
        let visit = |batch: &Arc<Batch>| {
            // Batches may have been joined since, over the ends of what was counted.
            for view in batch.views().filter(|view| (of.from..of.to).contains(&view.offset)) {
                records += 1;
                bytes += view.size() as u64;
            }
        };
        self.visit(of.topic, of.partition, from..of.to.min(bounds.end), visit).await?;
        let is_whole = from == of.from && !topic.definition.load().config.cleanup.compacts();
        Ok(match is_whole {
            true => Recount::Whole { records, bytes },
            false => Recount::Partly { records, bytes },
        })
    }

    async fn visit(
        &self,
        topic: TopicId,
        partition: Partition,
        range: std::ops::Range<Offset>,
        mut visit: impl FnMut(&Arc<Batch>),
    ) -> Result<(), Refusal> {
        let mut next = range.start;
        // Each turn reads at least one batch, so this ends.
        while next < range.end {
            let batches = match self.engine.read(topic, partition, next, READ_BYTES).await {
                Ok(batches) => batches,
                // What was destroyed with its key counts no more.
                Err(LogError::Shredded) => return Ok(()),
                Err(error) => return Err(crate::refusal::refusal_of(error)),
            };
            let Some(last) = batches.last() else { return Ok(()) };
            next = last.next_offset();
            batches.iter().filter(|batch| batch.base_offset() < range.end).for_each(&mut visit);
        }
        Ok(())
    }
}
