//! Whether one set of conditions leaves no more than another, so that nobody hands on under looser
//! conditions what he has under stricter ones. May say no where yes were true, never the other way.

use super::{Hours, RoleConditions};
use types::TimestampMs;
use types::acl::Network;

/// A week that begins on a Monday, the fifth of January 1970, in milliseconds.
const WEEK_START_MS: TimestampMs = 4 * 24 * 3_600_000;
const MINUTE_MS: i64 = 60_000;
const WEEK_MINUTES: i64 = 7 * 24 * 60;

impl RoleConditions {
    /// Whether these hold only where `other` holds, whoever asks and whenever.
    pub fn is_within(&self, other: &RoleConditions) -> bool {
        self.networks_within(&other.networks)
            && hours_within(self.hours.as_ref(), other.hours.as_ref())
            && (self.strong_sign_in || !other.strong_sign_in)
            && (self.tls || !other.tls)
            && other
                .signed_in_minutes_max
                .is_none_or(|most| self.signed_in_minutes_max.is_some_and(|own| own <= most))
            && self.attributes_within(other)
    }

    fn networks_within(&self, others: &[Network]) -> bool {
        let is_inside = |own: &Network| others.iter().any(|other| other.covers(own));
        others.is_empty() || (!self.networks.is_empty() && self.networks.iter().all(is_inside))
    }

    fn attributes_within(&self, other: &RoleConditions) -> bool {
        other.attributes.iter().all(|(name, most)| {
            let own = self.attributes.get(name);
            own.is_some_and(|own| own.iter().all(|value| most.contains(value)))
        })
    }
}

/// Minute by minute of a week; hours of another zone are not compared, since they shift.
fn hours_within(own: Option<&Hours>, other: Option<&Hours>) -> bool {
    let Some(other) = other else { return true };
    let Some(own) = own.filter(|own| own.zone == other.zone) else { return false };
    (0..WEEK_MINUTES).all(|minute| {
        let shown = WEEK_START_MS + minute * MINUTE_MS;
        let is_in = |hours: &Hours| hours.windows.iter().any(|window| window.contains(shown));
        !is_in(own) || is_in(other)
    })
}
