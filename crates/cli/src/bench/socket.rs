//! A WebSocket client of `mainstem.v1.json`, with small buffers so that thousands fit.

use crate::target::{Api, refusal};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const BUFFER_BYTES: usize = 4096;

pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn connect(api: &Api) -> Result<Socket, String> {
        let url = format!("{}/v1/ws", api.url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", HeaderValue::from_static("mainstem.v1.json"));
        let bearer = HeaderValue::from_str(&format!("Bearer {}", api.secret));
        headers.insert("authorization", bearer.map_err(|error| error.to_string())?);
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES);
        let connected =
            tokio_tungstenite::connect_async_with_config(request, Some(config), true).await;
        match connected {
            Ok((stream, _)) => Ok(Socket(stream)),
            Err(Error::Http(answer)) => {
                let body = answer.body().as_deref().unwrap_or_default();
                let text = String::from_utf8_lossy(body);
                Err(refusal(&text).unwrap_or_else(|| answer.status().to_string()))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    pub async fn send(&mut self, text: String) -> Result<(), String> {
        self.0.send(Message::text(text)).await.map_err(|error| error.to_string())
    }

    /// The next text message; pings are answered by the library.
    pub async fn next(&mut self) -> Result<String, String> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(frame))) => return Err(format!("closed: {frame:?}")),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("the connection ended".to_owned()),
            }
        }
    }

    /// The next message of this type; an error message is an error.
    pub async fn wait_for(&mut self, kind: &str) -> Result<String, String> {
        let wanted = format!("{{\"type\":\"{kind}\"");
        loop {
            let text = self.next().await?;
            if text.starts_with(&wanted) {
                return Ok(text);
            }
            if text.starts_with("{\"type\":\"error\"") {
                return Err(refusal(&text).unwrap_or(text));
            }
        }
    }
}
