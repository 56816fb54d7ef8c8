//! What an operator may set about people. The doc comments are the manual.

use crate::oidc::OidcSettings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenancy::SessionTimes;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PeopleSettings {
    /// How long an access token counts before it has to be refreshed.
    pub access_ms: u64,
    /// A session that was not refreshed for so long has ended.
    pub idle_ms_max: u64,
    /// A session this old has ended, however much it is used.
    pub session_ms_max: u64,
    /// How long a user counts as having just proved who he is, for acts that need it.
    pub elevated_ms: u64,
    /// Characters of a password at least.
    pub password_chars_min: usize,
    pub password_cost: PasswordCost,
    /// Where people open the console, for the links in letters: its address as they see it. The
    /// admin port serves it. Passkeys are bound to its name, which has to be reached over https,
    /// or be `localhost`.
    pub console_url: String,
    /// How long the link of an invitation works.
    pub invitation_hours: u32,
    /// How long the link to choose another password works.
    pub reset_minutes: u32,
    pub throttle: ThrottleSettings,
    /// Providers that people sign in with (OpenID Connect).
    pub oidc: OidcSettings,
}

/// What checking one password costs, with argon2id. Passwords that were stored at another cost are
/// stored anew when their users sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PasswordCost {
    /// Kibibytes of memory.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Passwords that are checked at the same time; each takes its memory and a processor.
    pub at_once_max: usize,
    /// Requests that may wait for it; more are refused as overload.
    pub waiters_max: usize,
}

/// How guessing is slowed down: after so many failures in a row each further attempt has to wait,
/// one second first and twice as long each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ThrottleSettings {
    /// Failures of one account before it waits. A device on which the user signed in before has a
    /// count of its own, so that nobody locks a user out of his own computer.
    pub account_failures_max: u32,
    /// Failures from one network address before it waits.
    pub address_failures_max: u32,
    /// The longest wait.
    pub wait_ms_max: u64,
    /// Failures are forgotten after so long without another one.
    pub memory_ms: u64,
    /// Accounts and addresses remembered.
    pub entries_max: usize,
}

impl Default for PeopleSettings {
    fn default() -> PeopleSettings {
        PeopleSettings {
            access_ms: 15 * 60_000,
            idle_ms_max: 12 * 3_600_000,
            session_ms_max: 7 * 24 * 3_600_000,
            elevated_ms: 5 * 60_000,
            password_chars_min: 12,
            password_cost: PasswordCost::default(),
            console_url: "http://localhost:8081".to_owned(),
            invitation_hours: 7 * 24,
            reset_minutes: 60,
            throttle: ThrottleSettings::default(),
            oidc: OidcSettings::default(),
        }
    }
}

impl Default for PasswordCost {
    /// OWASP's Password Storage Cheat Sheet: 19 MiB, two passes, one lane.
    fn default() -> PasswordCost {
        PasswordCost { memory_kib: 19_456, passes: 2, at_once_max: 2, waiters_max: 64 }
    }
}

impl Default for ThrottleSettings {
    fn default() -> ThrottleSettings {
        ThrottleSettings {
            account_failures_max: 5,
            address_failures_max: 20,
            wait_ms_max: 15 * 60_000,
            memory_ms: 3_600_000,
            entries_max: 20_000,
        }
    }
}

impl PeopleSettings {
    /// Names the setting that makes no sense, and why.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let cost = &self.password_cost;
        if !(64..=1 << 20).contains(&cost.memory_kib) || !(1..=64).contains(&cost.passes) {
            return Err(("password_cost", "64 KiB to 1 GiB of memory, 1 to 64 passes"));
        }
        if cost.at_once_max == 0 || cost.at_once_max > 64 {
            return Err(("password_cost.at_once_max", "1 to 64 passwords at the same time"));
        }
        if !(8..=64).contains(&self.password_chars_min) {
            return Err(("password_chars_min", "8 to 64 characters"));
        }
        let day = 24 * 3_600_000;
        let is_ordered = self.access_ms >= 1_000
            && self.access_ms <= self.idle_ms_max
            && self.idle_ms_max <= self.session_ms_max
            && self.session_ms_max <= 366 * day;
        if !is_ordered {
            let why = "an access token lasts a second or more and no longer than an unused \
                       session, which lasts no longer than a used one, and that a year at most";
            return Err(("access_ms", why));
        }
        let is_web = ["http://", "https://"].iter().any(|web| self.console_url.starts_with(web));
        if !is_web || self.console_url.contains(['#', '?']) {
            return Err(("console_url", "an address like https://console.example.org"));
        }
        if self.throttle.entries_max == 0 || self.throttle.account_failures_max == 0 {
            return Err(("throttle", "numbers above zero"));
        }
        self.oidc.check()
    }

    pub(crate) fn invitation_ms(&self) -> i64 {
        i64::from(self.invitation_hours) * 3_600_000
    }

    pub(crate) fn reset_ms(&self) -> i64 {
        i64::from(self.reset_minutes) * 60_000
    }

    pub(crate) fn times(&self) -> SessionTimes {
        // `check` bounds both by a year.
        SessionTimes {
            idle_ms_max: i64::try_from(self.idle_ms_max).unwrap_or(i64::MAX),
            age_ms_max: i64::try_from(self.session_ms_max).unwrap_or(i64::MAX),
        }
    }
}
