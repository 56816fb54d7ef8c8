//! Many topics with little each: 20,000 topics of one log with one record per second and topic, in
//! an open loop, every acknowledgement after its flush; beside the same rate into one topic. What
//! counts is whether the one stream of commits keeps up, and how long a record waits from the
//! moment it was due. Engine only, no sockets.

use benches::fanout::cpu;
use benches::machine::Watch;
use benches::report::{Better, Company, Series, against, heading};
use benches::sealing::fixed_keys;
use benches::{Fault, in_own_directory};
use bytes::Bytes;
use clap::Parser;
use eventlog::{EmbeddedLog, Engine, TopicSpec};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use stdx::{SystemClock, SystemDisk, SystemRng};
use storage::World;
use tokio::sync::mpsc;
use types::{ProjectId, Record, TenantId, TopicConfig, TopicId};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// From when the last record was due to the last acknowledgement: more is falling behind.
const TARGET_BEHIND_MS: f64 = 100.0;
/// The load wakes up this often at most, and sends what is due then.
const TURN: Duration = Duration::from_micros(100);
/// Counts before it begins: the first extents are written, the topics are known.
const WARMING: Duration = Duration::from_secs(2);

#[derive(Parser)]
#[command(about = "One record per second each into 20,000 topics, durable, in an open loop")]
struct Arguments {
    /// A directory on the disk to measure; made, and removed at the end.
    #[arg(long, default_value = "bench-topics")]
    dir: PathBuf,
    #[arg(long, default_value_t = 20_000)]
    topics: u64,
    /// Records per second of all topics together.
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 512)]
    bytes: usize,
    /// Length of each row.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

struct Row {
    name: String,
    records: u64,
    waited_ms: Series,
    /// From the moment a record was due to the moment the load sent it.
    sent_late_ms: f64,
    behind_ms: f64,
    records_per_second: f64,
    flushes_per_second: f64,
    records_per_flush: f64,
    cpu_us: f64,
}

fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    in_own_directory(&arguments.dir, || measure(&arguments))
}

fn measure(arguments: &Arguments) -> Result<(), Fault> {
    let (rate, bytes) = (arguments.rate, arguments.bytes);
    heading(&format!("topics: {rate} records/s of {bytes} B, durable, {} s", arguments.seconds));
    println!(
        "{:<28} {:>10} {:>8} {:>8} {:>8} {:>10} {:>10} {:>10} {:>9} {:>8}",
        "row",
        "records/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "behind ms",
        "sent late",
        "flushes/s",
        "rec/flush",
        "cpu us/r"
    );
    let mut company = Company::default();
    let mut rows = Vec::new();
    for is_sealed in [false, true] {
        for topics in [1, arguments.topics] {
            let how = if is_sealed { "sealed" } else { "plain" };
            let name = format!("{topics} topics, {how}");
            let row = Row { name, ..take(arguments, topics, is_sealed, &mut company)? };
            row.show();
            rows.push(row);
        }
    }
    for row in &rows {
        let name = format!("{}, behind at the end, ms", row.name);
        against(&name, row.behind_ms, TARGET_BEHIND_MS, Better::Less);
    }
    company.print();
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    println!("{}", json!({ "bench": "topics", "rows": rows, "company": company.json() }));
    Ok(())
}

fn open(dir: &Path, topics: u64, is_sealed: bool) -> Result<Arc<EmbeddedLog>, Fault> {
    let world = World {
        disk: SystemDisk::shared(),
        clock: SystemClock::shared(),
        rng: SystemRng::shared(),
        keys: is_sealed.then(fixed_keys),
    };
    let spec = |number| TopicSpec {
        id: TopicId(number),
        tenant: TenantId(uuid::Uuid::from_u128(1)),
        project: ProjectId(uuid::Uuid::from_u128(1)),
        config: TopicConfig::default(),
    };
    let topics = (1..=topics).map(spec).collect();
    Ok(EmbeddedLog::open(world, eventlog::Options::new(dir), topics)?.0)
}

fn take(
    arguments: &Arguments,
    topics: u64,
    is_sealed: bool,
    company: &mut Company,
) -> Result<Row, Fault> {
    let dir = arguments.dir.join(format!("log-{topics}-{is_sealed}"));
    let log = open(&dir, topics, is_sealed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let load = Load { log: &log, arguments, topics };
    load.run(&runtime, WARMING)?;
    let (watch, cpu_before) = (Watch::begin(&arguments.dir)?, cpu());
    let mut row = load.run(&runtime, Duration::from_secs(arguments.seconds))?;
    let (seen, cpu) = (watch.end()?, cpu() - cpu_before);
    company.add(&seen, cpu);
    row.flushes_per_second = seen.flushes as f64 / seen.seconds;
    row.records_per_flush = row.records as f64 / seen.flushes.max(1) as f64;
    row.cpu_us = cpu.as_secs_f64() * 1e6 / row.records as f64;
    runtime.block_on(log.close());
    drop(log);
    std::fs::remove_dir_all(&dir)?;
    Ok(row)
}

struct Load<'a> {
    log: &'a Arc<EmbeddedLog>,
    arguments: &'a Arguments,
    topics: u64,
}

impl Load<'_> {
    /// Sends what is due from this thread; answers are awaited on the runtime's.
    fn run(&self, runtime: &tokio::runtime::Runtime, length: Duration) -> Result<Row, Fault> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let value = Bytes::from(vec![b'x'; self.arguments.bytes]);
        let count = self.arguments.rate * length.as_secs();
        let begin = Instant::now();
        let due = |number: u64| {
            let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.arguments.rate);
            begin + Duration::from_nanos(nanos as u64)
        };
        let (mut sent, mut late) = (0, Duration::ZERO);
        while sent < count {
            let now = Instant::now();
            while sent < count && due(sent) <= now {
                let record = Record { value: Some(value.clone()), ..Record::default() };
                let (was_due, topic) = (due(sent), TopicId(1 + sent % self.topics));
                let pending = self.log.append(topic, 0, vec![record]);
                late = late.max(was_due.elapsed());
                let tell = tell.clone();
                runtime.spawn(async move {
                    let answer = pending.await.map(|_| (was_due.elapsed(), Instant::now()));
                    // Whoever listens does so until the last one is told.
                    let _ = tell.send(answer);
                });
                sent += 1;
            }
            std::thread::sleep(due(sent).saturating_duration_since(now).max(TURN));
        }
        drop(tell);
        let (mut waited_ms, mut last) = (Series::default(), begin);
        while let Some(answer) = told.blocking_recv() {
            let (waited, at) = answer?;
            waited_ms.add(waited.as_secs_f64() * 1e3);
            last = last.max(at);
        }
        Ok(Row {
            name: String::new(),
            records: count,
            waited_ms,
            sent_late_ms: late.as_secs_f64() * 1e3,
            behind_ms: last.saturating_duration_since(due(count - 1)).as_secs_f64() * 1e3,
            records_per_second: count as f64 / (last - begin).as_secs_f64(),
            flushes_per_second: 0.0,
            records_per_flush: 0.0,
            cpu_us: 0.0,
        })
    }
}

impl Row {
    fn show(&self) {
        println!(
            "{:<28} {:>10.0} {:>8.3} {:>8.3} {:>8.3} {:>10.3} {:>10.3} {:>10.0} {:>9.1} {:>8.2}",
            self.name,
            self.records_per_second,
            self.waited_ms.at(0.5),
            self.waited_ms.at(0.99),
            self.waited_ms.at(1.0),
            self.behind_ms,
            self.sent_late_ms,
            self.flushes_per_second,
            self.records_per_flush,
            self.cpu_us,
        );
    }

    fn json(&self) -> Value {
        json!({
            "row": self.name, "records": self.records,
            "records_per_second": self.records_per_second,
            "p50_ms": self.waited_ms.at(0.5), "p99_ms": self.waited_ms.at(0.99),
            "max_ms": self.waited_ms.at(1.0), "behind_ms": self.behind_ms,
            "sent_late_ms_max": self.sent_late_ms,
            "flushes_per_second": self.flushes_per_second,
            "records_per_flush": self.records_per_flush,
            "cpu_us_per_record": self.cpu_us,
        })
    }
}
