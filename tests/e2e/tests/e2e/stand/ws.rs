//! A client of `mainstem.v1.json`, and the dialling that both subprotocols share.

use super::got::{Got, Sent};
use super::within;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::VecDeque;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub const JSON: &str = "mainstem.v1.json";
pub const BINARY: &str = "mainstem.v1.bin";

/// Opens a socket; the credential, if any, goes with the upgrade as a bearer.
pub async fn dial(url: &str, secret: Option<&str>, subprotocol: &str) -> Result<Socket, Error> {
    let bearer = secret.map(|secret| format!("Bearer {secret}"));
    dial_as(url, "", bearer.as_deref().map(|bearer| ("authorization", bearer)), subprotocol).await
}

pub async fn dial_with_key(url: &str, secret: &str) -> Socket {
    let header = Some(("x-api-key", secret));
    dial_as(url, "", header, JSON).await.expect("a socket opens")
}

/// As browsers do, which cannot set headers.
pub async fn dial_with_query(url: &str, secret: &str) -> Socket {
    let query = format!("?access_token={secret}");
    dial_as(url, &query, None, JSON).await.expect("a socket opens")
}

async fn dial_as(
    url: &str,
    query: &str,
    header: Option<(&'static str, &str)>,
    subprotocol: &str,
) -> Result<Socket, Error> {
    let url = format!("{}/v1/ws{query}", url.replacen("http", "ws", 1));
    let mut request = url.into_client_request()?;
    let value = |text: &str| HeaderValue::from_str(text).expect("a header's value");
    request.headers_mut().insert("sec-websocket-protocol", value(subprotocol));
    if let Some((name, text)) = header {
        request.headers_mut().insert(name, value(text));
    }
    let (socket, _) = within("a handshake", connect_async(request)).await?;
    Ok(socket)
}

/// What the socket brings next.
#[derive(Debug)]
pub enum Brought {
    Message(Vec<u8>),
    Closed(Option<u16>),
}

pub async fn bring(socket: &mut Socket) -> Brought {
    loop {
        match within("a message", socket.next()).await {
            Some(Ok(Message::Text(text))) => {
                return Brought::Message(text.as_bytes().to_vec());
            }
            Some(Ok(Message::Binary(bytes))) => return Brought::Message(bytes.to_vec()),
            Some(Ok(Message::Close(frame))) => {
                return Brought::Closed(frame.map(|frame| frame.code.into()));
            }
            // Pings are answered by the library.
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Brought::Closed(None),
        }
    }
}

/// Passes over messages until the end, and answers its code.
pub async fn closed(socket: &mut Socket) -> Option<u16> {
    loop {
        if let Brought::Closed(code) = bring(socket).await {
            return code;
        }
    }
}

pub struct Client {
    pub socket: Socket,
    calls: u32,
    /// What came while an answer was awaited.
    waiting: VecDeque<Value>,
}

impl Client {
    /// Connected, by the upgrade.
    pub async fn open(url: &str, secret: &str) -> Client {
        let socket = dial(url, Some(secret), JSON).await.expect("a socket opens");
        let mut client = Client::over(socket);
        let connected = client.next().await.expect("the server greets");
        assert_eq!(connected["type"], "connected", "{connected}");
        client
    }

    pub fn over(socket: Socket) -> Client {
        Client { socket, calls: 0, waiting: VecDeque::new() }
    }

    pub async fn say(&mut self, frame: &Value) {
        // A socket that is over says so when it is read.
        let _ = self.socket.send(Message::text(frame.to_string())).await;
    }

    /// The next frame, or the close code.
    pub async fn next(&mut self) -> Result<Value, Option<u16>> {
        if let Some(frame) = self.waiting.pop_front() {
            return Ok(frame);
        }
        self.fresh().await
    }

    async fn fresh(&mut self) -> Result<Value, Option<u16>> {
        match bring(&mut self.socket).await {
            Brought::Message(text) => {
                Ok(serde_json::from_slice(&text).expect("the server speaks JSON"))
            }
            Brought::Closed(code) => Err(code),
        }
    }

    /// A request; answers its answer, an error too, or the close code.
    pub async fn call(&mut self, mut request: Value) -> Result<Value, Option<u16>> {
        self.calls += 1;
        let id = self.calls;
        request["id"] = id.into();
        self.say(&request).await;
        loop {
            let frame = self.fresh().await?;
            if frame["id"] == id {
                return Ok(frame);
            }
            self.waiting.push_back(frame);
        }
    }

    /// A request that must not be refused.
    pub async fn done(&mut self, request: Value) -> Value {
        let answer = self.call(request.clone()).await;
        let answer = answer.unwrap_or_else(|code| panic!("{request}: closed {code:?}"));
        assert_ne!(answer["type"], "error", "{request}: {answer}");
        answer
    }

    /// Answers the cursor where the subscription begins.
    pub async fn subscribe(&mut self, sub: u32, filter: &str, from: Value) -> String {
        let request = json!({ "type": "subscribe", "sub": sub, "filter": filter, "from": from });
        let answer = self.done(request).await;
        answer["cursor"].as_str().expect("a cursor").to_owned()
    }

    pub async fn publish(&mut self, sent: &[Sent]) -> Value {
        let views: Vec<Value> = sent.iter().map(Sent::view).collect();
        self.done(json!({ "type": "publish", "records": views })).await
    }

    /// The next record; news about the subscription are passed over.
    pub async fn record(&mut self) -> Got {
        loop {
            let frame = self.next().await.expect("a record before the end");
            match frame["type"].as_str() {
                Some("record") => return Got::from_view(&frame),
                Some("caught_up") => {}
                _ => panic!("no record: {frame}"),
            }
        }
    }
}
