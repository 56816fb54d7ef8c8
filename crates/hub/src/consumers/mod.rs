//! Durable consumers: `port::Consumers` over the log. What a consumer's state means is in the crate
//! `consumers`; here it meets the log, the definitions, and the checks. Each call is in the file
//! named after it.

mod bury;
mod commit;
mod define;
mod fetch;
mod letters;
mod read;
mod reset;
mod runtime;
mod settle;
mod sweep;
mod together;
mod token;

use crate::node::Node;
use crate::topic::Topic;
use parking_lot::RwLock;
use port::consumers::{
    ConsumerAddress, ConsumerInfo, DeadLetters, Fetch, Leased, ReplayTo, ResetTo, Settled,
    Settlement, Which,
};
use port::{Answer, Code, Consumers, Identity, Placed, Refusal};
use runtime::Runtime;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tenancy::{Actor, ConsumerPlace, TenancyError};
use types::consumer::BadConsumer;
use types::topic::Cleanup;
use types::{
    ConsumerConfig, ConsumerName, Key, Operation, ProjectId, Record, TenantId, TopicConfig,
    TopicId, TopicName,
};

/// The consumers in memory: all that were used since the node started.
#[derive(Default)]
pub struct Desk {
    runtimes: RwLock<HashMap<(TopicId, ConsumerName), Arc<Runtime>>>,
    /// Held while a consumer is loaded, made or deleted, so that there is never a second of one.
    loading: tokio::sync::Mutex<()>,
    keys: RandomState,
}

impl Desk {
    /// Two keys of one hash hold each other back, which costs time and no order.
    pub fn hash(&self, key: &Key) -> u64 {
        self.keys.hash_one(key.bytes())
    }

    fn get(&self, topic: TopicId, name: &ConsumerName) -> Option<Arc<Runtime>> {
        self.runtimes.read().get(&(topic, name.clone())).cloned()
    }

    fn insert(&self, name: ConsumerName, runtime: Arc<Runtime>) {
        self.runtimes.write().insert((runtime.topic.id, name), runtime);
    }

    fn remove(&self, topic: TopicId, name: &ConsumerName) {
        if let Some(runtime) = self.runtimes.write().remove(&(topic, name.clone())) {
            runtime.is_gone.store(true, Ordering::Release);
            runtime.changed.notify_waiters();
        }
    }

    /// The topic was deleted, and its consumers with it.
    pub fn remove_topic(&self, topic: TopicId) {
        self.runtimes.write().retain(|(of, _), runtime| {
            if *of == topic {
                runtime.is_gone.store(true, Ordering::Release);
                runtime.changed.notify_waiters();
            }
            *of != topic
        });
    }

    fn all(&self) -> Vec<Arc<Runtime>> {
        self.runtimes.read().values().cloned().collect()
    }
}

impl Node {
    /// The consumer in memory, loaded if it was not yet.
    async fn runtime(
        &self,
        topic: &Arc<Topic>,
        name: &ConsumerName,
    ) -> Result<Arc<Runtime>, Refusal> {
        if let Some(runtime) = self.consumers.get(topic.id, name) {
            return Ok(runtime);
        }
        let _one_at_a_time = self.consumers.loading.lock().await;
        if let Some(runtime) = self.consumers.get(topic.id, name) {
            return Ok(runtime);
        }
        let found = self.tenancy.consumer(topic.tenant, topic.project, topic.id, name).await;
        let record = found.map_err(|error| match error {
            TenancyError::NotFound { .. } => not_found(&topic.name, name),
            error => error.into(),
        })?;
        let runtime = self.load_consumer(topic, record).await?;
        self.consumers.insert(name.clone(), Arc::clone(&runtime));
        Ok(runtime)
    }

    /// A consumer for somebody who may have all that it delivers.
    async fn consumer_for(
        &self,
        who: &Identity,
        at: &ConsumerAddress,
    ) -> Result<Arc<Runtime>, Refusal> {
        let snapshot = self.admit(who)?;
        rules::scopes::require(who.claims().scopes, types::Scope::EventsSubscribe)?;
        let topic = self.existing(who, &at.topic)?;
        let runtime = self.runtime(&topic, &at.name).await?;
        let now = self.world.clock.now_ms();
        let defined = runtime.defined.load();
        snapshot.check_filter(who.claims(), Operation::Read, &defined.filter, now)?;
        Ok(runtime)
    }

    /// Where the project's consumers keep their state; made when it is first needed.
    pub(crate) async fn states_of(&self, topic: &Topic) -> Result<Arc<Topic>, Refusal> {
        let name = TopicName::consumers();
        // Only the newest state of each counts.
        let config = TopicConfig { cleanup: Cleanup::Compact, ..TopicConfig::default() };
        self.topic_of_platform(topic.tenant, topic.project, &name, config).await
    }

    /// A topic that the platform makes for itself or on somebody's behalf.
    pub(crate) async fn topic_of_platform(
        &self,
        tenant: TenantId,
        project: ProjectId,
        name: &TopicName,
        config: TopicConfig,
    ) -> Result<Arc<Topic>, Refusal> {
        if let Some(topic) = self.catalogue.get(project, name) {
            return Ok(topic);
        }
        let name = name.clone();
        self.to_the_end(move |node: Arc<Node>| async move {
            let _one_at_a_time = node.definitions.lock().await;
            if let Some(topic) = node.catalogue.get(project, &name) {
                return Ok(topic);
            }
            let by = Actor::system();
            let record = node.tenancy.create_topic(tenant, project, &name, &config, &by).await?;
            let topic = node.load_topic(record).await?;
            if !name.is_internal() {
                node.tell_of_topic(&topic);
            }
            Ok(topic)
        })
        .await
    }
}

fn not_found(topic: &TopicName, name: &ConsumerName) -> Refusal {
    Refusal::new(Code::NotFound, format!("the topic `{topic}` has no consumer `{name}`"))
        .field("consumer")
        .hint("make it with PUT /v1/topics/{topic}/consumers/{name}")
}

fn bad_consumer(bad: BadConsumer) -> Refusal {
    Refusal::new(Code::InvalidRequest, bad.to_string()).field(bad.field())
}

fn place_of<'a>(topic: &'a Topic, name: &'a ConsumerName) -> ConsumerPlace<'a> {
    ConsumerPlace { topic: topic.id, topic_name: &topic.name, name }
}

impl Consumers for Node {
    fn put<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        config: ConsumerConfig,
    ) -> Answer<'a, (ConsumerInfo, bool)> {
        Box::pin(self.put_consumer(who, at, config))
    }

    fn get<'a>(&'a self, who: &'a Identity, at: &'a ConsumerAddress) -> Answer<'a, ConsumerInfo> {
        Box::pin(self.show_consumer(who, at))
    }

    fn list<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        after: Option<ConsumerName>,
        limit: usize,
    ) -> Answer<'a, Vec<ConsumerInfo>> {
        Box::pin(self.list_consumers(who, topic, after, limit))
    }

    fn delete<'a>(&'a self, who: &'a Identity, at: &'a ConsumerAddress) -> Answer<'a, ()> {
        Box::pin(self.delete_consumer(who, at))
    }

    fn fetch<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        fetch: Fetch,
    ) -> Answer<'a, Vec<Leased>> {
        Box::pin(self.fetch_records(who, at, fetch))
    }

    fn settle<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        settlements: Vec<Settlement>,
    ) -> Answer<'a, Vec<Result<Settled, Refusal>>> {
        Box::pin(self.settle_deliveries(who, at, settlements))
    }

    fn settle_with<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        tokens: Vec<String>,
        publishes: Vec<(TopicName, Vec<Record>)>,
    ) -> Answer<'a, Vec<Vec<Placed>>> {
        Box::pin(self.settle_and_publish(who, at, tokens, publishes))
    }

    fn commit<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        cursors: Vec<String>,
    ) -> Answer<'a, ConsumerInfo> {
        Box::pin(self.commit_consumer(who, at, cursors))
    }

    fn reset<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        to: ResetTo,
    ) -> Answer<'a, ConsumerInfo> {
        Box::pin(self.reset_consumer(who, at, to))
    }

    fn dead_letters<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        cursor: Option<String>,
        limit: usize,
    ) -> Answer<'a, DeadLetters> {
        Box::pin(self.list_letters(who, at, cursor, limit))
    }

    fn replay<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        which: Which,
        to: ReplayTo,
    ) -> Answer<'a, u64> {
        Box::pin(self.replay_letters(who, at, which, to))
    }

    fn purge<'a>(
        &'a self,
        who: &'a Identity,
        at: &'a ConsumerAddress,
        which: Which,
    ) -> Answer<'a, u64> {
        Box::pin(self.purge_letters(who, at, which))
    }
}
