//! What is stored and not shown yet, because a transaction before it is undecided; and what is
//! stored and never shown, because its transaction was given up.

use super::core::Core;
use super::partition::{Partition, State, TailBatch};
use super::transaction::{Outcome, Transaction};
use std::ops::Range;
use std::sync::Arc;
use types::{Batch, Offset};

/// A stored batch that waits.
pub struct Held {
    pub tail: TailBatch,
    /// `None`: it only stands behind one that is undecided.
    pub transaction: Option<Arc<Transaction>>,
}

/// Offsets that no reader sees, ascending and apart from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden(Vec<Range<Offset>>);

impl Hidden {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn ranges(&self) -> &[Range<Offset>] {
        &self.0
    }

    pub fn add(&mut self, range: Range<Offset>) {
        if range.is_empty() {
            return;
        }
        let at = self.0.partition_point(|known| known.end < range.start);
        let mut merged = range;
        let mut until = at;
        while let Some(known) = self.0.get(until).filter(|known| known.start <= merged.end) {
            merged = merged.start.min(known.start)..merged.end.max(known.end);
            until += 1;
        }
        self.0.splice(at..until, [merged]);
    }

    pub fn holds(&self, offset: Offset) -> bool {
        let at = self.0.partition_point(|known| known.end <= offset);
        self.0.get(at).is_some_and(|known| known.start <= offset)
    }

    /// Only what lies at or after the offset.
    pub fn forget_before(&mut self, offset: Offset) {
        self.0.retain(|known| known.end > offset);
    }
}

impl State {
    /// Takes a stored batch of which nobody was told; its partition's `order` is held.
    pub fn hold(&mut self, tail: TailBatch, transaction: Option<Arc<Transaction>>) {
        self.settled = tail.batch.next_offset();
        self.held.push_back(Held { tail, transaction });
    }

    /// The next batch whose fate is known, with what it is.
    fn next_decided(&mut self) -> Option<(TailBatch, Outcome)> {
        let outcome = match &self.held.front()?.transaction {
            None => Outcome::Committed,
            Some(transaction) => transaction.outcome(),
        };
        if outcome == Outcome::Undecided {
            return None;
        }
        self.held.pop_front().map(|held| (held.tail, outcome))
    }
}

impl Core {
    /// Shows what stands behind no undecided transaction any more. The caller holds neither the
    /// partition's `order` nor its `state`.
    pub fn show_decided(&self, partition: &Arc<Partition>) {
        let order = partition.order.lock();
        let mut state = partition.state.lock();
        let mut shown: Vec<Arc<Batch>> = Vec::new();
        let mut sizes = Vec::new();
        let before = state.visible;
        while let Some((tail, outcome)) = state.next_decided() {
            self.transactions.let_go(tail.memory_bytes());
            state.visible = tail.batch.next_offset();
            if outcome == Outcome::Committed {
                sizes.push(tail.memory_bytes());
                shown.push(Arc::clone(&tail.batch));
                state.tail.push_back(tail);
            } else {
                state.hidden.add(tail.batch.base_offset()..tail.batch.next_offset());
            }
        }
        let has_moved = state.visible > before;
        drop(state);
        self.tail.admit(partition, sizes.into_iter());
        for batch in &shown {
            self.announce(partition, batch);
        }
        if has_moved && shown.is_empty() {
            partition.shared.moved.notify_waiters();
        }
        drop(order);
    }

    /// The same for all that a decided transaction touched.
    pub fn show_all(&self, partitions: &[Arc<Partition>]) {
        partitions.iter().for_each(|partition| self.show_decided(partition));
    }
}

/// What of the batches readers may see.
pub fn shown(partition: &Partition, mut batches: Vec<Arc<Batch>>) -> Vec<Arc<Batch>> {
    let state = partition.state.lock();
    if !state.hidden.is_empty() {
        batches.retain(|batch| !state.hidden.holds(batch.base_offset()));
    }
    batches
}
