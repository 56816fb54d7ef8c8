//! Redis: commands and replies as RESP2, `SUBSCRIBE` and `PUBLISH`.

use super::topic;
use cli::bench::dialects::{Role, Settings};
use std::io::Write;
use swarm::{Dialect, Heard, Line, stamp};

pub struct Resp(pub Settings);

impl Dialect for Resp {
    fn begin(&self, line: &mut Line, out: &mut Vec<u8>) {
        match self.0.role {
            Role::Follow => command(out, &[b"SUBSCRIBE", topic(&self.0, line.stream).as_bytes()]),
            Role::Publish => command(out, &[b"PING"]),
        }
    }

    fn hear(
        &self,
        line: &mut Line,
        input: &[u8],
        heard: &mut Heard,
        _out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut taken = 0;
        while let Some(reply) = input.get(taken..).and_then(|rest| rest.get(..length(rest)?)) {
            taken += reply.len();
            match reply.first() {
                Some(b'*') => match stamp::find(reply) {
                    Some((stamp, _)) => heard.record(line, stamp, None),
                    None => heard.is_ready = true,
                },
                Some(b':') => heard.answered += 1,
                Some(b'-') => return Err(String::from_utf8_lossy(reply).into_owned()),
                _ => heard.is_ready = true,
            }
        }
        Ok(taken)
    }

    fn publish(&self, _line: &mut Line, stream: u32, values: &[Vec<u8>], out: &mut Vec<u8>) {
        let topic = topic(&self.0, stream);
        // One call of ours is as many commands as it has values; only the last one's answer
        // would count, so the load publishes one at a time.
        for value in values {
            command(out, &[b"PUBLISH", topic.as_bytes(), value]);
        }
    }
}

fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    // Writing into memory does not fail.
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(out, "${}\r\n", word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// Bytes of the reply at the beginning, if it is whole.
fn length(input: &[u8]) -> Option<usize> {
    let line = memchr::memchr(b'\n', input)? + 1;
    let number = || -> Option<i64> {
        std::str::from_utf8(input.get(1..line.checked_sub(2)?)?).ok()?.parse().ok()
    };
    match input.first()? {
        b'$' => match usize::try_from(number()?) {
            Ok(bytes) => {
                let all = line + bytes + 2;
                (input.len() >= all).then_some(all)
            }
            Err(_) => Some(line),
        },
        b'*' => {
            let mut all = line;
            for _ in 0..number()?.max(0) {
                all += length(input.get(all..)?)?;
            }
            Some(all)
        }
        _ => Some(line),
    }
}
