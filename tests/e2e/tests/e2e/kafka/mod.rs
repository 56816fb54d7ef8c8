//! Kafka clients at the same topics as all others. `client` speaks the protocol frame by frame for
//! what well-behaved clients never do; `tools` are clients from outside.

mod acls;
mod admin;
mod bridges;
mod client;
mod coordinated;
mod delegation;
mod doors;
mod groups;
mod habits;
mod library;
mod mirror;
mod once;
mod oversight;
mod reading;
mod rounds;
mod security;
mod streams;
mod tools;
mod transactions;
mod transfers;
mod writing;

use crate::stand::admin::{Key, Room};
use crate::stand::server::{Home, Server};
use client::Kafka;
use serde_json::json;

/// A server, a room with a key, and a client that has signed in.
struct Stand {
    home: Home,
    server: Server,
    room: Room,
    key: Key,
}

impl Stand {
    async fn new() -> Stand {
        Stand::with(json!({})).await
    }

    async fn with(kafka: serde_json::Value) -> Stand {
        Stand::of(&json!({ "protocols": { "kafka": kafka } })).await
    }

    async fn of(settings: &serde_json::Value) -> Stand {
        let home = Home::new(settings);
        let server = home.start();
        let admin = server.admin();
        let room = admin.room(&json!({})).await;
        let key = admin.key(&room, &["events:publish", "events:subscribe", "admin:write"]).await;
        Stand { home, server, room, key }
    }

    async fn client(&self) -> Kafka {
        Kafka::signed_in(&self.server.kafka, &self.key).await
    }

    async fn topic(&self, name: &str, partitions: u32) {
        self.server.admin().topic(&self.room, name, partitions).await;
    }
}
