//! nats-server: its text protocol as a stream of bytes in WebSocket frames, which may hold several
//! messages or a part of one.

use super::topic;
use cli::bench::dialects::{Role, Settings};
use memchr::memmem;
use std::io::Write;
use swarm::ws::{Kind, Talk};
use swarm::{Heard, Line, stamp};

pub struct Nats(pub Settings);

impl Talk for Nats {
    fn path(&self, _line: &Line) -> String {
        "/".to_owned()
    }

    fn host(&self) -> String {
        self.0.host.clone()
    }

    fn kind(&self) -> Kind {
        Kind::Binary
    }

    fn opened(&self, line: &mut Line, _heard: &mut Heard, say: &mut Vec<u8>) {
        say.extend_from_slice(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
        if self.0.role == Role::Follow {
            // Writing into memory does not fail.
            let _ = write!(say, "SUB {} 1\r\n", topic(&self.0, line.stream));
        }
        say.extend_from_slice(b"PING\r\n");
    }

    fn message(
        &self,
        line: &mut Line,
        message: &[u8],
        heard: &mut Heard,
        say: &mut Vec<u8>,
    ) -> Result<(), String> {
        if line.inner.is_empty() {
            let taken = take(line, message, heard, say)?;
            line.inner = message.get(taken..).unwrap_or_default().to_vec();
            return Ok(());
        }
        let mut all = std::mem::take(&mut line.inner);
        all.extend_from_slice(message);
        let taken = take(line, &all, heard, say)?;
        line.inner = all.split_off(taken);
        Ok(())
    }

    fn publish(&self, _line: &mut Line, stream: u32, values: &[Vec<u8>], say: &mut Vec<u8>) {
        let topic = topic(&self.0, stream);
        for value in values {
            let _ = write!(say, "PUB {topic} {}\r\n", value.len());
            say.extend_from_slice(value);
            say.extend_from_slice(b"\r\n");
        }
    }

    fn answers(&self) -> bool {
        false
    }
}

/// Whole messages; answers how many bytes they were.
fn take(
    line: &mut Line,
    input: &[u8],
    heard: &mut Heard,
    say: &mut Vec<u8>,
) -> Result<usize, String> {
    let mut taken = 0;
    loop {
        let rest = input.get(taken..).unwrap_or_default();
        let Some(end) = memmem::find(rest, b"\r\n") else { return Ok(taken) };
        let head = rest.get(..end).unwrap_or_default();
        let mut bytes = end + 2;
        if head.starts_with(b"MSG ") {
            let size = head.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
            let size = std::str::from_utf8(size).ok().and_then(|text| text.parse::<usize>().ok());
            bytes += size.ok_or("a message without a size")? + 2;
            let Some(whole) = rest.get(..bytes) else { return Ok(taken) };
            if let Some((stamp, _)) = stamp::find(whole) {
                heard.record(line, stamp, None);
            }
        } else if head == b"PING" {
            say.extend_from_slice(b"PONG\r\n");
        } else if head == b"PONG" {
            heard.is_ready = true;
        } else if head.starts_with(b"-ERR") {
            return Err(String::from_utf8_lossy(head).into_owned());
        }
        taken += bytes;
    }
}
