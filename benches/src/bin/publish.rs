//! Durable publishes over HTTP, with encryption at rest and without, with ids that are
//! looked at and not, and over WebSocket, beside
//! RabbitMQ (persistent, with confirms, flushed before each confirm), NATS JetStream with file
//! storage and Apache Kafka, each of the two as it comes (not flushed) and told to flush before it
//! acknowledges; all with one client pattern, taking turns within one run. How often the disk was
//! flushed is counted, since that is what "durable" means here.

use benches::closed_loop::{ClosedLoop, Dialect};
use benches::dialects::{Amqp, Batch, Http, HttpWithIds, Kafka, Nats, WebSocket};
use benches::fanout::cpu;
use benches::machine::Watch;
use benches::mainstem::{AtRest, Mainstem};
use benches::peers::{self, Flushing};
use benches::process::Process;
use benches::report::{Better, Company, Series, against, heading};
use benches::{Fault, in_own_directory};
use clap::Parser;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TARGET_RECORDS_PER_SECOND: f64 = 100_000.0;
/// What encryption at rest may take of the rate, and what looking at ids may.
const TARGET_ENCRYPTION_PERCENT: f64 = 15.0;
const TARGET_IDS_PERCENT: f64 = 10.0;
/// A topic whose ids count for nothing.
const TOPIC_WITHOUT_WINDOW: &str = "bench-no-window";

#[derive(Parser)]
#[command(about = "Durable publishes per second, beside RabbitMQ, NATS JetStream and Kafka")]
struct Arguments {
    /// A directory on the disk to measure; made, and removed at the end.
    #[arg(long, default_value = "bench-publish")]
    dir: PathBuf,
    /// Connections that publish at the same time.
    #[arg(long, default_value_t = 64)]
    publishers: usize,
    /// Records of one batch.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 512)]
    bytes: usize,
    /// Length of one run.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Runs per row; the medians are shown.
    #[arg(long, default_value_t = 4)]
    runs: usize,
    /// Without the servers of others.
    #[arg(long)]
    alone: bool,
}

/// One server's figures over all runs.
#[derive(Default)]
struct Row {
    name: &'static str,
    records_per_second: Series,
    p50_ms: Series,
    p99_ms: Series,
    server_us: Series,
    load_us: Series,
    flushes_per_second: Series,
    records_per_flush: Series,
    /// Over all runs, warming up included.
    acknowledged: u64,
}

fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    in_own_directory(&arguments.dir, || measure(&arguments))
}

fn measure(arguments: &Arguments) -> Result<(), Fault> {
    let (publishers, records, bytes) = (arguments.publishers, arguments.batch, arguments.bytes);
    heading(&format!("publish: {publishers} publishers, batches of {records} x {bytes} B"));
    let batch = Batch { topic: "bench", records, bytes };
    let encrypted = Mainstem::serve(&arguments.dir.join("encrypted"), AtRest::Encrypted)?;
    let plain = Mainstem::serve(&arguments.dir.join("plain"), AtRest::Plain)?;
    let mut peers = match arguments.alone {
        true => Vec::new(),
        false => Peer::all(arguments, batch)?,
    };
    let named = |name| Row { name, ..Row::default() };
    let [mut http, mut bare, mut socket, mut looked_at, mut ignored] = [
        "mainstem HTTP",
        "mainstem HTTP, not encrypted",
        "mainstem WebSocket",
        "mainstem HTTP, ids",
        "mainstem HTTP, ids, no window",
    ]
    .map(named);
    make_topic(&encrypted, TOPIC_WITHOUT_WINDOW, 0)?;
    let ids_next = Arc::new(AtomicU64::new(0));
    let without_window = Batch { topic: TOPIC_WITHOUT_WINDOW, ..batch };
    let mut company = Company::default();
    let (mut encryption, mut ids) = (Cost::default(), Cost::default());
    for _ in 0..arguments.runs.max(1) {
        let mut turn = Turn { arguments, company: &mut company };
        // There and back, so that what only changes with time changes both alike.
        let first = turn.http(&mut http, &encrypted, batch)?;
        let second = turn.http(&mut bare, &plain, batch)?;
        let third = turn.http(&mut bare, &plain, batch)?;
        let last = turn.http(&mut http, &encrypted, batch)?;
        encryption.add([first, last], [second, third]);
        let first = turn.ids(&mut looked_at, &encrypted, batch, &ids_next)?;
        let second = turn.ids(&mut ignored, &encrypted, without_window, &ids_next)?;
        let third = turn.ids(&mut ignored, &encrypted, without_window, &ids_next)?;
        let last = turn.ids(&mut looked_at, &encrypted, batch, &ids_next)?;
        ids.add([first, last], [second, third]);
        let (address, key) = (encrypted.address, encrypted.key.as_str());
        let dialects = WebSocket::many(publishers, address, key, batch);
        turn.take(&mut socket, &encrypted.process, address, dialects)?;
        for peer in &mut peers {
            peer.take(&mut turn, batch)?;
        }
    }
    let acknowledged = http.acknowledged + socket.acknowledged + looked_at.acknowledged;
    check_stored(&encrypted, batch, acknowledged)?;
    check_stored(&plain, batch, bare.acknowledged)?;
    let peers: Vec<Row> = peers.into_iter().map(|peer| peer.row).collect();
    let costs = [
        ("encryption at rest", encryption, TARGET_ENCRYPTION_PERCENT),
        ("looking at ids", ids, TARGET_IDS_PERCENT),
    ];
    print(&[http, bare, socket, looked_at, ignored], &peers, &costs, &company);
    Ok(())
}

fn make_topic(mainstem: &Mainstem, name: &str, window_ms: u64) -> Result<(), Fault> {
    let body = json!({ "idempotency_window_ms": window_ms });
    match mainstem.client()?.put(&format!("/v1/topics/{name}"), &body.to_string())? {
        (200 | 201, _) => Ok(()),
        (status, answer) => Err(format!("topic {name}: {status}: {answer}").into()),
    }
}

/// What something costs, run by run.
#[derive(Default)]
struct Cost {
    rate_percent: Series,
    cpu_percent: Series,
}

/// One turn of one server.
#[derive(Clone, Copy, Default)]
struct Taken {
    records_per_second: f64,
    server_us: f64,
}

impl Cost {
    fn add(&mut self, with: [Taken; 2], without: [Taken; 2]) {
        let part = |figure: fn(&Taken) -> f64| {
            let sum = |turns: [Taken; 2]| turns.iter().map(figure).sum::<f64>();
            100.0 * (sum(with) / sum(without) - 1.0)
        };
        self.rate_percent.add(-part(|turn| turn.records_per_second));
        self.cpu_percent.add(part(|turn| turn.server_us));
    }
}

/// A server of others that runs, and its figures.
struct Peer {
    server: Server,
    row: Row,
}

enum Server {
    RabbitMq(peers::RabbitMq),
    Nats(peers::Nats),
    Kafka(peers::Kafka),
}

impl Peer {
    /// Those that are installed.
    fn all(arguments: &Arguments, batch: Batch<'_>) -> Result<Vec<Peer>, Fault> {
        let dir = |name: &str| arguments.dir.join(name);
        let mut all = Vec::new();
        let mut add = |server: Option<Server>, name| match server {
            Some(server) => all.push(Peer { server, row: Row { name, ..Row::default() } }),
            None => println!("left out, since it is not installed: {name}"),
        };
        let rabbit = peers::RabbitMq::start(&dir("rabbitmq"))?;
        add(rabbit.map(Server::RabbitMq), "RabbitMQ persistent, confirms");
        let names = ["NATS JetStream, file", "NATS JetStream, sync_interval: always"];
        for (flushing, name) in [Flushing::AsItComes, Flushing::Always].into_iter().zip(names) {
            let nats = peers::Nats::start(&dir(&format!("nats-{flushing:?}")), flushing)?;
            if let Some(nats) = &nats {
                Nats::make_stream(nats.address, batch.topic)?;
            }
            add(nats.map(Server::Nats), name);
        }
        let names = ["Apache Kafka", "Apache Kafka, log.flush.interval.messages=1"];
        for (flushing, name) in [Flushing::AsItComes, Flushing::Always].into_iter().zip(names) {
            let kafka = peers::Kafka::start(&dir(&format!("kafka-{flushing:?}")), flushing)?;
            if let Some(kafka) = &kafka {
                Kafka::make_topic(kafka.address, batch.topic)?;
            }
            add(kafka.map(Server::Kafka), name);
        }
        Ok(all)
    }

    fn take(&mut self, turn: &mut Turn<'_>, batch: Batch<'_>) -> Result<(), Fault> {
        let (row, publishers) = (&mut self.row, turn.arguments.publishers);
        match &self.server {
            Server::RabbitMq(rabbit) => {
                let dialects = Amqp::many(publishers, batch);
                turn.take(row, &rabbit.process, rabbit.address, dialects)?;
            }
            Server::Nats(nats) => {
                let dialects = Nats::many(publishers, batch);
                turn.take(row, &nats.process, nats.address, dialects)?;
                Nats::purge(nats.address)?;
            }
            Server::Kafka(kafka) => {
                let dialects = Kafka::many(publishers, batch)?;
                turn.take(row, &kafka.process, kafka.address, dialects)?;
            }
        }
        Ok(())
    }
}

/// What was acknowledged must lie in the topic: the next record's offset counts it.
fn check_stored(mainstem: &Mainstem, batch: Batch<'_>, acknowledged: u64) -> Result<(), Fault> {
    let body = format!(r#"{{"topic":"{}","data":"last"}}"#, batch.topic);
    let (status, answer) = mainstem.client()?.post("/v1/events", &body)?;
    let answer: Value = serde_json::from_str(&answer)?;
    match answer["offset"].as_u64() {
        Some(offset) if offset >= acknowledged => {
            println!("stored by mainstem: {offset} records, acknowledged: {acknowledged}");
            Ok(())
        }
        _ => Err(format!("{status}: {answer} after {acknowledged} acknowledged records").into()),
    }
}

struct Turn<'a> {
    arguments: &'a Arguments,
    company: &'a mut Company,
}

impl Turn<'_> {
    fn http(&mut self, row: &mut Row, server: &Mainstem, batch: Batch<'_>) -> Result<Taken, Fault> {
        let (address, key) = (server.address, server.key.as_str());
        let dialects = Http::many(self.arguments.publishers, address, key, batch);
        self.take(row, &server.process, address, dialects)
    }

    fn ids(
        &mut self,
        row: &mut Row,
        server: &Mainstem,
        batch: Batch<'_>,
        next: &Arc<AtomicU64>,
    ) -> Result<Taken, Fault> {
        let at = (server.address, server.key.as_str());
        let dialects = HttpWithIds::many(self.arguments.publishers, at, batch, next);
        self.take(row, &server.process, server.address, dialects)
    }

    fn take<D: Dialect>(
        &mut self,
        row: &mut Row,
        server: &Process,
        address: SocketAddr,
        dialects: Vec<D>,
    ) -> Result<Taken, Fault> {
        let mut publishing = ClosedLoop::open(address, dialects, self.arguments.batch)?;
        // What the one before left in the kernel's memory is not this one's to write.
        rustix::fs::sync();
        // Buffers, files and caches reach their working size first.
        let warming = Duration::from_secs_f64(self.arguments.seconds / 4.0);
        row.acknowledged += publishing.run(warming, u64::MAX)?.records;
        let watch = Watch::begin(&self.arguments.dir)?;
        let (server_before, load_before) = (server.cpu(), cpu());
        let length = Duration::from_secs_f64(self.arguments.seconds);
        let run = publishing.run(length, u64::MAX)?;
        let (server_cpu, load_cpu) = (server.cpu() - server_before, cpu() - load_before);
        let seen = watch.end()?;
        row.acknowledged += run.records;
        let records = run.records.max(1) as f64;
        let taken = Taken {
            records_per_second: run.records_per_second(),
            server_us: server_cpu.as_secs_f64() * 1e6 / records,
        };
        row.records_per_second.add(taken.records_per_second);
        row.p50_ms.add(run.latency_ms.at(0.5));
        row.p99_ms.add(run.latency_ms.at(0.99));
        row.server_us.add(taken.server_us);
        row.load_us.add(load_cpu.as_secs_f64() * 1e6 / records);
        row.flushes_per_second.add(seen.flushes as f64 / seen.seconds);
        row.records_per_flush.add(records / seen.flushes.max(1) as f64);
        self.company.add(&seen, server_cpu + load_cpu);
        Ok(taken)
    }
}

fn print(ours: &[Row], peers: &[Row], costs: &[(&str, Cost, f64)], company: &Company) {
    println!(
        "{:<44} {:>26} {:>22} {:>22} {:>18} {:>8} {:>16} {:>9}",
        "row",
        "records/s",
        "batch p50 ms",
        "batch p99 ms",
        "server us/record",
        "load us",
        "flushes/s",
        "rec/flush"
    );
    for row in ours.iter().chain(peers) {
        println!(
            "{:<44} {:>26} {:>22} {:>22} {:>18} {:>8.2} {:>16} {:>9.0}",
            row.name,
            row.records_per_second.told(0),
            row.p50_ms.told(1),
            row.p99_ms.told(1),
            row.server_us.told(2),
            row.load_us.median(),
            row.flushes_per_second.told(0),
            row.records_per_flush.median(),
        );
    }
    for row in ours {
        let rate = row.records_per_second.median();
        for peer in peers {
            println!(
                "ratio {} / {}: {:.2} in records/s, {:.2} in server CPU per record",
                row.name,
                peer.name,
                rate / peer.records_per_second.median(),
                row.server_us.median() / peer.server_us.median(),
            );
        }
        against(row.name, rate, TARGET_RECORDS_PER_SECOND, Better::More);
    }
    for (what, cost, target) in costs {
        println!("{what}, percent more server CPU per record: {}", cost.cpu_percent.told(1));
        println!("{what}, percent fewer records/s: {}", cost.rate_percent.told(1));
        let figure = cost.rate_percent.median();
        against(&format!("{what}, cost in percent"), figure, *target, Better::Less);
    }
    company.print();
    let rows: Vec<Value> = ours.iter().chain(peers).map(Row::json).collect();
    let cost = |(what, cost, _): &(&str, Cost, f64)| {
        let (rate, cpu) = (cost.rate_percent.json(), cost.cpu_percent.json());
        json!({ "of": what, "rate_percent": rate, "cpu_percent": cpu })
    };
    let costs: Vec<Value> = costs.iter().map(cost).collect();
    let company = company.json();
    println!("{}", json!({ "bench": "publish", "rows": rows, "costs": costs, "company": company }));
}

impl Row {
    fn json(&self) -> Value {
        json!({
            "row": self.name,
            "records_per_second": self.records_per_second.json(),
            "batch_p50_ms": self.p50_ms.json(),
            "batch_p99_ms": self.p99_ms.json(),
            "server_us_per_record": self.server_us.json(),
            "load_us_per_record": self.load_us.json(),
            "flushes_per_second": self.flushes_per_second.json(),
            "records_per_flush": self.records_per_flush.json(),
        })
    }
}
