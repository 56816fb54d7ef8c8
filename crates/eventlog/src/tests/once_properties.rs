//! Ids and transactions on a disk that loses power at any moment: nothing twice, nothing in part.

use super::once::{to_topic, with_id};
use super::*;
use crate::Together;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use std::collections::{BTreeMap, HashMap};

const PARTITIONS: Partition = 3;

#[derive(Clone, Debug)]
enum Act {
    /// Records with ids of a small pool, each to a partition.
    Publish(Vec<(Partition, u8)>),
    /// A part in each of these partitions, with so many bytes.
    Transact(Vec<Partition>, usize),
    Plain(Partition),
    Maintain,
    Wait,
}

fn act() -> impl Strategy<Value = Act> {
    let bytes = prop_oneof![6 => 0..200usize, 1 => 60_000..300_000usize];
    prop_oneof![
        4 => prop::collection::vec((0..PARTITIONS, 0..24u8), 1..5).prop_map(Act::Publish),
        3 => (prop::collection::vec(0..PARTITIONS, 2..5), bytes)
            .prop_map(|(parts, bytes)| Act::Transact(parts, bytes)),
        2 => (0..PARTITIONS).prop_map(Act::Plain),
        1 => Just(Act::Maintain),
        2 => Just(Act::Wait),
    ]
}

/// What was acknowledged.
#[derive(Default)]
struct Model {
    /// By id, where its record is.
    ids: HashMap<u8, (Partition, Offset)>,
    /// By transaction, how many parts it has; and whether it was acknowledged.
    transactions: BTreeMap<String, (usize, bool)>,
    plain: Vec<String>,
}

fn seeded_bed(seed: u64) -> Bed {
    let mut bed = Bed::seeded(seed).with(vec![spec(TOPIC, PARTITIONS, Durability::Durable)]);
    bed.options.ids_memory_bytes_max = 2_000;
    bed.options.snapshot_bytes_max = 3_000;
    bed
}

async fn play(log: &EmbeddedLog, acts: &[Act], turn: usize, model: &mut Model) -> TestCaseResult {
    let (mut ids, mut transactions, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for (index, act) in acts.iter().enumerate() {
        let name = format!("{turn}.{index}");
        match act {
            Act::Publish(records) => {
                let sent = records.iter();
                let sent = sent.map(|(at, id)| (*at, with_id(&id.to_string(), &format!("id{id}"))));
                ids.push((records, log.publish(to_topic(sent.collect()), Together::IfStored)));
            }
            Act::Transact(parts, bytes) => {
                let text = format!("tx{name}/{}", "x".repeat(*bytes));
                let sent = parts.iter().map(|&at| (TOPIC, at, vec![value(&text)])).collect();
                model.transactions.insert(format!("tx{name}"), (parts.len(), false));
                transactions.push((format!("tx{name}"), log.transact(sent)));
            }
            Act::Plain(at) => {
                let text = format!("plain{name}");
                plain.push((text.clone(), log.append(TOPIC, *at, vec![value(&text)])));
            }
            Act::Maintain => log.maintain(),
            Act::Wait => {}
        }
        if !matches!(act, Act::Wait) && index + 1 < acts.len() {
            continue;
        }
        for (records, answer) in ids.drain(..) {
            let Ok(placed) = answer.await else { continue };
            for ((_, id), placed) in records.iter().zip(placed) {
                let place = (placed.partition, placed.offset);
                let known = *model.ids.entry(*id).or_insert(place);
                prop_assert_eq!(known, place, "id {} in {}", id, name);
            }
        }
        for (name, answer) in transactions.drain(..) {
            if answer.await.is_ok()
                && let Some(known) = model.transactions.get_mut(&name)
            {
                known.1 = true;
            }
        }
        for (text, answer) in plain.drain(..) {
            if answer.await.is_ok() {
                model.plain.push(text);
            }
        }
    }
    Ok(())
}

async fn check(log: &EmbeddedLog, model: &Model) -> TestCaseResult {
    let mut seen: HashMap<String, Vec<(Partition, Offset)>> = HashMap::new();
    for partition in 0..PARTITIONS {
        let (found, _) = read_shown(log, TOPIC, partition, 0).await.expect("reads");
        for (offset, text) in found {
            let name = text.split('/').next().unwrap_or_default().to_owned();
            seen.entry(name).or_default().push((partition, offset));
        }
    }
    for (name, places) in &seen {
        if name.starts_with("id") {
            prop_assert_eq!(places.len(), 1, "{} is stored once", name);
        }
    }
    for (id, place) in &model.ids {
        prop_assert_eq!(seen.get(&format!("id{id}")), Some(&vec![*place]));
    }
    for (name, (parts, is_acknowledged)) in &model.transactions {
        let count = seen.get(name).map_or(0, Vec::len);
        let is_whole = count == *parts || count == 0 && !is_acknowledged;
        prop_assert!(is_whole, "{} shows {} of {} parts", name, count, parts);
    }
    for text in &model.plain {
        prop_assert_eq!(seen.get(text).map(Vec::len), Some(1), "{}", text);
    }
    Ok(())
}

async fn crash_and_check(seed: u64, turns: Vec<(Vec<Act>, u64)>) -> TestCaseResult {
    let bed = seeded_bed(seed);
    let mut model = Model::default();
    for (turn, (acts, crash_after)) in turns.iter().enumerate() {
        bed.disk.crash_at(bed.disk.changes() + crash_after);
        // The crash may come while the log is opened, or never.
        if let Ok((log, _)) = bed.try_open() {
            play(&log, acts, turn, &mut model).await?;
            bed.disk.crash();
            drop(log);
        }
        bed.disk.restart();
        let (log, report) = bed.try_open().expect("opens after a crash");
        prop_assert!(report.damaged.is_empty(), "{:?}", report.damaged);
        check(&log, &model).await?;
        // What is stored is found again by its id, acknowledged or not.
        for id in 0..24u8 {
            if id % 4 == 0 {
                // There is no thread that makes room for ids.
                log.maintain();
            }
            let sent = vec![(0, with_id(&id.to_string(), &format!("id{id}")))];
            let placed =
                log.publish(to_topic(sent), Together::IfStored).await.expect("is stored")[0];
            let place = (placed.partition, placed.offset);
            prop_assert_eq!(*model.ids.entry(id).or_insert(place), place);
        }
        check(&log, &model).await?;
        bed.disk.crash();
        drop(log);
        bed.disk.restart();
    }
    Ok(())
}

fn run_async(test: impl Future<Output = TestCaseResult>) -> TestCaseResult {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    runtime.expect("builds").block_on(test)
}

/// The same few calls, with the power lost at every single change of the disk.
#[test]
fn transactions_are_whole_wherever_the_power_is_lost() {
    let acts = vec![
        Act::Plain(0),
        Act::Transact(vec![0, 1, 2], 10),
        Act::Publish(vec![(0, 1), (1, 2), (2, 1)]),
        Act::Wait,
        Act::Transact(vec![2, 1], 290_000),
        Act::Maintain,
        Act::Transact(vec![1, 0], 10),
        Act::Plain(1),
        Act::Wait,
    ];
    for crash_after in 1..70 {
        let outcome = run_async(crash_and_check(crash_after, vec![(acts.clone(), crash_after)]));
        assert!(outcome.is_ok(), "power lost at change {crash_after}: {outcome:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// LOG-22: exactly-once on the log.
    #[test]
    fn nothing_is_stored_twice_or_in_part_over_any_crash(
        seed in any::<u64>(),
        turns in prop::collection::vec((prop::collection::vec(act(), 1..25), 1..150u64), 1..4),
    ) {
        run_async(crash_and_check(seed, turns))?;
    }
}
