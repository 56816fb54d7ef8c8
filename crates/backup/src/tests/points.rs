//! Restores to a moment: by offset and by time, between batches and within one.

use super::{Bed, record};
use crate::restore::{Place, Point, parse_places};
use crate::{BackupError, Wanted, contents};
use eventlog::Engine;
use proptest::prelude::*;
use std::time::Duration;

async fn texts(
    log: &eventlog::EmbeddedLog,
    bed: &Bed,
    topic: usize,
    partition: u32,
) -> Vec<String> {
    let mut texts = Vec::new();
    let mut next = 0;
    loop {
        let read = log.read(bed.topic(topic), partition, next, 1 << 20).await.expect("read");
        let Some(last) = read.last() else { return texts };
        next = last.next_offset();
        for (_, _, record) in read.iter().flat_map(|batch| batch.records()) {
            let value = record.value.unwrap_or_default();
            texts.push(String::from_utf8_lossy(&value).into_owned());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_cuts_every_partition_at_one_place_of_the_log() {
    let bed = Bed::new().await;
    for minute in 0..6 {
        bed.append(0, 0, &[&format!("a{minute}")]).await;
        // A publisher's own time is no moment of the log.
        let mut odd = record(&format!("b{minute}"));
        odd.timestamp = Some(1_000_000_000_000 * (7 - minute));
        bed.log.append(bed.topic(1), 0, vec![odd]).await.expect("stored");
        bed.clock.advance(Duration::from_secs(60));
    }
    bed.backup(Wanted::Full).await.expect("made");
    let time = super::NOW_MS + 3 * 60_000;
    let restored = bed.restore("then", Point::Time(time)).await.expect("restored");
    assert_eq!(texts(&restored.log, &bed, 0, 0).await, ["a0", "a1", "a2", "a3"]);
    assert_eq!(texts(&restored.log, &bed, 1, 0).await, ["b0", "b1", "b2", "b3"]);
    assert_eq!(restored.report.cut_partitions, 2);
    let before = bed.restore("before", Point::Time(super::NOW_MS - 1)).await.expect("restored");
    assert_eq!(texts(&before.log, &bed, 0, 0).await, Vec::<String>::new());
    let late = bed.restore("late", Point::Time(super::NOW_MS + 86_400_000)).await;
    assert!(matches!(late, Err(BackupError::Refused { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backup_that_reaches_the_time_is_found() {
    let bed = Bed::new().await;
    bed.append(0, 0, &["one"]).await;
    let first = bed.backup(Wanted::Incremental).await.expect("made");
    bed.clock.advance(Duration::from_secs(60));
    bed.append(0, 0, &["two"]).await;
    bed.backup(Wanted::Incremental).await.expect("made");
    let restored = bed.restore("first", Point::Time(first.cut_ms)).await.expect("restored");
    assert_eq!(restored.report.backup, first.id);
    assert_eq!(texts(&restored.log, &bed, 0, 0).await, ["one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_cuts_its_partition_also_within_a_batch() {
    let bed = Bed::new().await;
    bed.fill("all").await;
    bed.append(0, 0, &["p", "q", "r", "s"]).await;
    let end = bed.append(0, 0, &["after"]).await;
    bed.backup(Wanted::Full).await.expect("made");
    let point = |end| Point::Places(vec![Place { topic: "orders".into(), partition: 0, end }]);
    for (name, wanted) in [("within", end - 2), ("between", end), ("start", 0), ("early", 5)] {
        let restored = bed.restore(name, point(wanted)).await.expect("restored");
        let ends = |topic, partition| ((topic, partition) == (bed.topic(0), 0)).then_some(wanted);
        let source = contents(&bed.log, &bed.specs, &ends).await.expect("read");
        assert_eq!(restored.contents(&bed).await, source, "{name}");
        let next = restored.log.append(bed.topic(0), 0, vec![record("new")]).await;
        assert_eq!(next.expect("stored").base_offset, wanted + 1_000, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_not_there_is_refused_by_name() {
    let bed = Bed::new().await;
    bed.append(0, 0, &["one"]).await;
    bed.backup(Wanted::Full).await.expect("made");
    let cases = [("nothing", 0, 0), ("orders", 9, 0), ("orders", 0, 5)];
    for (number, (topic, partition, end)) in cases.into_iter().enumerate() {
        let place = Place { topic: topic.into(), partition, end };
        let refused = bed.restore(&number.to_string(), Point::Places(vec![place])).await;
        let Err(BackupError::Refused { what, .. }) = refused else { panic!("{topic}") };
        assert!(what.contains(&format!("{topic}/{partition}={end}")), "{what}");
    }
    for bad in ["orders", "orders=4", "orders/x=1", "/0=1", "orders/0=-1"] {
        assert!(parse_places(&[bad.to_owned()]).is_err(), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn places_are_read_as_they_are_written(
        topic in "[A-Za-z0-9._-]{1,20}(/[A-Za-z0-9._-]{1,20})?",
        partition: u32,
        end: u64,
    ) {
        let text = format!("{topic}/{partition}={end}");
        prop_assert_eq!(parse_places(&[text]).expect("a place"), [Place { topic, partition, end }]);
    }
}
