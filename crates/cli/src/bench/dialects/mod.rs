//! Our own protocols as the load speaks them. They are written from the protocols' documents and
//! share no code with the server.

mod binary;
mod json;
mod poll;
mod rest;
mod sse;

use serde::{Deserialize, Serialize};
use swarm::ws::WebSocket;
use swarm::{Dialect, Plan};

/// How records are followed.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    WsJson,
    WsBin,
    Sse,
    Poll,
}

/// How records are published.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    Rest,
    WsJson,
    WsBin,
}

impl Follow {
    pub const ALL: [Follow; 4] = [Follow::WsJson, Follow::WsBin, Follow::Sse, Follow::Poll];

    pub fn name(self) -> &'static str {
        match self {
            Follow::WsJson => "ws-json",
            Follow::WsBin => "ws-bin",
            Follow::Sse => "sse",
            Follow::Poll => "poll",
        }
    }
}

impl Publish {
    pub const ALL: [Publish; 3] = [Publish::Rest, Publish::WsJson, Publish::WsBin];

    pub fn name(self) -> &'static str {
        match self {
            Publish::Rest => "rest",
            Publish::WsJson => "ws-json",
            Publish::WsBin => "ws-bin",
        }
    }
}

/// Whom a connection is, and what it follows or publishes to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    pub host: String,
    /// Connection N takes number N modulo their count.
    pub secrets: Vec<String>,
    /// `topic` or `topic/key`; `{n}` stands for the number of the stream.
    pub address: String,
    pub role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Follow,
    Publish,
}

impl Settings {
    pub(super) fn secret(&self, number: u32) -> &str {
        let turn = number as usize % self.secrets.len().max(1);
        self.secrets.get(turn).map_or("", String::as_str)
    }

    /// Topic and key of a stream.
    pub(super) fn place(&self, stream: u32) -> (String, Option<String>) {
        let address = self.address.replace("{n}", &stream.to_string());
        match address.split_once('/') {
            Some((topic, key)) => (topic.to_owned(), Some(key.to_owned())),
            None => (address, None),
        }
    }

    pub(super) fn filter(&self, stream: u32) -> String {
        self.address.replace("{n}", &stream.to_string())
    }
}

/// The dialect of a plan.
pub fn make(plan: &Plan) -> Result<Box<dyn Dialect>, String> {
    let settings: Settings =
        serde_json::from_value(plan.settings.clone()).map_err(|error| error.to_string())?;
    match plan.dialect.as_str() {
        "ws-json" => Ok(Box::new(WebSocket(json::Json(settings)))),
        "ws-bin" => Ok(Box::new(WebSocket(binary::Binary(settings)))),
        "sse" => Ok(Box::new(sse::Sse(settings))),
        "poll" => Ok(Box::new(poll::Poll(settings))),
        "rest" => Ok(Box::new(rest::Rest(settings))),
        other => Err(format!("there is no dialect `{other}`")),
    }
}

/// The server's refusal in an answer, for people.
pub(super) fn refused(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    crate::target::refusal(&text).unwrap_or_else(|| text.into_owned())
}
