//! A log that is open: the engine, the hands that do its threads' work, and an observer that
//! remembers what it was told until the run asks.

use crate::book::{Place, Seen};
use eventlog::{Driver, EmbeddedLog, Engine, LogError, Observer};
use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
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
pub struct Witness(Mutex<Vec<(Place, Arc<Batch>)>>);

impl Witness {
    pub fn take(&self) -> Vec<(Place, Arc<Batch>)> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Observer for Witness {
    fn committed(&self, topic: TopicId, partition: Partition, batch: &Arc<Batch>) {
        self.0.lock().push(((topic, partition), Arc::clone(batch)));
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
