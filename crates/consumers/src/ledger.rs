//! One partition of one consumer. Everything before `next` was looked at; of that, what is not in
//! `pending` is acknowledged. So memory is bounded by what is pending, however far a reader is
//! ahead of its oldest unacknowledged record.
//!
//! ```text
//!  offset   0 1 2 3 4 5 6 7 8 9
//!           a a P a P P a a . .      a acknowledged, P pending, . not looked at
//!               ^committed   ^next
//! ```
//!
//! The committed position never goes back. A dead letter that is to be delivered again becomes
//! pending before it, and changes nothing about it.

use crate::book::Terms;
use crate::codec::{Kept, Run};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use stdx::Rng;
use types::consumer::{DELAY_MS_MAX, Ordering};
use types::{Offset, TimestampMs};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// In somebody's hands until then.
    Leased { until: Duration },
    /// Comes again from then on.
    Waiting { from: Duration },
    /// May be leased now.
    Ready,
    /// An earlier record of its key is not acknowledged.
    Held,
    /// Delivered as often as it may be: for the dead letters.
    Doomed,
    /// On its way to the dead letters or into a transaction; nobody else may have it.
    Settling,
}

#[derive(Debug, Clone)]
struct Pending {
    deliveries: u32,
    key: Option<u64>,
    phase: Phase,
}

/// How many records of a partition are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub leased: u64,
    /// Delivered before and not in anybody's hands.
    pub retrying: u64,
    pub held: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Ledger {
    committed: Offset,
    next: Offset,
    pending: BTreeMap<Offset, Pending>,
    /// Ends of leases and of waits.
    timers: BTreeSet<(Duration, Offset)>,
    ready: BTreeSet<Offset>,
    doomed: BTreeSet<Offset>,
    /// Pending records by key, when the consumer keeps the order of keys.
    lines: HashMap<u64, BTreeSet<Offset>>,
    /// Changed since it was last kept.
    pub(crate) is_dirty: bool,
}

impl Ledger {
    /// A consumer that begins at this offset.
    pub fn starting_at(next: Offset) -> Ledger {
        Ledger { committed: next, next, is_dirty: true, ..Ledger::default() }
    }

    /// As it was kept. Leases that ran then run on as waits: whoever holds a delivery may still
    /// settle it, and nobody else is given it earlier.
    pub fn restore(kept: &Kept, now: Duration, now_ms: TimestampMs) -> Ledger {
        let mut ledger = Ledger { committed: kept.committed, next: kept.next, ..Ledger::default() };
        for run in &kept.runs {
            let wait_ms = u64::try_from(run.not_before_ms.saturating_sub(now_ms)).unwrap_or(0);
            let from = now + Duration::from_millis(wait_ms.min(DELAY_MS_MAX));
            for offset in run.offsets() {
                let phase = Phase::Waiting { from };
                let pending = Pending { deliveries: run.deliveries, key: None, phase };
                ledger.pending.insert(offset, pending);
                ledger.timers.insert((from, offset));
            }
        }
        ledger
    }

    /// What is to be kept, as if the records `without` were acknowledged already.
    pub fn keep(
        &self,
        generation: u32,
        without: &BTreeSet<Offset>,
        now: Duration,
        now_ms: TimestampMs,
    ) -> Kept {
        let mut kept = Kept { generation, committed: self.next, next: self.next, runs: Vec::new() };
        let left = self.pending.iter().filter(|(offset, _)| !without.contains(offset));
        let mut is_first = true;
        for (&offset, pending) in left {
            if offset >= self.committed && is_first {
                kept.committed = offset;
                is_first = false;
            }
            let at = match pending.phase {
                Phase::Leased { until } => until,
                Phase::Waiting { from } => from,
                _ => now,
            };
            let wait_ms = i64::try_from(at.saturating_sub(now).as_millis()).unwrap_or(i64::MAX);
            let not_before_ms = if wait_ms == 0 { 0 } else { now_ms.saturating_add(wait_ms) };
            let run =
                Run { start: offset, count: 1, deliveries: pending.deliveries, not_before_ms };
            match kept.runs.last_mut() {
                Some(last) if last.takes(&run) => last.count += 1,
                _ => kept.runs.push(run),
            }
        }
        kept
    }

    /// Everything before it is acknowledged, but for dead letters that are to be delivered again.
    pub fn committed(&self) -> Offset {
        self.committed
    }

    /// What was not looked at yet begins here.
    pub fn next(&self) -> Offset {
        self.next
    }

    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for pending in self.pending.values() {
            match pending.phase {
                Phase::Leased { .. } | Phase::Settling => counts.leased += 1,
                Phase::Held => counts.held += 1,
                _ => counts.retrying += u64::from(pending.deliveries > 0),
            }
        }
        counts
    }

    /// Pending records whose keys are not known, as after a restart.
    pub fn keyless(&self) -> Vec<Offset> {
        self.pending.keys().copied().collect()
    }

    /// Tells the key of a pending record. Called in the order of offsets before anything is taken.
    pub fn tell_key(&mut self, offset: Offset, key: u64) {
        if let Some(pending) = self.pending.get_mut(&offset) {
            pending.key = Some(key);
            self.lines.entry(key).or_default().insert(offset);
        }
    }

    /// Nothing before `to` is new any more: it was looked at, or is gone.
    pub fn pass(&mut self, to: Offset) {
        if to > self.next {
            self.next = to;
            self.is_dirty = true;
            self.commit();
        }
    }

    /// Takes a new record in, at `next` or after it; the offsets between hold nothing for this
    /// consumer. Answers whether it may be leased, or is held back by an earlier one of its key.
    pub fn admit(&mut self, offset: Offset, key: Option<u64>, terms: &Terms) -> bool {
        debug_assert!(offset >= self.next, "what was looked at is not new");
        self.pass(offset);
        self.next = offset + 1;
        self.is_dirty = true;
        self.enter(offset, key, terms)
    }

    /// An acknowledged record is to be delivered once more. `false` when it is pending anyway or
    /// was never delivered.
    pub fn revive(&mut self, offset: Offset, key: Option<u64>, terms: &Terms) -> bool {
        if offset >= self.next || self.pending.contains_key(&offset) {
            return false;
        }
        self.enter(offset, key, terms);
        self.is_dirty = true;
        true
    }

    fn enter(&mut self, offset: Offset, key: Option<u64>, terms: &Terms) -> bool {
        let key = key.filter(|_| terms.ordering == Ordering::Key);
        if let Some(key) = key {
            self.lines.entry(key).or_default().insert(offset);
        }
        self.pending.insert(offset, Pending { deliveries: 0, key, phase: Phase::Held });
        let may_go = self.is_first_of_key(offset);
        if may_go {
            self.set(offset, Phase::Ready);
        }
        may_go
    }

    /// Lets time pass: ends leases and waits that are over.
    pub fn turn(&mut self, now: Duration, terms: &Terms, rng: &dyn Rng) {
        while let Some(&(at, offset)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            let Some(pending) = self.pending.get(&offset) else {
                continue;
            };
            let deliveries = pending.deliveries;
            self.is_dirty = true;
            match pending.phase {
                _ if deliveries >= terms.deliveries_max => self.set(offset, Phase::Doomed),
                Phase::Leased { until } => {
                    let from = until + terms.backoff(deliveries, rng);
                    self.set(offset, Phase::Waiting { from });
                }
                _ => self.set(offset, Phase::Ready),
            }
        }
    }

    /// When `turn` next has something to do.
    pub fn next_turn(&self) -> Option<Duration> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Leases the earliest record that may be, until then. Answers its offset and how often it has
    /// been delivered with this time.
    pub fn lease(&mut self, until: Duration) -> Option<(Offset, u32)> {
        while let Some(offset) = self.ready.pop_first() {
            if !self.is_first_of_key(offset) {
                self.set(offset, Phase::Held);
                continue;
            }
            let pending = self.pending.get_mut(&offset)?;
            pending.deliveries = pending.deliveries.saturating_add(1);
            let deliveries = pending.deliveries;
            self.set(offset, Phase::Leased { until });
            self.is_dirty = true;
            return Some((offset, deliveries));
        }
        None
    }

    fn is_first_of_key(&self, offset: Offset) -> bool {
        let key = self.pending.get(&offset).and_then(|pending| pending.key);
        let line = key.and_then(|key| self.lines.get(&key));
        line.and_then(BTreeSet::first).is_none_or(|&first| first == offset)
    }

    /// Takes back a lease that could not be handed out.
    pub fn unlease(&mut self, offset: Offset) {
        if let Some(pending) = self.pending.get_mut(&offset) {
            pending.deliveries = pending.deliveries.saturating_sub(1);
            self.set(offset, Phase::Ready);
        }
    }

    /// Records for the dead letters, at most so many; they are settling from now on.
    pub fn doomed(&mut self, count: usize) -> Vec<(Offset, u32)> {
        let offsets: Vec<Offset> = self.doomed.iter().take(count).copied().collect();
        let mut doomed = Vec::with_capacity(offsets.len());
        for offset in offsets {
            if let Some(pending) = self.pending.get(&offset) {
                doomed.push((offset, pending.deliveries));
            }
            self.set(offset, Phase::Settling);
        }
        doomed
    }

    pub fn has_doomed(&self) -> bool {
        !self.doomed.is_empty()
    }

    /// How often a pending record was delivered; `None` when it is acknowledged or unknown.
    pub fn deliveries(&self, offset: Offset) -> Option<u32> {
        self.pending.get(&offset).map(|pending| pending.deliveries)
    }

    pub fn is_settling(&self, offset: Offset) -> bool {
        self.pending.get(&offset).is_some_and(|pending| pending.phase == Phase::Settling)
    }

    /// The record is done with.
    pub fn acknowledge(&mut self, offset: Offset) {
        let Some(pending) = self.pending.get(&offset) else {
            return;
        };
        let key = pending.key;
        self.unlink(offset);
        self.pending.remove(&offset);
        self.is_dirty = true;
        if let Some(key) = key {
            self.leave_line(offset, key);
        }
        self.commit();
    }

    /// Everything before `to` is done with, in whoever's hands it is. What is just being moved to
    /// the dead letters or committed is left to that.
    pub fn acknowledge_to(&mut self, to: Offset) {
        let before = self.pending.range(..to);
        let done = before.filter(|(_, pending)| pending.phase != Phase::Settling);
        let done: Vec<Offset> = done.map(|(&offset, _)| offset).collect();
        done.into_iter().for_each(|offset| self.acknowledge(offset));
        self.pass(to);
    }

    /// The next of the key may go.
    fn leave_line(&mut self, offset: Offset, key: u64) {
        let Some(line) = self.lines.get_mut(&key) else {
            return;
        };
        line.remove(&offset);
        match line.first().copied() {
            None => {
                self.lines.remove(&key);
            }
            Some(first) => {
                let is_held = |pending: &Pending| pending.phase == Phase::Held;
                if self.pending.get(&first).is_some_and(is_held) {
                    self.set(first, Phase::Ready);
                }
            }
        }
    }

    pub fn put_off(&mut self, offset: Offset, from: Duration) {
        self.set(offset, Phase::Waiting { from });
        self.is_dirty = true;
    }

    pub fn extend(&mut self, offset: Offset, until: Duration) {
        self.set(offset, Phase::Leased { until });
        self.is_dirty = true;
    }

    /// Nobody else may have it until `acknowledge` or `put_off`.
    pub fn settle(&mut self, offset: Offset) {
        self.set(offset, Phase::Settling);
    }

    fn commit(&mut self) {
        let first = self.pending.range(self.committed..).next().map(|(&offset, _)| offset);
        self.committed = self.committed.max(first.unwrap_or(self.next));
    }

    fn unlink(&mut self, offset: Offset) {
        match self.pending.get(&offset).map(|pending| pending.phase) {
            Some(Phase::Leased { until }) => {
                self.timers.remove(&(until, offset));
            }
            Some(Phase::Waiting { from }) => {
                self.timers.remove(&(from, offset));
            }
            Some(Phase::Ready) => {
                self.ready.remove(&offset);
            }
            Some(Phase::Doomed) => {
                self.doomed.remove(&offset);
            }
            Some(Phase::Held | Phase::Settling) | None => {}
        }
    }

    fn set(&mut self, offset: Offset, phase: Phase) {
        self.unlink(offset);
        let Some(pending) = self.pending.get_mut(&offset) else {
            return;
        };
        pending.phase = phase;
        match phase {
            Phase::Leased { until } => {
                self.timers.insert((until, offset));
            }
            Phase::Waiting { from } => {
                self.timers.insert((from, offset));
            }
            Phase::Ready => {
                self.ready.insert(offset);
            }
            Phase::Doomed => {
                self.doomed.insert(offset);
            }
            Phase::Held | Phase::Settling => {}
        }
    }
}
