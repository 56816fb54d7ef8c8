//! Batches whose sender says where they shall lie: copies of a log elsewhere.

use super::producers::numbered;
use super::*;
use proptest::prelude::*;
use types::BatchBuilder;

fn plain(texts: &[&str]) -> Batch {
    let mut builder = BatchBuilder::new(0, 0);
    for text in texts {
        builder.push(&value(text), NOW_MS).expect("fits");
    }
    builder.finish().expect("has records")
}

async fn put(log: &EmbeddedLog, batch: Batch, at: Option<Offset>) -> Result<Offset, LogError> {
    log.append_batch(TOPIC, 0, batch, at).await.map(|appended| appended.base_offset)
}

async fn all(log: &EmbeddedLog) -> Vec<(Offset, String)> {
    let start = log.bounds(TOPIC, 0).expect("bounds").start;
    read_shown(log, TOPIC, 0, start).await.expect("reads").0
}

fn expected(places: &[(Offset, &str)]) -> Vec<(Offset, String)> {
    places.iter().map(|(offset, text)| (*offset, (*text).to_owned())).collect()
}

#[tokio::test]
async fn a_batch_lies_where_its_sender_says_also_after_a_restart() {
    for bed in [Bed::new(), Bed::new().without_tail()] {
        let mut log = bed.open();
        assert_eq!(put(&log, plain(&["a", "b"]), Some(1_000)).await, Ok(1_000));
        assert_eq!(put(&log, plain(&["c"]), Some(1_002)).await, Ok(1_002));
        assert_eq!(put(&log, plain(&["d"]), Some(5_000)).await, Ok(5_000));
        append(&log, vec![value("e")]).await;
        let places = [(1_000, "a"), (1_001, "b"), (1_002, "c"), (5_000, "d"), (5_001, "e")];
        for turn in 0..3 {
            assert_eq!(all(&log).await, expected(&places), "{turn}");
            assert_eq!(log.bounds(TOPIC, 0).map(|bounds| bounds.end), Ok(5_002));
            // From within what nobody has.
            let (found, _) = read_shown(&log, TOPIC, 0, 3_000).await.expect("reads");
            assert_eq!(found, expected(&places[3..]));
            log = match turn {
                0 => bed.crash(log),
                _ => {
                    log.close().await;
                    drop(log);
                    bed.open()
                }
            };
        }
        append(&log, vec![value("f")]).await;
        assert_eq!(all(&log).await.last(), Some(&(5_002, "f".to_owned())));
    }
}

#[tokio::test]
async fn an_offset_is_not_given_twice_and_none_is_too_large() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, vec![value("a"), value("b")]).await;
    let taken = |end| Err(LogError::OffsetTaken { end });
    assert_eq!(put(&log, plain(&["x"]), Some(1)).await, taken(2));
    assert_eq!(put(&log, plain(&["x"]), Some(2)).await, Ok(2));
    assert_eq!(put(&log, plain(&["x"]), Some(2)).await, taken(3));
    let far = put(&log, plain(&["x"]), Some(u64::MAX)).await;
    assert!(matches!(far, Err(LogError::Unsupported(_))), "{far:?}");
    // Who numbers batches is told of the first place, wherever he wants the second.
    let producer = log.new_producer();
    assert_eq!(put(&log, numbered(producer, 0, &["n"]), Some(10)).await, Ok(10));
    assert_eq!(put(&log, numbered(producer, 0, &["n"]), Some(10)).await, Ok(10));
    assert_eq!(all(&log).await.len(), 4);
}

#[tokio::test]
async fn a_thinned_batch_is_copied_as_it_is_and_taken_no_other_way() {
    let bed = Bed::new().without_tail();
    let log = bed.open();
    let whole = plain(&["a", "b", "c", "d"]);
    let thinned = whole.thinned(|view| view.offset % 2 == 1).expect("records are left");
    let refused = put(&log, thinned.clone(), None).await;
    assert!(matches!(refused, Err(LogError::Unsupported(_))), "{refused:?}");
    assert_eq!(put(&log, thinned, Some(100)).await, Ok(100));
    append(&log, vec![value("e")]).await;
    let log = bed.crash(log);
    assert_eq!(all(&log).await, expected(&[(101, "b"), (103, "d"), (104, "e")]));
}

/// Retention by records counts offsets, but none before the first that there is; and enough of them
/// to fill a number make no sum of them panic.
#[tokio::test]
async fn what_a_copy_leaves_out_before_it_is_not_taken_for_records() {
    let mut narrow = spec(TOPIC, 4, Durability::Durable);
    narrow.config.retention = Retention { records_max: Some(3), ..Retention::default() };
    let bed = Bed::new().with(vec![narrow]);
    let mut log = bed.open();
    assert_eq!(put(&log, plain(&["a"]), Some(1 << 40)).await, Ok(1 << 40));
    assert_eq!(put(&log, plain(&["b"]), None).await, Ok((1 << 40) + 1));
    for _ in 0..2 {
        log.maintain();
        assert_eq!(all(&log).await.len(), 2, "neither is one too many");
        log = bed.crash(log);
    }
    for partition in 0..4 {
        for at in [1u64 << 41, 1 << 62] {
            let placed = log.append_batch(TOPIC, partition, plain(&["far"]), Some(at)).await;
            assert_eq!(placed.map(|placed| placed.base_offset), Ok(at));
        }
    }
    log.maintain();
    assert_eq!(log.bounds(TOPIC, 0).map(|bounds| bounds.end), Ok((1 << 62) + 1));
}

#[tokio::test]
async fn what_a_full_device_refused_leaves_no_gap() {
    let bed = Bed::new();
    bed.disk.set_capacity(2 << 20);
    let log = bed.open();
    let mut stored = 0;
    while log.append(TOPIC, 0, vec![large(100 << 10)]).await.is_ok() {
        stored += 1;
        assert!(stored < 100, "the device never fills");
    }
    let far = stored + 1_000;
    let mut wide = BatchBuilder::new(0, 0);
    wide.push(&large(100 << 10), NOW_MS).expect("fits");
    let wide = wide.finish().expect("has a record");
    assert_eq!(put(&log, wide, Some(far)).await, Err(LogError::Full));
    assert_eq!(log.bounds(TOPIC, 0).map(|bounds| bounds.end), Ok(stored));
    bed.disk.set_capacity(1 << 40);
    assert_eq!(put(&log, plain(&["near"]), None).await, Ok(stored));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Property 30 for copies: records are read at exactly the offsets that they had elsewhere,
    /// after any crash, and none of those is given twice.
    #[test]
    fn property_30_placed_records_are_read_where_they_were_placed(
        steps in proptest::collection::vec((0u64..50, 1usize..4, any::<bool>()), 1..20),
        has_tail in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async move {
            let bed = if has_tail { Bed::new() } else { Bed::new().without_tail() };
            let mut log = bed.open();
            let (mut known, mut end) = (Vec::new(), 0u64);
            for (step, (gap, count, crashes)) in steps.into_iter().enumerate() {
                let texts: Vec<String> = (0..count).map(|it| format!("{step}.{it}")).collect();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let at = end + gap;
                prop_assert_eq!(put(&log, plain(&texts), Some(at)).await, Ok(at));
                known.extend(texts.iter().zip(at..).map(|(text, at)| (at, (*text).to_owned())));
                end = at + count as u64;
                let taken = put(&log, plain(&["no"]), Some(end - 1)).await;
                prop_assert_eq!(taken, Err(LogError::OffsetTaken { end }));
                if crashes {
                    log = bed.crash(log);
                }
                prop_assert_eq!(log.bounds(TOPIC, 0).map(|bounds| bounds.end), Ok(end));
            }
            prop_assert_eq!(all(&log).await, known);
            Ok(())
        })?;
    }
}
