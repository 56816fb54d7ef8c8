//! The way to the device: drafts become frames of the writer's next group, and when the group is
//! settled their records become visible, the observer is told and publishers are answered. Runs on
//! the writer's thread only, one group at a time.

use super::core::Core;
use super::draft::{Acknowledge, Draft, Flight, Waiter};
use super::partition::{Partition, TailBatch};
use crate::LogError;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::{Arrivals, Entry, Group, Options, Source, StoreError};

impl Source for Core {
    fn gather(&self, group: &mut Group) {
        if !self.intake.may_gather() && !self.transactions.has_ready() {
            return;
        }
        self.transactions.begin_turn();
        while let Some(flight) = self.next_flight() {
            match group.push(flight.frame(flight.partition.stream)) {
                Ok(()) => self.intake.in_flight.lock().push(flight),
                Err(_full) => {
                    self.intake.carried.lock().push_front(flight);
                    break;
                }
            }
        }
        // With nothing to try, only the free space itself can say that the device takes more.
        let is_idle = group.is_empty() && self.intake.is_full() && !self.is_unmarked();
        if is_idle && self.has_space() {
            self.intake.set_full(false);
            tracing::info!("the log has space again");
        }
    }

    fn arrivals(&self) -> Option<Arrivals> {
        Some(self.intake.arrivals())
    }

    fn tell_when(&self, appends: u64) {
        self.intake.expect(appends);
    }

    fn settled(&self, outcome: Result<&[Entry], &StoreError>) {
        let flights = std::mem::take(&mut *self.intake.in_flight.lock());
        match outcome {
            Ok(entries) => {
                self.intake.set_full(false);
                debug_assert_eq!(flights.len(), entries.len());
                for (flight, entry) in flights.into_iter().zip(entries) {
                    self.settle(flight, entry);
                }
            }
            Err(StoreError::Full(reason)) => self.refuse_full(flights, reason),
            Err(StoreError::TooLarge { .. }) => {
                flights.into_iter().for_each(|flight| self.refuse_large(flight));
            }
            Err(StoreError::NoKey { tenant: Some(tenant), error, .. }) => {
                self.refuse_keyless(flights, *tenant, error);
            }
            Err(error) => self.poison(flights, error),
        }
    }
}

impl Core {
    /// Whether the next append probably finds space; if not, it is refused and says so again.
    fn has_space(&self) -> bool {
        let stats = self.store.stats();
        let Options { free_bytes_min, extent_bytes, .. } = self.options.store;
        // Appends stop for two reasons: the file system is fuller than allowed, or it has no room
        // for the next extent, which a free one makes good.
        let is_next_extent_there = stats.extents_free > 0 || !self.intake.lacks_extent();
        let extent_bytes = if is_next_extent_there { 0 } else { u64::from(extent_bytes) };
        stats.free_bytes >= free_bytes_min.saturating_add(extent_bytes)
    }

    /// The next batch in line: what the last group had no room for, then a draft of each partition
    /// in turn.
    fn next_flight(&self) -> Option<Flight> {
        if let Some(flight) = self.intake.carried.lock().pop_front() {
            return Some(flight);
        }
        // Those of the turn before come first, those of this turn last, so that a decision often
        // shares the flush of what it decides and never waits for long.
        if let Some(flight) = self.next_decisions() {
            return Some(flight);
        }
        loop {
            let Some(partition) = self.intake.next_ready() else {
                self.transactions.begin_turn();
                return self.next_decisions();
            };
            let mut state = partition.state.lock();
            let draft = state.drafts.pop_front();
            state.is_queued = !state.drafts.is_empty();
            let is_queued = state.is_queued;
            drop(state);
            if is_queued {
                self.intake.enqueue(Arc::clone(&partition));
            }
            // A draft that was given up meanwhile leaves nothing to do.
            if let Some(flight) = draft.and_then(|draft| draft.finish(partition)) {
                self.note_taken(&flight);
                return Some(flight);
            }
        }
    }

    /// The writer has one of a transaction's batches: with the last one its decision may follow.
    fn note_taken(&self, flight: &Flight) {
        if let Some(transaction) = &flight.transaction
            && transaction.taken()
        {
            self.transactions.make_ready(Arc::clone(transaction));
        }
    }

    fn settle(&self, flight: Flight, entry: &Entry) {
        let partition = &flight.partition;
        let order = partition.order.lock();
        let mut state = partition.state.lock();
        if let Some(gone) = state.gone.clone() {
            drop(state);
            drop(order);
            // The rest of a transaction is not less true for a topic that was dropped meanwhile.
            return self.refuse(flight.waiters, flight.charged_bytes, &gone);
        }
        state.stored(entry, &self.extents);
        partition.shared.add_bytes(u64::from(entry.location.len));
        self.stored_since.fetch_add(u64::from(entry.location.len), Ordering::Relaxed);
        let tail = TailBatch { batch: Arc::clone(&flight.batch), keys: flight.keys };
        let (mut is_held, mut late) = (false, Vec::new());
        if let Some(stamp) = flight.batch.stamp() {
            state.producers.settle(stamp.producer.id, flight.batch.next_offset());
        }
        match flight.acknowledge {
            Acknowledge::AfterFlush => {
                state.waiting_batches -= 1;
                if flight.transaction.is_some() || !state.held.is_empty() {
                    self.transactions.hold(tail.memory_bytes());
                    state.hold(tail, flight.transaction);
                    late = state.take_late();
                    is_held = true;
                    drop(state);
                } else {
                    state.visible = entry.next_offset();
                    state.settled = state.visible;
                    late = state.take_late();
                    let bytes = tail.memory_bytes();
                    state.tail.push_back(tail);
                    drop(state);
                    self.tail.admit(partition, std::iter::once(bytes));
                    self.announce(partition, &flight.batch);
                }
            }
            Acknowledge::AtAppend => {
                state.unstored_records -= flight.batch.count() as usize;
                let offsets = flight.batch.base_offset()..flight.batch.next_offset();
                let sizes = state.tail_sizes(offsets);
                drop(state);
                self.tail.admit(partition, sizes.into_iter());
            }
        }
        drop(order);
        for late in late {
            let _ = late.reply.send(Ok(late.appended));
        }
        if is_held {
            // What it waits for may be decided already.
            self.show_decided(partition);
        }
        self.intake.discharge(flight.charged_bytes);
        for waiter in flight.waiters {
            if let Some(claims) = &waiter.claims {
                self.ids.stored(claims);
            }
            // A publisher that went away needs no answer.
            let _ = waiter.reply.send(Ok(waiter.appended));
        }
        if !flight.decisions.is_empty() {
            self.decided(flight.decisions);
            self.decisions_applied.store(entry.next_offset(), Ordering::Release);
        }
    }

    /// Nothing of the group was written. Waiting publishers are told, and their offsets are given
    /// again; what is visible already stays in line until there is space.
    fn refuse_full(&self, flights: Vec<Flight>, reason: &str) {
        if !self.intake.is_full() {
            tracing::warn!(reason, "the log has no space left: appends are refused until it has");
        }
        let is_allowed = self.store.stats().free_bytes >= self.options.store.free_bytes_min;
        self.intake.set_lacks_extent(is_allowed);
        self.intake.set_full(true);
        let mut carried = self.intake.carried.lock();
        let (waiting, visible): (Vec<Flight>, Vec<Flight>) = flights
            .into_iter()
            .chain(carried.drain(..))
            .partition(|flight| flight.acknowledge == Acknowledge::AfterFlush);
        carried.extend(visible);
        drop(carried);
        for flight in waiting {
            self.roll_back(&flight.partition, &LogError::Full);
            self.refuse_flight(flight, &LogError::Full);
        }
        self.refuse_behind_carried();
    }

    /// What is carried may fill one group after the other: whoever waits behind it would never
    /// have an answer, and the writer no rest.
    fn refuse_behind_carried(&self) {
        if self.intake.carried.lock().is_empty() {
            return;
        }
        while let Some(partition) = self.intake.next_ready() {
            let mut state = partition.state.lock();
            state.is_queued = false;
            let given_up = state.roll_back(&LogError::Full);
            let visible = state.drafts.drain(..).collect::<Vec<_>>();
            drop(state);
            for flight in visible.into_iter().filter_map(|it| it.finish(Arc::clone(&partition))) {
                self.note_taken(&flight);
                self.intake.carried.lock().push_back(flight);
            }
            self.refuse_drafts(given_up, &LogError::Full);
        }
        self.transactions.begin_turn();
        while let Some(flight) = self.next_decisions() {
            self.roll_back(&flight.partition, &LogError::Full);
            self.refuse_flight(flight, &LogError::Full);
        }
    }

    pub fn roll_back(&self, partition: &Partition, why: &LogError) {
        let drafts = partition.state.lock().roll_back(why);
        self.refuse_drafts(drafts, why);
    }

    pub fn refuse_drafts(&self, drafts: Vec<Draft>, why: &LogError) {
        for draft in drafts {
            self.refuse(draft.waiters, draft.charged_bytes, why);
            if let Some(transaction) = draft.transaction {
                self.abort(&transaction, why);
            }
        }
    }

    /// Nothing of it was written.
    pub fn refuse_flight(&self, flight: Flight, why: &LogError) {
        flight.partition.state.lock().refuse_late(flight.batch.base_offset(), why);
        self.refuse(flight.waiters, flight.charged_bytes, why);
        for transaction in flight.transaction.iter().chain(&flight.decisions) {
            self.abort(transaction, why);
        }
    }

    pub fn refuse(&self, waiters: Vec<Waiter>, charged_bytes: usize, why: &LogError) {
        self.intake.discharge(charged_bytes);
        for waiter in waiters {
            if let Some(claims) = &waiter.claims {
                self.ids.refused(claims, why);
            }
            let _ = waiter.reply.send(Err(why.clone()));
        }
    }

    /// Appends are checked against the extent's size, so this batch is one that other options let
    /// in. Its offsets stay a gap.
    fn refuse_large(&self, flight: Flight) {
        let mut state = flight.partition.state.lock();
        match flight.acknowledge {
            Acknowledge::AfterFlush => state.waiting_batches -= 1,
            Acknowledge::AtAppend => {
                state.unstored_records -= flight.batch.count() as usize;
                let offsets = flight.batch.base_offset()..flight.batch.next_offset();
                state.tail.retain(|tail| !offsets.contains(&tail.batch.base_offset()));
                tracing::error!(?offsets, "relaxed records are lost: the store refused their size");
            }
        }
        drop(state);
        self.refuse_flight(flight, &LogError::TooLarge);
    }

    /// What is on the device is unknown now: nothing more is acknowledged in this process.
    fn poison(&self, flights: Vec<Flight>, error: &StoreError) {
        let reason = error.to_string();
        tracing::error!(reason, "the log failed: it takes no more appends until it is opened anew");
        self.intake.fail(reason.clone());
        let why = LogError::Failed(reason);
        let carried = std::mem::take(&mut *self.intake.carried.lock());
        for flight in flights.into_iter().chain(carried) {
            for transaction in flight.transaction.iter().chain(&flight.decisions) {
                self.lose(transaction, &why);
            }
            flight.partition.state.lock().refuse_late(0, &why);
            self.refuse(flight.waiters, flight.charged_bytes, &why);
        }
        while let Some(partition) = self.intake.next_ready() {
            let mut state = partition.state.lock();
            state.is_queued = false;
            state.refuse_late(0, &why);
            let drafts = state.drafts.drain(..).collect();
            drop(state);
            self.refuse_drafts(drafts, &why);
        }
    }
}
