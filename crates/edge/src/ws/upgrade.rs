//! The opening handshake (RFC 6455 section 4, over HTTP/2 RFC 8441 section 5): checked,
//! authenticated and given a session before it is answered, so that every refusal is an ordinary
//! HTTP answer. After the 101 nothing of hyper remains; a stream of HTTP/2 stays hyper's.

use super::connection::Parts;
use super::extensions;
use super::frame::Coding;
use super::sink::Handle;
use super::task::ConnectionTask;
use super::transport::Transport;
use crate::Config;
use crate::accept::Permit;
use crate::http::carrier::{Carrier, Seat};
use crate::http::io::IoHandle;
use crate::shard;
use crate::shard::slots::SlotId;
use aws_lc_rs::digest;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use port::mounts::WebSocketMount;
use port::{Closer, Code, Hub, Identity, Peer, Refusal, SessionStart, Sink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wire_http::credential::{TokenPlace, find_credential};

/// Appended to the client's key (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a client's key, decoded.
const KEY_BYTES: usize = 16;
/// Subprotocols looked at in an offer.
const OFFERS_MAX: usize = 32;

/// One path with the subprotocols it serves.
pub struct Endpoint {
    config: Arc<Config>,
    hub: Arc<dyn Hub>,
    mounts: Vec<WebSocketMount>,
}

/// A refusal, with the status where HTTP has a finer one than its kind.
type Turned = (Option<StatusCode>, Refusal);

impl Endpoint {
    pub fn new(config: Arc<Config>, hub: Arc<dyn Hub>, mounts: Vec<WebSocketMount>) -> Endpoint {
        Endpoint { config, hub, mounts }
    }

    /// The first of the client's offers that is served, or what serves clients that offer none.
    fn choose(&self, headers: &HeaderMap) -> Result<&WebSocketMount, Refusal> {
        let offers = headers
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .take(OFFERS_MAX);
        for offer in offers {
            if let Some(mount) = self.mounts.iter().find(|mount| mount.subprotocol == Some(offer)) {
                return Ok(mount);
            }
        }
        self.mounts.iter().find(|mount| mount.subprotocol.is_none()).ok_or_else(|| {
            let served: Vec<_> = self.mounts.iter().filter_map(|mount| mount.subprotocol).collect();
            Refusal::new(Code::InvalidRequest, "none of the offered subprotocols is served")
                .field("sec-websocket-protocol")
                .hint(format!("offer one of: {}", served.join(", ")))
        })
    }
}

/// Answers a request to a WebSocket path. It lives on a shard's thread, as all requests do.
pub async fn upgrade(endpoint: Arc<Endpoint>, mut request: Request) -> Response {
    let peer = request.extensions().get::<Peer>().cloned();
    let request_id = peer.as_ref().map(|peer| peer.request_id.clone());
    let outcome = match peer {
        Some(peer) => try_upgrade(&endpoint, &mut request, peer).await,
        None => Err((None, Refusal::internal(&"an upgrade without its peer extension"))),
    };
    outcome.unwrap_or_else(|(status, refusal)| {
        let mut response = wire_http::refusal_response(&refusal, request_id.as_ref());
        if let Some(status) = status {
            *response.status_mut() = status;
        }
        if response.status() == StatusCode::UPGRADE_REQUIRED {
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    })
}

async fn try_upgrade(
    endpoint: &Endpoint,
    request: &mut Request,
    peer: Peer,
) -> Result<Response, Turned> {
    let opening = handshake(request)?;
    check_origin(&endpoint.config, request).map_err(plain)?;
    let mount = endpoint.choose(request.headers()).map_err(plain)?.clone();
    let query = request.uri().query();
    let credential = find_credential(request.headers(), query, TokenPlace::HeaderOrQuery);
    let identity = match credential.map_err(plain)? {
        Some(credential) => {
            Some(endpoint.hub.authenticate(&peer, &credential).await.map_err(plain)?)
        }
        None => None,
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(not_an_upgrade());
    };
    let seat = match request.extensions_mut().remove::<Carrier>() {
        Some(carrier) => Some(carrier.take().await.map_err(plain)?),
        None => None,
    };
    let extension = endpoint.config.web_socket.compression.as_ref();
    let extension = extension.and_then(|_| extensions::agree(request.headers()));
    let head = std::mem::take(request).into_parts().0;
    let place = Place::reserve().map_err(plain)?;
    let coding = extension.map(|_| Coding::Deflate);
    let start = Opening { endpoint, peer, identity, head, coding };
    let slot = begin(place, start, &mount).await.map_err(plain)?;
    tokio::spawn(take_over(upgrade, seat, ConnectionTask::new(slot), slot));
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    if let Handshake::Upgrade { accept } = opening {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    }
    let headers = response.headers_mut();
    if let Some(subprotocol) = mount.subprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    if let Some(extension) = extension {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(extension));
    }
    response.extensions_mut().insert(crate::http::answer::Answerer(mount.protocol));
    Ok(response)
}

struct Opening<'a> {
    endpoint: &'a Endpoint,
    peer: Peer,
    identity: Option<Identity>,
    head: http::request::Parts,
    /// How its messages may be coded.
    coding: Option<Coding>,
}

/// A place on the shard, given up again unless a session comes to sit on it: the client may leave
/// while the hub is asked.
struct Place {
    handle: Arc<Handle>,
    is_taken: bool,
}

impl Place {
    fn reserve() -> Result<Place, Refusal> {
        let shard = shard::current()
            .ok_or_else(|| Refusal::internal(&"an upgrade outside an edge thread"))?;
        if shard.is_draining() {
            return Err(Refusal::new(Code::Draining, "the server is shutting down"));
        }
        let connection = shard
            .reserve(None)
            .ok_or_else(|| Refusal::new(Code::Overloaded, "there are too many connections"))?;
        let handle = Arc::new(Handle {
            shard: shard.id,
            slot: connection.slot,
            mailbox: Arc::clone(&shard.mailbox),
            is_closed: AtomicBool::new(false),
        });
        Ok(Place { handle, is_taken: false })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let (false, Some(shard)) = (self.is_taken, shard::current()) {
            shard.remove(self.handle.slot);
        }
    }
}

/// Lets the protocol make its session and sets it on its place.
async fn begin(
    mut place: Place,
    opening: Opening<'_>,
    mount: &WebSocketMount,
) -> Result<SlotId, Refusal> {
    let start = SessionStart {
        hub: Arc::clone(&opening.endpoint.hub),
        peer: opening.peer,
        sink: Arc::clone(&place.handle) as Arc<dyn Sink>,
        closer: Arc::clone(&place.handle) as Arc<dyn Closer>,
        identity: opening.identity,
        head: Some(opening.head),
    };
    let driven = (mount.factory)(start).await?;
    let slot = place.handle.slot;
    // Closed before there was a session that could have said why.
    let is_closed = place.handle.is_closed.load(Ordering::Acquire);
    let ended =
        || Refusal::new(Code::Draining, "the connection was ended as it began; connect again");
    let shard = shard::current().filter(|_| !is_closed).ok_or_else(ended)?;
    let connection = shard.connection(slot).ok_or_else(ended)?;
    connection.equip(Parts { driven, protocol: mount.protocol, kind: mount.kind });
    if let Some(coding) = opening.coding {
        connection.agree(&shard, coding);
    }
    place.is_taken = true;
    Ok(slot)
}

/// Waits until hyper has sent the answer, takes the socket back, or the stream over, and starts the
/// connection's own small task. This one ends, and with it hyper's part on a socket.
async fn take_over(
    upgrade: OnUpgrade,
    seat: Option<(Seat, Permit)>,
    task: ConnectionTask,
    slot: SlotId,
) {
    let Ok(upgraded) = upgrade.await else {
        // The client went away; dropping the task gives the place up.
        return;
    };
    let (transport, early, permit) = match (downcast::<TokioIo<IoHandle>>(upgraded), seat) {
        (Ok(parts), _) => match parts.io.into_inner().take() {
            Some((stream, permit)) => (stream.into_transport(), parts.read_buf, permit),
            None => return,
        },
        (Err(upgraded), Some((seat, permit))) => {
            (Transport::stream(upgraded, seat), Bytes::new(), permit)
        }
        (Err(_), None) => {
            tracing::error!("an upgraded connection is not one of ours");
            return;
        }
    };
    let connection = shard::current().and_then(|shard| shard.connection(slot));
    if let Some(connection) = connection {
        connection.open(transport, &early, permit);
        drop(connection);
        tokio::spawn(task);
    }
}

fn plain(refusal: Refusal) -> Turned {
    (None, refusal)
}

fn not_an_upgrade() -> Turned {
    let refusal = Refusal::new(Code::Unsupported, "this path speaks WebSocket only")
        .hint("connect with a WebSocket client: version 13, HTTP/1.1 or extended CONNECT");
    (Some(StatusCode::UPGRADE_REQUIRED), refusal)
}

/// How the client asked, and what proves to it that we have understood.
enum Handshake {
    /// HTTP/1.1: the socket becomes the WebSocket.
    Upgrade { accept: HeaderValue },
    /// HTTP/2: the stream does.
    Stream,
}

fn handshake(request: &Request) -> Result<Handshake, Turned> {
    let headers = request.headers();
    let is_stream = request.version() == Version::HTTP_2
        && request.method() == Method::CONNECT
        && request.extensions().get::<Protocol>().is_some_and(|name| name.as_str() == "websocket");
    let is_upgrade = request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && has_word(headers, CONNECTION, "upgrade")
        && has_word(headers, UPGRADE, "websocket");
    let is_version = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    if !(is_upgrade || is_stream) || !is_version {
        return Err(not_an_upgrade());
    }
    if is_stream {
        return Ok(Handshake::Stream);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if STANDARD.decode(key).map_or(0, |key| key.len()) != KEY_BYTES {
        let refusal = Refusal::new(Code::InvalidRequest, "the WebSocket key is not 16 bytes")
            .field("sec-websocket-key");
        return Err(plain(refusal));
    }
    let accept = HeaderValue::try_from(accept_key(key));
    let accept = accept.map_err(|error| plain(Refusal::internal(&error)))?;
    Ok(Handshake::Upgrade { accept })
}

/// RFC 6455 section 4.2.2 step 5.4. SHA-1 proves understanding here, not identity.
pub fn accept_key(key: &[u8]) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(GUID);
    STANDARD.encode(context.finish())
}

fn has_word(headers: &HeaderMap, name: http::HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(word))
}

/// A browser names the page that connects; other clients name none.
fn check_origin(config: &Config, request: &Request) -> Result<(), Refusal> {
    let Some(origin) = request.headers().get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 has no `host` header: the request names the authority itself.
    let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let is_same = origin.split_once("://").is_some_and(|(_, rest)| Some(rest) == host);
    let is_listed = config.cors.origins.iter().any(|allowed| allowed == "*" || allowed == origin);
    if is_same || is_listed {
        return Ok(());
    }
    Err(Refusal::new(Code::OriginForbidden, "pages of this origin may not connect")
        .field("origin")
        .hint("the operator lists allowed origins in the setting `cors.origins`"))
}
