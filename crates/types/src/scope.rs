//! What a principal may do: coarse scopes, and fine grants per address.

use crate::Filter;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Scope {
    EventsPublish = 1,
    EventsSubscribe = 2,
    AdminRead = 4,
    AdminWrite = 8,
    BillingRead = 16,
}

impl Scope {
    pub const ALL: [Scope; 5] = [
        Scope::EventsPublish,
        Scope::EventsSubscribe,
        Scope::AdminRead,
        Scope::AdminWrite,
        Scope::BillingRead,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Scope::EventsPublish => "events:publish",
            Scope::EventsSubscribe => "events:subscribe",
            Scope::AdminRead => "admin:read",
            Scope::AdminWrite => "admin:write",
            Scope::BillingRead => "billing:read",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown scope `{0}`: the scopes are events:publish, events:subscribe, admin:read, \
     admin:write, billing:read"
)]
pub struct BadScope(pub String);

impl FromStr for Scope {
    type Err = BadScope;
    fn from_str(text: &str) -> Result<Scope, BadScope> {
        Scope::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| BadScope(text.to_owned()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of scopes; written as a list of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes(u8);

impl Scopes {
    pub const NONE: Scopes = Scopes(0);

    pub fn all() -> Scopes {
        Scope::ALL.into_iter().collect()
    }

    pub fn has(self, scope: Scope) -> bool {
        self.0 & scope as u8 != 0
    }

    pub fn intersect(self, other: Scopes) -> Scopes {
        Scopes(self.0 & other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |&s| self.has(s))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Scopes {
        Scopes(scopes.into_iter().fold(0, |bits, scope| bits | scope as u8))
    }
}

impl Serialize for Scopes {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(Scope::name))
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(from)?;
        names
            .iter()
            .map(|name| name.parse::<Scope>())
            .collect::<Result<Scopes, BadScope>>()
            .map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    Publish,
    Subscribe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Allow,
    Deny,
}

/// A rule on addresses. A principal without grants is bounded by its scopes alone; with grants, an
/// address needs an allowing one, and a denying one wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub effect: Effect,
    /// `None` is every access.
    pub access: Option<Access>,
    pub filter: Filter,
}
