//! A topic's configuration in Kafka's names and units, one row a setting; rows with a name of ours
//! are what Kafka has no word for.

use types::topic::{Cleanup, Durability};
use types::{TopicConfig, limits};

/// How a value is written (`ConfigDef.Type` in Kafka's clients).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Boolean = 1,
    Text = 2,
    Int = 3,
    Long = 5,
    List = 7,
}

type Get = fn(&TopicConfig) -> String;
/// Says why a value cannot be.
type Set = fn(&mut TopicConfig, &str) -> Result<(), String>;

pub struct Setting {
    pub name: &'static str,
    pub kind: Type,
    pub meaning: &'static str,
    pub get: Get,
    /// `None`: it cannot be changed.
    pub set: Option<Set>,
}

const fn fixed(name: &'static str, kind: Type, meaning: &'static str, get: Get) -> Setting {
    Setting { name, kind, meaning, get, set: None }
}

const fn free(
    name: &'static str,
    kind: Type,
    meaning: &'static str,
    get: Get,
    set: Set,
) -> Setting {
    Setting { name, kind, meaning, get, set: Some(set) }
}

/// Where a topic says nothing of it.
const MESSAGE_BYTES_MAX: u32 = limits::APPEND_BYTES_MAX as u32;

pub const SETTINGS: &[Setting] = &[
    free("cleanup.policy", Type::List, "delete, compact or both", get_cleanup, set_cleanup),
    fixed("compression.type", Type::Text, "batches are stored as producers send them", |_| {
        "producer".to_owned()
    }),
    free(
        "delete.retention.ms",
        Type::Long,
        "how long a tombstone stays at least",
        |config| config.tombstone_ms.to_string(),
        |config, text| number(text).map(|ms| config.tombstone_ms = ms),
    ),
    fixed("flush.messages", Type::Long, "acknowledged records are on disk", |_| "1".to_owned()),
    free(
        "max.message.bytes",
        Type::Int,
        "of one batch as it comes, as far as the server takes so many",
        |config| config.message_bytes_max.unwrap_or(MESSAGE_BYTES_MAX).to_string(),
        |config, text| {
            let bytes = text.parse::<u32>().ok().filter(|it| (1..=i32::MAX as u32).contains(it));
            let bytes = bytes.ok_or("it is a number of bytes above 0")?;
            config.message_bytes_max = Some(bytes).filter(|it| *it != MESSAGE_BYTES_MAX);
            Ok(())
        },
    ),
    fixed("message.timestamp.type", Type::Text, "producers date their records", |_| {
        "CreateTime".to_owned()
    }),
    fixed("min.insync.replicas", Type::Int, "of how many an acknowledgement speaks", |_| {
        "1".to_owned()
    }),
    free(
        "retention.bytes",
        Type::Long,
        "of a partition; -1 is no bound",
        |config| {
            let whole = config.retention.bytes_max;
            bound(whole.map(|bytes| bytes / u64::from(config.partitions.max(1))))
        },
        |config, text| {
            let of_one = unbound(text)?;
            let partitions = u64::from(config.partitions.max(1));
            config.retention.bytes_max = of_one.map(|bytes| bytes.saturating_mul(partitions));
            Ok(())
        },
    ),
    free(
        "retention.ms",
        Type::Long,
        "age at which records go; -1 is no bound",
        |config| bound(config.retention.age_ms_max),
        |config, text| unbound(text).map(|ms| config.retention.age_ms_max = ms),
    ),
    free(
        "mainstem.durability",
        Type::Text,
        "durable, relaxed or ephemeral: when an append is acknowledged",
        get_durability,
        set_durability,
    ),
    free(
        "mainstem.idempotency.window.ms",
        Type::Long,
        "how long the ids of records are remembered",
        |config| config.idempotency_window_ms.to_string(),
        |config, text| number(text).map(|ms| config.idempotency_window_ms = ms),
    ),
    free(
        "mainstem.occupancy",
        Type::Boolean,
        "whether it is told which addresses have followers",
        |config| config.occupancy.to_string(),
        |config, text| {
            config.occupancy = text.parse().map_err(|_| "it is `true` or `false`".to_owned())?;
            Ok(())
        },
    ),
];

/// What Kafka's brokers are told about their files. Nothing here is kept that way and no client
/// sees a difference, so any value is taken, and does nothing.
const INERT: [&str; 16] = [
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "index.interval.bytes",
    "message.downconversion.enable",
    "min.cleanable.dirty.ratio",
    "preallocate",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "it is a number, not below 0".to_owned())
}

fn bound(bound: Option<u64>) -> String {
    bound.map_or_else(|| "-1".to_owned(), |bound| bound.to_string())
}

fn unbound(text: &str) -> Result<Option<u64>, String> {
    if text == "-1" { Ok(None) } else { number(text).map(Some) }
}

fn get_cleanup(config: &TopicConfig) -> String {
    let name = match config.cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
        Cleanup::CompactDelete => "compact,delete",
    };
    name.to_owned()
}

fn set_cleanup(config: &mut TopicConfig, text: &str) -> Result<(), String> {
    let mut has = (false, false);
    for word in text.split(',').map(str::trim) {
        match word {
            "delete" => has.0 = true,
            "compact" => has.1 = true,
            _ => return Err("it is `delete`, `compact` or both".to_owned()),
        }
    }
    config.cleanup = match has {
        (true, true) => Cleanup::CompactDelete,
        (false, true) => Cleanup::Compact,
        _ => Cleanup::Delete,
    };
    Ok(())
}

fn get_durability(config: &TopicConfig) -> String {
    let name = match config.durability {
        Durability::Durable => "durable",
        Durability::Relaxed => "relaxed",
        Durability::Ephemeral => "ephemeral",
    };
    name.to_owned()
}

fn set_durability(config: &mut TopicConfig, text: &str) -> Result<(), String> {
    config.durability = match text {
        "durable" => Durability::Durable,
        "relaxed" => Durability::Relaxed,
        "ephemeral" => Durability::Ephemeral,
        _ => return Err("it is `durable`, `relaxed` or `ephemeral`".to_owned()),
    };
    Ok(())
}

/// Changes one setting, or sets it back where there is no value.
///
/// # Errors
/// Which setting, and why not.
pub fn change(config: &mut TopicConfig, name: &str, value: Option<&str>) -> Result<(), String> {
    if INERT.contains(&name) {
        return Ok(());
    }
    let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
        return Err(format!("there is no topic setting `{name}`"));
    };
    let usual = TopicConfig { partitions: config.partitions, ..TopicConfig::default() };
    let usual = (setting.get)(&usual);
    let value = value.unwrap_or(&usual);
    match setting.set {
        Some(set) => set(config, value).map_err(|why| format!("`{name}`: {why}")),
        // Tools that copy a topic set everything; what changes nothing is fine.
        None if value == (setting.get)(config) => Ok(()),
        None => Err(format!("`{name}` is always `{}` here", (setting.get)(config))),
    }
}
