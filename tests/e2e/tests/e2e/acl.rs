//! Access lists from outside: one list decides over REST, WebSocket and SSE alike, a change is in
//! force within a second, also for what is open, and the command line explains it.

use crate::stand::admin::{Admin, EVENT_SCOPES, Room};
use crate::stand::cli;
use crate::stand::got::Sent;
use crate::stand::server::Home;
use crate::stand::shared::server;
use crate::stand::sse::Stream;
use crate::stand::within;
use crate::stand::ws::Client;
use reqwest::{Client as Http, Method};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const IN_FORCE_WITHIN: Duration = Duration::from_secs(1);

fn path(room: &Room, rest: &str) -> String {
    format!("/v1/acl{rest}?tenant={}&project={}", room.tenant, room.project)
}

async fn publish(url: &str, secret: &str, topic: &str, key: &str) -> (u16, Value) {
    let view = Sent::json(topic, key, json!(1)).view();
    let request = Http::new().post(format!("{url}/v1/events")).bearer_auth(secret).json(&view);
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

async fn set(admin: &Admin, room: &Room, entries: Value) {
    let body = json!({ "list": { "entries": entries }, "note": "a test" });
    admin.done(Method::PUT, &path(room, ""), &body).await;
}

fn allow(id: &str, operations: Value, topic: Value) -> Value {
    json!({ "id": id, "effect": "allow", "principals": ["*"], "operations": operations,
        "topic": topic })
}

#[tokio::test]
async fn one_list_decides_over_every_protocol_and_at_once() {
    let shared = server();
    let (url, admin) = (&shared.server.url, shared.server.admin());
    let room = admin.room(&json!({})).await;
    let key = admin.key(&room, EVENT_SCOPES).await.secret;
    let mut socket = Client::open(url, &key).await;
    socket.subscribe(1, "orders/#", "latest".into()).await;
    socket.subscribe(2, "news/#", "latest".into()).await;
    let mut stream = Stream::open(url, &key, "filter=orders/%23&from=latest").await;
    assert_eq!(publish(url, &key, "orders", "eu/1").await.0, 200);
    assert_eq!(socket.record().await.topic, "orders");
    assert_eq!(stream.record().await.topic, "orders");

    set(
        &admin,
        &room,
        json!([
            allow("news", json!(["all"]), json!({ "literal": "news" })),
            allow("orders", json!(["publish"]), json!({ "literal": "orders" })),
            { "id": "us", "effect": "deny", "principals": ["*"], "operations": ["publish"],
                "topic": { "literal": "orders" }, "key": { "prefix": "us/" } },
        ]),
    )
    .await;
    let changed = Instant::now();
    let ended = within("the end of the subscription", async {
        loop {
            let frame = socket.next().await.expect("the session goes on");
            if frame["type"] == "ended" {
                return frame;
            }
        }
    });
    let ended = ended.await;
    let took = changed.elapsed();
    assert!(took <= IN_FORCE_WITHIN, "ended after {took:?}");
    assert_eq!((&ended["sub"], &ended["error"]["code"]), (&json!(1), &json!("ADDRESS_FORBIDDEN")));
    let mut told = String::new();
    while let Some(event) = stream.event().await {
        told += &event.data;
    }
    assert!(told.contains("ADDRESS_FORBIDDEN"), "the stream ends with its reason: {told}");

    // What is still allowed goes on, in the same session.
    assert_eq!(publish(url, &key, "news", "k").await.0, 200);
    assert_eq!(socket.record().await.topic, "news");
    assert_eq!(publish(url, &key, "orders", "eu/1").await.0, 200);
    let (status, body) = publish(url, &key, "orders", "us/1").await;
    assert_eq!((status, &body["error"]["code"]), (403, &json!("ADDRESS_FORBIDDEN")), "{body}");
    let sent = Sent::json("orders", "us/1", json!(1)).view();
    let mut frame = json!({ "type": "publish", "records": [sent] });
    let refused = socket.call(frame.clone()).await.expect("an answer");
    assert_eq!(refused["error"]["code"], "ADDRESS_FORBIDDEN", "{refused}");
    let subscribe = json!({ "type": "subscribe", "sub": 3, "filter": "orders/#" });
    let refused = socket.call(subscribe.clone()).await.expect("an answer");
    assert_eq!(refused["error"]["code"], "ADDRESS_FORBIDDEN", "{refused}");
    let again = crate::stand::sse::request(url, &key, "filter=orders/%23&from=latest");
    let (status, _) = Stream::try_open(again).await.err().expect("not any more");
    assert_eq!(status, 403);

    // Gone back to before the list, all of it is allowed again.
    admin.done(Method::PUT, &path(&room, ""), &json!({ "list": null })).await;
    within("the list to be gone", async {
        while socket.call(subscribe.clone()).await.expect("an answer")["type"] == "error" {}
    })
    .await;
    frame["id"] = json!(0);
    let done = socket.call(frame).await.expect("an answer");
    assert_eq!(done["type"], "published", "{done}");
}

#[tokio::test]
async fn the_command_line_applies_explains_and_goes_back() {
    let home = Home::new(&json!({}));
    let server = home.start();
    let admin = server.admin();
    let room = admin.room(&json!({})).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("list.json");
    let list = json!({ "entries": [
        allow("read", json!(["read"]), json!({ "prefix": "or" })),
        { "id": "no", "effect": "deny", "principals": ["jwt:eve"], "operations": ["all"],
            "topic": { "filter": "#" } },
    ]});
    std::fs::write(&file, list.to_string()).expect("a file");
    let file = file.to_str().expect("a path");
    let place = ["--tenant", room.tenant.as_str(), "--project", room.project.as_str()];
    let acl = async |words: &[&str]| -> Value {
        let words: Vec<&str> =
            ["acl"].into_iter().chain(place).chain(words.iter().copied()).collect();
        let mut command = cli::command(&server.url, "", &words);
        command.env("MAINSTEM_ADMIN_URL", &server.admin_url);
        command.env("MAINSTEM_ADMIN_TOKEN", &home.admin_token);
        let output = command.output().expect("a command runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {error}");
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    };
    let tried = acl(&["apply", file, "--dry-run"]).await;
    assert_eq!(tried["is_valid"], true, "{tried}");
    assert_eq!(acl(&["apply", file, "--note", "first"]).await["version"], 1);
    let allowed = acl(&["explain", "jwt:ann", "read", "orders"]).await;
    assert_eq!(
        (&allowed["is_allowed"], &allowed["decided_by"]["entry"]),
        (&json!(true), &json!("read"))
    );
    let denied = acl(&["explain", "jwt:eve", "read", "orders", "--attribute", "a=b"]).await;
    assert_eq!(
        (&denied["is_allowed"], &denied["decided_by"]["entry"]),
        (&json!(false), &json!("no"))
    );
    let exported = dir.path().join("exported.json");
    let exported = exported.to_str().expect("a path");
    acl(&["export", exported]).await;
    let wider = json!({ "entries": [allow("all", json!(["all"]), json!({ "filter": "#" }))] });
    std::fs::write(file, wider.to_string()).expect("a file");
    assert_eq!(acl(&["import", file, "--merge"]).await["entries"], 3);
    assert_eq!(acl(&["diff"]).await["added"][0]["id"], "all");
    assert_eq!(acl(&["rollback", "1"]).await["version"], 3);
    assert_eq!(acl(&["import", exported]).await["entries"], 2);
    let versions = acl(&["versions"]).await;
    assert_eq!(versions["versions"].as_array().map(Vec::len), Some(4), "{versions}");
    assert_eq!(acl(&["show", "--principal", "jwt:eve"]).await["total"], 2);
}
