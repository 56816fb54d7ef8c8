//! A plan from outside: a limit is set, met and read of; a warning arrives; who does not pay is
//! gone within a second; and what was used is seen at once.

use crate::stand::admin::{Admin, Room};
use crate::stand::got::Sent;
use crate::stand::shared::server;
use crate::stand::ws::Client;
use crate::stand::{LOOK_EVERY, within};
use reqwest::{Client as Http, Method};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SCOPES: &[&str] = &["events:publish", "events:subscribe", "admin:read", "billing:read"];
/// How soon what was used is to be seen, and how soon somebody is gone.
const SEEN_WITHIN: Duration = Duration::from_secs(2);
const GONE_WITHIN: Duration = Duration::from_secs(1);

async fn give_plan(admin: &Admin, room: &Room, name: &str, terms: Value) {
    let plan = format!("{name}-{}", std::process::id());
    let body = json!({ "title": name, "terms": terms });
    admin.done(Method::PUT, &format!("/v1/plans/{plan}"), &body).await;
    let path = format!("/v1/tenants/{}", room.tenant);
    admin.done(Method::PATCH, &path, &json!({ "plan": plan })).await;
}

async fn publish(url: &str, secret: &str) -> (u16, Value) {
    let view = Sent::json("news", "key", json!(1)).view();
    let request = Http::new().post(format!("{url}/v1/events")).bearer_auth(secret).json(&view);
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

async fn get(url: &str, secret: &str, path: &str) -> Value {
    let request = Http::new().get(format!("{url}{path}")).bearer_auth(secret);
    request.send().await.expect("an answer").json().await.expect("JSON")
}

#[tokio::test]
async fn a_limit_is_met_told_and_read_of() {
    let shared = server();
    let (url, admin) = (&shared.server.url, shared.server.admin());
    let room = admin.room(&json!({})).await;
    let key = admin.key(&room, SCOPES).await.secret;
    let metrics = json!({ "events_published": { "included": 5, "hard_max": 10 } });
    give_plan(&admin, &room, "ten", json!({ "metrics": metrics })).await;
    for number in 1..=10 {
        let (status, body) = publish(url, &key).await;
        assert_eq!(status, 200, "{number}: {body}");
    }
    let (status, body) = publish(url, &key).await;
    let error = &body["error"];
    assert_eq!((status, &error["code"]), (429, &json!("PLAN_LIMIT_EXCEEDED")), "{body}");
    assert_eq!(error["details"]["field"], "plan.events_published.hard_max");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("10 used")), "{body}");
    let counted = Instant::now();
    let account = within("the account", async {
        loop {
            let account = get(url, &key, "/v1/account").await;
            if account["metrics"][0]["used"] == 10 {
                return account;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    let account = account.await;
    assert!(counted.elapsed() <= SEEN_WITHIN, "seen after {:?}", counted.elapsed());
    assert_eq!(account["metrics"][0]["hard_max"], 10, "{account}");
    // Warnings at 80 and 100 percent of what is included and of the limit.
    let told = within("the warnings", async {
        loop {
            let path = "/v1/topics/%24changes/records?from=earliest&limit=100";
            let page = get(url, &key, path).await;
            let records = page["records"].as_array().cloned().unwrap_or_default();
            let told: Vec<Value> = records
                .into_iter()
                .map(|record| record["data"].clone())
                .filter(|data| data["type"] == "usage.warned")
                .collect();
            if told.len() == 4 {
                return told;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    let last = &told.await[3]["details"];
    assert_eq!((&last["bound"], &last["percent"]), (&json!("hard"), &json!(100)), "{last}");
    assert_eq!(last["is_refused"], true);
    let path = format!("/v1/tenants/{}/usage/recompute", room.tenant);
    let again = admin.done(Method::POST, &path, &json!({})).await;
    assert_eq!((&again["differing"], &again["log_records"]), (&json!(0), &json!(10)), "{again}");
}

/// **Feature: realtime-saas-platform, Property 22: failed payment triggers the kill switch and
/// suspends access** - on real sockets: without a grace within a second.
#[tokio::test]
async fn who_does_not_pay_is_gone_within_a_second() {
    let shared = server();
    let (url, admin) = (&shared.server.url, shared.server.admin());
    let room = admin.room(&json!({})).await;
    let key = admin.key(&room, SCOPES).await.secret;
    give_plan(&admin, &room, "strict", json!({ "grace_days": 0 })).await;
    let mut client = Client::open(url, &key).await;
    client.subscribe(1, "news/#", "latest".into()).await;
    let path = format!("/v1/tenants/{}", room.tenant);
    admin.done(Method::PATCH, &path, &json!({ "status": "past_due" })).await;
    let overdue = Instant::now();
    while client.next().await.is_ok() {}
    // The look every half second, and the second that any change may take.
    let gone = overdue.elapsed();
    assert!(gone <= GONE_WITHIN + Duration::from_millis(500), "gone after {gone:?}");
    let (_, body) = publish(url, &key).await;
    assert_eq!(body["error"]["code"], "TENANT_SUSPENDED");
}
