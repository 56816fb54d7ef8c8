//! Kafka's words and numbers for rights (`AclOperation`, `AclPermissionType`, `ResourceType` and
//! `PatternType` of its clients), and ours for the same.

use std::ops::RangeInclusive;
use types::acl::{
    EVERYBODY, GROUP_PREFIX, KEY_PREFIX, NAME_BYTES_MAX, NameMatch, Network, TOKEN_PREFIX,
    TopicMatch,
};
use types::acl::{Operation, Operations, USER_PREFIX};
use types::{Effect, KeyId, TopicName};

/// Of each of the four: in filters, whichever it is.
pub const ANY: i8 = 1;

pub const TOPIC: i8 = 2;
pub const GROUP: i8 = 3;
const CLUSTER: i8 = 4;
pub const TRANSACTIONAL_ID: i8 = 5;
const DELEGATION_TOKEN: i8 = 6;
pub const RESOURCES: RangeInclusive<i8> = 1..=7;

/// The name itself, and what it is under: prefixes of it, and everything.
pub const MATCH: i8 = 2;
pub const LITERAL: i8 = 3;
pub const PREFIXED: i8 = 4;

pub const DENY: i8 = 2;
pub const ALLOW: i8 = 3;

pub const ALL: i8 = 2;
pub const READ: i8 = 3;
const WRITE: i8 = 4;
pub const CREATE: i8 = 5;
pub const DELETE: i8 = 6;
pub const ALTER: i8 = 7;
pub const DESCRIBE: i8 = 8;
pub const DESCRIBE_CONFIGS: i8 = 10;
const ALTER_CONFIGS: i8 = 11;
pub const IDEMPOTENT_WRITE: i8 = 12;
pub const OPERATIONS: RangeInclusive<i8> = 1..=15;

/// Every topic, group or id; every host.
pub const EVERYWHERE: &str = "*";
const USER_TYPE: &str = "User";
const GROUP_TYPE: &str = "Group";

/// What one of Kafka's operations comes to: it is said where the first is there, and gives and
/// takes all of them.
pub type Meaning = (i8, &'static [Operation]);

/// Consuming by Kafka is `read`; whoever is given it may follow live.
pub const OF_TOPICS: &[Meaning] = &[
    (READ, &[Operation::Read, Operation::Subscribe]),
    (WRITE, &[Operation::Publish]),
    (CREATE, &[Operation::Manage]),
    (DELETE, &[Operation::Manage]),
    (ALTER, &[Operation::Manage]),
    (DESCRIBE, &[Operation::Describe]),
    (DESCRIBE_CONFIGS, &[Operation::Describe]),
    (ALTER_CONFIGS, &[Operation::Manage]),
];

/// Nobody changes the settings of one.
pub const OF_GROUPS: &[Meaning] = &[
    (READ, &[Operation::Read]),
    (DELETE, &[Operation::Manage]),
    (DESCRIBE, &[Operation::Describe]),
    (DESCRIBE_CONFIGS, &[Operation::Describe]),
];

pub const OF_TRANSACTIONAL_IDS: &[Meaning] =
    &[(WRITE, &[Operation::Publish]), (DESCRIBE, &[Operation::Describe])];

fn meanings(resource: i8) -> &'static [Meaning] {
    match resource {
        TOPIC => OF_TOPICS,
        GROUP => OF_GROUPS,
        TRANSACTIONAL_ID => OF_TRANSACTIONAL_IDS,
        _ => &[],
    }
}

/// How these operations are said.
pub fn said(resource: i8, operations: Operations) -> Vec<i8> {
    if operations == Operations::all() {
        return vec![ALL];
    }
    let is_said = |ours: &[Operation]| ours.first().is_some_and(|it| operations.has(*it));
    let said = meanings(resource).iter().filter(|(_, ours)| is_said(ours));
    said.map(|(word, _)| *word).collect()
}

/// What one of Kafka's operations means.
pub fn meant(resource: i8, word: i8) -> Result<Operations, String> {
    if word == ALL {
        return Ok(Operations::all());
    }
    let found = meanings(resource).iter().find(|(known, _)| *known == word);
    found.map(|(_, ours)| ours.iter().copied().collect()).ok_or_else(|| {
        let why = match resource {
            GROUP => "groups have the operations Read, Delete, Describe, DescribeConfigs and All",
            TRANSACTIONAL_ID => "transactional ids have the operations Write, Describe and All",
            _ => {
                "topics have the operations Read, Write, Create, Delete, Alter, Describe, \
                 DescribeConfigs, AlterConfigs and All"
            }
        };
        why.to_owned()
    })
}

/// Topics, groups and transactional ids have lists here.
pub fn check_resource(kind: i8) -> Result<(), String> {
    let why = match kind {
        TOPIC | GROUP | TRANSACTIONAL_ID => return Ok(()),
        CLUSTER => {
            "the cluster has no access list here: it is the scopes of a key that say whether it \
             administers; make a key with `admin:write`"
        }
        DELEGATION_TOKEN => "delegation tokens are their owner's alone: they have no access list",
        _ => "only topics, groups and transactional ids have access lists here",
    };
    Err(why.to_owned())
}

pub fn permission(effect: Effect) -> i8 {
    match effect {
        Effect::Allow => ALLOW,
        Effect::Deny => DENY,
    }
}

pub fn parse_permission(kind: i8) -> Result<Effect, String> {
    match kind {
        ALLOW => Ok(Effect::Allow),
        DENY => Ok(Effect::Deny),
        _ => Err("an entry allows or denies".to_owned()),
    }
}

/// `User:key_…` is a key, `User:jwt:…` the subject of tokens, `User:*` everybody, `Group:…` a group
/// of the list.
pub fn principal(ours: &str) -> String {
    if let Some(group) = ours.strip_prefix(GROUP_PREFIX) {
        return format!("{GROUP_TYPE}:{group}");
    }
    format!("{USER_TYPE}:{}", ours.strip_prefix(KEY_PREFIX).unwrap_or(ours))
}

pub fn parse_principal(text: &str) -> Result<String, String> {
    let nobody = || {
        format!(
            "`{text}` names nobody here: write `User:<key id>`, `User:jwt:<subject>`, `User:*` or \
             `Group:<group of the list>`"
        )
    };
    match text.split_once(':').ok_or_else(nobody)? {
        (USER_TYPE, EVERYBODY) => Ok(EVERYBODY.to_owned()),
        (USER_TYPE, name) => {
            if let Ok(key) = name.strip_prefix(KEY_PREFIX).unwrap_or(name).parse::<KeyId>() {
                return Ok(format!("{KEY_PREFIX}{key}"));
            }
            let is_whole = name.starts_with(TOKEN_PREFIX) || name.starts_with(USER_PREFIX);
            if is_whole { Ok(name.to_owned()) } else { Err(nobody()) }
        }
        (GROUP_TYPE, name) => Ok(format!("{GROUP_PREFIX}{name}")),
        _ => Err(nobody()),
    }
}

/// One address without its length, as Kafka has it.
pub fn host(network: &Network) -> String {
    let text = network.to_string();
    let whole = if text.contains(':') { "/128" } else { "/32" };
    text.strip_suffix(whole).unwrap_or(&text).to_owned()
}

/// `None`: everywhere. Networks are more than Kafka has.
pub fn parse_host(text: &str) -> Result<Option<Network>, String> {
    match text {
        EVERYWHERE => Ok(None),
        text => text.parse().map(Some).map_err(|why| format!("host: {why}; or `*`")),
    }
}

/// Of a group or an id.
pub fn parse_name(name: &str, pattern: i8) -> Result<NameMatch, String> {
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) || name.is_empty() {
        return Err(format!("a name has 1 to {NAME_BYTES_MAX} bytes, no control characters"));
    }
    match pattern {
        LITERAL if name == EVERYWHERE => Ok(NameMatch::Prefix(String::new())),
        LITERAL => Ok(NameMatch::Literal(name.to_owned())),
        PREFIXED => Ok(NameMatch::Prefix(name.to_owned())),
        _ => Err("an entry is about a name taken literally, or about a prefix".to_owned()),
    }
}

pub fn parse_topic(name: &str, pattern: i8) -> Result<TopicMatch, String> {
    match pattern {
        LITERAL if name == EVERYWHERE => Ok(TopicMatch::Filter("#".to_owned())),
        LITERAL => match TopicName::parse(name) {
            Ok(name) => Ok(TopicMatch::Literal(name.to_string())),
            Err(bad) => Err(bad.to_string()),
        },
        // What else is wrong with it the list says.
        PREFIXED => Ok(TopicMatch::Prefix(name.to_owned())),
        _ => Err("an entry is about a name taken literally, or about a prefix".to_owned()),
    }
}
