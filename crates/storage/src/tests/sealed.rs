//! Encryption at rest: nothing readable on the disk, nothing opened that is not where it was
//! written, and keys that go away take exactly one tenant's frames with them.

use super::ring::Ring;
use super::*;
use crate::layout::{self, key::KEY_STREAM};
use crate::{DataKeys, KeyError};
use stdx::Disk;
use testkit::disk::{Failure, Fault, Operation};

fn open(disk: &Arc<SimDisk>, ring: &Arc<Ring>) -> Rig {
    let world = World { keys: Some(ring.clone()), ..world(disk) };
    Rig::open_in(world, options()).expect("opens")
}

fn files(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let names = disk.list(Path::new(DIR)).expect("lists");
    let paths = names.into_iter().map(|name| Path::new(DIR).join(name));
    paths.filter_map(|path| disk.bytes(&path).map(|bytes| (path, bytes))).collect()
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The header of an acknowledged frame as it lies on the disk.
fn header_of(disk: &SimDisk, rig: &Rig, entry: &Entry) -> layout::frame::FrameHeader {
    let location = entry.location;
    let salt = rig.store.inner.current(location.extent).expect("is there").seal.salt;
    let file = disk.bytes(&extent_path(location.extent)).expect("is there");
    layout::frame::decode(&file[location.position as usize..], salt).expect("whole")
}

#[test]
fn no_body_is_ever_readable_on_the_disk() {
    let (disk, ring) = (SimDisk::shared(1), Ring::shared());
    let mut rig = open(&disk, &ring);
    let canary = b"CANARY-4711";
    for n in 0..60 {
        let body = Bytes::from([&canary[..], &[n as u8; 40_000]].concat());
        rig.append([Frame { body, ..frame(n % 3, n, 0) }]).expect("appends");
    }
    rig.seal();
    assert!(!rig.store.take_sealed().is_empty(), "also behind a footer");
    rig.close();
    for (path, bytes) in files(&disk) {
        assert!(!holds(&bytes, canary), "{path:?}");
    }
    disk.restart();
    let rig = open(&disk, &ring);
    for number in 0..3 {
        let found = rig.read_all(number).expect("reads");
        assert_eq!(found.len(), 20);
        assert!(found.iter().all(|(_, body)| body.starts_with(canary)));
    }
}

#[test]
fn spans_and_scans_know_nothing_of_key_frames() {
    let (disk, ring) = (SimDisk::shared(1), Ring::shared());
    let mut rig = open(&disk, &ring);
    rig.append((0..4).map(|number| frame(number, 0, 100))).expect("appends");
    disk.crash();
    disk.restart();
    // Neither does recovery need a key.
    let rig = Rig::open(&disk).expect("opens");
    assert_eq!(rig.recovery.spans.len(), 4);
    assert_eq!(rig.seen.len(), 4);
    assert!(rig.recovery.spans.iter().all(|span| span.stream != KEY_STREAM));
    let error = rig.read_all(0).expect_err("there is no ring");
    assert!(matches!(error, StoreError::NoKey { error: KeyError::Unavailable(_), .. }), "{error}");
    rig.seal();
    drop(rig);
    disk.kill_process();
    let rig = open(&disk, &ring);
    assert_eq!(rig.recovery.spans.len(), 4, "from the footer");
    assert_eq!(rig.read_all(3).expect("reads").len(), 1);
}

#[test]
fn plain_extents_stay_readable_beside_sealed_ones() {
    let (disk, ring) = (SimDisk::shared(1), Ring::shared());
    let mut rig = Rig::open(&disk).expect("opens");
    rig.append([frame(0, 0, 500)]).expect("appends");
    rig.close();
    let mut rig = open(&disk, &ring);
    rig.append([frame(0, 1, 500)]).expect("appends");
    let offsets: Vec<_> = rig.read_all(0).expect("reads").iter().map(|found| found.0).collect();
    assert_eq!(offsets, [0, 1]);
}

#[test]
fn a_frame_moved_to_another_place_does_not_open() {
    let (disk, ring) = (SimDisk::shared(1), Ring::shared());
    let mut rig = open(&disk, &ring);
    let done = rig.append((0..2).map(|n| frame(1, n, 600))).expect("appends");
    let (first, second) = (header_of(&disk, &rig, &done[0].1), header_of(&disk, &rig, &done[1].1));
    let extent = rig.store.inner.current(done[0].1.location.extent).expect("is there");
    let file = disk.bytes(&extent_path(extent.id)).expect("is there");
    let at = done[0].1.location.position as usize;
    let bytes = &file[at..at + done[0].1.location.len as usize];
    let last = &mut crate::unseal::LastKey::default();
    let position = done[0].1.location.position;
    let mut whole = bytes.to_vec();
    let body = rig.store.body(&extent, stream(1), position, &mut whole, last).expect("opens");
    assert_eq!(whole[body], done[0].0.body);
    // The checksum is made to fit each time, as someone with the disk in hand could.
    let forge = |change: &dyn Fn(&mut [u8])| {
        let mut forged = bytes.to_vec();
        change(&mut forged);
        let crc = layout::checksum(extent.seal.salt, &[&forged[4..]]);
        forged[..4].copy_from_slice(&crc.to_le_bytes());
        forged
    };
    const OFFSET_AT: usize = 52;
    let at_second = second.base_offset.to_le_bytes();
    let moved = forge(&|frame| frame[OFFSET_AT..OFFSET_AT + 8].copy_from_slice(&at_second));
    let header = layout::frame::decode(&moved, extent.seal.salt).expect("looks whole");
    assert_eq!(header.base_offset, second.base_offset, "that is where the offset is");
    let partition = forge(&|frame| frame[44] ^= 1);
    let count = forge(&|frame| frame[48] ^= 2);
    let hash = forge(&|frame| frame[layout::frame::HEADER_BYTES] ^= 1);
    let same = layout::frame::decode(&partition, extent.seal.salt).expect("looks whole").stream;
    assert_ne!(same, stream(1));
    for (mut forged, of) in
        [(moved, stream(1)), (partition, same), (count, stream(1)), (hash, stream(1))]
    {
        let error = rig.store.body(&extent, of, position, &mut forged, last).expect_err("forged");
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    }
    assert_eq!(first.key_id, second.key_id);
}

#[test]
fn a_key_of_another_extent_is_foreign() {
    let (disk, ring) = (SimDisk::shared(1), Ring::shared());
    let mut rig = open(&disk, &ring);
    rig.append([frame(1, 0, 600)]).expect("appends");
    let (extent, wrapped) = rig.store.wrapped_keys(tenant(1)).expect("reads")[0];
    assert!(ring.open(extent, &wrapped).is_ok());
    let other = crate::ExtentRef { generation: extent.generation + 1, ..extent };
    assert_eq!(ring.open(other, &wrapped).expect_err("foreign"), KeyError::Foreign);
    // Another ring has other keys.
    rig.close();
    let stranger = Ring::shared();
    let rig = open(&disk, &stranger);
    let error = rig.read_all(1).expect_err("foreign");
    assert!(matches!(error, StoreError::NoKey { error: KeyError::Foreign, .. }), "{error}");
}

#[test]
fn every_flipped_bit_is_noticed_or_repaired_by_the_second_copy() {
    let (disk, ring) = (SimDisk::shared(1), Ring::shared());
    let mut rig = open(&disk, &ring);
    let mut done = Vec::new();
    for n in 0..3 {
        done.extend(rig.append([frame(1, n, 100)]).expect("appends"));
    }
    rig.close();
    let path = extent_path(done[0].1.location.extent);
    let end = done[2].1.location.position as usize + done[2].1.location.len as usize;
    let mut survived = 0;
    for at in layout::BLOCK_BYTES..end {
        assert!(disk.flip_bits(&path, at as u64, 1 << (at % 8)));
        let rig = open(&disk, &ring);
        match rig.read_all(1) {
            Ok(found) => {
                let expected: Vec<_> = done.iter().map(|(frame, _)| &frame.body).collect();
                assert!(found.iter().all(|(_, body)| expected.contains(&body)));
                let is_told = !rig.recovery.damaged.is_empty();
                let is_whole = found.len() == 3;
                // A frame that is gone must have been told of; padding and key copies may rot.
                assert!(is_whole || is_told, "byte {at}: {} found", found.len());
                survived += usize::from(is_whole);
            }
            Err(error) => assert!(matches!(error, StoreError::Damaged { .. }), "{at}: {error}"),
        }
        drop(rig);
        disk.kill_process();
        assert!(disk.flip_bits(&path, at as u64, 1 << (at % 8)));
    }
    assert!(survived > 2 * layout::key::KEY_FRAME_BYTES, "each copy of the key is enough");
}

#[test]
fn a_shredded_tenant_is_unreadable_at_once_and_others_are_not_touched() {
    let (disk, ring) = (SimDisk::shared(1), Ring::shared());
    let mut rig = open(&disk, &ring);
    for n in 0..40 {
        rig.append([frame(n % 2, n, 40_000)]).expect("appends");
    }
    rig.seal();
    assert_eq!(rig.read_all(0).expect("reads").len(), 20);
    ring.shred(tenant(0));
    let error = rig.read_all(0).expect_err("shredded");
    let expected = KeyError::Shredded(tenant(0));
    assert!(matches!(&error, StoreError::NoKey { error, .. } if *error == expected), "{error}");
    assert_eq!(rig.read_all(1).expect("reads").len(), 20);
    // A group of both is refused as a whole, and says whose frames may not come again.
    let both = [frame(1, 41, 100), frame(0, 40, 100)];
    let error = rig.append(both).expect_err("one of them has no key");
    assert!(matches!(error, StoreError::NoKey { tenant: Some(t), .. } if t == tenant(0)));
    rig.append([frame(1, 41, 100)]).expect("appends");
    assert_eq!(rig.read_all(1).expect("reads").len(), 21);
    rig.close();
    let rig = open(&disk, &ring);
    assert!(rig.read_all(0).is_err());
    assert_eq!(rig.read_all(1).expect("reads").len(), 21);
}

#[test]
fn a_key_that_is_missing_for_a_while_stops_its_tenant_only_for_that_while() {
    let (disk, ring) = (SimDisk::shared(1), Ring::shared());
    let mut rig = open(&disk, &ring);
    rig.append((0..2).map(|number| frame(number, 0, 100))).expect("appends");
    ring.set_missing(Some(tenant(0)));
    rig.append([frame(0, 1, 100)]).expect_err("missing");
    rig.append([frame(1, 1, 100)]).expect("appends");
    ring.set_missing(None);
    rig.append([frame(0, 1, 100)]).expect("appends again");
    assert_eq!(rig.read_all(0).expect("reads").len(), 2);
}

#[test]
fn data_keys_wrapped_anew_after_a_rotation_open_what_was_written_before() {
    let (disk, ring) = (SimDisk::shared(1), Ring::shared());
    let mut rig = open(&disk, &ring);
    for n in 0..40 {
        rig.append([frame(1, n, 40_000)]).expect("appends");
    }
    rig.seal();
    let before = rig.store.wrapped_keys(tenant(1)).expect("reads");
    assert!(before.len() > 1, "one of each extent");
    assert!(before.is_sorted_by_key(|(extent, _)| extent.generation));
    ring.rotate(tenant(1), &before);
    assert_eq!(rig.read_all(1).expect("reads").len(), 40);
    rig.append([frame(1, 40, 100)]).expect("appends");
    let after = rig.store.wrapped_keys(tenant(1)).expect("reads");
    assert_eq!(after.len(), before.len() + 1, "new frames are under a new key");
    assert_eq!(after.last().map(|(_, wrapped)| wrapped.version), Some(2));
    rig.close();
    let rig = open(&disk, &ring);
    assert_eq!(rig.read_all(1).expect("reads").len(), 41);
}

#[test]
fn a_nonce_used_by_a_refused_commit_is_not_used_again() {
    for failure in [Failure::Full, Failure::ShortFull] {
        let (disk, ring) = (SimDisk::shared(1), Ring::shared());
        let mut rig = open(&disk, &ring);
        let first = rig.append([frame(1, 0, 9_000)]).expect("appends");
        disk.inject(Fault { operation: Operation::Write, nth: 1, failure });
        let refused = [frame(1, 1, 9_000), frame(2, 0, 9_000)];
        let error = rig.append(refused).expect_err("full");
        assert!(matches!(error, StoreError::Full(_)), "{error}");
        let again = [frame(1, 1, 8_000), frame(2, 0, 8_000)];
        let second = rig.append(again).expect("appends");
        let nonce = |entry: &Entry| header_of(&disk, &rig, entry).nonce[0];
        assert_eq!(nonce(&first[0].1), 0);
        assert_eq!(nonce(&second[0].1), 2, "1 was used up by what was refused");
        // The other tenant's key was never durable: it has another one now, with nonces of its own.
        assert_eq!(header_of(&disk, &rig, &second[1].1).key_id, 3);
        for number in [1, 2] {
            assert!(rig.read_all(number).is_ok());
        }
        disk.crash();
        disk.restart();
        let rig = open(&disk, &ring);
        assert_eq!(rig.read_all(1).expect("reads").len(), 2);
        assert_eq!(rig.read_all(2).expect("reads").len(), 1);
    }
}
