//! What an entry speaks of: topics and keys, taken literally, by prefix, or by the filters that
//! subscriptions use; or what Kafka's clients name.

use crate::address::TOPIC_NAME_BYTES_MAX;
use crate::filter::{KeyPart, TopicPart};
use crate::{AccessEntry, Filter, Operation, Operations, TopicName};
use serde::{Deserialize, Serialize};

/// Bytes of a key, or of the prefix of one, in an entry.
const KEY_BYTES_MAX: usize = 1_024;
/// Bytes of a name that Kafka's clients give, or of the prefix of one.
pub const NAME_BYTES_MAX: usize = 1_000;

/// `{"literal": "orders"}`, `{"prefix": "ord"}`, or `{"filter": "orders/eu/+"}`, which speaks of
/// keys as well; `{"filter": "#"}` is every topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TopicMatch {
    Literal(String),
    Prefix(String),
    Filter(String),
}

/// `{"literal": "eu/7"}`, `{"prefix": "eu/"}` or `{"filter": "eu/+/done"}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyMatch {
    Literal(String),
    Prefix(String),
    Filter(String),
}

/// `{"literal": "billing"}` or `{"prefix": "bill"}`; `{"prefix": ""}` is every name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameMatch {
    Literal(String),
    Prefix(String),
}

/// What Kafka's clients name, and nobody makes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Named {
    /// Consumers who share partitions, and where they stand.
    ConsumerGroup,
    /// Whose transactions those of a producer are.
    TransactionalId,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TopicPattern {
    Any,
    Exact(TopicName),
    Prefix(Box<str>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyPattern {
    Part(KeyPart),
    /// Byte by byte; a record without a key has none that begins with it.
    Prefix(Box<str>),
}

/// An entry's addresses, read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Addresses {
    pub topic: TopicPattern,
    pub key: KeyPattern,
}

/// What an entry speaks of, read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    Addresses(Addresses),
    Names(Named, NameMatch),
}

impl Named {
    pub const ALL: [Named; 2] = [Named::ConsumerGroup, Named::TransactionalId];

    /// As entries and questions have it.
    pub fn field(self) -> &'static str {
        match self {
            Named::ConsumerGroup => "consumer_group",
            Named::TransactionalId => "transactional_id",
        }
    }

    /// In sentences.
    pub fn noun(self) -> &'static str {
        match self {
            Named::ConsumerGroup => "consumer group",
            Named::TransactionalId => "transactional id",
        }
    }

    /// What can be done with one.
    pub fn operations(self) -> Operations {
        let one_by_one: &[Operation] = match self {
            Named::ConsumerGroup => &[Operation::Read, Operation::Describe, Operation::Manage],
            Named::TransactionalId => &[Operation::Publish, Operation::Describe],
        };
        one_by_one.iter().copied().collect()
    }
}

impl NameMatch {
    pub fn matches(&self, name: &str) -> bool {
        match self {
            NameMatch::Literal(literal) => literal == name,
            NameMatch::Prefix(prefix) => name.starts_with(prefix),
        }
    }
}

impl Resource {
    /// `None`: it speaks of names.
    pub fn addresses(&self) -> Option<&Addresses> {
        match self {
            Resource::Addresses(addresses) => Some(addresses),
            Resource::Names(..) => None,
        }
    }
}

impl TopicPattern {
    pub fn matches(&self, topic: &TopicName) -> bool {
        match self {
            TopicPattern::Any => true,
            TopicPattern::Exact(exact) => exact == topic,
            TopicPattern::Prefix(prefix) => topic.as_str().starts_with(&**prefix),
        }
    }
}

impl KeyPattern {
    pub fn matches(&self, key: Option<&[u8]>) -> bool {
        match self {
            KeyPattern::Part(part) => part.matches(key),
            KeyPattern::Prefix(prefix) => key.is_some_and(|key| key.starts_with(prefix.as_bytes())),
        }
    }

    /// Whether it takes records with any key and without one.
    pub fn is_all(&self) -> bool {
        matches!(self, KeyPattern::Part(KeyPart::All))
    }
}

impl Addresses {
    pub fn matches(&self, topic: &TopicName, key: Option<&[u8]>) -> bool {
        self.topic.matches(topic) && self.key.matches(key)
    }
}

/// Why a field is not as it must be.
type Bad = (&'static str, String);

/// Reads what an entry speaks of; an error names the field and says why.
pub(super) fn resource(entry: &AccessEntry) -> Result<Resource, Bad> {
    let AccessEntry { topic, key, consumer_group, transactional_id, .. } = entry;
    match (topic, consumer_group, transactional_id) {
        (Some(topic), None, None) => addresses(topic, key.as_ref()).map(Resource::Addresses),
        (None, Some(name), None) => names(Named::ConsumerGroup, name, key.as_ref()),
        (None, None, Some(name)) => names(Named::TransactionalId, name, key.as_ref()),
        _ => {
            let why = "an entry has a `topic`, a `consumer_group` or a `transactional_id`, and \
                       only one of them";
            Err(("topic", why.to_owned()))
        }
    }
}

fn names(named: Named, name: &NameMatch, key: Option<&KeyMatch>) -> Result<Resource, Bad> {
    let (NameMatch::Literal(text) | NameMatch::Prefix(text)) = name;
    let is_every = matches!(name, NameMatch::Prefix(prefix) if prefix.is_empty());
    let is_sized = is_every || (1..=NAME_BYTES_MAX).contains(&text.len());
    if !is_sized || text.chars().any(char::is_control) {
        let why = format!(
            "1 to {NAME_BYTES_MAX} bytes without control characters; every {} is the prefix \"\"",
            named.noun()
        );
        return Err((named.field(), why));
    }
    match key {
        Some(_) => Err(("key", "only topics have keys".to_owned())),
        None => Ok(Resource::Names(named, name.clone())),
    }
}

fn addresses(topic: &TopicMatch, key: Option<&KeyMatch>) -> Result<Addresses, Bad> {
    let literal =
        |name: &str| TopicName::parse(name).map_err(|error| ("topic.literal", error.to_string()));
    let (topic, of_filter) = match topic {
        TopicMatch::Literal(name) => (TopicPattern::Exact(literal(name)?), None),
        TopicMatch::Prefix(prefix) => {
            check_prefix(prefix)?;
            (TopicPattern::Prefix(prefix.as_str().into()), None)
        }
        TopicMatch::Filter(text) => {
            let filter =
                Filter::parse(text).map_err(|error| ("topic.filter", error.to_string()))?;
            let topic = match filter.topic {
                TopicPart::Exact(name) => TopicPattern::Exact(name),
                TopicPart::Any => TopicPattern::Any,
            };
            (topic, Some(filter.key).filter(|key| *key != KeyPart::All))
        }
    };
    let key = match (of_filter, key) {
        (Some(_), Some(_)) => {
            let why = "the filter of the topic speaks of keys already";
            return Err(("key", why.to_owned()));
        }
        (Some(part), None) => KeyPattern::Part(part),
        (None, None) => KeyPattern::Part(KeyPart::All),
        (None, Some(key)) => key_pattern(key)?,
    };
    Ok(Addresses { topic, key })
}

fn check_prefix(prefix: &str) -> Result<(), Bad> {
    let own = prefix.strip_prefix('$').unwrap_or(prefix);
    let is_good = (1..=TOPIC_NAME_BYTES_MAX).contains(&prefix.len())
        && own.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    match is_good {
        true => Ok(()),
        false => {
            let why = "a prefix has 1 to 249 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`; \
                       every topic is the filter `#`";
            Err(("topic.prefix", why.to_owned()))
        }
    }
}

fn key_pattern(key: &KeyMatch) -> Result<KeyPattern, Bad> {
    let sized = |field: &'static str, text: &str| match (1..=KEY_BYTES_MAX).contains(&text.len()) {
        true => Ok(()),
        false => Err((field, format!("1 to {KEY_BYTES_MAX} bytes"))),
    };
    Ok(match key {
        KeyMatch::Literal(text) => {
            sized("key.literal", text)?;
            KeyPattern::Part(KeyPart::Exact(text.as_str().into()))
        }
        KeyMatch::Prefix(text) => {
            sized("key.prefix", text)?;
            KeyPattern::Prefix(text.as_str().into())
        }
        KeyMatch::Filter(text) => {
            sized("key.filter", text)?;
            // A filter with a topic in front has the rules of filters checked whole.
            let filter = Filter::parse(&format!("+/{text}"))
                .map_err(|error| ("key.filter", error.to_string()))?;
            KeyPattern::Part(filter.key)
        }
    })
}
