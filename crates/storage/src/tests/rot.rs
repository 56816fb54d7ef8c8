//! One flipped bit in the last commit before a crash: told from a torn write, and never silently
//! cut. Every bit of it is tried.

use super::*;

/// The bytes of the file from its first commit on, and a disk that was killed after it.
fn crashed(seed: u64) -> (Arc<SimDisk>, PathBuf, u64) {
    let disk = SimDisk::shared(seed);
    let mut rig = Rig::open(&disk).expect("opens");
    rig.append([frame(1, 0, 200)]).expect("is stored");
    let acknowledged = rig.append([frame(1, 1, 150), frame(2, 0, 90)]).expect("is stored");
    let last = acknowledged.last().map(|(_, entry)| entry.location).expect("was stored");
    let path = extent_path(last.extent);
    disk.crash();
    drop(rig);
    disk.restart();
    (disk, path, u64::from(last.position) + u64::from(last.len))
}

#[test]
fn every_bit_of_the_last_commit_is_missed_when_it_flips() {
    let (_, _, end) = crashed(1);
    let last_commit = 2 * 4096..end;
    let (mut repaired, mut reported) = (0, 0);
    for at in last_commit {
        for bit in 0..8 {
            let (disk, path, _) = crashed(1);
            assert!(disk.flip_bits(&path, at, 1 << bit));
            let rig = Rig::open(&disk).expect("opens");
            let one = rig.read_all(1).map(|found| found.len());
            let two = rig.read_all(2).map(|found| found.len());
            match (one, two) {
                (Ok(2), Ok(1)) => repaired += 1,
                _ => {
                    assert!(!rig.recovery.damaged.is_empty(), "byte {at}, bit {bit} is unnoticed");
                    reported += 1;
                }
            }
        }
    }
    // The commit's header is repaired, its frames are reported.
    assert_eq!(repaired, 8 * 64);
    assert!(reported > 8 * 400, "{reported}");
}
