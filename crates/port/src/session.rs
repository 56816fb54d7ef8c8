//! One connection of a framed protocol. The edge owns the socket, TLS, timers, limits, metrics and
//! the one loop; a session is a state machine it calls. No callback waits: long work is deferred
//! through the outbox, so a delivery never finds its session busy.

use crate::outbox::{Deferred, FrameOf, Outbox, Wait};
use crate::sink::{Closer, Event, Sink};
use crate::{Delivery, Hub, Identity, Peer, Refusal, Run, Shared};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{FuturesOrdered, Stream};
use std::any::TypeId;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use types::{SubscriptionTag, TimestampMs};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    Continue,
    /// Send what is in the outbox, then close in the protocol's polite way.
    Close,
}

/// When a session wants `on_deadline`. The edge keeps the clock and the one timing wheel, so a
/// session needs neither; it may call a moment late, never early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// So long after the session began.
    After(Duration),
    /// At this wall time.
    At(TimestampMs),
}

pub trait Session: Send + Sized + 'static {
    type Codec: Codec;
    /// The transport is ready: what a protocol says before it is asked.
    fn on_open(&mut self, _out: &mut Outbox<Self>) -> Result<Flow, Refusal> {
        Ok(Flow::Continue)
    }
    fn on_frame(&mut self, out: &mut Outbox<Self>, frame: FrameOf<Self>) -> Result<Flow, Refusal>;
    fn on_event(
        &mut self,
        out: &mut Outbox<Self>,
        tag: SubscriptionTag,
        event: Event<'_>,
    ) -> Result<Flow, Refusal>;
    /// The number under which this subscription's records are told now, when they are told by
    /// `record_frame` and change nothing in the session: connections with the same number then
    /// share the bytes. `None` has them told by `on_event`, one by one.
    fn run_number(&mut self, _tag: SubscriptionTag) -> Option<u32> {
        None
    }
    /// A record under such a number. What the codec makes of it depends on nothing else.
    fn record_frame(_number: u32, _delivery: &Arc<Delivery>) -> Option<FrameOf<Self>> {
        None
    }
    /// A callback or the codec refused, or the connection must end; tell the client.
    fn on_refusal(&mut self, out: &mut Outbox<Self>, refusal: Refusal) -> Flow;
    /// Nothing came in for the keep-alive interval; the edge closes after a second silent one.
    fn on_idle(&mut self, _out: &mut Outbox<Self>) -> Flow {
        Flow::Continue
    }
    /// The node is going down: advise the client to come back after `wait`, then it is closed.
    fn on_drain(&mut self, _out: &mut Outbox<Self>, _wait: Duration) {}
    /// Asked after each callback; the newest answer replaces the one before. A login that must
    /// come in time, a credential that runs out.
    fn deadline(&self) -> Option<Deadline> {
        None
    }
    /// Whose connection it is, as a number: the edge bounds what waits for all connections with the
    /// same one. Asked after callbacks until it is known.
    fn account(&self) -> Option<u128> {
        None
    }
    /// The deadline has passed.
    fn on_deadline(&mut self, _out: &mut Outbox<Self>) -> Flow {
        Flow::Continue
    }
}

/// Bytes to frames and back: pure, and no byte of input makes it panic.
pub trait Codec: Send + 'static {
    type Frame: Send + 'static;
    /// `None` when more bytes are needed. On a message transport the input is one whole message.
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Self::Frame>, Refusal>;
    fn encode(&mut self, frame: Self::Frame, output: &mut BytesMut);
    /// As `encode`, on a byte stream: large parts of a frame may be sent from where they are.
    fn encode_pieces(&mut self, frame: Self::Frame, lane: &mut Lane) {
        self.encode(frame, &mut lane.bytes);
    }
}

/// What the edge hands to a new session.
pub struct SessionStart {
    pub hub: Arc<dyn Hub>,
    pub peer: Peer,
    /// The connection as the hub feeds it; pass it to `Hub::follow`.
    pub sink: Arc<dyn Sink>,
    /// Pass it to `Hub::open`.
    pub closer: Arc<dyn Closer>,
    /// Proven before the session began, when the opening request carried a credential.
    pub identity: Option<Identity>,
    /// The HTTP request that opened it, on a transport that has one.
    pub head: Option<http::request::Parts>,
}

/// Encoded frames in sending order, each frame's end kept for transports with messages.
#[derive(Debug, Default)]
pub struct Lane {
    /// Before `bytes`, and sent from where they are: on a byte stream only.
    pub pieces: Vec<Bytes>,
    pub bytes: BytesMut,
    pub ends: Vec<usize>,
}

impl Lane {
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.bytes.clear();
        self.ends.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    /// Puts a piece behind everything that is here.
    pub fn put_piece(&mut self, piece: Bytes) {
        if !self.bytes.is_empty() {
            self.pieces.push(self.bytes.split().freeze());
        }
        self.pieces.push(piece);
    }

    fn push<C: Codec>(&mut self, codec: &mut C, frame: C::Frame) {
        codec.encode_pieces(frame, self);
        self.ends.push(self.bytes.len());
    }
}

/// What callbacks sent since the edge last took it. Control frames overtake waiting data.
#[derive(Debug, Default)]
pub struct Wire {
    pub control: Lane,
    pub data: Lane,
    /// Behind `data`: messages that other connections are sent too.
    pub shared: Option<Arc<Shared>>,
    /// The number that the transport's closing word carries after `Flow::Close` (RFC 6455 section
    /// 7.4 where there are messages); `None` is a normal end.
    pub close_code: Option<u16>,
}

/// Work in flight of one connection at most; beyond it no further frame is decoded.
pub const DEFERRED_MAX: usize = 64;

/// A session with its codec, as the edge drives it: bytes in, bytes out, the types erased.
pub trait Driven: Send {
    /// Must be called once, before anything else.
    fn on_open(&mut self, cx: &mut Context<'_>, wire: &mut Wire) -> Flow;
    /// Handles the frames in `input` while it may; what remains is an incomplete frame, or waits
    /// for work in flight (`is_blocked`).
    fn on_input(&mut self, cx: &mut Context<'_>, input: &mut BytesMut, wire: &mut Wire) -> Flow;
    fn on_event(
        &mut self,
        cx: &mut Context<'_>,
        tag: SubscriptionTag,
        event: Event<'_>,
        wire: &mut Wire,
    ) -> Flow;
    /// The records of a run, in order.
    fn on_run(
        &mut self,
        cx: &mut Context<'_>,
        tag: SubscriptionTag,
        run: &Run,
        wire: &mut Wire,
    ) -> Flow;
    /// Finished work in flight. Must be polled after each call that may have begun some.
    fn poll_deferred(&mut self, cx: &mut Context<'_>, wire: &mut Wire) -> Flow;
    fn on_refusal(&mut self, refusal: Refusal, wire: &mut Wire) -> Flow;
    fn on_idle(&mut self, wire: &mut Wire) -> Flow;
    fn on_drain(&mut self, wait: Duration, wire: &mut Wire);
    /// When `on_deadline` is wanted; ask again after each call.
    fn deadline(&self) -> Option<Deadline>;
    /// Whose connection it is, once that is known.
    fn account(&self) -> Option<u128>;
    fn on_deadline(&mut self, wire: &mut Wire) -> Flow;
    /// Work in flight keeps further frames from being handled.
    fn is_blocked(&self) -> bool;
    fn has_deferred(&self) -> bool;
}

pub struct Driver<S: Session> {
    session: S,
    codec: S::Codec,
    out: Outbox<S>,
    /// Boxed, because most connections have nothing in flight most of the time.
    deferred: Option<Box<FuturesOrdered<Deferred<S>>>>,
    is_barred: bool,
}

impl<S: Session> Driver<S> {
    pub fn new(session: S, codec: S::Codec) -> Driver<S> {
        Driver { session, codec, out: Outbox::default(), deferred: None, is_barred: false }
    }

    /// Turns a refusal into the protocol's words, and moves frames to bytes and work to its queue.
    fn settle(
        &mut self,
        cx: Option<&mut Context<'_>>,
        outcome: Result<Flow, Refusal>,
        wire: &mut Wire,
    ) -> Flow {
        let flow = match outcome {
            Ok(flow) => flow,
            Err(refusal) => self.session.on_refusal(&mut self.out, refusal),
        };
        while let Some(frame) = self.out.control.pop_front() {
            wire.control.push(&mut self.codec, frame);
        }
        while let Some(frame) = self.out.data.pop_front() {
            wire.data.push(&mut self.codec, frame);
        }
        wire.close_code = self.out.close_code.take().or(wire.close_code);
        for (work, wait) in self.out.deferred.drain(..) {
            self.deferred.get_or_insert_default().push_back(work);
            self.is_barred |= wait == Wait::Barrier;
        }
        if let (Some(cx), Flow::Continue) = (cx, flow) {
            return self.poll_deferred(cx, wire);
        }
        flow
    }
}

impl<S: Session> Driven for Driver<S> {
    fn on_open(&mut self, cx: &mut Context<'_>, wire: &mut Wire) -> Flow {
        let outcome = self.session.on_open(&mut self.out);
        self.settle(Some(cx), outcome, wire)
    }

    fn on_input(&mut self, cx: &mut Context<'_>, input: &mut BytesMut, wire: &mut Wire) -> Flow {
        while input.has_remaining() && !self.is_blocked() {
            let outcome = match self.codec.decode(input) {
                Ok(None) => break,
                Ok(Some(frame)) => self.session.on_frame(&mut self.out, frame),
                Err(refusal) => Err(refusal),
            };
            if self.settle(Some(cx), outcome, wire) == Flow::Close {
                return Flow::Close;
            }
        }
        Flow::Continue
    }

    fn on_event(
        &mut self,
        cx: &mut Context<'_>,
        tag: SubscriptionTag,
        event: Event<'_>,
        wire: &mut Wire,
    ) -> Flow {
        let outcome = self.session.on_event(&mut self.out, tag, event);
        self.settle(Some(cx), outcome, wire)
    }

    fn on_run(
        &mut self,
        cx: &mut Context<'_>,
        tag: SubscriptionTag,
        run: &Run,
        wire: &mut Wire,
    ) -> Flow {
        if let Some(number) = self.session.run_number(tag) {
            let codec = &mut self.codec;
            let encode = |lane: &mut Lane, deliveries: &[Arc<Delivery>]| {
                let frames = deliveries.iter().filter_map(|it| S::record_frame(number, it));
                frames.for_each(|frame| lane.push(codec, frame));
            };
            wire.shared = run.shared(TypeId::of::<S::Codec>(), number, encode);
            if wire.shared.is_some() {
                return Flow::Continue;
            }
        }
        for delivery in run.deliveries() {
            if self.on_event(cx, tag, Event::Delivery(delivery), wire) == Flow::Close {
                return Flow::Close;
            }
        }
        Flow::Continue
    }

    fn poll_deferred(&mut self, cx: &mut Context<'_>, wire: &mut Wire) -> Flow {
        while let Some(deferred) = &mut self.deferred {
            match Pin::new(deferred.as_mut()).poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => {
                    self.deferred = None;
                    self.is_barred = false;
                }
                Poll::Ready(Some(then)) => {
                    let outcome = then(&mut self.session, &mut self.out);
                    if self.settle(None, outcome, wire) == Flow::Close {
                        return Flow::Close;
                    }
                }
            }
        }
        Flow::Continue
    }

    fn on_refusal(&mut self, refusal: Refusal, wire: &mut Wire) -> Flow {
        self.settle(None, Err(refusal), wire)
    }

    fn on_idle(&mut self, wire: &mut Wire) -> Flow {
        let flow = self.session.on_idle(&mut self.out);
        self.settle(None, Ok(flow), wire)
    }

    fn on_drain(&mut self, wait: Duration, wire: &mut Wire) {
        self.session.on_drain(&mut self.out, wait);
        let _ = self.settle(None, Ok(Flow::Continue), wire);
    }

    fn deadline(&self) -> Option<Deadline> {
        self.session.deadline()
    }

    fn account(&self) -> Option<u128> {
        self.session.account()
    }

    fn on_deadline(&mut self, wire: &mut Wire) -> Flow {
        let flow = self.session.on_deadline(&mut self.out);
        self.settle(None, Ok(flow), wire)
    }

    fn is_blocked(&self) -> bool {
        self.is_barred || self.deferred.as_ref().is_some_and(|work| work.len() >= DEFERRED_MAX)
    }

    fn has_deferred(&self) -> bool {
        self.deferred.is_some()
    }
}
