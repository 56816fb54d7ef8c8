//! What is broken, foreign, full or interrupted: each is refused by name, and the log goes on.

use super::{Bed, blocking, key, open, options, record, world};
use crate::restore::{self, Point};
use crate::seal::BackupKey;
use crate::target::{Directory, Target};
use crate::{BackupError, Progress, Repository, Source, Wanted, create, instance};
use eventlog::{EmbeddedLog, Engine};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stdx::Disk;
use testkit::clock::ManualClock;
use testkit::disk::SimDisk;
use testkit::rng::SeededRng;

fn what(outcome: Result<impl Sized, BackupError>) -> String {
    match outcome.map(|_| ()) {
        Err(BackupError::Refused { what, advice }) => {
            assert!(!advice.is_empty());
            what
        }
        other => panic!("not refused: {other:?}"),
    }
}

fn file_ending(place: &str, ending: &str) -> PathBuf {
    let files = std::fs::read_dir(place).expect("a directory");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths.into_iter().find(|path| path.to_string_lossy().ends_with(ending)).expect("such a file")
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_files_are_refused_by_name_and_nothing_is_written() {
    let bed = Bed::new().await;
    bed.fill("first").await;
    bed.backup(Wanted::Full).await.expect("made");
    for (number, ending) in [".part", ".heads", ".metadata", ".manifest.json"].iter().enumerate() {
        let path = file_ending(&bed.place, ending);
        let whole = std::fs::read(&path).expect("read");
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 4;
        let longer = [&whole[..], b"x"].concat();
        for (how, bytes) in
            [("cut", &whole[..whole.len() - 1]), ("flipped", &flipped), ("longer", &longer)]
        {
            std::fs::write(&path, bytes).expect("written");
            let name = format!("{number}-{how}");
            let refused = bed.restore(&name, Point::End).await;
            let text = what(refused);
            let is_named = text.contains(&path.file_name().expect("a name").to_string_lossy()[..]);
            assert!(is_named || *ending == ".manifest.json", "{text}");
            let left = std::fs::read_dir(bed.dir.path().join(name)).expect("made").count();
            assert_eq!(left, 0, "{how} {ending}");
        }
        std::fs::remove_file(&path).expect("removed");
        what(bed.restore(&format!("{number}-gone"), Point::End).await);
        std::fs::write(&path, &whole).expect("written");
    }
    bed.restore("whole", Point::End).await.expect("restored");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_installations_key_opens_nothing() {
    let bed = Bed::new().await;
    bed.append(0, 0, &["one"]).await;
    bed.backup(Wanted::Full).await.expect("made");
    let stranger = open(&bed.place, &BackupKey::new(&[8; 32]));
    let listed = stranger.list().expect("listed");
    assert!(what(listed[0].manifest.clone()).contains("another installation"));
    assert_eq!(stranger.prune(1).expect("nothing of ours"), Vec::<String>::new());
    assert_eq!(bed.repository().usable().expect("listed").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_with_anything_in_it_is_not_restored_into() {
    let bed = Bed::new().await;
    bed.append(0, 0, &["one"]).await;
    bed.backup(Wanted::Full).await.expect("made");
    let before = std::fs::read_dir(bed.data()).expect("there").count();
    let text = what(bed.restore("data", Point::End).await);
    assert!(text.contains("metadata.sqlite"), "{text}");
    assert_eq!(std::fs::read_dir(bed.data()).expect("there").count(), before);
    let half = bed.dir.path().join("half");
    std::fs::create_dir_all(&half).expect("made");
    let disk: Arc<dyn Disk> = Arc::new(stdx::SystemDisk);
    restore::mark_unfinished(&*disk, &half).expect("marked");
    assert!(what(bed.restore("half", Point::End).await).contains("did not end"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_backup_leaves_nothing_and_the_next_one_sweeps() {
    let bed = Bed::new().await;
    bed.fill("first").await;
    let (source, place) = (bed.source(), bed.place.clone());
    let cancelled = blocking(move || {
        let progress = Progress::new(Some(1));
        let progress = Arc::new(progress);
        let seen = Arc::clone(&progress);
        let canceller = std::thread::spawn(move || {
            while seen.copied_bytes() == 0 {
                std::thread::yield_now();
            }
            seen.cancel();
        });
        let made = create(&source, &open(&place, &key()), Wanted::Full, &progress);
        canceller.join().expect("ends");
        made
    })
    .await;
    assert!(matches!(cancelled, Err(BackupError::Cancelled)), "{cancelled:?}");
    let names = bed.repository().target.list().expect("listed");
    assert_eq!(names, Vec::<String>::new());
    let orphan = Path::new(&bed.place).join("20200101T000000000Z-00000000.heads");
    std::fs::write(&orphan, "left by a kill").expect("written");
    bed.backup(Wanted::Full).await.expect("made");
    assert!(!orphan.exists());
}

/// A log on a simulated disk, its metadata on a real one, backups on another simulated disk.
struct Simulated {
    place: Arc<SimDisk>,
    source: Source,
    _dir: tempfile::TempDir,
    bed: Bed,
}

async fn simulated() -> Simulated {
    let bed = Bed::new().await;
    let clock: Arc<ManualClock> = Arc::clone(&bed.clock);
    let disk = SimDisk::shared(3);
    let data = Path::new("/data");
    let world = world(&clock, disk.clone(), 3);
    let (log, _) = EmbeddedLog::open(world, options(data), bed.specs.clone()).expect("opens");
    for number in 0..6 {
        let large = record(&format!("{number} {}", "y".repeat(200_000)));
        log.append(bed.topic(1), 0, vec![large]).await.expect("stored");
    }
    let source = Source { log, disk, extents_dir: options(data).store.dir, ..bed.source() };
    let dir = tempfile::tempdir().expect("a directory");
    Simulated { place: SimDisk::shared(9), source, _dir: dir, bed }
}

fn place(disk: &Arc<SimDisk>) -> Repository {
    let disk: Arc<dyn Disk> = disk.clone();
    let target = Directory::open(disk, Path::new("/backups")).expect("opens");
    Repository { target: Arc::new(target) as Arc<dyn Target>, key: key() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_place_fails_the_backup_and_the_log_goes_on() {
    let rig = simulated().await;
    rig.place.set_capacity(500 << 10);
    let Simulated { place: disk, source, bed, .. } = rig;
    let (source, failed, left) = blocking(move || {
        let made = create(&source, &place(&disk), Wanted::Full, &Progress::new(None));
        let left = place(&disk).target.list().expect("listed");
        (source, made, left)
    })
    .await;
    assert!(matches!(failed, Err(BackupError::Space(_))), "{failed:?}");
    assert_eq!(left, Vec::<String>::new());
    source.log.append(bed.topic(1), 0, vec![record("after")]).await.expect("stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_moment_of_a_backup_leaves_whole_backups_only() {
    let rig = simulated().await;
    let Simulated { place: first, source, .. } = rig;
    blocking(move || {
        let progress = || Progress::new(None);
        create(&source, &place(&first), Wanted::Full, &progress()).expect("made");
        let changes = first.changes();
        assert!(changes > 10);
        for change in 1..=changes {
            let disk = SimDisk::shared(change);
            disk.crash_at(change);
            let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let disk: Arc<dyn Disk> = disk.clone();
                let target = Directory::open(disk, Path::new("/backups"))?;
                let repository = Repository { target: Arc::new(target), key: key() };
                create(&source, &repository, Wanted::Full, &progress())
            }))
            .expect("no panic");
            disk.restart();
            let repository = place(&disk);
            let usable = repository.usable().expect("listed");
            assert!(made.is_err() || usable.len() == 1, "change {change}");
            for manifest in &usable {
                repository.verify(manifest, &mut |_| Ok(())).expect("whole");
            }
            let next = create(&source, &repository, Wanted::Incremental, &progress());
            let next = next.expect("made after the crash");
            repository.verify(&next, &mut |_| Ok(())).expect("whole");
        }
    })
    .await;
}

#[test]
fn a_data_directory_keeps_its_name() {
    let disk = SimDisk::shared(1);
    let dir = Path::new("/data");
    disk.create_dir(dir).expect("made");
    let rng = SeededRng::shared(1);
    let first = instance(&*disk, dir, &*rng).expect("named");
    assert_eq!(instance(&*disk, dir, &*rng).expect("named"), first);
    disk.flip_bits(&dir.join("instance.id"), 3, 0x80);
    assert!(what(instance(&*disk, dir, &*rng)).contains("instance.id"));
}
