//! The client's side of `mainstem.v1.json`, over any way of carrying text messages.

use crate::conformance::{Got, Receipt, Sent, Soon, Start, Tail, Tailed, Told};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// A message from the server, or the end.
#[derive(Debug)]
pub(super) enum Incoming {
    Text(String),
    Closed(Option<u16>),
}

/// A connection that carries messages.
pub(super) trait Messages: Send {
    fn send(&mut self, message: Vec<u8>) -> Soon<'_, ()>;
    fn receive(&mut self) -> Soon<'_, Incoming>;
}

const SUB: u32 = 7;

pub(super) struct JsonSession {
    messages: Box<dyn Messages>,
    calls: u32,
    /// Frames that came while an answer was awaited.
    waiting: VecDeque<Value>,
    start_cursors: Vec<String>,
    last_of_partition: BTreeMap<u64, String>,
}

impl JsonSession {
    /// Connects with a first frame.
    pub async fn connect(messages: Box<dyn Messages>, secret: &str) -> Result<JsonSession, Told> {
        let mut session = JsonSession::stranger(messages);
        session.call(json!({ "type": "connect", "token": secret })).await?;
        Ok(session)
    }

    pub fn stranger(messages: Box<dyn Messages>) -> JsonSession {
        JsonSession {
            messages,
            calls: 0,
            waiting: VecDeque::new(),
            start_cursors: Vec::new(),
            last_of_partition: BTreeMap::new(),
        }
    }

    /// Sends a request and waits for its answer; what else comes is kept.
    pub async fn call(&mut self, mut request: Value) -> Result<Value, Told> {
        self.calls += 1;
        let id = self.calls;
        request["id"] = id.into();
        self.messages.send(request.to_string().into_bytes()).await;
        loop {
            let frame = self.receive().await?;
            if frame["id"] != id {
                if frame["type"] == "error" {
                    return Err(self.refused(&frame).await);
                }
                self.waiting.push_back(frame);
            } else if frame["type"] == "error" {
                return Err(Told::from_error(&frame["error"]));
            } else {
                return Ok(frame);
            }
        }
    }

    /// An error without a number ends the session: its close code follows.
    async fn refused(&mut self, frame: &Value) -> Told {
        let number = match self.messages.receive().await {
            Incoming::Closed(number) => number,
            Incoming::Text(_) => None,
        };
        Told { number, ..Told::from_error(&frame["error"]) }
    }

    async fn receive(&mut self) -> Result<Value, Told> {
        match self.messages.receive().await {
            Incoming::Text(text) => serde_json::from_str(&text).map_err(Told::broken),
            Incoming::Closed(number) => Err(Told { number, ..Told::broken("closed") }),
        }
    }

    pub async fn publish(&mut self, records: &[Sent]) -> Result<Vec<Receipt>, Told> {
        let views: Vec<_> = records.iter().map(Sent::view).collect();
        let answer = self.call(json!({ "type": "publish", "records": views })).await?;
        let receipts = answer["records"].as_array().into_iter().flatten().map(Receipt::from_view);
        receipts.collect::<Option<_>>().ok_or_else(|| Told::broken("no list of receipts"))
    }

    pub async fn subscribe(&mut self, filter: &str, start: Start) -> Result<(), Told> {
        let from = match &start {
            Start::Cursors(cursors) => json!(cursors),
            _ => json!(start.text()),
        };
        let request = json!({ "type": "subscribe", "sub": SUB, "filter": filter, "from": from });
        let answer = self.call(request).await?;
        self.start_cursors = answer["cursor"].as_str().map(str::to_owned).into_iter().collect();
        Ok(())
    }

    /// Sends bytes as they are and waits for what becomes of them.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<Value, Told> {
        self.messages.send(bytes.to_vec()).await;
        loop {
            let frame = self.receive().await?;
            if frame["type"] == "error" {
                return Ok(frame);
            }
        }
    }

    fn tailed(&mut self, frame: &Value) -> Tailed {
        match frame["type"].as_str().unwrap_or_default() {
            "record" => match (Got::from_view(frame), frame["cursor"].as_str()) {
                (Some(got), Some(cursor)) => {
                    self.last_of_partition.insert(got.partition.into(), cursor.to_owned());
                    Tailed::Record(got)
                }
                _ => Tailed::Ended(Told::broken(format!("no record: {frame}"))),
            },
            "caught_up" => Tailed::CaughtUp,
            "gap" => Tailed::Gap,
            "reconnect" => Tailed::Advice,
            _ => Tailed::Ended(Told::from_error(&frame["error"])),
        }
    }
}

impl Tail for JsonSession {
    fn next(&mut self) -> Soon<'_, Tailed> {
        Box::pin(async move {
            let frame = match self.waiting.pop_front() {
                Some(frame) => Ok(frame),
                None => self.receive().await,
            };
            match frame {
                Ok(frame) => self.tailed(&frame),
                Err(_) => Tailed::Closed,
            }
        })
    }

    /// A client of several partitions keeps the start and the last of each partition.
    fn cursors(&self) -> Vec<String> {
        self.start_cursors.iter().chain(self.last_of_partition.values()).cloned().collect()
    }
}
