//! A worker's side: the connection to the owner, and what is done with what the owner says. When
//! the owner is gone the worker has nothing to say to anybody, and ends.

mod addresses;
mod closers;
mod forward;
mod history;
mod identities;
mod line;
mod remote;
mod remote_consumers;

pub use forward::routes;
pub use remote::RemoteHub;

use crate::call::Notice;
use crate::frame::{ToOwner, ToWorker};
use crate::queue::{Lane, Queue};
use crate::socket::{Address, Frames};
use crate::wire::Context;
use bytes::Bytes;
use hub::branch;
use hub::branch::News;
use line::Line;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use stdx::Clock;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// Usage is told so often; what is not told yet is lost with the process.
const USAGE_EVERY: Duration = Duration::from_millis(250);
/// Of these rounds, one in so many looks for identities nobody is any more.
const IDENTITIES_ROUNDS: u32 = 4;
/// And one in so many for topics nobody follows any more.
const TOPICS_ROUNDS: u32 = 40;

/// What the process lends to the link.
pub struct Parts {
    /// Edge threads.
    pub shards: usize,
    pub cursor_key: aws_lc_rs::hmac::Key,
    pub clock: Arc<dyn Clock>,
    /// Names of the protocols of this binary.
    pub protocols: Arc<[&'static str]>,
    /// The process's own figures, as text.
    pub figures: Arc<dyn Fn() -> String + Send + Sync>,
    /// Changes what is logged.
    pub log: Arc<dyn Fn(&str) + Send + Sync>,
}

/// A connection to the owner that was accepted.
pub struct Joined {
    pub hub: Arc<RemoteHub>,
    /// Becomes `true` when the owner wants the worker to drain.
    pub drain: watch::Receiver<bool>,
    worker: Worker,
}

struct Worker {
    socket: Arc<UnixStream>,
    queue: Arc<Queue>,
    hub: Arc<RemoteHub>,
    context: Context,
    draining: watch::Sender<bool>,
    figures: Arc<dyn Fn() -> String + Send + Sync>,
    log: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Connects to the owner and shows it the secret.
///
/// # Errors
/// When nobody is there, or the owner does not want this worker.
pub async fn join(address: &Address, index: u16, parts: Parts) -> io::Result<Joined> {
    let socket = Arc::new(UnixStream::connect(&address.path).await?);
    let queue = Queue::new(Arc::clone(&socket));
    let context = Context {
        mint: branch::mint(parts.cursor_key.clone()),
        protocols: Arc::clone(&parts.protocols),
    };
    let line = Line::new(Arc::clone(&queue), context.clone());
    let branch = branch::Branch::new(branch::Parts {
        shards: parts.shards,
        cursor_key: parts.cursor_key,
        history: Arc::new(history::RemoteHistory::new(Arc::clone(&line))),
        clock: parts.clock,
    });
    let hub = Arc::new(RemoteHub::new(line, branch));
    let secret = Bytes::copy_from_slice(&address.secret);
    hub.line().send(&ToOwner::Hello { secret, index });
    let (draining, drain) = watch::channel(false);
    let worker = Worker {
        socket,
        queue,
        hub: Arc::clone(&hub),
        context,
        draining,
        figures: parts.figures,
        log: parts.log,
    };
    Ok(Joined { hub, drain, worker })
}

impl Joined {
    /// Serves the connection until it ends; then the owner is gone.
    pub async fn run(self) -> io::Error {
        let worker = self.worker;
        let rounds = rounds(Arc::clone(&worker.hub));
        let requests = requests(Arc::clone(&worker.hub));
        tokio::select! {
            error = worker.queue.run() => error,
            error = worker.listen() => error,
            never = rounds => match never {},
            never = requests => match never {},
        }
    }
}

impl Worker {
    async fn listen(&self) -> io::Error {
        let mut frames = Frames::new(&self.socket, self.context.clone());
        loop {
            match frames.next::<ToWorker>().await {
                Ok(Some(frame)) => self.on_frame(frame),
                Ok(None) => return io::Error::from(io::ErrorKind::UnexpectedEof),
                Err(error) => return error,
            }
        }
    }

    fn on_frame(&self, frame: ToWorker) {
        match frame {
            ToWorker::Welcome => {}
            ToWorker::Answer { number, answer } => self.hub.line().answered(number, answer),
            ToWorker::News(News::Followed { call, outcome }) => self.hub.followed(call, outcome),
            ToWorker::News(news) => self.hub.branch().hear(news),
            ToWorker::Close { place, why } => self.hub.closers().close(place, why),
            ToWorker::Exhausted { who, why } => self.hub.exhausted(who, why),
            ToWorker::Figures(number) => {
                let answer = (self.figures)();
                self.hub.line().send(&ToOwner::Answer { number, answer });
            }
            ToWorker::Log(directives) => (self.log)(&directives),
            ToWorker::Drain => {
                self.draining.send_replace(true);
            }
        }
    }
}

/// Requests that led to no call in this time will lead to none: they are told by themselves.
const REQUESTS_AFTER: Duration = Duration::from_millis(5);

/// Has requests counted that asked the owner for nothing. Never ends by itself.
async fn requests(hub: Arc<RemoteHub>) -> std::convert::Infallible {
    loop {
        hub.requested().await;
        tokio::time::sleep(REQUESTS_AFTER).await;
        hub.tell_requests();
    }
}

/// Tells the owner what it needs to know without being asked. Never ends by itself.
async fn rounds(hub: Arc<RemoteHub>) -> std::convert::Infallible {
    let mut every = interval(USAGE_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut round = 0u32;
    loop {
        every.tick().await;
        round = round.wrapping_add(1);
        hub.tell_usage();
        if round.is_multiple_of(IDENTITIES_ROUNDS) {
            hub.tell_forgotten();
        }
        if round.is_multiple_of(TOPICS_ROUNDS) {
            hub.tell_unused();
        }
    }
}

impl RemoteHub {
    /// The worker serves: clients can come.
    pub fn tell_ready(&self) {
        self.line().notice(Notice::Ready);
    }

    /// Everything that was used up to now; called once more before the process ends.
    pub fn tell_usage(&self) {
        let used = self.branch().take_usage();
        if !used.is_empty() {
            self.line().notice(Notice::Used(used));
        }
    }

    /// Waits until the owner has been sent everything.
    pub async fn flush(&self) {
        self.line().flushed().await;
    }
}

/// Frames of a worker go out in the order of the calls.
const LANE: Lane = Lane::Control;
