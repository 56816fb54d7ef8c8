//! The owner's side: lets workers in, carries out what they ask for, tells them what is new. What
//! a worker held is given up when its connection ends, however it ended.

pub(crate) mod addresses;
mod call;
mod people;
mod session;

use crate::frame::{ToOwner, ToWorker};
use crate::queue::Queue;
use crate::socket::{Address, Frames, listen};
use crate::wire::Context;
use addresses::{Addresses, AddressesHeld};
use axum::Router;
use futures_util::future::join_all;
use hub::Node;
use hub::branch::mint;
use parking_lot::Mutex;
use port::Refusal;
use session::Session;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use stdx::Rng;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// In which a worker must say who it is.
const HELLO_TIME_MAX: Duration = Duration::from_secs(5);
/// In which a worker must tell its figures; without them the others' are shown.
const FIGURES_TIME_MAX: Duration = Duration::from_secs(2);
/// After an error of the system, accepting rests.
const REST: Duration = Duration::from_millis(50);

/// What the owner is made of.
pub struct Parts {
    pub node: Arc<Node>,
    /// Names of the protocols of this binary.
    pub protocols: Arc<[&'static str]>,
    pub cursor_key: aws_lc_rs::hmac::Key,
    /// Workers at most; their numbers count from 0.
    pub workers: u16,
}

struct Shared {
    node: Arc<Node>,
    routes: OnceLock<Router>,
    context: Context,
    address: Address,
    workers: u16,
    sessions: Mutex<BTreeMap<u16, Arc<Session>>>,
    serving: watch::Sender<usize>,
    connected: watch::Sender<usize>,
    is_draining: AtomicBool,
    addresses: Arc<Addresses>,
}

/// Listens for workers.
pub struct Owner {
    listener: UnixListener,
    shared: Arc<Shared>,
}

/// The workers that are connected.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

impl Owner {
    /// Listens below this directory. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn bind(directory: &Path, rng: &dyn Rng, parts: Parts) -> io::Result<Owner> {
        let (listener, address) = listen(directory, rng)?;
        let context = Context { mint: mint(parts.cursor_key), protocols: parts.protocols };
        let shared = Arc::new(Shared {
            node: parts.node,
            routes: OnceLock::new(),
            context,
            address,
            workers: parts.workers,
            sessions: Mutex::default(),
            serving: watch::Sender::new(0),
            connected: watch::Sender::new(0),
            is_draining: AtomicBool::new(false),
            addresses: Arc::default(),
        });
        Ok(Owner { listener, shared })
    }

    /// Where workers find it, to be told to them in secret.
    pub fn address(&self) -> &Address {
        &self.shared.address
    }

    pub fn workers(&self) -> Workers {
        Workers(Arc::clone(&self.shared))
    }

    /// Lets workers in. Ends with the task that runs it, and with it all their connections.
    pub async fn run(self) {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            match self.listener.accept().await {
                Ok((socket, _)) => {
                    connections.spawn(serve(Arc::clone(&self.shared), socket));
                }
                Err(error) => {
                    tracing::warn!(%error, "a worker cannot be let in");
                    tokio::time::sleep(REST).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    }
}

async fn serve(shared: Arc<Shared>, socket: UnixStream) {
    let socket = Arc::new(socket);
    let mut frames = Frames::new(&socket, shared.context.clone());
    let Some(index) = greeted(&shared, &mut frames).await else {
        tracing::warn!("somebody who is no worker of ours came to the owner's socket");
        return;
    };
    let Some(trunk) = shared.node.trunk(usize::from(index)) else {
        tracing::warn!(worker = index, "a worker came that is there already");
        return;
    };
    let queue = Queue::new(Arc::clone(&socket));
    let node = Arc::clone(&shared.node);
    let routes = shared.routes.get().cloned().unwrap_or_default();
    let addresses = AddressesHeld::new(Arc::clone(&shared.addresses));
    let session = Session::new(node, routes, trunk, Arc::clone(&queue), addresses);
    shared.sessions.lock().insert(index, Arc::clone(&session));
    shared.count();
    session.send(&ToWorker::Welcome);
    if shared.is_draining.load(Ordering::Acquire) {
        session.send(&ToWorker::Drain);
    }
    // What the worker has said is heard to its end, also when it takes nothing any more.
    let writing = async {
        queue.run().await;
        std::future::pending().await
    };
    let end = tokio::select! {
        error = writing => error,
        error = session.tell() => error,
        error = session.listen(&mut frames, || shared.count()) => error,
    };
    shared.sessions.lock().remove(&index);
    session.end();
    shared.count();
    tracing::info!(worker = index, %end, "a worker's connection ended");
}

/// The number of the worker, when it is one.
async fn greeted(shared: &Shared, frames: &mut Frames<'_>) -> Option<u16> {
    let first = timeout(HELLO_TIME_MAX, frames.next::<ToOwner>()).await.ok()?;
    match first.ok()?? {
        ToOwner::Hello { secret, index } => {
            (shared.address.is_secret(&secret) && index < shared.workers).then_some(index)
        }
        _ => None,
    }
}

impl Shared {
    fn count(&self) {
        let sessions = self.sessions.lock();
        let serving = sessions.values().filter(|session| session.is_ready()).count();
        self.serving.send_replace(serving);
        self.connected.send_replace(sessions.len());
    }
}

impl Workers {
    /// What answers requests that no protocol takes. Once, before the workers come.
    pub fn answer_with(&self, routes: Router) {
        let is_first = self.0.routes.set(routes).is_ok();
        debug_assert!(is_first, "the routes are set once");
    }

    /// How many serve clients now.
    pub fn serving(&self) -> watch::Receiver<usize> {
        self.0.serving.subscribe()
    }

    /// Resolves when none is connected: all they said has been heard.
    pub async fn gone(&self) {
        let mut connected = self.0.connected.subscribe();
        // The sender lives as long as this.
        let _ = connected.wait_for(|connected| *connected == 0).await;
    }

    /// Every worker lets nobody in any more and ends when its connections have; one that comes
    /// later does so at once.
    pub fn drain(&self) {
        self.0.is_draining.store(true, Ordering::Release);
        self.all().iter().for_each(|(_, session)| session.send(&ToWorker::Drain));
    }

    /// Every worker logs this from now on.
    pub fn log(&self, directives: &str) {
        for (_, session) in self.all() {
            session.send(&ToWorker::Log(directives.to_owned()));
        }
    }

    /// The figures of every worker that answers in time, with its number.
    pub async fn figures(&self) -> Vec<(u16, String)> {
        let asked = self.all().into_iter().map(async |(index, session)| {
            let figures = timeout(FIGURES_TIME_MAX, session.figures()).await.ok()?;
            Some((index, figures?))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    fn all(&self) -> Vec<(u16, Arc<Session>)> {
        let sessions = self.0.sessions.lock();
        sessions.iter().map(|(&index, session)| (index, Arc::clone(session))).collect()
    }
}

/// A call of something the node does not have.
fn unsupported(what: &str) -> Refusal {
    Refusal::new(port::Code::Unsupported, format!("this node has no {what}"))
}
