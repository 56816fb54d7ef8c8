//! Facts for a compliance report, of one tenant or of the whole installation: access now, the
//! period's records by their places in the chain, findings, and the check of the chain over the
//! period. Everything that is read has a bound. It must not judge who may have a report.

use crate::Control;
use crate::security::{Scope, look};
use compliance::{ChainBreak, ChainMark, ChainPart, Collector, Facts, Moment, Period, RECORDS_MAX};
use port::Refusal;
use std::collections::HashMap;
use tenancy::{AuditEnds, AuditFilter, AuditOutcome};
use types::TenantId;

/// Records of one step through the trail.
const PAGE: usize = 1_000;
/// Roles that were made: there are not more.
const ROLES_MAX: usize = 200;
/// Providers that are named.
const PROVIDERS_MAX: usize = 1_000;
const OUTCOMES: [AuditOutcome; 3] =
    [AuditOutcome::Done, AuditOutcome::Refused, AuditOutcome::Failed];

/// What a report is wanted of, and by whom.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// `None`: of the whole installation.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) period: Period,
    pub(crate) by: String,
}

/// All that a report is made of.
pub(crate) async fn gather(
    control: &Control,
    wanted: Wanted,
) -> Result<(Facts, Collector), Refusal> {
    let Wanted { tenant, period, by } = wanted;
    let (store, now) = (&control.tenancy, control.clock.now_ms());
    let named = match tenant {
        Some(id) => Some((id, store.tenant(id).await?.name)),
        None => None,
    };
    let span = store.audit_span(period.from.0, period.to.0).await?;
    let mut records = Collector::new(control.people.elevated_ms());
    if let Some(span) = span {
        collect(control, (tenant, period), span, &mut records).await?;
    }
    let found = look(control, tenant.map_or(Scope::Installation, Scope::Tenant)).await?;
    let roles = store.roles(None, ROLES_MAX).await?.items.into_iter();
    let facts = Facts {
        made_by: by,
        made_at: now,
        tenant: named,
        period,
        people: store.surveyed_people(tenant).await?,
        role_names: roles.map(|role| (role.id.to_string(), role.name)).collect::<HashMap<_, _>>(),
        keys: store.surveyed_keys(tenant, now).await?,
        signing_keys: store.surveyed_signing_keys(tenant).await?,
        operator_tokens: tenant.is_none().then(|| control.operators.count()),
        providers: store.providers(tenant.map(Some), None, PROVIDERS_MAX).await?,
        findings: found.findings,
        are_findings_cut: found.is_partial,
        chain: chain(control, span).await?,
    };
    Ok((facts, records))
}

/// Reads what was done, refused and failed, each for itself, so that a flood of refusals hides
/// nothing that was done.
async fn collect(
    control: &Control,
    (tenant, period): (Option<TenantId>, Period),
    (first, last): (u64, u64),
    records: &mut Collector,
) -> Result<(), Refusal> {
    for outcome in OUTCOMES {
        let filter = AuditFilter {
            outcome: Some(outcome),
            from: Some(period.from.0),
            to: Some(period.to.0),
            ..AuditFilter::default()
        };
        let (mut after, mut read) = (first.saturating_sub(1), 0);
        loop {
            let page = control.tenancy.audit_within(tenant, &filter, (after, last), PAGE).await?;
            page.items.iter().for_each(|record| records.push(record));
            read += page.items.len();
            let newest = page.items.last().filter(|_| page.has_more);
            let Some((at, link)) = newest.and_then(|it| Some((it.at, it.link?))) else { break };
            after = link.sequence;
            if read >= RECORDS_MAX {
                records.cut(outcome, at);
                break;
            }
        }
    }
    Ok(())
}

/// Checks the chain from the first to the last record of the period, whoever's they are.
async fn chain(control: &Control, span: Option<(u64, u64)>) -> Result<ChainPart, Refusal> {
    let ends = control.tenancy.audit_ends().await?;
    let head = Some(ends.head).filter(|head| head.sequence > 0);
    let known = ChainPart {
        head: head.map(|head| ChainMark::new(head.sequence, &head.hash)),
        kept_since: kept_since(control, &ends).await?,
        ..ChainPart::default()
    };
    let Some((first, last)) = span else { return Ok(known) };
    let part = control.trail.verify_between(first, last).await?;
    let verdict = part.verdict;
    let is_looked_at = verdict.records > 0 || verdict.broken.is_some();
    let before = ChainMark::new(part.before.sequence, &part.before.hash);
    Ok(ChainPart {
        holds: is_looked_at && verdict.broken.is_none(),
        checked: verdict.records,
        from: is_looked_at.then_some(before),
        to: verdict.last.map(|(sequence, hash)| ChainMark::new(sequence, &hash)),
        broken: verdict.broken.map(|broken| ChainBreak {
            sequence: broken.sequence,
            place: broken.place.name().to_owned(),
            why: broken.why,
        }),
        pending: part.pending,
        is_cut: part.is_cut,
        ..known
    })
}

/// When the oldest record that is kept was written, if retention took any before it.
async fn kept_since(control: &Control, ends: &AuditEnds) -> Result<Option<Moment>, Refusal> {
    if ends.anchor.sequence == 0 {
        return Ok(None);
    }
    let oldest = ends.anchor.sequence + 1;
    let rows = control.tenancy.audit_links(oldest, oldest, 1).await?;
    Ok(rows.first().map(|row| Moment(row.at)))
}
