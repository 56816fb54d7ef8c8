//! One way into or out of the platform, as the cases see it.

use std::future::Future;
use std::pin::Pin;

pub type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a face can do; cases ask before they use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abilities {
    pub publishes: bool,
    pub follows: bool,
    pub reads: bool,
    /// Follows by an open connection of its own, which counts against quotas and is drained.
    pub holds_connection: bool,
}

/// A record to publish.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    pub topic: String,
    pub key: Option<String>,
    /// JSON text.
    pub data: String,
    pub id: Option<String>,
}

/// Where a published record came to lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub partition: u32,
    pub offset: u64,
}

/// A record as a face delivers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Got {
    pub topic: String,
    pub partition: u32,
    pub offset: u64,
    pub key: Option<String>,
    pub data: serde_json::Value,
}

/// A refusal as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// `INVALID_API_KEY` and the like; empty when the face only broke off.
    pub code: String,
    pub message: String,
    pub field: Option<String>,
    pub retry_after_ms: Option<u64>,
    /// The protocol's own number: an HTTP status, a close code.
    pub number: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    Offset(u64),
    /// As kept from a `Tail`.
    Cursors(Vec<String>),
}

impl Start {
    /// The text of a `from` parameter.
    pub fn text(&self) -> String {
        match self {
            Start::Earliest => "earliest".to_owned(),
            Start::Latest => "latest".to_owned(),
            Start::Offset(offset) => format!("offset:{offset}"),
            Start::Cursors(cursors) => cursors.join(","),
        }
    }
}

/// What an open follow brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Tailed {
    Record(Got),
    CaughtUp,
    Gap,
    /// Come back later: the server is going down.
    Advice,
    Ended(Told),
    /// The connection is over.
    Closed,
}

/// An open follow. Dropping it is a lost connection.
pub trait Tail: Send {
    fn next(&mut self) -> Soon<'_, Tailed>;
    /// What the client would resume from, having handled everything `next` has answered.
    fn cursors(&self) -> Vec<String>;
}

/// A bounded read.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub records: Vec<Got>,
    pub next_cursor: String,
    pub is_end: bool,
}

/// What became of bytes that are no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aftermath {
    Refused(Told),
    Closed,
}

/// `secret` is an API key or token. A method beyond `abilities` is never called.
pub trait Face: Send + Sync {
    fn name(&self) -> &'static str;
    fn abilities(&self) -> Abilities;

    fn publish<'a>(
        &'a self,
        secret: &'a str,
        records: Vec<Sent>,
    ) -> Soon<'a, Result<Vec<Receipt>, Told>>;

    /// `filter` is a topic, or `topic/key`.
    fn follow<'a>(
        &'a self,
        secret: &'a str,
        filter: &'a str,
        start: Start,
    ) -> Soon<'a, Result<Box<dyn Tail>, Told>>;

    fn read<'a>(
        &'a self,
        secret: &'a str,
        topic: &'a str,
        start: Start,
        limit: usize,
    ) -> Soon<'a, Result<Page, Told>>;

    /// Sends bytes where a request belongs and waits until the face has made up its mind.
    fn hostile<'a>(&'a self, secret: &'a str, bytes: &'a [u8]) -> Soon<'a, Aftermath>;
}

/// For the methods a face does not have.
pub fn unable<'a, T: Send + 'a>(what: &'static str) -> Soon<'a, Result<T, Told>> {
    Box::pin(std::future::ready(Err(Told {
        code: "UNABLE".to_owned(),
        message: what.to_owned(),
        ..Told::default()
    })))
}

impl Told {
    /// From the one error object, `{"code":..,"message":..,"details":{..}}`.
    pub fn from_error(error: &serde_json::Value) -> Told {
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let details = &error["details"];
        Told {
            code: text(&error["code"]).unwrap_or_default(),
            message: text(&error["message"]).unwrap_or_default(),
            field: text(&details["field"]),
            retry_after_ms: details["retry_after_ms"].as_u64(),
            number: None,
        }
    }

    /// The face broke off without a word.
    pub fn broken(message: impl std::fmt::Display) -> Told {
        Told { message: message.to_string(), ..Told::default() }
    }
}

impl Receipt {
    /// From the JSON answer of one published record; `None` when it is none.
    pub fn from_view(view: &serde_json::Value) -> Option<Receipt> {
        Some(Receipt {
            partition: u32::try_from(view["partition"].as_u64()?).ok()?,
            offset: view["offset"].as_u64()?,
        })
    }
}

impl Got {
    /// From the JSON record view; `None` when it is none.
    pub fn from_view(view: &serde_json::Value) -> Option<Got> {
        Some(Got {
            topic: view["topic"].as_str()?.to_owned(),
            partition: u32::try_from(view["partition"].as_u64()?).ok()?,
            offset: view["offset"].as_u64()?,
            key: view["key"].as_str().map(str::to_owned),
            data: view["data"].clone(),
        })
    }
}

impl Sent {
    /// The JSON publish view.
    pub fn view(&self) -> serde_json::Value {
        let mut view = serde_json::json!({
            "topic": self.topic,
            "data": serde_json::from_str::<serde_json::Value>(&self.data)
                .expect("tests publish JSON"),
        });
        for (name, value) in [("key", &self.key), ("id", &self.id)] {
            if let Some(value) = value {
                view[name] = value.clone().into();
            }
        }
        view
    }
}
