//! Reads an event stream as WHATWG HTML 9.2.6 tells clients to: written after the standard and
//! without a look at the writer.

use serde_json::Value;
use std::collections::VecDeque;

/// An event as a client's script gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub name: String,
    pub data: String,
    pub last_event_id: String,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("the data of an event is JSON")
    }
}

#[derive(Default)]
pub struct Parser {
    /// Bytes of a line that has not ended.
    line: Vec<u8>,
    after_return: bool,
    data: String,
    name: String,
    id: String,
    pub last_event_id: String,
    pub retry_ms: Option<u64>,
}

impl Parser {
    /// Takes bytes in pieces of any size; answers how many comments they held.
    pub fn feed(&mut self, bytes: &[u8], seen: &mut VecDeque<Seen>) -> usize {
        let mut comments = 0;
        for &byte in bytes {
            let is_second_half = self.after_return && byte == b'\n';
            self.after_return = byte == b'\r';
            match byte {
                b'\n' if is_second_half => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    let line = String::from_utf8(line).expect("event streams are UTF-8");
                    comments += usize::from(line.starts_with(':'));
                    self.take_line(&line, seen);
                }
                other => self.line.push(other),
            }
        }
        comments
    }

    fn take_line(&mut self, line: &str, seen: &mut VecDeque<Seen>) {
        if line.is_empty() {
            return self.dispatch(seen);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = value.to_owned(),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok();
            }
            _ => {}
        }
    }

    fn dispatch(&mut self, seen: &mut VecDeque<Seen>) {
        self.last_event_id.clone_from(&self.id);
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        if data.is_empty() {
            return;
        }
        data.pop();
        let name = if name.is_empty() { "message".to_owned() } else { name };
        seen.push_back(Seen { name, data, last_event_id: self.last_event_id.clone() });
    }

    /// Nothing is left over: no half line and no event without its end.
    pub fn is_between_events(&self) -> bool {
        self.line.is_empty() && self.data.is_empty() && self.name.is_empty()
    }
}
