//! WebSocket sessions (RFC 6455) in two subprotocols with the same operations: `mainstem.v1.json`,
//! one JSON object per text message, and `mainstem.v1.bin`, a compact binary layout. Start at
//! `session`, which is one `match`; the frames are in `frame`, their bytes in `codec`, one command
//! per file in `verbs`. Nothing here touches a socket or reads a clock: the edge does.
#![forbid(unsafe_code)]

pub mod codec;
pub mod config;
pub mod frame;
pub mod refusal;
pub mod session;
mod subscriptions;
mod verbs;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use session::WebSocketSession;

use codec::{BinaryCodec, JsonCodec};
use port::mounts::{MessageKind, WebSocketMount};
use port::{Codec, Driven, Driver, Mounts, Protocol, Refusal};
use std::sync::Arc;

/// Where clients connect.
pub const PATH: &str = "/v1/ws";
pub const JSON_SUBPROTOCOL: &str = "mainstem.v1.json";
pub const BINARY_SUBPROTOCOL: &str = "mainstem.v1.bin";

pub struct WebSocket;

impl Protocol for WebSocket {
    const NAME: &'static str = "websocket";
    type Config = Config;

    fn mount(config: Config, at: &mut Mounts) -> Result<(), Refusal> {
        config.check()?;
        let config = Arc::new(config);
        // Clients that offer no subprotocol are people with a terminal: they get JSON.
        for subprotocol in [Some(JSON_SUBPROTOCOL), None] {
            let codec = JsonCodec::new(config.frame_bytes_max);
            at.web_socket(mount(&config, subprotocol, MessageKind::Text, codec))?;
        }
        let codec = BinaryCodec::new(config.frame_bytes_max);
        at.web_socket(mount(&config, Some(BINARY_SUBPROTOCOL), MessageKind::Binary, codec))?;
        at.openapi.push(openapi());
        Ok(())
    }
}

fn mount<C>(
    config: &Arc<Config>,
    subprotocol: Option<&'static str>,
    kind: MessageKind,
    codec: C,
) -> WebSocketMount
where
    C: Codec<Frame = frame::Frame> + Clone + Sync,
{
    let config = Arc::clone(config);
    WebSocketMount {
        protocol: WebSocket::NAME,
        path: PATH,
        subprotocol,
        kind,
        factory: Arc::new(move |start| {
            let (config, codec) = (Arc::clone(&config), codec.clone());
            Box::pin(async move {
                let session = WebSocketSession::<C>::begin(start, config).await?;
                Ok(Box::new(Driver::new(session, codec)) as Box<dyn Driven>)
            })
        }),
    }
}

/// OpenAPI has no words for what follows the upgrade; the README has.
fn openapi() -> serde_json::Value {
    serde_json::json!({
        "paths": { PATH: { "get": {
            "operationId": "openWebSocket",
            "tags": ["websocket"],
            "summary": "Upgrade to a WebSocket session",
            "description": "Subprotocols `mainstem.v1.json` (also without one) and \
                `mainstem.v1.bin`. The credential comes in the request, or in a first `connect` \
                frame.",
            "parameters": [
                { "name": "Sec-WebSocket-Protocol", "in": "header", "schema": {
                    "type": "string", "enum": [JSON_SUBPROTOCOL, BINARY_SUBPROTOCOL] } },
                { "name": "access_token", "in": "query", "schema": { "type": "string" },
                  "description": "API key or token, for clients that cannot set headers." },
            ],
            "responses": {
                "101": { "description": "The session begins." },
                "401": { "description": "The credential is refused." },
                "429": { "description": "The project has all its connections open." },
            },
        } } },
    })
}
