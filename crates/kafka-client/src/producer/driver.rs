//! The task that owns all lanes of a producer: takes records in, sends batches to who leads their
//! partitions, and hands the outcomes back. Everything that waits is done beside it.

use super::lane::{Entry, Identity, Lane, Manner, Sealed};
use super::transaction::{Ties, register};
use crate::cluster::{Cluster, retrying};
use crate::connection::Connection;
use crate::{Error, Record, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;
use stdx::Clock;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use wire_kafka::messages::init_producer_id::InitProducerIdRequest;
use wire_kafka::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};

/// Requests to one broker that are not answered.
const NODE_REQUESTS_MAX: usize = 5;
/// Bytes of the batches of one request, or one batch.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Commands taken before lanes are looked at.
const COMMANDS_MAX: usize = 1_000;
/// Produce from version 12 on adds its partitions to the transaction by itself (KIP-890).
const ADDS_BY_ITSELF: i16 = 12;

pub type Place = (String, i32);

pub enum Command {
    Send {
        place: Place,
        record: Record,
        entry: Entry,
    },
    /// Answered when all that was sent before has come to its end.
    Flush(oneshot::Sender<()>),
    /// Lets go of what is not on its way, and answers when the rest is done.
    Discard(oneshot::Sender<()>),
    /// All lanes begin anew under this name.
    Rename(Identity),
}

enum Done {
    Connected(i32, Result<Arc<Connection>>),
    Produced(i32, Vec<(Place, Sealed)>, Result<ProduceResponse>),
    Named(Result<Identity>),
    Refreshed,
    Registered(Vec<Place>, Result<()>),
}

pub struct Driver {
    pub cluster: Arc<Cluster>,
    pub clock: Arc<dyn Clock>,
    pub manner: Manner,
    pub timeout_ms: i32,
    pub identity: Option<Identity>,
    pub ties: Option<Arc<Ties>>,
    pub lanes: HashMap<Place, Lane>,
    pub connections: HashMap<i32, Arc<Connection>>,
    pub waits: Waits,
}

/// What is under way beside the task.
#[derive(Default)]
pub struct Waits {
    works: JoinSet<Done>,
    connecting: HashSet<i32>,
    asked: HashMap<i32, usize>,
    is_naming: bool,
    is_refreshing: bool,
    is_registering: bool,
    /// Nothing is asked for again before.
    not_before: Option<Instant>,
    flushes: Vec<oneshot::Sender<()>>,
}

impl Driver {
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut taken = Vec::with_capacity(COMMANDS_MAX);
        let mut is_open = true;
        while is_open || !self.is_idle() {
            self.pump().await;
            let due_at = self.due_at();
            let timer = async {
                match due_at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                count = commands.recv_many(&mut taken, COMMANDS_MAX), if is_open => {
                    is_open = count > 0;
                    taken.drain(..).for_each(|command| self.take(command));
                }
                Some(done) = self.waits.works.join_next(), if !self.waits.works.is_empty() => {
                    // A work that panicked is none that anybody waits for but by its lanes.
                    if let Ok(done) = done { self.done(done) }
                }
                () = timer => {}
            }
            if !is_open {
                self.lanes.values_mut().for_each(Lane::seal);
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.lanes.values().all(Lane::is_idle)
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Send { place, record, entry } => {
                let at = (Instant::now(), self.clock.now_ms());
                let manner = self.manner;
                let lane = self.lanes.entry(place);
                let lane = lane.or_insert_with_key(|(_, index)| Lane::new(*index, manner));
                lane.push(&record, entry, at);
            }
            Command::Flush(done) => {
                self.lanes.values_mut().for_each(Lane::seal);
                self.waits.flushes.push(done);
            }
            Command::Discard(done) => {
                let why = Error::Invalid("the transaction was given up".to_owned());
                self.lanes.values_mut().for_each(|lane| lane.discard(&why));
                self.waits.flushes.push(done);
            }
            Command::Rename(identity) => {
                self.identity = Some(identity);
                self.lanes.clear();
            }
        }
    }

    fn due_at(&self) -> Option<Instant> {
        let lanes = self.lanes.values().filter_map(Lane::due_at).min();
        let again = self.waits.not_before.filter(|_| !self.is_idle());
        [lanes, again].into_iter().flatten().min()
    }

    /// Sends all that can be sent, and asks for what is missing.
    async fn pump(&mut self) {
        let now = Instant::now();
        let mut failed = None;
        for lane in self.lanes.values_mut() {
            failed = lane.advance(now).or(failed);
        }
        self.failed(failed);
        if self.waits.not_before.is_some_and(|at| now >= at) {
            self.waits.not_before = None;
        }
        let wanting: Vec<Place> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.wants_to_send(now))
            .map(|(place, _)| place.clone())
            .collect();
        if !wanting.is_empty() {
            self.send(wanting).await;
        }
        if self.is_idle() {
            for done in self.waits.flushes.drain(..) {
                // Who no longer listens need not hear it.
                let _ = done.send(());
            }
        }
    }

    async fn send(&mut self, wanting: Vec<Place>) {
        let Some(identity) = self.identity else { return self.ask_for_a_name() };
        if let Some(ties) = &self.ties
            && !ties.is_second
        {
            let new = ties.not_registered(&wanting);
            if !new.is_empty() {
                return self.ask_to_register(new);
            }
        }
        let mut by_node: BTreeMap<i32, Vec<Place>> = BTreeMap::new();
        for place in wanting {
            if !self.lanes.get(&place).is_some_and(|lane| lane.accepts(identity)) {
                self.ask_for_a_name();
                continue;
            }
            match self.cluster.known_leader(&place.0, place.1) {
                Some(node) => by_node.entry(node).or_default().push(place),
                None => self.ask_who_leads(&place.0),
            }
        }
        for (node, places) in by_node {
            if self.waits.asked.get(&node).is_some_and(|&count| count >= NODE_REQUESTS_MAX) {
                continue;
            }
            match self.connections.get(&node).filter(|it| !it.is_stale()).cloned() {
                Some(connection) => self.send_to(node, &connection, places, identity).await,
                None => self.ask_to_connect(node),
            }
        }
    }

    async fn send_to(
        &mut self,
        node: i32,
        connection: &Connection,
        places: Vec<Place>,
        identity: Identity,
    ) {
        let mut batches = Vec::new();
        let mut bytes = 0;
        for place in places {
            if bytes >= REQUEST_BYTES_MAX {
                break;
            }
            let sealed = self.lanes.get_mut(&place).and_then(|lane| lane.take(identity));
            if let Some(sealed) = sealed {
                bytes += sealed.size();
                batches.push((place, sealed));
            }
        }
        let request = ProduceRequest {
            transactional_id: self.ties.as_ref().map(|ties| ties.id.clone()),
            acks: -1,
            timeout_ms: self.timeout_ms,
            topic_data: topics(&batches),
        };
        let is_second = self.ties.as_ref().is_none_or(|ties| ties.is_second);
        let newest = if is_second { ADDS_BY_ITSELF } else { ADDS_BY_ITSELF - 1 };
        if let Some(ties) = &self.ties {
            ties.has_content();
        }
        *self.waits.asked.entry(node).or_default() += 1;
        match connection.begin(newest, &request).await {
            Ok(answer) => {
                self.waits.works.spawn(async move {
                    let answer = answer.await;
                    Done::Produced(node, batches, answer)
                });
            }
            Err(error) => self.done(Done::Produced(node, batches, Err(error))),
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Connected(node, connection) => {
                self.waits.connecting.remove(&node);
                match connection {
                    Ok(connection) => drop(self.connections.insert(node, connection)),
                    Err(error) => self.pause(&error),
                }
            }
            Done::Named(identity) => {
                self.waits.is_naming = false;
                match identity {
                    Ok(identity) => self.identity = Some(identity),
                    Err(error) => self.refused(&error),
                }
            }
            Done::Refreshed => {
                self.waits.is_refreshing = false;
                self.waits.not_before = Some(Instant::now() + self.manner.backoff.first);
            }
            Done::Registered(places, outcome) => {
                self.waits.is_registering = false;
                match (outcome, &self.ties) {
                    (Ok(()), Some(ties)) => ties.registered(places),
                    (Ok(()), None) => {}
                    (Err(error), _) => self.refused(&error),
                }
            }
            Done::Produced(node, batches, answer) => self.produced(node, batches, answer),
        }
    }

    fn produced(
        &mut self,
        node: i32,
        batches: Vec<(Place, Sealed)>,
        answer: Result<ProduceResponse>,
    ) {
        if let Some(count) = self.waits.asked.get_mut(&node) {
            *count = count.saturating_sub(1);
        }
        let mut outcomes: HashMap<Place, Result<i64>> = HashMap::new();
        let whole = answer.map(|answer| {
            for topic in answer.responses {
                for part in topic.partition_responses {
                    let outcome = Error::of(part.error_code, part.error_message);
                    let place = (topic.name.clone(), part.index);
                    outcomes.insert(place, outcome.map(|()| part.base_offset));
                }
            }
        });
        let now = Instant::now();
        for (place, sealed) in batches {
            let missing = || Err(Error::Malformed("no answer for a partition".to_owned()));
            let outcome = match &whole {
                Ok(()) => outcomes.remove(&place).unwrap_or_else(missing),
                Err(error) => Err(error.clone()),
            };
            if let Err(error) = &outcome {
                self.cluster.is_misled(error);
            }
            let lane = self.lanes.get_mut(&place);
            let failed = lane.and_then(|lane| lane.settle(sealed, outcome, now));
            self.failed(failed);
        }
    }

    /// A transaction of which a record is lost must not be committed.
    fn failed(&self, error: Option<Error>) {
        if let (Some(ties), Some(error)) = (&self.ties, error) {
            ties.failed(error);
        }
    }

    /// Nothing can be sent: what passes is waited for, else all that waits fails.
    fn refused(&mut self, error: &Error) {
        if error.is_retriable() {
            return self.pause(error);
        }
        self.lanes.values_mut().for_each(|lane| lane.discard(error));
        self.failed(Some(error.clone()));
    }

    fn pause(&mut self, error: &Error) {
        self.cluster.is_misled(error);
        self.waits.not_before = Some(Instant::now() + self.manner.backoff.first);
    }

    fn ask_for_a_name(&mut self) {
        if self.ties.is_some() || self.waits.is_naming || self.waits.not_before.is_some() {
            return;
        }
        self.waits.is_naming = true;
        let cluster = Arc::clone(&self.cluster);
        self.waits.works.spawn(async move {
            let request = InitProducerIdRequest {
                transaction_timeout_ms: i32::MAX,
                ..InitProducerIdRequest::default()
            };
            let told = retrying!(cluster, {
                let told = cluster.any().await?.ask(&request).await?;
                Error::of(told.error_code, None).map(|()| told)
            });
            Done::Named(told.map(|it| Identity { id: it.producer_id, epoch: it.producer_epoch }))
        });
    }

    fn ask_who_leads(&mut self, topic: &str) {
        if self.waits.is_refreshing || self.waits.not_before.is_some() {
            return;
        }
        self.waits.is_refreshing = true;
        let (cluster, topic) = (Arc::clone(&self.cluster), topic.to_owned());
        self.waits.works.spawn(async move {
            // When it fails it is asked again, until the batches are given up.
            if let Err(error) = cluster.refresh(&[&topic]).await {
                tracing::debug!(%error, topic, "who leads is not known");
            }
            Done::Refreshed
        });
    }

    fn ask_to_connect(&mut self, node: i32) {
        if self.waits.not_before.is_some() || !self.waits.connecting.insert(node) {
            return;
        }
        let cluster = Arc::clone(&self.cluster);
        self.waits.works.spawn(async move { Done::Connected(node, cluster.node(node).await) });
    }

    fn ask_to_register(&mut self, places: Vec<Place>) {
        let (Some(ties), Some(identity)) = (&self.ties, self.identity) else { return };
        if self.waits.is_registering || self.waits.not_before.is_some() {
            return;
        }
        self.waits.is_registering = true;
        let (cluster, ties) = (Arc::clone(&self.cluster), Arc::clone(ties));
        self.waits.works.spawn(async move {
            let outcome = register(&cluster, &ties, identity, &places).await;
            Done::Registered(places, outcome)
        });
    }
}

fn topics(batches: &[(Place, Sealed)]) -> Vec<TopicProduceData> {
    let mut topics: BTreeMap<&str, Vec<PartitionProduceData>> = BTreeMap::new();
    for ((topic, index), sealed) in batches {
        topics.entry(topic).or_default().push(PartitionProduceData {
            index: *index,
            records: Some(sealed.bytes()),
            ..PartitionProduceData::default()
        });
    }
    let topics = topics.into_iter().map(|(name, partition_data)| TopicProduceData {
        name: name.to_owned(),
        partition_data,
        ..TopicProduceData::default()
    });
    topics.collect()
}
