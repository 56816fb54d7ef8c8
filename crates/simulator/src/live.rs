//! A log that is open: the engine, the hands that do its threads' work, and an observer that
//! remembers what it was told until the run asks.

use crate::book::{Place, Seen};
use eventlog::{Driver, EmbeddedLog, Engine, LogError, Observer};
use parking_lot::Mutex;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use types::{Batch, Partition, TopicId};

pub struct Live {
    pub log: Arc<EmbeddedLog>,
    pub driver: Driver,
    pub witness: Arc<Witness>,
}

impl Live {
    pub fn new(log: Arc<EmbeddedLog>, driver: Driver) -> Live {
        let witness = Arc::new(Witness::default());
        log.observe(witness.clone());
        Live { log, driver, witness }
    }
}

#[derive(Default)]
pub struct Witness {
    told: Mutex<Vec<(Place, Arc<Batch>)>>,
    /// Who else hears, of the same and at the same moment.
    other: OnceLock<Arc<dyn Observer>>,
}

impl Witness {
    pub fn take(&self) -> Vec<(Place, Arc<Batch>)> {
        std::mem::take(&mut self.told.lock())
    }

    pub fn pass_on_to(&self, other: Arc<dyn Observer>) {
        // There is one hub over a log.
        let _ = self.other.set(other);
    }
}

impl Observer for Witness {
    fn committed(&self, topic: TopicId, partition: Partition, batch: &Arc<Batch>) {
        self.told.lock().push(((topic, partition), Arc::clone(batch)));
        if let Some(other) = self.other.get() {
            other.committed(topic, partition, batch);
        }
    }
}

pub fn seen(batch: &Batch) -> Vec<Seen> {
    let of = |(offset, timestamp, record)| Seen::new(offset, timestamp, record);
    batch.records().map(of).collect()
}

/// The answer if there is one by now: with one thread, waiting for it would never end.
pub fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// The answer of a read, which nobody but the caller works for.
pub fn now<T>(mut future: eventlog::Pending<T>) -> Result<T, LogError> {
    let stuck = || LogError::Failed("the read waits for something that never comes".to_owned());
    poll(&mut future).unwrap_or_else(|| Err(stuck()))
}
