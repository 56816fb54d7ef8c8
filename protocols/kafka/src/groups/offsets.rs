//! The offsets that a group has committed: kept under names of the group, the topic and the
//! partition, and in memory once they were read. A topic made anew under an old name has a new
//! number, and nothing of what was committed before counts for it.

use crate::call::Call;
use crate::wire::{Form, Input, Wire, message, read_whole};
use bytes::{BufMut, Bytes, BytesMut};
use port::{Batches, Identity, Protocol, Refusal};
use std::collections::BTreeMap;
use types::{Partition, TimestampMs, TopicId, TopicName};

/// Where the adapter keeps them.
const SHELF: &str = crate::Kafka::NAME;
/// Offsets of one group at most.
const OFFSETS_MAX: usize = 100_000;
/// Kept or forgotten in one step.
const AT_ONCE: usize = 500;
/// Behind which come the names of the groups.
const GROUP: &[u8] = b"g\0";
/// Behind which comes a group, and behind it what it has committed.
const OFFSET: &[u8] = b"o\0";

const FORM: Form = Form { version: 0, is_flexible: true };

message! {
    Committed {
        offset: i64;
        leader_epoch: i32;
        metadata: String;
        topic: i64;
        at_ms: i64;
    }
}

/// One partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub topic: TopicName,
    pub partition: Partition,
}

#[derive(Default)]
pub struct Offsets {
    /// `None` until they were read.
    known: Option<BTreeMap<At, Committed>>,
    /// When the group was last known to be in use, as it is kept; `None`: its name is not kept.
    used_at: Option<TimestampMs>,
}

impl Committed {
    pub fn is_of(&self, topic: TopicId) -> bool {
        self.topic == number(topic)
    }
}

/// Numbers of topics fit 63 bits.
pub fn number(topic: TopicId) -> i64 {
    topic.0.cast_signed()
}

fn prefix(group: &str) -> Vec<u8> {
    [OFFSET, group.as_bytes(), b"\0"].concat()
}

fn key(group: &str, at: &At) -> Bytes {
    let mut key = BytesMut::from(&prefix(group)[..]);
    key.put_slice(at.topic.as_str().as_bytes());
    key.put_u8(0);
    key.put_slice(at.partition.to_string().as_bytes());
    key.freeze()
}

fn place(key: &[u8]) -> Option<At> {
    let text = std::str::from_utf8(key).ok()?;
    let (topic, partition) = text.split_once('\0')?;
    Some(At { topic: TopicName::parse(topic).ok()?, partition: partition.parse().ok()? })
}

/// The names of all groups that have committed something, and when they were last in use.
pub async fn groups(
    batches: &dyn Batches,
    who: &Identity,
    limit: usize,
) -> Result<Vec<(String, TimestampMs)>, Refusal> {
    let kept = batches.kept(who, SHELF, GROUP, None, limit).await?;
    let name = |key: &Bytes| String::from_utf8(key.get(GROUP.len()..)?.to_vec()).ok();
    let time = |value: &Bytes| std::str::from_utf8(value).ok()?.parse().ok();
    let group = |(key, value)| Some((name(key)?, time(value).unwrap_or(0)));
    Ok(kept.iter().filter_map(|(key, value)| group((key, value))).collect())
}

fn name_entry(group: &str, used_at: Option<TimestampMs>) -> (Bytes, Option<Bytes>) {
    let name = [GROUP, group.as_bytes()].concat();
    (name.into(), used_at.map(|at| at.to_string().into()))
}

impl Offsets {
    /// Those of a group whose name was found.
    pub fn kept(used_at: TimestampMs) -> Offsets {
        Offsets { known: None, used_at: Some(used_at) }
    }

    /// Nothing is kept of the group.
    pub fn is_vacant(&self) -> bool {
        self.used_at.is_none() && self.known.as_ref().is_none_or(BTreeMap::is_empty)
    }

    /// Notes that the group is in use, unless that was noted within the span of time.
    pub async fn note_use(
        &mut self,
        call: &Call,
        group: &str,
        span: TimestampMs,
    ) -> Result<(), Refusal> {
        let now = call.clock.now_ms();
        if self.used_at.is_some_and(|at| at.saturating_add(span) <= now) {
            call.batches()?.keep(&call.who, SHELF, vec![name_entry(group, Some(now))]).await?;
            self.used_at = Some(now);
        }
        Ok(())
    }

    /// Forgets what was committed before `oldest`, if the group was not used since then either.
    pub async fn expire(
        &mut self,
        call: &Call,
        group: &str,
        oldest: TimestampMs,
    ) -> Result<usize, Refusal> {
        if self.used_at.is_some_and(|at| at >= oldest) || self.is_vacant() {
            return Ok(0);
        }
        let known = self.all(call, group).await?;
        let old: Vec<At> = known
            .iter()
            .filter(|(_, committed)| committed.at_ms < oldest)
            .map(|(at, _)| at.clone())
            .collect();
        if old.len() == known.len() {
            self.forget_all(call, group).await?;
        } else {
            self.forget(call, group, &old).await?;
        }
        Ok(old.len())
    }

    /// All that is committed.
    pub async fn all(
        &mut self,
        call: &Call,
        group: &str,
    ) -> Result<&BTreeMap<At, Committed>, Refusal> {
        if self.known.is_none() {
            let prefix = prefix(group);
            let kept = call.batches()?.kept(&call.who, SHELF, &prefix, None, OFFSETS_MAX).await?;
            let mut known = BTreeMap::new();
            for (key, value) in kept {
                let committed = read_whole::<Committed>(&mut Input::new(value), FORM);
                match (key.get(prefix.len()..).and_then(place), committed) {
                    (Some(at), Ok(committed)) => {
                        known.insert(at, committed);
                    }
                    _ => tracing::warn!(group, "an offset that is kept cannot be read"),
                }
            }
            self.known = Some(known);
        }
        Ok(self.known.get_or_insert_default())
    }

    /// Answers when they are on disk.
    pub async fn commit(
        &mut self,
        call: &Call,
        group: &str,
        new: BTreeMap<At, Committed>,
    ) -> Result<(), Refusal> {
        for entries in self.entries(call, group, &new).await?.chunks(AT_ONCE) {
            call.batches()?.keep(&call.who, SHELF, entries.to_vec()).await?;
        }
        self.took(call, &new);
        Ok(())
    }

    /// What is to be kept when these are committed; once it is, `took` is told.
    pub async fn entries(
        &mut self,
        call: &Call,
        group: &str,
        new: &BTreeMap<At, Committed>,
    ) -> Result<Vec<(Bytes, Option<Bytes>)>, Refusal> {
        let known = self.all(call, group).await?;
        let added = new.keys().filter(|at| !known.contains_key(at)).count();
        if known.len() + added > OFFSETS_MAX {
            let message = format!("a group has at most {OFFSETS_MAX} offsets");
            return Err(Refusal::new(port::Code::ProjectLimitExceeded, message));
        }
        let encode = |committed: &Committed| committed.to_bytes(FORM);
        let mut entries: Vec<(Bytes, Option<Bytes>)> =
            new.iter().map(|(at, it)| (key(group, at), Some(encode(it)))).collect();
        if self.used_at.is_none() {
            // First, so that what is kept of a group is never without its name.
            entries.insert(0, name_entry(group, Some(call.clock.now_ms())));
        }
        Ok(entries)
    }

    /// These are kept.
    pub fn took(&mut self, call: &Call, new: &BTreeMap<At, Committed>) {
        self.used_at.get_or_insert_with(|| call.clock.now_ms());
        let new = new.iter().map(|(at, committed)| (at.clone(), committed.clone()));
        self.known.get_or_insert_default().extend(new);
    }

    /// Nobody knows what of the last entries is kept: they are read again.
    pub fn unload(&mut self) {
        self.known = None;
    }

    pub async fn forget(&mut self, call: &Call, group: &str, old: &[At]) -> Result<(), Refusal> {
        self.all(call, group).await?;
        for some in old.chunks(AT_ONCE) {
            let entries = some.iter().map(|at| (key(group, at), None)).collect();
            call.batches()?.keep(&call.who, SHELF, entries).await?;
        }
        let known = self.known.get_or_insert_default();
        old.iter().for_each(|at| drop(known.remove(at)));
        Ok(())
    }

    pub async fn forget_all(&mut self, call: &Call, group: &str) -> Result<(), Refusal> {
        let old: Vec<At> = self.all(call, group).await?.keys().cloned().collect();
        self.forget(call, group, &old).await?;
        call.batches()?.keep(&call.who, SHELF, vec![name_entry(group, None)]).await?;
        self.used_at = None;
        Ok(())
    }
}
