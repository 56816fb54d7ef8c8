//! How reports are told: to people line by line, to machines as JSON, into a file if wanted.

use serde_json::{Value, json};
use std::path::Path;
use swarm::compare::short;
use swarm::watch;

/// Stands for the standard output.
pub const STDOUT: &str = "-";

/// Adds what every report says of itself, and tells it.
pub fn emit(bench: &str, mut report: Value, json: Option<&Path>) -> Result<(), String> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut whole = json!({
        "bench": bench,
        "at_unix_seconds": since.map(|since| since.as_secs()).unwrap_or_default(),
        "machine": watch::machine(),
    });
    if let (Some(whole), Some(own)) = (whole.as_object_mut(), report.as_object_mut()) {
        whole.append(own);
    }
    match json {
        Some(path) if path == Path::new(STDOUT) => println!("{whole}"),
        Some(path) => {
            std::fs::write(path, format!("{whole:#}\n"))
                .map_err(|error| format!("{}: {error}", path.display()))?;
            print!("{}", text(&whole));
        }
        None => print!("{}", text(&whole)),
    }
    Ok(())
}

/// A line per member; the members of an object stand on its line, a list has a line per item.
pub fn text(report: &Value) -> String {
    let mut text = String::new();
    for (name, value) in report.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) => {
                for item in items {
                    text += &format!("{:>26}  {}\n", told(&item["name"]), parts(item));
                }
            }
            value => text += &format!("{name:>26}  {}\n", told(value)),
        }
    }
    text
}

fn told(value: &Value) -> String {
    match value {
        Value::Number(number) => short(number.as_f64().unwrap_or_default()),
        Value::String(text) => text.clone(),
        Value::Object(_) => parts(value),
        other => other.to_string(),
    }
}

fn parts(value: &Value) -> String {
    let members = value.as_object().into_iter().flatten();
    let parts = members.filter(|(name, _)| *name != "name").map(|(name, value)| match value {
        Value::Object(_) => format!("{name} ({})", parts(value)),
        value => format!("{name} {}", told(value)),
    });
    parts.collect::<Vec<_>>().join("  ")
}
