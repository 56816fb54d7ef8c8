//! When each event is due. Pure: it is told how long the replay has run and answers what to do.

use crate::dataset::Event;
use std::time::Duration;

/// Records in one request, also when the replay has fallen behind.
pub const BATCH_RECORDS_MAX: usize = 500;
/// The longest single wait: the progress line moves at least this often.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// The shortest: events that follow closely share a request.
const WAIT_MIN: Duration = Duration::from_millis(5);

#[derive(Debug, PartialEq)]
pub enum Step<'a> {
    Publish(&'a [Event]),
    Wait(Duration),
    Done,
}

pub struct Pace<'a> {
    events: &'a [Event],
    speed: f64,
    next: usize,
}

impl<'a> Pace<'a> {
    /// `events` in time order; the first is due at once.
    pub fn new(events: &'a [Event], speed: f64) -> Pace<'a> {
        Pace { events, speed, next: 0 }
    }

    /// What is due after `elapsed`, at most `limit` records of it.
    pub fn next(&mut self, elapsed: Duration, limit: u64) -> Step<'a> {
        let rest = self.events.get(self.next..).unwrap_or_default();
        let Some(first) = rest.first() else { return Step::Done };
        let due_at = |event: &Event| self.due(event);
        if due_at(first) > elapsed {
            return Step::Wait((due_at(first) - elapsed).clamp(WAIT_MIN, WAIT_MAX));
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(BATCH_RECORDS_MAX);
        let count = rest.iter().take(limit).take_while(|event| due_at(event) <= elapsed).count();
        self.next += count;
        Step::Publish(rest.get(..count).unwrap_or_default())
    }

    fn due(&self, event: &Event) -> Duration {
        let first_ms = self.events.first().map_or(0, |first| first.at_ms);
        let after_ms = event.at_ms.saturating_sub(first_ms).max(0);
        // Bounded, so that a slow replay of a long dataset cannot overflow the conversion.
        Duration::from_secs_f64((after_ms as f64 / 1_000.0 / self.speed).min(1e9))
    }
}
