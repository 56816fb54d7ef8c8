//! Space that runs out and returns, and failures that are final.

use super::*;
use testkit::disk::{Failure, Fault, Operation};

fn fault(operation: Operation, nth: u64, failure: Failure) -> Fault {
    Fault { operation, nth, failure }
}

#[test]
fn a_full_disk_refuses_appends_until_space_returns() {
    let disk = SimDisk::shared(1);
    let extent_bytes = u64::from(EXTENT_BYTES);
    disk.set_capacity(2 * extent_bytes);
    let mut rig = Rig::open(&disk).expect("opens");
    let mut acknowledged = 0;
    let error = loop {
        match rig.append([frame(0, acknowledged, 20_000)]) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        rig.seal();
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    assert!(acknowledged > 80, "both extents are used: {acknowledged}");
    assert_eq!(rig.store.stats().failed, None);
    assert_eq!(rig.read_all(0).expect("reads go on").len() as u64, acknowledged);
    let span = rig.store.take_sealed()[0];
    rig.store.release(span.extent, span.generation).expect("releases");
    rig.append([frame(0, acknowledged, 20_000)]).expect("space returned");
    drop(rig);
    disk.restart();
    let rig = Rig::open(&disk).expect("opens");
    assert_eq!(rig.read_all(0).expect("reads").last().map(|last| last.0), Some(acknowledged));
}

#[test]
fn a_disk_fuller_than_allowed_refuses_appends() {
    let disk = SimDisk::shared(1);
    let extent_bytes = u64::from(EXTENT_BYTES);
    disk.set_capacity(4 * extent_bytes);
    let limits = Options { free_bytes_min: extent_bytes, ..options() };
    let mut rig = Rig::open_with(&disk, limits).expect("opens");
    rig.append([frame(0, 0, 100)]).expect("appends");
    disk.set_capacity(2 * extent_bytes - 1);
    // Asked for at most every so many commits.
    let refused = (1..300).find_map(|n| rig.append([frame(0, n, 10)]).err());
    assert!(matches!(refused, Some(StoreError::Full(_))), "{refused:?}");
    disk.set_capacity(4 * extent_bytes);
    rig.append([frame(0, 500, 100)]).expect("at once");
}

#[test]
fn a_released_file_is_removed_while_too_little_is_free() {
    let disk = SimDisk::shared(1);
    let extent_bytes = u64::from(EXTENT_BYTES);
    disk.set_capacity(4 * extent_bytes);
    let limits = Options { free_bytes_min: extent_bytes, ..options() };
    let mut rig = Rig::open_with(&disk, limits).expect("opens");
    let acknowledged = (0..60).filter_map(|n| rig.append([frame(0, n, 20_000)]).ok()).count();
    assert_eq!(acknowledged, 60);
    rig.seal();
    let span = rig.store.take_sealed()[0];
    // Two extents are in use; what else fills the disk leaves less than must be free.
    disk.set_capacity(3 * extent_bytes - 1);
    let refused = (60..360).find_map(|n| rig.append([frame(0, n, 10)]).err());
    assert!(matches!(refused, Some(StoreError::Full(_))), "{refused:?}");
    rig.store.release(span.extent, span.generation).expect("releases");
    assert_eq!((rig.store.stats().extents_free, disk.bytes(&extent_path(span.extent))), (0, None));
    rig.append([frame(0, 1_000, 10)]).expect("its space serves");
}

#[test]
fn free_space_is_asked_for_only_while_it_is_waited_for() {
    let disk = SimDisk::shared(1);
    let extent_bytes = u64::from(EXTENT_BYTES);
    disk.set_capacity(4 * extent_bytes);
    let limits = Options { free_bytes_min: extent_bytes, ..options() };
    let mut rig = Rig::open_with(&disk, limits).expect("opens");
    let free_bytes = |rig: &Rig| rig.store.stats().free_bytes;
    assert_eq!(free_bytes(&rig), 4 * extent_bytes, "known from the start");
    disk.set_capacity(0);
    assert_eq!(free_bytes(&rig), 4 * extent_bytes, "not asked again");
    rig.append([frame(0, 0, 100)]).expect_err("full");
    assert_eq!(free_bytes(&rig), 0);
    disk.set_capacity(8 * extent_bytes);
    assert_eq!(free_bytes(&rig), 8 * extent_bytes, "somebody waits");
    rig.append([frame(0, 0, 100)]).expect("appends");
    disk.set_capacity(0);
    assert_ne!(free_bytes(&rig), 0);
    rig.store.inner.look_at_space();
    assert_eq!(free_bytes(&rig), 0, "the background has looked");
}

#[test]
fn without_space_for_the_first_extent_the_store_opens_and_waits() {
    let disk = SimDisk::shared(1);
    disk.set_capacity(1000);
    let mut rig = Rig::open(&disk).expect("opens");
    rig.appender.prepare();
    let error = rig.append([frame(0, 0, 100)]).expect_err("full");
    assert!(matches!(error, StoreError::Full(_)));
    disk.set_capacity(1 << 30);
    rig.append([frame(0, 0, 100)]).expect("space returned");
}

#[test]
fn a_failed_write_is_final_and_reads_go_on() {
    for (direct, operation) in
        [(Some(4096), Operation::Write), (None, Operation::Write), (None, Operation::Flush)]
    {
        for failure in [Failure::Io, Failure::Short] {
            let disk = SimDisk::shared(1);
            disk.set_direct_align(direct);
            let mut rig = Rig::open(&disk).expect("opens");
            let done = rig.append([frame(0, 0, 5_000)]).expect("appends");
            disk.inject(fault(operation, 1, failure));
            let first = rig.append([frame(0, 1, 5_000)]).expect_err("fails");
            assert!(matches!(first, StoreError::Failed(_)), "{first}");
            let second = rig.append([frame(0, 2, 5_000)]).expect_err("never retried");
            assert!(matches!(second, StoreError::Failed(_)), "{second}");
            assert!(rig.store.stats().failed.is_some());
            assert_eq!(rig.store.read(done[0].1.location, stream(0)), Ok(done[0].0.body.clone()));
            drop(rig);
            disk.restart();
            let rig = Rig::open(&disk).expect("opens");
            let held = rig.read_all(0).expect("reads");
            assert_eq!(held[0].1, done[0].0.body);
            assert!(held.len() <= 2, "the third was never written");
        }
    }
}

#[test]
fn a_flush_that_finds_no_space_is_final() {
    let disk = SimDisk::shared(1);
    disk.set_direct_align(None);
    let mut rig = Rig::open(&disk).expect("opens");
    rig.append([frame(0, 0, 100)]).expect("appends");
    disk.inject(fault(Operation::Flush, 1, Failure::Full));
    let error = rig.append([frame(0, 1, 100)]).expect_err("fails");
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
}

#[test]
fn a_flush_that_failed_while_zeros_were_written_fails_the_commit_too() {
    let disk = SimDisk::shared(1);
    disk.set_direct_align(None);
    let mut rig = Rig::open(&disk).expect("opens");
    rig.append((0..10).map(|n| frame(0, n, 20_000))).expect("appends");
    disk.inject(fault(Operation::Flush, 1, Failure::Io));
    // What the commit has written and not yet flushed is lost with the zeros.
    rig.prepare();
    let error = rig.append([frame(0, 10, 100)]).expect_err("the writer hears of it");
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
}

#[test]
fn no_space_for_zeros_is_no_failure() {
    for direct in [Some(4096), None] {
        let disk = SimDisk::shared(1);
        disk.set_direct_align(direct);
        let mut rig = Rig::open(&disk).expect("opens");
        rig.append((0..10).map(|n| frame(0, n, 20_000))).expect("appends");
        let mut zeros = Blocks::new(crate::prepare::CHUNK_BYTES as usize);
        disk.inject(fault(Operation::Write, 1, Failure::Full));
        assert_eq!(rig.store.inner.pool.step(&mut zeros), Step::Idle);
        rig.append([frame(0, 10, 100)]).expect("appends");
        let step = rig.store.inner.pool.step(&mut zeros);
        assert!(matches!(step, Step::Wrote { .. }), "{step:?}: again later");
    }
}

#[test]
fn a_write_refused_for_space_is_not_final() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    rig.append([frame(0, 0, 100)]).expect("appends");
    disk.inject(fault(Operation::Write, 1, Failure::Full));
    let error = rig.append([frame(0, 1, 100)]).expect_err("full");
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    rig.append([frame(0, 1, 200)]).expect("appends");
    drop(rig);
    disk.restart();
    let rig = Rig::open(&disk).expect("opens");
    assert_eq!(rig.read_all(0).expect("reads")[1].1, frame(0, 1, 200).body);
}

/// One commit is acknowledged, the next is refused after a part of it was written.
fn refuse_in_the_middle(disk: &Arc<SimDisk>) -> Rig {
    let mut rig = Rig::open(disk).expect("opens");
    rig.append([frame(0, 0, 100)]).expect("appends");
    disk.inject(fault(Operation::Write, 1, Failure::ShortFull));
    let error = rig.append((1..40).map(|n| frame(0, n, 3_000))).expect_err("full");
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    rig
}

#[test]
fn nothing_of_a_commit_refused_for_space_is_ever_found() {
    for seed in 0..10 {
        for is_closed in [true, false] {
            for direct in [Some(4096), None] {
                let disk = SimDisk::shared(seed);
                disk.set_direct_align(direct);
                let mut rig = refuse_in_the_middle(&disk);
                if is_closed {
                    rig.close();
                } else {
                    rig.append([frame(0, 1, 10)]).expect("space returned");
                    drop(rig);
                }
                disk.kill_process();
                let rig = Rig::open(&disk).expect("opens");
                let expected = if is_closed { vec![0] } else { vec![0, 1] };
                let held = rig.read_all(0).expect("reads");
                let offsets: Vec<_> = held.iter().map(|held| held.0).collect();
                assert_eq!(offsets, expected, "seed {seed}");
                assert!(rig.recovery.damaged.is_empty(), "{:?}", rig.recovery.damaged);
                assert!(held.iter().all(|held| held.1.len() <= 100), "none of the refused");
            }
        }
    }
}

#[test]
fn a_crash_right_behind_a_refused_commit_finds_nothing_of_it() {
    for seed in 0..10 {
        let disk = SimDisk::shared(seed);
        drop(refuse_in_the_middle(&disk));
        disk.kill_process();
        let rig = Rig::open(&disk).expect("opens");
        assert_eq!(rig.read_all(0).expect("reads").len(), 1, "seed {seed}");
        assert!(rig.recovery.damaged.is_empty(), "{:?}", rig.recovery.damaged);
    }
}

#[test]
fn a_refused_commit_that_cannot_be_taken_back_is_final() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    rig.append([frame(0, 0, 100)]).expect("appends");
    disk.inject(fault(Operation::Write, 1, Failure::ShortFull));
    disk.inject(fault(Operation::Write, 2, Failure::Full));
    let error = rig.append([frame(0, 1, 100)]).expect_err("fails");
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
}

#[test]
fn an_extent_that_cannot_be_made_ahead_is_made_later() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    rig.append((0..10).map(|n| frame(0, n, 20_000))).expect("appends");
    disk.inject(fault(Operation::Resize, 1, Failure::Full));
    rig.prepare();
    assert_eq!(rig.store.stats().extents_free, 0);
    rig.prepare();
    assert_eq!(rig.store.stats().extents_free, 1);
}

#[test]
fn reads_that_fail_say_so() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let done = rig.append([frame(0, 0, 100)]).expect("appends");
    disk.inject(fault(Operation::Read, 1, Failure::Io));
    let error = rig.store.read(done[0].1.location, stream(0)).expect_err("fails");
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    rig.store.read(done[0].1.location, stream(0)).expect("the next read works");
}
