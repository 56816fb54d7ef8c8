//! Whole conversations, over the memory hub.

use super::stage::{Client, World};
use crate::Config;
use port::{Code, Live, Refusal};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use testkit::memory_hub::{Call, KeySpec, Storage};
use types::limits::HEADERS_MAX;
use types::{Filter, Grant, Limits, TopicConfig};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_stranger_may_ping_and_connect_only() {
    let world = World::new();
    let mut client = world.dial(None);
    client.ask(r#"{"type":"ping","id":1}"#, r#"{"type":"pong","id":1}"#).await;
    let connect = json!({"type":"connect","id":2,"token":world.secret}).to_string();
    let connected = client.ask(&connect, r#"{"type":"connected","id":2}"#).await;
    assert_eq!(connected["project"], world.place.project.to_string());
    assert_eq!(connected["keepalive_ms"], 25_000);
    assert_eq!(world.hub.connection_count(world.place), 1);
    let again = r#"{"type":"error","id":2,"error":{"code":"CONFLICT"}}"#;
    client.ask(&connect, again).await;
    client.ask(r#"{"type":"ping","id":3}"#, r#"{"type":"pong","id":3}"#).await;

    for request in [
        r#"{"type":"publish","id":1,"topic":"a","data":1}"#,
        r#"{"type":"subscribe","id":1,"filter":"a"}"#,
        r#"{"type":"unsubscribe","id":1,"sub":1}"#,
        r#"{"type":"presence","id":1,"action":"list","topic":"a"}"#,
        r#"{"type":"refresh","id":1,"token":"t"}"#,
    ] {
        let mut stranger = world.dial(None);
        let refused = r#"{"type":"error","id":1,"error":{"code":"CREDENTIAL_MISSING"}}"#;
        stranger.ask(request, refused).await;
        stranger.expect_closed(4401).await;
    }
}

#[tokio::test]
async fn refused_connects_end_with_their_code() {
    let world = World::with(
        Limits { websocket_connections_max: Some(1), ..Limits::default() },
        Config::default(),
    );
    let connect = |secret: &str| json!({"type":"connect","id":1,"token":secret}).to_string();
    let _open = world.client().await;
    for (refusal, code) in [
        (Refusal::new(Code::InvalidApiKey, "unknown"), 4401),
        (Refusal::new(Code::TenantSuspended, "suspended"), 4403),
        (Refusal::new(Code::RateLimitExceeded, "slow down"), 4429),
        (Refusal::new(Code::DatabaseConnectionError, "away"), 1013),
    ] {
        world.hub.refuse_next(Call::Authenticate, refusal.clone());
        let mut client = world.dial(None);
        let error = client.ask(&connect(&world.secret), r#"{"type":"error","id":1}"#).await;
        assert_eq!(error["error"]["code"], refusal.code().name());
        assert!(error["error"]["request_id"].is_string());
        client.expect_closed(code).await;
    }
    // The one connection the project may have is open.
    let mut client = world.dial(None);
    let quota = r#"{"type":"error","id":1,"error":{"code":"PROJECT_LIMIT_EXCEEDED"}}"#;
    client.ask(&connect(&world.secret), quota).await;
    client.expect_closed(4429).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_stranger_is_closed_in_time() {
    let world = World::new();
    let began = tokio::time::Instant::now();
    let mut client = world.dial(None);
    client.expect(r#"{"type":"error","error":{"code":"CREDENTIAL_MISSING"}}"#).await;
    client.expect_closed(4401).await;
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_runs_out_ends_the_session_unless_refreshed() {
    let world = World::new();
    let now_ms = stdx::SystemClock::shared().now_ms();
    let brief = |after_ms: i64| KeySpec {
        expires_at: Some(now_ms + after_ms),
        kind: testkit::memory_hub::SecretKind::Token,
        ..KeySpec::default()
    };
    let secret = world.key(brief(20_000));
    let mut client = world.dial(Some(world.hub.identity(&secret)));
    client.expect(r#"{"type":"connected"}"#).await;
    client.expect(r#"{"type":"error","error":{"code":"EXPIRED_TOKEN"}}"#).await;
    client.expect_closed(4401).await;

    let mut client = world.dial(Some(world.hub.identity(&secret)));
    client.expect(r#"{"type":"connected"}"#).await;
    let renewed = world.key(brief(50_000));
    let refresh = json!({"type":"refresh","id":1,"token":renewed}).to_string();
    client.ask(&refresh, r#"{"type":"refreshed","id":1}"#).await;
    let began = tokio::time::Instant::now();
    client.expect(r#"{"type":"error","error":{"code":"EXPIRED_TOKEN"}}"#).await;
    assert!(began.elapsed() > Duration::from_secs(25), "the new one's end counts");
    client.expect_closed(4401).await;
}

#[tokio::test]
async fn a_refresh_stays_in_its_project() {
    let world = World::new();
    let mut client = world.client().await;
    let other = world.hub.place(Limits::default());
    let sibling = world.hub.sibling(world.place.tenant, Limits::default());
    for place in [other, sibling] {
        let token = world.hub.key(place);
        let refresh = json!({"type":"refresh","id":1,"token":token}).to_string();
        let refused = r#"{"type":"error","id":1,"error":{"code":"ADDRESS_FORBIDDEN"}}"#;
        client.ask(&refresh, refused).await;
    }
    let unknown = r#"{"type":"refresh","id":2,"token":"ms_test_no"}"#;
    client.ask(unknown, r#"{"type":"error","id":2,"error":{"code":"INVALID_API_KEY"}}"#).await;
    // The credential in force was not touched.
    client
        .ask(r#"{"type":"publish","id":3,"topic":"a","data":1}"#, r#"{"type":"published"}"#)
        .await;
}

#[tokio::test]
async fn after_a_refresh_the_new_key_is_the_one_whose_end_counts() {
    let world = World::new();
    let mut client = world.client().await;
    let renewed = world.hub.key(world.place);
    let refresh = json!({"type":"refresh","id":1,"token":renewed}).to_string();
    client.ask(&refresh, r#"{"type":"refreshed","id":1}"#).await;
    world.hub.revoke(&world.secret);
    client.ask(r#"{"type":"ping","id":2}"#, r#"{"type":"pong","id":2}"#).await;
    world.hub.revoke(&renewed);
    client.expect(r#"{"type":"error","error":{"code":"INVALID_API_KEY"}}"#).await;
    client.expect_closed(4401).await;
}

#[tokio::test]
async fn publishes_are_answered_in_order_with_their_places() {
    let world = World::new();
    let mut client = world.client().await;
    for id in 1..=100 {
        let frame = json!({"type":"publish","id":id,"topic":"a","data":id});
        client.send(frame.to_string()).await;
    }
    for id in 1..=100 {
        let published = client.expect(&json!({"type":"published","id":id}).to_string()).await;
        assert_eq!(published["records"][0]["offset"], id - 1);
    }
    let several = r#"{"type":"publish","id":200,"records":[
        {"topic":"b","data":1,"id":"x"},{"topic":"a","data":2},{"topic":"b","data":3}]}"#;
    let places = r#"{"type":"published","id":200,"records":[
        {"topic":"b","offset":0,"id":"x"},{"topic":"a","offset":100},{"topic":"b","offset":1}]}"#;
    client.ask(several, places).await;
    let again = r#"{"type":"publish","id":201,"topic":"b","data":1,"record_id":"x"}"#;
    let duplicate = r#"{"type":"published","id":201,"records":[{"offset":0,"duplicate":true}]}"#;
    client.ask(again, duplicate).await;
}

#[tokio::test]
async fn refused_publishes_leave_the_session_open() {
    let world = World::new();
    let mut client = world.client().await;
    let publish = r#"{"type":"publish","id":1,"topic":"a","data":1}"#;
    world.hub.set_storage(Storage::Full);
    client.ask(publish, r#"{"type":"error","id":1,"error":{"code":"STORAGE_FULL"}}"#).await;
    world.hub.set_storage(Storage::Free);
    let wait = Refusal::new(Code::RateLimitExceeded, "slow").retry_after(Duration::from_secs(2));
    world.hub.refuse_next(Call::Append, wait);
    let told = r#"{"type":"error","id":1,"error":{"details":{"retry_after_ms":2000}}}"#;
    client.ask(publish, told).await;
    client.ask(publish, r#"{"type":"published","id":1}"#).await;
    // Of several topics, the refusal names the record by its place in the request.
    world.hub.set_limits(world.place, Limits { record_bytes_max: Some(100), ..Limits::default() });
    let long = "x".repeat(200);
    let frame = json!({"type":"publish","id":2,"records":[{"topic":"a","data":1},
        {"topic":"b","data":2},{"topic":"a","data":long}]});
    let told = r#"{"type":"error","id":2,
        "error":{"code":"PAYLOAD_TOO_LARGE","details":{"field":"records[2]"}}}"#;
    client.ask(&frame.to_string(), told).await;
}

#[tokio::test]
async fn a_record_is_delivered_as_its_view() {
    let world = World::new();
    let mut client = world.client().await;
    client
        .ask(
            r#"{"type":"subscribe","id":5,"filter":"orders/+"}"#,
            r#"{"type":"subscribed","id":5,"sub":5}"#,
        )
        .await;
    client.expect(r#"{"type":"caught_up","sub":5}"#).await;
    let frame = json!({"type":"publish","id":1,"topic":"orders","key":"eu","data":{"n":1},
        "headers":{"h":"v"},"traceparent":TRACE});
    client.send(frame.to_string()).await;
    let (mut record, mut published) = (client.frame().await, client.frame().await);
    if record["type"] == "published" {
        std::mem::swap(&mut record, &mut published);
    }
    assert_eq!(published["type"], "published");
    assert_eq!(record["type"], "record");
    assert_eq!(record["sub"], 5);
    assert_eq!(record["topic"], "orders");
    assert_eq!(record["key"], "eu");
    assert_eq!(record["data"], json!({"n":1}));
    assert_eq!(record["headers"], json!({"h":"v","traceparent":TRACE}));
    assert!(record["cursor"].is_string());
    // A key of two levels is not in `orders/+`.
    let other = r#"{"type":"publish","id":2,"topic":"orders","key":"eu/1","data":1}"#;
    client.ask(other, r#"{"type":"published"}"#).await;
    client
        .ask(r#"{"type":"unsubscribe","id":6,"sub":5}"#, r#"{"type":"unsubscribed","sub":5}"#)
        .await;
    let again = r#"{"type":"error","id":7,"error":{"code":"NOT_FOUND"}}"#;
    client.ask(r#"{"type":"unsubscribe","id":7,"sub":5}"#, again).await;
    assert_eq!(world.hub.follower_count(world.place), 0);
}

#[tokio::test]
async fn the_latest_value_comes_first_and_own_records_stay_away() {
    let world = World::new();
    let mut client = world.client().await;
    for n in [1, 2] {
        let frame = json!({"type":"publish","id":n,"topic":"a","key":"k","data":n});
        client.ask(&frame.to_string(), r#"{"type":"published"}"#).await;
    }
    let latest = r#"{"type":"subscribe","id":3,"filter":"a/k","latest":true}"#;
    client.ask(latest, r#"{"type":"subscribed"}"#).await;
    client.expect(r#"{"type":"record","sub":3,"data":2}"#).await;
    client.expect(r#"{"type":"caught_up","sub":3}"#).await;
    client.ask(r#"{"type":"unsubscribe","id":4,"sub":3}"#, r#"{"type":"unsubscribed"}"#).await;
    let others = r#"{"type":"subscribe","id":5,"filter":"a","exclude_own":true,"from":"earliest"}"#;
    client.ask(others, r#"{"type":"subscribed"}"#).await;
    client.expect(r#"{"type":"caught_up","sub":5}"#).await;
    let mut other = world.dial(Some(world.hub.identity(&world.hub.key(world.place))));
    other.expect(r#"{"type":"connected"}"#).await;
    other.send(r#"{"type":"publish","id":1,"topic":"a","key":"k","data":3}"#).await;
    client.expect(r#"{"type":"record","sub":5,"data":3}"#).await;
}

#[tokio::test]
async fn several_subscriptions_are_told_apart_and_bounded() {
    let config = Config { subscriptions_max: 2, ..Config::default() };
    let world = World::with(Limits::default(), config);
    let mut client = world.client().await;
    for (sub, filter) in [(10, "a"), (20, "b")] {
        let frame = json!({"type":"subscribe","id":sub,"filter":filter});
        client.ask(&frame.to_string(), r#"{"type":"subscribed"}"#).await;
        client.expect(r#"{"type":"caught_up"}"#).await;
    }
    let third = r#"{"type":"subscribe","id":3,"filter":"c"}"#;
    let refused = r#"{"type":"error","id":3,
        "error":{"code":"PROJECT_LIMIT_EXCEEDED","details":{"field":"sub"}}}"#;
    client.ask(third, refused).await;
    let taken = r#"{"type":"subscribe","id":4,"sub":10,"filter":"c"}"#;
    client.ask(taken, r#"{"type":"error","id":4,"error":{"code":"CONFLICT"}}"#).await;
    let other = world.client().await;
    other.send(r#"{"type":"publish","id":1,"topic":"b","data":1}"#).await;
    client.expect(r#"{"type":"record","sub":20}"#).await;
    // A place given back can be taken again.
    client.ask(r#"{"type":"unsubscribe","id":5,"sub":10}"#, r#"{"type":"unsubscribed"}"#).await;
    client.ask(third, r#"{"type":"subscribed","sub":3}"#).await;
}

#[tokio::test]
async fn refused_subscribes_leave_nothing_behind() {
    let world = World::new();
    let allowed = Filter::parse("open").expect("a filter");
    let grant = Grant { effect: types::Effect::Allow, access: None, filter: allowed };
    let secret = world.key(KeySpec { grants: Some(Arc::new([grant])), ..KeySpec::default() });
    let mut client = world.dial(Some(world.hub.identity(&secret)));
    client.expect(r#"{"type":"connected"}"#).await;
    let closed = r#"{"type":"subscribe","id":1,"filter":"closed"}"#;
    let refused = r#"{"type":"error","id":1,"error":{"code":"ADDRESS_FORBIDDEN"}}"#;
    client.ask(closed, refused).await;
    let forged = r#"{"type":"subscribe","id":1,"filter":"open","from":"nonsense"}"#;
    client.ask(forged, r#"{"type":"error","id":1,"error":{"code":"INVALID_CURSOR"}}"#).await;
    client.ask(r#"{"type":"subscribe","id":1,"filter":"open"}"#, r#"{"type":"subscribed"}"#).await;
    assert_eq!(world.hub.follower_count(world.place), 1);
}

#[tokio::test]
async fn presence_enters_lists_leaves_and_is_told() {
    let world = World::new();
    let mut watcher = world.client().await;
    let watch = r#"{"type":"subscribe","id":1,"filter":"room/+","presence":true}"#;
    watcher.ask(watch, r#"{"type":"subscribed","sub":1}"#).await;
    watcher.expect(r#"{"type":"caught_up"}"#).await;
    let mut counter = world.client().await;
    let watch = r#"{"type":"subscribe","id":1,"filter":"room/1","presence":"counts"}"#;
    counter.ask(watch, r#"{"type":"subscribed","sub":1}"#).await;
    counter.expect(r#"{"type":"caught_up"}"#).await;
    let mut client = world.client().await;
    let enter = r#"{"type":"presence","id":1,"action":"enter","topic":"room","key":"1",
        "member":"ann","data":{"x":1}}"#;
    client
        .ask(enter, r#"{"type":"presence","id":1,"members":[{"member":"ann","data":{"x":1}}]}"#)
        .await;
    let change = r#"{"type":"presence_changes","sub":1,"address":"room/1","changes":[
        {"action":"enter","member":"ann","data":{"x":1}}],"members":1,"connections":1}"#;
    watcher.expect(change).await;
    counter.expect(r#"{"type":"presence_counts","address":"room/1","members":1}"#).await;
    let list = r#"{"type":"presence","id":2,"action":"list","topic":"room","key":"1"}"#;
    watcher.ask(list, r#"{"type":"presence","id":2,"members":[{"member":"ann"}]}"#).await;
    let itself = r#"{"type":"presence","id":2,"action":"enter","topic":"room","key":"2"}"#;
    let entered = client.ask(itself, r#"{"type":"presence","id":2}"#).await;
    let name = entered["members"][0]["member"].as_str().expect("a member").to_owned();
    assert_eq!(name, *world.hub.identity(&world.secret).principal().0);
    let entered =
        r#"{"type":"presence_changes","address":"room/2","changes":[{"action":"enter"}]}"#;
    watcher.expect(entered).await;
    let leave = r#"{"type":"presence","id":3,"action":"leave","topic":"room","key":"2"}"#;
    client.ask(leave, r#"{"type":"presence","id":3,"members":[]}"#).await;
    let left = r#"{"type":"presence_changes","address":"room/2","changes":[{"action":"leave"}]}"#;
    watcher.expect(left).await;
    // A lost connection takes its members with it.
    drop(client);
    let left = r#"{"type":"presence_changes","address":"room/1",
        "changes":[{"action":"leave","member":"ann"}],"members":0}"#;
    watcher.expect(left).await;
    counter.expect(r#"{"type":"presence_counts","address":"room/1","members":0}"#).await;
}

#[tokio::test]
async fn a_gap_and_an_end_are_told() {
    let world = World::new();
    let topic = world.hub.topic(world.place, "a", TopicConfig::default());
    let mut client = world.client().await;
    for n in 0..5 {
        let frame = json!({"type":"publish","id":n,"topic":"a","data":n});
        client.ask(&frame.to_string(), r#"{"type":"published"}"#).await;
    }
    world.hub.trim(world.place, &topic, 0, 3);
    let from = r#"{"type":"subscribe","id":9,"filter":"a","from":"offset:1"}"#;
    client.ask(from, r#"{"type":"subscribed"}"#).await;
    client.expect(r#"{"type":"gap","sub":9,"partition":0,"from":1,"to":3}"#).await;
    client.expect(r#"{"type":"record","sub":9,"offset":3}"#).await;
    client.expect(r#"{"type":"record","sub":9,"offset":4}"#).await;
    client.expect(r#"{"type":"caught_up","sub":9}"#).await;
    let admin = world.hub.identity(&world.hub.admin_key(world.place));
    let shared = world.hub.shared();
    shared.delete_topic(&admin, &topic).await.expect("an admin may delete");
    client.expect(r#"{"type":"ended","sub":9,"error":{"code":"TOPIC_NOT_FOUND"}}"#).await;
    client.ask(r#"{"type":"ping","id":1}"#, r#"{"type":"pong"}"#).await;
}

#[tokio::test]
async fn the_end_of_a_subscription_ends_its_presence() {
    let world = World::new();
    let topic = world.hub.topic(world.place, "a", TopicConfig::default());
    let mut client = world.client().await;
    let subscribe = r#"{"type":"subscribe","id":1,"filter":"a","presence":true}"#;
    client.ask(subscribe, r#"{"type":"subscribed","sub":1}"#).await;
    client.expect(r#"{"type":"caught_up","sub":1}"#).await;
    assert_eq!(world.hub.follower_count(world.place), 2);
    let admin = world.hub.identity(&world.hub.admin_key(world.place));
    world.hub.shared().delete_topic(&admin, &topic).await.expect("an admin may delete");
    client.expect(r#"{"type":"ended","sub":1}"#).await;
    assert_eq!(world.hub.follower_count(world.place), 0, "nothing of it is followed any more");
    let gone = r#"{"type":"error","id":2,"error":{"code":"NOT_FOUND"}}"#;
    client.ask(r#"{"type":"unsubscribe","id":2,"sub":1}"#, gone).await;
}

#[tokio::test]
async fn a_record_without_room_for_it_is_stored_without_the_trace() {
    let world = World::new();
    let mut client = world.client().await;
    client.ask(r#"{"type":"subscribe","id":1,"filter":"a"}"#, r#"{"type":"subscribed"}"#).await;
    client.expect(r#"{"type":"caught_up"}"#).await;
    for (count, trace) in [(HEADERS_MAX, json!(null)), (HEADERS_MAX - 1, json!(TRACE))] {
        let headers: serde_json::Map<_, _> =
            (0..count).map(|n| (format!("h{n}"), json!("v"))).collect();
        let mut publisher = world.client().await;
        let publish = json!({"type":"publish","id":1,"topic":"a","data":1,"headers":headers,
            "traceparent":TRACE});
        publisher.ask(&publish.to_string(), r#"{"type":"published"}"#).await;
        let record = client.expect(r#"{"type":"record"}"#).await;
        assert_eq!(record["headers"]["traceparent"], trace);
        assert_eq!(record["headers"].as_object().map(|it| it.len()), Some(HEADERS_MAX));
    }
}

#[tokio::test]
async fn a_slow_client_is_demoted_bounded_and_caught_up() {
    const COUNT: u64 = 3_000;
    let world = World::new();
    let mut slow = world.client().await;
    slow.ask(r#"{"type":"subscribe","id":1,"filter":"a"}"#, r#"{"type":"subscribed"}"#).await;
    slow.expect(r#"{"type":"caught_up"}"#).await;
    let mut publisher = world.client().await;
    for n in 0..COUNT {
        let frame = json!({"type":"publish","id":1,"topic":"a","data":n});
        publisher.ask(&frame.to_string(), r#"{"type":"published"}"#).await;
    }
    for n in 0..COUNT {
        let record = slow.expect(r#"{"type":"record","sub":1}"#).await;
        assert_eq!(record["data"], n);
    }
    assert!(world.hub.demotion_count() > 0, "the hub paused for it");
}

#[tokio::test]
async fn revoked_suspended_and_closed_sessions_hear_why() {
    for (end, code, close_code) in [
        ("revoke", "INVALID_API_KEY", 4401),
        ("suspend", "TENANT_SUSPENDED", 4403),
        ("close", "CLOSED_BY_OPERATOR", 1013),
    ] {
        let world = World::new();
        let mut client = world.client().await;
        match end {
            "revoke" => world.hub.revoke(&world.secret),
            "suspend" => world.hub.suspend(world.place.tenant),
            _ => {
                let open = world.hub.connections(&port::ConnectionFilter::default(), 10);
                assert!(world.hub.close(open[0].id));
            }
        }
        client.expect(&json!({"type":"error","error":{"code":code}}).to_string()).await;
        client.expect_closed(close_code).await;
    }
}

#[tokio::test]
async fn a_drain_advises_to_come_back() {
    let world = World::new();
    let mut client = world.client().await;
    world.drain().await;
    client.expect(r#"{"type":"reconnect","after_ms":1000}"#).await;
    client.expect_closed(1012).await;
}

#[tokio::test]
async fn garbage_is_answered_until_it_is_too_much() {
    let config = Config { bad_frames_max: 3, ..Config::default() };
    let world = World::with(Limits::default(), config);
    let mut client = world.client().await;
    let bad = r#"{"type":"error","error":{"code":"INVALID_REQUEST"}}"#;
    for _ in 0..5 {
        client.ask("garbage", bad).await;
        client.ask("garbage", bad).await;
        // One good frame shows that the client means well.
        client.ask(r#"{"type":"ping","id":1}"#, r#"{"type":"pong"}"#).await;
    }
    for _ in 0..3 {
        client.ask("garbage", bad).await;
    }
    client.expect_closed(1008).await;
    let mut stranger = world.dial(None);
    stranger.ask("garbage", bad).await;
    stranger.expect_closed(1008).await;
}

#[tokio::test]
async fn a_lost_connection_gives_everything_back() {
    let world = World::new();
    let mut client: Client = world.client().await;
    client.ask(r#"{"type":"subscribe","id":1,"filter":"a"}"#, r#"{"type":"subscribed"}"#).await;
    assert_eq!(world.hub.follower_count(world.place), 1);
    drop(client);
    tokio::time::timeout(testkit::conformance::PATIENCE, async {
        while world.hub.connection_count(world.place) + world.hub.follower_count(world.place) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the places come free");
}

#[tokio::test]
async fn a_subscribe_behind_publishes_is_answered_before_its_records() {
    let world = World::new();
    let mut client = world.client().await;
    for id in 0..50 {
        client.send(json!({"type":"publish","id":id,"topic":"a","data":id}).to_string()).await;
    }
    client.send(r#"{"type":"subscribe","id":100,"filter":"a","from":"earliest"}"#).await;
    for id in 0..50 {
        client.expect(&json!({"type":"published","id":id}).to_string()).await;
    }
    client.expect(r#"{"type":"subscribed","id":100}"#).await;
    for id in 0..50 {
        client.expect(&json!({"type":"record","sub":100,"data":id}).to_string()).await;
    }
}

#[test]
fn bad_settings_are_refused_by_name() {
    let check = |config: Config, field: &str| {
        let refusal = config.check().expect_err(field);
        assert_eq!(refusal.field_name(), Some(field));
    };
    assert!(Config::default().check().is_ok());
    check(Config { connect_timeout_ms: 0, ..Config::default() }, "connect_timeout_ms");
    check(Config { subscriptions_max: 513, ..Config::default() }, "subscriptions_max");
    check(Config { frame_bytes_max: 1, ..Config::default() }, "frame_bytes_max");
    let unknown = serde_json::from_value::<Config>(json!({"frame_byte_max": 1}));
    assert!(unknown.is_err(), "unknown keys are refused");
}
