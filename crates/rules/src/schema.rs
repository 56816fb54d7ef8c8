//! A topic's schema, compiled once, the verdict on one value, and the verdict on a successor. Which
//! version of a schema holds, and where versions are kept, is not known here.

mod avro;
mod datum;
pub(crate) mod json;
mod resolution;
pub mod shape;
mod subset;

use port::{Code, Refusal};
use serde_json::Value;
use types::{Compatibility, SchemaKind};

/// A schema ready to judge values. Cheap to judge with, never changes.
pub struct Schema {
    source: Value,
    compiled: Compiled,
}

enum Compiled {
    Json(json::Json),
    Avro(avro::Avro),
}

/// The value behind a head as serializers with a schema registry write it (the "wire format" of
/// Confluent's): a zero, and the registry's number of the schema, which is nobody's business here.
fn behind_head(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(&[0])?.split_first_chunk::<4>().map(|(_, value)| value)
}

impl Schema {
    /// Refuses with `INVALID_REQUEST`, the field being the place in the schema. Takes up to some
    /// milliseconds: call it when a topic is configured, not per record.
    pub fn compile(kind: SchemaKind, schema: &Value) -> Result<Schema, Refusal> {
        let compiled = match kind {
            SchemaKind::JsonSchema => Compiled::Json(json::Json::compile(schema)?),
            SchemaKind::Avro => Compiled::Avro(avro::Avro::compile(schema)?),
        };
        Ok(Schema { source: schema.clone(), compiled })
    }

    pub fn kind(&self) -> SchemaKind {
        match self.compiled {
            Compiled::Json(_) => SchemaKind::JsonSchema,
            Compiled::Avro(_) => SchemaKind::Avro,
        }
    }

    /// Judges the bytes of a record's value: JSON text for a JSON Schema, the binary encoding
    /// for an Avro schema; behind the head of a schema registry or without one. Refuses with
    /// `INVALID_EVENT_PAYLOAD`; the field is the place in the value, empty when it is the whole.
    /// The message never repeats the value.
    pub fn check_bytes(&self, value: &[u8]) -> Result<(), Refusal> {
        let Some(behind) = behind_head(value) else { return self.check_bare(value) };
        match self.compiled {
            // No JSON text begins with a zero.
            Compiled::Json(_) => self.check_bare(behind),
            // Some Avro values do.
            Compiled::Avro(_) => self
                .check_bare(behind)
                .or_else(|refusal| self.check_bare(value).map_err(|_| refusal)),
        }
    }

    fn check_bare(&self, value: &[u8]) -> Result<(), Refusal> {
        match &self.compiled {
            Compiled::Json(json) => json.check_bytes(value),
            Compiled::Avro(avro) => datum::check(avro, value).map_err(|flaw| {
                Refusal::new(
                    Code::InvalidEventPayload,
                    format!("the value does not satisfy the topic's Avro schema: {}", flaw.reason),
                )
                .field(flaw.path)
                .hint("send Avro's binary encoding of one value, without the header of a file")
            }),
        }
    }

    /// Whether this schema may follow `before` under the promise. Refuses with
    /// `SCHEMA_INCOMPATIBLE` and the place in the schema that breaks the promise.
    pub fn may_follow(&self, before: &Schema, promise: Compatibility) -> Result<(), Refusal> {
        let (reads_old, read_by_old) = match promise {
            Compatibility::None => (false, false),
            Compatibility::Backward => (true, false),
            Compatibility::Forward => (false, true),
            Compatibility::Full => (true, true),
        };
        if reads_old {
            before.reads_as(self).map_err(|flaw| {
                let what = "values of the version before would not satisfy the new one";
                incompatible(&flaw, what, promise)
            })?;
        }
        if read_by_old {
            self.reads_as(before).map_err(|flaw| {
                let what = "values of the new version would not satisfy the one before";
                incompatible(&flaw, what, promise)
            })?;
        }
        Ok(())
    }

    /// Every value of this schema can be read as one of `reader`.
    fn reads_as(&self, reader: &Schema) -> Result<(), Flaw> {
        match (&self.compiled, &reader.compiled) {
            (Compiled::Json(_), Compiled::Json(_)) => subset::check(&self.source, &reader.source),
            (Compiled::Avro(writer), Compiled::Avro(reader)) => resolution::check(writer, reader),
            _ => Err(Flaw::new("", "a schema of one kind cannot follow one of another kind")),
        }
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schema").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

/// Why something does not fit, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Flaw {
    /// A JSON pointer (RFC 6901), or field names joined the same way.
    path: String,
    reason: String,
}

impl Flaw {
    fn new(path: impl Into<String>, reason: impl Into<String>) -> Flaw {
        Flaw { path: path.into(), reason: reason.into() }
    }
}

fn incompatible(flaw: &Flaw, what: &str, promise: Compatibility) -> Refusal {
    Refusal::new(Code::SchemaIncompatible, format!("{what}: {}", flaw.reason))
        .field(format!("schema{}", flaw.path))
        .hint(format!(
            "the topic's schemas are kept `{}` compatible: change the schema so that the promise \
             holds, or set another `schema_compatibility`",
            promise.name()
        ))
}
