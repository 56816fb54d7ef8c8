//! The whole platform as an adapter sees it. Every check lives behind these calls, once. Calls
//! carry batches: the boxed future is paid per batch, not per record.

use crate::live::Connection;
use crate::presence::{PresenceAnswer, PresenceCall};
use crate::schemas::{SchemaDraft, SchemaInfo, Schemas};
use crate::sink::{Closer, Shard, Sink};
use crate::{Code, Credential, Delivery, Identity, Peer, RateState, Refusal, ShardId};
use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use types::{
    Filter, From, Key, Offset, Partition, Positions, Record, SubscriptionTag, TimestampMs,
    TopicConfig, TopicId, TopicName,
};

pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

pub trait Hub: Send + Sync + 'static {
    /// Verifies a credential and counts one request against its rate and its tenant's.
    fn authenticate<'a>(
        &'a self,
        peer: &'a Peer,
        credential: &'a Credential,
    ) -> Answer<'a, Identity>;

    /// Counts one more request of somebody proven, on a connection that carries several: refused
    /// when the rate of the credential or of its project is used up.
    fn count_request(&self, _who: &Identity) -> Result<(), Refusal> {
        Ok(())
    }

    /// What is left of the tighter of the key's and the tenant's request rate, if bounded.
    fn rate(&self, who: &Identity) -> Option<RateState>;

    /// Counts a connection against its quotas and lists it. It is given up when the lease drops;
    /// `closer` is called when the connection must end.
    fn open<'a>(
        &'a self,
        who: &'a Identity,
        connection: Connection,
        closer: Arc<dyn Closer>,
    ) -> Answer<'a, Lease>;

    /// The connection goes on under another credential of the same tenant and project: from now on
    /// the new one's end is the connection's end. The caller has checked tenant and project.
    fn renew<'a>(&'a self, _who: &'a Identity, _lease: &'a Lease) -> Answer<'a, ()> {
        let refusal =
            Refusal::new(Code::Unsupported, "credentials cannot be renewed on open connections");
        Box::pin(std::future::ready(Err(refusal.hint("connect again"))))
    }

    /// All or none: one place per record, in order. Records without a timestamp get the log's.
    /// The work enters the log when the future is first polled, so callers that poll in order
    /// append in order.
    fn append<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        records: Vec<Record>,
    ) -> Answer<'a, Vec<Placed>>;

    /// Appends to several topics: all of it or nothing, whenever the process ends. One list of
    /// places per part, in order. A topic that stores nothing is refused.
    fn transact<'a>(
        &'a self,
        _who: &'a Identity,
        _parts: Vec<(TopicName, Vec<Record>)>,
    ) -> Answer<'a, Vec<Vec<Placed>>> {
        Box::pin(std::future::ready(Err(Refusal::new(
            Code::Unsupported,
            "this hub appends to one topic at a time",
        ))))
    }

    /// A bounded read of one topic, in offset order per partition.
    fn read<'a>(&'a self, who: &'a Identity, request: ReadRequest) -> Answer<'a, ReadAnswer>;

    /// The newest record of a key, or `None` (never written, or its newest is a tombstone).
    fn latest<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        key: &'a Key,
    ) -> Answer<'a, Option<Arc<Delivery>>>;

    /// Keys that hold a value, in byte order, after `after`.
    fn keys<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        after: Option<Key>,
        limit: usize,
    ) -> Answer<'a, Keys>;

    /// Feeds `sink` on `shard` with the records a filter takes, history first, then live, without
    /// gap or duplicate, until the subscription drops.
    fn follow<'a>(
        &'a self,
        who: &'a Identity,
        follow: Follow,
        shard: ShardId,
        sink: Arc<dyn Sink>,
    ) -> Answer<'a, Subscription>;

    /// Topics of the project in name order, after `after`.
    fn topics<'a>(
        &'a self,
        who: &'a Identity,
        after: Option<TopicName>,
        limit: usize,
    ) -> Answer<'a, Vec<TopicInfo>>;

    fn topic<'a>(&'a self, who: &'a Identity, name: &'a TopicName) -> Answer<'a, TopicInfo>;

    /// Creates the topic or changes its configuration; `true` when it was created.
    fn put_topic<'a>(
        &'a self,
        who: &'a Identity,
        name: &'a TopicName,
        config: TopicConfig,
    ) -> Answer<'a, (TopicInfo, bool)>;

    fn delete_topic<'a>(&'a self, who: &'a Identity, name: &'a TopicName) -> Answer<'a, ()>;

    /// The schemas that the topic has and had, after version `after`.
    fn schemas<'a>(
        &'a self,
        _who: &'a Identity,
        _topic: &'a TopicName,
        _after: u32,
        _limit: usize,
    ) -> Answer<'a, Schemas> {
        without_schemas()
    }

    /// One version, or `SCHEMA_NOT_FOUND`.
    fn schema<'a>(
        &'a self,
        _who: &'a Identity,
        _topic: &'a TopicName,
        _version: u32,
    ) -> Answer<'a, SchemaInfo> {
        without_schemas()
    }

    /// The topic's values must satisfy this schema from now on; `true` when it is a new version,
    /// `false` when it is the one the topic has. `SCHEMA_INCOMPATIBLE` when it breaks what the
    /// topic promises.
    fn put_schema<'a>(
        &'a self,
        _who: &'a Identity,
        _topic: &'a TopicName,
        _draft: SchemaDraft,
    ) -> Answer<'a, (SchemaInfo, bool)> {
        without_schemas()
    }

    /// What `put_schema` would answer, without doing it.
    fn check_schema<'a>(
        &'a self,
        _who: &'a Identity,
        _topic: &'a TopicName,
        _draft: SchemaDraft,
    ) -> Answer<'a, ()> {
        without_schemas()
    }

    /// Presence at an address. Changes are delivered as records of the project's presence topic
    /// under the key `topic/key`; see `crate::presence`. Devices without a lease leave when that of
    /// their connection drops; without a connection a device needs a lease.
    fn presence<'a>(
        &'a self,
        who: &'a Identity,
        connection: Option<&'a Lease>,
        topic: &'a TopicName,
        key: Option<&'a Key>,
        call: PresenceCall,
    ) -> Answer<'a, PresenceAnswer>;

    /// Durable consumers, where the hub has them.
    fn consumers(&self) -> Option<&dyn crate::Consumers> {
        None
    }

    /// The log in whole batches, where the hub has it.
    fn batches(&self) -> Option<&dyn crate::Batches> {
        None
    }

    /// API keys proven without being shown, where the hub can.
    fn challenges(&self) -> Option<&dyn crate::Challenges> {
        None
    }

    /// Who may do what, for administrators, where the hub knows it.
    fn security(&self) -> Option<&dyn crate::Security> {
        None
    }

    /// Who counts the connections of client addresses; `None` leaves it to the edge, which then has
    /// all of them.
    fn addresses(&self) -> Option<Arc<dyn crate::Addresses>> {
        None
    }

    /// The hub's part of one edge thread; called once on each, before it accepts.
    fn shard(&self, id: ShardId) -> Box<dyn Shard>;
}

fn without_schemas<T: Send + 'static>() -> Answer<'static, T> {
    let refusal = Refusal::new(Code::Unsupported, "this hub keeps no versions of schemas");
    Box::pin(std::future::ready(Err(refusal)))
}

/// Where an appended record came to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    pub partition: Partition,
    pub offset: Offset,
    pub timestamp: TimestampMs,
    /// The publisher's id was seen before: this is the place of the first one.
    pub is_duplicate: bool,
}

#[derive(Debug, Clone)]
pub struct ReadRequest {
    pub topic: TopicName,
    pub from: From,
    /// Only this key's records.
    pub key: Option<Key>,
    /// With `key`: only its newest `n`, oldest first; `from` is ignored.
    pub last: Option<usize>,
    pub limit: usize,
    /// How long to wait for a first record when there is none; zero answers at once.
    pub wait: Duration,
}

#[derive(Debug, Clone)]
pub struct ReadAnswer {
    pub records: Vec<Arc<Delivery>>,
    pub next_cursor: String,
    /// Nothing more was stored when the answer was made.
    pub is_end: bool,
}

#[derive(Debug, Clone)]
pub struct Keys {
    pub keys: Vec<Key>,
    /// There are more after the last one.
    pub has_more: bool,
}

#[derive(Debug, Clone)]
pub struct Follow {
    pub tag: SubscriptionTag,
    pub filter: Filter,
    pub from: From,
    /// With an exact key and `From::Latest`: its newest record comes first.
    pub latest_first: bool,
    /// Leaves out what this same principal published.
    pub exclude_own: bool,
    /// The connection it is counted with, for operators; `None` is counted nowhere.
    pub connection: Option<crate::ConnectionId>,
    /// What few subscriptions ask for.
    pub shaping: Option<Box<crate::Shaping>>,
}

/// An open subscription; dropping it ends it.
pub struct Subscription {
    pub tag: SubscriptionTag,
    /// Where it began in each partition it covers: the cursor before any delivery.
    pub start: Positions,
    /// `start` as a cursor for clients.
    pub cursor: String,
    pub guard: Box<dyn Any + Send + Sync>,
}

/// A counted connection; dropping it gives its place up.
pub struct Lease {
    pub id: crate::ConnectionId,
    pub guard: Box<dyn Any + Send + Sync>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TopicInfo {
    pub name: TopicName,
    pub id: TopicId,
    pub config: TopicConfig,
    /// Version of the schema, counted from 1; 0 without one.
    pub schema_version: u32,
    pub created_at: TimestampMs,
    pub partitions: Vec<PartitionInfo>,
    pub stored_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionInfo {
    /// The oldest record still kept.
    pub start: Offset,
    /// The next offset to be given.
    pub end: Offset,
}
