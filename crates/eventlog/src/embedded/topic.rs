//! Which topics there are: their configuration, their partitions and what they take on the device.
//! Cheap to look up, since every call begins here.

use super::partition::Partition;
use crate::{LogError, TopicSpec};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use storage::StreamId;
use tokio::sync::Notify;
use types::limits::PARTITIONS_MAX;
use types::{Cleanup, Durability, Retention, TenantId, TopicConfig, TopicId};

/// No bound on a tenant's bytes.
const UNBOUNDED: u64 = u64::MAX;

/// A tenant's account: what its topics take and may take on the device.
pub struct Tenant {
    bytes: AtomicU64,
    bytes_max: AtomicU64,
}

impl Default for Tenant {
    fn default() -> Tenant {
        Tenant { bytes: AtomicU64::new(0), bytes_max: AtomicU64::new(UNBOUNDED) }
    }
}

impl Tenant {
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes above the bound.
    pub fn excess(&self) -> u64 {
        self.bytes().saturating_sub(self.bytes_max.load(Ordering::Relaxed))
    }
}

/// What goes of a topic, and when.
#[derive(Clone, Copy)]
struct Policy {
    retention: Retention,
    cleanup: Cleanup,
    tombstone_ms: u64,
}

impl Policy {
    fn of(spec: &TopicSpec) -> Policy {
        let TopicConfig { retention, cleanup, tombstone_ms, .. } = spec.config;
        Policy { retention, cleanup, tombstone_ms }
    }
}

/// What all partitions of a topic share.
pub struct Shared {
    pub id: TopicId,
    pub tenant: Arc<Tenant>,
    durability: AtomicU8,
    policy: Mutex<Policy>,
    stored_bytes: AtomicU64,
    is_dropped: AtomicBool,
    /// Told when a partition's visible end moved, or the topic or the log is gone.
    pub moved: Notify,
}

impl Shared {
    pub fn durability(&self) -> Durability {
        match self.durability.load(Ordering::Relaxed) {
            0 => Durability::Durable,
            1 => Durability::Relaxed,
            _ => Durability::Ephemeral,
        }
    }

    fn set_durability(&self, durability: Durability) {
        let code = match durability {
            Durability::Durable => 0,
            Durability::Relaxed => 1,
            Durability::Ephemeral => 2,
        };
        self.durability.store(code, Ordering::Relaxed);
    }

    /// The bounds in force: none in a topic that is only compacted.
    pub fn retention(&self) -> Retention {
        let policy = *self.policy.lock();
        if policy.cleanup.deletes() { policy.retention } else { Retention::default() }
    }

    pub fn cleanup(&self) -> Cleanup {
        self.policy.lock().cleanup
    }

    /// How long tombstones stay at least.
    pub fn tombstone_ms(&self) -> u64 {
        self.policy.lock().tombstone_ms
    }

    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes.load(Ordering::Relaxed)
    }

    pub fn add_bytes(&self, bytes: u64) {
        self.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.tenant.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn remove_bytes(&self, bytes: u64) {
        self.stored_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.tenant.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub fn is_dropped(&self) -> bool {
        self.is_dropped.load(Ordering::Acquire)
    }
}

/// A topic as it is now; replaced as a whole when its partitions grow.
pub struct Topic {
    pub shared: Arc<Shared>,
    pub partitions: Vec<Arc<Partition>>,
}

impl Topic {
    pub fn partition(&self, number: types::Partition) -> Result<&Arc<Partition>, LogError> {
        let index = usize::try_from(number).map_err(|_| LogError::PartitionUnknown)?;
        self.partitions.get(index).ok_or(LogError::PartitionUnknown)
    }
}

#[derive(Default)]
pub struct Topics {
    topics: RwLock<HashMap<TopicId, Arc<Topic>>>,
    tenants: RwLock<BTreeMap<TenantId, Arc<Tenant>>>,
}

impl Topics {
    pub fn get(&self, id: TopicId) -> Result<Arc<Topic>, LogError> {
        self.topics.read().get(&id).cloned().ok_or(LogError::TopicUnknown)
    }

    pub fn partition(
        &self,
        id: TopicId,
        number: types::Partition,
    ) -> Result<Arc<Partition>, LogError> {
        let topics = self.topics.read();
        topics.get(&id).ok_or(LogError::TopicUnknown)?.partition(number).cloned()
    }

    /// In the order of their numbers, so that what is done with all is done the same way each time.
    pub fn all(&self) -> Vec<Arc<Topic>> {
        let mut topics: Vec<_> = self.topics.read().values().cloned().collect();
        topics.sort_unstable_by_key(|topic| topic.shared.id);
        topics
    }

    pub fn tenant(&self, id: TenantId) -> Arc<Tenant> {
        if let Some(tenant) = self.tenants.read().get(&id) {
            return Arc::clone(tenant);
        }
        Arc::clone(self.tenants.write().entry(id).or_default())
    }

    pub fn tenants(&self) -> Vec<Arc<Tenant>> {
        self.tenants.read().values().cloned().collect()
    }

    pub fn set_tenant_retention(&self, id: TenantId, bytes_max: Option<u64>) {
        self.tenant(id).bytes_max.store(bytes_max.unwrap_or(UNBOUNDED), Ordering::Relaxed);
    }

    /// Creates or changes; `fresh` makes a partition that has no records yet.
    pub fn put(
        &self,
        spec: &TopicSpec,
        mut fresh: impl FnMut(Arc<Shared>, StreamId) -> Arc<Partition>,
    ) {
        let tenant = self.tenant(spec.tenant);
        let mut topics = self.topics.write();
        let (shared, mut partitions) = match topics.get(&spec.id) {
            Some(topic) => (Arc::clone(&topic.shared), topic.partitions.clone()),
            None => (Arc::new(new_shared(spec, tenant)), Vec::new()),
        };
        if shared.durability() == Durability::Ephemeral {
            // What was not stored cannot be read, should the topic store from now on.
            for partition in &partitions {
                let mut state = partition.state.lock();
                state.start = state.visible;
            }
        }
        shared.set_durability(spec.config.durability);
        *shared.policy.lock() = Policy::of(spec);
        let wanted = spec.config.partitions.clamp(1, PARTITIONS_MAX);
        for partition in partitions.len() as u32..wanted {
            let stream = StreamId { topic: spec.id, partition };
            partitions.push(fresh(Arc::clone(&shared), stream));
        }
        topics.insert(spec.id, Arc::new(Topic { shared, partitions }));
    }

    pub fn remove(&self, id: TopicId) -> Result<Arc<Topic>, LogError> {
        let topic = self.topics.write().remove(&id).ok_or(LogError::TopicUnknown)?;
        topic.shared.is_dropped.store(true, Ordering::Release);
        Ok(topic)
    }
}

fn new_shared(spec: &TopicSpec, tenant: Arc<Tenant>) -> Shared {
    Shared {
        id: spec.id,
        tenant,
        durability: AtomicU8::new(0),
        policy: Mutex::new(Policy::of(spec)),
        stored_bytes: AtomicU64::new(0),
        is_dropped: AtomicBool::new(false),
        moved: Notify::new(),
    }
}
