//! A transaction in memory: batches in several partitions that count together or not at all. It
//! must not know partitions' insides: those ask it whether it is decided, and are told to look
//! again when it is.
//!
//! ```text
//! Open --end--> Ending --its decision is durable--> Committed
//!   \______________\__ a batch or the decision failed, time is over, the owner wants --> Aborted
//! ```
//! The decision is a record of the log's own stream, written behind the last batch: the store
//! keeps the order of frames over a crash, so where the decision is, all batches are. A
//! transaction without one was never committed; whoever opens the log hides its batches.

use super::ids::table::Claims;
use super::partition::Partition;
use super::registry::ONE_SHOT;
use crate::LogError;
use metrics::Gauge;
use parking_lot::Mutex;
use port::metric;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use tokio::sync::oneshot;
use types::Producer;

/// What readers may see of a transaction's batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Undecided,
    Committed,
    Aborted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Ending,
    Committed,
    Aborted(LogError),
    /// The device failed while the decision was on its way: only the next start can tell.
    Unknown,
}

pub type Ended = oneshot::Receiver<Result<(), LogError>>;

/// What its record in the stream of decisions says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its batches count.
    Commit,
    /// Its producer's epoch is the least that is taken. It has no batches.
    Fence,
}

pub struct Transaction {
    pub producer: Producer,
    pub decision: Decision,
    inner: Mutex<Inner>,
}

struct Inner {
    stage: Stage,
    /// Batches given to partitions that the writer has not taken yet.
    drafts: usize,
    /// Those that hold batches of it.
    partitions: Vec<Arc<Partition>>,
    reply: Option<oneshot::Sender<Result<(), LogError>>>,
    /// The ids of its records.
    claims: Vec<Arc<Claims>>,
}

impl Transaction {
    pub fn new(producer: Producer) -> Arc<Transaction> {
        let inner = Inner {
            stage: Stage::Open,
            drafts: 0,
            partitions: Vec::new(),
            reply: None,
            claims: Vec::new(),
        };
        Arc::new(Transaction { producer, decision: Decision::Commit, inner: Mutex::new(inner) })
    }

    /// Only a record: who has the number in an earlier epoch is refused.
    pub fn fence(producer: Producer) -> Arc<Transaction> {
        let inner = Inner {
            stage: Stage::Open,
            drafts: 0,
            partitions: Vec::new(),
            reply: None,
            claims: Vec::new(),
        };
        let inner = Mutex::new(inner);
        Arc::new(Transaction { producer, decision: Decision::Fence, inner })
    }

    pub fn outcome(&self) -> Outcome {
        match self.inner.lock().stage {
            Stage::Committed => Outcome::Committed,
            Stage::Aborted(_) => Outcome::Aborted,
            Stage::Open | Stage::Ending | Stage::Unknown => Outcome::Undecided,
        }
    }

    /// A batch enters the partition: the caller holds its state. Refused unless it is open.
    pub fn join(&self, partition: &Arc<Partition>) -> Result<(), LogError> {
        let mut inner = self.inner.lock();
        match &inner.stage {
            Stage::Open => {}
            Stage::Aborted(why) => return Err(why.clone()),
            _ => return Err(LogError::TransactionUnknown),
        }
        inner.drafts += 1;
        if !inner.partitions.iter().any(|known| Arc::ptr_eq(known, partition)) {
            inner.partitions.push(Arc::clone(partition));
        }
        Ok(())
    }

    /// The partition will get batches of it. Refused unless it is open.
    pub fn add(&self, partition: &Arc<Partition>) -> Result<(), LogError> {
        self.join(partition).map(|()| {
            self.inner.lock().drafts -= 1;
        })
    }

    /// The writer took one of its batches; `true` when the decision may follow now.
    pub fn taken(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.drafts = inner.drafts.saturating_sub(1);
        inner.drafts == 0 && inner.stage == Stage::Ending
    }

    /// No more batches; answers what becomes of it, and whether the decision may follow now.
    pub fn end(&self, claims: Vec<Arc<Claims>>) -> Result<(Ended, bool), LogError> {
        let mut inner = self.inner.lock();
        match &inner.stage {
            Stage::Open => {}
            Stage::Aborted(why) => return Err(why.clone()),
            _ => return Err(LogError::TransactionUnknown),
        }
        let (reply, ended) = oneshot::channel();
        inner.stage = Stage::Ending;
        inner.reply = Some(reply);
        inner.claims = claims;
        Ok((ended, inner.drafts == 0))
    }

    pub fn is_ending(&self) -> bool {
        self.inner.lock().stage == Stage::Ending
    }

    /// The decision is durable: answers the partitions that must look again.
    pub fn commit(&self) -> Vec<Arc<Partition>> {
        let mut inner = self.inner.lock();
        if inner.stage == Stage::Ending {
            inner.stage = Stage::Committed;
        }
        std::mem::take(&mut inner.partitions)
    }

    /// The ids that wait for its end; once.
    pub fn take_claims(&self) -> Vec<Arc<Claims>> {
        std::mem::take(&mut self.inner.lock().claims)
    }

    /// Tells who waits for the end what it is.
    pub fn answer(&self, outcome: Result<(), LogError>) {
        let reply = self.inner.lock().reply.take();
        if let Some(reply) = reply {
            let _ = reply.send(outcome);
        }
    }

    /// Gives it up: answers the partitions that must look again; `None` when it is decided already.
    pub fn abort(&self, why: &LogError) -> Option<Vec<Arc<Partition>>> {
        let mut inner = self.inner.lock();
        if !matches!(inner.stage, Stage::Open | Stage::Ending) {
            return None;
        }
        inner.stage = Stage::Aborted(why.clone());
        Some(std::mem::take(&mut inner.partitions))
    }

    /// Nobody can know whether its decision was stored: what it wrote stays unseen until a start.
    pub fn lose(&self) {
        let mut inner = self.inner.lock();
        if matches!(inner.stage, Stage::Open | Stage::Ending) {
            inner.stage = Stage::Unknown;
        }
    }
}

/// Those on their way.
pub struct Transactions {
    /// The decisions that may be written: all batches are before them in line.
    ready: Mutex<VecDeque<Arc<Transaction>>>,
    /// Those that are written next.
    due: Mutex<VecDeque<Arc<Transaction>>>,
    /// Bytes that wait in memory for somebody's decision.
    held_bytes: AtomicUsize,
    held_bytes_max: usize,
    /// The number the next producer gets.
    next_producer: AtomicI64,
    open: Gauge,
    held: Gauge,
}

impl Transactions {
    pub fn new(held_bytes_max: usize) -> Transactions {
        Transactions {
            ready: Mutex::default(),
            due: Mutex::default(),
            held_bytes: AtomicUsize::new(0),
            held_bytes_max,
            next_producer: AtomicI64::new(0),
            open: metrics::gauge!(metric::TRANSACTIONS_OPEN),
            held: metrics::gauge!(metric::LOG_HELD_BYTES),
        }
    }

    /// A producer that nobody was before, in its first epoch.
    pub fn new_producer(&self) -> Producer {
        Producer { id: self.next_producer.fetch_add(1, Ordering::Relaxed), epoch: 0 }
    }

    /// The producer of a transaction that begins and ends with one call.
    pub fn one_shot(&self) -> Producer {
        Producer { epoch: ONE_SHOT, ..self.new_producer() }
    }

    /// Whether there may be a producer with this number.
    pub fn was_given(&self, id: i64) -> bool {
        (0..self.next_producer.load(Ordering::Relaxed)).contains(&id)
    }

    /// For operators.
    pub fn measure(&self, open: usize) {
        self.open.set(open as f64);
        self.held.set(self.held_bytes() as f64);
    }

    pub fn count(&self, outcome: &'static str) {
        metrics::counter!(metric::TRANSACTIONS, "outcome" => outcome).increment(1);
    }

    /// Producers' numbers begin there.
    pub fn begin_producers(&self, first: i64) {
        self.next_producer.store(first, Ordering::Relaxed);
    }

    pub fn make_ready(&self, transaction: Arc<Transaction>) {
        self.ready.lock().push_back(transaction);
    }

    /// What is ready now is due.
    pub fn begin_turn(&self) {
        let mut ready = std::mem::take(&mut *self.ready.lock());
        self.due.lock().append(&mut ready);
    }

    /// Of those that are due at most so many, oldest first, without those given up meanwhile.
    pub fn take_due(&self, count_max: usize) -> Vec<Arc<Transaction>> {
        let mut due = self.due.lock();
        let count = due.len().min(count_max);
        due.drain(..count).filter(|transaction| transaction.is_ending()).collect()
    }

    pub fn has_ready(&self) -> bool {
        !self.ready.lock().is_empty() || !self.due.lock().is_empty()
    }

    pub fn hold(&self, bytes: usize) {
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn let_go(&self, bytes: usize) {
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// Whether more may be put behind an open transaction.
    pub fn may_hold(&self) -> bool {
        self.held_bytes() < self.held_bytes_max
    }
}
