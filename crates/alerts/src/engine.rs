//! From readings to alerts: pending while the condition is met for too short a time, firing when it
//! was met for long enough, resolved when it is no more. Says what changed and whom to tell; one
//! alert for each rule and group, so nothing is told twice. Pure.

use crate::reading::{Labels, Reading};
use crate::terms::{Source, Terms};
use std::collections::BTreeMap;
use tenancy::{Alert, AlertId, AlertRule, AlertSilence, AlertState};
use types::TimestampMs;

/// Why people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    Firing,
    Repeat,
    Resolved,
}

impl Telling {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Telling::Firing => "firing",
            Telling::Repeat => "repeat",
            Telling::Resolved => "resolved",
        }
    }
}

/// What a round changes.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Alerts as they are now.
    pub(crate) changed: Vec<Alert>,
    /// Those that were pending and are over: nobody heard of them.
    pub(crate) gone: Vec<AlertId>,
    pub(crate) telling: Vec<(Alert, Telling)>,
}

/// The alerts that are open, by rule and group.
#[derive(Debug, Default)]
pub(crate) struct Open(pub(crate) BTreeMap<(tenancy::AlertRuleId, Labels), Alert>);

/// How often an alert that goes on as it was is written down.
const SEEN_EVERY_MS: i64 = 60_000;

fn is_met(terms: &Terms, value: f64) -> bool {
    match &terms.source {
        Source::Metric(metric) => metric.comparison.is_met(value, metric.threshold),
        Source::Event(event) => value >= event.count_min as f64,
    }
}

pub(crate) fn is_silent(alert: &Alert, silences: &[AlertSilence], now: TimestampMs) -> bool {
    silences.iter().any(|silence| {
        silence.ends_at > now
            && silence.rule.is_none_or(|rule| rule == alert.rule)
            && silence.labels.iter().all(|(name, value)| alert.labels.get(name) == Some(value))
    })
}

impl Open {
    pub(crate) fn new(alerts: Vec<Alert>) -> Open {
        let keyed = alerts.into_iter().map(|alert| ((alert.rule, alert.labels.clone()), alert));
        Open(keyed.collect())
    }

    /// One rule's turn.
    pub(crate) fn judge(
        &mut self,
        (rule, terms): (&AlertRule, &Terms),
        readings: &[Reading],
        silences: &[AlertSilence],
        now: TimestampMs,
        new_id: &mut dyn FnMut() -> Option<AlertId>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let met: BTreeMap<&Labels, f64> = readings
            .iter()
            .filter(|reading| rule.is_enabled && is_met(terms, reading.value))
            .map(|reading| (&reading.labels, reading.value))
            .collect();
        for (labels, value) in &met {
            let key = (rule.id, (*labels).clone());
            let is_new = !self.0.contains_key(&key);
            if is_new {
                let Some(id) = new_id() else { continue };
                self.0.insert(key.clone(), begin(id, rule, terms, labels, *value, now));
            }
            if let Some(alert) = self.0.get_mut(&key) {
                go_on(alert, is_new, (rule, terms), *value, silences, now, &mut outcome);
            }
        }
        let over: Vec<_> = self
            .0
            .keys()
            .filter(|(of, labels)| *of == rule.id && !met.contains_key(labels))
            .cloned()
            .collect();
        for key in over {
            if let Some(alert) = self.0.remove(&key) {
                end(alert, now, &mut outcome);
            }
        }
        outcome
    }

    /// Rules that are no more: what they made is over.
    pub(crate) fn end_without(
        &mut self,
        is_known: impl Fn(tenancy::AlertRuleId) -> bool,
        now: TimestampMs,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let orphans: Vec<_> = self.0.keys().filter(|(rule, _)| !is_known(*rule)).cloned().collect();
        for key in orphans {
            if let Some(alert) = self.0.remove(&key) {
                end(alert, now, &mut outcome);
            }
        }
        outcome
    }
}

fn begin(
    id: AlertId,
    rule: &AlertRule,
    terms: &Terms,
    labels: &Labels,
    value: f64,
    now: TimestampMs,
) -> Alert {
    Alert {
        id,
        rule: rule.id,
        name: rule.name.clone(),
        severity: rule.severity,
        labels: labels.clone(),
        summary: terms.summary.clone(),
        state: AlertState::Pending,
        value,
        started_at: now,
        fired_at: None,
        seen_at: now,
        resolved_at: None,
        notified_at: None,
    }
}

fn go_on(
    alert: &mut Alert,
    is_new: bool,
    (rule, terms): (&AlertRule, &Terms),
    value: f64,
    silences: &[AlertSilence],
    now: TimestampMs,
    outcome: &mut Outcome,
) {
    let before = alert.clone();
    alert.name.clone_from(&rule.name);
    alert.summary.clone_from(&terms.summary);
    alert.severity = rule.severity;
    alert.value = value;
    let patience_ms = i64::from(terms.for_seconds) * 1_000;
    if alert.state == AlertState::Pending && now - alert.started_at >= patience_ms {
        alert.state = AlertState::Firing;
        alert.fired_at = Some(now);
    }
    if alert.state == AlertState::Firing && !is_silent(alert, silences, now) {
        let repeat_ms = i64::from(terms.repeat_seconds) * 1_000;
        let telling = match alert.notified_at {
            None => Some(Telling::Firing),
            Some(at) if now - at >= repeat_ms => Some(Telling::Repeat),
            Some(_) => None,
        };
        if let Some(telling) = telling {
            alert.notified_at = Some(now);
            outcome.telling.push((alert.clone(), telling));
        }
    }
    let is_other = is_new
        || alert.state != before.state
        || alert.notified_at != before.notified_at
        || alert.severity != before.severity
        || now - before.seen_at >= SEEN_EVERY_MS;
    if is_other {
        alert.seen_at = now;
        outcome.changed.push(alert.clone());
    }
}

fn end(mut alert: Alert, now: TimestampMs, outcome: &mut Outcome) {
    if alert.state == AlertState::Pending {
        outcome.gone.push(alert.id);
        return;
    }
    alert.state = AlertState::Resolved;
    alert.resolved_at = Some(now);
    // Who never heard of it need not hear that it is over.
    if alert.notified_at.is_some() {
        outcome.telling.push((alert.clone(), Telling::Resolved));
    }
    outcome.changed.push(alert);
}
