//! The seam over the memory hub's state. Every answer is ready at once, except reads that wait.

use super::state::{OpenConnection, State, rate_state};
use super::{Call, MemoryHub};
use port::live::{Connection, Quota};
use port::{
    Answer, Closer, Code, ConnectionId, ConnectionState, Credential, Delivery, Follow, Hub,
    Identity, Keys, Lease, Peer, Placed, PresenceAnswer, PresenceCall, RateState, ReadAnswer,
    ReadRequest, Refusal, Shard, ShardId, Sink, Subscription, TopicInfo,
};
use std::sync::Arc;
use types::{Key, Record, TopicConfig, TopicName};

fn ready<'a, T: Send + 'a>(answer: Result<T, Refusal>) -> Answer<'a, T> {
    Box::pin(std::future::ready(answer))
}

impl MemoryHub {
    fn open_now(
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

    fn renew_now(&self, who: &Identity, lease: &Lease) -> Result<(), Refusal> {
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

    fn open<'a>(
        &'a self,
        who: &'a Identity,
        connection: Connection,
        closer: Arc<dyn Closer>,
    ) -> Answer<'a, Lease> {
        Box::pin(async move { self.open_now(who, connection, closer) })
    }

    fn renew<'a>(&'a self, who: &'a Identity, lease: &'a Lease) -> Answer<'a, ()> {
        Box::pin(async move { self.renew_now(who, lease) })
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

    fn transact<'a>(
        &'a self,
        who: &'a Identity,
        parts: Vec<(TopicName, Vec<Record>)>,
    ) -> Answer<'a, Vec<Vec<Placed>>> {
        Box::pin(async move { self.transact_now(who, parts) })
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
        connection: Option<&'a Lease>,
        topic: &'a TopicName,
        key: Option<&'a Key>,
        call: PresenceCall,
    ) -> Answer<'a, PresenceAnswer> {
        ready(self.presence_now(who, connection.map(|lease| lease.id), topic, key, call))
    }

    fn batches(&self) -> Option<&dyn port::Batches> {
        Some(self)
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
}
