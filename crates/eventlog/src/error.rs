//! The closed set of what an engine answers instead of what was asked. The hub maps each kind to
//! a refusal; nothing here knows how it is shown.

use types::Offset;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Never created, or dropped.
    #[error("the log has no such topic")]
    TopicUnknown,
    #[error("the topic has no such partition")]
    PartitionUnknown,
    /// Retention removed it.
    #[error("the records before offset {start} are gone")]
    OffsetGone {
        /// The oldest offset still kept.
        start: Offset,
    },
    /// Nothing was stored there yet.
    #[error("the log ends at offset {end}")]
    OffsetAhead {
        /// The next offset to be given.
        end: Offset,
    },
    /// An append asked for an offset that was given to another record already.
    #[error("the offset is taken: the next one is {end}")]
    OffsetTaken {
        /// The next offset to be given.
        end: Offset,
    },
    /// The device has no space. Reads go on, and appends too once space returns.
    #[error("the log has no space left")]
    Full,
    /// More is waiting for the device than may wait. Nothing was appended; try again soon.
    #[error("too much is waiting to be written")]
    Busy,
    /// A write or a read failed. After a failed write nothing more is acknowledged until restart.
    #[error("the log failed: {0}")]
    Failed(String),
    /// Acknowledged records that cannot be read any more. Never skipped silently: a reader that
    /// accepts the loss goes on at `to`.
    #[error("the records from offset {from} up to {to} are damaged")]
    Damaged {
        from: Offset,
        /// The first offset after the damage.
        to: Offset,
    },
    /// The append has more records or bytes than the log takes at once.
    #[error("the append is larger than the log takes at once")]
    TooLarge,
    /// There is no such transaction, or not any more.
    #[error("the transaction is not open")]
    TransactionUnknown,
    /// Another producer has taken this one's place.
    #[error("the producer was replaced by a newer one")]
    Fenced,
    /// The batch is not the producer's next one.
    #[error("the batch is out of turn: its sequence should be {expected}")]
    OutOfOrder { expected: i32 },
    /// What was asked for cannot be done with this topic or these records.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The tenant's keys were destroyed on purpose, and with them its records.
    #[error("the tenant's records were shredded")]
    Shredded,
    /// There is no key for the tenant's records now; those of others are not concerned.
    #[error("there is no key for the tenant's records: {0}")]
    NoKey(String),
    #[error("the log is closed")]
    Closed,
}
