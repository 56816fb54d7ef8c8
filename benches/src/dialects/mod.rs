//! Publishing as each server's clients do it, at the least cost for the client: our HTTP and
//! WebSocket faces, NATS JetStream, RabbitMQ with confirms, and Apache Kafka.

mod amqp;
mod json;
mod kafka;
mod nats;

pub use amqp::Amqp;
pub use json::{Batch, Http, HttpWithIds, WebSocket};
pub use kafka::Kafka;
pub use nats::Nats;

use crate::Fault;
use std::io::Read;
use std::net::TcpStream;

/// Reads until `is_whole` says that what has come is enough.
fn read_until(socket: &mut TcpStream, is_whole: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, Fault> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    while !is_whole(&bytes) {
        let count = socket.read(&mut piece)?;
        if count == 0 {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return Err(format!("the server closed the connection after {text:?}").into());
        }
        bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
    Ok(bytes)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
