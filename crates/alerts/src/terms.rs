//! What a rule says: which figure or which event, compared how, for how long, told to whom and how
//! often again. Checked when the rule is made. Pure.

use port::metric::{self, MetricKind};
use port::{Code, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tenancy::{AlertChannelId, AuditOutcome};
use types::TenantId;

/// Labels a rule asks for, and groups by.
const LABELS_MAX: usize = 10;
/// Bytes of a label, an action, a summary.
const TEXT_BYTES_MAX: usize = 500;
/// Longest window and longest patience: a day.
const SECONDS_MAX: u32 = 86_400;
/// People are told again at most so often, and at least so often: a minute, a month.
const REPEAT_SECONDS_MIN: u32 = 60;
const REPEAT_SECONDS_MAX: u32 = 30 * 86_400;
const CHANNELS_MAX: usize = 20;

/// How a value is compared with the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Comparison {
    pub fn is_met(self, value: f64, threshold: f64) -> bool {
        match self {
            Comparison::Above => value > threshold,
            Comparison::AtLeast => value >= threshold,
            Comparison::Below => value < threshold,
            Comparison::AtMost => value <= threshold,
        }
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Comparison::Above => "above",
            Comparison::AtLeast => "at least",
            Comparison::Below => "below",
            Comparison::AtMost => "at most",
        }
    }
}

/// What is taken of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// As it is now.
    #[default]
    Value,
    /// How much a counter grew per second, over the window.
    Rate,
    /// How much a counter grew over the window.
    Increase,
    /// The value below which a share of a histogram's measurements of the window lie.
    Quantile,
}

/// How several series of one group become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    #[default]
    Sum,
    Max,
    Min,
}

fn window_default() -> u32 {
    300
}

/// A figure and when it is too much, or too little.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricTerms {
    /// A name from the reference of metrics.
    pub name: String,
    /// Only series that carry all of these labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub measure: Measure,
    /// With `quantile`: which, 0 to 1.
    #[serde(default)]
    pub quantile: Option<f64>,
    /// With `rate`, `increase` and `quantile`: over how long.
    #[serde(default = "window_default")]
    pub window_seconds: u32,
    /// One alert for each value of these labels, instead of one for all series together.
    #[serde(default)]
    pub by: Vec<String>,
    #[serde(default)]
    pub aggregate: Aggregate,
    pub comparison: Comparison,
    pub threshold: f64,
}

fn count_default() -> u64 {
    1
}

/// Something in the audit trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventTerms {
    /// An action, or with a `*` at its end all that begin so: `session.suspect`, `key.*`.
    pub action: String,
    #[serde(default)]
    pub outcome: Option<AuditOutcome>,
    /// Only this tenant's.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// So many times within the window.
    #[serde(default = "count_default")]
    pub count_min: u64,
    /// An alert is over when the window has passed without enough of them.
    #[serde(default = "window_default")]
    pub window_seconds: u32,
}

/// What a rule looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Metric(MetricTerms),
    Event(EventTerms),
}

fn repeat_default() -> u32 {
    4 * 3_600
}

/// Everything a rule says but its name and severity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// `{"metric": {...}}` or `{"event": {...}}`.
    pub source: Source,
    /// The condition must be met for so long before anybody is told.
    #[serde(default)]
    pub for_seconds: u32,
    /// People are told again after so long while it goes on.
    #[serde(default = "repeat_default")]
    pub repeat_seconds: u32,
    /// Who is told; absent: every channel that takes the severity.
    #[serde(default)]
    pub channels: Option<Vec<AlertChannelId>>,
    /// What it means and what to do, for whoever is told.
    #[serde(default)]
    pub summary: String,
}

fn refuse(field: &str, why: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidRequest, why).field(format!("terms.{field}"))
}

impl MetricTerms {
    fn check(&self) -> Result<(), Refusal> {
        let known = metric::ALL.iter().find(|known| known.name == self.name);
        let known = known.ok_or_else(|| {
            refuse("source.metric.name", format!("there is no metric `{}`", self.name))
                .hint("GET /v1/alerts/metrics lists them")
        })?;
        let fits = match self.measure {
            Measure::Value => known.kind != MetricKind::Histogram,
            Measure::Rate | Measure::Increase => known.kind != MetricKind::Gauge,
            Measure::Quantile => known.kind == MetricKind::Histogram,
        };
        if !fits {
            let why = "a gauge has a `value`, a counter a `value`, `rate` or `increase`, a \
                       histogram a `quantile`, or the `rate` of its measurements";
            return Err(refuse("source.metric.measure", why));
        }
        if self.measure == Measure::Quantile
            && !self.quantile.is_some_and(|share| (0.0..=1.0).contains(&share))
        {
            return Err(refuse("source.metric.quantile", "0 to 1"));
        }
        if !self.threshold.is_finite() {
            return Err(refuse("source.metric.threshold", "a number"));
        }
        if self.labels.len() > LABELS_MAX || self.by.len() > LABELS_MAX {
            return Err(refuse("source.metric.labels", format!("at most {LABELS_MAX}")));
        }
        let long = |text: &String| text.len() > TEXT_BYTES_MAX;
        if self.labels.iter().any(|(name, value)| long(name) || long(value))
            || self.by.iter().any(long)
        {
            let why = format!("a label has at most {TEXT_BYTES_MAX} bytes");
            return Err(refuse("source.metric.labels", why));
        }
        check_window("source.metric.window_seconds", self.window_seconds)
    }
}

fn check_window(field: &str, seconds: u32) -> Result<(), Refusal> {
    if (10..=SECONDS_MAX).contains(&seconds) {
        return Ok(());
    }
    Err(refuse(field, format!("10 to {SECONDS_MAX} seconds")))
}

impl EventTerms {
    fn check(&self) -> Result<(), Refusal> {
        if self.action.is_empty() || self.action.len() > TEXT_BYTES_MAX {
            return Err(refuse("source.event.action", "an action, such as `session.suspect`"));
        }
        if self.count_min == 0 {
            return Err(refuse("source.event.count_min", "at least 1"));
        }
        check_window("source.event.window_seconds", self.window_seconds)
    }
}

impl Terms {
    /// From what is stored, or was sent.
    pub fn read(value: &serde_json::Value) -> Result<Terms, Refusal> {
        let terms = Terms::deserialize(value);
        terms.map_err(|error| refuse("source", error.to_string()))
    }

    /// Whether they can be meant.
    pub fn check(&self) -> Result<(), Refusal> {
        match &self.source {
            Source::Metric(metric) => metric.check()?,
            Source::Event(event) => event.check()?,
        }
        if self.for_seconds > SECONDS_MAX {
            return Err(refuse("for_seconds", format!("at most {SECONDS_MAX}")));
        }
        if !(REPEAT_SECONDS_MIN..=REPEAT_SECONDS_MAX).contains(&self.repeat_seconds) {
            let why = format!("{REPEAT_SECONDS_MIN} to {REPEAT_SECONDS_MAX}");
            return Err(refuse("repeat_seconds", why));
        }
        if self.channels.as_ref().is_some_and(|all| all.len() > CHANNELS_MAX) {
            return Err(refuse("channels", format!("at most {CHANNELS_MAX}")));
        }
        if self.summary.len() > TEXT_BYTES_MAX {
            return Err(refuse("summary", format!("at most {TEXT_BYTES_MAX} bytes")));
        }
        Ok(())
    }
}
