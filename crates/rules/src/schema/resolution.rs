//! Can every value written with one Avro schema be read with another? The rules are those of the
//! specification's "Schema Resolution", taken strictly: what a reader could only sometimes read is
//! not compatible.

use super::Flaw;
use super::avro::{Avro, Field, Id, Node, Presence};
use std::collections::{HashMap, HashSet};

/// Pairs of types that are compared at most.
const PAIRS_MAX: usize = 1_000_000;

/// Every value of `writer` can be read as one of `reader`.
pub fn check(writer: &Avro, reader: &Avro) -> Result<(), Flaw> {
    let (assumed, trail) = (HashSet::new(), Vec::new());
    let mut walk = Walk { writer, reader, assumed, trail, refuted: HashMap::new(), pairs: 0 };
    walk.pair(writer.root(), reader.root(), "")
}

struct Walk<'a> {
    writer: &'a Avro,
    reader: &'a Avro,
    /// Pairs that are being compared or were found to fit. A recursive type fits when nothing
    /// speaks against it.
    assumed: HashSet<(Id, Id)>,
    /// The assumptions in the order they were made, so that a failed trial takes its own back.
    trail: Vec<(Id, Id)>,
    /// What failed although the most was assumed fails always.
    refuted: HashMap<(Id, Id), Flaw>,
    pairs: usize,
}

impl Walk<'_> {
    fn pair(&mut self, from: Id, to: Id, at: &str) -> Result<(), Flaw> {
        if let Some(flaw) = self.refuted.get(&(from, to)) {
            return Err(flaw.clone());
        }
        if !self.assumed.insert((from, to)) {
            return Ok(());
        }
        self.pairs += 1;
        if self.pairs > PAIRS_MAX {
            return Err(Flaw::new(at, "the schemas are too large to be compared"));
        }
        let before = self.trail.len();
        self.trail.push((from, to));
        let outcome = self.compare(from, to, at);
        if let Err(flaw) = &outcome {
            for pair in self.trail.drain(before..) {
                self.assumed.remove(&pair);
            }
            self.refuted.insert((from, to), flaw.clone());
        }
        outcome
    }

    fn compare(&mut self, from: Id, to: Id, at: &str) -> Result<(), Flaw> {
        use Node::{Array, Bytes, Double, Enum, Fixed, Float, Int, Long, Map, Record, String};
        let (writer, reader) = (self.writer, self.reader);
        match (writer.node(from), reader.node(to)) {
            // Whatever branch was written must be readable.
            (Node::Union(branches), _) => {
                branches.iter().try_for_each(|branch| self.pair(*branch, to, at))
            }
            (_, Node::Union(branches)) => {
                let fits = branches.iter().any(|branch| self.pair(from, *branch, at).is_ok());
                fits.then_some(()).ok_or_else(|| {
                    let what = kind(writer.node(from));
                    Flaw::new(at, format!("no branch of the reader's union reads {what}"))
                })
            }
            (Int, Int | Long | Float | Double)
            | (Long, Long | Float | Double)
            | (Float, Float | Double)
            | (String | Bytes, String | Bytes) => Ok(()),
            (Array(from), Array(to)) => self.pair(*from, *to, &format!("{at}/items")),
            (Map(from), Map(to)) => self.pair(*from, *to, &format!("{at}/values")),
            (Record { name, fields, .. }, Record { name: new, aliases, fields: wanted }) => {
                check_name(name, new, aliases, at)?;
                self.fields(fields, wanted, at)
            }
            (
                Enum { name, symbols, .. },
                Enum { name: new, aliases, symbols: known, has_default },
            ) => {
                check_name(name, new, aliases, at)?;
                let lost = symbols.iter().find(|symbol| !known.contains(symbol));
                match lost {
                    Some(symbol) if *has_default == Presence::Absent => {
                        let text = format!("the symbol `{symbol}` is unknown to the reader");
                        Err(Flaw::new(at, text))
                    }
                    _ => Ok(()),
                }
            }
            (Fixed { name, size, .. }, Fixed { name: new, aliases, size: wanted }) => {
                check_name(name, new, aliases, at)?;
                let fits = size == wanted;
                fits.then_some(()).ok_or_else(|| {
                    Flaw::new(at, format!("a fixed of {size} bytes is read as one of {wanted}"))
                })
            }
            (same, other) if same == other => Ok(()),
            (written, wanted) => {
                let text = format!("{} cannot be read as {}", kind(written), kind(wanted));
                Err(Flaw::new(at, text))
            }
        }
    }

    fn fields(&mut self, written: &[Field], wanted: &[Field], at: &str) -> Result<(), Flaw> {
        for field in wanted {
            let names = || std::iter::once(&field.name).chain(&field.aliases);
            let found = names().find_map(|name| written.iter().find(|old| old.name == *name));
            let at = format!("{at}/{}", field.name);
            match found {
                Some(old) => self.pair(old.of, field.of, &at)?,
                None if field.default == Presence::Given => {}
                None => {
                    let text = format!(
                        "the field `{}` is not in the writer's schema and has no default",
                        field.name
                    );
                    return Err(Flaw::new(at, text));
                }
            }
        }
        Ok(())
    }
}

fn check_name(old: &str, new: &str, aliases: &[String], at: &str) -> Result<(), Flaw> {
    if old == new || aliases.iter().any(|alias| alias == old) {
        return Ok(());
    }
    let text = format!("the type `{old}` became `{new}` without an alias");
    Err(Flaw::new(at, text))
}

fn kind(node: &Node) -> &'static str {
    match node {
        Node::Null | Node::Open => "null",
        Node::Boolean => "a boolean",
        Node::Int => "an int",
        Node::Long => "a long",
        Node::Float => "a float",
        Node::Double => "a double",
        Node::Bytes => "bytes",
        Node::String => "a string",
        Node::Array(_) => "an array",
        Node::Map(_) => "a map",
        Node::Union(_) => "a union",
        Node::Record { .. } => "a record",
        Node::Enum { .. } => "an enum",
        Node::Fixed { .. } => "a fixed",
    }
}
