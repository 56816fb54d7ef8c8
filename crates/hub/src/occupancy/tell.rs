//! Occupancy in the node: who counts for an address, and its records in the log. One task tells;
//! whoever comes or goes only notes it.

use super::{Addresses, Event, Step, Turned};
use crate::node::Node;
use crate::presence::Address;
use parking_lot::Mutex;
use port::{Code, Hub, Identity, Refusal, metric};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use types::filter::{KeyPart, TopicPart};
use types::record::header;
use types::{
    Cleanup, Filter, Header, Key, ProjectId, Record, Retention, TenantId, TimestampMs, TopicConfig,
    TopicName,
};

/// Records of one append.
const TOLD_AT_ONCE_MAX: usize = 500;
/// When the log did not take them.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long it is remembered what an address was last.
const KEPT_MS: u64 = 30 * 86_400_000;
/// Keys read at once after a start.
const KEYS_AT_ONCE: usize = 1_000;
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The addresses of a node, and how whoever tells is woken.
pub struct Occupancy {
    addresses: Mutex<Addresses>,
    news: Notify,
}

impl Occupancy {
    pub fn new(vacated_after: Duration) -> Occupancy {
        Occupancy { addresses: Mutex::new(Addresses::new(vacated_after)), news: Notify::new() }
    }
}

/// A follower of an address, for as long as it is held.
pub struct Occupant {
    node: Weak<Node>,
    at: Address,
    tenant: TenantId,
}

impl Drop for Occupant {
    fn drop(&mut self) {
        if let Some(node) = self.node.upgrade() {
            node.note_occupancy(&self.at, self.tenant, Step::FollowerWent);
        }
    }
}

/// What a record of the occupancy topic says.
#[derive(Serialize, Deserialize)]
struct Told {
    r#type: String,
    version: u32,
    at: TimestampMs,
    topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

const OCCUPIED: &str = "address.occupied";
const VACATED: &str = "address.vacated";

/// How the occupancy topic is kept: of each address what it was last.
pub fn topic_config() -> TopicConfig {
    TopicConfig {
        cleanup: Cleanup::CompactDelete,
        retention: Retention { age_ms_max: Some(KEPT_MS), ..Retention::default() },
        ..TopicConfig::default()
    }
}

impl Node {
    /// Counts a follower of exactly one address, where the topic asks for it.
    pub(crate) fn occupy(&self, who: &Identity, filter: &Filter) -> Option<Occupant> {
        let (TopicPart::Exact(topic), KeyPart::All | KeyPart::Exact(_)) =
            (&filter.topic, &filter.key)
        else {
            return None;
        };
        if !self.has_occupancy(who.project(), topic) {
            return None;
        }
        let key = match &filter.key {
            KeyPart::Exact(key) => Some(Key::new(key.as_bytes().to_vec()).ok()?),
            KeyPart::All | KeyPart::Levels { .. } => None,
        };
        let at = Address { project: who.project(), topic: topic.clone(), key };
        self.note_occupancy(&at, who.tenant(), Step::FollowerCame);
        let node = self.this().map(|node| Arc::downgrade(&node)).unwrap_or_default();
        Some(Occupant { node, at, tenant: who.tenant() })
    }

    pub(crate) fn has_occupancy(&self, project: ProjectId, topic: &TopicName) -> bool {
        let found = self.catalogue.get(project, topic);
        found.is_some_and(|topic| topic.definition.load().config.occupancy)
    }

    pub(crate) fn note_occupancy(&self, at: &Address, tenant: TenantId, step: Step) {
        let now = self.world.clock.monotonic();
        self.occupancy.addresses.lock().step(at, tenant, step, now);
        self.occupancy.news.notify_one();
    }

    pub(crate) fn forget_occupancy(&self, project: ProjectId) {
        self.occupancy.addresses.lock().forget(project);
    }

    /// What was occupied when the node before this one ended. Called once, before `turn_occupancy`.
    pub async fn recall_occupancy(&self) -> Result<(), Refusal> {
        for topic in self.catalogue.all_named(&TopicName::occupancy()) {
            let mut after = None;
            loop {
                let found = self.engine.keys(topic.id, after, KEYS_AT_ONCE).await;
                let (keys, has_more) = found.map_err(crate::refusal::refusal_of)?;
                after = keys.last().cloned();
                for key in keys {
                    let latest = self.engine.latest(topic.id, 0, key.clone()).await;
                    let latest = latest.map_err(crate::refusal::refusal_of)?;
                    let value = latest.and_then(|found| found.record.value);
                    let is_occupied = value.is_some_and(|value| says_occupied(&value));
                    let Some(at) = address_of(topic.project, &key).filter(|_| is_occupied) else {
                        continue;
                    };
                    let now = self.world.clock.monotonic();
                    self.occupancy.addresses.lock().remember_occupied(at, topic.tenant, now);
                }
                if !has_more || after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Tells what is due; answers when to come again.
    pub async fn turn_occupancy(&self) -> Option<Duration> {
        loop {
            let now = self.world.clock.monotonic();
            let turned = self.occupancy.addresses.lock().take_due(now, TOLD_AT_ONCE_MAX);
            if turned.is_empty() {
                return self.occupancy.addresses.lock().next_due();
            }
            let mut by_project: BTreeMap<ProjectId, Vec<Turned>> = BTreeMap::new();
            for one in turned {
                by_project.entry(one.at.project).or_default().push(one);
            }
            for (project, turned) in by_project {
                let told = self.tell_occupancy(project, &turned).await;
                let now = self.world.clock.monotonic();
                let mut addresses = self.occupancy.addresses.lock();
                match told {
                    Ok(()) => turned.iter().for_each(|one| addresses.told(one, now)),
                    Err(refusal) if refusal.code() == Code::NotFound => addresses.forget(project),
                    Err(refusal) => {
                        tracing::warn!(%project, %refusal, "occupancy is told later");
                        turned.iter().for_each(|it| addresses.put_off(it, now + AGAIN_AFTER));
                    }
                }
            }
        }
    }

    async fn tell_occupancy(&self, project: ProjectId, turned: &[Turned]) -> Result<(), Refusal> {
        let platform = self.authenticator.platform(project).await?;
        let now_ms = self.world.clock.now_ms();
        let records: Result<Vec<Record>, Refusal> =
            turned.iter().map(|one| record(one, now_ms)).collect();
        self.append(&platform, &TopicName::occupancy(), records?).await?;
        metrics::counter!(metric::OCCUPANCY_TOLD).increment(turned.len() as u64);
        Ok(())
    }

    /// Waits until there is something to tell.
    pub async fn occupancy_is_due(&self, due: Option<Duration>) {
        let now = self.world.clock.monotonic();
        let wait = due.map_or(LOOK_EVERY, |due| due.saturating_sub(now)).min(LOOK_EVERY);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.occupancy.news.notified() => {}
        }
    }
}

fn record(turned: &Turned, at: TimestampMs) -> Result<Record, Refusal> {
    let kind = match turned.event {
        Event::Occupied => OCCUPIED,
        Event::Vacated => VACATED,
    };
    let key = turned.at.key.as_ref().and_then(Key::as_str).map(str::to_owned);
    let topic = turned.at.topic.as_str().to_owned();
    let told = Told { r#type: kind.to_owned(), version: 1, at, topic, key };
    let value = serde_json::to_vec(&told).map_err(|error| Refusal::internal(&error))?;
    let of = |name: &'static str, value: &'static str| Header {
        name: bytes::Bytes::from_static(name.as_bytes()),
        value: bytes::Bytes::from_static(value.as_bytes()),
    };
    Ok(Record {
        key: Some(turned.at.record_key()?),
        value: Some(value.into()),
        headers: [of(header::CONTENT_TYPE, "application/json"), of("event-type", kind)]
            .into_iter()
            .collect(),
        timestamp: None,
    })
}

fn says_occupied(value: &[u8]) -> bool {
    serde_json::from_slice(value).is_ok_and(|told: Told| told.r#type == OCCUPIED)
}

/// The address that a record's key names: `topic` or `topic/key`.
fn address_of(project: ProjectId, key: &Key) -> Option<Address> {
    let bytes = key.bytes();
    let (topic, key) = match bytes.iter().position(|&byte| byte == b'/') {
        Some(at) => (bytes.slice(..at), Some(bytes.slice(at + 1..))),
        None => (bytes.clone(), None),
    };
    let topic = TopicName::parse(std::str::from_utf8(&topic).ok()?).ok()?;
    Some(Address { project, topic, key: key.map(Key::new).transpose().ok()? })
}
