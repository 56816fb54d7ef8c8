//! `port::Batches` over the log: whole batches in and out, under the checks that single records
//! pass. A batch is stored as its sender made it, so nothing is added to its records.

use crate::cleanup;
use crate::node::Node;
use crate::publish::{AHEAD_MS_MAX, judge};
use crate::refusal::refusal_of;
use crate::topic::Topic;
use bytes::Bytes;
use eventlog::LogError;
use futures_util::stream::{FuturesUnordered, StreamExt};
use identity::ProjectSnapshot;
use port::batches::{BATCHES_BYTES_MAX, KEPT_BYTES_MAX};
use port::{
    Answer, BatchPlaced, Batches, BatchesRead, Code, Identity, PartitionInfo, Place, ProducerState,
    Refusal, TopicInfo,
};
use rules::quota;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::acl::Named;
use types::batch::Content;
use types::limits::{HEADER_BYTES_MAX, HEADERS_MAX, RECORDS_PER_APPEND_MAX};
use types::topic::Cleanup;
use types::{
    Batch, Filter, Key, Limits, Offset, Operation, Partition, Producer, Record, TimestampMs,
    TopicConfig, TopicId, TopicName, record,
};

/// Entries that one call keeps at most.
pub(crate) const KEPT_AT_ONCE: usize = 1_000;

impl Node {
    pub(crate) async fn append_whole(
        &self,
        who: &Identity,
        name: &TopicName,
        partition: Partition,
        batch: Batch,
        at: Option<Offset>,
    ) -> Result<BatchPlaced, Refusal> {
        let started = self.world.clock.monotonic();
        let snapshot = self.admit(who)?;
        if batch.count() as usize > RECORDS_PER_APPEND_MAX {
            let message = format!("a batch has at most {RECORDS_PER_APPEND_MAX} records");
            return Err(Refusal::new(Code::PayloadTooLarge, message));
        }
        self.check_addresses(who, &snapshot, name, &batch)?;
        if at.is_some() {
            self.may_manage(who, name)?;
        }
        check_records(&snapshot.limits, &batch, self.world.clock.now_ms())?;
        self.take_publish_rate(who, &snapshot.limits, batch.count())?;
        let bytes = batch.records_bytes();
        let meter = self.meters.get(who.tenant(), who.project());
        let more = (u64::from(batch.count()), bytes);
        let _held = self.hold(&snapshot, &snapshot.limits, &meter, more)?;
        if snapshot.limits.storage_bytes_max.is_some() {
            quota::check_storage(&snapshot.limits, self.stored_bytes(who.project()), bytes)?;
        }
        let topic = self.existing(who, name)?;
        check_topic(&topic, &batch)?;
        let appended = self.engine.append_batch(topic.id, partition, batch, at).await;
        let base_offset = appended.map_err(refusal_of)?.base_offset;
        let took = self.world.clock.monotonic().saturating_sub(started);
        self.append_seconds.record(took.as_secs_f64());
        let start = self.engine.bounds(topic.id, partition).map_err(refusal_of)?.start;
        Ok(BatchPlaced { base_offset, start })
    }

    /// Every address in the batch; one question when the whole topic is allowed.
    fn check_addresses(
        &self,
        who: &Identity,
        snapshot: &ProjectSnapshot,
        name: &TopicName,
        batch: &Batch,
    ) -> Result<(), Refusal> {
        let (claims, now) = (who.claims(), self.world.clock.now_ms());
        let all = Filter::topic(name.clone());
        if snapshot.check_filter(claims, Operation::Publish, &all, now).is_ok() {
            return Ok(());
        }
        batch.views().try_for_each(|view| {
            snapshot.check_address(claims, Operation::Publish, name, view.key, now)
        })
    }

    async fn read_whole(
        &self,
        who: &Identity,
        place: &Place,
        bytes_max: usize,
    ) -> Result<BatchesRead, Refusal> {
        let topic = self.readable(who, &place.topic)?;
        let at = |bounds: eventlog::Bounds| PartitionInfo { start: bounds.start, end: bounds.end };
        let bounds = self.engine.bounds(topic.id, place.partition).map_err(refusal_of)?;
        if place.offset >= bounds.end || place.offset < bounds.start || bytes_max == 0 {
            return Ok(BatchesRead { batches: Vec::new(), bounds: at(bounds) });
        }
        let bytes_max = bytes_max.min(BATCHES_BYTES_MAX);
        match self.engine.read(topic.id, place.partition, place.offset, bytes_max).await {
            Ok(batches) => Ok(BatchesRead { batches, bounds: at(bounds) }),
            // Retention was faster.
            Err(LogError::OffsetGone { .. }) => {
                let bounds = self.engine.bounds(topic.id, place.partition).map_err(refusal_of)?;
                Ok(BatchesRead { batches: Vec::new(), bounds: at(bounds) })
            }
            Err(error) => Err(refusal_of(error)),
        }
    }

    /// The topic, for somebody who may read all of it.
    pub(crate) fn readable(&self, who: &Identity, name: &TopicName) -> Result<Arc<Topic>, Refusal> {
        let snapshot = self.admit(who)?;
        self.check_reading(who, &snapshot)?;
        self.check_read(who, &snapshot, name, None)?;
        self.existing(who, name)
    }

    pub(crate) async fn find_time(
        &self,
        who: &Identity,
        name: &TopicName,
        partition: Partition,
        time: TimestampMs,
    ) -> Result<Option<(Offset, TimestampMs)>, Refusal> {
        let topic = self.readable(who, name)?;
        let offset = self.engine.offset_at(topic.id, partition, time).await.map_err(refusal_of)?;
        let batches = match self.engine.read(topic.id, partition, offset, 1).await {
            Ok(batches) => batches,
            Err(LogError::OffsetGone { .. }) => return Ok(None),
            Err(error) => return Err(refusal_of(error)),
        };
        let views = batches.iter().flat_map(|batch| batch.views());
        let found = views.skip_while(|view| view.offset < offset).find(|it| it.timestamp >= time);
        Ok(found.map(|view| (view.offset, view.timestamp)))
    }

    async fn wait_for_any(&self, who: &Identity, places: Vec<Place>) -> Result<(), Refusal> {
        let mut by_topic: BTreeMap<TopicName, Vec<(Partition, Offset)>> = BTreeMap::new();
        for Place { topic, partition, offset } in places {
            by_topic.entry(topic).or_default().push((partition, offset));
        }
        let mut waits = FuturesUnordered::new();
        for (name, beyond) in by_topic {
            waits.push(self.engine.wait(self.existing(who, &name)?.id, beyond));
        }
        match waits.next().await {
            Some(woken) => woken.map_err(refusal_of),
            // Whoever waits for nothing waits until he is tired of it.
            None => std::future::pending().await,
        }
    }

    pub(crate) async fn shelf(
        &self,
        who: &Identity,
        shelf: &'static str,
    ) -> Result<Arc<Topic>, Refusal> {
        // Only the newest value of each key counts.
        let config = TopicConfig {
            cleanup: Cleanup::Compact,
            idempotency_window_ms: 0,
            ..TopicConfig::default()
        };
        let name = TopicName::shelf(shelf);
        self.topic_of_platform(who.tenant(), who.project(), &name, config).await
    }

    async fn keep_entries(
        &self,
        who: &Identity,
        shelf: &'static str,
        entries: Vec<(Bytes, Option<Bytes>)>,
    ) -> Result<(), Refusal> {
        self.admit(who)?;
        if entries.len() > KEPT_AT_ONCE {
            let message = format!("one call keeps at most {KEPT_AT_ONCE} values");
            return Err(Refusal::new(Code::PayloadTooLarge, message));
        }
        let records = shelved(entries)?;
        if records.is_empty() {
            return Ok(());
        }
        let topic = self.shelf(who, shelf).await?;
        self.engine.append(topic.id, 0, records).await.map(drop).map_err(refusal_of)
    }

    async fn kept_entries(
        &self,
        who: &Identity,
        shelf: &'static str,
        prefix: &[u8],
        after: Option<Bytes>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, Refusal> {
        self.admit(who)?;
        if self.catalogue.get(who.project(), &TopicName::shelf(shelf)).is_none() {
            return Ok(Vec::new());
        }
        let topic = self.shelf(who, shelf).await?;
        let bad = |_| Refusal::new(Code::PayloadTooLarge, "the name is too long");
        let mut found = Vec::new();
        let mut after = match after {
            Some(after) => Some(Key::new(after).map_err(bad)?),
            None => None,
        };
        if after.is_none() && !prefix.is_empty() {
            let exact = Key::new(Bytes::copy_from_slice(prefix)).map_err(bad)?;
            self.take_kept(&topic, exact.clone(), &mut found).await?;
            after = Some(exact);
        }
        loop {
            let listed = self.engine.keys(topic.id, after.clone(), limit.clamp(1, KEPT_AT_ONCE));
            let (keys, has_more) = listed.await.map_err(refusal_of)?;
            after = keys.last().cloned();
            for key in keys {
                if !key.bytes().starts_with(prefix) || found.len() >= limit {
                    return Ok(found);
                }
                self.take_kept(&topic, key, &mut found).await?;
            }
            if !has_more || after.is_none() {
                return Ok(found);
            }
        }
    }

    async fn take_kept(
        &self,
        topic: &Topic,
        key: Key,
        found: &mut Vec<(Bytes, Bytes)>,
    ) -> Result<(), Refusal> {
        let latest = self.engine.latest(topic.id, 0, key.clone()).await.map_err(refusal_of)?;
        if let Some(value) = latest.and_then(|found| found.record.value) {
            found.push((key.bytes().clone(), value));
        }
        Ok(())
    }
}

/// Entries of a shelf as its records.
pub(crate) fn shelved(entries: Vec<(Bytes, Option<Bytes>)>) -> Result<Vec<Record>, Refusal> {
    let mut records = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        if value.as_ref().is_some_and(|value| value.len() > KEPT_BYTES_MAX) {
            let message = format!("a value that is kept has at most {KEPT_BYTES_MAX} bytes");
            return Err(Refusal::new(Code::PayloadTooLarge, message));
        }
        let bad = |_| Refusal::new(Code::PayloadTooLarge, "the name is too long");
        records.push(Record { key: Some(Key::new(key).map_err(bad)?), value, ..Record::default() });
    }
    Ok(records)
}

/// What a single record must satisfy holds for each of a batch.
fn check_records(limits: &Limits, batch: &Batch, now: TimestampMs) -> Result<(), Refusal> {
    let latest = now.saturating_add(AHEAD_MS_MAX);
    let Content { record_bytes_max, min_timestamp, max_timestamp, has_headers, .. } =
        *batch.content();
    let are_timely = min_timestamp >= 0 && max_timestamp <= latest;
    if are_timely && !has_headers && quota::check_record(limits, record_bytes_max).is_ok() {
        return Ok(());
    }
    for (index, view) in batch.views().enumerate() {
        let at = |field: &str| format!("records[{index}].{field}");
        quota::check_record(limits, view.size()).map_err(|refusal| refusal.field(at("data")))?;
        if !(0..=latest).contains(&view.timestamp) {
            let message = "a timestamp lies between 1970 and one hour from now";
            return Err(Refusal::new(Code::InvalidRequest, message).field(at("timestamp")));
        }
        let mut headers = 0;
        for (name, value) in view.headers() {
            headers += 1;
            let is_text = !name.is_empty() && std::str::from_utf8(name).is_ok();
            if !is_text || name == record::header::PUBLISHER.as_bytes() {
                let message = "a header's name is text, and not one that the platform sets itself";
                return Err(Refusal::new(Code::InvalidRequest, message).field(at("headers")));
            }
            if name.len() + value.len() > HEADER_BYTES_MAX || headers > HEADERS_MAX {
                let message = format!(
                    "a record has at most {HEADERS_MAX} headers of {HEADER_BYTES_MAX} bytes each"
                );
                return Err(Refusal::new(Code::PayloadTooLarge, message).field(at("headers")));
            }
        }
    }
    Ok(())
}

/// What the topic asks of its records.
fn check_topic(topic: &Topic, batch: &Batch) -> Result<(), Refusal> {
    let definition = topic.definition.load();
    cleanup::check_message(&definition.config, batch.bytes().len())?;
    if definition.config.cleanup.compacts()
        && batch.content().keyed < batch.count()
        && let Some(index) = batch.views().position(|view| view.key.is_none())
    {
        let message = "a record of a compacted topic needs a key";
        return Err(Refusal::new(Code::InvalidEventPayload, message)
            .field(format!("records[{index}].key"))
            .hint("the newest record of each key is kept; a record without one has no place"));
    }
    if definition.config.schema.is_some() {
        let records: Vec<Record> = batch.records().map(|(_, _, record)| record).collect();
        judge(topic, &records)?;
    }
    Ok(())
}

impl Batches for Node {
    fn append_batch<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        partition: Partition,
        batch: Batch,
        at: Option<Offset>,
    ) -> Answer<'a, BatchPlaced> {
        Box::pin(async move {
            let placed = match batch.stamp() {
                Some(stamp) if stamp.is_transactional => {
                    Err(refusal_of(LogError::TransactionUnknown))
                }
                _ => self.append_whole(who, topic, partition, batch, at).await,
            };
            self.noted(who, "record.publish", topic, placed)
        })
    }

    fn read_batches<'a>(
        &'a self,
        who: &'a Identity,
        place: &'a Place,
        bytes_max: usize,
    ) -> Answer<'a, BatchesRead> {
        Box::pin(async move {
            let read = self.read_whole(who, place, bytes_max).await;
            self.noted(who, "record.read", &place.topic, read)
        })
    }

    fn handed_out(&self, who: &Identity, batches: &[Arc<Batch>]) {
        let (mut count, mut bytes) = (0, 0);
        for batch in batches {
            count += u64::from(batch.count());
            bytes += batch.records_bytes();
        }
        if count > 0 {
            self.meters.get(who.tenant(), who.project()).delivered(count, bytes);
        }
    }

    fn offset_at<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        partition: Partition,
        time: TimestampMs,
    ) -> Answer<'a, Option<(Offset, TimestampMs)>> {
        Box::pin(async move {
            let found = self.find_time(who, topic, partition, time).await;
            self.noted(who, "record.read", topic, found)
        })
    }

    fn drop_before<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        partition: Partition,
        before: Option<Offset>,
    ) -> Answer<'a, PartitionInfo> {
        Box::pin(async move {
            let dropped = self.drop_records(who, topic, partition, before).await;
            self.noted(who, "record.delete", topic, dropped)
        })
    }

    fn newest<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        partition: Partition,
    ) -> Answer<'a, Option<(Offset, TimestampMs)>> {
        Box::pin(async move {
            let found = self.find_newest(who, topic, partition).await;
            self.noted(who, "record.read", topic, found)
        })
    }

    fn stored_bytes(&self, who: &Identity, topic: &TopicName) -> Result<Vec<u64>, Refusal> {
        self.bytes_of_partitions(who, topic)
    }

    fn producers(
        &self,
        who: &Identity,
        topic: &TopicName,
        partition: Partition,
    ) -> Result<Vec<ProducerState>, Refusal> {
        self.producers_of(who, topic, partition)
    }

    fn wait_behind<'a>(&'a self, who: &'a Identity, places: Vec<Place>) -> Answer<'a, ()> {
        Box::pin(self.wait_for_any(who, places))
    }

    fn topic_on_use<'a>(
        &'a self,
        who: &'a Identity,
        name: &'a TopicName,
        partitions: u32,
    ) -> Answer<'a, TopicInfo> {
        Box::pin(async move {
            if let Some(topic) = self.catalogue.get(who.project(), name) {
                self.may_see_topic(who, name)?;
                return self.describe(&topic);
            }
            let (snapshot, now) = (self.admit(who)?, self.world.clock.now_ms());
            let may = |operation| snapshot.check_address(who.claims(), operation, name, None, now);
            may(Operation::Publish).or_else(|_| may(Operation::Read))?;
            let config = TopicConfig { partitions, ..TopicConfig::default() };
            self.describe(&*self.create_on_use(who, name, config).await?)
        })
    }

    fn may(&self, who: &Identity, topic: &TopicName, operation: Operation) -> bool {
        let may = match operation {
            Operation::Manage => self.may_manage(who, topic),
            Operation::Describe => self.may_see_topic(who, topic),
            Operation::Publish | Operation::Read | Operation::Subscribe | Operation::Presence => {
                let now = self.world.clock.now_ms();
                self.admit(who).and_then(|snapshot| {
                    snapshot.check_address(who.claims(), operation, topic, None, now)
                })
            }
        };
        may.is_ok()
    }

    fn check_name(
        &self,
        who: &Identity,
        name: (Named, &str),
        operation: Operation,
    ) -> Result<(), Refusal> {
        let now = self.world.clock.now_ms();
        self.admit(who)?.check_name(who.claims(), operation, name, now)
    }

    fn topic_numbered(&self, who: &Identity, id: TopicId) -> Option<TopicName> {
        let topic = self.catalogue.by_id(id)?;
        (topic.project == who.project() && !topic.name.is_internal()).then(|| topic.name.clone())
    }

    fn new_producer(&self, who: &Identity) -> Result<Producer, Refusal> {
        self.admit(who)?;
        Ok(self.engine.new_producer())
    }

    fn keep<'a>(
        &'a self,
        who: &'a Identity,
        shelf: &'static str,
        entries: Vec<(Bytes, Option<Bytes>)>,
    ) -> Answer<'a, ()> {
        Box::pin(self.keep_entries(who, shelf, entries))
    }

    fn kept<'a>(
        &'a self,
        who: &'a Identity,
        shelf: &'static str,
        prefix: &'a [u8],
        after: Option<Bytes>,
        limit: usize,
    ) -> Answer<'a, Vec<(Bytes, Bytes)>> {
        Box::pin(self.kept_entries(who, shelf, prefix, after, limit))
    }
}
