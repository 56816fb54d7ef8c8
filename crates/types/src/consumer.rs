//! Durable consumers as plain data: what one is called and how it is configured. Where it stands
//! in its topic is not known here.

use crate::address::BadAddress;
use crate::filter::{BadFilter, KeyPart};
use crate::{Filter, Offset, TimestampMs, TopicName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// 1-100 of `[A-Za-z0-9._-]`, not `.` or `..`, unique in its topic.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ConsumerName(Arc<str>);

pub const CONSUMER_NAME_BYTES_MAX: usize = 100;
/// How long a delivery may be held before it is delivered again.
pub const ACK_WAIT_MS_MIN: u64 = 100;
pub const ACK_WAIT_MS_MAX: u64 = 12 * 3_600_000;
/// Longest time a record may be put off, by a backoff or on request.
pub const DELAY_MS_MAX: u64 = 24 * 3_600_000;
pub const DELIVERIES_MAX: u32 = 1_000;
/// Records of one consumer that are delivered and not settled, all fetchers together.
pub const PENDING_MAX: u32 = 10_000;
/// Steps of a backoff that is given as a list.
pub const BACKOFF_STEPS_MAX: usize = 64;

impl ConsumerName {
    pub fn parse(text: &str) -> Result<ConsumerName, BadConsumer> {
        if text.len() > CONSUMER_NAME_BYTES_MAX || text.starts_with('$') {
            return Err(BadConsumer::Name);
        }
        // The same characters as a topic's, since the name becomes part of one.
        TopicName::parse(text).map_err(|_| BadConsumer::Name)?;
        Ok(ConsumerName(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConsumerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ConsumerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for ConsumerName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        ConsumerName::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// Where a consumer begins when it is made or reset. Written as `earliest`, `latest`, `offset:N`
/// or `time:<milliseconds since 1970>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// The oldest record still kept.
    #[default]
    Earliest,
    /// Only what is published from now on.
    Latest,
    /// This offset in every partition.
    Offset(Offset),
    /// The first record at or after this time, per partition.
    Time(TimestampMs),
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Start::Earliest => f.write_str("earliest"),
            Start::Latest => f.write_str("latest"),
            Start::Offset(offset) => write!(f, "offset:{offset}"),
            Start::Time(time) => write!(f, "time:{time}"),
        }
    }
}

impl FromStr for Start {
    type Err = BadConsumer;
    fn from_str(text: &str) -> Result<Start, BadConsumer> {
        match text.split_once(':') {
            None if text == "earliest" => Ok(Start::Earliest),
            None if text == "latest" => Ok(Start::Latest),
            Some(("offset", number)) => {
                number.parse().map(Start::Offset).map_err(|_| BadConsumer::Start)
            }
            Some(("time", time)) => time.parse().map(Start::Time).map_err(|_| BadConsumer::Start),
            _ => Err(BadConsumer::Start),
        }
    }
}

impl Serialize for Start {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Start, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What order deliveries keep among themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// Records go out in the order of the log; one that is delivered again comes later.
    #[default]
    None,
    /// A key whose record is not acknowledged holds its later records back. Records without a key
    /// are held by nothing.
    Key,
}

/// How long a record that failed waits before it is delivered again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backoff {
    /// The wait after the first failed delivery, the second and so on; the last one goes on.
    /// Empty: `delay_ms_min`, doubled with each delivery up to `delay_ms_max`.
    pub delays_ms: Vec<u64>,
    pub delay_ms_min: u64,
    pub delay_ms_max: u64,
    /// Up to so many hundredths of the wait are added at random, so that records that failed
    /// together do not come back together.
    pub jitter_percent: u8,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            delays_ms: Vec::new(),
            delay_ms_min: 1_000,
            delay_ms_max: 60_000,
            jitter_percent: 20,
        }
    }
}

impl Backoff {
    /// The wait after a record failed for the `deliveries`th time, before any jitter.
    pub fn delay_ms(&self, deliveries: u32) -> u64 {
        let step = deliveries.saturating_sub(1);
        if let Some(last) = self.delays_ms.last() {
            return self.delays_ms.get(step as usize).copied().unwrap_or(*last);
        }
        let factor = 1u64.checked_shl(step).unwrap_or(u64::MAX);
        self.delay_ms_min.saturating_mul(factor).min(self.delay_ms_max)
    }
}

/// What one configures on a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsumerConfig {
    /// Where it began; a reset moves it later.
    pub start: Start,
    /// Only records whose key fits: levels with `+` and `#`, or one exact key.
    pub filter: Option<String>,
    pub ordering: Ordering,
    /// A delivery that is not settled within this time is delivered again.
    pub ack_wait_ms: u64,
    /// After so many deliveries without an acknowledgement the record goes to the dead letters.
    pub deliveries_max: u32,
    pub backoff: Backoff,
    /// Records delivered and not settled at most; until some are, no new ones are delivered.
    pub pending_max: u32,
    /// Where dead letters go; `<topic>.<consumer>.dead` when absent.
    pub dead_letter_topic: Option<TopicName>,
}

impl Default for ConsumerConfig {
    fn default() -> ConsumerConfig {
        ConsumerConfig {
            start: Start::Earliest,
            filter: None,
            ordering: Ordering::None,
            ack_wait_ms: 30_000,
            deliveries_max: 5,
            backoff: Backoff::default(),
            pending_max: 1_000,
            dead_letter_topic: None,
        }
    }
}

/// A name or configuration that no consumer can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadConsumer {
    #[error(
        "a consumer's name has 1 to 100 letters, digits, `.`, `_` and `-`, and is not `.` or `..`"
    )]
    Name,
    #[error("`start` is earliest, latest, offset:N or time:<milliseconds since 1970>")]
    Start,
    #[error("`filter` is a key, or levels of one with `+` and a last `#`: {0}")]
    Filter(BadFilter),
    #[error("`ack_wait_ms` lies between 100 and 43200000")]
    AckWait,
    #[error("`deliveries_max` lies between 1 and 1000")]
    Deliveries,
    #[error("`pending_max` lies between 1 and 10000")]
    Pending,
    #[error("a list of delays has at most 64 steps")]
    BackoffSteps,
    #[error("a delay is at most 86400000 ms, and `delay_ms_min` not above `delay_ms_max`")]
    BackoffDelay,
    #[error("`jitter_percent` is at most 100")]
    Jitter,
    #[error("`dead_letter_topic`: {0}")]
    DeadLetterTopic(BadAddress),
    #[error("a consumer's dead letters cannot go to the topic it reads")]
    DeadLetterLoop,
}

impl BadConsumer {
    /// The field that is wrong, as the client wrote it.
    pub fn field(self) -> &'static str {
        match self {
            BadConsumer::Name => "name",
            BadConsumer::Start => "start",
            BadConsumer::Filter(_) => "filter",
            BadConsumer::AckWait => "ack_wait_ms",
            BadConsumer::Deliveries => "deliveries_max",
            BadConsumer::Pending => "pending_max",
            BadConsumer::BackoffSteps => "backoff.delays_ms",
            BadConsumer::BackoffDelay => "backoff",
            BadConsumer::Jitter => "backoff.jitter_percent",
            BadConsumer::DeadLetterTopic(_) | BadConsumer::DeadLetterLoop => "dead_letter_topic",
        }
    }
}

impl ConsumerConfig {
    /// What cannot be meant, before anything is made of it.
    pub fn check(&self, topic: &TopicName, name: &ConsumerName) -> Result<(), BadConsumer> {
        self.key_part(topic)?;
        if !(ACK_WAIT_MS_MIN..=ACK_WAIT_MS_MAX).contains(&self.ack_wait_ms) {
            return Err(BadConsumer::AckWait);
        }
        if !(1..=DELIVERIES_MAX).contains(&self.deliveries_max) {
            return Err(BadConsumer::Deliveries);
        }
        if !(1..=PENDING_MAX).contains(&self.pending_max) {
            return Err(BadConsumer::Pending);
        }
        if self.backoff.delays_ms.len() > BACKOFF_STEPS_MAX {
            return Err(BadConsumer::BackoffSteps);
        }
        let longest = self.backoff.delays_ms.iter().max().max(Some(&self.backoff.delay_ms_max));
        if longest.is_some_and(|&delay_ms| delay_ms > DELAY_MS_MAX)
            || self.backoff.delay_ms_min > self.backoff.delay_ms_max
        {
            return Err(BadConsumer::BackoffDelay);
        }
        if self.backoff.jitter_percent > 100 {
            return Err(BadConsumer::Jitter);
        }
        match self.dead_letters(topic, name)? {
            dead if dead == *topic => Err(BadConsumer::DeadLetterLoop),
            _ => Ok(()),
        }
    }

    /// The topic of its dead letters, given or by rule.
    pub fn dead_letters(
        &self,
        topic: &TopicName,
        name: &ConsumerName,
    ) -> Result<TopicName, BadConsumer> {
        match &self.dead_letter_topic {
            Some(given) => Ok(given.clone()),
            None => TopicName::parse(&format!("{topic}.{name}.dead"))
                .map_err(BadConsumer::DeadLetterTopic),
        }
    }

    /// Which keys of its topic it takes.
    pub fn key_part(&self, topic: &TopicName) -> Result<KeyPart, BadConsumer> {
        let Some(filter) = &self.filter else {
            return Ok(KeyPart::All);
        };
        if filter.is_empty() {
            return Err(BadConsumer::Filter(BadFilter::Length));
        }
        let whole = Filter::parse(&format!("{topic}/{filter}")).map_err(BadConsumer::Filter)?;
        Ok(whole.key)
    }
}
