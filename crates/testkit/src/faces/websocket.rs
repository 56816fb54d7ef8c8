//! WebSocket with `mainstem.v1.json`: over the network, or with the session driven in process.

use super::json_session::{Incoming, JsonSession, Messages};
use crate::conformance::{
    Abilities, Aftermath, Face, Page, Receipt, Sent, Soon, Start, Tail, Told, unable,
};
use crate::driven::{DrivenClient, Received};
use futures_util::{SinkExt, StreamExt};
use port::Hub;
use port::mounts::SessionFactory;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const SUBPROTOCOL: &str = "mainstem.v1.json";

pub struct WebSocketFace {
    line: Line,
}

enum Line {
    Network { url: String },
    InProcess { hub: Arc<dyn Hub>, factory: SessionFactory },
}

impl WebSocketFace {
    /// `base_url` without the path: `http://127.0.0.1:8080`.
    pub fn new(base_url: &str) -> Arc<WebSocketFace> {
        let authority = base_url.trim_end_matches('/').trim_start_matches("http://");
        let url = format!("ws://{authority}/v1/ws");
        Arc::new(WebSocketFace { line: Line::Network { url } })
    }

    /// Sessions of a factory, on shard 0 of the hub.
    pub fn in_process(hub: Arc<dyn Hub>, factory: SessionFactory) -> Arc<WebSocketFace> {
        Arc::new(WebSocketFace { line: Line::InProcess { hub, factory } })
    }

    async fn dial(&self) -> Result<Box<dyn Messages>, Told> {
        match &self.line {
            Line::InProcess { hub, factory } => {
                let client = DrivenClient::open(Arc::clone(hub), factory, None);
                let client = client.map_err(|refusal| Told::broken(refusal.message()))?;
                Ok(Box::new(client))
            }
            Line::Network { url } => {
                let mut request = url.as_str().into_client_request().map_err(Told::broken)?;
                let protocol = HeaderValue::from_static(SUBPROTOCOL);
                request.headers_mut().insert("sec-websocket-protocol", protocol);
                let (stream, _) = connect_async(request).await.map_err(Told::broken)?;
                Ok(Box::new(stream))
            }
        }
    }

    async fn session(&self, secret: &str) -> Result<JsonSession, Told> {
        JsonSession::connect(self.dial().await?, secret).await
    }
}

impl Messages for DrivenClient {
    fn send(&mut self, message: Vec<u8>) -> Soon<'_, ()> {
        Box::pin(DrivenClient::send(self, message))
    }

    fn receive(&mut self) -> Soon<'_, Incoming> {
        Box::pin(async move {
            match DrivenClient::receive(self).await {
                Received::Message(bytes) => {
                    Incoming::Text(String::from_utf8_lossy(&bytes).into_owned())
                }
                Received::Closed(code) => Incoming::Closed(code),
            }
        })
    }
}

impl Messages for WebSocketStream<MaybeTlsStream<TcpStream>> {
    fn send(&mut self, message: Vec<u8>) -> Soon<'_, ()> {
        Box::pin(async move {
            // What is no text travels as binary, which a text subprotocol must refuse too.
            let message = match String::from_utf8(message) {
                Ok(text) => Message::text(text),
                Err(bytes) => Message::Binary(Bytes::from(bytes.into_bytes())),
            };
            // A connection that is over says so when it is read.
            let _ = SinkExt::send(self, message).await;
        })
    }

    fn receive(&mut self) -> Soon<'_, Incoming> {
        Box::pin(async move {
            loop {
                match self.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return Incoming::Text(text.as_str().to_owned());
                    }
                    Some(Ok(Message::Close(frame))) => {
                        return Incoming::Closed(frame.map(|frame| frame.code.into()));
                    }
                    // Pings are answered by the library while it is read.
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Incoming::Closed(None),
                }
            }
        })
    }
}

impl Face for WebSocketFace {
    fn name(&self) -> &'static str {
        "websocket"
    }

    fn abilities(&self) -> Abilities {
        Abilities { publishes: true, follows: true, reads: false, holds_connection: true }
    }

    fn publish<'a>(
        &'a self,
        secret: &'a str,
        records: Vec<Sent>,
    ) -> Soon<'a, Result<Vec<Receipt>, Told>> {
        Box::pin(async move { self.session(secret).await?.publish(&records).await })
    }

    fn follow<'a>(
        &'a self,
        secret: &'a str,
        filter: &'a str,
        start: Start,
    ) -> Soon<'a, Result<Box<dyn Tail>, Told>> {
        Box::pin(async move {
            let mut session = self.session(secret).await?;
            session.subscribe(filter, start).await?;
            Ok(Box::new(session) as Box<dyn Tail>)
        })
    }

    fn read<'a>(
        &'a self,
        _secret: &'a str,
        _topic: &'a str,
        _start: Start,
        _limit: usize,
    ) -> Soon<'a, Result<Page, Told>> {
        unable("a WebSocket follows")
    }

    /// As a client that has connected, and as a stranger; the latter's fate is answered.
    fn hostile<'a>(&'a self, secret: &'a str, bytes: &'a [u8]) -> Soon<'a, Aftermath> {
        Box::pin(async move {
            if let Ok(mut session) = self.session(secret).await {
                // Refused or closed, but answered.
                let _ = session.send_raw(bytes).await;
            }
            let Ok(messages) = self.dial().await else { return Aftermath::Closed };
            match JsonSession::stranger(messages).send_raw(bytes).await {
                Ok(frame) => Aftermath::Refused(Told::from_error(&frame["error"])),
                Err(_) => Aftermath::Closed,
            }
        })
    }
}
