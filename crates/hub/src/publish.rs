//! Appending: every check, then the log. Nothing here waits before the records are in their
//! partitions, unless the topic must be created first, so appends polled in order are in order.

use crate::cleanup;
use crate::meter::Held;
use crate::node::Node;
use crate::refusal::refusal_of;
use crate::topic::Topic;
use eventlog::{Placement, Together};
use port::{Code, Identity, Placed, Refusal};
use rules::quota;
use std::sync::Arc;
use std::time::Duration;
use types::limits::{APPEND_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_MAX, RECORDS_PER_APPEND_MAX};
use types::{
    Header, Limits, Operation, Partition, Record, TimestampMs, TopicConfig, TopicId, TopicName,
    record,
};

/// How far ahead of our clock a publisher's may be. One record dated far in the future would keep
/// everything after it from ever growing old.
pub(crate) const AHEAD_MS_MAX: i64 = 3_600_000;

/// Records of several topics that passed every check.
pub(crate) struct Prepared {
    /// How many records each part has.
    pub counts: Vec<usize>,
    pub records: Vec<(TopicId, Partition, Record)>,
    /// Given back when they are counted.
    pub held: Vec<Held>,
}

impl Node {
    pub(crate) async fn publish(
        &self,
        who: &Identity,
        name: &TopicName,
        mut records: Vec<Record>,
    ) -> Result<Vec<Placed>, Refusal> {
        let started = self.world.clock.monotonic();
        let Some((topic, _held)) = self.prepare(who, name, &mut records).await? else {
            return Ok(Vec::new());
        };
        // What is held is given back when the records are counted.
        self.enter(assign(&topic, records), Together::IfStored, started).await
    }

    /// Several topics, all or nothing: each passes the checks of a publish before any is touched.
    pub(crate) async fn publish_together(
        &self,
        who: &Identity,
        parts: Vec<(TopicName, Vec<Record>)>,
    ) -> Result<Vec<Vec<Placed>>, Refusal> {
        let started = self.world.clock.monotonic();
        let Prepared { counts, records, held: _held } = self.prepare_together(who, parts).await?;
        let mut placed = self.enter(records, Together::Always, started).await?.into_iter();
        Ok(counts.into_iter().map(|count| placed.by_ref().take(count).collect()).collect())
    }

    /// Every check of a publish to several topics: how many records each has, and all of them with
    /// their partitions.
    pub(crate) async fn prepare_together(
        &self,
        who: &Identity,
        parts: Vec<(TopicName, Vec<Record>)>,
    ) -> Result<Prepared, Refusal> {
        let mut counts = Vec::with_capacity(parts.len());
        let mut assigned = Vec::new();
        let mut held = Vec::new();
        for (name, mut records) in parts {
            counts.push(records.len());
            let Some((topic, its)) = self.prepare(who, &name, &mut records).await? else {
                continue;
            };
            held.extend(its);
            if topic.is_ephemeral() {
                let message = format!("the topic `{name}` stores nothing");
                return Err(Refusal::new(Code::Unsupported, message)
                    .field("topic")
                    .hint("publish to it outside of the transaction"));
            }
            assigned.extend(assign(&topic, records));
        }
        Ok(Prepared { counts, records: assigned, held })
    }

    /// Every check, before the records enter the log; `None` when there are none.
    async fn prepare(
        &self,
        who: &Identity,
        name: &TopicName,
        records: &mut [Record],
    ) -> Result<Option<(Arc<Topic>, Option<Held>)>, Refusal> {
        let snapshot = self.admit(who)?;
        // What the platform has to say is not the project's to pay for.
        let unlimited = Limits::default();
        let limits = if who.is_platform() { &unlimited } else { &snapshot.limits };
        let now = self.world.clock.now_ms();
        check_shape(limits, records, now)?;
        for record in &*records {
            let key = record.key.as_ref().map(|key| &key.bytes()[..]);
            snapshot.check_address(who.claims(), Operation::Publish, name, key, now)?;
        }
        if records.is_empty() {
            return Ok(None);
        }
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        self.take_publish_rate(who, limits, count)?;
        let bytes = records.iter().map(Record::size).sum::<usize>() as u64;
        let meter = self.meters.get(who.tenant(), who.project());
        let held = match who.is_platform() {
            true => None,
            false => self.hold(&snapshot, limits, &meter, (u64::from(count), bytes))?,
        };
        if limits.storage_bytes_max.is_some() {
            quota::check_storage(limits, self.stored_bytes(who.project()), bytes)?;
        }
        let topic = match self.catalogue.get(who.project(), name) {
            Some(topic) => topic,
            None => self.create_on_use(who, name, TopicConfig::default()).await?,
        };
        let definition = topic.definition.load();
        cleanup::check_keys(&definition.config, records)?;
        let sizes = records.iter().map(Record::size);
        sizes.max().map_or(Ok(()), |size| cleanup::check_message(&definition.config, size))?;
        let versions = judge(&topic, records)?;
        stamp(who, &versions, records);
        Ok(Some((topic, held)))
    }

    /// Hands the records to their partitions and waits until they are acknowledged.
    async fn enter(
        &self,
        records: Vec<(TopicId, Partition, Record)>,
        together: Together,
        started: Duration,
    ) -> Result<Vec<Placed>, Refusal> {
        let placements = self.engine.publish(records, together).await.map_err(refusal_of)?;
        let took = self.world.clock.monotonic().saturating_sub(started);
        self.append_seconds.record(took.as_secs_f64());
        Ok(placements.into_iter().map(placed).collect())
    }
}

/// The partition of each record. Records of one call without a key stay together: they fill one
/// batch.
fn assign(topic: &Topic, records: Vec<Record>) -> Vec<(TopicId, Partition, Record)> {
    let partitions = topic.partitions();
    let turn = if partitions == 1 { 0 } else { topic.next_turn() };
    let assign = |record: Record| {
        (topic.id, eventlog::partition_of(record.key.as_ref(), partitions, turn), record)
    };
    records.into_iter().map(assign).collect()
}

pub(crate) fn placed(placement: Placement) -> Placed {
    let Placement { partition, offset, timestamp, is_duplicate } = placement;
    Placed { partition, offset, timestamp, is_duplicate }
}

/// Counts and sizes, before anything else is done with the records.
fn check_shape(limits: &Limits, records: &[Record], now: TimestampMs) -> Result<(), Refusal> {
    if records.len() > RECORDS_PER_APPEND_MAX {
        return Err(Refusal::new(
            Code::PayloadTooLarge,
            format!("one call takes at most {RECORDS_PER_APPEND_MAX} records"),
        ));
    }
    let mut total = 0;
    for (index, record) in records.iter().enumerate() {
        let at = |field: &str| format!("records[{index}].{field}");
        let size = record.size();
        total += size;
        quota::check_record(limits, size).map_err(|refusal| refusal.field(at("data")))?;
        if record.timestamp.is_some_and(|at| !(0..=now.saturating_add(AHEAD_MS_MAX)).contains(&at))
        {
            let message = "a timestamp lies between 1970 and one hour from now";
            return Err(Refusal::new(Code::InvalidRequest, message).field(at("timestamp")));
        }
        if record.headers.len() > HEADERS_MAX {
            let message = format!("a record has at most {HEADERS_MAX} headers");
            return Err(Refusal::new(Code::PayloadTooLarge, message).field(at("headers")));
        }
        for header in &record.headers {
            if header.name.is_empty() || std::str::from_utf8(&header.name).is_err() {
                let message = "a header's name is text of at least one character";
                return Err(Refusal::new(Code::InvalidRequest, message).field(at("headers")));
            }
            if header.name.len() + header.value.len() > HEADER_BYTES_MAX {
                let message = format!("a header has at most {HEADER_BYTES_MAX} bytes");
                return Err(Refusal::new(Code::PayloadTooLarge, message).field(at("headers")));
            }
            if header.name == record::header::PUBLISHER {
                let name = String::from_utf8_lossy(&header.name);
                return Err(Refusal::new(
                    Code::InvalidRequest,
                    "the platform sets this header itself",
                )
                .field(at(&format!("headers.{name}"))));
            }
        }
    }
    if total > APPEND_BYTES_MAX {
        let message = format!("one call takes at most {APPEND_BYTES_MAX} bytes");
        return Err(Refusal::new(Code::PayloadTooLarge, message));
    }
    Ok(())
}

/// Which version of the topic's schema each record satisfies.
pub(crate) fn judge(topic: &Topic, records: &[Record]) -> Result<Vec<Option<u32>>, Refusal> {
    let definition = topic.definition.load();
    let judged = records.iter().enumerate().map(|(index, record)| {
        definition.versions.judge(record).map_err(|refusal| {
            let inner = refusal.field_name().unwrap_or_default().to_owned();
            refusal.field(format!("records[{index}].{inner}"))
        })
    });
    judged.collect()
}

/// Adds what the platform says of a record: who published it, and which schema it passed.
fn stamp(who: &Identity, versions: &[Option<u32>], records: &mut [Record]) {
    let publisher = Header {
        name: bytes::Bytes::from_static(record::header::PUBLISHER.as_bytes()),
        value: bytes::Bytes::copy_from_slice(who.principal().0.as_bytes()),
    };
    for (record, version) in records.iter_mut().zip(versions) {
        record.headers.retain(|header| header.name != record::header::SCHEMA_VERSION);
        record.headers.push(publisher.clone());
        record.headers.extend(version.map(|version| Header {
            name: bytes::Bytes::from_static(record::header::SCHEMA_VERSION.as_bytes()),
            value: version.to_string().into(),
        }));
    }
}
