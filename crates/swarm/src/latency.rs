//! Latencies of any number of events in bounded memory, with three significant digits.

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

/// What is slower counts as this: an hour.
const US_MAX: u64 = 3_600_000_000;
const DIGITS: u8 = 3;

/// A histogram of microseconds.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Latencies {
        // The bounds and the precision are valid, so it cannot fail.
        Latencies(Histogram::new_with_bounds(1, US_MAX, DIGITS).expect("valid bounds"))
    }
}

impl Latencies {
    pub fn add_ns(&mut self, ns: u64) {
        self.0.saturating_record((ns / 1_000).clamp(1, US_MAX));
    }

    pub fn merge(&mut self, other: &Latencies) {
        // All have the same bounds, so there is nothing that one could not hold.
        let _ = self.0.add(&other.0);
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that `share` of all (0 to 1) do not exceed, in milliseconds.
    pub fn at_ms(&self, share: f64) -> f64 {
        if self.0.is_empty() {
            return 0.0;
        }
        self.0.value_at_quantile(share) as f64 / 1_000.0
    }

    /// What reports tell of it, in milliseconds.
    pub fn summary(&self) -> Value {
        json!({ "count": self.count(), "p50_ms": self.at_ms(0.5), "p90_ms": self.at_ms(0.9),
                "p99_ms": self.at_ms(0.99), "p99_9_ms": self.at_ms(0.999),
                "max_ms": self.at_ms(1.0) })
    }
}

/// As the pairs of value and count that are not empty.
impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let pairs = self.0.iter_recorded();
        to.collect_seq(pairs.map(|one| (one.value_iterated_to(), one.count_at_value())))
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Latencies, D::Error> {
        let pairs = Vec::<(u64, u64)>::deserialize(from)?;
        let mut latencies = Latencies::default();
        for (value, count) in pairs {
            latencies.0.saturating_record_n(value, count);
        }
        Ok(latencies)
    }
}
