//! The keywords that bind a value by itself: its type, its bounds, what must be there. Subschemas
//! are not looked into here.

use super::{Flaw, Part, Verdict, same};
use serde_json::{Map, Number, Value};
use std::cmp::Ordering;

/// The types of JSON Schema, numbers split, because an integer is a number too.
const TYPES: [&str; 7] = ["null", "boolean", "integer", "fraction", "string", "array", "object"];

/// Keywords that must be as they were, by the types they bind.
const SAME: [(&str, &[&str]); 15] = [
    ("pattern", &["string"]),
    ("format", &["string"]),
    ("contentEncoding", &["string"]),
    ("contentMediaType", &["string"]),
    ("contentSchema", &["string"]),
    ("uniqueItems", &["array"]),
    ("contains", &["array"]),
    ("minContains", &["array"]),
    ("maxContains", &["array"]),
    ("additionalItems", &["array"]),
    ("patternProperties", &["object"]),
    ("propertyNames", &["object"]),
    ("dependentRequired", &["object"]),
    ("dependentSchemas", &["object"]),
    ("dependencies", &["object"]),
];

/// Keywords that depend on all others beside them: only a schema that is the same as a whole has
/// them shown.
const WHOLE: [&str; 2] = ["unevaluatedItems", "unevaluatedProperties"];

const NUMBER: &[&str] = &["integer", "fraction"];

/// Sizes: absent means zero below, and no bound above.
const FLOORS: [(&str, &str); 3] =
    [("minLength", "string"), ("minItems", "array"), ("minProperties", "object")];
const CEILINGS: [(&str, &str); 3] =
    [("maxLength", "string"), ("maxItems", "array"), ("maxProperties", "object")];

/// Which types a value of the old version may have.
pub struct Kinds(Vec<&'static str>);

impl Kinds {
    pub fn of(old: &[Part<'_>]) -> Kinds {
        let takes = |kind: &&str| old.iter().all(|part| accepts(part.get("type"), kind));
        Kinds(TYPES.into_iter().filter(|kind| takes(kind)).collect())
    }

    pub fn has_object(&self) -> bool {
        self.has(&["object"])
    }

    pub fn has_array(&self) -> bool {
        self.has(&["array"])
    }

    fn has(&self, any: &[&str]) -> bool {
        self.0.iter().any(|kind| any.contains(kind))
    }

    pub fn check(&self, new: &Map<String, Value>, at: &str) -> Verdict {
        let lost = self.0.iter().find(|kind| !accepts(new.get("type"), kind));
        match lost {
            None => Ok(()),
            Some(kind) => {
                let kind = if *kind == "fraction" { "number" } else { kind };
                let text = format!("a value of type `{kind}` is not accepted any more");
                Err(Flaw::new(format!("{at}/type"), text))
            }
        }
    }
}

fn accepts(types: Option<&Value>, kind: &str) -> bool {
    let one = |name: &Value| match name.as_str() {
        Some("number") => NUMBER.contains(&kind),
        Some(name) => name == kind,
        None => false,
    };
    match types {
        None => true,
        Some(Value::Array(names)) => names.iter().any(one),
        Some(name) => one(name),
    }
}

pub struct Bounds<'a, 'b> {
    pub old: &'a [Part<'b>],
    pub kinds: &'a Kinds,
}

impl Bounds<'_, '_> {
    pub fn check(&self, new: &Map<String, Value>, at: &str) -> Verdict {
        for word in ["enum", "const"] {
            same(word, self.old, new, at)?;
        }
        for (word, kinds) in SAME {
            if self.kinds.has(kinds) && new.get(word) != Some(&Value::Bool(false)) {
                same(word, self.old, new, at)?;
            }
        }
        if let Some(word) = WHOLE.into_iter().find(|word| new.contains_key(*word)) {
            let text = format!("with `{word}` nothing can be shown of a changed schema");
            return Err(Flaw::new(format!("{at}/{word}"), text));
        }
        if self.kinds.has(NUMBER) {
            self.numbers(new, at)?;
        }
        self.sizes(new, at)?;
        if self.kinds.has_object() {
            self.required(new, at)?;
        }
        Ok(())
    }

    fn is_any(&self, keyword: &str, holds: impl Fn(&Number) -> bool) -> bool {
        let number = |part: &Part<'_>| part.get(keyword).and_then(Value::as_number).cloned();
        self.old.iter().filter_map(number).any(|number| holds(&number))
    }

    fn numbers(&self, new: &Map<String, Value>, at: &str) -> Verdict {
        let bound = |word: &str| new.get(word).and_then(Value::as_number);
        let flaw = |word: &str| Flaw::new(format!("{at}/{word}"), format!("`{word}` is tighter"));
        if let Some(least) = bound("minimum") {
            let holds = |old: &Number| compared(old, least).is_some_and(Ordering::is_ge);
            if !self.is_any("minimum", holds) && !self.is_any("exclusiveMinimum", holds) {
                return Err(flaw("minimum"));
            }
        }
        if let Some(below) = bound("exclusiveMinimum") {
            let above = |old: &Number| compared(old, below).is_some_and(Ordering::is_gt);
            let at_least = |old: &Number| compared(old, below).is_some_and(Ordering::is_ge);
            if !self.is_any("minimum", above) && !self.is_any("exclusiveMinimum", at_least) {
                return Err(flaw("exclusiveMinimum"));
            }
        }
        if let Some(most) = bound("maximum") {
            let holds = |old: &Number| compared(old, most).is_some_and(Ordering::is_le);
            if !self.is_any("maximum", holds) && !self.is_any("exclusiveMaximum", holds) {
                return Err(flaw("maximum"));
            }
        }
        if let Some(above) = bound("exclusiveMaximum") {
            let below = |old: &Number| compared(old, above).is_some_and(Ordering::is_lt);
            let at_most = |old: &Number| compared(old, above).is_some_and(Ordering::is_le);
            if !self.is_any("maximum", below) && !self.is_any("exclusiveMaximum", at_most) {
                return Err(flaw("exclusiveMaximum"));
            }
        }
        if let Some(step) = bound("multipleOf") {
            let is_multiple = |old: &Number| match (old.as_u64(), step.as_u64()) {
                (Some(old), Some(step)) => step > 0 && old % step == 0,
                _ => old == step,
            };
            if !self.is_any("multipleOf", is_multiple) {
                return Err(flaw("multipleOf"));
            }
        }
        Ok(())
    }

    fn sizes(&self, new: &Map<String, Value>, at: &str) -> Verdict {
        let bound = |word: &str| new.get(word).and_then(Value::as_number);
        let flaw = |word: &str| Flaw::new(format!("{at}/{word}"), format!("`{word}` is tighter"));
        for (word, kind) in FLOORS {
            let Some(least) = bound(word).filter(|_| self.kinds.has(&[kind])) else { continue };
            let holds = |old: &Number| compared(old, least).is_some_and(Ordering::is_ge);
            if least.as_f64() != Some(0.0) && !self.is_any(word, holds) {
                return Err(flaw(word));
            }
        }
        for (word, kind) in CEILINGS {
            let Some(most) = bound(word).filter(|_| self.kinds.has(&[kind])) else { continue };
            let holds = |old: &Number| compared(old, most).is_some_and(Ordering::is_le);
            if !self.is_any(word, holds) {
                return Err(flaw(word));
            }
        }
        Ok(())
    }

    fn required(&self, new: &Map<String, Value>, at: &str) -> Verdict {
        let names =
            |schema: Option<&Value>| schema.and_then(Value::as_array).cloned().unwrap_or_default();
        let old: Vec<Value> =
            self.old.iter().flat_map(|part| names(part.get("required"))).collect();
        match names(new.get("required")).into_iter().find(|name| !old.contains(name)) {
            None => Ok(()),
            Some(name) => {
                Err(Flaw::new(format!("{at}/required"), format!("{name} was not required before")))
            }
        }
    }
}

/// Exact for integers.
fn compared(left: &Number, right: &Number) -> Option<Ordering> {
    let whole = |number: &Number| {
        let signed = number.as_i64().map(i128::from);
        signed.or_else(|| number.as_u64().map(i128::from))
    };
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}
