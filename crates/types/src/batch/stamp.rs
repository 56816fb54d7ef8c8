//! Who wrote a batch, as the batch's header says it: what tells a batch sent twice from two, and
//! what belongs to a transaction (KIP-98 defines the fields). It must not know what is done with
//! either.

/// A writer that the log tells from all others, in one of its lives: who has the same id and a
/// higher epoch has taken its place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
}

/// What a batch says of its writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    pub producer: Producer,
    /// The number of the batch's first record among all its writer sent to the partition; it goes
    /// on at 0 after `i32::MAX`. `None`: the writer does not count.
    pub sequence: Option<i32>,
    /// The records count only once their transaction is committed.
    pub is_transactional: bool,
}

impl Stamp {
    /// Of a batch that is part of a transaction and not counted.
    pub fn in_transaction(producer: Producer) -> Stamp {
        Stamp { producer, sequence: None, is_transactional: true }
    }
}

/// The sequence `count` records after `sequence`.
pub fn sequence_after(sequence: i32, count: u32) -> i32 {
    // Both are below 2^31, so the sum fits and the remainder is below 2^31.
    ((i64::from(sequence) + i64::from(count)) % (i64::from(i32::MAX) + 1)) as i32
}
