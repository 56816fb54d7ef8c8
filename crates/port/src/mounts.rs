//! What a protocol offers to the edge, as data: paths and subprotocols are claimed here, so that
//! clashes are found before anything is bound.

use crate::hub::Answer;
use crate::session::{Driven, SessionStart};
use crate::{Certificate, Closer, Code, Groups, Hub, Peer, Refusal};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stdx::Clock;

pub trait Protocol: 'static {
    /// Folder name = config key = metric label = docs slug.
    const NAME: &'static str;
    type Config: DeserializeOwned + Serialize + JsonSchema + Default;
    fn mount(config: Self::Config, at: &mut Mounts) -> Result<(), Refusal>;
}

/// What the HTTP routes of every protocol get as their axum state.
#[derive(Clone)]
pub struct HttpState {
    pub hub: Arc<dyn Hub>,
}

pub type HttpRoutes = axum::Router<HttpState>;

/// A method and a path in axum's notation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    pub method: http_method::Method,
    pub path: &'static str,
}

/// Methods that can be claimed, ordered so that claims can be compared.
pub mod http_method {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Method {
        Get,
        Put,
        Post,
        Delete,
        Patch,
    }
}

/// How the frames of a subprotocol travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    Text,
    Binary,
}

/// Makes a session, or refuses to: what the hub refuses when the opening request carried the
/// credential.
pub type SessionFactory =
    Arc<dyn Fn(SessionStart) -> Answer<'static, Box<dyn Driven>> + Send + Sync>;

/// A WebSocket endpoint of a protocol.
#[derive(Clone)]
pub struct WebSocketMount {
    pub protocol: &'static str,
    pub path: &'static str,
    /// `None` serves clients that offer no subprotocol.
    pub subprotocol: Option<&'static str>,
    pub kind: MessageKind,
    pub factory: SessionFactory,
}

/// What a protocol on a port of its own gets with each connection.
pub struct StreamStart {
    /// What the client has shown, where the port asks for certificates. It was checked: whoever
    /// shows it has its key, and one of those who are trusted has signed it.
    pub certificate: Option<Arc<Certificate>>,
    pub hub: Arc<dyn Hub>,
    pub peer: Peer,
    /// Where the client came in.
    pub local: SocketAddr,
    /// Pass it to `Hub::open`.
    pub closer: Arc<dyn Closer>,
    pub clock: Arc<dyn Clock>,
}

/// Makes the session of one connection. Quick: whoever connects is not known yet.
pub type StreamFactory = Arc<dyn Fn(StreamStart) -> Box<dyn Driven> + Send + Sync>;

/// Which certificates of clients count on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Certificates (PEM) of those whose signatures count.
    pub ca: PathBuf,
    /// Lists (PEM) of certificates that were taken back (RFC 5280); then one of a signer without
    /// a list does not count.
    pub revoked: Option<PathBuf>,
    /// Whether a client must show one.
    pub is_required: bool,
}

/// A protocol on a port of its own.
#[derive(Clone)]
pub struct StreamMount {
    pub protocol: &'static str,
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether the edge's certificate is used; without one in the settings the port is not bound.
    pub is_tls: bool,
    /// Whether clients are asked for certificates; only with TLS.
    pub client_certificates: Option<ClientCertificates>,
    /// What is sent to a client and not taken by it is bounded by this; then no more is read.
    pub waiting_bytes_max: usize,
    /// A client that asks nothing for so long is disconnected.
    pub idle_max: Duration,
    /// Called once, with where the port is bound and the port's real number.
    pub on_bound: Arc<dyn Fn(SocketAddr) + Send + Sync>,
    pub factory: StreamFactory,
}

#[derive(Default)]
pub struct Mounts {
    pub http: Vec<(&'static str, HttpRoutes)>,
    pub web_sockets: Vec<WebSocketMount>,
    pub streams: Vec<StreamMount>,
    /// OpenAPI fragments (`paths`, `components`), merged by the edge into one document.
    pub openapi: Vec<serde_json::Value>,
    /// Groups of readers that a protocol coordinates, for administrators.
    pub groups: Option<Arc<dyn Groups>>,
    claims: BTreeMap<Claim, &'static str>,
}

impl Mounts {
    /// Routes with everything they claim and what they say of themselves.
    pub fn http(
        &mut self,
        protocol: &'static str,
        claims: &[(http_method::Method, &'static str)],
        routes: HttpRoutes,
        openapi: serde_json::Value,
    ) -> Result<(), Refusal> {
        for &(method, path) in claims {
            self.claim(protocol, Claim { method, path })?;
        }
        self.http.push((protocol, routes));
        self.openapi.push(openapi);
        Ok(())
    }

    pub fn web_socket(&mut self, mount: WebSocketMount) -> Result<(), Refusal> {
        let taken = |other: &&WebSocketMount| {
            other.path == mount.path && other.subprotocol == mount.subprotocol
        };
        if let Some(other) = self.web_sockets.iter().find(taken) {
            return Err(clash(mount.protocol, other.protocol, mount.path));
        }
        if !self.web_sockets.iter().any(|other| other.path == mount.path) {
            self.claim(
                mount.protocol,
                Claim { method: http_method::Method::Get, path: mount.path },
            )?;
        }
        self.web_sockets.push(mount);
        Ok(())
    }

    pub fn stream(&mut self, mount: StreamMount) -> Result<(), Refusal> {
        let taken = |other: &&StreamMount| other.listen == mount.listen && mount.listen.port() != 0;
        if let Some(other) = self.streams.iter().find(taken) {
            return Err(clash(mount.protocol, other.protocol, &mount.listen.to_string()));
        }
        self.streams.push(mount);
        Ok(())
    }

    pub fn claims(&self) -> impl Iterator<Item = (&Claim, &'static str)> {
        self.claims.iter().map(|(claim, &protocol)| (claim, protocol))
    }

    fn claim(&mut self, protocol: &'static str, claim: Claim) -> Result<(), Refusal> {
        let path = claim.path;
        match self.claims.insert(claim, protocol) {
            None => Ok(()),
            Some(other) => Err(clash(protocol, other, path)),
        }
    }
}

fn clash(protocol: &str, other: &str, path: &str) -> Refusal {
    Refusal::new(Code::Conflict, format!("`{protocol}` and `{other}` both claim {path}"))
        .hint("switch one of them off, or move it")
}
