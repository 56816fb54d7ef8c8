//! Callers that have no answer yet. Answers are taken after whatever may have brought them, in the
//! order of the calls.

use super::ids::Asked;
use super::{Broken, Outcome, Run, transactions};
use crate::book::Place;
use crate::checks::Moment;
use crate::live::poll;
use eventlog::{Appended, Pending};

pub enum Waiting {
    Append(Appending),
    Ids(Asked),
    Transaction(transactions::Asked),
}

/// A publisher that has no answer yet.
pub struct Appending {
    pub place: Place,
    pub numbers: Vec<u64>,
    pub answer: Pending<Appended>,
}

impl Run {
    /// Whether records in the partition may wait for something before them: a transaction, or a
    /// call with ids that is one.
    pub(super) fn may_hide(&self, place: Place) -> bool {
        let hides = |it: &Waiting| matches!(it, Waiting::Ids(asked) if asked.is_for(place));
        self.clients.may_hide(place) || self.waiting.iter().any(hides)
    }

    /// Takes the answers that have come.
    pub(super) fn collect(&mut self, moment: Moment) -> Outcome {
        for it in std::mem::take(&mut self.waiting) {
            if let Some(it) = self.take_answer(it, moment)? {
                self.waiting.push(it);
            }
        }
        Ok(())
    }

    /// Only those of parts of open transactions: what stands behind one that is refused is shown.
    pub(super) fn collect_parts(&mut self) -> Outcome {
        for it in std::mem::take(&mut self.waiting) {
            let is_part = matches!(&it, Waiting::Transaction(transactions::Asked::Part { .. }));
            let left = match is_part {
                true => self.take_answer(it, Moment::AfterCommit)?,
                false => Some(it),
            };
            self.waiting.extend(left);
        }
        Ok(())
    }

    /// Gives back who still waits.
    fn take_answer(&mut self, mut it: Waiting, moment: Moment) -> Result<Option<Waiting>, Broken> {
        match &mut it {
            Waiting::Append(asked) => match poll(&mut asked.answer) {
                Some(answer) => self.answered(asked, answer, moment)?,
                None => return Ok(Some(it)),
            },
            Waiting::Ids(asked) => match poll(&mut asked.answer) {
                Some(answer) => self.answered_ids(asked, answer, moment)?,
                None => return Ok(Some(it)),
            },
            Waiting::Transaction(asked) => match self.answered_transaction(asked, moment) {
                Some(outcome) => outcome?,
                None => return Ok(Some(it)),
            },
        }
        Ok(None)
    }
}
