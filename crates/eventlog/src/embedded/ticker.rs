//! A thread that does something now and then. It must not know what.

use super::nudge::Nudge;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Dropping it ends the thread, after what it is doing.
pub struct Ticker {
    nudge: Arc<Nudge>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// `work` is done after each interval, and earlier when somebody nudges. It may wait in the
    /// middle: the function it is given waits that long, less when it is to end, and answers
    /// whether it is.
    pub fn start(
        name: &'static str,
        interval: Duration,
        nudge: Arc<Nudge>,
        work: impl Fn(&dyn Fn(Duration) -> bool) + Send + 'static,
    ) -> io::Result<Ticker> {
        let seen = Arc::clone(&nudge);
        let run = move || {
            let wait = |time: Duration| !seen.wait(time);
            while !wait(interval) {
                work(&wait);
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Ticker { nudge, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.nudge.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a thread of the log had panicked");
        }
    }
}
