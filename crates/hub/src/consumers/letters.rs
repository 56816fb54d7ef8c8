//! Dead letters looked at, brought back, or given up. They stay in their topic, which readers may
//! follow like any other; which of them were dealt with is the consumer's state.

use super::bury::{Part, split};
use super::place_of;
use super::runtime::{Handled, Runtime, handled_key, state_record};
use crate::node::Node;
use crate::refusal::refusal_of;
use crate::topic::Topic;
use consumers::{Letter, Place, RANGES_MAX, Ranges, unbury, without_letter};
use port::consumers::{
    ConsumerAddress, DEAD_LETTERS_MAX, DeadLetter, DeadLetters, ReplayTo, Which,
};
use port::{Code, CursorMint, Delivery, Identity, Refusal};
use rules::scopes;
use serde_json::json;
use std::sync::Arc;
use tenancy::Actor;
use types::{Operation, Partition, Position, Positions, Record, Scope};

/// Records of the dead-letter topic that one listing looks through at most; its cursor goes on.
const SEARCH_RECORDS_MAX: usize = 20_000;
/// Bytes of the letters that one call lists, replays or purges at most, give or take an answer.
const LETTER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Letters named one by one that are read at once.
const READ_LETTERS: usize = 16;

/// A letter found, and where.
struct Opened {
    place: Place,
    letter: Letter,
    delivery: Arc<Delivery>,
}

/// Letters under work, with all it takes.
struct Work {
    runtime: Arc<Runtime>,
    dead: Arc<Topic>,
    letters: Vec<Opened>,
}

impl Node {
    pub(crate) async fn list_letters(
        &self,
        who: &Identity,
        at: &ConsumerAddress,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<DeadLetters, Refusal> {
        let runtime = self.consumer_for(who, at).await?;
        let limit = limit.clamp(1, DEAD_LETTERS_MAX);
        let Some(dead) = self.letters_of(&runtime) else {
            let next_cursor = self.signer.mint(runtime.topic.project, &Positions::default());
            return Ok(DeadLetters { letters: Vec::new(), next_cursor, is_end: true });
        };
        let given = match cursor {
            Some(cursor) => {
                let opened = self.open_cursors(runtime.topic.project, &[cursor]);
                Some(opened.map_err(|refusal| refusal.field("cursor"))?)
            }
            None => None,
        };
        let (found, next_cursor, is_end) =
            self.open_letters(&runtime, &dead, given.as_ref(), limit).await?;
        self.count_delivered(who, found.iter().map(|opened| &opened.delivery));
        let letters = found
            .into_iter()
            .map(|Opened { letter, delivery, .. }| DeadLetter {
                delivery,
                reason: letter.reason,
                deliveries: letter.deliveries,
                topic: letter.topic,
                partition: letter.partition,
                offset: letter.offset,
                timestamp: letter.timestamp,
            })
            .collect();
        Ok(DeadLetters { letters, next_cursor, is_end })
    }

    fn letters_of(&self, runtime: &Runtime) -> Option<Arc<Topic>> {
        let name = &runtime.defined.load().record.dead_letter_topic;
        self.catalogue.get(runtime.topic.project, name)
    }

    /// Letters that nobody dealt with, from where `given` says or the oldest.
    async fn open_letters(
        &self,
        runtime: &Runtime,
        dead: &Topic,
        given: Option<&Positions>,
        limit: usize,
    ) -> Result<(Vec<Opened>, String, bool), Refusal> {
        let handled = self.handled(runtime, dead).await?;
        let mut positions = Positions::default();
        for (partition, ranges) in (0..).zip(&handled.partitions) {
            let bounds = self.engine.bounds(dead.id, partition).map_err(refusal_of)?;
            let next = given.and_then(|given| given.get(dead.id, partition)).unwrap_or(0);
            let next = next.max(ranges.floor()).clamp(bounds.start, bounds.end);
            positions.advance(Position { topic: dead.id, partition, next });
        }
        let mut letters = Vec::new();
        let (mut searched, mut bytes) = (0, 0);
        loop {
            let wanted = limit - letters.len();
            let answer = self.collect(dead, None, &mut positions, wanted).await?;
            searched += answer.records.len();
            bytes += answer.records.iter().map(|one| one.record.size()).sum::<usize>();
            letters.extend(
                answer
                    .records
                    .into_iter()
                    .filter_map(|delivery| open_letter(runtime, &handled, delivery)),
            );
            let is_over = letters.len() >= limit
                || searched >= SEARCH_RECORDS_MAX
                || bytes >= LETTER_BYTES_MAX;
            if answer.is_end || is_over {
                return Ok((letters, answer.next_cursor, answer.is_end));
            }
        }
    }

    /// Which of the letters in this topic were dealt with.
    pub(super) async fn handled(
        &self,
        runtime: &Runtime,
        dead: &Topic,
    ) -> Result<Handled, Refusal> {
        if let Some(handled) = runtime.handled.lock().as_ref().filter(|it| it.topic == dead.id) {
            return Ok(handled.clone());
        }
        let states = self.states_of(&runtime.topic).await?;
        let mut partitions = Vec::new();
        for partition in 0..dead.partitions() {
            let kept = self.state_of(&states, handled_key(runtime.id, dead.id, partition)).await?;
            let ranges = match kept {
                Some(bytes) => Ranges::decode(&bytes).ok_or_else(|| {
                    Refusal::internal(&"the state of a consumer's dead letters is not readable")
                })?,
                None => Ranges::default(),
            };
            partitions.push(ranges);
        }
        let handled = Handled { topic: dead.id, partitions };
        let mut known = runtime.handled.lock();
        // Somebody may have loaded it meanwhile, and gone on from there.
        if let Some(known) = known.as_ref().filter(|known| known.topic == dead.id) {
            return Ok(known.clone());
        }
        *known = Some(handled.clone());
        Ok(handled)
    }

    pub(crate) async fn purge_letters(
        &self,
        who: &Identity,
        at: &ConsumerAddress,
        which: Which,
    ) -> Result<u64, Refusal> {
        let Some(work) = self.select_letters(who, at, which).await? else {
            return Ok(0);
        };
        let count = work.letters.len() as u64;
        let details = json!({"letters": count, "dead_letter_topic": work.dead.name.as_str()});
        self.note(who, &work.runtime, "consumer.purge", details).await?;
        let run = |node: Arc<Node>| async move { node.deal_with(&work, Vec::new()).await };
        self.to_the_end(run).await?;
        Ok(count)
    }

    pub(crate) async fn replay_letters(
        &self,
        who: &Identity,
        at: &ConsumerAddress,
        which: Which,
        to: ReplayTo,
    ) -> Result<u64, Refusal> {
        let is_any = matches!(which, Which::Oldest(_));
        let Some(mut work) = self.select_letters(who, at, which).await? else {
            return Ok(0);
        };
        if is_any && to == ReplayTo::Consumer {
            // As many as the consumer takes now; with no room at all that is said.
            let room = work.runtime.book.lock().room();
            work.letters.truncate(room.max(1));
        }
        let count = work.letters.len() as u64;
        let target = match to {
            ReplayTo::Topic => "topic",
            ReplayTo::Consumer => "consumer",
        };
        if to == ReplayTo::Topic {
            let (snapshot, now) = (self.admit(who)?, self.world.clock.now_ms());
            for opened in &work.letters {
                let key = opened.delivery.record.key.as_ref().map(|key| &key.bytes()[..]);
                let topic = &work.runtime.topic.name;
                snapshot.check_address(who.claims(), Operation::Publish, topic, key, now)?;
            }
        }
        let details = json!({"letters": count, "to": target});
        self.note(who, &work.runtime, "consumer.replay", details).await?;
        let run = move |node: Arc<Node>| async move {
            match to {
                ReplayTo::Topic => {
                    let record = |opened: &Opened| without_letter(&opened.delivery.record);
                    let records: Vec<Record> = work.letters.iter().map(record).collect();
                    let parts = split(&work.runtime.topic, records);
                    node.deal_with(&work, parts).await
                }
                ReplayTo::Consumer => node.revive(&work).await,
            }
        };
        self.to_the_end(run).await?;
        Ok(count)
    }

    pub(super) async fn note(
        &self,
        who: &Identity,
        runtime: &Runtime,
        action: &'static str,
        details: serde_json::Value,
    ) -> Result<(), Refusal> {
        let defined = runtime.defined.load_full();
        let at = place_of(&runtime.topic, &defined.record.name);
        let (tenant, project) = (runtime.topic.tenant, runtime.topic.project);
        let by = Actor::from(who);
        Ok(self.tenancy.note_consumer(tenant, project, at, action, details, &by).await?)
    }

    /// The letters that are meant; `None` when there is none.
    async fn select_letters(
        &self,
        who: &Identity,
        at: &ConsumerAddress,
        which: Which,
    ) -> Result<Option<Work>, Refusal> {
        scopes::require(who.claims().scopes, Scope::AdminWrite)?;
        let runtime = self.consumer_for(who, at).await?;
        let Some(dead) = self.letters_of(&runtime) else {
            return match which {
                Which::Oldest(_) => Ok(None),
                Which::At(_) => Err(no_letter(0)),
            };
        };
        let letters = match which {
            Which::Oldest(count) => {
                let count = count.clamp(1, DEAD_LETTERS_MAX);
                self.open_letters(&runtime, &dead, None, count).await?.0
            }
            Which::At(places) => self.open_these(&runtime, &dead, places).await?,
        };
        Ok((!letters.is_empty()).then_some(Work { runtime, dead, letters }))
    }

    async fn open_these(
        &self,
        runtime: &Runtime,
        dead: &Topic,
        places: Vec<(Partition, types::Offset)>,
    ) -> Result<Vec<Opened>, Refusal> {
        if places.len() > DEAD_LETTERS_MAX {
            let message = format!("one call takes at most {DEAD_LETTERS_MAX} dead letters");
            return Err(Refusal::new(Code::PayloadTooLarge, message).field("letters"));
        }
        let handled = self.handled(runtime, dead).await?;
        let place = |(partition, offset): &(Partition, types::Offset)| Place {
            partition: *partition,
            offset: *offset,
        };
        let given: Vec<Place> = places.iter().map(place).collect();
        let mut letters = Vec::with_capacity(given.len());
        let mut bytes = 0;
        for places in given.chunks(READ_LETTERS) {
            for (_, found) in self.read_places(dead, places).await {
                let opened = found?.and_then(|delivery| open_letter(runtime, &handled, delivery));
                let opened = opened.ok_or_else(|| no_letter(letters.len()))?;
                bytes += opened.delivery.record.size();
                letters.push(opened);
            }
            if bytes > LETTER_BYTES_MAX {
                let message = "the dead letters are too large for one call";
                return Err(Refusal::new(Code::PayloadTooLarge, message)
                    .field("letters")
                    .hint("name fewer of them"));
            }
        }
        letters.sort_by_key(|opened| opened.place);
        letters.dedup_by_key(|opened| opened.place);
        Ok(letters)
    }

    /// Writes `parts` and that the letters were dealt with.
    async fn deal_with(&self, work: &Work, parts: Vec<Part>) -> Result<(), Refusal> {
        let runtime = &work.runtime;
        let states = self.states_of(&runtime.topic).await?;
        let _one_at_a_time = runtime.writer.lock().await;
        runtime.gone()?;
        let (handled, records) = self.dealt_with(work).await?;
        let state = Part { topic: states, partition: 0, records };
        self.append_together(parts, state).await?;
        *runtime.handled.lock() = Some(handled);
        Ok(())
    }

    /// The originals are delivered again, to this consumer only.
    async fn revive(&self, work: &Work) -> Result<(), Refusal> {
        let runtime = &work.runtime;
        let states = self.states_of(&runtime.topic).await?;
        self.check_revivable(work)?;
        let _one_at_a_time = runtime.writer.lock().await;
        runtime.gone()?;
        let (handled, mut records) = self.dealt_with(work).await?;
        {
            let mut book = runtime.book.lock();
            let terms = book.terms.clone();
            for Opened { letter, delivery, .. } in &work.letters {
                let key = delivery.record.key.as_ref().map(|key| self.consumers.hash(key));
                if let Some(ledger) = book.ledger(letter.partition) {
                    ledger.revive(letter.offset, key, &terms);
                }
            }
        }
        // One append: delivered again and dealt with, or neither.
        records.extend(runtime.state(self, &[]));
        let writing = super::runtime::Writing::new(&runtime.book);
        self.engine.append(states.id, 0, records).await.map_err(refusal_of)?;
        writing.done();
        *runtime.handled.lock() = Some(handled);
        runtime.changed.notify_waiters();
        Ok(())
    }

    fn check_revivable(&self, work: &Work) -> Result<(), Refusal> {
        let topic = &work.runtime.topic;
        let room = work.runtime.book.lock().room();
        if work.letters.len() > room {
            let message = format!("the consumer has room for {room} more pending records");
            return Err(Refusal::new(Code::Conflict, message)
                .field("letters")
                .hint("replay fewer at once, settle what is pending, or raise `pending_max`"));
        }
        for Opened { place, letter, .. } in &work.letters {
            let bounds = self.engine.bounds(topic.id, letter.partition);
            let is_there = letter.topic_id == topic.id.0
                && bounds.is_ok_and(|it| (it.start..it.end).contains(&letter.offset));
            if !is_there {
                let message = format!(
                    "the original of dead letter {}:{} is gone from the topic",
                    place.partition, place.offset
                );
                return Err(Refusal::new(Code::Conflict, message)
                    .field("to")
                    .hint("replay it to the topic, which publishes what the letter carries"));
            }
        }
        Ok(())
    }

    /// What will be known, and stored, once these letters are dealt with.
    async fn dealt_with(&self, work: &Work) -> Result<(Handled, Vec<Record>), Refusal> {
        let Work { runtime, dead, letters } = work;
        let mut handled = self.handled(runtime, dead).await?;
        for opened in letters {
            let Some(ranges) = handled.partitions.get_mut(opened.place.partition as usize) else {
                continue;
            };
            let start = self.engine.bounds(dead.id, opened.place.partition).map_err(refusal_of)?;
            ranges.raise(start.start);
            ranges.insert(opened.place.offset);
            if ranges.is_full() {
                let message =
                    format!("letters were dealt with at more than {RANGES_MAX} separate places");
                return Err(Refusal::new(Code::Conflict, message)
                    .field("letters")
                    .hint("replay or purge the oldest ones first"));
            }
        }
        let record = |(partition, ranges): (Partition, &Ranges)| {
            state_record(handled_key(runtime.id, dead.id, partition), ranges.encode())
        };
        let records = (0..).zip(&handled.partitions).map(record).collect();
        Ok((handled, records))
    }
}

/// `None` when the record is no letter of this consumer, or was dealt with.
fn open_letter(runtime: &Runtime, handled: &Handled, delivery: Arc<Delivery>) -> Option<Opened> {
    let place = Place { partition: delivery.partition, offset: delivery.offset };
    let ranges = handled.partitions.get(place.partition as usize)?;
    if ranges.contains(place.offset) {
        return None;
    }
    let letter = unbury(&delivery.record)?;
    let is_own = letter.consumer == runtime.defined.load().record.name.as_str();
    is_own.then_some(Opened { place, letter, delivery })
}

fn no_letter(index: usize) -> Refusal {
    Refusal::new(Code::NotFound, "there is no such dead letter of this consumer")
        .field(format!("letters[{index}]"))
        .hint("list them with GET .../dead-letters; replayed and purged ones are gone")
}
