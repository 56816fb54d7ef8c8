//! Following with the long poll: a request after each answer, from where that ended.

use super::{Settings, refused};
use std::io::Write;
use swarm::http;
use swarm::stamp::{self, text_after};
use swarm::{Dialect, Heard, Line};

/// The first answer, which only tells where the topic ends, has come.
const POLLING: u8 = 1;
const WAIT_SECONDS: u32 = 30;
const PAGE_RECORDS: u32 = 1_000;

pub struct Poll(pub Settings);

impl Poll {
    fn ask(&self, line: &Line, wait_seconds: u32, out: &mut Vec<u8>) {
        let (host, secret) = (&self.0.host, self.0.secret(line.number));
        let (topic, key) = self.0.place(line.stream);
        let key = key.map(|key| format!("&key={key}")).unwrap_or_default();
        let from = line.cursor.as_deref().unwrap_or("latest");
        // Writing into memory does not fail.
        let _ = write!(
            out,
            "GET /v1/topics/{topic}/records?from={from}&limit={PAGE_RECORDS}{key}\
             &wait={wait_seconds}s HTTP/1.1\r\nHost: {host}\r\n\
             Authorization: Bearer {secret}\r\n\r\n"
        );
    }
}

impl Dialect for Poll {
    fn begin(&self, line: &mut Line, out: &mut Vec<u8>) {
        self.ask(line, 0, out);
    }

    fn hear(
        &self,
        line: &mut Line,
        input: &[u8],
        heard: &mut Heard,
        out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let Some(head) = http::head(input)? else { return Ok(0) };
        let behind = input.get(head.bytes..).unwrap_or_default();
        let Some((body, length)) = http::body(head.body, behind)? else { return Ok(0) };
        if head.status != 200 {
            return Err(refused(&body));
        }
        let mut from = 0;
        while let Some((stamp, end)) = stamp::find(body.get(from..).unwrap_or_default()) {
            heard.record(line, stamp, None);
            from += end;
        }
        let cursor = text_after(&body, b"\"next_cursor\":\"").ok_or("a page without a cursor")?;
        line.cursor = Some(cursor.into());
        if line.stage != POLLING {
            line.stage = POLLING;
            heard.is_ready = true;
        }
        self.ask(line, WAIT_SECONDS, out);
        Ok(head.bytes + length)
    }

    fn publish(&self, _line: &mut Line, _stream: u32, _values: &[Vec<u8>], _out: &mut Vec<u8>) {}
}
