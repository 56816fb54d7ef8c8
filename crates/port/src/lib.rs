//! The seam. Protocols and the engine meet here and nowhere else: a protocol sees the platform as
//! `Hub`, the edge sees a protocol as `Protocol` and `Session`, and every failure that crosses is
//! a `Refusal`. Nothing in this crate runs by itself, and no protocol's own word occurs in it.
#![forbid(unsafe_code)]

pub mod addresses;
pub mod batches;
pub mod challenges;
pub mod consumers;
pub mod delivery;
pub mod feed;
pub mod groups;
pub mod hub;
pub mod identity;
pub mod live;
pub mod metric;
pub mod mounts;
pub mod outbox;
pub mod peer;
pub mod presence;
pub mod refusal;
pub mod run;
pub mod schemas;
pub mod security;
pub mod session;
pub mod shaping;
pub mod sink;
#[cfg(test)]
mod tests;
pub mod transactions;

pub use addresses::{AddressHeld, Addresses};
pub use batches::{BatchPlaced, Batches, BatchesRead, Place, ProducerState};
pub use challenges::{Challenge, Challenges, Confirmed, Response, TokenSecret, Vouched};
pub use consumers::Consumers;
pub use delivery::{CursorMint, Delivery, Form, Origin};
pub use feed::Feed;
pub use groups::{
    Doing, GroupCaller, GroupLag, GroupMember, GroupMove, GroupPartition, GroupReset, GroupState,
    GroupSummary, Groups,
};
pub use hub::{
    Answer, Follow, Hub, Keys, Lease, PartitionInfo, Placed, ReadAnswer, ReadRequest, Subscription,
    TopicInfo,
};
pub use identity::{Claims, Identity, Liveness, TokenMark};
pub use live::{
    Change, Connection, ConnectionFilter, ConnectionId, ConnectionState, Live, Recount, Recounting,
};
pub use mounts::{
    Claim, ClientCertificates, HttpState, Mounts, Protocol, StreamMount, StreamStart,
};
pub use outbox::{Outbox, Then, Wait};
pub use peer::{Certificate, Credential, Peer, RequestId, ShardId};
pub use presence::{PresenceAnswer, PresenceCall, PresenceCounts, PresenceMember};
pub use refusal::{Code, Kind, RateState, Refusal};
pub use run::{Run, Shared};
pub use schemas::{SchemaDraft, SchemaInfo, Schemas};
pub use security::{KeyPage, KeyState, ListState, Security};
pub use session::{Codec, Deadline, Driven, Driver, Flow, Lane, Session, SessionStart, Wire};
pub use shaping::{Credits, Progress, Sent, Shaping};
pub use sink::{Closer, Event, Loss, Room, Shard, Sink, Taken};
pub use transactions::Transactions;
pub use types::Usage;
