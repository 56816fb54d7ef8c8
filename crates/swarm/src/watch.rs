//! What a server costs, as the kernel counts it: CPU time and memory of a process and of all it
//! has started, and the kernel's own memory for sockets. Linux only; elsewhere nothing is told.

use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Ticks of `/proc/<pid>/stat` per second; fixed by the kernel's interface to programs.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: u64 = 4_096;
/// What the kernel keeps for an open TCP socket.
const SOCKET_CACHES: [&str; 8] = [
    "TCP",
    "TCPv6",
    "sock_inode_cache",
    "dentry",
    "filp",
    "eventpoll_epi",
    "eventpoll_pwq",
    "request_sock_TCP",
];

/// One moment.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Sample {
    pub user_seconds: f64,
    pub system_seconds: f64,
    pub rss_bytes: u64,
    /// Of these, what no file backs: what connections cost.
    pub anonymous_bytes: u64,
    /// Of the whole machine, both ends of loopback connections included; 0 where it is not shown
    /// (`/proc/slabinfo` is root's).
    pub kernel_socket_bytes: u64,
    /// Bytes in the machine's TCP queues.
    pub kernel_queue_bytes: u64,
    pub processes: usize,
}

impl Sample {
    pub fn cpu_seconds(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }
}

/// Watches a server by its process id.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    pid: u32,
    begin: Sample,
    at: Instant,
}

impl Watch {
    /// An error when there is no such process.
    pub fn begin(pid: u32) -> Result<Watch, String> {
        let begin = sample(pid);
        if begin.processes == 0 {
            return Err(format!("there is no process {pid} on this machine"));
        }
        Ok(Watch { pid, begin, at: Instant::now() })
    }

    pub fn first(&self) -> Sample {
        self.begin
    }

    pub fn now(&self) -> Sample {
        sample(self.pid)
    }

    pub fn cpu(&self) -> Duration {
        let seconds = self.now().cpu_seconds() - self.begin.cpu_seconds();
        Duration::from_secs_f64(seconds.max(0.0))
    }

    /// From the beginning to now; `each` is what the CPU is divided by, deliveries for example.
    pub fn told(&self, each: u64) -> Value {
        let now = self.now();
        let cpu = (now.cpu_seconds() - self.begin.cpu_seconds()).max(0.0);
        json!({
            "cpu_seconds": cpu,
            "user_seconds": (now.user_seconds - self.begin.user_seconds).max(0.0),
            "system_seconds": (now.system_seconds - self.begin.system_seconds).max(0.0),
            "cores": cpu / self.at.elapsed().as_secs_f64().max(1e-9),
            "cpu_us_each": cpu * 1e6 / each.max(1) as f64,
            "rss_bytes": now.rss_bytes,
            "processes": now.processes,
        })
    }
}

/// The process and its descendants now.
pub fn sample(pid: u32) -> Sample {
    let mut sample = Sample::default();
    for id in family(pid) {
        let stat = read(&format!("/proc/{id}/stat"));
        let Some((user, system)) = ticks(&stat) else { continue };
        sample.processes += 1;
        sample.user_seconds += user / TICKS_PER_SECOND;
        sample.system_seconds += system / TICKS_PER_SECOND;
        let status = read(&format!("/proc/{id}/status"));
        sample.rss_bytes += kib(&status, "VmRSS:") * 1024;
        sample.anonymous_bytes += kib(&status, "RssAnon:") * 1024;
    }
    sample.kernel_socket_bytes = slab_bytes(&read("/proc/slabinfo"));
    sample.kernel_queue_bytes = queue_bytes(&read("/proc/net/sockstat"));
    sample
}

/// A process and all that it and its children have started.
fn family(pid: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for id in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        if let Some(parent) = parent(&read(&format!("/proc/{id}/stat"))) {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&one) = family.get(next) {
        family.extend(children.get(&one).into_iter().flatten());
        next += 1;
    }
    family
}

/// The fields behind the name, which stands in brackets and may hold anything.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace()
}

fn parent(stat: &str) -> Option<u32> {
    fields(stat).nth(1)?.parse().ok()
}

/// User and system time.
pub(crate) fn ticks(stat: &str) -> Option<(f64, f64)> {
    let mut words = fields(stat).skip(11);
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

pub(crate) fn kib(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Pages of the caches that sockets live in.
pub(crate) fn slab_bytes(slabinfo: &str) -> u64 {
    // name <active> <all> <size> <per slab> <pages per slab> : tunables ..
    //     : slabdata <active> <all> <shared>
    let one = |line: &str| -> Option<u64> {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        SOCKET_CACHES.contains(&name).then_some(())?;
        let pages: u64 = words.nth(4)?.parse().ok()?;
        let (_, slabs) = line.split_once("slabdata")?;
        let slabs: u64 = slabs.split_whitespace().nth(1)?.parse().ok()?;
        Some(pages * slabs * PAGE_BYTES)
    };
    slabinfo.lines().filter_map(one).sum()
}

pub(crate) fn queue_bytes(sockstat: &str) -> u64 {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"));
    let mut words = line.unwrap_or_default().split_whitespace();
    let pages = words.find(|&word| word == "mem").and_then(|_| words.next()?.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The machine, for the head of a report.
pub fn machine() -> Value {
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({ "cores": cores, "cpu": model.unwrap_or("unknown").trim(),
            "kernel": read("/proc/sys/kernel/osrelease").trim() })
}
