//! The frames of both subprotocols as values. What bytes they have is the codecs' to know.

use bytes::Bytes;
use port::hub::{Placed, PresenceMember};
use port::{Credential, Credits, Delivery, Loss, PresenceCall, Refusal, RequestId, Sent, Shaping};
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
    pub presence: Switch,
    pub shape: Shape,
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
}

/// A member id left out is the principal's own name.
#[derive(Debug, Clone, PartialEq)]
pub enum PresenceAction {
    Enter { member: Option<String>, data: Option<serde_json::Value> },
    Leave { member: Option<String> },
    List,
}

impl PresenceAction {
    pub fn call(self, principal: &PrincipalId) -> PresenceCall {
        let or_self = |member: Option<String>| member.unwrap_or_else(|| principal.0.to_string());
        match self {
            PresenceAction::Enter { member, data } => {
                PresenceCall::Enter { member: or_self(member), data }
            }
            PresenceAction::Leave { member } => PresenceCall::Leave { member: or_self(member) },
            PresenceAction::List => PresenceCall::List,
        }
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
        members: Vec<PresenceMember>,
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
    PresenceChange {
        sub: SubId,
        delivery: Arc<Delivery>,
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
