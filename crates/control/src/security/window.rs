//! What happened in a window, read from the audit trail's index with a bound, and what the people
//! among its actors did before it. It must not say what is odd: `posture` does.

use crate::Control;
use port::Refusal;
use posture::{Event, Outcome, Past};
use std::collections::{BTreeSet, HashMap};
use tenancy::{AuditFilter, AuditOutcome, AuditRecord};
use types::{TenantId, TimestampMs};

/// Records of one look; of a fuller window the newest are looked at.
pub(crate) const RECORDS_MAX: usize = 20_000;
const PAGE: usize = 1_000;
/// People whose past is looked at, for one window.
const ACTORS_MAX: usize = 50;
/// How far back somebody's past goes.
const PAST_MS: i64 = 90 * 24 * 3_600_000;

/// The records of a window, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) from: TimestampMs,
    pub(crate) events: Vec<Event>,
    /// There are older ones in the window, which were not looked at.
    pub(crate) is_partial: bool,
}

fn event(record: AuditRecord) -> Event {
    Event {
        at: record.at,
        tenant: record.tenant,
        actor: record.actor,
        action: record.action,
        target: record.target,
        outcome: match record.outcome {
            AuditOutcome::Done => Outcome::Done,
            AuditOutcome::Refused => Outcome::Refused,
            AuditOutcome::Failed => Outcome::Failed,
        },
        // Attempts to sign in tell it among their details.
        address: record.address.or_else(|| record.details["address"].as_str().map(str::to_owned)),
        reason: record.details["reason"].as_str().unwrap_or_default().to_owned(),
        count: record.count,
    }
}

/// Reads a window of one tenant's trail, or of everybody's; what is written at its end is in it.
pub(crate) async fn window(
    control: &Control,
    tenant: Option<TenantId>,
    (from, to): (TimestampMs, TimestampMs),
) -> Result<Window, Refusal> {
    let mut filter = AuditFilter { from: Some(from), to: Some(to + 1), ..AuditFilter::default() };
    let mut window = Window { from, ..Window::default() };
    loop {
        let page = match tenant {
            Some(tenant) => control.tenancy.audit(tenant, &filter, PAGE).await?,
            None => control.tenancy.audit_of_all_tenants(&filter, PAGE).await?,
        };
        filter.before = page.items.last().map(|record| record.id);
        window.events.extend(page.items.into_iter().map(event));
        window.is_partial = page.has_more && window.events.len() >= RECORDS_MAX;
        if !page.has_more || window.is_partial {
            break;
        }
    }
    window.events.sort_by_key(|event| event.at);
    if let Some(first) = window.events.first().filter(|_| window.is_partial) {
        window.from = first.at;
    }
    Ok(window)
}

/// What the people of a window did in the ninety days before it.
pub(crate) async fn past(
    control: &Control,
    tenant: Option<TenantId>,
    window: &Window,
) -> Result<HashMap<String, Past>, Refusal> {
    let people: BTreeSet<&str> = window
        .events
        .iter()
        .map(|event| event.actor.as_str())
        .filter(|actor| actor.starts_with("usr_") || *actor == "operator")
        .collect();
    let mut past = HashMap::new();
    for actor in people.into_iter().take(ACTORS_MAX) {
        let filter = AuditFilter {
            actor: Some(actor.to_owned()),
            from: Some(window.from - PAST_MS),
            to: Some(window.from),
            ..AuditFilter::default()
        };
        let counts = control.tenancy.audit_counts(tenant, &filter).await?;
        let mut known = Past::default();
        for group in counts.items {
            if group.outcome == AuditOutcome::Done {
                *known.acts.entry(group.action).or_default() += group.count;
            }
        }
        known.hours = control.tenancy.audit_hours(tenant, &filter).await?;
        past.insert(actor.to_owned(), known);
    }
    Ok(past)
}
