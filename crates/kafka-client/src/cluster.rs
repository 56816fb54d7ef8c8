//! What is known of the brokers: their connections, who leads which partition, who coordinates
//! what; and the way to try again. Knowledge grows old: whoever is sent away asks anew.

use crate::connection::Connection;
use crate::settings::Settings;
use crate::{Error, Result};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stdx::SystemRng;
use wire_kafka::errors as codes;
use wire_kafka::messages::Request;
use wire_kafka::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use wire_kafka::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic,
};
use wire_kafka::wire::Uuid;

/// Where we were told of others; told apart from the numbers of brokers.
const BOOTSTRAP: i32 = -1;

/// Does something again while its error is one that passes.
macro_rules! retrying {
    ($cluster:expr, $attempt:expr) => {{
        let mut retries = $cluster.retries();
        loop {
            let outcome: $crate::Result<_> = async { $attempt }.await;
            match outcome {
                Ok(done) => break Ok(done),
                Err(error) => {
                    if let Err(error) = retries.after(error).await {
                        break Err(error);
                    }
                }
            }
        }
    }};
}
pub(crate) use retrying;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub index: i32,
    /// The number of a broker; negative when there is none now.
    pub leader: i32,
    pub leader_epoch: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub id: Uuid,
    pub is_internal: bool,
    /// By their index, without gaps.
    pub partitions: Vec<Partition>,
}

#[derive(Debug, Clone, Default)]
pub struct Metadata {
    pub brokers: BTreeMap<i32, String>,
    pub controller: i32,
    pub topics: BTreeMap<String, Topic>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coordinates {
    Group = 0,
    Transaction = 1,
}

/// What waits for records holds up what is asked behind it, so that has a connection of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Purpose {
    Asking,
    Fetching,
}

type Slot = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

/// Shared by all that talk to the same brokers.
pub struct Cluster {
    pub settings: Settings,
    slots: Mutex<HashMap<(i32, Purpose), Slot>>,
    metadata: RwLock<Arc<Metadata>>,
    coordinators: Mutex<HashMap<(Coordinates, String), i32>>,
    is_outdated: AtomicBool,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({})", self.settings.bootstrap.join(","))
    }
}

impl Cluster {
    /// Connects to the first broker that answers, and asks who the others are.
    ///
    /// # Errors
    /// When nobody answers, or we are not let in.
    pub async fn connect(settings: Settings) -> Result<Arc<Cluster>> {
        let cluster = Cluster {
            settings,
            slots: Mutex::default(),
            metadata: RwLock::default(),
            coordinators: Mutex::default(),
            is_outdated: AtomicBool::new(false),
        };
        cluster.refresh(&[]).await?;
        Ok(Arc::new(cluster))
    }

    pub fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.metadata.read())
    }

    /// The connection to a broker, made when there is none.
    ///
    /// # Errors
    /// When it is not known or does not answer.
    pub async fn node(&self, number: i32) -> Result<Arc<Connection>> {
        self.connected(number, Purpose::Asking).await
    }

    /// The connection to a broker over which it is asked for records that are yet to come.
    pub(crate) async fn fetching_node(&self, number: i32) -> Result<Arc<Connection>> {
        self.connected(number, Purpose::Fetching).await
    }

    async fn connected(&self, number: i32, purpose: Purpose) -> Result<Arc<Connection>> {
        let addresses = match number {
            BOOTSTRAP => self.settings.bootstrap.clone(),
            _ => self.metadata().brokers.get(&number).cloned().into_iter().collect(),
        };
        let slot = Arc::clone(self.slots.lock().entry((number, purpose)).or_default());
        // Others wait for the same connection instead of making their own.
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_stale()) {
            return Ok(Arc::clone(connection));
        }
        let mut last = Error::Unreachable {
            address: format!("broker {number}"),
            reason: "it is not known".to_owned(),
        };
        for address in addresses {
            match Connection::open(&address, &self.settings).await {
                Ok(connection) => {
                    let connection = Arc::new(connection);
                    *slot = Some(Arc::clone(&connection));
                    return Ok(connection);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Any broker: one that is known, or where we began.
    ///
    /// # Errors
    /// When none answers.
    pub async fn any(&self) -> Result<Arc<Connection>> {
        let known: Vec<i32> = self.metadata().brokers.keys().copied().collect();
        let mut last = None;
        for number in known.into_iter().chain([BOOTSTRAP]) {
            match self.node(number).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::Settings("`bootstrap.servers` is empty".to_owned())))
    }

    /// # Errors
    /// When it does not answer.
    pub async fn controller(&self) -> Result<Arc<Connection>> {
        match self.metadata().controller {
            number @ 0.. => self.node(number).await,
            _ => self.any().await,
        }
    }

    /// Asks who leads these topics; what is not there is not in the answer, and not made.
    ///
    /// # Errors
    /// When nobody answers, or we may not ask.
    pub async fn refresh(&self, topics: &[&str]) -> Result<Arc<Metadata>> {
        let names = topics.iter().map(|name| MetadataRequestTopic {
            name: Some((*name).to_owned()),
            ..MetadataRequestTopic::default()
        });
        self.learn(Some(names.collect())).await
    }

    /// Asks for all topics.
    ///
    /// # Errors
    /// As `refresh`.
    pub async fn refresh_all(&self) -> Result<Arc<Metadata>> {
        self.learn(None).await
    }

    async fn learn(&self, topics: Option<Vec<MetadataRequestTopic>>) -> Result<Arc<Metadata>> {
        let asked: Option<Vec<String>> = topics
            .as_ref()
            .map(|topics| topics.iter().filter_map(|topic| topic.name.clone()).collect());
        let request = MetadataRequest {
            topics,
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let told: MetadataResponse = self.any().await?.ask(&request).await?;
        Error::of(told.error_code, None)?;
        self.is_outdated.store(false, Ordering::Release);
        let mut current = self.metadata.write();
        let mut fresh = Metadata {
            brokers: told
                .brokers
                .into_iter()
                .map(|broker| (broker.node_id, format!("{}:{}", broker.host, broker.port)))
                .collect(),
            controller: told.controller_id,
            // What was not asked for stays as it was.
            topics: asked.map_or_else(BTreeMap::new, |asked| {
                let mut topics = current.topics.clone();
                topics.retain(|name, _| !asked.contains(name));
                topics
            }),
        };
        for topic in told.topics {
            if let Some(topic) = read_topic(topic) {
                fresh.topics.insert(topic.name.clone(), topic);
            }
        }
        *current = Arc::new(fresh);
        Ok(Arc::clone(&current))
    }

    /// Somebody was sent away: who is asked next asks for all anew.
    pub(crate) fn is_misled(&self, error: &Error) -> bool {
        let is_misled = error.is_misled();
        if is_misled {
            self.is_outdated.store(true, Ordering::Release);
        }
        is_misled
    }

    /// A topic as it is known, asked for when it is not.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION` when there is none.
    pub async fn topic(&self, name: &str) -> Result<Topic> {
        if !self.is_outdated.load(Ordering::Acquire)
            && let Some(topic) = self.metadata().topics.get(name)
        {
            return Ok(topic.clone());
        }
        let metadata = self.refresh(&[name]).await?;
        let unknown = || {
            let message = Some(format!("there is no topic `{name}`"));
            Error::refused(codes::UNKNOWN_TOPIC_OR_PARTITION, message)
        };
        metadata.topics.get(name).cloned().ok_or_else(unknown)
    }

    /// Who leads a partition as far as is known; `None` when that has to be asked.
    pub(crate) fn known_leader(&self, topic: &str, partition: i32) -> Option<i32> {
        if self.is_outdated.load(Ordering::Acquire) {
            return None;
        }
        let metadata = self.metadata();
        let partitions = &metadata.topics.get(topic)?.partitions;
        let found = partitions.iter().find(|it| it.index == partition)?;
        (found.leader >= 0).then_some(found.leader)
    }

    /// The number of the broker that leads a partition.
    ///
    /// # Errors
    /// When there is no such partition, or nobody leads it now.
    pub async fn leader(&self, topic: &str, partition: i32) -> Result<i32> {
        let known = self.topic(topic).await?;
        let found = known.partitions.iter().find(|it| it.index == partition);
        let found = found.ok_or_else(|| {
            let message = Some(format!("there is no partition {partition} of `{topic}`"));
            Error::refused(codes::UNKNOWN_TOPIC_OR_PARTITION, message)
        })?;
        if found.leader < 0 {
            self.is_outdated.store(true, Ordering::Release);
            return Err(Error::refused(codes::LEADER_NOT_AVAILABLE, None));
        }
        Ok(found.leader)
    }

    /// Whom to ask about a group or a transactional id.
    ///
    /// # Errors
    /// When nobody coordinates it now.
    pub(crate) async fn coordinator(
        &self,
        what: Coordinates,
        key: &str,
    ) -> Result<Arc<Connection>> {
        let place = (what, key.to_owned());
        let known = self.coordinators.lock().get(&place).copied();
        if let Some(number) = known {
            return self.node(number).await;
        }
        let request = FindCoordinatorRequest {
            key: key.to_owned(),
            key_type: what as i8,
            coordinator_keys: vec![key.to_owned()],
        };
        let told: FindCoordinatorResponse = self.any().await?.ask(&request).await?;
        let (error, message, number) = match told.coordinators.into_iter().next() {
            Some(found) => (found.error_code, found.error_message, found.node_id),
            None => (told.error_code, told.error_message, told.node_id),
        };
        Error::of(error, message)?;
        if !self.metadata().brokers.contains_key(&number) {
            self.refresh(&[]).await?;
        }
        let connection = self.node(number).await?;
        self.coordinators.lock().insert(place, number);
        Ok(connection)
    }

    /// A connection to a group's coordinator that nobody shares, whose answers may take so long.
    pub(crate) async fn coordinator_alone(
        &self,
        group: &str,
        request_ms_max: u64,
    ) -> Result<Arc<Connection>> {
        let what = Coordinates::Group;
        // Found, and known to answer.
        self.coordinator(what, group).await?;
        let number = self.coordinators.lock().get(&(what, group.to_owned())).copied();
        let address = number.and_then(|number| self.metadata().brokers.get(&number).cloned());
        let address =
            address.ok_or_else(|| Error::refused(codes::COORDINATOR_NOT_AVAILABLE, None))?;
        let request_ms_max = request_ms_max.max(self.settings.request_ms_max);
        let settings = Settings { request_ms_max, ..self.settings.clone() };
        Ok(Arc::new(Connection::open(&address, &settings).await?))
    }

    pub(crate) fn forget_coordinator(&self, what: Coordinates, key: &str) {
        self.coordinators.lock().remove(&(what, key.to_owned()));
    }

    /// Asks who coordinates, again and again while that is worth it. `judge` says what error an
    /// answer is.
    pub(crate) async fn ask_coordinator<R: Request>(
        &self,
        (what, key): (Coordinates, &str),
        (newest, request): (i16, &R),
        judge: impl Fn(&R::Answer) -> Result<()>,
    ) -> Result<R::Answer> {
        retrying!(self, {
            let answer = async {
                let connection = self.coordinator(what, key).await?;
                let answer = connection.ask_up_to(newest, request).await?;
                judge(&answer).map(|()| answer)
            };
            let answer = answer.await;
            if answer.as_ref().is_err_and(Error::is_uncoordinated) {
                self.forget_coordinator(what, key);
            }
            answer
        })
    }

    pub(crate) fn retries(&self) -> Retries<'_> {
        let until = Instant::now() + Duration::from_millis(self.settings.retry_ms_max);
        Retries { cluster: self, until, tried: 0 }
    }
}

/// How often something was tried, and until when it is tried again.
pub(crate) struct Retries<'a> {
    cluster: &'a Cluster,
    until: Instant,
    tried: u32,
}

impl Retries<'_> {
    /// Waits until it is to be tried again, ever longer.
    ///
    /// # Errors
    /// The one that was given: when it is not of the kind that passes, or `retry_ms_max` is over.
    pub(crate) async fn after(&mut self, error: Error) -> Result<()> {
        self.cluster.is_misled(&error);
        let wait = self.cluster.settings.backoff().wait(self.tried, &SystemRng);
        if !error.is_retriable() || Instant::now() + wait >= self.until {
            return Err(error);
        }
        tokio::time::sleep(wait).await;
        self.tried = self.tried.saturating_add(1);
        Ok(())
    }
}

/// A topic that we may not see, or that is not there, is none.
fn read_topic(told: MetadataResponseTopic) -> Option<Topic> {
    let name = told.name?;
    if told.error_code != codes::NONE && told.partitions.is_empty() {
        return None;
    }
    let mut partitions: Vec<Partition> = told
        .partitions
        .into_iter()
        .map(|it| Partition {
            index: it.partition_index,
            leader: it.leader_id,
            leader_epoch: it.leader_epoch,
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    Some(Topic { name, id: told.topic_id, is_internal: told.is_internal, partitions })
}
