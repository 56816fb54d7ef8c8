//! A history read back: every record of a topic by one SSE client from the earliest on, and single
//! records found by a random time in it. Beside it, the same bytes through a bare socket on the
//! same machine: less time than that nobody needs.

use benches::closed_loop::ClosedLoop;
use benches::dialects::{Batch, Http};
use benches::fanout::cpu;
use benches::http::{Body, Chunks, Client, head};
use benches::machine::Watch;
use benches::mainstem::Mainstem;
use benches::report::{Better, Company, Series, against, heading};
use benches::{Fault, in_own_directory};
use clap::Parser;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TARGET_REPLAY_SECONDS: f64 = 10.0;
const TARGET_SEEK_MS: f64 = 5.0;
const TOPIC: &str = "history";
const PUBLISHERS: usize = 16;
const FILL_MAX: Duration = Duration::from_secs(300);
const REPLAY_MAX: Duration = Duration::from_secs(120);
const READ_BYTES: usize = 256 * 1024;
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Parser)]
#[command(about = "Replay of a history by one SSE client, and seeks by time")]
struct Arguments {
    /// A directory for the server's data; made, and removed at the end.
    #[arg(long, default_value = "bench-replay")]
    dir: PathBuf,
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// Records published at once.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    #[arg(long, default_value_t = 50)]
    seeks: usize,
    /// Runs; the medians are shown.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// One replay, and the bare socket's time for its bytes.
struct Replayed {
    seconds: f64,
    server_cpu: Duration,
    stream_bytes: u64,
}

fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    in_own_directory(&arguments.dir, || measure(&arguments))
}

fn measure(arguments: &Arguments) -> Result<(), Fault> {
    let (records, bytes) = (arguments.records, arguments.bytes);
    heading(&format!("replay: {records} records of {bytes} B by one SSE client"));
    let data = arguments.dir.join("data");
    let mut server = Mainstem::start(&data)?;
    let times = fill(&server, arguments)?;
    // Read from files, not from what the writing left in the server's memory.
    server.process.stop();
    let server = Mainstem::start(&data)?;
    let mut company = Company::default();
    let (mut seconds, mut bare, mut server_us) = <(Series, Series, Series)>::default();
    let mut seek = Series::default();
    let mut stream_bytes = 0;
    for _ in 0..arguments.runs.max(1) {
        let (watch, load_before) = (Watch::begin(&arguments.dir)?, cpu());
        let replayed = replay(&server, records)?;
        company.add(&watch.end()?, replayed.server_cpu + (cpu() - load_before));
        seconds.add(replayed.seconds);
        server_us.add(replayed.server_cpu.as_secs_f64() * 1e6 / records as f64);
        stream_bytes = replayed.stream_bytes;
        bare.add(bare_socket(stream_bytes)?);
        seek.add(seeks(&server, &times, arguments.seeks)?.median());
    }
    println!("replay, seconds: {}", seconds.told(2));
    println!("replay, server CPU us per record: {}", server_us.told(2));
    println!("the same {stream_bytes} bytes through a bare socket, seconds: {}", bare.told(2));
    println!("ratio replay / bare socket: {:.1}", seconds.median() / bare.median());
    println!("seek by time, median of {} each run, ms: {}", arguments.seeks, seek.told(2));
    against("replay, seconds", seconds.median(), TARGET_REPLAY_SECONDS, Better::Less);
    against("seek, ms", seek.median(), TARGET_SEEK_MS, Better::Less);
    company.print();
    let report = json!({
        "bench": "replay", "records": records, "seconds": seconds.json(), "bare": bare.json(),
        "server_us_per_record": server_us.json(), "seek_ms": seek.json(),
        "stream_bytes": stream_bytes, "company": company.json(),
    });
    println!("{report}");
    Ok(())
}

/// Publishes the history; the time, in ms since 1970, of its begin and of its end.
fn fill(server: &Mainstem, arguments: &Arguments) -> Result<std::ops::Range<u64>, Fault> {
    let begin = now_ms()?;
    let batch = Batch { topic: TOPIC, records: arguments.batch, bytes: arguments.bytes };
    let dialects = Http::many(PUBLISHERS, server.address, &server.key, batch);
    let mut publishing = ClosedLoop::open(server.address, dialects, arguments.batch)?;
    // Batches under way when enough were counted are stored as well.
    let under_way = (PUBLISHERS * arguments.batch) as u64;
    let run = publishing.run(FILL_MAX, arguments.records.saturating_sub(under_way))?;
    let end = now_ms()?;
    eprintln!("filled at {:.0} records/s", run.records_per_second());
    let path = format!("/v1/topics/{TOPIC}/records?from=latest&limit=1");
    server.client()?.get(&path)?;
    // The rest, one batch after the other, until there are enough.
    let mut client = server.client()?;
    let body = format!(r#"{{"topic":"{TOPIC}","data":"{}"}}"#, "x".repeat(arguments.bytes - 2));
    loop {
        let (status, answer) = client.post("/v1/events", &body)?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        let offset = answer["offset"].as_u64().ok_or(format!("{status}: {answer}"))?;
        if offset + 1 >= arguments.records {
            return Ok(begin..end);
        }
    }
}

/// Follows the topic from the earliest record on until all have come.
fn replay(server: &Mainstem, records: u64) -> Result<Replayed, Fault> {
    let mut socket = TcpStream::connect(server.address)?;
    socket.set_read_timeout(Some(REPLAY_MAX))?;
    let (address, key) = (server.address, &server.key);
    let request = format!(
        "GET /v1/sse?topics={TOPIC}&from=earliest HTTP/1.1\r\nhost: {address}\r\n\
         authorization: Bearer {key}\r\naccept: text/event-stream\r\n\r\n"
    );
    let cpu_before = server.process.cpu();
    let begin = Instant::now();
    socket.write_all(request.as_bytes())?;
    let mut buffer = vec![0; READ_BYTES];
    let mut answer = Vec::new();
    let head = loop {
        let count = socket.read(&mut buffer)?;
        answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
        match head(&answer)? {
            Some(head) => break head,
            None if count == 0 => return Err("the stream ended before it began".into()),
            None => {}
        }
    };
    if (head.status, head.body) != (200, Body::Chunked) {
        return Err(String::from_utf8_lossy(&answer).into());
    }
    let (mut chunks, mut events) = (Chunks::default(), Events::default());
    chunks.take(answer.get(head.head_bytes..).unwrap_or_default(), |piece| events.take(piece))?;
    let mut stream_bytes = answer.len() as u64;
    while events.records < records {
        let count = socket.read(&mut buffer)?;
        if count == 0 || begin.elapsed() > REPLAY_MAX {
            return Err(format!("{} of {records} records came", events.records).into());
        }
        let bytes = buffer.get(..count).unwrap_or_default();
        chunks.take(bytes, |piece| events.take(piece))?;
        stream_bytes += count as u64;
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Replayed { seconds, server_cpu: server.process.cpu() - cpu_before, stream_bytes })
}

/// Counts the lines of an event stream that begin a record.
#[derive(Default)]
struct Events {
    records: u64,
    /// The begin of the current line, as far as it tells what the line is.
    line: Vec<u8>,
}

const RECORD: &[u8] = br#"data: {"topic":"#;

impl Events {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wanted = RECORD.len().saturating_sub(self.line.len());
            let end = memchr::memchr(b'\n', bytes);
            let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
            let missed = self.line.len() < RECORD.len();
            self.line.extend_from_slice(line.get(..wanted.min(line.len())).unwrap_or_default());
            if missed && self.line == RECORD {
                self.records += 1;
            }
            if end.is_some() {
                self.line.clear();
            }
            bytes = rest;
        }
    }
}

/// Seconds a bare socket needs for as many bytes, written and read in large pieces.
fn bare_socket(bytes: u64) -> Result<f64, Fault> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let writer = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut socket, _) = listener.accept()?;
        let piece = vec![b'x'; READ_BYTES];
        let mut left = bytes as usize;
        while left > 0 {
            let count = left.min(piece.len());
            socket.write_all(piece.get(..count).unwrap_or_default())?;
            left -= count;
        }
        Ok(())
    });
    let begin = Instant::now();
    let mut socket = TcpStream::connect(address)?;
    let mut buffer = vec![0; READ_BYTES];
    while socket.read(&mut buffer)? > 0 {}
    let seconds = begin.elapsed().as_secs_f64();
    writer.join().map_err(|_| "the writer of the bare socket fell over")??;
    Ok(seconds)
}

/// Milliseconds of single reads at random times of the history, on one connection.
fn seeks(server: &Mainstem, times: &std::ops::Range<u64>, count: usize) -> Result<Series, Fault> {
    let mut client = server.client()?;
    let mut took = Series::default();
    for _ in 0..count {
        let random = uuid::Uuid::new_v4().as_u128() as u64;
        let time = times.start + random % (times.end - times.start).max(1);
        took.add(seek(&mut client, time)?);
    }
    std::thread::sleep(PAUSE);
    Ok(took)
}

fn seek(client: &mut Client, time_ms: u64) -> Result<f64, Fault> {
    let path = format!("/v1/topics/{TOPIC}/records?from=time:{time_ms}&limit=1");
    let begin = Instant::now();
    let (status, page) = client.get(&path)?;
    let took = begin.elapsed().as_secs_f64() * 1e3;
    let found: serde_json::Value = serde_json::from_str(&page)?;
    let at = found["records"][0]["timestamp"].as_u64();
    match at {
        Some(at) if at >= time_ms => Ok(took),
        _ => Err(format!("{status}: nothing found at {time_ms}: {page}").into()),
    }
}

fn now_ms() -> Result<u64, Fault> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}
