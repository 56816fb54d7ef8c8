//! States, patience, repetition and silence, step by step.

use crate::engine::{Open, Telling};
use crate::reading::Reading;
use crate::terms::{Aggregate, Comparison, Measure, MetricTerms, Source, Terms};
use std::collections::BTreeMap;
use tenancy::{AlertId, AlertRule, AlertSilence, AlertState, Severity};

pub(super) fn rule(severity: Severity) -> AlertRule {
    AlertRule {
        id: "alr_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b".parse().expect("an id"),
        name: "Too many".to_owned(),
        built_in: None,
        terms: serde_json::Value::Null,
        severity,
        is_enabled: true,
        created_at: 0,
        updated_at: 0,
    }
}

pub(super) fn terms(for_seconds: u32) -> Terms {
    let metric = MetricTerms {
        name: port::metric::CONNECTIONS.to_owned(),
        labels: BTreeMap::new(),
        measure: Measure::Value,
        quantile: None,
        window_seconds: 300,
        by: Vec::new(),
        aggregate: Aggregate::Sum,
        comparison: Comparison::Above,
        threshold: 10.0,
    };
    Terms {
        source: Source::Metric(metric),
        for_seconds,
        repeat_seconds: 600,
        channels: None,
        summary: "Look.".to_owned(),
    }
}

struct Bench {
    open: Open,
    rule: AlertRule,
    terms: Terms,
    silences: Vec<AlertSilence>,
    ids: u128,
}

impl Bench {
    fn new(for_seconds: u32) -> Bench {
        let (rule, terms) = (rule(Severity::Warning), terms(for_seconds));
        Bench { open: Open::default(), rule, terms, silences: Vec::new(), ids: 0 }
    }

    /// What is told after a look at these values of one group each.
    fn look(&mut self, now_s: i64, values: &[(&str, f64)]) -> Vec<Telling> {
        let readings: Vec<Reading> = values
            .iter()
            .map(|(group, value)| Reading {
                labels: BTreeMap::from([("group".to_owned(), (*group).to_owned())]),
                value: *value,
            })
            .collect();
        let ids = &mut self.ids;
        let mut new_id = || {
            *ids += 1;
            let text = format!("alt_{:032x}", *ids);
            Some(text.parse::<AlertId>().expect("an id"))
        };
        let at = (&self.rule, &self.terms);
        let outcome = self.open.judge(at, &readings, &self.silences, now_s * 1_000, &mut new_id);
        outcome.telling.into_iter().map(|(_, telling)| telling).collect()
    }

    fn states(&self) -> Vec<AlertState> {
        self.open.0.values().map(|alert| alert.state).collect()
    }
}

#[test]
fn an_alert_waits_fires_repeats_and_resolves() {
    let mut bench = Bench::new(60);
    assert!(bench.look(0, &[("a", 11.0)]).is_empty());
    assert_eq!(bench.states(), [AlertState::Pending]);
    assert!(bench.look(59, &[("a", 12.0)]).is_empty());
    assert_eq!(bench.look(60, &[("a", 12.0)]), [Telling::Firing]);
    assert!(bench.look(120, &[("a", 12.0)]).is_empty(), "not told twice");
    assert_eq!(bench.look(660, &[("a", 12.0)]), [Telling::Repeat]);
    assert_eq!(bench.look(700, &[("a", 10.0)]), [Telling::Resolved]);
    assert!(bench.states().is_empty());
    assert!(bench.look(710, &[("a", 10.0)]).is_empty());
}

#[test]
fn what_passes_before_its_time_is_told_to_nobody() {
    let mut bench = Bench::new(60);
    bench.look(0, &[("a", 11.0)]);
    assert!(bench.look(30, &[]).is_empty());
    assert!(bench.states().is_empty());
    // And the patience begins anew.
    bench.look(60, &[("a", 11.0)]);
    assert!(bench.look(100, &[("a", 11.0)]).is_empty());
}

#[test]
fn groups_are_alerts_of_their_own() {
    let mut bench = Bench::new(0);
    assert_eq!(bench.look(0, &[("a", 11.0), ("b", 12.0)]).len(), 2);
    assert_eq!(bench.look(10, &[("a", 11.0), ("b", 1.0)]), [Telling::Resolved]);
    assert_eq!(bench.states(), [AlertState::Firing]);
}

#[test]
fn silence_holds_telling_back_until_it_ends() {
    let mut bench = Bench::new(0);
    bench.silences.push(AlertSilence {
        id: "als_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b".parse().expect("an id"),
        rule: Some(bench.rule.id),
        labels: BTreeMap::from([("group".to_owned(), "a".to_owned())]),
        reason: "maintenance".to_owned(),
        actor: "operator".to_owned(),
        created_at: 0,
        ends_at: 100_000,
    });
    assert_eq!(bench.look(0, &[("a", 11.0), ("b", 11.0)]), [Telling::Firing], "only b is told");
    assert!(bench.look(50, &[("a", 11.0), ("b", 11.0)]).is_empty());
    assert_eq!(bench.look(101, &[("a", 11.0), ("b", 11.0)]), [Telling::Firing]);
    // What nobody was told of is over without a word.
    let mut bench = Bench::new(0);
    bench.silences.push(AlertSilence {
        id: "als_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b".parse().expect("an id"),
        rule: None,
        labels: BTreeMap::new(),
        reason: "maintenance".to_owned(),
        actor: "operator".to_owned(),
        created_at: 0,
        ends_at: 100_000,
    });
    assert!(bench.look(0, &[("a", 11.0)]).is_empty());
    assert!(bench.look(10, &[]).is_empty());
}

#[test]
fn a_rule_that_is_switched_off_or_gone_has_no_alerts() {
    let mut bench = Bench::new(0);
    bench.look(0, &[("a", 11.0)]);
    bench.rule.is_enabled = false;
    assert_eq!(bench.look(10, &[("a", 11.0)]), [Telling::Resolved]);
    bench.rule.is_enabled = true;
    bench.look(20, &[("a", 11.0)]);
    let outcome = bench.open.end_without(|_| false, 30_000);
    assert_eq!(outcome.changed[0].state, AlertState::Resolved);
}
