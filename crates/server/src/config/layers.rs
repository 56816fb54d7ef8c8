//! What a configuration was put together from: defaults, the file, what was applied through the
//! admin API, the environment; the later one wins. It must not know what any key means, but for
//! which are secrets.

use super::load::{ConfigError, lay_over};
use super::{Config, parse_value};
use control::{ConfigOrigin, ConfigSource, MASK};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// What was applied through the admin API is kept here, in the data directory.
pub const APPLIED_FILE: &str = "config.applied.json";
/// Keys whose values are shown to nobody.
pub const SECRETS: &[&str] = &[
    "admin.token",
    "backup.s3.secret_access_key",
    "billing.secret_key",
    "billing.webhook_secret",
    "database.url",
];
/// Where the data lies cannot be said by a file that lies there.
pub const FIXED: &[&str] = &["data_dir"];

/// A configuration and what it was put together from.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub layers: Layers,
}

#[derive(Clone, Default)]
pub struct Layers {
    /// The file of `--config`, and what it says.
    pub file: Option<PathBuf>,
    pub said: Value,
    /// What was applied.
    pub applied: Value,
    /// Variables, in their order: `MAINSTEM__EDGE__LISTEN`, `EDGE__LISTEN` and the value.
    pub variables: Vec<Variable>,
}

#[derive(Clone)]
pub struct Variable {
    pub name: String,
    pub path: String,
    pub value: String,
}

// Both may hold secrets.
impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layers").field("file", &self.file).finish_non_exhaustive()
    }
}

impl From<Config> for Loaded {
    /// Of a configuration that no file says.
    fn from(config: Config) -> Loaded {
        let layers = Layers { said: value(&config), ..Layers::default() };
        Loaded { config, layers }
    }
}

impl Layers {
    /// Neither a file nor the environment says anything: a program made it, as `mainstem dev` does.
    pub fn is_of_no_file(&self) -> bool {
        self.file.is_none() && self.variables.is_empty() && !self.said.is_null()
    }

    /// All of it together, secrets too.
    pub fn merged(&self) -> Result<Value, ConfigError> {
        self.with(&self.applied)
    }

    /// As if this were applied.
    pub fn with(&self, applied: &Value) -> Result<Value, ConfigError> {
        let mut whole = self.said.clone();
        if whole.is_null() {
            whole = Value::Object(Map::new());
        }
        lay(&mut whole, applied);
        for variable in &self.variables {
            lay_over(&mut whole, &variable.path, &variable.value)?;
        }
        Ok(whole)
    }

    /// The variable that sets this key or all it is in.
    pub fn variable_of(&self, key: &str) -> Option<&str> {
        let is_of = |path: &str| {
            let path = path.to_lowercase().replace("__", ".");
            key == path || is_within(key, &path) || is_within(&path, key)
        };
        self.variables.iter().rev().find(|it| is_of(&it.path)).map(|it| it.name.as_str())
    }

    /// Where each key came from that is not as by default.
    pub fn origins(&self, in_force: &Value) -> Vec<ConfigOrigin> {
        let mut keys = Vec::new();
        leaves("", in_force, &mut keys);
        keys.into_iter().filter_map(|key| self.origin(key)).collect()
    }

    fn origin(&self, key: String) -> Option<ConfigOrigin> {
        let (source, place) = if let Some(name) = self.variable_of(&key) {
            (ConfigSource::Environment, Some(name.to_owned()))
        } else if find(&self.applied, &key).is_some() {
            (ConfigSource::Applied, Some(APPLIED_FILE.to_owned()))
        } else if let (Some(file), Some(_)) = (&self.file, find(&self.said, &key)) {
            (ConfigSource::File, Some(file.display().to_string()))
        } else {
            return None;
        };
        Some(ConfigOrigin { key, source, place })
    }

    /// The configuration with the secrets that are in force where `wanted` has their masks.
    pub fn unmask(&self, wanted: &Value) -> Result<Value, ConfigError> {
        let (mut whole, known) = (wanted.clone(), self.merged()?);
        for key in SECRETS {
            match find(wanted, key) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) if text == MASK => {}
                Some(_) => {
                    let text = "secrets are set in the file or the environment, not here";
                    return Err(ConfigError::about(*key, text));
                }
            }
            set(&mut whole, key, find(&known, key).cloned());
        }
        Ok(whole)
    }
}

fn is_within(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

/// As a value, without secrets.
pub fn value(config: &Config) -> Value {
    // Settings are plain data with named fields; they always serialise.
    serde_json::to_value(config).unwrap_or_default()
}

/// As a value, with masks where secrets are set.
pub fn masked(config: &Config, known: &Value) -> Value {
    let mut shown = value(config);
    for key in SECRETS {
        let is_set = find(known, key).is_some_and(|it| !it.is_null());
        set(&mut shown, key, is_set.then(|| Value::from(MASK)));
    }
    shown
}

/// What a dotted key names.
pub fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(value, |place, part| place.get(part))
}

/// Sets a dotted key where the parts it is in are there; `None` takes it away.
fn set(value: &mut Value, key: &str, wanted: Option<Value>) {
    let (parents, last) = key.rsplit_once('.').map_or((None, key), |(all, last)| (Some(all), last));
    let mut place = value;
    for part in parents.iter().flat_map(|all| all.split('.')) {
        let Value::Object(fields) = place else { return };
        if wanted.is_none() && !fields.contains_key(part) {
            return;
        }
        place = fields.entry(part).or_insert_with(|| Value::Object(Map::new()));
    }
    let Value::Object(fields) = place else { return };
    match wanted {
        Some(wanted) => drop(fields.insert(last.to_owned(), wanted)),
        None => drop(fields.remove(last)),
    }
}

/// Lays `over` over `under`, object by object.
fn lay(under: &mut Value, over: &Value) {
    match (under, over) {
        (_, Value::Null) => {}
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                match (under.get_mut(name), value) {
                    (Some(place @ Value::Object(_)), Value::Object(_)) => lay(place, value),
                    // A null within takes the value away.
                    (_, value) => drop(under.insert(name.clone(), value.clone())),
                }
            }
        }
        (under, over) => *under = over.clone(),
    }
}

fn leaves(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, inner) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(&path, inner, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

/// What must be laid over `base` to come to `wanted`.
pub fn overrides(base: &Value, wanted: &Value) -> Value {
    let mut found = Value::Object(Map::new());
    for difference in control::differences(base, wanted) {
        set(&mut found, &difference.key, Some(difference.to));
    }
    found
}

/// The configuration as if this were applied; `text` is what complaints point into.
pub fn with_applied(layers: &Layers, applied: &Value, text: &str) -> Result<Config, ConfigError> {
    parse_value(&layers.with(applied)?, text)
}

/// What was applied before, if anything.
pub fn read_applied(data_dir: &Path) -> Result<Value, ConfigError> {
    let path = data_dir.join(APPLIED_FILE);
    let wrong = |error: &dyn std::fmt::Display| {
        let text = format!("{}: {error}; remove the file to go without it", path.display());
        ConfigError::about("", text)
    };
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(&error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(wrong(&error)),
    }
}

/// Keeps what is applied, whole or not at all.
pub fn write_applied(data_dir: &Path, applied: &Value) -> std::io::Result<()> {
    use std::io::Write;
    let (path, fresh) = (data_dir.join(APPLIED_FILE), data_dir.join("config.applied.new"));
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(serde_json::to_string_pretty(applied)?.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&fresh, &path)?;
    std::fs::File::open(data_dir)?.sync_all()
}
