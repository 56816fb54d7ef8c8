//! `mainstem follow`: records as they come, from any point in history, for as long as it runs. It
//! reads Server-Sent Events and resumes where it stood when the connection breaks.

use crate::Outcome;
use crate::events::{Event, Reader};
use crate::target::{Api, Target, refusal, segment};
use futures_util::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::time::Duration;
use stdx::backoff::Backoff;
use stdx::{Rng, SystemRng};

const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(200), max: Duration::from_secs(10) };

#[derive(clap::Args, Debug)]
pub struct Follow {
    /// A topic, or a filter: `orders`, `orders/eu/+`, `orders/#`.
    filter: String,
    /// `latest`, `earliest`, `offset:N`, `time:<ms or RFC 3339>` or a cursor.
    #[arg(long, default_value = "latest")]
    from: String,
    /// Only records of which this holds: `header.region = 'eu' and data.price > 10`.
    #[arg(long = "where", value_name = "CONDITION")]
    condition: Option<String>,
    /// Of each key only the newest record of each stretch of so many milliseconds.
    #[arg(long, value_name = "MS")]
    conflate_ms: Option<u64>,
    /// Ends after so many records.
    #[arg(long)]
    limit: Option<u64>,
    /// Prints each record as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// How one connection ended.
enum End {
    /// As many records as wanted have come.
    Enough,
    Broken,
}

impl Follow {
    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.public()?;
        let mut resume: Option<String> = None;
        let (mut seen, mut attempt) = (0, 0);
        loop {
            let before = seen;
            match self.read(&api, &mut resume, &mut seen).await? {
                End::Enough => return Ok(()),
                End::Broken if seen > before => attempt = 0,
                End::Broken => {}
            }
            let rng = SystemRng;
            tokio::time::sleep(BACKOFF.wait(attempt, &rng as &dyn Rng)).await;
            attempt = attempt.saturating_add(1);
        }
    }

    /// One connection. An error is final; a broken connection is not.
    async fn read(
        &self,
        api: &Api,
        resume: &mut Option<String>,
        seen: &mut u64,
    ) -> Result<End, String> {
        let mut query = format!("filter={}&from={}", segment(&self.filter), segment(&self.from));
        if let Some(condition) = &self.condition {
            query.push_str(&format!("&where={}", segment(condition)));
        }
        if let Some(window_ms) = self.conflate_ms {
            query.push_str(&format!("&conflate_ms={window_ms}"));
        }
        let mut request = api.request(Method::GET, &format!("/v1/sse?{query}"));
        if let Some(cursor) = resume.as_deref() {
            request = request.header("last-event-id", cursor);
        }
        let Ok(answer) = request.send().await else {
            eprintln!("{} does not answer; trying again", api.url);
            return Ok(End::Broken);
        };
        let status = answer.status();
        if !status.is_success() {
            let text = answer.text().await.unwrap_or_default();
            let why = refusal(&text).unwrap_or_else(|| format!("{status}: {text}"));
            let is_passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            return if is_passing { Ok(End::Broken) } else { Err(why) };
        }
        let mut reader = Reader::default();
        let mut body = answer.bytes_stream();
        while let Some(Ok(bytes)) = body.next().await {
            for event in reader.push(&bytes)? {
                if let Some(id) = event.id.clone().filter(|id| !id.is_empty()) {
                    *resume = Some(id);
                }
                if self.show(&event)? {
                    *seen += 1;
                }
                if self.limit.is_some_and(|limit| *seen >= limit) {
                    return Ok(End::Enough);
                }
            }
        }
        Ok(End::Broken)
    }

    /// Prints a record and answers `true`; other events are news about the stream.
    fn show(&self, event: &Event) -> Result<bool, String> {
        let is_record = event.name.is_empty() || event.name == "record" || event.name == "message";
        if !is_record {
            if event.name != "caught_up" && !self.json {
                eprintln!("{}: {}", event.name, event.data);
            }
            return Ok(false);
        }
        let mut out = std::io::stdout().lock();
        let written = if self.json {
            writeln!(out, "{}", event.data)
        } else {
            let record: Value =
                serde_json::from_str(&event.data).map_err(|error| format!("not JSON: {error}"))?;
            writeln!(out, "{}", line(&record, out.is_terminal()))
        };
        // Whoever reads our output has gone: there is nobody to follow for.
        written.map_err(|_| "standard output is closed".to_owned())?;
        Ok(true)
    }
}

/// `topic/key @partition:offset data`, with colours on a terminal.
fn line(record: &Value, is_terminal: bool) -> String {
    let paint = |code: &str, text: String| {
        if is_terminal { format!("\x1b[{code}m{text}\x1b[0m") } else { text }
    };
    let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let key = record["key"].as_str().map_or_else(String::new, |key| format!("/{key}"));
    let place = format!("{}:{}", record["partition"], record["offset"]);
    let data = match &record["data_base64"] {
        Value::String(base64) => format!("base64:{base64}"),
        _ => record["data"].to_string(),
    };
    let address = paint("36", format!("{}{key}", text("topic")));
    format!("{address} {} {data}", paint("2", format!("@{place}")))
}
