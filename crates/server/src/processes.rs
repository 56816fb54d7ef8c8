//! Several processes of this node: workers that serve tenants' clients on the public port while
//! this one, their owner, has the log and answers operators. Starts them, starts them again when
//! they end, ends them. What goes on between them is `link`'s.

use crate::app::StartError;
use crate::config::Config;
use link::{Owner, Workers};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The program that runs now, also when its file was replaced meanwhile.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// In which all workers must serve, or the start has failed.
const START_TIME_MAX: Duration = Duration::from_secs(30);
/// After a drain's own time, what still runs is cut.
const END_SLACK: Duration = Duration::from_secs(3);
/// Waits before a worker that ended is started again: doubled each time it ends soon.
const AGAIN_MIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// A worker that lived so long did not end soon.
const LIVED: Duration = Duration::from_secs(30);

/// What a worker is told when it starts, over its standard input: nobody else can read it there.
#[derive(Serialize, Deserialize)]
pub struct Start {
    pub index: u16,
    /// Where the owner is, and what is shown to it, in hexadecimal digits.
    pub socket: PathBuf,
    pub secret: String,
    /// The public address, with its real port.
    pub listen: SocketAddr,
    pub config: Value,
}

/// What every worker is started with.
struct Plan {
    starts: Vec<String>,
    stopping: watch::Sender<bool>,
    /// A worker that ended without having served, while none had yet.
    failed: Mutex<Option<String>>,
}

/// The running workers.
pub struct Processes {
    plan: Arc<Plan>,
    workers: Workers,
    letting_in: JoinHandle<()>,
    keeping: Vec<JoinHandle<()>>,
    end_time_max: Duration,
}

impl Processes {
    /// Starts as many workers as configured and waits until they serve.
    ///
    /// # Errors
    /// When one cannot, with what it said.
    pub async fn start(
        owner: Owner,
        config: &Config,
        listen: SocketAddr,
    ) -> Result<Processes, StartError> {
        let value = serde_json::to_value(config).unwrap_or_default();
        let address = owner.address();
        let secret: String = address.secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let start = |index| Start {
            index,
            socket: address.path.clone(),
            secret: secret.clone(),
            listen,
            config: value.clone(),
        };
        // Plain data: it always serialises.
        let text = |start| serde_json::to_string(&start).unwrap_or_default();
        let count = config.workers();
        let plan = Arc::new(Plan {
            starts: (0..count).map(|index| text(start(index))).collect(),
            stopping: watch::Sender::new(false),
            failed: Mutex::default(),
        });
        let workers = owner.workers();
        let letting_in = tokio::spawn(owner.run());
        let keeping =
            (0..usize::from(count)).map(|index| tokio::spawn(Arc::clone(&plan).keep(index)));
        let processes = Processes {
            keeping: keeping.collect(),
            plan,
            workers,
            letting_in,
            end_time_max: Duration::from_millis(config.edge.drain.total_ms_max) + END_SLACK,
        };
        match timeout(START_TIME_MAX, processes.all_serve(usize::from(count))).await {
            Ok(Ok(())) => Ok(processes),
            Ok(Err(why)) => Err(processes.give_up(why).await),
            Err(_) => Err(processes.give_up("they did not serve in time".to_owned()).await),
        }
    }

    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// What begins the end, from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper { plan: Arc::clone(&self.plan), workers: self.workers.clone() }
    }

    async fn all_serve(&self, count: usize) -> Result<(), String> {
        let mut serving = self.workers.serving();
        loop {
            if *serving.borrow_and_update() >= count {
                return Ok(());
            }
            if let Some(why) = self.plan.failed.lock().clone() {
                return Err(why);
            }
            let _ = timeout(AGAIN_MIN, serving.changed()).await;
        }
    }

    async fn give_up(self, why: String) -> StartError {
        self.stopper().stop();
        self.end().await;
        StartError::Other(format!("the processes that serve clients: {why}"))
    }

    /// Waits until the workers have ended, which were told to stop; cuts what takes too long.
    pub async fn end(self) {
        self.stopper().stop();
        let deadline = Instant::now() + self.end_time_max;
        for mut task in self.keeping {
            let left = deadline.saturating_duration_since(Instant::now());
            if timeout(left, &mut task).await.is_err() {
                tracing::warn!("a worker did not end in time and is cut");
                // The child goes with the task that holds it.
                task.abort();
                let _ = task.await;
            }
        }
        // What they said at last (usage, who left) is heard before the log is closed.
        let _ = timeout(END_SLACK, self.workers.gone()).await;
        self.letting_in.abort();
    }
}

/// Tells the workers to drain, and that none is started again.
pub struct Stopper {
    plan: Arc<Plan>,
    workers: Workers,
}

impl Stopper {
    pub fn stop(&self) {
        self.plan.stopping.send_replace(true);
        self.workers.drain();
    }
}

impl Plan {
    /// Keeps one worker running until the node stops.
    async fn keep(self: Arc<Self>, index: usize) {
        let mut stopping = self.stopping.subscribe();
        let mut again = AGAIN_MIN;
        let mut is_first = true;
        loop {
            let began = Instant::now();
            let ended = match self.spawn(index).await {
                Ok(mut child) => match child.wait().await {
                    Ok(status) => status.to_string(),
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            if *stopping.borrow() {
                return;
            }
            tracing::error!(worker = index, ended, "a worker ended; it is started again");
            if is_first {
                self.failed.lock().get_or_insert_with(|| format!("number {index} ended: {ended}"));
            }
            is_first = false;
            again = if began.elapsed() > LIVED { AGAIN_MIN } else { (again * 2).min(AGAIN_MAX) };
            tokio::select! {
                () = sleep(again) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    async fn spawn(&self, index: usize) -> std::io::Result<Child> {
        let mut command = std::process::Command::new(OWN_PROGRAM);
        // A signal of the terminal is for the owner, which drains its workers.
        command.arg0("mainstem").arg("worker").stdin(Stdio::piped()).process_group(0);
        let mut child = Command::from(command).kill_on_drop(true).spawn()?;
        if let (Some(mut stdin), Some(start)) = (child.stdin.take(), self.starts.get(index)) {
            stdin.write_all(start.as_bytes()).await?;
            stdin.shutdown().await?;
        }
        Ok(child)
    }
}
