//! What a client may do with a thing, told where it asks for that (KIP-430): a bit for each of
//! Kafka's operations, by its number.

use crate::access::words::{
    ALTER, CREATE, DESCRIBE, DESCRIBE_CONFIGS, IDEMPOTENT_WRITE, Meaning, OF_GROUPS, OF_TOPICS,
};
use crate::call::Call;
use crate::config::SecurityAccess;
use crate::groups;
use types::{Operation, Scope, TopicName};

/// Told where nobody asked.
pub const UNASKED: i32 = i32::MIN;

fn bits(operations: &[i8]) -> i32 {
    operations.iter().fold(0, |bits, operation| bits | 1 << operation)
}

fn told(meanings: &[Meaning], is_permitted: impl Fn(&[Operation]) -> bool) -> i32 {
    let permitted = meanings.iter().filter(|(_, meaning)| is_permitted(meaning));
    permitted.fold(0, |told, (operation, _)| told | bits(&[*operation]))
}

/// With a topic as a whole; of its keys some may be closed all the same.
pub fn on_topic(call: &Call, topic: &TopicName) -> i32 {
    let Ok(batches) = call.batches() else { return 0 };
    let is_permitted =
        |meaning: &[Operation]| meaning.iter().all(|&it| batches.may(&call.who, topic, it));
    told(OF_TOPICS, is_permitted)
}

/// With a group.
pub fn on_group(call: &Call, group: &str) -> i32 {
    let is_permitted =
        |meaning: &[Operation]| meaning.iter().all(|&it| groups::may(call, group, it));
    told(OF_GROUPS, is_permitted)
}

/// With the cluster, which is the project. Nobody is told of what no client does here: to act as a
/// broker, and to change the settings of one.
pub fn on_cluster(call: &Call) -> i32 {
    let mut told = bits(&[DESCRIBE]);
    if call.who.claims().scopes.has(Scope::EventsPublish) {
        told |= bits(&[IDEMPOTENT_WRITE]);
    }
    if call.may_administer().is_ok() {
        told |= bits(&[CREATE, DESCRIBE_CONFIGS]);
    }
    if call.security(SecurityAccess::Write).is_ok() {
        told |= bits(&[ALTER]);
    }
    told
}
