//! Findings and checks as the API shows them. It must not decide who sees them.

use posture::{Check, Finding};
use serde::Serialize;
use tenancy::Acceptance;
use types::TimestampMs;
use utoipa::ToSchema;

/// How many, by severity.
#[derive(Serialize, ToSchema)]
#[schema(as = SeverityCounts)]
#[allow(dead_code, reason = "describes; the value itself is `posture::Counts`")]
pub(crate) struct CountsSchema {
    critical: u64,
    warning: u64,
    info: u64,
}

/// One thing that is looked at.
#[derive(Serialize, ToSchema)]
#[schema(as = SecurityCheck)]
pub(crate) struct CheckView {
    id: &'static str,
    /// `configuration`, `records` or `running`.
    area: &'static str,
    /// `critical`, `warning` or `info`, as it usually is.
    severity: &'static str,
    title: &'static str,
    why: &'static str,
    cure: &'static str,
    /// Where the documentation has it.
    docs: String,
}

impl From<&'static Check> for CheckView {
    fn from(check: &'static Check) -> CheckView {
        CheckView {
            id: check.id,
            area: check.area.name(),
            severity: check.severity.name(),
            title: check.title,
            why: check.why,
            cure: check.cure,
            docs: check.docs(),
        }
    }
}

/// Somebody lets a finding be until a day.
#[derive(Serialize, ToSchema)]
#[schema(as = FindingAcceptance)]
pub(crate) struct AcceptanceView {
    id: String,
    finding: String,
    reason: String,
    actor: String,
    at: TimestampMs,
    until: TimestampMs,
}

impl From<Acceptance> for AcceptanceView {
    fn from(acceptance: Acceptance) -> AcceptanceView {
        AcceptanceView {
            id: acceptance.id.to_string(),
            finding: acceptance.finding,
            reason: acceptance.reason,
            actor: acceptance.actor,
            at: acceptance.at,
            until: acceptance.until,
        }
    }
}

/// Something that is not as it should be.
#[derive(Serialize, ToSchema)]
#[schema(as = SecurityFinding)]
pub(crate) struct FindingView {
    /// The same as long as it is there.
    id: String,
    check: &'static str,
    area: &'static str,
    severity: &'static str,
    title: &'static str,
    /// The key of the configuration, or the identifier of the record.
    subject: String,
    /// `null`: of the installation.
    tenant: Option<String>,
    project: Option<String>,
    found: String,
    why: &'static str,
    cure: &'static str,
    docs: String,
    /// `null`: nobody has accepted it.
    acceptance: Option<AcceptanceView>,
}

impl From<(Finding, Option<Acceptance>)> for FindingView {
    fn from((finding, acceptance): (Finding, Option<Acceptance>)) -> FindingView {
        let check = finding.check;
        FindingView {
            id: finding.id(),
            check: check.id,
            area: check.area.name(),
            severity: finding.severity.name(),
            title: check.title,
            tenant: finding.place.tenant().map(|id| id.to_string()),
            project: finding.place.project().map(|id| id.to_string()),
            subject: finding.subject,
            found: finding.found,
            why: check.why,
            cure: check.cure,
            docs: check.docs(),
            acceptance: acceptance.map(AcceptanceView::from),
        }
    }
}
