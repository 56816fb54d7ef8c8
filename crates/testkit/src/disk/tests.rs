//! The simulated disk must lose, keep and refuse exactly what it says.

use super::*;

fn path(name: &str) -> PathBuf {
    Path::new("/d").join(name)
}

fn file(disk: &SimDisk, name: &str, how: Open) -> Arc<dyn File> {
    let file = disk.open(&path(name), how).expect("opens");
    disk.flush_dir(Path::new("/d")).expect("flushes");
    file
}

#[test]
fn what_was_flushed_survives_and_the_rest_may_not() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = SimDisk::shared(seed);
        let log = file(&disk, "log", Open::Write);
        log.write_at(&[1; 4096], 0).expect("writes");
        log.flush().expect("flushes");
        log.write_at(&[2; 4096], 4096).expect("writes");
        disk.restart();
        let bytes = disk.bytes(&path("log")).expect("is there");
        assert_eq!(bytes[..4096], [1; 4096]);
        lost += usize::from(bytes.len() < 8192 || bytes[4096..] != [2; 4096]);
        assert!(log.read_at(&mut [0], 0).is_err(), "the old process is gone");
    }
    assert!((20..50).contains(&lost), "{lost} of 50 lost something");
}

#[test]
fn direct_writes_are_durable_and_aligned() {
    let disk = SimDisk::shared(1);
    let log = file(&disk, "log", Open::Direct);
    assert!(log.write_at(&[1; 100], 0).is_err());
    log.write_at(&[1; 4096], 4096).expect("writes");
    disk.restart();
    assert_eq!(disk.bytes(&path("log")).expect("is there")[4096..], [1; 4096]);
}

#[test]
fn a_write_torn_by_a_crash_keeps_whole_sectors_only() {
    let mut torn = 0;
    for seed in 0..50 {
        let disk = SimDisk::shared(seed);
        let log = file(&disk, "log", Open::Direct);
        log.write_at(&[1; 8192], 0).expect("writes");
        disk.crash_at(disk.changes() + 1);
        log.write_at(&[2; 8192], 0).expect_err("crashes");
        assert!(disk.is_crashed());
        disk.restart();
        let bytes = disk.bytes(&path("log")).expect("is there");
        let kinds = bytes.chunks(SECTOR_BYTES).map(|sector| {
            assert!(sector.iter().all(|byte| *byte == sector[0]));
            sector[0]
        });
        torn += usize::from(kinds.collect::<BTreeSet<_>>().len() == 2);
    }
    assert!(torn > 10, "{torn} of 50 are torn");
}

#[test]
fn names_need_their_directory_flushed() {
    let outcomes: BTreeSet<bool> = (0..20)
        .map(|seed| {
            let disk = SimDisk::shared(seed);
            disk.open(&path("new"), Open::Write).expect("opens");
            disk.restart();
            disk.bytes(&path("new")).is_some()
        })
        .collect();
    assert_eq!(outcomes, BTreeSet::from([false, true]));
}

#[test]
fn a_failed_flush_has_dropped_the_pages() {
    let disk = SimDisk::shared(1);
    let log = file(&disk, "log", Open::Write);
    log.write_at(&[1; 512], 0).expect("writes");
    log.flush().expect("flushes");
    log.write_at(&[2; 512], 0).expect("writes");
    disk.inject(Fault { operation: Operation::Flush, nth: 1, failure: Failure::Io });
    log.flush().expect_err("fails");
    log.flush().expect("claims to succeed");
    disk.restart();
    assert_eq!(disk.bytes(&path("log")).expect("is there"), [1; 512]);
}

#[test]
fn every_handle_is_told_once_of_a_failed_flush() {
    let disk = SimDisk::shared(1);
    let log = file(&disk, "log", Open::Write);
    let other = file(&disk, "log", Open::Write);
    disk.inject(Fault { operation: Operation::Flush, nth: 2, failure: Failure::Io });
    other.flush().expect("another file's or an earlier one");
    other.flush().expect_err("fails");
    other.flush().expect("was told");
    log.flush().expect_err("is told too");
    log.flush().expect("was told");
    file(&disk, "log", Open::Write).flush().expect("opened later");
}

#[test]
fn space_runs_out_and_returns() {
    let disk = SimDisk::shared(1);
    disk.set_capacity(8192);
    let log = file(&disk, "log", Open::Write);
    log.allocate(8192).expect("fits");
    let other = file(&disk, "other", Open::Write);
    let error = other.write_at(&[1; 512], 0).expect_err("full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    log.write_at(&[1; 8192], 0).expect("was allocated");
    disk.remove(&path("log")).expect("removes");
    disk.flush_dir(Path::new("/d")).expect("flushes");
    other.write_at(&[1; 512], 0).expect("space returned");
    assert_eq!(disk.space(Path::new("/d")).expect("answers").free_bytes, 8192 - 512);
}

#[test]
fn locks_exclude_until_dropped_or_restarted() {
    let disk = SimDisk::shared(1);
    let held = disk.lock(&path("lock")).expect("free");
    assert_eq!(disk.lock(&path("lock")).err().map(|e| e.kind()), Some(io::ErrorKind::WouldBlock));
    disk.restart();
    let second = disk.lock(&path("lock")).expect("free");
    drop(held);
    assert!(disk.lock(&path("lock")).is_err(), "an old guard must not free a new lock");
    drop(second);
    disk.lock(&path("lock")).map(drop).expect("free");
}

#[test]
fn short_writes_and_flipped_bits_show() {
    let disk = SimDisk::shared(3);
    let log = file(&disk, "log", Open::Write);
    disk.inject(Fault { operation: Operation::Write, nth: 2, failure: Failure::Short });
    log.write_at(&[1; 4096], 0).expect("writes");
    log.write_at(&[2; 4096], 0).expect_err("short");
    let bytes = disk.bytes(&path("log")).expect("is there");
    assert_eq!(bytes[4095], 1);
    assert!(disk.flip_bits(&path("log"), 4095, 0x80));
    assert_eq!(disk.bytes(&path("log")).expect("is there")[4095], 0x81);
}
