//! Latencies and how they are told.

use serde_json::{Value, json};
use std::time::Duration;

/// Every latency measured, in microseconds.
#[derive(Debug, Clone, Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    pub fn add(&mut self, latency: Duration) {
        self.0.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    pub fn merge(&mut self, other: Latencies) {
        self.0.extend(other.0);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Nearest-rank percentiles, in milliseconds.
    pub fn summary(mut self) -> Value {
        self.0.sort_unstable();
        let at = |share: f64| {
            let rank = (share * self.0.len() as f64).ceil() as usize;
            let us = self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default();
            f64::from(us) / 1000.0
        };
        json!({"p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": at(1.0)})
    }
}

/// Prints one JSON object for machines, or its members a line each for people.
pub fn print(report: &Value, json: bool) {
    if json {
        println!("{report}");
        return;
    }
    let Some(members) = report.as_object() else {
        return;
    };
    for (name, value) in members {
        match value {
            Value::Number(number) => {
                println!("{name:>24}  {:.1}", number.as_f64().unwrap_or_default());
            }
            Value::Object(parts) => {
                let parts = parts.iter().map(|(name, part)| format!("{name} {part}"));
                println!("{name:>24}  {}", parts.collect::<Vec<_>>().join("  "));
            }
            other => println!("{name:>24}  {other}"),
        }
    }
}
