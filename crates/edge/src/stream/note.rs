//! How the hub ends a connection from another thread: a note that its task finds.

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use port::{Closer, Refusal};
use std::task::Context;

#[derive(Default)]
pub struct CloseNote {
    why: Mutex<Option<Refusal>>,
    waker: AtomicWaker,
}

impl CloseNote {
    /// Why the connection is to end, once; `cx` is woken when that is said.
    pub fn take(&self, cx: &mut Context<'_>) -> Option<Refusal> {
        self.waker.register(cx.waker());
        self.why.lock().take()
    }
}

impl Closer for CloseNote {
    fn close(&self, why: Refusal) {
        // The first reason counts.
        self.why.lock().get_or_insert(why);
        self.waker.wake();
    }
}
