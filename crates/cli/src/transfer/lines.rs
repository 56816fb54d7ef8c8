//! A record as a line of JSON. Keys, values and headers are text where they are UTF-8, and base64
//! under a name that says so where they are not; `null` is no key, or a tombstone.
//!
//! ```text
//! {"partition":0,"offset":7,"timestamp":1795219200000,"key":"a","value":"{\"n\":1}",
//!  "headers":[{"name":"content-type","value":"application/json"}]}
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::record::Header;
use types::{Key, Offset, Partition, Record, TimestampMs};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub partition: Partition,
    pub offset: Offset,
    pub timestamp: TimestampMs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<HeaderLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

/// As text, or else as base64.
fn shown(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

fn read(what: &str, text: Option<String>, base64: Option<String>) -> Result<Option<Bytes>, String> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(format!("`{what}` and `{what}_base64` are given")),
        (Some(text), None) => Ok(Some(Bytes::from(text))),
        (None, Some(text)) => {
            let bytes = STANDARD.decode(text);
            bytes
                .map(|bytes| Some(Bytes::from(bytes)))
                .map_err(|_| format!("`{what}_base64` is bad"))
        }
        (None, None) => Ok(None),
    }
}

impl Line {
    pub fn of(
        partition: Partition,
        offset: Offset,
        timestamp: TimestampMs,
        record: &Record,
    ) -> Line {
        let key = record.key.as_ref().map(|key| shown(key.bytes())).unwrap_or_default();
        let value = record.value.as_deref().map(shown).unwrap_or_default();
        let header = |header: &Header| {
            let (value, value_base64) = shown(&header.value);
            let name = String::from_utf8_lossy(&header.name).into_owned();
            HeaderLine { name, value, value_base64 }
        };
        Line {
            partition,
            offset,
            timestamp,
            key: key.0,
            key_base64: key.1,
            value: value.0,
            value_base64: value.1,
            headers: record.headers.iter().map(header).collect(),
        }
    }

    pub fn record(self) -> Result<Record, String> {
        let key = read("key", self.key, self.key_base64)?;
        let key = key.map(Key::new).transpose().map_err(|bad| bad.to_string())?;
        let value = read("value", self.value, self.value_base64)?;
        let header = |line: HeaderLine| {
            let value = read("value", line.value, line.value_base64)?.unwrap_or_default();
            Ok::<_, String>(Header { name: Bytes::from(line.name), value })
        };
        let headers = self.headers.into_iter().map(header).collect::<Result<_, _>>()?;
        Ok(Record { key, value, headers, timestamp: Some(self.timestamp) })
    }
}
