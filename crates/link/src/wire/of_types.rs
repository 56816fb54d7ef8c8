//! The platform's plain data: names, records, filters, cursors, configurations.

use super::{Coded, Input, Malformed, coded_enum, coded_struct};
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
use types::batch::Batch;
use types::filter::{KeyPart, Level, TopicPart};
use types::record::Headers;
use types::scope::Effect;
use types::{
    Access, ConsumerConfig, ConsumerName, Filter, From as Start, Grant, Header, Key, KeyId,
    Position, Positions, PrincipalId, ProjectId, Record, SchemaKind, Scope, Scopes,
    SubscriptionTag, TenantId, TopicConfig, TopicId, TopicName,
};
use uuid::Uuid;

macro_rules! uuid_id {
    ($($kind:ident),*) => { $(
        impl Coded for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.0.as_bytes());
            }
            fn take(input: &mut Input) -> Result<Self, Malformed> {
                let bytes = input.bytes(16)?;
                Uuid::from_slice(&bytes).map($kind).map_err(|_| Malformed("not an identifier"))
            }
        }
    )* };
}

uuid_id!(TenantId, ProjectId, KeyId);

macro_rules! wrapped {
    ($($kind:ident),*) => { $(
        impl Coded for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn take(input: &mut Input) -> Result<Self, Malformed> {
                Coded::take(input).map($kind)
            }
        }
    )* };
}

wrapped!(PrincipalId, TopicId, SubscriptionTag);

/// Settings and values that are JSON for everybody else are JSON here too.
macro_rules! json {
    ($($kind:ty),*) => { $(
        impl Coded for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                // Plain data with text for keys: writing it to memory cannot fail.
                Bytes::from(serde_json::to_vec(self).unwrap_or_default()).put(out);
            }
            fn take(input: &mut Input) -> Result<Self, Malformed> {
                let bytes = Bytes::take(input)?;
                serde_json::from_slice(&bytes).map_err(|_| Malformed("not the JSON expected"))
            }
        }
    )* };
}

json!(Value, TopicConfig, ConsumerConfig);

impl Coded for TopicName {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_str().to_owned().put(out);
    }
    fn take(input: &mut Input) -> Result<TopicName, Malformed> {
        let text = String::take(input)?;
        TopicName::written(&text).map_err(|_| Malformed("not a topic's name"))
    }
}

impl Coded for ConsumerName {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_str().to_owned().put(out);
    }
    fn take(input: &mut Input) -> Result<ConsumerName, Malformed> {
        let text = String::take(input)?;
        ConsumerName::parse(&text).map_err(|_| Malformed("not a consumer's name"))
    }
}

impl Coded for Key {
    fn put(&self, out: &mut Vec<u8>) {
        self.bytes().put(out);
    }
    fn take(input: &mut Input) -> Result<Key, Malformed> {
        Key::new(Bytes::take(input)?).map_err(|_| Malformed("too long a key"))
    }
}

impl Coded for Headers {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        self.iter().for_each(|header| header.put(out));
    }
    fn take(input: &mut Input) -> Result<Headers, Malformed> {
        Vec::take(input).map(Headers::from_vec)
    }
}

coded_struct! {
    Header { name, value }
    Record { key, value, headers, timestamp }
    Position { topic, partition, next }
    Filter { topic, key }
    Grant { effect, access, filter }
}

coded_enum!(TopicPart { 0 => Exact(name), 1 => Any });
coded_enum!(Level { 0 => Exact(text), 1 => One });
coded_enum!(KeyPart { 0 => All, 1 => Exact(text), 2 => Levels { levels, rest } });
coded_enum!(Effect { 0 => Allow, 1 => Deny });
coded_enum!(Access { 0 => Publish, 1 => Subscribe });
coded_enum!(SchemaKind { 0 => JsonSchema, 1 => Avro });
coded_enum!(Start {
    0 => Earliest,
    1 => Latest,
    2 => Offset(offset),
    3 => Time(time),
    4 => Cursors(cursors),
    5 => Consumer(name),
});
coded_enum!(Scope {
    0 => EventsPublish,
    1 => EventsSubscribe,
    2 => AdminRead,
    3 => AdminWrite,
    4 => BillingRead,
});

impl Coded for Scopes {
    fn put(&self, out: &mut Vec<u8>) {
        self.iter().collect::<Vec<Scope>>().put(out);
    }
    fn take(input: &mut Input) -> Result<Scopes, Malformed> {
        Ok(Vec::<Scope>::take(input)?.into_iter().collect())
    }
}

impl Coded for Positions {
    fn put(&self, out: &mut Vec<u8>) {
        self.iter().collect::<Vec<Position>>().put(out);
    }
    fn take(input: &mut Input) -> Result<Positions, Malformed> {
        Ok(Vec::<Position>::take(input)?.into_iter().collect())
    }
}

impl Coded for Arc<Batch> {
    fn put(&self, out: &mut Vec<u8>) {
        self.bytes().put(out);
    }
    fn take(input: &mut Input) -> Result<Arc<Batch>, Malformed> {
        let batch = Batch::parse(Bytes::take(input)?);
        batch.map(Arc::new).map_err(|_| Malformed("not a batch"))
    }
}
