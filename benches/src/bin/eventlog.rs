//! How fast the event log takes and gives back records, beside the store alone in the same run:
//! publishers in a closed loop, every answer after the flush, then everything read back. Prints a
//! table for people and one line of JSON for machines. It must not be a test: figures depend on
//! the machine and on who else uses it.

use benches::fanout::cpu;
use bytes::Bytes;
use clap::Parser;
use eventlog::{EmbeddedLog, Engine, Together, TopicSpec};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stdx::{SystemClock, SystemDisk, SystemRng};
use storage::{Entry, Frame, Group, Source, Store, StoreError, StreamId, World};
use types::{Durability, Header, ProjectId, Record, TenantId, TopicConfig, TopicId};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser, Debug)]
#[command(about = "Appends and replay of the event log, beside the store alone")]
struct Arguments {
    /// A directory on the disk to measure; made, and removed at the end.
    #[arg(long, default_value = "bench-eventlog")]
    dir: PathBuf,
    #[arg(long, default_value_t = 64)]
    publishers: u32,
    #[arg(long, default_value_t = 1)]
    partitions: u32,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 512)]
    bytes: usize,
    /// Length of one run.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Runs per row; the medians are shown.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Records of the replay, each 100 bytes.
    #[arg(long, default_value_t = 1_000_000)]
    replay: u64,
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

const TOPIC: TopicId = TopicId(1);
const REPLAY_BYTES: usize = 100;

fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let outcome = runtime.block_on(measure(&arguments));
    std::fs::remove_dir_all(&arguments.dir)?;
    outcome
}

async fn measure(arguments: &Arguments) -> Result<(), Fault> {
    println!("{:<52} {:>12} {:>8} {:>10}", "row", "records/s", "cpu us/r", "of beside");
    let mut rows = Vec::new();
    for count in [1, 100] {
        let frame_bytes = count * (arguments.bytes + 12);
        let (mut alone, mut whole) = (Vec::new(), Vec::new());
        for _ in 0..arguments.runs.max(1) {
            let frames = store_alone(arguments, frame_bytes)?;
            alone.push(frames.of_records(count));
            whole.push(appends(arguments, count).await?);
        }
        let (alone, whole) = (medians(&alone), medians(&whole));
        rows.push(show(&format!("store alone, {frame_bytes} B frames"), alone, None));
        let name = format!("event log, durable, {count} per append");
        rows.push(show(&name, whole, Some(alone)));
    }
    for count in [1, 100] {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for run in 0..arguments.runs.max(1) {
            // Taking turns, the other one first the next time, so that what disturbs the machine
            // disturbs both.
            for turn in [run, run + 1] {
                match turn % 2 {
                    0 => without.push(publishes(arguments, count, "x-id").await?),
                    _ => with.push(publishes(arguments, count, types::record::header::ID).await?),
                }
            }
        }
        let (without, with) = (medians(&without), medians(&with));
        rows.push(show(&format!("published, no ids, {count} per call"), without, None));
        let name = format!("published with ids, {count} per call (of without)");
        rows.push(show(&name, with, Some(without)));
    }
    for per_append in [100, 1] {
        let (name, rate) = replay(arguments, per_append).await?;
        rows.push(show(&name, rate, None));
    }
    println!(
        "{}",
        json!({ "bench": "eventlog", "publishers": arguments.publishers, "rows": rows })
    );
    Ok(())
}

/// One run's figures; a row is the median of each.
#[derive(Clone, Copy, Default)]
struct Rate {
    records_per_second: f64,
    /// Of the whole process, publishers included.
    cpu_us: f64,
}

impl Rate {
    fn of(records: u64, took: Duration, cpu: Duration) -> Rate {
        let records = records.max(1) as f64;
        let cpu_us = cpu.as_secs_f64() * 1e6 / records;
        Rate { records_per_second: records / took.as_secs_f64(), cpu_us }
    }

    /// Of frames that stand for so many records each.
    fn of_records(self, count: usize) -> Rate {
        let count = count as f64;
        Rate { records_per_second: self.records_per_second * count, cpu_us: self.cpu_us / count }
    }
}

fn show(name: &str, rate: Rate, beside: Option<Rate>) -> Value {
    let ratio = beside.map(|beside| rate.records_per_second / beside.records_per_second);
    let shown = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let Rate { records_per_second, cpu_us } = rate;
    println!("{name:<52} {records_per_second:>12.0} {cpu_us:>8.2} {shown:>10}");
    json!({
        "row": name, "records_per_second": records_per_second.round(),
        "cpu_us_per_record": cpu_us, "of_beside": ratio,
    })
}

fn medians(rates: &[Rate]) -> Rate {
    let median = |field: fn(&Rate) -> f64| {
        let mut values: Vec<f64> = rates.iter().map(field).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Rate {
        records_per_second: median(|rate| rate.records_per_second),
        cpu_us: median(|rate| rate.cpu_us),
    }
}

fn world() -> World {
    World {
        disk: SystemDisk::shared(),
        clock: SystemClock::shared(),
        rng: SystemRng::shared(),
        keys: None,
    }
}

fn open(dir: &Path, partitions: u32, tail_bytes_max: usize) -> Result<Arc<EmbeddedLog>, Fault> {
    let id = uuid_of(1);
    let spec = TopicSpec {
        id: TOPIC,
        tenant: TenantId(id),
        project: ProjectId(id),
        config: TopicConfig {
            partitions,
            durability: Durability::Durable,
            ..TopicConfig::default()
        },
    };
    let options = eventlog::Options { tail_bytes_max, ..eventlog::Options::new(dir) };
    Ok(EmbeddedLog::open(world(), options, vec![spec])?.0)
}

fn uuid_of(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

/// Acknowledged records per second from publishers that each wait for their answer.
async fn appends(arguments: &Arguments, count: usize) -> Result<Rate, Fault> {
    let dir = arguments.dir.join("log");
    let log = open(&dir, arguments.partitions, 32 << 20)?;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let value = Bytes::from(vec![b'x'; arguments.bytes]);
    let (started, cpu_before) = (Instant::now(), cpu());
    let until = started + Duration::from_secs_f64(arguments.seconds);
    let publishers: Vec<_> = (0..arguments.publishers)
        .map(|publisher| {
            let (log, acknowledged) = (Arc::clone(&log), Arc::clone(&acknowledged));
            let record = Record { value: Some(value.clone()), ..Record::default() };
            let partition = publisher % arguments.partitions;
            tokio::spawn(async move {
                while Instant::now() < until {
                    log.append(TOPIC, partition, vec![record.clone(); count]).await?;
                    acknowledged.fetch_add(count as u64, Ordering::Relaxed);
                }
                Ok::<(), eventlog::LogError>(())
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await??;
    }
    let records = acknowledged.load(Ordering::Relaxed);
    let rate = Rate::of(records, started.elapsed(), cpu() - cpu_before);
    log.close().await;
    drop(log);
    std::fs::remove_dir_all(&dir)?;
    Ok(rate)
}

/// As `appends`, through the call that looks at ids. The same bytes are sent in each case: only
/// the header's name says whether it is an id.
async fn publishes(
    arguments: &Arguments,
    count: usize,
    header: &'static str,
) -> Result<Rate, Fault> {
    let dir = arguments.dir.join("log");
    let log = open(&dir, arguments.partitions, 32 << 20)?;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let value = Bytes::from(vec![b'x'; arguments.bytes]);
    let (started, cpu_before) = (Instant::now(), cpu());
    let until = started + Duration::from_secs_f64(arguments.seconds);
    let publishers: Vec<_> = (0..arguments.publishers)
        .map(|publisher| {
            let (log, acknowledged) = (Arc::clone(&log), Arc::clone(&acknowledged));
            let value = value.clone();
            let partition = publisher % arguments.partitions;
            tokio::spawn(async move {
                let mut number = 0u64;
                while Instant::now() < until {
                    let records = (0..count).map(|_| {
                        number += 1;
                        let id = Bytes::from(format!("publisher-{publisher:04}-{number:012}"));
                        let name = Bytes::from_static(header.as_bytes());
                        let headers = std::iter::once(Header { name, value: id }).collect();
                        let value = Some(value.clone());
                        (TOPIC, partition, Record { value, headers, ..Record::default() })
                    });
                    log.publish(records.collect(), Together::IfStored).await?;
                    acknowledged.fetch_add(count as u64, Ordering::Relaxed);
                }
                Ok::<(), eventlog::LogError>(())
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await??;
    }
    let records = acknowledged.load(Ordering::Relaxed);
    let rate = Rate::of(records, started.elapsed(), cpu() - cpu_before);
    log.close().await;
    drop(log);
    std::fs::remove_dir_all(&dir)?;
    Ok(rate)
}

/// Records per second of one reader from the first to the last, after a restart, from the disk.
async fn replay(arguments: &Arguments, per_append: usize) -> Result<(String, Rate), Fault> {
    let dir = arguments.dir.join("replay");
    let log = open(&dir, 1, 0)?;
    let value = Bytes::from(vec![b'x'; REPLAY_BYTES]);
    let record = Record { value: Some(value), ..Record::default() };
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..arguments.replay / per_append as u64 {
        waiting.push_back(log.append(TOPIC, 0, vec![record.clone(); per_append]));
        if waiting.len() >= 64
            && let Some(answer) = waiting.pop_front()
        {
            answer.await?;
        }
    }
    for answer in waiting {
        answer.await?;
    }
    log.close().await;
    drop(log);
    let log = open(&dir, 1, 0)?;
    let (started, cpu_before) = (Instant::now(), cpu());
    let (mut next, mut records, mut bytes, mut batches) = (0, 0u64, 0usize, 0u64);
    loop {
        let found = log.read(TOPIC, 0, next, 1 << 20).await?;
        let Some(last) = found.last() else { break };
        next = last.next_offset();
        batches += found.len() as u64;
        for (_, _, record) in found.iter().flat_map(|batch| batch.records()) {
            records += 1;
            bytes += record.value.map_or(0, |value| value.len());
        }
    }
    let rate = Rate::of(records, started.elapsed(), cpu() - cpu_before);
    assert_eq!(bytes as u64, records * REPLAY_BYTES as u64);
    log.close().await;
    drop(log);
    std::fs::remove_dir_all(&dir)?;
    let name = format!("replay of {records} records in {batches} batches");
    Ok((name, rate))
}

/// A closed loop over the store: as many frames outstanding as there are publishers.
struct Loop {
    waiting: Mutex<Vec<Frame>>,
    taken: Mutex<Vec<Frame>>,
    settled: AtomicU64,
    is_over: std::sync::atomic::AtomicBool,
}

impl Source for Loop {
    fn gather(&self, group: &mut Group) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        let mut waiting = self.waiting.lock();
        while let Some(frame) = waiting.pop() {
            let copy = frame.clone();
            if let Err(frame) = group.push(frame) {
                waiting.push(frame);
                return;
            }
            self.taken.lock().push(copy);
        }
    }

    fn settled(&self, outcome: Result<&[Entry], &StoreError>) {
        self.settled.fetch_add(outcome.map_or(0, <[Entry]>::len) as u64, Ordering::Relaxed);
        let again = self.taken.lock().drain(..).map(next_frame).collect::<Vec<_>>();
        self.waiting.lock().extend(again);
    }
}

fn next_frame(frame: Frame) -> Frame {
    Frame { base_offset: frame.base_offset + 1, ..frame }
}

/// Frames per second of the store with nothing above it.
fn store_alone(arguments: &Arguments, frame_bytes: usize) -> Result<Rate, Fault> {
    let dir = arguments.dir.join("store");
    let (store, _) = Store::open(world(), storage::Options::new(&dir), &mut |_, _, _| {})?;
    let frame = |publisher: u32| Frame {
        tenant: TenantId(uuid_of(1)),
        stream: StreamId { topic: TOPIC, partition: publisher },
        base_offset: 0,
        count: 1,
        max_timestamp: 0,
        keys: Box::default(),
        body: Bytes::from(vec![b'x'; frame_bytes]),
    };
    let source = Arc::new(Loop {
        waiting: Mutex::new((0..arguments.publishers).map(frame).collect()),
        taken: Mutex::default(),
        settled: AtomicU64::new(0),
        is_over: false.into(),
    });
    let writer = store.start(source.clone());
    let (started, cpu_before) = (Instant::now(), cpu());
    store.wake();
    std::thread::sleep(Duration::from_secs_f64(arguments.seconds));
    source.is_over.store(true, Ordering::Relaxed);
    let frames = source.settled.load(Ordering::Relaxed);
    let rate = Rate::of(frames, started.elapsed(), cpu() - cpu_before);
    writer.stop();
    drop(store);
    std::fs::remove_dir_all(&dir)?;
    Ok(rate)
}
