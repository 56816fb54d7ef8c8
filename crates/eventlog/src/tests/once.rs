//! Ids: the same id is stored once, whatever happens between two tries.

use super::*;
use crate::{Placement, Together};
use std::path::Path;
use std::time::Duration;
use stdx::Disk;
use testkit::disk::{Failure, Fault, Operation};
use types::Header;

const HOUR_MS: u64 = 3_600_000;

pub fn with_id(id: &str, text: &str) -> Record {
    let header = Header {
        name: Bytes::from_static(types::record::header::ID.as_bytes()),
        value: Bytes::copy_from_slice(id.as_bytes()),
    };
    Record { headers: [header].into_iter().collect(), ..value(text) }
}

/// Three partitions, a window of an hour, and so little memory that ids go to files soon.
pub fn bed(seed: u64) -> Bed {
    let mut spec = spec(TOPIC, 3, Durability::Durable);
    spec.config.idempotency_window_ms = HOUR_MS;
    let mut bed = Bed::seeded(seed).with(vec![spec]);
    bed.options.ids_memory_bytes_max = 4_000;
    bed.options.snapshot_bytes_max = 2_000;
    bed
}

pub fn to_topic(records: Vec<(Partition, Record)>) -> Vec<(TopicId, Partition, Record)> {
    records.into_iter().map(|(partition, record)| (TOPIC, partition, record)).collect()
}

fn files(bed: &Bed) -> Vec<String> {
    let names = bed.disk.list(Path::new("/data")).expect("lists");
    names.iter().map(|name| name.display().to_string()).collect()
}

async fn publish(log: &EmbeddedLog, records: Vec<(Partition, Record)>) -> Vec<Placement> {
    log.publish(to_topic(records), Together::IfStored).await.expect("is stored")
}

async fn publish_one(log: &EmbeddedLog, partition: Partition, id: &str) -> Placement {
    publish(log, vec![(partition, with_id(id, id))]).await[0]
}

async fn all_texts(log: &EmbeddedLog) -> Vec<String> {
    let mut texts = Vec::new();
    for partition in 0..3 {
        let found = read_all(log, TOPIC, partition, 0).await.expect("reads");
        texts.extend(found.into_iter().map(|(_, text)| text));
    }
    texts
}

fn place(placement: &Placement) -> (Partition, Offset, bool) {
    (placement.partition, placement.offset, placement.is_duplicate)
}

#[tokio::test]
async fn a_duplicate_is_answered_with_the_first_place_in_any_partition() {
    let bed = bed(1);
    let log = bed.open();
    publish_one(&log, 1, "other").await;
    let first = publish_one(&log, 1, "a").await;
    assert_eq!(place(&first), (1, 1, false));
    let again = publish_one(&log, 2, "a").await;
    assert_eq!((place(&again), again.timestamp), ((1, 1, true), first.timestamp));
    // In one call, among others, over two partitions.
    let mixed = vec![
        (0, with_id("b", "b")),
        (0, with_id("a", "a")),
        (2, with_id("b", "b")),
        (0, value("without")),
        (2, with_id("c", "c")),
    ];
    let places = publish(&log, mixed).await;
    let places = places.iter().map(place).collect::<Vec<_>>();
    let want = [(0, 0, false), (1, 1, true), (0, 0, true), (0, 1, false), (2, 0, false)];
    assert_eq!(places, want);
    assert_eq!(all_texts(&log).await, ["b", "without", "other", "a", "c"]);
}

#[tokio::test]
async fn what_was_seen_survives_a_crash_an_end_and_the_files() {
    let bed = bed(2);
    let mut log = bed.open();
    let mut places = Vec::new();
    for number in 0..300 {
        let placed = publish_one(&log, number % 3, &format!("id-{number}")).await;
        places.push((placed.partition, placed.offset));
        if number % 20 == 19 {
            log.maintain();
        }
        match number {
            100 => log = bed.crash(log),
            200 => {
                log.close().await;
                drop(log);
                log = bed.open();
            }
            _ => {}
        }
    }
    log = bed.crash(log);
    let files = files(&bed);
    assert!(files.iter().any(|name| name.ends_with(".run")), "{files:?}");
    for (number, (partition, offset)) in places.iter().enumerate() {
        let again = publish_one(&log, 0, &format!("id-{number}")).await;
        assert_eq!(place(&again), (*partition, *offset, true), "id-{number}");
    }
    assert_eq!(all_texts(&log).await.len(), 300);
}

#[tokio::test]
async fn a_window_ends_and_may_be_off() {
    let mut bed = bed(3);
    let log = bed.open();
    publish_one(&log, 0, "a").await;
    bed.clock.advance(std::time::Duration::from_millis(HOUR_MS));
    assert!(publish_one(&log, 0, "a").await.is_duplicate);
    bed.clock.advance(std::time::Duration::from_millis(1));
    assert_eq!(place(&publish_one(&log, 0, "a").await), (0, 1, false));
    drop(log);
    bed.topics[0].config.idempotency_window_ms = 0;
    let log = bed.open();
    assert_eq!(place(&publish_one(&log, 0, "a").await), (0, 2, false));
}

#[tokio::test]
async fn a_duplicate_waits_for_the_first_and_fails_with_it() {
    let bed = bed(4);
    bed.disk.set_capacity(2 << 20);
    let log = bed.open();
    while log.append(TOPIC, 2, vec![large(50 << 10)]).await.is_ok() {}
    // Neither fits: the writer may have refused the first before the second comes.
    let wide = "x".repeat(50 << 10);
    let first = log.publish(to_topic(vec![(0, with_id("a", &wide))]), Together::IfStored);
    let second = log.publish(to_topic(vec![(1, with_id("a", &wide))]), Together::IfStored);
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first, Err(LogError::Full));
    assert_eq!(second, Err(LogError::Full));
    bed.disk.set_capacity(1 << 40);
    assert_eq!(place(&publish_one(&log, 1, "a").await), (1, 0, false));
    assert!(publish_one(&log, 0, "a").await.is_duplicate);
}

#[tokio::test]
async fn a_damaged_file_of_ids_is_made_anew_from_the_records() {
    let bed = bed(5);
    let log = bed.open();
    for number in 0..60 {
        publish_one(&log, 0, &format!("id-{number}")).await;
        log.maintain();
    }
    log.close().await;
    drop(log);
    let files = files(&bed);
    let run = files.iter().find(|name| name.ends_with(".run")).expect("there is one");
    assert!(bed.disk.flip_bits(&Path::new("/data").join(run), 5_000, 8));
    let log = bed.open();
    for number in 0..60 {
        let again = publish_one(&log, 1, &format!("id-{number}")).await;
        assert_eq!(place(&again), (0, number, true));
    }
}

#[tokio::test]
async fn a_damaged_state_is_refused() {
    let bed = bed(6);
    let log = bed.open();
    publish_one(&log, 0, "a").await;
    log.close().await;
    drop(log);
    assert!(bed.disk.flip_bits(Path::new("/data/state"), 30, 1));
    let error = bed.try_open().err().expect("is refused");
    assert!(error.to_string().contains("`state` is damaged"), "{error}");
}

#[tokio::test]
async fn an_id_that_cannot_be_looked_up_is_refused() {
    for nth in 1..4 {
        let bed = bed(nth);
        let log = bed.open();
        let first = publish_one(&log, 0, "a").await;
        let others = (0..12).map(|id| (0, with_id(&format!("other {id}"), &"x".repeat(200))));
        publish(&log, others.collect()).await;
        log.maintain();
        bed.disk.inject(Fault { operation: Operation::Read, nth, failure: Failure::Io });
        let again = log.publish(to_topic(vec![(1, with_id("a", "a"))]), Together::IfStored).await;
        match again {
            Ok(again) => assert_eq!(place(&again[0]), (0, first.offset, true), "read {nth}"),
            Err(error) => assert!(matches!(error, LogError::Failed(_)), "{error}"),
        }
        bed.disk.calm();
        // Nothing is forgotten by it.
        assert_eq!(place(&publish_one(&log, 2, "a").await), (0, first.offset, true));
    }
}

/// A publisher's own timestamp may be of any time: the window begins when the record comes.
#[tokio::test]
async fn an_id_of_a_record_with_an_old_timestamp_survives_a_crash() {
    let bed = bed(7);
    let log = bed.open();
    let log = bed.crash(log);
    bed.clock.advance(Duration::from_millis(HOUR_MS / 2));
    let old = Record { timestamp: Some(NOW_MS - 10 * HOUR_MS as i64), ..with_id("a", "a") };
    assert_eq!(place(&publish(&log, vec![(1, old.clone())]).await[0]), (1, 0, false));
    let log = bed.crash(log);
    bed.clock.advance(Duration::from_millis(HOUR_MS - 1));
    assert_eq!(place(&publish(&log, vec![(1, old.clone())]).await[0]), (1, 0, true));
    bed.clock.advance(Duration::from_millis(2));
    assert_eq!(place(&publish(&log, vec![(1, old)]).await[0]), (1, 1, false));
}
