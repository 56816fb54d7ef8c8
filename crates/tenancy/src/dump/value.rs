//! One value between a database and a line of a dump. Nothing here does IO.

use super::columns::Kind;
use crate::{Result, TenancyError};
use sea_orm::QueryResult;
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::Value as Bound;
use serde_json::{Value, json};

pub fn row(row: &QueryResult, columns: &[(String, Kind)]) -> Result<Vec<Value>> {
    columns.iter().enumerate().map(|(index, (_, kind))| cell(row, index, *kind)).collect()
}

fn cell(row: &QueryResult, index: usize, kind: Kind) -> Result<Value> {
    Ok(match kind {
        Kind::Uuid => json!(row.try_get_by_index::<Option<Uuid>>(index)?),
        Kind::Text => json!(row.try_get_by_index::<Option<String>>(index)?),
        Kind::Integer => json!(row.try_get_by_index::<Option<i64>>(index)?),
        // Wrapped, so that the JSON value `null` is not taken for no value.
        Kind::Json => match row.try_get_by_index::<Option<Value>>(index)? {
            Some(value) => json!([value]),
            None => Value::Null,
        },
        Kind::Bytes => match row.try_get_by_index::<Option<Vec<u8>>>(index)? {
            Some(bytes) => json!(hexadecimal(&bytes)),
            None => Value::Null,
        },
        Kind::Boolean => json!(row.try_get_by_index::<Option<bool>>(index)?),
        Kind::Double => json!(row.try_get_by_index::<Option<f64>>(index)?),
    })
}

/// What is bound in place of the value; `None` when it is not of that kind.
pub fn bound(value: Value, kind: Kind) -> Option<Bound> {
    Some(match (kind, value) {
        (Kind::Uuid, Value::Null) => Bound::from(None::<Uuid>),
        (Kind::Uuid, Value::String(text)) => Bound::from(Uuid::try_parse(&text).ok()?),
        (Kind::Text, Value::Null) => Bound::from(None::<String>),
        (Kind::Text, Value::String(text)) => Bound::from(text),
        (Kind::Integer, Value::Null) => Bound::from(None::<i64>),
        (Kind::Integer, Value::Number(number)) => Bound::from(number.as_i64()?),
        (Kind::Json, Value::Null) => Bound::from(None::<Value>),
        (Kind::Json, Value::Array(mut wrapped)) if wrapped.len() == 1 => {
            Bound::from(wrapped.pop()?)
        }
        (Kind::Bytes, Value::Null) => Bound::from(None::<Vec<u8>>),
        (Kind::Bytes, Value::String(text)) => Bound::from(bytes(&text)?),
        (Kind::Boolean, Value::Null) => Bound::from(None::<bool>),
        (Kind::Boolean, Value::Bool(value)) => Bound::from(value),
        (Kind::Double, Value::Null) => Bound::from(None::<f64>),
        (Kind::Double, Value::Number(number)) => Bound::from(number.as_f64()?),
        _ => return None,
    })
}

pub fn not_a(kind: Kind, column: &str) -> TenancyError {
    TenancyError::Corrupt(format!("a value of column {column} is no {kind:?}"))
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8; 2]| u8::try_from(16 * digit(pair[0])? + digit(pair[1])?).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}
