//! A Stripe that does its worst within the rules: it counts each identifier once, and says so in
//! every wrong way.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use tokio::net::TcpListener;

/// How it treats one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Kind,
    /// Counts it and answers an error.
    CountsAndFails,
    /// Fails before it counts.
    Fails,
    /// Counts it and answers after the client has gone.
    CountsAndSleeps,
    /// Counts it and cuts the answer.
    CountsAndCuts,
    TooMany,
    /// Refuses it although it is right.
    Refuses,
}

pub const MOODS: [Mood; 7] = [
    Mood::Kind,
    Mood::CountsAndFails,
    Mood::Fails,
    Mood::CountsAndSleeps,
    Mood::CountsAndCuts,
    Mood::TooMany,
    Mood::Refuses,
];

#[derive(Default)]
pub struct Counted {
    /// By identifier: the meter's name, customer, value, timestamp.
    pub events: BTreeMap<String, (String, String, u64, i64)>,
    moods: VecDeque<Mood>,
    pub requests: usize,
    /// The answers kept per idempotency key, as Stripe does.
    keys: HashMap<String, (StatusCode, String)>,
}

#[derive(Clone, Default)]
pub struct Fake(pub Arc<Mutex<Counted>>);

impl Fake {
    /// Serves until the test ends; answers where.
    pub async fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new().route("/v1/billing/meter_events", post(take)).with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    pub fn moods(&self, moods: impl IntoIterator<Item = Mood>) {
        self.0.lock().moods.extend(moods);
    }

    /// All values of a meter together.
    pub fn total(&self, meter: &str) -> u64 {
        let counted = self.0.lock();
        counted.events.values().filter(|it| it.0 == meter).map(|it| it.2).sum()
    }
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let hex: String = bytes.by_ref().take(2).map(char::from).collect();
                out.push(u8::from_str_radix(&hex, 16).expect("two digits"));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).expect("text")
}

fn error(status: u16, message: &str) -> (StatusCode, String) {
    let status = StatusCode::from_u16(status).expect("a status");
    let body = json!({"error": {"type": "invalid_request_error", "message": message}});
    (status, body.to_string())
}

async fn take(State(fake): State<Fake>, headers: HeaderMap, body: Bytes) -> Response {
    let text = String::from_utf8(body.to_vec()).expect("a form");
    let fields: HashMap<String, String> = text
        .split('&')
        .filter_map(|field| field.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    let header = |name: &str| headers[name].to_str().expect("text").to_owned();
    assert_eq!(header("authorization"), "Bearer sk_test_123");
    let key = header("idempotency-key");
    let (mood, (status, answer)) = {
        let mut counted = fake.0.lock();
        counted.requests += 1;
        let mood = counted.moods.pop_front().unwrap_or(Mood::Kind);
        if let Some(kept) = counted.keys.get(&key) {
            (Mood::Kind, kept.clone())
        } else {
            let answer = counted.answer(mood, &fields);
            counted.keys.insert(key, answer.clone());
            (mood, answer)
        }
    };
    match mood {
        // The client has had enough of waiting before anything comes.
        Mood::CountsAndSleeps => std::future::pending().await,
        Mood::CountsAndCuts => return (status, "{\"object\":".to_owned()).into_response(),
        _ => {}
    }
    (status, answer).into_response()
}

impl Counted {
    fn answer(&mut self, mood: Mood, fields: &HashMap<String, String>) -> (StatusCode, String) {
        match mood {
            Mood::Fails => return error(503, "not now"),
            Mood::TooMany => return error(429, "slow down"),
            Mood::Refuses => return error(400, "no such meter today"),
            _ => {}
        }
        let identifier = fields["identifier"].clone();
        if self.events.contains_key(&identifier) {
            return error(400, &format!("An event already exists with identifier {identifier}."));
        }
        let event = (
            fields["event_name"].clone(),
            fields["payload[stripe_customer_id]"].clone(),
            fields["payload[value]"].parse().expect("a number"),
            fields["timestamp"].parse().expect("a number"),
        );
        self.events.insert(identifier.clone(), event);
        match mood {
            Mood::CountsAndFails => error(500, "counted, and then something broke"),
            _ => {
                let body = json!({"object": "billing.meter_event", "identifier": identifier});
                (StatusCode::OK, body.to_string())
            }
        }
    }
}
