//! Producers that number their batches, and transactions that are begun and ended.

use super::*;
use crate::End;
use std::time::Duration;
use testkit::disk::{Failure, Fault, Operation};
use types::batch::sequence_after;
use types::{BatchBuilder, Producer, Stamp};

const MINUTE: Duration = Duration::from_secs(60);

pub fn numbered(producer: Producer, sequence: i32, texts: &[&str]) -> Batch {
    let stamp = Stamp { producer, sequence: Some(sequence), is_transactional: false };
    stamped(stamp, texts)
}

fn stamped(stamp: Stamp, texts: &[&str]) -> Batch {
    let mut builder = BatchBuilder::new(0, 0).stamped(stamp);
    for text in texts {
        builder.push(&value(text), NOW_MS).expect("fits");
    }
    builder.finish().expect("has records")
}

async fn send(log: &EmbeddedLog, batch: Batch) -> Result<Offset, LogError> {
    log.append_batch(TOPIC, 0, batch, None).await.map(|appended| appended.base_offset)
}

async fn texts(log: &EmbeddedLog, partition: Partition) -> Vec<String> {
    let (found, _) = read_shown(log, TOPIC, partition, 0).await.expect("reads");
    found.into_iter().map(|(_, text)| text).collect()
}

fn two_partitions() -> Bed {
    let mut bed = Bed::new().with(vec![spec(TOPIC, 2, Durability::Durable)]);
    bed.options.snapshot_bytes_max = 1;
    bed
}

#[tokio::test]
async fn a_batch_sent_again_gets_its_first_place_also_after_a_restart() {
    let bed = two_partitions();
    let mut log = bed.open();
    let producer = log.new_producer();
    append(&log, vec![value("other")]).await;
    for number in 0..7i32 {
        let text = number.to_string();
        let sent = send(&log, numbered(producer, 2 * number, &[&text, "x"])).await;
        assert_eq!(sent, Ok(1 + 2 * number as u64));
    }
    for turn in 0..3 {
        assert_eq!(send(&log, numbered(producer, 12, &["6", "x"])).await, Ok(13));
        assert_eq!(send(&log, numbered(producer, 4, &["2", "x"])).await, Ok(5));
        let expected = LogError::OutOfOrder { expected: 14 };
        for wrong in [2, 13, 15, 16] {
            let sent = send(&log, numbered(producer, wrong, &["?", "?"])).await;
            assert_eq!(sent, Err(expected.clone()), "{wrong} in turn {turn}");
        }
        log = match turn {
            0 => bed.crash(log),
            _ => {
                log.maintain();
                log.close().await;
                drop(log);
                bed.open()
            }
        };
    }
    assert_eq!(texts(&log, 0).await.len(), 15);
    assert_eq!(send(&log, numbered(producer, 14, &["7"])).await, Ok(15));
    let newer = Producer { epoch: 1, ..producer };
    let expected = Err(LogError::OutOfOrder { expected: 0 });
    assert_eq!(send(&log, numbered(newer, 15, &["8"])).await, expected);
    assert_eq!(send(&log, numbered(newer, 0, &["8"])).await, Ok(16));
    assert_eq!(send(&log, numbered(producer, 15, &["8"])).await, Err(LogError::Fenced));
    assert_ne!(log.new_producer().id, producer.id);
}

#[tokio::test]
async fn numbers_go_on_at_zero_and_the_silent_are_forgotten() {
    let bed = two_partitions();
    let log = bed.open();
    let producer = log.new_producer();
    let last = i32::MAX - 1;
    assert_eq!(send(&log, numbered(producer, last, &["a", "b", "c"])).await, Ok(0));
    assert_eq!(sequence_after(last, 3), 1);
    assert_eq!(send(&log, numbered(producer, 1, &["d"])).await, Ok(3));
    bed.clock.advance(Duration::from_secs(25 * 3_600));
    append(&log, vec![value("e")]).await;
    log.maintain();
    assert_eq!(send(&log, numbered(producer, 77, &["f"])).await, Ok(5));
}

#[tokio::test]
async fn readers_see_a_transaction_when_it_is_committed() {
    let bed = two_partitions();
    let log = bed.open();
    let witness = Arc::new(Witness::default());
    log.observe(witness.clone());
    let producer = log.new_producer();
    log.begin(producer, MINUTE).expect("begins");
    log.append_in(producer, TOPIC, 0, vec![value("a")]).await.expect("is stored");
    log.append_in(producer, TOPIC, 1, vec![value("b")]).await.expect("is stored");
    assert_eq!(append(&log, vec![value("behind")]).await, 1);
    assert_eq!(log.bounds(TOPIC, 0).expect("known").end, 0, "nothing behind it is shown");
    assert!(witness.offsets(TOPIC, 0).is_empty());
    let next = log.end(producer, End::Commit).await.expect("is committed");
    assert_eq!(next, Producer { epoch: 1, ..producer });
    assert_eq!(texts(&log, 0).await, ["a", "behind"]);
    assert_eq!(texts(&log, 1).await, ["b"]);
    // The answer was lost: asked again it is the same, and the next one is not touched.
    assert_eq!(log.end(producer, End::Commit).await, Ok(next));
    log.begin(next, MINUTE).expect("begins");
    log.append_in(next, TOPIC, 0, vec![value("c")]).await.expect("is stored");
    assert_eq!(log.end(producer, End::Commit).await, Ok(next), "nothing is ended by it");
    assert_eq!(log.end(producer, End::Abort).await, Err(LogError::TransactionUnknown));
    assert_eq!(texts(&log, 0).await, ["a", "behind"]);
    let last = log.end(next, End::Abort).await.expect("is given up");
    append(&log, vec![value("d")]).await;
    assert_eq!(texts(&log, 0).await, ["a", "behind", "d"]);
    assert_eq!(log.begin(next, MINUTE), Err(LogError::Fenced));
    log.begin(last, MINUTE).expect("begins");
    let log = bed.crash(log);
    assert_eq!(texts(&log, 0).await, ["a", "behind", "d"]);
    assert_eq!(witness.offsets(TOPIC, 0), [0, 1, 3]);
    // Whoever did not hear of his commit asks again after the crash.
    let now = log.producer_now(producer.id).expect("known");
    assert_eq!(log.end(producer, End::Commit).await, Ok(now));
    assert_eq!(log.end(producer, End::Abort).await, Err(LogError::Fenced));
    assert_eq!(log.end(next, End::Commit).await, Err(LogError::Fenced), "it was given up");
}

#[tokio::test]
async fn what_is_open_for_too_long_or_taken_over_is_given_up() {
    let bed = two_partitions();
    let log = bed.open();
    let producer = log.new_producer();
    log.begin(producer, MINUTE).expect("begins");
    log.add(producer, TOPIC, 1).expect("is open");
    let stamp = Stamp { producer, sequence: Some(0), is_transactional: true };
    assert_eq!(send(&log, stamped(stamp, &["a"])).await, Ok(0));
    append(&log, vec![value("b")]).await;
    bed.clock.advance(MINUTE);
    log.maintain();
    assert_eq!(texts(&log, 0).await, ["b"]);
    assert_eq!(log.end(producer, End::Commit).await, Err(LogError::TransactionUnknown));
    assert_eq!(send(&log, stamped(stamp, &["a"])).await, Err(LogError::Fenced));

    let second = Producer { epoch: 1, ..producer };
    log.begin(second, MINUTE).expect("begins");
    log.append_in(second, TOPIC, 0, vec![value("c")]).await.expect("is stored");
    let third = log.take_over(second).await.expect("is durable");
    assert_eq!(third.epoch, 2);
    assert_eq!(log.end(second, End::Commit).await, Err(LogError::TransactionUnknown));
    let log = bed.crash(log);
    assert_eq!(log.begin(second, MINUTE), Err(LogError::Fenced), "also after a crash");
    log.begin(third, MINUTE).expect("begins");
    assert_eq!(texts(&log, 0).await, ["b"]);
}

#[tokio::test]
async fn a_restart_gives_up_what_is_open() {
    let bed = two_partitions();
    let mut log = bed.open();
    let producer = log.new_producer();
    log.begin(producer, MINUTE).expect("begins");
    log.append_in(producer, TOPIC, 0, vec![value("a")]).await.expect("is stored");
    append(&log, vec![value("b")]).await;
    // The snapshot knows it as undecided; what comes after is found by the scan.
    log.maintain();
    log.append_in(producer, TOPIC, 0, vec![value("c")]).await.expect("is stored");
    for _ in 0..2 {
        log = bed.crash(log);
        assert_eq!(texts(&log, 0).await, ["b"]);
        assert_eq!(log.end(producer, End::Commit).await, Err(LogError::Fenced));
    }
    assert_eq!(append(&log, vec![value("d")]).await, 3);
}

#[tokio::test]
async fn what_waits_behind_a_transaction_is_bounded() {
    let mut bed = two_partitions();
    bed.options.held_bytes_max = 10_000;
    let log = bed.open();
    let producer = log.new_producer();
    log.begin(producer, MINUTE).expect("begins");
    log.append_in(producer, TOPIC, 0, vec![value("a")]).await.expect("is stored");
    append(&log, vec![large(20_000)]).await;
    assert_eq!(log.append(TOPIC, 0, vec![value("b")]).await, Err(LogError::Busy));
    log.append(TOPIC, 1, vec![value("elsewhere")]).await.expect("is not behind it");
    log.end(producer, End::Commit).await.expect("is committed");
    append(&log, vec![value("b")]).await;
}

#[tokio::test]
async fn retention_stops_at_what_waits_for_a_transaction() {
    let bed = two_partitions();
    let log = bed.open();
    let producer = log.new_producer();
    log.begin(producer, 10 * MINUTE).expect("begins");
    append(&log, vec![value("before")]).await;
    log.append_in(producer, TOPIC, 0, vec![value("a")]).await.expect("is stored");
    append(&log, vec![value("behind")]).await;
    let mut spec = spec(TOPIC, 2, Durability::Durable);
    spec.config.retention.age_ms_max = Some(1_000);
    log.put_topic(spec).expect("is changed");
    bed.clock.advance(MINUTE);
    log.maintain();
    let bounds = log.bounds(TOPIC, 0).expect("known");
    assert_eq!((bounds.start, bounds.end), (1, 1), "nobody has seen what comes after");
    log.end(producer, End::Commit).await.expect("is committed");
    assert_eq!(log.bounds(TOPIC, 0).expect("known").end, 3);
    log.maintain();
    assert_eq!(log.bounds(TOPIC, 0).expect("known").start, 3);
}

#[tokio::test]
async fn what_was_given_up_stays_unseen_when_a_checkpoint_fails() {
    for nth in 1..10 {
        let bed = two_partitions();
        let log = bed.open();
        let producer = log.new_producer();
        log.begin(producer, MINUTE).expect("begins");
        log.append_in(producer, TOPIC, 0, vec![value("a")]).await.expect("is stored");
        log.end(producer, End::Abort).await.expect("is given up");
        append(&log, vec![value("b")]).await;
        let mut spec = spec(TOPIC, 2, Durability::Durable);
        spec.config.retention.age_ms_max = Some(1_000);
        log.put_topic(spec).expect("is changed");
        bed.clock.advance(MINUTE);
        bed.disk.inject(Fault { operation: Operation::Flush, nth, failure: Failure::Io });
        log.maintain();
        bed.disk.calm();
        let log = bed.crash(log);
        let start = log.bounds(TOPIC, 0).expect("known").start;
        let (found, _) = read_shown(&log, TOPIC, 0, start).await.expect("reads");
        let texts: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
        assert!(texts.iter().all(|text| text == "b"), "flush {nth}: {texts:?} from {start}");
    }
}

#[tokio::test]
async fn an_epoch_that_ended_after_the_snapshot_is_over_after_a_crash() {
    for is_dropped in [false, true] {
        let mut bed = two_partitions();
        let log = bed.open();
        let producer = log.new_producer();
        log.begin(producer, MINUTE).expect("begins");
        log.append_in(producer, TOPIC, 0, vec![value("a")]).await.expect("is stored");
        log.maintain();
        if is_dropped {
            log.drop_topic(TOPIC).expect("is dropped");
            bed.topics.clear();
        }
        let next = log.end(producer, End::Commit).await.expect("is durable");
        let log = bed.crash(log);
        assert_eq!(log.begin(producer, MINUTE), Err(LogError::Fenced), "dropped: {is_dropped}");
        log.begin(next, MINUTE).expect("begins");
    }
}

#[tokio::test]
async fn a_log_without_space_to_be_opened_gives_no_producer_of_another_opening() {
    let bed = two_partitions();
    append(&bed.open(), vec![value("a")]).await;
    let mut given = Vec::new();
    for turn in 0..3 {
        let fault = Fault { operation: Operation::Rename, nth: 1, failure: Failure::Full };
        if turn == 0 {
            bed.disk.inject(fault);
        }
        let log = bed.open();
        given.extend((0..3).map(|_| log.new_producer().id));
        bed.disk.calm();
        drop(log);
    }
    let count = given.len();
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), count, "{given:?}");
}
