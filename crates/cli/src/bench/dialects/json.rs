//! `mainstem.v1.json`, the client's half.

use super::{Role, Settings, refused};
use std::io::Write;
use swarm::stamp::{self, number_after, text_after};
use swarm::ws::{Kind, Talk};
use swarm::{Heard, Line};

pub struct Json(pub Settings);

impl Talk for Json {
    fn path(&self, _line: &Line) -> String {
        "/v1/ws".to_owned()
    }

    fn headers(&self, line: &Line) -> String {
        let secret = self.0.secret(line.number);
        format!("Authorization: Bearer {secret}\r\nSec-WebSocket-Protocol: mainstem.v1.json\r\n")
    }

    fn host(&self) -> String {
        self.0.host.clone()
    }

    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn opened(&self, line: &mut Line, _heard: &mut Heard, say: &mut Vec<u8>) {
        if self.0.role == Role::Follow {
            let from = line.cursor.as_deref().unwrap_or("latest");
            let filter = self.0.filter(line.stream);
            // Writing into memory does not fail.
            let _ =
                write!(say, r#"{{"type":"subscribe","id":1,"filter":"{filter}","from":"{from}"}}"#);
        }
    }

    fn message(
        &self,
        line: &mut Line,
        message: &[u8],
        heard: &mut Heard,
        _say: &mut Vec<u8>,
    ) -> Result<(), String> {
        // The members of a frame have a fixed order, the type first.
        let kind = message.get(9..14).unwrap_or_default();
        match kind {
            b"recor" => record(line, message, heard),
            b"publi" => heard.answered += 1,
            b"subsc" => {
                heard.is_ready = true;
                keep_cursor(line, message, heard);
            }
            b"conne" => heard.is_ready |= self.0.role == Role::Publish,
            b"error" => {
                let why = refused(message);
                let is_ours = number_after(message, b"\"id\":").is_some();
                if !is_ours || self.0.role == Role::Follow {
                    return Err(why);
                }
                heard.refuse(&why);
            }
            b"ended" => return Err(refused(message)),
            _ => {}
        }
        Ok(())
    }

    fn publish(&self, line: &mut Line, stream: u32, values: &[Vec<u8>], say: &mut Vec<u8>) {
        let (topic, key) = self.0.place(stream);
        line.call = line.call.wrapping_add(1);
        let id = line.call;
        let _ = write!(say, r#"{{"type":"publish","id":{id},"records":["#);
        for (index, value) in values.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let _ = write!(say, r#"{comma}{{"topic":"{topic}""#);
            if let Some(key) = &key {
                let _ = write!(say, r#","key":"{key}""#);
            }
            say.extend_from_slice(b",\"data\":\"");
            say.extend_from_slice(value);
            say.extend_from_slice(b"\"}");
        }
        say.extend_from_slice(b"]}");
    }
}

fn record(line: &mut Line, message: &[u8], heard: &mut Heard) {
    let Some((stamp, end)) = stamp::find(message) else { return };
    let mut offset = None;
    if heard.keeps_cursors {
        offset = number_after(message, b"\"offset\":");
        keep_cursor(line, message.get(end..).unwrap_or_default(), heard);
    }
    heard.record(line, stamp, offset);
}

fn keep_cursor(line: &mut Line, message: &[u8], heard: &Heard) {
    if heard.keeps_cursors
        && let Some(cursor) = text_after(message, b"\"cursor\":\"")
    {
        line.cursor = Some(cursor.into());
    }
}
