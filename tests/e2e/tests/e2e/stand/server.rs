//! A running `mainstem serve` as a child process on free ports, with everything durable in a
//! directory of its own. It is ended by its own process id only, at the latest when dropped.

use super::admin::Admin;
use super::binary::mainstem;
use super::{LOOK_EVERY, PATIENCE};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// A data directory and the settings it is served with, over any number of starts.
pub struct Home {
    folder: TempDir,
    settings: Value,
    /// Of the operator.
    pub admin_token: String,
}

/// One process.
pub struct Server {
    child: Child,
    log: PathBuf,
    /// Without a path: `http://127.0.0.1:1234`.
    pub url: String,
    pub admin_url: String,
    /// Where Kafka clients connect: `127.0.0.1:1234`.
    pub kafka: String,
    admin_token: String,
}

/// Lays `over` over `under`, object by object.
fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                merge(under.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

/// Runs every server with so many processes, where a test does not say itself.
const PROCESSES: &str = "MAINSTEM_E2E_PROCESSES";

fn processes() -> Option<u16> {
    let text = std::env::var(PROCESSES).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{PROCESSES}={text}: {error}")))
}

impl Home {
    /// `settings` are laid over what suits tests: free ports, small extents, quick drains.
    pub fn new(settings: &Value) -> Home {
        let folder = TempDir::with_prefix("mainstem-e2e-").expect("a temporary directory");
        let data = folder.path().join("data");
        let mut all = match testkit::postgres::chosen() {
            Some(url) => json!({ "database": { "url": url } }),
            None => json!({}),
        };
        merge(&mut all, settings);
        Home::at(folder, &data, &all)
    }

    /// With the data elsewhere than in the folder of settings and logs, and all of it in files.
    pub fn at(folder: TempDir, data: &Path, settings: &Value) -> Home {
        let mut all = json!({
            "data_dir": data,
            "edge": {
                "listen": "127.0.0.1:0",
                "admin_listen": "127.0.0.1:0",
                "drain": { "total_ms_max": 5_000, "reconnect_ms_max": 1_000 },
            },
            "log": { "extent_mib": 8, "free_mib_min": 16 },
            "protocols": { "kafka": { "listeners": [{ "listen": "127.0.0.1:0" }] } },
        });
        if let Some(processes) = processes() {
            all["processes"] = processes.into();
        }
        merge(&mut all, settings);
        let admin_token = format!("e2e-operator-{:x}", std::process::id()).repeat(2);
        Home { folder, settings: all, admin_token }
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        PathBuf::from(self.settings["data_dir"].as_str().expect("a path"))
    }

    /// Other settings for the next start, laid over those of before.
    pub fn change(&mut self, settings: &Value) {
        merge(&mut self.settings, settings);
    }

    /// The command of one start, and where its output goes.
    pub fn command(&self) -> (Command, PathBuf) {
        let unique = std::fs::read_dir(self.folder.path()).map_or(0, Iterator::count);
        let (config, log) = (
            self.folder.path().join(format!("config-{unique}.json")),
            self.folder.path().join(format!("server-{unique}.log")),
        );
        std::fs::write(&config, self.settings.to_string()).expect("the settings are written");
        let output = File::create(&log).expect("a log file");
        let mut command = Command::new(mainstem());
        command
            .args(["serve", "--config"])
            .arg(&config)
            .env("MAINSTEM__ADMIN__TOKEN", &self.admin_token)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file has more than one handle"))
            .stderr(output);
        (command, log)
    }

    /// Starts the server and waits until it is ready.
    pub fn start(&self) -> Server {
        self.start_with(&[])
    }

    /// As `start`, with more in the environment.
    pub fn start_with(&self, variables: &[(&str, &str)]) -> Server {
        let (mut command, log) = self.command();
        command.envs(variables.iter().copied());
        let child = command.spawn().expect("the server can be started");
        let mut server = Server {
            child,
            log,
            url: String::new(),
            admin_url: String::new(),
            kafka: String::new(),
            admin_token: self.admin_token.clone(),
        };
        server.wait_until_ready();
        server
    }
}

impl Home {
    /// Starts the server, which must refuse to; answers what it printed.
    pub fn refused(&self) -> String {
        let (mut command, log) = self.command();
        let status = ended(&mut command.spawn().expect("the server can be started"));
        assert!(!status.success(), "it must not start");
        String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned()
    }
}

impl Server {
    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some([public, admin, kafka]) = ready_line(&self.output()) {
                self.url = format!("http://{public}");
                self.admin_url = format!("http://{admin}");
                self.kafka = kafka;
                return;
            }
            let ended = self.child.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "the server ended: {ended:?}\n{}", self.output());
            assert!(Instant::now() < deadline, "not ready in time\n{}", self.output());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// All it has printed.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub fn admin(&self) -> Admin {
        Admin::new(&self.admin_url, &self.admin_token)
    }

    /// The admin API at another address, or by another client.
    pub fn admin_over(&self, url: &str, client: reqwest::Client) -> Admin {
        Admin::over(client, url, &self.admin_token)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn authority(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// SIGTERM; it goes on in its own time.
    pub fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("a child can be signalled");
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be awaited");
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        ended(&mut self.child)
    }

    /// SIGTERM, and waits; it must end well.
    pub fn stop(&mut self) {
        self.terminate();
        let status = self.ended();
        assert!(status.success(), "a polite end: {status}\n{}", self.output());
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("the kernel tells a process's memory")
    }
}

/// Waits for the end of a child.
pub fn ended(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            return status;
        }
        assert!(Instant::now() < deadline, "process {} did not end in time", child.id());
        std::thread::sleep(LOOK_EVERY);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let output = self.output();
            let from = output.len().saturating_sub(4_000);
            eprintln!("the server's last words:\n{}", output.get(from..).unwrap_or(&output));
        }
        // One that has ended already needs nothing more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The addresses of the line that says that the server serves.
fn ready_line(output: &str) -> Option<[String; 3]> {
    output.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let fields = line.get("fields").unwrap_or(&line);
        if fields["message"] != "ready" {
            return None;
        }
        let admin = fields["admin"].as_str()?.trim_start_matches("Some(").trim_end_matches(')');
        let streams = fields["streams"].as_str().unwrap_or_default();
        let kafka = streams.split_once("(\"kafka\", ").and_then(|(_, rest)| rest.split_once(')'));
        let kafka = kafka.map(|(address, _)| address.to_owned()).unwrap_or_default();
        Some([fields["address"].as_str()?.to_owned(), admin.to_owned(), kafka])
    })
}
