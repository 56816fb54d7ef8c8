//! One WebSocket on its shard: the session, the socket, and what waits between them. An idle one
//! owns no buffer. Everything here runs on the shard's thread and never waits.

use super::close;
use super::deflate::Deflater;
use super::frame::{Coding, Opcode, deflated_head, server_head};
use super::reader::Reader;
use super::transport::Transport;
use super::waiting::Waiting;
use crate::accept::Permit;
use crate::accounts::{Share, Use};
use crate::shard::Shard;
use crate::shard::slots::SlotId;
use bytes::{Bytes, BytesMut};
use port::feed::Fed;
use port::mounts::MessageKind;
use port::{Driven, Event, Flow, Lane, Refusal, Room, Run, Taken, Wire, metric};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use types::SubscriptionTag;

/// Scratch buffers that one large message has grown are given back.
const SCRATCH_BYTES_MAX: usize = 256 * 1024;
/// The way to frame shared messages as they are; see `port::Shared::framed`.
const PLAIN: usize = 0;
/// The way to frame them compressed.
const DEFLATED: usize = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The upgrade is not through; there is no socket yet.
    Opening,
    Open,
    /// The close frame waits behind what was sent before.
    Closing,
    /// All is written and our side is shut; the peer's end is awaited, what it sends is dropped.
    Lingering,
    Gone,
}

pub struct Connection {
    pub slot: SlotId,
    pub(super) inner: RefCell<Inner>,
    is_dirty: Cell<bool>,
    /// Events pushed while the session was being called; it gets them right after.
    late: RefCell<Vec<Fed>>,
}

pub struct Inner {
    pub(super) driven: Option<Box<dyn Driven>>,
    pub(super) transport: Option<Transport>,
    pub(super) reader: Reader,
    pub(super) kind: MessageKind,
    /// What was agreed on in the opening handshake.
    coding: Coding,
    protocol: &'static str,
    /// The beginning of a frame, or frames held back while the session is blocked.
    pub(super) raw: BytesMut,
    /// A message the session has not taken yet, because work in flight bars it.
    pub(super) held: BytesMut,
    pub(super) waiting: Waiting,
    /// What of `waiting` is counted in the shard's total.
    counted: usize,
    /// The part in what waits for its account, once the session knows whose it is.
    share: Option<Share>,
    /// Writes that are not yet counted in the shard's.
    writes: u32,
    pub(super) waker: Waker,
    room: Vec<Waker>,
    pub(super) phase: Phase,
    pub(super) times: super::timer::Times,
    permit: Option<Permit>,
    /// Reading waits until the client has taken what is sent to it.
    pub(super) is_choked: bool,
    /// The client took some bytes since the timer last looked.
    pub(super) is_moving: bool,
}

/// What a new connection consists of.
pub struct Parts {
    pub driven: Box<dyn Driven>,
    pub protocol: &'static str,
    pub kind: MessageKind,
}

impl Connection {
    pub fn new(shard: &Shard, slot: SlotId, parts: Option<Parts>) -> Connection {
        let now = shard.world.clock.monotonic();
        let (driven, protocol, kind) = match parts {
            Some(parts) => (Some(parts.driven), parts.protocol, parts.kind),
            None => (None, "", MessageKind::Text),
        };
        let inner = Inner {
            driven,
            transport: None,
            reader: Reader::new(shard.config.web_socket.message_bytes_max, Coding::Plain),
            kind,
            coding: Coding::Plain,
            protocol,
            raw: BytesMut::new(),
            held: BytesMut::new(),
            waiting: Waiting::default(),
            counted: 0,
            share: None,
            writes: 0,
            waker: Waker::noop().clone(),
            room: Vec::new(),
            phase: Phase::Opening,
            times: super::timer::Times::new(now),
            permit: None,
            is_choked: false,
            is_moving: false,
        };
        Connection {
            slot,
            inner: RefCell::new(inner),
            is_dirty: Cell::new(false),
            late: RefCell::default(),
        }
    }

    /// The session that will speak here; it exists before the upgrade, so that a refusal to begin
    /// one is still an HTTP answer.
    pub fn equip(&self, parts: Parts) {
        let mut inner = self.inner.borrow_mut();
        inner.driven = Some(parts.driven);
        inner.protocol = parts.protocol;
        inner.kind = parts.kind;
    }

    /// What was agreed on for messages, before the first of them.
    pub fn agree(&self, shard: &Shard, coding: Coding) {
        let mut inner = self.inner.borrow_mut();
        inner.coding = coding;
        inner.reader = Reader::new(shard.config.web_socket.message_bytes_max, coding);
    }

    /// The upgrade is through. `early` is what the client sent right behind its request.
    pub fn open(&self, transport: Transport, early: &[u8], permit: Permit) {
        let mut inner = self.inner.borrow_mut();
        // Otherwise it was ended while it began: the socket is dropped with its permit.
        if inner.phase == Phase::Opening {
            inner.transport = Some(transport);
            inner.raw.extend_from_slice(early);
            inner.permit = Some(permit);
            inner.phase = Phase::Open;
        }
    }

    /// Runs `act`, then what was pushed meanwhile. `None` when the connection is being run already.
    pub(super) fn run<T>(&self, shard: &Shard, act: impl FnOnce(&mut Inner) -> T) -> Option<T> {
        let mut inner = self.inner.try_borrow_mut().ok()?;
        let answer = act(&mut inner);
        loop {
            let late = std::mem::take(&mut *self.late.borrow_mut());
            if late.is_empty() {
                break;
            }
            for fed in late {
                inner.on_late(shard, &fed);
            }
        }
        inner.settle(shard);
        Some(answer)
    }

    /// An event from the hub, during its turn. What it makes the session send is written at the
    /// turn's end.
    pub fn push(self: &Rc<Self>, shard: &Shard, tag: SubscriptionTag, event: Event<'_>) -> Room {
        let room = self.run(shard, |inner| {
            inner.call(shard, |driven, cx, wire| driven.on_event(cx, tag, event, wire));
            if inner.waiting.len() >= shard.config.web_socket.gather_bytes_max {
                inner.flush();
            }
            inner.room(shard)
        });
        if !self.is_dirty.replace(true) {
            shard.mark_dirty(Rc::clone(self));
        }
        // Pushed from inside one of its own callbacks: kept, and no more is wanted before it ends.
        room.unwrap_or_else(|| {
            self.late.borrow_mut().push(Fed::keep(tag, event));
            Room::Full
        })
    }

    /// A run from the hub, during its turn: all of it is taken.
    pub fn push_run(self: &Rc<Self>, shard: &Shard, tag: SubscriptionTag, run: &Run) -> Taken {
        let records = run.deliveries().len();
        let room = self.run(shard, |inner| {
            inner.call(shard, |driven, cx, wire| driven.on_run(cx, tag, run, wire));
            if inner.waiting.len() >= shard.config.web_socket.gather_bytes_max {
                inner.flush();
            }
            inner.room(shard)
        });
        if !self.is_dirty.replace(true) {
            shard.mark_dirty(Rc::clone(self));
        }
        let room = room.unwrap_or_else(|| {
            let fed = run.deliveries().iter().map(|it| Fed::Delivery(tag, Arc::clone(it)));
            self.late.borrow_mut().extend(fed);
            Room::Full
        });
        Taken { records, room }
    }

    /// Whether the backlog is small again; else `cx` is woken when it is.
    pub fn poll_room(&self, shard: &Shard, cx: &mut Context<'_>) -> Poll<()> {
        let Ok(mut inner) = self.inner.try_borrow_mut() else {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        let is_over = !matches!(inner.phase, Phase::Opening | Phase::Open);
        if is_over || inner.waiting.len() <= shard.config.web_socket.waiting_bytes_low {
            return Poll::Ready(());
        }
        if !inner.room.iter().any(|waker| waker.will_wake(cx.waker())) {
            inner.room.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The end of the turn.
    pub fn flush(&self, shard: &Shard) {
        self.is_dirty.set(false);
        self.run(shard, Inner::flush);
    }

    /// The platform ends the connection.
    pub fn close(&self, shard: &Shard, why: Refusal) {
        self.run(shard, |inner| {
            let code = super::close_code_of(&why);
            inner.call(shard, |driven, _, wire| {
                wire.close_code = Some(code);
                let _ = driven.on_refusal(why, wire);
                Flow::Close
            });
            inner.flush();
        });
    }

    /// Leaves the shard. The answer is dropped when nothing is borrowed any more.
    pub fn bury(&self, shard: &Shard) -> Option<Box<dyn Driven>> {
        self.inner.try_borrow_mut().ok().and_then(|mut inner| inner.bury(shard))
    }

    /// The node goes down: the session advises to come back after `wait`, then all is closed.
    pub fn drain(&self, shard: &Shard, wait: Duration) {
        self.run(shard, |inner| {
            inner.call(shard, |driven, _, wire| {
                driven.on_drain(wait, wire);
                Flow::Continue
            });
            inner.begin_close(shard, close::RESTART, "the server restarts");
            inner.flush();
        });
    }
}

impl Inner {
    /// Calls the session and takes over what it answers.
    pub(super) fn call(
        &mut self,
        shard: &Shard,
        act: impl FnOnce(&mut dyn Driven, &mut Context<'_>, &mut Wire) -> Flow,
    ) {
        if !matches!(self.phase, Phase::Open | Phase::Opening) {
            return;
        }
        let Some(driven) = self.driven.as_deref_mut() else {
            return;
        };
        let mut wire = shard.take_wire();
        let mut cx = Context::from_waker(&self.waker);
        // One connection's fault must not take the thread, and thousands of others, down with it.
        let outcome = catch_unwind(AssertUnwindSafe(|| act(driven, &mut cx, &mut wire)));
        self.take_over(shard, &mut wire);
        let code = wire.close_code.take();
        shard.put_wire(wire);
        match outcome {
            Ok(Flow::Continue) => self.note(shard),
            Ok(Flow::Close) => self.begin_close(shard, code.unwrap_or(close::NORMAL), ""),
            Err(_) => {
                tracing::error!(protocol = self.protocol, "a session panicked; it is closed");
                self.begin_close(shard, close::INTERNAL, "the server failed");
            }
        }
    }

    fn take_over(&mut self, shard: &Shard, wire: &mut Wire) {
        let opcode = match self.kind {
            MessageKind::Text => Opcode::Text,
            MessageKind::Binary => Opcode::Binary,
        };
        for frame in wire.control.frames() {
            self.waiting.push_control(opcode, frame);
        }
        let compression = shard.config.web_socket.compression.as_ref();
        let Some(compression) = compression.filter(|_| self.coding == Coding::Deflate) else {
            wire.data.frames().for_each(|frame| self.waiting.push(opcode, frame));
            if let Some(shared) = wire.shared.take() {
                self.waiting.push_shared(shared.framed(PLAIN, |lane| framed(opcode, lane)));
            }
            return;
        };
        let mut deflater = shard.take_deflater();
        let least = compression.threshold_bytes;
        for frame in wire.data.frames() {
            match Some(frame).filter(|it| it.len() >= least).and_then(|it| deflater.deflate(it)) {
                Some(deflated) => self.waiting.push_deflated(opcode, deflated),
                None => self.waiting.push(opcode, frame),
            }
        }
        if let Some(shared) = wire.shared.take() {
            let deflated = |lane: &Lane| framed_deflated(opcode, lane, least, &mut deflater);
            self.waiting.push_shared(shared.framed(DEFLATED, deflated));
        }
        shard.put_deflater(deflater);
    }

    fn on_late(&mut self, shard: &Shard, fed: &Fed) {
        let Some((tag, event)) = fed.event() else {
            return;
        };
        self.call(shard, |driven, cx, wire| driven.on_event(cx, tag, event, wire));
    }

    /// Sends the closing word behind all that waits. The session is dropped by the connection's
    /// task: here the hub may be in the middle of its turn.
    pub(super) fn begin_close(&mut self, shard: &Shard, code: u16, reason: &str) {
        match self.phase {
            Phase::Open => {}
            Phase::Opening => return self.kill(),
            Phase::Closing | Phase::Lingering | Phase::Gone => return,
        }
        let mut payload = Vec::with_capacity(2 + reason.len());
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(reason.as_bytes());
        payload.truncate(super::frame::CONTROL_BYTES_MAX);
        self.waiting.push(Opcode::Close, &payload);
        self.phase = Phase::Closing;
        self.times.close_by(shard, shard.config.web_socket.close_ms_max);
        self.waker.wake_by_ref();
        self.wake_room();
    }

    /// The end without a word: the peer is gone, or takes nothing.
    pub(super) fn kill(&mut self) {
        // The socket is closed with the burial.
        self.phase = Phase::Gone;
        self.waiting.clear();
        self.raw = BytesMut::new();
        self.held = BytesMut::new();
        self.waker.wake_by_ref();
        self.wake_room();
    }

    /// One attempt to write all that waits. What the socket refuses, the task waits to write.
    pub(super) fn flush(&mut self) {
        let Some(transport) = self.transport.as_mut().filter(|_| self.phase != Phase::Gone) else {
            return;
        };
        let before = self.waiting.len();
        let outcome = self
            .waiting
            .flush(|slices| {
                self.writes += 1;
                transport.try_write(&self.waker, slices)
            })
            .and_then(|is_done| Ok(is_done && (!transport.is_holding() || transport.flush()?)));
        self.is_moving |= self.waiting.len() < before;
        match outcome {
            Ok(true) if self.phase == Phase::Open && !self.is_choked => {}
            // The task waits for the socket, or goes on with the closing.
            Ok(_) => self.waker.wake_by_ref(),
            Err(_) => self.kill(),
        }
    }

    /// After anything was done: the totals, and whoever waits for room.
    fn settle(&mut self, shard: &Shard) {
        if self.writes > 0 {
            shard.count_writes(std::mem::take(&mut self.writes));
        }
        let now = self.waiting.len();
        if now != self.counted {
            let total = shard.recount(self.counted, now);
            let limits = &shard.config.web_socket;
            let used = self.share.as_mut().map_or(Use::Fine, |share| share.charge(now));
            let is_over = total > limits.shard_waiting_bytes_max || used == Use::Over;
            self.counted = now;
            if is_over && now > limits.waiting_bytes_low {
                let reason =
                    if used == Use::Over { "tenant_waiting_bytes" } else { "waiting_bytes" };
                metrics::counter!(metric::CONNECTIONS_REFUSED, "reason" => reason).increment(1);
                self.kill();
                shard.recount(now, 0);
                self.share = None;
                self.counted = 0;
            }
        }
        if !self.room.is_empty() && now <= shard.config.web_socket.waiting_bytes_low {
            self.wake_room();
        }
    }

    fn room(&self, shard: &Shard) -> Room {
        let limits = &shard.config.web_socket;
        let waiting = self.waiting.len();
        let is_scarce = || self.share.as_ref().is_some_and(|share| share.used() != Use::Fine);
        if waiting > limits.waiting_bytes_high
            || (waiting > limits.waiting_bytes_low && is_scarce())
        {
            Room::Full
        } else {
            Room::Free
        }
    }

    fn wake_room(&mut self) {
        for waker in std::mem::take(&mut self.room) {
            waker.wake();
        }
    }

    /// The connection leaves its shard: its bytes are no longer counted.
    fn bury(&mut self, shard: &Shard) -> Option<Box<dyn Driven>> {
        self.permit = None;
        self.kill();
        self.transport = None;
        shard.recount(self.counted, 0);
        self.counted = 0;
        self.share = None;
        self.driven.take()
    }

    /// What the session may have learnt: how long it goes on, and for whom.
    fn note(&mut self, shard: &Shard) {
        let Some(driven) = &self.driven else {
            return;
        };
        self.times.wish(shard, driven.deadline());
        if self.share.is_none() {
            self.share = driven.account().map(|id| shard.accounts.join(id));
        }
    }
}

/// The messages of a lane as frames, one behind the other.
fn framed(opcode: Opcode, lane: &Lane) -> Bytes {
    let mut frames = BytesMut::with_capacity(
        lane.bytes.len() + lane.ends.len() * super::frame::SERVER_HEAD_BYTES_MAX,
    );
    for message in lane.frames() {
        let (head, head_bytes) = server_head(opcode, message.len());
        frames.extend_from_slice(&head[..head_bytes]);
        frames.extend_from_slice(message);
    }
    frames.freeze()
}

/// The same, compressed where that makes a message shorter.
fn framed_deflated(opcode: Opcode, lane: &Lane, least: usize, deflater: &mut Deflater) -> Bytes {
    let mut frames = BytesMut::new();
    for message in lane.frames() {
        let deflated =
            Some(message).filter(|it| it.len() >= least).and_then(|it| deflater.deflate(it));
        let payload = deflated.unwrap_or(message);
        let (head, head_bytes) = match deflated {
            Some(payload) => deflated_head(opcode, payload.len()),
            None => server_head(opcode, message.len()),
        };
        frames.extend_from_slice(&head[..head_bytes]);
        frames.extend_from_slice(payload);
    }
    frames.freeze()
}

/// A scratch wire as it may be kept.
pub fn tidy_wire(mut wire: Wire) -> Wire {
    for lane in [&mut wire.control, &mut wire.data] {
        lane.clear();
        if lane.bytes.capacity() > SCRATCH_BYTES_MAX {
            *lane = port::Lane::default();
        }
    }
    wire.close_code = None;
    wire.shared = None;
    wire
}
