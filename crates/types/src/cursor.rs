//! Where a reader stands. A cursor is a set of positions, one per partition it has read; two
//! cursors of one subscription merge to the furthest of each partition, so a client may keep the
//! last cursor of each partition and present them together.

use crate::limits::CURSOR_POSITIONS_MAX;
use crate::{ConsumerName, Offset, Partition, TimestampMs, TopicId};
use std::collections::BTreeMap;

/// The next offset to read in one partition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Position {
    pub topic: TopicId,
    pub partition: Partition,
    pub next: Offset,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Positions(BTreeMap<(TopicId, Partition), Offset>);

impl Positions {
    pub fn get(&self, topic: TopicId, partition: Partition) -> Option<Offset> {
        self.0.get(&(topic, partition)).copied()
    }

    /// Moves forward only: a smaller offset than the one held changes nothing.
    pub fn advance(&mut self, to: Position) {
        let next = self.0.entry((to.topic, to.partition)).or_insert(to.next);
        *next = (*next).max(to.next);
    }

    pub fn merge(&mut self, other: &Positions) {
        other.iter().for_each(|position| self.advance(position));
    }

    pub fn iter(&self) -> impl Iterator<Item = Position> + '_ {
        self.0.iter().map(|(&(topic, partition), &next)| Position { topic, partition, next })
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// LEB128 numbers: topic, partition and next offset of each position, in order. Unsigned, so
    /// the caller authenticates the bytes before it hands them out.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for position in self.iter() {
            write_varint(out, position.topic.0);
            write_varint(out, u64::from(position.partition));
            write_varint(out, position.next);
        }
    }

    /// `None` when the bytes are not what `encode` writes or hold too many positions.
    pub fn decode(mut bytes: &[u8]) -> Option<Positions> {
        let mut positions = Positions::default();
        while !bytes.is_empty() {
            let topic = TopicId(read_varint(&mut bytes)?);
            let partition = Partition::try_from(read_varint(&mut bytes)?).ok()?;
            let next = read_varint(&mut bytes)?;
            positions.advance(Position { topic, partition, next });
            if positions.len() > CURSOR_POSITIONS_MAX {
                return None;
            }
        }
        Some(positions)
    }
}

impl FromIterator<Position> for Positions {
    fn from_iter<I: IntoIterator<Item = Position>>(iter: I) -> Self {
        let mut positions = Positions::default();
        iter.into_iter().for_each(|position| positions.advance(position));
        positions
    }
}

/// Writes an unsigned number as LEB128.
pub fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads what `write_varint` wrote and moves on; `None` when the bytes end or hold too large a
/// number.
pub fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Where a read or a subscription starts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum From {
    /// The oldest record still kept.
    Earliest,
    /// After the newest record: only what comes from now on.
    #[default]
    Latest,
    /// This offset in every partition of the one topic read.
    Offset(Offset),
    /// The first record at or after this time, per partition.
    Time(TimestampMs),
    /// After what these opaque cursors have covered; a partition none of them names starts at
    /// its beginning.
    Cursors(Vec<String>),
    /// Where this durable consumer of the one topic read stands.
    Consumer(ConsumerName),
}
