//! The rules by which something is odd, as people read them. It must not apply them.

use crate::Severity;

/// One rule, in full: what it says is all it does.
#[derive(Debug, PartialEq, Eq)]
pub struct AnomalyRule {
    /// Names it for ever; the trail has it behind `anomaly.`.
    pub id: &'static str,
    pub severity: Severity,
    pub title: &'static str,
    /// What has to be so.
    pub rule: &'static str,
    /// What to do about it.
    pub advice: &'static str,
    /// What the trail calls it.
    pub action: &'static str,
}

pub(super) const FAILURES: u64 = 20;
pub(super) const FAILURES_WINDOW_MS: i64 = 15 * 60_000;
pub(super) const ACCOUNTS: usize = 5;
pub(super) const ACCOUNTS_WINDOW_MS: i64 = 60 * 60_000;
pub(super) const DELETIONS: u64 = 10;
pub(super) const DELETIONS_WINDOW_MS: i64 = 10 * 60_000;
/// Acts before the window without which somebody is too new for anything to be unusual.
pub(super) const ACTS_KNOWN_MIN: u64 = 20;
pub(super) const HOURS_KNOWN_MIN: u64 = 40;

pub(super) static FAILURES_FROM_ADDRESS: AnomalyRule = AnomalyRule {
    id: "failures_from_address",
    severity: Severity::Warning,
    title: "Many failures from one address",
    rule: "Twenty sign-ins or credentials from one address were refused within fifteen minutes.",
    advice: "Look whose address it is; keep it out at the firewall when nobody knows it.",
    action: "anomaly.failures_from_address",
};

pub(super) static ACCOUNTS_FROM_ADDRESS: AnomalyRule = AnomalyRule {
    id: "accounts_from_address",
    severity: Severity::Critical,
    title: "Many accounts tried from one address",
    rule: "Sign-ins to five accounts from one address were refused within an hour.",
    advice: "Somebody tries a list of passwords: keep the address out, and see to it that these \
             people have a second factor.",
    action: "anomaly.accounts_from_address",
};

pub(super) static FIRST_USE: AnomalyRule = AnomalyRule {
    id: "first_use",
    severity: Severity::Info,
    title: "Somebody does something for the first time",
    rule: "A person with twenty acts in the ninety days before the window did what he had not \
           done in them.",
    advice: "Ask him whether it was him.",
    action: "anomaly.first_use",
};

pub(super) static UNUSUAL_HOUR: AnomalyRule = AnomalyRule {
    id: "unusual_hour",
    severity: Severity::Info,
    title: "Somebody acts at an unusual hour",
    rule: "A person with forty acts in the ninety days before the window acted at an hour (UTC) \
           in which he had not acted in them, nor in the hour before or after.",
    advice: "Ask him whether it was him; end his sessions if not.",
    action: "anomaly.unusual_hour",
};

pub(super) static DELETION_BURST: AnomalyRule = AnomalyRule {
    id: "deletion_burst",
    severity: Severity::Critical,
    title: "Much is deleted at once",
    rule: "One actor deleted, revoked, disabled or took away ten things within ten minutes.",
    advice: "If nobody knows why: disable the user, and bring back what is gone from a backup.",
    action: "anomaly.deletion_burst",
};

/// All of them.
pub static RULES: &[&AnomalyRule] =
    &[&FAILURES_FROM_ADDRESS, &ACCOUNTS_FROM_ADDRESS, &DELETION_BURST, &FIRST_USE, &UNUSUAL_HOUR];

/// The rule of this name.
pub fn rule(id: &str) -> Option<&'static AnomalyRule> {
    RULES.iter().copied().find(|rule| rule.id == id)
}
