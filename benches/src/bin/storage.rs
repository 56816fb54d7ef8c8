//! How fast the store commits, beside a bare loop of write and flush on the same disk in the same
//! run: closed loop, a fixed number of single records outstanding, every acknowledgement flushed.
//! Prints a table for people and one line of JSON for machines. It must not be a test: figures
//! depend on the machine and on who else uses it.

use benches::sealing::fixed_keys;
use benches::{Fault, in_own_directory};
use bytes::{Bytes, BytesMut};
use clap::Parser;
use parking_lot::{Condvar, Mutex};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stdx::disk::Open;
use stdx::{Disk, SystemClock, SystemDisk, SystemRng};
use storage::{DataKeys, Entry, Frame, Group, Options, Source, Store, StoreError, StreamId, World};
use types::{TenantId, TopicId};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser, Debug)]
#[command(about = "Flushed appends per second of the store, beside a bare write and flush loop")]
struct Arguments {
    /// A directory on the disk to measure; made, and removed at the end.
    #[arg(long, default_value = "bench-storage")]
    dir: PathBuf,
    /// Numbers of streams to spread the records over, one row each.
    #[arg(long, value_delimiter = ',', default_value = "1,20000")]
    streams: Vec<u64>,
    /// Sizes of a record's body in bytes, one row each.
    #[arg(long, value_delimiter = ',', default_value = "512,51200")]
    bytes: Vec<usize>,
    /// Records submitted and not yet acknowledged.
    #[arg(long, default_value_t = 64)]
    outstanding: usize,
    /// Length of one run.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Runs per row; the medians are shown.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// One run's figures; a row is the median of each.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    records_per_second: f64,
    commits_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    cpu_us_per_record: f64,
    written_per_body_byte: f64,
}

fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    in_own_directory(&arguments.dir, || measure(&arguments))
}

fn measure(arguments: &Arguments) -> Result<(), Fault> {
    // First, and its files stay until the end: a file system that discards freed blocks holds its
    // journal up for a while after files were removed.
    let opening = opening(arguments)?;
    let mut rows = Vec::new();
    println!(
        "{:<40} {:>12} {:>10} {:>8} {:>8} {:>8} {:>9} {:>9}",
        "row", "records/s", "commits/s", "p50 ms", "p99 ms", "max ms", "cpu us/r", "written/B"
    );
    for &bytes in &arguments.bytes {
        // What one group of the closed loop comes to: the best a bare loop could do for it.
        let group_bytes = (arguments.outstanding * (bytes + 96)).min(storage::GROUP_BYTES_MAX);
        let per_write = (group_bytes / (bytes + 96)).max(1);
        let mut bare = Vec::new();
        for how in [Open::Write, Open::Direct] {
            let figures = medians(arguments, || bare_loop(arguments, how, group_bytes, per_write));
            if let Some(figures) = figures? {
                let way = if how == Open::Write { "pwrite+fdatasync" } else { "O_DIRECT|O_DSYNC" };
                rows.push(show(&format!("bare {way}, {bytes} B"), figures, None));
                bare.push(figures.records_per_second);
            }
        }
        for &streams in &arguments.streams {
            for (how, keys) in [("plain", None), ("sealed", Some(fixed_keys()))] {
                let mut bench = Bench::open(arguments, streams, keys)?;
                let figures = medians(arguments, || bench.run(arguments, bytes).map(Some))?;
                bench.close()?;
                let name = format!("store, {streams} streams, {bytes} B, {how}");
                rows.extend(figures.map(|figures| show(&name, figures, bare.first().copied())));
            }
        }
    }
    let outstanding = arguments.outstanding;
    let report = json!({
        "bench": "storage", "outstanding": outstanding, "rows": rows, "opening_ms": opening,
    });
    println!("{report}");
    Ok(())
}

/// From `Store::open` to the first flushed record: in an empty directory, after a stop in good
/// order, and with one nearly full extent to be scanned, as after a crash.
fn opening(arguments: &Arguments) -> Result<Value, Fault> {
    let dir = arguments.dir.join("opening");
    let first_commit = |seconds: f64, bytes: usize| -> Result<f64, Fault> {
        let started = Instant::now();
        let mut bench = Bench::start(dir.clone(), 1, 1, None)?;
        while bench.source.acknowledged.lock().times.is_empty() {
            bench.drive(Duration::from_micros(100), 512)?;
        }
        let took = started.elapsed().as_secs_f64() * 1e3;
        if seconds > 0.0 {
            bench.drive(Duration::from_secs_f64(seconds), bytes)?;
        }
        bench.writer.stop();
        Ok(took)
    };
    let fresh = first_commit(0.0, 512)?;
    let closed = first_commit(1.0, 51_200)?;
    for entry in std::fs::read_dir(&dir)? {
        // Without its last block an extent looks as it does after a crash.
        let file = std::fs::File::options().write(true).open(entry?.path())?;
        if let Some(at) = file.metadata()?.len().checked_sub(4096) {
            std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], at)?;
        }
    }
    let crashed = first_commit(0.0, 512)?;
    println!(
        "open to first commit, ms: fresh {fresh:.1}, closed {closed:.1}, crashed {crashed:.1}"
    );
    Ok(json!({ "fresh": fresh, "closed": closed, "crashed": crashed }))
}

fn show(name: &str, figures: Figures, baseline: Option<f64>) -> Value {
    println!(
        "{:<40} {:>12.0} {:>10.0} {:>8.3} {:>8.3} {:>8.3} {:>9.2} {:>9.2}",
        name,
        figures.records_per_second,
        figures.commits_per_second,
        figures.p50_ms,
        figures.p99_ms,
        figures.max_ms,
        figures.cpu_us_per_record,
        figures.written_per_body_byte,
    );
    json!({
        "row": name,
        "records_per_second": figures.records_per_second.round(),
        "commits_per_second": figures.commits_per_second.round(),
        "p50_ms": figures.p50_ms, "p99_ms": figures.p99_ms, "max_ms": figures.max_ms,
        "cpu_us_per_record": figures.cpu_us_per_record,
        "written_per_body_byte": figures.written_per_body_byte,
        "ratio_to_bare_pwrite_fdatasync": baseline.map(|bare| figures.records_per_second / bare),
    })
}

fn medians(
    arguments: &Arguments,
    mut run: impl FnMut() -> Result<Option<Figures>, Fault>,
) -> Result<Option<Figures>, Fault> {
    let mut all = Vec::new();
    for _ in 0..arguments.runs.max(1) {
        match run()? {
            Some(figures) => all.push(figures),
            None => return Ok(None),
        }
    }
    let median = |field: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = all.iter().map(field).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Ok(Some(Figures {
        records_per_second: median(|f| f.records_per_second),
        commits_per_second: median(|f| f.commits_per_second),
        p50_ms: median(|f| f.p50_ms),
        p99_ms: median(|f| f.p99_ms),
        max_ms: median(|f| f.max_ms),
        cpu_us_per_record: median(|f| f.cpu_us_per_record),
        written_per_body_byte: median(|f| f.written_per_body_byte),
    }))
}

/// Writes the same block sizes over a file that was written before, one after the other, with
/// nothing else: no checksum, no copy, no second thread.
fn bare_loop(
    arguments: &Arguments,
    how: Open,
    group_bytes: usize,
    per_write: usize,
) -> Result<Option<Figures>, Fault> {
    const FILE_BYTES: u64 = 64 << 20;
    let disk = SystemDisk;
    if how == Open::Direct && disk.direct_align(&arguments.dir).is_none() {
        return Ok(None);
    }
    let path = arguments.dir.join("bare");
    let len = group_bytes.next_multiple_of(4096);
    let buffer = vec![7; len + 4096];
    let start = buffer.as_ptr().align_offset(4096);
    let block = &buffer[start..start + len];
    let file = disk.open(&path, how)?;
    file.allocate(FILE_BYTES)?;
    let places = FILE_BYTES / len as u64;
    for place in 0..places {
        file.write_at(block, place * len as u64)?;
    }
    file.flush()?;
    let (mut times, cpu, started) = (Vec::new(), cpu_time(), Instant::now());
    while started.elapsed().as_secs_f64() < arguments.seconds {
        let began = Instant::now();
        file.write_at(block, (times.len() as u64 % places) * len as u64)?;
        if how == Open::Write {
            file.flush()?;
        }
        times.push(began.elapsed());
    }
    let (commits, took) = (times.len(), started.elapsed());
    let records = (commits * per_write) as u64;
    let written = (commits * len) as u64;
    let body = (commits * group_bytes) as u64;
    let (cpu, commits) = (cpu_time() - cpu, commits as u64);
    std::fs::remove_file(path)?;
    Ok(Some(figures(&mut times, Totals { records, commits, written, body, took, cpu })))
}

struct Totals {
    records: u64,
    commits: u64,
    written: u64,
    body: u64,
    took: Duration,
    cpu: Duration,
}

fn figures(times: &mut [Duration], totals: Totals) -> Figures {
    times.sort_unstable();
    let at = |share: f64| {
        let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    let seconds = totals.took.as_secs_f64();
    Figures {
        records_per_second: totals.records as f64 / seconds,
        commits_per_second: totals.commits as f64 / seconds,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        max_ms: at(1.0),
        cpu_us_per_record: totals.cpu.as_secs_f64() * 1e6 / totals.records.max(1) as f64,
        written_per_body_byte: totals.written as f64 / totals.body.max(1) as f64,
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// A closed loop: the producer refills what was acknowledged, the writer gathers what is there.
#[derive(Default)]
struct Loop {
    waiting: Mutex<Vec<(Frame, Instant)>>,
    /// Send times of what the writer has taken; only the writer's thread touches it.
    taken: Mutex<Vec<Instant>>,
    acknowledged: Mutex<Acknowledged>,
    changed: Condvar,
    has_failed: AtomicBool,
}

#[derive(Default)]
struct Acknowledged {
    free: usize,
    times: Vec<Duration>,
}

impl Source for Loop {
    fn gather(&self, group: &mut Group) {
        let mut waiting = self.waiting.lock();
        let mut taken = self.taken.lock();
        let mut rest = std::mem::take(&mut *waiting).into_iter();
        for (frame, sent) in rest.by_ref() {
            if let Err(frame) = group.push(frame) {
                waiting.push((frame, sent));
                break;
            }
            taken.push(sent);
        }
        waiting.extend(rest);
    }

    fn settled(&self, outcome: Result<&[Entry], &StoreError>) {
        if let Err(error) = outcome {
            eprintln!("the store refused: {error}");
            self.has_failed.store(true, Ordering::Relaxed);
        }
        let now = Instant::now();
        let mut taken = self.taken.lock();
        let mut acknowledged = self.acknowledged.lock();
        acknowledged.free += taken.len();
        acknowledged.times.extend(taken.drain(..).map(|sent| now - sent));
        drop(acknowledged);
        self.changed.notify_one();
    }
}

struct Bench {
    store: Arc<Store>,
    writer: storage::Writer,
    source: Arc<Loop>,
    dir: PathBuf,
    streams: u64,
    next: u64,
}

impl Bench {
    fn open(
        arguments: &Arguments,
        streams: u64,
        keys: Option<Arc<dyn DataKeys>>,
    ) -> Result<Bench, Fault> {
        let dir = arguments.dir.join(format!("store-{streams}"));
        let mut bench = Bench::start(dir, streams, arguments.outstanding, keys)?;
        bench.warm()?;
        Ok(bench)
    }

    fn start(
        dir: PathBuf,
        streams: u64,
        outstanding: usize,
        keys: Option<Arc<dyn DataKeys>>,
    ) -> Result<Bench, Fault> {
        let world = World {
            disk: SystemDisk::shared(),
            clock: SystemClock::shared(),
            rng: SystemRng::shared(),
            keys,
        };
        let options = Options { pool_extents: 3, ..Options::new(&dir) };
        let (store, _) = Store::open(world, options, &mut |_, _, _| {})?;
        let source = Arc::new(Loop::default());
        source.acknowledged.lock().free = outstanding;
        let writer = store.start(source.clone());
        Ok(Bench { store, writer, source, dir, streams, next: 0 })
    }

    /// Until extents come back from use: that is how a log runs most of its life.
    fn warm(&mut self) -> Result<(), Fault> {
        while self.store.stats().extents_free < 3 {
            self.drive(Duration::from_millis(100), 50 << 10)?;
            self.recycle()?;
        }
        Ok(())
    }

    fn recycle(&self) -> Result<(), Fault> {
        let mut done = None;
        for span in self.store.take_sealed() {
            if done.replace(span.extent) != Some(span.extent) {
                self.store.release(span.extent, span.generation)?;
            }
        }
        Ok(())
    }

    fn run(&mut self, arguments: &Arguments, bytes: usize) -> Result<Figures, Fault> {
        self.source.acknowledged.lock().times.clear();
        let (before, cpu, started) = (self.store.stats(), cpu_time(), Instant::now());
        let slice = Duration::from_millis(50);
        while started.elapsed().as_secs_f64() < arguments.seconds {
            self.drive(slice, bytes)?;
            self.recycle()?;
        }
        let (took, after, cpu) = (started.elapsed(), self.store.stats(), cpu_time() - cpu);
        let mut times = std::mem::take(&mut self.source.acknowledged.lock().times);
        let records = times.len() as u64;
        let (commits, written) = (after.commits - before.commits, after.bytes - before.bytes);
        let body = records * bytes as u64;
        Ok(figures(&mut times, Totals { records, commits, written, body, took, cpu }))
    }

    /// Keeps the loop full for a while.
    fn drive(&mut self, time: Duration, bytes: usize) -> Result<(), Fault> {
        let template = vec![7; bytes];
        let started = Instant::now();
        while started.elapsed() < time {
            let free = {
                let mut acknowledged = self.source.acknowledged.lock();
                while acknowledged.free == 0 {
                    self.source.changed.wait(&mut acknowledged);
                }
                std::mem::take(&mut acknowledged.free)
            };
            for _ in 0..free {
                let frame = self.frame(&template);
                self.source.waiting.lock().push((frame, Instant::now()));
                self.store.wake();
            }
            if self.source.has_failed.load(Ordering::Relaxed) {
                return Err("the store failed".into());
            }
        }
        Ok(())
    }

    fn frame(&mut self, template: &[u8]) -> Frame {
        self.next += 1;
        let mut body = BytesMut::from(template);
        let stamp = self.next.to_le_bytes();
        if let Some(head) = body.first_chunk_mut() {
            *head = stamp;
        }
        Frame {
            tenant: TenantId(Default::default()),
            stream: StreamId { topic: TopicId(1 + self.next % self.streams), partition: 0 },
            base_offset: self.next / self.streams,
            count: 1,
            max_timestamp: 0,
            keys: Box::default(),
            body: Bytes::from(body),
        }
    }

    fn close(self) -> Result<(), Fault> {
        self.writer.stop();
        remove(&self.dir)
    }
}

fn remove(dir: &Path) -> Result<(), Fault> {
    Ok(std::fs::remove_dir_all(dir)?)
}
