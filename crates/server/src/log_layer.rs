//! Hands what the program logs to the logbook of the admin API. It must not log, nor decide what
//! is logged: the filter before it does.

use control::Logbook;
use control::logbook::{FIELDS_MAX, LogLevel, LogLine, TEXT_CHARS_MAX};
use serde_json::{Map, Value};
use std::sync::Arc;
use stdx::{Clock, SystemClock};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

pub struct LogLayer {
    book: Arc<Logbook>,
    clock: Arc<dyn Clock>,
}

impl LogLayer {
    pub fn new(book: Arc<Logbook>) -> LogLayer {
        LogLayer { book, clock: SystemClock::shared() }
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut told = Told::default();
        event.record(&mut told);
        let metadata = event.metadata();
        self.book.push(LogLine {
            sequence: 0,
            at: self.clock.now_ms(),
            level: level(*metadata.level()),
            target: metadata.target().to_owned(),
            message: told.message,
            fields: told.fields,
        });
    }
}

fn level(of: Level) -> LogLevel {
    match of {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

#[derive(Default)]
struct Told {
    message: String,
    fields: Map<String, Value>,
}

impl Told {
    fn text(&mut self, field: &Field, mut text: String) {
        if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
            text.truncate(end);
        }
        match field.name() {
            "message" => self.message = text,
            _ => self.keep(field, text.into()),
        }
    }

    fn keep(&mut self, field: &Field, value: Value) {
        if self.fields.len() < FIELDS_MAX {
            self.fields.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value.into());
    }
}
