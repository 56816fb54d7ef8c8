//! What becomes of deliveries: acknowledged, put off, extended, or given up.

use super::bury::Doomed;
use super::runtime::Runtime;
use super::token::Token;
use crate::node::Node;
use consumers::{Book, Due, Refused};
use port::consumers::{
    ConsumerAddress, REASON_BYTES_MAX, SETTLE_MAX, Settled, Settlement, Verdict,
};
use port::{Code, Identity, Refusal};
use std::sync::Arc;
use std::time::Duration;
use types::consumer::DELAY_MS_MAX;

/// What one settlement came to before anything is on disk.
enum Step {
    Done(Result<Settled, Refusal>),
    /// To the dead letters first.
    Dies(Doomed),
}

impl Node {
    pub(crate) async fn settle_deliveries(
        &self,
        who: &Identity,
        at: &ConsumerAddress,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Result<Settled, Refusal>>, Refusal> {
        let runtime = self.consumer_for(who, at).await?;
        runtime.gone()?;
        if settlements.len() > SETTLE_MAX {
            let message = format!("one call settles at most {SETTLE_MAX} deliveries");
            return Err(Refusal::new(Code::PayloadTooLarge, message).field("settlements"));
        }
        runtime.touch(self);
        let mut outcomes = Vec::with_capacity(settlements.len());
        let mut dying = Vec::new();
        {
            let mut book = runtime.book.lock();
            book.turn(self.world.clock.monotonic(), &*self.world.rng);
            for (index, settlement) in settlements.into_iter().enumerate() {
                match self.settle_one(&runtime, &mut book, settlement) {
                    Step::Done(outcome) => outcomes.push(outcome.map_err(|refusal| {
                        let field = refusal.field_name().unwrap_or("token").to_owned();
                        refusal.field(format!("settlements[{index}].{field}"))
                    })),
                    Step::Dies(doomed) => {
                        dying.push((index, doomed));
                        outcomes.push(Ok(Settled::Dead));
                    }
                }
            }
        }
        runtime.changed.notify_waiters();
        if !dying.is_empty() {
            let (indexes, doomed): (Vec<usize>, Vec<Doomed>) = dying.into_iter().unzip();
            let buried = self.bury(&runtime, doomed).await;
            for (index, outcome) in indexes.into_iter().zip(buried) {
                if let (Some(place), Err(refusal)) = (outcomes.get_mut(index), outcome) {
                    *place = Err(refusal);
                }
            }
        }
        self.keep(&runtime).await?;
        Ok(outcomes)
    }

    fn settle_one(&self, runtime: &Runtime, book: &mut Book, settlement: Settlement) -> Step {
        let token = match self.open_token(runtime, book, &settlement.token) {
            Ok(token) => token,
            Err(refusal) => return Step::Done(Err(refusal)),
        };
        let (due, place) = (token.due, token.due.place);
        let outcome = book.check(due);
        if settlement.verdict == Verdict::Acknowledge {
            return Step::Done(match outcome {
                // Also by whom the lease has left: the work is done, whoever did it.
                Ok(()) | Err(Refused::Stale) => {
                    if let Some(ledger) = book.ledger(place.partition) {
                        ledger.acknowledge(place.offset);
                    }
                    Ok(Settled::Acknowledged)
                }
                Err(Refused::Acknowledged) => Ok(Settled::Acknowledged),
                Err(refused) => Err(refusal_of_token(refused)),
            });
        }
        if let Err(refused) = outcome {
            return Step::Done(Err(refusal_of_token(refused)));
        }
        self.settle_leased(book, due, settlement.verdict)
    }

    /// The lease stands.
    fn settle_leased(&self, book: &mut Book, due: Due, verdict: Verdict) -> Step {
        let now = self.world.clock.monotonic();
        let terms = book.terms.clone();
        let Some(ledger) = book.ledger(due.place.partition) else {
            return Step::Done(Err(refusal_of_token(Refused::Unknown)));
        };
        let offset = due.place.offset;
        match verdict {
            Verdict::Acknowledge => ledger.acknowledge(offset),
            Verdict::Extend => {
                ledger.extend(offset, now + terms.ack_wait);
                return Step::Done(Ok(Settled::Extended { lease: terms.ack_wait }));
            }
            Verdict::Retry { delay, .. } if due.deliveries < terms.deliveries_max => {
                let delay =
                    delay.unwrap_or_else(|| terms.backoff(due.deliveries, &*self.world.rng));
                let delay = delay.min(Duration::from_millis(DELAY_MS_MAX));
                ledger.put_off(offset, now + delay);
                return Step::Done(Ok(Settled::Retries { delay }));
            }
            Verdict::Retry { reason, .. } => {
                ledger.settle(offset);
                let reason = reason.map_or_else(|| tried(due), |reason| cut(&reason));
                return Step::Dies(Doomed { due, reason });
            }
            Verdict::Reject { reason } => {
                ledger.settle(offset);
                let reason = reason.map_or_else(|| "rejected".to_owned(), |reason| cut(&reason));
                return Step::Dies(Doomed { due, reason });
            }
        }
        Step::Done(Ok(Settled::Acknowledged))
    }

    pub(super) fn open_token(
        &self,
        runtime: &Runtime,
        book: &Book,
        text: &str,
    ) -> Result<Token, Refusal> {
        let token = Token::open(&self.signer, runtime.topic.project, text)?;
        if token.consumer != runtime.id || token.generation != book.generation {
            return Err(refusal_of_token(Refused::Unknown));
        }
        Ok(token)
    }

    /// Moves what was delivered as often as it may be to the dead letters. What cannot be moved
    /// now comes again later.
    pub(crate) async fn bury_doomed(&self, runtime: &Arc<Runtime>) {
        let doomed = {
            let mut book = runtime.book.lock();
            book.turn(self.world.clock.monotonic(), &*self.world.rng);
            match book.has_doomed() {
                true => book.doomed(SETTLE_MAX),
                false => return,
            }
        };
        let doomed = doomed.into_iter().map(|due| Doomed { due, reason: tried(due) }).collect();
        for refusal in self.bury(runtime, doomed).await.into_iter().filter_map(Result::err) {
            tracing::warn!(%refusal, topic = %runtime.topic.name, "a dead letter was put off");
        }
    }
}

fn tried(due: Due) -> String {
    match due.deliveries {
        1 => "delivered once, and not acknowledged in time".to_owned(),
        deliveries => format!("delivered {deliveries} times, and not acknowledged in time"),
    }
}

/// No longer than it may be, and not in the middle of a character.
fn cut(reason: &str) -> String {
    reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned()
}

pub(super) fn refusal_of_token(refused: Refused) -> Refusal {
    let (message, hint) = match refused {
        Refused::Acknowledged => ("the record is acknowledged already", "there is nothing to do"),
        Refused::Stale => (
            "the lease is over: the record was delivered again",
            "settle in time, extend the lease, or raise `ack_wait_ms`",
        ),
        Refused::Settling => ("the record is just being settled", "try again"),
        Refused::Unknown => {
            ("the delivery is not of this consumer, or the consumer was reset since", "fetch anew")
        }
    };
    Refusal::new(Code::Conflict, message).field("token").hint(hint)
}
