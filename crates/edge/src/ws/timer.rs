//! When a connection wants to be looked at: keepalive, the session's own deadline, the end of the
//! closing handshake. One entry in the shard's wheel serves all of them.

use super::close;
use super::connection::{Connection, Inner, Phase};
use super::frame::Opcode;
use crate::config::ms;
use crate::shard::Shard;
use port::{Deadline, metric};
use std::time::Duration;

#[derive(Debug)]
pub struct Times {
    began: Duration,
    /// When bytes last came in.
    pub last_input: Duration,
    /// When the client was pinged since then.
    pinged_at: Option<Duration>,
    /// What the session asked for, as it asked and as the clock will show it.
    wish: Option<(Deadline, Duration)>,
    /// The closing handshake must be through by then.
    close_by: Option<Duration>,
    /// The earliest of our entries in the wheel; entries that come before it are old ones.
    armed: Option<Duration>,
    /// The wheel must hear of an earlier time.
    is_changed: bool,
}

impl Times {
    pub fn new(now: Duration) -> Times {
        Times {
            began: now,
            last_input: now,
            pinged_at: None,
            wish: None,
            close_by: None,
            armed: None,
            is_changed: true,
        }
    }

    pub fn heard(&mut self, now: Duration) {
        self.last_input = now;
        self.pinged_at = None;
    }

    pub fn wish(&mut self, shard: &Shard, wanted: Option<Deadline>) {
        if wanted == self.wish.map(|(deadline, _)| deadline) {
            return;
        }
        let clock = &shard.world.clock;
        self.wish = wanted.map(|deadline| {
            let due = match deadline {
                Deadline::After(wait) => self.began.saturating_add(wait),
                Deadline::At(wall) => {
                    let left = u64::try_from(wall.saturating_sub(clock.now_ms())).unwrap_or(0);
                    clock.monotonic().saturating_add(ms(left))
                }
            };
            (deadline, due)
        });
        self.is_changed = true;
    }

    pub fn close_by(&mut self, shard: &Shard, wait_ms: u64) {
        self.close_by = Some(shard.world.clock.monotonic() + ms(wait_ms));
        self.is_changed = true;
    }

    fn next(&self, keepalive: Duration) -> Duration {
        if let Some(close_by) = self.close_by {
            return close_by;
        }
        let silent = self.pinged_at.unwrap_or(self.last_input) + keepalive;
        self.wish.map_or(silent, |(_, due)| due.min(silent))
    }
}

impl Connection {
    /// Puts the connection into the wheel, if its next time is earlier than what stands there.
    pub fn arm(&self, shard: &Shard) {
        let keepalive = ms(shard.config.web_socket.keepalive_ms);
        let due = self.run(shard, |inner| {
            let times = &mut inner.times;
            if !std::mem::take(&mut times.is_changed) {
                return None;
            }
            let next = times.next(keepalive);
            if times.armed.is_some_and(|armed| armed <= next) {
                return None;
            }
            times.armed = Some(next);
            Some(next)
        });
        if let Some(Some(due)) = due {
            shard.wheel.borrow_mut().insert(due, self.slot);
        }
    }

    /// The wheel has come to one of our entries.
    pub fn on_timer(&self, shard: &Shard, now: Duration) {
        self.run(shard, |inner| {
            if inner.times.armed.is_some_and(|armed| now < armed) {
                return;
            }
            inner.times.armed = None;
            inner.times.is_changed = true;
            inner.on_time(shard, now);
            inner.flush();
        });
        self.arm(shard);
    }
}

impl Inner {
    fn on_time(&mut self, shard: &Shard, now: Duration) {
        if self.times.close_by.is_some_and(|close_by| close_by <= now) {
            return self.kill();
        }
        if self.phase != Phase::Open {
            return;
        }
        if let Some((_, due)) = self.times.wish
            && due <= now
        {
            self.call(shard, |driven, _, wire| driven.on_deadline(wire));
            // A session that still names the deadline that has passed is not called for it again.
            if let Some((_, due)) = &mut self.times.wish
                && *due <= now
            {
                *due = Duration::MAX;
            }
        }
        self.keep_alive(shard, now);
    }

    fn keep_alive(&mut self, shard: &Shard, now: Duration) {
        if !self.is_taking(shard) && (self.is_blocked() || std::mem::take(&mut self.is_moving)) {
            // It is us who do not read: silence proves nothing. A slow client that still takes
            // bytes is alive.
            return self.times.heard(now);
        }
        let keepalive = ms(shard.config.web_socket.keepalive_ms);
        match self.times.pinged_at {
            Some(at) if now.saturating_sub(at) >= keepalive => {
                metrics::counter!(metric::CONNECTIONS_REFUSED, "reason" => "websocket_silent")
                    .increment(1);
                self.begin_close(shard, close::GOING_AWAY, "nothing was heard from the client");
            }
            None if now.saturating_sub(self.times.last_input) >= keepalive => {
                self.times.pinged_at = Some(now);
                self.waiting.push_control(Opcode::Ping, &[]);
                self.call(shard, |driven, _, wire| driven.on_idle(wire));
            }
            _ => {}
        }
    }
}
