//! Topics of the memory hub: partitions chosen by a stable hash of the key, records with offsets,
//! and where a reader's starting point lies in them.

use super::mint::Mint;
use port::hub::PartitionInfo;
use port::{Delivery, Origin, Placed, TopicInfo};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use types::record::header;
use types::{
    Durability, From, Key, Offset, Partition, Position, Positions, ProjectId, Record, TimestampMs,
    TopicConfig, TopicId, TopicName,
};

/// Records an ephemeral topic holds for who follows it now.
const EPHEMERAL_RECORDS_MAX: usize = 10_000;

pub(super) struct Topic {
    pub origin: Arc<Origin>,
    pub config: TopicConfig,
    pub created_at: TimestampMs,
    pub schema_version: u32,
    pub stored_bytes: u64,
    partitions: Vec<Log>,
    /// Publisher's record ids and where the first one of each lies.
    seen: HashMap<Vec<u8>, Placed>,
    turn: u64,
}

#[derive(Default)]
struct Log {
    start: Offset,
    records: VecDeque<Arc<Delivery>>,
}

impl Log {
    fn end(&self) -> Offset {
        self.start + self.records.len() as u64
    }

    /// The record at `offset`, or the oldest after it.
    fn from(&self, offset: Offset) -> impl Iterator<Item = &Arc<Delivery>> {
        let skip = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.records.iter().skip(skip)
    }
}

impl Topic {
    pub fn new(
        project: ProjectId,
        name: &TopicName,
        id: TopicId,
        config: TopicConfig,
        created_at: TimestampMs,
        mint: Arc<Mint>,
    ) -> Topic {
        let partitions = config.partitions.max(1);
        let topic = name.clone();
        let origin = Origin { project, topic, topic_id: id, partitions, mint };
        Topic {
            origin: Arc::new(origin),
            schema_version: u32::from(config.schema.is_some()),
            config,
            created_at,
            stored_bytes: 0,
            partitions: (0..partitions).map(|_| Log::default()).collect(),
            seen: HashMap::new(),
            turn: 0,
        }
    }

    pub fn id(&self) -> TopicId {
        self.origin.topic_id
    }

    pub fn partition_of(&mut self, key: Option<&Key>) -> Partition {
        let count = u64::from(self.origin.partitions);
        let number = match key {
            Some(key) => fnv(key.bytes()) % count,
            None => {
                self.turn += 1;
                (self.turn - 1) % count
            }
        };
        // Smaller than the partition count, which is a u32.
        number as Partition
    }

    pub fn append(&mut self, now_ms: TimestampMs, record: Record) -> Placed {
        let id = record.header(header::ID).map(|id| id.to_vec());
        if let Some(first) = id.as_ref().and_then(|id| self.seen.get(id)) {
            return Placed { is_duplicate: true, ..*first };
        }
        let partition = self.partition_of(record.key.as_ref());
        let timestamp = record.timestamp.unwrap_or(now_ms);
        let is_ephemeral = self.config.durability == Durability::Ephemeral;
        let log = &mut self.partitions[partition as usize];
        let offset = log.end();
        let placed = Placed { partition, offset, timestamp, is_duplicate: false };
        if !is_ephemeral {
            self.stored_bytes += record.size() as u64;
        }
        let origin = Arc::clone(&self.origin);
        log.records
            .push_back(Arc::new(Delivery::new(origin, partition, offset, timestamp, record)));
        if is_ephemeral && log.records.len() > EPHEMERAL_RECORDS_MAX {
            log.records.pop_front();
            log.start += 1;
        }
        if let Some(id) = id {
            self.seen.insert(id, placed);
        }
        placed
    }

    pub fn trim(&mut self, partition: Partition, start: Offset) {
        let log = &mut self.partitions[partition as usize];
        while log.start < start && log.records.pop_front().is_some() {
            log.start += 1;
        }
    }

    pub fn partition_numbers(&self) -> std::ops::Range<Partition> {
        0..self.origin.partitions
    }

    /// Where the records that still lie here begin.
    pub fn floor(&self, partition: Partition) -> Offset {
        self.partitions[partition as usize].start
    }

    pub fn end(&self, partition: Partition) -> Offset {
        self.partitions[partition as usize].end()
    }

    /// The oldest record a new reader may have: none of an ephemeral topic.
    pub fn start(&self, partition: Partition) -> Offset {
        match self.config.durability {
            Durability::Ephemeral => self.end(partition),
            Durability::Durable | Durability::Relaxed => self.floor(partition),
        }
    }

    pub fn records(
        &self,
        partition: Partition,
        from: Offset,
    ) -> impl Iterator<Item = &Arc<Delivery>> {
        self.partitions[partition as usize].from(from)
    }

    /// The records of one key that readers may have, oldest first.
    pub fn of_key(&self, key: &Key) -> impl DoubleEndedIterator<Item = &Arc<Delivery>> {
        let partition = (fnv(key.bytes()) % u64::from(self.origin.partitions)) as Partition;
        let start = self.start(partition);
        let records = &self.partitions[partition as usize].records;
        records
            .iter()
            .filter(move |found| found.offset >= start && found.record.key.as_ref() == Some(key))
    }

    /// Keys whose newest record is no tombstone.
    pub fn keys(&self) -> BTreeMap<Key, ()> {
        let mut keys = BTreeMap::new();
        for partition in self.partition_numbers() {
            for found in self.records(partition, self.start(partition)) {
                let Some(key) = &found.record.key else { continue };
                match found.record.value {
                    Some(_) => keys.insert(key.clone(), ()),
                    None => keys.remove(key),
                };
            }
        }
        keys
    }

    /// The starting position in each partition. `named` is what the cursors of `From::Cursors`
    /// say, already verified.
    pub fn resolve(&self, from: &From, named: &Positions) -> Positions {
        let next = |partition| match from {
            From::Earliest => self.start(partition),
            From::Latest => self.end(partition),
            From::Offset(offset) => *offset,
            From::Time(time) => self
                .records(partition, self.start(partition))
                .find(|found| found.timestamp >= *time)
                .map_or(self.end(partition), |found| found.offset),
            From::Cursors(_) | From::Consumer(_) => {
                named.get(self.id(), partition).unwrap_or_else(|| self.start(partition))
            }
        };
        self.partition_numbers()
            .map(|partition| Position { topic: self.id(), partition, next: next(partition) })
            .collect()
    }

    pub fn info(&self) -> TopicInfo {
        TopicInfo {
            name: self.origin.topic.clone(),
            id: self.id(),
            config: self.config.clone(),
            schema_version: self.schema_version,
            created_at: self.created_at,
            partitions: self
                .partition_numbers()
                .map(|partition| PartitionInfo {
                    start: self.start(partition),
                    end: self.end(partition),
                })
                .collect(),
            stored_bytes: self.stored_bytes,
        }
    }
}

/// FNV-1a: stable, so that a key never changes its partition.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
