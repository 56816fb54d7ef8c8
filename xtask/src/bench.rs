//! Runs the benches with optimisations and keeps what they print as results of this machine.

use crate::dev::target_dir;
use crate::run::{Outcome, cargo, output, root, step};
use std::process::Command;

#[derive(clap::Args)]
pub struct Bench {
    /// Only these; all without.
    names: Vec<String>,
}

impl Bench {
    pub fn run(&self) -> Outcome {
        let scenarios = root().join("benches/src/bin");
        let listed = std::fs::read_dir(&scenarios).map_err(|error| error.to_string())?;
        let mut all: Vec<String> = listed
            .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
            .collect();
        all.sort();
        if let Some(unknown) = self.names.iter().find(|name| !all.contains(name)) {
            return Err(format!("there is no bench `{unknown}`; there are {}", all.join(", ")));
        }
        step(cargo().args(["build", "--release", "--package", "server", "--package", "benches"]))?;
        for name in all.iter().filter(|name| self.names.is_empty() || self.names.contains(name)) {
            eprintln!("> {name}");
            let mut command = Command::new(target_dir().join("release").join(name));
            let result = output(command.current_dir(root()))?;
            print!("{result}");
            let to = root().join("benches/results").join(format!("{name}.txt"));
            std::fs::write(&to, result).map_err(|error| format!("{}: {error}", to.display()))?;
        }
        Ok(())
    }
}
