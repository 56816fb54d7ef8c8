//! What an audit record is in the log, byte for byte, and how records make a chain: the hash of a
//! record covers the hash of the one before and the record's own canonical form, so none can be
//! changed, left out or put in without every later hash being another. Pure: no IO, no database.

use super::{AuditId, AuditLink, AuditOutcome, AuditRecord};
use crate::{Result, TenancyError};
use aws_lc_rs::digest::{Context, SHA256, digest};
use serde_json::{Map, Value, json};
use std::fmt;
use std::str::FromStr;

/// Version of the form; a change that readers could trip over counts it up.
pub const AUDIT_FORM_VERSION: u32 = 1;
/// Bytes of a record's details in the log; of larger ones it holds the digest.
pub const AUDIT_DETAILS_BYTES_MAX: usize = 256 * 1024;
const HASH: &str = "hash";
const HASH_BYTES: usize = 32;

/// SHA-256 (FIPS 180-4), written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuditHash(pub [u8; HASH_BYTES]);

impl AuditHash {
    /// What the first record of all has before it.
    pub const NONE: AuditHash = AuditHash([0; HASH_BYTES]);

    pub(crate) fn read(bytes: &[u8]) -> Result<AuditHash> {
        let bytes = bytes.try_into().map(AuditHash);
        bytes.map_err(|_| TenancyError::Corrupt("a hash of the trail has 32 bytes".to_owned()))
    }
}

impl fmt::Display for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AuditHash {
    type Err = TenancyError;
    fn from_str(text: &str) -> Result<AuditHash> {
        let bad = || TenancyError::invalid("hash", "expected 64 hexadecimal digits");
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = |[high, low]: &[u8; 2]| u8::try_from(16 * digit(*high)? + digit(*low)?).ok();
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let bytes = bytes.filter(|_| rest.is_empty()).ok_or_else(bad)?;
        bytes.try_into().map(AuditHash).map_err(|_| bad())
    }
}

/// Why a text is no intact record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuditBroken {
    #[error("it is not an audit record")]
    Unreadable,
    #[error("it is not in the form in which the platform writes records")]
    NotCanonical,
    #[error("its content is not what its hash was made of")]
    HashDiffers,
}

/// JSON with the keys of every object in byte order and without spaces: one text for one value.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_sorted(value, &mut text);
    text
}

fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_unstable();
            text.push('{');
            for (index, name) in names.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_sorted(fields.get(name).unwrap_or(&Value::Null), text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_sorted(item, text);
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

fn details(of: &Value) -> Value {
    let text = canonical(of);
    if text.len() <= AUDIT_DETAILS_BYTES_MAX {
        return of.clone();
    }
    let digest = digest(&SHA256, text.as_bytes());
    let digest = AuditHash::read(digest.as_ref()).map(|digest| digest.to_string());
    json!({"omitted_bytes": text.len(), "sha256": digest.unwrap_or_default()})
}

/// All fields but the hash.
fn body(record: &AuditRecord, sequence: u64, previous: &AuditHash) -> Map<String, Value> {
    let body = json!({
        "version": AUDIT_FORM_VERSION,
        "sequence": sequence,
        "id": record.id.to_string(),
        "at": record.at,
        "actor": record.actor,
        "action": record.action,
        "target": record.target,
        "tenant": record.tenant.map(|id| id.to_string()),
        "project": record.project.map(|id| id.to_string()),
        "address": record.address,
        "request": record.request,
        "outcome": record.outcome.name(),
        "count": record.count,
        "details": details(&record.details),
        "previous": previous.to_string(),
    });
    match body {
        Value::Object(body) => body,
        // The macro above made an object.
        _ => Map::new(),
    }
}

fn hash(previous: &AuditHash, body: &str) -> AuditHash {
    let mut context = Context::new(&SHA256);
    context.update(&previous.0);
    context.update(body.as_bytes());
    let mut bytes = [0; HASH_BYTES];
    for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    AuditHash(bytes)
}

/// The place of a record behind the one with this hash.
pub fn link(record: &AuditRecord, sequence: u64, previous: AuditHash) -> AuditLink {
    let body = canonical(&Value::Object(body(record, sequence, &previous)));
    AuditLink { sequence, previous, hash: hash(&previous, &body) }
}

/// The record's value in the log, and one line of an export.
pub fn text(record: &AuditRecord, link: &AuditLink) -> String {
    let mut fields = body(record, link.sequence, &link.previous);
    fields.insert(HASH.to_owned(), Value::from(link.hash.to_string()));
    canonical(&Value::Object(fields))
}

/// Reads a record's text and checks that its hash is of its content. Whether it follows the record
/// before is the caller's to check.
pub fn open(text: &str) -> std::result::Result<AuditRecord, AuditBroken> {
    let value: Value = serde_json::from_str(text).map_err(|_| AuditBroken::Unreadable)?;
    if canonical(&value) != text {
        return Err(AuditBroken::NotCanonical);
    }
    let record = fields(&value).ok_or(AuditBroken::Unreadable)?;
    let Value::Object(mut body) = value else { return Err(AuditBroken::Unreadable) };
    body.remove(HASH);
    let link = record.link.as_ref().ok_or(AuditBroken::Unreadable)?;
    if hash(&link.previous, &canonical(&Value::Object(body))) != link.hash {
        return Err(AuditBroken::HashDiffers);
    }
    Ok(record)
}

fn fields(value: &Value) -> Option<AuditRecord> {
    fn optional<T: FromStr>(value: &Value) -> Option<Option<T>> {
        match value {
            Value::Null => Some(None),
            value => value.as_str()?.parse().ok().map(Some),
        }
    }
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    Some(AuditRecord {
        id: value["id"].as_str()?.parse::<AuditId>().ok()?,
        tenant: optional(&value["tenant"])?,
        project: optional(&value["project"])?,
        actor: text("actor")?,
        action: text("action")?,
        target: text("target")?,
        details: value["details"].clone(),
        at: value["at"].as_i64()?,
        outcome: AuditOutcome::named(value["outcome"].as_str()?)?,
        address: text("address"),
        request: text("request"),
        count: value["count"].as_u64()?,
        link: Some(AuditLink {
            sequence: value["sequence"].as_u64()?,
            previous: value["previous"].as_str()?.parse().ok()?,
            hash: value[HASH].as_str()?.parse().ok()?,
        }),
    })
}
