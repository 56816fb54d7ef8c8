//! Many ids in sorted parts, behind one filter: what `Slots` held when it was full. A new id, the
//! usual one, costs one look at the filter. It must not know what it holds.

use super::entry::IdHash;
use super::filter::Filter;
use super::slots::Value;

/// The filter of the first parts has room for so many ids; then it is made anew, for four times
/// as many.
const ROOM_MIN: usize = 16 * 1024;

type Part = Vec<(IdHash, Value)>;

/// Bytes of memory one id takes, the filter's part of it at most.
pub const ID_BYTES: usize = size_of::<(IdHash, Value)>() + 16;

#[derive(Default)]
pub struct Heap {
    parts: Vec<Part>,
    filter: Filter,
    room: usize,
    held: usize,
}

impl Heap {
    pub fn len(&self) -> usize {
        self.held
    }

    pub fn memory_bytes(&self) -> usize {
        let held: usize = self.parts.iter().map(Vec::capacity).sum();
        held * size_of::<(IdHash, Value)>() + self.filter.memory_bytes()
    }

    /// The part is sorted by hash.
    pub fn add(&mut self, part: Part) {
        if part.is_empty() {
            return;
        }
        self.held += part.len();
        if self.held > self.room {
            self.room = (4 * self.room).max(ROOM_MIN).max(self.held);
            self.filter = Filter::new(self.room);
            self.parts.iter().flatten().for_each(|(hash, _)| self.filter.add(*hash));
        }
        part.iter().for_each(|(hash, _)| self.filter.add(*hash));
        self.parts.push(part);
    }

    /// As `Slots::touch`.
    pub fn touch(&self, hash: IdHash) -> u64 {
        self.filter.touch(hash)
    }

    /// The value that was added last.
    pub fn get(&self, hash: IdHash) -> Option<Value> {
        if !self.filter.may_hold(hash) {
            return None;
        }
        self.parts.iter().rev().find_map(|part| Some(part[find(part, hash)?].1))
    }

    /// The one that was added last. Moves what lies behind it: for what is rare.
    pub fn remove(&mut self, hash: IdHash) -> Option<Value> {
        let found = |part: &mut Part| find(part, hash).map(|at| part.remove(at).1);
        let value = self.parts.iter_mut().rev().find_map(found)?;
        self.held -= 1;
        Some(value)
    }

    pub fn parts(&self) -> impl Iterator<Item = &[(IdHash, Value)]> {
        self.parts.iter().map(Vec::as_slice)
    }

    pub fn into_parts(self) -> Vec<Part> {
        self.parts
    }
}

/// An index of the part.
fn find(part: &Part, hash: IdHash) -> Option<usize> {
    part.binary_search_by_key(&hash, |(hash, _)| *hash).ok()
}
