//! The check of a part of the chain: it begins and ends where it was asked to, holds up to both
//! ends, and names what is wrong within, but not what is wrong elsewhere.

use super::rig::{Rig, rig};
use crate::{PartVerdict, Place};
use std::time::Duration;
use tenancy::AuditHash;

async fn between(rig: &Rig, first: u64, last: u64) -> PartVerdict {
    rig.trail.verify_between(first, last).await.expect("the log answers")
}

/// A chain of this many records or more on the log; answers how many.
async fn chain(rig: &Rig, tenants: usize) -> u64 {
    for number in 0..tenants {
        rig.project(&format!("p{number}")).await;
    }
    rig.publish().await;
    rig.tenancy.audit_ends().await.expect("ends").published
}

#[tokio::test]
async fn a_part_holds_from_the_record_before_to_its_last() {
    let rig = rig().await;
    let count = chain(&rig, 4).await;
    let links = rig.tenancy.audit_links(1, count, 100).await.expect("rows");
    let link = |number: u64| {
        let links = links.iter().filter_map(|row| row.link);
        links.into_iter().find(|it| it.sequence == number).expect("a record")
    };
    for (first, last) in [(1, count), (1, 1), (3, 5), (count, count), (2, count - 1)] {
        let part = between(&rig, first, last).await;
        let verdict = part.verdict;
        assert_eq!(verdict.broken, None, "{first} to {last}");
        assert_eq!((verdict.records, verdict.first), (last + 1 - first, Some(first)));
        assert_eq!(verdict.last, Some((last, link(last).hash)));
        assert_eq!((part.before.sequence, part.before.hash), (first - 1, link(first).previous));
        assert_eq!((part.pending, part.is_cut), (0, false));
    }
    assert_eq!(between(&rig, 1, 1).await.before.hash, AuditHash::NONE);
}

#[tokio::test]
async fn records_that_are_too_new_for_the_log_are_counted() {
    let rig = rig().await;
    let count = chain(&rig, 1).await;
    rig.project("late").await;
    rig.tenancy.seal_audit(100).await.expect("places");
    let head = rig.tenancy.audit_ends().await.expect("ends").head.sequence;
    assert!(head > count);
    let part = between(&rig, 1, head).await;
    assert_eq!((part.verdict.broken, part.verdict.records), (None, count));
    assert_eq!(part.pending, head - count);
    // All of them.
    let part = between(&rig, count + 1, head).await;
    assert_eq!((part.verdict.broken, part.verdict.records), (None, 0));
    assert_eq!(part.pending, head - count);
    rig.publish().await;
    assert_eq!(between(&rig, count + 1, head).await.pending, 0);
}

/// Changes rows of the index, as somebody with the database could.
fn change(rig: &Rig, statement: &str) -> bool {
    let file = rig.dir.path().join("mainstem.db");
    let changed = std::process::Command::new("sqlite3").arg(&file).arg(statement).status();
    changed.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn what_is_wrong_within_is_named_and_nothing_else() {
    let rig = rig().await;
    let count = chain(&rig, 4).await;
    if !change(&rig, "UPDATE audit_records SET actor = 'nobody' WHERE sequence = 4") {
        println!("sqlite3 is not installed: nothing is changed behind the store's back");
        return;
    }
    let found = between(&rig, 2, count).await.verdict;
    let broken = found.broken.expect("a broken link");
    assert_eq!((broken.sequence, broken.place), (4, Place::Index));
    assert_eq!(between(&rig, 5, count).await.verdict.broken, None);
    assert_eq!(between(&rig, 1, 3).await.verdict.broken, None);
    // A row that is gone, one that points elsewhere, and one with another hash before it.
    assert!(change(&rig, "DELETE FROM audit_records WHERE sequence = 4"));
    let broken = between(&rig, 5, count).await.verdict.broken.expect("nothing to begin from");
    assert_eq!((broken.sequence, broken.place), (4, Place::Index));
    assert!(change(&rig, "UPDATE audit_records SET log_offset = 0 WHERE sequence = 7"));
    let broken = between(&rig, 7, count).await.verdict.broken.expect("it is not there");
    assert_eq!(broken.sequence, 7);
    let other = "UPDATE audit_records SET hash = zeroblob(32) WHERE sequence = 5";
    assert!(change(&rig, other));
    let broken = between(&rig, 6, 6).await.verdict.broken.expect("another hash");
    assert_eq!(broken.sequence, 6);
}

#[tokio::test]
async fn a_part_begins_behind_what_retention_took() {
    let mut rig = rig().await;
    rig.config.retention_days = 1;
    let old = chain(&rig, 2).await;
    rig.clock.advance(Duration::from_secs(2 * 24 * 3_600));
    let count = chain(&rig, 0).await;
    rig.project("new").await;
    rig.publish().await;
    let ends = rig.tenancy.audit_ends().await.expect("ends");
    assert!(ends.anchor.sequence >= old && ends.published > count, "{ends:?}");
    let part = between(&rig, 1, ends.published).await;
    assert_eq!(part.verdict.broken, None);
    assert_eq!(part.before, ends.anchor);
    assert_eq!(part.verdict.records, ends.published - ends.anchor.sequence);
}
