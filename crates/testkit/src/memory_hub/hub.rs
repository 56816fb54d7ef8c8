//! The seam over the memory hub's state. Every answer is ready at once, except reads that wait.

use super::access::{check_address, check_filter, check_record, check_scope};
use super::follow::{FollowGuard, Follower, ends};
use super::state::{OpenConnection, Project, State, rate_state, topic_not_found};
use super::topics::Topic;
use super::{Call, MemoryHub, Storage};
use port::hub::PresenceMember;
use port::live::{Connection, Quota};
use port::{
    Answer, Closer, Code, ConnectionId, ConnectionState, Credential, CursorMint, Delivery, Follow,
    Hub, Identity, Keys, Lease, Peer, Placed, PresenceCall, RateState, ReadAnswer, ReadRequest,
    Refusal, Shard, ShardId, Sink, Subscription, TopicInfo,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use types::filter::{KeyPart, TopicPart};
use types::limits::{PARTITIONS_MAX, READ_RECORDS_MAX, RECORDS_PER_APPEND_MAX};
use types::record::header;
use types::{
    Access, Durability, From, Header, Key, Positions, Record, Scope, TopicConfig, TopicId,
    TopicName,
};

fn ready<'a, T: Send + 'a>(answer: Result<T, Refusal>) -> Answer<'a, T> {
    Box::pin(std::future::ready(answer))
}

impl Hub for MemoryHub {
    fn authenticate<'a>(
        &'a self,
        _peer: &'a Peer,
        credential: &'a Credential,
    ) -> Answer<'a, Identity> {
        ready(self.authenticate_now(credential))
    }

    fn rate(&self, who: &Identity) -> Option<RateState> {
        let now_ms = self.now_ms();
        let mut state = self.state();
        let project = state.project(who.project()).ok()?;
        let of_project = project.limits.request_per_second_max.map(|limit| {
            let left = project.requests.left(now_ms, limit);
            rate_state(now_ms, limit, left)
        });
        let of_key = who.claims().rate_per_second.and_then(|limit| {
            let mut secrets = state.keys.values_mut();
            let secret = secrets.find(|secret| secret.identity.principal() == who.principal())?;
            Some(rate_state(now_ms, limit, secret.requests.left(now_ms, limit)))
        });
        of_project.into_iter().chain(of_key).min_by_key(|rate| rate.remaining)
    }

    fn open(
        &self,
        who: &Identity,
        connection: Connection,
        closer: Arc<dyn Closer>,
    ) -> Result<Lease, Refusal> {
        let mut state = self.state();
        self.admit(&mut state, who, Call::Open)?;
        if state.is_draining {
            return Err(Refusal::new(Code::Draining, "the server is going down"));
        }
        check_connection_quota(&mut state, who, &connection)?;
        state.connections_opened += 1;
        let id = ConnectionId(state.connections_opened);
        let opened = OpenConnection {
            state: ConnectionState {
                id,
                tenant: who.tenant(),
                project: who.project(),
                principal: who.principal().clone(),
                protocol: connection.protocol,
                address: connection.address,
                opened_at: self.now_ms(),
                subscriptions: 0,
            },
            quota: connection.quota,
            who: who.clone(),
            closer,
            counted_until: self.0.clock.monotonic(),
        };
        state.connections.insert(id, opened);
        Ok(Lease { id, guard: Box::new(LeaseGuard { hub: self.clone(), id }) })
    }

    fn renew(&self, who: &Identity, lease: &Lease) -> Result<(), Refusal> {
        let mut state = self.state();
        self.admit(&mut state, who, Call::Open)?;
        match state.connections.get_mut(&lease.id) {
            Some(connection) => {
                connection.who = who.clone();
                connection.state.principal = who.principal().clone();
                Ok(())
            }
            None => Err(Refusal::new(Code::NotFound, "the connection is over")),
        }
    }

    fn append<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        records: Vec<Record>,
    ) -> Answer<'a, Vec<Placed>> {
        // Lazily, because work enters the log when the future is first polled.
        Box::pin(async move { self.append_now(who, topic, records) })
    }

    fn read<'a>(&'a self, who: &'a Identity, request: ReadRequest) -> Answer<'a, ReadAnswer> {
        Box::pin(self.read_waiting(who, request))
    }

    fn latest<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        key: &'a Key,
    ) -> Answer<'a, Option<Arc<Delivery>>> {
        ready(self.latest_now(who, topic, key))
    }

    fn keys<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        after: Option<Key>,
        limit: usize,
    ) -> Answer<'a, Keys> {
        ready(self.keys_now(who, topic, after, limit))
    }

    fn follow<'a>(
        &'a self,
        who: &'a Identity,
        follow: Follow,
        shard: ShardId,
        sink: Arc<dyn Sink>,
    ) -> Answer<'a, Subscription> {
        Box::pin(async move { self.follow_now(who, follow, shard, sink) })
    }

    fn topics<'a>(
        &'a self,
        who: &'a Identity,
        after: Option<TopicName>,
        limit: usize,
    ) -> Answer<'a, Vec<TopicInfo>> {
        ready(self.topics_now(who, after, limit))
    }

    fn topic<'a>(&'a self, who: &'a Identity, name: &'a TopicName) -> Answer<'a, TopicInfo> {
        ready(self.with_topic(who, Call::Topics, name, |topic| topic.info()))
    }

    fn put_topic<'a>(
        &'a self,
        who: &'a Identity,
        name: &'a TopicName,
        config: TopicConfig,
    ) -> Answer<'a, (TopicInfo, bool)> {
        ready(self.put_topic_now(who, name, config))
    }

    fn delete_topic<'a>(&'a self, who: &'a Identity, name: &'a TopicName) -> Answer<'a, ()> {
        ready(self.delete_topic_now(who, name))
    }

    fn presence<'a>(
        &'a self,
        who: &'a Identity,
        lease: &'a Lease,
        topic: &'a TopicName,
        key: Option<&'a Key>,
        call: PresenceCall,
    ) -> Answer<'a, Vec<PresenceMember>> {
        ready(self.presence_now(who, lease.id, topic, key, call))
    }

    fn shard(&self, id: ShardId) -> Box<dyn Shard> {
        Box::new(self.memory_shard(id))
    }
}

fn check_connection_quota(
    state: &mut State,
    who: &Identity,
    connection: &Connection,
) -> Result<(), Refusal> {
    let limits = state.project(who.project())?.limits.clone();
    let mine = || state.connections.values().filter(|open| open.who.project() == who.project());
    let of_kind = match connection.quota {
        Quota::WebSocket => limits.websocket_connections_max,
        Quota::ServerSentEvents => limits.sse_connections_max,
        Quota::Other => None,
    };
    let used_of_kind = mine().filter(|open| open.quota == connection.quota).count();
    for (limit, used) in [(limits.connections_max, mine().count()), (of_kind, used_of_kind)] {
        if let Some(limit) = limit
            && used >= limit as usize
        {
            let message = format!("the project has all of its {limit} connections open");
            return Err(Refusal::new(Code::ProjectLimitExceeded, message)
                .hint("close one or raise the limit"));
        }
    }
    Ok(())
}

struct LeaseGuard {
    hub: MemoryHub,
    id: ConnectionId,
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        self.hub.give_up(self.id);
    }
}

impl MemoryHub {
    fn authenticate_now(&self, credential: &Credential) -> Result<Identity, Refusal> {
        let (text, unknown) = match credential {
            Credential::ApiKey(text) => (text, Code::InvalidApiKey),
            Credential::Token(text) => (text, Code::InvalidToken),
        };
        let now_ms = self.now_ms();
        let mut state = self.state();
        let Some(secret) = state.keys.get(text.as_str()) else {
            return Err(Refusal::new(unknown, "the credential is not known"));
        };
        let who = secret.identity.clone();
        self.admit(&mut state, &who, Call::Authenticate)?;
        let project = state.project(who.project())?;
        if let Some(limit) = project.limits.request_per_second_max {
            project.requests.take(now_ms, limit, 1)?;
        }
        project.usage.api_requests += 1;
        if let (Some(limit), Some(secret)) =
            (who.claims().rate_per_second, state.keys.get_mut(text.as_str()))
        {
            secret.requests.take(now_ms, limit, 1)?;
        }
        Ok(who)
    }

    fn append_now(
        &self,
        who: &Identity,
        topic: &TopicName,
        records: Vec<Record>,
    ) -> Result<Vec<Placed>, Refusal> {
        let (placed, shards) = {
            let mut state = self.state();
            self.admit(&mut state, who, Call::Append)?;
            check_scope(who, Scope::EventsPublish)?;
            let placed = self.append_locked(&mut state, who, topic, records)?;
            (placed, state.touch(who.project()))
        };
        self.0.appended.notify_waiters();
        self.wake(&shards);
        Ok(placed)
    }

    fn append_locked(
        &self,
        state: &mut State,
        who: &Identity,
        name: &TopicName,
        records: Vec<Record>,
    ) -> Result<Vec<Placed>, Refusal> {
        if records.len() > RECORDS_PER_APPEND_MAX {
            let message = format!("at most {RECORDS_PER_APPEND_MAX} records at once");
            return Err(Refusal::new(Code::PayloadTooLarge, message).field("records"));
        }
        match state.storage {
            Storage::Free => {}
            Storage::Full => return Err(Refusal::new(Code::StorageFull, "the disk is full")),
            Storage::Failed => return Err(Refusal::new(Code::StorageFailed, "the disk failed")),
        }
        let project = state.project(who.project())?;
        for (index, record) in records.iter().enumerate() {
            let key = record.key.as_ref().map(|key| key.bytes().as_ref());
            check_address(who, Access::Publish, name, key)?;
            check_record(&project.limits, index, record)?;
        }
        let now_ms = self.now_ms();
        take_publishes(project, now_ms, records.len())?;
        state.appends += 1;
        let topic = self.topic_or_new(state, who, name)?;
        let publisher = publisher_header(who);
        let placed: Vec<Placed> = records
            .into_iter()
            .map(|mut record| {
                record.headers.push(publisher.clone());
                topic.append(now_ms, record)
            })
            .collect();
        let fresh = placed.iter().filter(|placed| !placed.is_duplicate).count() as u64;
        let project = state.project(who.project())?;
        project.usage.events_published += fresh;
        project.published += fresh;
        Ok(placed)
    }

    /// A first publish creates its topic, as the project's limits allow.
    fn topic_or_new<'s>(
        &self,
        state: &'s mut State,
        who: &Identity,
        name: &TopicName,
    ) -> Result<&'s mut Topic, Refusal> {
        let is_new = !state.project(who.project())?.topics.contains_key(name);
        if is_new {
            let config = match name.as_str() {
                types::address::PRESENCE_TOPIC => {
                    TopicConfig { durability: Durability::Ephemeral, ..TopicConfig::default() }
                }
                _ => TopicConfig::default(),
            };
            self.create(state, who, name, config)?;
        }
        let project = state.project(who.project())?;
        project.topics.get_mut(name).ok_or_else(|| topic_not_found(name))
    }

    fn create(
        &self,
        state: &mut State,
        who: &Identity,
        name: &TopicName,
        config: TopicConfig,
    ) -> Result<(), Refusal> {
        state.topics_made += 1;
        let id = TopicId(state.topics_made);
        let project = state.project(who.project())?;
        if project.limits.topics_max.is_some_and(|max| project.topics.len() >= max as usize) {
            let message = "the project has all the topics it may have";
            return Err(Refusal::new(Code::ProjectLimitExceeded, message).field("topic"));
        }
        let mint = Arc::clone(&self.0.mint);
        let topic = Topic::new(who.project(), name, id, config, self.now_ms(), mint);
        project.topics.insert(name.clone(), topic);
        Ok(())
    }

    async fn read_waiting(
        &self,
        who: &Identity,
        request: ReadRequest,
    ) -> Result<ReadAnswer, Refusal> {
        let deadline = tokio::time::Instant::now() + request.wait;
        let mut start = None;
        loop {
            let appended = self.0.appended.notified();
            tokio::pin!(appended);
            appended.as_mut().enable();
            let (answer, began) = self.read_now(who, &request, start.take())?;
            if !answer.records.is_empty() || request.wait.is_zero() {
                return Ok(answer);
            }
            start = Some(began);
            if tokio::time::timeout_at(deadline, appended).await.is_err() {
                return Ok(answer);
            }
        }
    }

    /// One look; also answers where it began, so that a second look begins there too.
    fn read_now(
        &self,
        who: &Identity,
        request: &ReadRequest,
        start: Option<Positions>,
    ) -> Result<(ReadAnswer, Positions), Refusal> {
        let mut state = self.state();
        self.admit(&mut state, who, Call::Read)?;
        check_scope(who, Scope::EventsSubscribe)?;
        let key = request.key.as_ref().map(|key| key.bytes().as_ref());
        check_address(who, Access::Subscribe, &request.topic, key)?;
        let named = self.named(who, &request.from)?;
        let project = state.project(who.project())?;
        let topic = project.topic(&request.topic)?;
        let start = start.unwrap_or_else(|| topic.resolve(&request.from, &named));
        let limit = request.limit.min(READ_RECORDS_MAX);
        let (records, next) = match (&request.key, request.last) {
            (Some(key), Some(last)) => {
                let mut newest: Vec<_> =
                    topic.of_key(key).rev().take(last.min(limit)).cloned().collect();
                newest.reverse();
                (newest, topic.resolve(&From::Latest, &named))
            }
            _ => scan(topic, &start, request.key.as_ref(), limit),
        };
        let is_end = topic
            .partition_numbers()
            .all(|partition| next.get(topic.id(), partition) >= Some(topic.end(partition)));
        let next_cursor = self.0.mint.mint(who.project(), &next);
        project.usage.events_delivered += records.len() as u64;
        Ok((ReadAnswer { records, next_cursor, is_end }, start))
    }

    fn named(&self, who: &Identity, from: &From) -> Result<Positions, Refusal> {
        match from {
            From::Cursors(cursors) => self.0.mint.read_all(who.project(), cursors),
            From::Earliest | From::Latest | From::Offset(_) | From::Time(_) => {
                Ok(Positions::default())
            }
        }
    }

    fn with_topic<T>(
        &self,
        who: &Identity,
        call: Call,
        name: &TopicName,
        look: impl FnOnce(&Topic) -> T,
    ) -> Result<T, Refusal> {
        let mut state = self.state();
        self.admit(&mut state, who, call)?;
        check_scope(who, Scope::EventsSubscribe)?;
        Ok(look(state.project(who.project())?.topic(name)?))
    }

    fn latest_now(
        &self,
        who: &Identity,
        topic: &TopicName,
        key: &Key,
    ) -> Result<Option<Arc<Delivery>>, Refusal> {
        check_address(who, Access::Subscribe, topic, Some(key.bytes()))?;
        let newest = self
            .with_topic(who, Call::Read, topic, |topic| topic.of_key(key).next_back().cloned())?;
        Ok(newest.filter(|found| found.record.value.is_some()))
    }

    fn keys_now(
        &self,
        who: &Identity,
        topic: &TopicName,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Keys, Refusal> {
        check_address(who, Access::Subscribe, topic, None)?;
        self.with_topic(who, Call::Read, topic, |topic| {
            let mut keys = topic.keys().into_keys();
            let mut keys: Vec<Key> = match &after {
                Some(after) => keys.by_ref().filter(|key| key > after).take(limit + 1).collect(),
                None => keys.by_ref().take(limit + 1).collect(),
            };
            let has_more = keys.len() > limit;
            keys.truncate(limit);
            Keys { keys, has_more }
        })
    }

    fn follow_now(
        &self,
        who: &Identity,
        follow: Follow,
        shard: ShardId,
        sink: Arc<dyn Sink>,
    ) -> Result<Subscription, Refusal> {
        let (subscription, shards) = {
            let mut state = self.state();
            self.admit(&mut state, who, Call::Follow)?;
            check_scope(who, Scope::EventsSubscribe)?;
            check_filter(who, &follow.filter)?;
            let named = self.named(who, &follow.from)?;
            let target = ends(&state, who, &follow.filter);
            let project = state.project(who.project())?;
            let start = starts(project, &follow, &named);
            let first = newest_of_key(project, &follow);
            state.followers_opened += 1;
            let id = state.followers_opened;
            let is_alive = Arc::new(AtomicBool::new(true));
            let follower = Follower {
                shard: shard.0,
                tag: follow.tag,
                sink,
                who: who.clone(),
                filter: follow.filter,
                excludes_own: follow.exclude_own,
                first,
                next: start.iter().map(|p| ((p.topic, p.partition), p.next)).collect(),
                target: Some(target),
                ended: None,
                is_dirty: true,
                is_paused: false,
                is_alive: Arc::clone(&is_alive),
            };
            state.followers.insert(id, follower);
            let guard = Box::new(FollowGuard { hub: self.clone(), id, is_alive });
            let cursor = self.0.mint.mint(who.project(), &start);
            let subscription = Subscription { tag: follow.tag, start, cursor, guard };
            (subscription, BTreeSet::from([shard.0]))
        };
        self.wake(&shards);
        Ok(subscription)
    }

    fn topics_now(
        &self,
        who: &Identity,
        after: Option<TopicName>,
        limit: usize,
    ) -> Result<Vec<TopicInfo>, Refusal> {
        let mut state = self.state();
        self.admit(&mut state, who, Call::Topics)?;
        check_scope(who, Scope::EventsSubscribe)?;
        let topics = state.project(who.project())?.topics.iter();
        Ok(topics
            .filter(|(name, _)| name.as_str() != types::address::PRESENCE_TOPIC)
            .filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after))
            .take(limit)
            .map(|(_, topic)| topic.info())
            .collect())
    }

    fn put_topic_now(
        &self,
        who: &Identity,
        name: &TopicName,
        config: TopicConfig,
    ) -> Result<(TopicInfo, bool), Refusal> {
        let mut state = self.state();
        self.admit(&mut state, who, Call::Topics)?;
        check_scope(who, Scope::AdminWrite)?;
        if config.partitions == 0 || config.partitions > PARTITIONS_MAX {
            let message = format!("a topic has 1 to {PARTITIONS_MAX} partitions");
            return Err(Refusal::new(Code::InvalidRequest, message).field("partitions"));
        }
        let is_new = !state.project(who.project())?.topics.contains_key(name);
        if is_new {
            self.create(&mut state, who, name, config.clone())?;
        }
        let project = state.project(who.project())?;
        let topic = project.topics.get_mut(name).ok_or_else(|| topic_not_found(name))?;
        if topic.config.partitions != config.partitions {
            return Err(Refusal::new(Code::Conflict, "the number of partitions cannot change")
                .field("partitions"));
        }
        if !is_new && topic.config.schema != config.schema {
            topic.schema_version += 1;
        }
        topic.config = config;
        Ok((topic.info(), is_new))
    }

    fn delete_topic_now(&self, who: &Identity, name: &TopicName) -> Result<(), Refusal> {
        let shards = {
            let mut state = self.state();
            self.admit(&mut state, who, Call::Topics)?;
            check_scope(who, Scope::AdminWrite)?;
            let project = state.project(who.project())?;
            project.topics.remove(name).ok_or_else(|| topic_not_found(name))?;
            for follower in state.followers.values_mut() {
                let is_exact = follower.filter.topic == TopicPart::Exact(name.clone());
                if is_exact && follower.who.project() == who.project() {
                    follower.ended = Some(topic_not_found(name));
                }
            }
            state.touch(who.project())
        };
        self.wake(&shards);
        Ok(())
    }

    fn presence_now(
        &self,
        who: &Identity,
        connection: ConnectionId,
        topic: &TopicName,
        key: Option<&Key>,
        call: PresenceCall,
    ) -> Result<Vec<PresenceMember>, Refusal> {
        let address = presence_address(topic, key);
        let (members, shards) = {
            let mut state = self.state();
            self.admit(&mut state, who, Call::Presence)?;
            check_scope(who, Scope::EventsSubscribe)?;
            check_address(who, Access::Subscribe, topic, key.map(|key| key.bytes().as_ref()))?;
            let entered_at = self.now_ms();
            let project = state.project(who.project())?;
            let members = project.presence.entry(address.clone()).or_default();
            let change = match call {
                PresenceCall::Enter { member, data } => {
                    let principal = who.principal().clone();
                    let entered = PresenceMember { member, principal, data, entered_at };
                    members.insert(entered.member.clone(), (connection, entered.clone()));
                    Some(("enter", entered))
                }
                PresenceCall::Leave { member } => {
                    members.remove(&member).map(|(_, gone)| ("leave", gone))
                }
                PresenceCall::List => None,
            };
            let listed = members.values().map(|(_, member)| member.clone()).collect();
            if let Some((action, member)) = change {
                self.tell_presence(&mut state, who, &address, action, &member);
            }
            (listed, state.touch(who.project()))
        };
        self.wake(&shards);
        Ok(members)
    }

    /// Appends a change to the presence topic of the project.
    fn tell_presence(
        &self,
        state: &mut State,
        who: &Identity,
        address: &[u8],
        action: &str,
        member: &PresenceMember,
    ) {
        let value = serde_json::json!({
            "action": action,
            "member": member.member,
            "principal": member.principal,
            "data": member.data,
            "entered_at": member.entered_at,
        });
        let record = Record {
            key: Key::new(address.to_vec()).ok(),
            value: Some(value.to_string().into()),
            headers: [publisher_header(who)].into_iter().collect(),
            timestamp: None,
        };
        let now_ms = self.now_ms();
        if let Ok(topic) = self.topic_or_new(state, who, &TopicName::presence()) {
            topic.append(now_ms, record);
        }
    }

    /// A connection is over: its seconds are counted and its members leave.
    fn give_up(&self, id: ConnectionId) {
        let now = self.0.clock.monotonic();
        let (shards, _closed) = {
            let mut state = self.state();
            let Some(closed) = state.connections.remove(&id) else { return };
            let who = closed.who.clone();
            let mut gone = Vec::new();
            if let Ok(project) = state.project(who.project()) {
                let open = now.saturating_sub(closed.counted_until);
                project.usage.connection_seconds += open.as_secs();
                for (address, members) in &mut project.presence {
                    let mine: BTreeMap<_, _> =
                        members.extract_if(.., |_, (owner, _)| *owner == id).collect();
                    gone.extend(mine.into_values().map(|(_, m)| (address.clone(), m)));
                }
            }
            for (address, member) in gone {
                self.tell_presence(&mut state, &who, &address, "leave", &member);
            }
            (state.touch(who.project()), closed)
        };
        self.wake(&shards);
    }
}

fn publisher_header(who: &Identity) -> Header {
    Header {
        name: bytes::Bytes::from_static(header::PUBLISHER.as_bytes()),
        value: bytes::Bytes::copy_from_slice(who.principal().0.as_bytes()),
    }
}

fn presence_address(topic: &TopicName, key: Option<&Key>) -> Vec<u8> {
    let mut address = topic.as_str().as_bytes().to_vec();
    if let Some(key) = key {
        address.push(b'/');
        address.extend_from_slice(key.bytes());
    }
    address
}

fn take_publishes(project: &mut Project, now_ms: i64, count: usize) -> Result<(), Refusal> {
    let limits = &project.limits;
    let wanted = count as u64;
    if limits.publish_per_month_max.is_some_and(|max| project.published + wanted > max) {
        let message = "the project has used up its records of this month";
        return Err(Refusal::new(Code::ProjectLimitExceeded, message));
    }
    if let Some(limit) = limits.publish_per_second_max {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        project.publishes.take(now_ms, limit, count)?;
    }
    Ok(())
}

fn scan(
    topic: &Topic,
    start: &Positions,
    key: Option<&Key>,
    limit: usize,
) -> (Vec<Arc<Delivery>>, Positions) {
    let mut records = Vec::new();
    let mut next = start.clone();
    for partition in topic.partition_numbers() {
        let from = start.get(topic.id(), partition).unwrap_or(0).max(topic.start(partition));
        for found in topic.records(partition, from).filter(|found| found.offset >= from) {
            if records.len() >= limit {
                return (records, next);
            }
            next.advance(found.position());
            if key.is_none_or(|key| found.record.key.as_ref() == Some(key)) {
                records.push(Arc::clone(found));
            }
        }
    }
    (records, next)
}

/// Where a subscription begins in each partition there is now.
fn starts(project: &Project, follow: &Follow, named: &Positions) -> Positions {
    let takes = |name: &TopicName| match &follow.filter.topic {
        TopicPart::Exact(exact) => exact == name,
        TopicPart::Any => name.as_str() != types::address::PRESENCE_TOPIC,
    };
    let mut start = Positions::default();
    for (_, topic) in project.topics.iter().filter(|(name, _)| takes(name)) {
        start.merge(&topic.resolve(&follow.from, named));
    }
    start
}

fn newest_of_key(project: &Project, follow: &Follow) -> Option<Arc<Delivery>> {
    let (TopicPart::Exact(name), KeyPart::Exact(key)) = (&follow.filter.topic, &follow.filter.key)
    else {
        return None;
    };
    if !follow.latest_first || follow.from != From::Latest {
        return None;
    }
    let key = Key::new(key.as_bytes().to_vec()).ok()?;
    let newest = project.topics.get(name)?.of_key(&key).next_back().cloned();
    newest.filter(|found| found.record.value.is_some())
}
