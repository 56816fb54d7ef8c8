//! One in a hundred stops reading: what that costs the others, counted and not timed.

use super::harness::{Client, PATIENCE, Running, Talk, config, until};
use bytes::Bytes;
use std::sync::atomic::Ordering;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{MaybeTlsStream, client_async};

const GOOD: &str = "/v1/ws?access_token=good";
const READERS: usize = 198;
const STUCK: usize = 2;
const RECORDS: usize = 200;
const RECORD_BYTES: usize = 8 * 1024;

/// A client with the smallest window there is.
async fn narrow(edge: &Running) -> Client {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(1).expect("a small buffer");
    let stream: TcpStream = socket.connect(edge.public).await.expect("the edge accepts");
    let url = format!("ws://{}{GOOD}", edge.public);
    let opened = tokio::time::timeout(PATIENCE, client_async(url, MaybeTlsStream::Plain(stream)));
    Talk(opened.await.expect("in time").expect("an upgrade").0)
}

async fn follow(client: &mut Client) {
    assert_eq!(client.hear().await, "welcome");
    client.say("follow").await;
    assert_eq!(client.hear().await, "following");
}

#[tokio::test]
async fn those_who_stop_reading_cost_the_others_nothing() {
    let mut settings = config();
    settings.web_socket.waiting_bytes_high = 64 * 1024;
    settings.web_socket.waiting_bytes_low = 16 * 1024;
    let edge = Running::start(settings);
    let (mut readers, mut stuck) = (Vec::new(), Vec::new());
    for _ in 0..READERS {
        readers.push(edge.client(GOOD).await);
    }
    for _ in 0..STUCK {
        stuck.push(narrow(&edge).await);
    }
    for client in readers.iter_mut().chain(&mut stuck) {
        follow(client).await;
    }
    let value = |number: usize| Bytes::from(format!("{number:06}{}", "x".repeat(RECORD_BYTES)));
    let before = edge.writes.load(Ordering::Relaxed);
    for number in 0..RECORDS {
        edge.hub.publish(value(number));
        // Everybody else has it before the next one comes, stuck ones or not.
        for client in &mut readers {
            assert_eq!(client.hear().await.as_bytes(), value(number));
        }
    }
    until(|| edge.hub.paused() == STUCK).await;
    let writes = (edge.writes.load(Ordering::Relaxed) - before) as usize;
    // One write for each record and reader; a stuck one is written to until its window is full and
    // its queue too, and then it is left alone.
    let by_stuck = STUCK * (RECORDS / 2);
    assert!(writes <= READERS * RECORDS + by_stuck, "{writes} writes");
    for client in &mut stuck {
        for number in 0..RECORDS {
            assert_eq!(client.hear().await.as_bytes(), value(number), "nothing is lost");
        }
    }
    until(|| edge.hub.paused() == 0).await;
    edge.end().await;
}
