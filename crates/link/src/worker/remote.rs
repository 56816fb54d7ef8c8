//! `port::Hub` in a worker: each call is the owner's to answer, but for what lives here: the
//! subscriptions, once the owner has admitted them.

use super::addresses::RemoteAddresses;
use super::closers::Closers;
use super::identities::Identities;
use super::line::{Line, gone};
use crate::call::{Asker, Call, CallNumber, HttpAnswer, HttpAsk, Notice, Proven, Who};
use hub::branch::{Attaching, Branch, Prepared, Request};
use parking_lot::Mutex;
use port::{
    Addresses, Answer, Closer, Connection, Consumers, Credential, Delivery, Follow, Hub, Identity,
    Keys, Lease, Peer, Placed, PresenceAnswer, PresenceCall, RateState, ReadAnswer, ReadRequest,
    Refusal, SchemaDraft, SchemaInfo, Schemas, ShardId, Sink, Subscription, TopicInfo,
};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};
use types::{Key, Record, TopicConfig, TopicName};

pub struct RemoteHub {
    line: Arc<Line>,
    branch: Branch,
    addresses: Arc<RemoteAddresses>,
    identities: Mutex<Identities>,
    requested: Notify,
    closers: Arc<Closers>,
    follows: Mutex<HashMap<CallNumber, Following>>,
}

/// A subscription the owner is asked for.
struct Following {
    request: Request,
    answer: oneshot::Sender<Followed>,
}

type Followed = Result<(Attaching, Counted), Refusal>;

/// A subscription as the owner counts it.
struct Counted {
    line: Arc<Line>,
    call: CallNumber,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.line.notice(Notice::Unfollowed(self.call));
    }
}

impl RemoteHub {
    pub(super) fn new(line: Arc<Line>, branch: Branch) -> RemoteHub {
        RemoteHub {
            addresses: Arc::new(RemoteAddresses::new(Arc::clone(&line))),
            line,
            branch,
            identities: Mutex::default(),
            requested: Notify::new(),
            closers: Arc::default(),
            follows: Mutex::default(),
        }
    }

    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    pub(super) fn branch(&self) -> &Branch {
        &self.branch
    }

    pub(super) fn closers(&self) -> &Closers {
        &self.closers
    }

    pub(super) fn who(&self, identity: &Identity) -> Result<Asker, Refusal> {
        let asker = self.identities.lock().asker(identity);
        asker.ok_or_else(|| Refusal::internal(&"an identity that the owner did not prove"))
    }

    pub(super) async fn http(&self, ask: HttpAsk) -> Result<HttpAnswer, Refusal> {
        self.line.ask(Call::Http(Box::new(ask))).await
    }

    /// The owner has answered a `follow`. Runs among the news, in their order: what comes after it
    /// reaches the shard after the subscription.
    pub(super) fn followed(&self, call: u64, outcome: Result<Prepared, Refusal>) {
        let mut follows = self.follows.lock();
        let call = CallNumber(call);
        let Some(Following { request, answer }) = follows.remove(&call) else {
            return;
        };
        let attached = outcome.and_then(|prepared| {
            let counted = Counted { line: Arc::clone(&self.line), call };
            Ok((self.branch.attach(prepared, request)?, counted))
        });
        drop(follows);
        // Whoever asked may have left: what is dropped here ends the subscription.
        let _ = answer.send(attached);
    }

    pub(super) fn exhausted(&self, who: Who, why: Refusal) {
        self.identities.lock().exhausted(who, why);
    }

    /// Resolves when a request was made that is to be counted.
    pub(super) async fn requested(&self) {
        self.requested.notified().await;
    }

    pub(super) fn tell_requests(&self) {
        let (requests, are_more) = self.identities.lock().take_requests();
        if !requests.is_empty() {
            self.line.notice(Notice::Requested(requests));
        }
        if are_more {
            self.requested.notify_one();
        }
    }

    pub(super) fn tell_forgotten(&self) {
        let forgotten = self.identities.lock().take_forgotten();
        if !forgotten.is_empty() {
            self.line.notice(Notice::Forgotten(forgotten));
        }
    }

    /// Under the lock of the asked subscriptions: none can be asked for between looking and
    /// telling.
    pub(super) fn tell_unused(&self) {
        let follows = self.follows.lock();
        if !follows.is_empty() {
            return;
        }
        let unused = self.branch.take_unused();
        if !unused.is_empty() {
            self.line.notice(Notice::Unused(unused));
        }
    }

    async fn subscribe(
        &self,
        who: &Identity,
        follow: Follow,
        shard: ShardId,
        sink: Arc<dyn Sink>,
    ) -> Result<Subscription, Refusal> {
        let (number, asker) = (self.line.number(), self.who(who)?);
        let call = Call::Follow { who: asker, follow: Box::new(follow.clone()) };
        let (answer, followed) = oneshot::channel();
        let request = Request { who: who.clone(), follow, shard, sink, call: number.0 };
        self.follows.lock().insert(number, Following { request, answer });
        if let Err(refusal) = self.line.send_call(number, call).await {
            self.follows.lock().remove(&number);
            return Err(refusal);
        }
        let (attaching, counted) = followed.await.map_err(|_| gone())??;
        attaching.attached(counted).await
    }

    async fn enter(
        &self,
        who: &Identity,
        connection: Connection,
        closer: Arc<dyn Closer>,
    ) -> Result<Lease, Refusal> {
        let who = self.who(who)?;
        // Told that it left, should the owner refuse or the client not wait.
        let leaving = self.closers.enter(closer, &self.line);
        let id = self.line.ask(Call::Open { who, connection, place: leaving.place }).await?;
        Ok(Lease { id, guard: Box::new(leaving) })
    }
}

impl Hub for RemoteHub {
    fn authenticate<'a>(
        &'a self,
        peer: &'a Peer,
        credential: &'a Credential,
    ) -> Answer<'a, Identity> {
        Box::pin(async move {
            let (peer, credential) = (peer.clone(), credential.clone());
            let proven: Proven = self.line.ask(Call::Authenticate { peer, credential }).await?;
            Ok(self.identities.lock().take(proven))
        })
    }

    /// The owner counts: with the call that the request leads to, or a little later.
    fn count_request(&self, who: &Identity) -> Result<(), Refusal> {
        self.identities.lock().count_request(who)?;
        self.requested.notify_one();
        Ok(())
    }

    fn rate(&self, who: &Identity) -> Option<RateState> {
        self.identities.lock().rate(who)
    }

    fn open<'a>(
        &'a self,
        who: &'a Identity,
        connection: Connection,
        closer: Arc<dyn Closer>,
    ) -> Answer<'a, Lease> {
        Box::pin(self.enter(who, connection, closer))
    }

    fn renew<'a>(&'a self, who: &'a Identity, lease: &'a Lease) -> Answer<'a, ()> {
        Box::pin(async move {
            self.line.ask(Call::Renew { who: self.who(who)?, connection: lease.id }).await
        })
    }

    fn append<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        records: Vec<Record>,
    ) -> Answer<'a, Vec<Placed>> {
        Box::pin(async move {
            let (who, topic) = (self.who(who)?, topic.clone());
            self.line.ask(Call::Append { who, topic, records }).await
        })
    }

    fn transact<'a>(
        &'a self,
        who: &'a Identity,
        parts: Vec<(TopicName, Vec<Record>)>,
    ) -> Answer<'a, Vec<Vec<Placed>>> {
        Box::pin(async move { self.line.ask(Call::Transact { who: self.who(who)?, parts }).await })
    }

    fn read<'a>(&'a self, who: &'a Identity, request: ReadRequest) -> Answer<'a, ReadAnswer> {
        Box::pin(async move { self.line.ask(Call::Read { who: self.who(who)?, request }).await })
    }

    fn latest<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        key: &'a Key,
    ) -> Answer<'a, Option<Arc<Delivery>>> {
        Box::pin(async move {
            let (who, topic, key) = (self.who(who)?, topic.clone(), key.clone());
            self.line.ask(Call::Latest { who, topic, key }).await
        })
    }

    fn keys<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        after: Option<Key>,
        limit: usize,
    ) -> Answer<'a, Keys> {
        Box::pin(async move {
            let (who, topic) = (self.who(who)?, topic.clone());
            self.line.ask(Call::Keys { who, topic, after, limit }).await
        })
    }

    fn follow<'a>(
        &'a self,
        who: &'a Identity,
        follow: Follow,
        shard: ShardId,
        sink: Arc<dyn Sink>,
    ) -> Answer<'a, Subscription> {
        Box::pin(self.subscribe(who, follow, shard, sink))
    }

    fn topics<'a>(
        &'a self,
        who: &'a Identity,
        after: Option<TopicName>,
        limit: usize,
    ) -> Answer<'a, Vec<TopicInfo>> {
        Box::pin(
            async move { self.line.ask(Call::Topics { who: self.who(who)?, after, limit }).await },
        )
    }

    fn topic<'a>(&'a self, who: &'a Identity, name: &'a TopicName) -> Answer<'a, TopicInfo> {
        Box::pin(async move {
            self.line.ask(Call::Topic { who: self.who(who)?, name: name.clone() }).await
        })
    }

    fn put_topic<'a>(
        &'a self,
        who: &'a Identity,
        name: &'a TopicName,
        config: TopicConfig,
    ) -> Answer<'a, (TopicInfo, bool)> {
        Box::pin(async move {
            let (who, name, config) = (self.who(who)?, name.clone(), Box::new(config));
            self.line.ask(Call::PutTopic { who, name, config }).await
        })
    }

    fn delete_topic<'a>(&'a self, who: &'a Identity, name: &'a TopicName) -> Answer<'a, ()> {
        Box::pin(async move {
            self.line.ask(Call::DeleteTopic { who: self.who(who)?, name: name.clone() }).await
        })
    }

    fn schemas<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        after: u32,
        limit: usize,
    ) -> Answer<'a, Schemas> {
        Box::pin(async move {
            let (who, topic) = (self.who(who)?, topic.clone());
            self.line.ask(Call::Schemas { who, topic, after, limit }).await
        })
    }

    fn schema<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        version: u32,
    ) -> Answer<'a, SchemaInfo> {
        Box::pin(async move {
            let (who, topic) = (self.who(who)?, topic.clone());
            self.line.ask(Call::Schema { who, topic, version }).await
        })
    }

    fn put_schema<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        draft: SchemaDraft,
    ) -> Answer<'a, (SchemaInfo, bool)> {
        Box::pin(async move {
            let (who, topic) = (self.who(who)?, topic.clone());
            self.line.ask(Call::PutSchema { who, topic, draft }).await
        })
    }

    fn check_schema<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        draft: SchemaDraft,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let (who, topic) = (self.who(who)?, topic.clone());
            self.line.ask(Call::CheckSchema { who, topic, draft }).await
        })
    }

    fn presence<'a>(
        &'a self,
        who: &'a Identity,
        connection: Option<&'a Lease>,
        topic: &'a TopicName,
        key: Option<&'a Key>,
        call: PresenceCall,
    ) -> Answer<'a, PresenceAnswer> {
        Box::pin(async move {
            let (who, connection) = (self.who(who)?, connection.map(|lease| lease.id));
            let (topic, key, call) = (topic.clone(), key.cloned(), Box::new(call));
            self.line.ask(Call::Presence { who, connection, topic, key, call }).await
        })
    }

    /// Protocols that speak in whole batches have ports of their own, which the owner serves.
    fn batches(&self) -> Option<&dyn port::Batches> {
        None
    }

    /// Those who ask for it have ports that the owner serves.
    fn challenges(&self) -> Option<&dyn port::Challenges> {
        None
    }

    fn security(&self) -> Option<&dyn port::Security> {
        None
    }

    fn consumers(&self) -> Option<&dyn Consumers> {
        Some(self)
    }

    fn addresses(&self) -> Option<Arc<dyn Addresses>> {
        Some(Arc::clone(&self.addresses) as _)
    }

    fn shard(&self, id: ShardId) -> Box<dyn port::Shard> {
        self.branch.shard(id)
    }
}
