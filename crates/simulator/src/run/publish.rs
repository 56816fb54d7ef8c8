//! Publishing and committing: calls enter the log at once, and their answers are collected after
//! each group, as a publisher's task would be woken.

use super::waiting::{Appending, Waiting};
use super::{Outcome, Run};
use crate::checks::{Event, Moment};
use crate::live::poll;
use crate::plan::Size;
use eventlog::{Appended, Engine, LogError};
use stdx::Clock;
use testkit::disk::{Failure, Operation};

impl Run {
    pub(super) fn publish(
        &mut self,
        slot: u64,
        partition: u64,
        (seed, count, size): (u64, u64, Size),
    ) -> Outcome {
        let Some(place) = self.place(slot, partition) else { return Ok(()) };
        let now = self.machine.clock.now_ms();
        let (numbers, records) = self.book.make(place, seed, count, size, now);
        let Some(answer) = self.with_log(|log| log.append(place.0, place.1, records)) else {
            return Ok(());
        };
        self.waiting.push(Waiting::Append(Appending { place, numbers, answer }));
        self.hear(Moment::AtOnce)?;
        self.collect(Moment::AtOnce)
    }

    pub(super) fn answered(
        &mut self,
        it: &Appending,
        answer: Result<Appended, LogError>,
        moment: Moment,
    ) -> Outcome {
        let (place, numbers) = (it.place, &it.numbers[..]);
        match self.sabotage.answer(answer) {
            Ok(appended) => {
                self.counts.acknowledged += numbers.len() as u64;
                let offset = appended.base_offset;
                self.trace.line(format!("  acknowledged {place:?} {offset} {numbers:?}"));
                self.tell(&Event::Acknowledged { place, offset, numbers, moment })
            }
            Err(error) => {
                self.trace.line(format!("  refused {place:?} {numbers:?}: {error}"));
                self.tell(&Event::Refused { numbers, error: &error })?;
                match error {
                    LogError::Failed(_) => self.trouble("an append failed", &error),
                    _ => Ok(()),
                }
            }
        }
    }

    pub(super) fn commit(&mut self, groups: u64) -> Outcome {
        for _ in 0..groups {
            self.look_at_faults();
            let Some(live) = &mut self.live else { return Ok(()) };
            let is_settled = live.driver.commit();
            let struck = self.look_at_faults();
            let is_final = struck.iter().any(|(operation, failure)| {
                let is_io = matches!(failure, Failure::Io | Failure::Short);
                is_io && matches!(operation, Operation::Write | Operation::Flush)
            });
            if is_final {
                self.has_failed = true;
                self.tell(&Event::CommitFailed)?;
            }
            self.hear(Moment::AfterCommit)?;
            self.collect(Moment::AfterCommit)?;
            if !is_settled {
                return self.settled();
            }
        }
        Ok(())
    }

    /// The writer has nothing left: unless the device refused something, all is on the disk.
    fn settled(&mut self) -> Outcome {
        let health = self.with_log(Engine::health);
        let is_stored =
            health.is_some_and(|health| health.is_writable && health.pending_bytes == 0);
        if is_stored && !self.machine.disk.is_crashed() {
            self.tell(&Event::Stored)?;
        }
        Ok(())
    }

    /// Gives the space back; an append must succeed soon, unless the log has failed for good.
    pub(super) fn free(&mut self) -> Outcome {
        self.sabotage.free(&self.machine.disk);
        self.machine.disk.calm();
        if self.live.is_none() {
            return Ok(());
        }
        let mut outcome = Err("no topic".to_owned());
        for attempt in 0..RECOVERY_ATTEMPTS {
            self.maintain()?;
            self.commit(8)?;
            let Some(place) = self.place(0, 0) else { return Ok(()) };
            let now = self.machine.clock.now_ms();
            let (numbers, records) = self.book.make(place, attempt, 1, Size::Small, now);
            let Some(mut answer) = self.with_log(|log| log.append(place.0, place.1, records))
            else {
                return Ok(());
            };
            self.hear(Moment::AtOnce)?;
            let at_once = poll(&mut answer);
            let moment = if at_once.is_some() { Moment::AtOnce } else { Moment::AfterCommit };
            self.commit(8)?;
            let answered = at_once.or_else(|| poll(&mut answer));
            let Some(answered) = answered else {
                outcome = Err("an append is never answered".to_owned());
                continue;
            };
            let is_failure = matches!(answered, Err(LogError::Failed(_)));
            outcome = answered.as_ref().map(|_| ()).map_err(LogError::to_string);
            let it = Appending { place, numbers, answer: Box::pin(std::future::pending()) };
            self.answered(&it, answered, moment)?;
            if outcome.is_ok() || is_failure {
                // A log that failed is another checker's business.
                outcome = Ok(());
                break;
            }
        }
        self.tell(&Event::SpaceReturned { outcome: &outcome })
    }
}

/// How often an append is tried after space came back.
const RECOVERY_ATTEMPTS: u64 = 3;
