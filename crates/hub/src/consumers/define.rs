//! Consumers made, shown, changed and deleted.

use super::runtime::{Runtime, handled_key, ledger_key, state_record};
use super::{bad_consumer, not_found, place_of};
use crate::node::Node;
use crate::refusal::refusal_of;
use crate::topic::Topic;
use consumers::{Ranges, Terms};
use port::consumers::{CONSUMERS_PER_TOPIC_MAX, ConsumerAddress, ConsumerInfo, ConsumerPosition};
use port::{Code, Identity, Refusal};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tenancy::{Actor, Consumer, ConsumerTerms, TenancyError};
use types::{ConsumerConfig, ConsumerName, Record, TopicConfig, TopicName};

impl Node {
    pub(crate) async fn put_consumer(
        &self,
        who: &Identity,
        at: &ConsumerAddress,
        config: ConsumerConfig,
    ) -> Result<(ConsumerInfo, bool), Refusal> {
        self.may_manage(who, &at.topic)?;
        config.check(&at.topic, &at.name).map_err(bad_consumer)?;
        let topic = self.existing(who, &at.topic)?;
        if topic.is_ephemeral() {
            let message = "an ephemeral topic keeps nothing that could be consumed later";
            return Err(Refusal::new(Code::Conflict, message)
                .field("topic")
                .hint("follow it live, or make a topic that is durable or relaxed"));
        }
        let dead = config.dead_letters(&at.topic, &at.name).map_err(bad_consumer)?;
        let (by, name) = (Actor::from(who), at.name.clone());
        let work = move |node: Arc<Node>| async move {
            let terms = ConsumerTerms { config: &config, dead_letter_topic: &dead };
            node.put_consumer_now(&topic, &name, terms, &by).await
        };
        let (runtime, is_new) = self.to_the_end(work).await?;
        Ok((self.describe_consumer(&runtime).await?, is_new))
    }

    async fn put_consumer_now(
        &self,
        topic: &Arc<Topic>,
        name: &ConsumerName,
        terms: ConsumerTerms<'_>,
        by: &Actor,
    ) -> Result<(Arc<Runtime>, bool), Refusal> {
        let _one_at_a_time = self.consumers.loading.lock().await;
        let (tenant, project) = (topic.tenant, topic.project);
        let dead_name = terms.dead_letter_topic;
        let dead =
            self.topic_of_platform(tenant, project, dead_name, TopicConfig::default()).await?;
        if dead.is_ephemeral() {
            let message = "an ephemeral topic keeps no dead letters";
            return Err(Refusal::new(Code::Conflict, message).field("dead_letter_topic"));
        }
        let at = place_of(topic, name);
        let found = match self.tenancy.consumer(tenant, project, topic.id, name).await {
            Ok(found) => Some(found),
            Err(TenancyError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let Some(found) = found else {
            let max = CONSUMERS_PER_TOPIC_MAX;
            let made = self.tenancy.create_consumer(tenant, project, at, terms, max, by).await?;
            let runtime = self.load_consumer(topic, made).await?;
            self.forget_letters(&runtime, &dead).await?;
            self.consumers.insert(name.clone(), Arc::clone(&runtime));
            return Ok((runtime, true));
        };
        check_fixed(&found, terms.config)?;
        let altered = self.tenancy.alter_consumer(tenant, project, at, terms, by).await?;
        let runtime = match self.consumers.get(topic.id, name) {
            Some(runtime) => runtime,
            None => {
                let runtime = self.load_consumer(topic, altered.clone()).await?;
                self.consumers.insert(name.clone(), Arc::clone(&runtime));
                runtime
            }
        };
        runtime.book.lock().terms = Terms::from(&altered.config);
        let is_moved = found.dead_letter_topic != altered.dead_letter_topic;
        let defined = super::runtime::Defined::new(altered, topic)?;
        runtime.defined.store(Arc::new(defined));
        if is_moved {
            self.forget_letters(&runtime, &dead).await?;
        }
        runtime.changed.notify_waiters();
        Ok((runtime, false))
    }

    /// What lies in the dead-letter topic so far is none of this consumer's.
    async fn forget_letters(&self, runtime: &Runtime, dead: &Topic) -> Result<(), Refusal> {
        let states = self.states_of(&runtime.topic).await?;
        let mut records = Vec::new();
        for partition in 0..dead.partitions() {
            let mut ranges = Ranges::default();
            ranges.raise(self.engine.bounds(dead.id, partition).map_err(refusal_of)?.end);
            let key = handled_key(runtime.id, dead.id, partition);
            records.push(state_record(key, ranges.encode()));
        }
        let _one_at_a_time = runtime.writer.lock().await;
        self.engine.append(states.id, 0, records).await.map_err(refusal_of)?;
        *runtime.handled.lock() = None;
        Ok(())
    }

    pub(crate) async fn show_consumer(
        &self,
        who: &Identity,
        at: &ConsumerAddress,
    ) -> Result<ConsumerInfo, Refusal> {
        self.may_see_topic(who, &at.topic)?;
        let topic = self.existing(who, &at.topic)?;
        let runtime = self.runtime(&topic, &at.name).await?;
        self.describe_consumer(&runtime).await
    }

    pub(crate) async fn list_consumers(
        &self,
        who: &Identity,
        topic: &TopicName,
        after: Option<ConsumerName>,
        limit: usize,
    ) -> Result<Vec<ConsumerInfo>, Refusal> {
        self.may_see_topic(who, topic)?;
        let topic = self.existing(who, topic)?;
        let limit = limit.clamp(1, CONSUMERS_PER_TOPIC_MAX);
        let (tenant, project) = (topic.tenant, topic.project);
        let page = self.tenancy.consumers(tenant, project, topic.id, after.as_ref(), limit).await?;
        let mut infos = Vec::with_capacity(page.items.len());
        for consumer in page.items {
            match self.runtime(&topic, &consumer.name).await {
                Ok(runtime) => infos.push(self.describe_consumer(&runtime).await?),
                // Deleted since the page was read.
                Err(refusal) if refusal.code() == Code::NotFound => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(infos)
    }

    pub(crate) async fn delete_consumer(
        &self,
        who: &Identity,
        at: &ConsumerAddress,
    ) -> Result<(), Refusal> {
        self.may_manage(who, &at.topic)?;
        let topic = self.existing(who, &at.topic)?;
        let (by, name) = (Actor::from(who), at.name.clone());
        let work = move |node: Arc<Node>| async move {
            let _one_at_a_time = node.consumers.loading.lock().await;
            let (tenant, project) = (topic.tenant, topic.project);
            let at = place_of(&topic, &name);
            let deleted = node.tenancy.delete_consumer(tenant, project, at, &by).await;
            let deleted = deleted.map_err(|error| match error {
                TenancyError::NotFound { .. } => not_found(&topic.name, &name),
                error => error.into(),
            })?;
            node.consumers.remove(topic.id, &name);
            node.forget_states(&topic, &[deleted]).await
        };
        self.to_the_end(work).await
    }

    /// All consumers of a topic, before it is deleted.
    pub(crate) async fn consumers_of(&self, topic: &Topic) -> Result<Vec<Consumer>, Refusal> {
        let (tenant, project) = (topic.tenant, topic.project);
        let max = CONSUMERS_PER_TOPIC_MAX;
        Ok(self.tenancy.consumers(tenant, project, topic.id, None, max).await?.items)
    }

    /// Takes the states of deleted consumers out of the log.
    pub(crate) async fn forget_states(
        &self,
        topic: &Topic,
        deleted: &[Consumer],
    ) -> Result<(), Refusal> {
        if deleted.is_empty() {
            return Ok(());
        }
        let states = self.states_of(topic).await?;
        let mut records = Vec::new();
        let mut forget = |key| records.push(Record { key: Some(key), ..Record::default() });
        for consumer in deleted {
            (0..topic.partitions()).for_each(|it| forget(ledger_key(consumer.id, it)));
            if let Some(dead) = self.catalogue.get(topic.project, &consumer.dead_letter_topic) {
                (0..dead.partitions()).for_each(|it| forget(handled_key(consumer.id, dead.id, it)));
            }
        }
        for records in records.chunks(types::limits::RECORDS_PER_APPEND_MAX) {
            self.engine.append(states.id, 0, records.to_vec()).await.map_err(refusal_of)?;
        }
        Ok(())
    }

    pub(crate) async fn describe_consumer(
        &self,
        runtime: &Runtime,
    ) -> Result<ConsumerInfo, Refusal> {
        let record = runtime.defined.load().record.clone();
        let mut partitions = Vec::new();
        let (counts, mut lag) = {
            let mut book = runtime.book.lock();
            book.turn(self.world.clock.monotonic(), &*self.world.rng);
            let mut lag = 0;
            for (partition, ledger) in book.ledgers() {
                let bounds = self.engine.bounds(runtime.topic.id, partition).map_err(refusal_of)?;
                let (committed, next) = (ledger.committed(), ledger.next());
                partitions.push(ConsumerPosition { partition, committed, next, end: bounds.end });
                lag += bounds.end.saturating_sub(next.max(bounds.start)) + ledger.pending() as u64;
            }
            (book.counts(), lag)
        };
        let dead_letters = match self.catalogue.get(record.project, &record.dead_letter_topic) {
            Some(dead) => self.count_letters(runtime, &dead).await?,
            None => 0,
        };
        if runtime.topic.is_ephemeral() {
            lag = 0;
        }
        let active_ms = runtime.active_ms.load(Ordering::Relaxed);
        Ok(ConsumerInfo {
            at: ConsumerAddress { topic: runtime.topic.name.clone(), name: record.name },
            config: record.config,
            dead_letter_topic: record.dead_letter_topic,
            created_at: record.created_at,
            partitions,
            lag,
            pending: counts.leased,
            retrying: counts.retrying,
            held: counts.held,
            dead_letters,
            active_at: (active_ms > 0).then_some(active_ms),
        })
    }

    async fn count_letters(&self, runtime: &Runtime, dead: &Topic) -> Result<u64, Refusal> {
        let handled = self.handled(runtime, dead).await?;
        let mut count = 0;
        for (partition, ranges) in (0..).zip(&handled.partitions) {
            let bounds = self.engine.bounds(dead.id, partition).map_err(refusal_of)?;
            let all = bounds.end.saturating_sub(bounds.start);
            count += all.saturating_sub(ranges.count_from(bounds.start));
        }
        Ok(count)
    }
}

/// What cannot change once there is a consumer.
fn check_fixed(found: &Consumer, config: &ConsumerConfig) -> Result<(), Refusal> {
    if found.config.start != config.start {
        let message = format!("the consumer began at `{}`", found.config.start);
        return Err(Refusal::new(Code::Conflict, message)
            .field("start")
            .hint("leave it as it is, and move the consumer with POST .../reset"));
    }
    if found.config.ordering != config.ordering {
        let message = "the order of deliveries is fixed when the consumer is made";
        return Err(Refusal::new(Code::Conflict, message)
            .field("ordering")
            .hint("make another consumer, or delete this one first"));
    }
    Ok(())
}
