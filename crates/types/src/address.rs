//! Where a record lives: a topic, which one configures, and optionally a key, which is light.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// 1-249 of `[A-Za-z0-9._-]`, not `.` or `..`: Kafka's rule.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TopicName(Arc<str>);

pub const TOPIC_NAME_BYTES_MAX: usize = 249;
/// Presence changes travel on this topic of each project, which no client can name: `$` is not a
/// topic character.
pub const PRESENCE_TOPIC: &str = "$presence";
/// Where durable consumers of a project keep their state; likewise not to be named by clients.
pub const CONSUMERS_TOPIC: &str = "$consumers";
/// Behind it the name of an adapter: where that one keeps what it must not forget. Not to be named
/// by clients.
pub const KEPT_TOPICS: &str = "$kept.";
/// What the control plane changed in a project, as records. Only the platform writes it; whoever
/// may see how the project is administered may name and read it, and what is derived from it
/// (`$changes.reader.dead`). No wildcard takes it.
pub const CHANGES_TOPIC: &str = "$changes";

/// Which addresses of a project came to be occupied and vacated, as records. Like the changes, only
/// the platform writes it, it may be named, with what is derived from it, and no wildcard takes it.
pub const OCCUPANCY_TOPIC: &str = "$occupancy";

/// The audit trail of the installation, in the platform's own project: records in a chain of
/// hashes. Only the platform writes it, nobody configures or deletes it, and who may see how that
/// project is administered may name and read it.
pub const AUDIT_TOPIC: &str = "$audit";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    #[error("a topic name has 1 to 249 characters")]
    TopicLength,
    #[error("a topic name holds only letters, digits, `.`, `_` and `-`")]
    TopicCharacter,
    #[error("`.` and `..` are not topic names")]
    TopicDots,
    #[error("a key has at most 65535 bytes")]
    KeyLength,
}

impl TopicName {
    /// By the rule above; of the platform's own topics `CHANGES_TOPIC`, `OCCUPANCY_TOPIC` and
    /// `AUDIT_TOPIC`, and what is derived from them, may be named too.
    pub fn parse(text: &str) -> Result<TopicName, BadAddress> {
        if text.is_empty() || text.len() > TOPIC_NAME_BYTES_MAX {
            return Err(BadAddress::TopicLength);
        }
        let platforms = [CHANGES_TOPIC, OCCUPANCY_TOPIC, AUDIT_TOPIC];
        let own = match platforms.into_iter().find_map(|name| text.strip_prefix(name)) {
            Some("") => "",
            Some(rest) if rest.starts_with('.') => rest,
            _ => text,
        };
        if !own.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            return Err(BadAddress::TopicCharacter);
        }
        if text == "." || text == ".." {
            return Err(BadAddress::TopicDots);
        }
        Ok(TopicName(text.into()))
    }

    /// As `parse`, and the platform's topics that nobody can name: for what was written down by the
    /// platform itself.
    pub fn written(text: &str) -> Result<TopicName, BadAddress> {
        let is_secret = text == PRESENCE_TOPIC || text == CONSUMERS_TOPIC;
        let shelf = text.strip_prefix(KEPT_TOPICS);
        let is_shelf = shelf.is_some_and(|adapter| {
            !adapter.is_empty() && adapter.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        match is_secret || is_shelf {
            true => Ok(TopicName(text.into())),
            false => TopicName::parse(text),
        }
    }

    /// The project's presence topic; see `PRESENCE_TOPIC`.
    pub fn presence() -> TopicName {
        TopicName(PRESENCE_TOPIC.into())
    }

    /// The project's topic of consumer states; see `CONSUMERS_TOPIC`.
    pub fn consumers() -> TopicName {
        TopicName(CONSUMERS_TOPIC.into())
    }

    /// One of the platform's own, which clients can neither name nor see in a list.
    pub fn is_internal(&self) -> bool {
        self.0.starts_with('$')
    }

    /// The project's changes; see `CHANGES_TOPIC`.
    pub fn changes() -> TopicName {
        TopicName(CHANGES_TOPIC.into())
    }

    /// Where the adapter of this name keeps what it must not forget; not to be named by clients.
    pub fn shelf(adapter: &'static str) -> TopicName {
        TopicName(format!("{KEPT_TOPICS}{adapter}").into())
    }

    /// The installation's audit trail; see `AUDIT_TOPIC`.
    pub fn audit() -> TopicName {
        TopicName(AUDIT_TOPIC.into())
    }

    /// The project's occupancy; see `OCCUPANCY_TOPIC`.
    pub fn occupancy() -> TopicName {
        TopicName(OCCUPANCY_TOPIC.into())
    }

    /// The project's occupancy, or a topic derived from it.
    pub fn is_of_occupancy(&self) -> bool {
        self.0
            .strip_prefix(OCCUPANCY_TOPIC)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// The project's changes, or a topic derived from them.
    pub fn is_of_changes(&self) -> bool {
        self.0
            .strip_prefix(CHANGES_TOPIC)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// The installation's audit trail, or a topic derived from it.
    pub fn is_of_audit(&self) -> bool {
        self.0
            .strip_prefix(AUDIT_TOPIC)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl<'de> Deserialize<'de> for TopicName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        TopicName::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// Any bytes up to `KEY_BYTES_MAX`; the text form (levels, filters) applies where they are UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Key(Bytes);

pub const KEY_BYTES_MAX: usize = 65_535;

impl Key {
    pub fn new(bytes: impl Into<Bytes>) -> Result<Key, BadAddress> {
        let bytes = bytes.into();
        if bytes.len() > KEY_BYTES_MAX { Err(BadAddress::KeyLength) } else { Ok(Key(bytes)) }
    }

    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}
