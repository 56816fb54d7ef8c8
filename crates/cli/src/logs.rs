//! `mainstem logs` and `mainstem diagnostics`: what a running server says of itself.

use crate::Outcome;
use crate::admin::call;
use crate::target::{Target, segment};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::PathBuf;

/// How long one look waits for a line, when following.
const WAIT_MS: u32 = 15_000;

#[derive(clap::Args, Debug)]
pub struct Logs {
    /// `error`, `warn`, `info`, `debug` or `trace`: this bad or worse.
    #[arg(long)]
    level: Option<String>,
    /// Only this part of the program, such as `hub`.
    #[arg(long)]
    target: Option<String>,
    /// Only lines that have it, in whatever case.
    #[arg(long)]
    text: Option<String>,
    /// The newest so many.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Goes on with those that come.
    #[arg(long, short)]
    follow: bool,
    /// Changes what is logged, in the syntax of `RUST_LOG`, instead of showing lines.
    #[arg(long, requires = "note")]
    set: Option<String>,
    /// Why it is changed, for the audit trail.
    #[arg(long, requires = "set")]
    note: Option<String>,
}

#[derive(clap::Args, Debug)]
pub struct Diagnostics {
    /// A JSON file to be written; nobody else may read it.
    #[arg(long)]
    out: PathBuf,
}

fn line(view: &Value) -> String {
    let text = |name: &str| view[name].as_str().unwrap_or_default();
    let mut out = format!(
        "{} {:<5} {} {}",
        view["at"],
        text("level").to_uppercase(),
        text("target"),
        text("message")
    );
    for (name, value) in view["fields"].as_object().into_iter().flatten() {
        out += &format!(" {name}={value}");
    }
    out
}

impl Logs {
    fn query(&self) -> String {
        let mut query = format!("limit={}", self.limit);
        let given =
            [("level", &self.level), ("target", &self.target), ("text", &self.text)].into_iter();
        for (name, value) in given {
            if let Some(value) = value {
                query += &format!("&{name}={}", segment(value));
            }
        }
        query
    }

    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.admin().await?;
        if let Some(log) = &self.set {
            let body = json!({"log": log, "note": self.note});
            let kept = call(&api, Method::PUT, "/v1/logs/level", Some(body)).await?;
            println!("revision {}", kept["revision"]);
            return Ok(());
        }
        let query = self.query();
        let mut path = format!("/v1/logs?{query}");
        loop {
            let answer = api.call(api.request(Method::GET, &path)).await?;
            if answer["is_torn"] == true {
                eprintln!("lines were lost: more came than the server keeps");
            }
            answer["lines"]
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|it| println!("{}", line(it)));
            if !self.follow {
                return Ok(());
            }
            let cursor = segment(answer["next_cursor"].as_str().unwrap_or_default());
            path = format!("/v1/logs?{query}&cursor={cursor}&wait_ms={WAIT_MS}");
        }
    }
}

impl Diagnostics {
    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.admin().await?;
        let bundle = api.call(api.request(Method::GET, "/v1/diagnostics")).await?;
        let text = serde_json::to_string_pretty(&bundle).map_err(|error| error.to_string())?;
        write(&self.out, &text).map_err(|error| format!("{}: {error}", self.out.display()))?;
        println!("{} ({} bytes, no secrets)", self.out.display(), text.len());
        Ok(())
    }
}

fn write(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")
}
