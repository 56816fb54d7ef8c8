//! What the contract does not reach: refusals on demand, cursors, reads, retention, shards.

use crate::driven::{peer, prove};
use crate::memory_hub::{Call, KeySpec, MemoryHub, Place, SecretKind, Storage};
use port::feed::Fed;
use port::live::{Connection, Quota};
use port::presence::{Entering, MemberData, PresenceAction};
use port::{
    Code, ConnectionFilter, Feed, Follow, Hub, Identity, Live, PresenceCall, ReadAnswer,
    ReadRequest, Refusal, ShardId, Sink,
};
use std::sync::Arc;
use std::time::Duration;
use types::{
    Filter, From, Header, Key, Limits, Record, Scope, SubscriptionTag, TopicConfig, TopicName,
};

fn orders() -> TopicName {
    TopicName::parse("orders").expect("a topic")
}

fn record(key: &str, value: &str) -> Record {
    let value = (!value.is_empty()).then(|| value.to_owned().into());
    Record { key: Key::new(key.to_owned()).ok(), value, ..Record::default() }
}

struct World {
    hub: MemoryHub,
    place: Place,
    who: Identity,
}

fn world() -> World {
    let hub = MemoryHub::new();
    let place = hub.place(Limits::default());
    let who = hub.identity(&hub.admin_key(place));
    World { hub, place, who }
}

impl World {
    async fn append(&self, records: Vec<Record>) -> Result<Vec<port::Placed>, Refusal> {
        self.hub.append(&self.who, &orders(), records).await
    }

    async fn read(&self, from: From, limit: usize) -> Result<ReadAnswer, Refusal> {
        self.hub.read(&self.who, request(from, limit, Duration::ZERO)).await
    }
}

fn request(from: From, limit: usize, wait: Duration) -> ReadRequest {
    ReadRequest { topic: orders(), from, key: None, last: None, limit, wait }
}

fn follow(tag: u32, filter: &str, from: From) -> Follow {
    Follow {
        tag: SubscriptionTag(tag),
        filter: Filter::parse(filter).expect("a filter"),
        from,
        latest_first: false,
        exclude_own: false,
        connection: None,
        shaping: None,
    }
}

#[tokio::test]
async fn keys_keep_their_partition_and_ids_their_place() {
    let world = world();
    let config = TopicConfig { partitions: 8, ..TopicConfig::default() };
    world.hub.topic(world.place, "orders", config);
    let first = world.append(vec![record("a", "1"), record("b", "1")]).await.expect("placed");
    let second = world.append(vec![record("a", "2"), record("b", "2")]).await.expect("placed");
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.partition, second.partition);
        assert!(first.offset < second.offset);
    }
    let mut with_id = record("a", "3");
    with_id.headers.push(Header { name: "ms-id".into(), value: "x".into() });
    let once = world.append(vec![with_id.clone()]).await.expect("placed")[0];
    let again = world.append(vec![with_id]).await.expect("placed")[0];
    assert!(!once.is_duplicate && again.is_duplicate);
    assert_eq!((once.partition, once.offset), (again.partition, again.offset));
    let usage = world.hub.take_usage();
    assert_eq!(usage[0].2.events_published, 5, "a duplicate is not counted");
}

#[tokio::test]
async fn cursors_go_on_where_they_ended_and_only_in_their_project() {
    let world = world();
    let records = (0..10).map(|n| record(&format!("k{n}"), "1")).collect();
    world.append(records).await.expect("placed");
    let mut from = From::Earliest;
    let mut offsets = Vec::new();
    loop {
        let page = world.read(from, 3).await.expect("a page");
        offsets.extend(page.records.iter().map(|found| found.offset));
        from = From::Cursors(vec![page.next_cursor]);
        if page.is_end {
            break;
        }
    }
    assert_eq!(offsets, (0..10).collect::<Vec<_>>());
    let From::Cursors(cursors) = &from else { panic!("a cursor") };
    let other = world.hub.place(Limits::default());
    let stranger = world.hub.identity(&world.hub.key(other));
    world.hub.topic(other, "orders", TopicConfig::default());
    let refused = world.hub.read(&stranger, request(from.clone(), 3, Duration::ZERO)).await;
    assert_eq!(refused.expect_err("not its cursor").code(), Code::InvalidCursor);
    let mut forged = cursors[0].clone();
    forged.replace_range(5..6, if forged.as_bytes()[5] == b'0' { "1" } else { "0" });
    let refused = world.read(From::Cursors(vec![forged]), 3).await;
    assert_eq!(refused.expect_err("forged").code(), Code::InvalidCursor);
}

#[tokio::test]
async fn a_read_that_waits_is_woken_by_the_append() {
    let world = world();
    world.hub.topic(world.place, "orders", TopicConfig::default());
    let (hub, who) = (world.hub.clone(), world.who.clone());
    let waiting = tokio::spawn(async move {
        hub.read(&who, request(From::Latest, 5, Duration::from_secs(60))).await
    });
    tokio::task::yield_now().await;
    world.append(vec![record("a", "1")]).await.expect("placed");
    let page = waiting.await.expect("no panic").expect("a page");
    assert_eq!(page.records.len(), 1);
}

#[tokio::test]
async fn latest_keys_and_last_of_key_know_tombstones() {
    let world = world();
    let records = vec![record("a", "1"), record("b", "1"), record("a", "2"), record("b", "")];
    world.append(records).await.expect("placed");
    let latest = async |key: &'static str| {
        let key = Key::new(key).expect("a key");
        world.hub.latest(&world.who, &orders(), &key).await.expect("an answer")
    };
    let found = latest("a").await.expect("a value");
    assert_eq!(found.record.value.as_deref(), Some(&b"2"[..]));
    assert!(latest("b").await.is_none());
    let keys = world.hub.keys(&world.who, &orders(), None, 10).await.expect("keys");
    assert_eq!(keys.keys, [Key::new("a").expect("a key")]);
    let key = Key::new("a").ok();
    let last = ReadRequest { key, last: Some(1), ..request(From::Earliest, 9, Duration::ZERO) };
    let page = world.hub.read(&world.who, last).await.expect("a page");
    assert_eq!(page.records.len(), 1);
    assert_eq!(page.records[0].offset, 2);
}

#[tokio::test]
async fn a_full_feed_pauses_its_reader_only() {
    const COUNT: u64 = 2_000;
    let world = world();
    let _driving = world.hub.drive(ShardId(0));
    let (slow, quick) = (Feed::new(), Feed::new());
    let mut open = Vec::new();
    for feed in [&slow, &quick] {
        let sink = Arc::clone(feed) as Arc<dyn Sink>;
        let follow = follow(1, "orders", From::Latest);
        open.push(world.hub.follow(&world.who, follow, ShardId(0), sink).await.expect("a follow"));
    }
    for feed in [&slow, &quick] {
        assert!(matches!(feed.next().await, Fed::CaughtUp(_)));
    }
    for n in 0..COUNT {
        world.append(vec![record("k", "1")]).await.expect("placed");
        let Fed::Delivery(_, found) = quick.next().await else { panic!("a delivery") };
        assert_eq!(found.offset, n);
    }
    assert!(world.hub.demotion_count() > 0);
    for n in 0..COUNT {
        let Fed::Delivery(_, found) = slow.next().await else { panic!("a delivery") };
        assert_eq!(found.offset, n);
    }
    drop(open);
    assert_eq!(world.hub.follower_count(world.place), 0);
}

#[tokio::test]
async fn refusals_come_when_asked_for() {
    let world = world();
    world.hub.set_storage(Storage::Failed);
    let refused = world.append(vec![record("a", "1")]).await.expect_err("the disk failed");
    assert_eq!(refused.code(), Code::StorageFailed);
    world.hub.set_storage(Storage::Free);
    world.hub.refuse_next(Call::Append, Refusal::new(Code::Overloaded, "busy"));
    assert_eq!(world.append(Vec::new()).await.expect_err("once").code(), Code::Overloaded);
    world.append(vec![record("a", "1")]).await.expect("only once");
    world.hub.suspend(world.place.tenant);
    assert_eq!(world.read(From::Earliest, 1).await.expect_err("").code(), Code::TenantSuspended);
    world.hub.resume(world.place.tenant);
    world.read(From::Earliest, 1).await.expect("resumed");
    let expired = KeySpec { expires_at: Some(1), kind: SecretKind::Token, ..KeySpec::default() };
    let secret = world.hub.key_with(world.place, expired);
    let refused = prove(&world.hub, &secret).await.expect_err("expired long ago");
    assert_eq!(refused.code(), Code::ExpiredToken);
    let brief = KeySpec { rate_per_second: Some(0), ..KeySpec::default() };
    let secret = world.hub.key_with(world.place, brief);
    let refused = prove(&world.hub, &secret).await.expect_err("no rate");
    assert_eq!(refused.code(), Code::RateLimitExceeded);
    assert!(refused.wait().is_some() && refused.rate_state().is_some());
}

#[tokio::test]
async fn connections_are_listed_counted_closed_and_given_up() {
    let world = world();
    let feed = Feed::new();
    let connection = Connection { protocol: "test", quota: Quota::Other, address: peer().address };
    let lease = world.hub.open(&world.who, connection, feed.clone()).await;
    let lease = lease.expect("a place");
    let watched = Follow { connection: Some(lease.id), ..follow(1, "orders", From::Latest) };
    let opened = world.hub.follow(&world.who, watched, ShardId(0), feed.clone()).await;
    let listed = world.hub.connections(&ConnectionFilter::default(), 10);
    assert_eq!((listed.len(), listed[0].subscriptions), (1, 1));
    let ann =
        Entering { member: "ann".to_owned(), device: None, data: MemberData::Keep, lease: None };
    let enter = PresenceCall { action: PresenceAction::Enter(ann), limit: 10 };
    let present = world.hub.presence(&world.who, Some(&lease), &orders(), None, enter).await;
    assert_eq!(present.expect("members").members.len(), 1);
    assert!(world.hub.close(lease.id));
    assert!(matches!(feed.next().await, Fed::Closed(why) if why.code() == Code::ClosedByOperator));
    drop((opened, lease));
    assert!(world.hub.connections(&ConnectionFilter::default(), 10).is_empty());
    let scopes = [Scope::EventsSubscribe].into_iter().collect();
    let reader = world.hub.key_with(world.place, KeySpec { scopes, ..KeySpec::default() });
    let reader = world.hub.identity(&reader);
    let refused = world.hub.append(&reader, &orders(), vec![record("a", "1")]).await;
    assert_eq!(refused.expect_err("may only read").code(), Code::InsufficientScope);
}
