//! One member of a consumer group, and what it is told when a rebalance moves on.

use bytes::Bytes;
use std::time::Duration;
use tokio::sync::oneshot;

/// What JoinGroup answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub error: i16,
    pub generation: i32,
    pub protocol_type: String,
    pub protocol: String,
    pub leader: String,
    pub member: String,
    /// For the leader: everybody with what they have sent.
    pub members: Vec<(String, Option<String>, Bytes)>,
    /// A static member that came back finds its group as it left it.
    pub skip_assignment: bool,
}

impl Joined {
    pub fn failed(error: i16, member: &str) -> Joined {
        Joined {
            error,
            generation: -1,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            member: member.to_owned(),
            members: Vec::new(),
            skip_assignment: false,
        }
    }
}

/// What SyncGroup answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    pub error: i16,
    pub protocol_type: String,
    pub protocol: String,
    pub assignment: Bytes,
}

impl Synced {
    pub fn failed(error: i16) -> Synced {
        let (protocol_type, protocol) = (String::new(), String::new());
        Synced { error, protocol_type, protocol, assignment: Bytes::new() }
    }
}

/// What a client says of itself when it joins.
#[derive(Debug, Clone, Default)]
pub struct Candidate {
    /// Empty when it has none yet.
    pub member: String,
    /// Its own lasting name (KIP-345).
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session: Duration,
    pub rebalance: Duration,
    pub protocol_type: String,
    pub protocols: Vec<(String, Bytes)>,
    /// It knows that a first join only tells it its name (KIP-394).
    pub takes_name_first: bool,
}

pub struct Member {
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session: Duration,
    pub rebalance: Duration,
    pub protocols: Vec<(String, Bytes)>,
    pub assignment: Bytes,
    /// It is given up when nothing was heard of it by then, unless it waits for us.
    pub expires: Duration,
    pub joining: Option<oneshot::Sender<Joined>>,
    pub syncing: Option<oneshot::Sender<Synced>>,
}

impl Member {
    pub fn is_waiting(&self) -> bool {
        let waits = |is_closed: Option<bool>| is_closed == Some(false);
        waits(self.joining.as_ref().map(oneshot::Sender::is_closed))
            || waits(self.syncing.as_ref().map(oneshot::Sender::is_closed))
    }

    pub fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }
}
