//! One moment of the log, for a backup: how far every partition is stored, with the extents that
//! hold it kept in place. And the way back: the marks that a restored log begins with. It must not
//! know where copies go.

use super::EmbeddedLog;
use super::checkpoint::{Checkpoint, Mark};
use super::core::Core;
use super::partition::Partition;
use crate::LogError;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use stdx::Disk;
use storage::{ExtentCut, Pin, StreamId};
use types::{Offset, TimestampMs, TopicId};

/// How long a cut waits for records that are acknowledged before they are stored.
const STORED_TIME_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Where one partition began and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamMark {
    pub stream: StreamId,
    /// The oldest offset kept.
    pub start: Offset,
    /// The offset after the last one stored.
    pub stored: Offset,
    /// New records get no offset below.
    pub floor: Offset,
}

/// The log at one moment. As long as the pin lives, the extents' bytes below their ends stay.
#[derive(Debug)]
pub struct LogCut {
    pub at: TimestampMs,
    /// In the order of topic and partition.
    pub marks: Vec<StreamMark>,
    /// Oldest first. They hold all that the marks say, and perhaps some that came a little later.
    pub extents: Vec<ExtentCut>,
    pub pin: Pin,
}

impl EmbeddedLog {
    /// Holds the log's extents and says what they hold: at least every record acknowledged before
    /// this call. `lease` is how long the holder may be without progress. `Busy` when relaxed
    /// records are not stored in time or too many cuts are held.
    pub async fn cut(&self, lease: Duration) -> Result<LogCut, LogError> {
        let core = Arc::clone(&self.core);
        if core.is_closed() {
            return Err(LogError::Closed);
        }
        let partitions = core.all_partitions();
        let waits: Vec<(Arc<Partition>, Offset)> = partitions
            .iter()
            .filter(|partition| partition.is_stored())
            .map(|partition| (Arc::clone(partition), partition.bounds().end))
            .collect();
        let stored = tokio::time::timeout(STORED_TIME_MAX, all_stored(&waits)).await;
        stored.map_err(|_| LogError::Busy)?;
        let pin = core.store.pin(lease).map_err(|_| LogError::Busy)?;
        let at = core.world.clock.now_ms();
        let mut marks: Vec<StreamMark> = partitions
            .iter()
            .filter(|partition| partition.is_stored())
            .map(|partition| mark(partition))
            .collect();
        marks.sort_unstable_by_key(|mark| mark.stream);
        let extents = pin.cut();
        Ok(LogCut { at, marks, extents, pin })
    }
}

impl EmbeddedLog {
    /// The partition's next record gets this offset: for records that come back with the offsets
    /// they had. `Busy` while appends are under way, or when records lie there already.
    pub fn go_on_at(
        &self,
        topic: TopicId,
        partition: types::Partition,
        offset: Offset,
    ) -> Result<(), LogError> {
        let partition = self.core.topics.partition(topic, partition)?;
        let mut state = partition.state.lock();
        if let Some(gone) = &state.gone {
            return Err(gone.clone());
        }
        let is_still = state.drafts.is_empty() && state.waiting_batches == 0;
        if !is_still || state.unstored_records > 0 || offset < state.next {
            return Err(LogError::Busy);
        }
        state.floor = offset;
        state.next = offset;
        drop(state);
        self.core.must_checkpoint.store(true, Ordering::Release);
        Ok(())
    }
}

async fn all_stored(waits: &[(Arc<Partition>, Offset)]) {
    for (partition, end) in waits {
        loop {
            let is_done = {
                let state = partition.state.lock();
                state.stored >= *end || state.gone.is_some() || state.unstored_records == 0
            };
            if is_done {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn mark(partition: &Partition) -> StreamMark {
    let state = partition.state.lock();
    let floor = state.floor.max(state.stored);
    StreamMark { stream: partition.stream, start: state.start, stored: state.stored, floor }
}

impl Core {
    fn all_partitions(&self) -> Vec<Arc<Partition>> {
        self.topics.all().iter().flat_map(|topic| topic.partitions.iter().cloned()).collect()
    }
}

/// Writes the marks that a log in this directory begins with, as if it had been closed in order.
/// Only for a directory that no process has open.
pub fn write_marks(disk: &dyn Disk, dir: &Path, marks: &[StreamMark]) -> io::Result<()> {
    let marks = marks.iter().map(|mark| {
        let floor = mark.floor.max(mark.stored);
        let StreamMark { stream, start, stored, .. } = *mark;
        (stream, Mark { start, stored, floor, ..Mark::default() })
    });
    let marks = marks.collect();
    Checkpoint { is_clean: true, marks, ..Checkpoint::default() }.write(disk, dir)
}

/// Leaves `gap` offsets out behind the end of each of the partitions, in a directory that no
/// process has open: a reader may hold cursors that reach further than what is there.
pub fn leave_gaps(
    disk: &dyn Disk,
    dir: &Path,
    streams: &[StreamId],
    gap: Offset,
) -> io::Result<()> {
    let mut checkpoint = Checkpoint::read(disk, dir)?.unwrap_or_default();
    for stream in streams {
        let mark = checkpoint.marks.entry(*stream).or_default();
        mark.floor = mark.floor.max(mark.stored).saturating_add(gap);
    }
    checkpoint.write(disk, dir)
}

/// What the last process wrote down about its partitions, and whether it ended in order; `None`
/// for a directory that was never a log's.
pub fn read_marks(disk: &dyn Disk, dir: &Path) -> io::Result<Option<(Vec<StreamMark>, LastEnd)>> {
    let Some(checkpoint) = Checkpoint::read(disk, dir)? else { return Ok(None) };
    let mut marks: Vec<StreamMark> = checkpoint
        .marks
        .iter()
        .map(|(stream, mark)| StreamMark {
            stream: *stream,
            start: mark.start,
            stored: mark.stored,
            floor: mark.floor,
        })
        .collect();
    marks.sort_unstable_by_key(|mark| mark.stream);
    let end = if checkpoint.is_clean { LastEnd::InOrder } else { LastEnd::Crashed };
    Ok(Some((marks, end)))
}

/// How the last process that had the log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastEnd {
    InOrder,
    /// Or it runs still.
    Crashed,
}
