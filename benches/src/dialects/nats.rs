//! Publishing to NATS JetStream over its text protocol: each record asks for an acknowledgement
//! by naming an inbox, and each is acknowledged by a message of its own.

use super::{Batch, contains, read_until};
use crate::Fault;
use crate::closed_loop::Dialect;
use std::io::Write;
use std::net::TcpStream;

const CONNECT: &str =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"bench\",\"version\":\"0\"}\r\n";

pub struct Nats {
    request: Vec<u8>,
    inbox: String,
    /// Bytes of an unfinished line or payload.
    held: Vec<u8>,
}

impl Nats {
    pub fn many(count: usize, batch: Batch<'_>) -> Vec<Nats> {
        (0..count).map(|index| Nats::new(index, batch)).collect()
    }

    fn new(index: usize, batch: Batch<'_>) -> Nats {
        let inbox = format!("_INBOX.bench{index}");
        let value = "x".repeat(batch.bytes);
        let one = format!("PUB {} {inbox} {}\r\n{value}\r\n", batch.topic, batch.bytes);
        Nats { request: one.repeat(batch.records).into_bytes(), inbox, held: Vec::new() }
    }

    /// Makes the stream that keeps the topic in files.
    pub fn make_stream(address: std::net::SocketAddr, topic: &str) -> Result<(), Fault> {
        let mut socket = TcpStream::connect(address)?;
        let config = format!(
            "{{\"name\":\"BENCH\",\"subjects\":[\"{topic}\"],\"storage\":\"file\",\
             \"retention\":\"limits\",\"num_replicas\":1}}"
        );
        let ask = |subject: &str, body: &str| {
            format!("PUB $JS.API.STREAM.{subject}.BENCH made {}\r\n{body}\r\n", body.len())
        };
        let create = ask("CREATE", &config);
        socket.write_all(format!("{CONNECT}SUB made 1\r\n{create}").as_bytes())?;
        let answer = read_until(&mut socket, |bytes| contains(bytes, "stream_create_response"))?;
        if contains(&answer, "\"error\"") {
            return Err(String::from_utf8_lossy(&answer).into());
        }
        Ok(())
    }

    /// Removes what was stored, so that runs do not grow on each other.
    pub fn purge(address: std::net::SocketAddr) -> Result<(), Fault> {
        let mut socket = TcpStream::connect(address)?;
        let purge = "PUB $JS.API.STREAM.PURGE.BENCH made 0\r\n\r\n";
        socket.write_all(format!("{CONNECT}SUB made 1\r\n{purge}").as_bytes())?;
        read_until(&mut socket, |bytes| contains(bytes, "stream_purge_response"))?;
        Ok(())
    }
}

impl Dialect for Nats {
    fn open(&mut self, socket: &mut TcpStream) -> Result<(), Fault> {
        socket.write_all(format!("{CONNECT}SUB {} 1\r\nPING\r\n", self.inbox).as_bytes())?;
        read_until(socket, |bytes| contains(bytes, "PONG\r\n"))?;
        Ok(())
    }

    fn batch(&self) -> &[u8] {
        &self.request
    }

    fn take(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        self.held.extend_from_slice(bytes);
        let (mut at, mut acknowledged) = (0, 0);
        while let Some(rest) = self.held.get(at..) {
            let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
                break;
            };
            let (line, rest) = rest.split_at(end);
            if line.starts_with(b"-ERR") {
                return Err(String::from_utf8_lossy(line).into());
            }
            if !line.starts_with(b"MSG ") {
                at += end + 2;
                continue;
            }
            // MSG <subject> <sid> <bytes>
            let line = std::str::from_utf8(line)?;
            let length: usize = line.rsplit(' ').next().unwrap_or_default().parse()?;
            let Some(payload) = rest.get(2..2 + length) else {
                break;
            };
            if rest.len() < length + 4 {
                break;
            }
            if contains(payload, "\"error\"") {
                return Err(String::from_utf8_lossy(payload).into());
            }
            acknowledged += 1;
            at += end + length + 4;
        }
        self.held.drain(..at);
        Ok(acknowledged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_counted_however_they_are_cut() {
        let stream = b"PING\r\nMSG _INBOX.bench0 1 26\r\n{\"stream\":\"BENCH\",\"seq\":12}\r\n";
        let stream = [&stream[..], &stream[..]].concat();
        for size in 1..stream.len() {
            let mut nats = Nats::new(0, Batch { topic: "t", records: 1, bytes: 8 });
            let count: usize = stream.chunks(size).map(|piece| nats.take(piece).unwrap()).sum();
            assert_eq!(count, 2, "in pieces of {size}");
        }
    }
}
