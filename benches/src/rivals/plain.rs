//! The servers that are a library and not a protocol, and the bare loop: `+topic` subscribes and is
//! answered `ok`, `topic value` publishes, a record is its value.

use super::topic;
use cli::bench::dialects::{Role, Settings};
use std::io::Write;
use swarm::ws::{Kind, Talk};
use swarm::{Heard, Line, stamp};

pub struct Plain(pub Settings);

impl Talk for Plain {
    fn path(&self, _line: &Line) -> String {
        "/".to_owned()
    }

    fn host(&self) -> String {
        self.0.host.clone()
    }

    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn opened(&self, line: &mut Line, heard: &mut Heard, say: &mut Vec<u8>) {
        match self.0.role {
            // Writing into memory does not fail.
            Role::Follow => drop(write!(say, "+{}", topic(&self.0, line.stream))),
            Role::Publish => heard.is_ready = true,
        }
    }

    fn message(
        &self,
        line: &mut Line,
        message: &[u8],
        heard: &mut Heard,
        _say: &mut Vec<u8>,
    ) -> Result<(), String> {
        match stamp::find(message) {
            Some((stamp, _)) => heard.record(line, stamp, None),
            None => heard.is_ready |= message == b"ok",
        }
        Ok(())
    }

    fn publish(&self, _line: &mut Line, stream: u32, values: &[Vec<u8>], say: &mut Vec<u8>) {
        // One record is one message; the load publishes one at a time.
        for value in values.iter().take(1) {
            let _ = write!(say, "{} ", topic(&self.0, stream));
            say.extend_from_slice(value);
        }
    }

    fn answers(&self) -> bool {
        false
    }
}
