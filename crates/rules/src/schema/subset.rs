//! Does every value that satisfies one JSON Schema satisfy another? In general nobody can tell;
//! here the answer is yes only where it can be shown keyword by keyword, so a change that is
//! refused may still have been harmless, and a change that is let through never breaks a reader.
//!
//! Both schemas have the shape that `shape` asks for: bounded, and references never go in circles.

mod keywords;

use super::Flaw;
use super::shape::resolve;
use jsonschema::Draft;
use keywords::{Bounds, Kinds};
use serde_json::{Map, Value};

/// Pairs of subschemas that are compared at most.
const PAIRS_MAX: usize = 20_000;
/// Values of an enum that are judged one by one.
const ENUM_MAX: usize = 1_000;

type Verdict = Result<(), Flaw>;

/// Every value of `old` satisfies `new`; else the place in `new` that may refuse one.
pub fn check(old: &Value, new: &Value) -> Verdict {
    let draft = |schema: &Value| Draft::default().detect(schema);
    if draft(old) != draft(new) {
        return Err(Flaw::new("/$schema", "the draft changed, and with it what keywords mean"));
    }
    let walk_draft = draft(new);
    // References are written out first, so that no part needs to know where it stood.
    let (old, new) = (resolve(old), resolve(new));
    if draft_has_no_tuples(walk_draft) && (mentions(&old, TUPLE) || mentions(&new, TUPLE)) {
        return Err(Flaw::new("/$schema", "`prefixItems` means nothing in the schema's draft"));
    }
    Walk { draft: walk_draft, pairs: 0 }.pair(vec![Part::of(&old)], &new, "")
}

const TUPLE: &str = "prefixItems";

fn draft_has_no_tuples(draft: Draft) -> bool {
    matches!(draft, Draft::Draft7 | Draft::Draft201909)
}

fn mentions(schema: &Value, keyword: &str) -> bool {
    match schema {
        Value::Object(members) => {
            members.iter().any(|(name, member)| name == keyword || mentions(member, keyword))
        }
        Value::Array(items) => items.iter().any(|item| mentions(item, keyword)),
        _ => false,
    }
}

/// One of the schemas that a value of the old version satisfies, all of which it satisfies.
#[derive(Clone, Copy)]
struct Part<'a> {
    schema: &'a Value,
    /// The choice was made: its branch is a part of its own.
    is_chosen: bool,
    /// What its `allOf` says is in parts of their own.
    is_spread: bool,
}

impl<'a> Part<'a> {
    fn of(schema: &'a Value) -> Part<'a> {
        Part { schema, is_chosen: false, is_spread: false }
    }

    fn get(self, keyword: &str) -> Option<&'a Value> {
        self.schema.get(keyword)
    }

    fn map(self, keyword: &str) -> Option<&'a Map<String, Value>> {
        self.get(keyword)?.as_object()
    }

    /// What the part says of the property.
    fn property(self, name: &str) -> Option<&'a Value> {
        match self.map("properties").and_then(|properties| properties.get(name)) {
            Some(schema) => Some(schema),
            None => self.other_properties(),
        }
    }

    /// What it says of properties that nobody names. With patterns about, that is not known.
    fn other_properties(self) -> Option<&'a Value> {
        match self.get("patternProperties") {
            Some(_) => None,
            None => self.get("additionalProperties"),
        }
    }

    fn item(self, index: usize) -> Option<&'a Value> {
        let first = self.get("prefixItems").and_then(Value::as_array);
        match first.and_then(|first| first.get(index)) {
            Some(schema) => Some(schema),
            None => self.get("items").filter(|items| !items.is_array()),
        }
    }
}

/// The parts with all `allOf` written out; `None` when one accepts nothing.
fn flattened<'a>(parts: Vec<Part<'a>>) -> Option<Vec<Part<'a>>> {
    let mut flat = Vec::with_capacity(parts.len());
    let mut waiting = parts;
    while let Some(mut part) = waiting.pop() {
        if part.schema == &Value::Bool(false) {
            return None;
        }
        if let Some(Value::Array(all)) = part.get("allOf").filter(|_| !part.is_spread) {
            part.is_spread = true;
            waiting.extend(all.iter().map(Part::of));
        }
        if part.schema.is_object() {
            flat.push(part);
        }
    }
    Some(flat)
}

struct Walk {
    draft: Draft,
    pairs: usize,
}

impl Walk {
    /// `at` is the place in the new schema.
    fn pair(&mut self, old: Vec<Part<'_>>, new: &Value, at: &str) -> Verdict {
        self.pairs += 1;
        if self.pairs > PAIRS_MAX {
            return Err(Flaw::new(at, "the schemas are too large to be compared"));
        }
        let Some(old) = flattened(old) else { return Ok(()) };
        let wanted = match new {
            Value::Bool(false) => return Err(Flaw::new(at, "it accepts no value any more")),
            Value::Object(wanted) if old.iter().all(|part| part.schema != new) => wanted,
            _ => return Ok(()),
        };
        if let Some(values) = finite(&old) {
            return self.each(&old, values, new, at);
        }
        let shown = self.keywords(&old, wanted, at);
        if shown.is_ok() {
            return shown;
        }
        // Perhaps it can be shown for each branch of a choice.
        for (index, part) in old.iter().enumerate() {
            let branches = ["anyOf", "oneOf"].into_iter().find_map(|word| part.get(word));
            let Some(Value::Array(branches)) = branches.filter(|_| !part.is_chosen) else {
                continue;
            };
            return branches.iter().try_for_each(|branch| {
                let mut parts = old.clone();
                if let Some(chosen) = parts.get_mut(index) {
                    chosen.is_chosen = true;
                }
                parts.push(Part::of(branch));
                self.pair(parts, new, at)
            });
        }
        shown
    }

    /// The old version's values are few: each is judged.
    fn each(&self, old: &[Part<'_>], values: Vec<&Value>, new: &Value, at: &str) -> Verdict {
        let compile = |schema: &Value| {
            let options = jsonschema::options().offline().with_draft(self.draft);
            let options = options.with_pattern_options(super::json::patterns());
            options.build(schema).map_err(|_| Flaw::new(at, "it cannot be judged by itself"))
        };
        let before = old.iter().map(|part| compile(part.schema)).collect::<Result<Vec<_>, _>>()?;
        let after = compile(new)?;
        let lost = values.into_iter().any(|value| {
            before.iter().all(|schema| schema.is_valid(value)) && !after.is_valid(value)
        });
        if lost {
            return Err(Flaw::new(at, "a value that was listed is not accepted any more"));
        }
        Ok(())
    }

    fn keywords(&mut self, old: &[Part<'_>], new: &Map<String, Value>, at: &str) -> Verdict {
        let kinds = Kinds::of(old);
        kinds.check(new, at)?;
        Bounds { old, kinds: &kinds }.check(new, at)?;
        if kinds.has_object() {
            self.properties(old, new, at)?;
        }
        if kinds.has_array() {
            self.items(old, new, at)?;
        }
        self.combined(old, new, at)
    }

    fn properties(&mut self, old: &[Part<'_>], new: &Map<String, Value>, at: &str) -> Verdict {
        let named = new.get("properties").and_then(Value::as_object);
        let others = new.get("additionalProperties");
        for (name, schema) in named.into_iter().flatten() {
            let before = old.iter().filter_map(|part| part.property(name)).map(Part::of);
            self.pair(before.collect(), schema, &format!("{at}/properties/{}", escaped(name)))?;
        }
        let Some(others) = others else { return Ok(()) };
        let at = format!("{at}/additionalProperties");
        let before = old.iter().flat_map(|part| part.map("properties")).flat_map(Map::keys);
        for name in before.filter(|name| named.is_none_or(|named| !named.contains_key(*name))) {
            let before = old.iter().filter_map(|part| part.property(name)).map(Part::of);
            self.pair(before.collect(), others, &at).map_err(|flaw| {
                Flaw::new(flaw.path, format!("of the property `{name}`: {}", flaw.reason))
            })?;
        }
        let before = old.iter().filter_map(|part| part.other_properties()).map(Part::of);
        self.pair(before.collect(), others, &at)
    }

    fn items(&mut self, old: &[Part<'_>], new: &Map<String, Value>, at: &str) -> Verdict {
        let first = |schema: Option<&Value>| schema.and_then(Value::as_array).map_or(0, Vec::len);
        let wanted = new.get("prefixItems").and_then(Value::as_array);
        let rest = new.get("items");
        if rest.is_some_and(Value::is_array) {
            return same("items", old, new, at);
        }
        let longest = old.iter().map(|part| first(part.get("prefixItems"))).max().unwrap_or(0);
        for index in 0..longest.max(wanted.map_or(0, Vec::len)) {
            let (schema, at) = match wanted.and_then(|wanted| wanted.get(index)) {
                Some(schema) => (schema, format!("{at}/prefixItems/{index}")),
                None => match rest {
                    Some(rest) => (rest, format!("{at}/items")),
                    None => continue,
                },
            };
            let before = old.iter().filter_map(|part| part.item(index)).map(Part::of);
            self.pair(before.collect(), schema, &at)?;
        }
        let Some(rest) = rest else { return Ok(()) };
        let before = old.iter().filter_map(|part| part.item(usize::MAX)).map(Part::of);
        self.pair(before.collect(), rest, &format!("{at}/items"))
    }

    fn combined(&mut self, old: &[Part<'_>], new: &Map<String, Value>, at: &str) -> Verdict {
        for (index, all) in list(new, "allOf").iter().enumerate() {
            self.pair(old.to_vec(), all, &format!("{at}/allOf/{index}"))?;
        }
        let any = list(new, "anyOf");
        if !any.is_empty() && same("anyOf", old, new, at).is_err() {
            let at = format!("{at}/anyOf");
            if !any.iter().any(|branch| self.pair(old.to_vec(), branch, &at).is_ok()) {
                return Err(Flaw::new(at, "no branch is shown to accept all that was accepted"));
            }
        }
        match list(new, "oneOf") {
            [] => {}
            [only] => self.pair(old.to_vec(), only, &format!("{at}/oneOf/0"))?,
            _ => same("oneOf", old, new, at)?,
        }
        same("not", old, new, at)?;
        if new.contains_key("if") {
            let together = ["if", "then", "else"];
            let is_same =
                |part: &Part<'_>| together.iter().all(|word| part.get(word) == new.get(*word));
            if !old.iter().any(is_same) {
                return Err(Flaw::new(format!("{at}/if"), "a condition was added or changed"));
            }
        }
        Ok(())
    }
}

/// The values of an enum or a constant, where one binds.
fn finite<'a>(old: &[Part<'a>]) -> Option<Vec<&'a Value>> {
    old.iter().find_map(|part| match (part.get("const"), part.get("enum")) {
        (Some(only), _) => Some(vec![only]),
        (None, Some(Value::Array(values))) if values.len() <= ENUM_MAX => {
            Some(values.iter().collect())
        }
        _ => None,
    })
}

fn list<'a>(schema: &'a Map<String, Value>, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The keyword says the same as before, or nothing.
fn same(keyword: &str, old: &[Part<'_>], new: &Map<String, Value>, at: &str) -> Verdict {
    let Some(wanted) = new.get(keyword) else { return Ok(()) };
    if old.iter().any(|part| part.get(keyword) == Some(wanted)) {
        return Ok(());
    }
    Err(Flaw::new(format!("{at}/{keyword}"), format!("`{keyword}` was added or changed")))
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
