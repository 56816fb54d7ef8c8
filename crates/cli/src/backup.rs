//! `mainstem backup create`, `status` and `cancel`: what the running server does of itself, asked
//! for over the admin API.

use crate::Outcome;
use crate::target::{Api, Target};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::time::Duration;

const PATH: &str = "/v1/backups";
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(clap::Args, Debug)]
pub struct Create {
    /// A directory of the server's machine, or `s3://bucket/prefix`; where the server's `backup.to`
    /// says when absent.
    #[arg(long)]
    to: Option<String>,
    /// Everything, not only what no earlier backup in that place has.
    #[arg(long)]
    full: bool,
    /// Backups to keep there, with all that they need; older ones go.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Answers as soon as it is begun.
    #[arg(long)]
    no_wait: bool,
}

impl Create {
    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.admin().await?;
        let mut body = json!({"kind": if self.full { "full" } else { "incremental" }});
        if let Some(to) = &self.to {
            body["to"] = json!(absolute(to)?);
        }
        if let Some(keep) = self.keep {
            body["keep"] = json!(keep);
        }
        let begun = api.call(api.request(Method::POST, PATH).json(&body)).await?;
        if self.no_wait {
            return print(&begun);
        }
        let ended = wait(&api).await?;
        match ended["outcome"].as_str() {
            Some("made") => {
                let (id, bytes) = (ended["id"].as_str().unwrap_or_default(), &ended["bytes"]);
                let kind = if ended["is_full"] == true { "full" } else { "incremental" };
                let to = ended["to"].as_str().unwrap_or_default();
                println!("{id} · {kind} · {bytes} bytes · {to}");
                Ok(())
            }
            _ => Err(ended["error"].as_str().unwrap_or("no backup was made").to_owned()),
        }
    }
}

/// The server resolves paths where it runs, so one that is relative here means another there.
fn absolute(to: &str) -> Result<String, String> {
    if to.contains("://") {
        return Ok(to.to_owned());
    }
    let path = std::path::absolute(to).map_err(|error| format!("{to}: {error}"))?;
    Ok(path.display().to_string())
}

async fn wait(api: &Api) -> Result<Value, String> {
    let bar = bar();
    loop {
        let status = api.call(api.request(Method::GET, PATH)).await?;
        let running = &status["running"];
        if running.is_null() {
            bar.finish_and_clear();
            return Ok(status["last"].clone());
        }
        bar.set_length(running["expected_bytes"].as_u64().unwrap_or_default());
        bar.set_position(running["copied_bytes"].as_u64().unwrap_or_default());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Shown on a terminal only; scripts read standard output.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{spinner} {bytes}/{total_bytes} · {bytes_per_sec} · {elapsed}";
    match ProgressStyle::with_template(template) {
        Ok(style) => ProgressBar::new(0).with_style(style),
        Err(_) => ProgressBar::new(0),
    }
}

/// The backup under way, and how the last one of this process ended.
pub async fn status(target: &Target) -> Outcome {
    let api = target.admin().await?;
    print(&api.call(api.request(Method::GET, PATH)).await?)
}

/// Cancels the backup under way.
pub async fn cancel(target: &Target) -> Outcome {
    let api = target.admin().await?;
    api.call(api.request(Method::DELETE, PATH)).await.map(|_| ())
}

fn print(value: &Value) -> Outcome {
    println!("{}", serde_json::to_string_pretty(value).map_err(|error| error.to_string())?);
    Ok(())
}
