//! The loop of an edge thread. Its runtime polls the turn whenever the hub, a letter or the tick
//! wakes it, and the connections' tasks in between.

use super::mailbox::Message;
use super::{CURRENT, Seed, Shard, tick};
use crate::EdgeError;
use crate::accept::Accepted;
use crate::config::ms;
use crate::face::Answers;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Interval, MissedTickBehavior, Sleep};

/// Connections written in a row before the sockets are looked at again.
const FLUSH_MAX: usize = 128;
/// Connections that ended and are dropped in a row.
const BURIED_MAX: usize = 8;
/// Events per connection the hub may push before they are written: under load, frames gather and
/// share a system call; a lone event is still written at once, since the turn ends after it.
const GATHER_MAX: usize = 64;
const TURN_EVENTS_MIN: usize = 1_024;
/// What a turn gathers should still be in the processor's cache when it is written: measured with
/// 10,000 subscribers and 64 records at once, a turn 32 times as long cost a fifth more.
const TURN_EVENTS_MAX: usize = 8 * 1_024;

/// Starts the thread. `ended` hears when it is over, also after a panic.
pub fn start(seed: Seed, ended: oneshot::Sender<()>) -> Result<JoinHandle<()>, EdgeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(EdgeError::Thread)?;
    std::thread::Builder::new()
        .name(format!("edge-{}", seed.id.0))
        .spawn(move || {
            // Dropped at the end of the thread, however it comes.
            let _ended = ended;
            let shard = Rc::new(Shard::new(seed));
            CURRENT.set(Some(Rc::clone(&shard)));
            let mut turn = Turn::new(Rc::clone(&shard));
            runtime.block_on(async {
                turn.arm();
                poll_fn(|cx| turn.poll(cx)).await;
            });
            // Tasks are dropped while the shard is still there: they give up their places in it.
            drop(runtime);
            while shard.bury(BURIED_MAX) {}
            CURRENT.set(None);
        })
        .map_err(EdgeError::Thread)
}

struct Turn {
    shard: Rc<Shard>,
    hub: Box<dyn port::Shard>,
    tick: Option<Interval>,
    due: Vec<super::SlotId>,
    /// Set while something is gathered that may wait: until when.
    gather: Option<Pin<Box<Sleep>>>,
    /// Set while draining: when what is left is cut.
    cut_at: Option<Pin<Box<Sleep>>>,
}

impl Turn {
    fn new(shard: Rc<Shard>) -> Turn {
        let hub = shard.hub.shard(shard.id);
        Turn { shard, hub, tick: None, due: Vec::new(), gather: None, cut_at: None }
    }

    /// Timers need the runtime, which runs only now.
    fn arm(&mut self) {
        let mut tick = tokio::time::interval(tick(&self.shard.config));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.tick = Some(tick);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for message in self.shard.mailbox.take(cx) {
            self.on_message(message);
        }
        self.turn_wheel(cx);
        let events =
            (self.shard.web_sockets() * GATHER_MAX).clamp(TURN_EVENTS_MIN, TURN_EVENTS_MAX);
        // What a turn has gathered is written before the next turn.
        let has_graves = self.shard.bury(BURIED_MAX);
        let has_more =
            self.flush(cx) || self.hub.poll_turn(cx, events).is_ready() || self.flush(cx);
        self.shard.tell_writes();
        if has_more || has_graves {
            // Not a loop: between two polls the runtime serves the tasks and the sockets.
            cx.waker().wake_by_ref();
        }
        self.poll_end(cx)
    }

    /// Writes to some of those for whom something was gathered, if it is time; `false` when nothing
    /// is left to be written now.
    fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        let wait_ms = self.shard.config.web_socket.gather_ms;
        if wait_ms > 0 {
            if !self.shard.has_dirty() {
                self.gather = None;
                return false;
            }
            let new = || Box::pin(tokio::time::sleep(ms(wait_ms)));
            if self.gather.get_or_insert_with(new).as_mut().poll(cx).is_pending() {
                return false;
            }
        }
        self.shard.flush_dirty(FLUSH_MAX)
    }

    fn on_message(&mut self, message: Message) {
        match message {
            Message::Socket(accepted) => self.begin(accepted),
            Message::Close(slot, why) => {
                if let Some(connection) = self.shard.connection(slot) {
                    connection.close(&self.shard, why);
                }
            }
            Message::Drain => self.drain(),
        }
    }

    fn begin(&self, accepted: Accepted) {
        match self.shard.faces.get(accepted.face) {
            Some(face) => match &face.answers {
                Answers::Http(_) => crate::http::serve::start(&self.shard, accepted),
                Answers::Stream(mount) => {
                    crate::stream::start(&self.shard, accepted, face, mount);
                }
            },
            None => crate::accept::refused("accept_error"),
        }
    }

    fn turn_wheel(&mut self, cx: &mut Context<'_>) {
        let Some(tick) = &mut self.tick else {
            return;
        };
        while tick.poll_tick(cx).is_ready() {
            let now = self.shard.world.clock.monotonic();
            self.shard.wheel.borrow_mut().turn(now, &mut self.due);
            for slot in self.due.drain(..) {
                if let Some(connection) = self.shard.connection(slot) {
                    connection.on_timer(&self.shard, now);
                }
            }
        }
    }

    fn drain(&mut self) {
        if self.cut_at.is_some() {
            return;
        }
        let config = &self.shard.config.drain;
        self.cut_at = Some(Box::pin(tokio::time::sleep(ms(config.total_ms_max))));
        self.shard.draining.send_replace(true);
        for connection in self.shard.all() {
            // Spread, so that the node that takes over is not met by everybody at once.
            let wait = self.shard.world.rng.below(config.reconnect_ms_max.saturating_add(1));
            connection.drain(&self.shard, Duration::from_millis(wait));
        }
    }

    /// Over when draining has left nothing, or took too long.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(cut_at) = &mut self.cut_at else {
            return Poll::Pending;
        };
        if self.shard.web_sockets() == 0 && self.shard.served.get() == 0 {
            return Poll::Ready(());
        }
        cut_at.as_mut().poll(cx)
    }
}
