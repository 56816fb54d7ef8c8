//! Encryption at rest as an operator and a thief of the disk see it: nothing readable lies there,
//! a shredded tenant is gone while others read on, and rotations lose nothing.

mod canary;
mod keys;
mod refusals;
mod roots;

use crate::stand::admin::Key;
use crate::stand::got::{Got, Sent};
use crate::stand::server::{Home, Server};
use crate::stand::{binary, within};
use reqwest::{Client as Http, StatusCode};
use serde_json::{Value, json};
use std::process::{Command, Output};

const TOPIC: &str = "sealed";

/// `mainstem keys-at-rest ...` against the running server.
fn ask(home: &Home, server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary::mainstem());
    command
        .arg("keys-at-rest")
        .args(arguments)
        .env("MAINSTEM_ADMIN_URL", &server.admin_url)
        .env("MAINSTEM_ADMIN_TOKEN", &home.admin_token)
        .env_remove("RUST_LOG");
    command.output().expect("a command runs")
}

/// A command that must succeed, and its answer.
#[track_caller]
fn asked(home: &Home, server: &Server, arguments: &[&str]) -> Value {
    answer_of(&ask(home, server, arguments))
}

#[track_caller]
fn answer_of(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// `mainstem keys-at-rest --offline ...` on the data of a stopped server.
fn offline(home: &Home, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary::mainstem());
    command.args(["keys-at-rest", "--offline", "--data"]).arg(home.data()).args(arguments);
    command.env_remove("RUST_LOG").output().expect("a command runs")
}

async fn try_publish(server: &Server, key: &Key, n: u64) -> (StatusCode, Value) {
    let view = Sent::json(TOPIC, &format!("key/{}", n % 5), json!({ "n": n })).view();
    let request = Http::new().post(format!("{}/v1/events", server.url));
    let request = request.bearer_auth(&key.secret).json(&view);
    let answer = within("a publish", request.send()).await.expect("an answer");
    (answer.status(), answer.json().await.expect("JSON"))
}

async fn publish(server: &Server, key: &Key, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let (status, body) = try_publish(server, key, n).await;
        assert_eq!(status, 200, "{body}");
    }
}

async fn try_read(server: &Server, key: &Key, from: Value) -> (StatusCode, Value) {
    let from = from.as_str().unwrap_or("earliest");
    let url = format!("{}/v1/topics/{TOPIC}/records?from={from}&limit=1000", server.url);
    let answer = Http::new().get(url).bearer_auth(&key.secret).send().await.expect("an answer");
    (answer.status(), answer.json().await.expect("JSON"))
}

/// The numbers of all records, sorted.
async fn read(server: &Server, key: &Key) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut from = json!("earliest");
    loop {
        let (status, page) = try_read(server, key, from).await;
        assert_eq!(status, 200, "{page}");
        let records = page["records"].as_array().expect("records");
        numbers.extend(
            records
                .iter()
                .map(Got::from_view)
                .map(|got| got.data()["n"].as_u64().expect("a number")),
        );
        if records.is_empty() {
            break;
        }
        from = page["next_cursor"].clone();
    }
    numbers.sort_unstable();
    numbers
}
