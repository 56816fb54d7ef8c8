//! Retention, and topics that go.

use super::{Outcome, Run};
use crate::checks::{Allowed, Event, Moment};
use eventlog::{Engine, LogError};
use stdx::Clock;

impl Run {
    pub(super) fn maintain(&mut self) -> Outcome {
        let places = self.places();
        let starts: Vec<_> = places.iter().map(|place| self.bounds(*place)).collect();
        let now = self.machine.clock.now_ms();
        self.give_up_overdue()?;
        self.with_log(eventlog::EmbeddedLog::maintain);
        // What stood behind those who were given up.
        self.hear(Moment::AfterCommit)?;
        for (place, before) in places.into_iter().zip(starts) {
            let (Some(before), Some(after)) = (before, self.bounds(place)) else { continue };
            if after.start <= before.start {
                continue;
            }
            let gone = before.start..after.start;
            self.trace.line(format!("  {place:?} lost {gone:?}"));
            let allowed = self.allowed(place.0, now);
            let has_lacked_space = self.has_lacked_space;
            self.tell(&Event::Maintained { place, gone, allowed, has_lacked_space })?;
        }
        Ok(())
    }

    fn allowed(&self, topic: types::TopicId, now: i64) -> Allowed {
        let found = self.machine.topics.iter().find(|(_, spec)| spec.id == topic);
        let Some((slot, spec)) = found else {
            return Allowed { before: None, by_bytes: true, compacts: false };
        };
        let retention = spec.config.retention;
        let of_tenant = self.machine.tenant_bytes_max.contains_key(&(slot % 2));
        Allowed {
            before: retention.age_ms_max.map(|age| now.saturating_sub(age as i64)),
            by_bytes: retention.bytes_max.is_some() || of_tenant,
            compacts: spec.config.cleanup.compacts(),
        }
    }

    pub(super) fn drop_topic(&mut self, slot: u64) -> Outcome {
        // One topic stays, to see whether appends succeed.
        if slot == 0 {
            return Ok(());
        }
        let Some(spec) = self.machine.topics.remove(&slot) else { return Ok(()) };
        let topic = spec.id;
        match self.with_log(|log| log.drop_topic(topic)) {
            None | Some(Ok(()) | Err(LogError::TopicUnknown)) => {}
            Some(Err(error)) => self.trouble("a topic cannot be dropped", &error)?,
        }
        self.tell(&Event::TopicDropped { topic })
    }
}
