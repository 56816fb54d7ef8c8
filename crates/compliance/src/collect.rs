//! Records of the trail, sorted into the report's sections. Each section keeps its oldest entries
//! up to a bound and counts the others; whether an act belongs to one is decided here alone.

use crate::report::Section;
use crate::{DETAILS_BYTES_MAX, ENTRIES_MAX, LINES_MAX, Moment};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use tenancy::{AuditOutcome, AuditRecord};
use types::TimestampMs;
use utoipa::ToSchema;

/// Nouns of acts that change who gets in and what he may do.
const ACCESS: &[&str] = &[
    "acl",
    "identity",
    "key",
    "passkey",
    "password",
    "provider",
    "role",
    "second_factor",
    "signing_key",
    "token",
    "token_settings",
    "user",
];
const APPROVALS: &[&str] = &["approval", "approval_rule"];
/// Nouns of acts that change how the installation, a tenant or a project is set up.
const CONFIGURATION: &[&str] = &[
    "alert_channel",
    "alert_rule",
    "alert_rules",
    "alert_silence",
    "budget",
    "config",
    "consumer",
    "finding",
    "key_ring",
    "plan",
    "policy",
    "project",
    "root_key",
    "subscription",
    "tenant",
    "tenant_key",
    "topic",
    "webhook",
    "webhook_secret",
];
const OPERATOR: &str = "operator";
/// What records that stand for nobody's address are counted under.
const ELSEWHERE: &str = "unknown";

/// One record of the trail.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportAct)]
pub struct Act {
    /// The record's number in the trail.
    pub sequence: u64,
    pub at: Moment,
    pub actor: String,
    pub action: String,
    pub target: String,
    pub tenant: Option<String>,
    pub project: Option<String>,
    /// `done`, `refused` or `failed`.
    pub outcome: &'static str,
    pub address: Option<String>,
    pub request: Option<String>,
    /// More than 1: so many of the same, told together.
    pub count: u64,
    /// Of more than 1024 bytes there is `omitted_bytes`: the trail has them.
    #[schema(value_type = Object)]
    pub details: Value,
}

/// Why an act counts as elevated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ElevatedKind {
    /// Somebody proved anew who he is, for dangerous acts.
    Proof,
    /// Somebody acted past the second person who would have had to approve.
    Bypass,
    /// Done with an operator's token.
    Operator,
    /// Done by somebody as long as his new proof counted.
    AfterProof,
}

impl ElevatedKind {
    pub fn name(self) -> &'static str {
        match self {
            ElevatedKind::Proof => "proof",
            ElevatedKind::Bypass => "bypass",
            ElevatedKind::Operator => "operator",
            ElevatedKind::AfterProof => "after_proof",
        }
    }
}

/// An act with more rights than somebody has all the time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ElevatedAct {
    pub kind: ElevatedKind,
    #[serde(flatten)]
    pub act: Act,
}

/// How often something was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ActCount {
    pub action: String,
    pub count: u64,
}

/// Somebody, or somewhere, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ReportLine)]
pub struct Line {
    pub name: String,
    /// The person's address, where the name is a person's identifier.
    pub email: Option<String>,
    pub count: u64,
    pub last_at: Moment,
}

/// How much was refused or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[schema(as = RefusedTotals)]
pub struct Totals {
    /// Attempts to sign in.
    pub sign_ins: u64,
    /// Attempts that had to wait because of those before.
    pub throttled: u64,
    /// Credentials that were not accepted.
    pub credentials: u64,
    /// Acts that were refused to somebody who was known.
    pub acts: u64,
    /// Acts that could not be carried out.
    pub failed: u64,
}

/// Who and what was not let in, and what was refused to whom.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportRefused)]
pub struct Refused {
    pub totals: Totals,
    /// The most frequent first.
    pub by_address: Section<Line>,
    /// By the account that somebody tried to sign in to, else by who acted.
    pub by_account: Section<Line>,
    pub list: Section<Act>,
}

/// The oldest entries of a section, by their numbers, and how many there are in all.
#[derive(Debug)]
struct Kept<T> {
    total: u64,
    items: BTreeMap<u64, T>,
}

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept { total: 0, items: BTreeMap::new() }
    }
}

impl<T> Kept<T> {
    fn add(&mut self, sequence: u64, item: T) {
        self.total += 1;
        self.items.insert(sequence, item);
        if self.items.len() > ENTRIES_MAX {
            self.items.pop_last();
        }
    }
}

#[derive(Debug, Default)]
struct Tally(HashMap<String, (u64, TimestampMs)>);

impl Tally {
    fn add(&mut self, name: &str, record: &AuditRecord) {
        let (count, last_at) = self.0.entry(name.to_owned()).or_default();
        *count += record.count;
        *last_at = (*last_at).max(record.at);
    }

    fn section(self, emails: &HashMap<String, String>) -> Section<Line> {
        let line = |(name, (count, last_at)): (String, (u64, TimestampMs))| Line {
            email: emails.get(&name).cloned(),
            name,
            count,
            last_at: Moment(last_at),
        };
        let mut lines: Vec<Line> = self.0.into_iter().map(line).collect();
        lines.sort_by(|left, right| (right.count, &left.name).cmp(&(left.count, &right.name)));
        let total = lines.len() as u64;
        lines.truncate(LINES_MAX);
        Section::new(lines, total, "a report of a shorter period")
    }
}

/// What the records of a period say, as far as it was read.
#[derive(Debug)]
pub struct Collector {
    elevated_ms: i64,
    /// Until when somebody's newest proof counts.
    proven: HashMap<String, TimestampMs>,
    /// From when on what was done was not read any more.
    done_cut_at: Option<Moment>,
    /// From when on what was refused or failed was not.
    refused_cut_at: Option<Moment>,
    records: u64,
    access: Kept<Act>,
    approvals: Kept<Act>,
    elevated: Kept<ElevatedAct>,
    configuration: Kept<Act>,
    other: BTreeMap<String, u64>,
    operator: (u64, Option<TimestampMs>),
    totals: Totals,
    by_address: Tally,
    by_account: Tally,
    refused: Kept<Act>,
}

/// The sections that are made of records.
pub(crate) struct Collected {
    pub(crate) records: u64,
    pub(crate) access: Section<Act>,
    pub(crate) approvals: Section<Act>,
    pub(crate) elevated: Section<ElevatedAct>,
    pub(crate) configuration: Section<Act>,
    pub(crate) other: Vec<ActCount>,
    pub(crate) refused: Refused,
    /// Acts with an operator's token, and the last of them.
    pub(crate) operator: (u64, Option<TimestampMs>),
    pub(crate) cut_at: Option<Moment>,
}

fn act(record: &AuditRecord, sequence: u64) -> Act {
    let bytes = record.details.to_string().len();
    let details = match bytes > DETAILS_BYTES_MAX {
        true => json!({"omitted_bytes": bytes}),
        false => record.details.clone(),
    };
    Act {
        sequence,
        at: Moment(record.at),
        actor: record.actor.clone(),
        action: record.action.clone(),
        target: record.target.clone(),
        tenant: record.tenant.map(|id| id.to_string()),
        project: record.project.map(|id| id.to_string()),
        outcome: record.outcome.name(),
        // Attempts to sign in tell it among their details.
        address: record.address.clone().or_else(|| detail(record, "address")),
        request: record.request.clone(),
        count: record.count,
        details,
    }
}

fn detail(record: &AuditRecord, name: &str) -> Option<String> {
    record.details[name].as_str().map(str::to_owned)
}

fn earlier(left: Option<Moment>, right: Option<Moment>) -> Option<Moment> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}

fn is_sign_in(action: &str) -> bool {
    matches!(action, "session.refuse" | "session.throttle" | "passkey.refuse" | "device.refuse")
}

impl Collector {
    /// `elevated_ms`: for how long a new proof of who somebody is counts.
    pub fn new(elevated_ms: i64) -> Collector {
        Collector {
            elevated_ms,
            proven: HashMap::new(),
            done_cut_at: None,
            refused_cut_at: None,
            records: 0,
            access: Kept::default(),
            approvals: Kept::default(),
            elevated: Kept::default(),
            configuration: Kept::default(),
            other: BTreeMap::new(),
            operator: (0, None),
            totals: Totals::default(),
            by_address: Tally::default(),
            by_account: Tally::default(),
            refused: Kept::default(),
        }
    }

    /// Takes one record of the period. Those of one outcome come in the order of the chain; one
    /// without a place in it yet is left out.
    pub fn push(&mut self, record: &AuditRecord) {
        let Some(sequence) = record.link.map(|link| link.sequence) else { return };
        self.records += 1;
        let noun = record.action.split('.').next().unwrap_or(&record.action);
        if APPROVALS.contains(&noun) {
            self.approvals.add(sequence, act(record, sequence));
        } else if record.outcome != AuditOutcome::Done {
            self.refuse(record, sequence);
        } else if ACCESS.contains(&noun) {
            self.access.add(sequence, act(record, sequence));
        } else if CONFIGURATION.contains(&noun) {
            self.configuration.add(sequence, act(record, sequence));
        } else {
            *self.other.entry(record.action.clone()).or_default() += record.count;
        }
        if record.outcome == AuditOutcome::Done {
            self.elevate(record, sequence);
        }
    }

    /// There are more records of this outcome than are read; the last that was is of this moment.
    pub fn cut(&mut self, outcome: AuditOutcome, at: TimestampMs) {
        let cut_at = match outcome {
            AuditOutcome::Done => &mut self.done_cut_at,
            AuditOutcome::Refused | AuditOutcome::Failed => &mut self.refused_cut_at,
        };
        *cut_at = earlier(*cut_at, Some(Moment(at)));
    }

    fn refuse(&mut self, record: &AuditRecord, sequence: u64) {
        let act = act(record, sequence);
        let totals = &mut self.totals;
        let sum = match (record.outcome, record.action.as_str()) {
            (AuditOutcome::Failed, _) => &mut totals.failed,
            (_, "session.throttle") => &mut totals.throttled,
            (_, action) if is_sign_in(action) => &mut totals.sign_ins,
            (_, "credential.check") => &mut totals.credentials,
            _ => &mut totals.acts,
        };
        *sum += record.count;
        self.by_address.add(act.address.as_deref().unwrap_or(ELSEWHERE), record);
        let account = match is_sign_in(&record.action) {
            true => &record.target,
            false => &record.actor,
        };
        self.by_account.add(account, record);
        self.refused.add(sequence, act);
    }

    fn elevate(&mut self, record: &AuditRecord, sequence: u64) {
        let is_proven = self.proven.get(&record.actor).is_some_and(|until| record.at <= *until);
        let kind = match record.action.as_str() {
            "session.elevate" => {
                let until = record.at.saturating_add(self.elevated_ms);
                self.proven.insert(record.actor.clone(), until);
                ElevatedKind::Proof
            }
            "approval.bypass" => ElevatedKind::Bypass,
            _ if record.actor == OPERATOR => ElevatedKind::Operator,
            // Opening and ending sessions needs no proof.
            action if is_proven && !action.starts_with("session.") => ElevatedKind::AfterProof,
            _ => return,
        };
        if record.actor == OPERATOR {
            self.operator.0 += record.count;
            self.operator.1 = self.operator.1.max(Some(record.at));
        }
        self.elevated.add(sequence, ElevatedAct { kind, act: act(record, sequence) });
    }

    /// The sections; `emails` are people's addresses by their identifiers.
    pub(crate) fn finish(self, emails: &HashMap<String, String>) -> Collected {
        fn acts<T>(kept: Kept<T>, at: impl Fn(&T) -> Moment, cut: Option<Moment>) -> Section<T> {
            let items: Vec<T> = kept.items.into_values().collect();
            let full = items.last().map(at).filter(|_| kept.total > items.len() as u64);
            let rest = earlier(full, cut).map(|next| format!("a report from {next} on"));
            Section { total: kept.total, is_cut: rest.is_some(), rest, items }
        }
        let (done_cut, refused_cut) = (self.done_cut_at, self.refused_cut_at);
        let any_cut = earlier(done_cut, refused_cut);
        let at = |act: &Act| act.at;
        let count = |(action, count)| ActCount { action, count };
        Collected {
            records: self.records,
            access: acts(self.access, at, done_cut),
            approvals: acts(self.approvals, at, any_cut),
            elevated: acts(self.elevated, |elevated| elevated.act.at, done_cut),
            configuration: acts(self.configuration, at, done_cut),
            other: self.other.into_iter().map(count).collect(),
            refused: Refused {
                totals: self.totals,
                by_address: self.by_address.section(emails),
                by_account: self.by_account.section(emails),
                list: acts(self.refused, at, refused_cut),
            },
            operator: self.operator,
            cut_at: any_cut,
        }
    }
}
