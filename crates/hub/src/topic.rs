//! A topic as the node holds it: its definition, compiled, and who on this node follows it.

use crate::schemas::Versions;
use eventlog::Engine;
use parking_lot::Mutex;
use port::{CursorMint, Origin, ShardId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::{
    Durability, Offset, Partition, ProjectId, TenantId, TimestampMs, TopicConfig, TopicId,
    TopicName,
};

/// What can change about a topic, swapped whole.
pub struct Definition {
    pub config: TopicConfig,
    pub versions: Versions,
    /// The version of the configuration's schema; 0 without one.
    pub schema_version: u32,
}

pub struct Topic {
    pub id: TopicId,
    pub tenant: TenantId,
    pub project: ProjectId,
    pub name: TopicName,
    pub created_at: TimestampMs,
    pub definition: arc_swap::ArcSwap<Definition>,
    pub origin: Arc<Origin>,
    /// Spreads records without a key over the partitions.
    turn: AtomicU64,
    fanout: Mutex<Fanout>,
}

/// Which shards are told of appends, and up to where they have been told. One lock for both: a
/// shard that joins knows exactly from which offset on it will be told.
struct Fanout {
    shards: u64,
    next: Vec<Offset>,
}

/// `Fanout::shards` is a bit set.
pub const SHARDS_MAX: usize = 64;

/// What makes up a topic, before it is known to the engine.
pub struct TopicSeed {
    pub id: TopicId,
    pub tenant: TenantId,
    pub project: ProjectId,
    pub name: TopicName,
    pub created_at: TimestampMs,
    pub definition: Definition,
}

impl Topic {
    /// The engine must know the topic already: its partitions' ends are where live delivery starts.
    pub fn new(
        seed: TopicSeed,
        engine: &dyn Engine,
        mint: Arc<dyn CursorMint>,
    ) -> Result<Topic, eventlog::LogError> {
        let partitions = seed.definition.config.partitions;
        let next = (0..partitions)
            .map(|partition| Ok(engine.bounds(seed.id, partition)?.end))
            .collect::<Result<Vec<Offset>, eventlog::LogError>>()?;
        Ok(Topic::at(seed, next, mint))
    }

    /// `next` is, per partition, the first offset that will be told of.
    pub fn at(seed: TopicSeed, next: Vec<Offset>, mint: Arc<dyn CursorMint>) -> Topic {
        Topic {
            origin: Arc::new(Origin {
                project: seed.project,
                topic: seed.name.clone(),
                topic_id: seed.id,
                partitions: seed.definition.config.partitions,
                mint,
            }),
            id: seed.id,
            tenant: seed.tenant,
            project: seed.project,
            name: seed.name,
            created_at: seed.created_at,
            definition: arc_swap::ArcSwap::from_pointee(seed.definition),
            turn: AtomicU64::new(0),
            fanout: Mutex::new(Fanout { shards: 0, next }),
        }
    }

    pub fn partitions(&self) -> u32 {
        self.origin.partitions
    }

    pub fn is_ephemeral(&self) -> bool {
        self.definition.load().config.durability == Durability::Ephemeral
    }

    pub fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The shard is told of appends from now on; answers per partition the first offset it will be
    /// told of.
    pub fn join(&self, shard: ShardId) -> Vec<Offset> {
        let mut fanout = self.fanout.lock();
        fanout.shards |= 1 << shard.0;
        fanout.next.clone()
    }

    /// As `join`, for a listener that hears of it where it hears of appends; does nothing when it
    /// is told of them already.
    pub fn join_telling(&self, listener: ShardId, tell: impl FnOnce(&[Offset])) {
        let mut fanout = self.fanout.lock();
        if fanout.shards & 1 << listener.0 == 0 {
            fanout.shards |= 1 << listener.0;
            tell(&fanout.next);
        }
    }

    pub fn leave(&self, shard: ShardId) {
        self.fanout.lock().shards &= !(1 << shard.0);
    }

    /// Called in offset order per partition. `tell` runs under the lock, so that no shard joins
    /// between the decision and the telling; it only queues.
    pub fn advance(&self, partition: Partition, next: Offset, tell: impl FnOnce(u64)) {
        let mut fanout = self.fanout.lock();
        if let Some(told) = fanout.next.get_mut(partition as usize) {
            *told = (*told).max(next);
        }
        if fanout.shards != 0 {
            tell(fanout.shards);
        }
    }
}
