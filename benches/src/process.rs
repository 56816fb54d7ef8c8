//! A server under measurement: a process of its own, started in a directory of its own and ended
//! by its id. What it costs is read from `/proc`, so every server is measured the same way.

use crate::Fault;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ticks of `/proc/<pid>/stat` per second; fixed by the kernel's interface to programs.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long a process may take to end after SIGTERM.
const END_MAX: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(5);

pub struct Process {
    child: Child,
}

impl Process {
    /// Runs `command`; what it prints goes to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Process, Fault> {
        let log = File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{:?}: {error}", command.get_program()))?;
        Ok(Process { child })
    }

    /// Takes a process over that was started with pipes.
    pub fn of(child: Child) -> Process {
        Process { child }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// User and system time of all its threads, the ended ones included.
    pub fn cpu(&self) -> Duration {
        cpu_of(self.id())
    }

    pub fn rss_bytes(&self) -> u64 {
        status_bytes(self.id(), "VmRSS:")
    }

    /// Resident memory that is not backed by files: what connections cost.
    pub fn anonymous_bytes(&self) -> u64 {
        status_bytes(self.id(), "RssAnon:")
    }

    /// Bytes it has read so far, from wherever.
    pub fn read_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/io", self.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("rchar:"));
        line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0)
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as an operator would, and waits until it has gone.
    pub fn stop(&mut self) {
        self.signal(rustix::process::Signal::TERM);
        let until = Instant::now() + END_MAX;
        while self.is_running() && Instant::now() < until {
            std::thread::sleep(STEP);
        }
        self.kill();
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn signal(&mut self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id.filter(|_| self.is_running()) {
            let _ = rustix::process::kill_process(id, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Asks `is_ready` every few milliseconds, as long as the process runs.
pub fn wait_until(
    process: &mut Process,
    limit: Duration,
    mut is_ready: impl FnMut() -> bool,
) -> Result<Duration, Fault> {
    let begin = Instant::now();
    while !is_ready() {
        if !process.is_running() {
            return Err(format!("process {} ended before it was ready", process.id()).into());
        }
        if begin.elapsed() > limit {
            return Err(format!("process {} is not ready after {limit:?}", process.id()).into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(begin.elapsed())
}

fn cpu_of(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name, in brackets, may hold anything; the fields are counted from behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.filter_map(|word| word.parse::<f64>().ok()).sum();
    Duration::from_secs_f64(ticks / TICKS_PER_SECOND)
}

fn status_bytes(id: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// An address on loopback that nobody listens on now.
pub fn free_address() -> Result<std::net::SocketAddr, Fault> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The program beside the running one: benches and server are built into one directory.
pub fn sibling(name: &str) -> Result<std::path::PathBuf, Fault> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    Err(format!("{} is missing: build packages server and benches", path.display()).into())
}
