//! What is happening to the installation, counted from what the audit trail tells of a window, and
//! what of it is odd by rules that are plain to read: nothing is learned, nothing is guessed. It
//! must not read the trail itself.

mod anomalies;
mod rules;

pub use anomalies::{Anomaly, Past, anomalies};
pub use rules::{AnomalyRule, RULES, rule};

use serde::Serialize;
use std::collections::HashMap;
use types::{TenantId, TimestampMs};

/// Items of each list.
pub const LIST_MAX: usize = 20;
/// Verbs after which something is gone, or no longer good.
const DELETIONS: &[&str] =
    &["delete", "revoke", "remove", "shred", "purge", "disable", "unlink", "take", "archive"];

/// What came of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Done,
    Refused,
    Failed,
}

/// One record of the trail, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub at: TimestampMs,
    pub tenant: Option<TenantId>,
    pub actor: String,
    pub action: String,
    pub target: String,
    pub outcome: Outcome,
    pub address: Option<String>,
    /// Why it was refused.
    pub reason: String,
    /// How often, for what is told together.
    pub count: u64,
}

impl Event {
    /// Somebody did not get in with a password, a code or a passkey.
    pub fn is_sign_in_refused(&self) -> bool {
        matches!(self.action.as_str(), "session.refuse" | "passkey.refuse" | "device.refuse")
    }

    pub(crate) fn is_credential_refused(&self) -> bool {
        self.action == "credential.check"
    }

    /// A credential that was good once.
    fn is_ended_credential(&self) -> bool {
        self.is_credential_refused()
            && (self.reason.contains("EXPIRED") || self.reason.contains("REVOKED"))
    }

    fn is_elevation_refused(&self) -> bool {
        self.action == "admin.request" && self.target.contains("/v1/auth/elevate")
    }

    pub(crate) fn is_deletion(&self) -> bool {
        let verb = self.action.rsplit('.').next().unwrap_or_default();
        self.outcome == Outcome::Done && DELETIONS.contains(&verb)
    }

    /// A person, or somebody with the operator's token; not the node, not a tenant's client.
    pub(crate) fn is_of_person(&self) -> bool {
        self.actor.starts_with("usr_") || self.actor == "operator"
    }
}

/// How often, since the window's begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    pub records: u64,
    pub sign_ins: u64,
    pub sign_ins_refused: u64,
    /// Accounts that had to wait because of wrong passwords.
    pub throttled: u64,
    /// Sign-ins from an unknown device or network.
    pub suspicious: u64,
    pub credentials_refused: u64,
    /// Of those, credentials that were good once.
    pub ended_credentials_tried: u64,
    pub calls_refused: u64,
    pub elevations_refused: u64,
    pub deletions: u64,
}

/// Somebody, or somewhere, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub name: String,
    pub count: u64,
    pub last_at: TimestampMs,
}

/// What happened in a window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Activity {
    pub totals: Totals,
    pub sign_ins_refused_by_address: Vec<Line>,
    pub sign_ins_refused_by_account: Vec<Line>,
    pub throttled_accounts: Vec<Line>,
    pub new_devices: Vec<Line>,
    pub credentials_refused_by_address: Vec<Line>,
    pub ended_credentials_by_actor: Vec<Line>,
    pub calls_refused_by_actor: Vec<Line>,
    pub elevations_refused_by_actor: Vec<Line>,
    pub deletions_by_actor: Vec<Line>,
}

#[derive(Default)]
struct Tally<'a>(HashMap<&'a str, (u64, TimestampMs)>);

impl<'a> Tally<'a> {
    fn add(&mut self, name: &'a str, event: &Event) {
        let (count, last_at) = self.0.entry(name).or_default();
        *count += event.count;
        *last_at = (*last_at).max(event.at);
    }

    /// The most frequent first.
    fn lines(self) -> Vec<Line> {
        let line = |(name, (count, last_at)): (&str, (u64, TimestampMs))| Line {
            name: name.to_owned(),
            count,
            last_at,
        };
        let mut lines: Vec<Line> = self.0.into_iter().map(line).collect();
        lines.sort_by(|left, right| (right.count, &left.name).cmp(&(left.count, &right.name)));
        lines.truncate(LIST_MAX);
        lines
    }
}

/// What records that stand for nobody's address are counted under.
const ELSEWHERE: &str = "unknown";

fn count(events: &[Event], wanted: impl Fn(&Event) -> bool) -> u64 {
    events.iter().filter(|event| wanted(event)).map(|event| event.count).sum()
}

fn lines<'a>(
    events: &'a [Event],
    wanted: impl Fn(&Event) -> bool,
    name: impl Fn(&'a Event) -> &'a str,
) -> Vec<Line> {
    let mut tally = Tally::default();
    for event in events.iter().filter(|event| wanted(event)) {
        tally.add(name(event), event);
    }
    tally.lines()
}

/// Counts the records of a window.
pub fn activity(events: &[Event]) -> Activity {
    let address = |event: &'_ Event| event.address.is_some();
    fn from(event: &Event) -> &str {
        event.address.as_deref().unwrap_or(ELSEWHERE)
    }
    fn by(event: &Event) -> &str {
        &event.actor
    }
    fn to(event: &Event) -> &str {
        &event.target
    }
    let is = |action: &'static str| move |event: &Event| event.action == action;
    let is_call_refused = |event: &Event| {
        event.outcome == Outcome::Refused
            && !event.is_sign_in_refused()
            && !event.is_credential_refused()
            && event.action != "session.throttle"
    };
    Activity {
        totals: Totals {
            records: count(events, |_| true),
            sign_ins: count(events, is("session.open")),
            sign_ins_refused: count(events, Event::is_sign_in_refused),
            throttled: count(events, is("session.throttle")),
            suspicious: count(events, is("session.suspect")),
            credentials_refused: count(events, Event::is_credential_refused),
            ended_credentials_tried: count(events, Event::is_ended_credential),
            calls_refused: count(events, is_call_refused),
            elevations_refused: count(events, Event::is_elevation_refused),
            deletions: count(events, Event::is_deletion),
        },
        sign_ins_refused_by_address: lines(
            events,
            |event| event.is_sign_in_refused() && address(event),
            from,
        ),
        sign_ins_refused_by_account: lines(events, Event::is_sign_in_refused, to),
        throttled_accounts: lines(events, is("session.throttle"), to),
        new_devices: lines(events, is("session.suspect"), to),
        credentials_refused_by_address: lines(events, Event::is_credential_refused, from),
        ended_credentials_by_actor: lines(events, Event::is_ended_credential, by),
        calls_refused_by_actor: lines(events, is_call_refused, by),
        elevations_refused_by_actor: lines(events, Event::is_elevation_refused, by),
        deletions_by_actor: lines(events, Event::is_deletion, by),
    }
}
