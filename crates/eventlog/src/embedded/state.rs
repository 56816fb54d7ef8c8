//! Taking the snapshot, and bringing what it says up to date when the log is opened: only what was
//! stored behind it is read.

use super::core::Core;
use super::disk::{Trouble, between, take_bytes};
use super::held::Held;
use super::ids::entry::{Entry, Place};
use super::ids::run::{self, Run};
use super::partition::{Partition, Span, State};
use super::registry::ONE_SHOT;
use super::snapshot::{Snapshot, Stream};
use super::transact::{DECISIONS, decisions_in};
use super::transaction::{Decision, Outcome};
use crate::LogError;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::StreamId;
use types::{Batch, Durability, Offset, Producer, TimestampMs, record};

/// Bytes read at once while the log is opened.
const SCAN_BYTES_MAX: usize = 1 << 20;
/// Producers' numbers of one opening; the number of the opening stands before them.
pub const PRODUCER_BITS: u32 = 39;

/// What a start knows before it reads what lies behind the snapshot.
struct Scan {
    committed: HashSet<Producer>,
    /// Damage lies where decisions may have been: what has none is not hidden but damaged.
    is_unsure: bool,
    /// Nobody knows which decisions there were: what has none is shown.
    shows_unknown: bool,
    taken_at: TimestampMs,
    has_snapshot: bool,
    now: TimestampMs,
    /// The greatest number of a producer that was seen.
    producer_max: i64,
}

/// Where ids are looked for.
struct Since {
    offset: Offset,
    time: TimestampMs,
    /// Records from here on came after the snapshot, whatever their timestamps say.
    covered: Offset,
}

impl Core {
    /// Brings the partitions up to date. Blocks.
    pub fn warm(&self, snapshot: Option<Snapshot>) -> Result<(), LogError> {
        let mut scan = self.read_decisions(snapshot.as_ref())?;
        let is_known = snapshot.is_some();
        let mut snapshot = snapshot.unwrap_or_default();
        for (producer, seen_at) in snapshot.producers.drain(..) {
            self.registry.restore(producer, seen_at);
        }
        let runs = self.open_runs(&snapshot);
        let is_whole = is_known && runs.len() == snapshot.runs.len();
        self.ids.set_runs(runs);
        for topic in self.topics.all() {
            for partition in &topic.partitions {
                if partition.stream.topic == DECISIONS {
                    continue;
                }
                let mut known = snapshot.streams.remove(&partition.stream).unwrap_or_default();
                if !is_whole {
                    known.ids_covered = 0;
                }
                self.ids_covered.lock().insert(partition.stream, known.ids_covered);
                self.warm_partition(partition, known, &mut scan);
            }
        }
        let opens = snapshot.opens.max(scan.producer_max as u64 >> PRODUCER_BITS) + 1;
        self.opens.store(opens, Ordering::Relaxed);
        // Openings are fewer than 2^24.
        self.transactions.begin_producers((opens << PRODUCER_BITS) as i64);
        Ok(())
    }

    /// The runs that are whole; without one of them ids are found anew in the stored records.
    fn open_runs(&self, snapshot: &Snapshot) -> Vec<Arc<Run>> {
        let mut runs = Vec::with_capacity(snapshot.runs.len());
        for &number in &snapshot.runs {
            match Run::open(&*self.world.disk, &self.options.dir, number) {
                Ok(run) => runs.push(Arc::new(run)),
                Err(error) => {
                    tracing::error!(%error, run = number,
                        "a file of record ids cannot be used: it is made anew from the records");
                }
            }
            self.next_run.fetch_max(number + 1, Ordering::Relaxed);
        }
        runs
    }

    fn read_decisions(&self, snapshot: Option<&Snapshot>) -> Result<Scan, LogError> {
        let covered = snapshot.map_or(0, |snapshot| snapshot.decisions);
        let now = self.world.clock.now_ms();
        let mut scan = Scan {
            committed: HashSet::new(),
            is_unsure: false,
            shows_unknown: false,
            taken_at: snapshot.map_or(TimestampMs::MIN, |snapshot| snapshot.taken_at),
            has_snapshot: snapshot.is_some(),
            now,
            producer_max: 0,
        };
        let partition = self.topics.partition(DECISIONS, 0)?;
        let (start, end, is_damaged) = {
            let state = partition.state.lock();
            let from = covered.max(state.start);
            (state.start, state.settled, state.damage_from(from).is_some())
        };
        scan.is_unsure = is_damaged;
        scan.shows_unknown = snapshot.is_none() && start > 0;
        let mut bad = None;
        let read = self.each_stored(&partition, covered, |batch| match decisions_in(batch) {
            Ok(decisions) => {
                for (decision, producer) in decisions {
                    match decision {
                        Decision::Commit => {
                            scan.committed.insert(producer);
                            // Its parts may be gone with their topic.
                            self.end_epoch(producer, now);
                            self.registry.restore_committed(producer);
                        }
                        Decision::Fence => self.registry.restore(producer, now),
                    }
                }
            }
            Err(error) => bad = Some(error),
        });
        match read {
            Ok(()) => {}
            Err(Trouble::Log(LogError::Damaged { .. })) => scan.is_unsure = true,
            // What is acknowledged must not be hidden because the device did not answer.
            Err(trouble) => {
                let text = format!("the decisions of transactions cannot be read: {trouble:?}");
                return Err(LogError::Failed(text));
            }
        }
        self.decisions_applied.store(end, Ordering::Release);
        bad.map_or(Ok(scan), Err)
    }

    fn warm_partition(&self, partition: &Arc<Partition>, known: Stream, scan: &mut Scan) {
        let window = partition.shared.idempotency_window_ms();
        {
            let mut state = partition.state.lock();
            known.hidden.iter().for_each(|range| state.hidden.add(range.clone()));
            for (producer, range) in &known.undecided {
                state.decide_late(scan, *producer, range.clone());
                self.end_epoch(*producer, scan.now);
            }
            state.producers.restore(known.producers);
            if state.stored <= known.ids_covered.min(known.covered) {
                return;
            }
        }
        // Ids of records that are too old are not looked for.
        let oldest = match window {
            0 => TimestampMs::MAX,
            window => scan.now.saturating_sub(i64::try_from(window).unwrap_or(i64::MAX)),
        };
        let from = if window == 0 { known.covered } else { known.ids_covered.min(known.covered) };
        let spans = partition.state.lock().spans.iter().copied().collect::<Vec<_>>();
        for span in spans.iter().filter(|span| span.next_offset > from) {
            if span.next_offset <= known.covered && span.max_timestamp < oldest {
                continue;
            }
            let read = self.each_stored_in(partition, span, from, &mut |batch| {
                self.warm_batch(partition, batch, known.covered, scan);
                // Rewriting joins batches, so one may reach over the place.
                if window > 0 && batch.next_offset() > known.ids_covered {
                    let (offset, covered) = (known.ids_covered, known.covered);
                    let since = Since { offset, time: oldest, covered };
                    self.warm_ids(partition, batch, &since, scan);
                }
            });
            if let Err(trouble) = read {
                // Reading it tells the same to whoever asks for its records.
                let stream = partition.stream;
                tracing::warn!(
                    ?trouble,
                    ?stream,
                    "ids and producers of some batches are not known"
                );
            }
            if self.ids.wants_run() {
                self.write_runs(scan.now);
            }
        }
    }

    fn warm_batch(&self, partition: &Partition, batch: &Batch, covered: Offset, scan: &mut Scan) {
        let Some(stamp) = batch.stamp().filter(|_| batch.base_offset() >= covered) else { return };
        scan.producer_max = scan.producer_max.max(stamp.producer.id);
        let mut state = partition.state.lock();
        if stamp.sequence.is_some() {
            let seen_at = batch.max_timestamp().max(scan.taken_at).min(scan.now);
            state.producers.note(&stamp, batch.count(), batch.base_offset(), seen_at);
            state.producers.settle(stamp.producer.id, batch.next_offset());
        }
        if stamp.is_transactional {
            let range = batch.base_offset()..batch.next_offset();
            state.decide_late(scan, stamp.producer, range);
            self.end_epoch(stamp.producer, scan.now);
        }
    }

    /// Committed or not, the transaction that the producer had open is over.
    fn end_epoch(&self, producer: Producer, now: TimestampMs) {
        if producer.epoch < ONE_SHOT {
            let epoch = producer.epoch.saturating_add(1);
            self.registry.restore(Producer { epoch, ..producer }, now);
        }
    }

    fn warm_ids(&self, partition: &Partition, batch: &Batch, since: &Since, scan: &Scan) {
        if partition.state.lock().hidden.holds(batch.base_offset()) {
            return;
        }
        let StreamId { topic, partition } = partition.stream;
        for view in batch.views().filter(|view| view.offset >= since.offset) {
            let mut headers = view.headers();
            let id = headers.find(|(name, _)| *name == record::header::ID.as_bytes());
            // A publisher's own timestamp says nothing of when the record came: rather too late,
            // so that no id is forgotten before its window is over.
            let time = match view.offset < since.covered || !scan.has_snapshot {
                true => view.timestamp.max(scan.taken_at).min(scan.now),
                false => scan.now,
            };
            if let Some((_, id)) = id.filter(|_| time >= since.time) {
                let place = Place::new(partition, view.offset, time);
                self.ids.restore(topic, &Entry { hash: self.ids.hash(topic, id), place });
            }
        }
    }

    /// Every stored batch from the offset on that can be read; the first trouble, if there is any.
    fn each_stored(
        &self,
        partition: &Partition,
        from: Offset,
        mut each: impl FnMut(&Batch),
    ) -> Result<(), Trouble> {
        let spans = partition.state.lock().spans.iter().copied().collect::<Vec<_>>();
        let mut outcome = Ok(());
        for span in spans.iter().filter(|span| span.next_offset > from) {
            let read = self.each_stored_in(partition, span, from, &mut each);
            outcome = outcome.and(read);
        }
        outcome
    }

    fn each_stored_in(
        &self,
        partition: &Partition,
        span: &Span,
        from: Offset,
        each: &mut impl FnMut(&Batch),
    ) -> Result<(), Trouble> {
        let entries = self.entries(partition.stream, span)?;
        let mut rest = between(&entries, from.max(span.first_offset), span.next_offset);
        let mut outcome = Ok(());
        while !rest.is_empty() {
            let chunk = take_bytes(rest, SCAN_BYTES_MAX);
            let read = match self.batches(partition.stream, chunk) {
                Ok(batches) => {
                    batches.iter().for_each(|batch| each(batch));
                    batches.len()
                }
                Err(trouble) => {
                    outcome = outcome.and(Err(trouble));
                    1
                }
            };
            rest = rest.get(read.max(1)..).unwrap_or_default();
        }
        outcome
    }

    /// Writes down what only memory knows, when enough has come together. Blocks.
    pub fn snapshot_if_due(&self) {
        let stored = self.stored_since.load(Ordering::Relaxed);
        self.ids.measure();
        if (self.ids.wants_run() || stored >= self.options.snapshot_bytes_max)
            && let Err(error) = self.take_snapshot()
        {
            tracing::warn!(%error, "what only memory knows could not be written down");
        }
    }

    /// Replaces the snapshot; one at a time. Blocks.
    pub fn take_snapshot(&self) -> io::Result<()> {
        let _one_at_a_time = self.snapshotting.lock();
        let (disk, dir) = (&*self.world.disk, &*self.options.dir);
        let now = self.world.clock.now_ms();
        let stored = self.stored_since.load(Ordering::Relaxed);
        // Before the partitions: what is decided later may be decided again by the next start.
        let decisions = self.decisions_applied.load(Ordering::Acquire);
        let mut streams = self.streams(now);
        self.registry.expire(self.silent_before(now));
        let leaving = self.ids.begin_leaving(|topic, partition, offset| {
            // An id whose record is not stored yet must be looked for from there on.
            if let Some(stream) = streams.get_mut(&StreamId { topic, partition }) {
                stream.ids_covered = stream.ids_covered.min(offset);
            }
        });
        if self.ids.is_damaged() {
            streams.values_mut().for_each(|stream| stream.ids_covered = 0);
        }
        let number = self.next_run.load(Ordering::Relaxed);
        let runs = self.ids.plan_runs((disk, dir), number, leaving, self.expired_before(now));
        if let Err(error) = &runs {
            // Without space for the ids the rest is written all the same: they stay in memory, and
            // the next start looks for them from where it would have.
            tracing::warn!(%error, "record ids could not be written to a file");
            let before = self.ids_covered.lock();
            for (id, stream) in &mut streams {
                stream.ids_covered = before.get(id).copied().unwrap_or(0);
            }
        }
        let is_written = runs.is_ok();
        let runs = runs.unwrap_or_else(|_| self.ids.runs().to_vec());
        let snapshot = Snapshot {
            opens: self.opens.load(Ordering::Relaxed),
            taken_at: now,
            producers: self.registry.list(),
            hash_key: self.ids.hash_key(),
            decisions,
            streams,
            runs: runs.iter().map(|run| run.number).collect(),
        };
        snapshot.write(disk, dir)?;
        if is_written {
            self.use_runs(runs);
        }
        let covered = snapshot.streams.iter().map(|(&id, stream)| (id, stream.ids_covered));
        *self.ids_covered.lock() = covered.collect();
        self.stored_since.fetch_sub(stored, Ordering::Relaxed);
        self.remove_runs(&snapshot.runs)?;
        self.trim_decisions(decisions);
        Ok(())
    }

    /// Ids of records before this offset need not be found in the records again.
    pub fn ids_covered_in(&self, partition: &Partition) -> Offset {
        if partition.shared.idempotency_window_ms() == 0 {
            return Offset::MAX;
        }
        self.ids_covered.lock().get(&partition.stream).copied().unwrap_or(0)
    }

    /// While the log is opened: ids must not take more memory than they may.
    fn write_runs(&self, now: TimestampMs) {
        let place = (&*self.world.disk, &*self.options.dir);
        let leaving = self.ids.begin_leaving(|_, _, _| {});
        let number = self.next_run.load(Ordering::Relaxed);
        match self.ids.plan_runs(place, number, leaving, self.expired_before(now)) {
            Ok(runs) => self.use_runs(runs),
            Err(error) => tracing::warn!(%error, "record ids could not be written to a file"),
        }
    }

    fn use_runs(&self, runs: Vec<Arc<Run>>) {
        let next = runs.iter().map(|run| run.number + 1).max().unwrap_or(0);
        self.next_run.fetch_max(next, Ordering::Relaxed);
        self.ids.set_runs(runs);
        self.ids.end_leaving();
    }

    fn remove_runs(&self, kept: &[u64]) -> io::Result<()> {
        let (disk, dir) = (&*self.world.disk, &*self.options.dir);
        for name in disk.list(dir)? {
            if let Some(number) = run::number_of(&name).filter(|number| !kept.contains(number)) {
                Run::remove(disk, dir, number);
            }
        }
        Ok(())
    }

    /// Ids older than the longest window of all topics are of no use.
    fn expired_before(&self, now: TimestampMs) -> TimestampMs {
        let topics = self.topics.all();
        let windows = topics.iter().map(|topic| topic.shared.idempotency_window_ms());
        now.saturating_sub(i64::try_from(windows.max().unwrap_or(0)).unwrap_or(i64::MAX))
    }

    /// Producers not heard of since then are forgotten.
    fn silent_before(&self, now: TimestampMs) -> TimestampMs {
        let age_ms = i64::try_from(self.options.producer_idle_ms_max).unwrap_or(i64::MAX);
        now.saturating_sub(age_ms)
    }

    fn streams(&self, now: TimestampMs) -> BTreeMap<StreamId, Stream> {
        let mut streams = BTreeMap::new();
        let silent_before = self.silent_before(now);
        for topic in self.topics.all() {
            for partition in &topic.partitions {
                let is_own = partition.stream.topic == DECISIONS;
                if is_own || partition.shared.durability() == Durability::Ephemeral {
                    continue;
                }
                let mut state = partition.state.lock();
                state.producers.expire(silent_before);
                streams.insert(partition.stream, state.stream());
            }
        }
        streams
    }

    /// Decisions that the snapshot has made good are not needed any more.
    fn trim_decisions(&self, decisions: Offset) {
        let Ok(partition) = self.topics.partition(DECISIONS, 0) else { return };
        let mut state = partition.state.lock();
        if decisions > state.start {
            state.start = decisions;
            self.must_checkpoint.store(true, Ordering::Release);
        }
    }
}

impl State {
    /// What the snapshot says of the partition.
    fn stream(&mut self) -> Stream {
        let covered = self.settled.min(self.stored);
        // Not before the start of now: without its checkpoint a crash brings back what was before.
        self.hidden.forget_before(self.start_kept);
        let mut hidden = self.hidden.clone();
        let mut undecided = Vec::new();
        for Held { tail, transaction } in &self.held {
            let range = tail.batch.base_offset()..tail.batch.next_offset();
            match transaction.as_ref().map(|it| (it.producer, it.outcome())) {
                Some((producer, Outcome::Undecided)) => undecided.push((producer, range)),
                Some((_, Outcome::Aborted)) => hidden.add(range),
                _ => {}
            }
        }
        Stream {
            covered,
            ids_covered: covered,
            hidden: hidden.ranges().to_vec(),
            undecided,
            producers: self.producers.list(covered),
        }
    }

    /// A batch of a transaction whose end a start has to find out.
    fn decide_late(&mut self, scan: &Scan, producer: Producer, range: Range<Offset>) {
        if scan.committed.contains(&producer) || scan.shows_unknown {
            return;
        }
        if scan.is_unsure {
            let at = self.damaged.partition_point(|damage| damage.start < range.start);
            self.damaged.insert(at, range);
        } else {
            self.hidden.add(range);
        }
    }
}
