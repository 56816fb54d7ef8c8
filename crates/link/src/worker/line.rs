//! Calls over the socket: sent in the order in which they are first polled, answered in any.

use super::LANE;
use crate::call::{Call, CallNumber, Notice};
use crate::frame::{ToOwner, frame};
use crate::queue::Queue;
use crate::wire::bounds::CALLS_MAX;
use crate::wire::{Coded, Context, decode};
use bytes::Bytes;
use parking_lot::Mutex;
use port::{Code, Refusal};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// What clients should wait when the owner is busy or gone.
const WAIT: Duration = Duration::from_secs(1);

type Answered = Result<Bytes, Refusal>;

pub struct Line {
    queue: Arc<Queue>,
    context: Context,
    calls: Mutex<HashMap<CallNumber, oneshot::Sender<Answered>>>,
    next: AtomicU64,
    /// Held while a call waits for room, so that none overtakes another.
    turn: tokio::sync::Mutex<()>,
}

/// An answer to come. Dropped before, it tells the owner that nobody waits.
struct Waiting {
    line: Arc<Line>,
    number: CallNumber,
    answer: oneshot::Receiver<Answered>,
}

impl Line {
    pub fn new(queue: Arc<Queue>, context: Context) -> Arc<Line> {
        Arc::new(Line {
            queue,
            context,
            calls: Mutex::default(),
            next: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Asks the owner.
    ///
    /// # Errors
    /// What the owner refuses; `OVERLOADED` when too many calls wait, `PAYLOAD_TOO_LARGE` when it
    /// is more than a frame holds, `DRAINING` when the owner is gone.
    pub async fn ask<T: Coded>(self: &Arc<Self>, call: Call) -> Result<T, Refusal> {
        let number = self.number();
        let (sender, answer) = oneshot::channel();
        {
            let mut calls = self.calls.lock();
            if calls.len() >= CALLS_MAX {
                return Err(overloaded());
            }
            calls.insert(number, sender);
        }
        let mut waiting = Waiting { line: Arc::clone(self), number, answer };
        self.send_call(number, call).await?;
        let answer = (&mut waiting.answer).await.map_err(|_| gone())?;
        decode(answer?, &self.context).map_err(|bad| Refusal::internal(&bad))
    }

    pub fn number(&self) -> CallNumber {
        CallNumber(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub async fn send_call(&self, number: CallNumber, call: Call) -> Result<(), Refusal> {
        let frame = frame(&ToOwner::Call { number, call: Box::new(call) }).ok_or_else(|| {
            Refusal::new(Code::PayloadTooLarge, "the request is larger than one call may be")
        })?;
        let _turn = self.turn.lock().await;
        self.queue.room(LANE).await;
        self.queue.send(LANE, frame);
        Ok(())
    }

    pub fn notice(&self, notice: Notice) {
        self.send(&ToOwner::Notice(notice));
    }

    pub fn send(&self, content: &ToOwner) {
        match frame(content) {
            Some(frame) => self.queue.send(LANE, frame),
            None => tracing::error!("a frame for the owner was too large and is lost"),
        }
    }

    pub fn answered(&self, number: CallNumber, answer: Answered) {
        let sender = self.calls.lock().remove(&number);
        if let Some(sender) = sender {
            let _ = sender.send(answer);
        }
    }

    pub async fn flushed(&self) {
        self.queue.empty().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.line.calls.lock().remove(&self.number).is_some() {
            self.line.send(&ToOwner::Cancel(self.number));
        }
    }
}

pub fn gone() -> Refusal {
    Refusal::new(Code::Draining, "the server is restarting; connect again").retry_after(WAIT)
}

fn overloaded() -> Refusal {
    Refusal::new(Code::Overloaded, "too many requests wait for an answer").retry_after(WAIT)
}
