//! The chain: records reach the log once and in order whatever step the process died after, and
//! whatever is changed, left out or put in is named.

use super::rig::{Rig, rig};
use crate::{Expected, Place};
use std::time::Duration;
use tenancy::{Actor, AuditFilter, AuditHash, AuditOutcome, Incident, open_audit};

async fn verify(rig: &Rig) -> crate::Verdict {
    rig.trail.verify(None, None).await.expect("the log answers")
}

#[tokio::test]
async fn records_follow_each_other_in_the_log() {
    let rig = rig().await;
    let (tenant, project) = rig.project("a").await;
    rig.publish().await;
    let texts = rig.texts().await;
    let records: Vec<_> =
        texts.iter().map(|text| open_audit(text).expect("an intact record")).collect();
    let mut before = AuditHash::NONE;
    for (record, number) in records.iter().zip(1..) {
        let link = record.link.expect("a place");
        assert_eq!((link.sequence, link.previous), (number, before));
        before = link.hash;
    }
    let made = records.iter().find(|record| record.project == Some(project)).expect("it is told");
    assert_eq!((made.tenant, made.action.as_str()), (Some(tenant), "project.create"));
    assert_eq!(made.outcome, AuditOutcome::Done);
    let verdict = verify(&rig).await;
    assert_eq!(verdict.broken, None);
    assert_eq!(verdict.records, records.len() as u64);
    assert_eq!(verdict.last, Some((records.len() as u64, before)));
}

#[tokio::test]
async fn a_process_that_dies_after_the_append_adds_nothing_twice() {
    let rig = rig().await;
    for round in 0..4 {
        rig.project(&format!("p{round}")).await;
        rig.publish().await;
        rig.project(&format!("q{round}")).await;
        // Places given, appended, never marked: as if the process had died there.
        rig.tenancy.seal_audit(100).await.expect("places");
        let waiting = rig.tenancy.unpublished_audit(100).await.expect("records");
        assert!(!waiting.is_empty());
        rig.trail.append(&waiting).await.expect("the log takes them");
        rig.publish().await;
        let verdict = verify(&rig).await;
        assert_eq!(verdict.broken, None);
        assert_eq!(verdict.records, rig.texts().await.len() as u64, "none is there twice");
    }
    assert_eq!(rig.tenancy.audit_backlog().await.expect("a count"), 0);
}

#[tokio::test]
async fn a_forged_record_is_named() {
    let rig = rig().await;
    rig.project("a").await;
    rig.publish().await;
    let texts = rig.texts().await;
    let next = texts.len() as u64 + 1;
    // Nothing of ours.
    rig.forge("{}").await;
    let found = verify(&rig).await.broken.expect("a broken link");
    assert_eq!((found.sequence, found.place), (next, Place::Log));
}

#[tokio::test]
async fn a_changed_a_repeated_and_a_missing_record_are_named() {
    let last = |rig: &Rig, texts: &[String]| {
        let _ = rig;
        texts.last().cloned().expect("records")
    };
    // One whose content was changed afterwards: its hash tells.
    let one = rig().await;
    one.project("a").await;
    one.publish().await;
    let texts = one.texts().await;
    one.forge(&last(&one, &texts).replace("\"count\":1", "\"count\":2")).await;
    let found = verify(&one).await.broken.expect("a broken link");
    assert!(found.why.contains("hash"), "{found:?}");

    // One that was there before, further back: it does not follow.
    let one = rig().await;
    one.project("a").await;
    one.publish().await;
    let texts = one.texts().await;
    one.forge(&texts[0]).await;
    let found = verify(&one).await.broken.expect("a broken link");
    assert!(found.why.contains("missing"), "{found:?}");

    // The same as the last: harmless, it is what an append that was repeated leaves.
    let one = rig().await;
    one.project("a").await;
    one.publish().await;
    let texts = one.texts().await;
    one.forge(&last(&one, &texts)).await;
    let verdict = verify(&one).await;
    assert_eq!((verdict.broken, verdict.records), (None, texts.len() as u64));

    // The end cut off: the store knows that there was more.
    let one = rig().await;
    one.project("a").await;
    one.publish().await;
    let ends = one.tenancy.audit_ends().await.expect("ends");
    one.project("b").await;
    one.tenancy.seal_audit(100).await.expect("places");
    let waiting = one.tenancy.unpublished_audit(100).await.expect("records");
    let lost: Vec<_> = waiting.iter().map(|record| (record.id, 7)).collect();
    one.tenancy.mark_audit_published(&lost).await.expect("marked");
    let found = verify(&one).await.broken.expect("a broken link");
    assert_eq!(found.sequence, ends.head.sequence + 1);
    // The next start brings them again.
    one.publish().await;
    assert_eq!(verify(&one).await.broken, None);
}

#[tokio::test]
async fn a_changed_row_of_the_index_is_named() {
    let rig = rig().await;
    rig.project("a").await;
    rig.publish().await;
    assert_eq!(verify(&rig).await.broken, None);
    // Somebody with the database changes who did it: the log has it as it was.
    let file = rig.dir.path().join("mainstem.db");
    let statement = "UPDATE audit_records SET actor = 'nobody' WHERE sequence = 2";
    let changed = std::process::Command::new("sqlite3").arg(&file).arg(statement).status();
    if !changed.is_ok_and(|status| status.success()) {
        let rows = rig.tenancy.audit_links(2, 2, 1).await.expect("a row");
        let mut record = rows.first().cloned().expect("a row");
        record.actor = "nobody".to_owned();
        // Without the tool, the same through the store's own door for a log that is ahead.
        let link = record.link.as_mut().expect("a place");
        link.sequence = u64::from(u32::MAX);
        rig.tenancy.adopt_audit(&[(record, 1)]).await.expect("written");
    }
    let found = verify(&rig).await.broken.expect("a broken link");
    assert_eq!((found.sequence, found.place), (2, Place::Index), "{found:?}");
}

#[tokio::test]
async fn what_somebody_wrote_down_must_be_in_the_chain() {
    let rig = rig().await;
    rig.project("a").await;
    rig.publish().await;
    let (sequence, hash) = verify(&rig).await.last.expect("a last one");
    rig.project("b").await;
    rig.publish().await;
    let good = Some(Expected { sequence, hash });
    assert_eq!(rig.trail.verify(None, good).await.expect("an answer").broken, None);
    let other = Some(Expected { sequence, hash: AuditHash([9; 32]) });
    let found = rig.trail.verify(None, other).await.expect("an answer").broken;
    assert_eq!(found.expect("a broken link").sequence, sequence);
    let later = Some(Expected { sequence: 1_000, hash });
    let found = rig.trail.verify(None, later).await.expect("an answer").broken;
    assert_eq!(found.expect("a broken link").sequence, 1_000);
}

#[tokio::test]
async fn retention_leaves_an_anchor_that_the_chain_begins_from() {
    let mut rig = rig().await;
    rig.config.retention_days = 1;
    rig.project("old").await;
    rig.publish().await;
    let old = rig.texts().await.len() as u64;
    rig.clock.advance(Duration::from_secs(2 * 24 * 3_600));
    rig.project("new").await;
    rig.publish().await;
    let ends = rig.tenancy.audit_ends().await.expect("ends");
    assert!(ends.anchor.sequence >= old, "{ends:?}");
    let left = rig.tenancy.audit_of_all_tenants(&AuditFilter::default(), 100).await.expect("rows");
    assert!(left.items.iter().all(|record| record.at > super::rig::START_MS));
    // The log still has them, and the chain goes through the anchor.
    assert_eq!(verify(&rig).await.broken, None);
    assert_eq!(verify(&rig).await.first, Some(1));
}

#[tokio::test]
async fn a_store_that_was_restored_to_an_earlier_moment_learns_from_the_log() {
    let rig = rig().await;
    rig.project("a").await;
    rig.publish().await;
    let kept = rig.tenancy.audit_of_all_tenants(&AuditFilter::default(), 100).await.expect("rows");
    // A log that is ahead by two records which the store never had.
    let head = kept.items[0].link.expect("a place");
    let mut before = head;
    let mut ahead = Vec::new();
    for (number, action) in [(1, "key.create"), (2, "key.revoke")] {
        let mut record = kept.items[0].clone();
        record.id = format!("aud_0190a5c3b1f27d8e9a6b4c2d1e0f3a5{number}").parse().expect("an id");
        record.action = action.to_owned();
        let link = tenancy::audit_link(&record, before.sequence + 1, before.hash);
        record.link = Some(link);
        before = link;
        ahead.push(record);
    }
    rig.trail.append(&ahead).await.expect("the log takes them");
    rig.publish().await;
    let filter = AuditFilter { action: Some("key.*".into()), ..AuditFilter::default() };
    let learned = rig.tenancy.audit_of_all_tenants(&filter, 10).await.expect("rows");
    assert_eq!(learned.items.len(), 2);
    rig.project("b").await;
    rig.publish().await;
    let verdict = verify(&rig).await;
    assert_eq!(verdict.broken, None);
    assert!(verdict.records > before.sequence);
}

fn refused(rig: &Rig, actor: &str, reason: &str) {
    let incident = Incident {
        tenant: None,
        project: None,
        actor: actor.to_owned(),
        action: "credential.check",
        target: "credential".to_owned(),
        outcome: AuditOutcome::Refused,
        reason: reason.to_owned(),
        address: Some([203, 0, 113, 7].into()),
        request: None,
    };
    rig.tenancy.incidents().note(incident, stdx::Clock::now_ms(&*rig.clock));
}

#[tokio::test]
async fn a_flood_of_refusals_is_a_handful_of_records() {
    let rig = rig().await;
    rig.publish().await;
    let before = rig.texts().await.len();
    for _ in 0..10_000 {
        refused(&rig, "unknown", "INVALID_API_KEY");
    }
    for number in 0..10_000 {
        refused(&rig, &format!("key:{number}"), "INVALID_API_KEY");
    }
    rig.publish().await;
    rig.clock.advance(Duration::from_secs(61));
    rig.publish().await;
    let texts = rig.texts().await;
    let told: Vec<_> = texts[before..].iter().map(|text| open_audit(text).expect("one")).collect();
    assert!(told.len() < 200, "{}", told.len());
    // None is lost: the counts add up.
    assert_eq!(told.iter().map(|record| record.count).sum::<u64>(), 20_000);
    assert!(told.iter().all(|record| record.outcome == AuditOutcome::Refused));
    assert_eq!(verify(&rig).await.broken, None);
}

#[tokio::test]
async fn nobody_but_the_platform_touches_the_topic() {
    use port::Hub;
    let rig = rig().await;
    rig.publish().await;
    let system = rig.tenancy.bootstrap(tenancy::SYSTEM, &Actor::system()).await.expect("one");
    let operator = rig.operator(system.project.id).await;
    let name = types::TopicName::audit();
    assert!(rig.node.delete_topic(&operator, &name).await.is_err());
    assert!(rig.node.put_topic(&operator, &name, types::TopicConfig::default()).await.is_err());
    assert!(rig.node.append(&operator, &name, vec![types::Record::default()]).await.is_err());
    assert_eq!(verify(&rig).await.broken, None);
}
