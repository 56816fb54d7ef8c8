//! What members of classic groups say to each other through their coordinator, which takes it for
//! bytes: which topics they read, and who is given which partitions (the embedded protocol of the
//! type `consumer`, KIP-429 and KIP-792 included).

use crate::wire::{Form, Input, Malformed, Output, Wire, message};
use bytes::{BufMut, Bytes};
use std::collections::BTreeSet;

/// What consumers' groups say that they are.
pub const PROTOCOL_TYPE: &str = "consumer";
/// The newest form that is written and read; what is newer has further fields behind it.
const VERSION_MAX: i16 = 3;

message! {
    Subscription {
        topics: Vec<String>;
        user_data: Option<Bytes>;
        owned_partitions: Vec<TopicPartitions>, [1..];
        generation_id: i32 = -1, [2..];
        rack_id: Option<String>, [3..];
    }

    Assignment {
        assigned_partitions: Vec<TopicPartitions>;
        user_data: Option<Bytes>;
    }

    TopicPartitions {
        topic: String;
        partitions: Vec<i32>;
    }
}

/// A topic and the number of a partition.
pub type Parts = BTreeSet<(String, i32)>;

/// The parts in the order of their topics.
pub fn by_topic(parts: &Parts) -> Vec<TopicPartitions> {
    let mut topics: Vec<TopicPartitions> = Vec::new();
    for (topic, partition) in parts {
        match topics.last_mut().filter(|last| last.topic == *topic) {
            Some(last) => last.partitions.push(*partition),
            None => {
                topics.push(TopicPartitions { topic: topic.clone(), partitions: vec![*partition] })
            }
        }
    }
    topics
}

pub fn parts_of(topics: &[TopicPartitions]) -> Parts {
    let parts = topics
        .iter()
        .flat_map(|it| it.partitions.iter().map(|&partition| (it.topic.clone(), partition)));
    parts.collect()
}

impl Assignment {
    pub fn of(parts: &Parts) -> Assignment {
        Assignment { assigned_partitions: by_topic(parts), user_data: None }
    }

    pub fn parts(&self) -> Parts {
        parts_of(&self.assigned_partitions)
    }
}

/// With the version before it.
pub fn write(message: &impl Wire) -> Bytes {
    let mut output = Output::default();
    output.put_i16(VERSION_MAX);
    message.write(&mut output, Form { version: VERSION_MAX, is_flexible: false });
    output.into_bytes()
}

/// # Errors
/// When it is of no version, or cut off. Nothing at all is the message without anything.
pub fn read<T: Wire + Default>(bytes: &Bytes) -> Result<T, Malformed> {
    if bytes.is_empty() {
        return Ok(T::default());
    }
    let mut input = Input::new(bytes.clone());
    let version = i16::read(&mut input, Form { version: 0, is_flexible: false })?;
    if version < 0 {
        return Err(Malformed::Short);
    }
    T::read(&mut input, Form { version: version.min(VERSION_MAX), is_flexible: false })
}
