//! Fan-out beside other servers: the same load against each in turn, all processes of their own.
//! It knows how much is published and counts what comes; the servers' ways are in `rivals`.

use benches::http::Client;
use benches::machine::Watch as Machine;
use benches::report::{Company, heading};
use benches::rivals::{self, servers};
use benches::{Fault, in_own_directory};
use clap::Parser;
use cli::bench::dialects::Role;
use serde_json::{Value, json};
use servers::Server;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use swarm::watch::{Watch, sample};
use swarm::{Lead, Plan, Press, Rate, Signals, Work};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SETTLE_MAX: Duration = Duration::from_secs(60);
/// Nothing more comes once nothing has come for so long.
const QUIET_MAX: Duration = Duration::from_secs(10);
const FIXED_RATE: f64 = 10_000.0;
/// Records the publisher may be ahead of the mean subscriber: of one topic, and of each of many.
const AHEAD_MAX: f64 = 64.0;
const AHEAD_EACH_MAX: f64 = 4.0;
const WARM_SECONDS: f64 = 1.0;
/// Connections that publish, at most one per topic.
const PUBLISHERS_MAX: u32 = 8;
/// Who speaks WebSocket beside us.
const WEB_SOCKET_PEERS: [&str; 4] = ["uws-bun", "ws", "socket-io", "nats"];

#[derive(Parser)]
#[command(about = "Fan-out beside other servers")]
struct Arguments {
    /// `crew` holds connections for another process of this program; else names of servers to
    /// measure, all without.
    names: Vec<String>,
    /// A directory for the servers' data; made, and removed at the end.
    #[arg(long, default_value = "bench-peers")]
    dir: PathBuf,
    /// Where `benches/peers/install` has put what is not from the distribution.
    #[arg(long, default_value = "target/peers")]
    installed: PathBuf,
    #[arg(long, default_value_t = 10_000)]
    subscribers: u32,
    /// Topics of the second scenario, with ten subscribers each.
    #[arg(long, default_value_t = 1_000)]
    topics: u32,
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    #[arg(long, default_value_t = 2_500.0)]
    connect_rate: f64,
    /// Adds the rows to this file, and prints the table of all that are in it.
    #[arg(long)]
    rows: Option<PathBuf>,
}

fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    if arguments.names.iter().any(|name| name == "crew") {
        return Ok(swarm::crew::run(rivals::make)?);
    }
    swarm::raise_file_limit();
    in_own_directory(&arguments.dir, || measure(&arguments))
}

fn measure(arguments: &Arguments) -> Result<(), Fault> {
    let names = match arguments.names.as_slice() {
        [] => servers::ALL.map(str::to_owned).to_vec(),
        some => some.to_vec(),
    };
    let (mut rows, mut left_out, mut company) = (Vec::new(), Vec::new(), Company::default());
    for name in &names {
        eprintln!("> {name}");
        for (scenario, streams) in [("one topic", 1), ("many topics", arguments.topics)] {
            match one(arguments, name, streams, &mut company) {
                Ok(mut row) => {
                    row["name"] = json!(name);
                    row["scenario"] = json!(scenario);
                    rows.push(row);
                }
                Err(why) => {
                    left_out.push(json!({ "name": name, "why": why.to_string() }));
                    break;
                }
            }
        }
    }
    if let Some(file) = &arguments.rows {
        let old = std::fs::read_to_string(file).unwrap_or_default();
        let old = old.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let is_new = |row: &Value| !names.iter().any(|name| row["name"] == **name);
        rows = old.filter(is_new).chain(rows).collect();
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(file, lines)?;
    }
    print(arguments, &rows, &left_out);
    company.print();
    println!("{}", json!({ "bench": "peers", "rows": rows, "left_out": left_out }));
    Ok(())
}

/// One server and scenario: idle memory, a fixed rate, then as fast as it goes.
fn one(
    arguments: &Arguments,
    name: &str,
    streams: u32,
    company: &mut Company,
) -> Result<Value, Fault> {
    let dir = arguments.dir.join(format!("{streams}"));
    let server = servers::start(name, &dir, &arguments.installed)?;
    let address = if streams > 1 { "bench-{n}" } else { "bench" };
    make_topics(&server, address, streams)?;
    let before = sample(server.process.id());
    let mut lead = Lead::start(1, &|| {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg("crew");
        Ok(command)
    })?;
    let plan = plan(arguments, &server, address, streams, Role::Follow);
    lead.open(&plan)?;
    let settled = lead.settle(SETTLE_MAX, &|_| {})?;
    if settled.ready < u64::from(plan.count) {
        let why = lead.report()?.refusal.unwrap_or_default();
        return Err(format!("{} of {} subscribed: {why}", settled.ready, plan.count).into());
    }
    let idle = sample(server.process.id()).anonymous_bytes.saturating_sub(before.anonymous_bytes);
    let mut publisher = self::plan(arguments, &server, address, streams, Role::Publish);
    publisher.count = PUBLISHERS_MAX.min(streams);
    publisher.dialect = server.publish.to_owned();
    let mut press = Press::open(&publisher, rivals::make(&publisher)?)?;
    let each = f64::from(plan.count) / f64::from(streams);
    let fixed = Rate::Even { per_second: FIXED_RATE / each };
    let ahead_max = if streams > 1 { AHEAD_EACH_MAX } else { AHEAD_MAX };
    let full = Rate::Full { ahead_max };
    let mut rates = Vec::new();
    for rate in [fixed, full] {
        let work = Work {
            rate,
            streams,
            bytes: arguments.bytes,
            batch: 1,
            seconds: arguments.seconds,
            records_max: 0,
        };
        let machine = Machine::begin(&arguments.dir)?;
        phase(&mut lead, &mut press, &Work { seconds: WARM_SECONDS, ..work }, &server)?;
        rates.push(phase(&mut lead, &mut press, &work, &server)?);
        let cpu = server.process.cpu() + Duration::from_secs_f64(lead.report()?.cpu_seconds);
        company.add(&machine.end()?, cpu);
    }
    let mut rates = rates.into_iter();
    Ok(json!({ "idle_bytes": idle as f64 / f64::from(plan.count), "fixed": rates.next(),
               "full": rates.next() }))
}

fn phase(lead: &mut Lead, press: &mut Press, work: &Work, server: &Server) -> Result<Value, Fault> {
    lead.measure()?;
    let (deliveries, stop) = (lead.deliveries(), AtomicBool::new(false));
    let subscribers = f64::from(lead.connections);
    let received = || deliveries.count() as f64 / subscribers;
    let (watch, begin) = (Watch::begin(server.process.id())?, Instant::now());
    let pressed = press.run(work, &Signals { received: &received, stop: &stop })?;
    let each = u64::from(lead.connections) / u64::from(work.streams);
    let expected = pressed.records * each;
    let (mut last, mut since) = (0, Instant::now());
    while deliveries.count() < expected && since.elapsed() < QUIET_MAX {
        lead.progress()?;
        if deliveries.count() != last {
            (last, since) = (deliveries.count(), Instant::now());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let quiet = if deliveries.count() < expected { QUIET_MAX } else { Duration::ZERO };
    let seconds = begin.elapsed().saturating_sub(quiet).as_secs_f64();
    let report = lead.report()?;
    let count = report.all.deliveries;
    Ok(json!({
        "deliveries": count,
        "missing": expected.saturating_sub(count),
        "doubled": report.all.doubled,
        "per_second": count as f64 / seconds,
        "cpu_us": watch.cpu().as_secs_f64() * 1e6 / count.max(1) as f64,
        "p50_ms": report.all.latencies.at_ms(0.5),
        "p99_ms": report.all.latencies.at_ms(0.99),
        "bytes": report.all.bytes as f64 / count.max(1) as f64,
    }))
}

fn plan(arguments: &Arguments, server: &Server, address: &str, streams: u32, role: Role) -> Plan {
    let count = if streams > 1 { streams * 10 } else { arguments.subscribers };
    Plan {
        server: server.address,
        tls_name: None,
        sources: Vec::new(),
        first: 0,
        count,
        streams,
        per_second: arguments.connect_rate,
        retries_max: 0,
        receive_bytes: 0,
        keeps_cursors: false,
        dialect: server.follow.to_owned(),
        settings: servers::settings(server, address, role),
    }
}

fn make_topics(server: &Server, address: &str, streams: u32) -> Result<(), Fault> {
    let Some(durability) = server.makes_topics else { return Ok(()) };
    let mut client = Client::connect(server.address, &server.secret)?;
    for stream in 0..streams {
        let path = format!("/v1/topics/{}", address.replace("{n}", &stream.to_string()));
        let body = json!({ "partitions": 1, "durability": durability }).to_string();
        let (status, answer) = client.put(&path, &body)?;
        if !(200..300).contains(&status) {
            return Err(answer.into());
        }
    }
    Ok(())
}

fn print(arguments: &Arguments, rows: &[Value], left_out: &[Value]) {
    let (subscribers, topics, bytes) = (arguments.subscribers, arguments.topics, arguments.bytes);
    heading(&format!(
        "peers: {subscribers} subscribers of one topic, and {topics} topics of 10, {bytes} B"
    ));
    for scenario in ["one topic", "many topics"] {
        let here: Vec<&Value> = rows.iter().filter(|row| row["scenario"] == scenario).collect();
        if here.is_empty() {
            continue;
        }
        println!("\n## {scenario}");
        println!(
            "{:<38} {:>7} | {:>8} {:>7} {:>7} | {:>8} {:>9} {:>7} | {:>6} {:>6} {:>6}",
            "fixed 10,000/s | full rate | of bare",
            "B idle",
            "us/deliv",
            "p50 ms",
            "p99 ms",
            "us/deliv",
            "k deliv/s",
            "p99 ms",
            "fixed",
            "full",
            "rate"
        );
        let bare = here.iter().find(|row| row["name"] == "bare");
        for row in &here {
            let number = |row: &Value, phase: &str, member: &str| {
                row[phase][member].as_f64().unwrap_or(f64::NAN)
            };
            let ratio = |phase, member| {
                bare.map_or(f64::NAN, |bare| {
                    number(row, phase, member) / number(bare, phase, member)
                })
            };
            let lost = number(row, "fixed", "missing") + number(row, "full", "missing");
            println!(
                "{:<38} {:>7.0} | {:>8.2} {:>7.1} {:>7.1} | {:>8.3} {:>9.0} {:>7.1} \
                 | {:>6.2} {:>6.2} {:>6.2}{}",
                servers::title(row["name"].as_str().unwrap_or_default()),
                row["idle_bytes"].as_f64().unwrap_or_default(),
                number(row, "fixed", "cpu_us"),
                number(row, "fixed", "p50_ms"),
                number(row, "fixed", "p99_ms"),
                number(row, "full", "cpu_us"),
                number(row, "full", "per_second") / 1_000.0,
                number(row, "full", "p99_ms"),
                ratio("fixed", "cpu_us"),
                ratio("full", "cpu_us"),
                ratio("full", "per_second"),
                if lost > 0.0 { format!("  {lost:.0} not delivered") } else { String::new() },
            );
        }
        beside_best(&here);
    }
    for one in left_out {
        println!("left out: {}: {}", one["name"].as_str().unwrap_or_default(), one["why"]);
    }
}

/// Deliveries per second beside the fastest other server that speaks WebSocket.
fn beside_best(rows: &[&Value]) {
    let rate = |row: &Value| row["full"]["per_second"].as_f64().unwrap_or_default();
    let is_peer = |row: &&&Value| WEB_SOCKET_PEERS.iter().any(|name| row["name"] == *name);
    let best = rows.iter().filter(is_peer).max_by(|left, right| rate(left).total_cmp(&rate(right)));
    let Some(best) = best else { return };
    let title = |row: &Value| servers::title(row["name"].as_str().unwrap_or_default());
    let is_ours = |row: &&&Value| row["name"].as_str().is_some_and(|one| one.starts_with("main"));
    for ours in rows.iter().filter(is_ours) {
        let ratio = rate(ours) / rate(best);
        println!("ratio of deliveries/s, {} / {}: {ratio:.2}", title(ours), title(best));
    }
}
