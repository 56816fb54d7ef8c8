//! The shape a schema must have before it is compiled, so that neither compiling nor validating
//! can run away: size, depth, references only within the document and never in a circle. A circle
//! of references would make the work depend on the value sent, exponentially so when it branches,
//! and a chain of doubling references would do the same without a circle; therefore what counts
//! is the schema with all references written out. This module must not know the validator.

use port::{Code, Refusal};
use serde_json::Value;
use std::collections::HashMap;

/// Bytes of the schema as JSON text.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Levels of nesting, references written out.
pub const SCHEMA_DEPTH_MAX: usize = 64;
/// JSON values in the schema, references written out.
pub const SCHEMA_NODES_MAX: usize = 10_000;
/// Regular expressions in the schema as it stands.
pub const SCHEMA_PATTERNS_MAX: usize = 64;

/// Drafts whose references mean what is checked here.
const DRAFTS: [&str; 3] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
];

/// Keywords that give a part of the document another name or resolve while validating.
const RENAMING: [&str; 5] =
    ["$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef"];

/// Size and depth of one part with its references written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub nodes: usize,
    pub depth: usize,
}

/// Refuses with `INVALID_REQUEST` and the JSON pointer of the offending part of the schema.
pub fn check(schema: &Value) -> Result<Shape, Refusal> {
    if text_is_longer(schema, SCHEMA_BYTES_MAX) {
        return Err(too_large(format!("{SCHEMA_BYTES_MAX} bytes of JSON")));
    }
    check_draft(schema)?;
    let mut walk = Walk { root: schema, seen: HashMap::new(), patterns: 0 };
    walk.visit(schema, &mut String::new(), 1)
}

/// The schema with all references written out and without what says nothing about values. Only for
/// a schema that `check` accepted: that bounds the result.
pub(super) fn resolve(schema: &Value) -> Value {
    written_out(schema, schema, is_draft_7(schema))
}

/// In draft 7 a reference makes everything beside it void.
pub(super) fn is_draft_7(schema: &Value) -> bool {
    let named = schema.get("$schema").and_then(Value::as_str);
    named.is_some_and(|named| named.contains("draft-07"))
}

/// Keywords that do not bind values.
const REMARKS: [&str; 13] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "$vocabulary",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];
/// Keywords whose members are names with a schema each.
const NAMED: [&str; 4] = ["properties", "patternProperties", "dependentSchemas", "dependencies"];
/// Keywords whose value is data, not a schema.
const DATA: [&str; 3] = ["enum", "const", "required"];

fn written_out(root: &Value, part: &Value, is_draft_7: bool) -> Value {
    let members = match part {
        Value::Object(members) => members,
        Value::Array(items) => {
            return Value::Array(
                items.iter().map(|item| written_out(root, item, is_draft_7)).collect(),
            );
        }
        other => return other.clone(),
    };
    let mut out = serde_json::Map::new();
    let mut target = None;
    for (name, member) in members {
        match (name.as_str(), member) {
            ("$ref", Value::String(pointer)) => {
                let pointer = pointer.strip_prefix('#').unwrap_or(pointer);
                target = root.pointer(pointer).map(|target| written_out(root, target, is_draft_7));
            }
            (name, _) if REMARKS.contains(&name) => {}
            (name, data) if DATA.contains(&name) => {
                out.insert(name.to_owned(), data.clone());
            }
            (name, Value::Object(named)) if NAMED.contains(&name) => {
                let named = named
                    .iter()
                    .map(|(name, of)| (name.clone(), written_out(root, of, is_draft_7)));
                out.insert(name.to_owned(), Value::Object(named.collect()));
            }
            (name, member) => {
                out.insert(name.to_owned(), written_out(root, member, is_draft_7));
            }
        }
    }
    match target {
        None => Value::Object(out),
        Some(target) if is_draft_7 || out.is_empty() => target,
        Some(target) => {
            let mut all = match out.remove("allOf") {
                Some(Value::Array(all)) => all,
                _ => Vec::new(),
            };
            all.push(target);
            out.insert("allOf".to_owned(), Value::Array(all));
            Value::Object(out)
        }
    }
}

/// The refusal of a schema; `pointer` is where in it (RFC 6901).
pub(super) fn refuse(
    pointer: &str,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> Refusal {
    Refusal::new(Code::InvalidRequest, message).field(format!("schema{pointer}")).hint(hint)
}

fn too_large(limit: String) -> Refusal {
    refuse("", format!("the schema is larger than {limit}"), "use a smaller or flatter schema")
}

fn check_draft(schema: &Value) -> Result<(), Refusal> {
    let Some(draft) = schema.get("$schema") else { return Ok(()) };
    let named = draft.as_str().map(|text| text.trim_end_matches('#'));
    if named.is_some_and(|named| DRAFTS.contains(&named)) {
        return Ok(());
    }
    let hint = format!("leave it out, or use one of: {}", DRAFTS.join(", "));
    Err(refuse("/$schema", "the schema's draft is not supported", hint))
}

struct Walk<'a> {
    root: &'a Value,
    /// By address, because a part may be reached by containment and by several references; `None`
    /// while it is being visited.
    seen: HashMap<*const Value, Option<Shape>>,
    patterns: usize,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, part: &'a Value, at: &mut String, depth: usize) -> Result<Shape, Refusal> {
        if depth > SCHEMA_DEPTH_MAX {
            return Err(too_large(format!("{SCHEMA_DEPTH_MAX} levels")));
        }
        match self.seen.get(&std::ptr::from_ref(part)) {
            Some(Some(shape)) => return self.bounded(*shape, depth),
            Some(None) => {
                let hint = "write the repeated part out to the depth that is needed";
                return Err(refuse(at, "the schema refers to itself", hint));
            }
            None => {}
        }
        self.seen.insert(std::ptr::from_ref(part), None);
        let mut shape = Shape { nodes: 1, depth: 1 };
        match part {
            Value::Object(members) => {
                for (name, member) in members {
                    let child = self.member(name, member, at, depth)?;
                    shape = self.bounded(joined(shape, child), depth)?;
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let child = self.below(&index.to_string(), item, at, depth)?;
                    shape = self.bounded(joined(shape, child), depth)?;
                }
            }
            _ => {}
        }
        self.seen.insert(std::ptr::from_ref(part), Some(shape));
        Ok(shape)
    }

    fn bounded(&self, shape: Shape, depth: usize) -> Result<Shape, Refusal> {
        if shape.nodes > SCHEMA_NODES_MAX {
            return Err(too_large(format!("{SCHEMA_NODES_MAX} values, references written out")));
        }
        if depth + shape.depth - 1 > SCHEMA_DEPTH_MAX {
            return Err(too_large(format!("{SCHEMA_DEPTH_MAX} levels, references written out")));
        }
        Ok(shape)
    }

    fn below(
        &mut self,
        name: &str,
        part: &'a Value,
        at: &mut String,
        depth: usize,
    ) -> Result<Shape, Refusal> {
        let length = at.len();
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        let shape = self.visit(part, at, depth + 1);
        if shape.is_ok() {
            at.truncate(length);
        }
        shape
    }

    /// A property may be called like a keyword; then its value is an object, not a string.
    fn member(
        &mut self,
        name: &str,
        member: &'a Value,
        at: &mut String,
        depth: usize,
    ) -> Result<Shape, Refusal> {
        let shape = self.below(name, member, at, depth)?;
        let is_root = depth == 1;
        match (name, member) {
            ("$ref", Value::String(target)) => {
                let target = self.target(target, at)?;
                return Ok(joined(shape, self.below("$ref", target, at, depth)?));
            }
            ("$id", Value::String(_)) if !is_root => {
                let hint = "only the whole schema may have an `$id`";
                return Err(refuse(at, "the schema has an inner `$id`", hint));
            }
            ("pattern", Value::String(_)) => self.patterns += 1,
            ("patternProperties", Value::Object(patterns)) => self.patterns += patterns.len(),
            (name, Value::String(_)) if RENAMING.contains(&name) => {
                return Err(unsupported(at, name));
            }
            (name, Value::Bool(_)) if RENAMING.contains(&name) => {
                return Err(unsupported(at, name));
            }
            _ => {}
        }
        if self.patterns > SCHEMA_PATTERNS_MAX {
            return Err(too_large(format!("{SCHEMA_PATTERNS_MAX} patterns")));
        }
        Ok(shape)
    }

    fn target(&self, reference: &str, at: &str) -> Result<&'a Value, Refusal> {
        let hint = "references are JSON pointers into the same schema, such as `#/$defs/name`";
        let pointer = reference
            .strip_prefix('#')
            .filter(|pointer| pointer.is_empty() || pointer.starts_with('/'))
            .filter(|pointer| !pointer.contains('%'))
            .ok_or_else(|| refuse(at, "the schema refers to something outside it", hint))?;
        self.root
            .pointer(pointer)
            .ok_or_else(|| refuse(at, "the schema refers to a part that it does not have", hint))
    }
}

fn unsupported(at: &str, keyword: &str) -> Refusal {
    let hint = "use `$ref` with a JSON pointer such as `#/$defs/name`";
    refuse(at, format!("the keyword `{keyword}` is not supported"), hint)
}

fn joined(parent: Shape, child: Shape) -> Shape {
    Shape {
        nodes: parent.nodes.saturating_add(child.nodes),
        depth: parent.depth.max(child.depth.saturating_add(1)),
    }
}

/// Counts the text without keeping it, and stops writing when the answer is known.
pub(super) fn text_is_longer(schema: &Value, bytes_max: usize) -> bool {
    struct Counter {
        left: usize,
    }
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.left = self
                .left
                .checked_sub(bytes.len())
                .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::WriteZero))?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    serde_json::to_writer(Counter { left: bytes_max }, schema).is_err()
}
