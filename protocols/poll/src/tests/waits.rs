//! The long poll: it waits, it is counted while it does, and it ends when told to.

use super::Stage;
use port::Live;
use std::time::Duration;
use testkit::memory_hub::KeySpec;
use types::Limits;

/// Lets other tasks run until something holds; the timeout only bounds a broken test.
async fn until(what: impl Fn() -> bool) {
    let wait = async {
        while !what() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it never came to be");
}

#[tokio::test]
async fn a_record_ends_the_wait() {
    let stage = Stage::new();
    let publish = async {
        until(|| stage.hub.connection_count(stage.place) == 1).await;
        stage.append(None, "7").await;
    };
    let (answer, ()) = tokio::join!(stage.read("t/records?from=latest&wait=60s"), publish);
    assert_eq!(answer.data(), [7]);
    assert_eq!(stage.hub.connection_count(stage.place), 0);
}

#[tokio::test]
async fn the_wait_ends_empty_and_its_cursor_goes_on() {
    let stage = Stage::new();
    let empty = stage.read("t/records?from=latest&wait=20ms").await;
    assert!(empty.data().is_empty());
    stage.append(None, "1").await;
    assert_eq!(stage.read(&format!("t/records?from={}&wait=30s", empty.next())).await.data(), [1]);
}

#[tokio::test]
async fn what_is_there_already_is_answered_at_once() {
    let stage = Stage::new();
    stage.append(None, "1").await;
    assert_eq!(stage.read("t/records?wait=60s").await.data(), [1]);
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place() {
    let stage = Stage::new();
    {
        let waiting = stage.read("t/records?from=latest&wait=60s");
        tokio::pin!(waiting);
        tokio::select! {
            _ = &mut waiting => panic!("there is nothing to read"),
            () = until(|| stage.hub.connection_count(stage.place) == 1) => {}
        }
    }
    assert_eq!(stage.hub.connection_count(stage.place), 0);
}

#[tokio::test]
async fn what_ends_connections_ends_the_wait() {
    let stage = Stage::new();
    let key = stage.hub.key_with(stage.place, KeySpec::default());
    let revoke = async {
        until(|| stage.hub.connection_count(stage.place) == 1).await;
        stage.hub.revoke(&key);
    };
    let path = "t/records?from=latest&wait=60s";
    let (answer, ()) = tokio::join!(stage.read_as(&key, path), revoke);
    answer.check(401, "INVALID_API_KEY", None);
    let drain = async {
        until(|| stage.hub.connection_count(stage.place) == 1).await;
        stage.hub.drain();
    };
    let (answer, ()) = tokio::join!(stage.read(path), drain);
    answer.check(503, "DRAINING", None);
    assert_eq!(answer.headers["retry-after"], "1");
    stage.read(path).await.check(503, "DRAINING", None);
}

#[tokio::test]
async fn waiting_counts_against_the_connections() {
    let stage = Stage::new();
    let limits = Limits { connections_max: Some(1), ..Limits::default() };
    stage.hub.set_limits(stage.place, limits);
    let path = "t/records?from=latest&wait=60s";
    let second = async {
        until(|| stage.hub.connection_count(stage.place) == 1).await;
        let refused = stage.read(path).await;
        assert_eq!(refused.status, 429);
        assert_eq!(refused.body["error"]["code"], "PROJECT_LIMIT_EXCEEDED");
        assert!(stage.read("t/records").await.data().is_empty(), "without waiting it is none");
        stage.append(None, "1").await;
    };
    let (first, ()) = tokio::join!(stage.read(path), second);
    assert_eq!(first.data(), [1]);
}
