//! `mainstem.v1.bin`, the client's half: numbers are LEB128, texts have their length before them.

use super::{Role, Settings};
use swarm::stamp;
use swarm::ws::{Kind, Talk};
use swarm::{Heard, Line};

const SUBSCRIBE: u8 = 3;
const PUBLISH: u8 = 5;
const CONNECTED: u8 = 1;
const SUBSCRIBED: u8 = 3;
const PUBLISHED: u8 = 5;
const ERROR: u8 = 8;
const RECORD: u8 = 10;
const ENDED: u8 = 13;
/// Where a subscription begins.
const FROM_LATEST: u8 = 0;
const FROM_CURSORS: u8 = 4;
/// Members of a published record.
const HAS_KEY: u8 = 1;
const HAS_VALUE: u8 = 2;

pub struct Binary(pub Settings);

impl Talk for Binary {
    fn path(&self, _line: &Line) -> String {
        "/v1/ws".to_owned()
    }

    fn headers(&self, line: &Line) -> String {
        let secret = self.0.secret(line.number);
        format!("Authorization: Bearer {secret}\r\nSec-WebSocket-Protocol: mainstem.v1.bin\r\n")
    }

    fn host(&self) -> String {
        self.0.host.clone()
    }

    fn kind(&self) -> Kind {
        Kind::Binary
    }

    fn opened(&self, line: &mut Line, _heard: &mut Heard, say: &mut Vec<u8>) {
        if self.0.role != Role::Follow {
            return;
        }
        // Number of the request, number of the subscription, no flags.
        say.extend_from_slice(&[SUBSCRIBE, 1, 1, 0]);
        bytes(say, self.0.filter(line.stream).as_bytes());
        match &line.cursor {
            None => say.push(FROM_LATEST),
            Some(cursor) => {
                say.extend_from_slice(&[FROM_CURSORS, 1]);
                bytes(say, cursor.as_bytes());
            }
        }
    }

    fn message(
        &self,
        line: &mut Line,
        message: &[u8],
        heard: &mut Heard,
        _say: &mut Vec<u8>,
    ) -> Result<(), String> {
        let [kind, rest @ ..] = message else { return Ok(()) };
        match *kind {
            RECORD => record(line, rest, heard),
            PUBLISHED => heard.answered += 1,
            CONNECTED => heard.is_ready |= self.0.role == Role::Publish,
            SUBSCRIBED => {
                heard.is_ready = true;
                let mut reader = Reader(rest);
                let cursor = reader.number().and(reader.number()).and_then(|_| reader.text());
                if heard.keeps_cursors {
                    line.cursor = cursor.map(Into::into);
                }
            }
            ERROR => {
                let mut reader = Reader(rest);
                let is_ours = reader.number() == Some(1);
                if is_ours {
                    reader.number();
                }
                let why = refusal(&mut reader);
                if !is_ours || self.0.role == Role::Follow {
                    return Err(why);
                }
                heard.refuse(&why);
            }
            ENDED => {
                let mut reader = Reader(rest);
                reader.number();
                return Err(refusal(&mut reader));
            }
            _ => {}
        }
        Ok(())
    }

    fn publish(&self, line: &mut Line, stream: u32, values: &[Vec<u8>], say: &mut Vec<u8>) {
        let (topic, key) = self.0.place(stream);
        line.call = line.call.wrapping_add(1);
        say.push(PUBLISH);
        number(say, u64::from(line.call));
        number(say, values.len() as u64);
        for value in values {
            bytes(say, topic.as_bytes());
            say.push(HAS_VALUE | if key.is_some() { HAS_KEY } else { 0 });
            if let Some(key) = &key {
                bytes(say, key.as_bytes());
            }
            // A text in JSON, as the other protocols publish it: so all can show it.
            number(say, value.len() as u64 + 2);
            say.push(b'"');
            say.extend_from_slice(value);
            say.push(b'"');
        }
    }
}

fn record(line: &mut Line, rest: &[u8], heard: &mut Heard) {
    let Some((stamp, _)) = stamp::find(rest) else { return };
    let place = heard.keeps_cursors.then(|| place(rest)).flatten();
    let offset = place.map(|(offset, cursor)| {
        line.cursor = Some(cursor.into());
        offset
    });
    heard.record(line, stamp, offset);
}

/// Offset and cursor of a record.
fn place(rest: &[u8]) -> Option<(u64, &str)> {
    let mut reader = Reader(rest);
    let _subscription = reader.number()?;
    let _topic = reader.bytes()?;
    let _partition = reader.number()?;
    let offset = reader.number()?;
    let _timestamp = reader.number()?;
    let flags = reader.number()?;
    for _ in 0..(flags & 1) + (flags >> 1 & 1) {
        reader.bytes()?;
    }
    for _ in 0..reader.number()? * 2 {
        reader.bytes()?;
    }
    Some((offset, reader.text()?))
}

fn refusal(reader: &mut Reader<'_>) -> String {
    let code = reader.text().unwrap_or("an error");
    let message = reader.text().unwrap_or_default();
    format!("{code}: {message}")
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    number(out, value.len() as u64);
    out.extend_from_slice(value);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for (index, &byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7F).checked_shl(index as u32 * 7)?;
            if byte & 0x80 == 0 {
                self.0 = self.0.get(index + 1..)?;
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (value, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(value)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}
