//! Filters: `topic/level/level` with `+` for one level and `#`, last only, for the rest (which may
//! be nothing). The first level is the topic, the others match the key's levels. `orders` alone is
//! the same as `orders/#`: the topic with all its keys.

use crate::TopicName;
use crate::address::BadAddress;
use std::fmt;

pub const FILTER_BYTES_MAX: usize = 1_024;
pub const FILTER_LEVELS_MAX: usize = 32;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TopicPart {
    Exact(TopicName),
    /// `+`: any topic of the project.
    Any,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Level {
    Exact(Box<str>),
    One,
}

/// What part of a topic's keys a filter takes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum KeyPart {
    /// Every record, with any key or none.
    All,
    /// Exactly this key.
    Exact(Box<str>),
    /// Level by level; `rest` is a trailing `#`.
    Levels { levels: Box<[Level]>, rest: bool },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Filter {
    pub topic: TopicPart,
    pub key: KeyPart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    #[error("a filter has 1 to 1024 bytes and at most 32 levels")]
    Length,
    #[error("`#` stands alone as the last level, `+` alone as a level")]
    Wildcard,
    #[error(transparent)]
    Topic(#[from] BadAddress),
}

impl Filter {
    /// All records of one topic.
    pub fn topic(topic: TopicName) -> Filter {
        Filter { topic: TopicPart::Exact(topic), key: KeyPart::All }
    }

    /// One key of one topic, taken literally: `+` and `#` in it mean themselves.
    pub fn key(topic: TopicName, key: &str) -> Filter {
        Filter { topic: TopicPart::Exact(topic), key: KeyPart::Exact(key.into()) }
    }

    pub fn parse(text: &str) -> Result<Filter, BadFilter> {
        if text.is_empty() || text.len() > FILTER_BYTES_MAX {
            return Err(BadFilter::Length);
        }
        if text == "#" {
            return Ok(Filter { topic: TopicPart::Any, key: KeyPart::All });
        }
        let (topic, key) = match text.split_once('/') {
            Some((topic, key)) => (topic, Some(key)),
            None => (text, None),
        };
        let topic = match topic {
            "+" => TopicPart::Any,
            name => TopicPart::Exact(TopicName::parse(name)?),
        };
        Ok(Filter { topic, key: key.map_or(Ok(KeyPart::All), KeyPart::parse)? })
    }

    pub fn matches(&self, topic: &TopicName, key: Option<&[u8]>) -> bool {
        let topic_fits = match &self.topic {
            TopicPart::Exact(name) => name == topic,
            TopicPart::Any => true,
        };
        topic_fits && self.key.matches(key)
    }
}

impl KeyPart {
    fn parse(text: &str) -> Result<KeyPart, BadFilter> {
        if text == "#" {
            return Ok(KeyPart::All);
        }
        if !text.contains(['+', '#']) {
            return Ok(KeyPart::Exact(text.into()));
        }
        let (body, rest) = match text.strip_suffix("/#") {
            Some(body) => (body, true),
            None => (text, false),
        };
        let levels = body
            .split('/')
            .map(|level| match level {
                "+" => Ok(Level::One),
                level if level.contains(['+', '#']) => Err(BadFilter::Wildcard),
                level => Ok(Level::Exact(level.into())),
            })
            .collect::<Result<Box<[Level]>, BadFilter>>()?;
        if levels.len() > FILTER_LEVELS_MAX {
            return Err(BadFilter::Length);
        }
        Ok(KeyPart::Levels { levels, rest })
    }

    /// A key that is not UTF-8 has no levels: only `All` takes it. A record without a key likewise.
    pub fn matches(&self, key: Option<&[u8]>) -> bool {
        match self {
            KeyPart::All => true,
            KeyPart::Exact(exact) => key == Some(exact.as_bytes()),
            KeyPart::Levels { levels, rest } => {
                let Some(key) = key.and_then(|key| std::str::from_utf8(key).ok()) else {
                    return false;
                };
                let mut found = key.split('/');
                levels.iter().all(|level| match (level, found.next()) {
                    (_, None) => false,
                    (Level::One, Some(_)) => true,
                    (Level::Exact(want), Some(got)) => **want == *got,
                }) && (*rest || found.next().is_none())
            }
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.topic {
            TopicPart::Exact(name) => write!(f, "{name}")?,
            TopicPart::Any => write!(f, "+")?,
        }
        match &self.key {
            KeyPart::All => write!(f, "/#"),
            KeyPart::Exact(key) => write!(f, "/{key}"),
            KeyPart::Levels { levels, rest } => {
                for level in levels {
                    match level {
                        Level::One => write!(f, "/+")?,
                        Level::Exact(level) => write!(f, "/{level}")?,
                    }
                }
                if *rest { write!(f, "/#") } else { Ok(()) }
            }
        }
    }
}
