//! A log that nobody has open: what is said of it, and what mending changes.

use super::{Bed, options};
use crate::BackupError;
use crate::offline::{Action, Finding, LogDir};
use eventlog::LastEnd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use stdx::SystemDisk;
use storage::ExtentId;
use storage::offline::{self, Content};

/// Whether an extent's file waits to be used again.
pub fn is_free(bed: &Bed, extent: ExtentId) -> bool {
    let dir = options(&bed.data()).store.dir;
    let file = offline::look(&SystemDisk, &dir, extent).expect("read");
    matches!(file.content, Content::Free { .. })
}

fn log_dir(bed: &Bed) -> Result<LogDir, BackupError> {
    LogDir::open(Arc::new(SystemDisk), &bed.data())
}

fn path(bed: &Bed, extent: ExtentId) -> PathBuf {
    options(&bed.data()).store.dir.join(offline::file_name(extent))
}

/// A log with some extents, closed in order.
async fn closed() -> Bed {
    let bed = Bed::new().await;
    bed.fill("all").await;
    bed.log.close().await;
    let Bed { dir, clock, tenancy, log, specs, names, place } = bed;
    drop(log);
    // What stands for the log while its directory is looked at is another one.
    let other = Bed::new().await;
    Bed { dir, clock, tenancy, log: Arc::clone(&other.log), specs, names, place }
}

fn flip(path: &PathBuf, at: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("opens");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 1], at).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_use_is_left_alone() {
    let bed = Bed::new().await;
    let refused = log_dir(&bed).map(|_| ());
    assert!(matches!(refused, Err(BackupError::Refused { .. })), "{refused:?}");
    let nothing = LogDir::open(Arc::new(SystemDisk), bed.dir.path()).map(|_| ());
    assert!(matches!(nothing, Err(BackupError::Refused { .. })), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_log_has_no_findings() {
    let bed = closed().await;
    let survey = log_dir(&bed).expect("free").survey(&mut |_, _| {}).expect("read");
    assert_eq!(survey.findings, []);
    assert_eq!(survey.last_end, Some(LastEnd::InOrder));
    assert_eq!(survey.streams.len(), 3);
    assert_eq!(survey.streams.values().map(|held| held.next_offset).sum::<u64>(), 120);
    assert!(log_dir(&bed).expect("free").plan(&survey).expect("planned").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_and_left_and_the_rest_is_mended() {
    let bed = closed().await;
    let files = log_dir(&bed).expect("free").files().expect("listed");
    let used: Vec<_> =
        files.iter().filter(|file| matches!(file.content, Content::Used(_))).collect();
    assert!(used.len() > 3);
    flip(&path(&bed, used[0].extent), 70_000);
    // Both copies of a header, a footer, and the checkpoint.
    flip(&path(&bed, used[1].extent), 9);
    flip(&path(&bed, used[1].extent), 2_057);
    let Content::Used(sealed) = used[2].content else { panic!("used") };
    let offline::End::Sealed { data_end, .. } = sealed.end else { panic!("sealed") };
    flip(&path(&bed, used[2].extent), data_end.next_multiple_of(4096) + 20);
    let checkpoint = bed.data().join("log/checkpoint");
    flip(&checkpoint, 30);
    let log = log_dir(&bed).expect("free");
    let survey = log.survey(&mut |_, _| {}).expect("read");
    let has = |wanted: fn(&Finding) -> bool| survey.findings.iter().any(wanted);
    assert!(has(|found| matches!(found, Finding::Damage { .. })), "{:?}", survey.findings);
    assert!(has(|found| matches!(found, Finding::Headless { .. })));
    assert!(has(|found| matches!(found, Finding::Footer { .. })));
    assert!(has(|found| matches!(found, Finding::Checkpoint { .. })));
    let actions = log.plan(&survey).expect("planned");
    let before = std::fs::read(path(&bed, used[2].extent)).expect("read");
    // Planning changed nothing.
    assert_eq!(log.survey(&mut |_, _| {}).expect("read").findings, survey.findings);
    let repaired = log.apply(&survey, &actions, 5).expect("mended");
    assert_eq!(repaired.done, 3);
    let copies = PathBuf::from(repaired.copies.expect("somewhere"));
    let name = |extent| offline::file_name(extent);
    assert_eq!(std::fs::read(copies.join(name(used[2].extent))).expect("kept"), before);
    assert!(copies.join(name(used[1].extent)).exists());
    assert!(copies.join("checkpoint").exists());
    let after = log.survey(&mut |_, _| {}).expect("read");
    assert!(after.findings.iter().all(|found| matches!(found, Finding::Damage { .. })));
    let left = log.plan(&after).expect("planned");
    assert!(left.iter().all(|action| matches!(action, Action::Leave { .. })), "{left:?}");
    assert_eq!(log.apply(&after, &left, 6).expect("nothing to do").copies, None);
}
