//! The audit trail over kill -9: every act that was acknowledged is in it once, its chain holds,
//! and a receiver has all of it.

use crate::stand::admin::{Admin, text};
use crate::stand::server::Home;
use crate::stand::{LOOK_EVERY, within};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

const ROUNDS: usize = 3;
/// Acts of a round that are acknowledged before the kill.
const ACKED_MIN: usize = 8;

type Made = Arc<Mutex<Vec<String>>>;

/// A panic elsewhere takes nothing from what was made before.
fn made_by(made: &Made) -> std::sync::MutexGuard<'_, Vec<String>> {
    made.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes tenants until the server is gone; their identifiers as they are acknowledged.
async fn make(url: String, token: String, round: usize, made: Made) {
    for number in 0u64.. {
        let name = format!("tenant-{round}-{number}");
        let request = Client::new().post(format!("{url}/v1/tenants")).bearer_auth(&token);
        let Ok(answer) = request.json(&json!({ "name": name })).send().await else { return };
        let Ok(tenant) = answer.json::<Value>().await else { return };
        made_by(&made).push(text(&tenant["id"]));
    }
}

/// What the trail's index says was made.
async fn targets(admin: &Admin) -> Vec<String> {
    let mut found = Vec::new();
    let mut path = "/v1/audit?action=tenant.create&limit=1000".to_owned();
    loop {
        let page = admin.done(Method::GET, &path, &Value::Null).await;
        let records = page["records"].as_array().expect("records");
        found.extend(records.iter().map(|record| text(&record["target"])));
        let Some(cursor) = page["next_cursor"].as_str() else { return found };
        path = format!("/v1/audit?action=tenant.create&limit=1000&cursor={cursor}");
    }
}

/// Numbers of the records that the receiver has.
fn received(path: &Path) -> Vec<u64> {
    let lines = std::fs::read_to_string(path).unwrap_or_default();
    let number = |line| {
        let record: Value = serde_json::from_str(line).expect("whole lines of JSON");
        record["sequence"].as_u64().expect("a number")
    };
    lines.lines().map(number).collect()
}

#[tokio::test]
async fn the_audit_trail_holds_over_kill_9() {
    let mut home = Home::new(&json!({}));
    let file = home.data().with_file_name("trail.jsonl");
    home.change(&json!({
        "audit": { "sinks": [{ "name": "siem", "to": { "file": { "path": file } } }] },
    }));
    let made = Made::default();
    for round in 0..ROUNDS {
        let mut server = home.start();
        let before = made_by(&made).len();
        let (url, token) = (server.admin_url.clone(), home.admin_token.clone());
        let making = tokio::spawn(make(url, token, round, Arc::clone(&made)));
        let enough = async {
            while made_by(&made).len() < before + ACKED_MIN {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        within("some are acknowledged", enough).await;
        server.kill();
        within("nobody answers any more", making).await.expect("no panic");
    }
    let server = home.start();
    let admin = server.admin();
    let found = targets(&admin).await;
    let once: BTreeSet<&String> = found.iter().collect();
    assert_eq!(once.len(), found.len(), "each once");
    assert!(made_by(&made).iter().all(|id| once.contains(id)), "all that was acknowledged");
    let all = async {
        loop {
            let verdict = admin.done(Method::GET, "/v1/audit/verify", &Value::Null).await;
            assert_eq!(verdict["holds"], true, "{verdict}");
            let last = verdict["last"]["sequence"].as_u64().unwrap_or_default();
            let numbers: BTreeSet<u64> = received(&file).into_iter().collect();
            if last >= found.len() as u64 && (1..=last).all(|number| numbers.contains(&number)) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("the receiver has the whole trail", all).await;
}
