//! Schemas of a topic from the terminal.

use crate::Outcome;
use crate::target::{Target, segment};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand, Debug)]
pub enum Schemas {
    /// The schemas that the topic has and had.
    List { topic: String },
    /// One version.
    Show {
        topic: String,
        // The name `version` is taken by the flag that every command has.
        #[arg(value_name = "VERSION")]
        number: u32,
    },
    /// Makes a schema the topic's own; refused when it breaks what the topic promises.
    Register {
        topic: String,
        #[command(flatten)]
        draft: Draft,
    },
    /// Says whether the topic would take a schema; changes nothing.
    Check {
        topic: String,
        #[command(flatten)]
        draft: Draft,
    },
}

#[derive(clap::Args, Debug)]
pub struct Draft {
    /// The schema's file, `-` for standard input.
    file: PathBuf,
    /// `json_schema` or `avro`; a file called `*.avsc` is Avro.
    #[arg(long)]
    kind: Option<String>,
}

impl Draft {
    fn read(&self) -> Result<Value, String> {
        let mut text = String::new();
        if self.file == Path::new("-") {
            std::io::stdin().read_to_string(&mut text).map_err(|error| error.to_string())?;
        } else {
            text = std::fs::read_to_string(&self.file)
                .map_err(|error| format!("{}: {error}", self.file.display()))?;
        }
        let schema: Value = serde_json::from_str(&text)
            .map_err(|error| format!("{}: not JSON: {error}", self.file.display()))?;
        let is_avro = self.file.extension().is_some_and(|extension| extension == "avsc");
        let by_name = if is_avro { "avro" } else { "json_schema" };
        Ok(json!({"kind": self.kind.as_deref().unwrap_or(by_name), "schema": schema}))
    }
}

impl Schemas {
    pub async fn run(self, target: &Target) -> Outcome {
        let api = target.public()?;
        let all = |topic: &str| format!("/v1/topics/{}/schemas", segment(topic));
        let answer = match &self {
            Schemas::List { topic } => api.call(api.request(Method::GET, &all(topic))).await?,
            Schemas::Show { topic, number } => {
                let path = format!("{}/{number}", all(topic));
                api.call(api.request(Method::GET, &path)).await?
            }
            Schemas::Register { topic, draft } => {
                let request = api.request(Method::POST, &all(topic)).json(&draft.read()?);
                api.call(request).await?
            }
            Schemas::Check { topic, draft } => {
                let path = format!("{}/check", all(topic));
                let request = api.request(Method::POST, &path).json(&draft.read()?);
                let verdict = api.call(request).await?;
                if verdict["is_compatible"] != json!(true) {
                    let reason = verdict["reason"].as_str().unwrap_or("not compatible");
                    let field = verdict["field"].as_str().unwrap_or_default();
                    return Err(format!("{reason} (field {field})"));
                }
                verdict
            }
        };
        let text = serde_json::to_string_pretty(&answer).map_err(|error| error.to_string())?;
        println!("{text}");
        Ok(())
    }
}
