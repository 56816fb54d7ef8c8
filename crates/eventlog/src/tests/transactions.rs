//! All or nothing over several partitions: shown together, undone together, also over a crash.

use super::*;

const OTHER: TopicId = TopicId(8);

fn two_topics() -> Bed {
    Bed::new().with(vec![spec(TOPIC, 3, Durability::Durable), spec(OTHER, 1, Durability::Relaxed)])
}

fn parts(text: &str) -> Vec<(TopicId, Partition, Vec<Record>)> {
    vec![
        (TOPIC, 0, vec![value(&format!("{text}/0"))]),
        (TOPIC, 2, vec![keyed("k", &format!("{text}/2")), value("more")]),
        (OTHER, 0, vec![value(&format!("{text}/other"))]),
    ]
}

async fn texts(log: &EmbeddedLog, topic: TopicId, partition: Partition) -> Vec<String> {
    let found = read_all(log, topic, partition, 0).await.expect("reads");
    found.into_iter().map(|(_, text)| text).collect()
}

#[tokio::test]
async fn parts_are_shown_when_all_are_stored() {
    let bed = two_topics();
    let log = bed.open();
    let witness = Arc::new(Witness::default());
    log.observe(witness.clone());
    append(&log, vec![value("before")]).await;
    let appended = log.transact(parts("a")).await.expect("is stored");
    let offsets = appended.iter().map(|it| it.base_offset).collect::<Vec<_>>();
    assert_eq!(offsets, [1, 0, 0]);
    append(&log, vec![value("after")]).await;
    assert_eq!(texts(&log, TOPIC, 0).await, ["before", "a/0", "after"]);
    assert_eq!(texts(&log, TOPIC, 2).await, ["a/2", "more"]);
    assert_eq!(texts(&log, OTHER, 0).await, ["a/other"]);
    assert_eq!(witness.offsets(TOPIC, 0), [0, 1, 2]);
    assert_eq!(witness.offsets(TOPIC, 2), [0, 1]);
    let latest = log.latest(TOPIC, 2, key("k")).await.expect("reads").expect("has a value");
    assert_eq!(text(&latest.record), "a/2");
    let log = bed.crash(log);
    assert_eq!(texts(&log, TOPIC, 2).await, ["a/2", "more"]);
    assert_eq!(append(&log, vec![value("again")]).await, 3);
}

#[tokio::test]
async fn a_part_that_cannot_be_undoes_the_others() {
    let log = two_topics().open();
    let mut wrong = parts("a");
    wrong.push((TOPIC, 9, vec![value("nowhere")]));
    assert_eq!(log.transact(wrong).await, Err(LogError::PartitionUnknown));
    log.transact(parts("b")).await.expect("is stored");
    assert_eq!(texts(&log, TOPIC, 0).await, ["b/0"]);
    assert_eq!(texts(&log, OTHER, 0).await, ["b/other"]);
    let newest = log.last_of_key(TOPIC, 2, key("k"), 5).await.expect("reads");
    assert_eq!(newest.len(), 1);
}
