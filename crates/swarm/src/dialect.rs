//! What a protocol must tell the load: how a connection begins, what its bytes mean, and how a
//! record is published. Pure: bytes in, bytes out.

use crate::order::Tally;
use crate::stamp::Stamp;

/// What the conversation of one connection has come to. Kept small: there are many.
#[derive(Debug, Default)]
pub struct Line {
    /// Of the connection, over all processes of the load.
    pub number: u32,
    /// Of the records it gets.
    pub stream: u32,
    /// How far the conversation is; the dialect's own, 0 at the beginning of a connection.
    pub stage: u8,
    /// The next number of a request; the dialect's own.
    pub call: u32,
    /// The beginning of a message inside frames; the dialect's own.
    pub inner: Vec<u8>,
    /// Where a further connection goes on, if the dialect can.
    pub cursor: Option<Box<str>>,
    /// The number of the record that comes next.
    pub next: Option<u32>,
    /// The newest offset, where the protocol shows one.
    pub offset: Option<u64>,
}

impl Line {
    /// Before a further connection: what was received stays known, what was said does not.
    pub fn begin_again(&mut self) {
        self.stage = 0;
        self.inner = Vec::new();
    }
}

/// What was heard on any connection, counted.
#[derive(Debug, Default)]
pub struct Heard {
    pub now_ns: u64,
    /// Set by the dialect once a connection may be used: subscribed, or let in.
    pub is_ready: bool,
    /// Calls that were answered well since they were last taken.
    pub answered: u32,
    /// Calls, or connections, that were refused since they were last taken.
    pub refused: u32,
    /// The first reason.
    pub refusal: Option<String>,
    pub tally: Tally,
    /// Whether cursors are to be kept.
    pub keeps_cursors: bool,
}

impl Heard {
    /// A record came. `offset` where the protocol shows it: none may come twice.
    pub fn record(&mut self, line: &mut Line, stamp: Stamp, offset: Option<u64>) {
        let tally = &mut self.tally;
        let is_known = match (offset, line.offset) {
            (Some(offset), Some(last)) => offset <= last,
            _ => line.next.is_some_and(|next| stamp.number < next),
        };
        if is_known {
            tally.doubled += 1;
            return;
        }
        tally.lost += line.next.map_or(0, |next| u64::from(stamp.number.saturating_sub(next)));
        line.next = Some(stamp.number.wrapping_add(1));
        line.offset = offset.or(line.offset);
        tally.deliveries += 1;
        tally.latencies.add_ns(self.now_ns.saturating_sub(stamp.due_ns));
    }

    pub fn refuse(&mut self, why: &str) {
        self.refused += 1;
        self.refusal.get_or_insert_with(|| why.to_owned());
    }
}

pub trait Dialect: Send + Sync {
    /// What is said first, once the connection is there.
    fn begin(&self, line: &mut Line, out: &mut Vec<u8>);

    /// Takes what has come, and answers how many bytes it is done with; the rest comes again with
    /// more behind it. An error ends the connection.
    fn hear(
        &self,
        line: &mut Line,
        input: &[u8],
        heard: &mut Heard,
        out: &mut Vec<u8>,
    ) -> Result<usize, String>;

    /// Publishes `values` in one call, which `Heard::answered` counts once if calls are answered.
    fn publish(&self, line: &mut Line, stream: u32, values: &[Vec<u8>], out: &mut Vec<u8>);

    /// Whether the server answers a publish at all.
    fn answers(&self) -> bool {
        true
    }
}
