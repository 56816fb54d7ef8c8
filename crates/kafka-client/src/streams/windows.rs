//! Aggregates by key and window of time: tumbling windows lie side by side, hopping ones overlap.
//! A window takes records until its end and the grace are over by the stream's time.
//!
//! ```text
//! size 4, step 2      0   2   4   6   8        a record at 5 is in [2,6) and [4,8)
//!                     [-------)
//!                         [-------)
//!                             [-------)
//! ```

use super::store::{Store, ordered, unordered};
use crate::Result;
use bytes::{BufMut, Bytes, BytesMut};

/// Windows that one record may be in.
const OVERLAP_MAX: i64 = 1_000;

/// From `start_ms` up to and without `end_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    pub start_ms: i64,
    pub end_ms: i64,
}

/// The record came when all its windows were closed; nothing was done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late;

#[derive(Debug, Clone)]
pub struct Windows {
    space: String,
    size_ms: i64,
    step_ms: i64,
    grace_ms: i64,
}

/// The windows that a record changed, each with its new aggregate.
pub type Changed = Vec<(Window, Bytes)>;

impl Windows {
    /// Windows of a size, one behind the other. `name` tells them from others in the store.
    pub fn tumbling(name: &str, size_ms: u32) -> Windows {
        Windows::hopping(name, size_ms, size_ms)
    }

    /// A window of `size_ms` begins every `step_ms`. A step is at least a millisecond, at most the
    /// size, and no record is in more than 1,000 windows.
    pub fn hopping(name: &str, size_ms: u32, step_ms: u32) -> Windows {
        let size_ms = i64::from(size_ms.max(1));
        let least = (size_ms + OVERLAP_MAX - 1) / OVERLAP_MAX;
        let step_ms = i64::from(step_ms).clamp(least, size_ms);
        Windows { space: name.to_owned(), size_ms, step_ms, grace_ms: 0 }
    }

    /// How much later than a window's end its records may come.
    pub fn with_grace(self, grace_ms: u32) -> Windows {
        Windows { grace_ms: i64::from(grace_ms), ..self }
    }

    /// The windows that a moment is in, the earliest first.
    pub fn of(&self, at_ms: i64) -> impl Iterator<Item = Window> + use<> {
        let (size_ms, step_ms) = (self.size_ms, self.step_ms);
        let last = at_ms.saturating_sub(at_ms.rem_euclid(step_ms));
        let count = (size_ms - 1 - at_ms.rem_euclid(step_ms)).div_euclid(step_ms);
        (0..=count).rev().map(move |index| {
            let start_ms = last.saturating_sub(index * step_ms);
            Window { start_ms, end_ms: start_ms.saturating_add(size_ms) }
        })
    }

    fn is_closed(&self, window: &Window, time_ms: i64) -> bool {
        window.end_ms.saturating_add(self.grace_ms) <= time_ms
    }

    /// Takes a record into the aggregates of its windows; `fold` makes the new one of the old one.
    /// Time goes on to that of the record.
    ///
    /// # Errors
    /// When the store is full.
    pub fn fold(
        &self,
        store: &mut Store,
        (key, at_ms): (&[u8], i64),
        mut fold: impl FnMut(Option<&Bytes>) -> Bytes,
    ) -> Result<std::result::Result<Changed, Late>> {
        store.advance(at_ms)?;
        let time_ms = store.time_ms();
        let mut changed = Vec::new();
        for window in self.of(at_ms) {
            if self.is_closed(&window, time_ms) {
                continue;
            }
            let place = place(&window, key);
            let aggregate = fold(store.get(&self.space, &place));
            store.put(&self.space, &place, aggregate.clone())?;
            changed.push((window, aggregate));
        }
        Ok(if changed.is_empty() { Err(Late) } else { Ok(changed) })
    }

    /// Takes the windows that are over out of the store: their aggregates are final. The earliest
    /// first.
    pub fn close(&self, store: &mut Store) -> Vec<(Bytes, Window, Bytes)> {
        let time_ms = store.time_ms();
        let mut closed = Vec::new();
        for (place, aggregate) in store.scan(&self.space, b"", b"") {
            let Some((start, key)) = place.split_first_chunk::<8>() else { continue };
            let start_ms = unordered(*start);
            let window = Window { start_ms, end_ms: start_ms.saturating_add(self.size_ms) };
            if !self.is_closed(&window, time_ms) {
                break;
            }
            closed.push((Bytes::copy_from_slice(key), window, aggregate.clone()));
        }
        for (key, window, _) in &closed {
            store.remove(&self.space, &place(window, key));
        }
        closed
    }
}

/// By time first, so that what is over stands in front.
fn place(window: &Window, key: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(8 + key.len());
    bytes.put_slice(&ordered(window.start_ms));
    bytes.put_slice(key);
    bytes.freeze()
}
