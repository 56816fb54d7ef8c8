//! The round: look at every rule, write down what changed together with whom to tell, then bring
//! what is due. What was written down and not brought, because the process ended, is brought by the
//! next one, under the same number.

use crate::built_in::built_in;
use crate::channel::{self, ChannelAddress};
use crate::config::Config;
use crate::engine::{Open, Outcome};
use crate::notice;
use crate::reading::{Past, Reading, series_name};
use crate::scrape::samples;
use crate::terms::{EventTerms, MetricTerms, Source, Terms};
use identity::Sealer;
use mail::{Letter, Mailer};
use port::{Refusal, metric};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use stdx::backoff::Backoff;
use stdx::{Clock, Rng};
use tenancy::{
    ALERTS_OPEN_MAX, AlertChannel, AlertChannelId, AlertNotice, AlertRule, AlertSilence,
    AlertState, AuditFilter, NewAlertNotice, NewAlertRule, NoticeOutcome, Severity, Tenancy,
};
use tokio::sync::watch;
use webhooks::{Courier, Parcel};

/// Records of the trail that one rule looks at; a rule on more of them counts too few.
const EVENTS_MAX: usize = 1_000;
/// Messages brought in one round.
const NOTICES_MAX: usize = 50;
const REQUEST_TIME_MAX: Duration = Duration::from_secs(15);
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(5), max: Duration::from_secs(900) };
/// How often notices are looked for between two rounds: a test should arrive at once.
const NOTICES_EVERY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// The node's figures as text for Prometheus.
pub trait Figures: Send + Sync + 'static {
    fn text(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>>;
}

/// What alerts stand on.
#[derive(Clone)]
pub struct Parts {
    pub tenancy: Arc<Tenancy>,
    pub figures: Arc<dyn Figures>,
    pub sealer: Arc<Sealer>,
    pub courier: Arc<Courier>,
    pub mailer: Mailer,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub config: Config,
}

/// One per node.
pub struct AlertWorker {
    parts: Parts,
    open: Option<Open>,
    past: Past,
    swept_at: Option<Duration>,
}

/// Everything a round goes by.
struct Ground {
    rules: Vec<(AlertRule, Terms)>,
    channels: Vec<AlertChannel>,
    silences: Vec<AlertSilence>,
}

impl AlertWorker {
    pub fn new(parts: Parts) -> AlertWorker {
        AlertWorker { parts, open: None, past: Past::default(), swept_at: None }
    }

    /// Works until told to stop.
    pub async fn run(mut self, mut stopped: watch::Receiver<()>) {
        let every = Duration::from_secs(self.parts.config.every_seconds.into());
        let mut looked_at: Option<Duration> = None;
        loop {
            let now = self.parts.clock.monotonic();
            let is_due = looked_at.is_none_or(|at| now.saturating_sub(at) >= every);
            let turn = async {
                if is_due && self.parts.config.enabled {
                    self.round().await?;
                }
                self.bring_due().await
            };
            if let Err(refusal) = turn.await {
                tracing::warn!(%refusal, "alert rules wait to be looked at");
            }
            if is_due {
                looked_at = Some(now);
            }
            tokio::select! {
                () = tokio::time::sleep(NOTICES_EVERY.min(every)) => {}
                _ = stopped.changed() => return,
            }
        }
    }

    async fn ground(&self) -> Result<Ground, Refusal> {
        let tenancy = &self.parts.tenancy;
        let now = self.parts.clock.now_ms();
        let mut rules = Vec::new();
        for rule in tenancy.alert_rules().await? {
            match Terms::read(&rule.terms) {
                Ok(terms) => rules.push((rule, terms)),
                Err(refusal) => {
                    tracing::error!(rule = rule.name, %refusal, "a rule is not readable")
                }
            }
        }
        let channels = tenancy.alert_channels().await?;
        Ok(Ground { rules, channels, silences: tenancy.alert_silences(now).await? })
    }

    /// One look at all rules.
    pub async fn round(&mut self) -> Result<(), Refusal> {
        let started = self.parts.clock.monotonic();
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                seed(&self.parts.tenancy).await?;
                Open::new(self.parts.tenancy.open_alerts().await?)
            }
        };
        let ground = self.ground().await?;
        let (outcome, notices) = self.judge(&mut open, &ground).await?;
        // When this fails, `open` is read anew: what is stored decides.
        self.parts.tenancy.move_alerts(&outcome.changed, &outcome.gone, &notices).await?;
        measure(&open, &ground);
        self.open = Some(open);
        self.sweep().await?;
        let took = self.parts.clock.monotonic().saturating_sub(started);
        metrics::histogram!(metric::ALERT_ROUND_SECONDS).record(took.as_secs_f64());
        Ok(())
    }

    async fn judge(
        &mut self,
        open: &mut Open,
        ground: &Ground,
    ) -> Result<(Outcome, Vec<NewAlertNotice>), Refusal> {
        let mut names: Vec<String> = ground
            .rules
            .iter()
            .filter_map(|(_, terms)| match &terms.source {
                Source::Metric(metric) => Some(series_name(metric)),
                Source::Event(_) => None,
            })
            .collect();
        names.sort_unstable();
        let text = self.parts.figures.text().await;
        let samples =
            samples(&text, |name| names.binary_search_by(|it| it.as_str().cmp(name)).is_ok());
        self.past.keep(|rule| ground.rules.iter().any(|(known, _)| known.id == *rule));
        let (mut all, mut notices) = (Outcome::default(), Vec::new());
        let tenancy = Arc::clone(&self.parts.tenancy);
        for (rule, terms) in &ground.rules {
            let readings = match &terms.source {
                Source::Metric(metric) => self.figures(rule, metric, &samples),
                Source::Event(event) if rule.is_enabled => self.events(event).await?,
                Source::Event(_) => Vec::new(),
            };
            let mut room = ALERTS_OPEN_MAX.saturating_sub(open.0.len());
            let mut new_id = || {
                room = room.checked_sub(1)?;
                Some(tenancy.new_alert_id())
            };
            let now = self.parts.clock.now_ms();
            let silences = &ground.silences;
            let outcome = open.judge((rule, terms), &readings, silences, now, &mut new_id);
            for (alert, telling) in &outcome.telling {
                let body = notice::body(telling.name(), alert, rule, terms, &self.parts.config);
                let told = told(&ground.channels, terms, alert.severity);
                notices.extend(told.map(|channel| NewAlertNotice {
                    alert: Some(alert.id),
                    channel,
                    kind: telling.name().to_owned(),
                    body: body.clone(),
                }));
            }
            all.changed.extend(outcome.changed);
            all.gone.extend(outcome.gone);
        }
        let is_known = |rule| ground.rules.iter().any(|(known, _)| known.id == rule);
        let orphans = open.end_without(is_known, self.parts.clock.now_ms());
        all.changed.extend(orphans.changed);
        all.gone.extend(orphans.gone);
        Ok((all, notices))
    }

    fn figures(
        &mut self,
        rule: &AlertRule,
        terms: &MetricTerms,
        samples: &[crate::scrape::Sample],
    ) -> Vec<Reading> {
        let now = self.parts.clock.monotonic().as_millis();
        self.past.read(rule.id, terms, samples, i64::try_from(now).unwrap_or(i64::MAX))
    }

    /// How often the trail tells of it in the window, by tenant and target.
    async fn events(&self, terms: &EventTerms) -> Result<Vec<Reading>, Refusal> {
        let tenancy = &self.parts.tenancy;
        let from = self.parts.clock.now_ms() - i64::from(terms.window_seconds) * 1_000;
        let filter = AuditFilter {
            action: Some(terms.action.clone()),
            outcome: terms.outcome,
            from: Some(from),
            ..AuditFilter::default()
        };
        let page = match terms.tenant {
            Some(tenant) => tenancy.audit(tenant, &filter, EVENTS_MAX).await?,
            None => tenancy.audit_of_all_tenants(&filter, EVENTS_MAX).await?,
        };
        let mut groups: BTreeMap<BTreeMap<String, String>, f64> = BTreeMap::new();
        for record in page.items {
            let mut labels = BTreeMap::from([("action".to_owned(), record.action)]);
            if terms.count_min == 1 {
                labels.insert("target".to_owned(), record.target);
            }
            if let Some(tenant) = record.tenant {
                labels.insert("tenant".to_owned(), tenant.to_string());
            }
            *groups.entry(labels).or_default() += record.count as f64;
        }
        Ok(groups.into_iter().map(|(labels, value)| Reading { labels, value }).collect())
    }

    async fn sweep(&mut self) -> Result<(), Refusal> {
        let now = self.parts.clock.monotonic();
        if self.swept_at.is_some_and(|at| now.saturating_sub(at) < SWEEP_EVERY) {
            return Ok(());
        }
        let kept_ms = i64::from(self.parts.config.history_days) * 24 * 3_600_000;
        self.parts.tenancy.sweep_alerts(self.parts.clock.now_ms() - kept_ms).await?;
        self.swept_at = Some(now);
        Ok(())
    }

    /// Brings messages whose time has come.
    pub async fn bring_due(&self) -> Result<(), Refusal> {
        let tenancy = &self.parts.tenancy;
        let due = tenancy.alert_notices_due(self.parts.clock.now_ms(), NOTICES_MAX).await?;
        if due.is_empty() {
            return Ok(());
        }
        let channels = tenancy.alert_channels().await?;
        for notice in due {
            let channel = channels.iter().find(|channel| channel.id == notice.channel);
            let outcome = match channel {
                Some(channel) => self.bring(&notice, channel).await,
                None => NoticeOutcome::GivenUp { error: "the channel is gone".to_owned() },
            };
            let word = match &outcome {
                NoticeOutcome::Sent => "sent",
                NoticeOutcome::Wait { .. } => "put_off",
                NoticeOutcome::GivenUp { .. } => "given_up",
            };
            let kind = channel.map_or("none", |channel| channel.kind.name());
            metrics::counter!(metric::ALERT_NOTICES, "kind" => kind, "outcome" => word)
                .increment(1);
            if let NoticeOutcome::GivenUp { error } | NoticeOutcome::Wait { error, .. } = &outcome {
                let id = notice.id;
                tracing::warn!(%id, kind, word, error, "people are not told of an alert");
            }
            tenancy.end_alert_notice(notice.id, &outcome).await?;
        }
        Ok(())
    }

    async fn bring(&self, notice: &AlertNotice, channel: &AlertChannel) -> NoticeOutcome {
        let brought = match channel::open(channel, &self.parts.sealer) {
            Err(error) => return NoticeOutcome::GivenUp { error },
            Ok(ChannelAddress::Mail(to)) => self.mail(to, notice),
            Ok(ChannelAddress::Webhook { url, key }) => {
                let body = notice::webhook(notice);
                self.post(&url, Some(&*key), notice, &body).await
            }
            Ok(ChannelAddress::Slack { url }) => {
                self.post(&url, None, notice, &notice::slack(&notice.body)).await
            }
        };
        let Err((error, is_final, wait)) = brought else { return NoticeOutcome::Sent };
        if is_final || notice.attempts + 1 >= self.parts.config.attempts_max {
            return NoticeOutcome::GivenUp { error };
        }
        let own = BACKOFF.wait(notice.attempts, self.parts.rng.as_ref()).max(BACKOFF.first);
        let wait = wait.map_or(own, |asked| asked.clamp(own, BACKOFF.max));
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        NoticeOutcome::Wait { next_at: self.parts.clock.now_ms().saturating_add(wait_ms), error }
    }

    fn mail(&self, to: String, notice: &AlertNotice) -> Result<(), NotBrought> {
        if !self.parts.mailer.is_working() {
            return Err(("no mail is set up: see `mail` in the configuration".into(), true, None));
        }
        let (subject, text) = notice::letter(&notice.body);
        let taken = self.parts.mailer.send(Letter { to, subject, text });
        taken.map_err(|error| (error.to_string(), false, None))
    }

    async fn post(
        &self,
        url: &str,
        key: Option<&standard_webhooks::SigningKey>,
        notice: &AlertNotice,
        body: &serde_json::Value,
    ) -> Result<(), NotBrought> {
        let message = notice.id.to_string();
        let parcel = Parcel {
            url,
            message: &message,
            body: body.to_string().into(),
            key,
            timeout: REQUEST_TIME_MAX,
        };
        let brought = self.parts.courier.bring(parcel).await;
        brought.map_err(|error| (error.reason, error.is_final, error.retry_after))
    }

    /// Puts a message that shows whether the channel works on its way.
    pub async fn test(parts: &Parts, channel: &AlertChannel) -> Result<(), Refusal> {
        let body = notice::test_body(channel, parts.clock.now_ms(), &parts.config);
        let kind = "test".to_owned();
        let new = NewAlertNotice { alert: None, channel: channel.id, kind, body };
        Ok(parts.tenancy.move_alerts(&[], &[], &[new]).await?)
    }
}

/// Why a message did not go; whether for good; what the endpoint asks to wait.
type NotBrought = (String, bool, Option<Duration>);

/// Makes the rules that are always there, where they are missing.
async fn seed(tenancy: &Tenancy) -> Result<(), Refusal> {
    let all = built_in();
    let new = |rule: &crate::BuiltIn| -> Result<(&'static str, NewAlertRule), Refusal> {
        let terms = serde_json::to_value(&rule.terms).map_err(|error| Refusal::internal(&error))?;
        let name = rule.name.to_owned();
        let new = NewAlertRule { name, terms, severity: rule.severity, is_enabled: true };
        Ok((rule.id, new))
    };
    let all = all.iter().map(new).collect::<Result<Vec<_>, Refusal>>()?;
    tenancy.seed_alert_rules(&all).await?;
    Ok(())
}

/// Which channels hear of an alert.
fn told(
    channels: &[AlertChannel],
    terms: &Terms,
    severity: Severity,
) -> impl Iterator<Item = AlertChannelId> {
    channels
        .iter()
        .filter(move |channel| {
            let is_named = terms.channels.as_ref().is_none_or(|all| all.contains(&channel.id));
            is_named && channel.is_enabled && severity >= channel.severity_min
        })
        .map(|channel| channel.id)
}

fn measure(open: &Open, ground: &Ground) {
    let rules = ground.rules.iter().filter(|(rule, _)| rule.is_enabled).count();
    metrics::gauge!(metric::ALERT_RULES).set(rules as f64);
    for state in [AlertState::Pending, AlertState::Firing] {
        for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
            let of = |alert: &&tenancy::Alert| alert.state == state && alert.severity == severity;
            let count = open.0.values().filter(of).count();
            let labels = [("state", state.name()), ("severity", severity.name())];
            metrics::gauge!(metric::ALERTS, &labels).set(count as f64);
        }
    }
}
