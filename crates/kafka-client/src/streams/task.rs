//! A processor over one partition of its inputs: restored, run, committed.

use super::Store;
use crate::admin::{Admin, At, NewTopic};
use crate::consumer::{self, Asked, Consumer, Message};
use crate::producer::{self, GroupMember, Producer};
use crate::{Cluster, Error, Record, Result, batches};
use std::sync::Arc;
use std::time::Duration;
use wire_kafka::errors as codes;

/// What is done with each record. An error fails the task: nothing of what was polled with it
/// counts.
pub trait Processor: Send {
    /// # Errors
    /// When the record cannot be dealt with, or the store is full.
    fn process(&mut self, message: &Message, store: &mut Store, out: &mut Outputs) -> Result<()>;
}

impl<F> Processor for F
where
    F: FnMut(&Message, &mut Store, &mut Outputs) -> Result<()> + Send,
{
    fn process(&mut self, message: &Message, store: &mut Store, out: &mut Outputs) -> Result<()> {
        self(message, store, out)
    }
}

/// What a processor emits; it is sent when all that was polled was processed.
#[derive(Debug, Default)]
pub struct Outputs(Vec<(String, Record)>);

impl Outputs {
    /// To the partition of the record's key.
    pub fn send(&mut self, topic: &str, record: Record) {
        self.0.push((topic.to_owned(), record));
    }
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Names the group whose offsets say how far it is, and the transactional ids.
    pub app: String,
    /// Topics that are partitioned alike.
    pub inputs: Vec<String>,
    /// The compacted topic that keeps the store; made with as many partitions as the first input
    /// when there is none. No other app may use it.
    pub changelog: String,
    pub partition: i32,
    /// Entries of the store.
    pub entries_max: usize,
    /// Records of one transaction.
    pub records_max: usize,
}

impl Options {
    pub fn new(app: &str, inputs: &[&str], partition: i32) -> Options {
        Options {
            app: app.to_owned(),
            inputs: inputs.iter().map(|name| (*name).to_owned()).collect(),
            changelog: format!("{app}-changelog"),
            partition,
            entries_max: 1_000_000,
            records_max: 1_000,
        }
    }
}

/// One that has failed does nothing more: open it again, and it goes on from what is committed.
pub struct Task<P> {
    options: Options,
    processor: P,
    store: Store,
    consumer: Consumer,
    producer: Producer,
    is_broken: bool,
}

impl<P> std::fmt::Debug for Task<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Task({}-{})", self.options.app, self.options.partition)
    }
}

impl<P: Processor> Task<P> {
    /// Takes the partition over, restores the store, and stands where the last commit was.
    ///
    /// # Errors
    /// When the brokers refuse something, or the store is larger than it may be.
    pub async fn open(cluster: &Arc<Cluster>, options: Options, processor: P) -> Result<Task<P>> {
        let partition = options.partition;
        make_changelog(cluster, &options).await?;
        // Before anything is read: from here on nobody else commits for the partition.
        let producing = producer::Options {
            transactional_id: Some(format!("{}-{partition}", options.app)),
            ..producer::Options::default()
        };
        let producer = Producer::open(cluster, producing).await?;
        let mut store = Store::new(options.entries_max);
        restore(cluster, &options, &mut store).await?;
        let consuming = consumer::Options {
            poll_records_max: options.records_max,
            ..consumer::Options::default()
        };
        let places = options.inputs.iter().map(|name| (name.clone(), partition));
        let consumer = Consumer::assigned(cluster, consuming, Some(&options.app), places).await?;
        Ok(Task { options, processor, store, consumer, producer, is_broken: false })
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Waits for records, processes what has come, and commits it; answers how many they were.
    ///
    /// # Errors
    /// When something failed; then nothing of this step counts, unless it was the answer to the
    /// commit that did not come, and the task is to be opened again.
    pub async fn step(&mut self, wait: Duration) -> Result<usize> {
        if self.is_broken {
            let why = "the task has failed; open it again".to_owned();
            return Err(Error::Invalid(why));
        }
        let messages = self.consumer.poll(wait).await?;
        if messages.is_empty() {
            return Ok(0);
        }
        self.is_broken = true;
        self.producer.begin()?;
        match self.commit(&messages).await {
            Ok(()) => {
                self.is_broken = false;
                Ok(messages.len())
            }
            Err(error) => {
                // If this fails too, the next who opens the task gives the transaction up.
                let _ = self.producer.abort().await;
                Err(error)
            }
        }
    }

    async fn commit(&mut self, messages: &[Message]) -> Result<()> {
        let mut out = Outputs::default();
        for message in messages {
            self.processor.process(message, &mut self.store, &mut out)?;
        }
        for (topic, record) in out.0 {
            // A receipt that is not waited for is seen by the commit.
            drop(self.producer.send(&topic, record).await?);
        }
        let (changelog, partition) = (&self.options.changelog, self.options.partition);
        for (key, value) in self.store.changes() {
            let record = Record { key: Some(key), value, ..Record::default() };
            drop(self.producer.send_to(changelog, partition, record).await?);
        }
        let member = GroupMember::alone(&self.options.app);
        self.producer.send_offsets(&self.consumer.positions(), &member).await?;
        self.producer.commit().await
    }
}

async fn make_changelog(cluster: &Arc<Cluster>, options: &Options) -> Result<()> {
    let missing = match cluster.topic(&options.changelog).await {
        Ok(_) => return Ok(()),
        Err(error) if error.is(codes::UNKNOWN_TOPIC_OR_PARTITION) => error,
        Err(error) => return Err(error),
    };
    let Some(input) = options.inputs.first() else { return Err(missing) };
    let count = cluster.topic(input).await?.partitions.len();
    let mut topic = NewTopic::new(&options.changelog, i32::try_from(count).unwrap_or(i32::MAX));
    topic.settings.insert("cleanup.policy".to_owned(), "compact".to_owned());
    match Admin::new(Arc::clone(cluster)).create_topic(&topic).await {
        // Another task was quicker.
        Err(error) if error.is(codes::TOPIC_ALREADY_EXISTS) => Ok(()),
        made => made,
    }
}

/// Reads the changelog from its start to its end, as it is now.
async fn restore(cluster: &Arc<Cluster>, options: &Options, store: &mut Store) -> Result<()> {
    const AMOUNT: consumer::Amount = consumer::Amount {
        wait_ms: 0,
        bytes_max: 8 * 1024 * 1024,
        partition_bytes_max: 8 * 1024 * 1024,
    };
    let admin = Admin::new(Arc::clone(cluster));
    let (topic, partition) = (options.changelog.clone(), options.partition);
    let end = admin.offset(&topic, partition, At::Latest).await?.unwrap_or(0);
    let offset = admin.offset(&topic, partition, At::Earliest).await?.unwrap_or(0);
    let mut asked = Asked { topic, partition, offset };
    while asked.offset < end {
        let before = asked.offset;
        for stored in consumer::fetch(cluster, &asked, AMOUNT).await?.batches {
            asked.offset = asked.offset.max(stored.head.next_offset());
            if !stored.counts {
                continue;
            }
            for (_, record) in batches::records(&stored.bytes)? {
                if let Some(key) = record.key {
                    store.restore(key, record.value)?;
                }
            }
        }
        if asked.offset == before {
            return Err(Error::Invalid(format!("nothing can be read at offset {before}")));
        }
    }
    Ok(())
}
