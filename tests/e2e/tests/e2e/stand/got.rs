//! A record as any client of the platform sees it, in one form that can be compared.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is published.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sent {
    pub topic: String,
    pub key: Option<Vec<u8>>,
    pub body: Body,
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Json(Value),
    /// With its content type.
    Bytes(Vec<u8>, &'static str),
}

impl Default for Body {
    fn default() -> Body {
        Body::Json(Value::Null)
    }
}

/// What is received.
#[derive(Debug, Clone, PartialEq)]
pub struct Got {
    pub topic: String,
    pub partition: u64,
    pub offset: u64,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    pub headers: BTreeMap<String, String>,
    pub cursor: String,
}

impl Body {
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Body::Json(value) => value.to_string().into_bytes(),
            Body::Bytes(bytes, _) => bytes.clone(),
        }
    }
}

impl Sent {
    pub fn json(topic: &str, key: &str, data: Value) -> Sent {
        let key = Some(key.as_bytes().to_vec());
        Sent { topic: topic.to_owned(), key, body: Body::Json(data), ..Sent::default() }
    }

    /// The JSON form of a record to publish.
    pub fn view(&self) -> Value {
        let mut view = json!({ "topic": self.topic, "headers": self.headers });
        if let Some(key) = &self.key {
            match std::str::from_utf8(key) {
                Ok(text) => view["key"] = text.into(),
                Err(_) => view["key_base64"] = STANDARD.encode(key).into(),
            }
        }
        match &self.body {
            Body::Json(value) => view["data"] = value.clone(),
            Body::Bytes(bytes, content_type) => {
                view["data_base64"] = STANDARD.encode(bytes).into();
                view["content_type"] = (*content_type).into();
            }
        }
        view
    }
}

impl Got {
    /// From the JSON form of a record.
    pub fn from_view(view: &Value) -> Got {
        let decoded = |name: &str| {
            let text = view[name].as_str()?;
            Some(STANDARD.decode(text).unwrap_or_else(|error| panic!("{name} {view}: {error}")))
        };
        let key = view["key"].as_str().map(|key| key.as_bytes().to_vec());
        let headers = view["headers"].as_object().into_iter().flatten();
        Got {
            topic: view["topic"].as_str().unwrap_or_default().to_owned(),
            partition: view["partition"].as_u64().unwrap_or_else(|| panic!("no record: {view}")),
            offset: view["offset"].as_u64().unwrap_or_else(|| panic!("no record: {view}")),
            key: key.or_else(|| decoded("key_base64")),
            value: decoded("data_base64").unwrap_or_else(|| view["data"].to_string().into_bytes()),
            headers: headers
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            cursor: view["cursor"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// The value as JSON.
    pub fn data(&self) -> Value {
        serde_json::from_slice(&self.value).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}
