//! One worker's connection as the owner has it: who it may name, its connections, its calls under
//! way.

use super::addresses::AddressesHeld;
use super::people::People;
use crate::call::{Call, CallNumber, Notice, Place, Who};
use crate::frame::{ToOwner, ToWorker, frame};
use crate::queue::{Lane, Queue};
use crate::socket::Frames;
use crate::wire::bounds::CALLS_MAX;
use axum::Router;
use bytes::Bytes;
use hub::Node;
use hub::branch::Trunk;
use parking_lot::Mutex;
use port::{Closer, Code, ConnectionId, Hub, Lease, Refusal};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// The worker's connections: by the worker's number and by the node's.
#[derive(Default)]
struct Leases {
    by_place: HashMap<Place, Arc<Lease>>,
    by_id: HashMap<ConnectionId, Arc<Lease>>,
    /// The worker is gone: nothing more is kept for it.
    is_over: bool,
}

pub struct Session {
    pub node: Arc<Node>,
    pub routes: Router,
    pub trunk: Trunk,
    queue: Arc<Queue>,
    pub people: Mutex<People>,
    leases: Mutex<Leases>,
    pub addresses: AddressesHeld,
    running: Mutex<HashMap<CallNumber, AbortHandle>>,
    asked: Mutex<HashMap<CallNumber, oneshot::Sender<String>>>,
    next: AtomicU64,
    is_ready: AtomicBool,
}

/// Ends a connection of a worker.
pub struct RemoteCloser {
    queue: Arc<Queue>,
    place: Place,
}

impl Closer for RemoteCloser {
    fn close(&self, why: Refusal) {
        if let Some(frame) = frame(&ToWorker::Close { place: self.place, why }) {
            self.queue.send(Lane::Control, frame);
        }
    }
}

impl Session {
    pub fn new(
        node: Arc<Node>,
        routes: Router,
        trunk: Trunk,
        queue: Arc<Queue>,
        addresses: AddressesHeld,
    ) -> Arc<Session> {
        Arc::new(Session {
            node,
            routes,
            trunk,
            queue,
            people: Mutex::default(),
            leases: Mutex::default(),
            addresses,
            running: Mutex::default(),
            asked: Mutex::default(),
            next: AtomicU64::new(0),
            is_ready: AtomicBool::new(false),
        })
    }

    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    pub fn send(&self, content: &ToWorker) {
        match frame(content) {
            Some(frame) => self.queue.send(Lane::Control, frame),
            None => tracing::error!("a frame for a worker was too large and is lost"),
        }
    }

    /// Tells the worker what the node tells its branch, no faster than the worker takes it.
    pub async fn tell(&self) -> io::Error {
        loop {
            let news = std::future::poll_fn(|cx| self.trunk.poll_news(cx)).await;
            for news in news {
                self.queue.room(Lane::Records).await;
                match frame(&ToWorker::News(news)) {
                    Some(frame) => self.queue.send(Lane::Records, frame),
                    // Nothing that the log takes is so large; the order of news must not break.
                    None => return io::Error::other("news larger than a frame"),
                }
            }
        }
    }

    /// Carries out what the worker asks for, beginning each call before the next one is read.
    pub async fn listen(
        self: &Arc<Self>,
        frames: &mut Frames<'_>,
        on_ready: impl Fn(),
    ) -> io::Error {
        loop {
            // A worker that does not take its answers gets no more of them.
            self.queue.room(Lane::Control).await;
            match frames.next::<ToOwner>().await {
                Ok(Some(ToOwner::Call { number, call })) => self.begin(number, *call).await,
                Ok(Some(ToOwner::Cancel(number))) => {
                    if let Some(call) = self.running.lock().remove(&number) {
                        call.abort();
                    }
                }
                Ok(Some(ToOwner::Notice(Notice::Ready))) => {
                    self.is_ready.store(true, Ordering::Release);
                    on_ready();
                }
                Ok(Some(ToOwner::Notice(notice))) => self.on_notice(notice),
                Ok(Some(ToOwner::Answer { number, answer })) => {
                    let asked = self.asked.lock().remove(&number);
                    if let Some(asked) = asked {
                        let _ = asked.send(answer);
                    }
                }
                Ok(Some(ToOwner::Hello { .. })) => {
                    return io::Error::other("a worker said hello twice");
                }
                Ok(None) => return io::Error::from(io::ErrorKind::UnexpectedEof),
                Err(error) => return error,
            }
        }
    }

    async fn begin(self: &Arc<Self>, number: CallNumber, call: Call) {
        if self.running.lock().len() >= CALLS_MAX {
            let refusal = Refusal::new(Code::Overloaded, "too many requests wait for an answer");
            return self.answer(number, Err(refusal));
        }
        let session = Arc::clone(self);
        let mut work = Box::pin(async move { session.carry_out(number, call).await });
        // What enters the log in the order of the calls does so here.
        let first = std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
        if let Poll::Ready(answer) = first {
            return self.conclude(number, answer);
        }
        let session = Arc::clone(self);
        // Under the lock: the task must not end before it is known.
        let mut running = self.running.lock();
        let task = tokio::spawn(async move {
            let answer = work.await;
            session.running.lock().remove(&number);
            session.conclude(number, answer);
        });
        running.insert(number, task.abort_handle());
    }

    /// `None` was answered among the news.
    fn conclude(&self, number: CallNumber, answer: Option<Result<Vec<u8>, Refusal>>) {
        if let Some(answer) = answer {
            self.answer(number, answer.map(Bytes::from));
        }
    }

    fn answer(&self, number: CallNumber, answer: Result<Bytes, Refusal>) {
        let whole = frame(&ToWorker::Answer { number, answer });
        let whole = whole.or_else(|| {
            let refusal =
                Refusal::new(Code::PayloadTooLarge, "the answer is larger than one may be")
                    .hint("ask for less at a time");
            frame(&ToWorker::Answer { number, answer: Err(refusal) })
        });
        if let Some(whole) = whole {
            self.queue.send(Lane::Control, whole);
        }
    }

    fn on_notice(&self, notice: Notice) {
        match notice {
            Notice::Ready => {}
            Notice::Left(place) => {
                let mut leases = self.leases.lock();
                let lease = leases.by_place.remove(&place);
                if let Some(lease) = &lease {
                    leases.by_id.remove(&lease.id);
                }
                drop(leases);
                drop(lease);
            }
            Notice::Requested(counts) => {
                counts.into_iter().for_each(|(who, count)| self.count_requests(who, count));
            }
            Notice::AddressLeft(place) => self.addresses.leave(place),
            Notice::Unfollowed(call) => self.trunk.unfollowed(call.0),
            Notice::Forgotten(numbers) => {
                let mut people = self.people.lock();
                numbers.into_iter().for_each(|(who, given)| people.forgotten(who, given));
            }
            Notice::Unused(topics) => topics.into_iter().for_each(|id| self.trunk.leave(id)),
            Notice::Used(usage) => {
                for (tenant, project, usage) in usage {
                    self.trunk.used(tenant, project, usage);
                }
            }
        }
    }

    /// Counts what was done already; what comes next is refused where it comes in.
    fn count_requests(&self, who: Who, count: u64) {
        let Some(identity) = self.people.lock().get(who) else {
            return;
        };
        let refused = (0..count).find_map(|_| self.node.count_request(&identity).err());
        if let Some(why) = refused {
            self.send(&ToWorker::Exhausted { who, why });
        }
    }

    pub fn closer(&self, place: Place) -> Arc<RemoteCloser> {
        Arc::new(RemoteCloser { queue: Arc::clone(&self.queue), place })
    }

    /// Keeps a connection's lease until the worker says that it is over.
    pub fn keep(&self, place: Place, lease: Lease) -> ConnectionId {
        let lease = Arc::new(lease);
        let id = lease.id;
        let mut leases = self.leases.lock();
        if !leases.is_over {
            leases.by_id.insert(id, Arc::clone(&lease));
            leases.by_place.insert(place, Arc::clone(&lease));
        }
        drop(leases);
        id
    }

    pub fn lease(&self, id: ConnectionId) -> Option<Arc<Lease>> {
        self.leases.lock().by_id.get(&id).cloned()
    }

    /// The worker's own figures.
    pub async fn figures(&self) -> Option<String> {
        let number = CallNumber(self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, answer) = oneshot::channel();
        self.asked.lock().insert(number, sender);
        self.send(&ToWorker::Figures(number));
        let answer = answer.await.ok();
        self.asked.lock().remove(&number);
        answer
    }

    /// The worker is gone: its calls end, its connections are over.
    pub fn end(&self) {
        let running: Vec<AbortHandle> = self.running.lock().drain().map(|(_, it)| it).collect();
        running.iter().for_each(AbortHandle::abort);
        let leases = {
            let mut held = self.leases.lock();
            std::mem::replace(&mut *held, Leases { is_over: true, ..Leases::default() })
        };
        self.trunk.end();
        self.addresses.end();
        // Outside the lock: a lease that drops tells of who left.
        drop(leases);
    }
}
