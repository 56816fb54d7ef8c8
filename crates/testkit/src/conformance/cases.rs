//! The cases of the contract. Each makes its own tenants, so that all may run on one server at
//! once; only `drain_is_polite` ends it.

use super::{Aftermath, Got, Room, Scene, Sent, Start, Tail, Tailed, Told, within};
use std::collections::{BTreeMap, BTreeSet};
use types::limits::RECORD_BYTES_MAX;
use types::{Limits, Scope, Scopes};

const TOPIC: &str = "orders";
/// A secret that looks like one and is none.
const UNKNOWN_SECRET: &str = "ms_test_00000000000000000000000000000000000000000000";

/// Calls that use a rate up; a machine that needs a second for each of them serves nobody.
const RATE_ATTEMPTS_MAX: usize = 100;

fn event_scopes() -> Scopes {
    [Scope::EventsPublish, Scope::EventsSubscribe].into_iter().collect()
}

/// A room with the topic and a key for events.
async fn furnished(scene: &Scene, partitions: u32, limits: Limits) -> (Room, String) {
    let room = scene.stage.room(limits).await;
    scene.stage.topic(&room, TOPIC, partitions).await;
    let secret = scene.stage.key(&room, event_scopes()).await;
    (room, secret)
}

/// `count` records numbered from `first`, over a handful of keys.
fn numbered(first: usize, count: usize) -> Vec<Sent> {
    let one = |n: usize| Sent {
        topic: TOPIC.to_owned(),
        key: Some(format!("key/{}", n % 5)),
        data: format!("{{\"n\":{n}}}"),
        id: None,
    };
    (first..first + count).map(one).collect()
}

async fn publish(scene: &Scene, secret: &str, records: Vec<Sent>) {
    let count = records.len();
    let published = within("a publish", scene.publisher.publish(secret, records)).await;
    let receipts = published.unwrap_or_else(|told| panic!("{}: refused {told:?}", scene.name()));
    assert_eq!(receipts.len(), count, "{}: one receipt per record", scene.name());
}

async fn follow(scene: &Scene, secret: &str, start: Start) -> Box<dyn Tail> {
    let opened = within("a follow", scene.receiver.follow(secret, TOPIC, start)).await;
    opened.unwrap_or_else(|told| panic!("{}: refused {told:?}", scene.name()))
}

async fn take(scene: &Scene, tail: &mut dyn Tail, count: usize) -> Vec<Got> {
    let mut got = Vec::new();
    while got.len() < count {
        match within("a delivery", tail.next()).await {
            Tailed::Record(record) => got.push(record),
            Tailed::CaughtUp => {}
            other => panic!("{}: {other:?} after {} records", scene.name(), got.len()),
        }
    }
    got
}

fn number(got: &Got) -> u64 {
    got.data["n"].as_u64().unwrap_or_else(|| panic!("a number in {got:?}"))
}

/// Exactly the numbers `0..count`, each once, in order within each key and each partition.
fn check_complete(scene: &Scene, got: &[Got], count: usize) {
    let numbers: BTreeSet<u64> = got.iter().map(number).collect();
    assert_eq!(got.len(), count, "{}: no duplicate", scene.name());
    assert_eq!(numbers.len(), count, "{}: no gap", scene.name());
    let mut last_of_key = BTreeMap::new();
    let mut last_of_partition = BTreeMap::new();
    for record in got {
        let of_key = last_of_key.insert(record.key.clone(), number(record));
        assert!(of_key < Some(number(record)), "{}: order in a key", scene.name());
        let of_partition = last_of_partition.insert(record.partition, record.offset);
        assert!(of_partition < Some(record.offset), "{}: order of offsets", scene.name());
    }
}

/// What was appended is delivered from the beginning, whole and in order.
pub async fn appended_is_delivered(scene: &Scene) {
    let (_, secret) = furnished(scene, 3, Limits::default()).await;
    publish(scene, &secret, numbered(0, 40)).await;
    let mut tail = follow(scene, &secret, Start::Earliest).await;
    let got = take(scene, &mut *tail, 40).await;
    check_complete(scene, &got, 40);
    assert!(got.iter().all(|record| record.topic == TOPIC));
}

/// Records published while somebody follows arrive after the stored ones, on the same follow.
pub async fn live_follows_history(scene: &Scene) {
    let (_, secret) = furnished(scene, 2, Limits::default()).await;
    publish(scene, &secret, numbered(0, 10)).await;
    let mut tail = follow(scene, &secret, Start::Earliest).await;
    let mut got = take(scene, &mut *tail, 10).await;
    let mut latest = follow(scene, &secret, Start::Latest).await;
    for round in 1..4 {
        publish(scene, &secret, numbered(round * 10, 10)).await;
        got.extend(take(scene, &mut *tail, 10).await);
    }
    check_complete(scene, &got, 40);
    let live = take(scene, &mut *latest, 30).await;
    assert!(live.iter().all(|record| number(record) >= 10), "{}: only new", scene.name());
}

/// A client that comes back with what it kept misses nothing and gets nothing twice, wherever it
/// broke off.
pub async fn resumes_without_gap_or_duplicate(scene: &Scene) {
    for broke_off_after in [0, 1, 11, 29, 30] {
        let (_, secret) = furnished(scene, 3, Limits::default()).await;
        publish(scene, &secret, numbered(0, 30)).await;
        let mut tail = follow(scene, &secret, Start::Earliest).await;
        let mut got = take(scene, &mut *tail, broke_off_after).await;
        let kept = tail.cursors();
        drop(tail);
        publish(scene, &secret, numbered(30, 10)).await;
        let mut tail = follow(scene, &secret, Start::Cursors(kept)).await;
        got.extend(take(scene, &mut *tail, 40 - broke_off_after).await);
        check_complete(scene, &got, 40);
    }
}

fn check_told(scene: &Scene, outcome: Result<(), Told>, codes: &[&str]) -> Told {
    let told = outcome.expect_err(&format!("{}: must be refused", scene.name()));
    let is_known = codes.contains(&told.code.as_str());
    assert!(is_known, "{}: {told:?} is none of {codes:?}", scene.name());
    assert!(!told.message.is_empty(), "{}: a refusal says why", scene.name());
    told
}

async fn try_publish(scene: &Scene, secret: &str, records: Vec<Sent>) -> Result<(), Told> {
    within("a publish", scene.publisher.publish(secret, records)).await.map(drop)
}

async fn try_follow(scene: &Scene, secret: &str, start: Start) -> Result<(), Told> {
    within("a follow", scene.receiver.follow(secret, TOPIC, start)).await.map(drop)
}

/// Nobody gets in with a secret that is none.
pub async fn stranger_is_refused(scene: &Scene) {
    let codes = ["INVALID_API_KEY"];
    check_told(scene, try_publish(scene, UNKNOWN_SECRET, numbered(0, 1)).await, &codes);
    check_told(scene, try_follow(scene, UNKNOWN_SECRET, Start::Latest).await, &codes);
}

/// Each direction needs its scope.
pub async fn scope_is_required(scene: &Scene) {
    let (room, _) = furnished(scene, 1, Limits::default()).await;
    let only = |scope| [scope].into_iter().collect::<Scopes>();
    let publisher = scene.stage.key(&room, only(Scope::EventsPublish)).await;
    let subscriber = scene.stage.key(&room, only(Scope::EventsSubscribe)).await;
    let codes = ["INSUFFICIENT_SCOPE"];
    check_told(scene, try_publish(scene, &subscriber, numbered(0, 1)).await, &codes);
    check_told(scene, try_follow(scene, &publisher, Start::Latest).await, &codes);
    publish(scene, &publisher, numbered(0, 1)).await;
    let mut tail = follow(scene, &subscriber, Start::Earliest).await;
    take(scene, &mut *tail, 1).await;
}

/// Topics of one name in two tenants have nothing in common.
pub async fn other_tenant_is_invisible(scene: &Scene) {
    let (_, ours) = furnished(scene, 2, Limits::default()).await;
    let (_, theirs) = furnished(scene, 2, Limits::default()).await;
    let mut tail = follow(scene, &theirs, Start::Earliest).await;
    publish(scene, &ours, numbered(100, 10)).await;
    publish(scene, &theirs, numbered(0, 10)).await;
    let got = take(scene, &mut *tail, 10).await;
    check_complete(scene, &got, 10);
    assert!(got.iter().all(|record| number(record) < 100), "{}: another's record", scene.name());
}

/// A cursor is worth nothing in another project, nor is a forged one.
pub async fn foreign_cursor_is_refused(scene: &Scene) {
    let (_, ours) = furnished(scene, 1, Limits::default()).await;
    let (_, theirs) = furnished(scene, 1, Limits::default()).await;
    publish(scene, &ours, numbered(0, 2)).await;
    let mut tail = follow(scene, &ours, Start::Earliest).await;
    take(scene, &mut *tail, 1).await;
    let cursors = tail.cursors();
    let codes = ["INVALID_CURSOR"];
    let forged = Start::Cursors(vec!["forged-cursor".to_owned()]);
    check_told(scene, try_follow(scene, &ours, forged).await, &codes);
    check_told(scene, try_follow(scene, &theirs, Start::Cursors(cursors)).await, &codes);
}

/// A record beyond the limit is refused by name, and the next one goes through.
pub async fn oversize_is_refused(scene: &Scene) {
    let limits = Limits { record_bytes_max: Some(10_000), ..Limits::default() };
    let (_, secret) = furnished(scene, 1, limits).await;
    for bytes in [10_001, RECORD_BYTES_MAX + 1] {
        let record = Sent {
            topic: TOPIC.to_owned(),
            data: format!("\"{}\"", "x".repeat(bytes)),
            ..Sent::default()
        };
        let outcome = try_publish(scene, &secret, vec![record]).await;
        check_told(scene, outcome, &["PAYLOAD_TOO_LARGE"]);
    }
    publish(scene, &secret, numbered(0, 1)).await;
}

/// A client that does not read for a while holds nobody up and misses nothing.
pub async fn slow_reader_is_caught_up(scene: &Scene) {
    const BATCHES: usize = 20;
    const BATCH: usize = 100;
    let (_, secret) = furnished(scene, 2, Limits::default()).await;
    let mut slow = follow(scene, &secret, Start::Latest).await;
    let mut quick = follow(scene, &secret, Start::Latest).await;
    for batch in 0..BATCHES {
        publish(scene, &secret, numbered(batch * BATCH, BATCH)).await;
        let got = take(scene, &mut *quick, BATCH).await;
        assert_eq!(got.len(), BATCH);
    }
    let got = take(scene, &mut *slow, BATCHES * BATCH).await;
    check_complete(scene, &got, BATCHES * BATCH);
}

/// Bytes that are no request are refused, and what follows is served as if nothing had been.
pub async fn garbage_is_survived(scene: &Scene) {
    let (_, secret) = furnished(scene, 1, Limits::default()).await;
    for face in [&scene.publisher, &scene.receiver] {
        for bytes in garbage() {
            let aftermath = within("an answer to garbage", face.hostile(&secret, &bytes)).await;
            if let Aftermath::Refused(told) = aftermath {
                assert!(!told.code.is_empty(), "{}: {told:?} has a code", face.name());
                assert_ne!(told.code, "INTERNAL", "{}: {told:?}", face.name());
            }
        }
    }
    publish(scene, &secret, numbered(0, 3)).await;
    let mut tail = follow(scene, &secret, Start::Earliest).await;
    take(scene, &mut *tail, 3).await;
}

fn garbage() -> Vec<Vec<u8>> {
    // A linear congruential generator: the same noise in every run.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut noise = move |length: usize| -> Vec<u8> {
        let mut byte = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 56) as u8
        };
        (0..length).map(|_| byte()).collect()
    };
    vec![
        noise(1),
        noise(64),
        noise(4_096),
        vec![0; 100],
        vec![0xff; 100],
        b"{".to_vec(),
        b"{}".to_vec(),
        b"null".to_vec(),
        b"[[[[".repeat(5_000),
        b"{\"type\":\"publish\",\"id\":1,\"topic\":\"orders\",\"data\":".to_vec(),
        b"{\"type\":\"publish\",\"id\":1e999,\"topic\":{}}".to_vec(),
        b"{\"topic\":\"\\ud800\",\"data\":1}".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ]
}

/// The connection quota refuses the connection beyond it, by name.
pub async fn connection_quota_is_shown(scene: &Scene) {
    if !scene.receiver.abilities().holds_connection {
        return;
    }
    let limits = Limits { connections_max: Some(2), ..Limits::default() };
    let (_, secret) = furnished(scene, 1, limits).await;
    let first = follow(scene, &secret, Start::Latest).await;
    let second = follow(scene, &secret, Start::Latest).await;
    let outcome = try_follow(scene, &secret, Start::Latest).await;
    check_told(scene, outcome, &["PROJECT_LIMIT_EXCEEDED"]);
    drop((first, second));
    // The places come free when the server has noticed; until then it may refuse.
    within("a place to come free", async {
        while scene.receiver.follow(&secret, TOPIC, Start::Latest).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Beyond the publish rate a client is told how long to wait.
pub async fn publish_rate_is_shown(scene: &Scene) {
    let limits = Limits { publish_per_second_max: Some(5), ..Limits::default() };
    let (_, secret) = furnished(scene, 1, limits).await;
    // The rate is given back while a slow machine publishes: go on until it is used up.
    let mut outcome = Ok(());
    for attempt in 0..RATE_ATTEMPTS_MAX {
        outcome = try_publish(scene, &secret, numbered(attempt * 5, 5)).await;
        if outcome.is_err() {
            break;
        }
    }
    let told = check_told(scene, outcome, &["RATE_LIMIT_EXCEEDED"]);
    assert!(told.retry_after_ms.is_some(), "{}: {told:?} says when", scene.name());
}

/// Each published and each delivered record counts once; refused ones do not count.
pub async fn metered_once(scene: &Scene) {
    let limits = Limits { record_bytes_max: Some(1_000), ..Limits::default() };
    let (room, secret) = furnished(scene, 2, limits).await;
    publish(scene, &secret, numbered(0, 7)).await;
    let oversize = Sent {
        topic: TOPIC.to_owned(),
        data: format!("\"{}\"", "x".repeat(2_000)),
        ..Sent::default()
    };
    check_told(scene, try_publish(scene, &secret, vec![oversize]).await, &["PAYLOAD_TOO_LARGE"]);
    let mut tail = follow(scene, &secret, Start::Earliest).await;
    take(scene, &mut *tail, 7).await;
    let counted = within("the counting", scene.stage.counted(&room)).await;
    assert_eq!(counted.published, 7, "{}: published", scene.name());
    assert_eq!(counted.delivered, 7, "{}: delivered", scene.name());
}

/// A node that goes down says so to open connections and takes no new ones.
pub async fn drain_is_polite(scene: &Scene) {
    if !scene.receiver.abilities().holds_connection {
        return;
    }
    let (_, secret) = furnished(scene, 1, Limits::default()).await;
    let mut tail = follow(scene, &secret, Start::Latest).await;
    scene.stage.drain().await;
    loop {
        match within("the end of a drained connection", tail.next()).await {
            Tailed::CaughtUp => {}
            Tailed::Advice | Tailed::Ended(_) | Tailed::Closed => break,
            other => panic!("{}: {other:?} while draining", scene.name()),
        }
    }
    assert!(try_follow(scene, &secret, Start::Latest).await.is_err());
}
