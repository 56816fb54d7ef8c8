//! How figures are told: the median of the runs, with their range, beside what they are measured
//! against, and what else the machine did meanwhile.

use crate::machine::Seen;
use serde_json::{Value, json};
use std::time::Duration;

/// One figure over all runs.
#[derive(Debug, Clone, Default)]
pub struct Series(Vec<f64>);

impl Series {
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The one added last; zero when there are none.
    pub fn last(&self) -> f64 {
        self.0.last().copied().unwrap_or_default()
    }

    /// The nearest-rank value below which `share` of all lie; zero when there are none.
    pub fn at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `median (least-most)`.
    pub fn told(&self, decimals: usize) -> String {
        let (median, least, most) = (self.median(), self.at(0.0), self.at(1.0));
        format!("{median:.decimals$} ({least:.decimals$}-{most:.decimals$})")
    }

    pub fn json(&self) -> Value {
        json!({ "median": self.median(), "least": self.at(0.0), "most": self.at(1.0),
                "runs": self.0.len() })
    }
}

/// What everybody else used of the CPU during the runs.
#[derive(Debug, Default)]
pub struct Company {
    others: Series,
    steal: Series,
}

impl Company {
    /// `measured` is the CPU time of the server and of the load.
    pub fn add(&mut self, seen: &Seen, measured: Duration) {
        self.others.add(seen.others(measured));
        self.steal.add(seen.steal());
    }

    pub fn print(&self) {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!(
            "others' CPU during the runs, of {cores} cores: {}; stolen by the host: {}",
            self.others.told(2),
            self.steal.told(3)
        );
    }

    pub fn json(&self) -> Value {
        json!({ "others_cores": self.others.json(), "stolen_cores": self.steal.json() })
    }
}

/// Tells whether a target was met, with the figure's part of it.
pub fn against(name: &str, figure: f64, target: f64, better: Better) {
    let ratio = figure / target;
    let is_met = match better {
        Better::More => ratio >= 1.0,
        Better::Less => ratio <= 1.0,
    };
    let verdict = if is_met { "met" } else { "MISSED" };
    println!("target {name}: {figure:.2} of {target:.0} ({ratio:.2}) {verdict}");
}

#[derive(Debug, Clone, Copy)]
pub enum Better {
    More,
    Less,
}

/// What is printed first, so that a recorded result says where it comes from.
pub fn heading(scenario: &str) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    println!("# {scenario}");
    println!(
        "# {} x {}, kernel {}, load {}",
        cores,
        model.unwrap_or("unknown").trim(),
        kernel.trim(),
        load.split(' ').take(3).collect::<Vec<_>>().join(" ")
    );
}
