//! From samples to one value for each group of labels: as it is, how fast it grew, or a quantile of
//! what was measured. Keeps as much of the past as the rules' windows need, and no more.

use crate::scrape::Sample;
use crate::terms::{Aggregate, Measure, MetricTerms};
use std::collections::{BTreeMap, HashMap, VecDeque};
use tenancy::AlertRuleId;

pub(crate) type Labels = BTreeMap<String, String>;

/// Series of one rule at most; more are left out, in the order of their labels.
const SERIES_MAX: usize = 2_000;
/// Looks that are kept of one rule's past; a longer window is looked at less often.
const PAST_MAX: usize = 120;

/// One group's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

/// The samples of one rule at one time, by their labels.
type Look = (i64, BTreeMap<Labels, f64>);

/// What is remembered for rules on growth.
#[derive(Default)]
pub(crate) struct Past(HashMap<AlertRuleId, VecDeque<Look>>);

/// The series' own name: histograms are told as `_bucket`, `_sum` and `_count`.
pub(crate) fn series_name(terms: &MetricTerms) -> String {
    let is_histogram = port::metric::ALL
        .iter()
        .any(|known| known.name == terms.name && known.kind == port::metric::MetricKind::Histogram);
    match (is_histogram, terms.measure) {
        (true, Measure::Quantile) => format!("{}_bucket", terms.name),
        (true, _) => format!("{}_count", terms.name),
        (false, _) => terms.name.clone(),
    }
}

fn matching(terms: &MetricTerms, samples: &[Sample]) -> BTreeMap<Labels, f64> {
    let name = series_name(terms);
    let is_wanted = |sample: &&Sample| {
        let fits = |(name, value): (&String, &String)| sample.labels.get(name) == Some(value);
        sample.name == name && terms.labels.iter().all(fits)
    };
    let mut found = BTreeMap::new();
    for sample in samples.iter().filter(is_wanted) {
        if found.len() < SERIES_MAX || found.contains_key(&sample.labels) {
            *found.entry(sample.labels.clone()).or_default() += sample.value;
        }
    }
    found
}

/// The labels by which the rule makes groups.
fn group(terms: &MetricTerms, labels: &Labels) -> Labels {
    let own = terms.by.iter().filter_map(|name| Some((name.clone(), labels.get(name)?.clone())));
    own.collect()
}

fn put(groups: &mut BTreeMap<Labels, f64>, labels: Labels, value: f64, aggregate: Aggregate) {
    groups
        .entry(labels)
        .and_modify(|sum| {
            *sum = match aggregate {
                Aggregate::Sum => *sum + value,
                Aggregate::Max => sum.max(value),
                Aggregate::Min => sum.min(value),
            };
        })
        .or_insert(value);
}

impl Past {
    /// Rules that are no more are forgotten.
    pub(crate) fn keep(&mut self, is_known: impl Fn(&AlertRuleId) -> bool) {
        self.0.retain(|rule, _| is_known(rule));
    }

    /// One value for each group. `now` in milliseconds of any clock that does not go back.
    pub(crate) fn read(
        &mut self,
        rule: AlertRuleId,
        terms: &MetricTerms,
        samples: &[Sample],
        now: i64,
    ) -> Vec<Reading> {
        let found = matching(terms, samples);
        let mut groups = BTreeMap::new();
        if terms.measure == Measure::Value {
            for (labels, value) in &found {
                put(&mut groups, group(terms, labels), *value, terms.aggregate);
            }
        } else {
            let (grown, seconds) = self.grown(rule, terms, found, now);
            match terms.measure {
                Measure::Quantile => groups = quantiles(terms, &grown),
                measure => {
                    let per = if measure == Measure::Rate { seconds.max(1.0) } else { 1.0 };
                    for (labels, value) in &grown {
                        let value = value / per;
                        put(&mut groups, group(terms, labels), value, terms.aggregate);
                    }
                }
            }
        }
        groups.into_iter().map(|(labels, value)| Reading { labels, value }).collect()
    }

    /// How much each series grew since the beginning of the window, and in how many seconds. A
    /// counter that fell began anew; one that was not there before grew from nothing, once there
    /// was a look at all.
    fn grown(
        &mut self,
        rule: AlertRuleId,
        terms: &MetricTerms,
        found: BTreeMap<Labels, f64>,
        now: i64,
    ) -> (BTreeMap<Labels, f64>, f64) {
        let window_ms = i64::from(terms.window_seconds) * 1_000;
        let looks = self.0.entry(rule).or_default();
        // The look at or before the window's beginning stays: growth is counted from it.
        while looks.get(1).is_some_and(|(at, _)| *at <= now - window_ms) {
            looks.pop_front();
        }
        let grown = match looks.front() {
            None => BTreeMap::new(),
            Some((_, before)) => {
                let more = |(labels, value): (&Labels, &f64)| {
                    let was = before.get(labels).copied().unwrap_or(0.0);
                    (labels.clone(), if *value >= was { value - was } else { *value })
                };
                found.iter().map(more).collect()
            }
        };
        let seconds = looks.front().map_or(0.0, |(at, _)| (now - at) as f64 / 1_000.0);
        let spacing_ms = window_ms / (PAST_MAX as i64);
        if looks.back().is_none_or(|(at, _)| now - at >= spacing_ms) {
            looks.push_back((now, found));
        }
        (grown, seconds)
    }
}

/// The share's bound among the buckets of each group: linear inside a bucket, as Prometheus does.
fn quantiles(terms: &MetricTerms, grown: &BTreeMap<Labels, f64>) -> BTreeMap<Labels, f64> {
    let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (labels, count) in grown {
        let bound = match labels.get("le").map(String::as_str) {
            Some("+Inf") => f64::INFINITY,
            Some(text) => match text.parse() {
                Ok(bound) => bound,
                Err(_) => continue,
            },
            None => continue,
        };
        let of_group = buckets.entry(group(terms, labels)).or_default();
        match of_group.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, sum)) => *sum += count,
            None => of_group.push((bound, *count)),
        }
    }
    let share = terms.quantile.unwrap_or(0.99);
    let of = |(labels, mut all): (Labels, Vec<(f64, f64)>)| {
        all.sort_by(|left, right| left.0.total_cmp(&right.0));
        quantile(share, &all).map(|value| (labels, value))
    };
    buckets.into_iter().filter_map(of).collect()
}

/// `None` when nothing was measured.
fn quantile(share: f64, buckets: &[(f64, f64)]) -> Option<f64> {
    let total = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
    let rank = share * total;
    let (mut below, mut counted) = (0.0, 0.0);
    for (bound, count) in buckets {
        if *count >= rank {
            if bound.is_infinite() {
                return Some(below);
            }
            let own = count - counted;
            let part = if own > 0.0 { (rank - counted) / own } else { 1.0 };
            return Some(below + (bound - below) * part);
        }
        (below, counted) = (*bound, *count);
    }
    Some(below)
}
