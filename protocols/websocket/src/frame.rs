//! The frames of both subprotocols as values. What bytes they have is the codecs' to know.

use bytes::Bytes;
use port::hub::Placed;
use port::presence::{self, Entering, MemberData, PRESENCE_PAGE};
use port::{
    Credential, Credits, Delivery, Loss, PresenceAnswer, PresenceCall, PresenceCounts, Refusal,
    RequestId, Sent, Shaping,
};
use std::sync::Arc;
use std::time::Duration;
use types::{Filter, From, Key, Offset, Partition, PrincipalId, ProjectId, TopicId, TopicName};
use wire_http::publish::Publish;

/// Number a client gives to a request, repeated in its answer.
pub type CallId = u32;
/// Number a client gives to a subscription, repeated in everything that comes from it.
pub type SubId = u32;

/// One message in either direction. `Said` only ever goes out, the others only ever come in.
#[derive(Debug)]
pub enum Frame {
    Call(Box<Call>),
    /// What cannot be read as a request, with as much of its number as could be.
    Bad {
        id: Option<CallId>,
        refusal: Refusal,
    },
    Said(Say),
}

/// A request.
#[derive(Debug, PartialEq)]
pub struct Call {
    pub id: CallId,
    /// W3C trace context, well formed.
    pub traceparent: Option<Bytes>,
    pub verb: Verb,
}

#[derive(Debug, PartialEq)]
pub enum Verb {
    Connect(Credential),
    Refresh(Credential),
    Subscribe(Subscribe),
    Unsubscribe(SubId),
    /// So many more records may be sent to a subscription with credits.
    Credit {
        sub: SubId,
        add: u64,
    },
    Publish(Vec<Publish>),
    Presence(Presence),
    Ping,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Subscribe {
    pub sub: SubId,
    pub filter: Filter,
    pub from: From,
    pub latest: Switch,
    pub exclude_own: Switch,
    pub presence: PresenceWish,
    pub shape: Shape,
}

/// What a subscription wants to hear of presence at the addresses it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PresenceWish {
    #[default]
    Nothing,
    /// Who comes, goes and changes.
    Changes,
    /// How many there are.
    Counts,
}

/// What few subscriptions ask for; see `port::Shaping`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shape {
    pub condition: Option<String>,
    pub conflate_ms: Option<u64>,
    pub batch_ms: Option<u64>,
    pub delta: Switch,
    pub credits: Option<u64>,
}

impl Shape {
    /// `None` when nothing is asked for.
    pub fn shaping(self) -> Option<Box<Shaping>> {
        if self == Shape::default() {
            return None;
        }
        Some(Box::new(Shaping {
            condition: self.condition,
            conflate: self.conflate_ms.map(Duration::from_millis),
            batch: self.batch_ms.map(Duration::from_millis),
            delta: self.delta.is_on(),
            credits: self.credits.map(Credits::new),
        }))
    }
}

/// An option of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Switch {
    #[default]
    Off,
    On,
}

impl Switch {
    pub fn is_on(self) -> bool {
        self == Switch::On
    }
}

impl std::convert::From<bool> for Switch {
    fn from(is_on: bool) -> Switch {
        if is_on { Switch::On } else { Switch::Off }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Presence {
    pub topic: TopicName,
    pub key: Option<Key>,
    pub action: PresenceAction,
    /// Members to list in the answer.
    pub limit: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum PresenceAction {
    Enter(Device),
    Update(Device),
    Leave(Device),
    List { after: Option<String> },
}

/// One device of a member; a member id left out is the principal's own name. Who leaves has neither
/// data nor a lease.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Device {
    pub member: Option<String>,
    pub device: Option<String>,
    pub data: MemberData,
    pub lease_ms: Option<u64>,
}

impl Device {
    fn entering(self, principal: &PrincipalId) -> Entering {
        Entering {
            member: self.member.unwrap_or_else(|| principal.0.to_string()),
            device: self.device,
            data: self.data,
            lease: self.lease_ms.map(Duration::from_millis),
        }
    }
}

impl PresenceAction {
    pub fn call(self, limit: Option<usize>, principal: &PrincipalId) -> PresenceCall {
        let action = match self {
            PresenceAction::Enter(device) => {
                presence::PresenceAction::Enter(device.entering(principal))
            }
            PresenceAction::Update(device) => {
                presence::PresenceAction::Update(device.entering(principal))
            }
            PresenceAction::Leave(device) => {
                let Entering { member, device, .. } = device.entering(principal);
                presence::PresenceAction::Leave { member, device }
            }
            PresenceAction::List { after } => presence::PresenceAction::List { after },
        };
        PresenceCall { action, limit: limit.unwrap_or(PRESENCE_PAGE) }
    }
}

/// What the server says.
#[derive(Debug)]
pub enum Say {
    /// Without a number when the upgrade request carried the credential.
    Connected {
        id: Option<CallId>,
        project: ProjectId,
        principal: PrincipalId,
        keepalive_ms: u64,
    },
    Refreshed {
        id: CallId,
    },
    Subscribed {
        id: CallId,
        sub: SubId,
        cursor: String,
    },
    Unsubscribed {
        id: CallId,
        sub: SubId,
    },
    Credited {
        id: CallId,
        sub: SubId,
        credits: u64,
    },
    Published {
        id: CallId,
        places: Vec<Place>,
    },
    Present {
        id: CallId,
        answer: PresenceAnswer,
    },
    Pong {
        id: CallId,
    },
    Error {
        id: Option<CallId>,
        refusal: Refusal,
        request: RequestId,
    },
    Reconnect {
        after_ms: u64,
    },
    Record {
        sub: SubId,
        /// Records of its key that were passed over for it.
        left_out: u32,
        delivery: Arc<Delivery>,
    },
    /// Several in one frame.
    Records {
        sub: SubId,
        records: Vec<Sent>,
    },
    /// The subscription stands here, though no record says so.
    Progress {
        sub: SubId,
        cursor: String,
    },
    PresenceChanges {
        sub: SubId,
        delivery: Arc<Delivery>,
    },
    PresenceCounts {
        sub: SubId,
        /// `topic` or `topic/key`.
        address: Bytes,
        counts: PresenceCounts,
    },
    CaughtUp {
        sub: SubId,
    },
    Gap {
        sub: SubId,
        topic: TopicId,
        partition: Partition,
        from: Offset,
        to: Offset,
        why: Loss,
    },
    Ended {
        sub: SubId,
        refusal: Refusal,
        request: RequestId,
    },
}

/// Where one published record came to lie.
#[derive(Debug, Clone)]
pub struct Place {
    pub topic: TopicName,
    /// The publisher's own id of the record.
    pub id: Option<Bytes>,
    pub placed: Placed,
}

impl Place {
    pub fn id_text(&self) -> Option<&str> {
        self.id.as_deref().and_then(|id| std::str::from_utf8(id).ok())
    }
}
