//! The least hub an edge can run on: one topic, no log, every credential that says `good`. It
//! measures the edge and not an engine.

use parking_lot::Mutex;
use port::hub::{
    Answer, Follow, Keys, Lease, Placed, ReadAnswer, ReadRequest, Subscription, TopicInfo,
};
use port::presence::{PresenceAnswer, PresenceCall};
use port::{
    Claims, Closer, Code, Connection, Credential, CursorMint, Delivery, Event, Hub, Identity,
    Origin, Peer, RateState, Refusal, Room, Run, ShardId, Sink,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use types::{
    Key, Positions, PrincipalId, ProjectId, Record, Scopes, SubscriptionTag, TenantId, TopicConfig,
    TopicId, TopicName,
};

struct NoMint;

impl CursorMint for NoMint {
    fn mint(&self, _project: ProjectId, _positions: &Positions) -> String {
        "cursor".into()
    }
}

struct Reader {
    tag: SubscriptionTag,
    sink: Arc<dyn Sink>,
    /// Events it has not been given, because it had no room.
    backlog: VecDeque<Arc<Delivery>>,
    is_paused: bool,
}

#[derive(Default)]
struct ShardState {
    /// By order of arrival; the key is handed out by `follow`.
    readers: Mutex<BTreeMap<u64, Reader>>,
    news: Mutex<Vec<Arc<Delivery>>>,
    waker: Mutex<Option<Waker>>,
}

pub struct LeanHub {
    origin: Arc<Origin>,
    shards: Vec<Arc<ShardState>>,
    numbers: Mutex<u64>,
    pub closers: Mutex<Vec<Arc<dyn Closer>>>,
}

impl LeanHub {
    pub fn new(shards: usize) -> Arc<LeanHub> {
        let origin = Origin {
            project: ProjectId(Default::default()),
            topic: types::TopicName::parse("news").expect("a valid name"),
            topic_id: TopicId(1),
            partitions: 1,
            mint: Arc::new(NoMint),
        };
        Arc::new(LeanHub {
            origin: Arc::new(origin),
            shards: (0..shards).map(|_| Arc::default()).collect(),
            numbers: Mutex::new(0),
            closers: Mutex::default(),
        })
    }

    fn number(&self) -> u64 {
        let mut numbers = self.numbers.lock();
        *numbers += 1;
        *numbers
    }

    /// Gives every reader a record with this value.
    pub fn publish(&self, value: bytes::Bytes) {
        self.publish_all(&[value]);
    }

    /// As one commit that ends several appends: the shards are woken once.
    pub fn publish_all(&self, values: &[bytes::Bytes]) {
        let deliveries: Vec<_> = values
            .iter()
            .map(|value| {
                let record = Record { key: None, value: Some(value.clone()), ..Record::default() };
                let origin = Arc::clone(&self.origin);
                Arc::new(Delivery::new(origin, 0, self.number(), 0, record))
            })
            .collect();
        for shard in &self.shards {
            shard.news.lock().extend(deliveries.iter().cloned());
            if let Some(waker) = shard.waker.lock().as_ref() {
                waker.wake_by_ref();
            }
        }
    }

    pub fn readers(&self) -> usize {
        self.shards.iter().map(|shard| shard.readers.lock().len()).sum()
    }

    pub fn paused(&self) -> usize {
        let paused = |shard: &Arc<ShardState>| {
            shard.readers.lock().values().filter(|reader| reader.is_paused).count()
        };
        self.shards.iter().map(paused).sum()
    }
}

/// Records given to a reader in a row. Reader by reader and not record by record: a connection's
/// memory is then touched once per batch.
const BATCH: usize = 64;

struct LeanShard {
    state: Arc<ShardState>,
    queue: VecDeque<Arc<Delivery>>,
    /// What is being given out, and the reader it goes to next.
    batch: Option<Run>,
    next: u64,
}

impl LeanShard {
    fn feed_paused(&mut self, cx: &mut Context<'_>) {
        for reader in self.state.readers.lock().values_mut().filter(|reader| reader.is_paused) {
            while reader.is_paused && reader.sink.poll_room(cx).is_ready() {
                match reader.backlog.pop_front() {
                    None => reader.is_paused = false,
                    Some(delivery) => {
                        let _ = reader.sink.push(reader.tag, Event::Delivery(&delivery));
                    }
                }
            }
        }
    }
}

impl port::Shard for LeanShard {
    fn poll_turn(&mut self, cx: &mut Context<'_>, budget: usize) -> Poll<()> {
        self.state.waker.lock().get_or_insert_with(|| cx.waker().clone());
        self.feed_paused(cx);
        self.queue.extend(self.state.news.lock().drain(..));
        let mut left = budget;
        loop {
            let Some(batch) = &self.batch else {
                let count = self.queue.len().min(BATCH);
                if count == 0 {
                    return Poll::Pending;
                }
                self.batch = Some(Run::new(self.queue.drain(..count).collect()));
                self.next = 0;
                continue;
            };
            let size = batch.deliveries().len();
            for (&number, reader) in self.state.readers.lock().range_mut(self.next..) {
                if left < size {
                    self.next = number;
                    return Poll::Ready(());
                }
                left -= size;
                reader.give(cx, batch);
            }
            self.batch = None;
        }
    }
}

impl Reader {
    fn give(&mut self, cx: &mut Context<'_>, run: &Run) {
        let mut taken = 0;
        if !self.is_paused {
            let outcome = self.sink.push_run(self.tag, run);
            taken = outcome.records;
            if outcome.room == Room::Full {
                self.is_paused = true;
                let _ = self.sink.poll_room(cx);
            }
        }
        self.backlog.extend(run.deliveries()[taken..].iter().cloned());
    }
}

struct Guard {
    state: Arc<ShardState>,
    number: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.state.readers.lock().remove(&self.number);
    }
}

fn unsupported<'a, T: Send + 'a>() -> Answer<'a, T> {
    Box::pin(async { Err(Refusal::new(Code::Unsupported, "the lean hub has no log")) })
}

impl Hub for LeanHub {
    fn authenticate<'a>(
        &'a self,
        _peer: &'a Peer,
        credential: &'a Credential,
    ) -> Answer<'a, Identity> {
        Box::pin(async move {
            if !matches!(credential, Credential::Token(secret) if secret == "good") {
                return Err(Refusal::new(Code::InvalidToken, "the token is not valid"));
            }
            let claims = Claims {
                tenant: TenantId(Default::default()),
                project: ProjectId(Default::default()),
                principal: PrincipalId("jwt:somebody".into()),
                scopes: Scopes::default(),
                grants: None,
                key: None,
                issued_at: None,
                expires_at: None,
                rate_per_second: None,
                origin: None,
                marks: None,
                attributes: None,
            };
            Ok(Identity::mint(claims, Arc::default()))
        })
    }

    fn rate(&self, _who: &Identity) -> Option<RateState> {
        None
    }

    fn open<'a>(
        &'a self,
        _who: &'a Identity,
        _connection: Connection,
        closer: Arc<dyn Closer>,
    ) -> Answer<'a, Lease> {
        self.closers.lock().push(closer);
        let lease = Lease { id: port::ConnectionId(self.number()), guard: Box::new(()) };
        Box::pin(std::future::ready(Ok(lease)))
    }

    fn append<'a>(
        &'a self,
        _who: &'a Identity,
        _topic: &'a TopicName,
        _records: Vec<Record>,
    ) -> Answer<'a, Vec<Placed>> {
        unsupported()
    }

    fn read<'a>(&'a self, _who: &'a Identity, _request: ReadRequest) -> Answer<'a, ReadAnswer> {
        unsupported()
    }

    fn latest<'a>(
        &'a self,
        _who: &'a Identity,
        _topic: &'a TopicName,
        _key: &'a Key,
    ) -> Answer<'a, Option<Arc<Delivery>>> {
        unsupported()
    }

    fn keys<'a>(
        &'a self,
        _who: &'a Identity,
        _topic: &'a TopicName,
        _after: Option<Key>,
        _limit: usize,
    ) -> Answer<'a, Keys> {
        unsupported()
    }

    fn follow<'a>(
        &'a self,
        _who: &'a Identity,
        follow: Follow,
        shard: ShardId,
        sink: Arc<dyn Sink>,
    ) -> Answer<'a, Subscription> {
        Box::pin(async move {
            let state =
                self.shards.get(usize::from(shard.0)).cloned().ok_or_else(|| {
                    Refusal::internal(&"an edge thread that the hub does not know")
                })?;
            let number = self.number();
            let reader =
                Reader { tag: follow.tag, sink, backlog: VecDeque::new(), is_paused: false };
            state.readers.lock().insert(number, reader);
            Ok(Subscription {
                tag: follow.tag,
                start: Positions::default(),
                cursor: "cursor".into(),
                guard: Box::new(Guard { state, number }),
            })
        })
    }

    fn topics<'a>(
        &'a self,
        _who: &'a Identity,
        _after: Option<TopicName>,
        _limit: usize,
    ) -> Answer<'a, Vec<TopicInfo>> {
        unsupported()
    }

    fn topic<'a>(&'a self, _who: &'a Identity, _name: &'a TopicName) -> Answer<'a, TopicInfo> {
        unsupported()
    }

    fn put_topic<'a>(
        &'a self,
        _who: &'a Identity,
        _name: &'a TopicName,
        _config: TopicConfig,
    ) -> Answer<'a, (TopicInfo, bool)> {
        unsupported()
    }

    fn delete_topic<'a>(&'a self, _who: &'a Identity, _name: &'a TopicName) -> Answer<'a, ()> {
        unsupported()
    }

    fn presence<'a>(
        &'a self,
        _who: &'a Identity,
        _connection: Option<&'a Lease>,
        _topic: &'a TopicName,
        _key: Option<&'a Key>,
        _call: PresenceCall,
    ) -> Answer<'a, PresenceAnswer> {
        unsupported()
    }

    fn shard(&self, id: ShardId) -> Box<dyn port::Shard> {
        let state = self.shards.get(usize::from(id.0)).cloned().unwrap_or_default();
        Box::new(LeanShard { state, queue: VecDeque::new(), batch: None, next: 0 })
    }
}
