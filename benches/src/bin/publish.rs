//! Durable publishes over HTTP and over WebSocket, beside RabbitMQ (persistent, with confirms,
//! flushed before each confirm) and NATS JetStream with file storage (not flushed), all with one
//! client pattern, taking turns within one run. How often the disk was flushed is counted, since
//! that is what "durable" means here.

use benches::Fault;
use benches::closed_loop::{ClosedLoop, Dialect};
use benches::dialects::{Amqp, Batch, Http, Nats, WebSocket};
use benches::fanout::cpu;
use benches::machine::Watch;
use benches::mainstem::Mainstem;
use benches::peers;
use benches::process::Process;
use benches::report::{Better, Company, Series, against, heading};
use clap::Parser;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TARGET_RECORDS_PER_SECOND: f64 = 100_000.0;

#[derive(Parser)]
#[command(about = "Durable publishes per second, beside RabbitMQ and NATS JetStream")]
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
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Runs per row; the medians are shown.
    #[arg(long, default_value_t = 5)]
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
    std::fs::create_dir_all(&arguments.dir)?;
    let outcome = measure(&arguments);
    std::fs::remove_dir_all(&arguments.dir)?;
    outcome
}

fn measure(arguments: &Arguments) -> Result<(), Fault> {
    let (publishers, records, bytes) = (arguments.publishers, arguments.batch, arguments.bytes);
    heading(&format!("publish: {publishers} publishers, batches of {records} x {bytes} B"));
    let mainstem = Mainstem::start(&arguments.dir.join("mainstem"))?;
    let (rabbit, nats) = match arguments.alone {
        true => (None, None),
        false => (
            peers::RabbitMq::start(&arguments.dir.join("rabbitmq"))?,
            peers::Nats::start(&arguments.dir.join("nats"))?,
        ),
    };
    let batch = Batch { topic: "bench", records, bytes };
    if let Some(nats) = &nats {
        Nats::make_stream(nats.address, batch.topic)?;
    }
    let mut company = Company::default();
    let named = |name| Row { name, ..Row::default() };
    let [mut http, mut socket] = ["mainstem HTTP", "mainstem WebSocket"].map(named);
    let [mut rabbit_row, mut nats_row] =
        ["RabbitMQ persistent, confirms", "NATS JetStream, file"].map(named);
    for _ in 0..arguments.runs.max(1) {
        let mut turn = Turn { arguments, company: &mut company };
        let (address, key) = (mainstem.address, mainstem.key.as_str());
        let dialects = Http::many(publishers, address, key, batch);
        turn.take(&mut http, &mainstem.process, address, dialects)?;
        let dialects = WebSocket::many(publishers, address, key, batch);
        turn.take(&mut socket, &mainstem.process, address, dialects)?;
        if let Some(rabbit) = &rabbit {
            let dialects = Amqp::many(publishers, batch);
            turn.take(&mut rabbit_row, &rabbit.process, rabbit.address, dialects)?;
        }
        if let Some(nats) = &nats {
            let dialects = Nats::many(publishers, batch);
            turn.take(&mut nats_row, &nats.process, nats.address, dialects)?;
            Nats::purge(nats.address)?;
        }
    }
    let ours = http.acknowledged + socket.acknowledged;
    check_stored(&mainstem, batch, ours)?;
    print(&[http, socket, rabbit_row, nats_row], &company);
    Ok(())
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
    fn take<D: Dialect>(
        &mut self,
        row: &mut Row,
        server: &Process,
        address: SocketAddr,
        dialects: Vec<D>,
    ) -> Result<(), Fault> {
        let mut publishing = ClosedLoop::open(address, dialects, self.arguments.batch)?;
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
        row.records_per_second.add(run.records_per_second());
        row.p50_ms.add(run.latency_ms.at(0.5));
        row.p99_ms.add(run.latency_ms.at(0.99));
        row.server_us.add(server_cpu.as_secs_f64() * 1e6 / records);
        row.load_us.add(load_cpu.as_secs_f64() * 1e6 / records);
        row.flushes_per_second.add(seen.flushes as f64 / seen.seconds);
        row.records_per_flush.add(records / seen.flushes.max(1) as f64);
        self.company.add(&seen, server_cpu + load_cpu);
        Ok(())
    }
}

fn print(rows: &[Row], company: &Company) {
    println!(
        "{:<30} {:>26} {:>22} {:>22} {:>18} {:>8} {:>16} {:>9}",
        "row",
        "records/s",
        "batch p50 ms",
        "batch p99 ms",
        "server us/record",
        "load us",
        "flushes/s",
        "rec/flush"
    );
    for row in rows.iter().filter(|row| !row.records_per_second.is_empty()) {
        println!(
            "{:<30} {:>26} {:>22} {:>22} {:>18} {:>8.2} {:>16} {:>9.0}",
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
    let [ours @ .., rabbit, nats] = rows else { return };
    for row in ours {
        let rate = row.records_per_second.median();
        for peer in [rabbit, nats].into_iter().filter(|peer| !peer.records_per_second.is_empty()) {
            println!(
                "ratio {} / {}: {:.2} in records/s, {:.2} in server CPU per record",
                row.name,
                peer.name,
                rate / peer.records_per_second.median(),
                row.server_us.median() / peer.server_us.median(),
            );
        }
        if rabbit.records_per_second.is_empty() || nats.records_per_second.is_empty() {
            println!("ratio {}: a peer is not installed or was left out", row.name);
        }
        against(row.name, rate, TARGET_RECORDS_PER_SECOND, Better::More);
    }
    company.print();
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    println!("{}", json!({ "bench": "publish", "rows": rows, "company": company.json() }));
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
