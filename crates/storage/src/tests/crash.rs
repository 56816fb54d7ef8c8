//! A crash at every change of the disk: what was acknowledged is there, in order, once; what was
//! never submitted is not.

use super::ring::Ring;
use super::*;
use crate::DataKeys;
use proptest::prelude::*;
use std::collections::BTreeMap;
use testkit::disk::{Failure, Fault, Operation};

/// What one run does, step by step.
#[derive(Clone, Debug)]
enum Act {
    /// Frames of these streams and body sizes, in one go.
    Append(Vec<(u64, usize)>),
    Seal,
    Prepare,
    /// Gives the oldest sealed extent back.
    Release,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let size =
        prop_oneof![8 => 10usize..2_000, 2 => 2_000usize..60_000, 1 => 200_000usize..262_000];
    prop_oneof![
        12 => prop::collection::vec((0u64..4, size), 1..12).prop_map(Act::Append),
        2 => Just(Act::Seal),
        1 => Just(Act::Prepare),
        1 => Just(Act::Release),
        1 => Just(Act::Restart),
    ]
}

/// What the outside knows.
#[derive(Default)]
struct Model {
    /// Per stream: the frames submitted since, and how many of them were acknowledged.
    streams: BTreeMap<u64, Vec<(u64, Bytes, bool)>>,
    /// Offsets below this may be gone, because their extent was (or was being) released.
    released: BTreeMap<u64, u64>,
}

impl Model {
    fn next_offset(&self, number: u64) -> u64 {
        let held = self.streams.get(&number).and_then(|frames| frames.last());
        held.map_or(0, |(offset, ..)| offset + 1)
    }

    /// Releases the oldest extent of all, so that what is left of a stream has no gap.
    fn release(&mut self, rig: &Rig, spans: &mut Vec<crate::Span>) {
        let Some(oldest) = spans.iter().min_by_key(|span| span.generation).copied() else { return };
        let outcome = rig.store.release(oldest.extent, oldest.generation);
        if let Err(StoreError::InUse(_)) = outcome {
            return;
        }
        // An error means that the disk has crashed: then it may or may not have happened.
        for span in spans.iter().filter(|span| span.generation == oldest.generation) {
            let released = self.released.entry(span.stream.topic.0).or_default();
            *released = (*released).max(span.next_offset);
        }
        spans.retain(|span| span.generation != oldest.generation);
    }

    /// Compares with what a fresh process finds, which from then on is the truth.
    fn check(&mut self, rig: &Rig) -> Result<(), TestCaseError> {
        prop_assert!(rig.recovery.damaged.is_empty(), "{:?}", rig.recovery.damaged);
        for number in 0..4 {
            let found = rig.read_all(number).expect("everything found is readable");
            let released = self.released.get(&number).copied().unwrap_or_default();
            let submitted = self.streams.entry(number).or_default();
            let first = found.first().map_or(u64::MAX, |(offset, _)| *offset);
            submitted.retain(|(offset, ..)| *offset >= first || *offset >= released);
            let acknowledged = submitted.iter().rposition(|(.., is_acknowledged)| *is_acknowledged);
            prop_assert!(
                found.len() > acknowledged.map_or(0, |last| last) || acknowledged.is_none(),
                "stream {number}: {} found, {acknowledged:?} acknowledged",
                found.len()
            );
            prop_assert!(found.len() <= submitted.len(), "more than was submitted");
            for ((offset, body), (expected, expected_body, _)) in found.iter().zip(&*submitted) {
                prop_assert_eq!(offset, expected);
                prop_assert_eq!(body, expected_body);
            }
            submitted.truncate(found.len());
            submitted.iter_mut().for_each(|frame| frame.2 = true);
        }
        Ok(())
    }
}

fn perform(rig: &mut Rig, model: &mut Model, spans: &mut Vec<crate::Span>, act: &Act) {
    match act {
        Act::Append(wanted) => {
            for &(number, bytes) in wanted {
                let frame = frame(number, model.next_offset(number), bytes);
                let submitted = model.streams.entry(number).or_default();
                submitted.push((frame.base_offset, frame.body.clone(), false));
                rig.script.push(frame);
            }
            let before = rig.script.outcomes.lock().len();
            rig.run();
            for (frame, _) in rig.script.outcomes.lock()[before..].iter().flatten().flatten() {
                let submitted = model.streams.entry(frame.stream.topic.0).or_default();
                let own = submitted.iter_mut().find(|(offset, ..)| *offset == frame.base_offset);
                own.expect("was submitted").2 = true;
            }
        }
        Act::Seal => {
            rig.seal();
            spans.extend(rig.store.take_sealed());
        }
        Act::Prepare => rig.prepare(),
        Act::Release => model.release(rig, spans),
        Act::Restart => {}
    }
}

/// Runs the acts with a crash at the given change of the disk (or none), and checks after it and
/// after a second crash right after recovery.
fn play(
    acts: &[Act],
    seed: u64,
    direct: Option<usize>,
    crash_at: u64,
    keys: Option<Arc<dyn DataKeys>>,
) -> Result<u64, TestCaseError> {
    let open =
        |disk: &Arc<SimDisk>| Rig::open_in(World { keys: keys.clone(), ..world(disk) }, options());
    let disk = SimDisk::shared(seed);
    disk.set_direct_align(direct);
    disk.crash_at(crash_at);
    let mut model = Model::default();
    let mut spans = Vec::new();
    let mut rig = open(&disk).ok();
    for act in acts {
        if let (Act::Restart, false) = (act, disk.is_crashed()) {
            drop(rig.take());
            disk.kill_process();
            rig = open(&disk).ok();
            spans = rig.as_ref().map_or(Vec::new(), |rig| rig.recovery.spans.clone());
        }
        let Some(rig) = &mut rig else { break };
        perform(rig, &mut model, &mut spans, act);
    }
    drop(rig);
    let changes = disk.changes();
    for _ in 0..2 {
        disk.restart();
        let rig = open(&disk).expect("opens after a crash");
        model.check(&rig)?;
        rig.seal();
    }
    Ok(changes)
}

fn keys(is_sealed: bool) -> Option<Arc<dyn DataKeys>> {
    is_sealed.then(|| Ring::shared() as Arc<dyn DataKeys>)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// **Feature: realtime-saas-platform, Property 29: every published event is stored durably by
    /// the log engine**
    #[test]
    fn what_was_acknowledged_survives_a_crash_anywhere(
        acts in prop::collection::vec(act(), 1..25),
        seed in any::<u64>(),
        is_direct in any::<bool>(),
        is_sealed in any::<bool>(),
        at in any::<prop::sample::Index>(),
    ) {
        let direct = is_direct.then_some(4096);
        let changes = play(&acts, seed, direct, u64::MAX, keys(is_sealed))?;
        play(&acts, seed, direct, 1 + at.index(changes as usize) as u64, keys(is_sealed))?;
    }
}

#[test]
fn every_single_change_is_a_safe_place_to_crash() {
    let append = |count: u64, bytes| Act::Append((0..count).map(|n| (n % 4, bytes)).collect());
    let acts = [
        append(5, 100),
        Act::Prepare,
        append(8, 120_000),
        Act::Seal,
        append(3, 50),
        Act::Release,
        append(10, 90_000),
        Act::Restart,
        append(2, 5_000),
        Act::Seal,
        append(40, 700),
    ];
    for (direct, is_sealed) in [(Some(4096), false), (Some(4096), true), (None, true)] {
        let changes =
            play(&acts, 1, direct, u64::MAX, keys(is_sealed)).expect("holds without a crash");
        assert!(changes > 30, "{changes}");
        for crash_at in 1..=changes {
            for seed in 0..4 {
                let outcome = play(&acts, seed, direct, crash_at, keys(is_sealed));
                assert!(outcome.is_ok(), "crash at {crash_at}, seed {seed}: {outcome:?}");
            }
        }
    }
}

/// Seeds 44, 124 and 154 of the simulator: the flush of a commit fails, so that nobody is told of
/// it, but the page cache still shows it to the next process. What that one tells its readers must
/// survive the next loss of power.
#[test]
fn what_is_found_after_a_failed_flush_is_on_the_device() {
    let disk = SimDisk::shared(44);
    disk.set_direct_align(None);
    let mut rig = Rig::open(&disk).expect("opens");
    rig.append([frame(1, 0, 100)]).expect("is stored");
    disk.inject(Fault { operation: Operation::Flush, nth: 1, failure: Failure::Io });
    rig.append([frame(1, 1, 100)]).expect_err("fails");
    disk.halt();
    drop(rig);
    disk.kill_process();
    let rig = Rig::open(&disk).expect("opens");
    let found = rig.read_all(1).expect("reads");
    rig.seal();
    disk.crash();
    drop(rig);
    disk.restart();
    let rig = Rig::open(&disk).expect("opens");
    assert_eq!(rig.read_all(1).expect("reads"), found);
}
