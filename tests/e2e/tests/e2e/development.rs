//! `mainstem dev`: one command to a server that scripts find by the file it writes.

use crate::stand::binary::mainstem;
use crate::stand::server::ended;
use crate::stand::{LOOK_EVERY, PATIENCE, cli};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Instant, SystemTime};
use tempfile::TempDir;

/// One `mainstem dev`, ended by its own process id.
struct Dev {
    child: Child,
    known: Value,
}

impl Dev {
    async fn start(data: &Path) -> Dev {
        let began = SystemTime::now();
        let mut command = Command::new(mainstem());
        command
            .arg("dev")
            .arg("--data")
            .arg(data)
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--kafka-listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("it starts");
        let mut dev = Dev { child, known: Value::Null };
        let deadline = Instant::now() + PATIENCE;
        while !dev.is_ready(data, began).await {
            assert!(Instant::now() < deadline, "not ready in time");
            assert!(dev.child.try_wait().expect("a child").is_none(), "it ended");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        dev
    }

    /// The file is of this start, and what it names answers.
    async fn is_ready(&mut self, data: &Path, began: SystemTime) -> bool {
        let file = data.join("dev-credentials.json");
        let written = std::fs::metadata(&file).and_then(|file| file.modified());
        if written.is_ok_and(|written| written < began) {
            return false;
        }
        let Ok(text) = std::fs::read_to_string(&file) else { return false };
        let Ok(known) = serde_json::from_str(&text) else { return false };
        self.known = known;
        let ready = reqwest::get(format!("{}/readyz", self.text("http_url"))).await;
        ready.is_ok_and(|answer| answer.status() == 200)
    }

    fn text(&self, name: &str) -> &str {
        self.known[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.known))
    }

    fn interrupt(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("a child");
        let status = ended(&mut self.child);
        assert!(status.success(), "Ctrl-C is a polite end: {status}");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // One that has ended already needs nothing more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn development_mode_serves_and_keeps_its_credentials() {
    let folder = TempDir::with_prefix("mainstem-e2e-").expect("a temporary directory");
    let data = folder.path().join("data");
    let mut dev = Dev::start(&data).await;
    let file = data.join("dev-credentials.json");
    let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for its owner only");
    let credentials = file.to_str().expect("a path of text");
    let arguments = ["publish", "orders", "{\"total\":99}", "--credentials", credentials];
    let published = terminal(&arguments);
    assert!(published.0, "{}", published.1);
    let first = dev.known.clone();
    dev.interrupt();

    let mut dev = Dev::start(&data).await;
    for name in ["tenant", "project", "api_key", "admin_token"] {
        assert_eq!(dev.known[name], first[name], "{name} stays the same");
    }
    let followed = terminal(&[
        "follow",
        "orders",
        "--from",
        "earliest",
        "--limit",
        "1",
        "--json",
        "--credentials",
        credentials,
    ]);
    let record: Value = serde_json::from_str(&followed.1).expect("a line of JSON");
    assert_eq!(record["data"]["total"], 99);
    let listed = terminal(&["tenants", "list", "--credentials", credentials]);
    assert!(listed.0 && listed.1.contains(dev.text("tenant")), "{}", listed.1);
    let bad = cli::run(dev.text("http_url"), "ms_test_nonsense", &["publish", "orders", "1"]);
    assert_eq!(bad.status.code(), Some(1));
    let said = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert!(said.contains("INVALID_API_KEY"), "{said}");
    dev.interrupt();
}

/// A command that finds the server by the file; whether it ended well, and its output.
fn terminal(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(mainstem());
    command.args(arguments).stdin(Stdio::null());
    for name in ["MAINSTEM_URL", "MAINSTEM_API_KEY", "MAINSTEM_ADMIN_TOKEN"] {
        command.env_remove(name);
    }
    let output = command.output().expect("a command runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
}
