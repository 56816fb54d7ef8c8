//! The checks of keys, access lists and webhooks: what each record of a tenant says, and whether
//! anything waits for a second person.

mod checks;

use crate::Finding;
pub(crate) use checks::ALL;
use checks::*;
use rules::Place;
use types::acl::{EVERYBODY, Resource, TopicPattern};
use types::{AccessEntry, AccessList, Effect, Operations, Scopes, TimestampMs};

const DAY_MS: i64 = 24 * 3_600_000;
/// Days after which a key should have been replaced.
const KEY_DAYS_MAX: i64 = 365;

/// An API key that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub place: Place,
    pub id: String,
    pub name: String,
    pub scopes: Scopes,
    /// Grants bound it to some topics.
    pub has_grants: bool,
    pub created_at: TimestampMs,
    pub expires_at: Option<TimestampMs>,
}

/// A key that checks tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    pub place: Place,
    pub id: String,
    /// As tokens name it.
    pub kid: String,
    pub created_at: TimestampMs,
}

/// Where records are delivered to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub place: Place,
    pub id: String,
    pub url: String,
    pub is_enabled: bool,
}

/// An access list as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    pub place: Place,
    pub list: AccessList,
}

/// What the control plane keeps of one or more places.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Records {
    pub now: TimestampMs,
    pub keys: Vec<Key>,
    pub signing_keys: Vec<SigningKey>,
    pub webhooks: Vec<Webhook>,
    pub lists: Vec<List>,
    /// Places that were looked at where no act waits for a second person.
    pub without_approvals: Vec<Place>,
}

/// What is not as it should be.
pub fn findings(records: &Records) -> Vec<Finding> {
    let mut found = Vec::new();
    for key in &records.keys {
        of_key(key, records.now, &mut found);
    }
    for key in &records.signing_keys {
        let days = (records.now - key.created_at) / DAY_MS;
        if days > KEY_DAYS_MAX {
            let text = format!("`{}` is {days} days old", key.kid);
            found.push(SIGNING_KEY_OLD.found_at(key.place, &key.id, text));
        }
    }
    for webhook in records.webhooks.iter().filter(|webhook| webhook.is_enabled) {
        if webhook.url.starts_with("http://") {
            let text = format!("records go to {}", without_query(&webhook.url));
            found.push(WEBHOOK_PLAIN.found_at(webhook.place, &webhook.id, text));
        }
    }
    for list in &records.lists {
        of_list(list, &mut found);
    }
    for place in &records.without_approvals {
        let text = "no act is marked as critical here";
        found.push(APPROVALS_NONE.found_at(*place, "approvals", text));
    }
    found
}

/// Secrets often stand there.
fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(before, _)| before)
}

fn of_key(key: &Key, now: TimestampMs, found: &mut Vec<Finding>) {
    let Key { place, id, name, .. } = key;
    if key.scopes == Scopes::all() && !key.has_grants {
        let text = format!("`{name}` has every scope and no grants");
        found.push(KEY_EVERYTHING.found_at(*place, id, text));
    }
    let days = (now - key.created_at) / DAY_MS;
    if days > KEY_DAYS_MAX {
        let text = format!("`{name}` is {days} days old");
        found.push(KEY_OLD.found_at(*place, id, text));
    } else if key.expires_at.is_none() {
        let text = format!("`{name}` has no expiry");
        found.push(KEY_ENDLESS.found_at(*place, id, text));
    }
}

/// Speaks of everybody, everything that may be done and every topic, under no condition.
fn is_open(entry: &AccessEntry) -> bool {
    let resource = entry.resource();
    let is_every_topic = resource
        .as_ref()
        .and_then(Resource::addresses)
        .is_some_and(|at| matches!(at.topic, TopicPattern::Any) && at.key.is_all());
    entry.effect == Effect::Allow
        && entry.operations == Operations::all()
        && entry.principals.iter().any(|principal| principal == EVERYBODY)
        && is_every_topic
        && entry.when.is_always()
}

fn of_list(list: &List, found: &mut Vec<Finding>) {
    let List { place, list } = list;
    for entry in list.entries.iter().filter(|entry| is_open(entry)) {
        let text = format!("entry `{}` allows everybody everything", entry.id);
        found.push(LIST_OPEN.found_at(*place, &entry.id, text));
    }
    if list.default == Some(Effect::Allow) {
        let text = "its default is `allow`";
        found.push(LIST_DEFAULT_ALLOW.found_at(*place, "default", text));
    }
}
