//! What the memory hub remembers, behind its one lock. No call leaves this file with the lock's
//! content borrowed, and nothing here calls a sink or a closer.

use super::follow::Follower;
use super::knobs::{Call, Place, Storage};
use super::topics::Topic;
use port::PresenceMember;
use port::live::Quota;
use port::{Closer, Code, ConnectionId, ConnectionState, Identity, Refusal, Usage};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use types::{Limits, ProjectId, TenantId, TopicName};

#[derive(Default)]
pub(super) struct State {
    pub suspended: BTreeSet<TenantId>,
    pub projects: BTreeMap<ProjectId, Project>,
    /// By secret, as clients present it.
    pub keys: HashMap<String, Secret>,
    pub connections: BTreeMap<ConnectionId, OpenConnection>,
    pub connections_opened: u64,
    pub followers: BTreeMap<u64, Follower>,
    pub followers_opened: u64,
    pub wakers: HashMap<u16, Waker>,
    pub refusals: HashMap<Call, VecDeque<Refusal>>,
    pub storage: Storage,
    pub is_draining: bool,
    pub demotions: u64,
    pub appends: u64,
    pub topics_made: u64,
    pub shelves: super::batches::Shelves,
    pub producers: std::collections::BTreeMap<i64, super::batches::Producing>,
}

pub(super) struct Secret {
    pub identity: Identity,
    pub liveness: Arc<port::Liveness>,
    pub requests: Window,
}

pub(super) struct OpenConnection {
    pub state: ConnectionState,
    pub quota: Quota,
    pub who: Identity,
    pub closer: Arc<dyn Closer>,
    /// Up to when its seconds have been counted, on the monotonic clock.
    pub counted_until: Duration,
}

/// By member id.
pub(super) type Members = BTreeMap<String, Present>;

pub(super) struct Present {
    pub member: PresenceMember,
    /// By name; what a connection enters without one is named after it.
    pub devices: BTreeMap<String, Held>,
}

/// What ends a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    By(ConnectionId),
    /// On the monotonic clock.
    Until(Duration),
}

pub(super) struct Project {
    pub place: Place,
    pub limits: Limits,
    pub topics: BTreeMap<TopicName, Topic>,
    pub usage: Usage,
    pub published: u64,
    pub publishes: Window,
    pub requests: Window,
    /// By presence address: `topic` or `topic/key`.
    pub presence: BTreeMap<Vec<u8>, Members>,
}

impl Project {
    pub fn new(place: Place, limits: Limits) -> Project {
        Project {
            place,
            limits,
            topics: BTreeMap::new(),
            usage: Usage::default(),
            published: 0,
            publishes: Window::default(),
            requests: Window::default(),
            presence: BTreeMap::new(),
        }
    }

    pub fn topic(&self, name: &TopicName) -> Result<&Topic, Refusal> {
        self.topics.get(name).ok_or_else(|| topic_not_found(name))
    }
}

pub(super) fn topic_not_found(name: &TopicName) -> Refusal {
    Refusal::new(Code::TopicNotFound, format!("there is no topic `{name}`")).field("topic")
}

impl State {
    pub fn project(&mut self, id: ProjectId) -> Result<&mut Project, Refusal> {
        self.projects
            .get_mut(&id)
            .ok_or_else(|| Refusal::new(Code::NotFound, "the project does not exist"))
    }

    pub fn take_refusal(&mut self, call: Call) -> Option<Refusal> {
        self.refusals.get_mut(&call)?.pop_front()
    }

    pub fn take_wakers(&mut self, shards: &BTreeSet<u16>) -> Vec<Waker> {
        shards.iter().filter_map(|shard| self.wakers.remove(shard)).collect()
    }

    /// Every follower of the project looks again; answers the shards to wake.
    pub fn touch(&mut self, project: ProjectId) -> BTreeSet<u16> {
        let followers = self.followers.values_mut().filter(|f| f.who.project() == project);
        followers
            .map(|follower| {
                follower.is_dirty = true;
                follower.shard
            })
            .collect()
    }
}

/// Uses within the running second: enough of a rate limiter for tests.
#[derive(Default)]
pub(super) struct Window {
    second: i64,
    used: u32,
}

impl Window {
    /// Takes `count` of `limit` per second, all or none; answers what is left.
    pub fn take(&mut self, now_ms: i64, limit: u32, count: u32) -> Result<u32, Refusal> {
        let left = self.left(now_ms, limit);
        match left.checked_sub(count) {
            Some(rest) => {
                self.used += count;
                Ok(rest)
            }
            None => Err(Refusal::new(Code::RateLimitExceeded, "the rate is used up")
                .retry_after(until_next_second(now_ms))
                .rate(rate_state(now_ms, limit, left))),
        }
    }

    pub fn left(&mut self, now_ms: i64, limit: u32) -> u32 {
        let second = now_ms.div_euclid(1_000);
        if second != self.second {
            *self = Window { second, used: 0 };
        }
        limit.saturating_sub(self.used)
    }
}

fn until_next_second(now_ms: i64) -> Duration {
    Duration::from_millis(1_000 - now_ms.rem_euclid(1_000).unsigned_abs())
}

pub(super) fn rate_state(now_ms: i64, limit: u32, remaining: u32) -> port::RateState {
    port::RateState { limit, remaining, reset: until_next_second(now_ms) }
}
