//! Appending: every check, then the log. Nothing here waits before the records are in their
//! partitions, unless the topic must be created first, so appends polled in order are in order.

use crate::cleanup;
use crate::node::Node;
use crate::refusal::refusal_of;
use crate::topic::Topic;
use crate::usage::month_start;
use eventlog::Pending;
use port::{Code, Identity, Placed, Refusal};
use rules::{grants, quota};
use types::limits::{APPEND_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_MAX, RECORDS_PER_APPEND_MAX};
use types::{Access, Header, Limits, Partition, Record, TimestampMs, TopicName, record};

/// How far ahead of our clock a publisher's may be. One record dated far in the future would keep
/// everything after it from ever growing old.
const AHEAD_MS_MAX: i64 = 3_600_000;

/// One partition's share of an append: which of the caller's records, and the answer to come.
struct Share {
    indexes: Vec<usize>,
    appended: Pending<eventlog::Appended>,
}

impl Node {
    pub(crate) async fn publish(
        &self,
        who: &Identity,
        name: &TopicName,
        mut records: Vec<Record>,
    ) -> Result<Vec<Placed>, Refusal> {
        let started = self.world.clock.monotonic();
        let snapshot = self.admit(who)?;
        // What the platform has to say is not the project's to pay for.
        let unlimited = Limits::default();
        let limits = if who.is_platform() { &unlimited } else { &snapshot.limits };
        check_shape(limits, &records, self.world.clock.now_ms())?;
        for record in &records {
            let key = record.key.as_ref().map(|key| &key.bytes()[..]);
            grants::check_address(who.claims(), Access::Publish, name, key)?;
        }
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        self.take_publish_rate(who, limits, count)?;
        let bytes = records.iter().map(Record::size).sum::<usize>() as u64;
        let meter = self.meters.get(who.tenant(), who.project());
        if limits.publish_per_month_max.is_some() {
            let month = meter.published_since(month_start(self.world.clock.now_ms()));
            quota::check_month(limits, month, u64::from(count))?;
        }
        if limits.storage_bytes_max.is_some() {
            quota::check_storage(limits, self.stored_bytes(who.project()), bytes)?;
        }
        let topic = match self.catalogue.get(who.project(), name) {
            Some(topic) => topic,
            None => self.create_on_use(who, name).await?,
        };
        cleanup::check_keys(&topic.definition.load().config, &records)?;
        let versions = judge(&topic, &records)?;
        stamp(who, &versions, &mut records);
        let placed = self.enter(&topic, records).await?;
        let took = self.world.clock.monotonic().saturating_sub(started);
        self.append_seconds.record(took.as_secs_f64());
        Ok(placed)
    }

    /// Hands the records to their partitions and waits for all of them. A partition that refuses
    /// fails the call; others of the same call may have stored their share.
    async fn enter(&self, topic: &Topic, records: Vec<Record>) -> Result<Vec<Placed>, Refusal> {
        let count = records.len();
        let mut placed: Vec<Option<Placed>> = vec![None; count];
        let mut failed = None;
        for (partition, share) in self.split(topic, records) {
            match share.appended.await {
                Ok(appended) => {
                    for (offset, index) in (appended.base_offset..).zip(share.indexes) {
                        placed[index] = Some(Placed {
                            partition,
                            offset,
                            timestamp: appended.timestamp,
                            is_duplicate: false,
                        });
                    }
                }
                Err(error) => failed = Some(refusal_of(error)),
            }
        }
        match failed {
            Some(refusal) => Err(refusal),
            // Every index was in one share, and every share answered.
            None => Ok(placed.into_iter().flatten().collect()),
        }
    }

    fn split(&self, topic: &Topic, records: Vec<Record>) -> Vec<(Partition, Share)> {
        let engine = &self.engine;
        if topic.partitions() == 1 {
            let indexes = (0..records.len()).collect();
            let appended = engine.append(topic.id, 0, records);
            return vec![(0, Share { indexes, appended })];
        }
        // Records of one call without a key stay together: they fill one batch.
        let turn = topic.next_turn();
        let mut shares: Vec<(Vec<usize>, Vec<Record>)> = Vec::new();
        shares.resize_with(topic.partitions() as usize, Default::default);
        for (index, record) in records.into_iter().enumerate() {
            let partition = eventlog::partition_of(record.key.as_ref(), topic.partitions(), turn);
            let share = &mut shares[partition as usize];
            share.0.push(index);
            share.1.push(record);
        }
        (0..)
            .zip(shares)
            .filter(|(_, (indexes, _))| !indexes.is_empty())
            .map(|(partition, (indexes, records))| {
                let appended = engine.append(topic.id, partition, records);
                (partition, Share { indexes, appended })
            })
            .collect()
    }
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
fn judge(topic: &Topic, records: &[Record]) -> Result<Vec<Option<u32>>, Refusal> {
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
