//! Reading everything: each partition from its start to its end, around what is said to be damaged.

use super::{Outcome, Run};
use crate::book::{Place, Seen};
use crate::checks::Event;
use eventlog::LogError;
use std::ops::Range;
use stdx::Clock;
use types::{TimestampMs, TopicId};

/// Bytes of one read.
const READ_BYTES: usize = 300_000;
/// How often a read that fails for a passing reason is tried again.
const ATTEMPTS_MAX: usize = 4;

impl Run {
    pub(super) fn survey_all(&mut self) -> Outcome {
        for place in self.places() {
            self.survey(place)?;
        }
        self.tell(&Event::Surveyed)
    }

    fn survey(&mut self, place: Place) -> Outcome {
        let Some(bounds) = self.bounds(place) else { return Ok(()) };
        let mut found: Vec<Seen> = Vec::new();
        let mut damaged: Vec<Range<u64>> = Vec::new();
        let mut from = bounds.start;
        let mut attempts = 0;
        while from < bounds.end {
            match self.read_from(place, from, READ_BYTES)? {
                Ok(more) => {
                    let Some(next) = more.next else { break };
                    // A batch is read as a whole, also what of it lies before the start.
                    found.extend(more.seen.into_iter().filter(|it| it.offset >= from));
                    from = next;
                    attempts = 0;
                }
                Err(LogError::Damaged { from: first, to }) => {
                    let error = LogError::Damaged { from: first, to };
                    self.trouble("a survey", &error)?;
                    damaged.push(first.max(from)..to);
                    from = to.max(from + 1);
                }
                // Refused once; the next try shows whether it stays so.
                Err(error) => {
                    attempts += 1;
                    self.trouble("a survey", &error)?;
                    if attempts >= ATTEMPTS_MAX || self.machine.disk.is_crashed() {
                        return Ok(());
                    }
                }
            }
        }
        if self.tombstones_before(place.0).is_some() {
            self.sabotage.compacted(&mut found);
        }
        let (seen, damaged) = (&found[..], &damaged[..]);
        let is_held = self.may_hide(place);
        let tombstones_before = self.tombstones_before(place.0);
        self.tell(&Event::Survey { place, bounds, seen, damaged, is_held, tombstones_before })
    }

    /// Of a compacted topic, until when tombstones have stayed their time.
    fn tombstones_before(&self, topic: TopicId) -> Option<TimestampMs> {
        let config = &self.machine.spec(topic)?.config;
        let age_ms = i64::try_from(config.tombstone_ms).unwrap_or(i64::MAX);
        let before = self.machine.clock.now_ms().saturating_sub(age_ms);
        config.cleanup.compacts().then_some(before)
    }
}
