//! Shredding and rotation on a running server, asked for in a terminal.

use super::{ask, asked, publish, read, try_publish, try_read};
use crate::stand::admin::Key;
use crate::stand::server::{Home, Server};
use crate::stand::ws::Client;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Neither what was there can be read, nor anything new be written.
async fn gone(when: &str, server: &Server, key: &Key) {
    for (status, body) in
        [try_read(server, key, "earliest".into()).await, try_publish(server, key, 99).await]
    {
        assert_eq!(status, 404, "{when}: {body}");
        assert_eq!(body["error"]["code"], "RECORDS_SHREDDED", "{when}");
    }
}

#[tokio::test]
async fn a_shredded_tenant_is_gone_and_others_read_on() {
    let home = Home::new(&json!({}));
    let mut server = home.start();
    let admin = server.admin();
    let (doomed, doomed_key) = admin.furnished().await;
    let (other, other_key) = admin.furnished().await;
    publish(&server, &doomed_key, 0..20).await;
    publish(&server, &other_key, 0..20).await;
    asked(&home, &server, &["rotate-tenant", &doomed.tenant]);
    let mut socket = Client::open(&server.url, &other_key.secret).await;
    socket.subscribe(1, super::TOPIC, "latest".into()).await;

    let refused = ask(&home, &server, &["shred", &doomed.tenant, "--confirm", &other.tenant]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("confirm"), "{text}");
    assert_eq!(read(&server, &doomed_key).await.len(), 20);
    let reason = ["--reason", "the contract ended"];
    let shred = ["shred", &doomed.tenant, "--confirm", &doomed.tenant, reason[0], reason[1]];
    let done = asked(&home, &server, &shred);
    assert_eq!(done["tenant"], doomed.tenant.as_str());

    gone("at once", &server, &doomed_key).await;
    assert_eq!(read(&server, &other_key).await, (0..20).collect::<Vec<_>>());
    // Live readers of others notice nothing.
    publish(&server, &other_key, 20..21).await;
    assert_eq!(socket.record().await.data()["n"], 20);
    server.stop();
    server = home.start();
    gone("after a restart", &server, &doomed_key).await;
    assert_eq!(read(&server, &other_key).await, (0..21).collect::<Vec<_>>());
    server.kill();
    server = home.start();
    gone("after a crash", &server, &doomed_key).await;
    assert_eq!(read(&server, &other_key).await, (0..21).collect::<Vec<_>>());
    let status = asked(&home, &server, &["status"]);
    assert_eq!(status["shredded_count"], 1, "{status}");
    let admin = server.admin();
    let path = "/v1/audit?action=tenant_key.shred";
    let trail = admin.done(reqwest::Method::GET, path, &Value::Null).await;
    assert_eq!(trail["records"][0]["details"]["reason"], "the contract ended");
}

/// Publishes one after the other, and answers the numbers that were acknowledged.
async fn write_until(is_over: Arc<AtomicBool>, url: String, key: Key) -> Vec<u64> {
    // Enough bytes that extents begin and end meanwhile.
    let filler = "z".repeat(4_000);
    let http = reqwest::Client::new();
    let mut acknowledged = vec![0];
    for n in 1u64.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let view = json!({
            "topic": super::TOPIC, "key": format!("k{}", n % 5),
            "data": { "n": n, "filler": filler },
        });
        let request = http.post(format!("{url}/v1/events")).bearer_auth(&key.secret);
        let answer = request.json(&view).send().await.expect("an answer");
        let status = answer.status();
        assert_eq!(status, 200, "{}", answer.text().await.unwrap_or_default());
        acknowledged.push(n);
    }
    acknowledged
}

#[tokio::test]
async fn rotations_under_load_lose_nothing() {
    let home = Home::new(&json!({ "log": { "extent_mib": 1 } }));
    let mut server = home.start();
    let admin = server.admin();
    let mut writers = Vec::new();
    let is_over = Arc::new(AtomicBool::new(false));
    let url = server.url.clone();
    let mut rooms = Vec::new();
    for _ in 0..2 {
        let (room, key) = admin.furnished().await;
        publish(&server, &key, 0..1).await;
        rooms.push((room, key.clone()));
        writers.push(tokio::spawn(write_until(Arc::clone(&is_over), url.clone(), key)));
    }
    let (home, server_now) = (Arc::new(home), Arc::new(server));
    let rotating = tokio::task::spawn_blocking({
        let (home, server) = (Arc::clone(&home), Arc::clone(&server_now));
        let tenants: Vec<String> = rooms.iter().map(|(room, _)| room.tenant.clone()).collect();
        move || {
            for turn in 0..4 {
                for tenant in &tenants {
                    asked(&home, &server, &["rotate-tenant", tenant]);
                }
                if turn % 2 == 0 {
                    asked(&home, &server, &["rotate-root"]);
                }
            }
        }
    });
    rotating.await.expect("rotations");
    is_over.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.push(writer.await.expect("a writer"));
    }
    server = Arc::into_inner(server_now).expect("nobody else has it");
    for stop in [false, true] {
        for ((room, key), numbers) in rooms.iter().zip(&acknowledged) {
            assert!(numbers.len() > 10, "{}", numbers.len());
            assert_eq!(&read(&server, key).await, numbers);
            let status = asked(&home, &server, &["status", &room.tenant]);
            assert_eq!(status["current_version"], 5, "{status}");
            assert_eq!(status["is_rotating"], false);
            assert_eq!(status["versions"].as_array().map(Vec::len), Some(1));
        }
        match stop {
            false => server.kill(),
            true => server.stop(),
        }
        server = home.start();
    }
    for ((_, key), numbers) in rooms.iter().zip(&acknowledged) {
        assert_eq!(&read(&server, key).await, numbers);
    }
}
