//! Where somebody is present, and the key under which others hear of it.

use port::{Code, Refusal};
use types::{Key, ProjectId, TopicName};

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub project: ProjectId,
    pub topic: TopicName,
    pub key: Option<Key>,
}

impl Address {
    /// The key of records about this address: `topic` or `topic/key`.
    pub fn record_key(&self) -> Result<Key, Refusal> {
        let mut text = self.topic.as_str().as_bytes().to_vec();
        if let Some(key) = &self.key {
            text.push(b'/');
            text.extend_from_slice(key.bytes());
        }
        Key::new(text)
            .map_err(|error| Refusal::new(Code::InvalidRequest, error.to_string()).field("key"))
    }
}
