//! Rules that a followed filter has to do with: those that share an address with it, and those that
//! cover it whole. As with grants, `overlaps` may say yes where the truth is no, and `covers` no
//! where it is yes, never the other way round.

use super::index::{Bucket, Keys, Tables};
use crate::grants;
use types::Filter;
use types::filter::{KeyPart, Level, TopicPart};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    pub overlaps: bool,
    pub covers: bool,
}

/// Calls `visit` with each bucket that fits at all.
pub fn visit(tables: &Tables, filter: &Filter, mut visit: impl FnMut(Bucket, Fit)) {
    let key = &filter.key;
    match &filter.topic {
        TopicPart::Exact(name) => {
            if let Some(keys) = tables.at.topics.get(name.as_str()) {
                of_keys(keys, key, Whole::Topic, &mut visit);
            }
            tables.at.prefixes.visit(name.as_str().as_bytes(), |keys| {
                of_keys(keys, key, Whole::Topic, &mut visit);
            });
        }
        TopicPart::Any => {
            let prefixes = tables.at.prefixes.iter().map(|(_, keys)| keys);
            for keys in tables.at.topics.values().chain(prefixes) {
                of_keys(keys, key, Whole::SomeTopics, &mut visit);
            }
        }
    }
    of_keys(&tables.at.any, key, Whole::Topic, &mut visit);
}

/// Whether a place among the topics has all topics of the filter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Topic,
    SomeTopics,
}

fn of_keys(keys: &Keys, wanted: &KeyPart, whole: Whole, visit: &mut impl FnMut(Bucket, Fit)) {
    let mut tell = |bucket: Bucket, overlaps: bool, covers: bool| {
        if overlaps {
            visit(bucket, Fit { overlaps, covers: covers && whole == Whole::Topic });
        }
    };
    if let Some(all) = keys.all {
        tell(all, true, true);
    }
    let Some(more) = &keys.more else { return };
    if let KeyPart::Exact(key) = wanted {
        if let Some(&bucket) = more.exact.get(key) {
            tell(bucket, true, true);
        }
        more.prefixes.visit(key.as_bytes(), |&bucket| tell(bucket, true, true));
        if !more.levels.is_empty() {
            more.levels.visit(key, |bucket| tell(bucket, true, true));
        }
        return;
    }
    for (key, &bucket) in &more.exact {
        tell(bucket, wanted.matches(Some(key.as_bytes())), false);
    }
    for (prefix, &bucket) in more.prefixes.iter() {
        tell(bucket, meets_prefix(prefix, wanted), prefix_covers(prefix, wanted));
    }
    for (part, bucket) in &more.patterns {
        let overlaps = grants::overlaps_keys(part, wanted);
        tell(*bucket, overlaps, grants::covers_keys(part, wanted));
    }
}

/// What every key of the pattern begins with.
fn beginning(part: &KeyPart) -> String {
    let KeyPart::Levels { levels, .. } = part else { return String::new() };
    let mut text = String::new();
    for (index, level) in levels.iter().enumerate() {
        let Level::Exact(level) = level else { break };
        text.push_str(level);
        // The last level may be the key's end, also before `#`.
        if index + 1 < levels.len() {
            text.push('/');
        }
    }
    text
}

/// Every key of the pattern begins with the prefix.
pub fn prefix_covers(prefix: &str, part: &KeyPart) -> bool {
    match part {
        KeyPart::All => false,
        KeyPart::Exact(key) => key.starts_with(prefix),
        KeyPart::Levels { .. } => beginning(part).starts_with(prefix),
    }
}

/// Some key of the pattern may begin with the prefix.
pub fn meets_prefix(prefix: &str, part: &KeyPart) -> bool {
    match part {
        KeyPart::All => true,
        KeyPart::Exact(key) => key.starts_with(prefix),
        KeyPart::Levels { .. } => {
            let beginning = beginning(part);
            beginning.starts_with(prefix) || prefix.starts_with(&beginning)
        }
    }
}
