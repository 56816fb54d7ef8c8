//! What the fan-out servers share: the phases they run and the numbers they print, so that a bare
//! loop and the edge are measured with one yardstick. It must not know how either delivers.

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Something that has subscribers and can give each of them frames.
pub trait FanOut {
    fn subscribers(&self) -> usize;
    /// Gives every subscriber `frames` frames at once.
    fn publish(&mut self, frames: usize);
    /// Does whatever there is to do until `until`.
    fn run(&mut self, until: Instant);
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub what: &'static str,
    pub subscribers: usize,
    pub idle_rss_bytes_per_connection: u64,
    pub idle_cpu_us_per_connection_second: f64,
    /// CPU microseconds per delivery, by frames published at once.
    pub single_us: f64,
    pub batch64_us: f64,
}

const SETTLE: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(5);
const PHASE: Duration = Duration::from_secs(5);
/// Deliveries per second of the single-frame phase.
const SINGLE_RATE: usize = 20_000;
const BATCH: usize = 64;
/// Bursts of the batched phase per second, however many subscribers.
const BATCH_BURSTS: u32 = 2;

/// Waits for `connections` subscribers, then measures.
pub fn measure(what: &'static str, server: &mut dyn FanOut, connections: usize) -> Report {
    server.run(Instant::now() + Duration::from_millis(200));
    let rss_before = rss_bytes();
    while server.subscribers() < connections {
        server.run(Instant::now() + Duration::from_millis(20));
    }
    server.run(Instant::now() + SETTLE);
    let rss = rss_bytes().saturating_sub(rss_before) / connections.max(1) as u64;
    let cpu_before = cpu();
    server.run(Instant::now() + IDLE);
    let idle_us = (cpu() - cpu_before).as_micros() as f64;
    let rate = (SINGLE_RATE / connections.max(1)).max(1) as u32;
    // Buffers and caches reach their working size first.
    phase(server, rate, 1, Duration::from_secs(1));
    let single_us = phase(server, rate, 1, PHASE);
    let batch64_us = phase(server, BATCH_BURSTS, BATCH, PHASE);
    Report {
        what,
        subscribers: connections,
        idle_rss_bytes_per_connection: rss,
        idle_cpu_us_per_connection_second: idle_us / IDLE.as_secs_f64() / connections as f64,
        single_us,
        batch64_us,
    }
}

/// CPU microseconds per delivery.
fn phase(server: &mut dyn FanOut, per_second: u32, frames: usize, length: Duration) -> f64 {
    let step = Duration::from_secs(1) / per_second;
    let (begin, cpu_before) = (Instant::now(), cpu());
    let mut deliveries = 0;
    let mut next = begin;
    while next < begin + length {
        server.publish(frames);
        deliveries += frames * server.subscribers();
        next += step;
        server.run(next);
    }
    (cpu() - cpu_before).as_secs_f64() * 1e6 / deliveries.max(1) as f64
}

/// CPU time of the process, all threads, user and system.
pub fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Resident memory of the process.
pub fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Takes as many file descriptors as the system allows.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, all);
}
