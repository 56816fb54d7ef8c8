//! Full extents, footers, recycling and restarts.

use super::*;
use crate::layout::BLOCK_BYTES;

/// Appends single-frame commits until `extents` have been filled; answers the frames.
fn fill(rig: &mut Rig, extents: usize, from: u64) -> Vec<Frame> {
    let first = rig.store.inner.extents.read().len();
    let mut frames = Vec::new();
    while rig.store.inner.extents.read().len() < first + extents {
        let n = from + frames.len() as u64;
        let done = rig.append([frame(n % 3, n, 20_000)]).expect("appends");
        frames.extend(done.into_iter().map(|(frame, _)| frame));
    }
    frames
}

fn check_all(rig: &Rig, frames: &[Frame]) {
    for number in 0..3 {
        let held = rig.read_all(number).expect("reads");
        let written = frames.iter().filter(|frame| frame.stream == stream(number));
        let written: Vec<_> = written.map(|f| (f.base_offset, f.body.clone())).collect();
        assert_eq!(held, written, "stream {number}");
    }
}

#[test]
fn full_extents_are_sealed_and_reported_once() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let frames = fill(&mut rig, 4, 0);
    assert!(rig.store.take_sealed().is_empty(), "nothing is sealed yet");
    check_all(&rig, &frames);
    rig.seal();
    let spans = rig.store.take_sealed();
    assert_eq!(spans.len(), 9, "three extents of three streams");
    let span = &spans[0];
    assert_eq!((span.stream, span.first_offset), (stream(0), 0));
    assert_eq!(span.max_timestamp, 1_000 + span.next_offset as i64 - 1);
    assert!(rig.store.take_sealed().is_empty());
    check_all(&rig, &frames);
    let keys = rig.store.keys(span.extent, stream(0)).expect("from the footer");
    assert_eq!(keys.len(), 7);
}

#[test]
fn footers_are_found_at_the_next_start_and_nothing_is_scanned() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let frames = fill(&mut rig, 3, 0);
    rig.seal();
    let sealed = rig.store.take_sealed();
    rig.close();
    disk.kill_process();
    let mut rig = Rig::open(&disk).expect("opens");
    assert_eq!(rig.recovery.scanned_extents, 1, "only the one that was open");
    assert_eq!(rig.recovery.spans[..sealed.len()], sealed);
    assert_eq!((rig.recovery.tail_cut_bytes, rig.recovery.damaged.len()), (0, 0));
    check_all(&rig, &frames);
    rig.seal();
    assert!(rig.store.take_sealed().is_empty(), "recovery has reported them");
    let more = fill(&mut rig, 1, 1_000);
    check_all(&rig, &[frames, more].concat());
}

#[test]
fn a_missing_or_bad_footer_is_rebuilt() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let frames = fill(&mut rig, 3, 0);
    rig.seal();
    let spans = rig.store.take_sealed();
    let (first, second) = (spans[0].extent, spans[3].extent);
    rig.close();
    let trailer = u64::from(EXTENT_BYTES) - BLOCK_BYTES as u64;
    assert!(disk.flip_bits(&extent_path(first), trailer + 20, 1), "no trailer");
    let bytes = disk.bytes(&extent_path(second)).expect("is there");
    let footer_at = u64::from_le_bytes(bytes[trailer as usize + 40..][..8].try_into().expect("8"));
    assert!(disk.flip_bits(&extent_path(second), footer_at + 8, 1), "a bad directory");
    disk.kill_process();
    let rig = Rig::open(&disk).expect("opens");
    assert_eq!(rig.recovery.scanned_extents, 3);
    assert_eq!((rig.recovery.tail_cut_bytes, rig.recovery.damaged.len()), (0, 0));
    assert_eq!(rig.recovery.spans[..spans.len()], spans);
    assert_eq!(rig.seen.len(), frames.len());
    check_all(&rig, &frames);
    rig.seal();
    rig.close();
    disk.kill_process();
    assert_eq!(Rig::open(&disk).expect("opens").recovery.scanned_extents, 0, "written again");
}

/// Flips a bit in the first stream's section of the first sealed extent.
fn spoil_section(disk: &SimDisk, extent: ExtentId) {
    let trailer = u64::from(EXTENT_BYTES) - BLOCK_BYTES as u64;
    let bytes = disk.bytes(&extent_path(extent)).expect("is there");
    let footer_at = u64::from_le_bytes(bytes[trailer as usize + 40..][..8].try_into().expect("8"));
    assert!(disk.flip_bits(&extent_path(extent), footer_at + 3 * 64 + 4, 1));
}

#[test]
fn a_bad_section_of_a_footer_is_rebuilt_from_the_frames() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let frames = fill(&mut rig, 2, 0);
    let extent = rig.script.acknowledged()[0].1.location.extent;
    let entries = rig.store.entries(extent, stream(0)).expect("from memory");
    let keys = rig.store.keys(extent, stream(0)).expect("from memory");
    rig.seal();
    spoil_section(&disk, extent);
    assert_eq!(rig.store.keys(extent, stream(0)), Ok(keys));
    assert_eq!(rig.store.entries(extent, stream(0)), Ok(entries));
    assert_eq!(rig.store.entries(extent, stream(9)), Err(StoreError::NotFound(extent)));
    check_all(&rig, &frames);
    let span = rig.store.take_sealed()[0];
    rig.store.release(span.extent, span.generation).expect("releases");
}

#[test]
fn a_bad_section_above_a_bad_frame_is_an_error() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    fill(&mut rig, 2, 0);
    rig.seal();
    let location = rig.script.acknowledged()[4].1.location;
    spoil_section(&disk, location.extent);
    assert!(disk.flip_bits(&extent_path(location.extent), u64::from(location.position) + 200, 1));
    for _ in 0..2 {
        let error = rig.store.entries(location.extent, stream(0)).expect_err("damaged");
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    }
    rig.store.entries(location.extent, stream(2)).expect("the others are whole");
}

#[test]
fn released_extents_are_recycled_under_a_new_generation() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let old = rig.append([frame(0, 0, 100)]).expect("appends");
    fill(&mut rig, 2, 1);
    let location = old[0].1.location;
    let release = |rig: &Rig| rig.store.release(location.extent, location.generation);
    assert_eq!(release(&rig), Err(StoreError::InUse(location.extent)), "no footer yet");
    rig.seal();
    assert_eq!(rig.store.read(location, stream(0)), Ok(old[0].0.body.clone()));
    release(&rig).expect("releases");
    assert_eq!(release(&rig), Err(StoreError::NotFound(location.extent)));
    let gone = Err(StoreError::Recycled(location.extent));
    assert_eq!(rig.store.read(location, stream(0)), gone);
    assert_eq!(rig.store.stats().extents_free, 1);
    fill(&mut rig, 1, 1_000);
    let now = rig.store.inner.current(location.extent).expect("in use again");
    assert!(now.seal.generation > location.generation);
    assert_eq!(rig.store.read(location, stream(0)), gone);
    assert_eq!(release(&rig), Err(StoreError::Recycled(location.extent)));
    rig.seal();
}

#[test]
fn what_an_older_generation_left_is_not_data() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    fill(&mut rig, 2, 0);
    rig.seal();
    let span = rig.store.take_sealed()[0];
    rig.store.release(span.extent, span.generation).expect("releases");
    let before: Vec<_> = (0..3).map(|n| rig.read_all(n).expect("reads")).collect();
    // Fills the rest of the open extent and a little of the recycled one.
    let more = fill(&mut rig, 1, 1_000);
    disk.restart();
    let rig = Rig::open(&disk).expect("opens");
    assert!(rig.recovery.damaged.is_empty(), "{:?}", rig.recovery.damaged);
    for number in 0..3 {
        let mut expected = before[number as usize].clone();
        let of_it = more.iter().filter(|frame| frame.stream == stream(number));
        expected.extend(of_it.map(|frame| (frame.base_offset, frame.body.clone())));
        assert_eq!(rig.read_all(number).expect("reads"), expected);
    }
}

#[test]
fn a_freed_extent_stays_free_after_a_crash() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    fill(&mut rig, 2, 0);
    rig.seal();
    let span = rig.store.take_sealed()[0];
    rig.store.release(span.extent, span.generation).expect("releases");
    disk.restart();
    let rig = Rig::open(&disk).expect("opens");
    assert!(rig.recovery.spans.iter().all(|found| found.extent != span.extent));
    assert_eq!(rig.store.stats().extents_free, 1);
}

#[test]
fn restarts_with_little_data_take_little_space() {
    let disk = SimDisk::shared(1);
    for n in 0..20 {
        let mut rig = Rig::open(&disk).expect("opens");
        rig.append([frame(0, n, 100)]).expect("appends");
        rig.close();
        disk.kill_process();
    }
    let rig = Rig::open(&disk).expect("opens");
    assert_eq!(rig.read_all(0).expect("reads").len(), 20);
    rig.seal();
    let stats = rig.store.stats();
    assert_eq!(stats.extents_sealed, 20);
    assert!(stats.stored_bytes < 2 * u64::from(EXTENT_BYTES), "{}", stats.stored_bytes);
    let span = rig.recovery.spans[0];
    rig.store.release(span.extent, span.generation).expect("releases");
    assert_eq!(disk.bytes(&extent_path(span.extent)), None, "too short to be used again");
}

#[test]
fn an_extent_released_while_its_file_is_cut_waits_and_is_not_used_again() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    rig.append([frame(0, 0, 100)]).expect("appends");
    rig.close();
    disk.kill_process();
    let rig = Rig::open(&disk).expect("opens");
    while rig.store.inner.seal_step() {}
    let span = rig.recovery.spans[0];
    let extent = rig.store.inner.current(span.extent).expect("is there");
    assert!(crate::seal::shrunk_len(&extent).is_some(), "is to be cut");
    let cutting = extent.file_lock.lock();
    let store = rig.store.clone();
    let releasing = std::thread::spawn(move || store.release(span.extent, span.generation));
    while rig.store.inner.current(span.extent).is_some() {
        std::thread::yield_now();
    }
    crate::seal::shrink(&rig.store.inner.device, &extent).expect("the file is still its own");
    drop(cutting);
    releasing.join().expect("ends").expect("releases");
    assert_eq!(disk.bytes(&extent_path(span.extent)), None, "too short to be used again");
    assert_eq!(rig.store.stats().extents_free, 0);
    assert!(
        crate::seal::shrink(&rig.store.inner.device, &extent).is_ok(),
        "nothing is left to cut"
    );
    extent.len.store(u64::from(EXTENT_BYTES), std::sync::atomic::Ordering::Relaxed);
    crate::seal::shrink(&rig.store.inner.device, &extent).expect_err("the file is gone");
    assert_eq!(disk.bytes(&extent_path(span.extent)), None, "and is not made again");
}

#[test]
fn empty_extents_are_used_again() {
    let disk = SimDisk::shared(1);
    for _ in 0..5 {
        let mut rig = Rig::open(&disk).expect("opens");
        rig.run();
        rig.appender.prepare();
        rig.close();
        disk.kill_process();
    }
    let rig = Rig::open(&disk).expect("opens");
    assert_eq!((rig.store.stats().extents_free, rig.recovery.spans.len()), (1, 0));
}

#[test]
fn a_footer_that_cannot_be_written_loses_nothing() {
    use testkit::disk::{Failure, Fault, Operation};
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let frames = fill(&mut rig, 2, 0);
    disk.inject(Fault { operation: Operation::Write, nth: 1, failure: Failure::Io });
    rig.seal();
    assert_eq!(rig.store.take_sealed().len(), 3, "sealed all the same");
    check_all(&rig, &frames);
    assert_eq!(rig.store.stats().failed, None);
    disk.restart();
    let rig = Rig::open(&disk).expect("opens");
    assert_eq!(rig.recovery.scanned_extents, 2);
    check_all(&rig, &frames);
}

#[test]
fn extents_are_written_ahead_of_the_writer() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open_with(&disk, Options { pool_extents: 2, ..options() }).expect("opens");
    let frames = fill(&mut rig, 1, 0);
    let more = rig.append((0..10).map(|n| frame(0, 1_000 + n, 20_000))).expect("appends");
    rig.prepare();
    assert_eq!(rig.store.stats().extents_free, 2);
    let frames = [frames, more.into_iter().map(|(frame, _)| frame).collect()].concat();
    check_all(&rig, &frames);
}

#[test]
fn a_footer_answers_for_one_key_and_one_offset() {
    let disk = SimDisk::shared(9);
    let mut rig = Rig::open(&disk).unwrap();
    // Several parts of entries and of hashes, with a gap before each frame.
    for group in 0..40u64 {
        let frames = (0..50).map(|index| group * 50 + index).map(|number| {
            let keys = Box::new([number * 3, number * 3 + 1]);
            Frame { keys, ..frame(1, number * 2, 20) }
        });
        rig.append(frames).unwrap();
    }
    rig.close();
    let rig = Rig::open(&disk).unwrap();
    rig.seal();
    let extent = rig.store.sealed()[0].extent;
    // The answers of the whole section would be kept, so those of its parts come first.
    let found = (0..6_000).map(|hash| rig.store.find_key(extent, stream(1), hash).unwrap());
    let found = found.collect::<Vec<_>>();
    let near = (0..4_000).map(|from| rig.store.entries_from(extent, stream(1), from).unwrap());
    let near = near.collect::<Vec<_>>();
    let keys = rig.store.keys(extent.id, stream(1)).unwrap();
    let entries = rig.store.entries(extent.id, stream(1)).unwrap();
    for (hash, found) in (0..).zip(found) {
        let at = keys.binary_search_by_key(&hash, |(hash, _)| *hash).ok();
        assert_eq!(found, at.map(|at| keys[at].1));
    }
    for (from, near) in (0..).zip(near) {
        let found = near.iter().find(|entry| entry.next_offset() > from);
        assert_eq!(found, entries.iter().find(|entry| entry.next_offset() > from));
    }
    assert_eq!(rig.store.find_key(extent, stream(1), u64::MAX), Ok(None));
}
