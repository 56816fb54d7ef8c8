//! A reader of Server-Sent Events as the format says (WHATWG HTML section 9.2.6).

use super::got::Got;
use super::within;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;

/// One dispatched event; `id` is the last one seen, as a browser keeps it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event {
    pub name: String,
    pub data: String,
    pub id: String,
}

pub struct Stream {
    response: Response,
    input: Vec<u8>,
    event: Event,
}

pub fn request(url: &str, secret: &str, query: &str) -> RequestBuilder {
    Client::new().get(format!("{url}/v1/sse?{query}")).bearer_auth(secret)
}

impl Stream {
    pub async fn open(url: &str, secret: &str, query: &str) -> Stream {
        Stream::try_open(request(url, secret, query)).await.unwrap_or_else(|refused| {
            panic!("a stream of {query}: {refused:?}");
        })
    }

    /// The stream, or status and body of the refusal.
    pub async fn try_open(request: RequestBuilder) -> Result<Stream, (StatusCode, Value)> {
        let response = within("a stream", request.send()).await.expect("the server answers");
        let status = response.status();
        if status != StatusCode::OK {
            return Err((status, response.json().await.unwrap_or(Value::Null)));
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Ok(Stream { response, input: Vec::new(), event: Event::default() })
    }

    /// The next event with data; `None` at the end of the stream.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.input.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let line = String::from_utf8(line).expect("a stream is UTF-8");
                if let Some(event) = self.line(line.trim_end_matches('\n')) {
                    return Some(event);
                }
            }
            match within("a piece of the stream", self.response.chunk()).await {
                Ok(Some(chunk)) => self.input.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// The next record; other events are passed over, the end of the stream is not expected.
    pub async fn record(&mut self) -> Got {
        loop {
            let event = self.event().await.expect("a record before the end of the stream");
            assert_ne!(event.name, "gap", "{event:?}");
            if event.name.is_empty() {
                let view = serde_json::from_str(&event.data).expect("a record is JSON");
                return Got::from_view(&view);
            }
        }
    }

    /// Where a browser would come back.
    pub fn last_id(&self) -> &str {
        &self.event.id
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = self.event.clone();
            self.event = Event { id: event.id.clone(), ..Event::default() };
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut self.event.id),
            "event" => value.clone_into(&mut self.event.name),
            "data" if self.event.data.is_empty() => value.clone_into(&mut self.event.data),
            "data" => {
                self.event.data.push('\n');
                self.event.data.push_str(value);
            }
            // A comment, or a field that is none of ours.
            "" | "retry" => {}
            other => panic!("the format has no field {other}: {line}"),
        }
        None
    }
}
