//! Full and incremental backups, what comes back, and what may be given up.

use super::{Bed, blocking, key, open};
use crate::restore::Point;
use crate::{BackupError, Wanted};
use eventlog::Engine;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_equals_what_was_there() {
    let bed = Bed::new().await;
    bed.fill("first").await;
    let manifest = bed.backup(Wanted::Incremental).await.expect("made");
    assert_eq!(manifest.parent, None);
    assert!(manifest.extents.len() > 3, "{}", manifest.extents.len());
    let source = bed.contents().await;
    let restored = bed.restore("restored", Point::End).await.expect("restored");
    assert_eq!(restored.contents(&bed).await, source);
    assert_eq!(restored.report.cut_partitions, 0);
    let topics = restored.tenancy.all_topics().await.expect("read");
    assert_eq!(topics.len(), bed.specs.len());
    // A cursor of the source that reaches further never finds another record.
    let end = source[0].end;
    let next = restored.log.append(source[0].topic, source[0].partition, vec![super::record("n")]);
    assert_eq!(next.await.expect("stored").base_offset, end + 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_backup_brings_only_what_is_new() {
    let bed = Bed::new().await;
    bed.fill("first").await;
    let full = bed.backup(Wanted::Incremental).await.expect("made");
    bed.append(1, 0, &["a little more"]).await;
    let second = bed.backup(Wanted::Incremental).await.expect("made");
    assert_eq!(second.parent, Some(full.id.clone()));
    assert!(second.own_bytes() < full.own_bytes() / 5, "{}", second.own_bytes());
    bed.fill("second").await;
    let third = bed.backup(Wanted::Incremental).await.expect("made");
    let source = bed.contents().await;
    let restored = bed.restore("restored", Point::End).await.expect("restored");
    assert_eq!(restored.report.backup, third.id);
    assert_eq!(restored.contents(&bed).await, source);
    let earlier = bed.restore_one("earlier", Point::End, Some(full.id.clone())).await;
    let earlier = earlier.expect("restored").contents(&bed).await;
    assert!(earlier.iter().zip(&source).all(|(old, new)| old.end <= new.end && old != new));
    let fourth = bed.backup(Wanted::Full).await.expect("made");
    assert_eq!(fourth.parent, None);
    let gone = blocking({
        let place = bed.place.clone();
        move || {
            let repository = open(&place, &key());
            let needed = repository.remove(&full.id);
            assert!(matches!(needed, Err(BackupError::Refused { .. })), "{needed:?}");
            let kept = repository.prune(2).expect("pruned");
            assert_eq!(kept, Vec::<String>::new(), "the third needs the two before it");
            repository.prune(1).expect("pruned")
        }
    })
    .await;
    assert_eq!(gone.len(), 3);
    let listed = bed.repository().list().expect("listed");
    assert_eq!(listed.len(), 1);
    let restored = bed.restore("last", Point::End).await.expect("restored");
    assert_eq!(restored.contents(&bed).await, bed.contents().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_while_publishers_write_holds_all_that_was_acknowledged_before() {
    let bed = Arc::new(Bed::new().await);
    bed.fill("before").await;
    let is_done = Arc::new(AtomicBool::new(false));
    let mut publishers = Vec::new();
    for partition in 0..2 {
        let (bed, is_done) = (Arc::clone(&bed), Arc::clone(&is_done));
        publishers.push(tokio::spawn(async move {
            let mut count = 0;
            while !is_done.load(Ordering::Relaxed) {
                bed.append(0, partition, &[&format!("live {count}"), "more"]).await;
                count += 1;
            }
        }));
    }
    for round in 0..3 {
        let before = bed.contents().await;
        bed.backup(Wanted::Incremental).await.expect("made");
        let restored = bed.restore(&format!("round-{round}"), Point::End).await.expect("restored");
        for (was, is) in before.iter().zip(restored.contents(&bed).await) {
            assert!(is.end >= was.end, "{is:?} lacks what {was:?} had");
        }
    }
    is_done.store(true, Ordering::Relaxed);
    for publisher in publishers {
        publisher.await.expect("wrote");
    }
    let last = bed.backup(Wanted::Incremental).await.expect("made");
    let restored = bed.restore("last", Point::End).await.expect("restored");
    assert_eq!(restored.contents(&bed).await, bed.contents().await);
    assert_eq!(restored.report.backup, last.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn extents_are_not_released_while_they_are_copied() {
    let bed = Bed::new().await;
    bed.fill("first").await;
    let cut = bed.log.cut(std::time::Duration::from_secs(60)).await.expect("cut");
    bed.log.drop_topic(bed.topic(0)).expect("dropped");
    bed.log.drop_topic(bed.topic(1)).expect("dropped");
    bed.log.maintain();
    let path = |extent: &storage::ExtentCut| {
        super::options(&bed.data()).store.dir.join(storage::offline::file_name(extent.extent))
    };
    assert!(cut.extents.iter().all(|extent| path(extent).exists()));
    let sealed = cut.extents[0];
    drop(cut);
    bed.log.maintain();
    assert!(!path(&sealed).exists() || super::offline::is_free(&bed, sealed.extent));
}
