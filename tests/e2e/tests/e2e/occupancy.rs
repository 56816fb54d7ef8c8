//! Addresses that come to be occupied and vacated: told as records, to webhooks as well, without
//! flapping, and over a kill.

use crate::stand::admin::{EVENT_SCOPES, Key, Room};
use crate::stand::server::{Home, Server};
use crate::stand::within;
use crate::stand::ws::Client;
use reqwest::{Client as Http, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const GRACE_MS: u64 = 400;

fn settings() -> Value {
    json!({
        "presence": { "vacated_ms": GRACE_MS },
        "webhooks": { "allow_networks": ["127.0.0.0/8"], "plain_http_allowed": true },
    })
}

/// A project whose topic `room` tells of its occupancy.
async fn furnished(server: &Server) -> (Room, Key) {
    let admin = server.admin();
    let room = admin.room(&json!({})).await;
    let scopes = [EVENT_SCOPES, &["admin:read", "admin:write"]].concat();
    let key = admin.key(&room, &scopes).await;
    let path = room.path("topics/room");
    let made = admin.done(Method::PUT, &path, &json!({ "occupancy": true })).await;
    assert_eq!(made["occupancy"], true, "{made}");
    (room, key)
}

async fn follower(server: &Server, key: &Key, filter: &str) -> Client {
    let mut client = Client::open(&server.url, &key.secret).await;
    client.subscribe(1, filter, "latest".into()).await;
    client
}

/// The next event that a follower of `$occupancy` gets: what happened at which address.
async fn event(watcher: &mut Client) -> (String, String) {
    let record = watcher.record().await;
    let data = record.data();
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    (text("type"), format!("{}/{}", text("topic"), text("key")))
}

fn told(kind: &str, address: &str) -> (String, String) {
    (format!("address.{kind}"), address.to_owned())
}

#[tokio::test]
async fn who_comes_first_and_goes_last_is_told_and_a_reconnect_is_not() {
    let home = Home::new(&settings());
    let mut server = home.start();
    let (_, key) = furnished(&server).await;
    let mut watcher = follower(&server, &key, "$occupancy").await;
    let one = follower(&server, &key, "room/1").await;
    assert_eq!(event(&mut watcher).await, told("occupied", "room/1"));
    drop(one);
    // It is back within the grace, by presence this time.
    let mut again = Client::open(&server.url, &key.secret).await;
    let enter = json!({ "type": "presence", "action": "enter", "topic": "room", "key": "1" });
    again.done(enter).await;
    let two = follower(&server, &key, "room/2").await;
    assert_eq!(event(&mut watcher).await, told("occupied", "room/2"));
    drop(again);
    assert_eq!(event(&mut watcher).await, told("vacated", "room/1"));
    // Killed, nobody can say that room/2 was left: the next start does.
    server.kill();
    drop(two);
    server = home.start();
    let mut watcher = Client::open(&server.url, &key.secret).await;
    watcher.subscribe(1, "$occupancy/room/2", "earliest".into()).await;
    assert_eq!(event(&mut watcher).await, told("occupied", "room/2"));
    assert_eq!(event(&mut watcher).await, told("vacated", "room/2"));
}

/// Answers one request with 204 and tells its body.
async fn receive(listener: &TcpListener) -> Value {
    let accepted = within("a delivery", listener.accept()).await;
    let (mut socket, _) = accepted.expect("a connection");
    let mut all = Vec::new();
    loop {
        let mut chunk = [0; 4_096];
        let count = within("a request", socket.read(&mut chunk)).await.expect("bytes");
        all.extend_from_slice(&chunk[..count]);
        if let Some(body) = whole_body(&all) {
            answer(&mut socket).await;
            return serde_json::from_slice(&body).expect("JSON");
        }
        assert!(count > 0, "the request ended early");
    }
}

async fn answer(socket: &mut TcpStream) {
    let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
    socket.write_all(answer).await.expect("an answer is taken");
}

fn whole_body(all: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(all);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.to_lowercase();
    let length = length.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    (body.len() >= length).then(|| body.as_bytes()[..length].to_vec())
}

#[tokio::test]
async fn webhooks_hear_of_it() {
    let home = Home::new(&settings());
    let server = home.start();
    let (_, key) = furnished(&server).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let made = Http::new()
        .post(format!("{}/v1/webhooks", server.url))
        .bearer_auth(&key.secret)
        .json(&json!({ "url": url, "filter": "$occupancy" }));
    let made = within("an answer", made.send()).await.expect("an answer");
    assert!(made.status().is_success(), "{}", made.text().await.unwrap_or_default());
    let one = follower(&server, &key, "room/1").await;
    let occupied = receive(&listener).await;
    assert_eq!(occupied["type"], "address.occupied", "{occupied}");
    assert_eq!(occupied["data"]["topic"], "room", "{occupied}");
    assert_eq!(occupied["data"]["key"], "1", "{occupied}");
    drop(one);
    let vacated = receive(&listener).await;
    assert_eq!(vacated["type"], "address.vacated", "{vacated}");
}
