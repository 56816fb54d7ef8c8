//! A stored record on its way to readers. Its encoded forms are cached beside it: a thousand
//! subscribers of one wire form share one `Bytes`.

use bytes::Bytes;
use std::any::TypeId;
use std::sync::{Arc, OnceLock};
use types::{
    Offset, Partition, Position, Positions, ProjectId, Record, TimestampMs, TopicId, TopicName,
};

/// Makes cursors clients may keep: opaque text, bound to the project, not to be forged.
pub trait CursorMint: Send + Sync {
    fn mint(&self, project: ProjectId, positions: &Positions) -> String;
}

/// The topic a record comes from, shared by all its deliveries.
pub struct Origin {
    pub project: ProjectId,
    pub topic: TopicName,
    pub topic_id: TopicId,
    pub partitions: u32,
    pub mint: Arc<dyn CursorMint>,
}

/// Marks one way of encoding a delivery (an empty type of the protocol that owns the form).
pub trait Form: 'static {
    fn encode(delivery: &Delivery) -> Bytes;
}

/// How a record is told to a reader who asked for differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delta {
    /// The value is the record's own, byte for byte; the reader keeps it for what comes.
    Whole,
    /// The value is a patch (`stdx::patch`) of the value that the reader got at this offset, for
    /// the same key.
    From(Offset),
}

/// Forms cached per delivery; a fourth one is encoded anew for each reader.
const FORMS_MAX: usize = 3;

pub struct Delivery {
    pub origin: Arc<Origin>,
    pub partition: Partition,
    pub offset: Offset,
    pub timestamp: TimestampMs,
    pub record: Record,
    /// Only for readers who asked for it.
    pub delta: Option<Delta>,
    forms: [OnceLock<(TypeId, Bytes)>; FORMS_MAX],
}

impl Delivery {
    pub fn new(
        origin: Arc<Origin>,
        partition: Partition,
        offset: Offset,
        timestamp: TimestampMs,
        record: Record,
    ) -> Delivery {
        Delivery {
            origin,
            partition,
            offset,
            timestamp,
            record,
            delta: None,
            forms: Default::default(),
        }
    }

    /// The position right after this record.
    pub fn position(&self) -> Position {
        Position { topic: self.origin.topic_id, partition: self.partition, next: self.offset + 1 }
    }

    /// The cursor right after this record in its partition; see `types::cursor` for how a client
    /// of several partitions combines them.
    pub fn cursor(&self) -> String {
        self.origin.mint.mint(self.origin.project, &[self.position()].into_iter().collect())
    }

    pub fn form<F: Form>(&self) -> Bytes {
        let wanted = TypeId::of::<F>();
        for slot in &self.forms {
            let (found, bytes) = slot.get_or_init(|| (wanted, F::encode(self)));
            if *found == wanted {
                return bytes.clone();
            }
        }
        F::encode(self)
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}@{}", self.origin.topic, self.partition, self.offset)
    }
}
