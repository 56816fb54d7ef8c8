//! Reading by offset and by time, from memory and from the disk.

use super::*;

/// Batches of one to three records over several extents, about `count` records of 3 KiB.
async fn fill(bed: &Bed, log: &EmbeddedLog, count: u64) {
    let mut next = 0;
    while next < count {
        let many = 1 + next % 3;
        bed.clock.advance(std::time::Duration::from_millis(10));
        let records = (next..next + many).map(numbered).collect();
        assert_eq!(append(log, records).await, next);
        next += many;
    }
}

fn numbered(number: u64) -> Record {
    value(&format!("{number}/{}", "x".repeat(3_000)))
}

#[tokio::test]
async fn memory_and_disk_answer_the_same() {
    for bed in [Bed::new(), Bed::new().without_tail()] {
        let log = bed.open();
        fill(&bed, &log, 1_000).await;
        let end = log.bounds(TOPIC, 0).expect("known").end;
        for from in [0, 1, 2, 499, 500, 501, 998, end - 1] {
            let records = read_all(&log, TOPIC, 0, from).await.expect("reads");
            let offsets: Vec<u64> = records.iter().map(|(offset, _)| *offset).collect();
            assert_eq!(offsets, (from..end).collect::<Vec<_>>());
            assert!(records.iter().all(|(offset, text)| text.starts_with(&format!("{offset}/"))));
        }
        assert_eq!(log.read(TOPIC, 0, end, 1 << 20).await, Ok(Vec::new()));
        assert_eq!(log.read(TOPIC, 0, end + 100, 1 << 20).await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn a_read_is_bounded_and_gives_at_least_one_batch() {
    for bed in [Bed::new(), Bed::new().without_tail()] {
        let log = bed.open();
        fill(&bed, &log, 1_000).await;
        let one = log.read(TOPIC, 0, 4, 1).await.expect("reads");
        assert_eq!(one.len(), 1);
        assert!(one[0].base_offset() <= 4 && one[0].next_offset() > 4);
        let some = log.read(TOPIC, 0, 0, 200_000).await.expect("reads");
        let bytes: usize = some.iter().map(|batch| batch.bytes().len()).sum();
        assert!((100_000..=200_000).contains(&bytes), "{bytes}");
        let all = log.read(TOPIC, 0, 0, usize::MAX).await.expect("reads");
        assert_eq!(all.last().map(|batch| batch.next_offset() >= 1_000), Some(true));
    }
}

#[tokio::test]
async fn memory_for_recent_batches_is_bounded_over_all_partitions() {
    let mut bed = Bed::new().with(vec![spec(TOPIC, 4, Durability::Durable)]);
    bed.options.tail_bytes_max = 64 << 10;
    let log = bed.open();
    for turn in 0..100 {
        log.append(TOPIC, turn % 4, vec![large(3_000)]).await.expect("is stored");
        assert!(log.health().tail_bytes <= 64 << 10);
    }
    assert!(log.health().tail_bytes > 50 << 10);
    for partition in 0..4 {
        let all = log.read(TOPIC, partition, 0, usize::MAX).await.expect("reads");
        assert_eq!(all.iter().map(|batch| batch.count()).sum::<u32>(), 25);
    }
}

#[tokio::test]
async fn reads_near_the_end_touch_no_disk() {
    let bed = Bed::new();
    let log = bed.open();
    fill(&bed, &log, 100).await;
    // With the disk gone only memory can answer.
    bed.disk.crash();
    assert_eq!(read_all(&log, TOPIC, 0, 0).await.expect("reads").len(), 100);
    assert_eq!(log.latest(TOPIC, 0, key("none")).await, Ok(None));
    assert_eq!(log.offset_at(TOPIC, 0, NOW_MS + 1_000_000).await, Ok(100));
}

#[tokio::test]
async fn a_time_finds_the_first_record_since() {
    for bed in [Bed::new(), Bed::new().without_tail()] {
        let log = bed.open();
        let times = [100, 100, 90, 200, 150, 150, 300];
        for time in times {
            let record = Record { timestamp: Some(time), ..large(200_000) };
            append(&log, vec![record]).await;
        }
        let cases = [(0, 0), (90, 0), (100, 0), (101, 3), (150, 3), (200, 3), (201, 6), (300, 6)];
        for (time, want) in cases {
            assert_eq!(log.offset_at(TOPIC, 0, time).await, Ok(want), "at {time}");
        }
        assert_eq!(log.offset_at(TOPIC, 0, 301).await, Ok(7));
    }
}

#[tokio::test]
async fn a_time_is_found_inside_a_batch() {
    let bed = Bed::new().without_tail();
    let log = bed.open();
    let at = |time| Record { timestamp: Some(time), ..value("x") };
    append(&log, vec![at(10), at(30), at(20), at(40)]).await;
    for (time, want) in [(10, 0), (11, 1), (20, 1), (31, 3), (41, 4)] {
        assert_eq!(log.offset_at(TOPIC, 0, time).await, Ok(want), "at {time}");
    }
}

#[tokio::test]
async fn a_header_whose_name_is_no_text_is_read_as_it_was_appended() {
    let log = Bed::new().without_tail().open();
    let mut record = value("a");
    record.headers.push(types::Header { name: vec![0xff].into(), value: "v".into() });
    append(&log, vec![record.clone()]).await;
    let batches = log.read(TOPIC, 0, 0, 1 << 20).await.expect("is not damaged");
    let found = batches.iter().flat_map(|batch| batch.records()).next().expect("is there");
    assert_eq!(found.2.headers, record.headers);
}
