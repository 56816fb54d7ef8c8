//! The offsets that a group has committed: kept under names of the group, the topic and the
//! partition, and in memory once they were read. A topic made anew under an old name has a new
//! number, and nothing of what was committed before counts for it.

use crate::call::Call;
use crate::wire::{Form, Input, Wire, message, read_whole};
use bytes::{BufMut, Bytes, BytesMut};
use port::{Batches, Identity, Protocol, Refusal};
use std::collections::BTreeMap;
use types::{Partition, TopicId, TopicName};

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
    /// The group's own name is kept.
    is_named: bool,
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

/// The names of all groups that have committed something.
pub async fn groups(
    batches: &dyn Batches,
    who: &Identity,
    limit: usize,
) -> Result<Vec<String>, Refusal> {
    let kept = batches.kept(who, SHELF, GROUP, None, limit).await?;
    let name = |key: &Bytes| String::from_utf8(key.get(GROUP.len()..)?.to_vec()).ok();
    Ok(kept.iter().filter_map(|(key, _)| name(key)).collect())
}

impl Offsets {
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
            self.is_named = !known.is_empty();
            self.known = Some(known);
        }
        Ok(self.known.get_or_insert_default())
    }

    /// Answers when they are on disk.
    pub async fn commit(
        &mut self,
        call: &Call,
        group: &str,
        new: Vec<(At, Committed)>,
    ) -> Result<(), Refusal> {
        let known = self.all(call, group).await?;
        let added = new.iter().filter(|(at, _)| !known.contains_key(at)).count();
        if known.len() + added > OFFSETS_MAX {
            let message = format!("a group has at most {OFFSETS_MAX} offsets");
            return Err(Refusal::new(port::Code::ProjectLimitExceeded, message));
        }
        let encode = |committed: &Committed| {
            let mut value = BytesMut::new();
            committed.write(&mut value, FORM);
            value.freeze()
        };
        let mut entries: Vec<(Bytes, Option<Bytes>)> =
            new.iter().map(|(at, it)| (key(group, at), Some(encode(it)))).collect();
        if !self.is_named {
            let name = [GROUP, group.as_bytes()].concat();
            entries.push((name.into(), Some(Bytes::from_static(b"1"))));
        }
        for entries in entries.chunks(AT_ONCE) {
            call.batches()?.keep(&call.who, SHELF, entries.to_vec()).await?;
        }
        self.is_named = true;
        self.known.get_or_insert_default().extend(new);
        Ok(())
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
        let name = [GROUP, group.as_bytes()].concat();
        call.batches()?.keep(&call.who, SHELF, vec![(name.into(), None)]).await?;
        self.is_named = false;
        Ok(())
    }
}
