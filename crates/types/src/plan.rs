//! What a plan promises and costs, as plain data. Money is whole minor units (cents) of one
//! currency, never a fraction; how it adds up is decided in `rules`.

use crate::{Limits, UsageMetric};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Days in milliseconds.
pub const DAY_MS: i64 = 86_400_000;

/// The terms of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// Three small letters (ISO 4217).
    pub currency: String,
    /// What a month costs before anything is used, in minor units.
    pub base_minor: u64,
    /// How long a tenant on trial may try.
    pub trial_days: u32,
    /// The plan a trial ends in when no subscription was taken; absent keeps this one.
    pub after_trial: Option<String>,
    /// How long a tenant whose payment failed goes on; then it is suspended.
    pub grace_days: u32,
    /// What is counted per calendar month (UTC); what is not named is free and unbounded.
    pub metrics: BTreeMap<UsageMetric, MetricTerms>,
    /// Bounds of each project of the tenant, beside its own.
    pub limits: Limits,
}

/// What a plan says of one metric.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricTerms {
    /// Used at no further cost.
    pub included: u64,
    /// Beyond it the tenant is warned and goes on.
    pub soft_max: Option<u64>,
    /// Beyond it use is refused until the next month.
    pub hard_max: Option<u64>,
    /// How many units one price is for; absent is 1.
    pub per: Option<u64>,
    /// What use beyond the included amount costs; none is free.
    pub tiers: Vec<Tier>,
}

/// One step of a price list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Units beyond the included ones up to which the price holds; absent on the last.
    #[serde(default)]
    pub up_to: Option<u64>,
    /// Minor units for each `per` units.
    pub price_minor: u64,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            currency: "usd".to_owned(),
            base_minor: 0,
            trial_days: 14,
            after_trial: None,
            grace_days: 7,
            metrics: BTreeMap::new(),
            limits: Limits::default(),
        }
    }
}

/// Bounds on a month's use, by metric; what is not there is unbounded.
pub type HardBounds = BTreeMap<UsageMetric, u64>;

impl Terms {
    pub fn hard_bounds(&self) -> HardBounds {
        let hard = |(metric, terms): (&UsageMetric, &MetricTerms)| Some((*metric, terms.hard_max?));
        self.metrics.iter().filter_map(hard).collect()
    }

    /// Good for a month of a small application; nothing can be owed.
    pub fn free() -> Terms {
        let bounded =
            |max| MetricTerms { included: max, hard_max: Some(max), ..Default::default() };
        Terms {
            metrics: BTreeMap::from([
                (UsageMetric::EventsPublished, bounded(5_000_000)),
                (UsageMetric::EventsDelivered, bounded(250_000_000)),
            ]),
            ..Terms::default()
        }
    }

    /// A base price with amounts included, and a price for what goes beyond.
    pub fn pro() -> Terms {
        let priced = |included, per, tiers: &[(Option<u64>, u64)]| {
            let tier = |&(up_to, price_minor): &(Option<u64>, u64)| Tier { up_to, price_minor };
            let tiers = tiers.iter().map(tier).collect();
            let soft_max = Some(included * 10);
            MetricTerms { included, soft_max, hard_max: None, per: Some(per), tiers }
        };
        let million = 1_000_000;
        let gigabyte = 1_000_000_000;
        Terms {
            base_minor: 4_900,
            after_trial: Some("free".to_owned()),
            metrics: BTreeMap::from([
                (
                    UsageMetric::EventsPublished,
                    priced(20 * million, million, &[(Some(500 * million), 100), (None, 60)]),
                ),
                (UsageMetric::EventsDelivered, priced(400 * million, million, &[(None, 10)])),
                // A thousand connections all month; the price is for a million minutes.
                (
                    UsageMetric::ConnectionSeconds,
                    priced(2_628_000_000, 60 * million, &[(None, 50)]),
                ),
                (UsageMetric::BytesDelivered, priced(200 * gigabyte, gigabyte, &[(None, 8)])),
                // Fifty gigabytes all month; the price is for a gigabyte and a month of 730 hours.
                (
                    UsageMetric::StoredByteHours,
                    priced(50 * gigabyte * 730, gigabyte * 730, &[(None, 20)]),
                ),
            ]),
            ..Terms::default()
        }
    }

    /// No bound and no price of its own: agreed by contract.
    pub fn enterprise() -> Terms {
        Terms { grace_days: 30, trial_days: 30, ..Terms::default() }
    }

    /// The terms of the plans that are always there.
    pub fn of_builtin(plan: &str) -> Option<Terms> {
        match plan {
            "free" => Some(Terms::free()),
            "pro" => Some(Terms::pro()),
            "enterprise" => Some(Terms::enterprise()),
            _ => None,
        }
    }
}

/// The names of the plans that are always there, in the order of size.
pub const BUILTIN_PLANS: [&str; 3] = ["free", "pro", "enterprise"];
