//! Adds up who did what for people who have to account for it: sign-ins, refusals, acts of
//! administrators, changes of keys and roles. Pure.

use serde::Serialize;
use std::collections::BTreeMap;
use tenancy::{AuditCount, AuditOutcome};

/// How often, by what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Outcomes {
    pub done: u64,
    pub refused: u64,
    pub failed: u64,
}

/// What the trail of a time says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Everything.
    pub total: Outcomes,
    /// Sessions opened, and attempts that were refused.
    pub sign_ins: Outcomes,
    /// Sign-ins on devices or from networks that the user was never seen with.
    pub suspicious_sign_ins: u64,
    /// Credentials that were not accepted.
    pub refused_credentials: u64,
    /// Changes to keys of projects, by action.
    pub key_changes: BTreeMap<String, u64>,
    /// Changes to roles and who has them, by action.
    pub role_changes: BTreeMap<String, u64>,
    /// What people and operators did, by actor and action.
    pub acts: BTreeMap<String, BTreeMap<String, u64>>,
    /// What was refused, by actor and action.
    pub refused: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Keys of projects, what tokens are checked with, and the keys of encryption at rest.
const KEY_NOUNS: &[&str] = &[
    "key",
    "signing_key",
    "token_settings",
    "key_ring",
    "tenant_key",
    "root_key",
    "webhook_secret",
];
const ROLE_NOUNS: &[&str] = &["role"];

impl Outcomes {
    fn add(&mut self, count: &AuditCount) {
        match count.outcome {
            AuditOutcome::Done => self.done += count.count,
            AuditOutcome::Refused => self.refused += count.count,
            AuditOutcome::Failed => self.failed += count.count,
        }
    }
}

/// Somebody who acts, not the node itself.
fn is_person(actor: &str) -> bool {
    !matches!(actor, "system" | "unknown" | "many")
}

/// From counts by actor, action and outcome.
pub fn compile(counts: &[AuditCount]) -> Report {
    let mut report = Report::default();
    for count in counts {
        report.total.add(count);
        let action = count.action.as_str();
        let noun = action.split('.').next().unwrap_or(action);
        let is_done = count.outcome == AuditOutcome::Done;
        match action {
            "session.open" | "session.refuse" | "session.throttle" => report.sign_ins.add(count),
            "session.suspect" => report.suspicious_sign_ins += count.count,
            "credential.check" if !is_done => report.refused_credentials += count.count,
            _ => {}
        }
        if is_done && KEY_NOUNS.contains(&noun) {
            *report.key_changes.entry(count.action.clone()).or_default() += count.count;
        }
        if is_done && ROLE_NOUNS.contains(&noun) {
            *report.role_changes.entry(count.action.clone()).or_default() += count.count;
        }
        let by_actor = match count.outcome {
            AuditOutcome::Done if is_person(&count.actor) => &mut report.acts,
            AuditOutcome::Refused => &mut report.refused,
            AuditOutcome::Done | AuditOutcome::Failed => continue,
        };
        let of_actor = by_actor.entry(count.actor.clone()).or_default();
        *of_actor.entry(count.action.clone()).or_default() += count.count;
    }
    report
}
