//! An HTTP/1.1 receiver on loopback, written by hand so that it can behave as badly as it likes.

use parking_lot::Mutex;
use standard_webhooks::{Received, TOLERANCE_S, VerifyingKey, verify};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it does with the next request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Status(u16),
    /// Status, header lines, body.
    With(u16, &'static str, String),
    /// Never answers.
    Hang,
    /// A status, and a body that never ends nor comes.
    Stall,
    /// A body without end, as fast as it is taken.
    Flood,
    /// Closes in the middle of the request.
    Reset,
    /// Not HTTP.
    Nonsense,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// As a receiver checks it.
    pub(super) fn is_signed_with(&self, secret: &str) -> bool {
        let received = Received {
            id: self.header("webhook-id"),
            timestamp: self.header("webhook-timestamp"),
            signatures: self.header("webhook-signature"),
        };
        let key = VerifyingKey::parse(secret).expect("a secret");
        let now_s = super::clock().now_ms() / 1_000;
        verify(&[key], received, &self.body, now_s, TOLERANCE_S).is_ok()
    }
}

#[derive(Default)]
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    got: Mutex<Vec<Got>>,
    came: tokio::sync::Notify,
}

/// Ends with the runtime of its test.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    script: Arc<Script>,
}

impl Receiver {
    /// After the given replies every request is answered with 204.
    pub(super) async fn start(replies: impl IntoIterator<Item = Reply>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let script = Arc::new(Script::default());
        script.replies.lock().extend(replies);
        let serving = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Receiver { address, script }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.script.got.lock().clone()
    }

    /// Waits until so many requests came.
    pub(super) async fn wait_for(&self, count: usize) -> Vec<Got> {
        let coming = async {
            loop {
                let came = self.script.came.notified();
                let got = self.got();
                if got.len() >= count {
                    return got;
                }
                came.await;
            }
        };
        let limit = std::time::Duration::from_secs(60);
        tokio::time::timeout(limit, coming).await.expect("requests come in time")
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>) {
    loop {
        let Some(got) = read(&mut stream).await else { return };
        let reply = script.replies.lock().pop_front().unwrap_or(Reply::Status(204));
        script.got.lock().push(got);
        script.came.notify_waiters();
        if answer(&mut stream, reply).await.is_none() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Got> {
    let mut text = Vec::new();
    let end = loop {
        if let Some(at) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        text.extend_from_slice(&piece[..count]);
    };
    let head = String::from_utf8_lossy(&text[..end]).into_owned();
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers: HashMap<String, String> =
        lines.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let length: usize = headers.get("content-length").map_or(0, |text| text.parse().expect("n"));
    let mut body = text[end + 4..].to_vec();
    while body.len() < length {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        body.extend_from_slice(&piece[..count]);
    }
    Some(Got { headers, body })
}

/// `None` ends the connection.
async fn answer(stream: &mut TcpStream, reply: Reply) -> Option<()> {
    let text = match reply {
        Reply::Status(204) => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        Reply::Status(status) => format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n"),
        Reply::With(status, headers, body) => {
            let length = body.len();
            format!("HTTP/1.1 {status} Said\r\n{headers}content-length: {length}\r\n\r\n{body}")
        }
        Reply::Hang => {
            // Until the other side gives up.
            let _ = stream.read(&mut [0; 1]).await;
            return None;
        }
        Reply::Stall => {
            let head = b"HTTP/1.1 500 Said\r\ncontent-length: 1000\r\n\r\nsorry";
            stream.write_all(head).await.ok()?;
            let _ = stream.read(&mut [0; 1]).await;
            return None;
        }
        Reply::Flood => {
            let head = b"HTTP/1.1 500 Said\r\ncontent-length: 100000000000\r\n\r\n";
            stream.write_all(head).await.ok()?;
            loop {
                stream.write_all(&[b'x'; 16 * 1024]).await.ok()?;
            }
        }
        Reply::Reset => return None,
        Reply::Nonsense => "EHLO mail\r\n\r\n".to_owned(),
    };
    stream.write_all(text.as_bytes()).await.ok()
}
