//! One line that says how far the replay is: rewritten on a terminal, printed now and then into a
//! file.

use crate::dataset::Event;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const TERMINAL_EVERY: Duration = Duration::from_millis(200);
const FILE_EVERY: Duration = Duration::from_secs(5);

pub struct Progress {
    started: Instant,
    shown: Option<Instant>,
    published: u64,
    reached_ms: i64,
    every: Duration,
}

impl Progress {
    pub fn start() -> Progress {
        let every = if std::io::stderr().is_terminal() { TERMINAL_EVERY } else { FILE_EVERY };
        Progress { started: Instant::now(), shown: None, published: 0, reached_ms: 0, every }
    }

    pub fn add(&mut self, batch: &[Event], retries: u64) {
        self.published += batch.len() as u64;
        self.reached_ms = batch.last().map_or(self.reached_ms, |event| event.at_ms);
        self.tick(retries);
    }

    /// Shows the line when it is time to.
    pub fn tick(&mut self, retries: u64) {
        if self.shown.is_some_and(|shown| shown.elapsed() < self.every) {
            return;
        }
        self.shown = Some(Instant::now());
        self.show(retries, if self.every == TERMINAL_EVERY { "\r" } else { "\n" });
    }

    pub fn finish(&self, retries: u64) {
        self.show(retries, "\n");
    }

    fn show(&self, retries: u64, end: &str) {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let reached = jiff::Timestamp::from_millisecond(self.reached_ms).unwrap_or_default();
        let reached = reached.strftime("%Y-%m-%d %H:%M:%S");
        let rate = self.published as f64 / seconds;
        let line = format!(
            "{} records, {rate:.1}/s, at {reached} UTC of the data, {retries} retries",
            self.published
        );
        // A progress line that cannot be written is no reason to stop.
        let _ = write!(std::io::stderr(), "{line:<78}{end}");
    }
}
