//! What an idle WebSocket connection costs the server in memory and CPU, beside the bare loop: the
//! growth of its resident memory per connection, from a fresh process, and what it uses while
//! nothing is said but keepalives.

use benches::load::{Load, Plan};
use benches::machine::Watch;
use benches::mainstem::Mainstem;
use benches::process::{Process, free_address, sibling, wait_until};
use benches::report::{Better, Company, Series, against, heading};
use benches::{Fault, in_own_directory};
use clap::Parser;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TARGET_BYTES: f64 = 8.0 * 1024.0;
/// From ready to the first connection, so that what a start leaves behind does not count.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(Parser)]
#[command(about = "Memory and CPU of idle WebSocket connections, beside a bare loop")]
struct Arguments {
    /// A directory for the server's data; made, and removed at the end.
    #[arg(long, default_value = "bench-idle")]
    dir: PathBuf,
    #[arg(long, default_value_t = 15_000)]
    connections: usize,
    /// How long they are watched being idle; a keepalive comes every 25 seconds.
    #[arg(long, default_value_t = 25.0)]
    seconds: f64,
    /// Runs per row; the medians are shown.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    #[arg(long, default_value_t = 2_500)]
    connect_rate: usize,
}

#[derive(Default)]
struct Row {
    name: &'static str,
    bytes: Series,
    cpu_us: Series,
    open_us: Series,
}

fn main() -> Result<(), Fault> {
    benches::fanout::raise_file_limit();
    let arguments = Arguments::parse();
    in_own_directory(&arguments.dir, || measure(&arguments))
}

fn measure(arguments: &Arguments) -> Result<(), Fault> {
    heading(&format!("idle: {} WebSocket connections", arguments.connections));
    let mut company = Company::default();
    let named = |name| Row { name, ..Row::default() };
    let mut rows = ["bare epoll", "mainstem, connected", "mainstem, subscribed"].map(named);
    let [bare, connected, subscribed] = &mut rows;
    let subscribe = [r#"{"type":"subscribe","id":1,"filter":"bench"}"#.to_owned()];
    for run in 0..arguments.runs.max(1) {
        let mut turn = Turn { arguments, company: &mut company };
        let (mut process, address) = bare_loop()?;
        turn.take(bare, &process, address, "/", &[])?;
        process.stop();
        for (row, send) in [(&mut *connected, &[][..]), (&mut *subscribed, &subscribe[..])] {
            let mut server = Mainstem::start(&arguments.dir.join(format!("data{run}")))?;
            let path = format!("/v1/ws?access_token={}", server.key);
            turn.take(row, &server.process, server.address, &path, send)?;
            server.process.stop();
        }
    }
    print(&rows, &company);
    Ok(())
}

fn bare_loop() -> Result<(Process, SocketAddr), Fault> {
    let address = free_address()?;
    let mut command = Command::new(sibling("bare_fanout")?);
    command.args(["--driven", "--listen", &address.to_string()]);
    let mut process = Process::of(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?);
    wait_until(&mut process, SETTLE * 10, || TcpStream::connect(address).is_ok())?;
    Ok((process, address))
}

struct Turn<'a> {
    arguments: &'a Arguments,
    company: &'a mut Company,
}

impl Turn<'_> {
    fn take(
        &mut self,
        row: &mut Row,
        server: &Process,
        address: SocketAddr,
        path: &str,
        send: &[String],
    ) -> Result<(), Fault> {
        std::thread::sleep(SETTLE);
        let (rss_before, cpu_before) = (server.rss_bytes(), server.cpu());
        let connections = self.arguments.connections;
        let load = Load::start(&Plan {
            address,
            path: path.to_owned(),
            connections,
            connect_rate: self.arguments.connect_rate,
            send: send.to_vec(),
        })?;
        load.wait_until_settled()?;
        let opened = server.cpu() - cpu_before;
        let growth = server.rss_bytes().saturating_sub(rss_before);
        let watch = Watch::begin(&self.arguments.dir)?;
        let (cpu_before, load_before) = (server.cpu(), load.cpu());
        std::thread::sleep(Duration::from_secs_f64(self.arguments.seconds));
        let cpu = server.cpu() - cpu_before;
        let seen = watch.end()?;
        self.company.add(&seen, cpu + (load.cpu() - load_before));
        let each = |value: f64| value / connections.max(1) as f64;
        row.bytes.add(each(growth as f64));
        row.cpu_us.add(each(cpu.as_secs_f64() * 1e6) / seen.seconds);
        row.open_us.add(each(opened.as_secs_f64() * 1e6));
        Ok(())
    }
}

fn print(rows: &[Row; 3], company: &Company) {
    println!(
        "{:<22} {:>28} {:>26} {:>26}",
        "row", "RSS bytes/connection", "idle us/s/connection", "us to open one"
    );
    for row in rows {
        println!(
            "{:<22} {:>28} {:>26} {:>26}",
            row.name,
            row.bytes.told(0),
            row.cpu_us.told(2),
            row.open_us.told(0)
        );
    }
    let [bare, ours @ ..] = rows;
    for row in ours {
        let ratio = row.bytes.median() / bare.bytes.median();
        println!("ratio {} / bare epoll: {ratio:.1} in memory", row.name);
        against(row.name, row.bytes.median(), TARGET_BYTES, Better::Less);
    }
    company.print();
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({ "row": row.name, "bytes": row.bytes.json(), "idle_us": row.cpu_us.json(),
                    "open_us": row.open_us.json() })
        })
        .collect();
    println!("{}", json!({ "bench": "idle", "rows": rows, "company": company.json() }));
}
