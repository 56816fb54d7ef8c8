//! Leasing records: first those that are due again, then new ones, and the wait for either.

use super::read::Wanted;
use super::runtime::Runtime;
use super::token::Token;
use crate::node::Node;
use crate::refusal::refusal_of;
use consumers::{Due, Place};
use port::consumers::{
    ConsumerAddress, FETCH_BYTES_MAX, FETCH_RECORDS_MAX, FETCH_WAIT_MAX, Fetch, Leased,
};
use port::{Code, Delivery, Identity, Refusal};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use types::{Offset, Partition};

/// Fetches of one consumer that wait at the same time.
const WAITING_MAX: u32 = 1_000;
/// How long a fetch that is asked to come back should stay away.
const RETRY: Duration = Duration::from_secs(1);

/// A place among those who wait for a consumer's records.
struct Waiter<'a>(&'a Runtime);

impl<'a> Waiter<'a> {
    fn enter(runtime: &'a Runtime) -> Result<Waiter<'a>, Refusal> {
        let waiter = Waiter(runtime);
        if runtime.waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX {
            return Ok(waiter);
        }
        let message = format!("{WAITING_MAX} fetches of this consumer wait already");
        Err(Refusal::new(Code::Overloaded, message).retry_around(RETRY))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a fetch has leased so far.
type Taken = Vec<(Due, Arc<Delivery>)>;

impl Node {
    pub(crate) async fn fetch_records(
        &self,
        who: &Identity,
        at: &ConsumerAddress,
        fetch: Fetch,
    ) -> Result<Vec<Leased>, Refusal> {
        let runtime = self.consumer_for(who, at).await?;
        let fetch = Fetch {
            records_max: fetch.records_max.clamp(1, FETCH_RECORDS_MAX),
            bytes_max: fetch.bytes_max.clamp(1, FETCH_BYTES_MAX),
            wait: fetch.wait.min(FETCH_WAIT_MAX),
        };
        let _waiter = Waiter::enter(&runtime)?;
        let deadline = tokio::time::Instant::now() + fetch.wait;
        loop {
            // Before anything is looked at, so that no change goes unheard.
            let changed = runtime.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            runtime.gone()?;
            runtime.touch(self);
            self.bury_doomed(&runtime).await;
            let (taken, has_more) = self.take(&runtime, fetch).await?;
            // How often a record was delivered is written down before it is. A log that takes no
            // writes is no reason to hold back what it still reads.
            if let Err(refusal) = self.keep(&runtime).await {
                tracing::warn!(%refusal, "a consumer's deliveries could not be written down");
            }
            if !taken.is_empty() {
                return Ok(self.hand_out(who, &runtime, taken));
            }
            if fetch.wait.is_zero() || tokio::time::Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            if has_more {
                tokio::task::yield_now().await;
                continue;
            }
            self.wait_for_work(&runtime, changed, deadline).await?;
            // What was allowed when the wait began may not be any more.
            self.consumer_for(who, at).await?;
        }
    }

    async fn wait_for_work(
        &self,
        runtime: &Runtime,
        changed: impl Future<Output = ()>,
        deadline: tokio::time::Instant,
    ) -> Result<(), Refusal> {
        let now = self.world.clock.monotonic();
        let (turn, room, beyond) = {
            let book = runtime.book.lock();
            let beyond: Vec<(Partition, Offset)> =
                book.ledgers().map(|(partition, ledger)| (partition, ledger.next())).collect();
            (book.next_turn(), book.room(), beyond)
        };
        let turn =
            turn.map_or(deadline, |turn| tokio::time::Instant::now() + turn.saturating_sub(now));
        let appended = async {
            match room {
                // What comes now cannot be taken in before something is settled.
                0 => std::future::pending().await,
                _ => self.engine.wait(runtime.topic.id, beyond).await,
            }
        };
        tokio::select! {
            woken = appended => woken.map_err(refusal_of),
            () = changed => Ok(()),
            () = tokio::time::sleep_until(turn.min(deadline)) => Ok(()),
        }
    }

    /// Leases what is due, then what is new. Answers also whether there may be more right away.
    async fn take(&self, runtime: &Runtime, fetch: Fetch) -> Result<(Taken, bool), Refusal> {
        let now = self.world.clock.monotonic();
        let due = {
            let mut book = runtime.book.lock();
            book.turn(now, &*self.world.rng);
            book.lease(fetch.records_max, now)
        };
        let mut bytes_left = fetch.bytes_max;
        let (mut taken, was_lost) = self.read_due(runtime, due, &mut bytes_left).await?;
        if taken.len() == fetch.records_max || bytes_left == 0 {
            return Ok((taken, false));
        }
        let wanted_records = fetch.records_max - taken.len();
        let mut wanted =
            Wanted { records: wanted_records, bytes: bytes_left, fresh: HashMap::new() };
        let outcome = self.read_on(runtime, &mut wanted).await;
        let leased = runtime.book.lock().lease(wanted.fresh.len(), now);
        let mut again = Vec::new();
        for due in leased {
            match wanted.fresh.remove(&due.place) {
                Some(delivery) => taken.push((due, delivery)),
                // Became due meanwhile, and went before a new one.
                None => again.push(due),
            }
        }
        let (more, _) = self.read_due(runtime, again, &mut wanted.bytes).await?;
        taken.extend(more);
        match outcome {
            Ok(has_more) => Ok((taken, has_more || was_lost)),
            // What was leased is handed out first; the trouble will be there next time.
            Err(_) if !taken.is_empty() => Ok((taken, false)),
            Err(refusal) => Err(refusal),
        }
    }

    /// Reads leased records. What the log has no more is done with; what it cannot read now is put
    /// off; what does not fit goes back. Answers also whether some went without a delivery.
    async fn read_due(
        &self,
        runtime: &Runtime,
        mut due: Vec<Due>,
        bytes_left: &mut usize,
    ) -> Result<(Taken, bool), Refusal> {
        due.sort_unstable_by_key(|due| due.place);
        let places: Vec<Place> = due.iter().map(|due| due.place).collect();
        let found = self.read_places(&runtime.topic, &places).await;
        let now = self.world.clock.monotonic();
        let mut taken: Taken = Vec::new();
        let mut was_lost = false;
        let mut book = runtime.book.lock();
        let terms = book.terms.clone();
        for (due, (place, outcome)) in due.into_iter().zip(found) {
            let Some(ledger) = book.ledger(place.partition) else {
                continue;
            };
            match outcome {
                Ok(Some(delivery)) => {
                    let size = delivery.record.size();
                    if size > *bytes_left && !taken.is_empty() {
                        *bytes_left = 0;
                        ledger.unlease(place.offset);
                        runtime.changed.notify_waiters();
                        continue;
                    }
                    *bytes_left = bytes_left.saturating_sub(size);
                    taken.push((due, delivery));
                }
                Ok(None) => {
                    metrics::counter!(port::metric::CONSUMER_EXPIRED).increment(1);
                    ledger.acknowledge(place.offset);
                    was_lost = true;
                }
                Err(refusal) => {
                    tracing::warn!(%refusal, topic = %runtime.topic.name, ?place, "put off");
                    let wait = terms.backoff(due.deliveries, &*self.world.rng);
                    ledger.put_off(place.offset, now + wait);
                }
            }
        }
        Ok((taken, was_lost))
    }

    fn hand_out(&self, who: &Identity, runtime: &Runtime, taken: Taken) -> Vec<Leased> {
        let (generation, lease) = {
            let book = runtime.book.lock();
            (book.generation, book.terms.ack_wait)
        };
        let count = taken.len();
        let again = taken.iter().filter(|(due, _)| due.deliveries > 1).count();
        self.count_delivered(who, taken.iter().map(|(_, delivery)| delivery));
        metrics::counter!(port::metric::CONSUMER_DELIVERIES).increment(count as u64);
        metrics::counter!(port::metric::CONSUMER_REDELIVERIES).increment(again as u64);
        let project = runtime.topic.project;
        let lease_out = |(due, delivery): (Due, Arc<Delivery>)| Leased {
            delivery,
            deliveries: due.deliveries,
            token: Token { consumer: runtime.id, generation, due }.seal(&self.signer, project),
            lease,
        };
        taken.into_iter().map(lease_out).collect()
    }
}
