//! Joins by key: a stream with a table, and two streams whose records are near each other in time.

use super::store::{Store, measured, ordered, unordered};
use super::windows::Late;
use crate::{Error, Result};
use bytes::{BufMut, Bytes, BytesMut};

/// Records of one key and moment on one side.
const TWINS_MAX: u32 = 100_000;

/// The newest value of each key of a stream.
#[derive(Debug, Clone)]
pub struct Table {
    space: String,
}

impl Table {
    /// `name` tells it from others in the store.
    pub fn new(name: &str) -> Table {
        Table { space: name.to_owned() }
    }

    /// Takes in a record of the table's stream; one without a value takes the key away.
    ///
    /// # Errors
    /// When the store is full.
    pub fn update(&self, store: &mut Store, key: &[u8], value: Option<Bytes>) -> Result<()> {
        match value {
            Some(value) => store.put(&self.space, key, value),
            None => {
                store.remove(&self.space, key);
                Ok(())
            }
        }
    }

    /// What a record of the other stream is joined with.
    pub fn get<'a>(&self, store: &'a Store, key: &[u8]) -> Option<&'a Bytes> {
        store.get(&self.space, key)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinSide {
    Left,
    Right,
}

/// A left record and a right one of the same key are a pair when the right one is at most
/// `before_ms` earlier and at most `after_ms` later. Each pair comes once, when its second comes.
#[derive(Debug, Clone)]
pub struct StreamJoin {
    sides: [String; 2],
    times: [String; 2],
    before_ms: i64,
    after_ms: i64,
    grace_ms: i64,
}

/// Values of pairs, the left one first.
pub type Pairs = Vec<(Bytes, Bytes)>;

impl StreamJoin {
    /// `name` tells it from others in the store.
    pub fn new(name: &str, before_ms: u32, after_ms: u32) -> StreamJoin {
        StreamJoin {
            sides: [format!("{name}.left"), format!("{name}.right")],
            times: [format!("{name}.left.times"), format!("{name}.right.times")],
            before_ms: i64::from(before_ms),
            after_ms: i64::from(after_ms),
            grace_ms: 0,
        }
    }

    /// How much later than the newest record others may come.
    pub fn with_grace(self, grace_ms: u32) -> StreamJoin {
        StreamJoin { grace_ms: i64::from(grace_ms), ..self }
    }

    /// Takes in a record of one side; answers the pairs that it makes with the other.
    ///
    /// # Errors
    /// When the store is full.
    pub fn push(
        &self,
        store: &mut Store,
        side: JoinSide,
        (key, at_ms): (&[u8], i64),
        value: &Bytes,
    ) -> Result<std::result::Result<Pairs, Late>> {
        store.advance(at_ms)?;
        if at_ms.saturating_add(self.grace_ms) < store.time_ms() {
            return Ok(Err(Late));
        }
        let (own, other) = match side {
            JoinSide::Left => (0, 1),
            JoinSide::Right => (1, 0),
        };
        let (before_ms, after_ms) = match side {
            JoinSide::Left => (self.before_ms, self.after_ms),
            JoinSide::Right => (self.after_ms, self.before_ms),
        };
        let prefix = measured(key);
        let first = ordered(at_ms.saturating_sub(before_ms));
        let mut pairs = Vec::new();
        for (place, found) in store.scan(&self.sides[other], &prefix, &first) {
            let at = place.get(prefix.len()..).and_then(|rest| rest.first_chunk::<8>());
            if at.is_none_or(|at| unordered(*at) > at_ms.saturating_add(after_ms)) {
                break;
            }
            pairs.push(match side {
                JoinSide::Left => (value.clone(), found.clone()),
                JoinSide::Right => (found.clone(), value.clone()),
            });
        }
        let number = self.free(store, own, key, at_ms)?;
        store.put(&self.sides[own], &place(key, at_ms, number), value.clone())?;
        store.put(&self.times[own], &time(key, at_ms, number), Bytes::new())?;
        Ok(Ok(pairs))
    }

    fn free(&self, store: &Store, own: usize, key: &[u8], at_ms: i64) -> Result<u32> {
        let mut prefix = measured(key);
        prefix.put_slice(&ordered(at_ms));
        let count = store.scan(&self.sides[own], &prefix, b"").count();
        let number = u32::try_from(count).unwrap_or(u32::MAX);
        if number < TWINS_MAX {
            return Ok(number);
        }
        Err(Error::Invalid(format!("more than {TWINS_MAX} records of one key and moment")))
    }

    /// Forgets what no record that may still come can be near to.
    pub fn close(&self, store: &mut Store) {
        let newest = store.time_ms().saturating_sub(self.grace_ms);
        // A left record waits for right ones up to `after_ms` later, and the other way round.
        for (side, wait_ms) in [(0, self.after_ms), (1, self.before_ms)] {
            let over = newest.saturating_sub(wait_ms);
            let mut gone = Vec::new();
            for (entry, _) in store.scan(&self.times[side], b"", b"") {
                let Some((at, rest)) = entry.split_first_chunk::<8>() else { continue };
                let Some((number, key)) = rest.split_first_chunk::<4>() else { continue };
                if unordered(*at) >= over {
                    break;
                }
                let number = u32::from_be_bytes(*number);
                gone.push((Bytes::copy_from_slice(key), unordered(*at), number));
            }
            for (key, at_ms, number) in gone {
                store.remove(&self.sides[side], &place(&key, at_ms, number));
                store.remove(&self.times[side], &time(&key, at_ms, number));
            }
        }
    }
}

fn place(key: &[u8], at_ms: i64, number: u32) -> Bytes {
    let mut bytes = measured(key);
    bytes.put_slice(&ordered(at_ms));
    bytes.put_u32(number);
    bytes.freeze()
}

fn time(key: &[u8], at_ms: i64, number: u32) -> Bytes {
    let mut bytes = BytesMut::with_capacity(12 + key.len());
    bytes.put_slice(&ordered(at_ms));
    bytes.put_u32(number);
    bytes.put_slice(key);
    bytes.freeze()
}
