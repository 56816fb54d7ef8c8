//! Merges the protocols' OpenAPI 3.1 fragments into the one document served at `/openapi.json`.

use crate::EdgeError;
use serde_json::{Map, Value, json};

/// Objects are merged key by key, arrays appended without repeats; two different plain values
/// under one key are an error, since a reader of the document could not know which one holds.
pub fn merge(fragments: &[Value]) -> Result<Value, EdgeError> {
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": "Mainstem", "version": env!("CARGO_PKG_VERSION") },
        "paths": {},
        "components": {},
    });
    for fragment in fragments {
        let Value::Object(fragment) = fragment else {
            if fragment.is_null() {
                continue;
            }
            return Err(EdgeError::OpenApi("a fragment is not an object".into()));
        };
        let into = document.as_object_mut().ok_or_else(|| EdgeError::OpenApi("no root".into()))?;
        for (key, value) in fragment {
            // Each protocol's generator writes its own title and version; the document has ours.
            if key != "openapi" && key != "info" {
                merge_key(into, key, value, key)?;
            }
        }
    }
    Ok(document)
}

fn merge_key(
    into: &mut Map<String, Value>,
    key: &str,
    value: &Value,
    path: &str,
) -> Result<(), EdgeError> {
    match (into.get_mut(key), value) {
        (None, value) => {
            into.insert(key.to_owned(), value.clone());
            Ok(())
        }
        (Some(Value::Object(old)), Value::Object(new)) => {
            for (inner, value) in new {
                merge_key(old, inner, value, &format!("{path}.{inner}"))?;
            }
            Ok(())
        }
        (Some(Value::Array(old)), Value::Array(new)) => {
            for item in new {
                if !old.contains(item) {
                    old.push(item.clone());
                }
            }
            Ok(())
        }
        (Some(old), new) if old == new => Ok(()),
        (Some(_), _) => Err(EdgeError::OpenApi(format!("`{path}` is described twice"))),
    }
}
