//! What a worker asks the owner for: the calls of the seam, reads of the log, and requests that
//! the owner answers itself. Who asks is named by the number the owner gave when it proved them.

use crate::wire::{Coded, Input, Malformed, coded_enum, coded_struct};
use bytes::Bytes;
use port::consumers::{ConsumerAddress, Fetch, ReplayTo, ResetTo, Settlement, Which};
use port::{
    Claims, Connection, ConnectionId, Credential, Follow, Peer, PresenceCall, RateState,
    ReadRequest, SchemaDraft, Usage,
};
use std::net::IpAddr;
use types::{
    ConsumerConfig, ConsumerName, Key, Offset, Partition, ProjectId, Record, TenantId, TopicConfig,
    TopicId, TopicName,
};

/// Somebody the owner has proven, by the number it gave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Who(pub u64);

/// Who asks in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    pub who: Who,
    /// The call is one more request of theirs, on a connection that carries several: it is counted
    /// before anything is done, and refused when their rate is used up.
    pub is_request: bool,
}

/// One of the worker's connections, by the number the worker gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(pub u64);

/// An answer that is awaited, by the number the asking side gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallNumber(pub u64);

macro_rules! numbers {
    ($($kind:ident),*) => { $(
        impl Coded for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn take(input: &mut Input) -> Result<Self, Malformed> {
                Coded::take(input).map($kind)
            }
        }
    )* };
}

numbers!(Who, Place, CallNumber);

pub enum Call {
    Authenticate {
        peer: Peer,
        credential: Credential,
    },
    Open {
        who: Asker,
        connection: Connection,
        place: Place,
    },
    Renew {
        who: Asker,
        connection: ConnectionId,
    },
    Append {
        who: Asker,
        topic: TopicName,
        records: Vec<Record>,
    },
    Transact {
        who: Asker,
        parts: Vec<(TopicName, Vec<Record>)>,
    },
    Read {
        who: Asker,
        request: ReadRequest,
    },
    Latest {
        who: Asker,
        topic: TopicName,
        key: Key,
    },
    Keys {
        who: Asker,
        topic: TopicName,
        after: Option<Key>,
        limit: usize,
    },
    /// Answered among the news, so that what comes before and after it is certain.
    Follow {
        who: Asker,
        follow: Box<Follow>,
    },
    Topics {
        who: Asker,
        after: Option<TopicName>,
        limit: usize,
    },
    Topic {
        who: Asker,
        name: TopicName,
    },
    PutTopic {
        who: Asker,
        name: TopicName,
        config: Box<TopicConfig>,
    },
    DeleteTopic {
        who: Asker,
        name: TopicName,
    },
    Schemas {
        who: Asker,
        topic: TopicName,
        after: u32,
        limit: usize,
    },
    Schema {
        who: Asker,
        topic: TopicName,
        version: u32,
    },
    PutSchema {
        who: Asker,
        topic: TopicName,
        draft: SchemaDraft,
    },
    CheckSchema {
        who: Asker,
        topic: TopicName,
        draft: SchemaDraft,
    },
    Presence {
        who: Asker,
        connection: Option<ConnectionId>,
        topic: TopicName,
        key: Option<Key>,
        call: Box<PresenceCall>,
    },
    Consumers {
        who: Asker,
        call: Box<ConsumerCall>,
    },
    /// Batches for a subscription that lags.
    History {
        topic: TopicId,
        partition: Partition,
        from: Offset,
        bytes_max: usize,
    },
    /// The newest record of a key, for a subscription that wants it first.
    Newest {
        topic: TopicId,
        partition: Partition,
        key: Key,
    },
    /// A request that no protocol takes.
    Http(Box<HttpAsk>),
    /// One more connection of a client address, if it may have it.
    Address {
        address: IpAddr,
        count_max: u32,
        place: Place,
    },
}

pub enum ConsumerCall {
    Put {
        at: ConsumerAddress,
        config: ConsumerConfig,
    },
    Get {
        at: ConsumerAddress,
    },
    List {
        topic: TopicName,
        after: Option<ConsumerName>,
        limit: usize,
    },
    Delete {
        at: ConsumerAddress,
    },
    Fetch {
        at: ConsumerAddress,
        fetch: Fetch,
    },
    Settle {
        at: ConsumerAddress,
        settlements: Vec<Settlement>,
    },
    SettleWith {
        at: ConsumerAddress,
        tokens: Vec<String>,
        publishes: Vec<(TopicName, Vec<Record>)>,
    },
    Commit {
        at: ConsumerAddress,
        cursors: Vec<String>,
    },
    Reset {
        at: ConsumerAddress,
        to: ResetTo,
    },
    DeadLetters {
        at: ConsumerAddress,
        cursor: Option<String>,
        limit: usize,
    },
    Replay {
        at: ConsumerAddress,
        which: Which,
        to: ReplayTo,
    },
    Purge {
        at: ConsumerAddress,
        which: Which,
    },
}

/// A request as it came in, body and all.
pub struct HttpAsk {
    pub peer: Peer,
    pub method: String,
    pub uri: String,
    pub headers: Vec<(String, Bytes)>,
    pub body: Bytes,
}

pub struct HttpAnswer {
    pub status: u16,
    pub headers: Vec<(String, Bytes)>,
    pub body: Bytes,
}

/// Who a credential proved, the number they have from now on, and what is left of their rate.
pub struct Proven {
    pub who: Who,
    pub claims: Claims,
    pub rate: Option<RateState>,
}

/// What the owner is told without an answer.
pub enum Notice {
    /// The worker serves.
    Ready,
    /// The connection is over.
    Left(Place),
    /// So many requests were made that asked for nothing of the owner's.
    Requested(Vec<(Who, u64)>),
    /// The subscription that was asked for by this call is over.
    Unfollowed(CallNumber),
    /// The connection that was counted with its address is over.
    AddressLeft(Place),
    /// Nobody in the worker is these any more; each was given so many times.
    Forgotten(Vec<(Who, u64)>),
    /// Nobody in the worker follows these any more.
    Unused(Vec<TopicId>),
    /// What was used since the last time.
    Used(Vec<(TenantId, ProjectId, Usage)>),
}

coded_struct! {
    HttpAsk { peer, method, uri, headers, body }
    HttpAnswer { status, headers, body }
    Proven { who, claims, rate }
    Asker { who, is_request }
}

coded_enum!(Notice {
    0 => Ready,
    1 => Left(place),
    2 => Unfollowed(call),
    3 => Forgotten(numbers),
    4 => Unused(topics),
    5 => Used(usage),
    6 => Requested(counts),
    7 => AddressLeft(place),
});

coded_enum!(ConsumerCall {
    0 => Put { at, config },
    1 => Get { at },
    2 => List { topic, after, limit },
    3 => Delete { at },
    4 => Fetch { at, fetch },
    5 => Settle { at, settlements },
    6 => SettleWith { at, tokens, publishes },
    7 => Reset { at, to },
    8 => DeadLetters { at, cursor, limit },
    9 => Replay { at, which, to },
    10 => Purge { at, which },
    11 => Commit { at, cursors },
});

coded_enum!(Call {
    0 => Authenticate { peer, credential },
    1 => Open { who, connection, place },
    2 => Renew { who, connection },
    3 => Append { who, topic, records },
    4 => Transact { who, parts },
    5 => Read { who, request },
    6 => Latest { who, topic, key },
    7 => Keys { who, topic, after, limit },
    8 => Follow { who, follow },
    9 => Topics { who, after, limit },
    10 => Topic { who, name },
    11 => PutTopic { who, name, config },
    12 => DeleteTopic { who, name },
    13 => Schemas { who, topic, after, limit },
    14 => Schema { who, topic, version },
    15 => PutSchema { who, topic, draft },
    16 => CheckSchema { who, topic, draft },
    17 => Presence { who, connection, topic, key, call },
    18 => Consumers { who, call },
    19 => History { topic, partition, from, bytes_max },
    20 => Newest { topic, partition, key },
    21 => Http(ask),
    22 => Address { address, count_max, place },
});
