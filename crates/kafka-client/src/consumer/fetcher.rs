//! The task that reads ahead: it asks every broker that leads partitions of ours, one request at a
//! time each, as long as there is room, and hands on what came. Room is given back when the reader
//! has taken it.

use super::fetch::{Amount, Asked, Message, messages, request, stored};
use crate::cluster::Cluster;
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use wire_kafka::messages::fetch::{FetchResponse, PartitionData};

/// Unpacking more takes so long that it is not done between other work.
const FAST_BYTES_MAX: usize = 64 * 1024;

pub type Place = (String, i32);

pub enum Command {
    /// Reads the partition from there on, whatever was read of it before.
    Read {
        place: Place,
        offset: i64,
        turn: u64,
    },
    Leave(Place),
}

/// What came of one partition. Of an older turn it is what nobody waits for any more.
pub struct Brought {
    pub place: Place,
    pub turn: u64,
    pub outcome: Result<Vec<Message>>,
    /// Where it goes on.
    pub next: i64,
    pub _room: Option<Arc<OwnedSemaphorePermit>>,
}

struct Tracked {
    offset: i64,
    turn: u64,
    is_asked: bool,
    failures: u32,
    not_before: Option<Instant>,
}

/// What was asked for, in which turn.
type Sent = (Place, i64, u64);
/// What a broker answered for each, and how many bytes that took; the error is of all.
type Parts = Result<(Vec<(Sent, Result<(Vec<Message>, i64)>)>, usize)>;

struct Done {
    node: i32,
    sent: Vec<Sent>,
    parts: Parts,
    room: Option<OwnedSemaphorePermit>,
}

pub struct Fetcher {
    pub cluster: Arc<Cluster>,
    pub amount: Amount,
    pub room: Arc<Semaphore>,
    pub out: mpsc::UnboundedSender<Brought>,
    tracked: BTreeMap<Place, Tracked>,
    asked: HashMap<i32, ()>,
    works: JoinSet<Done>,
}

impl Fetcher {
    pub fn new(
        cluster: Arc<Cluster>,
        amount: Amount,
        room_bytes: usize,
        out: mpsc::UnboundedSender<Brought>,
    ) -> Fetcher {
        Fetcher {
            cluster,
            amount,
            room: Arc::new(Semaphore::new(room_bytes)),
            out,
            tracked: BTreeMap::new(),
            asked: HashMap::new(),
            works: JoinSet::new(),
        }
    }

    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            self.pump();
            let due_at = self.tracked.values().filter_map(|it| it.not_before).min();
            let timer = async {
                match due_at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
                Some(done) = self.works.join_next(), if !self.works.is_empty() => {
                    // A work that panicked brings nothing.
                    if let Ok(done) = done { self.done(done) }
                }
                () = timer => {}
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Read { place, offset, turn } => {
                let (failures, not_before) = (0, None);
                let fresh = Tracked { offset, turn, is_asked: false, failures, not_before };
                self.tracked.insert(place, fresh);
            }
            Command::Leave(place) => drop(self.tracked.remove(&place)),
        }
    }

    fn pump(&mut self) {
        let now = Instant::now();
        let mut by_node: BTreeMap<i32, Vec<Sent>> = BTreeMap::new();
        let mut unknown = Vec::new();
        for (place, tracked) in &mut self.tracked {
            if tracked.not_before.is_some_and(|at| now >= at) {
                tracked.not_before = None;
            }
            if tracked.is_asked || tracked.not_before.is_some() {
                continue;
            }
            let sent = (place.clone(), tracked.offset, tracked.turn);
            match self.cluster.known_leader(&place.0, place.1) {
                Some(node) => by_node.entry(node).or_default().push(sent),
                None => unknown.push(sent),
            }
        }
        for (node, sent) in by_node {
            if !self.asked.contains_key(&node) {
                self.ask(node, sent);
            }
        }
        if let Some(first) = unknown.into_iter().next() {
            self.find(first);
        }
    }

    /// Asks who leads; whatever comes of it, it is looked at again.
    fn find(&mut self, sent: Sent) {
        const NOBODY: i32 = i32::MIN;
        if self.asked.insert(NOBODY, ()).is_some() {
            return;
        }
        let cluster = Arc::clone(&self.cluster);
        self.works.spawn(async move {
            let found = cluster.leader(&sent.0.0, sent.0.1).await;
            let parts = found.map(|_| (Vec::new(), 0));
            Done { node: NOBODY, sent: vec![sent], parts, room: None }
        });
    }

    fn ask(&mut self, node: i32, sent: Vec<Sent>) {
        for (place, ..) in &sent {
            if let Some(tracked) = self.tracked.get_mut(place) {
                tracked.is_asked = true;
            }
        }
        self.asked.insert(node, ());
        let (cluster, amount) = (Arc::clone(&self.cluster), self.amount);
        let room = Arc::clone(&self.room);
        self.works.spawn(async move {
            let count = amount.bytes_max.unsigned_abs();
            let room = room.acquire_many_owned(count).await.ok();
            let parts = fetch(&cluster, node, &sent, amount).await;
            Done { node, sent, parts, room }
        });
    }

    fn done(&mut self, Done { node, sent, parts, room }: Done) {
        self.asked.remove(&node);
        match parts {
            Err(error) => {
                self.cluster.is_misled(&error);
                for (place, _, turn) in sent {
                    self.settle(&place, turn, Err(error.clone()), None);
                }
            }
            Ok((parts, bytes)) => {
                let room = room.map(|mut room| {
                    // What the answer did not take is free again.
                    drop(room.split(room.num_permits().saturating_sub(bytes)));
                    Arc::new(room)
                });
                for ((place, _, turn), outcome) in parts {
                    self.settle(&place, turn, outcome, room.clone());
                }
            }
        }
    }

    fn settle(
        &mut self,
        place: &Place,
        turn: u64,
        outcome: Result<(Vec<Message>, i64)>,
        room: Option<Arc<OwnedSemaphorePermit>>,
    ) {
        let Some(tracked) = self.tracked.get_mut(place).filter(|it| it.turn == turn) else {
            return;
        };
        tracked.is_asked = false;
        let (outcome, next) = match outcome {
            Ok((found, next)) => {
                tracked.failures = 0;
                let is_news = next != tracked.offset;
                tracked.offset = next;
                if !is_news {
                    return;
                }
                (Ok(found), next)
            }
            Err(error) => {
                self.cluster.is_misled(&error);
                if error.is_retriable() {
                    let wait =
                        self.cluster.settings.backoff().wait(tracked.failures, &stdx::SystemRng);
                    let wait = wait.max(Duration::from_millis(10));
                    tracked.not_before = Some(Instant::now() + wait);
                    tracked.failures = tracked.failures.saturating_add(1);
                    return;
                }
                // The reader decides how it goes on.
                let next = tracked.offset;
                self.tracked.remove(place);
                (Err(error), next)
            }
        };
        let brought = Brought { place: place.clone(), turn, outcome, next, _room: room };
        // When the reader has gone, this task ends with its commands.
        let _ = self.out.send(brought);
    }
}

async fn fetch(cluster: &Cluster, node: i32, sent: &[Sent], amount: Amount) -> Parts {
    let asked: Vec<Asked> = sent
        .iter()
        .map(|((topic, partition), offset, _)| Asked {
            topic: topic.clone(),
            partition: *partition,
            offset: *offset,
        })
        .collect();
    let connection = cluster.fetching_node(node).await?;
    let told: FetchResponse = connection.ask(&request(&asked, amount)).await?;
    Error::of(told.error_code, None)?;
    let mut found: HashMap<Place, PartitionData> = HashMap::new();
    for topic in told.responses {
        for data in topic.partitions {
            found.insert((topic.topic.clone(), data.partition_index), data);
        }
    }
    let pairs: Vec<(Sent, Option<PartitionData>)> =
        sent.iter().map(|one| (one.clone(), found.remove(&one.0))).collect();
    let bytes: usize = pairs.iter().filter_map(|(_, data)| data.as_ref()).map(size).sum();
    let unpack = move || -> Vec<_> {
        pairs.into_iter().map(|(sent, data)| (sent.clone(), unpacked(&sent, data))).collect()
    };
    if bytes <= FAST_BYTES_MAX {
        return Ok((unpack(), bytes));
    }
    let unpacked = tokio::task::spawn_blocking(unpack).await;
    let unpacked = unpacked.map_err(|error| Error::Malformed(error.to_string()))?;
    Ok((unpacked, bytes))
}

fn size(data: &PartitionData) -> usize {
    data.records.iter().flat_map(|records| &records.0).map(bytes::Bytes::len).sum()
}

fn unpacked(sent: &Sent, data: Option<PartitionData>) -> Result<(Vec<Message>, i64)> {
    let ((topic, partition), offset, _) = sent;
    // A broker leaves out what it has no room for.
    let Some(data) = data else { return Ok((Vec::new(), *offset)) };
    Error::of(data.error_code, None)?;
    let had_bytes = size(&data) > 0;
    let stored = stored(data)?;
    if had_bytes && stored.is_empty() {
        return Err(Error::Invalid(format!(
            "a batch of {topic}/{partition} is larger than what is fetched at once"
        )));
    }
    messages(topic, (*partition, *offset), &stored)
}
