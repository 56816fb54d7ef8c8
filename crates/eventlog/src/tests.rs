//! Tests of the whole engine over the simulated disk: a `Bed` is one disk and one clock on which
//! logs are opened, crashed and opened again.

mod appending;
mod collecting;
mod hands;
mod id_tables;
mod keys;
mod once;
mod once_properties;
mod packed;
mod placed;
mod producers;
mod properties;
mod pure;
mod reading;
mod real_disk;
mod recovery;
mod retention;
mod sealed;
mod transactions;

use self::hands::Hands;
use crate::{Driver, EmbeddedLog, Engine, LogError, Observer, OpenReport, Options, TopicSpec};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use storage::World;
use testkit::clock::ManualClock;
use testkit::disk::SimDisk;
use testkit::rng::SeededRng;
use types::{
    Batch, Durability, Key, Offset, Partition, ProjectId, Record, Retention, TenantId, TopicConfig,
    TopicId,
};

pub const NOW_MS: i64 = 1_700_000_000_000;
pub const TOPIC: TopicId = TopicId(7);

pub struct Bed {
    pub disk: Arc<SimDisk>,
    pub clock: Arc<ManualClock>,
    pub options: Options,
    pub topics: Vec<TopicSpec>,
    /// None: a plain log.
    pub keys: Option<Arc<dyn storage::DataKeys>>,
}

impl Bed {
    /// One durable topic with one partition, extents of 1 MiB, maintenance by hand.
    pub fn new() -> Bed {
        Bed::seeded(1)
    }

    pub fn seeded(seed: u64) -> Bed {
        let mut options = Options::new("/data");
        options.store.extent_bytes = 1 << 20;
        options.store.free_bytes_min = 0;
        options.maintain_interval = None;
        options.collect.interval = None;
        Bed {
            disk: SimDisk::shared(seed),
            clock: ManualClock::shared(NOW_MS),
            options,
            topics: vec![spec(TOPIC, 1, Durability::Durable)],
            keys: None,
        }
    }

    /// Nothing stays in memory, so that every read goes to the disk.
    pub fn without_tail(mut self) -> Bed {
        self.options.tail_bytes_max = 0;
        self
    }

    pub fn with(mut self, topics: Vec<TopicSpec>) -> Bed {
        self.topics = topics;
        self
    }

    fn world(&self) -> World {
        World {
            disk: self.disk.clone(),
            clock: self.clock.clone(),
            rng: SeededRng::shared(5),
            keys: self.keys.clone(),
        }
    }

    pub fn try_open(&self) -> Result<(Arc<EmbeddedLog>, OpenReport), LogError> {
        EmbeddedLog::open(self.world(), self.options.clone(), self.topics.clone())
    }

    /// Without threads: nothing is written until the driver is told to.
    pub fn open_driven(&self) -> (Arc<EmbeddedLog>, Driver) {
        let (log, driver, _) =
            EmbeddedLog::open_driven(self.world(), self.options.clone(), self.topics.clone())
                .expect("opens");
        (log, driver)
    }

    pub fn open(&self) -> Arc<EmbeddedLog> {
        self.try_open().expect("opens").0
    }

    /// Loses power, then starts anew.
    pub fn crash(&self, log: Arc<EmbeddedLog>) -> Arc<EmbeddedLog> {
        self.disk.crash();
        drop(log);
        self.disk.restart();
        self.open()
    }
}

pub fn spec(id: TopicId, partitions: u32, durability: Durability) -> TopicSpec {
    TopicSpec {
        id,
        tenant: tenant(1),
        project: ProjectId(uuid::Uuid::from_u128(1)),
        config: TopicConfig { partitions, durability, ..TopicConfig::default() },
    }
}

pub fn kept(mut spec: TopicSpec, age_ms_max: Option<u64>, bytes_max: Option<u64>) -> TopicSpec {
    spec.config.retention = Retention { age_ms_max, bytes_max, ..Retention::default() };
    spec
}

pub fn tenant(number: u128) -> TenantId {
    TenantId(uuid::Uuid::from_u128(number))
}

pub fn value(text: &str) -> Record {
    Record { value: Some(Bytes::copy_from_slice(text.as_bytes())), ..Record::default() }
}

pub fn large(bytes: usize) -> Record {
    Record { value: Some(Bytes::from(vec![b'x'; bytes])), ..Record::default() }
}

pub fn key(text: &str) -> Key {
    Key::new(Bytes::copy_from_slice(text.as_bytes())).expect("short")
}

pub fn keyed(name: &str, text: &str) -> Record {
    Record { key: Some(key(name)), ..value(text) }
}

pub fn tombstone(name: &str) -> Record {
    Record { key: Some(key(name)), ..Record::default() }
}

pub fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}

pub async fn append(log: &EmbeddedLog, records: Vec<Record>) -> Offset {
    log.append(TOPIC, 0, records).await.expect("is stored").base_offset
}

/// Everything from `from` to the end, as offsets and values; the end is right behind it.
pub async fn read_all(
    log: &EmbeddedLog,
    topic: TopicId,
    partition: Partition,
    from: Offset,
) -> Result<Vec<(Offset, String)>, LogError> {
    let (records, next) = read_shown(log, topic, partition, from).await?;
    assert_eq!(next.max(from), log.bounds(topic, partition)?.end.max(from));
    Ok(records)
}

/// Everything from `from` on, and the offset behind it.
pub async fn read_shown(
    log: &EmbeddedLog,
    topic: TopicId,
    partition: Partition,
    from: Offset,
) -> Result<(Vec<(Offset, String)>, Offset), LogError> {
    let mut records = Vec::new();
    let mut next = from;
    loop {
        let batches = log.read(topic, partition, next, 64 << 10).await?;
        let Some(last) = batches.last() else { break };
        next = last.next_offset();
        for batch in &batches {
            let wanted = batch.records().filter(|(offset, _, _)| *offset >= from);
            records.extend(wanted.map(|(offset, _, record)| (offset, text(&record))));
        }
    }
    Ok((records, next))
}

/// Remembers what it was told.
#[derive(Default)]
pub struct Witness(pub Mutex<Vec<(TopicId, Partition, Arc<Batch>)>>);

impl Observer for Witness {
    fn committed(&self, topic: TopicId, partition: Partition, batch: &Arc<Batch>) {
        self.0.lock().push((topic, partition, Arc::clone(batch)));
    }
}

impl Witness {
    pub fn offsets(&self, topic: TopicId, partition: Partition) -> Vec<Offset> {
        let told = self.0.lock();
        let of_partition = told.iter().filter(|(t, p, _)| (*t, *p) == (topic, partition));
        of_partition.flat_map(|(_, _, batch)| batch.base_offset()..batch.next_offset()).collect()
    }
}
