//! Sends records: gathered into batches by partition, compressed, each stored once and in order
//! whatever is sent again, acknowledged when the broker keeps its promise of the topic
//! (`acks=all`). Memory is bounded: who sends faster than the broker takes waits.

mod driver;
mod lane;
mod placing;
mod transaction;

pub use placing::{Placed, place};
pub use transaction::GroupMember;

use crate::cluster::{Cluster, retrying};
use crate::{Error, Packing, Record, Result, partitioner};
use driver::{Command, Driver};
use lane::{Entry, Manner};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use stdx::SystemClock;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use transaction::Ties;

/// Commands that the driver has not taken yet; records are bounded by `buffer_bytes_max` too.
const COMMANDS_MAX: usize = 10_000;

#[derive(Debug, Clone)]
pub struct Options {
    /// How long a record waits for others of its partition.
    pub linger_ms: u64,
    /// A batch's size before compression; a larger record is a batch of its own.
    pub batch_bytes: usize,
    /// What is sent and not acknowledged.
    pub buffer_bytes_max: usize,
    pub packing: Option<Packing>,
    /// How long a record is tried.
    pub delivery_ms_max: u64,
    pub transactional_id: Option<String>,
    /// How long a transaction may stay open.
    pub transaction_ms_max: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            linger_ms: 5,
            batch_bytes: 64 * 1024,
            buffer_bytes_max: 32 * 1024 * 1024,
            packing: None,
            delivery_ms_max: 120_000,
            transactional_id: None,
            transaction_ms_max: 60_000,
        }
    }
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    pub partition: i32,
    /// -1 when the broker only knows that it has it.
    pub offset: i64,
}

/// Becomes the place of a record, or why there is none. Dropping it changes nothing.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Delivered>>);

impl Future for Receipt {
    type Output = Result<Delivered>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|told| told.unwrap_or_else(|_| Err(ended())))
    }
}

fn ended() -> Error {
    Error::Invalid("the producer has ended".to_owned())
}

/// Shared by reference; sends what it has when it is closed, and forgets it when it is dropped.
pub struct Producer {
    cluster: Arc<Cluster>,
    options: Options,
    commands: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
    driver: JoinHandle<()>,
    ties: Option<Arc<Ties>>,
    sticky: Mutex<HashMap<String, Sticky>>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Producer({:?})", self.cluster)
    }
}

/// Records without a key stay with one partition until it has a batch of them (KIP-480).
struct Sticky {
    partition: i32,
    bytes: usize,
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Producer {
    /// With a transactional id it takes that over: another producer with it is fenced.
    ///
    /// # Errors
    /// When the broker does not answer, or refuses the transactional id.
    pub async fn open(cluster: &Arc<Cluster>, options: Options) -> Result<Producer> {
        let ties = match &options.transactional_id {
            None => None,
            Some(id) => {
                let ms = i32::try_from(options.transaction_ms_max).unwrap_or(i32::MAX);
                Some(Arc::new(Ties::open(cluster, id, ms).await?))
            }
        };
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let driver = Driver {
            cluster: Arc::clone(cluster),
            clock: SystemClock::shared(),
            manner: Manner {
                batch_bytes: options.batch_bytes,
                linger: Duration::from_millis(options.linger_ms),
                delivery_time_max: Duration::from_millis(options.delivery_ms_max),
                packing: options.packing,
                is_transactional: ties.is_some(),
                backoff: cluster.settings.backoff(),
            },
            timeout_ms: i32::try_from(cluster.settings.request_ms_max).unwrap_or(i32::MAX),
            identity: ties.as_ref().map(|ties| ties.identity()),
            ties: ties.clone(),
            lanes: HashMap::new(),
            connections: HashMap::new(),
            waits: driver::Waits::default(),
        };
        let room = Arc::new(Semaphore::new(options.buffer_bytes_max.min(u32::MAX as usize)));
        Ok(Producer {
            cluster: Arc::clone(cluster),
            options,
            commands,
            room,
            driver: tokio::spawn(driver.run(receiver)),
            ties,
            sticky: Mutex::default(),
        })
    }

    /// Gives a record on its way, to the partition of its key. Waits while the buffer is full; the
    /// receipt becomes what became of it.
    ///
    /// # Errors
    /// When there is no such topic, the record is larger than the buffer, or a transactional
    /// producer has no transaction open.
    pub async fn send(&self, topic: &str, record: Record) -> Result<Receipt> {
        let known = retrying!(&self.cluster, self.cluster.topic(topic).await)?;
        let count = known.partitions.len();
        let partition = match &record.key {
            Some(key) => partitioner::of_key(key, count),
            None => self.sticky(topic, count, record.size_max()),
        };
        self.send_to(topic, partition, record).await
    }

    /// The same to a partition of one's own choice.
    ///
    /// # Errors
    /// As `send`.
    pub async fn send_to(&self, topic: &str, partition: i32, record: Record) -> Result<Receipt> {
        if let Some(ties) = &self.ties {
            ties.check_open()?;
        }
        let bytes = record.size_max();
        if bytes > self.options.buffer_bytes_max {
            let bytes_max = self.options.buffer_bytes_max;
            let why = format!("a record of {bytes} bytes; the buffer holds {bytes_max}");
            return Err(Error::Invalid(why));
        }
        let count = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(count).await;
        let room = room.map_err(|_| ended())?;
        let (receipt, told) = oneshot::channel();
        let entry = Entry { receipt, _room: Some(room) };
        let place = (topic.to_owned(), partition);
        self.command(Command::Send { place, record, entry }).await?;
        Ok(Receipt(told))
    }

    fn sticky(&self, topic: &str, count: usize, bytes: usize) -> i32 {
        let mut sticky = self.sticky.lock();
        let any = || {
            let chosen = stdx::Rng::below(&stdx::SystemRng, count.max(1) as u64);
            i32::try_from(chosen).unwrap_or(0)
        };
        let is_new = !sticky.contains_key(topic);
        let place = sticky.entry(topic.to_owned()).or_insert(Sticky { partition: 0, bytes: 0 });
        if is_new || place.bytes >= self.options.batch_bytes {
            *place = Sticky { partition: any(), bytes: 0 };
        }
        place.bytes += bytes;
        place.partition
    }

    async fn command(&self, command: Command) -> Result<()> {
        self.commands.send(command).await.map_err(|_| ended())
    }

    async fn wait_for(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) -> Result<()> {
        let (done, wait) = oneshot::channel();
        self.command(command(done)).await?;
        wait.await.map_err(|_| ended())
    }

    /// Sends what lingers and waits until everything sent before has come to its end, well or not:
    /// receipts say how.
    ///
    /// # Errors
    /// When the producer has ended.
    pub async fn flush(&self) -> Result<()> {
        self.wait_for(Command::Flush).await
    }

    /// Flushes and ends. A transaction that is open is given up.
    ///
    /// # Errors
    /// When the open transaction could not be given up.
    pub async fn close(self) -> Result<()> {
        if self.ties.as_ref().is_some_and(|ties| ties.check_open().is_ok()) {
            return self.abort().await;
        }
        self.flush().await
    }
}
