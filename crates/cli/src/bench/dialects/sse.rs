//! Following with `GET /v1/sse`: one answer in chunks that never ends, an event per record.

use super::{Settings, refused};
use memchr::memmem;
use std::io::Write;
use swarm::http::{self, Body};
use swarm::stamp::{self, number_after};
use swarm::{Dialect, Heard, Line};

/// The answer's head has come.
const STREAMING: u8 = 1;
/// The first event has come: the subscription is there.
const FOLLOWING: u8 = 2;

pub struct Sse(pub Settings);

impl Dialect for Sse {
    fn begin(&self, line: &mut Line, out: &mut Vec<u8>) {
        let (host, secret) = (&self.0.host, self.0.secret(line.number));
        let (topic, key) = self.0.place(line.stream);
        let what = match key {
            Some(key) => format!("filter={topic}/{key}"),
            None => format!("topics={topic}"),
        };
        let from = line.cursor.as_deref().unwrap_or("latest");
        // Writing into memory does not fail.
        let _ = write!(
            out,
            "GET /v1/sse?{what}&from={from} HTTP/1.1\r\nHost: {host}\r\n\
             Authorization: Bearer {secret}\r\nAccept: text/event-stream\r\n\r\n"
        );
    }

    fn hear(
        &self,
        line: &mut Line,
        input: &[u8],
        heard: &mut Heard,
        _out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut taken = 0;
        if line.stage == 0 {
            let Some(head) = http::head(input)? else { return Ok(0) };
            if head.status != 200 || head.body != Body::Chunked {
                return Err(refused(input.get(head.bytes..).unwrap_or_default()));
            }
            taken = head.bytes;
            line.stage = STREAMING;
        }
        while let Some((from, to, next)) = http::chunk(input.get(taken..).unwrap_or_default())? {
            if from == to {
                return Err("the stream ended".to_owned());
            }
            line.inner.extend_from_slice(input.get(taken + from..taken + to).unwrap_or_default());
            taken += next;
        }
        let text = std::mem::take(&mut line.inner);
        let mut done = 0;
        while let Some(end) = memmem::find(text.get(done..).unwrap_or_default(), b"\n\n") {
            event(line, text.get(done..done + end).unwrap_or_default(), heard);
            done += end + 2;
        }
        line.inner = text.get(done..).unwrap_or_default().to_vec();
        Ok(taken)
    }

    fn publish(&self, _line: &mut Line, _stream: u32, _values: &[Vec<u8>], _out: &mut Vec<u8>) {}
}

fn event(line: &mut Line, event: &[u8], heard: &mut Heard) {
    if line.stage == STREAMING && memmem::find(event, b"id: ").is_some() {
        line.stage = FOLLOWING;
        heard.is_ready = true;
    }
    if heard.keeps_cursors
        && let Some(id) =
            event.split(|&byte| byte == b'\n').find_map(|row| row.strip_prefix(b"id: "))
    {
        line.cursor = Some(String::from_utf8_lossy(id).into());
    }
    if let Some((stamp, _)) = stamp::find(event) {
        let offset = heard.keeps_cursors.then(|| number_after(event, b"\"offset\":")).flatten();
        heard.record(line, stamp, offset);
    }
}
