//! Plans decided: are terms sound, what does a month cost, which bounds are near, is there room for
//! more, where will the month end. Whole numbers only.

use port::{Code, Refusal};
use std::collections::BTreeMap;
use std::time::Duration;
use types::plan::{MetricTerms, Terms};
use types::{TimestampMs, Usage, UsageMetric};

/// Steps of one price list.
pub const TIERS_MAX: usize = 20;
const TRIAL_DAYS_MAX: u32 = 366;
const GRACE_DAYS_MAX: u32 = 366;

fn wrong(field: String, message: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, message).field(field)
}

/// Refuses terms that contradict themselves, naming the field.
pub fn check(terms: &Terms) -> Result<(), Refusal> {
    let currency = terms.currency.as_bytes();
    if currency.len() != 3 || !currency.iter().all(u8::is_ascii_lowercase) {
        return Err(wrong("terms.currency".into(), "a currency is three small letters"));
    }
    if terms.trial_days > TRIAL_DAYS_MAX {
        return Err(wrong("terms.trial_days".into(), "a trial lasts at most 366 days"));
    }
    if terms.grace_days > GRACE_DAYS_MAX {
        return Err(wrong("terms.grace_days".into(), "a grace lasts at most 366 days"));
    }
    for (metric, of) in &terms.metrics {
        check_metric(of).map_err(|(field, message)| {
            wrong(format!("terms.metrics.{}.{field}", metric.name()), message)
        })?;
    }
    Ok(())
}

fn check_metric(of: &MetricTerms) -> Result<(), (&'static str, &'static str)> {
    if of.per == Some(0) {
        return Err(("per", "a price is for one unit at least"));
    }
    if of.hard_max.is_some_and(|hard| hard < of.included) {
        return Err(("hard_max", "the hard limit must not be below the included amount"));
    }
    if of.soft_max.zip(of.hard_max).is_some_and(|(soft, hard)| soft > hard) {
        return Err(("soft_max", "the soft limit must not be above the hard one"));
    }
    if of.tiers.len() > TIERS_MAX {
        return Err(("tiers", "a price list has at most 20 tiers"));
    }
    let Some((last, before)) = of.tiers.split_last() else { return Ok(()) };
    if last.up_to.is_some() {
        return Err(("tiers", "the last tier has no `up_to`: it holds for all the rest"));
    }
    let mut reached = 0;
    for tier in before {
        match tier.up_to {
            Some(up_to) if up_to > reached => reached = up_to,
            _ => {
                return Err((
                    "tiers",
                    "each tier but the last reaches further than the one before",
                ));
            }
        }
    }
    Ok(())
}

/// What use of one metric costs, in minor units. Each tier prices the units inside it; the sum is
/// rounded up once.
pub fn price(terms: &MetricTerms, used: u64) -> u64 {
    let beyond = used.saturating_sub(terms.included);
    let (mut from, mut parts) = (0_u64, 0_u128);
    for tier in &terms.tiers {
        let to = tier.up_to.unwrap_or(u64::MAX).min(beyond);
        parts += u128::from(to.saturating_sub(from)) * u128::from(tier.price_minor);
        from = from.max(to);
    }
    let per = u128::from(terms.per.unwrap_or(1).max(1));
    u64::try_from(parts.div_ceil(per)).unwrap_or(u64::MAX)
}

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub metric: UsageMetric,
    pub used: u64,
    pub included: u64,
    /// Beyond the included amount.
    pub billable: u64,
    pub amount_minor: u64,
}

/// What a month costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    pub base_minor: u64,
    /// Of every metric that the plan names.
    pub lines: Vec<Line>,
    pub total_minor: u64,
}

pub fn cost(terms: &Terms, used: &Usage) -> Cost {
    let line = |(metric, of): (&UsageMetric, &MetricTerms)| {
        let used = used.get(*metric);
        Line {
            metric: *metric,
            used,
            included: of.included,
            billable: used.saturating_sub(of.included),
            amount_minor: price(of, used),
        }
    };
    let lines: Vec<Line> = terms.metrics.iter().map(line).collect();
    let amounts = lines.iter().map(|line| line.amount_minor);
    let total_minor = amounts.fold(terms.base_minor, u64::saturating_add);
    Cost { base_minor: terms.base_minor, lines, total_minor }
}

/// Which bound of a metric is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BoundKind {
    Included,
    Soft,
    Hard,
}

impl BoundKind {
    pub fn name(self) -> &'static str {
        match self {
            BoundKind::Included => "included",
            BoundKind::Soft => "soft",
            BoundKind::Hard => "hard",
        }
    }
}

/// A warning that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    pub metric: UsageMetric,
    pub bound: BoundKind,
    /// 80 or 100.
    pub percent: u8,
    pub max: u64,
}

/// Percents of a bound at which somebody is told.
pub const WARN_PERCENTS: [u8; 2] = [80, 100];

/// Whether `used` has come to so many percent of `max`.
pub fn has_reached(used: u64, max: u64, percent: u8) -> bool {
    u128::from(used) * 100 >= u128::from(max) * u128::from(percent)
}

/// Every warning that is due at this use, in order. Bounds of the same height are told once, as the
/// hardest of them.
pub fn warnings(terms: &Terms, used: &Usage) -> Vec<Warning> {
    let mut due = Vec::new();
    for (&metric, of) in &terms.metrics {
        let mut bounds: BTreeMap<u64, BoundKind> = BTreeMap::new();
        if of.included > 0 {
            bounds.insert(of.included, BoundKind::Included);
        }
        bounds.extend(of.soft_max.map(|max| (max, BoundKind::Soft)));
        bounds.extend(of.hard_max.map(|max| (max, BoundKind::Hard)));
        for (max, bound) in bounds {
            let percents = WARN_PERCENTS.into_iter();
            let reached = percents.filter(|it| has_reached(used.get(metric), max, *it));
            due.extend(reached.map(|percent| Warning { metric, bound, percent, max }));
        }
    }
    due
}

/// A month as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub start: TimestampMs,
    /// The first moment of the next one.
    pub end: TimestampMs,
    pub now: TimestampMs,
}

/// Where the month ends if it goes on as it did.
pub fn forecast(used: u64, period: Period) -> u64 {
    let passed = u128::try_from(period.now - period.start).unwrap_or(0);
    let whole = u128::try_from(period.end - period.start).unwrap_or(0);
    if passed == 0 || passed >= whole {
        return used;
    }
    u64::try_from(u128::from(used) * whole / passed).unwrap_or(u64::MAX)
}

/// `more` of a metric, beside the `used` ones of the period.
pub fn check_hard(
    metric: UsageMetric,
    hard_max: u64,
    used: u64,
    more: u64,
    period: Period,
) -> Result<(), Refusal> {
    if used.saturating_add(more) <= hard_max {
        return Ok(());
    }
    let name = metric.name();
    let message = format!(
        "the plan's limit of {hard_max} `{name}` a month is reached ({used} used, \
         {more} more asked)"
    );
    let wait_ms = u64::try_from(period.end - period.now).unwrap_or(0);
    let end = period.end;
    let hint = format!("it begins anew at {end} (ms since 1970, UTC); or take a larger plan");
    Err(Refusal::new(Code::PlanLimitExceeded, message)
        .field(format!("plan.{name}.hard_max"))
        .hint(hint)
        .retry_after(Duration::from_millis(wait_ms)))
}
