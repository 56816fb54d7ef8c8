//! Two reports beside each other.

use serde_json::Value;
use std::path::{Path, PathBuf};
use swarm::compare::{rows, table};

#[derive(clap::Args, Debug, Clone)]
pub struct Compare {
    /// Written by `--json FILE`.
    before: PathBuf,
    after: PathBuf,
}

impl Compare {
    pub fn run(&self) -> Result<(), String> {
        let (before, after) = (read(&self.before)?, read(&self.after)?);
        let kind = |report: &Value| report["bench"].as_str().unwrap_or("nothing").to_owned();
        if kind(&before) != kind(&after) {
            let (before, after) = (kind(&before), kind(&after));
            return Err(format!("the reports are of different loads: {before} and {after}"));
        }
        print!("{}", table(&rows(&before, &after)));
        Ok(())
    }
}

fn read(path: &Path) -> Result<Value, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}
