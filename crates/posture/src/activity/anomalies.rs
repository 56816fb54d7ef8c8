//! What is odd in a window. Each rule looks at the records in their order and tells of each subject
//! once, at the moment when the rule was met.

use super::rules::*;
use super::{AnomalyRule, Event, Outcome};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use types::TimestampMs;

const HOUR_MS: i64 = 3_600_000;
const HOURS: usize = 24;
/// Actions of one's own account: everybody does them some day.
const OWN: &[&str] =
    &["session.", "passkey.", "second_factor.", "user.password.", "device.", "identity.", "audit."];

/// What somebody did before the window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Past {
    /// How often, by action.
    pub acts: HashMap<String, u64>,
    /// How often, by the hour of the day (UTC).
    pub hours: [u64; HOURS],
}

/// Something odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    pub rule: &'static AnomalyRule,
    /// The address or the actor, and of what: the same for the same oddity.
    pub subject: String,
    /// When the rule was met.
    pub at: TimestampMs,
    /// Records that met it.
    pub count: u64,
    /// What happened, in one sentence.
    pub what: String,
}

/// What is odd, the newest last. `events` are in the order of their times; `past` is what the
/// people among their actors did before; who is not in it is too new.
pub fn anomalies(events: &[Event], past: &HashMap<String, Past>) -> Vec<Anomaly> {
    let mut found = failures(events);
    found.extend(accounts(events));
    found.extend(deletions(events));
    found.extend(first_uses(events, past));
    found.extend(unusual_hours(events, past));
    found.sort_by(|left, right| (left.at, &left.subject).cmp(&(right.at, &right.subject)));
    found
}

/// Counts within a window that moves along, and when it first reached a number.
#[derive(Default)]
struct Sliding {
    recent: VecDeque<(TimestampMs, u64)>,
    sum: u64,
    /// When the number was reached, and the most that was seen since.
    reached: Option<(TimestampMs, u64)>,
}

impl Sliding {
    fn add(&mut self, event: &Event, window_ms: i64, number: u64) {
        self.recent.push_back((event.at, event.count));
        self.sum += event.count;
        while let Some((at, count)) = self.recent.front().copied() {
            if event.at - at < window_ms {
                break;
            }
            self.recent.pop_front();
            self.sum -= count;
        }
        if self.sum >= number {
            let (at, most) = self.reached.unwrap_or((event.at, 0));
            self.reached = Some((at, most.max(self.sum)));
        }
    }
}

fn sliding<'a>(
    events: &'a [Event],
    name: impl Fn(&'a Event) -> Option<&'a str>,
    (window_ms, number): (i64, u64),
) -> impl Iterator<Item = (&'a str, TimestampMs, u64)> {
    let mut all: BTreeMap<&str, Sliding> = BTreeMap::new();
    for event in events {
        if let Some(name) = name(event) {
            all.entry(name).or_default().add(event, window_ms, number);
        }
    }
    let reached = |(name, it): (&'a str, Sliding)| it.reached.map(|(at, most)| (name, at, most));
    all.into_iter().filter_map(reached)
}

fn refused_from(event: &Event) -> Option<&str> {
    let is_refused = event.is_sign_in_refused() || event.is_credential_refused();
    event.address.as_deref().filter(|_| is_refused)
}

fn deleted_by(event: &Event) -> Option<&str> {
    event.is_deletion().then_some(event.actor.as_str())
}

fn failures(events: &[Event]) -> Vec<Anomaly> {
    let found = sliding(events, refused_from, (FAILURES_WINDOW_MS, FAILURES));
    let anomaly = |(address, at, count): (&str, TimestampMs, u64)| Anomaly {
        rule: &FAILURES_FROM_ADDRESS,
        subject: address.to_owned(),
        at,
        count,
        what: format!("{count} refused from {address} within fifteen minutes"),
    };
    found.map(anomaly).collect()
}

fn accounts(events: &[Event]) -> Vec<Anomaly> {
    let mut tried: BTreeMap<&str, VecDeque<&Event>> = BTreeMap::new();
    let mut found: BTreeMap<&str, Anomaly> = BTreeMap::new();
    for event in events.iter().filter(|event| event.is_sign_in_refused()) {
        let Some(address) = event.address.as_deref() else { continue };
        let recent = tried.entry(address).or_default();
        recent.push_back(event);
        while recent.front().is_some_and(|first| event.at - first.at >= ACCOUNTS_WINDOW_MS) {
            recent.pop_front();
        }
        let names: HashSet<&str> = recent.iter().map(|it| it.target.as_str()).collect();
        // Accounts that do not exist are told as one: each of its attempts may be another.
        let unknown = recent.iter().filter(|it| it.target == "unknown");
        let unknown: u64 = unknown.map(|it| it.count).sum();
        let known = names.iter().filter(|name| **name != "unknown").count() as u64;
        let count = known + unknown;
        if count >= ACCOUNTS as u64 && !found.contains_key(address) {
            let what = format!("sign-ins to {count} accounts from {address} were refused");
            let (subject, at) = (address.to_owned(), event.at);
            let rule = &ACCOUNTS_FROM_ADDRESS;
            found.insert(address, Anomaly { rule, subject, at, count, what });
        }
    }
    found.into_values().collect()
}

fn deletions(events: &[Event]) -> Vec<Anomaly> {
    let found = sliding(events, deleted_by, (DELETIONS_WINDOW_MS, DELETIONS));
    let anomaly = |(actor, at, count): (&str, TimestampMs, u64)| Anomaly {
        rule: &DELETION_BURST,
        subject: actor.to_owned(),
        at,
        count,
        what: format!("{actor} deleted or took away {count} things within ten minutes"),
    };
    // The node drops what expires by itself.
    found.filter(|(actor, ..)| *actor != "system").map(anomaly).collect()
}

fn first_uses(events: &[Event], past: &HashMap<String, Past>) -> Vec<Anomaly> {
    let mut told = HashSet::new();
    let mut found = Vec::new();
    for event in events.iter().filter(|event| event.is_of_person()) {
        let (actor, action) = (event.actor.as_str(), event.action.as_str());
        let is_own = OWN.iter().any(|own| action.starts_with(own));
        let Some(before) = past.get(actor).filter(|_| !is_own) else { continue };
        let known: u64 = before.acts.values().sum();
        let is_new = event.outcome == Outcome::Done && !before.acts.contains_key(action);
        if known < ACTS_KNOWN_MIN || !is_new || !told.insert((actor, action)) {
            continue;
        }
        found.push(Anomaly {
            rule: &FIRST_USE,
            subject: format!("{actor} {action}"),
            at: event.at,
            count: event.count,
            what: format!("{actor} did `{action}` for the first time in ninety days"),
        });
    }
    found
}

fn hour_of(at: TimestampMs) -> usize {
    usize::try_from(at.div_euclid(HOUR_MS).rem_euclid(HOURS as i64)).unwrap_or(0)
}

fn unusual_hours(events: &[Event], past: &HashMap<String, Past>) -> Vec<Anomaly> {
    let mut told = HashSet::new();
    let mut found = Vec::new();
    for event in events.iter().filter(|event| event.is_of_person()) {
        let Some(before) = past.get(&event.actor) else { continue };
        let hour = hour_of(event.at);
        let near = [hour + HOURS - 1, hour, hour + 1].map(|near| near % HOURS);
        let is_usual = near.iter().any(|near| before.hours.get(*near).is_some_and(|it| *it > 0));
        let known: u64 = before.hours.iter().sum();
        if known < HOURS_KNOWN_MIN || is_usual || !told.insert((event.actor.as_str(), hour)) {
            continue;
        }
        found.push(Anomaly {
            rule: &UNUSUAL_HOUR,
            subject: format!("{} {hour:02}", event.actor),
            at: event.at,
            count: event.count,
            what: format!("{} acted between {hour:02}:00 and {hour:02}:59 UTC", event.actor),
        });
    }
    found
}
