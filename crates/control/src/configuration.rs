//! The node's own configuration as the admin API sees it: a value, what another one would change
//! and when, where each part came from. It must not know what any key means: the server does.

use port::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use utoipa::ToSchema;

/// Shown in place of a secret that is set; sent back, it means the one that is set.
pub const MASK: &str = "***";

/// What is said about a configuration that is to be.
#[derive(Debug, Clone, Copy)]
pub enum Proposal<'a> {
    /// The whole of it as a value.
    Value(&'a Value),
    /// The whole of it as a file would say it.
    Text(&'a str, ConfigFormat),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConfigFormat {
    #[default]
    Yaml,
    Json,
    Toml,
}

/// When a change may take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConfigWhen {
    /// Everything at once; what needs a restart is refused.
    #[default]
    Now,
    /// What can at once, the rest with the next start.
    Restart,
}

/// When one change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfigEffect {
    AtOnce,
    AtRestart,
}

/// Where a value comes from; what stands later here wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfigSource {
    Default,
    File,
    /// Applied through the admin API and kept beside the data.
    Applied,
    Environment,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ConfigOrigin {
    /// Dotted: `edge.listen`.
    pub key: String,
    pub source: ConfigSource,
    /// The file or the variable.
    pub place: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConfigProblem {
    /// Dotted; empty when the whole is meant.
    pub key: String,
    /// Of the text, from 1.
    pub line: Option<usize>,
    pub message: String,
    pub suggestion: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ConfigDifference {
    pub key: String,
    #[schema(value_type = Option<Object>)]
    pub from: Value,
    #[schema(value_type = Option<Object>)]
    pub to: Value,
    /// `null` when two revisions are compared.
    pub effect: Option<ConfigEffect>,
}

/// What the node runs with, and what it would start with.
#[derive(Debug, Clone)]
pub struct ConfigState {
    /// In force; secrets that are set are masked.
    pub in_force: Value,
    /// What the next start takes; the same unless something waits for a restart.
    pub configured: Value,
    /// `configured` as YAML.
    pub text: String,
    /// Of each key that is not as by default.
    pub origins: Vec<ConfigOrigin>,
    /// What waits for a restart.
    pub pending: Vec<ConfigDifference>,
}

/// What became of looking at a proposal.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The whole configuration as it would be, secrets masked; null when something is wrong.
    pub config: Value,
    /// Why it cannot be; none when it can.
    pub problems: Vec<ConfigProblem>,
    /// What it changes of what is configured.
    pub differences: Vec<ConfigDifference>,
    /// What is allowed and yet unwise.
    pub warnings: Vec<ConfigProblem>,
}

pub type Applying<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<ConfigDifference>, Refusal>> + Send + 'a>>;

/// The node's own configuration, as the admin API reads and replaces it. Implemented by the server.
pub trait Configuration: Send + Sync + 'static {
    fn state(&self) -> ConfigState;
    /// Looks at a proposal and changes nothing.
    fn check(&self, proposal: Proposal<'_>) -> Checked;
    /// Checks a configuration whole and puts it into effect, or refuses and changes nothing;
    /// answers what it changed. What cannot change at once is refused by name, or kept for the
    /// next start, as `when` says.
    fn apply<'a>(&'a self, wanted: &'a Value, when: ConfigWhen) -> Applying<'a>;
}

/// What differs between two values, key by key; lists are compared whole.
pub fn differences(from: &Value, to: &Value) -> Vec<ConfigDifference> {
    let mut found = Vec::new();
    compare("", from, to, &mut found);
    found
}

fn compare(path: &str, from: &Value, to: &Value, found: &mut Vec<ConfigDifference>) {
    let (Value::Object(left), Value::Object(right)) = (from, to) else {
        if from != to {
            let (from, to) = (from.clone(), to.clone());
            found.push(ConfigDifference { key: path.to_owned(), from, to, effect: None });
        }
        return;
    };
    let added = right.keys().filter(|key| !left.contains_key(*key));
    for key in left.keys().chain(added) {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let of = |side: &serde_json::Map<String, Value>| side.get(key).cloned();
        let (left, right) = (of(left).unwrap_or_default(), of(right).unwrap_or_default());
        compare(&path, &left, &right, found);
    }
}
