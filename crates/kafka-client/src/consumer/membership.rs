//! Being one of a group (KIP-848): the member only says what it is subscribed to and what it has,
//! and the coordinator gives it partitions. A task of its own beats, so that a slow reader stays
//! a member until it is too slow.

use crate::cluster::{Cluster, Coordinates};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wire_kafka::errors as codes;
use wire_kafka::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitionsAsked,
};
use wire_kafka::wire::Uuid;

use super::fetcher::Place;
use super::rounds::{self, Rounds};
use crate::admin::GroupKind;

const JOINING: i32 = 0;
const LEAVING: i32 = -1;
/// A member with a lasting name goes, and will be back.
const LEAVING_FOR_NOW: i32 = -2;
/// Where the broker says none, or nonsense.
const INTERVAL_MS: std::ops::RangeInclusive<u64> = 100..=60_000;

/// What the coordinator last said.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub member: String,
    pub epoch: i32,
    /// What may be read now; `None` before it was said, or after we were thrown out.
    pub target: Option<BTreeSet<Place>>,
    /// Counts the times that we lost everything, so that it is not missed.
    pub losses: u64,
    pub error: Option<Error>,
}

/// What a member says of itself when it joins.
#[derive(Debug, Clone)]
pub struct Joining {
    pub kind: GroupKind,
    pub group: String,
    pub topics: Vec<String>,
    /// Its lasting name, when it has one.
    pub instance: Option<String>,
    /// Of a classic group: who is silent for so long is given up.
    pub session_ms: u32,
    /// How long it may take to give partitions up.
    pub rebalance_ms_max: i32,
}

pub struct Membership {
    joining: Joining,
    pub told: watch::Receiver<Told>,
    /// What we read, to be said at the next beat.
    owned: watch::Sender<BTreeSet<Place>>,
    task: JoinHandle<()>,
    cluster: Arc<Cluster>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Membership {
    pub fn begin(cluster: &Arc<Cluster>, joining: Joining) -> Membership {
        let (owned, owns) = watch::channel(BTreeSet::new());
        let (told, task) = match joining.kind {
            GroupKind::Consumer => {
                let member = uuid::Uuid::new_v4().to_string();
                let first = Told { member: member.clone(), ..Told::default() };
                let (tell, told) = watch::channel(first);
                let beating = Beating {
                    cluster: Arc::clone(cluster),
                    group: joining.group.clone(),
                    member,
                    instance: joining.instance.clone(),
                    topics: joining.topics.clone(),
                    rebalance_ms_max: joining.rebalance_ms_max,
                    epoch: JOINING,
                    owns,
                    tell,
                };
                (told, tokio::spawn(beating.run()))
            }
            GroupKind::Classic => {
                let (tell, told) = watch::channel(Told::default());
                let rounds = Rounds::new(cluster, joining.clone(), owns, tell);
                (told, tokio::spawn(rounds.run()))
            }
        };
        Membership { joining, told, owned, task, cluster: Arc::clone(cluster) }
    }

    pub fn own(&self, places: BTreeSet<Place>) {
        self.owned.send_if_modified(|owned| {
            let is_other = *owned != places;
            *owned = places;
            is_other
        });
    }

    /// Says goodbye, so that others have our partitions at once. Who has a lasting name is expected
    /// back, and its partitions wait for it.
    pub async fn leave(self) -> Result<()> {
        self.task.abort();
        let member = self.told.borrow().member.clone();
        let Joining { kind, group, instance, .. } = &self.joining;
        if *kind == GroupKind::Classic {
            return match (instance, &*member) {
                (Some(_), _) | (None, "") => Ok(()),
                (None, member) => rounds::leave(&self.cluster, group, member).await,
            };
        }
        let request = ConsumerGroupHeartbeatRequest {
            group_id: group.clone(),
            member_id: member,
            member_epoch: if instance.is_some() { LEAVING_FOR_NOW } else { LEAVING },
            instance_id: instance.clone(),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let key = (Coordinates::Group, group.as_str());
        let told = self.cluster.ask_coordinator(key, (i16::MAX, &request), |told| {
            // Who is no member has left.
            match told.error_code {
                codes::UNKNOWN_MEMBER_ID | codes::GROUP_ID_NOT_FOUND => Ok(()),
                code => Error::of(code, told.error_message.clone()),
            }
        });
        told.await.map(|_| ())
    }
}

struct Beating {
    cluster: Arc<Cluster>,
    group: String,
    member: String,
    instance: Option<String>,
    topics: Vec<String>,
    rebalance_ms_max: i32,
    epoch: i32,
    owns: watch::Receiver<BTreeSet<Place>>,
    tell: watch::Sender<Told>,
}

impl Beating {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            let wait = match self.beat().await {
                Ok(wait) => {
                    failures = 0;
                    wait
                }
                Err(error) if error.is_retriable() => {
                    if error.is_uncoordinated() {
                        self.cluster.forget_coordinator(Coordinates::Group, &self.group);
                    }
                    failures += 1;
                    self.cluster.settings.backoff().wait(failures, &stdx::SystemRng)
                }
                Err(error) if is_thrown_out(&error) => {
                    self.epoch = JOINING;
                    self.tell.send_modify(|told| {
                        told.target = None;
                        told.losses += 1;
                    });
                    // What we had must be let go of before we say that we have nothing.
                    if self.owns.wait_for(BTreeSet::is_empty).await.is_err() {
                        return;
                    }
                    Duration::ZERO
                }
                Err(error) => {
                    self.tell.send_modify(|told| told.error = Some(error));
                    return;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = self.owns.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// One beat; answers when the next is due.
    async fn beat(&mut self) -> Result<Duration> {
        let ids = self.ids().await?;
        let owned = self.owns.borrow_and_update().clone();
        let is_joining = self.epoch == JOINING;
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone(),
            member_id: self.member.clone(),
            member_epoch: self.epoch,
            instance_id: self.instance.clone(),
            rebalance_timeout_ms: if is_joining { self.rebalance_ms_max } else { -1 },
            subscribed_topic_names: is_joining.then(|| self.topics.clone()),
            topic_partitions: Some(if is_joining { Vec::new() } else { asked(&owned, &ids) }),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let connection = self.cluster.coordinator(Coordinates::Group, &self.group).await?;
        let answer = connection.ask(&request).await?;
        Error::of(answer.error_code, answer.error_message.clone())?;
        self.hear(answer).await
    }

    async fn hear(&mut self, answer: ConsumerGroupHeartbeatResponse) -> Result<Duration> {
        if let Some(member) = answer.member_id.filter(|member| !member.is_empty()) {
            self.member = member;
        }
        self.epoch = answer.member_epoch;
        let target = match answer.assignment {
            None => None,
            Some(assignment) => {
                let mut target = BTreeSet::new();
                let mut names = self.names();
                if assignment.topic_partitions.iter().any(|it| !names.contains_key(&it.topic_id)) {
                    let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
                    self.cluster.refresh(&topics).await?;
                    names = self.names();
                }
                for topic in assignment.topic_partitions {
                    // One that was deleted since is nothing to read.
                    if let Some(name) = names.get(&topic.topic_id) {
                        target.extend(topic.partitions.iter().map(|&it| (name.clone(), it)));
                    }
                }
                Some(target)
            }
        };
        self.tell.send_modify(|told| {
            told.member.clone_from(&self.member);
            told.epoch = self.epoch;
            if target.is_some() {
                told.target = target;
            }
        });
        let ms = u64::try_from(answer.heartbeat_interval_ms).unwrap_or(0);
        Ok(Duration::from_millis(ms.clamp(*INTERVAL_MS.start(), *INTERVAL_MS.end())))
    }

    fn names(&self) -> BTreeMap<Uuid, String> {
        let metadata = self.cluster.metadata();
        let topics = self.topics.iter().filter_map(|name| metadata.topics.get(name));
        topics.map(|topic| (topic.id, topic.name.clone())).collect()
    }

    async fn ids(&self) -> Result<BTreeMap<String, Uuid>> {
        let metadata = self.cluster.metadata();
        if !self.topics.iter().all(|name| metadata.topics.contains_key(name)) {
            let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
            self.cluster.refresh(&topics).await?;
        }
        Ok(self.names().into_iter().map(|(id, name)| (name, id)).collect())
    }
}

fn asked(owned: &BTreeSet<Place>, ids: &BTreeMap<String, Uuid>) -> Vec<TopicPartitionsAsked> {
    let mut topics: Vec<TopicPartitionsAsked> = Vec::new();
    for (name, partition) in owned {
        let Some(&topic_id) = ids.get(name) else { continue };
        match topics.iter_mut().find(|topic| topic.topic_id == topic_id) {
            Some(topic) => topic.partitions.push(*partition),
            None => topics.push(TopicPartitionsAsked { topic_id, partitions: vec![*partition] }),
        }
    }
    topics
}

fn is_thrown_out(error: &Error) -> bool {
    matches!(error.code(), Some(codes::FENCED_MEMBER_EPOCH | codes::UNKNOWN_MEMBER_ID))
}
