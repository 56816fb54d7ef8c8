//! Metered usage on its way to Stripe: rows of the outbox, one event each. Whether Stripe counted
//! an event that went unanswered is not guessed: the same identifier is sent again while Stripe
//! remembers it, and after that a person decides.

use crate::Billing;
use crate::client::{Answered, Post};
use port::{Refusal, metric};
use std::time::Duration;
use stdx::backoff::Backoff;
use tenancy::{MeterReport, ReportOutcome};
use tokio::sync::watch;
use types::{TenantId, TimestampMs, UsageMetric};

const HOUR_MS: i64 = 3_600_000;
/// Reports of one turn.
const TURN_REPORTS_MAX: usize = 100;
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often the outbox is filled, and how far back it looks then: late counts are rare, and all
/// of what Stripe still takes is looked at once in an hour and at the start.
const DRAFT_EVERY: Duration = Duration::from_secs(30);
const DRAFT_WINDOWS_MS: i64 = 6 * HOUR_MS;
const DRAFT_ALL_EVERY: Duration = Duration::from_secs(3_600);
/// Stripe takes events of the past 35 days; a day is left for trouble.
const AGE_MS_MAX: i64 = 34 * 24 * HOUR_MS;
/// Stripe knows an identifier for at least 24 hours.
const UNCERTAIN_MS_MAX: i64 = 23 * HOUR_MS;
/// Waits of a report that was refused or not answered.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(2), max: Duration::from_secs(1_800) };
/// Part of a wait that is not left to chance.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// What one turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Acknowledged by Stripe.
    pub sent: usize,
    /// Put off.
    pub waiting: usize,
    /// Left to a person.
    pub stuck: usize,
}

/// Whether an attempt may have been counted although nobody said so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    None,
    Counted,
}

/// Says that Stripe has the event already: then it was counted.
fn is_duplicate(code: Option<&str>, message: &str) -> bool {
    code == Some("duplicate_meter_event") || message.contains("already exists with identifier")
}

impl Billing {
    /// Reports what is due until told to stop; the turn under way is finished.
    pub async fn run(&self, mut stopped: watch::Receiver<()>) {
        let mut drafted: Option<Duration> = None;
        let mut drafted_all: Option<Duration> = None;
        loop {
            let now = self.clock.monotonic();
            let is_over = |at: Option<Duration>, every: Duration| {
                at.is_none_or(|at| now.saturating_sub(at) >= every)
            };
            let (is_due, is_all) =
                (is_over(drafted, DRAFT_EVERY), is_over(drafted_all, DRAFT_ALL_EVERY));
            let turn = async {
                if is_due || is_all {
                    self.draft(if is_all { AGE_MS_MAX } else { DRAFT_WINDOWS_MS }).await?;
                }
                self.turn().await
            };
            let wait = match turn.await {
                Ok(turn) => {
                    drafted = if is_due || is_all { Some(now) } else { drafted };
                    drafted_all = if is_all { Some(now) } else { drafted_all };
                    let is_full = turn.sent + turn.waiting + turn.stuck >= TURN_REPORTS_MAX;
                    if is_full { Duration::ZERO } else { LOOK_EVERY }
                }
                Err(refusal) => {
                    tracing::warn!(%refusal, "usage waits to be reported");
                    LOOK_EVERY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stopped.changed() => return,
            }
        }
    }

    /// Puts what is not reported of windows that ended, and began at most so long ago, into the
    /// outbox. Answers how many rows were added.
    pub async fn draft(&self, age_ms_max: i64) -> Result<usize, Refusal> {
        let metrics: Vec<UsageMetric> = self.config.meters.keys().copied().collect();
        let now = self.clock.now_ms();
        let settled = now - i64::from(self.config.settle_seconds) * 1_000;
        // Only hours that are over and settled.
        let before = settled.div_euclid(HOUR_MS) * HOUR_MS;
        let from = now - age_ms_max.min(AGE_MS_MAX);
        let (mut after, mut added): (Option<TenantId>, usize) = (None, 0);
        loop {
            let page = self.tenancy.billed_tenants(after, 1_000).await?;
            for tenant in &page.items {
                added += self.tenancy.draft_reports(*tenant, &metrics, from, before).await?;
            }
            after = page.items.last().copied();
            if !page.has_more {
                return Ok(added);
            }
        }
    }

    /// Sends what is due, oldest first.
    pub async fn turn(&self) -> Result<Turn, Refusal> {
        let now = self.clock.now_ms();
        let mut turn = Turn::default();
        for report in self.tenancy.reports_due(now, TURN_REPORTS_MAX).await? {
            match self.report(&report).await? {
                ReportOutcome::Sent => turn.sent += 1,
                ReportOutcome::Wait { .. } => turn.waiting += 1,
                ReportOutcome::Stuck { .. } => turn.stuck += 1,
            }
        }
        let backlog = self.tenancy.report_backlog().await?;
        metrics::gauge!(metric::STRIPE_REPORTS, "state" => "pending").set(backlog.pending as f64);
        metrics::gauge!(metric::STRIPE_REPORTS, "state" => "stuck").set(backlog.stuck as f64);
        Ok(turn)
    }

    async fn report(&self, report: &MeterReport) -> Result<ReportOutcome, Refusal> {
        let outcome = match self.hopeless(report) {
            Some(error) => ReportOutcome::Stuck { error },
            None => self.attempt(report).await?,
        };
        if let ReportOutcome::Stuck { error } = &outcome {
            let identifier = &report.identifier;
            tracing::error!(identifier, error, "usage is not reported to Stripe");
        }
        self.tenancy.end_report(report.tenant, &report.identifier, &outcome).await?;
        Ok(outcome)
    }

    /// Why sending it could count it twice, or not at all.
    fn hopeless(&self, report: &MeterReport) -> Option<String> {
        let now = self.clock.now_ms();
        if report.uncertain_at.is_some_and(|at| now - at > UNCERTAIN_MS_MAX) {
            return Some(
                "Stripe may have counted it more than 23 hours ago and does not remember for \
                 longer than 24"
                    .to_owned(),
            );
        }
        if now - report.window_start > AGE_MS_MAX {
            return Some("Stripe takes no events of more than 35 days ago".to_owned());
        }
        None
    }

    async fn attempt(&self, report: &MeterReport) -> Result<ReportOutcome, Refusal> {
        let tenant = self.tenancy.tenant(report.tenant).await?;
        let Some(customer) = tenant.stripe_customer_id else {
            return Ok(self.wait(report, "the tenant has no Stripe customer", Doubt::None, None));
        };
        let Some(event_name) = self.config.meters.get(&report.metric) else {
            return Ok(self.wait(
                report,
                "`billing.meters` does not name the metric",
                Doubt::None,
                None,
            ));
        };
        // From here on it may have been counted, whatever happens to this process.
        self.tenancy.begin_report(report.tenant, &report.identifier).await?;
        let value = report.quantity.to_string();
        // Anywhere inside the window; its last second belongs to the same hour everywhere.
        let at_s = ((report.window_start + HOUR_MS - 1) / 1_000).to_string();
        // A repetition under one key is answered as the first was, errors included: the identifier
        // is what makes the event one, so each attempt has a key of its own.
        let key = format!("{}:{}", report.identifier, report.attempts);
        let answered = self
            .client
            .post(&Post {
                path: "/v1/billing/meter_events",
                fields: &[
                    ("event_name", event_name),
                    ("identifier", &report.identifier),
                    ("timestamp", &at_s),
                    ("payload[stripe_customer_id]", &customer),
                    ("payload[value]", &value),
                ],
                idempotency_key: &key,
            })
            .await;
        let message = answered.message();
        Ok(match answered {
            Answered::Done(_) => ReportOutcome::Sent,
            Answered::Refused { code, message, .. } if is_duplicate(code.as_deref(), &message) => {
                ReportOutcome::Sent
            }
            Answered::Refused { .. } => self.wait(report, &message, Doubt::None, None),
            Answered::Later { after, .. } => self.wait(report, &message, Doubt::None, after),
            Answered::Uncertain { .. } => self.wait(report, &message, Doubt::Counted, None),
        })
    }

    fn wait(
        &self,
        report: &MeterReport,
        error: &str,
        doubt: Doubt,
        after: Option<Duration>,
    ) -> ReportOutcome {
        let wait = BACKOFF.wait(report.attempts, self.rng.as_ref()) + WAIT_MIN;
        let wait = after.map_or(wait, |after| after.max(wait));
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let next_at: TimestampMs = self.clock.now_ms().saturating_add(wait_ms);
        let is_uncertain = doubt == Doubt::Counted;
        ReportOutcome::Wait { error: error.to_owned(), next_at, is_uncertain }
    }
}
