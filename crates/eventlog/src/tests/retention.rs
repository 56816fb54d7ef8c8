//! Removing the oldest: by age, by bytes, per tenant; extents go back, offsets never do.

use super::*;
use crate::Bounds;
use std::path::Path;
use std::time::Duration;
use stdx::Disk;

const DAY: Duration = Duration::from_secs(86_400);
const DAY_MS: u64 = 86_400_000;

#[tokio::test]
async fn records_past_their_age_go_batch_by_batch() {
    let bed = Bed::new().with(vec![kept(spec(TOPIC, 1, Durability::Durable), Some(DAY_MS), None)]);
    let log = bed.open();
    append(&log, vec![value("old"), value("old")]).await;
    bed.clock.advance(DAY / 2);
    append(&log, vec![value("young")]).await;
    log.maintain();
    assert_eq!(log.bounds(TOPIC, 0), Ok(Bounds { start: 0, end: 3 }));
    bed.clock.advance(DAY / 2 + Duration::from_millis(1));
    log.maintain();
    assert_eq!(log.bounds(TOPIC, 0), Ok(Bounds { start: 2, end: 3 }));
    assert_eq!(log.read(TOPIC, 0, 1, 1).await, Err(LogError::OffsetGone { start: 2 }));
    assert_eq!(read_all(&log, TOPIC, 0, 2).await, Ok(vec![(2, "young".to_owned())]));
    assert_eq!(log.offset_at(TOPIC, 0, 0).await, Ok(2));
    bed.clock.advance(DAY);
    log.maintain();
    assert_eq!(log.bounds(TOPIC, 0), Ok(Bounds { start: 3, end: 3 }));
    assert_eq!((log.stored_bytes(TOPIC), log.tenant_bytes(tenant(1))), (0, 0));
    assert_eq!(append(&log, vec![value("next")]).await, 3);
}

#[tokio::test]
async fn no_offset_comes_twice_after_everything_was_removed() {
    for is_crash in [false, true] {
        let topics = vec![kept(spec(TOPIC, 1, Durability::Durable), Some(DAY_MS), None)];
        let bed = Bed::new().with(topics);
        let log = bed.open();
        append(&log, vec![value("a"), value("b")]).await;
        bed.clock.advance(2 * DAY);
        log.maintain();
        let log = if is_crash {
            bed.crash(log)
        } else {
            log.close().await;
            drop(log);
            bed.open()
        };
        assert_eq!(log.bounds(TOPIC, 0), Ok(Bounds { start: 2, end: 2 }));
        // The extent is sealed by now and goes back; the offsets are still known.
        log.maintain();
        log.close().await;
        drop(log);
        let log = bed.open();
        assert_eq!(log.bounds(TOPIC, 0), Ok(Bounds { start: 2, end: 2 }));
        assert_eq!(append(&log, vec![value("c")]).await, 2);
    }
}

#[tokio::test]
async fn bytes_of_a_topic_are_bounded_over_its_partitions_oldest_first() {
    let bytes_max = 500_000;
    let topics = vec![kept(spec(TOPIC, 2, Durability::Durable), None, Some(bytes_max))];
    let bed = Bed::new().with(topics);
    let log = bed.open();
    for turn in 0..100u32 {
        bed.clock.advance(Duration::from_millis(1));
        let partition = turn % 2;
        log.append(TOPIC, partition, vec![large(40_000)]).await.expect("is stored");
    }
    log.maintain();
    let stored = log.stored_bytes(TOPIC);
    assert!((bytes_max - 50_000..=bytes_max).contains(&stored), "{stored}");
    let bounds = [0, 1].map(|partition| log.bounds(TOPIC, partition).expect("known"));
    assert_eq!((bounds[0].end, bounds[1].end), (50, 50));
    assert!(bounds[0].start.abs_diff(bounds[1].start) <= 1, "{bounds:?}");
    for (partition, bounds) in [0, 1].into_iter().zip(bounds) {
        let rest = read_all(&log, TOPIC, partition, bounds.start).await.expect("reads");
        assert_eq!(rest.len() as u64, bounds.end - bounds.start);
    }
    let reopened = bed.crash(log);
    assert_eq!(reopened.stored_bytes(TOPIC), stored, "what was removed stays removed");
    assert_eq!(reopened.bounds(TOPIC, 0), Ok(bounds[0]));
}

#[tokio::test]
async fn a_tenants_bound_takes_the_oldest_of_all_its_topics() {
    let mut other = spec(TopicId(9), 1, Durability::Durable);
    other.tenant = tenant(2);
    let mine = [TOPIC, TopicId(8)].map(|topic| spec(topic, 1, Durability::Durable));
    let bed = Bed::new().with(mine.into_iter().chain([other]).collect());
    let log = bed.open();
    for topic in [TOPIC, TopicId(8), TopicId(9)] {
        for _ in 0..10 {
            bed.clock.advance(Duration::from_millis(1));
            log.append(topic, 0, vec![large(10_000)]).await.expect("is stored");
        }
    }
    let bounds = Retention { bytes_max: Some(60_000), ..Retention::default() };
    log.set_tenant_retention(tenant(1), bounds);
    log.maintain();
    assert!(log.tenant_bytes(tenant(1)) <= 60_000);
    let starts = [TOPIC, TopicId(8), TopicId(9)].map(|t| log.bounds(t, 0).expect("known").start);
    assert_eq!(starts[0], 10, "the older topic gives first");
    assert!((4..=5).contains(&starts[1]), "{starts:?}");
    assert_eq!(starts[2], 0, "another tenant's records are not touched");
    log.set_tenant_retention(tenant(1), Retention::default());
    log.append(TOPIC, 0, vec![large(100_000)]).await.expect("is stored");
    log.maintain();
    assert_eq!(log.bounds(TOPIC, 0).expect("known").start, 10);
}

#[tokio::test]
async fn records_are_counted_over_the_partitions_of_a_topic_and_a_project() {
    let mut counted = spec(TOPIC, 2, Durability::Durable);
    counted.config.retention.records_max = Some(30);
    let bed = Bed::new().with(vec![counted, spec(TopicId(8), 1, Durability::Durable)]);
    let log = bed.open();
    for turn in 0..100u32 {
        bed.clock.advance(Duration::from_millis(1));
        log.append(TOPIC, turn % 2, vec![value("a")]).await.expect("is stored");
        log.append(TopicId(8), 0, vec![value("b")]).await.expect("is stored");
    }
    let kept = |topic, partition| {
        let bounds = log.bounds(topic, partition).expect("known");
        bounds.end - bounds.start
    };
    log.maintain();
    assert_eq!((kept(TOPIC, 0), kept(TOPIC, 1), kept(TopicId(8), 0)), (15, 15, 100));
    let bounds = Retention { records_max: Some(50), ..Retention::default() };
    log.set_project_retention(ProjectId(uuid::Uuid::from_u128(1)), bounds);
    log.maintain();
    assert_eq!(kept(TOPIC, 0) + kept(TOPIC, 1) + kept(TopicId(8), 0), 50);
    let bounds = Retention { age_ms_max: Some(3), ..Retention::default() };
    log.set_tenant_retention(tenant(1), bounds);
    log.maintain();
    assert!(kept(TOPIC, 0) + kept(TOPIC, 1) + kept(TopicId(8), 0) <= 10);
}

#[tokio::test]
async fn extents_go_back_when_nobody_needs_them() {
    let topics = vec![
        kept(spec(TOPIC, 1, Durability::Durable), None, Some(600_000)),
        spec(TopicId(8), 1, Durability::Durable),
    ];
    let bed = Bed::new().with(topics);
    // Room for a few extents only: without reuse this fills.
    bed.disk.set_capacity(6 << 20);
    // By hand, since with so little room it would matter when a footer is written.
    let mut hands = Hands::open(bed);
    hands.append(TopicId(8), value("stays")).await;
    for turn in 0..300u64 {
        assert_eq!(hands.append(TOPIC, large(50_000)).await, turn);
        hands.log.maintain();
    }
    let log = hands.log;
    assert_eq!(read_all(&log, TopicId(8), 0, 0).await, Ok(vec![(0, "stays".to_owned())]));
    let start = log.bounds(TOPIC, 0).expect("known").start;
    assert!(start > 280, "{start}");
    assert_eq!(read_all(&log, TOPIC, 0, start).await.expect("reads").len() as u64, 300 - start);
}

#[tokio::test]
async fn a_dropped_topics_extents_go_back_also_after_a_restart() {
    let bed = Bed::new();
    bed.disk.set_capacity(6 << 20);
    let mut log = bed.open();
    let mut topic = TOPIC;
    for turn in 0..8u64 {
        for _ in 0..30 {
            log.append(topic, 0, vec![large(50_000)]).await.expect("there is space");
        }
        log.drop_topic(topic).expect("is known");
        topic = TopicId(100 + turn);
        if turn % 2 == 0 {
            log.close().await;
            drop(log);
            log = Bed {
                keys: None,
                topics: Vec::new(),
                options: bed.options.clone(),
                disk: bed.disk.clone(),
                clock: bed.clock.clone(),
            }
            .open();
        }
        log.put_topic(spec(topic, 1, Durability::Durable)).expect("is made");
        log.maintain();
    }
}

#[tokio::test]
async fn readers_never_see_another_record_while_retention_runs() {
    let topics = vec![kept(spec(TOPIC, 1, Durability::Durable), None, Some(400_000))];
    let bed = Bed::new().without_tail().with(topics);
    let log = bed.open();
    let reader = {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut next = 0;
            let mut seen = 0;
            while next < 400 {
                match log.read(TOPIC, 0, next, 100_000).await {
                    Ok(batches) if batches.is_empty() => {
                        log.wait(TOPIC, vec![(0, next)]).await.expect("more comes");
                    }
                    Ok(batches) => {
                        for (offset, _, record) in batches.iter().flat_map(|b| b.records()) {
                            assert!(text(&record).starts_with(&format!("{offset}/")));
                            seen += 1;
                        }
                        next = batches.last().map_or(next, |batch| batch.next_offset());
                    }
                    Err(LogError::OffsetGone { start }) => {
                        assert!(start > next);
                        next = start;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            seen
        })
    };
    for number in 0..400 {
        append(&log, vec![value(&format!("{number}/{}", "x".repeat(20_000)))]).await;
        if number % 5 == 0 {
            log.maintain();
        }
    }
    assert!(reader.await.expect("reads to the end") > 0);
}

/// Somebody takes all space that is left.
fn fill(bed: &Bed) {
    bed.disk.set_capacity(1 << 40);
    let space = bed.disk.space(Path::new("/data")).expect("is known");
    bed.disk.set_capacity(space.total_bytes - space.free_bytes);
}

#[tokio::test]
async fn space_goes_back_also_when_there_is_none_left() {
    let bed = Bed::new();
    let log = bed.open();
    for _ in 0..40 {
        append(&log, vec![large(100 << 10)]).await;
    }
    log.close().await;
    drop(log);
    fill(&bed);
    // What is set aside for a checkpoint is set aside again for the next one.
    for bytes_max in [3_000_000, 500_000] {
        let log = bed.open();
        let spec = kept(spec(TOPIC, 1, Durability::Durable), None, Some(bytes_max));
        log.put_topic(spec).expect("is known");
        log.maintain();
        // An extent is free by now, which needs no space of the file system.
        append(&log, vec![large(100 << 10)]).await;
        log.close().await;
        drop(log);
        fill(&bed);
    }
}

#[tokio::test]
async fn a_log_without_space_for_its_mark_opens_to_be_read() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, vec![value("a")]).await;
    log.close().await;
    drop(log);
    bed.disk.remove(Path::new("/data/checkpoint.new")).expect("is set aside");
    bed.disk.flush_dir(Path::new("/data")).expect("flushes");
    fill(&bed);
    let log = bed.open();
    assert_eq!(read_all(&log, TOPIC, 0, 0).await, Ok(vec![(0, "a".to_owned())]));
    log.maintain();
    assert_eq!(log.append(TOPIC, 0, vec![value("b")]).await, Err(LogError::Full));
    assert!(!log.health().is_writable);
    let log = bed.crash(log);
    assert_eq!(log.append(TOPIC, 0, vec![value("b")]).await, Err(LogError::Full));
    bed.disk.set_capacity(1 << 40);
    let healed = async {
        while !log.health().is_writable {
            log.maintain();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), healed).await.expect("is writable again");
    assert_eq!(append(&log, vec![value("b")]).await, 1);
    let log = bed.crash(log);
    assert_eq!(log.bounds(TOPIC, 0), Ok(Bounds { start: 0, end: 2 }));
}

#[tokio::test]
async fn what_is_given_up_on_purpose_is_gone_at_once_and_after_a_crash() {
    let bed = Bed::new().with(vec![spec(TOPIC, 1, Durability::Durable)]);
    let log = bed.open();
    append(&log, vec![value("a"), value("b"), value("c")]).await;
    append(&log, vec![value("d")]).await;
    assert_eq!(log.drop_before(TOPIC, 0, 5).await, Err(LogError::OffsetAhead { end: 4 }));
    assert_eq!(log.drop_before(TOPIC, 1, 0).await, Err(LogError::PartitionUnknown));
    // In the middle of a batch.
    let there = Bounds { start: 2, end: 4 };
    assert_eq!(log.drop_before(TOPIC, 0, 2).await, Ok(there));
    assert_eq!(log.read(TOPIC, 0, 1, 1).await, Err(LogError::OffsetGone { start: 2 }));
    assert_eq!(log.offset_at(TOPIC, 0, 0).await, Ok(2));
    // Asked again, or for less, there is nothing to do.
    assert_eq!(log.drop_before(TOPIC, 0, 1).await, Ok(there));
    let log = bed.crash(log);
    assert_eq!(log.bounds(TOPIC, 0), Ok(there));
    let rest = read_all(&log, TOPIC, 0, 2).await.expect("reads");
    assert_eq!(rest.into_iter().filter(|(offset, _)| *offset >= 2).count(), 2);
    assert_eq!(log.drop_before(TOPIC, 0, 4).await, Ok(Bounds { start: 4, end: 4 }));
    assert_eq!(log.partition_bytes(TOPIC, 0), Ok(0));
    let log = bed.crash(log);
    assert_eq!(log.bounds(TOPIC, 0), Ok(Bounds { start: 4, end: 4 }));
    assert_eq!(append(&log, vec![value("e")]).await, 4);
    log.maintain();
    assert_eq!(read_all(&log, TOPIC, 0, 4).await, Ok(vec![(4, "e".to_owned())]));
}

#[tokio::test]
async fn the_newest_time_is_that_of_a_record_that_is_kept() {
    let bed = Bed::new().with(vec![spec(TOPIC, 1, Durability::Durable)]);
    let log = bed.open();
    assert_eq!(log.newest_time(TOPIC, 0).await, Ok(None));
    let dated = |at| Record { timestamp: Some(at), ..value("x") };
    append(&log, vec![dated(5_000), dated(9_000), dated(2_000)]).await;
    append(&log, vec![dated(7_000)]).await;
    for _ in 0..2 {
        assert_eq!(log.newest_time(TOPIC, 0).await, Ok(Some(9_000)));
        log.maintain();
    }
    log.drop_before(TOPIC, 0, 2).await.expect("given up");
    assert_eq!(log.newest_time(TOPIC, 0).await, Ok(Some(7_000)));
    let log = bed.crash(log);
    assert_eq!(log.newest_time(TOPIC, 0).await, Ok(Some(7_000)));
    log.drop_before(TOPIC, 0, 3).await.expect("given up");
    assert_eq!(log.newest_time(TOPIC, 0).await, Ok(Some(7_000)));
    log.drop_before(TOPIC, 0, 4).await.expect("given up");
    assert_eq!(log.newest_time(TOPIC, 0).await, Ok(None));
}
