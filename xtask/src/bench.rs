//! Runs the benches with optimisations and keeps what they print as results of this machine.

use crate::dev::target_dir;
use crate::run::{Outcome, cargo, output, root, step};
use std::process::Command;

/// What runs by itself. The other programs of the package are parts: servers to be measured
/// beside, and loads.
const SCENARIOS: [&str; 13] = [
    "acl", "eventlog", "fanout", "idle", "keys", "peers", "publish", "recovery", "replay",
    "sessions", "start", "storage", "topics",
];

#[derive(clap::Args)]
pub struct Bench {
    /// Only these; all without.
    names: Vec<String>,
    /// Gets Apache Kafka (by `mvn`) and a newer NATS (by `go`) to be measured beside.
    #[arg(long)]
    fetch_peers: bool,
}

impl Bench {
    pub fn run(&self) -> Outcome {
        let unknown = self.names.iter().find(|name| !SCENARIOS.contains(&name.as_str()));
        if let Some(unknown) = unknown {
            let known = SCENARIOS.join(", ");
            return Err(format!("there is no bench `{unknown}`; there are {known}"));
        }
        if self.fetch_peers {
            crate::peers::fetch()?;
        }
        step(cargo().args(["build", "--release", "--package", "server", "--package", "benches"]))?;
        let is_wanted =
            |name: &&&str| self.names.is_empty() || self.names.iter().any(|n| n == **name);
        for name in SCENARIOS.iter().filter(is_wanted) {
            eprintln!("> {name}");
            if *name == "peers" {
                // Fetches what is not there yet; what cannot be had is left out of the table.
                step(Command::new(root().join("benches/peers/install")).arg(peers_dir()))?;
            }
            let mut command = Command::new(target_dir().join("release").join(name));
            if *name == "peers" {
                command.arg("--installed").arg(peers_dir());
            }
            let result = output(command.current_dir(root()))?;
            print!("{result}");
            let to = root().join("benches/results").join(format!("{name}.txt"));
            std::fs::write(&to, result).map_err(|error| format!("{}: {error}", to.display()))?;
        }
        Ok(())
    }
}

/// Where the servers of others are put that no distribution has.
fn peers_dir() -> std::path::PathBuf {
    target_dir().join("peers")
}
