//! Publishing with `POST /v1/events`, requests behind each other on kept connections.

use super::{Settings, refused};
use std::io::Write;
use swarm::http;
use swarm::{Dialect, Heard, Line};

/// A first request has shown that the credential is good.
const LET_IN: u8 = 1;

pub struct Rest(pub Settings);

impl Rest {
    fn head(&self, line: &Line, request: &str, out: &mut Vec<u8>) {
        let (host, secret) = (&self.0.host, self.0.secret(line.number));
        // Writing into memory does not fail.
        let _ =
            write!(out, "{request} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {secret}\r\n");
    }
}

impl Dialect for Rest {
    fn begin(&self, line: &mut Line, out: &mut Vec<u8>) {
        self.head(line, "GET /v1/topics?limit=1", out);
        out.extend_from_slice(b"\r\n");
    }

    fn hear(
        &self,
        line: &mut Line,
        input: &[u8],
        heard: &mut Heard,
        _out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut taken = 0;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            let Some(head) = http::head(rest)? else { return Ok(taken) };
            let behind = rest.get(head.bytes..).unwrap_or_default();
            let Some((body, length)) = http::body(head.body, behind)? else { return Ok(taken) };
            taken += head.bytes + length;
            let is_good = (200..300).contains(&head.status) && head.status != 207;
            match (line.stage, is_good) {
                (LET_IN, true) => heard.answered += 1,
                (LET_IN, false) => heard.refuse(&refused(&body)),
                (_, true) => {
                    line.stage = LET_IN;
                    heard.is_ready = true;
                }
                (_, false) => return Err(refused(&body)),
            }
        }
    }

    fn publish(&self, line: &mut Line, stream: u32, values: &[Vec<u8>], out: &mut Vec<u8>) {
        let (topic, key) = self.0.place(stream);
        let key = key.map(|key| format!(r#""key":"{key}","#)).unwrap_or_default();
        let record = |value: &Vec<u8>| {
            let value = String::from_utf8_lossy(value);
            format!(r#"{{"topic":"{topic}",{key}"data":"{value}"}}"#)
        };
        let records: Vec<String> = values.iter().map(record).collect();
        let body = match records.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(",")),
        };
        self.head(line, "POST /v1/events", out);
        let length = body.len();
        let _ = write!(out, "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        out.extend_from_slice(body.as_bytes());
    }
}
