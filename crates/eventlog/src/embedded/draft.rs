//! A batch on its way to the device: first a draft that publishers add to, then in flight.

use crate::{Appended, LogError};
use bytes::Bytes;
use std::sync::Arc;
use storage::{Frame, StreamId};
use tokio::sync::oneshot;
use types::batch::BATCH_HEADER_BYTES;
use types::{Batch, BatchBuilder, Offset, Record, Stamp, TimestampMs};

use super::hasher::KeyHasher;
use super::ids::table::Claims;
use super::partition::Partition;
use super::transaction::Transaction;

/// A draft is closed before it passes this, so that two fit one commit. A single larger append
/// makes a larger batch.
pub const DRAFT_BYTES_MAX: usize = 224 << 10;

const _: () = assert!(DRAFT_BYTES_MAX < storage::LONE_FRAME_BYTES_MIN);
const _: () = assert!(2 * DRAFT_BYTES_MAX < storage::GROUP_BYTES_MAX);

/// When the publishers of a draft are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    AfterFlush,
    /// They were, and the records are visible already.
    AtAppend,
}

pub type Reply = oneshot::Sender<Result<Appended, LogError>>;

/// A publisher that waits for the flush.
pub struct Waiter {
    pub reply: Reply,
    pub appended: Appended,
    /// The ids of its records.
    pub claims: Option<Arc<Claims>>,
}

/// What a draft holds.
enum Content {
    /// It may take more.
    Open(BatchBuilder),
    /// It came as it is.
    Whole(Batch),
}

impl Content {
    fn finish(self) -> Option<Batch> {
        match self {
            Content::Open(builder) => builder.finish(),
            Content::Whole(batch) => Some(batch),
        }
    }
}

/// A batch that waits for the writer, and perhaps for more records.
pub struct Draft {
    content: Content,
    hasher: KeyHasher,
    /// Hashes of the keys inside, with duplicates.
    keys: Vec<u64>,
    pub acknowledge: Acknowledge,
    pub waiters: Vec<Waiter>,
    /// What it counts against the bound on waiting bytes.
    pub charged_bytes: usize,
    /// What it is a part of; nothing joins it then.
    pub transaction: Option<Arc<Transaction>>,
}

impl Draft {
    pub fn new(base_offset: Offset, acknowledge: Acknowledge, records_bytes: usize) -> Draft {
        Draft {
            content: Content::Open(BatchBuilder::new(base_offset, records_bytes)),
            hasher: KeyHasher::default(),
            keys: Vec::new(),
            acknowledge,
            waiters: Vec::new(),
            charged_bytes: 0,
            transaction: None,
        }
    }

    /// A part of a transaction.
    pub fn stamped(
        base_offset: Offset,
        stamp: Stamp,
        transaction: Arc<Transaction>,
        records_bytes: usize,
    ) -> Draft {
        let builder = BatchBuilder::new(base_offset, records_bytes).stamped(stamp);
        let draft = Draft::new(base_offset, Acknowledge::AfterFlush, 0);
        Draft { content: Content::Open(builder), transaction: Some(transaction), ..draft }
    }

    /// A batch that came encoded, at its place.
    pub fn whole(batch: Batch, transaction: Option<Arc<Transaction>>, hasher: KeyHasher) -> Draft {
        let keyed = if batch.content().keyed > 0 { Some(batch.views()) } else { None };
        let keys = keyed.into_iter().flatten();
        let keys = keys.filter_map(|view| view.key.map(|key| hasher.hash(key))).collect();
        let draft = Draft::new(batch.base_offset(), Acknowledge::AfterFlush, 0);
        Draft { content: Content::Whole(batch), keys, transaction, hasher, ..draft }
    }

    /// Hashes keys that way.
    pub fn hashing(self, hasher: KeyHasher) -> Draft {
        Draft { hasher, ..self }
    }

    /// Whether an append of that size and kind may join.
    pub fn takes(&self, acknowledge: Acknowledge, records_bytes: usize) -> bool {
        let Content::Open(builder) = &self.content else { return false };
        self.acknowledge == acknowledge
            && self.transaction.is_none()
            && builder.len() + records_bytes <= DRAFT_BYTES_MAX
    }

    pub fn push(&mut self, records: &[Record], now: TimestampMs) {
        let Content::Open(builder) = &mut self.content else { return };
        for record in records {
            if let Some(key) = &record.key {
                let hash = self.hasher.hash(key.bytes());
                if self.keys.last() != Some(&hash) {
                    self.keys.push(hash);
                }
            }
            // The append's size was checked against the largest batch, and only small appends
            // join a draft that has records.
            builder.push(record, now).expect("a draft has room for an append it takes");
        }
    }

    pub fn next_offset(&self) -> Offset {
        match &self.content {
            Content::Open(builder) => builder.next_offset(),
            Content::Whole(batch) => batch.next_offset(),
        }
    }

    /// The finished batch; `None` if it got no record.
    pub fn finish(self, partition: Arc<Partition>) -> Option<Flight> {
        let batch = self.content.finish()?;
        Some(Flight {
            partition,
            batch: Arc::new(batch),
            keys: distinct(self.keys),
            acknowledge: self.acknowledge,
            waiters: self.waiters,
            charged_bytes: self.charged_bytes,
            transaction: self.transaction,
            decisions: Vec::new(),
        })
    }
}

/// A finished batch that is handed to the store and not settled yet.
pub struct Flight {
    pub partition: Arc<Partition>,
    pub batch: Arc<Batch>,
    pub keys: Arc<[u64]>,
    pub acknowledge: Acknowledge,
    pub waiters: Vec<Waiter>,
    pub charged_bytes: usize,
    pub transaction: Option<Arc<Transaction>>,
    /// The transactions whose commit this batch is.
    pub decisions: Vec<Arc<Transaction>>,
}

impl Flight {
    pub fn frame(&self, stream: StreamId) -> Frame {
        Frame {
            tenant: self.partition.shared.tenant_id,
            stream,
            base_offset: self.batch.base_offset(),
            count: self.batch.span(),
            max_timestamp: self.batch.max_timestamp(),
            keys: Box::from(&self.keys[..]),
            body: Bytes::clone(self.batch.bytes()),
        }
    }
}

/// Records as a batch of their own at offset 0, for topics that show them at once.
pub fn encode(
    records: &[Record],
    now: TimestampMs,
    hasher: KeyHasher,
) -> Option<(Batch, Arc<[u64]>)> {
    let bytes = records.iter().map(BatchBuilder::record_bytes_max).sum();
    let mut draft = Draft::new(0, Acknowledge::AtAppend, bytes).hashing(hasher);
    draft.push(records, now);
    Some((draft.content.finish()?, distinct(draft.keys)))
}

/// Bytes the records take at most in a batch of their own.
pub fn batch_bytes_max(records: &[Record]) -> usize {
    BATCH_HEADER_BYTES + records.iter().map(BatchBuilder::record_bytes_max).sum::<usize>()
}

fn distinct(mut keys: Vec<u64>) -> Arc<[u64]> {
    keys.sort_unstable();
    keys.dedup();
    keys.into()
}

/// The hash by which the store finds a key: FNV-1a with a finishing mix (from MurmurHash3, public
/// domain). It is on disk, so it never changes. Others may have the same hash: whoever looks a
/// key up compares the key itself.
pub fn key_hash(key: &[u8]) -> u64 {
    let mut hash = key.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
