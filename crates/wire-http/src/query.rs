//! Query strings, read as strictly as bodies: an unknown or repeated name, a wrong type and broken
//! UTF-8 are refused by name. It must not give any name a meaning: routes declare their own.

use crate::refusal::Rejection;
use axum::extract::FromRequestParts;
use http::request::Parts;
use port::{Code, Refusal};
use serde::de::value::StringDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use std::fmt;

/// Names in one query string.
pub const QUERY_PAIRS_MAX: usize = 64;

/// The query string as a `T`, which should `deny_unknown_fields`.
#[derive(Debug, Clone)]
pub struct StrictQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for StrictQuery<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<StrictQuery<T>, Rejection> {
        parse_query(parts.uri.query().unwrap_or(""))
            .map(StrictQuery)
            .map_err(|refusal| Rejection::new(parts, refusal))
    }
}

/// # Errors
/// `UNKNOWN_FIELD` or `INVALID_REQUEST`, each with the name in `field`.
pub fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Refusal> {
    let pairs = pairs(query)?;
    T::deserialize(Query { pairs: pairs.into_iter(), value: None }).map_err(Fault::into_refusal)
}

/// The decoded names and values in order (`application/x-www-form-urlencoded`, but strict).
///
/// # Errors
/// `INVALID_REQUEST` for broken escapes, text that is not UTF-8, and too many names.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let mut pairs = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        if pairs.len() == QUERY_PAIRS_MAX {
            let message = format!("the query has more than {QUERY_PAIRS_MAX} parameters");
            return Err(Refusal::new(Code::InvalidRequest, message));
        }
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let bad = |field: String| {
            Refusal::new(Code::InvalidRequest, "the query is not percent-encoded UTF-8 text")
                .field(field)
                .hint("each `%` is followed by two hexadecimal digits of a UTF-8 byte")
        };
        let name = decode(name).ok_or_else(|| bad("query".to_owned()))?;
        let value = decode(value).ok_or_else(|| bad(name.clone()))?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_first_chunk::<2>()?;
                rest = after;
                hex(digits[0])? << 4 | hex(digits[1])?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// What went wrong, with the parameter it concerns.
#[derive(Debug)]
struct Fault {
    code: Code,
    field: Option<String>,
    message: String,
    hint: Option<String>,
}

impl Fault {
    fn named(code: Code, field: &str, message: String) -> Fault {
        Fault { code, field: Some(field.to_owned()), message, hint: None }
    }

    fn into_refusal(self) -> Refusal {
        let mut refusal = Refusal::new(self.code, self.message);
        if let Some(field) = self.field {
            refusal = refusal.field(field);
        }
        match self.hint {
            Some(hint) => refusal.hint(hint),
            None => refusal,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault { code: Code::InvalidRequest, field: None, message: message.to_string(), hint: None }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Fault {
        let message = format!("the query parameter `{field}` does not exist");
        let hint = format!("this route takes: {}", expected.join(", "));
        Fault { hint: Some(hint), ..Fault::named(Code::UnknownField, field, message) }
    }

    fn missing_field(field: &'static str) -> Fault {
        let message = format!("the query parameter `{field}` is missing");
        Fault::named(Code::InvalidRequest, field, message)
    }

    fn duplicate_field(field: &'static str) -> Fault {
        let message = format!("the query parameter `{field}` is given twice");
        Fault::named(Code::InvalidRequest, field, message)
    }
}

struct Query {
    pairs: std::vec::IntoIter<(String, String)>,
    /// The name and value whose name was handed out last.
    value: Option<(String, String)>,
}

impl<'de> Deserializer<'de> for Query {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

impl<'de> MapAccess<'de> for Query {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.value = self.pairs.next();
        match &self.value {
            None => Ok(None),
            Some((name, _)) => seed.deserialize(StringDeserializer::new(name.clone())).map(Some),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (name, value) = self.value.take().unwrap_or_default();
        seed.deserialize(Value(value)).map_err(|mut fault| {
            fault.field.get_or_insert(name);
            fault
        })
    }
}

/// One value: text that becomes what its field wants.
struct Value(String);

macro_rules! parsed {
    ($($method:ident, $visit:ident, $expected:literal;)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(serde::de::Error::custom(format_args!(
                    concat!("`{}` is not ", $expected), self.0
                ))),
            }
        }
    )+};
}

impl<'de> Deserializer<'de> for Value {
    type Error = Fault;

    parsed! {
        deserialize_bool, visit_bool, "`true` or `false`";
        deserialize_i32, visit_i32, "a whole number";
        deserialize_i64, visit_i64, "a whole number";
        deserialize_u16, visit_u16, "a whole number that is not negative";
        deserialize_u32, visit_u32, "a whole number that is not negative";
        deserialize_u64, visit_u64, "a whole number that is not negative";
        deserialize_f64, visit_f64, "a number";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        StringDeserializer::new(self.0).deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u8 u128 f32 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// For routes that take no parameter at all.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}
