//! The node: everything the hub knows, and `port::Hub` over it. Each call is admitted first; the
//! work is in the module named after it.

use crate::branch::trunk::Slot;
use crate::catalogue::Catalogue;
use crate::connections::{Connections, TenantLimits};
use crate::cursor::CursorSigner;
use crate::meter::Meters;
use crate::occupancy::Occupancy;
use crate::presence::{Address, Presence, Settings as PresenceSettings};
use crate::read;
use crate::shard::HubShard;
use crate::shard::history::{History, Log};
use crate::shard::mailbox::{Mailbox, Message, Published};
use crate::topic::{SHARDS_MAX, Topic};
use crate::usage::UsageWriter;
use crate::watch::Watch;
use eventlog::Engine;
use identity::{Authenticator, ProjectSnapshot};
use metrics::Histogram;
use parking_lot::Mutex;
use port::{
    Answer, Closer, Code, Connection, Credential, Delivery, Follow, Hub, Identity, Keys, Lease,
    Peer, Placed, PresenceAnswer, PresenceCall, RateState, ReadAnswer, ReadRequest, Refusal,
    SchemaDraft, SchemaInfo, Schemas, ShardId, Sink, Subscription, TopicInfo,
};
use rules::{Bound, RateTable};
use std::sync::{Arc, Weak};
use std::time::Duration;
use stdx::{Clock, Rng};
use tenancy::Tenancy;
use types::batch::Batch;
use types::limits::READ_RECORDS_MAX;
use types::{
    Filter, Key, KeyId, Limits, Operation, Partition, ProjectId, Record, TimestampMs, TopicConfig,
    TopicId, TopicName,
};

/// Rate limiters in memory at most; see `rules::RateTable`.
const LIMITERS_MAX: usize = 100_000;
const SNAPSHOT_RETRY: Duration = Duration::from_millis(200);

/// The world outside, injected.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Edge threads; each calls `Hub::shard` once with its number.
    pub shards: usize,
    /// Parts of the node in other processes at most; together with the shards `SHARDS_MAX`.
    pub branches: usize,
    /// A topic comes into being when it is first published to or followed.
    pub auto_create_topics: bool,
    /// A drain advises clients to come back at a random time within so many milliseconds.
    pub reconnect_ms_max: u64,
    pub presence: PresenceSettings,
    pub tenants: TenantLimits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RateKey {
    Key(KeyId),
    Requests(ProjectId),
    Publishes(ProjectId),
}

pub struct Node {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) tenancy: Arc<Tenancy>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) signer: Arc<CursorSigner>,
    pub(crate) world: World,
    pub(crate) options: Options,
    pub(crate) catalogue: Catalogue,
    pub(crate) connections: Connections,
    /// The subscriptions of the node's own shards.
    pub(crate) watch: Arc<Watch>,
    pub(crate) rulings: crate::lists::Rulings,
    pub(crate) meters: Meters,
    pub(crate) presence: Presence,
    pub(crate) occupancy: Occupancy,
    pub(crate) consumers: crate::consumers::Desk,
    pub(crate) append_seconds: Histogram,
    pub(crate) conditions: crate::conditions::Conditions,
    /// Held while a topic's definition changes.
    pub(crate) definitions: tokio::sync::Mutex<()>,
    pub(crate) presence_topics: Mutex<()>,
    pub(crate) usage_writer: tokio::sync::Mutex<UsageWriter>,
    rates: Mutex<RateTable<RateKey>>,
    mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) branches: Vec<Slot>,
    this: Weak<Node>,
}

/// What a node is made of.
pub struct Parts {
    pub engine: Arc<dyn Engine>,
    pub tenancy: Arc<Tenancy>,
    pub authenticator: Arc<Authenticator>,
    /// Signs the cursors clients keep.
    pub cursor_key: aws_lc_rs::hmac::Key,
    pub world: World,
    pub options: Options,
}

impl Node {
    /// Loads every topic and starts to listen to the log. The engine must not have traffic yet.
    pub async fn start(parts: Parts) -> Result<Arc<Node>, Refusal> {
        assert!(
            parts.options.shards > 0 && parts.options.shards + parts.options.branches <= SHARDS_MAX,
            "a node has a shard, and {SHARDS_MAX} shards and branches at most"
        );
        let mut random = [0; 16];
        parts.world.rng.fill(&mut random);
        let usage_writer = UsageWriter::new(random, parts.world.clock.monotonic());
        let node = Arc::new_cyclic(|this| Node {
            signer: Arc::new(CursorSigner::new(parts.cursor_key)),
            catalogue: Catalogue::default(),
            connections: Connections::new(Arc::clone(&parts.world.clock), parts.options.tenants),
            watch: Arc::default(),
            rulings: crate::lists::Rulings::default(),
            meters: Meters::default(),
            occupancy: Occupancy::new(parts.options.presence.vacated_after()),
            presence: Presence::new(parts.options.presence.clone()),
            consumers: crate::consumers::Desk::default(),
            append_seconds: metrics::histogram!(port::metric::APPEND_SECONDS),
            conditions: crate::conditions::Conditions::default(),
            definitions: tokio::sync::Mutex::new(()),
            presence_topics: Mutex::new(()),
            usage_writer: tokio::sync::Mutex::new(usage_writer),
            rates: Mutex::new(RateTable::new(LIMITERS_MAX)),
            mailboxes: (0..parts.options.shards).map(|_| Arc::default()).collect(),
            branches: (0..parts.options.branches).map(|_| Slot::new()).collect(),
            this: Weak::clone(this),
            engine: parts.engine,
            tenancy: parts.tenancy,
            authenticator: parts.authenticator,
            world: parts.world,
            options: parts.options,
        });
        for record in node.tenancy.all_topics().await? {
            node.load_topic(record).await?;
        }
        node.apply_retention().await?;
        node.settle_usage().await?;
        node.load_months().await?;
        node.engine.observe(Arc::new(Tail(Arc::downgrade(&node))));
        Ok(node)
    }

    /// What every operation passes: the credential still stands, the tenant is not suspended.
    pub(crate) fn admit(&self, who: &Identity) -> Result<Arc<ProjectSnapshot>, Refusal> {
        if who.is_revoked() {
            return Err(revoked(who));
        }
        if let Some(refusal) = expired(who, self.world.clock.now_ms()) {
            return Err(refusal);
        }
        let snapshot = self.snapshot(who.project())?;
        if !who.is_operator() && !who.is_platform() {
            check_active(&snapshot)?;
        }
        check_principal(&snapshot, who)?;
        Ok(snapshot)
    }

    /// The project as last read. It is kept for as long as a credential of it is in use; should
    /// it have been pushed out by too many others, the client's next try finds it again.
    pub(crate) fn snapshot(&self, project: ProjectId) -> Result<Arc<ProjectSnapshot>, Refusal> {
        self.authenticator.snapshot(project).ok_or_else(|| {
            Refusal::new(Code::Overloaded, "the project's settings are being read again")
                .retry_around(SNAPSHOT_RETRY)
        })
    }

    /// What lagging subscriptions read from.
    pub fn history(&self) -> Arc<dyn History> {
        Arc::new(Log(Arc::clone(&self.engine)))
    }

    /// Itself, for work that outlives a call.
    pub(crate) fn this(&self) -> Option<Arc<Node>> {
        self.this.upgrade()
    }

    pub(crate) fn mailbox(&self, shard: ShardId) -> Result<Arc<Mailbox>, Refusal> {
        let mailbox = self.mailboxes.get(shard.0 as usize);
        mailbox.cloned().ok_or_else(|| Refusal::internal(&"there is no such shard"))
    }

    pub(crate) fn tell_all(&self, message: impl Fn() -> Message) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.send(message()));
    }

    pub(crate) fn take_publish_rate(
        &self,
        who: &Identity,
        limits: &Limits,
        records: u32,
    ) -> Result<(), Refusal> {
        let Some(per_second) = limits.publish_per_second_max else {
            return Ok(());
        };
        let bound = Bound {
            key: RateKey::Publishes(who.project()),
            rate: rules::Rate::per_second(per_second),
            name: "publish_per_second_max",
        };
        let now = self.world.clock.monotonic();
        self.rates.lock().check(&bound, records, now).map(|_| ())
    }

    /// The request rates a credential stands under.
    fn request_bounds(&self, who: &Identity, limits: &Limits) -> Vec<Bound<RateKey>> {
        let claims = who.claims();
        let own = claims.key.zip(claims.rate_per_second).map(|(key, per_second)| Bound {
            key: RateKey::Key(key),
            rate: rules::Rate::per_second(per_second),
            name: "rate_per_second",
        });
        let all = limits.request_per_second_max.map(|per_second| Bound {
            key: RateKey::Requests(who.project()),
            rate: rules::Rate::per_second(per_second),
            name: "request_per_second_max",
        });
        own.into_iter().chain(all).collect()
    }

    fn take_request(&self, who: &Identity, limits: &Limits) -> Result<(), Refusal> {
        let bounds = self.request_bounds(who, limits);
        if bounds.is_empty() {
            return Ok(());
        }
        self.rates.lock().check_all(&bounds, 1, self.world.clock.monotonic()).map(|_| ())
    }

    async fn prove(&self, peer: &Peer, credential: &Credential) -> Result<Identity, Refusal> {
        self.let_in(peer, self.authenticator.authenticate(peer, credential).await)
    }

    /// Counts somebody proven by one request, and notes who was not.
    pub(crate) fn let_in(
        &self,
        peer: &Peer,
        proven: Result<Identity, Refusal>,
    ) -> Result<Identity, Refusal> {
        let who = proven.inspect_err(|refusal| self.note_credential(peer, None, refusal))?;
        let admitted = self.admit_request(&who);
        admitted.inspect_err(|refusal| self.note_credential(peer, Some(&who), refusal))?;
        self.meters.get(who.tenant(), who.project()).request();
        Ok(who)
    }

    fn admit_request(&self, who: &Identity) -> Result<(), Refusal> {
        let snapshot = self.admit(who)?;
        self.check_asking(&snapshot)?;
        self.take_request(who, &snapshot.limits)
    }

    fn open_connection(
        &self,
        who: &Identity,
        connection: Connection,
        closer: Arc<dyn Closer>,
    ) -> Result<Lease, Refusal> {
        let snapshot = self.admit(who)?;
        self.check_connecting(who, &snapshot)?;
        let meter = self.meters.get(who.tenant(), who.project());
        let id = self.connections.open(who, &snapshot.limits, connection, meter, closer)?;
        let guard = LeaseGuard { node: Weak::clone(&self.this), id };
        Ok(Lease { id, guard: Box::new(guard) })
    }

    /// A record that was read counts as one that was followed.
    pub(crate) fn count_delivered<'a>(
        &self,
        who: &Identity,
        deliveries: impl IntoIterator<Item = &'a Arc<Delivery>>,
    ) {
        let (mut count, mut bytes) = (0, 0);
        for delivery in deliveries {
            count += 1;
            bytes += delivery.record.size() as u64;
        }
        if count > 0 {
            self.meters.get(who.tenant(), who.project()).delivered(count, bytes);
        }
    }
}

/// Hears of every batch right when it is acknowledged, on the log's own thread.
struct Tail(Weak<Node>);

impl eventlog::Observer for Tail {
    fn committed(&self, topic: TopicId, partition: Partition, batch: &Arc<Batch>) {
        let Some(node) = self.0.upgrade() else {
            return;
        };
        let Some(topic) = node.catalogue.by_id(topic) else {
            return;
        };
        // Counted where it becomes true, whether or not the publisher waits for the answer.
        if !topic.name.is_internal() {
            let meter = node.meters.get(topic.tenant, topic.project);
            let bytes = batch.records_bytes();
            meter.published(u64::from(batch.count()), bytes);
            node.meters.tallies.add(&topic, partition, batch, bytes);
        }
        let told: Arc<Topic> = Arc::clone(&topic);
        topic.advance(partition, batch.next_offset(), |shards| {
            let now = node.world.clock.monotonic();
            let published = Arc::new(Published::new(told, partition, Arc::clone(batch), now));
            let branches = node.branches.iter().map(|slot| &slot.mailbox);
            for (index, mailbox) in node.mailboxes.iter().chain(branches).enumerate() {
                if shards & 1 << index != 0 {
                    mailbox.send(Message::Published(Arc::clone(&published)));
                }
            }
        });
    }
}

/// Gives a connection's place and its presence up.
struct LeaseGuard {
    node: Weak<Node>,
    id: port::ConnectionId,
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        let Some(node) = self.node.upgrade() else {
            return;
        };
        node.leave_with(self.id);
        node.connections.leave(self.id);
    }
}

impl Hub for Node {
    fn authenticate<'a>(
        &'a self,
        peer: &'a Peer,
        credential: &'a Credential,
    ) -> Answer<'a, Identity> {
        Box::pin(self.prove(peer, credential))
    }

    fn rate(&self, who: &Identity) -> Option<RateState> {
        let snapshot = self.snapshot(who.project()).ok()?;
        let bounds = self.request_bounds(who, &snapshot.limits);
        self.rates.lock().tightest(&bounds, self.world.clock.monotonic())
    }

    fn open<'a>(
        &'a self,
        who: &'a Identity,
        connection: Connection,
        closer: Arc<dyn Closer>,
    ) -> Answer<'a, Lease> {
        Box::pin(async move {
            let protocol = connection.protocol;
            let opened = self.open_connection(who, connection, closer);
            self.noted(who, "connection.open", &protocol, opened)
        })
    }

    fn renew<'a>(&'a self, who: &'a Identity, lease: &'a Lease) -> Answer<'a, ()> {
        Box::pin(async move {
            self.admit(who)?;
            self.connections.renew(lease.id, who)
        })
    }

    fn count_request(&self, who: &Identity) -> Result<(), Refusal> {
        let snapshot = self.snapshot(who.project())?;
        self.noted(who, "request.make", &"request", self.take_request(who, &snapshot.limits))
    }

    fn append<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        records: Vec<Record>,
    ) -> Answer<'a, Vec<Placed>> {
        Box::pin(async move {
            let placed = self.publish(who, topic, records).await;
            self.noted(who, "record.publish", topic, placed)
        })
    }

    fn transact<'a>(
        &'a self,
        who: &'a Identity,
        parts: Vec<(TopicName, Vec<Record>)>,
    ) -> Answer<'a, Vec<Vec<Placed>>> {
        Box::pin(async move {
            let placed = self.publish_together(who, parts).await;
            self.noted(who, "record.publish", &"several topics", placed)
        })
    }

    fn read<'a>(&'a self, who: &'a Identity, request: ReadRequest) -> Answer<'a, ReadAnswer> {
        Box::pin(async move {
            read::check_request(&request)?;
            let topic = request.topic.clone();
            let answer = self.read_records(who, request).await;
            let answer = self.noted(who, "record.read", &topic, answer)?;
            self.count_delivered(who, &answer.records);
            Ok(answer)
        })
    }

    fn latest<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        key: &'a Key,
    ) -> Answer<'a, Option<Arc<Delivery>>> {
        Box::pin(async move {
            let found = self.read_latest(who, topic, key).await;
            let found = self.noted(who, "record.read", topic, found)?;
            self.count_delivered(who, &found);
            Ok(found)
        })
    }

    fn keys<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        after: Option<Key>,
        limit: usize,
    ) -> Answer<'a, Keys> {
        Box::pin(async move {
            let (snapshot, now) = (self.admit(who)?, self.world.clock.now_ms());
            let filter = Filter::topic(topic.clone());
            snapshot.check_filter(who.claims(), Operation::Read, &filter, now)?;
            let topic = self.existing(who, topic)?;
            let limit = limit.clamp(1, READ_RECORDS_MAX);
            let found = self.engine.keys(topic.id, after, limit).await;
            let (keys, has_more) = found.map_err(crate::refusal::refusal_of)?;
            Ok(Keys { keys, has_more })
        })
    }

    fn follow<'a>(
        &'a self,
        who: &'a Identity,
        follow: Follow,
        shard: ShardId,
        sink: Arc<dyn Sink>,
    ) -> Answer<'a, Subscription> {
        Box::pin(self.subscribe(who, follow, shard, sink))
    }

    fn topics<'a>(
        &'a self,
        who: &'a Identity,
        after: Option<TopicName>,
        limit: usize,
    ) -> Answer<'a, Vec<TopicInfo>> {
        Box::pin(async move { self.list_topics(who, after, limit) })
    }

    fn topic<'a>(&'a self, who: &'a Identity, name: &'a TopicName) -> Answer<'a, TopicInfo> {
        Box::pin(async move {
            self.may_see_topic(who, name)?;
            self.describe(&*self.existing(who, name)?)
        })
    }

    fn put_topic<'a>(
        &'a self,
        who: &'a Identity,
        name: &'a TopicName,
        config: TopicConfig,
    ) -> Answer<'a, (TopicInfo, bool)> {
        Box::pin(async move {
            let done = self.configure(who, name, config).await;
            self.noted(who, "topic.put", name, done)
        })
    }

    fn delete_topic<'a>(&'a self, who: &'a Identity, name: &'a TopicName) -> Answer<'a, ()> {
        Box::pin(async move {
            let done = self.delete(who, name).await;
            self.noted(who, "topic.delete", name, done)
        })
    }

    fn schemas<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        after: u32,
        limit: usize,
    ) -> Answer<'a, Schemas> {
        Box::pin(self.list_schemas(who, topic, after, limit))
    }

    fn schema<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        version: u32,
    ) -> Answer<'a, SchemaInfo> {
        Box::pin(self.one_schema(who, topic, version))
    }

    fn put_schema<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        draft: SchemaDraft,
    ) -> Answer<'a, (SchemaInfo, bool)> {
        Box::pin(self.register_schema(who, topic, draft))
    }

    fn check_schema<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        draft: SchemaDraft,
    ) -> Answer<'a, ()> {
        Box::pin(async move { self.judge_schema(who, topic, draft) })
    }

    fn presence<'a>(
        &'a self,
        who: &'a Identity,
        connection: Option<&'a Lease>,
        topic: &'a TopicName,
        key: Option<&'a Key>,
        call: PresenceCall,
    ) -> Answer<'a, PresenceAnswer> {
        let at = Address { project: who.project(), topic: topic.clone(), key: key.cloned() };
        Box::pin(self.be_present(who, connection, at, call))
    }

    fn consumers(&self) -> Option<&dyn port::Consumers> {
        Some(self)
    }

    fn batches(&self) -> Option<&dyn port::Batches> {
        Some(self)
    }

    fn challenges(&self) -> Option<&dyn port::Challenges> {
        Some(self)
    }

    fn security(&self) -> Option<&dyn port::Security> {
        Some(self)
    }

    fn shard(&self, id: ShardId) -> Box<dyn port::Shard> {
        assert!((id.0 as usize) < self.mailboxes.len(), "the edge has more shards than the hub");
        let mailbox = Arc::clone(&self.mailboxes[id.0 as usize]);
        let clock = Arc::clone(&self.world.clock);
        Box::new(HubShard::new(id, mailbox, self.history(), clock))
    }
}

/// Why a credential does not count that was switched off.
pub(crate) fn revoked(who: &Identity) -> Refusal {
    let code = if who.claims().key.is_some() { Code::InvalidApiKey } else { Code::InvalidToken };
    Refusal::new(code, "the credential was revoked")
}

/// Why the credential does not count any more, if its time is over.
pub(crate) fn expired(who: &Identity, now: TimestampMs) -> Option<Refusal> {
    let claims = who.claims();
    claims.expires_at.filter(|&end| end <= now)?;
    let code = if claims.key.is_some() { Code::ExpiredApiKey } else { Code::ExpiredToken };
    Some(Refusal::new(code, "the credential's lifetime is over"))
}

/// Refuses whose token the project has taken back since.
pub(crate) fn check_principal(snapshot: &ProjectSnapshot, who: &Identity) -> Result<(), Refusal> {
    if !snapshot.has_revoked(who.claims()) {
        return Ok(());
    }
    Err(Refusal::new(Code::InvalidToken, "the token was revoked")
        .hint("sign in again, and connect with a token issued since"))
}

pub(crate) fn check_active(snapshot: &ProjectSnapshot) -> Result<(), Refusal> {
    if snapshot.is_suspended() {
        return Err(Refusal::new(Code::TenantSuspended, "the tenant is suspended")
            .hint("the tenant's owner can ask the operator to resume it"));
    }
    Ok(())
}
