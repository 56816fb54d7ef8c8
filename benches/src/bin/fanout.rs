//! One topic, many WebSocket subscribers: what a delivery costs the server in CPU, beside a bare
//! loop of epoll and write, and beside NATS over WebSocket. Every server is a process of its own,
//! the subscribers are the same program, and the servers take turns within one run.

use benches::http::Client;
use benches::load::{Load, Plan, Received};
use benches::machine::Watch;
use benches::mainstem::Mainstem;
use benches::peers::{self, Flushing};
use benches::process::{Process, free_address, sibling};
use benches::report::{Better, Company, Series, against, heading};
use benches::{Fault, in_own_directory};
use clap::Parser;
use serde_json::{Value, json};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Times the bare loop's CPU.
const TARGET_RATIO: f64 = 1.3;
/// Deliveries per second of the phase without batches.
const SINGLE_RATE: usize = 20_000;
const BURST: usize = 64;
const BURST_EVERY: Duration = Duration::from_millis(500);
/// How long one publish may take to reach everybody.
const DELIVER_MAX: Duration = Duration::from_secs(30);
const TOPIC: &str = "bench";
/// Where Mainstem stands among the contenders.
const OURS: usize = 1;

#[derive(Parser)]
#[command(about = "CPU per delivery to many subscribers, beside a bare loop and NATS")]
struct Arguments {
    /// A directory for the servers' data; made, and removed at the end.
    #[arg(long, default_value = "bench-fanout")]
    dir: PathBuf,
    #[arg(long, default_value_t = 10_000)]
    subscribers: usize,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// Length of one phase; there are two for each server and run.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Runs; the medians are shown.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    #[arg(long, default_value_t = 2_000)]
    connect_rate: usize,
}

/// How a server is given records, and how what comes of them is counted.
enum Publisher {
    Bare(ChildStdin),
    Mainstem(Client),
    Nats(TcpStream),
}

/// A server with its subscribers, and its figures.
struct Contender {
    name: &'static str,
    process: Process,
    publisher: Publisher,
    load: Load,
    single_us: Series,
    burst_us: Series,
    bytes_per_delivery: f64,
}

fn main() -> Result<(), Fault> {
    benches::fanout::raise_file_limit();
    let arguments = Arguments::parse();
    in_own_directory(&arguments.dir, || measure(&arguments))
}

fn measure(arguments: &Arguments) -> Result<(), Fault> {
    heading(&format!("fanout: {} subscribers, {} B", arguments.subscribers, arguments.bytes));
    let mut contenders = vec![bare(arguments, "bare loop", arguments.bytes)?, mainstem(arguments)?];
    contenders.extend(nats(arguments)?);
    let mut company = Company::default();
    // Once more with frames of our size, which tells what the size costs and what the server does.
    let ours = contenders.get_mut(OURS).ok_or("no contender of our own")?;
    phase(ours, arguments, 1, BURST_EVERY, &mut company)?;
    let bytes = ours.bytes_per_delivery as usize;
    contenders.push(bare(arguments, "bare loop, our frame's size", bytes)?);
    for run in 0..=arguments.runs.max(1) {
        for contender in &mut contenders {
            let rate = (SINGLE_RATE / arguments.subscribers.max(1)).max(1) as u32;
            let every = Duration::from_secs(1) / rate;
            let single = phase(contender, arguments, 1, every, &mut company)?;
            let burst = phase(contender, arguments, BURST, BURST_EVERY, &mut company)?;
            // In the first run buffers and caches reach their working size.
            if run > 0 {
                contender.single_us.add(single);
                contender.burst_us.add(burst);
            }
        }
    }
    print(&contenders, &company);
    Ok(())
}

/// CPU microseconds of the server per delivery.
fn phase(
    contender: &mut Contender,
    arguments: &Arguments,
    records: usize,
    every: Duration,
    company: &mut Company,
) -> Result<f64, Fault> {
    let watch = Watch::begin(&arguments.dir)?;
    let (cpu_before, load_before) = (contender.process.cpu(), contender.load.cpu());
    let begin = Instant::now();
    let begin_bytes = contender.load.received().payload_bytes;
    let (mut next, mut deliveries) = (begin, 0);
    while begin.elapsed() < Duration::from_secs_f64(arguments.seconds) {
        let before = contender.load.received();
        contender.publisher.publish(records, arguments.bytes)?;
        let expected = (records * arguments.subscribers) as u64;
        let count = |now: &Received| contender.publisher.deliveries(&before, now, arguments.bytes);
        if !contender.load.wait(DELIVER_MAX, |now| count(now) >= expected) {
            let came = count(&contender.load.received());
            return Err(format!("{}: {came} of {expected} deliveries", contender.name).into());
        }
        deliveries += expected;
        next += every;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let cpu = contender.process.cpu() - cpu_before;
    company.add(&watch.end()?, cpu + (contender.load.cpu() - load_before));
    let bytes = contender.load.received().payload_bytes - begin_bytes;
    contender.bytes_per_delivery = bytes as f64 / deliveries.max(1) as f64;
    Ok(cpu.as_secs_f64() * 1e6 / deliveries.max(1) as f64)
}

impl Publisher {
    fn publish(&mut self, records: usize, bytes: usize) -> Result<(), Fault> {
        match self {
            Publisher::Bare(input) => {
                writeln!(input, "{records}")?;
                input.flush()?;
            }
            Publisher::Mainstem(client) => {
                let value = "x".repeat(bytes.saturating_sub(2));
                let record = format!(r#"{{"topic":"{TOPIC}","data":"{value}"}}"#);
                let body = format!("[{}]", vec![record; records].join(","));
                let (status, answer) = client.post("/v1/events", &body)?;
                if status != 200 {
                    return Err(answer.into());
                }
            }
            Publisher::Nats(socket) => {
                let one = format!("PUB {TOPIC} {bytes}\r\n{}\r\n", "x".repeat(bytes));
                socket.write_all(one.repeat(records).as_bytes())?;
            }
        }
        Ok(())
    }

    /// NATS puts several messages into one frame, so there bytes are counted.
    fn deliveries(&self, before: &Received, now: &Received, bytes: usize) -> u64 {
        match self {
            Publisher::Bare(_) | Publisher::Mainstem(_) => now.messages - before.messages,
            Publisher::Nats(_) => {
                let head = format!("MSG {TOPIC} 1 {bytes}\r\n").len();
                (now.payload_bytes - before.payload_bytes) / (head + bytes + 2) as u64
            }
        }
    }
}

fn plan(arguments: &Arguments, address: SocketAddr, path: &str, send: &[&str]) -> Plan {
    Plan {
        address,
        path: path.to_owned(),
        connections: arguments.subscribers,
        connect_rate: arguments.connect_rate,
        send: send.iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn contender(
    name: &'static str,
    process: Process,
    publisher: Publisher,
    load: Load,
) -> Result<Contender, Fault> {
    load.wait_until_settled()?;
    let (single_us, burst_us) = Default::default();
    let bytes_per_delivery = 0.0;
    Ok(Contender { name, process, publisher, load, single_us, burst_us, bytes_per_delivery })
}

fn bare(arguments: &Arguments, name: &'static str, bytes: usize) -> Result<Contender, Fault> {
    let address = free_address()?;
    let mut command = Command::new(sibling("bare_fanout")?);
    command.args(["--driven", "--listen", &address.to_string()]);
    command.args(["--bytes", &bytes.to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let input = child.stdin.take().ok_or("no pipe to the bare loop")?;
    let mut process = Process::of(child);
    let is_open = || TcpStream::connect(address).is_ok();
    benches::process::wait_until(&mut process, Duration::from_secs(10), is_open)?;
    let load = Load::start(&plan(arguments, address, "/", &[]))?;
    contender(name, process, Publisher::Bare(input), load)
}

fn mainstem(arguments: &Arguments) -> Result<Contender, Fault> {
    let server = Mainstem::start(&arguments.dir.join("mainstem"))?;
    let path = format!("/v1/ws?access_token={}", server.key);
    let subscribe = format!(r#"{{"type":"subscribe","id":1,"filter":"{TOPIC}"}}"#);
    let load = Load::start(&plan(arguments, server.address, &path, &[&subscribe]))?;
    let publisher = Publisher::Mainstem(server.client()?);
    contender("mainstem WebSocket, JSON", server.process, publisher, load)
}

fn nats(arguments: &Arguments) -> Result<Option<Contender>, Fault> {
    let Some(server) = peers::Nats::start(&arguments.dir.join("nats"), Flushing::AsItComes)? else {
        println!("nats-server is not installed and left out");
        return Ok(None);
    };
    let connect = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";
    let send = format!("{connect}SUB {TOPIC} 1\r\nPING\r\n");
    let load = Load::start(&plan(arguments, server.web_socket, "/", &[&send]))?;
    let mut socket = TcpStream::connect(server.address)?;
    socket.set_nodelay(true)?;
    socket.write_all(connect.as_bytes())?;
    contender("nats-server WebSocket", server.process, Publisher::Nats(socket), load).map(Some)
}

fn print(contenders: &[Contender], company: &Company) {
    println!(
        "{:<28} {:>26} {:>26} {:>15}",
        "row", "us/delivery, single", "us/delivery, 64 at once", "bytes/delivery"
    );
    for one in contenders {
        println!(
            "{:<28} {:>26} {:>26} {:>15.0}",
            one.name,
            one.single_us.told(2),
            one.burst_us.told(3),
            one.bytes_per_delivery
        );
    }
    let Some(ours) = contenders.get(OURS) else { return };
    for peer in contenders.iter().filter(|peer| peer.name != ours.name) {
        let single = ours.single_us.median() / peer.single_us.median();
        let burst = ours.burst_us.median() / peer.burst_us.median();
        println!("ratio mainstem / {}: single {single:.2}, 64 at once {burst:.2}", peer.name);
        if peer.name == "bare loop" {
            against("ratio to the bare loop, single", single, TARGET_RATIO, Better::Less);
            against("ratio to the bare loop, 64 at once", burst, TARGET_RATIO, Better::Less);
        }
    }
    company.print();
    let rows: Vec<Value> = contenders
        .iter()
        .map(|one| {
            json!({ "row": one.name, "single_us": one.single_us.json(),
                    "burst_us": one.burst_us.json(), "bytes": one.bytes_per_delivery })
        })
        .collect();
    println!("{}", json!({ "bench": "fanout", "rows": rows, "company": company.json() }));
}
