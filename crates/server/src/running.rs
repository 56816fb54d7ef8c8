//! The configuration of a running server: what may change while it runs does, the rest is refused
//! by name or kept for the next start. Changed by the admin API, and by SIGHUP or a new file.

use crate::config::layers::{FIXED, masked, overrides, value, with_applied, write_applied};
use crate::config::{Config, ConfigError, Layers, Loaded, advice, parse_text, parse_value};
use crate::telemetry::LogControl;
use control::{
    Applying, Checked, ConfigDifference, ConfigEffect, ConfigProblem, ConfigState, ConfigWhen,
    Proposal, Rates, differences,
};
use link::Workers;
use parking_lot::Mutex;
use port::{Code, Refusal};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Dotted keys, or what they lie in, that take effect at once.
const CHANGEABLE: &[&str] = &["telemetry.log", "admin.rate"];

struct State {
    in_force: Config,
    /// What the next start takes.
    configured: Config,
    layers: Layers,
}

pub struct Running {
    state: Mutex<State>,
    log: LogControl,
    rates: Arc<Rates>,
    /// Where what is applied is kept; `None`: the next start would not read it.
    data_dir: Option<PathBuf>,
    /// Of several processes those that are told of changes.
    workers: OnceLock<Workers>,
}

/// One change to be carried out.
struct Plan {
    configured: Config,
    applied: Value,
    differences: Vec<ConfigDifference>,
}

impl Running {
    pub fn new(loaded: Loaded, log: LogControl, rates: Arc<Rates>) -> Running {
        let Loaded { config, layers } = loaded;
        // Without a file and an environment nothing of it is read again.
        let is_served = !layers.is_of_no_file();
        let data_dir = is_served.then(|| config.data_dir.clone());
        let state = State { in_force: config.clone(), configured: config, layers };
        let workers = OnceLock::new();
        Running { state: Mutex::new(state), log, rates, data_dir, workers }
    }

    /// What the node runs with, and what it was put together from.
    pub fn in_force(&self) -> Loaded {
        let state = self.state.lock();
        Loaded { config: state.in_force.clone(), layers: state.layers.clone() }
    }

    /// These processes follow what changes, too.
    pub fn tell(&self, workers: Workers) {
        // There is one set of them for the life of the process.
        let _ = self.workers.set(workers);
    }

    /// After the file or the environment was read again: what can change does, what cannot waits
    /// for a restart and is named.
    pub fn reload(&self, loaded: Loaded) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        let waiting = differences(&value(&state.in_force), &value(&loaded.config));
        let waiting: Vec<String> =
            waiting.into_iter().map(|it| it.key).filter(|key| !is_changeable(key)).collect();
        self.put_into_force(&mut state, &loaded.config)?;
        state.configured = loaded.config;
        state.layers = loaded.layers;
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these changes wait for a restart");
        }
        Ok(())
    }

    /// What of the configuration can change at once.
    fn put_into_force(&self, state: &mut State, wanted: &Config) -> Result<(), Refusal> {
        self.log
            .set(&wanted.telemetry.log)
            .map_err(|error| Refusal::new(Code::InvalidRequest, error).field("telemetry.log"))?;
        if let Some(workers) = self.workers.get() {
            workers.log(&wanted.telemetry.log);
        }
        self.rates.set(wanted.admin.rate);
        state.in_force.telemetry.log.clone_from(&wanted.telemetry.log);
        state.in_force.admin.rate = wanted.admin.rate;
        tracing::info!(log = wanted.telemetry.log, "configuration changed");
        Ok(())
    }

    fn plan(&self, state: &State, wanted: &Value, text: &str) -> Result<Plan, ConfigError> {
        let layers = &state.layers;
        let whole = parse_value(&layers.unmask(wanted)?, text)?;
        // What must be laid over what the file and the environment say.
        let base = with_applied(layers, &Value::Null, "")?;
        let applied = overrides(&value(&base), &value(&whole));
        let mut found = differences(&value(&state.configured), &value(&whole));
        for difference in &mut found {
            let key = &difference.key;
            if FIXED.contains(&key.as_str()) {
                let text = "it is set by the file or the environment only";
                return Err(ConfigError::about(key, text));
            }
            if let Some(name) = layers.variable_of(key) {
                let text = format!("the environment sets it ({name}) and wins");
                return Err(ConfigError::about(key, text));
            }
            let effect = match is_changeable(key) {
                true => ConfigEffect::AtOnce,
                false => ConfigEffect::AtRestart,
            };
            difference.effect = Some(effect);
        }
        let configured = with_applied(layers, &applied, "")?;
        Ok(Plan { configured, applied, differences: found })
    }

    fn known(state: &State) -> Value {
        state.layers.merged().unwrap_or_default()
    }
}

fn is_changeable(key: &str) -> bool {
    CHANGEABLE.iter().any(|known| {
        key.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn problem(error: ConfigError) -> ConfigProblem {
    let ConfigError { key, line, message, suggestion } = error;
    ConfigProblem { key, line, message, suggestion }
}

fn refusal(error: ConfigError) -> Refusal {
    let refusal = Refusal::new(Code::InvalidRequest, error.message).field(error.key);
    match error.suggestion {
        Some(meant) => refusal.hint(format!("did you mean `{meant}`?")),
        None => refusal,
    }
}

impl control::Configuration for Running {
    fn state(&self) -> ConfigState {
        let state = self.state.lock();
        let known = Running::known(&state);
        let in_force = masked(&state.in_force, &known);
        let configured = masked(&state.configured, &known);
        let mut pending = differences(&in_force, &configured);
        for difference in &mut pending {
            difference.effect = Some(ConfigEffect::AtRestart);
        }
        // Settings are plain data, which YAML can write.
        let text = serde_saphyr::to_string(&configured).unwrap_or_default();
        let origins = state.layers.origins(&configured);
        ConfigState { in_force, configured, text, origins, pending }
    }

    fn check(&self, proposal: Proposal<'_>) -> Checked {
        let (wanted, text) = match proposal {
            Proposal::Value(wanted) => (Ok(wanted.clone()), ""),
            Proposal::Text(text, format) => (parse_text(text, format), text),
        };
        let state = self.state.lock();
        // Nothing at all is every default.
        let wanted = wanted.map(|wanted| match wanted {
            Value::Null => Value::Object(serde_json::Map::new()),
            wanted => wanted,
        });
        let checked = wanted.and_then(|wanted| self.plan(&state, &wanted, text));
        match checked {
            Err(error) => Checked {
                config: Value::Null,
                problems: vec![problem(error)],
                differences: Vec::new(),
                warnings: Vec::new(),
            },
            Ok(plan) => Checked {
                config: masked(&plan.configured, &Running::known(&state)),
                problems: Vec::new(),
                differences: plan.differences,
                warnings: advice(&plan.configured).into_iter().map(problem).collect(),
            },
        }
    }

    fn apply<'a>(&'a self, wanted: &'a Value, when: ConfigWhen) -> Applying<'a> {
        Box::pin(async move {
            let plan = self.plan(&self.state.lock(), wanted, "").map_err(refusal)?;
            let waits = |it: &&ConfigDifference| it.effect == Some(ConfigEffect::AtRestart);
            if let Some(waiting) = plan.differences.iter().find(waits) {
                let why = format!("`{}` changes with a restart only", waiting.key);
                let refused = Refusal::new(Code::Conflict, why).field(waiting.key.clone());
                if self.data_dir.is_none() {
                    return Err(refused.hint("start it with other options"));
                }
                if when == ConfigWhen::Now {
                    let now = CHANGEABLE.join(", ");
                    let hint = format!("send \"when\": \"restart\"; without a restart: {now}");
                    return Err(refused.hint(hint));
                }
            }
            self.keep(&plan.applied).await?;
            let mut state = self.state.lock();
            self.put_into_force(&mut state, &plan.configured)?;
            state.configured = plan.configured;
            state.layers.applied = plan.applied;
            Ok(plan.differences)
        })
    }
}

impl Running {
    /// On the disk before it is in force: a restart must not take it back.
    async fn keep(&self, applied: &Value) -> Result<(), Refusal> {
        let Some(data_dir) = self.data_dir.clone() else { return Ok(()) };
        let applied = applied.clone();
        let writing = tokio::task::spawn_blocking(move || write_applied(&data_dir, &applied));
        let written = writing.await.map_err(|error| Refusal::internal(&error))?;
        written.map_err(|error| Refusal::internal(&error))
    }
}
