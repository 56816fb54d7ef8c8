//! Idempotency keys: once within the window, whatever happens to the client.

use super::Stage;
use crate::Config;
use crate::idempotency::{Answer, Window};
use bytes::Bytes;
use http::StatusCode;
use port::{Code, Refusal};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testkit::clock::ManualClock;
use testkit::memory_hub::{Call, MemoryHub};
use types::Limits;

const BODY: &str = r#"{"topic":"t","data":1}"#;

async fn post(stage: &Stage, key: &str, body: &str) -> super::Answer {
    let headers = [("x-api-key", stage.key.as_str()), ("idempotency-key", key)];
    stage.ask_with("POST", "/v1/events", &headers, body.to_owned()).await
}

#[tokio::test]
async fn the_same_request_is_answered_the_same() {
    let clock = ManualClock::shared(1_000);
    let stage = Stage::with(Config::default(), clock.clone());
    let first = post(&stage, "k1", BODY).await;
    assert_eq!(first.status, 200);
    assert!(!first.headers.contains_key("idempotency-replayed"));
    clock.advance(Duration::from_secs(3_599));
    let second = post(&stage, "k1", BODY).await;
    assert_eq!((second.status, &second.body), (first.status, &first.body));
    assert_eq!(second.headers["idempotency-replayed"], "true");
    assert_eq!(stage.hub.append_count(), 1);
    let other = post(&stage, "k1", r#"{"topic":"t","data":2}"#).await;
    other.check(409, "IDEMPOTENCY_KEY_REUSED", Some("Idempotency-Key"));
    assert_eq!(post(&stage, "k2", BODY).await.body["offset"], 1);
    clock.advance(Duration::from_secs(2));
    // The answer is forgotten, the ids that the key gave its records are not.
    let late = post(&stage, "k1", BODY).await;
    assert_eq!((&late.body["offset"], &late.body["duplicate"]), (&0.into(), &true.into()));
    assert!(!late.headers.contains_key("idempotency-replayed"));
    assert_eq!(late.body["id"], "t:0:0", "the derived id is nothing to the client");
}

#[tokio::test]
async fn a_refused_request_may_be_tried_again() {
    let stage = Stage::new();
    stage.hub.refuse_next(Call::Append, Refusal::new(Code::Overloaded, "busy"));
    assert_eq!(post(&stage, "k", BODY).await.status, 503);
    assert_eq!(post(&stage, "k", BODY).await.status, 200);
    assert_eq!(post(&stage, "", BODY).await.status, 400);
    assert_eq!(post(&stage, &"k".repeat(256), BODY).await.status, 400);
}

#[tokio::test]
async fn another_principal_has_keys_of_its_own() {
    let stage = Stage::new();
    post(&stage, "k", BODY).await;
    let other = stage.hub.key(stage.place);
    let headers = [("x-api-key", other.as_str()), ("idempotency-key", "k")];
    let answer = stage.ask_with("POST", "/v1/events", &headers, BODY).await;
    assert_eq!(answer.body["offset"], 1);
}

fn window(keys_max: usize, bytes_max: usize) -> (Arc<Window>, port::Identity) {
    let config = Config {
        idempotency_keys_max: keys_max,
        idempotency_bytes_max: bytes_max,
        ..Config::default()
    };
    let hub = MemoryHub::new();
    let key = hub.key(hub.place(Limits::default()));
    (Window::new(&config, ManualClock::shared(0)), hub.identity(&key))
}

/// Work that counts how often it was done.
fn counted(
    count: &Arc<AtomicUsize>,
    body: &'static str,
) -> impl Future<Output = Result<Answer, Refusal>> + Send + 'static {
    let count = Arc::clone(count);
    async move {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(Answer {
            status: StatusCode::OK,
            body: Bytes::from_static(body.as_bytes()),
            is_replay: false,
        })
    }
}

#[tokio::test]
async fn the_window_is_bounded_by_keys_and_by_bytes() {
    let count = Arc::new(AtomicUsize::new(0));
    let run = async |window: &Arc<Window>, who: &port::Identity, key: &str| {
        let work = counted(&count, "0123456789");
        window.run(who, Some(key.to_owned()), 1, work).await.unwrap().is_replay
    };
    let (keys, who) = window(2, 1_000);
    for key in ["a", "b", "c"] {
        assert!(!run(&keys, &who, key).await);
    }
    assert!(run(&keys, &who, "c").await);
    assert!(!run(&keys, &who, "a").await, "the oldest made room");
    let (bytes, who) = window(100, 15);
    for key in ["a", "b", "c"] {
        assert!(!run(&bytes, &who, key).await);
    }
    assert!(run(&bytes, &who, "c").await);
    assert!(!run(&bytes, &who, "a").await, "the oldest made room");
}

#[tokio::test]
async fn requests_at_once_and_clients_that_leave() {
    let (window, who) = window(10, 1_000);
    let count = Arc::new(AtomicUsize::new(0));
    let (open, gate) = tokio::sync::oneshot::channel::<()>();
    let slow = {
        let done = counted(&count, "x");
        async move {
            let _ = gate.await;
            done.await
        }
    };
    // The first client breaks off while its work waits at the gate.
    let first = window.run(&who, Some("k".into()), 1, slow);
    let left = tokio::time::timeout(Duration::ZERO, first).await;
    assert!(left.is_err());
    let again = || window.run(&who, Some("k".into()), 1, counted(&count, "y"));
    let (second, third, ()) = tokio::join!(again(), again(), async {
        open.send(()).unwrap();
    });
    for answer in [second.unwrap(), third.unwrap()] {
        assert_eq!((&answer.body[..], answer.is_replay), (&b"x"[..], true));
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn work_that_panics_gives_its_key_up() {
    let (window, who) = window(10, 1_000);
    let panics = async { panic!("a fault of ours") };
    let refusal = window.run(&who, Some("k".into()), 1, panics).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Internal);
    let count = Arc::new(AtomicUsize::new(0));
    let answer = window.run(&who, Some("k".into()), 1, counted(&count, "x")).await.unwrap();
    assert!(!answer.is_replay);
}
