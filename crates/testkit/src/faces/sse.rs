//! Server-Sent Events: `GET /v1/sse`, read as the format says (WHATWG HTML section 9.2.6).

use super::http::{Http, aftermath, encoded, send};
use crate::conformance::{
    Abilities, Aftermath, Face, Got, Page, Receipt, Sent, Soon, Start, Tail, Tailed, Told, unable,
};
use reqwest::Response;
use std::sync::Arc;

pub struct SseFace {
    http: Http,
}

impl SseFace {
    /// `base_url` without the path: `http://127.0.0.1:8080`.
    pub fn new(base_url: &str) -> Arc<SseFace> {
        Arc::new(SseFace { http: Http::new(base_url) })
    }
}

/// One dispatched event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    name: String,
    data: String,
}

struct SseTail {
    response: Response,
    /// Received and not yet a whole line.
    input: Vec<u8>,
    event: Event,
    last_id: String,
}

impl SseTail {
    /// The next event with data; `None` at the end of the stream. Ids without data are kept.
    async fn event(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.input.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                if let Some(event) = self.line(&line) {
                    return Some(event);
                }
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.input.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.last_id = value.to_owned(),
            "event" => self.event.name = value.to_owned(),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}

impl Tail for SseTail {
    fn next(&mut self) -> Soon<'_, Tailed> {
        Box::pin(async move {
            let Some(event) = self.event().await else { return Tailed::Closed };
            let value: serde_json::Value = serde_json::from_str(&event.data).unwrap_or_default();
            match event.name.as_str() {
                "" | "message" => match Got::from_view(&value) {
                    Some(got) => Tailed::Record(got),
                    None => Tailed::Ended(Told::broken(format!("no record: {}", event.data))),
                },
                "caught_up" => Tailed::CaughtUp,
                "gap" => Tailed::Gap,
                "reconnect" => Tailed::Advice,
                _ => Tailed::Ended(Told::from_error(&value["error"])),
            }
        })
    }

    fn cursors(&self) -> Vec<String> {
        vec![self.last_id.clone()]
    }
}

impl Face for SseFace {
    fn name(&self) -> &'static str {
        "sse"
    }

    fn abilities(&self) -> Abilities {
        Abilities { follows: true, holds_connection: true, ..Abilities::default() }
    }

    fn publish<'a>(
        &'a self,
        _secret: &'a str,
        _records: Vec<Sent>,
    ) -> Soon<'a, Result<Vec<Receipt>, Told>> {
        unable("SSE delivers only")
    }

    fn follow<'a>(
        &'a self,
        secret: &'a str,
        filter: &'a str,
        start: Start,
    ) -> Soon<'a, Result<Box<dyn Tail>, Told>> {
        Box::pin(async move {
            let filter = encoded(filter.as_bytes());
            let request = match &start {
                // As a browser comes back.
                Start::Cursors(_) => self
                    .http
                    .get(&format!("/v1/sse?filter={filter}"), secret)
                    .header("last-event-id", start.text()),
                _ => {
                    let from = encoded(start.text().as_bytes());
                    self.http.get(&format!("/v1/sse?filter={filter}&from={from}"), secret)
                }
            };
            let response = send(request).await?;
            let mut tail = SseTail {
                response,
                input: Vec::new(),
                event: Event::default(),
                last_id: String::new(),
            };
            // The stream begins with an id: where it starts.
            while tail.last_id.is_empty() {
                match tail.response.chunk().await.map_err(Told::broken)? {
                    Some(chunk) => tail.input.extend_from_slice(&chunk),
                    None => return Err(Told::broken("the stream ended before it began")),
                }
                tail.read_first_id();
            }
            Ok(Box::new(tail) as Box<dyn Tail>)
        })
    }

    fn read<'a>(
        &'a self,
        _secret: &'a str,
        _topic: &'a str,
        _start: Start,
        _limit: usize,
    ) -> Soon<'a, Result<Page, Told>> {
        unable("SSE delivers only")
    }

    fn hostile<'a>(&'a self, secret: &'a str, bytes: &'a [u8]) -> Soon<'a, Aftermath> {
        let bytes = bytes.get(..bytes.len().min(2_000)).unwrap_or_default();
        let path = format!("/v1/sse?filter=orders&from={}", encoded(bytes));
        Box::pin(aftermath(self.http.get(&path, secret)))
    }
}

impl SseTail {
    /// Looks for an id in what has come, without taking anything that holds data.
    fn read_first_id(&mut self) {
        let text = String::from_utf8_lossy(&self.input);
        let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        if let Some(id) = lines.find_map(|line| line.strip_prefix("id: ")) {
            self.last_id = id.trim_end().to_owned();
        }
    }
}
