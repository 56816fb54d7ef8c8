//! How a record becomes a dead letter, and how records are written together with the state that
//! says what became of others.

use super::runtime::{Runtime, Writing};
use crate::node::Node;
use crate::refusal::refusal_of;
use crate::topic::Topic;
use consumers::{Due, Letter, Place, bury};
use port::{Code, Delivery, Refusal};
use std::sync::Arc;
use types::{Partition, Record, TopicConfig};

/// Bytes of dead letters that are moved at once, give or take one.
const MOVE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A record on its way to the dead letters.
pub struct Doomed {
    pub due: Due,
    pub reason: String,
}

/// What is written together: a partition's records.
pub struct Part {
    pub topic: Arc<Topic>,
    pub partition: Partition,
    pub records: Vec<Record>,
}

impl Node {
    /// Moves settling records to the dead-letter topic and acknowledges them. Answers for each
    /// whether it is there; one that is not waits for its next delivery.
    pub(super) async fn bury(
        &self,
        runtime: &Arc<Runtime>,
        doomed: Vec<Doomed>,
    ) -> Vec<Result<(), Refusal>> {
        let count = doomed.len();
        let places: Vec<Due> = doomed.iter().map(|one| one.due).collect();
        let shared = Arc::clone(runtime);
        // To the end even when the caller leaves: a record must not be half moved.
        let work = |node: Arc<Node>| async move { Ok(node.bury_now(&shared, doomed).await) };
        match self.to_the_end(work).await {
            Ok(outcomes) => outcomes,
            Err(refusal) => {
                self.give_back(runtime, &places);
                vec![Err(refusal); count]
            }
        }
    }

    async fn bury_now(
        &self,
        runtime: &Arc<Runtime>,
        mut doomed: Vec<Doomed>,
    ) -> Vec<Result<(), Refusal>> {
        // Found again by their places; answered in the order they came in.
        let order: Vec<Place> = doomed.iter().map(|one| one.due.place).collect();
        doomed.sort_unstable_by_key(|one| one.due.place);
        let places: Vec<Place> = doomed.iter().map(|one| one.due.place).collect();
        let found = self.read_places(&runtime.topic, &places).await;
        let mut failed: Vec<(Place, Refusal)> = Vec::new();
        let mut waiting: Vec<(Due, Record)> = Vec::new();
        let mut waiting_bytes = 0;
        for (one, (place, original)) in doomed.into_iter().zip(found) {
            let record = match letter_of(runtime, &one, original) {
                Ok(record) => record,
                Err(refusal) => {
                    self.give_back(runtime, &[one.due]);
                    failed.push((place, refusal));
                    continue;
                }
            };
            waiting_bytes += record.size();
            waiting.push((one.due, record));
            if waiting_bytes >= MOVE_BYTES_MAX {
                waiting_bytes = 0;
                let moved = self.move_letters(runtime, std::mem::take(&mut waiting)).await;
                failed.extend(moved);
            }
        }
        failed.extend(self.move_letters(runtime, waiting).await);
        runtime.changed.notify_waiters();
        let outcome = |place: Place| match failed.iter().find(|(one, _)| *one == place) {
            Some((_, refusal)) => Err(refusal.clone()),
            None => Ok(()),
        };
        order.into_iter().map(outcome).collect()
    }

    /// Answers what could not be moved.
    async fn move_letters(
        &self,
        runtime: &Arc<Runtime>,
        letters: Vec<(Due, Record)>,
    ) -> Vec<(Place, Refusal)> {
        if letters.is_empty() {
            return Vec::new();
        }
        let (due, records): (Vec<Due>, Vec<Record>) = letters.into_iter().unzip();
        let places: Vec<Place> = due.iter().map(|due| due.place).collect();
        match self.move_records(runtime, &places, records).await {
            Ok(()) => {
                metrics::counter!(port::metric::DEAD_LETTERS).increment(places.len() as u64);
                Vec::new()
            }
            Err(refusal) => {
                self.give_back(runtime, &due);
                places.into_iter().map(|place| (place, refusal.clone())).collect()
            }
        }
    }

    async fn move_records(
        &self,
        runtime: &Arc<Runtime>,
        places: &[Place],
        records: Vec<Record>,
    ) -> Result<(), Refusal> {
        let dead = self.dead_topic(runtime).await?;
        let parts = split(&dead, records);
        self.settle_together(runtime, places, parts).await.map(|_| ())
    }

    /// Writes records and, with them, that these places are acknowledged. The caller runs to the
    /// end.
    pub(super) async fn settle_together(
        &self,
        runtime: &Arc<Runtime>,
        places: &[Place],
        parts: Vec<Part>,
    ) -> Result<Vec<eventlog::Appended>, Refusal> {
        let states = self.states_of(&runtime.topic).await?;
        let _one_at_a_time = runtime.writer.lock().await;
        runtime.gone()?;
        let writing = Writing::new(&runtime.book);
        let records = runtime.state(self, places);
        let state = Part { topic: states, partition: 0, records };
        let appended = self.append_together(parts, state).await?;
        writing.done();
        let mut book = runtime.book.lock();
        let is_changed = book.is_dirty();
        for place in places {
            if let Some(ledger) = book.ledger(place.partition) {
                ledger.acknowledge(place.offset);
            }
        }
        if !is_changed {
            // What is written says so already.
            book.kept();
        }
        Ok(appended)
    }

    /// Records and the state that says what became of others: all of it or nothing.
    pub(super) async fn append_together(
        &self,
        parts: Vec<Part>,
        state: Part,
    ) -> Result<Vec<eventlog::Appended>, Refusal> {
        let all = parts.into_iter().chain([state]);
        let all = all.map(|part| (part.topic.id, part.partition, part.records)).collect();
        let mut appended = self.engine.transact(all).await.map_err(refusal_of)?;
        // The state came last, and nobody asks where it lies.
        appended.pop();
        Ok(appended)
    }

    /// What was settling waits for its next delivery.
    fn give_back(&self, runtime: &Runtime, due: &[Due]) {
        let now = self.world.clock.monotonic();
        let mut book = runtime.book.lock();
        let terms = book.terms.clone();
        for due in due {
            let wait = terms.backoff(due.deliveries, &*self.world.rng);
            if let Some(ledger) = book.ledger(due.place.partition) {
                ledger.put_off(due.place.offset, now + wait);
            }
        }
    }

    /// The consumer's dead-letter topic, made anew if somebody deleted it.
    pub(super) async fn dead_topic(&self, runtime: &Runtime) -> Result<Arc<Topic>, Refusal> {
        let name = runtime.defined.load().record.dead_letter_topic.clone();
        let (tenant, project) = (runtime.topic.tenant, runtime.topic.project);
        self.topic_of_platform(tenant, project, &name, TopicConfig::default()).await
    }
}

/// The record with its letter; one that can never be read again leaves at least its address.
fn letter_of(
    runtime: &Runtime,
    doomed: &Doomed,
    original: Result<Option<Arc<Delivery>>, Refusal>,
) -> Result<Record, Refusal> {
    let name = runtime.defined.load().record.name.to_string();
    let Due { place, deliveries } = doomed.due;
    let mut letter = Letter {
        reason: doomed.reason.clone(),
        deliveries,
        consumer: name,
        topic: runtime.topic.name.to_string(),
        topic_id: runtime.topic.id.0,
        partition: place.partition,
        offset: place.offset,
        timestamp: 0,
    };
    match original {
        Ok(Some(original)) => {
            letter.timestamp = original.timestamp;
            Ok(bury(&original.record, &letter))
        }
        Ok(None) => {
            letter.reason = format!("{}; retention removed the record", letter.reason);
            Ok(bury(&Record::default(), &letter))
        }
        Err(refusal) if refusal.code() == Code::LogDamaged => {
            letter.reason = format!("{}; {}", letter.reason, refusal.message());
            Ok(bury(&Record::default(), &letter))
        }
        Err(refusal) => Err(refusal),
    }
}

/// Records by the partition that their keys belong to.
pub(super) fn split(topic: &Arc<Topic>, records: Vec<Record>) -> Vec<Part> {
    let turn = topic.next_turn();
    let mut parts: Vec<Part> = Vec::new();
    for record in records {
        let partition = eventlog::partition_of(record.key.as_ref(), topic.partitions(), turn);
        match parts.iter_mut().find(|part| part.partition == partition) {
            Some(part) => part.records.push(record),
            None => {
                parts.push(Part { topic: Arc::clone(topic), partition, records: vec![record] });
            }
        }
    }
    parts
}
