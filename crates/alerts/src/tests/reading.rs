//! Figures as text, and what rules see in them.

use crate::reading::Past;
use crate::scrape::samples;
use crate::terms::{Aggregate, Comparison, Measure, MetricTerms};
use port::metric;
use std::collections::BTreeMap;
use tenancy::AlertRuleId;

fn terms(name: &str, measure: Measure) -> MetricTerms {
    MetricTerms {
        name: name.to_owned(),
        labels: BTreeMap::new(),
        measure,
        quantile: (measure == Measure::Quantile).then_some(0.9),
        window_seconds: 60,
        by: Vec::new(),
        aggregate: Aggregate::Sum,
        comparison: Comparison::Above,
        threshold: 0.0,
    }
}

fn rule() -> AlertRuleId {
    "alr_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b".parse().expect("an id")
}

fn values(past: &mut Past, terms: &MetricTerms, text: &str, now_s: i64) -> Vec<f64> {
    let samples = samples(text, |_| true);
    past.read(rule(), terms, &samples, now_s * 1_000).iter().map(|it| it.value).collect()
}

#[test]
fn the_text_format_is_read_and_nonsense_left_out() {
    let text = "# HELP x y\n# TYPE x counter\nx 1\nx{a=\"1\",b=\"q\\\"\\\\\\n,}\"} 2.5e3 17\n\
                bad\ny{a=\"1\" 2\nz{} NaN\n";
    let found = samples(text, |name| name != "w");
    assert_eq!(found.len(), 3);
    assert_eq!(found[1].labels["b"], "q\"\\\n,}");
    assert_eq!((found[0].value, found[1].value), (1.0, 2_500.0));
    assert!(found[2].value.is_nan());
}

#[test]
fn groups_are_by_the_labels_a_rule_names() {
    let text = "mainstem_alerts{state=\"firing\",severity=\"info\"} 2\n\
                mainstem_alerts{state=\"firing\",severity=\"critical\"} 3\n\
                mainstem_alerts{state=\"pending\",severity=\"info\"} 10\n";
    let mut wanted = terms(metric::ALERTS, Measure::Value);
    assert_eq!(values(&mut Past::default(), &wanted, text, 0), [15.0]);
    wanted.labels.insert("state".into(), "firing".into());
    assert_eq!(values(&mut Past::default(), &wanted, text, 0), [5.0]);
    wanted.by = vec!["severity".into()];
    assert_eq!(values(&mut Past::default(), &wanted, text, 0), [3.0, 2.0]);
    wanted.by.clear();
    wanted.aggregate = Aggregate::Max;
    assert_eq!(values(&mut Past::default(), &wanted, text, 0), [3.0]);
    assert!(values(&mut Past::default(), &wanted, "", 0).is_empty(), "no data is no reading");
}

#[test]
fn growth_is_over_the_window_and_survives_a_new_beginning() {
    let text = |count: u32| format!("{} {count}\n", metric::PUBLISHED);
    let rate = terms(metric::PUBLISHED, Measure::Rate);
    let mut past = Past::default();
    assert!(values(&mut past, &rate, &text(100), 0).is_empty(), "one look is no growth");
    assert_eq!(values(&mut past, &rate, &text(400), 30), [10.0]);
    assert_eq!(values(&mut past, &rate, &text(700), 60), [10.0]);
    // Only the last minute counts.
    assert_eq!(values(&mut past, &rate, &text(700), 120), [0.0]);
    // The counter began anew.
    assert_eq!(values(&mut past, &rate, &text(60), 180), [1.0]);
    let increase = terms(metric::PUBLISHED, Measure::Increase);
    let mut past = Past::default();
    values(&mut past, &increase, "", 0);
    // A series that was not there before grew from nothing.
    assert_eq!(values(&mut past, &increase, &text(5), 15), [5.0]);
}

#[test]
fn a_quantile_lies_in_its_bucket() {
    let text = |low: u32, high: u32, all: u32| {
        let name = metric::APPEND_SECONDS;
        format!(
            "{name}_bucket{{le=\"0.1\"}} {low}\n{name}_bucket{{le=\"1\"}} {high}\n\
             {name}_bucket{{le=\"+Inf\"}} {all}\n{name}_count {all}\n"
        )
    };
    let terms = terms(metric::APPEND_SECONDS, Measure::Quantile);
    let mut past = Past::default();
    values(&mut past, &terms, &text(1_000, 1_000, 1_000), 0);
    // Of a hundred since then, 80 below 0.1 and 20 below 1: the 90th lies in the middle.
    let found = values(&mut past, &terms, &text(1_080, 1_100, 1_100), 30);
    assert!((found[0] - 0.55).abs() < 1e-9, "{found:?}");
    let found = values(&mut past, &terms, &text(1_080, 1_100, 9_000), 60);
    assert_eq!(found, [1.0], "beyond the last bound nothing is known but the bound");
}
