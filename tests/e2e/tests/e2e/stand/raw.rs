//! A TCP connection on which anything can be said, for clients that keep to no protocol.

use super::within;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Raw {
    stream: TcpStream,
}

/// An answer of HTTP/1.1 as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Raw {
    pub async fn connect(authority: &str) -> Raw {
        let stream = within("a connection", TcpStream::connect(authority)).await;
        Raw { stream: stream.expect("the server accepts") }
    }

    /// Says it; `false` when the server has gone already.
    pub async fn say(&mut self, bytes: &[u8]) -> bool {
        within("room to write", self.stream.write_all(bytes)).await.is_ok()
    }

    /// No more will be said; answers still come.
    pub async fn finish(&mut self) {
        // A connection that is over is finished, too.
        let _ = self.stream.shutdown().await;
    }

    /// Everything until the server closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        // A reset ends it as well.
        let _ = within("the end of the connection", self.stream.read_to_end(&mut all)).await;
        all
    }

    /// Everything until the server closes, as one answer; `None` when it said nothing.
    pub async fn answer(&mut self) -> Option<Answer> {
        let all = self.rest().await;
        if all.is_empty() {
            return None;
        }
        let text = String::from_utf8_lossy(&all);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Some(Answer {
            status: status.unwrap_or_else(|| panic!("no answer of HTTP: {text}")),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        })
    }
}
