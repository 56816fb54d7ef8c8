//! One bound for the recent batches of all partitions together: the batch that became visible
//! longest ago leaves memory first, whichever partition it is of.

use super::partition::Partition;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

pub struct Tail {
    bytes_max: usize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// One entry per batch in a partition's tail, in the same order per partition.
    batches: VecDeque<(Arc<Partition>, usize)>,
    bytes: usize,
}

impl Tail {
    pub fn new(bytes_max: usize) -> Tail {
        Tail { bytes_max, queue: Mutex::default() }
    }

    /// Counts batches that were just put into the partition's tail and are stored, and drops the
    /// oldest of all. The caller holds no partition's state.
    pub fn admit(&self, partition: &Arc<Partition>, sizes: impl Iterator<Item = usize>) {
        let mut queue = self.queue.lock();
        for bytes in sizes {
            queue.batches.push_back((Arc::clone(partition), bytes));
            queue.bytes += bytes;
        }
        while queue.bytes > self.bytes_max {
            let Some((oldest, bytes)) = queue.batches.pop_front() else { break };
            queue.bytes -= bytes;
            // The order is always this queue, then a partition's state.
            let batch = oldest.state.lock().tail.pop_front();
            drop(batch);
        }
    }

    /// The partition's tail is given up as a whole.
    pub fn forget(&self, partition: &Arc<Partition>) {
        let mut queue = self.queue.lock();
        let Queue { batches, bytes } = &mut *queue;
        batches.retain(|(of, size)| {
            let stays = !Arc::ptr_eq(of, partition);
            *bytes -= if stays { 0 } else { *size };
            stays
        });
    }

    pub fn bytes(&self) -> usize {
        self.queue.lock().bytes
    }
}
