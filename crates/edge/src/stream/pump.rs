//! One connection: reads while its session takes, lets work in flight go on, writes what comes of
//! it. An idle connection holds no buffer. Memory is bounded: no more is read while the client has
//! not taken what is sent to it.

use super::CloseNote;
use super::output::{Output, SLICES_MAX};
use crate::http::io::Stream;
use crate::shard;
use bytes::BytesMut;
use port::{Deadline, Driven, Flow, StreamMount, Wire, metric};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

/// Reads or answers in a row before others get their turn.
const STEPS_MAX: usize = 16;
/// Room for so many bytes of a request that is here in part is worth a read of its own.
const DIRECT_BYTES_MIN: usize = 4 * 1024;
/// What the last answer may take to reach a client whose connection ends.
const LINGER: Duration = Duration::from_secs(5);

pub struct Pump {
    stream: Stream,
    driven: Box<dyn Driven>,
    note: Arc<CloseNote>,
    mount: StreamMount,
    is_opened: bool,
    began: Instant,
    /// When the client was last heard.
    heard: Instant,
    input: BytesMut,
    output: Output,
    wire: Wire,
    phase: Phase,
    timer: Option<Pin<Box<Sleep>>>,
    /// The deadline that has passed, which the session was told of.
    told: Option<Deadline>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing is read any more; what is in flight is still answered.
    Draining,
    /// What waits is written by then, and nothing else happens.
    Closing(Instant),
    Over,
}

impl Pump {
    pub fn new(
        stream: Stream,
        driven: Box<dyn Driven>,
        note: Arc<CloseNote>,
        mount: &StreamMount,
    ) -> Pump {
        let now = Instant::now();
        Pump {
            stream,
            driven,
            note,
            mount: mount.clone(),
            is_opened: false,
            began: now,
            heard: now,
            input: BytesMut::new(),
            output: Output::default(),
            wire: Wire::default(),
            phase: Phase::Open,
            timer: None,
            told: None,
        }
    }

    pub async fn run(mut self, mut draining: watch::Receiver<bool>, wait: Duration) {
        let mut drain = pin!(draining.wait_for(|draining| *draining));
        let mut is_told = false;
        poll_fn(|cx| {
            if !is_told && drain.as_mut().poll(cx).is_ready() {
                is_told = true;
                self.driven.on_drain(wait, &mut self.wire);
                self.take_over();
                if self.phase == Phase::Open {
                    self.phase = Phase::Draining;
                }
            }
            // One connection's fault must not take the thread, and thousands of others, with it.
            match catch_unwind(AssertUnwindSafe(|| self.poll(cx))) {
                Ok(poll) => poll,
                Err(_) => {
                    let protocol = self.mount.protocol;
                    tracing::error!(protocol, "a session panicked; its connection is cut");
                    Poll::Ready(())
                }
            }
        })
        .await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.is_opened, true) {
            let flow = self.driven.on_open(cx, &mut self.wire);
            self.settle(flow);
        }
        if let Some(why) = self.note.take(cx) {
            let flow = self.driven.on_refusal(why, &mut self.wire);
            debug_assert!(flow == Flow::Close, "who is told to end ends");
            self.settle(Flow::Close);
        }
        for _ in 0..STEPS_MAX {
            if !self.step(cx) {
                return match self.phase {
                    Phase::Over => Poll::Ready(()),
                    _ => self.poll_timer(cx),
                };
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what can be done now; `false` when that was nothing.
    fn step(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_moved = self.write(cx);
        match self.phase {
            Phase::Over => return false,
            Phase::Closing(_) => return has_moved,
            Phase::Open | Phase::Draining => {}
        }
        if self.driven.has_deferred() {
            let before = self.output.len();
            let flow = self.driven.poll_deferred(cx, &mut self.wire);
            self.settle(flow);
            has_moved |= self.output.len() != before;
        }
        match self.phase {
            Phase::Open => has_moved | self.take_in(cx),
            Phase::Draining if !self.driven.has_deferred() => {
                self.settle(Flow::Close);
                true
            }
            _ => has_moved,
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_moved = false;
        while !self.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let slices = self.output.slices(&mut slices);
            match Pin::new(&mut self.stream).poll_write_vectored(cx, slices) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.output.advance(count);
                    has_moved = true;
                }
                Poll::Ready(_) => {
                    self.phase = Phase::Over;
                    return false;
                }
                Poll::Pending => return has_moved,
            }
        }
        self.output = Output::default();
        // TLS may hold what was taken.
        if Pin::new(&mut self.stream).poll_flush(cx).is_pending() {
            return has_moved;
        }
        if matches!(self.phase, Phase::Closing(_)) {
            let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
            self.phase = Phase::Over;
        }
        has_moved
    }

    /// Hands what is here to the session, or reads more.
    fn take_in(&mut self, cx: &mut Context<'_>) -> bool {
        if self.driven.is_blocked() || self.output.len() > self.mount.waiting_bytes_max {
            return false;
        }
        let held = self.input.len();
        if held > 0 {
            let flow = self.driven.on_input(cx, &mut self.input, &mut self.wire);
            self.settle(flow);
            if self.input.is_empty() {
                self.input = BytesMut::new();
            }
            if self.input.len() != held {
                return true;
            }
        }
        match self.read(cx) {
            Poll::Ready(Ok(count)) if count > 0 => {
                self.heard = Instant::now();
                true
            }
            Poll::Ready(_) => {
                self.phase = Phase::Over;
                false
            }
            Poll::Pending => false,
        }
    }

    /// By the thread's buffer, so that who waits for a request holds none; the rest of a request
    /// that the session has made room for goes there at once.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() >= DIRECT_BYTES_MIN && !self.input.is_empty() {
            return pin!(self.stream.read_buf(&mut self.input)).poll(cx);
        }
        let Some(shard) = shard::current() else {
            return Poll::Ready(Ok(0));
        };
        let mut chunk = shard.take_chunk();
        let mut buffer = ReadBuf::new(&mut chunk);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
        let read = read.map_ok(|()| {
            self.input.extend_from_slice(buffer.filled());
            buffer.filled().len()
        });
        shard.put_chunk(chunk);
        read
    }

    /// Takes over what the session has sent.
    fn settle(&mut self, flow: Flow) {
        self.take_over();
        if flow == Flow::Close && matches!(self.phase, Phase::Open | Phase::Draining) {
            self.phase = Phase::Closing(Instant::now() + LINGER);
            self.timer = None;
        }
    }

    fn take_over(&mut self) {
        for lane in [&mut self.wire.control, &mut self.wire.data] {
            if !lane.is_empty() {
                self.output.take(lane);
            }
        }
    }

    /// The end of waiting: for a word from the client, for the session's own deadline, for the last
    /// bytes to be taken.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = self.next_due();
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
            if let Phase::Closing(by) = self.phase
                && by <= Instant::now()
            {
                return Poll::Ready(());
            }
            self.on_time();
            if self.phase == Phase::Over {
                return Poll::Ready(());
            }
            if !self.output.is_empty() || matches!(self.phase, Phase::Closing(_)) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    fn next_due(&self) -> Instant {
        if let Phase::Closing(by) = self.phase {
            return by;
        }
        let silent = self.heard + self.mount.idle_max;
        self.deadline(Instant::now()).map_or(silent, |(due, _)| due.min(silent))
    }

    /// The session's deadline as seen now, unless it was told already that this one has passed.
    fn deadline(&self, now: Instant) -> Option<(Instant, Deadline)> {
        let wish = self.driven.deadline().filter(|wish| Some(*wish) != self.told)?;
        let due = match wish {
            Deadline::After(wait) => self.began + wait,
            Deadline::At(wall) => {
                let wall_now = shard::current().map_or(wall, |shard| shard.world.clock.now_ms());
                let left = u64::try_from(wall.saturating_sub(wall_now)).unwrap_or(0);
                now + Duration::from_millis(left)
            }
        };
        Some((due, wish))
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        if let Some((due, wish)) = self.deadline(now)
            && due <= now
        {
            self.told = Some(wish);
            let flow = self.driven.on_deadline(&mut self.wire);
            self.settle(flow);
        } else if self.heard + self.mount.idle_max <= now {
            if self.driven.has_deferred() {
                // It is us who have not answered yet.
                self.heard = now;
                return;
            }
            metrics::counter!(metric::CONNECTIONS_REFUSED, "reason" => "idle").increment(1);
            self.settle(Flow::Close);
        }
    }
}
