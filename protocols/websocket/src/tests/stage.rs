//! A mounted protocol over the memory hub, and a client that talks in JSON.

use crate::{Config, WebSocket};
use bytes::Bytes;
use port::mounts::SessionFactory;
use port::{Identity, Mounts, Protocol};
use serde_json::Value;
use std::sync::Arc;
use testkit::conformance::{MemoryStage, PATIENCE, Scene, Stage as _};
use testkit::driven::{DrivenClient, Received};
use testkit::faces::WebSocketFace;
use testkit::memory_hub::{KeySpec, MemoryHub, Place};
use types::Limits;

/// The factory behind a subprotocol, as the edge finds it.
pub fn factory(config: Config, subprotocol: &str) -> SessionFactory {
    let mut mounts = Mounts::default();
    WebSocket::mount(config, &mut mounts).expect("the configuration is good");
    let found = mounts.web_sockets.into_iter().find(|m| m.subprotocol == Some(subprotocol));
    found.expect("the subprotocol is mounted").factory
}

pub async fn json_scene() -> Scene {
    let stage = MemoryStage::new();
    let json = factory(Config::default(), crate::JSON_SUBPROTOCOL);
    let face = WebSocketFace::in_process(stage.hub.shared(), json);
    Scene::of(stage, face)
}

/// One place with a key, and clients of it.
pub struct World {
    pub stage: Arc<MemoryStage>,
    pub hub: MemoryHub,
    pub place: Place,
    pub secret: String,
    config: Config,
}

impl World {
    pub fn new() -> World {
        World::with(Limits::default(), Config::default())
    }

    pub fn with(limits: Limits, config: Config) -> World {
        let stage = MemoryStage::new();
        let hub = stage.hub.clone();
        let place = hub.place(limits);
        let secret = hub.key(place);
        World { stage, hub, place, secret, config }
    }

    pub fn key(&self, spec: KeySpec) -> String {
        self.hub.key_with(self.place, spec)
    }

    /// A client whose upgrade carried `identity`, or nothing.
    pub fn dial(&self, identity: Option<Identity>) -> Client {
        let json = factory(self.config.clone(), crate::JSON_SUBPROTOCOL);
        let line = DrivenClient::open(self.hub.shared(), &json, identity);
        Client { line: line.expect("the session is not refused") }
    }

    /// A client that has connected.
    pub async fn client(&self) -> Client {
        let mut client = self.dial(Some(self.hub.identity(&self.secret)));
        client.expect(r#"{"type":"connected"}"#).await;
        client
    }

    pub async fn drain(&self) {
        self.stage.drain().await;
    }
}

pub struct Client {
    line: DrivenClient,
}

impl Client {
    pub async fn send(&self, frame: impl Into<String>) {
        self.line.send(Bytes::from(frame.into())).await;
    }

    pub async fn send_bytes(&self, bytes: Vec<u8>) {
        // A message transport does not carry what is empty as a frame of ours.
        if !bytes.is_empty() {
            self.line.send(bytes).await;
        }
    }

    pub async fn next(&mut self) -> Received {
        let next = tokio::time::timeout(PATIENCE, self.line.receive()).await;
        next.expect("the server says something")
    }

    pub async fn frame(&mut self) -> Value {
        match self.next().await {
            Received::Message(bytes) => serde_json::from_slice(&bytes).expect("frames are JSON"),
            Received::Closed(code) => panic!("closed with {code:?} where a frame was expected"),
        }
    }

    /// The next frame has all members of `pattern`.
    pub async fn expect(&mut self, pattern: &str) -> Value {
        let frame = self.frame().await;
        let wanted: Value = serde_json::from_str(pattern).expect("patterns are JSON");
        assert!(has(&frame, &wanted), "wanted {wanted}, got {frame}");
        frame
    }

    pub async fn expect_closed(&mut self, code: u16) {
        assert_eq!(self.next().await, Received::Closed(Some(code)));
    }

    /// Sends a request and expects its answer next.
    pub async fn ask(&mut self, frame: &str, pattern: &str) -> Value {
        self.send(frame).await;
        self.expect(pattern).await
    }
}

/// Whether `whole` has everything that `part` has.
fn has(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| has(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len()
                && whole.iter().zip(part).all(|(whole, part)| has(whole, part))
        }
        _ => whole == part,
    }
}
