//! How often a socket is written to, counted; and what may wait for one account.

use super::harness::{Client, Running, config, until};
use crate::accounts::{Accounts, Use};
use bytes::Bytes;
use futures_util::SinkExt;
use std::sync::atomic::Ordering;
use tokio_tungstenite::tungstenite::Message;

const GOOD: &str = "/v1/ws?access_token=good";

async fn follower(edge: &Running, subscriptions: usize) -> Client {
    let mut client = edge.client(GOOD).await;
    assert_eq!(client.hear().await, "welcome");
    for _ in 0..subscriptions {
        client.say("follow").await;
        assert_eq!(client.hear().await, "following");
    }
    client
}

/// Writes so far. The edge has one thread, which answers this when it has counted all before.
async fn writes(edge: &Running) -> u64 {
    edge.raw(b"GET /v1/thing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    edge.writes.load(Ordering::Relaxed)
}

#[tokio::test]
async fn what_several_subscriptions_bring_in_a_turn_is_one_write() {
    let edge = Running::start(config());
    let mut client = follower(&edge, 3).await;
    let before = writes(&edge).await;
    edge.hub.publish(Bytes::from("news"));
    for _ in 0..3 {
        assert_eq!(client.hear().await, "news");
    }
    assert_eq!(writes(&edge).await - before, 1);
    // The first of a connection's runs, and what follows it in the same turn.
    let before = writes(&edge).await;
    let values: Vec<_> = (0..50).map(|number| Bytes::from(format!("{number}"))).collect();
    edge.hub.publish_all(&values);
    for _ in 0..3 {
        for number in 0..50 {
            assert_eq!(client.hear().await, format!("{number}"));
        }
    }
    assert_eq!(writes(&edge).await - before, 1);
    edge.end().await;
}

#[tokio::test]
async fn records_may_wait_for_others_but_answers_do_not() {
    let mut settings = config();
    settings.web_socket.gather_ms = 1_000;
    let edge = Running::start(settings);
    let mut client = follower(&edge, 1).await;
    let before = writes(&edge).await;
    for number in 0..20 {
        edge.hub.publish(Bytes::from(format!("{number}")));
    }
    for number in 0..20 {
        assert_eq!(client.hear().await, format!("{number}"));
    }
    // One for each time that passed meanwhile, which is one unless the machine is very busy.
    let writes = writes(&edge).await - before;
    assert!((1..=3).contains(&writes), "{writes}");
    edge.hub.publish(Bytes::from("news"));
    client.say("hello").await;
    let mut heard = [client.hear().await, client.hear().await];
    heard.sort();
    assert_eq!(heard, ["hello", "news"]);
    edge.end().await;
}

#[tokio::test]
async fn much_does_not_wait() {
    let mut settings = config();
    settings.web_socket.gather_ms = 1_000;
    settings.web_socket.gather_bytes_max = 1_000;
    let edge = Running::start(settings);
    let mut client = follower(&edge, 1).await;
    let before = writes(&edge).await;
    for _ in 0..10 {
        edge.hub.publish(Bytes::from(vec![b'x'; 2_000]));
    }
    for _ in 0..10 {
        assert_eq!(client.hear().await.len(), 2_000);
    }
    assert!(writes(&edge).await - before >= 1);
    edge.end().await;
}

#[test]
fn accounts_count_in_steps_and_end_with_their_last_connection() {
    let accounts = Accounts::new(100 * 1024);
    let (mut one, mut two) = (accounts.join(7), accounts.join(7));
    let mut other = accounts.join(8);
    assert_eq!(accounts.len(), 2);
    assert_eq!(one.charge(16 * 1024 - 1), Use::Fine);
    assert_eq!(one.charge(60 * 1024), Use::Fine);
    assert_eq!(two.charge(33 * 1024), Use::High);
    assert_eq!(one.used(), Use::High);
    assert_eq!(two.charge(70 * 1024), Use::Over);
    assert_eq!(other.charge(70 * 1024), Use::Fine);
    assert_eq!(two.charge(0), Use::Fine);
    assert_eq!(one.used(), Use::Fine);
    assert_eq!(two.charge(90 * 1024), Use::Over);
    drop(two);
    assert_eq!(one.used(), Use::Fine);
    drop(one);
    assert_eq!(accounts.len(), 1);
    drop(other);
    assert_eq!(accounts.len(), 0);
}

#[tokio::test]
async fn what_the_clients_of_an_account_may_keep_waiting_is_bounded() {
    let mut settings = config();
    settings.web_socket.waiting_bytes_high = 200_000;
    settings.web_socket.tenant_waiting_bytes_max = 300_000;
    let edge = Running::start(settings);
    let mut greedy = [follower(&edge, 1).await, follower(&edge, 1).await];
    // Four megabytes each time, of which they read nothing. Each alone would be left in peace.
    for client in &mut greedy {
        for _ in 0..16 {
            let _ = client.0.send(Message::text("big")).await;
        }
    }
    until(|| edge.hub.readers() == 1).await;
    // A stranger has no account, and is not bounded by anybody else's.
    let mut other = edge.client("/v1/ws").await;
    other.say("hello").await;
    assert_eq!(other.hear().await, "hello");
    edge.end().await;
}
