//! What an operator may set about alerts. The doc comments are the manual.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Alerts: how often rules are looked at, how long is remembered. Rules and whom they tell are not
/// here but changed while the server runs: `mainstem alerts`, the console, the admin API.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `false` looks at no rule and tells nobody.
    pub enabled: bool,
    /// Seconds between two looks at all rules, 1 to 300.
    pub every_seconds: u32,
    /// Days that alerts which are over stay to be read.
    pub history_days: u32,
    /// Attempts to bring one message before it is given up.
    pub attempts_max: u32,
    /// What messages name as the address of the console, for people to follow.
    pub console_url: Option<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            enabled: true,
            every_seconds: 15,
            history_days: 90,
            attempts_max: 10,
            console_url: None,
        }
    }
}

impl Config {
    /// What cannot be meant: the key and why.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if !(1..=300).contains(&self.every_seconds) {
            return Err(("every_seconds", "1 to 300"));
        }
        if !(1..=3_650).contains(&self.history_days) {
            return Err(("history_days", "1 to 3650"));
        }
        if !(1..=100).contains(&self.attempts_max) {
            return Err(("attempts_max", "1 to 100"));
        }
        Ok(())
    }
}
