//! The least HTTP/1.1 client that benches need: one request, one answer, on a connection that
//! stays open; and the head of an answer taken apart.

use crate::Fault;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const ANSWER_MAX: Duration = Duration::from_secs(30);
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The parts of an answer's head that a client must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// Bytes of the head, its empty line included.
    pub head_bytes: usize,
    pub body: Body,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    Length(usize),
    Chunked,
}

/// The head at the begin of `bytes`; `None` until it is whole.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, Fault> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        if bytes.len() > HEAD_BYTES_MAX {
            return Err("an answer without an end of its head".into());
        }
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end])?;
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    let mut body = Body::Length(0);
    for line in text.lines().skip(1) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            body = Body::Length(value.parse()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") && value == "chunked" {
            body = Body::Chunked;
        }
    }
    let status = status.ok_or("an answer without a status")?;
    Ok(Some(Head { status, head_bytes: end + 4, body }))
}

/// A `POST` of JSON with a key, ready to be written as often as wanted.
pub fn post(address: SocketAddr, path: &str, key: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A connection that is used for one request after the other.
pub struct Client {
    socket: TcpStream,
    address: SocketAddr,
    key: String,
}

impl Client {
    pub fn connect(address: SocketAddr, key: &str) -> Result<Client, Fault> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Client { socket, address, key: key.to_owned() })
    }

    pub fn get(&mut self, path: &str) -> Result<(u16, String), Fault> {
        let authorization = match self.key.as_str() {
            "" => String::new(),
            key => format!("authorization: Bearer {key}\r\n"),
        };
        let address = self.address;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{authorization}\r\n");
        self.call(request.as_bytes())
    }

    /// Publishes, and says how long that took only by returning.
    pub fn post(&mut self, path: &str, body: &str) -> Result<(u16, String), Fault> {
        let request = post(self.address, path, &self.key, body);
        self.call(&request)
    }

    pub fn put(&mut self, path: &str, body: &str) -> Result<(u16, String), Fault> {
        let request = post(self.address, path, &self.key, body);
        let request = [b"PUT", request.strip_prefix(b"POST").unwrap_or(&request)].concat();
        self.call(&request)
    }

    fn call(&mut self, request: &[u8]) -> Result<(u16, String), Fault> {
        self.socket.write_all(request)?;
        let (mut bytes, mut piece) = (Vec::new(), [0; 16 * 1024]);
        loop {
            let count = self.socket.read(&mut piece)?;
            if count == 0 {
                return Err("the server closed the connection".into());
            }
            bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
            let Some(head) = head(&bytes)? else { continue };
            let Body::Length(length) = head.body else {
                return Err("a chunked answer where none was expected".into());
            };
            if bytes.len() >= head.head_bytes + length {
                let body = String::from_utf8(bytes.split_off(head.head_bytes))?;
                return Ok((head.status, body));
            }
        }
    }
}

/// Chunks of an answer (RFC 9112, section 7.1) as they come in, cut anywhere.
#[derive(Debug, Default)]
pub struct Chunks {
    /// Bytes of the current chunk still to come, its line end included.
    left: usize,
    line: Vec<u8>,
}

impl Chunks {
    /// Passes the payload in `bytes` on, piece by piece.
    pub fn take(&mut self, mut bytes: &[u8], mut payload: impl FnMut(&[u8])) -> Result<(), Fault> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let (piece, rest) = bytes.split_at(self.left.min(bytes.len()));
                // The last two bytes of a chunk are its line end.
                let is_payload = piece.len().min(self.left.saturating_sub(2));
                payload(piece.get(..is_payload).unwrap_or_default());
                self.left -= piece.len();
                bytes = rest;
                continue;
            }
            let (first, rest) = bytes.split_at(1);
            bytes = rest;
            self.line.extend_from_slice(first);
            if first == b"\n" {
                let text = std::str::from_utf8(&self.line)?.trim();
                let size = text.split(';').next().unwrap_or_default();
                self.left = usize::from_str_radix(size, 16)? + 2;
                self.line.clear();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together_however_they_are_cut() {
        let stream = b"5\r\nhello\r\n1;x=y\r\n,\r\n6\r\n world\r\n";
        for size in 1..stream.len() {
            let (mut chunks, mut text) = (Chunks::default(), Vec::new());
            for piece in stream.chunks(size) {
                chunks.take(piece, |bytes| text.extend_from_slice(bytes)).unwrap();
            }
            assert_eq!(text, b"hello, world", "in pieces of {size}");
        }
    }

    #[test]
    fn heads_tell_status_and_body() {
        let answer = b"HTTP/1.1 207 Multi-Status\r\nContent-Length: 12\r\n\r\nbody";
        let expect = Head { status: 207, head_bytes: 49, body: Body::Length(12) };
        assert_eq!(head(answer).unwrap(), Some(expect));
        assert_eq!(head(&answer[..40]).unwrap(), None);
        assert!(head(b"nonsense\r\n\r\n").is_err());
    }
}
