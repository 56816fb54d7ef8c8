//! Many readers of one topic: all get everything in order, those that do not read cost a bounded
//! amount of memory and miss nothing.

use crate::stand::admin::Key;
use crate::stand::got::Sent;
use crate::stand::server::{Home, Server};
use crate::stand::shared;
use crate::stand::sse::Stream;
use crate::stand::ws::Client;
use crate::stand::ws_binary;
use serde_json::json;

const TOPIC: &str = "crowd";

async fn publish(client: &mut Client, numbers: std::ops::Range<u64>, bulk: &str) {
    let sent = |n: u64| Sent::json(TOPIC, "key", json!({ "n": n, "bulk": bulk }));
    client.publish(&numbers.map(sent).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn every_socket_and_stream_gets_every_record_in_order() {
    const OF_EACH_KIND: usize = 60;
    const RECORDS: u64 = 40;
    let shared = shared::server();
    let (url, admin) = (&shared.server.url, shared.server.admin());
    let (_, key) = admin.furnished().await;
    let mut publisher = Client::open(url, &key.secret).await;
    let (mut sockets, mut binaries, mut streams) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..OF_EACH_KIND {
        let mut client = Client::open(url, &key.secret).await;
        client.subscribe(1, "crowd/#", "latest".into()).await;
        sockets.push(client);
        let mut client = ws_binary::Client::open(url, &key.secret).await;
        client.follow(TOPIC).await;
        binaries.push(client);
        streams.push(Stream::open(url, &key.secret, "topics=crowd&from=latest").await);
    }
    for first in (0..RECORDS).step_by(4) {
        publish(&mut publisher, first..first + 4, "").await;
    }
    for n in 0..RECORDS {
        for client in &mut sockets {
            assert_eq!(client.record().await.data()["n"], n);
        }
        for client in &mut binaries {
            assert_eq!(client.record().await.data()["n"], n);
        }
        for stream in &mut streams {
            assert_eq!(stream.record().await.data()["n"], n);
        }
    }
}

/// Opens followers that will not read for a while.
async fn idlers(server: &Server, key: &Key, count: usize) -> (Vec<Client>, Vec<Stream>) {
    let (mut sockets, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let mut client = Client::open(&server.url, &key.secret).await;
        client.subscribe(1, TOPIC, "latest".into()).await;
        sockets.push(client);
        streams.push(Stream::open(&server.url, &key.secret, "topics=crowd&from=latest").await);
    }
    (sockets, streams)
}

#[tokio::test]
async fn readers_that_do_not_read_cost_bounded_memory_and_miss_nothing() {
    const IDLERS: usize = 40;
    const RECORDS: u64 = 300;
    const RECORD_BYTES: usize = 50_000;
    /// The idlers have more than a GiB coming to them.
    const GROWTH_KIB_MAX: u64 = 150 * 1024;
    let home = Home::new(&json!({ "log": { "tail_mib": 4 } }));
    let server = home.start();
    let (_, key) = server.admin().furnished().await;
    let (mut sockets, mut streams) = idlers(&server, &key, IDLERS).await;
    let mut publisher = Client::open(&server.url, &key.secret).await;
    let before = server.resident_kib();
    let bulk = "x".repeat(RECORD_BYTES);
    for first in (0..RECORDS).step_by(20) {
        publish(&mut publisher, first..first + 20, &bulk).await;
    }
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB for {} readers that do not read", 2 * IDLERS);
    // One of each kind wakes up; the others leave without ever having read.
    let (mut socket, mut stream) = (sockets.swap_remove(0), streams.swap_remove(0));
    drop((sockets, streams));
    for n in 0..RECORDS {
        assert_eq!(socket.record().await.data()["n"], n);
        assert_eq!(stream.record().await.data()["n"], n);
    }
    println!("{grown} KiB for {} readers that do not read", 2 * IDLERS);
}
