//! What was published since the windows were last written, partition by partition, with the offsets
//! it took. A record is in a tally exactly when its range is.

use parking_lot::Mutex;
use std::collections::HashMap;
use tenancy::UsageRange;
use types::{Batch, LogRange, Partition, ProjectId, TenantId, TopicId, Usage};

use crate::topic::Topic;

/// Of one partition.
struct Tally {
    tenant: TenantId,
    project: ProjectId,
    range: LogRange,
    records: u64,
    bytes: u64,
    /// The log can tell it again.
    is_stored: bool,
}

/// One lock for all partitions, held for as long as two additions take: whoever takes the tallies
/// sees each record with its range or not at all.
#[derive(Default)]
pub struct Tallies(Mutex<HashMap<(TopicId, Partition), Tally>>);

/// What was tallied, ready to be written.
#[derive(Default)]
pub struct Tallied {
    pub published: HashMap<ProjectId, (TenantId, Usage)>,
    /// Their windows are set by the write.
    pub ranges: Vec<UsageRange>,
}

impl Tallies {
    /// Called in offset order per partition.
    pub fn add(&self, topic: &Topic, partition: Partition, batch: &Batch, bytes: u64) {
        let mut tallies = self.0.lock();
        let tally = tallies.entry((topic.id, partition)).or_insert_with(|| Tally {
            tenant: topic.tenant,
            project: topic.project,
            range: LogRange { topic: topic.id, partition, from: batch.base_offset(), to: 0 },
            records: 0,
            bytes: 0,
            is_stored: !topic.is_ephemeral(),
        });
        tally.range.to = batch.next_offset();
        tally.records += u64::from(batch.count());
        tally.bytes += bytes;
    }

    pub fn take(&self) -> Tallied {
        let taken = std::mem::take(&mut *self.0.lock());
        let mut all = Tallied::default();
        for tally in taken.into_values() {
            let (_, usage) =
                all.published.entry(tally.project).or_insert((tally.tenant, Usage::default()));
            usage.events_published += tally.records;
            usage.bytes_published += tally.bytes;
            if tally.is_stored {
                all.ranges.push(UsageRange {
                    tenant: tally.tenant,
                    project: tally.project,
                    window_start: 0,
                    range: tally.range,
                    records: tally.records,
                    bytes: tally.bytes,
                });
            }
        }
        // All writers take rows in one order.
        all.ranges.sort_unstable_by_key(|it| (it.range.topic, it.range.partition));
        all
    }
}
