//! A thread that does something now and then. It must not know what.

use parking_lot::{Condvar, Mutex, MutexGuard};
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Dropping it ends the thread, after what it is doing.
pub struct Ticker {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// `work` may wait in the middle: the function it is given waits that long, less when it is
    /// to end, and answers whether it is.
    pub fn start(
        name: &'static str,
        interval: Duration,
        work: impl Fn(&dyn Fn(Duration) -> bool) + Send + 'static,
    ) -> io::Result<Ticker> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let seen = Arc::clone(&stop);
        let run = move || {
            let (is_stopped, changed) = &*seen;
            let wait = |time: Duration| {
                let mut is_stopped = is_stopped.lock();
                if !*is_stopped && !time.is_zero() {
                    wait_for(changed, &mut is_stopped, time);
                }
                *is_stopped
            };
            while !wait(interval) {
                work(&wait);
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Ticker { stop, thread: Some(thread) })
    }
}

/// Being woken early means the end, which the caller looks at.
fn wait_for(changed: &Condvar, is_stopped: &mut MutexGuard<'_, bool>, time: Duration) {
    changed.wait_for(is_stopped, time);
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a thread of the log had panicked");
        }
    }
}
