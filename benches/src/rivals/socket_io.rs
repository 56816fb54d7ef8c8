//! socket.io: its packets (protocol 5) in Engine.IO messages (protocol 4) over WebSocket alone.

use super::topic;
use cli::bench::dialects::{Role, Settings};
use std::io::Write;
use swarm::ws::{Kind, Talk};
use swarm::{Heard, Line, stamp};

pub struct SocketIo(pub Settings);

impl Talk for SocketIo {
    fn path(&self, _line: &Line) -> String {
        "/socket.io/?EIO=4&transport=websocket".to_owned()
    }

    fn host(&self) -> String {
        self.0.host.clone()
    }

    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn opened(&self, _line: &mut Line, _heard: &mut Heard, say: &mut Vec<u8>) {
        say.extend_from_slice(b"40");
    }

    fn message(
        &self,
        line: &mut Line,
        message: &[u8],
        heard: &mut Heard,
        say: &mut Vec<u8>,
    ) -> Result<(), String> {
        match message {
            [b'2'] => say.push(b'3'),
            [b'4', b'2', ..] => match stamp::find(message) {
                Some((stamp, _)) => heard.record(line, stamp, None),
                None => heard.is_ready = true,
            },
            [b'4', b'0', ..] => match self.0.role {
                Role::Follow => {
                    // Writing into memory does not fail.
                    let _ = write!(say, "42[\"join\",\"{}\"]", topic(&self.0, line.stream));
                }
                Role::Publish => heard.is_ready = true,
            },
            [b'4', b'4', ..] => return Err(String::from_utf8_lossy(message).into_owned()),
            _ => {}
        }
        Ok(())
    }

    fn publish(&self, _line: &mut Line, stream: u32, values: &[Vec<u8>], say: &mut Vec<u8>) {
        // One record is one event; the load publishes one at a time.
        for value in values.iter().take(1) {
            let _ = write!(say, "42[\"publish\",\"{}\",\"", topic(&self.0, stream));
            say.extend_from_slice(value);
            say.extend_from_slice(b"\"]");
        }
    }

    fn answers(&self) -> bool {
        false
    }
}
