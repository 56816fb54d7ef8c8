//! A transaction in memory: batches in several partitions that count together or not at all. It
//! must not know partitions' insides: those ask it whether it is decided, and are told to look
//! again when it is.
//!
//! ```text
//! Open --end--> Ending --its decision is durable--> Committed
//!   \______________\__ a batch or the decision failed, time ran out, or the owner says so --> Aborted
//! ```
//! The decision is a record of the log's own stream, written behind the last batch: the store
//! keeps the order of frames over a crash, so where the decision is, all batches are. A
//! transaction without one was never committed; whoever opens the log hides its batches.

use super::partition::Partition;
use crate::LogError;
use parking_lot::Mutex;
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

pub struct Transaction {
    pub producer: Producer,
    inner: Mutex<Inner>,
}

struct Inner {
    stage: Stage,
    /// Batches given to partitions that the writer has not taken yet.
    drafts: usize,
    /// Those that hold batches of it.
    partitions: Vec<Arc<Partition>>,
    reply: Option<oneshot::Sender<Result<(), LogError>>>,
}

impl Transaction {
    pub fn new(producer: Producer) -> Arc<Transaction> {
        let inner = Inner { stage: Stage::Open, drafts: 0, partitions: Vec::new(), reply: None };
        Arc::new(Transaction { producer, inner: Mutex::new(inner) })
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

    /// The writer took one of its batches; `true` when the decision may follow now.
    pub fn taken(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.drafts = inner.drafts.saturating_sub(1);
        inner.drafts == 0 && inner.stage == Stage::Ending
    }

    /// No more batches; answers what becomes of it, and whether the decision may follow now.
    pub fn end(&self) -> Result<(Ended, bool), LogError> {
        let mut inner = self.inner.lock();
        match &inner.stage {
            Stage::Open => {}
            Stage::Aborted(why) => return Err(why.clone()),
            _ => return Err(LogError::TransactionUnknown),
        }
        let (reply, ended) = oneshot::channel();
        inner.stage = Stage::Ending;
        inner.reply = Some(reply);
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

    /// Tells who waits for the end that it is there.
    pub fn answer(&self) {
        let reply = self.inner.lock().reply.take();
        if let Some(reply) = reply {
            let _ = reply.send(Ok(()));
        }
    }

    /// Gives it up, unless it is decided: answers the partitions that must look again.
    pub fn abort(&self, why: &LogError) -> Vec<Arc<Partition>> {
        let mut inner = self.inner.lock();
        if !matches!(inner.stage, Stage::Open | Stage::Ending) {
            return Vec::new();
        }
        inner.stage = Stage::Aborted(why.clone());
        if let Some(reply) = inner.reply.take() {
            let _ = reply.send(Err(why.clone()));
        }
        std::mem::take(&mut inner.partitions)
    }

    /// Gives it up if it is open and nobody has asked for its end.
    pub fn abort_open(&self, why: &LogError) -> Option<Vec<Arc<Partition>>> {
        let is_open = self.inner.lock().stage == Stage::Open;
        is_open.then(|| self.abort(why))
    }

    /// Nobody can know whether its decision was stored: what it wrote stays unseen until a start.
    pub fn lose(&self, why: &LogError) {
        let mut inner = self.inner.lock();
        if matches!(inner.stage, Stage::Open | Stage::Ending) {
            inner.stage = Stage::Unknown;
        }
        if let Some(reply) = inner.reply.take() {
            let _ = reply.send(Err(why.clone()));
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
}

impl Transactions {
    pub fn new(held_bytes_max: usize) -> Transactions {
        Transactions {
            ready: Mutex::default(),
            due: Mutex::default(),
            held_bytes: AtomicUsize::new(0),
            held_bytes_max,
            next_producer: AtomicI64::new(0),
        }
    }

    /// A producer that nobody was before, in its first epoch.
    pub fn new_producer(&self) -> Producer {
        Producer { id: self.next_producer.fetch_add(1, Ordering::Relaxed), epoch: 0 }
    }

    pub fn make_ready(&self, transaction: Arc<Transaction>) {
        self.ready.lock().push_back(transaction);
    }

    /// What is ready now is due.
    pub fn begin_turn(&self) {
        let mut ready = std::mem::take(&mut *self.ready.lock());
        self.due.lock().append(&mut ready);
    }

    /// Of those that are due at most so many, oldest first; those that were given up meanwhile are left out.
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
