//! The log engine's errors in the seam's words.

use eventlog::LogError;
use port::{Code, Refusal};
use std::time::Duration;

/// How long a client is asked to wait before it tries a full or busy log again.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_BUSY: Duration = Duration::from_millis(100);

pub fn refusal_of(error: LogError) -> Refusal {
    match error {
        LogError::TopicUnknown => Refusal::new(Code::TopicNotFound, "the topic was deleted"),
        LogError::PartitionUnknown => {
            Refusal::new(Code::InvalidRequest, "the topic has no such partition").field("partition")
        }
        LogError::OffsetGone { start } => Refusal::new(
            Code::InvalidRequest,
            format!("retention removed this offset; the oldest record kept is {start}"),
        )
        .field("from")
        .hint("read from `earliest`"),
        LogError::OffsetAhead { end } => Refusal::new(
            Code::InvalidRequest,
            format!("the offset is not given yet; the next one is {end}"),
        )
        .field("offset"),
        LogError::OffsetTaken { end } => Refusal::new(
            Code::InvalidRequest,
            format!("the offset was given to another record already; the next one is {end}"),
        )
        .field("at"),
        LogError::Full => {
            Refusal::new(Code::StorageFull, "the disk is full: appends are refused, reads go on")
                .retry_around(RETRY)
        }
        LogError::Busy => Refusal::new(Code::Overloaded, "too many bytes wait for the disk")
            .retry_around(RETRY_BUSY),
        LogError::TooLarge => {
            Refusal::new(Code::PayloadTooLarge, "the records of one call are larger than allowed")
        }
        LogError::Damaged { from, to } => Refusal::new(
            Code::LogDamaged,
            format!("the stored records {from} to {to} are damaged and are not skipped silently"),
        )
        .hint("read from after the range, and restore it from a backup"),
        LogError::TransactionUnknown => {
            Refusal::new(Code::TransactionNotOpen, "the transaction is not open")
                .hint("it was ended, or it took too long; begin a new one")
        }
        LogError::Fenced => Refusal::new(Code::ProducerFenced, "a newer producer has the same id"),
        LogError::OutOfOrder { expected } => Refusal::new(
            Code::OutOfSequence,
            format!("the batch is out of turn: its sequence should be {expected}"),
        ),
        LogError::Unsupported(why) => Refusal::new(Code::Unsupported, why),
        LogError::Shredded => Refusal::new(
            Code::RecordsShredded,
            "the tenant's records were destroyed together with their keys",
        )
        .hint("nothing can bring them back; publish under another tenant"),
        LogError::NoKey(cause) => {
            tracing::error!(%cause, "records of a tenant cannot be opened or sealed");
            Refusal::new(Code::KeyUnavailable, "the key of the tenant's records is not available")
                .hint("the operator finds the reason with `mainstem keys-at-rest status`")
                .retry_around(RETRY)
        }
        LogError::Closed => Refusal::new(Code::Draining, "the server is shutting down"),
        LogError::Failed(cause) => {
            tracing::error!(%cause, "the log refuses work");
            Refusal::new(Code::StorageFailed, "the disk failed; the log takes no more appends")
        }
    }
}
