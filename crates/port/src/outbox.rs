//! What a session wants sent, in two lanes, and the work it has begun but does not wait for.

use crate::Refusal;
use crate::session::{Codec, Flow, Session};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;

/// What to do with the session when deferred work is done.
pub type Then<S> = Box<dyn FnOnce(&mut S, &mut Outbox<S>) -> Result<Flow, Refusal> + Send>;
pub type Deferred<S> = Pin<Box<dyn Future<Output = Then<S>> + Send>>;
pub type FrameOf<S> = <<S as Session>::Codec as Codec>::Frame;

/// Filled by a session's callback, emptied by the edge right after it.
pub struct Outbox<S: Session> {
    pub(crate) data: VecDeque<FrameOf<S>>,
    pub(crate) control: VecDeque<FrameOf<S>>,
    pub(crate) deferred: Vec<(Deferred<S>, Wait)>,
    pub(crate) close_code: Option<u16>,
}

/// Whether frames that follow are handled before deferred work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// They are: acknowledged publishes pipeline.
    Pipelined,
    /// They are not: a subscribe takes effect before the publish behind it.
    Barrier,
}

impl<S: Session> Default for Outbox<S> {
    fn default() -> Self {
        Outbox {
            data: VecDeque::new(),
            control: VecDeque::new(),
            deferred: Vec::new(),
            close_code: None,
        }
    }
}

impl<S: Session> Outbox<S> {
    /// After everything sent before it.
    pub fn send(&mut self, frame: FrameOf<S>) {
        self.data.push_back(frame);
    }

    /// Before waiting data, between frames: liveness answers and closing words.
    pub fn control(&mut self, frame: FrameOf<S>) {
        self.control.push_back(frame);
    }

    /// The number of the transport's closing word, should this callback end in `Flow::Close`; see
    /// `Wire::close_code`.
    pub fn close_code(&mut self, code: u16) {
        self.close_code = Some(code);
    }

    /// Starts work at once (it is polled before the next frame is handled, so appends enter the
    /// log in the order of their frames). What it answers runs on the session; answers run in the
    /// order the work was deferred in.
    pub fn defer(&mut self, wait: Wait, work: impl Future<Output = Then<S>> + Send + 'static) {
        self.deferred.push((Box::pin(work), wait));
    }

    /// What has been sent so far, for tests.
    pub fn drain(&mut self) -> impl Iterator<Item = FrameOf<S>> + '_ {
        self.control.drain(..).chain(self.data.drain(..))
    }

    /// The work begun so far, for tests and the driver.
    pub fn take_deferred(&mut self) -> Vec<(Deferred<S>, Wait)> {
        std::mem::take(&mut self.deferred)
    }
}
