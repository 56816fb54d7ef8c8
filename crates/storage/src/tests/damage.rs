//! Bits that rot under acknowledged data: told apart from a torn tail, never cut, never skipped.

use super::*;
use crate::DamagedRange;

/// Five commits of three frames each: streams 0, 1, 2.
fn five_commits(disk: &Arc<SimDisk>) -> Vec<(Frame, Entry)> {
    let mut rig = Rig::open(disk).expect("opens");
    for n in 0..5 {
        rig.append((0..3).map(|number| frame(number, n, 3_000))).expect("appends");
    }
    let done = rig.script.acknowledged();
    assert_eq!(rig.store.stats().commits, 5);
    done
}

fn spoil(disk: &SimDisk, entry: &Entry, byte: u64) {
    let path = extent_path(entry.location.extent);
    assert!(disk.flip_bits(&path, u64::from(entry.location.position) + byte, 0x40));
}

fn offsets(rig: &Rig, number: u64) -> Vec<u64> {
    rig.read_all(number).expect("reads").into_iter().map(|(offset, _)| offset).collect()
}

#[test]
fn a_bad_frame_before_a_whole_commit_is_damage() {
    let disk = SimDisk::shared(1);
    let done = five_commits(&disk);
    // Stream 1 of the third commit.
    spoil(&disk, &done[7].1, 500);
    for _ in 0..2 {
        disk.restart();
        let rig = Rig::open(&disk).expect("opens");
        let [damage] = &rig.recovery.damaged[..] else { panic!("{:?}", rig.recovery.damaged) };
        assert_eq!(damage.from_position, u64::from(done[7].1.location.position));
        assert_eq!(damage.ranges, [DamagedRange { stream: stream(1), from: 2, to: 3 }]);
        assert_eq!(rig.recovery.tail_cut_bytes, 0);
        assert_eq!(offsets(&rig, 0), [0, 1, 2, 3, 4]);
        assert_eq!(offsets(&rig, 1), [0, 1, 3, 4]);
        assert_eq!(offsets(&rig, 2), [0, 1, 2, 3, 4], "the frame behind is saved");
        let bad = &done[7];
        let error = rig.store.read(bad.1.location, stream(1)).expect_err("damaged");
        assert!(matches!(error, StoreError::Damaged { .. }));
        // Sealing must not write a footer that hides it from the second round.
        rig.seal();
    }
}

#[test]
fn a_bad_commit_header_before_a_whole_commit_is_damage() {
    let disk = SimDisk::shared(1);
    let done = five_commits(&disk);
    let path = extent_path(done[3].1.location.extent);
    let at = u64::from(done[3].1.location.position) - 30;
    assert!(disk.flip_bits(&path, at, 1));
    disk.restart();
    let rig = Rig::open(&disk).expect("opens");
    assert!(rig.recovery.damaged.is_empty(), "one bit is repaired");
    assert_eq!(offsets(&rig, 1), [0, 1, 2, 3, 4]);
    drop(rig);
    let disk = SimDisk::shared(1);
    let done = five_commits(&disk);
    assert!(disk.flip_bits(&path, at, 3));
    assert_eq!(u64::from(done[3].1.location.position), at + 30);
    disk.restart();
    let rig = Rig::open(&disk).expect("opens");
    assert_eq!(rig.recovery.damaged.len(), 1);
    assert_eq!(rig.recovery.damaged[0].ranges.len(), 3);
    for number in 0..3 {
        assert_eq!(offsets(&rig, number), [0, 2, 3, 4]);
    }
}

#[test]
fn two_bad_places_are_both_told() {
    let disk = SimDisk::shared(1);
    let done = five_commits(&disk);
    spoil(&disk, &done[0].1, 3);
    spoil(&disk, &done[10].1, 3);
    disk.restart();
    let rig = Rig::open(&disk).expect("opens");
    assert_eq!(rig.recovery.damaged.len(), 2);
    assert_eq!(offsets(&rig, 0), [1, 2, 3, 4]);
    assert_eq!(offsets(&rig, 1), [0, 1, 2, 4]);
}

#[test]
fn a_bad_last_commit_is_a_torn_tail() {
    let disk = SimDisk::shared(1);
    let done = five_commits(&disk);
    // One bit alone would be rot, which `tests/rot.rs` is about.
    spoil(&disk, &done[13].1, 100);
    spoil(&disk, &done[13].1, 1_000);
    disk.restart();
    let mut rig = Rig::open(&disk).expect("opens");
    assert!(rig.recovery.damaged.is_empty());
    let torn = u64::from(done[13].1.location.len + done[14].1.location.len);
    assert_eq!(rig.recovery.tail_cut_bytes, torn);
    assert_eq!(offsets(&rig, 0), [0, 1, 2, 3, 4], "whole frames before it are kept");
    assert_eq!(offsets(&rig, 1), [0, 1, 2, 3]);
    rig.append([frame(1, 4, 100)]).expect("appends");
    rig.seal();
    drop(rig);
    disk.restart();
    let rig = Rig::open(&disk).expect("opens");
    assert_eq!(offsets(&rig, 1), [0, 1, 2, 3, 4]);
    assert_eq!(rig.recovery.tail_cut_bytes, 0, "cut for good");
}

#[test]
fn a_bad_last_commit_of_a_closed_log_is_damage() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let done = rig.append([frame(0, 0, 100)]).expect("appends");
    rig.close();
    spoil(&disk, &done[0].1, 150);
    disk.restart();
    let rig = Rig::open(&disk).expect("opens");
    assert_eq!(rig.recovery.damaged.len(), 1);
    assert_eq!(rig.recovery.tail_cut_bytes, 0);
}

#[test]
fn a_commit_behind_the_known_end_is_not_data() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let done = rig.append([frame(0, 0, 100)]).expect("appends");
    let extent = done[0].1.location.extent;
    rig.append([frame(0, 1, 100)]).expect("appends");
    let found = rig.store.inner.current(extent).expect("is open");
    let file = rig.store.inner.device.open_reading(extent).expect("opens");
    let limit = u64::from(EXTENT_BYTES) - 4096;
    let scan = |data_end| {
        let target = crate::scan::Target { extent, seal: found.seal, limit, data_end };
        crate::scan::scan(&*file, target, &mut |_, _, _| {}).expect("reads")
    };
    assert_eq!(scan(None).index.size().entries, 2);
    let known = scan(Some(u64::from(done[0].1.location.position + done[0].1.location.len)));
    assert_eq!((known.index.size().entries, known.damage.len(), known.cut_bytes), (1, 0, 0));
}

#[test]
fn an_extent_without_a_header_is_left_as_it_is() {
    let disk = SimDisk::shared(1);
    let done = five_commits(&disk);
    let extent = done[0].1.location.extent;
    assert!(disk.flip_bits(&extent_path(extent), 20, 1));
    disk.restart();
    assert!(Rig::open(&disk).expect("opens").recovery.damaged.is_empty(), "one copy is enough");
    assert!(disk.flip_bits(&extent_path(extent), 2_068, 1));
    disk.restart();
    let mut rig = Rig::open(&disk).expect("opens");
    assert_eq!(rig.recovery.damaged.len(), 1);
    rig.append([frame(0, 5, 100)]).expect("the log goes on");
    assert!(disk.bytes(&extent_path(extent)).is_some());
}

#[test]
fn a_body_that_imitates_a_commit_is_not_one() {
    let disk = SimDisk::shared(1);
    let mut rig = Rig::open(&disk).expect("opens");
    let done = rig.append([frame(0, 0, 100)]).expect("appends");
    let path = extent_path(done[0].1.location.extent);
    let image = disk.bytes(&path).expect("is there");
    // A copy of a real commit under another salt, at every block of a large body.
    let mut body = vec![0; 100_000];
    let mut copy = image[4096..8192].to_vec();
    copy[24] ^= 1;
    let start = 4096 - 64 - 96;
    body[start..start + 4096].copy_from_slice(&copy);
    let large = Frame { body: Bytes::from(body), keys: Box::new([]), ..frame(0, 1, 0) };
    let torn = rig.append([large]).expect("appends");
    drop(rig);
    spoil(&disk, &torn[0].1, 97);
    spoil(&disk, &torn[0].1, 5_000);
    disk.restart();
    let rig = Rig::open(&disk).expect("opens");
    assert!(rig.recovery.damaged.is_empty());
    assert!(rig.recovery.tail_cut_bytes > 100_000);
}
