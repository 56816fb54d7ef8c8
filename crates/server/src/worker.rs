//! `mainstem worker`: a process that serves tenants' clients for the owner that started it. It has
//! edges and protocols, and asks the owner for everything else. It ends when the owner does.

use crate::app::{StartError, World};
use crate::config::Config;
use crate::processes::Start;
use crate::telemetry::Instruments;
use crate::{protocols, rounds, serve, telemetry};
use axum::Router;
use edge::{Edge, Faces, PublicPort};
use identity::Secrets;
use link::worker::{Parts, routes};
use link::{Address, Joined};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A larger start is none of ours.
const START_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// In which the last counts must have been handed to the owner.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(2);

/// Runs a worker to its end; standard input says what it has to know.
pub fn run() -> Result<(), String> {
    let start = read_start()?;
    let config = config(&start).map_err(|error| error.to_string())?;
    let instruments = telemetry::install(&config.telemetry)?;
    serve::check_open_files(&config);
    let outcome = serve::runtime()?.block_on(work(&start, config, &instruments));
    instruments.finish();
    outcome.map_err(|error| error.to_string())
}

fn read_start() -> Result<Start, String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(START_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    serde_json::from_str(&text)
        .map_err(|_| "a worker is started by `mainstem serve`, not by hand".to_owned())
}

/// The owner's, with this process's share of what is limited per process.
fn config(start: &Start) -> Result<Config, serde_json::Error> {
    let mut config: Config = serde_json::from_value(start.config.clone())?;
    let of_all = config.workers().max(1);
    let share = |whole: u32| whole.div_ceil(u32::from(of_all));
    let edge = &mut config.edge;
    edge.accept.per_second_max = share(edge.accepted_per_second());
    edge.accept.burst_max = share(edge.accept.burst_max);
    if edge.shards == 0 {
        edge.shards = (edge.shard_count() / of_all).max(1);
    }
    edge.listen = start.listen;
    edge.admin_listen = None;
    edge.public = PublicPort::Shared;
    Ok(config)
}

fn address(start: &Start) -> Option<Address> {
    let digits = start.secret.as_bytes().chunks_exact(2);
    let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let secret = bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()?;
    Some(Address { path: start.socket.clone(), secret })
}

async fn work(start: &Start, config: Config, instruments: &Instruments) -> Result<(), StartError> {
    // Signals are for the owner: it drains its workers. Heard here, they end nothing.
    let _interrupt = signal(SignalKind::interrupt());
    let _terminate = signal(SignalKind::terminate());
    let world = World::system();
    let mounts = protocols::mount_all(&config.protocols)?;
    let joined = join(start, &config, &world, instruments).await?;
    let hub = Arc::clone(&joined.hub);
    let faces = Faces { mounts, fallback: routes(Arc::clone(&hub)), admin: Router::new() };
    let edge = Edge::bind(config.edge, faces, Arc::clone(&hub) as _, world.for_edge())?;
    let mut drain = joined.drain.clone();
    let link = tokio::spawn(joined.run());
    let (stop, stopped) = watch::channel(());
    let metrics = instruments.metrics.clone();
    let fold = tokio::spawn(rounds::fold(move || metrics.run_upkeep(), stopped));
    hub.tell_ready();
    let draining = async move {
        if drain.wait_for(|drain| *drain).await.is_err() {
            // The link has ended, and with it everything.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = edge.serve(draining) => {
            hub.tell_usage();
            let _ = tokio::time::timeout(FLUSH_TIME_MAX, hub.flush()).await;
            drop(stop);
            let _ = fold.await;
            Ok(served?)
        }
        end = link => {
            let why = end.map_or_else(|error| error.to_string(), |error| error.to_string());
            tracing::error!(worker = start.index, why, "the owner is gone");
            // Threads of the edge would wait for their connections; nobody can serve those.
            std::process::exit(1);
        }
    }
}

async fn join(
    start: &Start,
    config: &Config,
    world: &World,
    instruments: &Instruments,
) -> Result<Joined, StartError> {
    let wrong = |cause: String| StartError::Data { path: config.data_dir.clone(), cause };
    let secrets = Secrets::load_or_create(&config.data_dir.join("secret.key"), &*world.rng);
    let secrets = secrets.map_err(|error| wrong(error.to_string()))?;
    let address = address(start)
        .ok_or_else(|| StartError::Other("the worker's start is malformed".to_owned()))?;
    let (metrics, log) = (instruments.metrics.clone(), instruments.log.clone());
    let parts = Parts {
        shards: usize::from(config.edge.shard_count()),
        cursor_key: secrets.cursor_key(),
        clock: Arc::clone(&world.clock),
        protocols: protocols::names(),
        figures: Arc::new(move || metrics.render()),
        log: Arc::new(move |directives| {
            if let Err(error) = log.set(directives) {
                tracing::warn!(error, "what is logged stays as it was");
            }
        }),
    };
    let joined = link::join(&address, start.index, parts).await;
    joined.map_err(|error| StartError::Other(format!("the owner's socket: {error}")))
}
