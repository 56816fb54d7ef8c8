//! Which topics there are: their configuration, their partitions and what they take on the device.
//! Cheap to look up, since every call begins here.

use super::partition::Partition;
use super::unlock::TenantLock;
use crate::{LogError, TopicSpec};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use storage::StreamId;
use tokio::sync::Notify;
use types::limits::PARTITIONS_MAX;
use types::{Cleanup, Durability, ProjectId, Retention, TenantId, TopicConfig, TopicId};

/// What the topics of a tenant, or of one of its projects, take and may take on the device.
#[derive(Default)]
pub struct Account {
    bytes: AtomicU64,
    bounds: Mutex<Retention>,
}

impl Account {
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn bounds(&self) -> Retention {
        *self.bounds.lock()
    }

    pub fn set_bounds(&self, bounds: Retention) {
        *self.bounds.lock() = bounds;
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
    pub tenant_id: TenantId,
    /// Whether the tenant's records may be opened.
    pub lock: TenantLock,
    pub tenant: Arc<Account>,
    pub project: Arc<Account>,
    durability: AtomicU8,
    policy: Mutex<Policy>,
    idempotency_window_ms: AtomicU64,
    /// Held by the call whose ids are being looked for on the device: those that come after it
    /// wait, so that their records keep the order of the calls.
    pub gate: Arc<tokio::sync::Mutex<()>>,
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

    /// Records that are older go: the tightest bound of the topic, its project and its tenant.
    pub fn age_ms_max(&self) -> Option<u64> {
        if !self.cleanup().deletes() {
            return None;
        }
        let bounds = [self.retention(), self.project.bounds(), self.tenant.bounds()];
        bounds.iter().filter_map(|bounds| bounds.age_ms_max).min()
    }

    pub fn cleanup(&self) -> Cleanup {
        self.policy.lock().cleanup
    }

    /// How long tombstones stay at least.
    pub fn tombstone_ms(&self) -> u64 {
        self.policy.lock().tombstone_ms
    }

    /// How long an id is remembered; 0 for not at all.
    pub fn idempotency_window_ms(&self) -> u64 {
        self.idempotency_window_ms.load(Ordering::Relaxed)
    }

    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes.load(Ordering::Relaxed)
    }

    pub fn add_bytes(&self, bytes: u64) {
        self.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.tenant.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.project.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn remove_bytes(&self, bytes: u64) {
        self.stored_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.tenant.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.project.bytes.fetch_sub(bytes, Ordering::Relaxed);
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
    tenants: RwLock<BTreeMap<TenantId, Arc<Account>>>,
    projects: RwLock<BTreeMap<ProjectId, Arc<Account>>>,
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

    pub fn tenant(&self, id: TenantId) -> Arc<Account> {
        account(&self.tenants, id)
    }

    pub fn project(&self, id: ProjectId) -> Arc<Account> {
        account(&self.projects, id)
    }

    /// The accounts of all projects, then those of all tenants: the smaller first.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        let projects = self.projects.read().values().cloned().collect::<Vec<_>>();
        projects.into_iter().chain(self.tenants.read().values().cloned()).collect()
    }

    /// Creates or changes; `fresh` makes a partition that has no records yet.
    pub fn put(
        &self,
        spec: &TopicSpec,
        mut fresh: impl FnMut(Arc<Shared>, StreamId) -> Arc<Partition>,
    ) {
        let accounts = (self.tenant(spec.tenant), self.project(spec.project));
        let mut topics = self.topics.write();
        let (shared, mut partitions) = match topics.get(&spec.id) {
            Some(topic) => (Arc::clone(&topic.shared), topic.partitions.clone()),
            None => (Arc::new(new_shared(spec, accounts)), Vec::new()),
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
        let window = spec.config.idempotency_window_ms;
        shared.idempotency_window_ms.store(window, Ordering::Relaxed);
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

fn account<Id: Ord + Copy>(accounts: &RwLock<BTreeMap<Id, Arc<Account>>>, id: Id) -> Arc<Account> {
    if let Some(account) = accounts.read().get(&id) {
        return Arc::clone(account);
    }
    Arc::clone(accounts.write().entry(id).or_default())
}

fn new_shared(spec: &TopicSpec, (tenant, project): (Arc<Account>, Arc<Account>)) -> Shared {
    Shared {
        id: spec.id,
        tenant_id: spec.tenant,
        lock: TenantLock::default(),
        tenant,
        project,
        durability: AtomicU8::new(0),
        policy: Mutex::new(Policy::of(spec)),
        idempotency_window_ms: AtomicU64::new(0),
        gate: Arc::default(),
        stored_bytes: AtomicU64::new(0),
        is_dropped: AtomicBool::new(false),
        moved: Notify::new(),
    }
}
