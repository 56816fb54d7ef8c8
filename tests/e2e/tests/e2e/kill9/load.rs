//! Publishers that go on until the server is gone, and remember what was acknowledged.

use crate::stand::binary_frames::{self, Frame};
use crate::stand::got::Sent;
use crate::stand::ws::{BINARY, Client as Socket, JSON, dial};
use crate::stand::{encoded, within, ws_binary};
use reqwest::Client;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Acknowledged after the flush.
pub const DURABLE: &str = "ledger";
/// Acknowledged at once: a kill may lose the newest.
pub const RELAXED: &str = "relaxed";
/// Keys of a publisher of its own, and keys that all share.
const KEYS: u64 = 7;
const RECORDS_PER_CALL_MAX: u64 = 12;

pub struct Target {
    pub url: String,
    pub secret: String,
}

#[derive(Debug, Clone, Copy)]
pub enum Transport {
    /// `POST /v1/events`, several records a call.
    Http,
    /// `POST /v1/topics/{topic}/records`: the body is the value.
    Raw,
    WebSocket {
        in_flight_max: usize,
    },
    /// One call at a time in the binary layout.
    Binary,
}

/// A record that the server said it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acked {
    pub publisher: u64,
    pub sequence: u64,
    pub partition: u64,
    pub offset: u64,
}

/// Counts its records without a break over all rounds.
pub struct Publisher {
    id: u64,
    pub topic: &'static str,
    transport: Transport,
    next: u64,
    pub acked: Vec<Acked>,
    /// Acknowledged without a place.
    pub counted: u64,
}

impl Publisher {
    pub fn new(id: u64, topic: &'static str, transport: Transport) -> Publisher {
        Publisher { id, topic, transport, next: 0, acked: Vec::new(), counted: 0 }
    }

    /// Publishes until the connection breaks.
    pub async fn run(&mut self, target: &Target) {
        match self.transport {
            Transport::Http => self.run_http(target).await,
            Transport::Raw => self.run_raw(target).await,
            Transport::WebSocket { in_flight_max } => self.run_socket(target, in_flight_max).await,
            Transport::Binary => self.run_binary(target).await,
        }
    }

    /// How many records were sent, whatever became of them.
    pub fn sent_count(&self) -> u64 {
        self.next
    }

    fn record(&self, sequence: u64) -> Sent {
        let key = match sequence % 3 {
            0 => format!("shared/{}", sequence % KEYS),
            _ => format!("own/{}/{}", self.id, sequence % KEYS),
        };
        let data = json!({ "publisher": self.id, "sequence": sequence });
        Sent::json(self.topic, &key, data)
    }

    /// The next few records; a call is 1 to 12 of them.
    fn batch(&mut self) -> (u64, Vec<Value>) {
        let first = self.next;
        let count = 1 + (first * 7 + self.id) % RECORDS_PER_CALL_MAX;
        let records = (first..first + count).map(|at| self.record(at).view()).collect();
        self.next += count;
        (first, records)
    }

    fn note(&mut self, first: u64, places: &Value) {
        let places = places.as_array().into_iter().flatten();
        for (sequence, place) in (first..).zip(places) {
            self.acked.push(Acked {
                publisher: self.id,
                sequence,
                partition: place["partition"].as_u64().expect("a partition"),
                offset: place["offset"].as_u64().expect("an offset"),
            });
        }
    }

    async fn run_http(&mut self, target: &Target) {
        let client = Client::new();
        loop {
            let (first, records) = self.batch();
            let request = client.post(format!("{}/v1/events", target.url));
            let request = request.bearer_auth(&target.secret).json(&records);
            let Ok(answer) = within("an answer", request.send()).await else { return };
            let status = answer.status();
            // Cut off amid the answer: not acknowledged.
            let Ok(places) = answer.json::<Value>().await else { return };
            assert_eq!(status, 200, "{places}");
            self.note(first, &places);
        }
    }

    async fn run_socket(&mut self, target: &Target, in_flight_max: usize) {
        let Ok(socket) = dial(&target.url, Some(&target.secret), JSON).await else { return };
        let mut socket = Socket::over(socket);
        let mut in_flight = VecDeque::new();
        loop {
            while in_flight.len() < in_flight_max {
                let (first, records) = self.batch();
                let id = first & u64::from(u32::MAX);
                in_flight.push_back((id, first));
                socket.say(&json!({ "type": "publish", "id": id, "records": records })).await;
            }
            let Ok(frame) = socket.next().await else { return };
            if frame["type"] == "connected" {
                continue;
            }
            assert_eq!(frame["type"], "published", "{frame}");
            // Answers come in the order of requests.
            let (id, first) = in_flight.pop_front().expect("an answer has a request");
            assert_eq!(frame["id"], id);
            self.note(first, &frame["records"]);
        }
    }

    async fn run_raw(&mut self, target: &Target) {
        let client = Client::new();
        loop {
            let record = self.record(self.next);
            self.next += 1;
            let key = encoded(record.key.as_deref().unwrap_or_default());
            let url = format!("{}/v1/topics/{}/records?key={key}", target.url, self.topic);
            let request = client.post(url).bearer_auth(&target.secret);
            let request = request.header("content-type", "application/json");
            let request = request.body(record.body.bytes());
            let Ok(answer) = within("an answer", request.send()).await else { return };
            let status = answer.status();
            let Ok(place) = answer.json::<Value>().await else { return };
            assert_eq!(status, 200, "{place}");
            self.note(self.next - 1, &json!([place]));
        }
    }

    /// Its answers tell how many were stored, not where: what it is for is to be counted.
    async fn run_binary(&mut self, target: &Target) {
        let Ok(socket) = dial(&target.url, Some(&target.secret), BINARY).await else { return };
        let mut client = ws_binary::Client { socket };
        loop {
            match client.next().await {
                Ok(Frame::Connected) => {}
                Ok(Frame::Published(count)) => self.counted += count,
                Ok(other) => panic!("not an answer: {other:?}"),
                Err(_) => return,
            }
            let records = [self.record(self.next), self.record(self.next + 1)];
            self.next += 2;
            client.say(binary_frames::publish(1, &records)).await;
        }
    }
}
