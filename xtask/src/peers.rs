//! Servers that benches measure beside and that the distribution has not, or has too old: fetched
//! by their own ecosystems' clients into `target/peers`, where benches look first.

use crate::dev::target_dir;
use crate::run::{Outcome, exists, root, step};
use std::process::Command;

/// The first line of versions with `sync_interval: always` is 2.10.
const NATS_SERVER: &str = "github.com/nats-io/nats-server/v2@v2.11.4";

/// Fetches what is not there yet. A client that is missing leaves its peer out, which is said.
pub fn fetch() -> Outcome {
    let dir = target_dir();
    let dir = if dir.is_absolute() { dir } else { root().join(dir) }.join("peers");
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    if dir.join("kafka").exists() {
    } else if exists("mvn") {
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "--file"]).arg(root().join("benches/peers/pom.xml"));
        maven.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
        maven.arg(format!("-DoutputDirectory={}", dir.join("kafka").display()));
        step(&mut maven)?;
    } else {
        eprintln!("mvn is not here: Apache Kafka is left out");
    }
    if dir.join("nats-server").exists() {
    } else if has_go() {
        let mut go = Command::new("go");
        step(go.args(["install", NATS_SERVER]).env("GOBIN", &dir).current_dir(&dir))?;
    } else {
        eprintln!("go is not here: NATS is measured as the distribution has it");
    }
    Ok(())
}

/// `go` has no `--version`.
fn has_go() -> bool {
    Command::new("go").arg("version").output().is_ok_and(|output| output.status.success())
}
