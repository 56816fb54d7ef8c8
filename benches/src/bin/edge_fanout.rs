//! The edge beside the bare loop: a real `Edge` on one shard, a hub without a log and a session
//! without a protocol, so that what is measured is the edge. `bare_fanout` prints the other half.

use benches::fanout::{FanOut, measure, raise_file_limit};
use bytes::Bytes;
use clap::Parser;
use edge::{Config, Edge, Faces, World};
use lean_hub::LeanHub;
use lean_session::LeanSession;
use port::{Hub, Mounts};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use stdx::{SystemClock, SystemRng};

#[path = "../../../crates/edge/src/tests/lean_hub.rs"]
#[allow(dead_code)]
mod lean_hub;
#[path = "../../../crates/edge/src/tests/lean_session.rs"]
mod lean_session;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "127.0.0.1:9081")]
    listen: SocketAddr,
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    #[arg(long, default_value_t = 1)]
    shards: u16,
    /// Serves TLS with a self-signed certificate.
    #[arg(long)]
    tls: bool,
}

struct OnEdge {
    hub: Arc<LeanHub>,
    value: Bytes,
}

impl FanOut for OnEdge {
    fn subscribers(&self) -> usize {
        self.hub.readers()
    }

    fn publish(&mut self, frames: usize) {
        self.hub.publish_all(&vec![self.value.clone(); frames]);
    }

    fn run(&mut self, until: Instant) {
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    raise_file_limit();
    let arguments = Arguments::parse();
    let tls =
        arguments.tls.then(|| edge::config::Tls::SelfSigned { names: vec!["localhost".into()] });
    let config = Config {
        listen: arguments.listen,
        admin_listen: None,
        shards: arguments.shards,
        tls,
        ..Config::default()
    };
    let hub = LeanHub::new(usize::from(config.shard_count()));
    let mut mounts = Mounts::default();
    mounts.web_socket(LeanSession::mount("/v1/ws", None))?;
    let faces = Faces { mounts, fallback: Default::default(), admin: Default::default() };
    let world = World { clock: SystemClock::shared(), rng: SystemRng::shared() };
    let edge = Edge::bind(config, faces, Arc::clone(&hub) as Arc<dyn Hub>, world)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || runtime.block_on(edge.serve(std::future::pending())));
    let mut server = OnEdge { hub, value: Bytes::from(vec![b'x'; arguments.bytes]) };
    let report = measure("edge", &mut server, arguments.connections);
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
