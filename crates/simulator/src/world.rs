//! The machine a run happens on: a disk, a clock and a random source that only the run moves, and
//! the topics that the control plane knows of, which a crash of the log leaves as they are.

use crate::draw::Draw;
use crate::plan::{SLOTS, Site, Themes};
use crate::platform::Template;
use crate::ring::Ring;
use crate::trace::Trace;
use eventlog::{Options, TopicSpec};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::World;
use testkit::clock::ManualClock;
use testkit::disk::SimDisk;
use testkit::rng::SeededRng;
use types::{Cleanup, Durability, ProjectId, Retention, TenantId, TopicConfig, TopicId};

/// 2026-11-21T00:00:00Z.
const START_MS: i64 = 1_795_219_200_000;
pub const EXTENT_BYTES: u32 = 1 << 20;
const DIR: &str = "/data";
/// Beyond all slots of plans and all numbers of the control plane.
const HUB_SLOT: u64 = 1_000;
const THEMED_SALT: u64 = 0x746f_7069_6373_0001;

pub struct Machine {
    pub disk: Arc<SimDisk>,
    pub clock: Arc<ManualClock>,
    pub options: Options,
    rng: Arc<SeededRng>,
    keys: Option<Arc<Ring>>,
    is_sealed: bool,
    themes: Themes,
    hub_rng: Arc<SeededRng>,
    /// Topics of the hub that no publisher knows.
    platform: Vec<TopicSpec>,
    /// By slot.
    pub topics: BTreeMap<u64, TopicSpec>,
    topic_next: u64,
    pub tenant_bytes_max: BTreeMap<u64, u64>,
}

impl Machine {
    pub fn new(site: &Site, trace: &Trace) -> Machine {
        let draw = Draw::new(site.seed);
        let disk = SimDisk::shared(draw.seed());
        disk.watch(Arc::new(trace.clone()));
        if !site.is_direct {
            disk.set_direct_align(None);
        }
        let mut options = Options::new(DIR);
        options.store.extent_bytes = EXTENT_BYTES;
        options.store.free_bytes_min = 100_000;
        options.store.pool_extents = site.pool_extents;
        options.store.footer_cache_bytes = site.footer_cache_bytes;
        options.tail_bytes_max = site.tail_bytes_max;
        options.pending_bytes_max = site.pending_bytes_max;
        options.maintain_interval = None;
        if site.themes.has_ids {
            // So that ids go to files, and are read back from there.
            options.ids_memory_bytes_max = 4_000;
            options.snapshot_bytes_max = 30_000;
        }
        let mut machine = Machine {
            disk,
            clock: ManualClock::shared(START_MS),
            options,
            rng: SeededRng::shared(draw.seed()),
            keys: site.is_sealed.then(Arc::default),
            is_sealed: site.is_sealed,
            themes: site.themes,
            hub_rng: SeededRng::shared(site.seed ^ THEMED_SALT),
            platform: Vec::new(),
            topics: BTreeMap::new(),
            topic_next: 1,
            tenant_bytes_max: BTreeMap::new(),
        };
        if site.themes.has_hub {
            machine.put_platform(&Template::get());
        }
        for slot in 0..SLOTS - 1 {
            machine.put(slot, draw.seed());
        }
        machine
    }

    pub fn world(&self) -> World {
        World {
            disk: self.disk.clone(),
            clock: self.clock.clone(),
            rng: self.rng.clone(),
            keys: self.keys.clone().map(|keys| keys as _),
        }
    }

    pub fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// The log is given no keys, and nobody is told.
    pub fn lose_keys(&mut self) {
        self.keys = None;
    }

    pub fn specs(&self) -> Vec<TopicSpec> {
        self.topics.values().chain(&self.platform).cloned().collect()
    }

    /// Makes the slot's topic or changes it; answers what it is now.
    pub fn put(&mut self, slot: u64, seed: u64) -> TopicSpec {
        let draw = Draw::new(seed);
        let before = self.topics.get(&slot);
        let partitions = before.map_or(0, |spec| spec.config.partitions);
        let id = before.map_or(TopicId(self.topic_next), |spec| spec.id);
        self.topic_next = self.topic_next.max(id.0 + 1);
        let durability = match draw.below(4) {
            0 => Durability::Relaxed,
            _ => Durability::Durable,
        };
        let retention = match draw.below(4) {
            0 => Retention {
                bytes_max: Some(draw.between(100_000, 2_000_000)),
                ..Retention::default()
            },
            1 => {
                Retention { age_ms_max: Some(draw.between(1_000, 120_000)), ..Retention::default() }
            }
            _ => Retention::default(),
        };
        let config = TopicConfig {
            partitions: partitions.max(draw.between(1, 4) as u32),
            durability,
            retention,
            ..self.themed(id)
        };
        let project = ProjectId(uuid::Uuid::from_u128(100 + u128::from(slot)));
        let spec = TopicSpec { id, tenant: tenant(slot % 2), project, config };
        self.topics.insert(slot, spec.clone());
        spec
    }
}

impl Machine {
    /// What the run's themes need of a topic, the same for as long as there is the topic.
    fn themed(&self, id: TopicId) -> TopicConfig {
        let draw = Draw::new(id.0 ^ THEMED_SALT);
        let mut config = TopicConfig::default();
        if self.themes.has_ids {
            let day_ms = config.idempotency_window_ms;
            config.idempotency_window_ms = draw.pick(&[day_ms, day_ms, 60_000, 5_000, 0]);
        }
        if self.themes.has_compaction {
            config.cleanup = draw.pick(&[
                Cleanup::Delete,
                Cleanup::Compact,
                Cleanup::Compact,
                Cleanup::CompactDelete,
            ]);
            config.tombstone_ms = draw.pick(&[1_000, 60_000, config.tombstone_ms]);
        }
        config
    }

    /// What the control plane has made.
    fn put_platform(&mut self, made: &Template) {
        self.platform.clone_from(&made.platform);
        let slots = HUB_SLOT..;
        self.topics.extend(slots.zip(made.topics.iter().map(|(_, spec)| spec.clone())));
        // Apart from the numbers that the control plane gives.
        self.topic_next = HUB_SLOT;
    }

    /// Draws of the hub, apart from those of the log.
    pub fn hub_rng(&self) -> Arc<SeededRng> {
        Arc::clone(&self.hub_rng)
    }

    pub fn spec(&self, topic: TopicId) -> Option<&TopicSpec> {
        self.topics.values().find(|spec| spec.id == topic)
    }
}

pub fn tenant(number: u64) -> TenantId {
    TenantId(uuid::Uuid::from_u128(1 + u128::from(number)))
}
