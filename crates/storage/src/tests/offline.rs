//! Extents from outside: what they say, what a scan finds, and what is left after filtering.

use super::{DIR, Rig, extent_path, frame, options, stream, world};
use crate::offline::{self, Content, End, FrameFacts};
use crate::{ExtentCut, Store};
use std::path::Path;
use std::sync::Arc;
use stdx::Disk;
use testkit::disk::SimDisk;

/// Two streams in commits of two frames, and what was cut.
fn filled(disk: &Arc<SimDisk>) -> (Rig, Vec<ExtentCut>) {
    let mut rig = Rig::open_with(disk, options()).expect("opens");
    for offset in 0..20 {
        let frames = [frame(1, offset, 20 << 10), frame(2, offset, 30 << 10)];
        rig.append(frames).expect("acknowledged");
    }
    rig.seal();
    let cuts = rig.store.pin(std::time::Duration::from_secs(9)).expect("pinned").cut();
    (rig, cuts)
}

fn facts(disk: &SimDisk, cut: &ExtentCut) -> Vec<FrameFacts> {
    let mut all = Vec::new();
    let each = &mut |facts: &FrameFacts| all.push(*facts);
    offline::walk(disk, Path::new(DIR), cut.extent, cut.data_end, each).expect("whole");
    all
}

#[test]
fn files_tell_what_they_are() {
    let disk = SimDisk::shared(1);
    let (rig, cuts) = filled(&disk);
    let look = |cut: &ExtentCut| offline::look(&*disk, Path::new(DIR), cut.extent).expect("read");
    let Content::Used(sealed) = look(&cuts[0]).content else { panic!("used") };
    let is_sealed = matches!(sealed.end, End::Sealed { data_end, streams: 2, .. }
        if data_end <= cuts[0].data_end);
    assert!(is_sealed, "{sealed:?}");
    let Content::Used(open) = look(&cuts[cuts.len() - 1]).content else { panic!("used") };
    assert_eq!(open.end, End::Unknown);
    rig.close();
    let Content::Used(closed) = look(&cuts[cuts.len() - 1]).content else { panic!("used") };
    assert!(matches!(closed.end, End::Closed { .. }), "{closed:?}");
    for at in [0, 2048] {
        assert!(disk.flip_bits(&extent_path(cuts[0].extent), at + 9, 1));
    }
    assert_eq!(look(&cuts[0]).content, Content::Headless);
}

#[test]
fn a_scan_checks_frames_and_footers() {
    let disk = SimDisk::shared(2);
    let (rig, cuts) = filled(&disk);
    let (dir, first) = (Path::new(DIR), cuts[0].extent);
    let scanned = offline::scan(&*disk, dir, first, &mut |_, _, _| {}).expect("read");
    assert_eq!(scanned.spans.len(), 2);
    assert!(scanned.damaged.is_empty());
    assert_eq!(offline::footer_fits(&*disk, dir, first, &scanned), Ok(Some(true)));
    let Content::Used(used) = offline::look(&*disk, dir, first).expect("read").content else {
        panic!("used")
    };
    let End::Sealed { data_end, .. } = used.end else { panic!("sealed") };
    disk.flip_bits(&extent_path(first), data_end.next_multiple_of(4096) + 70, 4);
    assert_eq!(offline::footer_fits(&*disk, dir, first, &scanned), Ok(Some(false)));
    disk.flip_bits(&extent_path(first), 6_000, 4);
    let scanned = offline::scan(&*disk, dir, first, &mut |_, _, _| {}).expect("read");
    assert_eq!(scanned.damaged.len(), 1);
    drop(rig);
}

/// Copies the extents below their cuts, as a restore does, and opens what came out.
fn copied(disk: &SimDisk, cuts: &[ExtentCut]) -> Arc<SimDisk> {
    let copy = SimDisk::shared(77);
    copy.create_dir(Path::new(DIR)).expect("made");
    for cut in cuts {
        let bytes = disk.bytes(&extent_path(cut.extent)).expect("there");
        let file = copy.open(&extent_path(cut.extent), stdx::disk::Open::Write).expect("made");
        file.write_at(&bytes[..cut.data_end as usize], 0).expect("written");
        offline::close_copy(&*copy, Path::new(DIR), cut).expect("closed");
    }
    copy
}

#[test]
fn a_closed_copy_opens_with_all_that_was_cut_and_nothing_more() {
    let disk = SimDisk::shared(3);
    let (mut rig, cuts) = filled(&disk);
    rig.append([frame(1, 20, 100)]).expect("after the cut");
    let copy = copied(&disk, &cuts);
    let copied = Rig::open_with(&copy, options()).expect("opens");
    assert_eq!(copied.recovery.damaged, []);
    assert_eq!(copied.recovery.tail_cut_bytes, 0);
    copied.seal();
    for number in [1, 2] {
        let (source, restored) = (rig.read_all(number), copied.read_all(number));
        let source = source.expect("read").into_iter().take(20).collect::<Vec<_>>();
        assert_eq!(restored.expect("read"), source);
    }
}

#[test]
fn a_filtered_extent_holds_what_was_kept_only() {
    let disk = SimDisk::shared(4);
    let (rig, cuts) = filled(&disk);
    let source = (rig.read_all(1).expect("read"), rig.read_all(2).expect("read"));
    let copy = copied(&disk, &cuts);
    for cut in &cuts {
        let to = Path::new(DIR).join("filtered");
        let keep = &mut |facts: &FrameFacts| facts.stream == stream(2) || facts.base_offset < 7;
        offline::filter(&*copy, Path::new(DIR), cut, &to, keep).expect("written");
        copy.rename(&to, &extent_path(cut.extent)).expect("renamed");
    }
    let filtered = Rig::open_with(&copy, options()).expect("opens");
    assert_eq!(filtered.recovery.damaged, []);
    assert_eq!(filtered.read_all(1).expect("read"), source.0[..7]);
    assert_eq!(filtered.read_all(2).expect("read"), source.1);
    let left = facts(&copy, &filtered.store.pin(Default::default()).expect("pinned").cut()[0]);
    assert!(left.iter().all(|facts| facts.written_at == Some(1_000)), "{left:?}");
}

#[test]
fn a_bad_place_ends_a_walk() {
    let disk = SimDisk::shared(5);
    let (_rig, cuts) = filled(&disk);
    disk.flip_bits(&extent_path(cuts[0].extent), 9_000, 1);
    let walked =
        offline::walk(&*disk, Path::new(DIR), cuts[0].extent, cuts[0].data_end, &mut |_| {});
    assert!(matches!(walked, Err(crate::StoreError::Damaged { .. })), "{walked:?}");
    let opened = Store::open(world(&SimDisk::shared(6)), options(), &mut |_, _, _| {});
    assert!(opened.is_ok());
}
