//! Prices, warnings, forecasts and hard limits.

use crate::plan::{self, BoundKind, Period};
use port::Code;
use proptest::prelude::*;
use std::collections::BTreeMap;
use types::plan::{BUILTIN_PLANS, MetricTerms, Terms, Tier};
use types::{Usage, UsageMetric};

fn tiers(list: &[(Option<u64>, u64)]) -> Vec<Tier> {
    list.iter().map(|&(up_to, price_minor)| Tier { up_to, price_minor }).collect()
}

fn terms_of(of: MetricTerms) -> Terms {
    let metrics = BTreeMap::from([(UsageMetric::EventsPublished, of)]);
    Terms { metrics, ..Terms::default() }
}

#[test]
fn prices_by_table() {
    let of = MetricTerms {
        included: 1_000,
        per: Some(100),
        tiers: tiers(&[(Some(500), 10), (None, 4)]),
        ..MetricTerms::default()
    };
    for (used, minor) in [
        (0, 0),
        (1_000, 0),
        (1_001, 1),
        (1_100, 10),
        (1_500, 50),
        (1_501, 51),
        (2_000, 70),
        (u64::MAX, 737_869_762_948_382_055),
    ] {
        assert_eq!(plan::price(&of, used), minor, "{used}");
    }
}

#[test]
fn the_plans_that_are_always_there_are_sound() {
    for name in BUILTIN_PLANS {
        let terms = Terms::of_builtin(name).unwrap();
        plan::check(&terms).unwrap();
        let json = serde_json::to_value(&terms).unwrap();
        assert_eq!(serde_json::from_value::<Terms>(json).unwrap(), terms);
    }
    assert_eq!(plan::cost(&Terms::free(), &Usage::default()).total_minor, 0);
    assert_eq!(plan::cost(&Terms::pro(), &Usage::default()).total_minor, 4_900);
}

#[test]
fn contradictions_are_refused_by_name() {
    let metric = |of| plan::check(&terms_of(of)).unwrap_err();
    let field = |of| metric(of).field_name().unwrap_or_default().to_owned();
    let name = |field| format!("terms.metrics.events_published.{field}");
    let of = MetricTerms { per: Some(0), ..MetricTerms::default() };
    assert_eq!(field(of), name("per"));
    let of = MetricTerms { included: 2, hard_max: Some(1), ..MetricTerms::default() };
    assert_eq!(field(of), name("hard_max"));
    let of = MetricTerms { soft_max: Some(2), hard_max: Some(1), ..MetricTerms::default() };
    assert_eq!(field(of), name("soft_max"));
    for list in
        [&[(Some(1), 1)][..], &[(Some(2), 1), (Some(2), 1), (None, 1)], &[(None, 1), (None, 1)]]
    {
        let of = MetricTerms { tiers: tiers(list), ..MetricTerms::default() };
        assert_eq!(field(of), name("tiers"));
    }
    let terms = Terms { currency: "USD".to_owned(), ..Terms::default() };
    assert_eq!(plan::check(&terms).unwrap_err().field_name(), Some("terms.currency"));
}

#[test]
fn warnings_come_at_80_and_100_percent_of_each_bound() {
    let of = MetricTerms {
        included: 100,
        soft_max: Some(200),
        hard_max: Some(400),
        ..MetricTerms::default()
    };
    let terms = terms_of(of);
    let told = |used| {
        let used = Usage { events_published: used, ..Usage::default() };
        let all = plan::warnings(&terms, &used).into_iter();
        all.map(|it| (it.bound, it.percent)).collect::<Vec<_>>()
    };
    use BoundKind::{Hard, Included, Soft};
    assert_eq!(told(79), []);
    assert_eq!(told(80), [(Included, 80)]);
    assert_eq!(told(160), [(Included, 80), (Included, 100), (Soft, 80)]);
    assert_eq!(told(400).len(), 6);
    assert_eq!(told(400)[5], (Hard, 100));
}

#[test]
fn a_hard_limit_says_what_is_used_and_when_it_begins_anew() {
    let period = Period { start: 0, end: 1_000, now: 400 };
    let metric = UsageMetric::EventsPublished;
    plan::check_hard(metric, 10, 9, 1, period).unwrap();
    let refused = plan::check_hard(metric, 10, 9, 2, period).unwrap_err();
    assert_eq!(refused.code(), Code::PlanLimitExceeded);
    assert_eq!(refused.field_name(), Some("plan.events_published.hard_max"));
    assert_eq!(refused.wait().map(|wait| wait.as_millis()), Some(600));
    assert!(refused.to_string().contains("9 used, 2 more asked"), "{refused}");
}

#[test]
fn a_forecast_goes_on_as_it_was() {
    let at = |now| Period { start: 0, end: 1_000, now };
    for (used, now, whole) in [(10, 100, 100), (10, 0, 10), (10, 1_000, 10), (0, 500, 0)] {
        assert_eq!(plan::forecast(used, at(now)), whole);
    }
}

fn sound() -> impl Strategy<Value = MetricTerms> {
    let steps = prop::collection::vec((1u64..1_000_000, 0u64..10_000), 0..5);
    (0u64..1_000_000, 1u64..1_000_000, steps, 0u64..10_000).prop_map(
        |(included, per, steps, last)| {
            let mut up_to = 0;
            let mut list: Vec<(Option<u64>, u64)> = Vec::new();
            for (more, price) in steps {
                up_to += more;
                list.push((Some(up_to), price));
            }
            list.push((None, last));
            MetricTerms { included, per: Some(per), tiers: tiers(&list), ..Default::default() }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A price never falls with use, and two months never cost less than their parts would have in
    /// one unit's exact arithmetic: rounding adds less than one minor unit.
    #[test]
    fn prices_rise_and_round_up_once(of in sound(), used in 0u64..10_000_000, more in 0u64..1_000) {
        plan::check(&terms_of(of.clone())).unwrap();
        let price = plan::price(&of, used);
        prop_assert!(plan::price(&of, used + more) >= price);
        let beyond = used.saturating_sub(of.included);
        // Unit by unit would be too slow: tier by tier, by another way than the code's.
        let mut exact = 0u128;
        let mut left = beyond;
        let mut floor = 0;
        for tier in &of.tiers {
            let width = tier.up_to.map_or(u64::MAX, |up_to| up_to - floor);
            let here = left.min(width);
            exact += u128::from(here) * u128::from(tier.price_minor);
            left -= here;
            floor = tier.up_to.unwrap_or(floor);
        }
        let per = u128::from(of.per.unwrap_or(1));
        prop_assert!(u128::from(price) * per >= exact);
        prop_assert!(u128::from(price) * per < exact + per);
    }

    /// **Feature: realtime-saas-platform, Property 21: beyond the plan's limit, further use is
    /// prevented** - the decision itself: never a unit too many, never one too few.
    #[test]
    fn a_hard_limit_is_exact(max in 0u64..1_000_000, used in 0u64..2_000_000, more in 1u64..1_000) {
        let period = Period { start: 0, end: 10, now: 5 };
        let decided = plan::check_hard(UsageMetric::ApiRequests, max, used, more, period);
        prop_assert_eq!(decided.is_ok(), used + more <= max);
    }
}
