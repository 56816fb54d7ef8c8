//! The reference of all options, from the JSON Schema of the settings: the doc comments are its
//! text, the defaults its examples.

use super::Config;
use serde_json::Value;
use std::fmt::Write;

/// Nesting of the settings, with room to grow.
const DEPTH_MAX: usize = 8;

pub fn reference() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         `mainstem serve --config FILE` reads YAML, JSON or TOML by the file's ending. Unknown \
         keys are refused with their line and a suggestion. `MAINSTEM__SECTION__KEY` in the \
         environment overrides the file, for instance `MAINSTEM__EDGE__LISTEN=0.0.0.0:8080`. \
         `mainstem config \
         check` reads without serving; `mainstem config print` shows what is in force.\n\n\
         | Key | Default | Meaning |\n|---|---|---|\n",
    );
    let schema = schemars::schema_for!(Config).to_value();
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let root = Place { schema: &schema, root: &schema, default: &defaults, depth: 0 };
    root.describe("", &mut page);
    for (name, schema) in crate::protocols::schemas() {
        let default = &defaults["protocols"][name];
        let place = Place { schema: &schema, root: &schema, default, depth: 1 };
        place.describe(&format!("protocols.{name}"), &mut page);
    }
    page
}

/// A part of the settings: its schema, where references in it point, and its default.
struct Place<'a> {
    schema: &'a Value,
    root: &'a Value,
    default: &'a Value,
    depth: usize,
}

impl<'a> Place<'a> {
    fn describe(&self, path: &str, page: &mut String) {
        let Some(properties) = self.resolved()["properties"].as_object() else {
            return;
        };
        for (name, schema) in properties.iter().filter(|_| self.depth < DEPTH_MAX) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let default = &self.default[name];
            let inner = Place { schema, root: self.root, default, depth: self.depth + 1 };
            let meaning = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
            if inner.resolved()["properties"].is_object() {
                let _ = writeln!(page, "| **`{path}`** | | {meaning} |");
                inner.describe(&path, page);
            } else {
                let default = match default {
                    Value::Null => String::new(),
                    default => format!("`{default}`"),
                };
                let default = if path == "protocols" { String::new() } else { default };
                let _ = writeln!(page, "| `{path}` | {default} | {meaning} |");
            }
        }
    }

    /// Follows one reference to a definition; ours are not nested deeper.
    fn resolved(&self) -> &'a Value {
        let reference = self.schema["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
        reference.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(self.schema)
    }
}
