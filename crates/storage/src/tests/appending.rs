//! Groups, commits and reading back.

use super::*;
use crate::layout::BLOCK_BYTES;
use crate::{GROUP_BYTES_MAX, LONE_FRAME_BYTES_MIN, Location};

#[test]
fn what_is_acknowledged_is_read_back() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let done = rig.append((0..10).map(|n| frame(n % 3, n, 100))).expect("appends");
    assert_eq!(done.len(), 10);
    for (frame, entry) in &done {
        assert_eq!(rig.store.read(entry.location, frame.stream), Ok(frame.body.clone()));
        assert_eq!(entry.base_offset, frame.base_offset);
        assert_eq!(entry.max_timestamp, frame.max_timestamp);
    }
    let stats = rig.store.stats();
    assert_eq!((stats.commits, stats.frames), (1, 10), "one flush for all");
    assert_eq!(stats.bytes as usize % BLOCK_BYTES, 0);
}

#[test]
fn a_wrong_location_answers_an_error() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let done = rig.append([frame(1, 0, 100), frame(2, 0, 100)]).expect("appends");
    let at = done[0].1.location;
    let read = |location, number| rig.store.read(location, stream(number));
    assert!(matches!(read(at, 2), Err(StoreError::Damaged { .. })), "another stream");
    let moved = Location { position: at.position + 8, ..at };
    assert!(matches!(read(moved, 1), Err(StoreError::Damaged { .. })));
    let long = Location { len: at.len + 4, ..at };
    assert!(matches!(read(long, 1), Err(StoreError::Damaged { .. })));
    let beyond = Location { position: u32::MAX, ..at };
    assert!(matches!(read(beyond, 1), Err(StoreError::Damaged { .. })));
    let old = Location { generation: at.generation + 1, ..at };
    assert_eq!(read(old, 1), Err(StoreError::Recycled(at.extent)));
    let gone = Location { extent: ExtentId(77), ..at };
    assert_eq!(read(gone, 1), Err(StoreError::Recycled(ExtentId(77))));
}

#[test]
fn groups_close_at_their_size_and_large_frames_go_alone() {
    let mut group = Group::default();
    let small = GROUP_BYTES_MAX / 8;
    let taken = (0..20).take_while(|&n| group.push(frame(1, n, small)).is_ok()).count();
    assert_eq!(taken, 7, "headers count");
    let mut group = Group::default();
    group.push(frame(1, 0, LONE_FRAME_BYTES_MIN)).expect("an empty group takes any frame");
    group.push(frame(1, 1, 10)).expect_err("nothing joins a large frame");
    let mut group = Group::default();
    group.push(frame(1, 0, 10)).expect("fits");
    let refused = group.push(frame(1, 1, LONE_FRAME_BYTES_MIN)).expect_err("goes alone");
    assert_eq!(refused.base_offset, 1, "given back whole");
}

#[test]
fn a_frame_that_is_too_large_is_refused_alone() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let bytes_max = rig.store.frame_bytes_max();
    let refused = rig.append([frame(1, 0, bytes_max as usize)]).expect_err("refused");
    assert!(matches!(refused, StoreError::TooLarge { .. }), "{refused:?}");
    rig.append([frame(1, 0, bytes_max as usize - 104)]).expect("the largest fits");
    rig.append([frame(1, 1, 10)]).expect("and the log goes on");
}

#[test]
fn the_open_extent_answers_entries_and_keys() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let done = rig.append((0..20).map(|n| frame(1, n, 50))).expect("appends");
    let extent = done[0].1.location.extent;
    let entries = rig.store.entries(extent, stream(1)).expect("answers");
    assert_eq!(entries.to_vec(), done.iter().map(|(_, entry)| *entry).collect::<Vec<_>>());
    let keys = rig.store.keys(extent, stream(1)).expect("answers");
    let newest: Vec<_> = (0..7).map(|key| (key, 14 + key - if key > 5 { 7 } else { 0 })).collect();
    assert_eq!(keys.to_vec(), newest);
    assert_eq!(rig.store.entries(extent, stream(2)), Err(StoreError::NotFound(extent)));
}

#[test]
fn neighbours_are_read_together_and_damage_ends_the_answer() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let done = rig.append((0..300).map(|n| frame(n % 3, n, 3_000))).expect("appends");
    let of_one: Vec<_> = done.iter().filter(|(frame, _)| frame.stream == stream(1)).collect();
    let entries: Vec<_> = of_one.iter().map(|(_, entry)| *entry).collect();
    let bodies = rig.store.read_range(&entries, stream(1)).expect("reads");
    assert!(bodies.iter().eq(of_one.iter().map(|(frame, _)| &frame.body)));
    let bad = entries[50].location;
    assert!(disk.flip_bits(&extent_path(bad.extent), u64::from(bad.position) + 200, 1));
    let bodies = rig.store.read_range(&entries, stream(1)).expect("the first is whole");
    assert_eq!(bodies.len(), 50);
    let error = rig.store.read_range(&entries[50..], stream(1)).expect_err("damaged");
    assert!(matches!(error, StoreError::Damaged { .. }));
    assert_eq!(rig.store.read_range(&[], stream(1)), Ok(Vec::new()));
}

#[test]
fn a_few_bodies_do_not_keep_what_was_read_with_them() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let done = rig.append((0..40).map(|n| frame(u64::from(n % 10 == 0), n, 1_000)));
    let done = done.expect("appends");
    let of = |number| -> Vec<(Bytes, Entry)> {
        let own = done.iter().filter(|(frame, _)| frame.stream == stream(number));
        own.map(|(frame, entry)| (frame.body.clone(), *entry)).collect()
    };
    for (number, is_shared) in [(1, false), (0, true)] {
        let (expected, entries): (Vec<_>, Vec<_>) = of(number).into_iter().unzip();
        assert_eq!(crate::read::run(&entries).map(|run| run.0), Some(entries.len()), "one read");
        let bodies = rig.store.read_range(&entries, stream(number)).expect("reads");
        assert_eq!(bodies, expected);
        assert!(bodies.iter().all(|body| body.is_unique() != is_shared), "stream {number}");
    }
}

#[test]
fn a_second_process_is_refused() {
    let disk = SimDisk::shared(1);
    let rig = Rig::open(&disk).expect("opens");
    assert_eq!(Rig::open(&disk).err(), Some(StoreError::Locked));
    drop(rig);
    Rig::open(&disk).map(drop).expect("free again");
}

#[test]
fn sizes_out_of_range_are_refused() {
    let disk = SimDisk::shared(1);
    for extent_bytes in [0, 1000, (1 << 20) + 1, (1 << 30) + (1 << 20)] {
        let refused = Rig::open_with(&disk, Options { extent_bytes, ..options() }).err();
        assert!(matches!(refused, Some(StoreError::Format(_))), "{extent_bytes}");
    }
}
