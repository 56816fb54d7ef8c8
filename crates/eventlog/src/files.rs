//! The log's own small files as bytes, judged without opening the log: for tools that check a data
//! directory. It must not read or write anything itself.

use crate::embedded::ids::run;
use crate::embedded::snapshot::Snapshot;

/// Bytes of one block in a file of ids.
pub const IDS_BLOCK_BYTES: usize = run::BLOCK_BYTES;

/// What a file of record ids says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdsHead {
    pub count: usize,
    /// When the oldest and the newest of its records were stored, in milliseconds since 1970.
    pub oldest: types::TimestampMs,
    pub newest: types::TimestampMs,
}

/// Whether these are the bytes of a whole file `state`.
pub fn is_state(bytes: &[u8]) -> bool {
    Snapshot::decode(bytes).is_some()
}

/// The number in the name of a file of ids; `None` for other names.
pub fn ids_number(name: &std::path::Path) -> Option<u64> {
    run::number_of(name)
}

/// The first block of the file of ids with this number; `None` when it is not whole.
pub fn ids_head(number: u64, block: &[u8]) -> Option<IdsHead> {
    let (count, oldest, newest) = run::decode_head(number, block)?;
    Some(IdsHead { count, oldest, newest })
}

/// How many ids the block holds, counted from 1; `None` when it is not whole.
pub fn ids_in_block(number: u64, block: u64, bytes: &[u8]) -> Option<usize> {
    run::decode_block(number, block, bytes).map(|entries| entries.len())
}
