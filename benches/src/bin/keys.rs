//! What compaction gives and what it costs: the newest record of a key among many, seeks in a long
//! topic, space that comes back, and what publishers notice of the collector. Prints a table for
//! people and one line of JSON for machines. It must not be a test: figures depend on the machine
//! and on who else uses it.

use bytes::Bytes;
use clap::Parser;
use eventlog::{EmbeddedLog, Engine, TopicSpec};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stdx::{SystemClock, SystemDisk, SystemRng};
use storage::World;
use types::{Cleanup, Key, ProjectId, Record, TenantId, TopicConfig, TopicId};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser, Debug)]
#[command(about = "Newest record of a key, seeks, and the collector beside publishers")]
struct Arguments {
    /// A directory on the disk to measure; made, and removed at the end.
    #[arg(long, default_value = "bench-keys")]
    dir: PathBuf,
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Records of the topic that is sought in, each 100 bytes.
    #[arg(long, default_value_t = 10_000_000)]
    records: u64,
    /// Bytes of a keyed record's value.
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    /// Questions asked per row.
    #[arg(long, default_value_t = 2_000)]
    questions: u64,
    /// Durable publishes per second while the collector works.
    #[arg(long, default_value_t = 1_000)]
    publishes: u64,
    /// Bytes the collector reads and writes per second.
    #[arg(long, default_value_t = 32 << 20)]
    budget: u64,
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What every key is written in, twice.
const STATE: TopicId = TopicId(1);
const LONG: TopicId = TopicId(2);
const BESIDE: TopicId = TopicId(3);
const PER_APPEND: u64 = 100;
const WAITING_MAX: usize = 256;

fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.dir)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_time().build()?;
    let outcome = runtime.block_on(measure(&arguments));
    std::fs::remove_dir_all(&arguments.dir)?;
    outcome
}

async fn measure(arguments: &Arguments) -> Result<(), Fault> {
    println!("{:<52} {:>10} {:>10} {:>10}", "row", "p50 us", "p99 us", "max us");
    let mut rows = Vec::new();
    let log = open(arguments, None)?;
    for turn in 0..2 {
        fill(&log, STATE, arguments.keys, |number| keyed(arguments, number, turn)).await?;
    }
    fill(&log, LONG, arguments.records, |_| plain(100)).await?;
    log.close().await;
    drop(log);
    let before = used_bytes(&arguments.dir)?;
    let log = open(arguments, None)?;
    rows.push(latest(&log, arguments, "latest of key, not compacted, just opened").await?);
    rows.push(latest(&log, arguments, "latest of key, not compacted, again").await?);
    rows.push(seek(&log, arguments, "seek, just opened").await?);
    rows.push(seek(&log, arguments, "seek, again").await?);
    rows.push(publish(&log, arguments, "durable publish, collector idle", &still()).await?);
    log.close().await;
    drop(log);
    let log = open(arguments, Some(arguments.budget))?;
    let done = collecting(&log);
    rows.push(publish(&log, arguments, "durable publish, collector at work", &done).await?);
    let collected = log.collected();
    log.close().await;
    drop(log);
    let after = used_bytes(&arguments.dir)?;
    let log = open(arguments, None)?;
    rows.push(latest(&log, arguments, "latest of key, compacted, just opened").await?);
    rows.push(latest(&log, arguments, "latest of key, compacted, again").await?);
    log.close().await;
    let mib = |bytes: u64| bytes / (1 << 20);
    println!("on disk: {} MiB before, {} MiB after {collected:?}", mib(before), mib(after));
    println!(
        "{}",
        json!({
            "bench": "keys", "keys": arguments.keys, "records": arguments.records, "rows": rows,
            "mib_before": mib(before), "mib_after": mib(after), "runs": collected.runs,
        })
    );
    Ok(())
}

fn open(arguments: &Arguments, budget: Option<u64>) -> Result<Arc<EmbeddedLog>, Fault> {
    let world = World {
        disk: SystemDisk::shared(),
        clock: SystemClock::shared(),
        rng: SystemRng::shared(),
        keys: None,
    };
    let mut options = eventlog::Options::new(&arguments.dir);
    // Everything asked for comes from the device.
    options.tail_bytes_max = 1 << 20;
    // What is on disk is what is stored, and one open extent.
    options.store.pool_extents = 0;
    options.collect.interval = budget.map(|_| Duration::from_millis(100));
    options.collect.bytes_per_second = budget.unwrap_or(0);
    options.collect.cold_ms = 0;
    let topics = [(STATE, Cleanup::Compact), (LONG, Cleanup::Delete), (BESIDE, Cleanup::Delete)];
    let spec = |(id, cleanup)| TopicSpec {
        id,
        tenant: TenantId(uuid::Uuid::nil()),
        project: ProjectId(uuid::Uuid::nil()),
        config: TopicConfig { cleanup, ..TopicConfig::default() },
    };
    Ok(EmbeddedLog::open(world, options, topics.into_iter().map(spec).collect())?.0)
}

fn plain(bytes: usize) -> Record {
    Record { value: Some(Bytes::from(vec![b'x'; bytes])), ..Record::default() }
}

fn key(number: u64) -> Key {
    // Numbers of a key are short enough.
    Key::new(Bytes::from(format!("device/{number:08}"))).expect("a short key")
}

fn keyed(arguments: &Arguments, number: u64, turn: u64) -> Record {
    let value = format!("{number}/{turn}/{:_<1$}", "", arguments.bytes);
    Record { key: Some(key(number)), value: Some(Bytes::from(value)), ..Record::default() }
}

async fn fill(
    log: &Arc<EmbeddedLog>,
    topic: TopicId,
    count: u64,
    record: impl Fn(u64) -> Record,
) -> Result<(), Fault> {
    let mut waiting = std::collections::VecDeque::new();
    for first in (0..count).step_by(PER_APPEND as usize) {
        let records = (first..count.min(first + PER_APPEND)).map(&record).collect();
        waiting.push_back(log.append(topic, 0, records));
        if waiting.len() >= WAITING_MAX
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.await?;
        }
    }
    for rest in waiting {
        rest.await?;
    }
    Ok(())
}

/// Numbers without a pattern, the same in every run.
fn scattered(turn: u64, below: u64) -> u64 {
    (turn.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) % below
}

async fn latest(log: &EmbeddedLog, arguments: &Arguments, name: &str) -> Result<Value, Fault> {
    let mut took = Vec::new();
    for turn in 0..arguments.questions {
        let wanted = key(scattered(turn, arguments.keys));
        let started = Instant::now();
        let found = log.latest(STATE, 0, wanted).await?;
        took.push(started.elapsed());
        if found.is_none() {
            return Err("a key that was written is not found".into());
        }
    }
    Ok(show(name, took))
}

async fn seek(log: &EmbeddedLog, arguments: &Arguments, name: &str) -> Result<Value, Fault> {
    let mut took = Vec::new();
    for turn in 0..arguments.questions {
        let from = scattered(turn, arguments.records);
        let started = Instant::now();
        let batches = log.read(LONG, 0, from, 64 << 10).await?;
        took.push(started.elapsed());
        if batches.first().is_none_or(|batch| batch.next_offset() <= from) {
            return Err("a seek found something else".into());
        }
    }
    Ok(show(name, took))
}

/// As soon as the collector has nothing to do any more.
fn collecting(log: &Arc<EmbeddedLog>) -> Arc<AtomicBool> {
    let done = Arc::new(AtomicBool::new(false));
    let (log, tell) = (Arc::clone(log), Arc::clone(&done));
    std::thread::spawn(move || {
        let (mut runs, mut since) = (0, Instant::now());
        while since.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(100));
            if log.collected().runs > runs {
                (runs, since) = (log.collected().runs, Instant::now());
            }
        }
        tell.store(true, Ordering::Release);
    });
    done
}

/// Ten seconds.
fn still() -> Arc<AtomicBool> {
    let done = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&done);
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(10));
        tell.store(true, Ordering::Release);
    });
    done
}

/// Publishes at a fixed rate until told to stop; from when each was due to its answer.
async fn publish(
    log: &Arc<EmbeddedLog>,
    arguments: &Arguments,
    name: &str,
    done: &AtomicBool,
) -> Result<Value, Fault> {
    let every = Duration::from_secs(1) / u32::try_from(arguments.publishes.max(1))?;
    let mut due = Instant::now();
    let mut answers = Vec::new();
    while !done.load(Ordering::Acquire) {
        tokio::time::sleep_until(due.into()).await;
        let (started, pending) = (due, log.append(BESIDE, 0, vec![plain(512)]));
        let answer = async move { pending.await.map(|_| started.elapsed()) };
        answers.push(tokio::spawn(answer));
        due += every;
    }
    let mut took = Vec::with_capacity(answers.len());
    for answer in answers {
        took.push(answer.await??);
    }
    Ok(show(name, took))
}

fn show(name: &str, mut took: Vec<Duration>) -> Value {
    took.sort_unstable();
    let at = |part: usize| {
        let index = (took.len() * part / 100).min(took.len().saturating_sub(1));
        took.get(index).map_or(0, |time| time.as_micros() as u64)
    };
    let (p50, p99, max) = (at(50), at(99), at(100));
    println!("{name:<52} {p50:>10} {p99:>10} {max:>10}");
    json!({ "row": name, "p50_us": p50, "p99_us": p99, "max_us": max, "count": took.len() })
}

/// Bytes of the directory as the file system counts them.
fn used_bytes(dir: &Path) -> Result<u64, Fault> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => used_bytes(&entry.path())?,
            false => entry.metadata()?.blocks() * 512,
        };
    }
    Ok(bytes)
}
