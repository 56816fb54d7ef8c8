//! The admin API as an operator calls it.

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes names of tenants that no other test has.
static TENANTS: AtomicU64 = AtomicU64::new(0);

#[derive(Clone)]
pub struct Admin {
    client: Client,
    url: String,
    token: String,
}

/// A tenant with one project.
#[derive(Debug, Clone)]
pub struct Room {
    pub tenant: String,
    pub project: String,
}

/// A key as made: its identifier and its text.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

pub const EVENT_SCOPES: &[&str] = &["events:publish", "events:subscribe"];

impl Admin {
    pub fn new(url: &str, token: &str) -> Admin {
        Admin::over(Client::new(), url, token)
    }

    pub fn over(client: Client, url: &str, token: &str) -> Admin {
        Admin { client, url: url.to_owned(), token: token.to_owned() }
    }

    /// Any call; answers the status and the body.
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let mut request = request.bearer_auth(&self.token);
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await.expect("the admin API answers");
        let (status, text) = (answer.status(), answer.text().await.expect("a whole answer"));
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// A call that must succeed.
    pub async fn done(&self, method: Method, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(method.clone(), path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    pub async fn room(&self, limits: &Value) -> Room {
        let count = TENANTS.fetch_add(1, Ordering::Relaxed);
        let name = format!("tenant-{}-{count}", std::process::id());
        let tenant = self.done(Method::POST, "/v1/tenants", &json!({ "name": name })).await;
        let tenant = text(&tenant["id"]);
        let project = self.project(&tenant, "main", limits).await;
        Room { tenant, project }
    }

    pub async fn project(&self, tenant: &str, name: &str, limits: &Value) -> String {
        let path = format!("/v1/tenants/{tenant}/projects");
        let body = json!({ "name": name, "limits": limits });
        text(&self.done(Method::POST, &path, &body).await["id"])
    }

    pub async fn key(&self, room: &Room, scopes: &[&str]) -> Key {
        let body = json!({ "name": "e2e", "scopes": scopes });
        self.key_as(room, &body).await
    }

    pub async fn key_as(&self, room: &Room, body: &Value) -> Key {
        let made = self.done(Method::POST, &room.path("keys"), body).await;
        Key { id: text(&made["key"]["id"]), secret: text(&made["secret"]) }
    }

    /// A room without limits, and a key for events in it.
    pub async fn furnished(&self) -> (Room, Key) {
        let room = self.room(&json!({})).await;
        let key = self.key(&room, EVENT_SCOPES).await;
        (room, key)
    }

    pub async fn topic(&self, room: &Room, name: &str, partitions: u32) {
        let path = room.path(&format!("topics/{name}"));
        self.done(Method::PUT, &path, &json!({ "partitions": partitions })).await;
    }

    pub async fn suspend(&self, room: &Room) {
        let path = format!("/v1/tenants/{}/suspend", room.tenant);
        self.done(Method::POST, &path, &json!({ "reason": "unpaid" })).await;
    }

    /// Open connections of the room's tenant.
    pub async fn connections(&self, room: &Room) -> Vec<Value> {
        let path = format!("/v1/connections?tenant={}&limit=1000", room.tenant);
        let answer = self.done(Method::GET, &path, &Value::Null).await;
        answer["connections"].as_array().cloned().unwrap_or_default()
    }

    /// What was counted of a metric so far.
    pub async fn used(&self, room: &Room, metric: &str) -> u64 {
        let path = format!("/v1/tenants/{}/usage/totals?metric={metric}", room.tenant);
        let answer = self.done(Method::GET, &path, &Value::Null).await;
        let totals = answer["totals"].as_array().into_iter().flatten();
        totals.filter_map(|total| total["quantity"].as_u64()).sum()
    }
}

impl Room {
    /// Below the room's project.
    pub fn path(&self, rest: &str) -> String {
        format!("/v1/tenants/{}/projects/{}/{rest}", self.tenant, self.project)
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}
