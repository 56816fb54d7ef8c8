//! Settings of the Kafka listener. The comments on the fields are the manual.

use crate::kerberos;
pub use crate::kerberos::settings::Kerberos;
use crate::principal::Rules;
use crate::sasl::Mechanism;
use port::{Code, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use types::ProjectId;
use types::limits::PARTITIONS_MAX;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where Kafka clients come in. Every one of them asks for SASL, with TLS or without.
    pub listeners: Vec<Listener>,
    /// Bytes of one request at most, 64 KiB before the client has signed in.
    pub request_bytes_max: usize,
    /// Bytes of the answer to one fetch at most, give or take a batch, whatever is asked for.
    pub fetch_bytes_max: usize,
    /// Milliseconds in which a client must have signed in.
    pub sign_in_ms_max: u64,
    /// Milliseconds after which a connection without requests is closed.
    pub idle_ms_max: u64,
    /// Partitions of a topic that a client makes without saying how many, or by its first use of
    /// it: Kafka's `num.partitions`. 1 to 1024.
    pub topic_partitions: u32,
    /// The shortest session timeout that a member of a group may ask for, in milliseconds.
    pub session_ms_min: u64,
    /// The longest, in milliseconds.
    pub session_ms_max: u64,
    /// Milliseconds after which a member of a group of the newer kind (`group.protocol=consumer`)
    /// is given up when nothing was heard of it.
    pub consumer_session_ms: u64,
    /// Milliseconds between the heartbeats that such a member is told to send.
    pub consumer_heartbeat_ms: u64,
    /// Milliseconds that the first rebalance of an empty group waits for further members.
    pub first_rebalance_ms: u64,
    /// Groups of one project at most, those that only have committed offsets included.
    pub groups_max: usize,
    /// Members of one group at most.
    pub members_max: usize,
    /// Minutes for which what a group has committed is kept once the group has no members and
    /// commits nothing.
    pub offset_retention_minutes: u64,
    /// Transactional ids of one project at most. When there are as many, those that nobody used for
    /// seven days are forgotten.
    pub transactional_ids_max: usize,
    /// Milliseconds for which a delegation token can be renewed at most; 0: none are given out, and
    /// none count.
    pub delegation_token_ms_max: u64,
    /// Milliseconds for which one counts when it is made, or renewed without saying for how long.
    pub delegation_token_renew_ms: u64,
    /// Delegation tokens of one project at most.
    pub delegation_tokens_max: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listener {
    /// The address to listen at. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Speaks TLS with the certificate of `edge.tls`.
    pub tls: bool,
    /// What clients are told to connect to, as `host:port`. Absent: the address at which each came
    /// in, which is right unless something between changes addresses: a NAT, a container's port, a
    /// proxy.
    pub advertised: Option<String>,
    /// By which mechanisms of SASL clients may sign in: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`,
    /// `OAUTHBEARER`; and `GSSAPI`, with `kerberos`. Without TLS, leave out those that show a key
    /// or a token: `PLAIN` and `OAUTHBEARER`.
    pub mechanisms: Vec<Mechanism>,
    /// Takes tickets of Kerberos, which stand for API keys (`GSSAPI` in `mechanisms`). Needs a
    /// server that was built with the feature `gssapi`. Absent: none count.
    pub kerberos: Option<Kerberos>,
    /// Asks clients for certificates, which may stand for API keys: then signing in by SASL is not
    /// needed (`security.protocol=SSL`). Needs `tls`. Absent: nobody is asked.
    pub client_certificates: Option<ClientCertificates>,
    /// What the project's keys may do here about its security by Kafka's own requests: `none`;
    /// `read`: those with `admin:read` or `admin:write` see the access list and which keys sign in
    /// by SCRAM; `write`: those with `admin:write` change the access list as well, for everybody in
    /// the project. Lists of the tenant and the installation still stand above it.
    pub security: SecurityAccess,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SecurityAccess {
    #[default]
    None,
    Read,
    Write,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// A file with the certificates (PEM) of those whose signatures count. Whoever has one of
    /// their keys can let in anybody as any key of `projects`: take an authority of your own.
    pub ca: PathBuf,
    /// A file with lists (PEM, RFC 5280) of the certificates that were taken back. Then those of a
    /// signer who has no list in it do not count.
    #[serde(default)]
    pub revoked: Option<PathBuf>,
    /// Whether who shows none is turned away; else he signs in by SASL.
    #[serde(default)]
    pub required: bool,
    /// The projects (`prj_...`) whose keys certificates may stand for here; never those of others.
    #[schemars(with = "Vec<String>")]
    pub projects: Vec<ProjectId>,
    /// What of a certificate names the key.
    #[serde(default)]
    pub named_by: NamedBy,
    /// Rules that make the id of a key of that text, in the grammar of Kafka's
    /// `ssl.principal.mapping.rules`: `RULE:pattern/replacement/`, with `L` or `U` behind it for
    /// small or capital letters, or `DEFAULT`. The first whose pattern is the whole text decides;
    /// who comes by none signs in by SASL. Absent: the subject begins with `CN=` and the key's id.
    #[serde(default = "principals")]
    pub principals: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NamedBy {
    /// Its subject, as RFC 2253 writes it: `CN=key_0123,OU=shops,O=Example`.
    #[default]
    Subject,
    /// The first DNS name among the alternative names of its subject.
    DnsName,
    /// The first mail address among them.
    Email,
    /// The first URI among them.
    Uri,
}

fn principals() -> Vec<String> {
    vec!["RULE:CN=(key_[0-9a-f]{32})(,.*)?/$1/".to_owned()]
}

impl ClientCertificates {
    fn check(&self) -> Result<(), Refusal> {
        if self.projects.is_empty() {
            let why = "`client_certificates.projects` names at least one project";
            return Err(Refusal::new(Code::InvalidRequest, why).field("projects"));
        }
        Rules::parse(&self.principals).map(|_| ())
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listeners: vec![Listener::default()],
            request_bytes_max: 32 * 1024 * 1024,
            fetch_bytes_max: 32 * 1024 * 1024,
            sign_in_ms_max: 10_000,
            idle_ms_max: 600_000,
            topic_partitions: 1,
            session_ms_min: 1_000,
            session_ms_max: 1_800_000,
            consumer_session_ms: 45_000,
            consumer_heartbeat_ms: 5_000,
            first_rebalance_ms: 500,
            groups_max: 10_000,
            members_max: 1_000,
            offset_retention_minutes: 7 * 24 * 60,
            transactional_ids_max: 10_000,
            delegation_token_ms_max: 0,
            delegation_token_renew_ms: 24 * 60 * 60 * 1_000,
            delegation_tokens_max: 1_000,
        }
    }
}

impl Default for Listener {
    fn default() -> Listener {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 9_092));
        let mechanisms = Mechanism::USUAL.to_vec();
        Listener {
            listen,
            tls: false,
            advertised: None,
            mechanisms,
            kerberos: None,
            client_certificates: None,
            security: SecurityAccess::None,
        }
    }
}

impl Config {
    pub fn check(&self) -> Result<(), Refusal> {
        let wrong =
            |field: &str, why: &str| Err(Refusal::new(Code::InvalidRequest, why).field(field));
        if self.request_bytes_max < crate::codec::STRANGER_BYTES_MAX {
            return wrong("request_bytes_max", "`request_bytes_max` must be at least 65536");
        }
        if self.fetch_bytes_max == 0 || self.sign_in_ms_max == 0 || self.idle_ms_max == 0 {
            return wrong("fetch_bytes_max", "limits must not be zero");
        }
        if !(1..=PARTITIONS_MAX).contains(&self.topic_partitions) {
            return wrong("topic_partitions", "`topic_partitions` lies between 1 and 1024");
        }
        if self.session_ms_min > self.session_ms_max {
            return wrong("session_ms_min", "`session_ms_min` is above `session_ms_max`");
        }
        if !(1..self.consumer_session_ms).contains(&self.consumer_heartbeat_ms) {
            let why = "`consumer_heartbeat_ms` lies between 0 and `consumer_session_ms`";
            return wrong("consumer_heartbeat_ms", why);
        }
        if self.groups_max == 0 || self.members_max == 0 || self.transactional_ids_max == 0 {
            return wrong("groups_max", "limits must not be zero");
        }
        if self.delegation_token_renew_ms == 0 || self.delegation_tokens_max == 0 {
            let why = "to give out no delegation tokens set `delegation_token_ms_max` to zero";
            return wrong("delegation_token_renew_ms", why);
        }
        if self.offset_retention_minutes == 0 {
            let why = "`offset_retention_minutes` of zero keeps nothing";
            return wrong("offset_retention_minutes", why);
        }
        for listener in &self.listeners {
            if listener.mechanisms.is_empty() {
                return wrong("mechanisms", "a listener has at least one of `mechanisms`");
            }
            listener.check_tickets()?;
            if let Some(certificates) = &listener.client_certificates {
                certificates.check()?;
                if !listener.tls {
                    return wrong("client_certificates", "only a listener with `tls` has them");
                }
            }
            if let Some(text) = &listener.advertised {
                Endpoint::parse(text)?;
            }
        }
        Ok(())
    }
}

impl Listener {
    fn check_tickets(&self) -> Result<(), Refusal> {
        let wrong =
            |field: &str, why: &str| Err(Refusal::new(Code::InvalidRequest, why).field(field));
        let is_taken = self.mechanisms.contains(&Mechanism::Gssapi);
        if is_taken {
            kerberos::is_here()?;
        }
        match &self.kerberos {
            Some(kerberos) if is_taken => kerberos.check(),
            Some(_) => wrong("kerberos", "`kerberos` is for `GSSAPI` in `mechanisms`"),
            None if is_taken => wrong("mechanisms", "`GSSAPI` in `mechanisms` needs `kerberos`"),
            None => Ok(()),
        }
    }
}

/// Where clients are told to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    pub fn parse(text: &str) -> Result<Endpoint, Refusal> {
        let bad = || {
            let message = format!("`advertised` is `host:port`, not `{text}`");
            Refusal::new(Code::InvalidRequest, message).field("advertised")
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(bad());
        }
        Ok(Endpoint { host: host.to_owned(), port: port.parse().map_err(|_| bad())? })
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Endpoint {
        Endpoint { host: address.ip().to_canonical().to_string(), port: address.port() }
    }
}
