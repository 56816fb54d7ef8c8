//! What the operator says about the collector. It must not know how it works.

use super::load::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How the space of records that nobody needs any more comes back: extents that hold much of it
/// are rewritten in the background.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Collect {
    /// `false` switches it off: then an extent's space comes back only when no record in it is
    /// needed any more, and compacted topics keep everything.
    pub enabled: bool,
    /// Seconds between two looks.
    pub every_seconds: u32,
    /// Mebibytes per second it reads and writes at most, together. While appends are refused for
    /// want of space it takes no rest.
    pub mib_per_second: u32,
    /// An extent is rewritten when at least this part of its file is of no use, 1 to 95.
    pub dead_percent_min: u32,
    /// Whether cold extents of small, mixed batches are laid in order, so that reading one
    /// partition of them takes few reads.
    pub clusters: bool,
    /// How old an extent is before it is laid in order, in seconds.
    pub cold_seconds: u32,
}

impl Default for Collect {
    fn default() -> Collect {
        Collect {
            enabled: true,
            every_seconds: 10,
            mib_per_second: 32,
            dead_percent_min: 40,
            clusters: true,
            cold_seconds: 600,
        }
    }
}

impl Collect {
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.every_seconds == 0 || self.mib_per_second == 0 {
            let text = "the collector needs a rhythm and a rate above zero";
            return Err(ConfigError::about("log.collect", text));
        }
        if !(1..=95).contains(&self.dead_percent_min) {
            let text = "1 to 95 percent of an extent are of no use before it is rewritten";
            return Err(ConfigError::about("log.collect.dead_percent_min", text));
        }
        Ok(())
    }

    pub fn options(&self) -> eventlog::CollectOptions {
        eventlog::CollectOptions {
            interval: self.enabled.then(|| Duration::from_secs(self.every_seconds.into())),
            bytes_per_second: u64::from(self.mib_per_second) << 20,
            dead_percent_min: self.dead_percent_min.into(),
            clusters: self.clusters,
            cold_ms: i64::from(self.cold_seconds) * 1_000,
        }
    }
}
