//! JSON Schema: compiled once, and the verdict on one value. Nothing is fetched, patterns match in
//! linear time, and the work is bounded by the product of the value's and the schema's sizes
//! (`shape`).

use super::shape;
use jsonschema::{PatternOptions, ValidationError, Validator};
use port::{Code, Refusal};
use serde_json::Value;

/// Compiled size of one pattern in bytes, about.
const PATTERN_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the validator's explanation that are passed on.
const EXPLANATION_BYTES_MAX: usize = 300;
/// Bytes of a JSON pointer that are passed on: names in a value are the publisher's.
const POINTER_BYTES_MAX: usize = 300;

/// A compiled JSON Schema.
pub struct Json {
    validator: Validator,
}

impl Json {
    /// Refuses with `INVALID_REQUEST`, the field being the place in the schema. Takes up to some
    /// milliseconds: call it when a topic is configured, not per record.
    pub fn compile(schema: &Value) -> Result<Json, Refusal> {
        shape::check(schema)?;
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(patterns())
            .build(schema)
            .map_err(|error| {
                let pointer = shortened(error.instance_path().as_str(), POINTER_BYTES_MAX);
                shape::refuse(
                    &pointer,
                    format!("the schema is not valid: {}", explanation(&error)),
                    "correct the schema; patterns may not look around or refer back",
                )
            })?;
        Ok(Json { validator })
    }

    /// Judges the bytes of a record's value. A value that is not JSON is refused with the line and
    /// column of the first mistake; nesting beyond 127 levels counts as one.
    pub fn check_bytes(&self, value: &[u8]) -> Result<(), Refusal> {
        let value = serde_json::from_slice(value).map_err(|error| {
            Refusal::new(
                Code::InvalidEventPayload,
                format!("the topic has a schema, and the value is not JSON: {error}"),
            )
            .field("")
            .hint("send the value as JSON that satisfies the topic's schema")
        })?;
        self.check(&value)
    }

    /// Judges a value. Refuses with `INVALID_EVENT_PAYLOAD`; the field is the JSON pointer
    /// (RFC 6901) of the offending part, empty when it is the whole value. The message never
    /// repeats the value.
    pub fn check(&self, value: &Value) -> Result<(), Refusal> {
        self.validator.validate(value).map_err(|error| {
            let rule = shortened(error.schema_path().as_str(), POINTER_BYTES_MAX);
            Refusal::new(
                Code::InvalidEventPayload,
                format!("the value does not satisfy the topic's schema: {}", explanation(&error)),
            )
            .field(shortened(error.instance_path().as_str(), POINTER_BYTES_MAX))
            .hint(format!("the rule is at `{rule}` of the topic's schema"))
        })
    }
}

/// Patterns are matched in linear time and take bounded memory.
pub fn patterns() -> PatternOptions<jsonschema::Regex> {
    PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX)
}

fn explanation(error: &ValidationError<'_>) -> String {
    shortened(&error.masked().to_string(), EXPLANATION_BYTES_MAX)
}

fn shortened(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // `end` is a boundary at or before the length.
    format!("{}...", &text[..end])
}

impl std::fmt::Debug for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Json")
    }
}
