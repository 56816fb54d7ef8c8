//! The disk after publishing over every way in: none of it can be found there, in no file, while
//! the server runs, after it stopped, and after another start.

use super::{asked, read};
use crate::stand::cli;
use crate::stand::got::{Body, Sent};
use crate::stand::server::Home;
use crate::stand::ws::Client;
use crate::stand::{within, ws_binary};
use reqwest::Client as Http;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// In everything that must not be found.
const CANARY: &str = "xqz7canary";

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("the directory is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The files that hold the text, in any of the forms it is likely to take.
fn holding(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    files(dir, &mut all);
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    all.retain(|path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let has = |needle: &[u8]| memmem(&bytes, needle);
        has(text.as_bytes()) || has(hex.as_bytes())
    });
    all
}

/// Naive search is too slow over 8 MiB extents in an unoptimised test: the first byte is sought by
/// the library.
fn memmem(hay: &[u8], needle: &[u8]) -> bool {
    let Some((first, _)) = needle.split_first() else { return true };
    let mut rest = hay;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(needle) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

fn sent(place: &str) -> Sent {
    let headers = BTreeMap::from([(format!("{CANARY}-h"), format!("{CANARY} header {place}"))]);
    let body = Body::Json(json!({ "n": 1, "text": format!("{CANARY} value {place}") }));
    let key = Some(format!("{CANARY}/{place}").into_bytes());
    Sent { topic: super::TOPIC.to_owned(), key, body, headers }
}

#[tokio::test]
async fn nothing_readable_lies_on_the_disk() {
    // What is looked through are files, the database's too.
    let home = Home::new(&json!({ "database": { "url": null } }));
    let mut server = home.start();
    let admin = server.admin();
    let (room, key) = admin.furnished().await;
    // The name of a topic is the control plane's, which is not sealed: shows that looking works.
    admin.topic(&room, "found-by-the-search", 1).await;
    admin.topic(&room, super::TOPIC, 2).await;

    let request = Http::new().post(format!("{}/v1/events", server.url));
    let mut view = sent("rest").view();
    view["id"] = json!(format!("{CANARY}-id"));
    let request = request.bearer_auth(&key.secret).json(&view);
    let request = request.header("idempotency-key", format!("{CANARY}-request"));
    let answer = within("a publish", request.send()).await.expect("an answer");
    assert_eq!(answer.status(), 200);

    let mut socket = Client::open(&server.url, &key.secret).await;
    socket.publish(&[sent("socket")]).await;
    let mut binary = ws_binary::Client::open(&server.url, &key.secret).await;
    binary.publish(&[sent("binary")]).await;
    let data = json!({ "n": 1, "text": format!("{CANARY} terminal") }).to_string();
    let arguments = ["publish", super::TOPIC, &data, "--key", CANARY];
    let output = cli::run(&server.url, &key.secret, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let check = |when: &str| {
        assert!(!holding(&home.data(), "found-by-the-search").is_empty(), "{when}: it looks");
        assert_eq!(holding(&home.data(), CANARY), Vec::<PathBuf>::new(), "{when}");
        // Not the root key itself in what it protects either.
        let root = std::fs::read(home.data().join("keys/root.key")).expect("a root key");
        let ring = std::fs::read(home.data().join("keys/ring")).expect("a ring");
        assert!(!memmem(&ring, &root), "{when}");
    };
    check("while it runs");
    assert_eq!(read(&server, &key).await.len(), 4);
    server.stop();
    check("after a stop");
    server = home.start();
    assert_eq!(read(&server, &key).await.len(), 4);
    asked(&home, &server, &["rotate-tenant", &room.tenant]);
    check("after a rotation");
    server.kill();
    check("after a crash");
    server = home.start();
    assert_eq!(read(&server, &key).await.len(), 4);
    let status = asked(&home, &server, &["status", &room.tenant]);
    assert_eq!(status["versions"].as_array().map(Vec::len), Some(1), "{status}");
    assert_eq!(status["current_version"], Value::from(2));
}
