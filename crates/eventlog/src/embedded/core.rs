//! What all parts of the embedded engine share.

use super::checkpoint::KnownDamage;
use super::collect::Figures;
use super::directory::Directory;
use super::extents::Extents;
use super::ids::Ids;
use super::intake::Intake;
use super::leaps::Leaps;
use super::nudge::Nudge;
use super::partition::Partition;
use super::plan::Planner;
use super::registry::Registry;
use super::snapshot::HASH_KEY_BYTES;
use super::tail::Tail;
use super::topic::Topics;
use super::transact::DECISIONS;
use super::transaction::Transactions;
use crate::{Observer, Options};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use storage::{ExtentRef, Store, StreamId, World};
use tokio::sync::Semaphore;
use types::{Batch, Durability, Offset};

/// Where reads of the device block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// On the runtime's threads for blocking work.
    Threads,
    /// On the caller, who polls: for a simulation, which has one thread.
    Caller,
}

pub struct Core {
    pub world: World,
    pub blocking: Blocking,
    pub options: Options,
    pub store: Arc<Store>,
    pub topics: Topics,
    pub intake: Intake,
    pub tail: Tail,
    pub extents: Extents,
    pub directory: Directory,
    pub transactions: Transactions,
    pub registry: Registry,
    pub ids: Ids,
    /// How often the log was opened, this time included.
    pub opens: AtomicU64,
    /// The number of the next file of ids.
    pub next_run: AtomicU64,
    /// How far the snapshot accounts for ids.
    pub ids_covered: Mutex<HashMap<StreamId, Offset>>,
    /// One snapshot at a time.
    pub snapshotting: Mutex<()>,
    /// Bytes stored since the last snapshot.
    pub stored_since: AtomicU64,
    /// Decisions before this offset have taken effect.
    pub decisions_applied: AtomicU64,
    pub observer: OnceLock<Arc<dyn Observer>>,
    pub disk_reads: Arc<Semaphore>,
    pub disk_scans: Arc<Semaphore>,
    pub is_closed: AtomicBool,
    /// One rewrite at a time, and what it remembers.
    pub collecting: Mutex<Planner>,
    pub figures: Figures,
    /// Epoch of the keys when the topics were last looked through; at first none.
    pub keys_seen: AtomicU64,
    /// Asks for maintenance.
    pub nudge: Arc<Nudge>,
    /// One pass of maintenance at a time.
    pub maintaining: Mutex<()>,
    /// Damage that the last start found: what it did to partitions is in their state.
    pub known_damage: Mutex<Vec<KnownDamage>>,
    /// Offsets that readers may have seen and nobody has.
    pub leaps: Mutex<Leaps>,
    /// Extents of which the last start could read nothing.
    pub unreadable: Mutex<Vec<ExtentRef>>,
    /// One checkpoint at a time.
    pub checkpointing: Mutex<()>,
    /// Something changed that only a checkpoint remembers.
    pub must_checkpoint: AtomicBool,
    /// The checkpoint that marks this log as open could not be written yet. Until it is, nothing
    /// is stored: after a crash the old one would be believed.
    pub is_unmarked: AtomicBool,
}

impl Core {
    pub fn new(
        world: World,
        options: Options,
        store: Arc<Store>,
        blocking: Blocking,
        hash_key: [u8; HASH_KEY_BYTES],
    ) -> Core {
        Core {
            ids: Ids::new(hash_key, options.ids_memory_bytes_max),
            opens: AtomicU64::new(0),
            next_run: AtomicU64::new(0),
            ids_covered: Mutex::default(),
            snapshotting: Mutex::new(()),
            stored_since: AtomicU64::new(0),
            decisions_applied: AtomicU64::new(0),
            intake: Intake::new(options.pending_bytes_max),
            tail: Tail::new(options.tail_bytes_max),
            directory: Directory::new(options.key_directory_bytes_max),
            registry: Registry::default(),
            transactions: Transactions::new(options.held_bytes_max),
            disk_reads: Arc::new(Semaphore::new(options.disk_reads_max.max(1))),
            disk_scans: Arc::new(Semaphore::new(options.disk_scans_max.max(1))),
            world,
            blocking,
            options,
            store,
            topics: Topics::default(),
            extents: Extents::default(),
            observer: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            collecting: Mutex::default(),
            figures: Figures::default(),
            keys_seen: AtomicU64::new(u64::MAX),
            nudge: Arc::default(),
            maintaining: Mutex::new(()),
            known_damage: Mutex::default(),
            leaps: Mutex::default(),
            unreadable: Mutex::default(),
            checkpointing: Mutex::new(()),
            must_checkpoint: AtomicBool::new(false),
            is_unmarked: AtomicBool::new(false),
        }
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub fn is_unmarked(&self) -> bool {
        self.is_unmarked.load(Ordering::Acquire)
    }

    /// Tells everybody who waits for new records. The caller holds the partition's `order`.
    pub fn announce(&self, partition: &Partition, batch: &Arc<Batch>) {
        partition.shared.moved.notify_waiters();
        // The log's own stream is nobody's business.
        if partition.stream.topic == DECISIONS {
            return;
        }
        if let Some(observer) = self.observer.get() {
            observer.committed(partition.shared.id, partition.stream.partition, batch);
        }
    }

    /// Where a partition without records begins. A topic that is not stored forgets its offsets
    /// with the process, so it begins at the clock (in microseconds, which stays below 2^53 and
    /// runs ahead of anything a partition can take): no offset comes twice.
    pub fn first_offset(&self, durability: Durability) -> u64 {
        match durability {
            Durability::Durable | Durability::Relaxed => 0,
            Durability::Ephemeral => {
                u64::try_from(self.world.clock.now_ms()).unwrap_or(0).saturating_mul(1_000)
            }
        }
    }
}
