//! A running edge on a free port, and clients to it.

use super::lean_hub::LeanHub;
use super::lean_session::LeanSession;
use crate::{Config, Edge, Faces, World};
use axum::Router;
use axum::routing::{get, post};
use futures_util::{SinkExt, StreamExt};
use port::mounts::http_method::Method;
use port::{Hub, Mounts};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use stdx::{Clock, SystemClock, SystemRng};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Long enough for a machine that does other things too; nothing waits for it when all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Running {
    pub hub: Arc<LeanHub>,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub certificate: crate::Reload,
    /// Writes to WebSockets so far.
    pub writes: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), crate::EdgeError>>,
}

/// Settings that suit tests: free ports, one thread.
pub fn config() -> Config {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config =
        Config { listen: free, admin_listen: Some(free), shards: 1, ..Config::default() };
    // Some tests end while their clients are still there, on a clock that stands still.
    config.drain.total_ms_max = 500;
    config
}

fn mounts() -> Mounts {
    let mut mounts = Mounts::default();
    let routes = Router::new()
        .route("/v1/thing", get(|| async { "a thing" }))
        .route("/v1/echo", post(|body: axum::body::Bytes| async move { body }))
        .route(
            "/v1/peer",
            get(|axum::Extension(peer): axum::Extension<port::Peer>| async move {
                format!("{} {}", peer.request_id, peer.is_tls)
            }),
        );
    let openapi = serde_json::json!({ "paths": { "/v1/thing": { "get": {} } } });
    mounts.http("lean", &[(Method::Get, "/v1/thing")], routes, openapi).expect("no clash");
    mounts.web_socket(LeanSession::mount("/v1/ws", Some("words"))).expect("no clash");
    mounts.web_socket(LeanSession::mount("/v1/ws", None)).expect("no clash");
    mounts.web_socket(LeanSession::mount("/v1/strict", Some("words"))).expect("no clash");
    mounts
}

impl Running {
    pub fn start(config: Config) -> Running {
        Running::start_with_clock(config, SystemClock::shared())
    }

    pub fn start_with_clock(config: Config, clock: Arc<dyn Clock>) -> Running {
        let hub = LeanHub::new(usize::from(config.shard_count()));
        let faces = Faces {
            mounts: mounts(),
            fallback: Router::new().route("/healthz", get(|| async { "ok" })),
            admin: Router::new().route("/admin", get(|| async { "admin" })),
        };
        let world = World { clock, rng: SystemRng::shared() };
        let edge = Edge::bind(config, faces, Arc::clone(&hub) as Arc<dyn Hub>, world)
            .expect("the edge binds");
        let (public, admin) = (edge.public_address(), edge.admin_address());
        let (certificate, writes) = (edge.certificate(), edge.writes());
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(edge.serve(async {
            let _ = stopped.await;
        }));
        let admin = admin.unwrap_or(public);
        Running { hub, public, admin, certificate, writes, stop: Some(stop), served }
    }

    pub fn begin_drain(&mut self) {
        self.stop.take();
    }

    /// Drains and waits for the end.
    pub async fn end(mut self) {
        self.begin_drain();
        let ended = tokio::time::timeout(PATIENCE, self.served).await;
        ended.expect("draining is bounded").expect("no panic").expect("no thread is lost");
    }

    pub async fn socket(&self) -> TcpStream {
        TcpStream::connect(self.public).await.expect("the edge accepts")
    }

    /// Sends bytes on a fresh connection and reads until the edge ends it.
    pub async fn raw(&self, request: &[u8]) -> String {
        let mut socket = self.socket().await;
        let _ = socket.write_all(request).await;
        read_all(&mut socket).await
    }

    pub async fn client(&self, path: &str) -> Client {
        let url = format!("ws://{}{path}", self.public);
        let (stream, _) = tokio_tungstenite::connect_async(url).await.expect("an upgrade");
        Talk(stream)
    }
}

/// Everything until the edge ends the connection, however it does.
pub async fn read_all(socket: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut all = Vec::new();
    let read = async {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = socket.read(&mut chunk).await {
            all.extend_from_slice(&chunk[..count]);
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the edge ends the connection");
    String::from_utf8_lossy(&all).into_owned()
}

/// A WebSocket client that others wrote.
pub struct Talk<S>(pub WebSocketStream<S>);

pub type Client = Talk<MaybeTlsStream<TcpStream>>;

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    pub async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("the edge reads");
    }

    pub async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
        next.expect("a message comes").expect("the connection is open").expect("a good frame")
    }

    pub async fn hear(&mut self) -> String {
        match self.next().await {
            Message::Text(text) => text.to_string(),
            other => format!("{other:?}"),
        }
    }

    /// The code of the closing word; whatever comes before is dropped.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame.map_or(1005, |frame| frame.code.into());
            }
        }
    }
}

/// Looks until it is so: for what only shows from outside.
pub async fn until(what: impl Fn() -> bool) {
    let wait = async {
        let mut looks = tokio::time::interval(Duration::from_millis(1));
        while !what() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it becomes so");
}
