//! Starting them: each a private process on a free port, with its fastest settings that its own
//! documents name, ended by its process id. What is not installed is left out, and named.

use crate::Fault;
use crate::mainstem::Mainstem;
use crate::process::{Process, free_address, sibling, wait_until};
use cli::bench::dialects::Role;
use serde_json::json;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const START_MAX: Duration = Duration::from_secs(30);
/// Connections a server is told to allow.
const CONNECTIONS_MAX: u32 = 19_000;

/// A server that runs.
pub struct Server {
    pub process: Process,
    pub address: SocketAddr,
    pub follow: &'static str,
    pub publish: &'static str,
    pub secret: String,
    /// The admin API makes topics where they are not made by naming them.
    pub makes_topics: Option<&'static str>,
}

/// What is measured, in the order of the table.
pub const ALL: [&str; 13] = [
    "bare",
    "mainstem-bin",
    "mainstem-json",
    "mainstem-bin-ephemeral",
    "mainstem-json-ephemeral",
    "uws-bun",
    "ws",
    "socket-io",
    "nats",
    "redis",
    "mosquitto",
    "centrifugo",
    "sockudo",
];

/// What it is, for people.
pub fn title(name: &str) -> &'static str {
    match name {
        "bare" => "bare epoll and write, WebSocket",
        "mainstem-bin" => "Mainstem, WebSocket binary, durable",
        "mainstem-json" => "Mainstem, WebSocket JSON, durable",
        "mainstem-bin-ephemeral" => "Mainstem, WebSocket binary, ephemeral",
        "mainstem-json-ephemeral" => "Mainstem, WebSocket JSON, ephemeral",
        "uws-bun" => "uWebSockets (in Bun), WebSocket",
        "ws" => "npm ws (Node), WebSocket",
        "socket-io" => "socket.io (Node), WebSocket",
        "nats" => "nats-server, WebSocket",
        "redis" => "redis-server, RESP",
        "mosquitto" => "mosquitto, MQTT QoS 0",
        "centrifugo" => "Centrifugo",
        "sockudo" => "sockudo",
        _ => "unknown",
    }
}

/// Starts one; the error of a peer that is not here says what to do.
pub fn start(name: &str, dir: &Path, installed: &Path) -> Result<Server, Fault> {
    let dir = &dir.join(name);
    std::fs::create_dir_all(dir)?;
    let dir = &dir.canonicalize()?;
    match name {
        "bare" => {
            let address = free_address()?;
            let mut command = Command::new(sibling("bare_relay")?);
            command.args(["--listen", &address.to_string()]);
            plain(command, address, dir, "plain")
        }
        "mainstem-bin" => mainstem(dir, "ws-bin", "durable"),
        "mainstem-json" => mainstem(dir, "ws-json", "durable"),
        "mainstem-bin-ephemeral" => mainstem(dir, "ws-bin", "ephemeral"),
        "mainstem-json-ephemeral" => mainstem(dir, "ws-json", "ephemeral"),
        "uws-bun" => script(installed, dir, "node_modules/.bin/bun", "uws_bun.mjs", "plain"),
        "ws" => script(installed, dir, "node", "plain_ws.mjs", "plain"),
        "socket-io" => script(installed, dir, "node", "socket_io.mjs", "socket-io"),
        "nats" => nats(dir),
        "redis" => redis(dir),
        "mosquitto" => mosquitto(dir),
        other => Err(format!("{other} is not installed here").into()),
    }
}

fn mainstem(dir: &Path, dialect: &'static str, durability: &'static str) -> Result<Server, Fault> {
    let server = Mainstem::start(&dir.join("data"))?;
    Ok(Server {
        process: server.process,
        address: server.address,
        follow: dialect,
        publish: dialect,
        secret: server.key,
        makes_topics: Some(durability),
    })
}

fn plain(
    mut command: Command,
    address: SocketAddr,
    dir: &Path,
    dialect: &'static str,
) -> Result<Server, Fault> {
    let mut process = Process::start(&mut command, &dir.join("log"))?;
    wait_until(&mut process, START_MAX, || TcpStream::connect(address).is_ok())?;
    let secret = String::new();
    Ok(Server { process, address, follow: dialect, publish: dialect, secret, makes_topics: None })
}

/// A server of `benches/peers`, run beside what `install` has put there.
fn script(
    installed: &Path,
    dir: &Path,
    runtime: &str,
    script: &str,
    dialect: &'static str,
) -> Result<Server, Fault> {
    let script = installed.join(script);
    let program = match runtime {
        "node" => found("node")?,
        other => installed.join(other),
    };
    if !program.exists() || !script.exists() || !installed.join("node_modules").exists() {
        return Err("it is not installed: run benches/peers/install".into());
    }
    let address = free_address()?;
    let mut command = Command::new(program);
    command.arg(script).arg(address.port().to_string()).current_dir(installed);
    plain(command, address, dir, dialect)
}

fn nats(dir: &Path) -> Result<Server, Fault> {
    let program = found("nats-server")?;
    let (address, web_socket) = (free_address()?, free_address()?);
    let config = format!(
        "listen: \"{address}\"\nping_interval: \"30m\"\nmax_connections: {CONNECTIONS_MAX}\n\
         websocket {{ listen: \"{web_socket}\", no_tls: true, compression: false }}\n"
    );
    std::fs::write(dir.join("nats.conf"), config)?;
    let mut command = Command::new(program);
    command.arg("--config").arg(dir.join("nats.conf"));
    plain(command, web_socket, dir, "nats")
}

fn redis(dir: &Path) -> Result<Server, Fault> {
    let program = found("redis-server")?;
    let address = free_address()?;
    let mut command = Command::new(program);
    command.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"]);
    command.args(["--save", "", "--appendonly", "no", "--tcp-backlog", "4096"]);
    // Its default cuts subscribers that are 32 MiB behind; the load bounds that itself.
    command.args(["--maxclients", &CONNECTIONS_MAX.to_string()]);
    command.args(["--client-output-buffer-limit", "pubsub 0 0 0", "--dir"]).arg(dir);
    plain(command, address, dir, "resp")
}

fn mosquitto(dir: &Path) -> Result<Server, Fault> {
    let program = found("mosquitto")?;
    let address = free_address()?;
    let config = format!(
        "listener {} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n\
         max_queued_messages 0\nuser root\n",
        address.port()
    );
    std::fs::write(dir.join("mosquitto.conf"), config)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(dir.join("mosquitto.conf"));
    plain(command, address, dir, "mqtt")
}

/// The program of that name in one of the usual directories.
fn found(name: &str) -> Result<PathBuf, Fault> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin".into(), "/usr/local/bin".into()];
    let mut places = std::env::split_paths(&path).chain(usual).map(|dir| dir.join(name));
    let place = places.find(|path| path.exists());
    place.ok_or_else(|| format!("{name} is not installed: run benches/peers/install").into())
}

/// What a connection of the load needs to know.
pub fn settings(server: &Server, address: &str, role: Role) -> serde_json::Value {
    json!({ "host": server.address.to_string(), "secrets": [server.secret], "address": address,
            "role": role })
}
