//! The way in: order, groups, what each durability promises, and what happens when the device
//! takes nothing.

use super::*;
use crate::Bounds;
use parking_lot::Condvar;
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::disk::{Failure, Fault, Operation};
use types::limits::{APPEND_BYTES_MAX, RECORDS_PER_APPEND_MAX};

#[tokio::test]
async fn records_come_back_in_order_with_the_logs_time() {
    let bed = Bed::new();
    let log = bed.open();
    let first = log.append(TOPIC, 0, vec![value("a"), value("b")]).await.expect("is stored");
    assert_eq!((first.base_offset, first.timestamp), (0, NOW_MS));
    let mut own = value("c");
    own.timestamp = Some(5);
    assert_eq!(append(&log, vec![own]).await, 2);
    assert_eq!(log.bounds(TOPIC, 0), Ok(Bounds { start: 0, end: 3 }));
    let batches = log.read(TOPIC, 0, 0, 1 << 20).await.expect("reads");
    let found: Vec<(u64, i64, String)> = batches
        .iter()
        .flat_map(|batch| batch.records())
        .map(|(offset, timestamp, record)| (offset, timestamp, text(&record)))
        .collect();
    let want = [(0, NOW_MS, "a"), (1, NOW_MS, "b"), (2, 5, "c")];
    assert_eq!(found, want.map(|(offset, time, text)| (offset, time, text.to_owned())));
}

#[tokio::test]
async fn unknown_topics_and_partitions_are_told_apart() {
    let bed = Bed::new();
    let log = bed.open();
    let stranger = TopicId(99);
    assert_eq!(log.append(stranger, 0, vec![value("a")]).await, Err(LogError::TopicUnknown));
    assert_eq!(log.append(TOPIC, 1, vec![value("a")]).await, Err(LogError::PartitionUnknown));
    assert_eq!(log.bounds(stranger, 0), Err(LogError::TopicUnknown));
    assert_eq!(log.wait(TOPIC, vec![(1, 0)]).await, Err(LogError::PartitionUnknown));
    assert_eq!(log.keys(stranger, None, 1).await, Err(LogError::TopicUnknown));
    assert_eq!(append(&log, Vec::new()).await, 0, "nothing appended is no error");
}

#[tokio::test]
async fn what_is_larger_than_the_log_takes_is_refused_as_a_whole() {
    let mut bed = Bed::new();
    bed.options.store.extent_bytes = 256 << 20;
    let log = bed.open();
    let too_many = vec![value(""); RECORDS_PER_APPEND_MAX + 1];
    assert_eq!(log.append(TOPIC, 0, too_many).await, Err(LogError::TooLarge));
    assert_eq!(
        log.append(TOPIC, 0, vec![large(APPEND_BYTES_MAX + 1)]).await,
        Err(LogError::TooLarge)
    );
    assert_eq!(append(&log, vec![large(APPEND_BYTES_MAX)]).await, 0);
    assert_eq!(append(&log, vec![value(""); RECORDS_PER_APPEND_MAX]).await, 1);
    drop(log);

    let small = Bed::new().open();
    let over_extent = vec![large(1 << 20)];
    assert_eq!(small.append(TOPIC, 0, over_extent).await, Err(LogError::TooLarge));
    assert_eq!(append(&small, vec![large(200 << 10)]).await, 0);
}

/// An observer that stops the writer's thread at its first batch until told to go on.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
    told: Witness,
}

impl Observer for Gate {
    fn committed(&self, topic: TopicId, partition: Partition, batch: &Arc<Batch>) {
        self.told.committed(topic, partition, batch);
        let mut state = self.state.lock();
        state.0 = true;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |(_, is_open)| !*is_open);
    }
}

impl Gate {
    fn wait_until_reached(&self) {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |(is_reached, _)| !*is_reached);
    }

    fn open(&self) {
        self.state.lock().1 = true;
        self.changed.notify_all();
    }
}

#[tokio::test]
async fn all_that_waits_for_a_partition_becomes_one_batch() {
    let bed = Bed::new();
    let log = bed.open();
    let gate = Arc::new(Gate::default());
    log.observe(gate.clone());
    let first = log.append(TOPIC, 0, vec![value("first")]);
    gate.wait_until_reached();
    let waiting: Vec<_> =
        (0..100).map(|index| log.append(TOPIC, 0, vec![value(&index.to_string())])).collect();
    assert_eq!(log.bounds(TOPIC, 0).expect("known").end, 1, "nothing waiting is visible");
    gate.open();
    first.await.expect("is stored");
    for (index, answer) in waiting.into_iter().enumerate() {
        assert_eq!(answer.await.expect("is stored").base_offset, 1 + index as u64);
    }
    let batches = log.read(TOPIC, 0, 1, 1 << 20).await.expect("reads");
    assert_eq!(batches.iter().map(|batch| batch.count()).collect::<Vec<_>>(), [100]);
    assert_eq!(gate.told.offsets(TOPIC, 0), (0..101).collect::<Vec<_>>());
}

#[tokio::test]
async fn waiting_bytes_are_bounded() {
    let mut bed = Bed::new();
    bed.options.pending_bytes_max = 64 << 10;
    let log = bed.open();
    let gate = Arc::new(Gate::default());
    log.observe(gate.clone());
    let first = log.append(TOPIC, 0, vec![value("first")]);
    gate.wait_until_reached();
    let waiting: Vec<_> = (0..10).map(|_| log.append(TOPIC, 0, vec![large(16 << 10)])).collect();
    gate.open();
    first.await.expect("is stored");
    let mut outcomes = Vec::new();
    for answer in waiting {
        outcomes.push(answer.await.map(|appended| appended.base_offset));
    }
    assert_eq!(outcomes[..3], [Ok(1), Ok(2), Ok(3)]);
    assert!(outcomes[3..].iter().all(|outcome| *outcome == Err(LogError::Busy)), "{outcomes:?}");
    assert_eq!(append(&log, vec![value("later")]).await, 4);
    assert_eq!(log.health().pending_bytes, 0);
}

#[tokio::test]
async fn relaxed_records_are_visible_at_once_and_stored_soon() {
    let bed = Bed::new().with(vec![spec(TOPIC, 1, Durability::Relaxed)]);
    let log = bed.open();
    let witness = Arc::new(Witness::default());
    log.observe(witness.clone());
    for index in 0..50u64 {
        let answer = log.append(TOPIC, 0, vec![value(&index.to_string())]);
        assert_eq!(log.bounds(TOPIC, 0).expect("known").end, index + 1);
        assert_eq!(witness.offsets(TOPIC, 0).len() as u64, index + 1);
        assert_eq!(answer.await.expect("is taken").base_offset, index);
    }
    let before = read_all(&log, TOPIC, 0, 0).await.expect("reads");
    log.close().await;
    drop(log);
    let log = bed.open();
    assert_eq!(read_all(&log, TOPIC, 0, 0).await.expect("reads"), before);
    assert_eq!(append(&log, vec![value("next")]).await, 50, "a clean end leaves no gap");
}

#[tokio::test]
async fn ephemeral_records_are_told_and_never_stored() {
    let bed = Bed::new().with(vec![spec(TOPIC, 1, Durability::Ephemeral)]);
    let log = bed.open();
    let witness = Arc::new(Witness::default());
    log.observe(witness.clone());
    let first = append(&log, vec![value("a"), value("b")]).await;
    assert_eq!(append(&log, vec![value("c")]).await, first + 2);
    assert_eq!(witness.offsets(TOPIC, 0), [first, first + 1, first + 2]);
    let end = first + 3;
    assert_eq!(log.bounds(TOPIC, 0), Ok(Bounds { start: end, end }));
    assert_eq!(log.read(TOPIC, 0, first, 1 << 20).await, Err(LogError::OffsetGone { start: end }));
    assert_eq!(log.read(TOPIC, 0, end, 1 << 20).await, Ok(Vec::new()));
    assert_eq!(log.offset_at(TOPIC, 0, 0).await, Ok(end));
    assert_eq!(log.stored_bytes(TOPIC), 0);
    assert_eq!(log.health().commits, 0);
    bed.clock.advance(Duration::from_millis(1));
    let log = bed.crash(log);
    assert!(append(&log, vec![value("d")]).await >= end, "an offset came twice");
}

#[tokio::test]
async fn durability_can_change_under_a_topic() {
    let bed = Bed::new();
    let log = bed.open();
    let witness = Arc::new(Witness::default());
    log.observe(witness.clone());
    let turns = [Durability::Durable, Durability::Relaxed, Durability::Ephemeral];
    let mut offsets = Vec::new();
    for turn in 0..12 {
        log.put_topic(spec(TOPIC, 1, turns[turn % 3])).expect("is known");
        for _ in 0..3 {
            let waiting = log.append(TOPIC, 0, vec![value("x")]);
            let at_once = log.append(TOPIC, 0, vec![value("y")]);
            offsets.push(waiting.await.expect("is taken").base_offset);
            offsets.push(at_once.await.expect("is taken").base_offset);
        }
    }
    assert!(offsets.is_sorted() && offsets.iter().collect::<BTreeSet<_>>().len() == offsets.len());
    assert_eq!(witness.offsets(TOPIC, 0), offsets);
    log.put_topic(spec(TOPIC, 1, Durability::Durable)).expect("is known");
    let start = log.bounds(TOPIC, 0).expect("known").start;
    let next = append(&log, vec![value("z")]).await;
    let kept = read_all(&log, TOPIC, 0, start).await.expect("reads");
    assert_eq!(kept.last(), Some(&(next, "z".to_owned())));
}

#[tokio::test]
async fn a_full_device_refuses_and_heals_without_a_restart() {
    let bed = Bed::new();
    bed.disk.set_capacity(2 << 20);
    let log = bed.open();
    let mut stored = 0;
    let full = loop {
        match log.append(TOPIC, 0, vec![large(100 << 10)]).await {
            Ok(appended) => {
                assert_eq!(appended.base_offset, stored);
                stored += 1;
            }
            Err(error) => break error,
        }
        assert!(stored < 100, "the device never fills");
    };
    assert_eq!(full, LogError::Full);
    assert!(!log.health().is_writable);
    assert_eq!(log.health().pending_bytes, 0);
    assert_eq!(read_all(&log, TOPIC, 0, 0).await.expect("reads go on").len() as u64, stored);
    assert_eq!(log.append(TOPIC, 0, vec![large(100 << 10)]).await, Err(LogError::Full));
    bed.disk.set_capacity(1 << 40);
    let waiting: Vec<_> = (0..5).map(|_| log.append(TOPIC, 0, vec![value("again")])).collect();
    for (index, answer) in waiting.into_iter().enumerate() {
        assert_eq!(answer.await.expect("heals").base_offset, stored + index as u64, "no gap");
    }
    assert!(log.health().is_writable);
}

/// Maintenance as long as it takes until the log says that it is writable.
async fn heal(log: &EmbeddedLog) {
    let healed = async {
        while !log.health().is_writable {
            log.maintain();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), healed).await.expect("is writable again");
}

#[tokio::test]
async fn readiness_returns_with_the_space_and_without_an_append() {
    for durability in [Durability::Durable, Durability::Relaxed] {
        let bed = Bed::new().with(vec![spec(TOPIC, 1, Durability::Durable)]);
        bed.disk.set_capacity(2 << 20);
        let log = bed.open();
        while log.append(TOPIC, 0, vec![large(100 << 10)]).await.is_ok() {}
        log.put_topic(spec(TOPIC, 1, durability)).expect("is known");
        for _ in 0..20 {
            log.maintain();
            tokio::task::yield_now().await;
        }
        assert!(!log.health().is_writable, "there is no space yet");
        bed.disk.set_capacity(1 << 40);
        heal(&log).await;
        append(&log, vec![large(100 << 10)]).await;
    }
}

#[tokio::test]
async fn readiness_returns_with_what_retention_gives_back() {
    let bed = Bed::new();
    bed.disk.set_capacity(3 << 20);
    let log = bed.open();
    while log.append(TOPIC, 0, vec![large(100 << 10)]).await.is_ok() {}
    assert!(!log.health().is_writable);
    log.put_topic(kept(spec(TOPIC, 1, Durability::Durable), None, Some(500_000))).expect("known");
    heal(&log).await;
    append(&log, vec![large(100 << 10)]).await;
}

#[tokio::test]
async fn relaxed_records_wait_out_a_full_device() {
    let bed = Bed::new().with(vec![spec(TOPIC, 1, Durability::Relaxed)]);
    bed.disk.set_capacity(2 << 20);
    let log = bed.open();
    let mut taken = 0;
    while log.append(TOPIC, 0, vec![large(100 << 10)]).await.is_ok() {
        taken += 1;
        // The refusal shows only after the group failed: let the writer come to it.
        tokio::task::spawn_blocking(std::thread::yield_now).await.expect("yields");
        assert!(taken < 10_000, "the device never fills");
    }
    assert_eq!(read_all(&log, TOPIC, 0, 0).await.expect("reads go on").len(), taken);
    bed.disk.set_capacity(1 << 40);
    log.maintain();
    log.close().await;
    drop(log);
    let log = bed.open();
    assert_eq!(read_all(&log, TOPIC, 0, 0).await.expect("reads").len(), taken, "all were stored");
}

#[tokio::test]
async fn a_failed_write_is_never_acknowledged_and_nothing_after_it() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, vec![value("a")]).await;
    bed.disk.inject(Fault { operation: Operation::Write, nth: 1, failure: Failure::Io });
    let failed = log.append(TOPIC, 0, vec![value("b")]).await;
    assert!(matches!(failed, Err(LogError::Failed(_))), "{failed:?}");
    let after = log.append(TOPIC, 0, vec![value("c")]).await;
    assert!(matches!(after, Err(LogError::Failed(_))), "{after:?}");
    assert!(!log.health().is_writable && log.health().reason.is_some());
    let kept = vec![(0, "a".to_owned())];
    assert_eq!(read_all(&log, TOPIC, 0, 0).await.expect("reads go on"), kept);
    drop(log);
    bed.disk.kill_process();
    let log = bed.open();
    assert_eq!(read_all(&log, TOPIC, 0, 0).await.expect("reads")[..1], kept);
    append(&log, vec![value("d")]).await;
}

#[tokio::test]
async fn long_polls_end_by_a_record_a_drop_or_the_end() {
    let bed = Bed::new().with(vec![spec(TOPIC, 2, Durability::Durable)]);
    let log = bed.open();
    append(&log, vec![value("a")]).await;
    assert_eq!(log.wait(TOPIC, vec![(0, 0), (1, 0)]).await, Ok(()), "there is one already");
    let waiting = tokio::spawn(log.wait(TOPIC, vec![(0, 1), (1, 0)]));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    log.append(TOPIC, 1, vec![value("b")]).await.expect("is stored");
    assert_eq!(waiting.await.expect("ends"), Ok(()));

    let waiting = tokio::spawn(log.wait(TOPIC, vec![(0, 1)]));
    tokio::task::yield_now().await;
    log.drop_topic(TOPIC).expect("is known");
    assert_eq!(waiting.await.expect("ends"), Err(LogError::TopicUnknown));

    log.put_topic(spec(TopicId(8), 1, Durability::Durable)).expect("is made");
    let waiting = tokio::spawn(log.wait(TopicId(8), vec![(0, 0)]));
    tokio::task::yield_now().await;
    log.close().await;
    assert_eq!(waiting.await.expect("ends"), Err(LogError::Closed));
    assert_eq!(log.append(TopicId(8), 0, vec![value("c")]).await, Err(LogError::Closed));
    assert_eq!(log.read(TopicId(8), 0, 0, 1).await, Err(LogError::Closed));
}

#[tokio::test]
async fn closing_waits_for_what_was_appended() {
    let bed = Bed::new();
    let log = bed.open();
    let waiting: Vec<_> = (0..200).map(|_| log.append(TOPIC, 0, vec![value("x")])).collect();
    log.close().await;
    for answer in waiting {
        answer.await.expect("is stored");
    }
    drop(log);
    assert_eq!(read_all(&bed.open(), TOPIC, 0, 0).await.expect("reads").len(), 200);
}

#[tokio::test]
async fn a_dropped_topic_is_gone_and_its_number_is_not_its_name() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, vec![value("a")]).await;
    assert!(log.stored_bytes(TOPIC) > 0);
    assert_eq!(log.tenant_bytes(tenant(1)), log.stored_bytes(TOPIC));
    log.drop_topic(TOPIC).expect("is known");
    assert_eq!(log.drop_topic(TOPIC), Err(LogError::TopicUnknown));
    assert_eq!((log.stored_bytes(TOPIC), log.tenant_bytes(tenant(1))), (0, 0));
    log.put_topic(spec(TopicId(8), 1, Durability::Durable)).expect("is made");
    assert_eq!(read_all(&log, TopicId(8), 0, 0).await, Ok(Vec::new()));
}

#[tokio::test]
async fn partitions_may_grow_under_traffic() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, vec![value("a")]).await;
    log.put_topic(spec(TOPIC, 3, Durability::Durable)).expect("is known");
    log.append(TOPIC, 2, vec![value("b")]).await.expect("is stored");
    log.put_topic(spec(TOPIC, 1, Durability::Durable)).expect("is known");
    assert_eq!(log.bounds(TOPIC, 2), Ok(Bounds { start: 0, end: 1 }), "they never shrink");
    assert_eq!(read_all(&log, TOPIC, 0, 0).await, Ok(vec![(0, "a".to_owned())]));
}
