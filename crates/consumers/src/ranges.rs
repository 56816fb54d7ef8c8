//! Which dead letters of a partition were dealt with: everything before a floor, and ranges beyond
//! it. Their number is bounded; whoever deals with letters here and there is asked to finish the
//! oldest first.

use std::collections::BTreeMap;
use types::Offset;
use types::cursor::{read_varint, write_varint};

/// Ranges beyond the floor at most.
pub const RANGES_MAX: usize = 4_096;

const VERSION: u8 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges {
    floor: Offset,
    /// Start and end of each, not touching each other nor the floor.
    beyond: BTreeMap<Offset, Offset>,
}

impl Ranges {
    pub fn floor(&self) -> Offset {
        self.floor
    }

    pub fn contains(&self, offset: Offset) -> bool {
        let range = self.beyond.range(..=offset).next_back();
        offset < self.floor || range.is_some_and(|(_, &end)| offset < end)
    }

    /// Offsets in it that are at or after `start`.
    pub fn count_from(&self, start: Offset) -> u64 {
        let beyond: u64 =
            self.beyond.iter().map(|(&from, &end)| end.saturating_sub(from.max(start))).sum();
        self.floor.saturating_sub(start) + beyond
    }

    pub fn insert(&mut self, offset: Offset) {
        if self.contains(offset) {
            return;
        }
        let (mut start, mut end) = (offset, offset + 1);
        if let Some(after) = self.beyond.remove(&end) {
            end = after;
        }
        if let Some((&before, &until)) = self.beyond.range(..start).next_back()
            && until == start
        {
            start = before;
        }
        self.beyond.insert(start, end);
        self.raise(0);
    }

    /// Everything before `floor` is dealt with, or gone.
    pub fn raise(&mut self, floor: Offset) {
        self.floor = self.floor.max(floor);
        while let Some(first) = self.beyond.first_entry()
            && *first.key() <= self.floor
        {
            self.floor = self.floor.max(first.remove());
        }
    }

    pub fn is_full(&self) -> bool {
        self.beyond.len() >= RANGES_MAX
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        write_varint(&mut out, self.floor);
        let mut last = self.floor;
        for (&start, &end) in &self.beyond {
            write_varint(&mut out, start - last);
            write_varint(&mut out, end - start);
            last = end;
        }
        out
    }

    /// `None` when the bytes are not what `encode` writes.
    pub fn decode(bytes: &[u8]) -> Option<Ranges> {
        let (&version, mut rest) = bytes.split_first()?;
        if version != VERSION {
            return None;
        }
        let floor = read_varint(&mut rest)?;
        let (mut beyond, mut last) = (BTreeMap::new(), floor);
        while !rest.is_empty() {
            let start = last.checked_add(read_varint(&mut rest)?)?;
            let end = start.checked_add(read_varint(&mut rest)?)?;
            if start == last || end == start || beyond.len() > RANGES_MAX {
                return None;
            }
            beyond.insert(start, end);
            last = end;
        }
        Some(Ranges { floor, beyond })
    }
}
