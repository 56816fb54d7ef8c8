//! A start after a crash: a real server is filled over its own API, killed while publishers write,
//! and started again; from the start of the process to the first 200 of `/readyz` and to the first
//! acknowledged publish. Beside it, a start after a stop in good order, and a bare loop that reads
//! as many bytes of the same files as the start after the crash read, likewise not from memory.

use benches::closed_loop::ClosedLoop;
use benches::dialects::{Batch, Http};
use benches::machine::Watch;
use benches::mainstem::Mainstem;
use benches::report::{Better, Company, Series, against, heading};
use benches::{Fault, in_own_directory};
use clap::Parser;
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TARGET_SECONDS_PER_10_GB: f64 = 10.0;
const FILL_MAX: Duration = Duration::from_secs(600);
const PUBLISHERS: usize = 64;
const PER_BATCH: usize = 100;
const READ_BYTES: usize = 1 << 20;

#[derive(Parser)]
#[command(about = "Start to ready and to the first acknowledgement, after kill -9 under load")]
struct Arguments {
    /// A directory for the server's data; made, and removed at the end.
    #[arg(long, default_value = "bench-recovery")]
    dir: PathBuf,
    /// Gibibytes of values that are stored before the first crash.
    #[arg(long, default_value_t = 10.0)]
    gib: f64,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 512)]
    bytes: usize,
    /// How long publishers write before each crash.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Crashes; the medians are shown.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// Starts of one kind.
#[derive(Default)]
struct Row {
    name: &'static str,
    ready_ms: Series,
    acknowledged_ms: Series,
    /// What the process had read when it was ready.
    read_mib: Series,
    cpu_ms: Series,
}

fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    in_own_directory(&arguments.dir, || measure(&arguments))
}

fn measure(arguments: &Arguments) -> Result<(), Fault> {
    heading(&format!("recovery: {} GiB of values, kill -9 under load", arguments.gib));
    let data = arguments.dir.join("data");
    let mut acknowledged = fill(&data, arguments)?;
    let named = |name| Row { name, ..Row::default() };
    let [mut killed, mut stopped] = ["start after kill -9", "start after a stop"].map(named);
    let (mut bare, mut company) = (Series::default(), Company::default());
    for _ in 0..arguments.runs.max(1) {
        acknowledged += load_and_kill(&data, arguments)?;
        forget_files()?;
        let server = start(&mut killed, &data, &mut company)?;
        acknowledged += 1;
        check_stored(&server, &mut acknowledged)?;
        drop(server);
        let bytes = (killed.read_mib.last() * 1048576.0) as u64;
        bare.add(bare_loop(&data, bytes)?);
        forget_files()?;
        drop(start(&mut stopped, &data, &mut company)?);
        acknowledged += 1;
    }
    let gb = stored_bytes(&data)? as f64 / 1e9;
    print(&[killed, stopped], &bare, gb, &company);
    Ok(())
}

fn topic(index: usize) -> String {
    format!("history{index}")
}

/// Publishers with a topic each.
fn publishing(server: &Mainstem, arguments: &Arguments) -> Result<ClosedLoop<Http>, Fault> {
    let dialects = (0..PUBLISHERS).flat_map(|index| {
        let topic = topic(index);
        let batch = Batch { topic: &topic, records: PER_BATCH, bytes: arguments.bytes };
        Http::many(1, server.address, &server.key, batch)
    });
    ClosedLoop::open(server.address, dialects.collect(), PER_BATCH)
}

/// Publishes the history and stops in good order; answers how many records were acknowledged.
fn fill(data: &Path, arguments: &Arguments) -> Result<u64, Fault> {
    let mut server = Mainstem::start(data)?;
    let records = (arguments.gib * (1 << 30) as f64 / arguments.bytes as f64) as u64;
    let mut publishing = publishing(&server, arguments)?;
    let run = publishing.run(FILL_MAX, records)?;
    eprintln!("filled at {:.0} records/s", run.records_per_second());
    server.process.stop();
    Ok(publishing.acknowledged())
}

/// Kills the server in the middle of publishing; answers how many records were acknowledged.
fn load_and_kill(data: &Path, arguments: &Arguments) -> Result<u64, Fault> {
    let mut server = Mainstem::start(data)?;
    let mut publishing = publishing(&server, arguments)?;
    let length = Duration::from_secs_f64(arguments.seconds);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| publishing.run(4 * length, u64::MAX).map(drop));
        std::thread::sleep(length);
        server.process.kill();
        match load.join() {
            Ok(Err(_cut_off)) => Ok(()),
            _ => Err("the server did not die in the middle of publishing"),
        }
    })?;
    Ok(publishing.acknowledged())
}

fn start(row: &mut Row, data: &Path, company: &mut Company) -> Result<Mainstem, Fault> {
    let watch = Watch::begin(data.parent().unwrap_or(data))?;
    let begin = Instant::now();
    let server = Mainstem::start(data)?;
    let read_bytes = server.process.read_bytes();
    let cpu = server.process.cpu();
    row.ready_ms.add(server.start.as_secs_f64() * 1e3);
    row.read_mib.add(read_bytes as f64 / 1048576.0);
    row.cpu_ms.add(cpu.as_secs_f64() * 1e3);
    publish_one(&server, &topic(0))?;
    row.acknowledged_ms.add(begin.elapsed().as_secs_f64() * 1e3);
    company.add(&watch.end()?, cpu);
    Ok(server)
}

/// Answers the offset of the record.
fn publish_one(server: &Mainstem, topic: &str) -> Result<u64, Fault> {
    let body = format!(r#"{{"topic":"{topic}","data":"one"}}"#);
    let (status, answer) = server.client()?.post("/v1/events", &body)?;
    let parsed: Value = serde_json::from_str(&answer)?;
    parsed["offset"].as_u64().ok_or_else(|| format!("{status}: {answer}").into())
}

/// What was acknowledged is there: the next offsets of the topics count it.
fn check_stored(server: &Mainstem, acknowledged: &mut u64) -> Result<(), Fault> {
    let mut stored = 0;
    for index in 0..PUBLISHERS {
        stored += publish_one(server, &topic(index))?;
    }
    if stored < *acknowledged {
        return Err(format!("{acknowledged} records were acknowledged, {stored} are there").into());
    }
    // What was stored without being acknowledged counts from here on, and so do these.
    *acknowledged = stored + PUBLISHERS as u64;
    Ok(())
}

/// Files are read from the device, as after the loss of power.
fn forget_files() -> Result<(), Fault> {
    rustix::fs::sync();
    let forgotten = std::fs::write("/proc/sys/vm/drop_caches", "1");
    forgotten.map_err(|error| format!("only root can have files read anew: {error}").into())
}

fn extents(data: &Path) -> Result<Vec<(SystemTime, PathBuf, u64)>, Fault> {
    let mut extents = Vec::new();
    for entry in std::fs::read_dir(data.join("log").join("extents"))? {
        let entry = entry?;
        let about = entry.metadata()?;
        extents.push((about.modified()?, entry.path(), about.len()));
    }
    extents.sort_unstable();
    Ok(extents)
}

fn stored_bytes(data: &Path) -> Result<u64, Fault> {
    Ok(extents(data)?.iter().map(|(_, _, bytes)| bytes).sum())
}

/// Milliseconds to read so many bytes of the newest extents, one piece after the other.
fn bare_loop(data: &Path, bytes: u64) -> Result<f64, Fault> {
    forget_files()?;
    let mut buffer = vec![0; READ_BYTES];
    let (begin, mut left) = (Instant::now(), bytes as usize);
    for (_, path, _) in extents(data)?.into_iter().rev() {
        let mut file = std::fs::File::open(path)?;
        while left > 0 {
            let wanted = left.min(buffer.len());
            let count = file.read(buffer.get_mut(..wanted).unwrap_or_default())?;
            if count == 0 {
                break;
            }
            left -= count;
        }
    }
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

fn print(rows: &[Row; 2], bare: &Series, gb: f64, company: &Company) {
    println!("the log has {gb:.1} GB");
    println!(
        "{:<22} {:>22} {:>26} {:>22} {:>20}",
        "row", "ready, ms", "first acknowledged, ms", "read by then, MiB", "server CPU, ms"
    );
    for row in rows {
        println!(
            "{:<22} {:>22} {:>26} {:>22} {:>20}",
            row.name,
            row.ready_ms.told(0),
            row.acknowledged_ms.told(0),
            row.read_mib.told(0),
            row.cpu_ms.told(0),
        );
    }
    let [killed, stopped] = rows;
    println!("bare loop that reads as many bytes, ms: {}", bare.told(0));
    println!("ratio after kill -9 / bare loop: {:.1}", killed.ready_ms.median() / bare.median());
    let ratio = killed.ready_ms.median() / stopped.ready_ms.median();
    println!("ratio after kill -9 / after a stop: {ratio:.1}");
    let target = TARGET_SECONDS_PER_10_GB;
    let seconds = killed.acknowledged_ms.at(1.0) / 1e3;
    against("slowest start to first acknowledged, seconds", seconds, target, Better::Less);
    company.print();
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    let bare = bare.json();
    println!(
        "{}",
        json!({ "bench": "recovery", "log_gb": gb, "rows": rows, "bare_ms": bare,
                "company": company.json() })
    );
}

impl Row {
    fn json(&self) -> Value {
        json!({
            "row": self.name, "ready_ms": self.ready_ms.json(),
            "acknowledged_ms": self.acknowledged_ms.json(), "read_mib": self.read_mib.json(),
            "cpu_ms": self.cpu_ms.json(),
        })
    }
}
