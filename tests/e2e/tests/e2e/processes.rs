//! Several processes on one port act as one: records cross, limits hold over all of them, what an
//! operator does ends connections everywhere, and whichever is killed, nothing is lost or doubled.

use crate::stand::admin::EVENT_SCOPES;
use crate::stand::got::Sent;
use crate::stand::server::{Home, Server};
use crate::stand::ws::{Client, JSON, closed, dial};
use crate::stand::{LOOK_EVERY, within};
use reqwest::{Client as Http, Method};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const WORKERS: usize = 2;
/// So many connections are not all in one of two processes, but once in 30,000 runs.
const CROWD: usize = 16;
/// Requests of a project, where they are bounded.
const PER_SECOND: u32 = 40;

fn home() -> Home {
    Home::new(&json!({ "processes": WORKERS }))
}

/// The server's workers, as the kernel knows them.
fn workers(server: &Server) -> BTreeSet<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).into_iter().flatten();
    let children = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let all: Vec<String> = children.collect();
    all.iter().flat_map(|line| line.split_whitespace()).filter_map(|it| it.parse().ok()).collect()
}

fn kill(pid: i32) {
    let pid = Pid::from_raw(pid).expect("a process");
    kill_process(pid, Signal::KILL).expect("a worker can be killed");
}

async fn ready(server: &Server) -> Value {
    let answer = reqwest::get(format!("{}/readyz", server.admin_url)).await.expect("an answer");
    answer.json().await.expect("JSON")
}

async fn all_serve(server: &Server) {
    let back = async {
        while ready(server).await["processes"]["serving"] != WORKERS {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("all workers serve", back).await;
}

async fn crowd(server: &Server, secret: &str) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..CROWD {
        clients.push(Client::open(&server.url, secret).await);
    }
    clients
}

async fn publish(server: &Server, secret: &str, numbers: std::ops::Range<u64>) {
    let sent = |n: u64| Sent::json("news", "key", json!({ "n": n })).view();
    let views: Vec<Value> = numbers.map(sent).collect();
    let request = Http::new().post(format!("{}/v1/events", server.url));
    let request = request.bearer_auth(secret).json(&views);
    let answer = within("a publish", request.send()).await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

/// The next records, which must be these numbers; answers the last one's cursor.
async fn expect(client: &mut Client, numbers: std::ops::Range<u64>) -> String {
    let mut cursor = String::new();
    for number in numbers {
        let got = client.record().await;
        assert_eq!(got.data()["n"], number);
        cursor = got.cursor.clone();
    }
    cursor
}

#[tokio::test]
async fn records_cross_history_and_live_and_both_processes_serve() {
    let home = home();
    let mut server = home.start();
    let (_, key) = server.admin().furnished().await;
    publish(&server, &key.secret, 0..50).await;
    let mut clients = crowd(&server, &key.secret).await;
    for client in &mut clients {
        client.subscribe(1, "news/#", "earliest".into()).await;
    }
    publish(&server, &key.secret, 50..100).await;
    clients[0].publish(&[Sent::json("news", "key", json!({ "n": 100 }))]).await;
    for client in &mut clients {
        expect(client, 0..101).await;
    }
    let figures = reqwest::get(format!("{}/metrics", server.admin_url)).await.expect("an answer");
    let figures = figures.text().await.expect("text");
    for worker in 0..WORKERS {
        let label = format!("process=\"{worker}\"");
        let line = figures.lines().find(|line| {
            line.starts_with("mainstem_connections_accepted_total{") && line.contains(&label)
        });
        assert!(line.is_some(), "worker {worker} served nobody:\n{figures}");
    }
    let console = reqwest::get(format!("{}/healthz", server.url)).await.expect("an answer");
    assert_eq!(console.text().await.expect("text"), "ok\n");
    server.stop();
    assert!(workers(&server).is_empty());
}

#[tokio::test]
async fn limits_lists_and_ends_are_of_all_processes() {
    let home = home();
    let server = home.start();
    let admin = server.admin();
    let room = admin.room(&json!({ "websocket_connections_max": 10 })).await;
    let key = admin.key(&room, EVENT_SCOPES).await;
    let mut open = Vec::new();
    for _ in 0..CROWD {
        if let Ok(socket) = dial(&server.url, Some(&key.secret), JSON).await {
            open.push(socket);
        }
    }
    assert_eq!(open.len(), 10, "exactly as many as the project may have");
    let listed = admin.connections(&room).await;
    assert_eq!(listed.len(), 10);
    let path = format!("/v1/connections/{}", listed[3]["id"]);
    admin.done(Method::DELETE, &path, &Value::Null).await;
    let gone = async {
        while admin.connections(&room).await.len() != 9 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("one is closed", gone).await;
    let path = room.path(&format!("keys/{}/revoke", key.id));
    admin.done(Method::POST, &path, &Value::Null).await;
    let revoked = Instant::now();
    let mut codes = Vec::new();
    for socket in &mut open {
        codes.push(closed(socket).await);
    }
    assert!(revoked.elapsed() < Duration::from_secs(1), "{:?}", revoked.elapsed());
    assert_eq!(codes.iter().filter(|code| **code == Some(4401)).count(), 9, "{codes:?}");
}

#[tokio::test]
async fn rates_and_addresses_are_counted_over_all_processes() {
    let home = Home::new(&json!({
        "processes": WORKERS, "edge": { "accept": { "connections_per_address_max": CROWD } },
    }));
    let server = home.start();
    let admin = server.admin();
    let room = admin.room(&json!({ "request_per_second_max": PER_SECOND })).await;
    let key = admin.key(&room, EVENT_SCOPES).await;
    let begin = Instant::now();
    let mut clients = crowd(&server, &key.secret).await;
    let turned_away = dial(&server.url, Some(&key.secret), JSON).await;
    assert!(turned_away.is_err(), "the address has {CROWD} connections already");
    let mut done = CROWD;
    for _ in 0..PER_SECOND {
        for client in &mut clients {
            let publish = json!({ "type": "publish", "topic": "news", "data": 1 });
            let answer = client.call(publish).await.expect("it goes on");
            match answer["error"]["code"].as_str() {
                None => done += 1,
                Some(code) => assert_eq!(code, "RATE_LIMIT_EXCEEDED"),
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let most = f64::from(PER_SECOND) * (1.0 + seconds) + 1.0;
    assert!(done as f64 <= most, "{done} requests in {seconds} s at {PER_SECOND} a second");
    assert!(done >= PER_SECOND as usize, "{done} requests, {PER_SECOND} are let through at once");
    // A place that is given up in one process is free in all.
    drop(clients.pop());
    let free = async {
        while Box::pin(dial(&server.url, Some(&key.secret), JSON)).await.is_err() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("a place becomes free", free).await;
}

#[tokio::test]
async fn a_killed_worker_is_replaced_and_its_clients_go_on() {
    let home = home();
    let server = home.start();
    let (_, key) = server.admin().furnished().await;
    let mut clients = crowd(&server, &key.secret).await;
    for client in &mut clients {
        client.subscribe(1, "news/#", "earliest".into()).await;
    }
    publish(&server, &key.secret, 0..20).await;
    let mut cursors = Vec::new();
    for client in &mut clients {
        cursors.push(expect(client, 0..20).await);
    }
    let before = workers(&server);
    assert_eq!(before.len(), WORKERS);
    kill(*before.first().expect("a worker"));
    publish(&server, &key.secret, 20..40).await;
    let (mut lost, mut kept) = (0, 0);
    for (client, cursor) in clients.iter_mut().zip(&cursors) {
        if client.call(json!({ "type": "ping" })).await.is_ok() {
            kept += 1;
        } else {
            lost += 1;
            *client = Client::open(&server.url, &key.secret).await;
            client.subscribe(1, "news/#", cursor.as_str().into()).await;
        }
        expect(client, 20..40).await;
    }
    assert!(lost > 0 && kept > 0, "{lost} lost, {kept} kept");
    all_serve(&server).await;
    let after = workers(&server);
    assert_eq!((after.len(), after.intersection(&before).count()), (WORKERS, WORKERS - 1));
    publish(&server, &key.secret, 40..60).await;
    for client in &mut clients {
        expect(client, 40..60).await;
    }
}

#[tokio::test]
async fn who_was_present_through_a_killed_worker_leaves() {
    let home = home();
    let server = home.start();
    let (_, key) = server.admin().furnished().await;
    let mut clients = crowd(&server, &key.secret).await;
    for (number, client) in clients.iter_mut().enumerate() {
        let enter = json!({
            "type": "presence", "action": "enter", "topic": "room", "key": "1",
            "member": format!("m{number}"),
        });
        client.done(enter).await;
    }
    kill(*workers(&server).first().expect("a worker"));
    let mut living = Vec::new();
    for mut client in clients {
        if client.call(json!({ "type": "ping" })).await.is_ok() {
            living.push(client);
        }
    }
    let list = json!({ "type": "presence", "action": "list", "topic": "room", "key": "1" });
    let expected = living.len();
    let someone = living.first_mut().expect("somebody is left");
    let left = async {
        loop {
            let present = someone.done(list.clone()).await;
            if present["members"].as_array().map_or(0, Vec::len) == expected {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("the others have left", left).await;
}

#[tokio::test]
async fn a_killed_owner_takes_its_workers_along_and_a_new_start_goes_on() {
    let mut home = home();
    let mut server = home.start();
    let address = server.authority().to_owned();
    let (_, key) = server.admin().furnished().await;
    let mut client = Client::open(&server.url, &key.secret).await;
    client.subscribe(1, "news/#", "earliest".into()).await;
    publish(&server, &key.secret, 0..20).await;
    let cursor = expect(&mut client, 0..20).await;
    server.kill();
    // Its worker hears of it from the system, a moment later.
    let ends = async { while client.call(json!({ "type": "ping" })).await.is_ok() {} };
    within("its worker ends too", ends).await;
    // On the very same port, which the workers of before must have left.
    home.change(&json!({ "edge": { "listen": address } }));
    let server = home.start();
    publish(&server, &key.secret, 20..40).await;
    let mut client = Client::open(&server.url, &key.secret).await;
    client.subscribe(1, "news/#", cursor.as_str().into()).await;
    expect(&mut client, 20..40).await;
}

#[tokio::test]
async fn a_drain_advises_everybody_and_a_taken_port_is_refused() {
    let home = home();
    let mut server = home.start();
    let (_, key) = server.admin().furnished().await;
    let mut clients = crowd(&server, &key.secret).await;
    let listen = json!({ "processes": WORKERS, "edge": { "listen": server.authority() } });
    let said = Home::new(&listen).refused();
    assert!(said.contains("in use"), "{said}");
    server.terminate();
    for client in &mut clients {
        let advice = client.next().await.expect("an advice");
        assert_eq!(advice["type"], "reconnect", "{advice}");
        assert_eq!(closed(&mut client.socket).await, Some(1012));
    }
    assert!(server.ended().success());
}
