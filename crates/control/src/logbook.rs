//! The newest lines of the process's own log, in memory, for whoever looks at them while the
//! server runs. Whoever writes lines is the server's to say; this must not know where they come
//! from, nor write any itself.

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use tokio::sync::watch;
use types::TimestampMs;
use utoipa::ToSchema;

/// Characters of a message, or of a field's text, that are kept.
pub const TEXT_CHARS_MAX: usize = 4_096;
/// Fields of a line that are kept.
pub const FIELDS_MAX: usize = 64;
/// Bytes of all lines together, as counted by their texts.
const BYTES_MAX: usize = 8 << 20;

/// How bad it is; the order is that of badness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    pub fn named(name: &str) -> Option<LogLevel> {
        Some(match name {
            "trace" => LogLevel::Trace,
            "debug" => LogLevel::Debug,
            "info" => LogLevel::Info,
            "warn" => LogLevel::Warn,
            "error" => LogLevel::Error,
            _ => return None,
        })
    }
}

/// What the process said at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LogLine {
    /// Counted from 1 since the process began.
    pub sequence: u64,
    pub at: TimestampMs,
    pub level: LogLevel,
    /// The part of the program, `hub::publish`.
    pub target: String,
    pub message: String,
    #[schema(value_type = Object)]
    pub fields: Map<String, Value>,
}

impl LogLine {
    fn bytes(&self) -> usize {
        let of_fields = self.fields.iter().map(|(name, value)| {
            let text = value.as_str().map_or(16, str::len);
            name.len() + text + 32
        });
        size_of::<LogLine>() + self.target.len() + self.message.len() + of_fields.sum::<usize>()
    }
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// This bad or worse.
    pub level: Option<LogLevel>,
    /// This part of the program and what is inside it.
    pub target: Option<String>,
    /// In the message or in a field, whatever the case of its letters.
    pub text: Option<String>,
}

impl LogFilter {
    fn takes(&self, line: &LogLine) -> bool {
        self.level.is_none_or(|least| line.level >= least)
            && self.target.as_deref().is_none_or(|target| is_inside(&line.target, target))
            && self.text.as_deref().is_none_or(|text| mentions(line, text))
    }
}

/// `hub::publish` is inside `hub`, `hubris` is not.
fn is_inside(target: &str, outer: &str) -> bool {
    let rest = target.strip_prefix(outer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn mentions(line: &LogLine, text: &str) -> bool {
    let text = text.to_lowercase();
    let has = |found: &str| found.to_lowercase().contains(&text);
    has(&line.message)
        || line.fields.iter().any(|(name, value)| match value {
            Value::String(value) => has(value) || has(name),
            other => has(&other.to_string()) || has(name),
        })
}

/// Some lines, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLines {
    pub lines: Vec<LogLine>,
    /// The newest line that was looked at: where to go on.
    pub place: u64,
    /// Lines after the place asked for were gone before they could be told.
    pub is_torn: bool,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    newest: u64,
}

/// Shared by who writes and who looks.
#[derive(Debug)]
pub struct Logbook {
    ring: Mutex<Ring>,
    lines_max: usize,
    newest: watch::Sender<u64>,
}

impl Logbook {
    /// Keeps at most so many lines; 0 keeps none.
    pub fn new(lines_max: usize) -> Logbook {
        let newest = watch::Sender::new(0);
        Logbook { ring: Mutex::default(), lines_max, newest }
    }

    /// Adds a line; its sequence is given here.
    pub fn push(&self, mut line: LogLine) {
        if self.lines_max == 0 {
            return;
        }
        let newest = {
            let mut ring = self.ring.lock();
            ring.newest += 1;
            line.sequence = ring.newest;
            ring.bytes += line.bytes();
            ring.lines.push_back(line);
            while ring.lines.len() > self.lines_max || ring.bytes > BYTES_MAX {
                let Some(oldest) = ring.lines.pop_front() else { break };
                ring.bytes -= oldest.bytes();
            }
            ring.newest
        };
        self.newest.send_replace(newest);
    }

    /// The newest lines that the filter takes, at most `limit`.
    pub fn newest(&self, filter: &LogFilter, limit: usize) -> LogLines {
        let ring = self.ring.lock();
        let found = ring.lines.iter().rev().filter(|line| filter.takes(line));
        let mut lines: Vec<LogLine> = found.take(limit).cloned().collect();
        lines.reverse();
        LogLines { lines, place: ring.newest, is_torn: false }
    }

    /// The first lines after a place that the filter takes, at most `limit`.
    pub fn after(&self, filter: &LogFilter, place: u64, limit: usize) -> LogLines {
        let ring = self.ring.lock();
        let oldest = ring.lines.front().map_or(ring.newest + 1, |line| line.sequence);
        // A place of another process: from the beginning.
        let place = if place > ring.newest { 0 } else { place };
        let after = ring.lines.iter().filter(|line| line.sequence > place);
        let mut found = LogLines { lines: Vec::new(), place, is_torn: place + 1 < oldest };
        for line in after {
            if found.lines.len() == limit {
                return found;
            }
            found.place = line.sequence;
            if filter.takes(line) {
                found.lines.push(line.clone());
            }
        }
        found
    }

    /// Tells the newest sequence whenever there is a new line.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}
