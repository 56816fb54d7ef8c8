//! What the seam's calls take and answer.

use super::{Coded, Input, Malformed, coded_enum, coded_struct};
use port::hub::PartitionInfo;
use port::live::Quota;
use port::presence::{Entering, MemberData, PresenceAction, PresenceCounts};
use port::{
    Claims, Code, Connection, ConnectionId, Credential, Delivery, Follow, Keys, Loss, Origin, Peer,
    Placed, PresenceAnswer, PresenceCall, PresenceMember, RateState, ReadAnswer, ReadRequest,
    Refusal, RequestId, SchemaDraft, SchemaInfo, Schemas, Shaping, ShardId, TopicInfo, Usage,
};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use types::TopicId;

impl Coded for SocketAddr {
    fn put(&self, out: &mut Vec<u8>) {
        self.to_string().put(out);
    }
    fn take(input: &mut Input) -> Result<SocketAddr, Malformed> {
        String::take(input)?.parse().map_err(|_| Malformed("not an address"))
    }
}

impl Coded for IpAddr {
    fn put(&self, out: &mut Vec<u8>) {
        self.to_string().put(out);
    }
    fn take(input: &mut Input) -> Result<IpAddr, Malformed> {
        String::take(input)?.parse().map_err(|_| Malformed("not an address"))
    }
}

impl Coded for RequestId {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn take(input: &mut Input) -> Result<RequestId, Malformed> {
        Coded::take(input).map(RequestId)
    }
}

impl Coded for ShardId {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn take(input: &mut Input) -> Result<ShardId, Malformed> {
        Coded::take(input).map(ShardId)
    }
}

impl Coded for ConnectionId {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn take(input: &mut Input) -> Result<ConnectionId, Malformed> {
        Coded::take(input).map(ConnectionId)
    }
}

impl Coded for Connection {
    fn put(&self, out: &mut Vec<u8>) {
        self.protocol.to_owned().put(out);
        self.quota.put(out);
        self.address.put(out);
    }
    fn take(input: &mut Input) -> Result<Connection, Malformed> {
        let name = String::take(input)?;
        let known = input.context.protocols.iter().find(|known| **known == name);
        Ok(Connection {
            protocol: known.copied().ok_or(Malformed("no such protocol"))?,
            quota: Coded::take(input)?,
            address: Coded::take(input)?,
        })
    }
}

impl Coded for Code {
    fn put(&self, out: &mut Vec<u8>) {
        self.name().to_owned().put(out);
    }
    fn take(input: &mut Input) -> Result<Code, Malformed> {
        let name = String::take(input)?;
        let found = Code::ALL.iter().find(|code| code.name() == name);
        found.copied().ok_or(Malformed("no such code"))
    }
}

impl Coded for Refusal {
    fn put(&self, out: &mut Vec<u8>) {
        self.code().put(out);
        self.message().to_owned().put(out);
        self.field_name().map(str::to_owned).put(out);
        self.hint_text().map(str::to_owned).put(out);
        self.wait().put(out);
        self.rate_state().put(out);
    }
    fn take(input: &mut Input) -> Result<Refusal, Malformed> {
        let mut refusal = Refusal::new(Code::take(input)?, String::take(input)?);
        if let Some(field) = <Option<String> as Coded>::take(input)? {
            refusal = refusal.field(field);
        }
        if let Some(hint) = <Option<String> as Coded>::take(input)? {
            refusal = refusal.hint(hint);
        }
        if let Some(wait) = <Option<Duration> as Coded>::take(input)? {
            refusal = refusal.retry_after(wait);
        }
        if let Some(rate) = <Option<RateState> as Coded>::take(input)? {
            refusal = refusal.rate(rate);
        }
        Ok(refusal)
    }
}

/// Where it was presented and what its token says are the owner's to ask: a worker never decides.
impl Coded for Claims {
    fn put(&self, out: &mut Vec<u8>) {
        self.tenant.put(out);
        self.project.put(out);
        self.principal.put(out);
        self.scopes.put(out);
        self.grants.put(out);
        self.key.put(out);
        self.issued_at.put(out);
        self.expires_at.put(out);
        self.rate_per_second.put(out);
    }
    fn take(input: &mut Input) -> Result<Claims, Malformed> {
        Ok(Claims {
            tenant: Coded::take(input)?,
            project: Coded::take(input)?,
            principal: Coded::take(input)?,
            scopes: Coded::take(input)?,
            grants: Coded::take(input)?,
            key: Coded::take(input)?,
            issued_at: Coded::take(input)?,
            expires_at: Coded::take(input)?,
            rate_per_second: Coded::take(input)?,
            origin: None,
            marks: None,
            attributes: None,
        })
    }
}

coded_struct! {
    Peer { address, shard, is_tls, request_id }
    RateState { limit, remaining, reset }
    Placed { partition, offset, timestamp, is_duplicate }
    ReadRequest { topic, from, key, last, limit, wait }
    Keys { keys, has_more }
    Follow { tag, filter, from, latest_first, exclude_own, connection, shaping }
    TopicInfo { name, id, config, schema_version, created_at, partitions, stored_bytes }
    PartitionInfo { start, end }
    PresenceCall { action, limit }
    Entering { member, device, data, lease }
    PresenceMember { member, principal, data, entered_at, connections }
    PresenceCounts { members, connections }
    PresenceAnswer { members, next, counts, lease }
    SchemaInfo { version, kind, schema, created_at }
    SchemaDraft { kind, schema }
    Schemas { schemas, has_more }
    Usage {
        events_published, events_delivered, connection_seconds, api_requests, bytes_published,
        bytes_delivered, stored_byte_hours,
    }
}

coded_enum!(Quota { 0 => WebSocket, 1 => ServerSentEvents, 2 => Other });
coded_enum!(Credential { 0 => ApiKey(secret), 1 => Token(secret) });
coded_enum!(MemberData { 0 => Keep, 1 => Set(data) });
coded_enum!(PresenceAction {
    0 => Enter(entering),
    1 => Update(entering),
    2 => Leave { member, device },
    3 => List { after },
});

coded_enum!(Loss { 0 => Expired, 1 => HistoryLost, 2 => TopicGone });

/// What is asked for, to be judged; credits stay where they are used up.
impl Coded for Shaping {
    fn put(&self, out: &mut Vec<u8>) {
        self.condition.put(out);
        self.conflate.put(out);
        self.batch.put(out);
        self.delta.put(out);
    }
    fn take(input: &mut Input) -> Result<Shaping, Malformed> {
        Ok(Shaping {
            condition: Coded::take(input)?,
            conflate: Coded::take(input)?,
            batch: Coded::take(input)?,
            delta: Coded::take(input)?,
            credits: None,
        })
    }
}

/// Where records come from, without what makes their cursors: each process has its own.
impl Coded for Arc<Origin> {
    fn put(&self, out: &mut Vec<u8>) {
        self.project.put(out);
        self.topic.put(out);
        self.topic_id.put(out);
        self.partitions.put(out);
    }
    fn take(input: &mut Input) -> Result<Arc<Origin>, Malformed> {
        Ok(Arc::new(Origin {
            project: Coded::take(input)?,
            topic: Coded::take(input)?,
            topic_id: Coded::take(input)?,
            partitions: Coded::take(input)?,
            mint: Arc::clone(&input.context.mint),
        }))
    }
}

/// A record on its own.
impl Coded for Arc<Delivery> {
    fn put(&self, out: &mut Vec<u8>) {
        self.origin.put(out);
        put_place(self, out);
    }
    fn take(input: &mut Input) -> Result<Arc<Delivery>, Malformed> {
        let origin = Coded::take(input)?;
        take_place(input, origin)
    }
}

fn put_place(delivery: &Delivery, out: &mut Vec<u8>) {
    delivery.partition.put(out);
    delivery.offset.put(out);
    delivery.timestamp.put(out);
    delivery.record.put(out);
}

fn take_place(input: &mut Input, origin: Arc<Origin>) -> Result<Arc<Delivery>, Malformed> {
    let (partition, offset) = (Coded::take(input)?, Coded::take(input)?);
    let (timestamp, record) = (Coded::take(input)?, Coded::take(input)?);
    Ok(Arc::new(Delivery::new(origin, partition, offset, timestamp, record)))
}

/// A list of records names each origin once.
impl Coded for ReadAnswer {
    fn put(&self, out: &mut Vec<u8>) {
        let mut known: HashMap<TopicId, usize> = HashMap::new();
        self.records.len().put(out);
        for delivery in &self.records {
            let next = known.len();
            let number = *known.entry(delivery.origin.topic_id).or_insert(next);
            number.put(out);
            if number == next {
                delivery.origin.put(out);
            }
            put_place(delivery, out);
        }
        self.next_cursor.put(out);
        self.is_end.put(out);
    }
    fn take(input: &mut Input) -> Result<ReadAnswer, Malformed> {
        let count = usize::take(input)?;
        if count > input.remaining() {
            return Err(Malformed("a list longer than its bytes"));
        }
        let mut origins: Vec<Arc<Origin>> = Vec::new();
        let mut records = Vec::with_capacity(count.min(super::bounds::LIST_AHEAD_MAX));
        for _ in 0..count {
            let number = usize::take(input)?;
            if number == origins.len() {
                origins.push(Coded::take(input)?);
            }
            let origin = origins.get(number).ok_or(Malformed("no such origin"))?;
            records.push(take_place(input, Arc::clone(origin))?);
        }
        Ok(ReadAnswer { records, next_cursor: Coded::take(input)?, is_end: Coded::take(input)? })
    }
}
