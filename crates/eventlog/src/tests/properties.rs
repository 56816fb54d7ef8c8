//! The catalogue's properties of the log, over a disk that loses power at any moment.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use std::collections::BTreeMap;

const PARTITIONS: Partition = 3;

/// One publisher's call: to which partition, how many records, how large.
#[derive(Clone, Debug)]
struct Publish {
    partition: Partition,
    count: usize,
    bytes: usize,
    /// Waits for all answers so far before the next call.
    waits: bool,
}

fn publish() -> impl Strategy<Value = Publish> {
    let bytes = prop_oneof![4 => 0..300usize, 1 => 20_000..80_000usize];
    (0..PARTITIONS, 1..5usize, bytes, any::<bool>())
        .prop_map(|(partition, count, bytes, waits)| Publish { partition, count, bytes, waits })
}

type Acknowledged = BTreeMap<(Partition, Offset), String>;

/// Publishes as told until the end or the crash; what was acknowledged goes to `acknowledged`.
async fn run(
    log: &EmbeddedLog,
    calls: &[Publish],
    turn: usize,
    acknowledged: &mut Acknowledged,
) -> TestCaseResult {
    let mut waiting = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let texts: Vec<String> = (0..call.count)
            .map(|number| format!("{turn}.{index}.{number}/{}", "x".repeat(call.bytes)))
            .collect();
        let records = texts.iter().map(|text| value(text)).collect();
        waiting.push((call.partition, texts, log.append(TOPIC, call.partition, records)));
        if call.waits || index + 1 == calls.len() {
            for (partition, texts, answer) in waiting.drain(..) {
                let Ok(appended) = answer.await else { continue };
                for (offset, text) in (appended.base_offset..).zip(texts) {
                    let twice = acknowledged.insert((partition, offset), text);
                    prop_assert!(twice.is_none(), "offset {} of {} twice", offset, partition);
                }
            }
        }
    }
    Ok(())
}

/// Everything acknowledged is there, once, in order.
async fn check(log: &EmbeddedLog, acknowledged: &Acknowledged) -> TestCaseResult {
    for partition in 0..PARTITIONS {
        let found = read_all(log, TOPIC, partition, 0).await.expect("reads");
        prop_assert!(found.is_sorted_by(|one, next| one.0 < next.0), "in order, once");
        let found: BTreeMap<Offset, String> = found.into_iter().collect();
        let wanted = acknowledged.iter().filter(|((of, _), _)| *of == partition);
        for ((_, offset), text) in wanted {
            prop_assert_eq!(found.get(offset), Some(text), "partition {}", partition);
        }
    }
    Ok(())
}

async fn crash_and_check(
    seed: u64,
    turns: Vec<(Vec<Publish>, u64)>,
    tail_bytes_max: usize,
) -> TestCaseResult {
    let mut bed = Bed::seeded(seed).with(vec![spec(TOPIC, PARTITIONS, Durability::Durable)]);
    bed.options.tail_bytes_max = tail_bytes_max;
    let mut acknowledged = Acknowledged::new();
    for (turn, (calls, crash_after)) in turns.iter().enumerate() {
        bed.disk.crash_at(bed.disk.changes() + crash_after);
        // The crash may come while the log is opened, or never.
        if let Ok((log, _)) = bed.try_open() {
            run(&log, calls, turn, &mut acknowledged).await?;
            bed.disk.crash();
            drop(log);
        }
        bed.disk.restart();
        let (log, report) = bed.try_open().expect("opens after a crash");
        prop_assert!(report.damaged.is_empty(), "{:?}", report.damaged);
        check(&log, &acknowledged).await?;
        bed.disk.crash();
        drop(log);
        bed.disk.restart();
    }
    Ok(())
}

/// Records at times that rise with jitter, in batches of the sizes given.
async fn timed(
    log: &EmbeddedLog,
    batches: &[Vec<(i64, usize)>],
) -> Result<Vec<i64>, TestCaseError> {
    let mut times = Vec::new();
    for batch in batches {
        let records = batch.iter().map(|&(time, bytes)| {
            let number = times.len();
            times.push(NOW_MS + time);
            Record {
                timestamp: Some(NOW_MS + time),
                ..value(&format!("{number}/{}", "x".repeat(bytes)))
            }
        });
        let records = records.collect::<Vec<_>>();
        let first = (times.len() - records.len()) as u64;
        prop_assert_eq!(append(log, records).await, first);
    }
    Ok(times)
}

async fn replay_and_check(
    batches: Vec<Vec<(i64, usize)>>,
    asked: Vec<(i64, prop::sample::Index)>,
    tail_bytes_max: usize,
    is_reopened: bool,
) -> TestCaseResult {
    let mut bed = Bed::new();
    bed.options.tail_bytes_max = tail_bytes_max;
    let mut log = bed.open();
    let times = timed(&log, &batches).await?;
    if is_reopened {
        log = bed.crash(log);
    }
    let end = times.len() as u64;
    for (time, index) in asked {
        let time = NOW_MS + time;
        let want = times.iter().position(|at| *at >= time).map_or(end, |at| at as u64);
        prop_assert_eq!(log.offset_at(TOPIC, 0, time).await, Ok(want));
        let from = index.index(times.len() + 1) as u64;
        for from in [from, want] {
            let found = read_all(&log, TOPIC, 0, from).await.expect("reads");
            let offsets: Vec<Offset> = found.iter().map(|(offset, _)| *offset).collect();
            prop_assert_eq!(offsets, (from..end).collect::<Vec<_>>());
            let is_own =
                |(offset, text): &(Offset, String)| text.starts_with(&format!("{offset}/"));
            prop_assert!(found.iter().all(is_own));
        }
    }
    Ok(())
}

/// Many publishers at once; every answer, what the observer is told and what is read agree.
async fn race_and_check(durability: Durability, publishers: Vec<Vec<usize>>) -> TestCaseResult {
    let bed = Bed::new().with(vec![spec(TOPIC, 2, durability)]);
    let log = bed.open();
    let witness = Arc::new(Witness::default());
    log.observe(witness.clone());
    let tasks: Vec<_> = publishers
        .into_iter()
        .enumerate()
        .map(|(publisher, counts)| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let partition = (publisher % 2) as Partition;
                let mut given = Vec::new();
                for count in counts {
                    let record = value(&publisher.to_string());
                    let appended = log.append(TOPIC, partition, vec![record; count]).await;
                    let base = appended.expect("is taken").base_offset;
                    given.push(base..base + count as u64);
                }
                (partition, given)
            })
        })
        .collect();
    let mut all: BTreeMap<Partition, Vec<Offset>> = BTreeMap::new();
    for task in tasks {
        let (partition, given) = task.await.expect("ends");
        let is_rising = given.is_sorted_by(|one, next| one.end <= next.start);
        prop_assert!(is_rising, "a publisher's records keep its order");
        all.entry(partition).or_default().extend(given.into_iter().flatten());
    }
    for (partition, mut offsets) in all {
        offsets.sort_unstable();
        prop_assert_eq!(&witness.offsets(TOPIC, partition), &offsets, "told in order, once");
        let bounds = log.bounds(TOPIC, partition).expect("known");
        let first = offsets.first().copied().unwrap_or(bounds.end);
        let without_gap: Vec<Offset> = (first..bounds.end).collect();
        prop_assert_eq!(&offsets, &without_gap);
        if durability != Durability::Ephemeral {
            let read = read_all(&log, TOPIC, partition, 0).await.expect("reads");
            prop_assert_eq!(read.into_iter().map(|r| r.0).collect::<Vec<_>>(), offsets);
        }
    }
    Ok(())
}

fn run_async(test: impl Future<Output = TestCaseResult>) -> TestCaseResult {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    runtime.expect("builds").block_on(test)
}

fn tail_bytes_max() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), Just(40_000), Just(8 << 20)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// **Feature: realtime-saas-platform, Property 29: every published event is stored durably by
    /// the log engine**
    #[test]
    fn property_29_acknowledged_records_survive_any_crash(
        seed in any::<u64>(),
        turns in prop::collection::vec(
            (prop::collection::vec(publish(), 1..25), 1..120u64), 1..4
        ),
        tail_bytes_max in tail_bytes_max(),
    ) {
        run_async(crash_and_check(seed, turns, tail_bytes_max))?;
    }

    /// **Feature: realtime-saas-platform, Property 30: replay by cursor starts at the given
    /// timestamp or sequence**
    #[test]
    fn property_30_replay_starts_exactly_where_it_was_asked_to(
        batches in prop::collection::vec(
            prop::collection::vec((0..1_000i64, prop_oneof![0..50usize, 0..60_000usize]), 1..6),
            1..30,
        ),
        asked in prop::collection::vec((-10..1_010i64, any::<prop::sample::Index>()), 1..4),
        tail_bytes_max in tail_bytes_max(),
        is_reopened in any::<bool>(),
    ) {
        run_async(replay_and_check(batches, asked, tail_bytes_max, is_reopened))?;
    }

    #[test]
    fn offsets_are_given_once_and_in_order_under_any_load(
        durability in prop_oneof![
            Just(Durability::Durable), Just(Durability::Relaxed), Just(Durability::Ephemeral)
        ],
        publishers in prop::collection::vec(prop::collection::vec(1..6usize, 1..12), 1..8),
    ) {
        run_async(race_and_check(durability, publishers))?;
    }
}
