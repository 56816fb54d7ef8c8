//! Durable consumers at the seam: named readers of one topic whose place is kept by the platform.
//! Records are leased to whoever fetches them; an acknowledged one never comes again, any other
//! does, until after so many deliveries it goes to the dead letters. Calls carry batches.

use crate::hub::Answer;
use crate::{Delivery, Identity, Placed, Refusal};
use std::sync::Arc;
use std::time::Duration;
use types::consumer::Start;
use types::{ConsumerConfig, ConsumerName, Offset, Partition, Record, TimestampMs, TopicName};

/// Deliveries one fetch answers at most.
pub const FETCH_RECORDS_MAX: usize = 1_000;
/// Bytes of one fetch at most, give or take a record.
pub const FETCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest wait of a fetch for a first record.
pub const FETCH_WAIT_MAX: Duration = Duration::from_secs(60);
/// Deliveries one call settles at most.
pub const SETTLE_MAX: usize = 1_000;
/// Bytes of a reason that is kept with a dead letter; longer ones are cut.
pub const REASON_BYTES_MAX: usize = 1_024;
/// Dead letters one call lists, replays or purges at most.
pub const DEAD_LETTERS_MAX: usize = 1_000;
/// Consumers of one topic at most.
pub const CONSUMERS_PER_TOPIC_MAX: usize = 200;

/// Which consumer: its name is unique in its topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConsumerAddress {
    pub topic: TopicName,
    pub name: ConsumerName,
}

/// Everything that can be done with durable consumers. `Hub::consumers` answers it.
pub trait Consumers: Send + Sync {
    /// Makes the consumer or changes its configuration; `true` when it was made. `start` and
    /// `ordering` are fixed once it exists.
    fn put<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        config: ConsumerConfig,
    ) -> Answer<'a, (ConsumerInfo, bool)>;

    fn get<'a>(&'a self, who: &'a Identity, at: &'a ConsumerAddress) -> Answer<'a, ConsumerInfo>;

    /// Consumers of the topic in name order, after `after`.
    fn list<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        after: Option<ConsumerName>,
        limit: usize,
    ) -> Answer<'a, Vec<ConsumerInfo>>;

    /// Forgets the consumer and where it stood. Its dead letters stay in their topic.
    fn delete<'a>(&'a self, who: &'a Identity, at: &'a ConsumerAddress) -> Answer<'a, ()>;

    /// Leases records: first those that are due again, then new ones.
    fn fetch<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        fetch: Fetch,
    ) -> Answer<'a, Vec<Leased>>;

    /// Settles deliveries, each by itself: what became of them is answered in their order. An
    /// acknowledgement is on disk when the answer is there.
    fn settle<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        settlements: Vec<Settlement>,
    ) -> Answer<'a, Vec<Result<Settled, Refusal>>>;

    /// Acknowledges deliveries and publishes records, all or none: whoever reads one topic and
    /// writes others does so exactly once. A delivery that was acknowledged before, or of which
    /// the lease is lost, refuses the whole. One list of places per topic, in order.
    fn settle_with<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        tokens: Vec<String>,
        publishes: Vec<(TopicName, Vec<Record>)>,
    ) -> Answer<'a, Vec<Vec<Placed>>>;

    /// Everything that these cursors cover is acknowledged, whether it was fetched or not: for who
    /// follows or reads the topic and wants the platform to remember where he is. Where the
    /// consumer is further already it stays. Answers when that is on disk.
    fn commit<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        cursors: Vec<String>,
    ) -> Answer<'a, ConsumerInfo>;

    /// Puts the consumer elsewhere, also back. Deliveries under way are forgotten.
    fn reset<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        to: ResetTo,
    ) -> Answer<'a, ConsumerInfo>;

    /// Dead letters of the consumer that were neither replayed nor purged, oldest first.
    fn dead_letters<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        cursor: Option<String>,
        limit: usize,
    ) -> Answer<'a, DeadLetters>;

    /// Brings dead letters back; each is a dead letter no more. Answers how many.
    fn replay<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        which: Which,
        to: ReplayTo,
    ) -> Answer<'a, u64>;

    /// Gives dead letters up. Answers how many.
    fn purge<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        which: Which,
    ) -> Answer<'a, u64>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// Records at most; see `FETCH_RECORDS_MAX`.
    pub records_max: usize,
    /// Bytes of keys, values and headers at most, but always a first record.
    pub bytes_max: usize,
    /// How long to wait for a first record when there is none; zero answers at once.
    pub wait: Duration,
}

/// A record in somebody's hands until it is settled or the lease ends.
#[derive(Debug, Clone)]
pub struct Leased {
    pub delivery: Arc<Delivery>,
    /// This delivery included.
    pub deliveries: u32,
    /// Names the delivery when it is settled; opaque, not to be forged.
    pub token: String,
    /// How long the lease runs from now.
    pub lease: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    pub token: String,
    pub verdict: Verdict,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Done with; it never comes again.
    Acknowledge,
    /// Failed: it comes again after this time, else after the consumer's backoff.
    Retry { delay: Option<Duration>, reason: Option<String> },
    /// Still being worked on: the lease starts anew.
    Extend,
    /// Will never succeed: straight to the dead letters.
    Reject { reason: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Now, or already before.
    Acknowledged,
    /// It comes again after this time.
    Retries {
        delay: Duration,
    },
    Extended {
        lease: Duration,
    },
    /// It lies in the dead-letter topic.
    Dead,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResetTo {
    Start(Start),
    /// These partitions to these offsets, the others stay.
    Positions(Vec<(Partition, Offset)>),
}

/// A consumer and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerInfo {
    pub at: ConsumerAddress,
    pub config: ConsumerConfig,
    /// As configured, or by rule.
    pub dead_letter_topic: TopicName,
    pub created_at: TimestampMs,
    pub partitions: Vec<ConsumerPosition>,
    /// Records not yet acknowledged, those of other keys than it takes included where it has not
    /// come by yet.
    pub lag: u64,
    /// Leased now.
    pub pending: u64,
    /// Delivered before, and waiting to be delivered again.
    pub retrying: u64,
    /// Held back by an earlier record of their key.
    pub held: u64,
    /// Dead letters neither replayed nor purged.
    pub dead_letters: u64,
    /// The last fetch or settlement since the server started.
    pub active_at: Option<TimestampMs>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerPosition {
    pub partition: Partition,
    /// Everything before it is acknowledged.
    pub committed: Offset,
    /// What has not been delivered yet begins here.
    pub next: Offset,
    /// The next offset to be given to a record.
    pub end: Offset,
}

/// A record that failed for good, with where it came from.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// In the dead-letter topic.
    pub delivery: Arc<Delivery>,
    pub reason: String,
    pub deliveries: u32,
    pub topic: String,
    pub partition: Partition,
    pub offset: Offset,
    pub timestamp: TimestampMs,
}

#[derive(Debug, Clone)]
pub struct DeadLetters {
    pub letters: Vec<DeadLetter>,
    pub next_cursor: String,
    /// There were no more when the answer was made.
    pub is_end: bool,
}

/// Which dead letters a call means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The oldest, up to `DEAD_LETTERS_MAX`; called again until none is left.
    Oldest(usize),
    /// These places in the dead-letter topic.
    At(Vec<(Partition, Offset)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayTo {
    /// Published anew under the original's key: every reader of the topic sees it.
    Topic,
    /// The original is delivered again, to this consumer only.
    Consumer,
}
