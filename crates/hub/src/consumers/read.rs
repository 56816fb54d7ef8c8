//! How a consumer reads the log: records at known places, and on from where it stands.

use super::runtime::{Lane, Runtime};
use crate::node::Node;
use crate::refusal::refusal_of;
use crate::shard::mailbox::unpack;
use crate::topic::Topic;
use consumers::Place;
use eventlog::LogError;
use port::{Delivery, Refusal};
use std::collections::HashMap;
use std::sync::Arc;
use types::batch::Batch;
use types::consumer::Start;
use types::{From, Offset, Partition};

/// Bytes read ahead by one consumer, all partitions together, give or take a batch each.
const AHEAD_BYTES_MAX: usize = 1024 * 1024;
const AHEAD_BYTES_MIN: usize = 16 * 1024;
/// Bytes one fetch looks through for records that fit at most before it lets others go on.
pub const SEARCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A record that is to be read again, and what came of it; `None` when the log has it no more.
pub type Found = (Place, Result<Option<Arc<Delivery>>, Refusal>);

/// What a search for new records may still take.
pub struct Wanted {
    pub records: usize,
    pub bytes: usize,
    /// Records taken in so far, by place: whoever leases them need not read them again.
    pub fresh: HashMap<Place, Arc<Delivery>>,
}

impl Node {
    /// Where a consumer begins in one partition.
    pub(crate) async fn start_of_consumer(
        &self,
        topic: &Topic,
        start: Start,
        partition: Partition,
    ) -> Result<Offset, Refusal> {
        let from = match start {
            Start::Earliest => From::Earliest,
            Start::Latest => From::Latest,
            Start::Offset(offset) => From::Offset(offset),
            Start::Time(time) => From::Time(time),
        };
        let bounds = self.engine.bounds(topic.id, partition).map_err(refusal_of)?;
        let positions = self.resolve(topic, &from).await?;
        let next = positions.get(topic.id, partition).unwrap_or(bounds.start);
        Ok(next.clamp(bounds.start, bounds.end))
    }

    /// Reads records at places that are in order. Those of one batch are read once.
    pub(crate) async fn read_places(&self, topic: &Topic, places: &[Place]) -> Vec<Found> {
        let mut found = Vec::with_capacity(places.len());
        let mut last: Option<(Partition, Arc<Batch>)> = None;
        for &place in places {
            let holds = |(partition, batch): &(Partition, Arc<Batch>)| {
                let offsets = batch.base_offset()..batch.next_offset();
                *partition == place.partition && offsets.contains(&place.offset)
            };
            if !last.as_ref().is_some_and(holds) {
                match self.engine.read(topic.id, place.partition, place.offset, 1).await {
                    Ok(batches) => {
                        last = batches.into_iter().next().map(|batch| (place.partition, batch));
                    }
                    Err(LogError::OffsetGone { .. }) => last = None,
                    Err(error) => {
                        found.push((place, Err(refusal_of(error))));
                        continue;
                    }
                }
            }
            let record = last.as_ref().filter(|last| holds(last)).and_then(|(partition, batch)| {
                unpack(topic, *partition, batch).find(|one| one.offset == place.offset)
            });
            found.push((place, Ok(record)));
        }
        found
    }

    /// Takes new records in until enough of them may be leased, there is no room, or the log has no
    /// more. Answers whether it stopped only for having looked through much.
    pub(crate) async fn read_on(
        &self,
        runtime: &Runtime,
        wanted: &mut Wanted,
    ) -> Result<bool, Refusal> {
        let mut lanes = runtime.lanes.lock().await;
        let count = runtime.topic.partitions() as usize;
        lanes.resize_with(count, Lane::default);
        let chunk_bytes = (AHEAD_BYTES_MAX / count.max(1)).max(AHEAD_BYTES_MIN);
        let first = runtime.topic.next_turn() as usize;
        let mut searched_bytes = 0;
        for step in 0..count {
            let index = (first + step) % count;
            let (Some(lane), Ok(partition)) = (lanes.get_mut(index), Partition::try_from(index))
            else {
                continue;
            };
            loop {
                self.take_in(runtime, partition, lane, wanted);
                if wanted.records == 0 || wanted.bytes == 0 || runtime.book.lock().room() == 0 {
                    return Ok(false);
                }
                if searched_bytes >= SEARCH_BYTES_MAX {
                    return Ok(true);
                }
                let bytes = self.fill_lane(runtime, partition, lane, chunk_bytes).await?;
                if bytes == 0 {
                    break;
                }
                searched_bytes += bytes;
            }
        }
        Ok(false)
    }

    /// Takes in what was read ahead, up to what is wanted.
    fn take_in(
        &self,
        runtime: &Runtime,
        partition: Partition,
        lane: &mut Lane,
        wanted: &mut Wanted,
    ) {
        let defined = runtime.defined.load();
        let mut book = runtime.book.lock();
        let terms = book.terms.clone();
        let mut room = book.room();
        let Some(ledger) = book.ledger(partition) else {
            return;
        };
        while let Some(delivery) = lane.ready.front() {
            let offset = delivery.offset;
            if offset < ledger.next() {
                lane.ready.pop_front();
                continue;
            }
            let key = delivery.record.key.as_ref();
            let is_wanted =
                defined.takes_all() || defined.filter.key.matches(key.map(|key| &key.bytes()[..]));
            if !is_wanted {
                ledger.pass(offset + 1);
                lane.ready.pop_front();
                continue;
            }
            if wanted.records == 0 || wanted.bytes == 0 || room == 0 {
                return;
            }
            let size = delivery.record.size();
            if size > wanted.bytes && !wanted.fresh.is_empty() {
                wanted.bytes = 0;
                return;
            }
            let place = Place { partition, offset };
            let key = key.map(|key| self.consumers.hash(key));
            let may_go = ledger.admit(offset, key, &terms);
            room -= 1;
            if may_go {
                wanted.records -= 1;
                wanted.bytes = wanted.bytes.saturating_sub(size);
                wanted.fresh.insert(place, Arc::clone(delivery));
            }
            lane.ready.pop_front();
        }
        // Offsets after the last record of what was read hold nothing.
        ledger.pass(lane.read_to);
    }

    /// Reads the next batches of a partition; answers how many bytes they had.
    async fn fill_lane(
        &self,
        runtime: &Runtime,
        partition: Partition,
        lane: &mut Lane,
        chunk_bytes: usize,
    ) -> Result<usize, Refusal> {
        let topic = &runtime.topic;
        let from = {
            let mut book = runtime.book.lock();
            book.ledger(partition).map_or(0, |ledger| ledger.next())
        };
        let end = self.engine.bounds(topic.id, partition).map_err(refusal_of)?.end;
        let batches = match self.engine.read(topic.id, partition, from, chunk_bytes).await {
            Ok(batches) => batches,
            Err(LogError::OffsetGone { start }) if start > from => {
                metrics::counter!(port::metric::CONSUMER_EXPIRED).increment(start - from);
                tracing::warn!(
                    topic = %topic.name, partition, from, start,
                    "retention removed records before a consumer came to them"
                );
                if let Some(ledger) = runtime.book.lock().ledger(partition) {
                    ledger.pass(start);
                }
                return Ok(1);
            }
            Err(error) => return Err(refusal_of(error)),
        };
        if batches.is_empty() && from < end {
            // What lies before the end is no record that anybody may see.
            if let Some(ledger) = runtime.book.lock().ledger(partition) {
                ledger.pass(end);
            }
            return Ok(1);
        }
        let mut bytes = 0;
        for batch in &batches {
            bytes += batch.memory_bytes();
            lane.read_to = lane.read_to.max(batch.next_offset());
            lane.ready.extend(unpack(topic, partition, batch).filter(|one| one.offset >= from));
        }
        Ok(bytes)
    }
}
