//! A consumer on this node: its state in memory, and how that is loaded from and kept in the log.
//!
//! State is kept in the project's own topic, one record per consumer and partition under a key of
//! its own; the newest counts. All writes of a consumer go through one lock, in order: what is
//! kept later never says less than what was kept before.

use crate::node::Node;
use crate::refusal::refusal_of;
use crate::topic::Topic;
use arc_swap::ArcSwap;
use bytes::Bytes;
use consumers::{Book, Kept, Ledger, Place, Ranges, Terms};
use parking_lot::Mutex;
use port::{Code, Delivery, Refusal};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use tenancy::{Consumer, ConsumerId};
use types::filter::{KeyPart, TopicPart};
use types::{Filter, Key, Offset, Partition, Record, TopicId};

/// The definition with what was compiled of it.
pub struct Defined {
    pub record: Consumer,
    pub filter: Filter,
}

impl Defined {
    pub fn new(record: Consumer, topic: &Topic) -> Result<Defined, Refusal> {
        let key = record.config.key_part(&topic.name).map_err(|bad| Refusal::internal(&bad))?;
        let filter = Filter { topic: TopicPart::Exact(topic.name.clone()), key };
        Ok(Defined { record, filter })
    }

    pub fn takes_all(&self) -> bool {
        self.filter.key == KeyPart::All
    }
}

/// Records of one partition that were read ahead.
#[derive(Default)]
pub struct Lane {
    pub ready: VecDeque<Arc<Delivery>>,
    /// What was read ends before this offset.
    pub read_to: Offset,
}

pub struct Runtime {
    pub id: ConsumerId,
    pub topic: Arc<Topic>,
    pub defined: ArcSwap<Defined>,
    pub book: Mutex<Book>,
    /// Whoever reads on holds it; one does so for all.
    pub lanes: tokio::sync::Mutex<Vec<Lane>>,
    /// Whoever writes state holds it until the write is on disk.
    pub writer: tokio::sync::Mutex<()>,
    /// Something became deliverable, or the consumer is gone.
    pub changed: tokio::sync::Notify,
    /// Which dead letters were dealt with, per partition of their topic, once somebody asked.
    pub handled: Mutex<Option<Handled>>,
    pub waiting: AtomicU32,
    /// On the wall clock; 0 is never.
    pub active_ms: AtomicI64,
    pub is_gone: AtomicBool,
}

/// Dead letters dealt with, in a dead-letter topic of this number.
#[derive(Debug, Clone)]
pub struct Handled {
    pub topic: TopicId,
    pub partitions: Vec<Ranges>,
}

/// The key of a ledger's record.
pub fn ledger_key(id: ConsumerId, partition: Partition) -> Key {
    state_key(id, b'p', 0, partition)
}

/// The key of the dead letters' record. It names their topic: one of the same name that was made
/// anew has other letters.
pub fn handled_key(id: ConsumerId, dead: TopicId, partition: Partition) -> Key {
    state_key(id, b'd', dead.0, partition)
}

fn state_key(id: ConsumerId, kind: u8, topic: u64, partition: Partition) -> Key {
    let mut bytes = id.0.as_bytes().to_vec();
    bytes.push(kind);
    bytes.extend_from_slice(&topic.to_be_bytes());
    bytes.extend_from_slice(&partition.to_be_bytes());
    // Far below the longest key there may be.
    Key::new(bytes).unwrap_or_else(|_| unreachable!("29 bytes are a key"))
}

pub fn state_record(key: Key, value: Vec<u8>) -> Record {
    Record { key: Some(key), value: Some(value.into()), ..Record::default() }
}

/// Marks everything unkept again unless told that it is on disk: a caller that leaves in the
/// middle of a write knows nothing about its end.
pub struct Writing<'a> {
    book: &'a Mutex<Book>,
    is_kept: bool,
}

impl<'a> Writing<'a> {
    pub fn new(book: &'a Mutex<Book>) -> Writing<'a> {
        Writing { book, is_kept: false }
    }

    pub fn done(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.book.lock().unkept();
        }
    }
}

impl Runtime {
    pub fn touch(&self, node: &Node) {
        self.active_ms.store(node.world.clock.now_ms(), Ordering::Relaxed);
    }

    /// The records that hold what changed, as if those of `without` were acknowledged. The caller
    /// holds `writer`, and appends them before anything else is taken from the book.
    pub fn state(&self, node: &Node, without: &[Place]) -> Vec<Record> {
        let (now, now_ms) = (node.world.clock.monotonic(), node.world.clock.now_ms());
        let mut book = self.book.lock();
        let keeps = book.keep(without, now, now_ms);
        book.kept();
        let record = |keep: consumers::Keep| {
            state_record(ledger_key(self.id, keep.partition), keep.kept.encode())
        };
        keeps.into_iter().map(record).collect()
    }

    pub fn gone(&self) -> Result<(), Refusal> {
        if !self.is_gone.load(Ordering::Acquire) {
            return Ok(());
        }
        let name = &self.defined.load().record.name;
        Err(Refusal::new(Code::NotFound, format!("the consumer `{name}` was deleted"))
            .field("consumer"))
    }
}

impl Node {
    /// Writes down what changed; when it answers, all of it is on disk. Those who come while
    /// somebody writes find their change written with the next write, often by somebody else.
    pub(crate) async fn keep(&self, runtime: &Runtime) -> Result<(), Refusal> {
        let _one_at_a_time = runtime.writer.lock().await;
        if !runtime.book.lock().is_dirty() {
            return Ok(());
        }
        let states = self.states_of(&runtime.topic).await?;
        let records = runtime.state(self, &[]);
        let writing = Writing::new(&runtime.book);
        self.engine.append(states.id, 0, records).await.map_err(refusal_of)?;
        writing.done();
        Ok(())
    }

    /// The newest state of this key; `None` when there is none.
    pub(crate) async fn state_of(
        &self,
        states: &Topic,
        key: Key,
    ) -> Result<Option<Bytes>, Refusal> {
        let found = self.engine.latest(states.id, 0, key).await.map_err(refusal_of)?;
        Ok(found.and_then(|found| found.record.value))
    }

    /// Brings a consumer into memory. A partition whose state was never kept begins where the
    /// definition says.
    pub(crate) async fn load_consumer(
        &self,
        topic: &Arc<Topic>,
        record: Consumer,
    ) -> Result<Arc<Runtime>, Refusal> {
        let states = self.states_of(topic).await?;
        let (now, now_ms) = (self.world.clock.monotonic(), self.world.clock.now_ms());
        let terms = Terms::from(&record.config);
        let mut ledgers = Vec::new();
        let mut generation = 0;
        for partition in 0..topic.partitions() {
            let key = ledger_key(record.id, partition);
            ledgers.push(match self.state_of(&states, key).await? {
                Some(bytes) => {
                    let kept = Kept::decode(&bytes)
                        .ok_or_else(|| Refusal::internal(&"a consumer's state is not readable"))?;
                    generation = generation.max(kept.generation);
                    Ledger::restore(&kept, now, now_ms)
                }
                None => {
                    let start = self.start_of_consumer(topic, record.config.start, partition);
                    Ledger::starting_at(start.await?)
                }
            });
        }
        let runtime = Arc::new(Runtime {
            id: record.id,
            topic: Arc::clone(topic),
            defined: ArcSwap::from_pointee(Defined::new(record, topic)?),
            book: Mutex::new(Book::new(terms, generation, ledgers)),
            lanes: tokio::sync::Mutex::default(),
            writer: tokio::sync::Mutex::default(),
            changed: tokio::sync::Notify::new(),
            handled: Mutex::default(),
            waiting: AtomicU32::new(0),
            active_ms: AtomicI64::new(0),
            is_gone: AtomicBool::new(false),
        });
        self.tell_keys(&runtime).await?;
        self.keep(&runtime).await?;
        Ok(runtime)
    }

    /// With the order of keys, what is pending must be known by key before anything is leased.
    async fn tell_keys(&self, runtime: &Runtime) -> Result<(), Refusal> {
        if runtime.book.lock().terms.ordering != types::consumer::Ordering::Key {
            return Ok(());
        }
        let keyless: Vec<Place> = {
            let book = runtime.book.lock();
            let places = |(partition, ledger): (Partition, &Ledger)| {
                let place = move |offset| Place { partition, offset };
                ledger.keyless().into_iter().map(place).collect::<Vec<Place>>()
            };
            book.ledgers().flat_map(places).collect()
        };
        for found in self.read_places(&runtime.topic, &keyless).await {
            let (place, Ok(Some(delivery))) = found else {
                continue;
            };
            if let Some(key) = &delivery.record.key
                && let Some(ledger) = runtime.book.lock().ledger(place.partition)
            {
                ledger.tell_key(place.offset, self.consumers.hash(key));
            }
        }
        Ok(())
    }
}
