//! The report as one value: the JSON that is handed out, and what its text is made of.

use crate::access::{Access, access};
use crate::collect::{Act, ActCount, Collector, ElevatedAct, Refused};
use crate::{ENTRIES_MAX, Moment, Period};
use posture::{Finding, Severity};
use serde::Serialize;
use std::collections::HashMap;
use tenancy::{Acceptance, ApiKey, AuditHash, Page, Provider, SurveyedPerson, SurveyedSigningKey};
use types::{TenantId, TimestampMs};
use utoipa::ToSchema;

/// Version of the form; a change that readers could trip over counts it up.
const FORM_VERSION: u32 = 1;

/// Entries of one kind, perhaps not all of them.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportSection)]
pub struct Section<T> {
    /// How many there are; at least so many when the section was cut.
    pub total: u64,
    /// Some are not here.
    pub is_cut: bool,
    /// Where those are that are not here.
    pub rest: Option<String>,
    pub items: Vec<T>,
}

impl<T> Section<T> {
    /// These of so many; `rest` says where the others are.
    pub(crate) fn new(items: Vec<T>, total: u64, rest: &str) -> Section<T> {
        let is_cut = total > items.len() as u64;
        Section { total, is_cut, rest: is_cut.then(|| rest.to_owned()), items }
    }

    /// The first `ENTRIES_MAX` of these, of which there may be more elsewhere.
    pub(crate) fn of(
        items: impl ExactSizeIterator<Item = T>,
        has_more: bool,
        rest: &str,
    ) -> Section<T> {
        let total = items.len() as u64;
        let section = Section::new(items.take(ENTRIES_MAX).collect(), total, rest);
        let is_cut = section.is_cut || has_more;
        Section { is_cut, rest: is_cut.then(|| rest.to_owned()), ..section }
    }
}

/// Who made the report, and when.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportMade)]
pub struct Made {
    pub by: String,
    pub at: Moment,
}

/// The tenant that a report is of.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportSubject)]
pub struct Subject {
    pub id: String,
    pub name: String,
}

/// A record of the trail and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ReportMark)]
pub struct ChainMark {
    pub sequence: u64,
    pub hash: String,
}

/// The first link that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ReportBreak)]
pub struct ChainBreak {
    pub sequence: u64,
    /// `log` or `index`.
    pub place: String,
    pub why: String,
}

/// How much of the chain was checked, and what came of it. The chain is one for the whole
/// installation: between a tenant's records lie others'.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
#[schema(as = ReportChain)]
pub struct ChainPart {
    /// Every link that was looked at holds.
    pub holds: bool,
    /// Records of the period that were looked at.
    pub checked: u64,
    /// The record before the first that was looked at; number 0 before the very first.
    pub from: Option<ChainMark>,
    /// The last that was looked at and holds.
    pub to: Option<ChainMark>,
    pub broken: Option<ChainBreak>,
    /// Records of the period that were not on the log yet.
    pub pending: u64,
    /// There are more records in the period than are looked at for one report.
    pub is_cut: bool,
    /// The newest record of the whole chain when the report was made: worth keeping elsewhere.
    pub head: Option<ChainMark>,
    /// Records from before then were removed when their time was over.
    pub kept_since: Option<Moment>,
}

impl ChainMark {
    pub fn new(sequence: u64, hash: &AuditHash) -> ChainMark {
        ChainMark { sequence, hash: hash.to_string() }
    }
}

/// What the security checks find, and what somebody said of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportFinding)]
pub struct FindingState {
    pub id: String,
    /// `critical`, `warning` or `info`.
    pub severity: String,
    pub title: String,
    pub found: String,
    pub tenant: Option<String>,
    pub project: Option<String>,
    /// `open` or `accepted`.
    pub state: String,
    pub accepted_by: Option<String>,
    pub accepted_until: Option<Moment>,
    pub accepted_because: Option<String>,
}

/// What the security checks found when the report was made.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportFindings)]
pub struct Findings {
    pub critical_open: u64,
    pub warning_open: u64,
    pub info_open: u64,
    pub accepted: u64,
    /// The worst first.
    pub list: Section<FindingState>,
}

/// Access now, what happened in a period, and how far the trail that says so was checked.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ComplianceReport)]
pub struct Report {
    pub version: u32,
    pub made: Made,
    /// `null`: the report is of the whole installation.
    pub tenant: Option<Subject>,
    pub period: Period,
    /// What has to be known to read it rightly.
    pub notes: Vec<String>,
    pub access: Access,
    pub access_changes: Section<Act>,
    pub approvals: Section<Act>,
    pub elevated: Section<ElevatedAct>,
    pub refused: Refused,
    pub configuration_changes: Section<Act>,
    /// What else was done, by action.
    pub other_acts: Vec<ActCount>,
    pub findings: Findings,
    /// Records of the trail that the sections were made of.
    pub records: u64,
    pub chain: ChainPart,
}

/// All that a report is made of, but the records of the period.
#[derive(Debug)]
pub struct Facts {
    pub made_by: String,
    pub made_at: TimestampMs,
    pub tenant: Option<(TenantId, String)>,
    pub period: Period,
    pub people: Page<SurveyedPerson>,
    /// Names of the roles that were made, by their identifiers.
    pub role_names: HashMap<String, String>,
    pub keys: Page<ApiKey>,
    pub signing_keys: Page<SurveyedSigningKey>,
    /// How many are configured; `None`: they are not the subject's.
    pub operator_tokens: Option<u64>,
    pub providers: Page<Provider>,
    /// The worst first.
    pub findings: Vec<(Finding, Option<Acceptance>)>,
    /// Some records were not looked at for findings.
    pub are_findings_cut: bool,
    pub chain: ChainPart,
}

const OF_TENANT: &[&str] = &[
    "People with roles in the whole installation may act in the tenant too; they are listed in the \
     installation's report only.",
    "Attempts to sign in, new proofs of identity, and people's passwords and second factors belong \
     to no tenant: the installation's report has them.",
];
const OPERATORS: &str = "Operators' tokens are all alike: the trail names them `operator`.";
const PROOFS: &str = "An act counts as elevated when who did it had proved anew who he is, in \
                      whichever of his sessions.";

fn notes(facts: &Facts, cut_at: Option<Moment>) -> Vec<String> {
    let mut notes = vec![
        "What access there is, is of the moment at which the report was made; \
                          earlier states follow from the changes."
            .to_owned(),
    ];
    match facts.tenant {
        Some(_) => notes.extend(OF_TENANT.iter().map(|note| (*note).to_owned())),
        None => notes.extend([OPERATORS.to_owned(), PROOFS.to_owned()]),
    }
    if let Some(cut) = cut_at {
        notes.push(format!(
            "The trail has more records in this period than one report reads: make another from \
             {cut} on."
        ));
    }
    if let Some(since) = facts.chain.kept_since.filter(|since| facts.period.from < *since) {
        notes.push(format!("Records from before {since} are not kept any more."));
    }
    if facts.chain.pending > 0 {
        let pending = facts.chain.pending;
        notes.push(format!("{pending} of the newest records were not on the log yet."));
    }
    notes
}

fn finding((finding, acceptance): (Finding, Option<Acceptance>)) -> FindingState {
    let state = if acceptance.is_some() { "accepted" } else { "open" };
    let (by, until, why) = match acceptance {
        Some(it) => (Some(it.actor), Some(Moment(it.until)), Some(it.reason)),
        None => (None, None, None),
    };
    FindingState {
        id: finding.id(),
        severity: finding.severity.name().to_owned(),
        title: finding.check.title.to_owned(),
        tenant: finding.place.tenant().map(|id| id.to_string()),
        project: finding.place.project().map(|id| id.to_string()),
        found: finding.found,
        state: state.to_owned(),
        accepted_by: by,
        accepted_until: until,
        accepted_because: why,
    }
}

fn findings(facts: &mut Facts) -> Findings {
    let found = std::mem::take(&mut facts.findings);
    let open = |severity| {
        let is_open = |(finding, acceptance): &&(Finding, Option<Acceptance>)| {
            acceptance.is_none() && finding.severity == severity
        };
        found.iter().filter(is_open).count() as u64
    };
    Findings {
        critical_open: open(Severity::Critical),
        warning_open: open(Severity::Warning),
        info_open: open(Severity::Info),
        accepted: found.iter().filter(|(_, acceptance)| acceptance.is_some()).count() as u64,
        list: Section::of(
            found.into_iter().map(finding),
            facts.are_findings_cut,
            "GET /v1/security/findings of the admin API lists all, page by page",
        ),
    }
}

/// The report, from facts and the records of the period.
pub fn assemble(mut facts: Facts, records: Collector) -> Report {
    let people = facts.people.items.iter();
    let emails = people.map(|it| (it.user.id.to_string(), it.user.email.clone())).collect();
    let collected = records.finish(&emails);
    let notes = notes(&facts, collected.cut_at);
    let findings = findings(&mut facts);
    Report {
        version: FORM_VERSION,
        notes,
        access: access(&mut facts, collected.operator),
        access_changes: collected.access,
        approvals: collected.approvals,
        elevated: collected.elevated,
        refused: collected.refused,
        configuration_changes: collected.configuration,
        other_acts: collected.other,
        findings,
        records: collected.records,
        chain: facts.chain,
        made: Made { by: facts.made_by, at: Moment(facts.made_at) },
        tenant: facts.tenant.map(|(id, name)| Subject { id: id.to_string(), name }),
        period: facts.period,
    }
}
