//! What presence does by itself: leases end, gathered changes are told. One task waits for the next
//! moment at which something is due, and is woken when that comes sooner.

use super::Presence;
use crate::node::Node;
use port::metric;
use std::time::Duration;

/// Nothing due: how long the keeper sleeps at most before it looks again.
const LOOK_EVERY: Duration = Duration::from_secs(60);

impl Presence {
    /// Wakes the keeper for a moment that comes sooner than the one it waits for.
    pub(super) fn wake_for(&self, due: Option<Duration>) {
        let mut awaited = self.awaited.lock();
        if due.is_some_and(|due| awaited.is_none_or(|awaited| due < awaited)) {
            *awaited = due;
            self.sooner.notify_one();
        }
    }
}

impl Node {
    /// Ends leases and tells what is due; answers when to come again, if anything is to come.
    pub fn turn_presence(&self) -> Option<Duration> {
        let mut rooms = self.presence.rooms.lock();
        let expired = rooms.expire(self.world.clock.monotonic());
        metrics::counter!(metric::PRESENCE_EXPIRED).increment(expired as u64);
        self.tell_due(&mut rooms);
        let due = rooms.next_due();
        *self.presence.awaited.lock() = due;
        due
    }

    /// Waits until presence has something to do; `due` is what `turn_presence` answered.
    pub async fn presence_is_due(&self, due: Option<Duration>) {
        let now = self.world.clock.monotonic();
        let wait = due.map_or(LOOK_EVERY, |due| due.saturating_sub(now)).min(LOOK_EVERY);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.presence.sooner.notified() => {}
        }
    }
}
