//! What the answer to one request is made from: who asks, in which version, and of whom.

use crate::config::{Config, Endpoint, SecurityAccess};
use crate::errors;
use crate::groups::Groups;
use crate::sign_in::Means;
use crate::tokens::Locks;
use crate::transactions::Transactions;
use crate::wire::Uuid;
use port::{Batches, Code, Hub, Identity, Refusal, Security};
use std::sync::Arc;
use stdx::Clock;
use types::acl::Named;
use types::{Operation, Partition, Scope, TopicId, TopicName};

/// The one broker of the cluster that a project is.
pub const NODE_ID: i32 = 1;
/// Records that were acknowledged are never taken back, so there was no second leader.
pub const LEADER_EPOCH: i32 = 0;
/// Begins the number of each topic as clients see it (KIP-516).
const TOPIC_UUID: [u8; 8] = *b"mainstem";

/// What all connections share.
pub struct Desk {
    pub config: Config,
    pub groups: Groups,
    pub transactions: Transactions,
    /// Held while delegation tokens of a project change.
    pub tokens: Locks,
}

impl Desk {
    pub fn new(config: Config) -> Desk {
        let (groups, transactions, tokens) = Default::default();
        Desk { groups, transactions, tokens, config }
    }
}

pub struct Call {
    pub desk: Arc<Desk>,
    pub hub: Arc<dyn Hub>,
    pub who: Identity,
    pub means: Means,
    pub clock: Arc<dyn Clock>,
    pub version: i16,
    pub client_id: String,
    /// The client's address as Kafka's tools show it.
    pub client_host: String,
    pub advertised: Endpoint,
    /// What may be done about security where the client came in.
    pub security: SecurityAccess,
    /// Held while a produce enters the log, so that those behind it enter behind it.
    pub turnstile: Arc<tokio::sync::Mutex<()>>,
}

impl Call {
    pub fn batches(&self) -> Result<&dyn Batches, Refusal> {
        self.hub.batches().ok_or_else(|| {
            Refusal::new(Code::Unsupported, "this server does not hand out whole batches")
        })
    }

    /// Refuses what the client may not do with what it calls so.
    pub fn check_name(&self, name: (Named, &str), operation: Operation) -> Result<(), Refusal> {
        self.batches()?.check_name(&self.who, name, operation)
    }

    /// Whoever administers the cluster, which is the project.
    ///
    /// # Errors
    /// The error's number.
    pub fn may_administer(&self) -> Result<(), i16> {
        match self.who.claims().scopes.has(Scope::AdminWrite) {
            true => Ok(()),
            false => Err(errors::CLUSTER_AUTHORIZATION_FAILED),
        }
    }

    /// Who may do what, where the client may see it or change it.
    ///
    /// # Errors
    /// The error's number, and why.
    pub fn security(&self, needed: SecurityAccess) -> Result<&dyn Security, (i16, String)> {
        let scopes = self.who.claims().scopes;
        let may_write = scopes.has(Scope::AdminWrite);
        let forbidden = errors::CLUSTER_AUTHORIZATION_FAILED;
        let refused = |error, why: &str| Err((error, why.to_owned()));
        if self.security == SecurityAccess::None {
            let why = "security is not administered by this listener: set its `security`";
            return refused(errors::SECURITY_DISABLED, why);
        }
        if self.security < needed {
            let why = "security is only looked at by this listener: set its `security` to `write`";
            return refused(forbidden, why);
        }
        if needed == SecurityAccess::Write && !may_write {
            return refused(forbidden, "this takes the scope `admin:write`");
        }
        if !may_write && !scopes.has(Scope::AdminRead) {
            return refused(forbidden, "this takes the scope `admin:read`");
        }
        let unknown = (errors::SECURITY_DISABLED, "this server knows no access lists".to_owned());
        self.hub.security().ok_or(unknown)
    }

    /// The topic that a request names, or numbers since the versions that do.
    pub fn topic(&self, name: &str, id: Uuid) -> Result<TopicName, Refusal> {
        if id != Uuid::default() {
            let unknown = || Refusal::new(Code::TopicNotFound, "no topic has this number");
            let number = topic_number(id).ok_or_else(unknown)?;
            return self.batches()?.topic_numbered(&self.who, number).ok_or_else(unknown);
        }
        parse_topic(name)
    }
}

/// The number of a partition, from what a client says.
///
/// # Errors
/// The error's number.
pub fn parse_partition(index: i32) -> Result<Partition, i16> {
    Partition::try_from(index).map_err(|_| errors::UNKNOWN_TOPIC_OR_PARTITION)
}

pub fn parse_topic(name: &str) -> Result<TopicName, Refusal> {
    TopicName::parse(name)
        .map_err(|bad| Refusal::new(Code::InvalidTopic, bad.to_string()).field("topic"))
}

pub fn topic_uuid(id: TopicId) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&TOPIC_UUID);
    bytes[8..].copy_from_slice(&id.0.to_be_bytes());
    Uuid(bytes)
}

pub fn topic_number(uuid: Uuid) -> Option<TopicId> {
    let (prefix, number) = uuid.0.split_first_chunk::<8>()?;
    let number = number.first_chunk::<8>()?;
    (*prefix == TOPIC_UUID).then(|| TopicId(u64::from_be_bytes(*number)))
}
