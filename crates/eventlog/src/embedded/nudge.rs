//! How a thread that does something now and then is asked to do it soon, or to end.

use parking_lot::{Condvar, Mutex};
use std::time::Duration;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wish {
    #[default]
    Nothing,
    Work,
    Stop,
}

/// Shared by those who ask and the one thread that listens.
#[derive(Debug, Default)]
pub struct Nudge {
    wish: Mutex<Wish>,
    changed: Condvar,
}

impl Nudge {
    /// The work should not wait for its turn.
    pub fn work(&self) {
        let mut wish = self.wish.lock();
        if *wish == Wish::Nothing {
            *wish = Wish::Work;
            self.changed.notify_all();
        }
    }

    pub fn stop(&self) {
        *self.wish.lock() = Wish::Stop;
        self.changed.notify_all();
    }

    /// Waits until the interval is over or somebody asks; `false` when it is time to end.
    pub fn wait(&self, interval: Duration) -> bool {
        let mut wish = self.wish.lock();
        if *wish == Wish::Nothing && !interval.is_zero() {
            // Woken for nothing it works once more often.
            self.changed.wait_for(&mut wish, interval);
        }
        let goes_on = *wish != Wish::Stop;
        if goes_on {
            *wish = Wish::Nothing;
        }
        goes_on
    }
}
