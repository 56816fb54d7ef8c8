//! Opening after a crash, after damage, beside another process.

use super::*;
use crate::Bounds;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Duration;
use stdx::Disk;

#[tokio::test]
async fn a_second_process_is_refused() {
    let bed = Bed::new();
    let log = bed.open();
    let second = bed.try_open().map(|_| ());
    assert!(matches!(second, Err(LogError::Failed(_))), "{second:?}");
    log.close().await;
    drop(log);
    bed.open();
}

#[tokio::test]
async fn acknowledged_records_survive_a_crash_and_offsets_go_on() {
    let bed = Bed::new();
    let mut log = bed.open();
    for turn in 0..10u64 {
        assert_eq!(append(&log, vec![value(&turn.to_string())]).await, turn);
        log = bed.crash(log);
        assert_eq!(log.bounds(TOPIC, 0), Ok(Bounds { start: 0, end: turn + 1 }));
    }
    let records = read_all(&log, TOPIC, 0, 0).await.expect("reads");
    assert!(records.iter().all(|(offset, text)| *text == offset.to_string()));
    assert_eq!(records.len(), 10);
    assert!(log.stored_bytes(TOPIC) > 0);
}

#[tokio::test]
async fn a_crash_of_a_relaxed_topic_never_gives_an_offset_again() {
    let bed = Bed::new().with(vec![spec(TOPIC, 1, Durability::Relaxed)]);
    let mut log = bed.open();
    let mut seen = 0;
    for _ in 0..5 {
        let offset = append(&log, vec![value("x"); 100]).await;
        assert!(offset >= seen, "{offset} was given before");
        seen = log.bounds(TOPIC, 0).expect("known").end;
        log = bed.crash(log);
        let bounds = log.bounds(TOPIC, 0).expect("known");
        assert!(bounds.end <= seen, "nothing is visible that was not");
        let kept = read_all(&log, TOPIC, 0, bounds.start).await.expect("gaps are no trouble");
        assert!(kept.iter().all(|(offset, _)| *offset < seen));
        // A reader that saw what the crash lost finds nothing there, and what comes next.
        assert_eq!(log.read(TOPIC, 0, seen, 1 << 20).await, Ok(Vec::new()));
        let next = append(&log, vec![value("next")]).await;
        let batches = log.read(TOPIC, 0, seen, 1 << 20).await.expect("reads");
        assert_eq!(batches.first().map(|batch| batch.base_offset()), Some(next));
        seen = next + 1;
    }
}

#[tokio::test]
async fn readers_of_what_is_no_more_can_be_told() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, vec![value("1"), value("2"), value("3")]).await;
    log.close().await;
    drop(log);
    // As a restore from a backup leaves it.
    let stream = storage::StreamId { topic: TOPIC, partition: 0 };
    crate::leave_gaps(&*bed.disk, Path::new("/data"), &[stream], 1_000).expect("writes");
    let mut log = bed.open();
    for turn in 0..3 {
        assert_eq!(log.lost_behind(TOPIC, 0, 3), None, "all before it is there");
        assert_eq!(log.lost_behind(TOPIC, 0, 4), Some(3));
        assert_eq!(log.lost_behind(TOPIC, 0, 1_002), Some(3));
        assert_eq!(log.lost_behind(TOPIC, 0, 1_003), None, "where new records begin");
        assert_eq!(log.lost_behind(TOPIC, 1, 4), None);
        assert_eq!(append(&log, vec![value("new")]).await, 1_003 + turn);
        log = bed.crash(log);
    }
}

#[test]
fn files_of_leaps_are_read_back_or_refused() {
    use crate::embedded::leaps::Leaps;
    let empty = Leaps::default().encode();
    assert_eq!(Leaps::decode(&empty), Some(Leaps::default()));
    for at in 0..empty.len() {
        let mut changed = empty.clone();
        changed[at] ^= 1;
        assert_eq!(Leaps::decode(&changed), None, "byte {at}");
        assert_eq!(Leaps::decode(&empty[..at]), None, "{at} bytes");
    }
}

/// Seeds 343, 692 and 931 of the simulator: what the topic is when the log opens again says nothing
/// of what it was when its records were seen.
#[tokio::test]
async fn a_relaxed_topic_made_durable_before_a_crash_never_gives_an_offset_again() {
    let mut bed = Bed::new().with(vec![spec(TOPIC, 1, Durability::Relaxed)]);
    let (log, driver) = bed.open_driven();
    // Nobody writes, so the answer comes at once or not at all.
    assert_eq!(append(&log, vec![value("seen")]).await, 0);
    bed.topics = vec![spec(TOPIC, 1, Durability::Durable)];
    log.put_topic(bed.topics[0].clone()).expect("changes");
    bed.disk.crash();
    drop((log, driver));
    bed.disk.restart();
    let log = bed.open();
    assert!(append(&log, vec![value("another")]).await > 0);
}

#[tokio::test]
async fn a_topic_made_relaxed_waits_for_the_flush_until_a_checkpoint_says_so() {
    let mut bed = Bed::new();
    let (log, mut driver) = bed.open_driven();
    bed.topics = vec![spec(TOPIC, 1, Durability::Relaxed)];
    log.put_topic(bed.topics[0].clone()).expect("changes");
    let mut first = log.append(TOPIC, 0, vec![value("a")]);
    let mut answer = std::future::poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_ready()));
    assert!(!(&mut answer).await, "is not on the disk yet");
    while driver.commit() {}
    assert!(answer.await);
    log.maintain();
    assert_eq!(append(&log, vec![value("b")]).await, 1);
}

#[tokio::test]
async fn a_checkpoint_that_is_damaged_stops_the_start() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, vec![value("a")]).await;
    log.close().await;
    drop(log);
    assert!(bed.disk.flip_bits(Path::new("/data/checkpoint"), 9, 1));
    let error = bed.try_open().map(|_| ()).expect_err("is refused");
    assert!(error.to_string().contains("checkpoint"), "{error}");
}

/// The extents' files, oldest first.
fn extents(bed: &Bed) -> Vec<PathBuf> {
    let dir = Path::new("/data/extents");
    let mut names: Vec<PathBuf> = bed.disk.list(dir).expect("lists");
    names.sort();
    names.into_iter().map(|name| dir.join(name)).collect()
}

/// Where a text lies in the extents.
fn find(bed: &Bed, text: &str) -> (PathBuf, u64) {
    extents(bed)
        .into_iter()
        .find_map(|path| {
            let bytes = bed.disk.bytes(&path)?;
            let at = bytes.windows(text.len()).position(|window| window == text.as_bytes())?;
            Some((path, at as u64))
        })
        .expect("the text is on the disk")
}

#[tokio::test]
async fn a_damaged_range_answers_an_error_and_is_never_skipped() {
    let bed = Bed::new().without_tail();
    let log = bed.open();
    for number in 0..9 {
        append(&log, vec![keyed(&format!("k{number}"), &format!("text-{number}-text"))]).await;
    }
    let (path, at) = find(&bed, "text-4-text");
    assert!(bed.disk.flip_bits(&path, at, 0xff));
    let whole = |records: &[(Offset, String)]| records.iter().map(|r| r.0).collect::<Vec<_>>();
    for is_reopened in [false, true] {
        let log = if is_reopened { bed.crash(Arc::clone(&log)) } else { Arc::clone(&log) };
        let before = log.read(TOPIC, 0, 0, 1 << 20).await.expect("what is before is read");
        assert_eq!(before.last().map(|batch| batch.next_offset()), Some(4));
        let damaged = Err(LogError::Damaged { from: 4, to: 5 });
        assert_eq!(log.read(TOPIC, 0, 4, 1 << 20).await, damaged);
        let after = read_all(&log, TOPIC, 0, 5).await;
        if let Ok(after) = after {
            assert_eq!(whole(&after)[..4], [5, 6, 7, 8]);
        } else {
            // After a restart nobody can tell whether more was behind the last record.
            assert!(is_reopened);
        }
        assert!(log.latest(TOPIC, 0, key("k4")).await.is_err(), "an older value is no answer");
    }
}

#[tokio::test]
async fn damage_behind_the_last_record_known_is_not_the_end() {
    let bed = Bed::new().without_tail();
    let log = bed.open();
    for number in 0..5 {
        append(&log, vec![value(&format!("text-{number}-text"))]).await;
    }
    log.put_topic(spec(TopicId(8), 1, Durability::Durable)).expect("is made");
    log.append(TopicId(8), 0, vec![value("later")]).await.expect("is stored");
    // The last record of the first topic, with whole frames of another one behind it.
    let (path, at) = find(&bed, "text-4-text");
    assert!(bed.disk.flip_bits(&path, at, 0xff));
    bed.disk.crash();
    drop(log);
    bed.disk.restart();
    let (log, report) = bed.try_open().expect("opens");
    assert!(!report.damaged.is_empty());
    let read = log.read(TOPIC, 0, 4, 1 << 20).await;
    let Err(LogError::Damaged { from: 4, to }) = read else { panic!("{read:?}") };
    assert!(append(&log, vec![value("next")]).await >= to, "an offset may have come twice");
}

#[tokio::test]
async fn damage_takes_nothing_from_what_a_clean_end_remembers() {
    let bed = Bed::new().without_tail();
    let log = bed.open();
    log.put_topic(spec(TopicId(8), 1, Durability::Durable)).expect("is made");
    append(&log, vec![value("quiet")]).await;
    log.append(TopicId(8), 0, vec![value("lost")]).await.expect("is stored");
    log.append(TopicId(8), 0, vec![value("kept")]).await.expect("is stored");
    log.close().await;
    drop(log);
    let (path, at) = find(&bed, "lost");
    assert!(bed.disk.flip_bits(&path, at, 0xff));
    let both = [TOPIC, TopicId(8)].map(|topic| spec(topic, 1, Durability::Durable));
    let bed = bed.with(both.to_vec());
    for end in 1..4 {
        let (log, report) = bed.try_open().expect("opens");
        // A footer still shows what was lost: then only its reader learns of it.
        drop(report);
        assert_eq!(log.bounds(TOPIC, 0), Ok(Bounds { start: 0, end }));
        assert_eq!(read_all(&log, TOPIC, 0, 0).await.expect("reads").len() as u64, end);
        let damaged = Err(LogError::Damaged { from: 0, to: 1 });
        assert_eq!(log.read(TopicId(8), 0, 0, 1 << 20).await, damaged);
        assert_eq!(read_all(&log, TopicId(8), 0, 1).await, Ok(vec![(1, "kept".to_owned())]));
        assert_eq!(append(&log, vec![value("next")]).await, end);
        log.close().await;
    }
}

#[tokio::test]
async fn damage_without_a_checkpoint_may_have_taken_the_end() {
    let bed = Bed::new().without_tail();
    let log = bed.open();
    for text in ["first-text", "second-text"] {
        append(&log, vec![value(text)]).await;
    }
    log.put_topic(spec(TopicId(8), 1, Durability::Durable)).expect("is made");
    log.append(TopicId(8), 0, vec![value("later")]).await.expect("is stored");
    log.close().await;
    drop(log);
    let (path, at) = find(&bed, "second-text");
    assert!(bed.disk.flip_bits(&path, at, 0xff));
    bed.disk.remove(Path::new("/data/checkpoint")).expect("is there");
    let log = bed.open();
    assert!(append(&log, vec![value("next")]).await > 1, "an offset came twice");
}

#[tokio::test]
async fn topics_not_named_at_opening_are_given_up() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, vec![large(100_000)]).await;
    log.close().await;
    drop(log);
    let bed = Bed { topics: vec![spec(TopicId(8), 1, Durability::Durable)], ..bed };
    let log = bed.open();
    assert_eq!(log.bounds(TOPIC, 0), Err(LogError::TopicUnknown));
    log.maintain();
    assert_eq!(log.stored_bytes(TopicId(8)), 0);
}

#[tokio::test]
async fn maintenance_runs_by_itself() {
    let mut bed = Bed::new();
    bed.options.maintain_interval = Some(Duration::from_millis(1));
    bed.topics = vec![kept(spec(TOPIC, 1, Durability::Durable), Some(1), None)];
    let log = bed.open();
    append(&log, vec![value("a")]).await;
    bed.clock.advance(Duration::from_secs(1));
    let gone = async {
        while log.bounds(TOPIC, 0).expect("known").start == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("removes it");
}

#[tokio::test]
async fn many_partitions_open_again() {
    let bed = Bed::new().with(vec![spec(TOPIC, 200, Durability::Durable)]);
    let log = bed.open();
    let waiting: Vec<_> =
        (0..200).map(|p| log.append(TOPIC, p, vec![value("x"); p as usize + 1])).collect();
    for answer in waiting {
        answer.await.expect("is stored");
    }
    let log = bed.crash(log);
    for partition in 0..200 {
        let end = u64::from(partition) + 1;
        assert_eq!(log.bounds(TOPIC, partition), Ok(Bounds { start: 0, end }));
    }
}

#[tokio::test]
async fn a_damaged_extent_goes_back_once_nothing_is_missed_any_more() {
    let topics = vec![kept(spec(TOPIC, 1, Durability::Durable), None, Some(400_000))];
    let mut hands = Hands::open(Bed::new().without_tail().with(topics));
    for _ in 0..8 {
        hands.append(TOPIC, large(40_000)).await;
    }
    let Hands { bed, log, driver } = hands;
    bed.disk.crash();
    drop((log, driver));
    bed.disk.restart();
    // Somewhere in the third record.
    assert!(bed.disk.flip_bits(Path::new("/data/extents/00000001.extent"), 110_000, 1));
    let mut hands = Hands::open(bed);
    hands.run();
    let is_damaged = |hands: &Hands| hands.log.core.store.sealed().iter().any(|it| !it.is_whole);
    for _ in 0..2 {
        assert!(is_damaged(&hands));
        assert_eq!(hands.log.read(TOPIC, 0, 2, 1).await, Err(LogError::Damaged { from: 2, to: 3 }));
        hands.log.maintain();
        hands = hands.reopen();
    }
    for _ in 0..30 {
        hands.append(TOPIC, large(40_000)).await;
    }
    hands.log.maintain();
    hands.log.maintain();
    assert!(!is_damaged(&hands), "its records are past their time");
    let hands = hands.reopen();
    assert!(hands.log.bounds(TOPIC, 0).expect("known").start > 8);
}
