//! The protocols built into this binary: an explicit list. Adding one is a line here and one in
//! `Cargo.toml`; its settings, switch and claims follow from its `NAME`.

use crate::config::ConfigError;
use port::{Mounts, Protocol};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

struct Entry {
    name: &'static str,
    mount: fn(&Value, &mut Mounts) -> Result<(), ConfigError>,
    defaults: fn() -> Value,
    schema: fn() -> Value,
}

const REGISTRY: &[Entry] = &[
    entry::<rest::Rest>(),
    entry::<poll::LongPoll>(),
    entry::<sse::ServerSentEvents>(),
    entry::<websocket::WebSocket>(),
    entry::<kafka::Kafka>(),
];

const fn entry<P: Protocol>() -> Entry {
    Entry { name: P::NAME, mount: mount::<P>, defaults: defaults_of::<P>, schema: schema_of::<P> }
}

fn mount<P: Protocol>(settings: &Value, at: &mut Mounts) -> Result<(), ConfigError> {
    let place = format!("protocols.{}", P::NAME);
    let config: P::Config = serde_path_to_error::deserialize(settings).map_err(|error| {
        let inner = error.path().to_string();
        let key = if inner == "." { place.clone() } else { format!("{place}.{inner}") };
        ConfigError::about(key, error.inner())
    })?;
    P::mount(config, at).map_err(|refusal| ConfigError::about(place, refusal.message()))
}

fn defaults_of<P: Protocol>() -> Value {
    // Settings are plain data with named fields; they always serialise.
    serde_json::to_value(P::Config::default()).unwrap_or_default()
}

fn schema_of<P: Protocol>() -> Value {
    schemars::schema_for!(P::Config).to_value()
}

/// Every protocol with the JSON Schema of its settings.
pub fn schemas() -> impl Iterator<Item = (&'static str, Value)> {
    REGISTRY.iter().map(|entry| (entry.name, (entry.schema)()))
}

/// The names of the protocols.
pub fn names() -> Arc<[&'static str]> {
    REGISTRY.iter().map(|entry| entry.name).collect()
}

/// Every protocol with its default settings.
pub fn defaults() -> BTreeMap<String, Value> {
    REGISTRY.iter().map(|entry| (entry.name.to_owned(), (entry.defaults)())).collect()
}

/// What all protocols that are switched on claim. Clashes and unknown names are refused.
pub fn mount_all(settings: &BTreeMap<String, Value>) -> Result<Mounts, ConfigError> {
    if let Some(unknown) = settings.keys().find(|name| !REGISTRY.iter().any(|e| e.name == **name)) {
        let names: Vec<&str> = REGISTRY.iter().map(|entry| entry.name).collect();
        let message = format!("there is no such protocol; there are {}", names.join(", "));
        return Err(ConfigError::about(format!("protocols.{unknown}"), message));
    }
    let mut mounts = Mounts::default();
    // Not a protocol's, but on the same port and in the same document.
    mounts.openapi.push(serde_json::to_value(control::project_openapi()).unwrap_or_default());
    for entry in REGISTRY {
        match settings.get(entry.name) {
            Some(Value::Bool(false)) => {}
            None | Some(Value::Bool(true) | Value::Null) => {
                (entry.mount)(&(entry.defaults)(), &mut mounts)?;
            }
            Some(given) => (entry.mount)(given, &mut mounts)?,
        }
    }
    Ok(mounts)
}
