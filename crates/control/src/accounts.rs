//! What becomes due by itself: trials and graces that end, warnings at 80 and 100 percent, budgets.
//! It decides with `rules::plan`, writes through `tenancy` and tells the node. It must not count.

use crate::Control;
use port::{Change, Live, Refusal, metric};
use rules::plan::{self, BoundKind, Period, WARN_PERCENTS, has_reached};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use stdx::Clock;
use tenancy::{Actor, Budget, BudgetAction, Due, Stop, Tenancy, TenancyError};
use tokio::sync::watch;
use types::plan::Terms;
use types::{TenantId, TimestampMs, Usage};

/// A part of the second within which an overdue tenant is suspended.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// After the database did not answer.
const PAUSE: Duration = Duration::from_secs(5);
/// Tenants whose terms are remembered; forgotten all at once when there are more.
const KNOWN_MAX: usize = 100_000;
/// Other nodes' changes of terms and budgets are seen by reading again.
const FRESH: Duration = Duration::from_secs(30);

/// The calendar month (UTC) that holds this moment.
pub(crate) fn month(now: TimestampMs) -> Period {
    // No month has more than 31 days, and none begins twice.
    let start = types::usage::month_start(now);
    Period { start, end: types::usage::month_start(start + 32 * types::plan::DAY_MS), now }
}

struct Known {
    terms: Terms,
    plan: String,
    budgets: Vec<Budget>,
    is_stopped: bool,
    told: BTreeSet<String>,
    period_start: TimestampMs,
    read_at: Duration,
}

/// One per node.
pub struct AccountsWorker {
    tenancy: Arc<Tenancy>,
    live: Arc<dyn Live>,
    clock: Arc<dyn Clock>,
    known: HashMap<TenantId, Known>,
    changes: watch::Receiver<u64>,
}

/// Something to say once a month.
struct Notice {
    subject: String,
    details: Value,
    stop: Option<String>,
}

impl AccountsWorker {
    pub fn new(control: &Control) -> AccountsWorker {
        AccountsWorker {
            tenancy: Arc::clone(&control.tenancy),
            live: Arc::clone(&control.live),
            clock: Arc::clone(&control.clock),
            known: HashMap::new(),
            changes: control.tenancy.changes(),
        }
    }

    /// Looks again and again until told to stop.
    pub async fn run(mut self, mut stopped: watch::Receiver<()>) {
        loop {
            let wait = match self.turn().await {
                Ok(()) => LOOK_EVERY,
                Err(refusal) => {
                    tracing::warn!(%refusal, "trials, graces and budgets wait for the database");
                    PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stopped.changed() => return,
            }
        }
    }

    /// One look at everything that may be due.
    pub async fn turn(&mut self) -> Result<(), Refusal> {
        let (now, by) = (self.clock.now_ms(), Actor::system());
        for (tenant, due) in self.tenancy.accounts_due(now).await? {
            let ended = match due {
                Due::TrialEnds => self.tenancy.end_trial(tenant, &by).await,
                Due::GraceEnds => self.tenancy.end_grace(tenant, &by).await,
            };
            match ended {
                Ok(_) | Err(TenancyError::NotFound { .. }) => {
                    self.live.changed(Change::Tenant(tenant));
                }
                Err(error) => return Err(error.into()),
            }
        }
        if self.changes.has_changed().unwrap_or(false) {
            self.changes.mark_unchanged();
            self.known.clear();
        }
        for (tenant, used) in self.live.months() {
            self.judge(tenant, &used, month(now)).await?;
        }
        Ok(())
    }

    async fn judge(
        &mut self,
        tenant: TenantId,
        used: &Usage,
        period: Period,
    ) -> Result<(), Refusal> {
        if !self.learn(tenant, period).await? {
            return Ok(());
        }
        let Some(known) = self.known.get_mut(&tenant) else { return Ok(()) };
        let mut notices = bounds(known, used, period);
        notices.extend(budgets(known, used, period));
        for notice in notices {
            if let Some(reason) = notice.stop.filter(|_| !known.is_stopped) {
                let stop = Stop { reason, until: period.end };
                self.tenancy.set_stop(tenant, Some(stop), &Actor::system()).await?;
                known.is_stopped = true;
                self.live.changed(Change::Tenant(tenant));
            }
            if known.told.contains(&notice.subject) {
                continue;
            }
            let (start, by) = (period.start, Actor::system());
            let (subject, details) = (&notice.subject, notice.details);
            if self.tenancy.give_notice(tenant, start, subject, details, &by).await? {
                metrics::counter!(metric::USAGE_WARNINGS).increment(1);
            }
            known.told.insert(notice.subject);
        }
        Ok(())
    }

    /// `false` when the tenant is gone.
    async fn learn(&mut self, tenant: TenantId, period: Period) -> Result<bool, Refusal> {
        let now = self.clock.monotonic();
        let is_fresh = |known: &Known| {
            known.period_start == period.start && now.saturating_sub(known.read_at) < FRESH
        };
        if self.known.get(&tenant).is_some_and(is_fresh) {
            return Ok(true);
        }
        let found = match self.tenancy.tenant(tenant).await {
            Ok(found) => found,
            Err(TenancyError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let terms = self.tenancy.allowance(&found.plan, tenant).await?;
        let told = self.tenancy.notices(tenant, period.start).await?.into_iter().collect();
        let known = Known {
            is_stopped: terms.stop.is_some_and(|stop| stop.until > period.now),
            terms: terms.terms,
            plan: found.plan.name().to_owned(),
            budgets: self.tenancy.budgets(tenant).await?,
            told,
            period_start: period.start,
            read_at: now,
        };
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(tenant, known);
        Ok(true)
    }
}

fn bounds(known: &Known, used: &Usage, period: Period) -> Vec<Notice> {
    let tell = |warning: plan::Warning| {
        let (name, bound) = (warning.metric.name(), warning.bound);
        Notice {
            subject: format!("{name}/{}/{}", bound.name(), warning.percent),
            details: json!({
                "metric": name,
                "bound": bound.name(),
                "percent": warning.percent,
                "max": warning.max,
                "used": used.get(warning.metric),
                "is_refused": bound == BoundKind::Hard && warning.percent == 100,
                "plan": known.plan,
                "period_start": period.start,
                "period_end": period.end,
            }),
            stop: None,
        }
    };
    plan::warnings(&known.terms, used).into_iter().map(tell).collect()
}

fn budgets(known: &Known, used: &Usage, period: Period) -> Vec<Notice> {
    let cost = plan::cost(&known.terms, used).total_minor;
    let mut notices = Vec::new();
    for budget in &known.budgets {
        let spent = budget.metric.map_or(cost, |metric| used.get(metric));
        for percent in WARN_PERCENTS {
            if !has_reached(spent, budget.amount, percent) {
                continue;
            }
            let is_stop = percent == 100 && budget.action == BudgetAction::Stop;
            let reason = format!("the budget `{}` of {} is used up", budget.name, budget.amount);
            notices.push(Notice {
                subject: format!("{}/{percent}", budget.id),
                details: json!({
                    "budget": budget.id.to_string(),
                    "name": budget.name,
                    "metric": budget.metric.map(types::UsageMetric::name),
                    "currency": budget.metric.is_none().then_some(&known.terms.currency),
                    "percent": percent,
                    "max": budget.amount,
                    "used": spent,
                    "is_refused": is_stop,
                    "period_start": period.start,
                    "period_end": period.end,
                }),
                stop: is_stop.then_some(reason),
            });
        }
    }
    notices
}
