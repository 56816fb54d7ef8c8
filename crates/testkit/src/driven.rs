//! Drives a session without a socket, as the edge does: messages in, messages out, events from the
//! hub only while the client takes them. Time is tokio's, so a paused clock runs deadlines at once.

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use port::feed::Fed;
use port::mounts::SessionFactory;
use port::{
    Code, Credential, Deadline, Driven, Feed, Flow, Hub, Identity, Peer, Refusal, RequestId,
    SessionStart, ShardId, Wire,
};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

/// Messages on the way in each direction; behind them a slow side is waited for.
const MESSAGES_MAX: usize = 64;
/// Events handed to the session before its words are passed on.
const EVENTS_PER_TURN_MAX: usize = 32;
/// What a drained client is told when the closer said nothing.
const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// What a client without a socket gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Message(Bytes),
    /// The connection ended, with the protocol's closing number.
    Closed(Option<u16>),
}

/// The client's end of a session. Dropping it is a lost connection.
pub struct DrivenClient {
    to_session: mpsc::Sender<Bytes>,
    from_session: mpsc::Receiver<Received>,
    is_closed: bool,
}

impl DrivenClient {
    /// Opens a session over the hub's shard 0, which somebody must turn (`MemoryHub::drive`). The
    /// hub must let it open without a wait.
    ///
    /// # Errors
    /// What the factory refuses.
    pub fn open(
        hub: Arc<dyn Hub>,
        factory: &SessionFactory,
        identity: Option<Identity>,
    ) -> Result<DrivenClient, Refusal> {
        let feed = Feed::new();
        let start = SessionStart {
            hub,
            peer: peer(),
            sink: feed.clone(),
            closer: feed.clone(),
            identity,
            head: None,
        };
        let session = factory(start).now_or_never().unwrap_or_else(|| {
            Err(Refusal::new(Code::Unsupported, "the hub makes an opening wait"))
        })?;
        let (to_session, inbox) = mpsc::channel(MESSAGES_MAX);
        let (outbox, from_session) = mpsc::channel(MESSAGES_MAX);
        let turning = Turning {
            session,
            feed,
            inbox,
            input: BytesMut::new(),
            wire: Wire::default(),
            began: Instant::now(),
            timer: None,
        };
        tokio::spawn(turning.run(outbox));
        Ok(DrivenClient { to_session, from_session, is_closed: false })
    }

    /// One message to the session; lost when the session is over.
    pub async fn send(&self, message: impl Into<Bytes>) {
        let _ = self.to_session.send(message.into()).await;
    }

    /// The next message; after the end it is `Closed` for ever.
    pub async fn receive(&mut self) -> Received {
        if self.is_closed {
            return Received::Closed(None);
        }
        let received = self.from_session.recv().await.unwrap_or(Received::Closed(None));
        self.is_closed = matches!(received, Received::Closed(_));
        received
    }
}

/// A client of no network, on shard 0.
pub fn peer() -> Peer {
    Peer {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)),
        shard: ShardId(0),
        is_tls: false,
        request_id: RequestId("test-request".into()),
    }
}

/// Proves a secret as the edge does for an upgrade request.
///
/// # Errors
/// What `Hub::authenticate` refuses.
pub async fn prove(hub: &dyn Hub, secret: &str) -> Result<Identity, Refusal> {
    hub.authenticate(&peer(), &Credential::from_bearer(secret)).await
}

struct Turning {
    session: Box<dyn Driven>,
    feed: Arc<Feed>,
    inbox: mpsc::Receiver<Bytes>,
    input: BytesMut,
    wire: Wire,
    began: Instant,
    timer: Option<(Deadline, Pin<Box<Sleep>>)>,
}

/// Why a turn ended.
enum Turn {
    /// There are words to pass on.
    Said,
    /// The session wants to close.
    Close,
    /// The client is gone.
    Gone,
}

impl Turning {
    async fn run(mut self, outbox: mpsc::Sender<Received>) {
        let mut turn = std::future::poll_fn(|cx| {
            let flow = self.session.on_open(cx, &mut self.wire);
            Poll::Ready(if flow == Flow::Close { Turn::Close } else { Turn::Said })
        })
        .await;
        loop {
            if let Turn::Gone = turn {
                break;
            }
            if self.pass_on(&outbox).await.is_err() {
                break;
            }
            if let Turn::Close = turn {
                let _ = outbox.send(Received::Closed(self.wire.close_code)).await;
                break;
            }
            turn = std::future::poll_fn(|cx| self.poll_turn(cx)).await;
        }
        self.feed.abandon();
    }

    /// Waits for the client: this is where a slow one stops the session's feed.
    async fn pass_on(&mut self, outbox: &mpsc::Sender<Received>) -> Result<(), ()> {
        for lane in [&mut self.wire.control, &mut self.wire.data] {
            for frame in lane.frames() {
                let message = Received::Message(Bytes::copy_from_slice(frame));
                outbox.send(message).await.map_err(drop)?;
            }
            lane.clear();
        }
        Ok(())
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        if self.poll_input(cx).is_break() || self.poll_events(cx).is_break() {
            return Poll::Ready(Turn::Close);
        }
        let was_blocked = self.session.is_blocked();
        if self.session.poll_deferred(cx, &mut self.wire) == Flow::Close {
            return Poll::Ready(Turn::Close);
        }
        if was_blocked && !self.session.is_blocked() {
            // Input that waited for it is handled in the next turn.
            cx.waker().wake_by_ref();
        }
        if self.poll_deadline(cx).is_break() {
            return Poll::Ready(Turn::Close);
        }
        if !self.wire.control.is_empty() || !self.wire.data.is_empty() {
            return Poll::Ready(Turn::Said);
        }
        if self.inbox.is_closed() && self.inbox.is_empty() && self.input.is_empty() {
            return Poll::Ready(Turn::Gone);
        }
        Poll::Pending
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> std::ops::ControlFlow<()> {
        while !self.session.is_blocked() {
            if self.input.is_empty() {
                match self.inbox.poll_recv(cx) {
                    Poll::Ready(Some(message)) => self.input.extend_from_slice(&message),
                    Poll::Ready(None) | Poll::Pending => break,
                }
            }
            if self.session.on_input(cx, &mut self.input, &mut self.wire) == Flow::Close {
                return std::ops::ControlFlow::Break(());
            }
            // What a message transport leaves unread of a whole message is not kept.
            if !self.session.is_blocked() {
                self.input.clear();
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    fn poll_events(&mut self, cx: &mut Context<'_>) -> std::ops::ControlFlow<()> {
        for _ in 0..EVENTS_PER_TURN_MAX {
            let Poll::Ready(fed) = self.feed.poll_next(cx) else {
                return std::ops::ControlFlow::Continue(());
            };
            let wire = &mut self.wire;
            let flow = match fed {
                Fed::Closed(why) if why.code() == Code::Draining => {
                    self.session.on_drain(why.wait().unwrap_or(DRAIN_WAIT), wire);
                    Flow::Close
                }
                Fed::Closed(why) => self.session.on_refusal(why, wire),
                event => match event.event() {
                    Some((tag, event)) => self.session.on_event(cx, tag, event, wire),
                    None => Flow::Continue,
                },
            };
            if flow == Flow::Close {
                return std::ops::ControlFlow::Break(());
            }
        }
        // There may be more, for the next turn.
        cx.waker().wake_by_ref();
        std::ops::ControlFlow::Continue(())
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> std::ops::ControlFlow<()> {
        let wanted = self.session.deadline();
        if self.timer.as_ref().map(|(deadline, _)| *deadline) != wanted {
            let at = |deadline| (deadline, Box::pin(tokio::time::sleep_until(self.at(deadline))));
            self.timer = wanted.map(at);
        }
        let Some((_, sleep)) = &mut self.timer else {
            return std::ops::ControlFlow::Continue(());
        };
        if sleep.as_mut().poll(cx).is_pending() {
            return std::ops::ControlFlow::Continue(());
        }
        self.timer = None;
        match self.session.on_deadline(&mut self.wire) {
            Flow::Close => std::ops::ControlFlow::Break(()),
            Flow::Continue => std::ops::ControlFlow::Continue(()),
        }
    }

    fn at(&self, deadline: Deadline) -> Instant {
        match deadline {
            Deadline::After(wait) => self.began + wait,
            Deadline::At(time_ms) => {
                let now_ms = stdx::SystemClock::shared().now_ms();
                let wait_ms = u64::try_from(time_ms.saturating_sub(now_ms)).unwrap_or(0);
                Instant::now() + Duration::from_millis(wait_ms)
            }
        }
    }
}
