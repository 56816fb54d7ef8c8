//! The small task of a connection: it reads, drives work in flight, and writes what the end of a
//! turn could not. It owns the connection's place on the shard and gives it up when dropped.

use super::connection::{Connection, Phase};
use super::input::Progress;
use crate::shard::slots::SlotId;
use crate::shard::{self, Shard};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Reads in a row before others get their turn.
const READS_MAX: usize = 4;

/// Holds only numbers: what it works on lives on the shard's thread, where it runs.
pub struct ConnectionTask {
    slot: SlotId,
    is_opened: bool,
}

impl ConnectionTask {
    pub fn new(slot: SlotId) -> ConnectionTask {
        ConnectionTask { slot, is_opened: false }
    }
}

impl Future for ConnectionTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(shard) = shard::current() else {
            return Poll::Ready(());
        };
        let Some(connection) = shard.connection(self.slot) else {
            return Poll::Ready(());
        };
        let is_first = !std::mem::replace(&mut self.is_opened, true);
        let poll = connection.poll(&shard, cx, is_first);
        connection.arm(&shard);
        shard.tell_writes();
        poll
    }
}

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        if let Some(shard) = shard::current() {
            shard.remove(self.slot);
        }
    }
}

impl Connection {
    fn poll(&self, shard: &Shard, cx: &mut Context<'_>, is_first: bool) -> Poll<()> {
        self.run(shard, |inner| {
            if !inner.waker.will_wake(cx.waker()) {
                inner.waker = cx.waker().clone();
            }
            if is_first {
                inner.call(shard, |driven, cx, wire| driven.on_open(cx, wire));
            }
            inner.poll(shard, cx)
        });
        // A session is dropped here and nowhere else while its connection lives: dropping it ends
        // subscriptions, which must not happen inside the hub's turn.
        let (is_gone, corpse) = match self.inner.try_borrow_mut() {
            Ok(mut inner) => match inner.phase {
                Phase::Opening | Phase::Open => (false, None),
                Phase::Gone => (true, None),
                Phase::Closing | Phase::Lingering => (false, inner.driven.take()),
            },
            Err(_) => (false, None),
        };
        drop(corpse);
        if is_gone { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl super::connection::Inner {
    fn poll(&mut self, shard: &Shard, cx: &mut Context<'_>) {
        for _ in 0..READS_MAX {
            if self.phase == Phase::Open && self.driven.as_ref().is_some_and(|d| d.has_deferred()) {
                self.call(shard, |driven, cx, wire| driven.poll_deferred(cx, wire));
            }
            self.resume(shard);
            let progress = match self.phase {
                Phase::Open => self.read(shard),
                Phase::Lingering => self.discard(shard),
                Phase::Opening | Phase::Closing | Phase::Gone => Progress::Paused,
            };
            self.flush();
            self.finish_closing();
            if self.is_at_rest(cx, progress) {
                return;
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Once the closing word is written, our side ends; then the peer's end is awaited.
    fn finish_closing(&mut self) {
        if self.phase != Phase::Closing || !self.waiting.is_empty() {
            return;
        }
        if let Some(transport) = &mut self.transport
            && !transport.is_holding()
        {
            transport.finish(&self.waker);
            self.phase = Phase::Lingering;
        }
    }

    /// Whether nothing can be done before the socket or somebody else wakes the task.
    fn is_at_rest(&mut self, cx: &mut Context<'_>, progress: Progress) -> bool {
        let Some(transport) = self.transport.as_ref().filter(|_| self.phase != Phase::Gone) else {
            return true;
        };
        let is_writing = !self.waiting.is_empty() || transport.is_holding();
        let can_write = is_writing && transport.poll_writable(cx).is_ready();
        let can_read = match (progress, self.phase) {
            (Progress::Some, _) => true,
            (Progress::Empty, _) | (Progress::Paused, Phase::Lingering) => {
                transport.poll_readable(cx).is_ready()
            }
            (Progress::Paused, _) => false,
        };
        !can_write && !can_read
    }
}
