//! `mainstem publish`: one record from the command line, or lines from standard input.

use crate::Outcome;
use crate::target::{Api, Target};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::io::IsTerminal;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Records sent in one call when they come from standard input.
const RECORDS_PER_CALL: usize = 500;

#[derive(clap::Args, Debug)]
pub struct Publish {
    topic: String,
    /// JSON, or text, which is sent as a JSON string. Without it, each line of standard input is
    /// a record.
    data: Option<String>,
    #[arg(long)]
    key: Option<String>,
    /// `name=value`; may be repeated.
    #[arg(long = "header", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// The record's own id, kept with it and answered back.
    #[arg(long)]
    id: Option<String>,
    /// Prints the server's answers as JSON.
    #[arg(long)]
    json: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Publish {
    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.public()?;
        match &self.data {
            Some(data) => {
                let mut record = self.record(data);
                if let Some(id) = &self.id {
                    record.insert("id".into(), json!(id));
                }
                let placed = send(&api, &Value::Object(record)).await?;
                self.print(&placed);
                Ok(())
            }
            None => self.publish_lines(&api).await,
        }
    }

    async fn publish_lines(&self, api: &Api) -> Outcome {
        let progress = progress();
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        let mut waiting = Vec::new();
        loop {
            let line = lines.next_line().await.map_err(|error| error.to_string())?;
            let is_end = line.is_none();
            if let Some(line) = line.filter(|line| !line.trim().is_empty()) {
                waiting.push(Value::Object(self.record(&line)));
            }
            if waiting.len() >= RECORDS_PER_CALL || (is_end && !waiting.is_empty()) {
                progress.inc(waiting.len() as u64);
                let placed = send(api, &Value::Array(std::mem::take(&mut waiting))).await?;
                if self.json {
                    self.print(&placed);
                }
            }
            if is_end {
                progress.finish();
                return Ok(());
            }
        }
    }

    fn record(&self, data: &str) -> Map<String, Value> {
        let value = serde_json::from_str(data).unwrap_or_else(|_| json!(data));
        let mut record = Map::new();
        record.insert("topic".into(), json!(self.topic));
        record.insert("data".into(), value);
        if let Some(key) = &self.key {
            record.insert("key".into(), json!(key));
        }
        if !self.headers.is_empty() {
            let headers: Map<String, Value> =
                self.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            record.insert("headers".into(), Value::Object(headers));
        }
        record
    }

    fn print(&self, placed: &Value) {
        if self.json {
            println!("{placed}");
            return;
        }
        println!(
            "{} · partition {} · offset {}",
            self.topic, placed["partition"], placed["offset"]
        );
    }
}

async fn send(api: &Api, body: &Value) -> Result<Value, String> {
    api.call(api.request(Method::POST, "/v1/events").json(body)).await
}

/// Shown on a terminal only; scripts read standard output.
pub fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} records · {per_sec} · {elapsed}");
    let bar = ProgressBar::new_spinner();
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
