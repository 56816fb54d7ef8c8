//! Under which circumstances a role counts that somebody was given: where he comes from, at what
//! hours, how and how lately he proved who he is, and what was noted of him. Pure: who has which
//! role, and what is known of his request, is the caller's to find out. What is not known is not
//! fulfilled.

mod narrower;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use types::TimestampMs;
use types::acl::{Network, TimeWindow};

/// Networks, or windows of time, of one set of conditions at most.
pub const LISTED_MAX: usize = 100;
/// Attributes of one set of conditions, and of one person in one place, at most.
pub const ATTRIBUTES_MAX: usize = 20;
/// Values that one attribute may be asked to have at most.
pub const VALUES_MAX: usize = 50;
/// Bytes of an attribute's name.
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 32;
/// Bytes of an attribute's value.
pub const ATTRIBUTE_VALUE_BYTES_MAX: usize = 128;
/// The longest time, a week in minutes, that a proof of identity can be asked to be no older than.
pub const PROOF_MINUTES_MAX: u32 = 7 * 24 * 60;

const MINUTE_MS: i64 = 60_000;

/// What was noted of a person in one place, by name.
pub type PersonAttributes = BTreeMap<String, String>;

/// Windows of time as the clocks of one zone show it, so that they move with summer time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// A name of the IANA time zone database: `Europe/Berlin`; `UTC` when absent.
    #[serde(default = "utc")]
    pub zone: String,
    /// It is in one of these.
    pub windows: Vec<TimeWindow>,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// All that is named must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoleConditions {
    /// The request comes from one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Network>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// He proved himself with a second factor or a passkey.
    #[serde(skip_serializing_if = "is_false")]
    pub strong_sign_in: bool,
    /// He signed in, or proved anew who he is, at most so long ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_in_minutes_max: Option<u32>,
    /// The request came over TLS.
    #[serde(skip_serializing_if = "is_false")]
    pub tls: bool,
    /// What was noted of him has each of these names with one of the values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Vec<String>>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What is known of a request, and of the session it comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Circumstances {
    pub now: TimestampMs,
    pub address: Option<IpAddr>,
    pub is_tls: bool,
    /// A second factor or a passkey proved him in this session.
    pub is_strong: bool,
    /// When he signed in or proved anew who he is.
    pub proven_at: Option<TimestampMs>,
}

impl Circumstances {
    /// The time alone is known.
    pub fn at(now: TimestampMs) -> Circumstances {
        Circumstances { now, address: None, is_tls: false, is_strong: false, proven_at: None }
    }
}

/// A condition that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unmet {
    Networks,
    Hours,
    StrongSignIn,
    SignedIn,
    Tls,
    Attributes,
    /// A newer version wrote them, or somebody else did.
    Unreadable,
}

impl Unmet {
    pub const ALL: [Unmet; 7] = [
        Unmet::Networks,
        Unmet::Hours,
        Unmet::StrongSignIn,
        Unmet::SignedIn,
        Unmet::Tls,
        Unmet::Attributes,
        Unmet::Unreadable,
    ];

    /// The condition's field.
    pub fn name(self) -> &'static str {
        match self {
            Unmet::Networks => "networks",
            Unmet::Hours => "hours",
            Unmet::StrongSignIn => "strong_sign_in",
            Unmet::SignedIn => "signed_in_minutes_max",
            Unmet::Tls => "tls",
            Unmet::Attributes => "attributes",
            Unmet::Unreadable => "unreadable",
        }
    }

    /// For whom it concerns; tells neither networks nor values.
    pub fn meaning(self) -> &'static str {
        match self {
            Unmet::Networks => "not from this network",
            Unmet::Hours => "outside of its hours",
            Unmet::StrongSignIn => "needs a second factor or a passkey",
            Unmet::SignedIn => "the last proof of who one is lies too far back",
            Unmet::Tls => "not without TLS",
            Unmet::Attributes => "an attribute of the person is not what it has to be",
            Unmet::Unreadable => "its conditions cannot be read by this version",
        }
    }
}

/// Why a set of conditions cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionProblem {
    /// As it was written: `hours.windows[2]`.
    pub field: String,
    pub message: String,
}

/// A name that attributes may have.
pub fn is_attribute_name(name: &str) -> bool {
    (1..=ATTRIBUTE_NAME_BYTES_MAX).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A value that attributes may have.
pub fn is_attribute_value(value: &str) -> bool {
    (1..=ATTRIBUTE_VALUE_BYTES_MAX).contains(&value.len()) && !value.chars().any(char::is_control)
}

impl Hours {
    /// `None`: there is no such zone.
    fn contain(&self, now: TimestampMs) -> Option<bool> {
        let zone = TimeZone::get(&self.zone).ok()?;
        let offset = zone.to_offset(Timestamp::from_millisecond(now).ok()?);
        // As the clocks of the zone show it, written as if it were UTC.
        let shown = now.saturating_add(i64::from(offset.seconds()) * 1_000);
        Some(self.windows.iter().any(|window| window.contains(shown)))
    }
}

impl RoleConditions {
    /// Nothing is asked for.
    pub fn is_always(&self) -> bool {
        *self == RoleConditions::default()
    }

    /// All that does not hold, in the order of the fields; empty when the role counts.
    pub fn unmet(&self, here: &Circumstances, attributes: &PersonAttributes) -> Vec<Unmet> {
        let is_from = |address| self.networks.iter().any(|network| network.contains(address));
        let is_fresh = |minutes: u32| {
            let age_ms_max = i64::from(minutes) * MINUTE_MS;
            here.proven_at.is_some_and(|at| here.now.saturating_sub(at) <= age_ms_max)
        };
        let checks = [
            (self.networks.is_empty() || here.address.is_some_and(is_from), Unmet::Networks),
            (self.is_in_hours(here.now), Unmet::Hours),
            (!self.strong_sign_in || here.is_strong, Unmet::StrongSignIn),
            (self.signed_in_minutes_max.is_none_or(is_fresh), Unmet::SignedIn),
            (!self.tls || here.is_tls, Unmet::Tls),
            (self.has_attributes(attributes), Unmet::Attributes),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, unmet)| unmet).collect()
    }

    /// What does not hold whoever asks from wherever: all that can be told of somebody who is not
    /// asking.
    pub fn unmet_apart(&self, now: TimestampMs, attributes: &PersonAttributes) -> Vec<Unmet> {
        let all = self.unmet(&Circumstances::at(now), attributes);
        all.into_iter().filter(|it| matches!(it, Unmet::Hours | Unmet::Attributes)).collect()
    }

    fn is_in_hours(&self, now: TimestampMs) -> bool {
        self.hours.as_ref().is_none_or(|hours| hours.contain(now).unwrap_or(false))
    }

    fn has_attributes(&self, held: &PersonAttributes) -> bool {
        self.attributes.iter().all(|(name, wanted)| {
            held.get(name).is_some_and(|value| wanted.iter().any(|one| one == value))
        })
    }

    /// All that is wrong with them.
    pub fn problems(&self) -> Vec<ConditionProblem> {
        let mut found = Vec::new();
        let mut add = |field: String, message: String| {
            found.push(ConditionProblem { field, message });
        };
        if self.networks.len() > LISTED_MAX {
            add("networks".to_owned(), format!("at most {LISTED_MAX} networks"));
        }
        if let Some(hours) = &self.hours {
            if TimeZone::get(&hours.zone).is_err() {
                let why = "a name of the IANA time zone database, such as `Europe/Berlin` or `UTC`";
                add("hours.zone".to_owned(), why.to_owned());
            }
            if !(1..=LISTED_MAX).contains(&hours.windows.len()) {
                add("hours.windows".to_owned(), format!("1 to {LISTED_MAX} windows"));
            }
            for (number, window) in hours.windows.iter().enumerate() {
                if window.from == window.to {
                    let why = "the window is empty; a whole day is `00:00` to `24:00`";
                    add(format!("hours.windows[{number}]"), why.to_owned());
                }
            }
        }
        if self.signed_in_minutes_max.is_some_and(|it| !(1..=PROOF_MINUTES_MAX).contains(&it)) {
            add("signed_in_minutes_max".to_owned(), format!("1 to {PROOF_MINUTES_MAX}"));
        }
        if self.attributes.len() > ATTRIBUTES_MAX {
            add("attributes".to_owned(), format!("at most {ATTRIBUTES_MAX} attributes"));
        }
        for (name, values) in &self.attributes {
            if !is_attribute_name(name) {
                let why = format!(
                    "names have 1 to {ATTRIBUTE_NAME_BYTES_MAX} of `a-z`, `0-9` and `_`, the \
                     first a letter"
                );
                add("attributes".to_owned(), why);
            } else if !(1..=VALUES_MAX).contains(&values.len())
                || !values.iter().all(|value| is_attribute_value(value))
            {
                let why = format!(
                    "1 to {VALUES_MAX} values of 1 to {ATTRIBUTE_VALUE_BYTES_MAX} bytes each"
                );
                add(format!("attributes.{name}"), why);
            }
        }
        found
    }
}
