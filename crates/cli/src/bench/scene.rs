//! What the loads have in common: the server they are for, the processes that hold the
//! connections, and the publishers.

use super::dialects::{self, Role, Settings};
use super::progress::{self, Audience};
use crate::target::{Api, segment};
use reqwest::Method;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use swarm::order::Progress;
use swarm::watch::{Sample, Watch};
use swarm::{Lead, Plan, Press};

/// A process may have 20,000 open files on many systems; some are not sockets.
const CONNECTIONS_PER_CLIENT: u32 = 19_000;
/// An address has 28,000 ports for outgoing connections by default, those of connections that ended
/// within a minute are not free, and from about half of them on Linux looks long for the next.
const CONNECTIONS_PER_SOURCE: u32 = 5_000;
/// Beyond what the rate asks for, opening may take so long.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// After the last record, deliveries are awaited as long as they keep coming at least this often.
const QUIET_MAX: Duration = Duration::from_secs(5);
/// How long an address may take to answer at first.
const REACH_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Topics made at the same time.
const MAKING_MAX: usize = 16;

#[derive(clap::Args, Debug, Clone, Default)]
pub struct Setting {
    /// Client processes that share the connections; 0 takes one for each 19,000.
    #[arg(long, default_value_t = 0)]
    pub clients: u32,
    /// Local addresses to connect from, in turn. For a server on loopback they are chosen
    /// (`127.0.0.1` and following) when one has too few ports.
    #[arg(long)]
    pub source: Vec<IpAddr>,
    /// The server's process, if it runs on this machine: its CPU and memory, with its child
    /// processes, become part of the report.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Writes the report to this file as JSON; without a file, prints it as JSON.
    #[arg(long, num_args = 0..=1, default_missing_value = "-", value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Setting {
    pub fn audience(&self) -> Audience {
        Audience::of(self.json.is_some())
    }
}

/// Some connections that are alike.
#[derive(Debug, Clone)]
pub struct Group {
    pub dialect: &'static str,
    pub role: Role,
    pub address: String,
    pub streams: u32,
    pub count: u32,
    pub per_second: f64,
    pub secrets: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Scene {
    server: SocketAddr,
    host: String,
    tls_name: Option<String>,
    secret: String,
    pub setting: Setting,
}

impl Scene {
    pub fn new(api: &Api, setting: &Setting) -> Result<Scene, String> {
        let (rest, port) = match (api.url.strip_prefix("http://"), api.url.strip_prefix("https://"))
        {
            (Some(rest), _) => (rest, 80),
            (None, Some(rest)) => (rest, 443),
            (None, None) => return Err(format!("{}: neither http:// nor https://", api.url)),
        };
        let host = rest.split('/').next().unwrap_or_default();
        let has_port = host.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok());
        let with_port = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        let name = with_port.rsplit_once(':').map_or(host, |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls_name = (port == 443).then_some(name);
        let server = reachable(&with_port)?;
        let (secret, setting) = (api.secret.clone(), setting.clone());
        Ok(Scene { server, host: host.to_owned(), tls_name, secret, setting })
    }

    pub fn plan(&self, group: &Group) -> Result<Plan, String> {
        let secrets = match group.secrets.as_slice() {
            [] => vec![self.secret.clone()],
            own => own.to_vec(),
        };
        let (role, address) = (group.role, group.address.clone());
        let settings = Settings { host: self.host.clone(), secrets, address, role };
        Ok(Plan {
            server: self.server,
            tls_name: self.tls_name.clone(),
            sources: self.sources(group.count),
            first: 0,
            count: group.count,
            streams: group.streams,
            per_second: group.per_second,
            retries_max: 0,
            receive_bytes: 0,
            keeps_cursors: false,
            dialect: group.dialect.to_owned(),
            settings: serde_json::to_value(settings).map_err(|error| error.to_string())?,
        })
    }

    /// Enough loopback addresses for the ports of all connections.
    fn sources(&self, connections: u32) -> Vec<IpAddr> {
        if !self.setting.source.is_empty() || !self.server.ip().is_loopback() {
            return self.setting.source.clone();
        }
        let count = connections.div_ceil(CONNECTIONS_PER_SOURCE);
        if count < 2 || self.server.is_ipv6() {
            return Vec::new();
        }
        let address = |turn: u32| {
            let [_, _, high, low] = turn.to_be_bytes();
            IpAddr::from(Ipv4Addr::new(127, 0, high, low))
        };
        (1..=count.min(60_000)).map(address).collect()
    }

    /// Starts the client processes and opens everything; an error if the server refused any.
    pub fn open(&self, plan: &Plan) -> Result<Lead, String> {
        let (lead, progress) = self.begin(plan)?;
        let mut lead = lead;
        if progress.ready < u64::from(plan.count) {
            let why = lead.report()?.refusal.unwrap_or_else(|| "not in time".to_owned());
            let (ready, count) = (progress.ready, plan.count);
            return Err(format!("{ready} of {count} connections could be opened: {why}"));
        }
        Ok(lead)
    }

    /// As `open`, but tells how far it came.
    pub fn begin(&self, plan: &Plan) -> Result<(Lead, Progress), String> {
        let clients = match self.setting.clients {
            0 => plan.count.div_ceil(CONNECTIONS_PER_CLIENT),
            given => given,
        };
        let mut lead = Lead::start(clients as usize, &|| {
            let program = std::env::current_exe().map_err(|error| error.to_string())?;
            let mut command = Command::new(program);
            command.args(["bench", "crew"]);
            Ok(command)
        })?;
        let bar = progress::bar(self.setting.audience(), u64::from(plan.count), "connections");
        lead.open(plan)?;
        let planned = match plan.per_second {
            rate if rate > 0.0 => Duration::from_secs_f64(f64::from(plan.count) / rate),
            _ => Duration::ZERO,
        };
        let tell = |now: &Progress| bar.set_position(now.ready + now.refused);
        let progress = lead.settle(planned + SETTLE_MAX, &tell)?;
        bar.finish_and_clear();
        Ok((lead, progress))
    }

    pub fn press(&self, group: &Group) -> Result<Press, String> {
        let plan = self.plan(group)?;
        let dialect = dialects::make(&plan)?;
        swarm::raise_file_limit();
        Press::open(&plan, dialect)
    }

    /// SIGKILL to the process that the load was told of.
    pub fn kill_server(&self) -> Result<(), String> {
        use rustix::process::{Pid, Signal, kill_process};
        let pid = self.setting.server_pid.and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(Pid::from_raw).ok_or("--server-pid names no process")?;
        kill_process(pid, Signal::KILL).map_err(|error| format!("kill {pid:?}: {error}"))
    }

    pub fn watch(&self) -> Result<Option<Watch>, String> {
        self.setting.server_pid.map(Watch::begin).transpose()
    }
}

/// The first of a name's addresses that answers: `localhost` has two, a server often one.
fn reachable(host: &str) -> Result<SocketAddr, String> {
    let found = host.to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
    let found: Vec<SocketAddr> = found.collect();
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, REACH_MAX).is_ok();
    let server = found.iter().find(answers).or(found.first());
    server.copied().ok_or_else(|| format!("{host} has no address"))
}

/// Waits until so much has been delivered, or nothing comes any more; answers what has.
pub fn await_deliveries(lead: &mut Lead, expected: u64) -> Result<u64, String> {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        let progress = lead.progress()?;
        let now = progress.deliveries + progress.deliveries_slow;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if now >= expected || since.elapsed() > QUIET_MAX {
            return Ok(now);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Deliveries that so many calls lead to, when connection N follows stream N modulo `streams` and
/// calls go to the streams in turn.
pub fn expected(calls: u64, batch: usize, streams: u32, subscribers: u32) -> u64 {
    let (streams, subscribers) = (u64::from(streams.max(1)), u64::from(subscribers));
    let of_stream = |all: u64, stream: u64| all / streams + u64::from(stream < all % streams);
    let records = |stream| of_stream(calls, stream) * batch as u64;
    (0..streams).map(|stream| records(stream) * of_stream(subscribers, stream)).sum()
}

/// What a connection costs, from before the first to now.
pub fn memory(before: &Sample, now: &Sample, connections: u32) -> Value {
    let each =
        |now: u64, before: u64| now.saturating_sub(before) as f64 / f64::from(connections.max(1));
    json!({
        "user_bytes_per_connection": each(now.anonymous_bytes, before.anonymous_bytes),
        "kernel_bytes_per_connection_both_ends":
            each(now.kernel_socket_bytes, before.kernel_socket_bytes),
        "kernel_queue_bytes": now.kernel_queue_bytes,
        "rss_bytes": now.rss_bytes,
    })
}

/// What the topics of a load are to be.
#[derive(Debug, Clone, Copy)]
pub struct Topics<'a> {
    /// `{n}` in it stands for the number of one.
    pub address: &'a str,
    pub streams: u32,
    pub durability: &'a str,
}

/// Makes the topics, of one partition each, so that a stream keeps its order. Those that are there
/// already stay as they are.
pub async fn make_topics(api: &Api, topics: Topics<'_>) -> Result<(), String> {
    let topic = topics.address.split('/').next().unwrap_or_default();
    let count = if topic.contains("{n}") { topics.streams } else { 1 };
    let mut making = tokio::task::JoinSet::new();
    for stream in 0..count {
        let name = topic.replace("{n}", &stream.to_string());
        let path = format!("/v1/topics/{}", segment(&name));
        let body = json!({ "partitions": 1, "durability": topics.durability });
        let api = api.clone();
        if making.len() >= MAKING_MAX
            && let Some(made) = making.join_next().await
        {
            made.map_err(|error| error.to_string())??;
        }
        making.spawn(async move {
            if api.call(api.request(Method::GET, &path)).await.is_ok() {
                return Ok(());
            }
            api.call(api.request(Method::PUT, &path).json(&body)).await.map(drop)
        });
    }
    while let Some(made) = making.join_next().await {
        made.map_err(|error| error.to_string())??;
    }
    Ok(())
}
