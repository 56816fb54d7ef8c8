//! Answers to what never became a request: written to the socket by hand, in the one error shape,
//! then the connection ends without cutting its own last words off.

use super::io::Stream;
use port::{Code, Refusal, RequestId};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A client that goes on sending is read from for so long, since closing on unread bytes resets
/// the connection and takes the answer with it.
const LINGER: Duration = Duration::from_secs(1);
/// And for at most so many bytes.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// The answer hyper gives by itself when it cannot parse a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bare {
    BadRequest,
    UriTooLong,
    HeadTooLarge,
    /// Not hyper's, ours: the head did not come in time.
    Timeout,
}

/// hyper's bare answers are short, and lack the request id that all of ours carry.
const BARE_BYTES_MAX: usize = 256;

impl Bare {
    /// Recognises such an answer in what hyper writes.
    pub fn find(written: &[u8]) -> Option<Bare> {
        if written.len() > BARE_BYTES_MAX || !written.ends_with(b"\r\n\r\n") {
            return None;
        }
        let text = std::str::from_utf8(written).ok()?;
        if !text.contains("\r\ncontent-length: 0\r\n") || text.contains("x-request-id") {
            return None;
        }
        match text.strip_prefix("HTTP/1.1 ")?.get(..4)? {
            "400 " => Some(Bare::BadRequest),
            "414 " => Some(Bare::UriTooLong),
            "431 " => Some(Bare::HeadTooLarge),
            _ => None,
        }
    }

    pub fn status(self) -> u16 {
        match self {
            Bare::BadRequest => 400,
            Bare::Timeout => 408,
            Bare::UriTooLong => 414,
            Bare::HeadTooLarge => 431,
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Bare::BadRequest => "bad_head",
            Bare::Timeout => "head_timeout",
            Bare::UriTooLong => "uri_too_long",
            Bare::HeadTooLarge => "head_too_large",
        }
    }

    pub fn refusal(self) -> Refusal {
        match self {
            Bare::BadRequest => {
                Refusal::new(Code::InvalidRequest, "this is not a well-formed HTTP request")
            }
            Bare::Timeout => Refusal::new(Code::InvalidRequest, "the request did not come in time"),
            Bare::UriTooLong => Refusal::new(Code::PayloadTooLarge, "the URI is too long"),
            Bare::HeadTooLarge => {
                Refusal::new(Code::PayloadTooLarge, "the request has too many or too long headers")
            }
        }
    }
}

/// A whole HTTP/1.1 answer that ends the connection.
pub fn answer(status: u16, refusal: &Refusal, request: Option<&RequestId>) -> Vec<u8> {
    let body = wire_http::error_body(refusal, request);
    let status = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_REQUEST);
    let mut head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Error"),
        body.len(),
    );
    if let Some(request) = request {
        head.push_str(&format!("x-request-id: {request}\r\n"));
    }
    if let Some(wait) = refusal.wait() {
        head.push_str(&format!("retry-after: {}\r\n", wait.as_secs().max(1)));
    }
    head.push_str("\r\n");
    let mut answer = head.into_bytes();
    answer.extend_from_slice(&body);
    answer
}

/// Tells the client, ends our side, and waits a moment for its end.
pub async fn refuse(mut stream: Stream, bare: Bare, request: &RequestId) {
    crate::accept::refused(bare.label());
    let bytes = answer(bare.status(), &bare.refusal(), Some(request));
    let words = async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await?;
        let mut left = LINGER_BYTES_MAX;
        let mut sink = vec![0; 16 * 1024];
        while left > 0 {
            match stream.read(&mut sink).await? {
                0 => break,
                count => left = left.saturating_sub(count),
            }
        }
        std::io::Result::Ok(())
    };
    let _ = tokio::time::timeout(LINGER, words).await;
}
