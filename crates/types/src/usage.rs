//! What is metered, as plain data. Who counts it, and what it costs, is not known here.

use crate::{Offset, Partition, TimestampMs, TopicId};
use serde::{Deserialize, Serialize};

/// One thing that tenants use and may pay for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageMetric {
    /// Records accepted into topics.
    EventsPublished,
    /// Records handed to readers, once for each of them.
    EventsDelivered,
    /// Reports turn them into minutes.
    ConnectionSeconds,
    /// Proofs of a credential: HTTP requests, and the beginnings of sessions.
    ApiRequests,
    /// Key, value and headers of accepted records, as stored.
    BytesPublished,
    /// Key, value and headers of delivered records.
    BytesDelivered,
    /// Bytes on the device, times the hours they lay there.
    StoredByteHours,
}

impl UsageMetric {
    pub const ALL: [(UsageMetric, &'static str); 7] = [
        (UsageMetric::EventsPublished, "events_published"),
        (UsageMetric::EventsDelivered, "events_delivered"),
        (UsageMetric::ConnectionSeconds, "connection_seconds"),
        (UsageMetric::ApiRequests, "api_requests"),
        (UsageMetric::BytesPublished, "bytes_published"),
        (UsageMetric::BytesDelivered, "bytes_delivered"),
        (UsageMetric::StoredByteHours, "stored_byte_hours"),
    ];

    pub fn name(self) -> &'static str {
        // `ALL` lists every variant; a test walks through them.
        Self::ALL.iter().find(|(metric, _)| *metric == self).map_or("", |(_, name)| name)
    }
}

/// Counts per metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    pub events_published: u64,
    pub events_delivered: u64,
    pub connection_seconds: u64,
    pub api_requests: u64,
    pub bytes_published: u64,
    pub bytes_delivered: u64,
    pub stored_byte_hours: u64,
}

impl Usage {
    pub fn get(&self, metric: UsageMetric) -> u64 {
        match metric {
            UsageMetric::EventsPublished => self.events_published,
            UsageMetric::EventsDelivered => self.events_delivered,
            UsageMetric::ConnectionSeconds => self.connection_seconds,
            UsageMetric::ApiRequests => self.api_requests,
            UsageMetric::BytesPublished => self.bytes_published,
            UsageMetric::BytesDelivered => self.bytes_delivered,
            UsageMetric::StoredByteHours => self.stored_byte_hours,
        }
    }

    pub fn at(&mut self, metric: UsageMetric) -> &mut u64 {
        match metric {
            UsageMetric::EventsPublished => &mut self.events_published,
            UsageMetric::EventsDelivered => &mut self.events_delivered,
            UsageMetric::ConnectionSeconds => &mut self.connection_seconds,
            UsageMetric::ApiRequests => &mut self.api_requests,
            UsageMetric::BytesPublished => &mut self.bytes_published,
            UsageMetric::BytesDelivered => &mut self.bytes_delivered,
            UsageMetric::StoredByteHours => &mut self.stored_byte_hours,
        }
    }

    /// Each count with its metric.
    pub fn iter(&self) -> impl Iterator<Item = (UsageMetric, u64)> + '_ {
        UsageMetric::ALL.iter().map(|(metric, _)| (*metric, self.get(*metric)))
    }

    pub fn plus(mut self, more: &Usage) -> Usage {
        for (metric, count) in more.iter() {
            let sum = self.at(metric);
            *sum = sum.saturating_add(count);
        }
        self
    }

    /// What is more than in `less`.
    pub fn minus(mut self, less: &Usage) -> Usage {
        for (metric, count) in less.iter() {
            let rest = self.at(metric);
            *rest = rest.saturating_sub(count);
        }
        self
    }
}

/// Offsets of one partition: from the first to before the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogRange {
    pub topic: TopicId,
    pub partition: Partition,
    pub from: Offset,
    pub to: Offset,
}

/// The first moment of the calendar month (UTC) that holds this time, by the civil-date algorithm
/// of Howard Hinnant ("chrono-compatible low-level date algorithms").
pub fn month_start(now: TimestampMs) -> TimestampMs {
    const DAY_MS: i64 = 86_400_000;
    let days = now.div_euclid(DAY_MS);
    let shifted = days + 719_468;
    let era_day = shifted.rem_euclid(146_097);
    let era_year = (era_day - era_day / 1_460 + era_day / 36_524 - era_day / 146_096) / 365;
    let year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    let month = (5 * year_day + 2) / 153;
    let month_day = year_day - (153 * month + 2) / 5;
    (days - month_day) * DAY_MS
}
