//! Whatever a broker does to its requests, a producer's records are there once and in their order.

use super::broker::{Broker, Fault};
use crate::batches::records;
use crate::producer::{Options, Producer};
use crate::{Cluster, Error, Record, Settings};
use proptest::prelude::*;
use wire_kafka::errors as codes;

fn options() -> Options {
    // A batch holds few records, so that there are many under way.
    Options { linger_ms: 0, batch_bytes: 150, ..Options::default() }
}

/// Sends as many records; answers their outcomes, and what lies at the broker.
async fn sent(faults: Vec<Fault>, count: usize) -> (Vec<Result<i64, Error>>, Vec<(i64, String)>) {
    let broker = Broker::start(faults).await;
    let settings = Settings { retry_wait_ms: 1, ..broker.settings.clone() };
    let cluster = Cluster::connect(settings).await.expect("connected");
    let producer = Producer::open(&cluster, options()).await.expect("opened");
    let mut receipts = Vec::new();
    for index in 0..count {
        let record = Record::new("k", format!("{index}"));
        receipts.push(producer.send("t", record).await.expect("taken"));
    }
    producer.flush().await.expect("flushed");
    let mut outcomes = Vec::new();
    for receipt in receipts {
        outcomes.push(receipt.await.map(|place| place.offset));
    }
    let mut stored = Vec::new();
    for batch in &broker.log.lock().batches {
        for (_, record) in records(batch).expect("records") {
            let value = String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned();
            stored.push((stored.len() as i64, value));
        }
    }
    (outcomes, stored)
}

fn any_faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![
        3 => Just(Fault::None),
        1 => Just(Fault::Misled),
        1 => Just(Fault::Lost),
        1 => Just(Fault::Unanswered),
    ];
    prop::collection::vec(fault, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// **Feature: realtime-saas-platform, Property KAFKA-CLIENT-01: a producer's records are stored
    /// once and in their order, and each receipt says where, whichever of its requests are lost,
    /// refused for a while, or stored without an answer.**
    #[test]
    fn once_and_in_order(faults in any_faults(), count in 1..60usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (outcomes, stored) = runtime.expect("a runtime").block_on(sent(faults, count));
        let expected: Vec<(i64, String)> =
            (0..count).map(|index| (index as i64, format!("{index}"))).collect();
        prop_assert_eq!(stored, expected);
        let outcomes: Vec<i64> = outcomes.into_iter().map(|it| it.expect("stored")).collect();
        prop_assert_eq!(outcomes, (0..count as i64).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_batch_that_is_refused_does_not_hold_up_those_behind_it() {
    let (outcomes, stored) = sent(vec![Fault::None, Fault::Refused], 40).await;
    let refused: Vec<usize> = (0..40).filter(|&index| outcomes[index].is_err()).collect();
    assert!(!refused.is_empty() && refused.len() < 20, "one batch: {refused:?}");
    for &index in &refused {
        assert!(outcomes[index].as_ref().is_err_and(|it| it.is(codes::MESSAGE_TOO_LARGE)));
    }
    let kept = (0..40).filter(|index| !refused.contains(index)).map(|index| format!("{index}"));
    let stored: Vec<String> = stored.into_iter().map(|(_, value)| value).collect();
    assert_eq!(stored, kept.collect::<Vec<_>>(), "the others are there, in their order");
}

#[tokio::test]
async fn a_record_that_does_not_fit_is_refused_and_a_full_buffer_makes_wait() {
    let broker = Broker::start(Vec::new()).await;
    let cluster = Cluster::connect(broker.settings.clone()).await.expect("connected");
    let small = Options { buffer_bytes_max: 200, linger_ms: 60_000, ..Options::default() };
    let producer = Producer::open(&cluster, small).await.expect("opened");
    let large = producer.send("t", Record::new("k", vec![0; 500])).await;
    assert!(matches!(large, Err(Error::Invalid(_))), "{large:?}");
    let first = producer.send("t", Record::new("k", vec![0; 100])).await.expect("taken");
    let mut second = Box::pin(producer.send("t", Record::new("k", vec![0; 100])));
    assert!(futures_util::poll!(&mut second).is_pending(), "there is no room");
    producer.flush().await.expect("flushed");
    first.await.expect("stored");
    let second = second.await.expect("there is room");
    producer.flush().await.expect("flushed");
    second.await.expect("stored");
}
