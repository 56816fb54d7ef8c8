//! Access lists as people write them: who may do what where, and when. One belongs to the
//! installation, one to each tenant, one to each project; what they mean together is decided in
//! `rules`. Plain data: reading, writing and checking the text, nothing more.

mod check;
mod pattern;
mod when;

pub use check::Problem;
pub use pattern::{
    Addresses, KeyMatch, KeyPattern, NAME_BYTES_MAX, NameMatch, Named, Resource, TopicMatch,
    TopicPattern,
};
pub use when::{Day, Facts, Network, Origin, TimeWindow, When};

use crate::Effect;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Entries of one list at most.
pub const ENTRIES_MAX: usize = 20_000;
/// Bytes of one list, written as JSON.
pub const LIST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Groups of one list at most.
pub const GROUPS_MAX: usize = 1_000;
/// Members of one group at most.
pub const MEMBERS_MAX: usize = 10_000;
/// Principals that one entry names at most.
pub const PRINCIPALS_MAX: usize = 1_000;
/// Networks, windows, attributes, or values of one attribute, of one entry at most.
pub const CONDITIONS_MAX: usize = 100;
/// Bytes of the identifier of an entry or a group.
pub const ID_BYTES_MAX: usize = 64;
/// Bytes of an entry's note, of an attribute's name or of a value.
pub const TEXT_BYTES_MAX: usize = 512;

/// What a token says of its subject beyond the registered claims, each as a list of texts.
pub type Attributes = BTreeMap<Box<str>, Vec<Box<str>>>;

/// Everybody.
pub const EVERYBODY: &str = "*";
/// How the principals of API keys begin.
pub const KEY_PREFIX: &str = "key:";
/// How the principals of tokens begin; what follows is the token's subject.
pub const TOKEN_PREFIX: &str = "jwt:";
/// How users of the installation begin, who act by the admin API.
pub const USER_PREFIX: &str = "user:";
/// How a group is named where principals are listed.
pub const GROUP_PREFIX: &str = "group:";

/// What may be done at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Operation {
    /// Append records, and use a transactional id for them.
    Publish = 1,
    /// Bounded reads, the newest record of a key, and fetching for a consumer; being in a consumer
    /// group.
    Read = 2,
    /// Follow live, from any point in history.
    Subscribe = 4,
    /// Be present, see who is, and follow who comes and goes.
    Presence = 8,
    /// See that a topic exists, its configuration and its schemas; see a group or an id, and where
    /// it stands.
    Describe = 16,
    /// Create, configure and delete topics, schemas and consumers; delete a group or its offsets.
    Manage = 32,
}

impl Operation {
    pub const ALL: [Operation; 6] = [
        Operation::Publish,
        Operation::Read,
        Operation::Subscribe,
        Operation::Presence,
        Operation::Describe,
        Operation::Manage,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Operation::Publish => "publish",
            Operation::Read => "read",
            Operation::Subscribe => "subscribe",
            Operation::Presence => "presence",
            Operation::Describe => "describe",
            Operation::Manage => "manage",
        }
    }

    /// Whether it is about a topic as a whole, so that no key is asked for.
    pub fn is_of_topic(self) -> bool {
        matches!(self, Operation::Describe | Operation::Manage)
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of operations; written as a list of their names, or `["all"]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Operations(u8);

impl Operations {
    pub const NONE: Operations = Operations(0);

    pub fn all() -> Operations {
        Operation::ALL.into_iter().collect()
    }

    pub fn has(self, operation: Operation) -> bool {
        self.0 & operation as u8 != 0
    }

    pub fn contains(self, other: Operations) -> bool {
        other.0 & !self.0 == 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn with(self, operation: Operation) -> Operations {
        Operations(self.0 | operation as u8)
    }

    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.into_iter().filter(move |&it| self.has(it))
    }

    /// What the set means in an entry: whoever may do something with a topic may know that it is
    /// there. A denial means what it says.
    pub fn meant(self, effect: Effect) -> Operations {
        match effect {
            Effect::Allow if !self.is_empty() => self.with(Operation::Describe),
            _ => self,
        }
    }
}

impl FromIterator<Operation> for Operations {
    fn from_iter<I: IntoIterator<Item = Operation>>(from: I) -> Operations {
        Operations(from.into_iter().fold(0, |bits, it| bits | it as u8))
    }
}

impl Serialize for Operations {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if *self == Operations::all() {
            return to.collect_seq(["all"]);
        }
        to.collect_seq(self.iter().map(Operation::name))
    }
}

impl<'de> Deserialize<'de> for Operations {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(from)?;
        let mut found = Operations::NONE;
        for name in &names {
            found = match Operation::ALL.into_iter().find(|it| it.name() == name) {
                Some(operation) => found.with(operation),
                None if name == "all" => Operations::all(),
                None => {
                    let why = "the operations are publish, read, subscribe, presence, describe, \
                               manage, all";
                    let message = format!("unknown operation `{name}`: {why}");
                    return Err(serde::de::Error::custom(message));
                }
            };
        }
        Ok(found)
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessEntry {
    /// Unique in its list: 1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`.
    pub id: String,
    pub effect: Effect,
    /// `*`, `key:<key id>`, `jwt:<subject>`, `user:<user id>`, `group:<name>`.
    pub principals: Vec<String>,
    pub operations: Operations,
    /// An entry has a topic, a group or an id, and only one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicMatch>,
    /// `None`: every key of the topic, and records without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyMatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_group: Option<NameMatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactional_id: Option<NameMatch>,
    /// All that is named must hold; absent: always.
    #[serde(default, skip_serializing_if = "When::is_always")]
    pub when: When,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl AccessEntry {
    /// What the entry speaks of; `None` when the list was not checked.
    pub fn resource(&self) -> Option<Resource> {
        pattern::resource(self).ok()
    }
}

/// The list of one place. Without any list in its project, tenant or installation a credential is
/// bounded by its scopes alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessList {
    /// What no entry speaks of; absent: what the list above says, and `deny` when none says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Effect>,
    /// Sets of principals by name; lists below may name them too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub entries: Vec<AccessEntry>,
}
