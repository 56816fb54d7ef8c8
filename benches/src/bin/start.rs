//! From the start of the process to the first 200 of `/readyz`: on an empty directory, on one with
//! a history after a stop in good order, and on the same after a kill; and what the process takes
//! of memory once it is idle, with 1,000 partitions too. Beside it, the start of a process that
//! does nothing.

use benches::closed_loop::ClosedLoop;
use benches::dialects::{Batch, Http};
use benches::machine::Watch;
use benches::mainstem::Mainstem;
use benches::process::sibling;
use benches::report::{Better, Company, Series, against, heading};
use benches::{Fault, in_own_directory};
use clap::Parser;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TARGET_START_MS: f64 = 300.0;
const TARGET_RSS_MB: f64 = 50.0;
/// What 1,000 idle partitions may add to an idle process.
const TARGET_PARTITIONS_MB: f64 = 20.0;
const IDLE_TOPICS: u32 = 10;
const PARTITIONS_PER_TOPIC: u32 = 100;
const IDLE: Duration = Duration::from_secs(2);
const FILL_MAX: Duration = Duration::from_secs(120);

#[derive(Parser)]
#[command(about = "Start to ready, and memory when idle")]
struct Arguments {
    /// A directory for the server's data; made, and removed at the end.
    #[arg(long, default_value = "bench-start")]
    dir: PathBuf,
    /// Records of the history, 512 bytes each.
    #[arg(long, default_value_t = 500_000)]
    records: u64,
    /// Runs per row; the medians are shown.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

#[derive(Default)]
struct Row {
    name: &'static str,
    start_ms: Series,
    rss_mb: Series,
}

fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    in_own_directory(&arguments.dir, || measure(&arguments))
}

fn measure(arguments: &Arguments) -> Result<(), Fault> {
    heading(&format!("start: {} records of history", arguments.records));
    let named = |name| Row { name, ..Row::default() };
    let mut rows = [
        "empty directory",
        "history, after a stop",
        "history, after a kill",
        "one topic, after a stop",
        "1,000 partitions more",
    ]
    .map(named);
    let [empty, stopped, killed, lean, wide] = &mut rows;
    let mut company = Company::default();
    let mut nothing = Series::default();
    let history = arguments.dir.join("history");
    fill(&history, arguments.records)?;
    let (few, many) = (arguments.dir.join("few"), arguments.dir.join("many"));
    fill(&few, 1)?;
    fill(&many, 1)?;
    make_partitions(&many)?;
    for run in 0..arguments.runs.max(1) {
        nothing.add(start_of_nothing()?);
        let fresh = arguments.dir.join(format!("fresh{run}"));
        take(empty, &fresh, End::Stop, &mut company)?;
        std::fs::remove_dir_all(&fresh)?;
        // What the run before left was a kill, so this start is followed by a stop, and counts
        // for the row of kills.
        let (row, end) = (&mut *killed, End::Stop);
        if run > 0 {
            take(row, &history, end, &mut company)?;
        }
        take(stopped, &history, End::Kill, &mut company)?;
        take(lean, &few, End::Stop, &mut company)?;
        take(wide, &many, End::Stop, &mut company)?;
    }
    take(killed, &history, End::Stop, &mut company)?;
    print(&rows, &nothing, &company);
    Ok(())
}

enum End {
    Stop,
    Kill,
}

fn take(row: &mut Row, data: &Path, end: End, company: &mut Company) -> Result<(), Fault> {
    let watch = Watch::begin(data.parent().unwrap_or(data))?;
    let mut server = Mainstem::start(data)?;
    company.add(&watch.end()?, server.process.cpu());
    std::thread::sleep(IDLE);
    row.start_ms.add(server.start.as_secs_f64() * 1e3);
    row.rss_mb.add(server.process.rss_bytes() as f64 / 1e6);
    match end {
        End::Stop => server.process.stop(),
        End::Kill => {
            // With records that no stop had written down.
            publish(&server, 10_000)?;
            server.process.kill();
        }
    }
    Ok(())
}

fn fill(data: &Path, records: u64) -> Result<(), Fault> {
    let server = Mainstem::start(data)?;
    publish(&server, records)
}

/// Each partition gets about ten records, so that none is one of which nothing is known.
fn make_partitions(data: &Path) -> Result<(), Fault> {
    let mut server = Mainstem::start(data)?;
    let mut client = server.client()?;
    for number in 0..IDLE_TOPICS {
        let topic = format!("wide{number}");
        let body = json!({ "partitions": PARTITIONS_PER_TOPIC }).to_string();
        let made = client.put(&format!("/v1/topics/{topic}"), &body)?;
        let records: Vec<_> = (0..10 * PARTITIONS_PER_TOPIC)
            .map(|key| json!({ "topic": topic, "key": format!("key {key}"), "data": key }))
            .collect();
        for (status, answer) in [made, client.post("/v1/events", &json!(records).to_string())?] {
            if !(200..300).contains(&status) {
                return Err(answer.into());
            }
        }
    }
    server.process.stop();
    Ok(())
}

fn publish(server: &Mainstem, records: u64) -> Result<(), Fault> {
    let batch = Batch { topic: "history", records: 100, bytes: 512 };
    let dialects = Http::many(16, server.address, &server.key, batch);
    let mut publishing = ClosedLoop::open(server.address, dialects, batch.records)?;
    publishing.run(FILL_MAX, records)?;
    Ok(())
}

/// Milliseconds until our binary has come and gone: `mainstem version`.
fn start_of_nothing() -> Result<f64, Fault> {
    let begin = Instant::now();
    let mut command = Command::new(sibling("mainstem")?);
    command.arg("version").stdout(Stdio::null()).status()?;
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

fn print(rows: &[Row; 5], nothing: &Series, company: &Company) {
    println!("{:<24} {:>24} {:>26}", "row", "start to ready, ms", "idle RSS, MB");
    println!("{:<24} {:>24}", "`mainstem version`", nothing.told(1));
    for row in rows {
        println!("{:<24} {:>24} {:>26}", row.name, row.start_ms.told(0), row.rss_mb.told(1));
    }
    for row in rows {
        let ratio = row.start_ms.median() / nothing.median();
        println!("ratio {} / `mainstem version`: {ratio:.0}", row.name);
        let name = format!("{}, start ms", row.name);
        against(&name, row.start_ms.median(), TARGET_START_MS, Better::Less);
        let name = format!("{}, idle RSS MB", row.name);
        against(&name, row.rss_mb.median(), TARGET_RSS_MB, Better::Less);
    }
    let [_, _, _, lean, wide] = rows;
    let more = wide.rss_mb.median() - lean.rss_mb.median();
    against("1,000 idle partitions, MB more", more, TARGET_PARTITIONS_MB, Better::Less);
    company.print();
    let rows: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| {
            let (start, rss) = (row.start_ms.json(), row.rss_mb.json());
            json!({ "row": row.name, "start_ms": start, "rss_mb": rss })
        })
        .collect();
    let company = company.json();
    println!("{}", json!({ "bench": "start", "rows": rows, "company": company }));
}
