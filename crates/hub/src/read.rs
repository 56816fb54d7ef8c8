//! Bounded reads: by position, time or key, of one topic, and the long poll.

use crate::node::Node;
use crate::refusal::refusal_of;
use crate::shard::mailbox::unpack;
use crate::topic::Topic;
use eventlog::LogError;
use identity::ProjectSnapshot;
use port::{Code, CursorMint, Delivery, Identity, ReadAnswer, ReadRequest, Refusal};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use types::limits::READ_RECORDS_MAX;
use types::{
    Batch, Filter, From, Key, Offset, Operation, Partition, Position, Positions, TopicName,
};

/// Bytes one answer holds at most, give or take a batch.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes one answer looks through for a key at most; the cursor goes on from there.
const SEARCH_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Longest wait of a long poll.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// One partition while an answer is put together.
struct Lane {
    partition: Partition,
    /// The next offset to look at.
    next: Offset,
    /// Records read and not yet taken.
    ready: VecDeque<Arc<Delivery>>,
    is_at_end: bool,
}

impl Lane {
    /// Whether it has to be filled before anything is taken.
    fn is_empty(&self) -> bool {
        self.ready.is_empty() && !self.is_at_end
    }

    /// Takes the records of a batch over which is decompressed: one at a time with memory of its
    /// own, since each would keep all that the batch has grown to, and no more than wanted. Answers
    /// whether all were.
    fn take_apart(
        &mut self,
        topic: &Topic,
        key: Option<&Key>,
        batch: &Batch,
        bytes_max: usize,
    ) -> bool {
        let from = self.next;
        let mut bytes = 0;
        for view in batch.views() {
            let is_wanted = key.is_none_or(|key| view.key == Some(&key.bytes()[..]));
            if view.offset < from || !is_wanted {
                continue;
            }
            if bytes >= bytes_max {
                self.next = view.offset;
                return false;
            }
            let record = batch.record(&view).detached();
            bytes += record.size();
            let (origin, partition) = (Arc::clone(&topic.origin), self.partition);
            let delivery = Delivery::new(origin, partition, view.offset, view.timestamp, record);
            self.ready.push_back(Arc::new(delivery));
        }
        self.next = self.next.max(batch.next_offset());
        true
    }
}

impl Node {
    pub(crate) async fn read_records(
        &self,
        who: &Identity,
        request: ReadRequest,
    ) -> Result<ReadAnswer, Refusal> {
        let snapshot = self.admit(who)?;
        self.check_reading(who, &snapshot)?;
        self.check_read(who, &snapshot, &request.topic, request.key.as_ref())?;
        let topic = self.existing(who, &request.topic)?;
        let limit = request.limit.clamp(1, READ_RECORDS_MAX);
        if let (Some(key), Some(count)) = (&request.key, request.last) {
            return self.read_last(&topic, key, count.clamp(1, limit)).await;
        }
        let mut positions = match &request.from {
            From::Consumer(name) => self.committed_of(who, &topic, name).await?,
            from => self.resolve(&topic, from).await?,
        };
        let deadline = tokio::time::Instant::now() + request.wait.min(WAIT_MAX);
        let mut has_waited = false;
        loop {
            let answer = self.collect(&topic, request.key.as_ref(), &mut positions, limit).await?;
            let is_over = tokio::time::Instant::now() >= deadline;
            if !answer.records.is_empty() || is_over || request.wait.is_zero() {
                if has_waited {
                    // What was allowed when the wait began may not be any more.
                    let snapshot = self.admit(who)?;
                    self.check_read(who, &snapshot, &request.topic, request.key.as_ref())?;
                }
                return Ok(answer);
            }
            has_waited = true;
            // Whoever looks through much for little lets others on this thread have their turn.
            tokio::task::yield_now().await;
            if answer.is_end {
                let lane = request.key.as_ref().map(|key| partition_of(&topic, key));
                let beyond = positions
                    .iter()
                    .filter(|at| lane.is_none_or(|lane| at.partition == lane))
                    .map(|at| (at.partition, at.next))
                    .collect();
                let wait = self.engine.wait(topic.id, beyond);
                if let Ok(woken) = tokio::time::timeout_at(deadline, wait).await {
                    woken.map_err(refusal_of)?;
                }
            }
        }
    }

    /// Where a read of one topic starts, in each of its partitions. Where a consumer stands is not
    /// for everybody to know: `committed_of` tells that.
    pub(crate) async fn resolve(&self, topic: &Topic, from: &From) -> Result<Positions, Refusal> {
        let given = match from {
            From::Cursors(cursors) => Some(self.open_cursors(topic.project, cursors)?),
            _ => None,
        };
        if let Some(given) = &given {
            self.refuse_lost(topic, given)?;
        }
        let mut positions = Positions::default();
        for partition in 0..topic.partitions() {
            let bounds = self.engine.bounds(topic.id, partition).map_err(refusal_of)?;
            let next = match from {
                From::Earliest => bounds.start,
                From::Latest => bounds.end,
                From::Offset(offset) => (*offset).min(bounds.end),
                From::Time(time) => {
                    let found = self.engine.offset_at(topic.id, partition, *time).await;
                    found.map_err(refusal_of)?
                }
                // A cursor that names no position here has seen nothing here.
                From::Cursors(_) | From::Consumer(_) => given
                    .as_ref()
                    .and_then(|given| given.get(topic.id, partition))
                    .map_or(bounds.start, |next| next.min(bounds.end)),
            };
            positions.advance(Position { topic: topic.id, partition, next });
        }
        Ok(positions)
    }

    pub(crate) fn open_cursors(
        &self,
        project: types::ProjectId,
        cursors: &[String],
    ) -> Result<Positions, Refusal> {
        let mut merged = Positions::default();
        for cursor in cursors {
            merged.merge(&self.signer.open(project, cursor)?);
        }
        Ok(merged)
    }

    /// Takes records of all partitions in order of time until the answer is full, and moves the
    /// positions over what was taken.
    pub(crate) async fn collect(
        &self,
        topic: &Topic,
        key: Option<&Key>,
        positions: &mut Positions,
        limit: usize,
    ) -> Result<ReadAnswer, Refusal> {
        let mut lanes: Vec<Lane> = positions
            .iter()
            .filter(|at| key.is_none_or(|key| at.partition == partition_of(topic, key)))
            .map(|at| Lane {
                partition: at.partition,
                next: at.next,
                ready: VecDeque::new(),
                is_at_end: false,
            })
            .collect();
        // All lanes together hold about as much as the answer, however many there are.
        let chunk_bytes = (2 * ANSWER_BYTES_MAX / lanes.len().max(1)).clamp(16 * 1024, 1024 * 1024);
        let mut records = Vec::new();
        let (mut taken_bytes, mut searched_bytes) = (0, 0);
        while records.len() < limit && taken_bytes < ANSWER_BYTES_MAX {
            // A lane that read nothing that fits is not at its end: it must be filled first.
            if lanes.iter().any(Lane::is_empty) {
                if searched_bytes >= SEARCH_BYTES_MAX {
                    break;
                }
                for lane in lanes.iter_mut().filter(|lane| lane.is_empty()) {
                    searched_bytes += self.fill(topic, key, lane, chunk_bytes).await?;
                }
                continue;
            }
            let oldest = lanes
                .iter_mut()
                .filter(|lane| !lane.ready.is_empty())
                .min_by_key(|lane| lane.ready.front().map(|it| (it.timestamp, it.partition)));
            let Some(delivery) = oldest.and_then(|lane| lane.ready.pop_front()) else {
                break;
            };
            taken_bytes += delivery.record.size();
            records.push(delivery);
        }
        for lane in &lanes {
            let next = lane.ready.front().map_or(lane.next, |waiting| waiting.offset);
            positions.advance(Position { topic: topic.id, partition: lane.partition, next });
        }
        Ok(ReadAnswer {
            records,
            next_cursor: self.signer.mint(topic.project, positions),
            is_end: lanes.iter().all(|lane| lane.ready.is_empty() && lane.is_at_end),
        })
    }

    /// Reads the lane's next batches; answers how many bytes were looked through.
    async fn fill(
        &self,
        topic: &Topic,
        key: Option<&Key>,
        lane: &mut Lane,
        chunk_bytes: usize,
    ) -> Result<usize, Refusal> {
        let end = self.engine.bounds(topic.id, lane.partition).map_err(refusal_of)?.end;
        let batches = match self.engine.read(topic.id, lane.partition, lane.next, chunk_bytes).await
        {
            Ok(batches) => batches,
            Err(LogError::OffsetGone { start }) if start > lane.next => {
                lane.next = start;
                return Ok(0);
            }
            Err(error) => return Err(refusal_of(error)),
        };
        let from = lane.next;
        let mut bytes = 0;
        for batch in &batches {
            bytes += batch.memory_bytes();
            if batch.packing().is_some() {
                if !lane.take_apart(topic, key, batch, chunk_bytes) {
                    return Ok(bytes);
                }
                continue;
            }
            lane.next = lane.next.max(batch.next_offset());
            lane.ready.extend(unpack(topic, lane.partition, batch).filter(|it| {
                it.offset >= from && key.is_none_or(|key| it.record.key.as_ref() == Some(key))
            }));
        }
        lane.is_at_end = batches.is_empty();
        if lane.is_at_end {
            // What lies before the end belongs to transactions that were given up.
            lane.next = lane.next.max(end);
        }
        Ok(bytes)
    }

    async fn read_last(
        &self,
        topic: &Topic,
        key: &Key,
        count: usize,
    ) -> Result<ReadAnswer, Refusal> {
        let partition = partition_of(topic, key);
        let found = self.engine.last_of_key(topic.id, partition, key.clone(), count).await;
        let found = found.map_err(refusal_of)?;
        let deliver = |found: eventlog::Found| {
            let origin = Arc::clone(&topic.origin);
            Arc::new(Delivery::new(origin, partition, found.offset, found.timestamp, found.record))
        };
        let records: Vec<Arc<Delivery>> = found.into_iter().map(deliver).collect();
        let mut positions = self.resolve(topic, &From::Latest).await?;
        if let Some(newest) = records.last() {
            // What came after the last one is still to be read.
            positions = positions
                .iter()
                .map(|at| if at.partition == partition { newest.position() } else { at })
                .collect();
        }
        let next_cursor = self.signer.mint(topic.project, &positions);
        Ok(ReadAnswer { records, next_cursor, is_end: true })
    }

    /// The newest record of a key.
    pub(crate) async fn read_latest(
        &self,
        who: &Identity,
        name: &types::TopicName,
        key: &Key,
    ) -> Result<Option<Arc<Delivery>>, Refusal> {
        let snapshot = self.admit(who)?;
        self.check_reading(who, &snapshot)?;
        self.check_read(who, &snapshot, name, Some(key))?;
        let topic = self.existing(who, name)?;
        let partition = partition_of(&topic, key);
        let found = self.engine.latest(topic.id, partition, key.clone()).await;
        Ok(found.map_err(refusal_of)?.map(|found| {
            let origin = Arc::clone(&topic.origin);
            Arc::new(Delivery::new(origin, partition, found.offset, found.timestamp, found.record))
        }))
    }

    /// Grants and lists speak of keys as text; a key that is none is bounded by what is said of its
    /// whole topic.
    pub(crate) fn check_read(
        &self,
        who: &Identity,
        snapshot: &ProjectSnapshot,
        topic: &TopicName,
        key: Option<&Key>,
    ) -> Result<(), Refusal> {
        let (claims, now) = (who.claims(), self.world.clock.now_ms());
        if let Some(key) = key {
            let bytes = Some(&key.bytes()[..]);
            snapshot.check_address(claims, Operation::Read, topic, bytes, now)?;
            if key.as_str().is_some() {
                return Ok(());
            }
        }
        let all = Filter::topic(topic.clone());
        snapshot.check_filter(claims, Operation::Read, &all, now)
    }
}

fn partition_of(topic: &Topic, key: &Key) -> Partition {
    eventlog::partition_of(Some(key), topic.partitions(), 0)
}

/// Refuses what no read can mean.
pub fn check_request(request: &ReadRequest) -> Result<(), Refusal> {
    if request.last.is_some() && request.key.is_none() {
        return Err(Refusal::new(Code::InvalidRequest, "`last` needs a `key`").field("last"));
    }
    Ok(())
}
