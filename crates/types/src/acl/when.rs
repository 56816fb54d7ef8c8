//! When an entry counts: where the client comes from, at what time, over what, and what its token
//! says. All of it is known of a request or not; what is not known is not fulfilled.

use super::Attributes;
use crate::TimestampMs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: u16 = 24 * 60;

/// Where a credential was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub address: IpAddr,
    pub is_tls: bool,
}

/// What is known of whoever asks, and when he asks.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub origin: Option<Origin>,
    pub attributes: Option<&'a Attributes>,
    pub now: TimestampMs,
}

/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                own.to_bits() >> shift(32, self.bits) == other.to_bits() >> shift(32, self.bits)
                    || self.bits == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                own.to_bits() >> shift(128, self.bits) == other.to_bits() >> shift(128, self.bits)
                    || self.bits == 0
            }
            _ => false,
        }
    }

    /// Whether it has every address that the other one has.
    pub fn covers(&self, other: &Network) -> bool {
        self.bits <= other.bits
            && self.address.is_ipv4() == other.address.is_ipv4()
            && self.contains(other.address)
    }
}

/// How far to shift so that the network's bits are left; a network of no bits shifts by nothing.
fn shift(all: u8, bits: u8) -> u32 {
    u32::from(if bits == 0 { 0 } else { all - bits })
}

impl FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Network, String> {
        let rule = || format!("`{text}` is no network: write `10.0.0.0/8` or `2001:db8::/32`");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| rule())?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse::<u8>().ok().filter(|bits| *bits <= bits_max),
            None => Some(bits_max),
        };
        let network = Network { address, bits: bits.ok_or_else(rule)? };
        let first = match address {
            IpAddr::V4(own) if network.bits < 32 => own.to_bits() << network.bits == 0,
            IpAddr::V6(own) if network.bits < 128 => own.to_bits() << network.bits == 0,
            _ => true,
        };
        match first {
            true => Ok(network),
            false => Err(format!("`{text}` has address bits beyond its prefix")),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    pub const ALL: [Day; 7] =
        [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];

    /// The day of the week (UTC) so many days after the first of January 1970, a Thursday.
    fn of(days: i64) -> Day {
        // The remainder of a division by 7 is below 7, so it names one of the seven.
        Day::ALL[(days + 3).rem_euclid(7) as usize]
    }
}

/// A minute of the day (UTC), written `08:30`; `24:00` is the day's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Minute(u16);

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for Minute {
    type Err = String;
    fn from_str(text: &str) -> Result<Minute, String> {
        let parse = |(hours, minutes): (&str, &str)| {
            let is_written = hours.len() == 2 && minutes.len() == 2;
            let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
            let all = hours * 60 + minutes;
            (is_written && hours <= 24 && minutes < 60 && all <= DAY_MINUTES).then_some(Minute(all))
        };
        text.split_once(':')
            .and_then(parse)
            .ok_or_else(|| format!("`{text}` is no time of day: write `08:30`"))
    }
}

impl Serialize for Minute {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Minute {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// From a minute up to another, on some days of the week, all in UTC. One that ends before it
/// begins ends on the day after.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeWindow {
    /// Empty: every day. Of a window over midnight the day it begins on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Day>,
    pub from: Minute,
    pub to: Minute,
}

impl TimeWindow {
    pub fn contains(&self, now: TimestampMs) -> bool {
        let minutes = now.div_euclid(MINUTE_MS);
        let day = minutes.div_euclid(i64::from(DAY_MINUTES));
        // Below the minutes of a day, which fit.
        let minute = minutes.rem_euclid(i64::from(DAY_MINUTES)) as u16;
        let is_on = |day: i64| self.days.is_empty() || self.days.contains(&Day::of(day));
        let (from, to) = (self.from.0, self.to.0);
        if from < to {
            return (from..to).contains(&minute) && is_on(day);
        }
        (minute >= from && is_on(day)) || (minute < to && is_on(day - 1))
    }
}

/// All that is named must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The client's address is in one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Network>,
    /// It is in one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<TimeWindow>,
    /// `true`: the credential came over TLS; `false`: it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// The token has each of these claims with one of the values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Vec<String>>,
}

impl When {
    pub fn is_always(&self) -> bool {
        *self == When::default()
    }

    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        self.unmet(facts).is_none()
    }

    /// The first condition that does not hold.
    pub fn unmet(&self, facts: &Facts<'_>) -> Option<&'static str> {
        let is_in = |origin: Origin| self.networks.iter().any(|it| it.contains(origin.address));
        if !self.networks.is_empty() && !facts.origin.is_some_and(is_in) {
            return Some("networks");
        }
        if !self.times.is_empty() && !self.times.iter().any(|it| it.contains(facts.now)) {
            return Some("times");
        }
        let is_wanted = |wanted: bool| facts.origin.is_some_and(|it| it.is_tls == wanted);
        if self.tls.is_some_and(|wanted| !is_wanted(wanted)) {
            return Some("tls");
        }
        let has = |(name, wanted): (&String, &Vec<String>)| {
            let held = facts.attributes.and_then(|it| it.get(name.as_str()));
            held.is_some_and(|held| held.iter().any(|it| wanted.iter().any(|w| **w == **it)))
        };
        match self.attributes.iter().all(has) {
            true => None,
            false => Some("attributes"),
        }
    }
}
