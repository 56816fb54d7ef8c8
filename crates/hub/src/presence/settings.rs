//! What an operator may set of presence: these comments are the manual.

use super::rooms::Act;
use port::{Code, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Shorter leases would be renewed more often than they are worth.
const LEASE_MS_MIN: u64 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Members present at one address.
    pub members_per_address_max: usize,
    /// Members present in one project, at all its addresses together.
    pub members_per_project_max: usize,
    /// Members one connection enters without a lease, at all addresses together.
    pub members_per_connection_max: usize,
    /// Longest lease of a device, in milliseconds; longer ones are shortened to it.
    pub lease_ms_max: u64,
    /// Changes at one address are told together, once in so many milliseconds; the first one after
    /// a quiet time is told at once. It grows with the room: by itself for every thousand members.
    pub window_ms: u64,
    /// Milliseconds an address must be without followers and members before it is told as vacated.
    pub vacated_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            members_per_address_max: 100_000,
            members_per_project_max: 200_000,
            members_per_connection_max: 100,
            lease_ms_max: 600_000,
            window_ms: 100,
            vacated_ms: 10_000,
        }
    }
}

impl Settings {
    /// # Errors
    /// The name of the first value that is out of range, and why.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let members = [
            ("members_per_address_max", self.members_per_address_max),
            ("members_per_project_max", self.members_per_project_max),
            ("members_per_connection_max", self.members_per_connection_max),
        ];
        if let Some((name, _)) = members.into_iter().find(|(_, max)| *max == 0) {
            return Err((name, "nobody could be present"));
        }
        if self.lease_ms_max < LEASE_MS_MIN || self.lease_ms_max > 86_400_000 {
            return Err(("lease_ms_max", "a lease lasts between a second and a day"));
        }
        if self.window_ms > 60_000 {
            return Err(("window_ms", "changes are told within a minute at most"));
        }
        if self.vacated_ms > 3_600_000 {
            return Err(("vacated_ms", "an empty address is told within an hour at most"));
        }
        Ok(())
    }

    /// How long changes are gathered in a room of so many members.
    pub(super) fn window(&self, members: usize) -> Duration {
        let thousands = u64::try_from(members / 1_000).unwrap_or(u64::MAX);
        Duration::from_millis(self.window_ms.saturating_mul(thousands.saturating_add(1)))
    }

    /// The lease that is granted: no longer than the setting, nor than the credential.
    pub(super) fn grant(
        &self,
        wanted: Option<Duration>,
        act: &Act<'_>,
    ) -> Result<Option<Duration>, Refusal> {
        let Some(wanted) = wanted else { return Ok(None) };
        if wanted < Duration::from_millis(LEASE_MS_MIN) {
            let message = format!("a lease lasts at least {LEASE_MS_MIN} milliseconds");
            return Err(Refusal::new(Code::InvalidRequest, message).field("lease_ms"));
        }
        let credential = act.who.claims().expires_at.map_or(u64::MAX, |end| {
            u64::try_from(end.saturating_sub(act.now_ms)).unwrap_or_default()
        });
        let longest = Duration::from_millis(self.lease_ms_max.min(credential));
        Ok(Some(wanted.min(longest)))
    }

    pub(crate) fn vacated_after(&self) -> Duration {
        Duration::from_millis(self.vacated_ms)
    }
}
