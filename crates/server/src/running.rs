//! The configuration of a running server: what may change while it runs does, the rest is refused
//! by name and needs a restart. Changed by the admin API and by SIGHUP alike.

use crate::config::{Config, parse_value};
use crate::telemetry::LogControl;
use link::Workers;
use parking_lot::Mutex;
use port::{Code, Refusal};
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

/// Dotted keys that take effect at once.
const CHANGEABLE: &[&str] = &["telemetry.log"];

pub struct Running {
    config: Mutex<Config>,
    log: LogControl,
    /// Of several processes those that are told of changes.
    workers: OnceLock<Workers>,
}

impl Running {
    pub fn new(config: Config, log: LogControl) -> Running {
        Running { config: Mutex::new(config), log, workers: OnceLock::new() }
    }

    /// These processes follow what changes, too.
    pub fn tell(&self, workers: Workers) {
        // There is one set of them for the life of the process.
        let _ = self.workers.set(workers);
    }

    /// Puts a checked configuration into effect, or refuses and changes nothing.
    pub fn change(&self, wanted: Config) -> Result<(), Refusal> {
        let mut config = self.config.lock();
        let (now, then) = (value(&config), value(&wanted));
        let mut fixed = Vec::new();
        differences("", &now, &then, &mut fixed);
        fixed.retain(|key| !CHANGEABLE.contains(&key.as_str()));
        if let Some(key) = fixed.first() {
            return Err(Refusal::new(
                Code::Conflict,
                format!("`{key}` changes with a restart only"),
            )
            .field(key)
            .hint(format!("without a restart: {}", CHANGEABLE.join(", "))));
        }
        self.log
            .set(&wanted.telemetry.log)
            .map_err(|error| Refusal::new(Code::InvalidRequest, error).field("telemetry.log"))?;
        if let Some(workers) = self.workers.get() {
            workers.log(&wanted.telemetry.log);
        }
        tracing::info!(log = wanted.telemetry.log, "configuration changed");
        *config = wanted;
        Ok(())
    }
}

impl control::Configuration for Running {
    fn current(&self) -> Value {
        value(&self.config.lock())
    }

    fn apply<'a>(
        &'a self,
        wanted: &'a Value,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>> {
        Box::pin(async move {
            let mut wanted = parse_value(wanted, "").map_err(|error| {
                Refusal::new(Code::InvalidRequest, error.message.clone()).field(error.key.clone())
            })?;
            // Secrets are never shown, so what comes back without them means the ones in force.
            let config = self.config.lock().clone();
            wanted.admin.token = wanted.admin.token.or(config.admin.token);
            wanted.database.url = wanted.database.url.or(config.database.url);
            let (billing, known) = (&mut wanted.billing, config.billing);
            billing.secret_key = billing.secret_key.take().or(known.secret_key);
            billing.webhook_secret = billing.webhook_secret.take().or(known.webhook_secret);
            self.change(wanted)
        })
    }
}

fn value(config: &Config) -> Value {
    // Settings are plain data with named fields; they always serialise.
    serde_json::to_value(config).unwrap_or_default()
}

/// Dotted keys whose values differ.
fn differences(path: &str, left: &Value, right: &Value, found: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let of = |side: &serde_json::Map<String, Value>| side.get(key).cloned();
                let (left, right) = (of(left).unwrap_or_default(), of(right).unwrap_or_default());
                differences(&path, &left, &right, found);
            }
        }
        (left, right) if left == right => {}
        _ => found.push(path.to_owned()),
    }
}
