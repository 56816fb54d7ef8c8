//! The engine inside this process: partitions in memory over the store's extents. This file is its
//! outside: opening, closing, and the calls of the trait; each part has a file of its own.

mod append;
mod batches;
pub(crate) mod checkpoint;
mod collect;
mod commit;
mod compact;
pub(crate) mod core;
pub(crate) mod cut;
mod directory;
mod disk;
pub(crate) mod draft;
mod driver;
mod extents;
pub(crate) mod hasher;
mod held;
pub(crate) mod ids;
mod inspect;
mod intake;
pub(crate) mod leaps;
mod lifecycle;
mod nudge;
mod pace;
mod partition;
mod plan;
pub(crate) mod producers;
mod publish;
mod read;
mod recovery;
mod registry;
mod retention;
mod rewrite;
mod search;
pub(crate) mod snapshot;
mod state;
mod tail;
mod ticker;
mod topic;
mod transact;
mod transaction;
mod unlock;

use self::checkpoint::Checkpoint;
pub use self::collect::Collected;
use self::core::{Blocking, Core};
pub use self::driver::Driver;
use self::pace::Pace;
use self::partition::{Partition, State};
use self::snapshot::Snapshot;
use self::ticker::Ticker;
use crate::{
    Appended, Bounds, End, Engine, Found, Health, LogError, Observer, Options, Pending, Placement,
    ProducerState, Together, TopicSpec,
};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use storage::{Store, StreamId, World, Writer};
use types::{
    Batch, Key, Offset, Producer, ProjectId, Record, Retention, TenantId, TimestampMs, TopicId,
};

/// What opening found, for the operator's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    pub partitions: usize,
    /// Bytes cut from the end because they were never acknowledged.
    pub tail_cut_bytes: u64,
    /// Acknowledged records that cannot be read any more, in words.
    pub damaged: Vec<String>,
}

pub struct EmbeddedLog {
    pub(crate) core: Arc<Core>,
    writer: Mutex<Option<Writer>>,
    /// Maintenance and the collector.
    tickers: Mutex<Vec<Ticker>>,
}

impl EmbeddedLog {
    /// Takes the directory for this process and finds what is in it; blocks. `topics` is every
    /// topic there is: records of others are given up at the next maintenance. `Failed` when
    /// another process has the directory or it cannot be read.
    pub fn open(
        world: World,
        options: Options,
        topics: Vec<TopicSpec>,
    ) -> Result<(Arc<EmbeddedLog>, OpenReport), LogError> {
        let (core, report) = open_core(world, options, topics, Blocking::Threads)?;
        let source = Arc::clone(&core);
        let writer = Mutex::new(Some(core.store.start(source)));
        let tickers = Mutex::new(tickers(&core).map_err(failed)?);
        Ok((Arc::new(EmbeddedLog { core, writer, tickers }), report))
    }

    /// Waits for what was appended, then gives the directory up as soon as nobody holds this log.
    /// Later calls answer `Closed`.
    pub async fn close(&self) {
        let tickers = std::mem::take(&mut *self.tickers.lock());
        let writer = self.writer.lock().take();
        let core = Arc::clone(&self.core);
        let closing = tokio::task::spawn_blocking(move || {
            drop(tickers);
            end(&core, writer);
        });
        if let Err(error) = closing.await {
            tracing::error!(%error, "the log was not closed cleanly");
        }
    }

    /// For whoever has just shredded a tenant or changed keys: drops opened data keys and the
    /// shredded records that are still in memory. Blocks briefly. They are refused from the moment
    /// the keys' epoch rose; without this call memory follows at the next maintenance.
    pub fn keys_changed(&self) {
        self.core.look_at_keys();
    }

    /// The store below, for the tools that look at extents and their keys. It takes no appends but
    /// through this log.
    pub fn store(&self) -> &Arc<Store> {
        &self.core.store
    }

    /// Enforces retention and gives space back: one pass. Blocks. A thread does it now and then
    /// unless the options say that the owner does.
    pub fn maintain(&self) {
        self.core.maintain();
    }

    /// Rewrites the extents most worth it, if any are, as fast as the device allows; answers
    /// whether. Blocks. A thread does it now and then, within its budget, unless the options say
    /// that the owner does.
    pub fn collect(&self) -> bool {
        self.core.collect(&Pace::new(None, &|_| self.core.is_closed()))
    }

    /// What the collector has done since opening, and saw last.
    pub fn collected(&self) -> Collected {
        self.core.figures.now()
    }
}

/// The threads for what is done from time to time.
fn tickers(core: &Arc<Core>) -> std::io::Result<Vec<Ticker>> {
    let mut tickers = Vec::new();
    if let Some(interval) = core.options.maintain_interval {
        let core = Arc::clone(core);
        let nudge = Arc::clone(&core.nudge);
        tickers.push(Ticker::start("log-maintain", interval, nudge, move |_| core.maintain())?);
    }
    if let Some(interval) = core.options.collect.interval {
        let core = Arc::clone(core);
        let collect = move |wait: &dyn Fn(Duration) -> bool| {
            let budget = core.options.collect.bytes_per_second;
            // While appends are refused for want of space, there is nobody to hold back for.
            let rate = || if core.intake.is_full() { None } else { Some(budget) };
            while core.collect(&Pace::new(rate(), wait)) {}
        };
        tickers.push(Ticker::start("log-collect", interval, Arc::default(), collect)?);
    }
    Ok(tickers)
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.tickers.get_mut().clear();
        let writer = self.writer.get_mut().take();
        end(&self.core, writer);
    }
}

fn failed(error: std::io::Error) -> LogError {
    LogError::Failed(error.to_string())
}

/// Without the snapshot no id is known, so that none is looked for under an older key.
fn new_hash_key(world: &World) -> [u8; snapshot::HASH_KEY_BYTES] {
    let mut key = [0; snapshot::HASH_KEY_BYTES];
    world.rng.fill(&mut key);
    key
}

/// Finds what is in the directory and marks the log as open.
fn open_core(
    world: World,
    options: Options,
    topics: Vec<TopicSpec>,
    blocking: Blocking,
) -> Result<(Arc<Core>, OpenReport), LogError> {
    world.disk.create_dir(&options.dir).map_err(failed)?;
    // The store's own index has all that the frames say.
    let (store, found) = Store::open(world.clone(), options.store.clone(), &mut |_, _, _| {})
        .map_err(recovery::refused)?;
    let checkpoint = Checkpoint::read(&*world.disk, &options.dir).map_err(failed)?;
    let report = recovery::report(&found, &topics);
    for damage in &report.damaged {
        tracing::error!(damage, "stored records are damaged: reading them answers an error");
    }
    let snapshot = Snapshot::read(&*world.disk, &options.dir).map_err(failed)?;
    let hash_key = match &snapshot {
        Some(snapshot) => snapshot.hash_key,
        None => new_hash_key(&world),
    };
    let core = Arc::new(Core::new(world, options, store, blocking, hash_key));
    let own = [transact::decisions_topic()];
    core.restore(recovery::Found::new(&found, checkpoint), &found, own.iter().chain(&topics));
    core.note_leaps();
    core.warm(snapshot)?;
    core.mark_open().map_err(failed)?;
    Ok((core, report))
}

/// Stops the writer and leaves a clean end. Blocks. Again it does nothing.
fn end(core: &Core, writer: Option<Writer>) {
    end_with(core, || {
        if let Some(writer) = writer {
            writer.stop();
        }
    });
}

/// As `end`, whatever the writer is.
fn end_with(core: &Core, stop_writer: impl FnOnce()) {
    if core.is_closed.swap(true, Ordering::AcqRel) {
        return;
    }
    stop_writer();
    let why = LogError::Closed;
    let in_flight = std::mem::take(&mut *core.intake.in_flight.lock());
    let carried = std::mem::take(&mut *core.intake.carried.lock());
    for flight in in_flight.into_iter().chain(carried) {
        core.refuse_flight(flight, &why);
    }
    for topic in core.topics.all() {
        for partition in &topic.partitions {
            let mut state = partition.state.lock();
            state.gone.get_or_insert(why.clone());
            let drafts = state.drafts.drain(..).collect();
            drop(state);
            core.refuse_drafts(drafts, &why);
        }
        topic.shared.moved.notify_waiters();
    }
    if core.intake.failure().is_none()
        && let Err(error) = core.take_snapshot().and_then(|()| core.write_checkpoint(true))
    {
        tracing::error!(%error, "the last checkpoint cannot be written");
    }
}

impl Engine for EmbeddedLog {
    fn put_topic(&self, spec: TopicSpec) -> Result<(), LogError> {
        if self.core.is_closed() {
            return Err(LogError::Closed);
        }
        let durability = spec.config.durability;
        self.core.topics.put(&spec, |shared, stream| {
            let first = self.core.first_offset(durability);
            let state = State {
                start: first,
                visible: first,
                settled: first,
                next: first,
                floor: first,
                ..State::default()
            };
            Partition::new(stream, shared, state)
        });
        // Which offsets were given is known to nobody else while the topic stores nothing.
        self.core.must_checkpoint.store(true, Ordering::Release);
        Ok(())
    }

    fn drop_topic(&self, topic: TopicId) -> Result<(), LogError> {
        if self.core.is_closed() {
            return Err(LogError::Closed);
        }
        self.core.drop_topic(topic)
    }

    fn append(
        &self,
        topic: TopicId,
        partition: types::Partition,
        records: Vec<Record>,
    ) -> Pending<Appended> {
        self.core.append(topic, partition, &records)
    }

    fn publish(
        &self,
        records: Vec<(TopicId, types::Partition, Record)>,
        together: Together,
    ) -> Pending<Vec<Placement>> {
        self.core.publish(records, together)
    }

    fn append_batch(
        &self,
        topic: TopicId,
        partition: types::Partition,
        batch: Batch,
        at: Option<Offset>,
    ) -> Pending<Appended> {
        self.core.append_batch(topic, partition, batch, at)
    }

    fn new_producer(&self) -> Producer {
        self.core.transactions.new_producer()
    }

    fn take_over(&self, producer: Producer) -> Pending<Producer> {
        self.core.take_over(producer)
    }

    fn producer_now(&self, id: i64) -> Option<Producer> {
        self.core.registry.now(id)
    }

    fn begin(&self, producer: Producer, within: Duration) -> Result<(), LogError> {
        self.core.begin(producer, within)
    }

    fn add(
        &self,
        producer: Producer,
        topic: TopicId,
        partition: types::Partition,
    ) -> Result<(), LogError> {
        self.core.add(producer, topic, partition)
    }

    fn append_in(
        &self,
        producer: Producer,
        topic: TopicId,
        partition: types::Partition,
        records: Vec<Record>,
    ) -> Pending<Appended> {
        self.core.append_in(producer, topic, partition, &records)
    }

    fn end(&self, producer: Producer, end: End) -> Pending<Producer> {
        self.core.end(producer, end)
    }

    fn transact(
        &self,
        parts: Vec<(TopicId, types::Partition, Vec<Record>)>,
    ) -> Pending<Vec<Appended>> {
        self.core.transact(parts)
    }

    fn read(
        &self,
        topic: TopicId,
        partition: types::Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Pending<Vec<Arc<Batch>>> {
        self.core.read(topic, partition, from, bytes_max)
    }

    fn drop_before(
        &self,
        topic: TopicId,
        partition: types::Partition,
        before: Offset,
    ) -> Pending<Bounds> {
        self.core.drop_before(topic, partition, before)
    }

    fn newest_time(
        &self,
        topic: TopicId,
        partition: types::Partition,
    ) -> Pending<Option<TimestampMs>> {
        self.core.newest_time(topic, partition)
    }

    fn partition_bytes(
        &self,
        topic: TopicId,
        partition: types::Partition,
    ) -> Result<u64, LogError> {
        self.core.partition_bytes(topic, partition)
    }

    fn producers_of(
        &self,
        topic: TopicId,
        partition: types::Partition,
    ) -> Result<Vec<ProducerState>, LogError> {
        self.core.producers_of(topic, partition)
    }

    fn lost_behind(
        &self,
        topic: TopicId,
        partition: types::Partition,
        next: Offset,
    ) -> Option<Offset> {
        self.core.leaps.lock().around(StreamId { topic, partition }, next)
    }

    fn bounds(&self, topic: TopicId, partition: types::Partition) -> Result<Bounds, LogError> {
        Ok(self.core.known_partition(topic, partition)?.bounds())
    }

    fn offset_at(
        &self,
        topic: TopicId,
        partition: types::Partition,
        time: TimestampMs,
    ) -> Pending<Offset> {
        self.core.offset_at(topic, partition, time)
    }

    fn latest(
        &self,
        topic: TopicId,
        partition: types::Partition,
        key: Key,
    ) -> Pending<Option<Found>> {
        let newest = self.core.last_of_key(topic, partition, key, 1);
        Box::pin(
            async move { Ok(newest.await?.pop().filter(|found| found.record.value.is_some())) },
        )
    }

    fn last_of_key(
        &self,
        topic: TopicId,
        partition: types::Partition,
        key: Key,
        count: usize,
    ) -> Pending<Vec<Found>> {
        self.core.last_of_key(topic, partition, key, count)
    }

    fn keys(&self, topic: TopicId, after: Option<Key>, limit: usize) -> Pending<(Vec<Key>, bool)> {
        self.core.keys(topic, after, limit)
    }

    fn wait(&self, topic: TopicId, beyond: Vec<(types::Partition, Offset)>) -> Pending<()> {
        self.core.wait(topic, beyond)
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        if self.core.observer.set(observer).is_err() {
            tracing::error!("the log has an observer already: the second one is told nothing");
        }
    }

    fn stored_bytes(&self, topic: TopicId) -> u64 {
        self.core.topics.get(topic).map_or(0, |topic| topic.shared.stored_bytes())
    }

    fn tenant_bytes(&self, tenant: TenantId) -> u64 {
        self.core.topics.tenant(tenant).bytes()
    }

    fn set_tenant_retention(&self, tenant: TenantId, bounds: Retention) {
        self.core.topics.tenant(tenant).set_bounds(bounds);
    }

    fn set_project_retention(&self, project: ProjectId, bounds: Retention) {
        self.core.topics.project(project).set_bounds(bounds);
    }

    fn health(&self) -> Health {
        self.core.health()
    }
}
