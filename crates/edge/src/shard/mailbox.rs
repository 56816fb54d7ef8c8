//! How other threads reach a shard. Letters are few by construction: a socket each, held by the
//! listener's connection limit, and one closing per connection.

use crate::accept::Accepted;
use crate::shard::slots::SlotId;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use port::Refusal;
use std::task::Context;

pub enum Message {
    /// A new connection; the shard owns it from now on.
    Socket(Accepted),
    Close(SlotId, Refusal),
    /// Advise, close, and end.
    Drain,
}

#[derive(Default)]
pub struct Mailbox {
    letters: Mutex<Vec<Message>>,
    waker: AtomicWaker,
}

impl Mailbox {
    pub fn post(&self, message: Message) {
        self.letters.lock().push(message);
        self.waker.wake();
    }

    /// Lets the shard look again.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// All letters; `cx` is woken when there are new ones.
    pub fn take(&self, cx: &mut Context<'_>) -> Vec<Message> {
        self.waker.register(cx.waker());
        std::mem::take(&mut *self.letters.lock())
    }
}
