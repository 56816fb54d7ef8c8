//! Which crate may use which: layers from below, protocols and the edge by the seam only.

use super::Complaint;
use serde_json::Value;
use std::path::Path;

/// A workspace crate as `cargo metadata` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    /// Its folder, relative to the root: `crates/hub`.
    pub folder: String,
    /// Workspace crates it uses, and whether only its tests do.
    pub uses: Vec<(String, Use)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Always,
    InTests,
}

/// The layers of `ARCHITECTURE.md`: a crate uses lower ones only.
const LAYERS: &[(&str, u8)] = &[
    ("packing", 0),
    ("stdx", 0),
    ("standard-webhooks", 0),
    ("swarm", 0),
    ("webauthn", 0),
    ("types", 1),
    ("port", 2),
    ("storage", 3),
    ("rules", 3),
    ("mail", 3),
    ("consumers", 3),
    ("eventlog", 4),
    ("keys", 4),
    ("posture", 4),
    ("tenancy", 5),
    ("identity", 6),
    ("backup", 6),
    ("compliance", 6),
    ("hub", 7),
    ("webhooks", 8),
    ("link", 8),
    ("billing", 8),
    ("edge", 8),
    ("cli", 8),
    ("audit", 9),
    ("alerts", 9),
    ("control", 10),
    ("server", 11),
];

/// What stands at the seam: all that protocols, wire crates and the edge may see.
const SEAM: &[&str] = &["packing", "stdx", "types", "port"];
/// Terminal commands talk to the server from outside: they see words, no engine.
const OUTSIDE: &[&str] = &["stdx", "standard-webhooks", "swarm", "types", "kafka-client"];
/// The Kafka library is a client of any broker: it sees the bytes, no engine.
const KAFKA_CLIENT: &[&str] = &["stdx", "types", "wire-kafka"];

pub fn packages(metadata: &Value, root: &Path) -> Vec<Package> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = list(&metadata["packages"]);
    let names: Vec<String> = all.iter().map(|package| text(&package["name"])).collect();
    all.iter()
        .map(|package| {
            let manifest = text(&package["manifest_path"]);
            let folder = Path::new(&manifest).parent().unwrap_or(root);
            let folder = folder.strip_prefix(root).unwrap_or(folder);
            let uses = list(&package["dependencies"])
                .iter()
                .filter(|used| names.contains(&text(&used["name"])))
                .map(|used| {
                    let in_tests = used["kind"].as_str() == Some("dev");
                    (text(&used["name"]), if in_tests { Use::InTests } else { Use::Always })
                })
                .collect();
            Package {
                name: text(&package["name"]),
                folder: folder.to_string_lossy().into_owned(),
                uses,
            }
        })
        .collect()
}

pub fn check(packages: &[Package]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for package in packages {
        for (used, when) in &package.uses {
            let Some(target) = packages.iter().find(|other| other.name == *used) else {
                continue;
            };
            if let Some(rule) = broken_rule(package, target, *when) {
                complaints.push(Complaint {
                    place: package.folder.clone(),
                    message: format!("`{}` must not use `{used}`: {rule}", package.name),
                });
            }
        }
    }
    complaints
}

fn broken_rule(user: &Package, used: &Package, when: Use) -> Option<&'static str> {
    let is_tooling = |package: &Package| {
        !package.folder.starts_with("crates/") && !package.folder.starts_with("protocols/")
    };
    if is_tooling(user) {
        // Tests, benches, fuzzing and chores stand outside and may look at anything.
        return None;
    }
    if used.name == "simulator" {
        return Some("the simulator stands above everything and is nobody's library");
    }
    if user.name == "simulator" {
        // Runs the engine as it is under faults: it may look at all of it.
        return used.folder.starts_with("protocols/").then_some("the simulator ends at the hub");
    }
    if used.name == "testkit" {
        return (when == Use::Always).then_some("testkit is for tests only");
    }
    if is_tooling(used) {
        return Some("tests and chores are not a library");
    }
    let is_protocol = |package: &Package| package.folder.starts_with("protocols/");
    let is_wire = |package: &Package| package.name.starts_with("wire-");
    let at_seam = SEAM.contains(&used.name.as_str());
    match user.name.as_str() {
        _ if is_protocol(user) => (!at_seam && !is_wire(used))
            .then_some("a protocol sees port, types, stdx and wire-* only"),
        _ if is_protocol(used) => {
            (user.name != "server").then_some("only the binary knows the protocols")
        }
        _ if is_wire(user) => (!at_seam).then_some("a wire crate sees port, types and stdx only"),
        "testkit" => (!at_seam && !is_wire(used)).then_some("testkit stands at the seam"),
        "edge" => {
            (!at_seam && !is_wire(used)).then_some("the edge sees the platform as port::Hub only")
        }
        "cli" => (!OUTSIDE.contains(&used.name.as_str()))
            .then_some("the terminal commands are clients from outside"),
        "kafka-client" => (!KAFKA_CLIENT.contains(&used.name.as_str()))
            .then_some("the Kafka library sees types, stdx and wire-kafka only"),
        _ if used.name == "kafka-client" => Some("clients from outside only use the Kafka library"),
        _ if is_wire(used) => (layer(user)? < 7).then_some("the engine knows no wire"),
        _ => match (layer(user), layer(used)) {
            (Some(user), Some(used)) if used < user => None,
            (None, _) => Some("the user has no layer yet: give it one in xtask/src/tidy/arrows.rs"),
            _ => Some("a crate uses lower layers only"),
        },
    }
}

fn layer(package: &Package) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == package.name).map(|&(_, layer)| layer)
}
