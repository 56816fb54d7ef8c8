//! Avro schemas: parsed by the library, then laid out flat with all names resolved, so that values
//! and successors are judged without looking names up. Judging is not done here.

use super::shape::{SCHEMA_BYTES_MAX, text_is_longer};
use apache_avro::Schema as Parsed;
use apache_avro::schema::{InnerDecimalSchema, Name, UuidSchema};
use port::Refusal;
use serde_json::Value;
use std::collections::HashMap;

/// Types in one schema, all fields and branches counted.
const NODES_MAX: usize = 10_000;
/// Bytes of the parser's explanation that are passed on.
const EXPLANATION_BYTES_MAX: usize = 300;

/// Index of a node of the same schema.
pub type Id = usize;

pub struct Avro {
    nodes: Vec<Node>,
    root: Id,
}

/// A type, logical ones reduced to what they are written as.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(Id),
    Map(Id),
    Union(Vec<Id>),
    Record {
        name: String,
        aliases: Vec<String>,
        fields: Vec<Field>,
    },
    Enum {
        name: String,
        aliases: Vec<String>,
        symbols: Vec<String>,
        has_default: Presence,
    },
    Fixed {
        name: String,
        aliases: Vec<String>,
        size: usize,
    },
    /// Held open while a recursive type is laid out; never left in a compiled schema.
    Open,
}

/// Whether a default is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Given,
    Absent,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: String,
    pub aliases: Vec<String>,
    pub default: Presence,
    pub of: Id,
}

impl Avro {
    /// Refuses with `INVALID_REQUEST`.
    pub fn compile(schema: &Value) -> Result<Avro, Refusal> {
        if text_is_longer(schema, SCHEMA_BYTES_MAX) {
            return Err(refuse(
                format!("the schema is larger than {SCHEMA_BYTES_MAX} bytes of JSON"),
                "use a smaller or flatter schema",
            ));
        }
        let parsed = Parsed::parse(schema).map_err(|error| {
            let text = shortened(&error.to_string());
            refuse(format!("the Avro schema is not valid: {text}"), "correct the schema")
        })?;
        let mut layout = Layout { nodes: Vec::new(), named: HashMap::new() };
        let root = layout.add(&parsed, None)?;
        let avro = Avro { nodes: layout.nodes, root };
        avro.check_finite()?;
        Ok(avro)
    }

    pub fn root(&self) -> Id {
        self.root
    }

    pub fn node(&self, id: Id) -> &Node {
        // Ids are made by this schema's own layout and point into it; null is a harmless answer.
        self.nodes.get(id).unwrap_or(&Node::Null)
    }

    /// A record that must contain itself has no values, and writing one would never end.
    fn check_finite(&self) -> Result<(), Refusal> {
        // A type is finite when its parts are; repeated until nothing new is found.
        let mut finite = vec![false; self.nodes.len()];
        let mut is_growing = true;
        while is_growing {
            is_growing = false;
            for (id, node) in self.nodes.iter().enumerate() {
                let is_known = |part: &Id| finite.get(*part).copied().unwrap_or(false);
                let is_finite = match node {
                    Node::Union(branches) => branches.iter().any(is_known),
                    Node::Record { fields, .. } => fields.iter().all(|field| is_known(&field.of)),
                    _ => true,
                };
                if is_finite && !is_known(&id) {
                    finite[id] = true;
                    is_growing = true;
                }
            }
        }
        if finite.iter().all(|is_finite| *is_finite) {
            return Ok(());
        }
        Err(refuse(
            "a record of the schema must contain itself, so it has no value".to_owned(),
            "make the inner one optional: a union with null, an array or a map",
        ))
    }
}

struct Layout {
    nodes: Vec<Node>,
    named: HashMap<String, Id>,
}

impl Layout {
    fn add(&mut self, schema: &Parsed, space: Option<&str>) -> Result<Id, Refusal> {
        if let Parsed::Ref { name } = schema {
            let name = name.fullname(space);
            let unknown = || refuse(format!("the type `{name}` is not defined"), "define it first");
            return self.named.get(&name).copied().ok_or_else(unknown);
        }
        let id = self.open()?;
        let node = match schema {
            Parsed::Null => Node::Null,
            Parsed::Boolean => Node::Boolean,
            Parsed::Int | Parsed::Date | Parsed::TimeMillis => Node::Int,
            Parsed::Float => Node::Float,
            Parsed::Double => Node::Double,
            Parsed::Bytes | Parsed::BigDecimal | Parsed::Uuid(UuidSchema::Bytes) => Node::Bytes,
            Parsed::String | Parsed::Uuid(UuidSchema::String) => Node::String,
            Parsed::Array(array) => Node::Array(self.add(&array.items, space)?),
            Parsed::Map(map) => Node::Map(self.add(&map.types, space)?),
            Parsed::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.add(branch, space));
                Node::Union(branches.collect::<Result<_, _>>()?)
            }
            Parsed::Record(record) => {
                let (name, inner) = self.name(&record.name, space, id);
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    fields.push(Field {
                        name: field.name.clone(),
                        aliases: field.aliases.clone(),
                        default: presence(field.default.is_some()),
                        of: self.add(&field.schema, inner.as_deref())?,
                    });
                }
                Node::Record { name, aliases: aliases(record.aliases.as_ref()), fields }
            }
            Parsed::Enum(of) => Node::Enum {
                name: self.name(&of.name, space, id).0,
                aliases: aliases(of.aliases.as_ref()),
                symbols: of.symbols.clone(),
                has_default: presence(of.default.is_some()),
            },
            Parsed::Fixed(fixed)
            | Parsed::Duration(fixed)
            | Parsed::Uuid(UuidSchema::Fixed(fixed)) => self.fixed(fixed, space, id),
            Parsed::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Bytes => Node::Bytes,
                InnerDecimalSchema::Fixed(fixed) => self.fixed(fixed, space, id),
            },
            // What is left is a 64-bit number of some meaning; names were answered above.
            _ => Node::Long,
        };
        if let Some(slot) = self.nodes.get_mut(id) {
            *slot = node;
        }
        Ok(id)
    }

    fn open(&mut self) -> Result<Id, Refusal> {
        if self.nodes.len() >= NODES_MAX {
            let hint = "use a smaller schema";
            return Err(refuse(format!("the schema has more than {NODES_MAX} types"), hint));
        }
        self.nodes.push(Node::Open);
        Ok(self.nodes.len() - 1)
    }

    fn fixed(
        &mut self,
        fixed: &apache_avro::schema::FixedSchema,
        space: Option<&str>,
        id: Id,
    ) -> Node {
        let name = self.name(&fixed.name, space, id).0;
        Node::Fixed { name, aliases: aliases(fixed.aliases.as_ref()), size: fixed.size }
    }

    /// The unqualified name, by which successors are compared, and the namespace for what is
    /// inside.
    fn name(&mut self, name: &Name, space: Option<&str>, id: Id) -> (String, Option<String>) {
        let full = name.fullname(space);
        let inner = full.rsplit_once('.').map(|(space, _)| space.to_owned());
        self.named.insert(full, id);
        (name.name().to_owned(), inner)
    }
}

fn aliases(aliases: Option<&Vec<apache_avro::schema::Alias>>) -> Vec<String> {
    aliases.into_iter().flatten().map(|alias| alias.name().to_owned()).collect()
}

fn presence(is_given: bool) -> Presence {
    if is_given { Presence::Given } else { Presence::Absent }
}

fn refuse(message: String, hint: &str) -> Refusal {
    super::shape::refuse("", message, hint)
}

fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(EXPLANATION_BYTES_MAX);
    match text.get(..end) {
        Some(start) if end < text.len() => format!("{start}..."),
        _ => text.to_owned(),
    }
}
