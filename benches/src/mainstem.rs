//! Our own server as a process of its own, with its defaults but for what a bench compares, in a
//! directory of its own.

use crate::Fault;
use crate::http::Client;
use crate::process::{Process, free_address, sibling, wait_until};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const START_MAX: Duration = Duration::from_secs(60);

/// Of the operator, on a server that lives as long as a bench.
const ADMIN_TOKEN: &str = "bench-operator-token-of-a-private-server";

/// How records lie on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtRest {
    /// The default.
    Encrypted,
    Plain,
}

pub struct Mainstem {
    pub process: Process,
    pub address: SocketAddr,
    pub key: String,
    /// Where Kafka clients connect, and with which settings; of a server in development mode.
    pub kafka: Option<KafkaAccess>,
    /// From the start of the process to the first 200 of `/readyz`.
    pub start: Duration,
}

pub struct KafkaAccess {
    pub bootstrap: String,
    pub username: String,
    pub password: String,
}

impl KafkaAccess {
    fn read(credentials: &Value) -> Option<KafkaAccess> {
        let text = |name: &str| Some(credentials["kafka"][name].as_str()?.to_owned());
        let (bootstrap, username) = (text("bootstrap")?, text("username")?);
        Some(KafkaAccess { bootstrap, username, password: text("password")? })
    }
}

impl Mainstem {
    /// Starts `mainstem dev` on `data` and waits until it is ready.
    pub fn start(data: &Path) -> Result<Mainstem, Fault> {
        let (address, admin) = (free_address()?, free_address()?);
        let mut command = Command::new(sibling("mainstem")?);
        command.arg("dev").arg("--data").arg(data);
        command.args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string()]);
        command.args(["--kafka-listen", "127.0.0.1:0"]);
        command.env_remove("RUST_LOG");
        let (process, start) = until_ready(&mut command, data, admin)?;
        let credentials = std::fs::read(data.join("dev-credentials.json"))?;
        let credentials: Value = serde_json::from_slice(&credentials)?;
        let key = credentials["api_key"].as_str().ok_or("no api_key among the credentials")?;
        let kafka = KafkaAccess::read(&credentials);
        Ok(Mainstem { process, address, key: key.to_owned(), kafka, start })
    }

    /// Starts `mainstem serve` on a directory that nobody used, and makes a tenant, a project and
    /// a key.
    pub fn serve(data: &Path, at_rest: AtRest) -> Result<Mainstem, Fault> {
        let (address, admin) = (free_address()?, free_address()?);
        let mut command = Command::new(sibling("mainstem")?);
        command.arg("serve").env_remove("RUST_LOG");
        command.env("MAINSTEM__DATA_DIR", data);
        command.env("MAINSTEM__EDGE__LISTEN", address.to_string());
        command.env("MAINSTEM__EDGE__ADMIN_LISTEN", admin.to_string());
        command.env("MAINSTEM__ADMIN__TOKEN", ADMIN_TOKEN);
        command.env("MAINSTEM__PROTOCOLS__KAFKA", "false");
        let is_encrypted = at_rest == AtRest::Encrypted;
        command.env("MAINSTEM__ENCRYPTION__ENABLED", is_encrypted.to_string());
        let (process, start) = until_ready(&mut command, data, admin)?;
        let mut operator = Client::connect(admin, ADMIN_TOKEN)?;
        let mut make = |path: &str, body: Value, name: &str| -> Result<String, Fault> {
            let (status, answer) = operator.post(path, &body.to_string())?;
            let made: Value = serde_json::from_str(&answer)?;
            let text = made[name].as_str().map(str::to_owned);
            text.ok_or_else(|| format!("POST {path}: {status}: {answer}").into())
        };
        let tenant = make("/v1/tenants", json!({ "name": "bench", "plan": "enterprise" }), "id")?;
        let projects = format!("/v1/tenants/{tenant}/projects");
        let project = make(&projects, json!({ "name": "bench" }), "id")?;
        let keys = format!("{projects}/{project}/keys");
        let scopes = ["events:publish", "events:subscribe", "admin:write"];
        let key = make(&keys, json!({ "name": "bench", "scopes": scopes }), "secret")?;
        Ok(Mainstem { process, address, key, kafka: None, start })
    }

    pub fn client(&self) -> Result<Client, Fault> {
        Client::connect(self.address, &self.key)
    }
}

/// Runs the command until it is ready or `START_MAX` is over; with how long that took.
fn until_ready(
    command: &mut Command,
    data: &Path,
    admin: SocketAddr,
) -> Result<(Process, Duration), Fault> {
    let begin = Instant::now();
    let mut process = Process::start(command, &log_beside(data))?;
    wait_until(&mut process, START_MAX, || is_ready(admin))?;
    Ok((process, begin.elapsed()))
}

fn is_ready(admin: SocketAddr) -> bool {
    let answer = Client::connect(admin, "").and_then(|mut client| client.get("/readyz"));
    matches!(answer, Ok((200, _)))
}

fn log_beside(data: &Path) -> PathBuf {
    data.with_extension("log")
}
