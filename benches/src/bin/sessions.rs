//! A million sessions without a socket: what one costs in memory, its subscription and the index
//! included. The sessions are the WebSocket protocol's, driven as the edge drives them, on the real
//! hub; what the edge and the kernel add for a real connection is what `idle` measures.

use benches::Fault;
use benches::fanout::{cpu, rss_bytes};
use benches::report::{Better, against, heading};
use bytes::BytesMut;
use clap::Parser;
use identity::Environment;
use mainstem::app::App;
use mainstem::config::Config;
use port::hub::Hub;
use port::mounts::SessionFactory;
use port::{
    Closer, Credential, Driven, Event, Flow, Identity, Peer, Refusal, RequestId, Room,
    SessionStart, ShardId, Sink, Wire,
};
use secrecy::ExposeSecret;
use serde_json::json;
use std::future::poll_fn;
use std::mem::ManuallyDrop;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tenancy::{Actor, KeyMode, NewKey};
use types::{Record, Scopes, SubscriptionTag, TopicName};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TARGET_BYTES: f64 = 8.0 * 1024.0;
const SUBPROTOCOL: &str = "mainstem.v1.json";
const TOPIC: &str = "bench-sessions";
const EVENTS_PER_TURN: usize = 1_024;
/// Nobody waits longer for a subscription, or for the deliveries.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Parser)]
#[command(about = "Memory of sessions on a transport without sockets")]
struct Arguments {
    /// A directory for the server's data; made, and removed at the end.
    #[arg(long, default_value = "bench-sessions")]
    dir: PathBuf,
    #[arg(long, default_value_t = 1_000_000)]
    sessions: usize,
    /// Different keys followed; session N follows key N modulo this.
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
}

/// The client's end: it counts what comes and takes everything.
struct Client {
    deliveries: Arc<AtomicU64>,
}

impl Sink for Client {
    fn push(&self, _tag: SubscriptionTag, event: Event<'_>) -> Room {
        if let Event::Delivery(_) = event {
            self.deliveries.fetch_add(1, Ordering::Relaxed);
        }
        Room::Free
    }

    fn poll_room(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Closer for Client {
    fn close(&self, _why: Refusal) {}
}

struct Stage {
    /// Runs what the hub needs.
    _app: App,
    hub: Arc<dyn Hub>,
    factory: SessionFactory,
    identity: Identity,
    shard: Box<dyn port::Shard>,
    deliveries: Arc<AtomicU64>,
    sessions: Vec<Box<dyn Driven>>,
    wire: Wire,
}

fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(measure(&arguments));
    runtime.shutdown_background();
    std::fs::remove_dir_all(&arguments.dir)?;
    outcome
}

async fn measure(arguments: &Arguments) -> Result<(), Fault> {
    heading(&format!("sessions: {} in memory, over {} keys", arguments.sessions, arguments.keys));
    // Ending a million subscriptions one by one is nobody's concern here.
    let mut stage = ManuallyDrop::new(Box::pin(Stage::new(arguments)).await?);
    // Buffers and tables that one session makes are everybody's.
    stage.open(0).await?;
    let (rss_before, cpu_before, begin) = (rss_bytes(), cpu(), Instant::now());
    for number in 1..=arguments.sessions {
        stage.open(number % arguments.keys.max(1)).await?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let count = arguments.sessions as f64;
    let bytes = rss_bytes().saturating_sub(rss_before) as f64 / count;
    let cpu_us = (cpu() - cpu_before).as_secs_f64() * 1e6 / count;
    let reached = stage.publish(arguments).await?;
    println!("{:<34} {bytes:>12.0}", "RSS bytes/session, subscribed");
    println!("{:<34} {cpu_us:>12.2}", "CPU us to open and subscribe one");
    println!("{:<34} {:>12.0}", "sessions opened/s", count / seconds);
    println!("{:<34} {reached:>12}", "sessions reached by one record");
    against("RSS bytes/session", bytes, TARGET_BYTES, Better::Less);
    let row = json!({ "sessions": arguments.sessions, "keys": arguments.keys, "bytes": bytes,
                      "open_us": cpu_us, "opened_per_second": count / seconds });
    println!("{}", json!({ "bench": "sessions", "rows": [row] }));
    Ok(())
}

impl Stage {
    async fn new(arguments: &Arguments) -> Result<Stage, Fault> {
        let mut config = Config { data_dir: arguments.dir.join("data"), ..Config::default() };
        config.edge.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.edge.admin_listen = None;
        config.telemetry.log = "warn".to_owned();
        let mounts = mainstem::protocols::mount_all(&config.protocols)?;
        let instruments = mainstem::telemetry::install(&config.telemetry)?;
        let app = Box::pin(App::build(config, &[], &instruments)).await?;
        let secret = key(&app).await?;
        let mount = mounts.web_sockets.iter().find(|one| one.subprotocol == Some(SUBPROTOCOL));
        let factory = Arc::clone(&mount.ok_or("there is no WebSocket protocol")?.factory);
        let hub = app.hub();
        let identity = hub.authenticate(&peer(), &Credential::ApiKey(secret)).await?;
        let topic = TopicName::parse(TOPIC)?;
        hub.put_topic(&identity, &topic, types::TopicConfig::default()).await?;
        let shard = hub.shard(ShardId(0));
        Ok(Stage {
            _app: app,
            hub,
            factory,
            identity,
            shard,
            deliveries: Arc::default(),
            sessions: Vec::with_capacity(arguments.sessions + 1),
            wire: Wire::default(),
        })
    }

    /// A session that follows one key; waits until it is told that it does.
    async fn open(&mut self, key: usize) -> Result<(), Fault> {
        let client = Arc::new(Client { deliveries: Arc::clone(&self.deliveries) });
        let mut session = (self.factory)(SessionStart {
            hub: Arc::clone(&self.hub),
            peer: peer(),
            sink: Arc::clone(&client) as Arc<dyn Sink>,
            closer: client,
            identity: Some(self.identity.clone()),
            head: None,
        })
        .await?;
        let text = format!(r#"{{"type":"subscribe","id":1,"filter":"{TOPIC}/{key}"}}"#);
        let mut input = BytesMut::from(text.as_bytes());
        let (shard, wire) = (&mut self.shard, &mut self.wire);
        let mut is_open = false;
        let subscribing = poll_fn(|cx| {
            if !is_open {
                is_open = true;
                let _ = session.on_open(cx, wire);
            }
            if !session.is_blocked() && !input.is_empty() {
                let _ = session.on_input(cx, &mut input, wire);
            }
            if session.poll_deferred(cx, wire) == Flow::Close {
                return Poll::Ready(Err("the session was closed"));
            }
            if shard.poll_turn(cx, EVENTS_PER_TURN).is_ready() {
                cx.waker().wake_by_ref();
            }
            let is_done =
                wire.data.frames().any(|frame| frame.starts_with(br#"{"type":"subscribed"#));
            if is_done { Poll::Ready(Ok(())) } else { Poll::Pending }
        });
        tokio::time::timeout(PATIENCE, subscribing).await??;
        self.wire.data.clear();
        self.wire.control.clear();
        self.sessions.push(session);
        Ok(())
    }

    /// One record to the first key; answers how many sessions got it.
    async fn publish(&mut self, arguments: &Arguments) -> Result<u64, Fault> {
        let expected = (arguments.sessions / arguments.keys.max(1)) as u64 + 1;
        let record = Record {
            key: Some(types::Key::new("0")?),
            value: Some("x".into()),
            ..Record::default()
        };
        let topic = TopicName::parse(TOPIC)?;
        self.hub.append(&self.identity, &topic, vec![record]).await?;
        let (shard, deliveries) = (&mut self.shard, &self.deliveries);
        let arriving = poll_fn(|cx| {
            if shard.poll_turn(cx, EVENTS_PER_TURN).is_ready() {
                cx.waker().wake_by_ref();
            }
            let count = deliveries.load(Ordering::Relaxed);
            if count >= expected { Poll::Ready(count) } else { Poll::Pending }
        });
        Ok(tokio::time::timeout(PATIENCE, arriving).await?)
    }
}

async fn key(app: &App) -> Result<String, Fault> {
    let made = app.tenancy.bootstrap("bench", &Actor::system()).await?;
    let key = app.authenticator.new_api_key(Environment::Test);
    let new = NewKey {
        name: "bench".to_owned(),
        mode: KeyMode::Test,
        prefix: key.lookup.clone(),
        hash: key.hash.to_vec(),
        scopes: Scopes::all(),
        grants: None,
        rate_per_second: None,
        expires_at: None,
        verifier: None,
    };
    app.tenancy.create_key(made.tenant.id, made.project.id, new, &Actor::system()).await?;
    Ok(key.text.expose_secret().to_owned())
}

fn peer() -> Peer {
    Peer {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)),
        shard: ShardId(0),
        is_tls: false,
        request_id: RequestId("bench".into()),
    }
}
