//! From files and environment to `Config`: parse, lay the environment over it, deserialize with
//! the path of what is wrong, check.

use super::Config;
use super::layers::{Layers, Loaded, Variable, read_applied};
use super::locate::{line_of, nearest};
use control::ConfigFormat;
use serde_json::{Map, Value};
use std::fmt;
use std::path::{Path, PathBuf};

/// `MAINSTEM__EDGE__LISTEN=0.0.0.0:8080` sets `edge.listen`.
const ENVIRONMENT_PREFIX: &str = "MAINSTEM__";
/// A larger file is not a configuration.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where a configuration comes from.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// YAML, JSON or TOML by its ending; absent takes the defaults.
    pub file: Option<PathBuf>,
    pub environment: Vec<(String, String)>,
}

/// What is wrong, where, and what may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Dotted key, empty when the whole file is meant.
    pub key: String,
    pub line: Option<usize>,
    pub message: String,
    pub suggestion: Option<String>,
}

impl ConfigError {
    pub fn about(key: impl Into<String>, message: impl fmt::Display) -> ConfigError {
        ConfigError { key: key.into(), line: None, message: message.to_string(), suggestion: None }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Source {
    /// This file, and the process's environment over it.
    pub fn with_environment(file: Option<PathBuf>) -> Source {
        Source { file, environment: std::env::vars().collect() }
    }
}

pub fn load(source: &Source) -> Result<Config, ConfigError> {
    load_whole(source).map(|loaded| loaded.config)
}

/// With what it was put together from.
pub fn load_whole(source: &Source) -> Result<Loaded, ConfigError> {
    let text = source.file.as_deref().map(read).transpose()?.unwrap_or_default();
    let said = match &source.file {
        Some(path) => parse(path, &text)?,
        None => Value::Null,
    };
    let variables = source.environment.iter().filter_map(|(name, value)| {
        let path = name.strip_prefix(ENVIRONMENT_PREFIX)?.to_owned();
        Some(Variable { name: name.clone(), path, value: value.clone() })
    });
    let variables = variables.collect();
    let mut layers = Layers { file: source.file.clone(), said, applied: Value::Null, variables };
    // Where the data lies is said by the others, and what was applied lies there.
    let without = layers.merged()?;
    let data_dir = without["data_dir"].as_str().map(PathBuf::from);
    layers.applied = read_applied(&data_dir.unwrap_or_else(|| Config::default().data_dir))?;
    let config = parse_value(&layers.merged()?, &text)?;
    Ok(Loaded { config, layers })
}

/// A whole configuration from its value; `text`, if there is one, is what complaints point into.
pub fn parse_value(value: &Value, text: &str) -> Result<Config, ConfigError> {
    let mut config: Config =
        serde_path_to_error::deserialize(value).map_err(|error| explain(text, &error))?;
    // A protocol the file does not mention keeps its defaults.
    for (name, settings) in crate::protocols::defaults() {
        config.protocols.entry(name).or_insert(settings);
    }
    config.check().map_err(|mut error| {
        let path: Vec<&str> = error.key.split('.').collect();
        error.line = line_of(text, &path);
        error
    })?;
    Ok(config)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let wrong = |error: &dyn fmt::Display| {
        ConfigError::about("", format!("{} cannot be read: {error}", path.display()))
    };
    let size = std::fs::metadata(path).map_err(|error| wrong(&error))?.len();
    if size > FILE_BYTES_MAX {
        return Err(wrong(&"it is larger than 1 MiB"));
    }
    std::fs::read_to_string(path).map_err(|error| wrong(&error))
}

fn parse(path: &Path, text: &str) -> Result<Value, ConfigError> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("yaml" | "yml") => parse_text(text, ConfigFormat::Yaml),
        Some("json") => parse_text(text, ConfigFormat::Json),
        Some("toml") => parse_text(text, ConfigFormat::Toml),
        _ => {
            let text = "a configuration file ends in .yaml, .yml, .json or .toml";
            Err(ConfigError::about("", text))
        }
    }
}

/// What a text says; nothing at all is every default.
pub fn parse_text(text: &str, format: ConfigFormat) -> Result<Value, ConfigError> {
    let wrong = |error: &dyn fmt::Display| ConfigError::about("", error.to_string());
    match format {
        ConfigFormat::Yaml if text.trim().is_empty() => Ok(Value::Null),
        ConfigFormat::Yaml => serde_saphyr::from_str(text).map_err(|error| wrong(&error)),
        ConfigFormat::Json => serde_json::from_str(text).map_err(|error| wrong(&error)),
        ConfigFormat::Toml => toml::from_str(text).map_err(|error| wrong(&error)),
    }
}

/// Values are read as JSON where they are JSON, else as text: `8`, `true` and `hello` all work.
pub(super) fn lay_over(config: &mut Value, path: &str, given: &str) -> Result<(), ConfigError> {
    let mut place = config;
    let keys: Vec<String> = path.split("__").map(str::to_lowercase).collect();
    for key in &keys {
        let Value::Object(fields) = place else {
            let message = "the environment sets a part of something that has no parts";
            return Err(ConfigError::about(keys.join("."), message));
        };
        place = fields.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
    }
    *place = serde_json::from_str(given).unwrap_or_else(|_| Value::String(given.to_owned()));
    Ok(())
}

fn explain(text: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> ConfigError {
    let message = error.inner().to_string();
    let mut key = error.path().to_string();
    if key == "." {
        key.clear();
    }
    let mut suggestion = None;
    // serde names the wrong field and the known ones in its message, in back quotes.
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let mut quoted = rest.split('`').skip(1).step_by(2);
        let wrong = quoted.next().unwrap_or_default().to_owned();
        suggestion = nearest(&wrong, quoted).map(str::to_owned);
        let is_last = key.rsplit('.').next() == Some(wrong.as_str());
        if !is_last {
            key = if key.is_empty() { wrong } else { format!("{key}.{wrong}") };
        }
    }
    let path: Vec<&str> = key.split('.').collect();
    let line = line_of(text, &path);
    ConfigError { line, message, suggestion, key }
}
