//! The rules that are always there: one for each error and anomaly that the platform knows of
//! itself, with a severity that fits. They can be changed and switched off, not deleted.

use crate::terms::{Aggregate, Comparison, EventTerms, Measure, MetricTerms, Source, Terms};
use Comparison::{Above, AtLeast, Below};
use Measure::{Increase, Quantile, Rate, Value};
use port::metric;
use std::collections::BTreeMap;
use tenancy::Severity::{self, Critical, Info, Warning};

const DAY_S: u32 = 86_400;

/// A rule that every installation has.
#[derive(Debug, Clone, PartialEq)]
pub struct BuiltIn {
    /// Names it for ever.
    pub id: &'static str,
    pub name: &'static str,
    pub severity: Severity,
    pub terms: Terms,
}

fn terms(source: Source, for_seconds: u32, summary: &str) -> Terms {
    let repeat_seconds = 4 * 3_600;
    Terms { source, for_seconds, repeat_seconds, channels: None, summary: summary.to_owned() }
}

fn figure(
    name: &str,
    labels: &[(&str, &str)],
    measure: Measure,
    comparison: Comparison,
    threshold: f64,
) -> MetricTerms {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    MetricTerms {
        name: name.to_owned(),
        labels: labels.collect::<BTreeMap<String, String>>(),
        measure,
        quantile: (measure == Measure::Quantile).then_some(0.99),
        window_seconds: 300,
        by: Vec::new(),
        aggregate: Aggregate::Sum,
        comparison,
        threshold,
    }
}

fn event(action: &str, count_min: u64, window_seconds: u32) -> Source {
    let (outcome, tenant) = (None, None);
    Source::Event(EventTerms {
        action: action.to_owned(),
        outcome,
        tenant,
        count_min,
        window_seconds,
    })
}

/// A rule on a figure.
fn on_figure(
    id: &'static str,
    name: &'static str,
    severity: Severity,
    metric: MetricTerms,
    for_seconds: u32,
    summary: &str,
) -> BuiltIn {
    let terms = terms(Source::Metric(metric), for_seconds, summary);
    BuiltIn { id, name, severity, terms }
}

/// One alert for each value of this label.
fn by(label: &str, metric: MetricTerms) -> MetricTerms {
    let aggregate = Aggregate::Max;
    MetricTerms { by: vec![label.to_owned()], aggregate, ..metric }
}

/// The disk and the keys.
fn disk_and_keys() -> Vec<BuiltIn> {
    vec![
        on_figure(
            "log-failed",
            "The log takes no more appends",
            Critical,
            figure(metric::LOG_FAILED, &[], Value, AtLeast, 1.0),
            0,
            "A flush of the disk failed. Look at the server's log and docs/operating.",
        ),
        on_figure(
            "disk-low",
            "The disk is nearly full",
            Warning,
            figure(metric::DISK_FREE_RATIO, &[], Value, Below, 0.15),
            60,
            "Less than 15 % of the log's file system is free: see runbook-disk-full.",
        ),
        on_figure(
            "disk-full",
            "The disk is all but full",
            Critical,
            figure(metric::DISK_FREE_RATIO, &[], Value, Below, 0.05),
            0,
            "Less than 5 % of the log's file system is free: appends will be refused.",
        ),
        on_figure(
            "keys-failed",
            "The key ring cannot be written",
            Critical,
            figure(metric::KEYS_FAILED, &[], Value, AtLeast, 1.0),
            0,
            "New tenants get no keys: `mainstem keys-at-rest status` says why.",
        ),
        on_figure(
            "keys-refused",
            "Keys of encryption at rest are refused",
            Critical,
            figure(metric::KEYS_REFUSED, &[("reason", "unavailable")], Increase, Above, 0.0),
            0,
            "Records of a tenant cannot be opened or sealed.",
        ),
    ]
}

/// Requests that fail, or wait.
fn requests() -> Vec<BuiltIn> {
    vec![
        on_figure(
            "internal-errors",
            "Requests fail by a fault of the server",
            Critical,
            figure(metric::REFUSALS, &[("code", "INTERNAL")], Increase, Above, 0.0),
            0,
            "Requests were refused as INTERNAL: the server's log has the cause.",
        ),
        on_figure(
            "database-down",
            "The metadata database does not answer",
            Critical,
            figure(
                metric::REFUSALS,
                &[("code", "DATABASE_CONNECTION_ERROR")],
                Increase,
                Above,
                0.0,
            ),
            0,
            "Requests were refused because the database did not answer.",
        ),
        on_figure(
            "storage-full",
            "Publishes are refused: the disk is full",
            Critical,
            figure(metric::REFUSALS, &[("code", "STORAGE_FULL")], Increase, Above, 0.0),
            0,
            "Give the log more room: see runbook-disk-full.",
        ),
        on_figure(
            "log-damaged",
            "Stored records are damaged",
            Critical,
            figure(metric::REFUSALS, &[("code", "LOG_DAMAGED")], Increase, Above, 0.0),
            0,
            "Reads were refused because records are damaged: see runbook-corruption.",
        ),
        on_figure(
            "overloaded",
            "The server refuses work",
            Warning,
            figure(metric::REFUSALS, &[("code", "OVERLOADED")], Rate, Above, 1.0),
            60,
            "More than one request a second is refused as OVERLOADED.",
        ),
        on_figure(
            "append-slow",
            "Publishing is slow",
            Warning,
            figure(metric::APPEND_SECONDS, &[], Quantile, Above, 0.5),
            120,
            "1 % of publishes wait longer than half a second for the disk.",
        ),
        on_figure(
            "delivery-slow",
            "Delivery is slow",
            Warning,
            figure(metric::DELIVERY_SECONDS, &[], Quantile, Above, 1.0),
            120,
            "1 % of records take longer than a second from the log to live connections.",
        ),
    ]
}

/// What the node does by itself.
fn background() -> Vec<BuiltIn> {
    vec![
        on_figure(
            "backup-failed",
            "A backup failed",
            Critical,
            figure(metric::BACKUP_FAILURES, &[], Increase, Above, 0.0),
            0,
            "`mainstem backup status` says why.",
        ),
        on_figure(
            "outbox-stuck",
            "Changes do not reach the log",
            Warning,
            figure(metric::OUTBOX_AGE_SECONDS, &[], Value, Above, 120.0),
            60,
            "The oldest change of the control plane waits for more than two minutes.",
        ),
        on_figure(
            "audit-stuck",
            "Audit records do not reach the log",
            Critical,
            figure(metric::AUDIT_PENDING, &[], Value, Above, 1_000.0),
            300,
            "More than 1000 audit records wait: the server's log says why.",
        ),
        on_figure(
            "audit-ship-failed",
            "Audit records do not reach a receiver",
            Warning,
            by("sink", figure(metric::AUDIT_SHIP_FAILURES, &[], Increase, Above, 2.0)),
            0,
            "A receiver of the audit trail is away or refuses; nothing is lost yet.",
        ),
        on_figure(
            "audit-ship-lost",
            "A receiver lost audit records",
            Critical,
            by("sink", figure(metric::AUDIT_SHIP_LOST, &[], Increase, Above, 0.0)),
            0,
            "Retention took audit records before the receiver had them.",
        ),
    ]
}

/// What goes out to others, and who tries to come in.
fn outward() -> Vec<BuiltIn> {
    vec![
        on_figure(
            "stripe-stuck",
            "Usage is not reported to Stripe",
            Critical,
            figure(metric::STRIPE_REPORTS, &[("state", "stuck")], Value, Above, 0.0),
            0,
            "Hours of usage wait for a decision: `mainstem billing reports`.",
        ),
        on_figure(
            "webhooks-resting",
            "Endpoints of webhooks rest",
            Info,
            figure(metric::WEBHOOK_BREAKERS_OPEN, &[], Value, Above, 0.0),
            300,
            "Endpoints failed again and again; their tenants see which.",
        ),
        on_figure(
            "mail-refused",
            "Letters are not sent",
            Warning,
            figure(metric::LETTERS, &[("outcome", "given_up")], Increase, Above, 0.0),
            0,
            "Invitations and warnings do not reach people: look at `mail` in the configuration.",
        ),
        on_figure(
            "credentials-guessed",
            "Many credentials are refused",
            Warning,
            figure(metric::AUTH_FAILURES, &[], Rate, Above, 5.0),
            60,
            "More than five credentials a second are refused: somebody may be guessing.",
        ),
    ]
}

/// How well the installation is set up.
fn set_up() -> Vec<BuiltIn> {
    vec![on_figure(
        "security-critical",
        "The security checks find something critical",
        Warning,
        figure(metric::SECURITY_FINDINGS, &[("severity", "critical")], Value, Above, 0.0),
        0,
        "`mainstem security check` says what, and how to cure it.",
    )]
}

/// A rule on the audit trail.
fn on_event(
    id: &'static str,
    name: &'static str,
    severity: Severity,
    source: Source,
    summary: &str,
) -> BuiltIn {
    BuiltIn { id, name, severity, terms: terms(source, 0, summary) }
}

/// What somebody who looks after people should look at.
fn people() -> Vec<BuiltIn> {
    vec![
        on_event(
            "sign-in-suspicious",
            "A sign-in from an unknown device or network",
            Warning,
            event("session.suspect", 1, 900),
            "Ask the user whether it was him; end his sessions if not.",
        ),
        on_event(
            "sign-in-throttled",
            "Sign-ins are being guessed",
            Warning,
            event("session.throttle", 1, 900),
            "An account is throttled because of wrong passwords.",
        ),
        on_event(
            "sign-in-refused",
            "Many sign-ins are refused",
            Warning,
            event("session.refuse", 20, 900),
            "Twenty sign-ins were refused in a quarter of an hour.",
        ),
        on_event(
            "admin-refused",
            "Many acts of administrators are refused",
            Warning,
            event("admin.request", 20, 900),
            "Somebody tries what he may not do: the audit trail says who and what.",
        ),
        on_event(
            "role-changed",
            "Roles were given or changed",
            Info,
            event("role.*", 1, 900),
            "Somebody may do more, or less, than before.",
        ),
        on_event(
            "approval-waiting",
            "An act waits for a second person",
            Info,
            event("approval.ask", 1, 900),
            "`mainstem approvals list` says what and whose; somebody else approves or refuses it.",
        ),
        on_event(
            "approval-bypassed",
            "A critical act was done without a second person",
            Critical,
            event("approval.bypass", 1, 3_600),
            "An operator broke the glass: the audit trail says what and why.",
        ),
    ]
}

/// What the audit trail shows to be odd; the rules are in the guide on security.
fn odd() -> Vec<BuiltIn> {
    vec![
        on_event(
            "anomaly-failures",
            "Many failures from one address",
            Warning,
            event("anomaly.failures_from_address", 1, 900),
            "Twenty sign-ins or credentials from it were refused within fifteen minutes.",
        ),
        on_event(
            "anomaly-accounts",
            "Many accounts are tried from one address",
            Critical,
            event("anomaly.accounts_from_address", 1, 900),
            "Somebody tries a list of passwords: keep the address out.",
        ),
        on_event(
            "anomaly-deletions",
            "Much is deleted at once",
            Critical,
            event("anomaly.deletion_burst", 1, 900),
            "Ten things within ten minutes: the audit trail says what, and who.",
        ),
        on_event(
            "anomaly-first-use",
            "Somebody does something for the first time",
            Info,
            event("anomaly.first_use", 1, 900),
            "Ask him whether it was him.",
        ),
        on_event(
            "anomaly-hour",
            "Somebody acts at an unusual hour",
            Info,
            event("anomaly.unusual_hour", 1, 900),
            "Ask him whether it was him; end his sessions if not.",
        ),
    ]
}

/// What somebody who looks after tenants should know.
fn tenants() -> Vec<BuiltIn> {
    vec![
        on_event(
            "usage-near",
            "A tenant is near a bound of its plan or budget",
            Info,
            event("usage.warn", 1, 3_600),
            "80 or 100 percent are used; the record says of what.",
        ),
        on_event(
            "usage-stopped",
            "A tenant's use is stopped",
            Warning,
            event("usage.stop", 1, 3_600),
            "Its budget is used up: use is refused until the month is over.",
        ),
        on_event(
            "tenant-suspended",
            "A tenant was suspended",
            Info,
            event("tenant.suspend", 1, 3_600),
            "By an operator, or because it did not pay.",
        ),
        on_event(
            "payment-failed",
            "A payment failed",
            Warning,
            event("payment.fail", 1, 3_600),
            "The tenant's grace has begun.",
        ),
        on_event(
            "keys-shredded",
            "A tenant's records were destroyed",
            Critical,
            event("tenant_key.shred", 1, DAY_S),
            "The keys of a tenant were destroyed on purpose; nothing brings them back.",
        ),
    ]
}

/// All of them.
pub fn built_in() -> Vec<BuiltIn> {
    let groups = [disk_and_keys(), requests(), background(), outward(), set_up()];
    let groups = groups.into_iter().chain([people(), odd(), tenants()]);
    groups.flatten().collect()
}
