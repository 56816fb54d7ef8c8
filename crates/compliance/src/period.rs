//! Moments as the report writes them, and the period that it is about.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};
use std::fmt;
use types::TimestampMs;
use utoipa::ToSchema;

const DAY_MS: i64 = 24 * 3_600_000;
/// Days of the longest period: the trail keeps no more by default.
pub const PERIOD_DAYS_MAX: i64 = 400;

/// Milliseconds since 1970, written as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Moment(pub TimestampMs);

impl Moment {
    /// The day in UTC, for names of files.
    pub fn day(self) -> String {
        self.to_string().chars().take(10).collect()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Timestamp::from_millisecond(self.0).unwrap_or_default();
        write!(f, "{at:.3}")
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// From the first moment on, and before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ReportPeriod)]
pub struct Period {
    pub from: Moment,
    pub to: Moment,
}

/// Why two texts are no period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct BadPeriod {
    /// `from` or `to`.
    pub field: &'static str,
    pub rule: String,
}

/// A day stands for its first moment in UTC.
fn moment(field: &'static str, text: &str) -> Result<Moment, BadPeriod> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Moment(at.as_millisecond()));
    }
    let day = text.parse::<Date>().ok().filter(|_| text.len() == "2026-01-01".len());
    let at = day.and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    let at = at.ok_or_else(|| BadPeriod {
        field,
        rule: "expected a time as RFC 3339 has it, `2026-10-01T00:00:00Z`, or a day".to_owned(),
    })?;
    Ok(Moment(at.timestamp().as_millisecond()))
}

impl Period {
    /// From texts as RFC 3339 has them, or days; without an end it ends now. Refuses what ends
    /// before it begins, is longer than `PERIOD_DAYS_MAX`, or has not ended.
    pub fn read(from: &str, to: Option<&str>, now: TimestampMs) -> Result<Period, BadPeriod> {
        let from = moment("from", from)?;
        let to = to.map_or(Ok(Moment(now)), |to| moment("to", to))?;
        let bad = |field, rule: String| Err(BadPeriod { field, rule });
        if to.0 > now {
            return bad("to", format!("the period has not ended: it is {}", Moment(now)));
        }
        if from >= to {
            return bad("from", "a period begins before it ends".to_owned());
        }
        if to.0 - from.0 > PERIOD_DAYS_MAX * DAY_MS {
            return bad("from", format!("a period has {PERIOD_DAYS_MAX} days at most"));
        }
        Ok(Period { from, to })
    }
}
