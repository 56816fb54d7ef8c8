//! Our own server as a process of its own, with its defaults, in a directory of its own.

use crate::Fault;
use crate::http::Client;
use crate::process::{Process, free_address, sibling, wait_until};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const START_MAX: Duration = Duration::from_secs(60);

pub struct Mainstem {
    pub process: Process,
    pub address: SocketAddr,
    pub key: String,
    /// From the start of the process to the first 200 of `/readyz`.
    pub start: Duration,
}

impl Mainstem {
    /// Starts `mainstem dev` on `data` and waits until it is ready.
    pub fn start(data: &Path) -> Result<Mainstem, Fault> {
        let (address, admin) = (free_address()?, free_address()?);
        let mut command = Command::new(sibling("mainstem")?);
        command.arg("dev").arg("--data").arg(data);
        command.args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string()]);
        command.env_remove("RUST_LOG");
        let begin = Instant::now();
        let mut process = Process::start(&mut command, &log_beside(data))?;
        wait_until(&mut process, START_MAX, || is_ready(admin))?;
        let start = begin.elapsed();
        let credentials = std::fs::read(data.join("dev-credentials.json"))?;
        let credentials: Value = serde_json::from_slice(&credentials)?;
        let key = credentials["api_key"].as_str().ok_or("no api_key among the credentials")?;
        Ok(Mainstem { process, address, key: key.to_owned(), start })
    }

    pub fn client(&self) -> Result<Client, Fault> {
        Client::connect(self.address, &self.key)
    }
}

fn is_ready(admin: SocketAddr) -> bool {
    let answer = Client::connect(admin, "").and_then(|mut client| client.get("/readyz"));
    matches!(answer, Ok((200, _)))
}

fn log_beside(data: &Path) -> PathBuf {
    data.with_extension("log")
}
