//! Streams with state: what a task emits is there exactly once, whoever runs it and whenever it
//! fails.

use super::Stand;
use super::library::cluster;
use crate::stand::within;
use bytes::Bytes;
use kafka_client::admin::{Admin, NewTopic};
use kafka_client::consumer::{self, Consumer, Message};
use kafka_client::producer::{self, Producer};
use kafka_client::streams::{Options, Outputs, Processor, Store, Task};
use kafka_client::{Error, Record, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const WAIT: Duration = Duration::from_millis(200);
const COUNT: u64 = 60;

/// Counts by key, and emits each count.
fn count(message: &Message, store: &mut Store, out: &mut Outputs) -> Result<()> {
    let key = message.record.key.clone().unwrap_or_default();
    let before = store.get("counts", &key).and_then(|bytes| bytes.first_chunk::<8>().copied());
    let after = before.map_or(0, u64::from_be_bytes) + 1;
    store.put("counts", &key, after.to_be_bytes().to_vec())?;
    out.send("counts", Record::new(key, format!("{after}")));
    Ok(())
}

/// One step that has something to do.
async fn step<P: Processor>(task: &mut Task<P>) -> Result<usize> {
    let stepped = async {
        loop {
            match task.step(WAIT).await {
                Ok(0) => {}
                stepped => return stepped,
            }
        }
    };
    within("a step", stepped).await
}

fn options() -> Options {
    Options { records_max: 7, ..Options::new("counter", &["words"], 0) }
}

#[tokio::test]
async fn counts_go_on_exactly_once_over_failures_and_takeovers() {
    let stand = Stand::new().await;
    let cluster = cluster(&stand).await;
    let admin = Admin::new(Arc::clone(&cluster));
    for topic in ["words", "counts"] {
        admin.create_topic(&NewTopic::new(topic, 1)).await.expect("made");
    }
    let producer = Producer::open(&cluster, producer::Options::default()).await.expect("opened");
    for index in 0..COUNT {
        let record = Record::new(format!("k{}", index % 3), format!("{index}"));
        producer.send("words", record).await.expect("taken");
    }
    producer.close().await.expect("closed");

    let open = async || within("a task", Task::open(&cluster, options(), count)).await;
    let mut first = open().await.expect("opened");
    assert!(step(&mut first).await.expect("done") > 0);
    // One that fails in the middle of a step: what it emitted before does not count.
    let mut left = 4;
    let failing = |message: &Message, store: &mut Store, out: &mut Outputs| {
        count(message, store, out)?;
        left -= 1;
        if left > 0 { Ok(()) } else { Err(Error::Invalid("it failed".to_owned())) }
    };
    let failed = Task::open(&cluster, options(), failing);
    let mut failed = within("a task", failed).await.expect("opened");
    assert_eq!(failed.store().len(), 3, "the counts are restored");
    assert!(step(&mut failed).await.is_err());
    assert!(failed.step(WAIT).await.is_err(), "it is to be opened again");
    let mut second = open().await.expect("opened");
    // Who had it before is fenced: its step does not count.
    assert!(step(&mut first).await.is_err());
    let mut done = 0;
    while second.store().get("counts", b"k2") != Some(&Bytes::copy_from_slice(&20u64.to_be_bytes()))
    {
        done += step(&mut second).await.expect("done");
    }
    assert!(done > 0);
    let reading = consumer::Options::default();
    let place = ("counts".to_owned(), 0);
    let mut reader = Consumer::assigned(&cluster, reading, None, [place]).await.expect("assigned");
    let mut found: BTreeMap<Bytes, Vec<u64>> = BTreeMap::new();
    let mut records = 0;
    while records < COUNT {
        for message in within("records", reader.poll(WAIT)).await.expect("records") {
            let text = message.record.value.expect("a value");
            let number = String::from_utf8_lossy(&text).parse().expect("a number");
            found.entry(message.record.key.expect("a key")).or_default().push(number);
            records += 1;
        }
    }
    let expected: Vec<u64> = (1..=COUNT / 3).collect();
    assert_eq!(found.into_values().collect::<Vec<_>>(), vec![expected; 3]);
    assert_eq!(admin.committed("counter").await.expect("asked")[&("words".into(), 0)].offset, 60);
}
