//! `mainstem config`, of a running server: what is in force and where it came from, what a file
//! would change, putting it into effect, the revisions and the way back.

use crate::Outcome;
use crate::admin::call;
use crate::target::{Api, Target};
use crate::usage::print;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand, Debug)]
pub enum Configuration {
    /// What a running server has in force, and where it came from.
    Show {
        /// The text to edit and give to `apply`, as YAML; nothing else.
        #[arg(long)]
        text: bool,
    },
    /// Asks a running server what is wrong with a file. Fails when it could not be applied.
    Validate { file: PathBuf },
    /// What a file, or a revision, would change of what is configured, and when.
    Diff {
        #[arg(required_unless_present = "revision")]
        file: Option<PathBuf>,
        /// Compares this revision instead of a file.
        #[arg(long, conflicts_with = "file")]
        revision: Option<u64>,
    },
    /// Replaces the configuration with a file's.
    Apply {
        file: PathBuf,
        /// Why, for the audit trail.
        #[arg(long)]
        note: String,
        /// `now` refuses what cannot change at once; with `restart` that waits for one.
        #[arg(long, default_value = "now", value_parser = ["now", "restart"])]
        when: String,
    },
    /// The revisions, newest first.
    History,
    /// Goes back to a revision, as a new one.
    Rollback {
        revision: u64,
        /// Why, for the audit trail.
        #[arg(long)]
        note: String,
        /// `now` refuses what cannot change at once; with `restart` that waits for one.
        #[arg(long, default_value = "now", value_parser = ["now", "restart"])]
        when: String,
    },
}

/// What a file says, as the server takes it.
fn proposal(file: &Path) -> Result<Map<String, Value>, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let format = match file.extension().and_then(|ending| ending.to_str()) {
        Some("yaml" | "yml") => "yaml",
        Some("json") => "json",
        Some("toml") => "toml",
        _ => return Err("a configuration file ends in .yaml, .yml, .json or .toml".to_owned()),
    };
    let parts = [("text".to_owned(), json!(text)), ("format".to_owned(), json!(format))];
    Ok(parts.into_iter().collect())
}

/// One line for each key that differs.
fn told(differences: &Value) -> String {
    let line = |it: &Value| {
        let effect = match it["effect"].as_str() {
            Some("at_restart") => "   (with the next start)",
            _ => "",
        };
        let key = it["key"].as_str().unwrap_or_default();
        format!("{key}: {} -> {}{effect}\n", it["from"], it["to"])
    };
    let all: String = differences.as_array().into_iter().flatten().map(line).collect();
    if all.is_empty() { "nothing differs\n".to_owned() } else { all }
}

async fn validate(api: &Api, file: &Path) -> Result<Value, String> {
    let body = Value::Object(proposal(file)?);
    call(api, Method::POST, "/v1/config/validate", Some(body)).await
}

/// The first problem, as the server's own check at the start would say it.
fn refused(answer: &Value) -> Result<(), String> {
    let Some(problem) = answer["problems"].as_array().and_then(|all| all.first()) else {
        return Ok(());
    };
    let line = problem["line"].as_u64().map(|line| format!("line {line}: ")).unwrap_or_default();
    let (key, message) = (&problem["key"], &problem["message"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let meant = problem["suggestion"].as_str();
    let meant = meant.map(|it| format!("; did you mean `{it}`?")).unwrap_or_default();
    Err(format!("{line}`{}`: {}{meant}", text(key), text(message)))
}

fn warn(answer: &Value) {
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        let text = |name: &str| warning[name].as_str().unwrap_or_default().to_owned();
        eprintln!("warning: {}: {}", text("key"), text("message"));
    }
}

fn report(answer: &Value) {
    print!("{}", told(&answer["differences"]));
    println!("revision {}", answer["revision"]);
}

impl Configuration {
    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.admin().await?;
        match self {
            Configuration::Show { text } => {
                let mut answer = call(&api, Method::GET, "/v1/config", None).await?;
                if *text {
                    print!("{}", answer["text"].as_str().unwrap_or_default());
                    return Ok(());
                }
                if let Value::Object(fields) = &mut answer {
                    fields.remove("text");
                }
                print(&answer)
            }
            Configuration::Validate { file } => {
                let answer = validate(&api, file).await?;
                warn(&answer);
                refused(&answer)?;
                println!("the configuration is good");
                Ok(())
            }
            Configuration::Diff { file, revision } => diff(&api, file.as_deref(), *revision).await,
            Configuration::Apply { file, note, when } => {
                let mut body = proposal(file)?;
                body.insert("note".to_owned(), json!(note));
                body.insert("when".to_owned(), json!(when));
                let body = Some(Value::Object(body));
                report(&call(&api, Method::PUT, "/v1/config", body).await?);
                Ok(())
            }
            Configuration::History => {
                let answer = call(&api, Method::GET, "/v1/config/revisions", None).await?;
                for kept in answer["revisions"].as_array().into_iter().flatten() {
                    let text = |name: &str| kept[name].as_str().unwrap_or_default().to_owned();
                    let (at, by) = (&kept["at"], text("actor"));
                    println!("{}\t{at}\t{by}\t{}", kept["revision"], text("note"));
                }
                Ok(())
            }
            Configuration::Rollback { revision, note, when } => {
                let body = json!({"revision": revision, "note": note, "when": when});
                report(&call(&api, Method::POST, "/v1/config/rollback", Some(body)).await?);
                Ok(())
            }
        }
    }
}

async fn diff(api: &Api, file: Option<&Path>, revision: Option<u64>) -> Outcome {
    let answer = match (file, revision) {
        (Some(file), _) => {
            let answer = validate(api, file).await?;
            warn(&answer);
            refused(&answer)?;
            answer
        }
        (None, revision) => {
            let path = format!("/v1/config/diff?to={}", revision.unwrap_or_default());
            call(api, Method::GET, &path, None).await?
        }
    };
    print!("{}", told(&answer["differences"]));
    Ok(())
}
