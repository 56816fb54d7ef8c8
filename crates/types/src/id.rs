//! Identifiers. Each is its own type so that a tenant cannot be passed where a project is meant.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        /// Written as a prefix and 32 hexadecimal digits, so that a reader sees what it names.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                let digits = text.strip_prefix(concat!($prefix, "_")).ok_or(BadId($prefix))?;
                Uuid::try_parse(digits).map($name).map_err(|_| BadId($prefix))
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// The text is not an identifier of the kind named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `{0}_` and 32 hexadecimal digits")]
pub struct BadId(&'static str);

uuid_id!(/// A customer: the unit of isolation, quota and billing.
    TenantId, "ten");
uuid_id!(/// A namespace of topics inside a tenant.
    ProjectId, "prj");
uuid_id!(/// One API key's record (not its secret).
    KeyId, "key");

/// Who acts: an API key, a token's subject or a user, in one text form (`key:...`, `jwt:...`).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct PrincipalId(pub std::sync::Arc<str>);

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A topic for ever: names may be reused after deletion, this number is not. Random, positive,
/// fits a signed 64-bit column.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct TopicId(pub u64);

/// A number an adapter chooses for one of its subscriptions, handed back with each delivery.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SubscriptionTag(pub u32);
