//! Presence over every face that has it: seen by others, by several devices, by leases without a
//! connection, in pages and counts; and gone with the process.

use crate::stand::admin::Key;
use crate::stand::server::{Home, Server};
use crate::stand::shared;
use crate::stand::ws::Client;
use crate::stand::{LOOK_EVERY, within};
use reqwest::{Client as Http, Method};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

fn members(answer: &Value) -> Vec<&str> {
    let list = answer["members"].as_array().into_iter().flatten();
    let mut names: Vec<&str> = list.filter_map(|member| member["member"].as_str()).collect();
    names.sort_unstable();
    names
}

/// Somebody who follows `room/1` with its presence.
struct Watcher {
    client: Client,
    told: VecDeque<(String, String)>,
}

impl Watcher {
    async fn new(url: &str, secret: &str) -> Watcher {
        let mut client = Client::open(url, secret).await;
        let subscribe = json!({
            "type": "subscribe", "sub": 1, "filter": "room/1", "from": "latest", "presence": true,
        });
        client.done(subscribe).await;
        Watcher { client, told: VecDeque::new() }
    }

    /// The next change: what happened to whom.
    async fn change(&mut self) -> (String, String) {
        loop {
            if let Some(change) = self.told.pop_front() {
                return change;
            }
            let frame = self.client.next().await.expect("the socket goes on");
            if frame["type"] != "presence_changes" {
                continue;
            }
            assert_eq!(frame["address"], "room/1", "{frame}");
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let changes = frame["changes"].as_array().cloned().unwrap_or_default();
            self.told.extend(changes.iter().map(|it| (text(&it["action"]), text(&it["member"]))));
        }
    }

    async fn expect(&mut self, action: &str, member: &str) {
        assert_eq!(self.change().await, (action.to_owned(), member.to_owned()));
    }
}

fn act(action: &str, member: &str) -> Value {
    json!({ "type": "presence", "action": action, "topic": "room", "key": "1", "member": member })
}

fn list() -> Value {
    json!({ "type": "presence", "action": "list", "topic": "room", "key": "1" })
}

/// A request to `/v1/presence/room...`.
async fn rest(server: &Server, key: &Key, method: Method, rest: &str, body: Value) -> Value {
    let request = Http::new().request(method, format!("{}/v1/presence/room{rest}", server.url));
    let mut request = request.bearer_auth(&key.secret);
    if !body.is_null() {
        request = request.json(&body);
    }
    let answer = within("an answer", request.send()).await.expect("an answer");
    let status = answer.status();
    let body: Value = answer.json().await.expect("JSON");
    assert!(status.is_success(), "{status} {body}");
    body
}

#[tokio::test]
async fn it_is_seen_by_others_and_ends_with_the_connection() {
    let shared = shared::server();
    let (url, admin) = (&shared.server.url, shared.server.admin());
    let (_, key) = admin.furnished().await;
    let mut watcher = Watcher::new(url, &key.secret).await;
    let mut ann = Client::open(url, &key.secret).await;
    let mut ben = Client::open(url, &key.secret).await;
    ann.done(act("enter", "ann")).await;
    watcher.expect("enter", "ann").await;
    assert_eq!(members(&ben.done(act("enter", "ben")).await), ["ann", "ben"]);
    watcher.expect("enter", "ben").await;
    let mut update = act("update", "ben");
    update["data"] = json!({ "mood": "fine" });
    let there = ben.done(update).await;
    assert_eq!(there["members"][1]["data"], json!({ "mood": "fine" }), "{there}");
    watcher.expect("update", "ben").await;
    assert_eq!(members(&ben.done(act("leave", "ben")).await), ["ann"]);
    watcher.expect("leave", "ben").await;
    drop(ann);
    watcher.expect("leave", "ann").await;
    assert!(members(&watcher.client.done(list()).await).is_empty());
}

#[tokio::test]
async fn a_member_stays_while_one_of_its_devices_does() {
    let shared = shared::server();
    let (url, admin) = (&shared.server.url, shared.server.admin());
    let (_, key) = admin.furnished().await;
    let mut watcher = Watcher::new(url, &key.secret).await;
    let mut desk = Client::open(url, &key.secret).await;
    let mut phone = Client::open(url, &key.secret).await;
    desk.done(act("enter", "ann")).await;
    watcher.expect("enter", "ann").await;
    let both = phone.done(act("enter", "ann")).await;
    assert_eq!(both["counts"], json!({ "members": 1, "connections": 2 }), "{both}");
    drop(desk);
    let one = async {
        loop {
            let there = phone.done(list()).await;
            if there["counts"]["connections"] == 1 {
                return there;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    assert_eq!(members(&within("one device gone", one).await), ["ann"]);
    drop(phone);
    watcher.expect("leave", "ann").await;
}

#[tokio::test]
async fn a_client_without_a_connection_is_there_by_its_lease() {
    let shared = shared::server();
    let (server, admin) = (&shared.server, shared.server.admin());
    let (_, key) = admin.furnished().await;
    let mut watcher = Watcher::new(&server.url, &key.secret).await;
    let enter = json!({ "lease_ms": 1_500, "data": 7 });
    let path = "/members/bot?key=1";
    let entered = rest(server, &key, Method::PUT, path, enter.clone()).await;
    assert_eq!(entered["lease_ms"], 1_500, "{entered}");
    watcher.expect("enter", "bot").await;
    rest(server, &key, Method::PUT, path, enter).await;
    let there = rest(server, &key, Method::GET, "?key=1", Value::Null).await;
    assert_eq!((members(&there), &there["members"][0]["data"]), (vec!["bot"], &json!(7)));
    // It is not renewed: the lease ends by itself.
    watcher.expect("leave", "bot").await;
    let counts = rest(server, &key, Method::GET, "?key=1&count_only=true", Value::Null).await;
    assert_eq!(counts["counts"], json!({ "members": 0, "connections": 0 }));
    rest(server, &key, Method::PUT, path, json!({})).await;
    watcher.expect("enter", "bot").await;
    rest(server, &key, Method::DELETE, path, Value::Null).await;
    watcher.expect("leave", "bot").await;
}

#[tokio::test]
async fn a_crowd_is_told_in_few_frames_and_counted_in_fewer() {
    const CROWD: usize = 150;
    let shared = shared::server();
    let (server, admin) = (&shared.server, shared.server.admin());
    let (_, key) = admin.furnished().await;
    let mut counter = Client::open(&server.url, &key.secret).await;
    let subscribe = json!({
        "type": "subscribe", "sub": 1, "filter": "room/1", "presence": "counts",
    });
    counter.done(subscribe).await;
    let mut watcher = Client::open(&server.url, &key.secret).await;
    let subscribe = json!({
        "type": "subscribe", "sub": 1, "filter": "room/1", "presence": true,
    });
    watcher.done(subscribe).await;
    let mut crowd = Vec::new();
    for n in 0..CROWD {
        if n % 50 == 0 {
            crowd.push(Client::open(&server.url, &key.secret).await);
        }
        let mut enter = act("enter", &format!("m{n:03}"));
        enter["limit"] = 0.into();
        let last = crowd.last_mut().expect("just opened");
        assert!(members(&last.done(enter).await).is_empty(), "only counts were asked for");
    }
    let (mut frames, mut there) = (0, BTreeMap::new());
    while there.len() < CROWD {
        let frame = watcher.next().await.expect("the socket goes on");
        if frame["type"] == "presence_changes" {
            frames += 1;
            for change in frame["changes"].as_array().expect("changes") {
                there.insert(change["member"].to_string(), change["action"].to_string());
            }
        }
    }
    assert!(frames < CROWD / 2, "{frames} frames for {CROWD} members");
    loop {
        let frame = counter.next().await.expect("the socket goes on");
        assert_ne!(frame["type"], "presence_changes", "{frame}");
        if frame["type"] == "presence_counts" && frame["members"] == CROWD {
            assert_eq!(
                (&frame["connections"], &frame["address"]),
                (&json!(CROWD), &json!("room/1"))
            );
            break;
        }
    }
    let (mut after, mut listed) = (String::new(), Vec::new());
    loop {
        let path = format!("?key=1&limit=128&after={after}");
        let page = rest(server, &key, Method::GET, &path, Value::Null).await;
        listed.extend(members(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        after = next.to_owned();
    }
    assert!(listed.len() == CROWD && listed.is_sorted(), "{} listed", listed.len());
}

#[tokio::test]
async fn nobody_is_there_after_the_process_was_killed() {
    let home = Home::new(&json!({}));
    let mut server = home.start();
    let (_, key) = server.admin().furnished().await;
    let mut ann = Client::open(&server.url, &key.secret).await;
    ann.done(act("enter", "ann")).await;
    rest(&server, &key, Method::PUT, "/members/bot?key=1", json!({ "lease_ms": 600_000 })).await;
    let there = rest(&server, &key, Method::GET, "?key=1", Value::Null).await;
    assert_eq!(members(&there), ["ann", "bot"]);
    server.kill();
    server = home.start();
    let there = rest(&server, &key, Method::GET, "?key=1", Value::Null).await;
    assert!(members(&there).is_empty(), "{there}");
    let mut watcher = Watcher::new(&server.url, &key.secret).await;
    let mut ann = Client::open(&server.url, &key.secret).await;
    ann.done(act("enter", "ann")).await;
    watcher.expect("enter", "ann").await;
}
