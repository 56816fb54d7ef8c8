//! What the machine did while something was measured: whose CPU time it was, what the hypervisor
//! took, and how often the disk was told to flush. Figures without these say little on a machine
//! that others use.

use crate::Fault;
use serde::Serialize;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Ticks of `/proc/stat` per second; fixed by the kernel's interface to programs.
const TICKS_PER_SECOND: u64 = 100;

/// The machine's counters at one moment.
#[derive(Debug, Clone, Copy)]
struct Counters {
    at: Instant,
    busy_ticks: u64,
    steal_ticks: u64,
    flushes: u64,
}

/// Counts from its making until it is asked.
#[derive(Debug)]
pub struct Watch {
    device: String,
    begin: Counters,
}

/// What went on between the making of a `Watch` and its end.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Seen {
    pub seconds: f64,
    /// CPU seconds of all processes, the kernel's own work included.
    pub busy_seconds: f64,
    /// CPU seconds the hypervisor gave to somebody else.
    pub steal_seconds: f64,
    /// Flushes the data directory's device completed, whoever asked for them.
    pub flushes: u64,
}

impl Watch {
    /// Watches the device that `dir` is on.
    pub fn begin(dir: &Path) -> Result<Watch, Fault> {
        let device = std::fs::metadata(dir)?.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let device = format!("{major} {minor}");
        let begin = counters(&device)?;
        Ok(Watch { device, begin })
    }

    pub fn end(&self) -> Result<Seen, Fault> {
        let now = counters(&self.device)?;
        let seconds = |now: u64, then: u64| (now - then) as f64 / TICKS_PER_SECOND as f64;
        Ok(Seen {
            seconds: (now.at - self.begin.at).as_secs_f64(),
            busy_seconds: seconds(now.busy_ticks, self.begin.busy_ticks),
            steal_seconds: seconds(now.steal_ticks, self.begin.steal_ticks),
            flushes: now.flushes - self.begin.flushes,
        })
    }
}

impl Seen {
    /// CPU seconds per second that neither of the measured processes used.
    pub fn others(&self, measured: Duration) -> f64 {
        (self.busy_seconds - measured.as_secs_f64()).max(0.0) / self.seconds.max(1e-9)
    }

    pub fn steal(&self) -> f64 {
        self.steal_seconds / self.seconds.max(1e-9)
    }
}

fn counters(device: &str) -> Result<Counters, Fault> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    // cpu user nice system idle iowait irq softirq steal guest guest_nice
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        first.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [user, nice, system, _idle, _wait, irq, soft, steal, ..] = ticks[..] else {
        return Err("the first line of /proc/stat is not as expected".into());
    };
    Ok(Counters {
        at: Instant::now(),
        busy_ticks: user + nice + system + irq + soft,
        steal_ticks: steal,
        flushes: flushes(device)?,
    })
}

/// The 19th column counts completed flushes (kernel 5.5 and later). A partition shows none of its
/// own, so a device without the column, or with a zero, counts as the largest of its disk's.
fn flushes(device: &str) -> Result<u64, Fault> {
    let stats = std::fs::read_to_string("/proc/diskstats")?;
    let column = |line: &str| line.split_whitespace().nth(18)?.parse::<u64>().ok();
    let is_device = |line: &&str| {
        let mut words = line.split_whitespace();
        let (major, minor) = (words.next(), words.next());
        major.zip(minor).is_some_and(|(major, minor)| format!("{major} {minor}") == device)
    };
    let own = stats.lines().find(is_device).and_then(column).unwrap_or(0);
    let major = device.split(' ').next().unwrap_or_default();
    let of_disk = stats.lines().filter(|line| line.split_whitespace().next() == Some(major));
    Ok(own.max(of_disk.filter_map(column).max().unwrap_or(0)))
}
