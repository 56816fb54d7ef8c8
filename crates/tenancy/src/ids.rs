//! Makes identifiers: UUIDv7 (RFC 9562 section 5.7) whose time part comes from the injected clock,
//! with a counter in `rand_a` so that identifiers of one process sort in the order they were made.

use std::sync::{Arc, Mutex, PoisonError};
use stdx::{Clock, Rng};
use types::TopicId;
use uuid::{Builder, Uuid};

/// `rand_a` has twelve bits.
const COUNTER_MAX: u16 = 0x0fff;

#[derive(Debug, Default)]
struct Last {
    at_ms: u64,
    counter: u16,
}

pub(crate) struct IdMint {
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    last: Mutex<Last>,
}

impl IdMint {
    pub(crate) fn new(clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> IdMint {
        IdMint { clock, rng, last: Mutex::default() }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    pub(crate) fn uuid(&self) -> Uuid {
        let (at_ms, counter) = self.tick();
        let mut random = [0; 10];
        self.rng.fill(&mut random);
        random[..2].copy_from_slice(&counter.to_be_bytes());
        Builder::from_unix_timestamp_millis(at_ms, &random).into_uuid()
    }

    /// Random and positive: 63 bits, so that it fits a signed column and is never used twice.
    pub(crate) fn topic(&self) -> TopicId {
        TopicId((self.rng.next_u64() >> 1).max(1))
    }

    /// A clock that stands still or goes back counts on from the last identifier.
    fn tick(&self) -> (u64, u16) {
        let now_ms = u64::try_from(self.clock.now_ms()).unwrap_or(0);
        // The two numbers are written together, so a panic elsewhere leaves them whole.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if now_ms > last.at_ms {
            *last = Last { at_ms: now_ms, counter: 0 };
        } else if last.counter < COUNTER_MAX {
            last.counter += 1;
        } else {
            *last = Last { at_ms: last.at_ms + 1, counter: 0 };
        }
        (last.at_ms, last.counter)
    }
}

/// Names one kind of record: prefix and 32 hexadecimal digits.
macro_rules! record_id {
    ($(#[doc = $doc:literal])+ $name:ident, $prefix:literal) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub sea_orm::entity::prelude::Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::TenancyError;
            fn from_str(text: &str) -> $crate::Result<$name> {
                text.strip_prefix($prefix)
                    .and_then(|digits| sea_orm::entity::prelude::Uuid::try_parse(digits).ok())
                    .map($name)
                    .ok_or_else(|| {
                        let rule = concat!("expected `", $prefix, "` and 32 hexadecimal digits");
                        $crate::TenancyError::invalid("id", rule)
                    })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(
                &self,
                to: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(
                from: D,
            ) -> std::result::Result<$name, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use record_id;
