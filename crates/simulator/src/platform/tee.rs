//! The engine as the hub is given it: the very log, whose observer is the run's witness already,
//! so the hub hears through that one.

use crate::live::Witness;
use eventlog::{
    Appended, Bounds, EmbeddedLog, End, Engine, Found, Health, LogError, Observer, Pending,
    Placement, ProducerState, Together, TopicSpec,
};
use std::sync::Arc;
use std::time::Duration;
use types::{
    Batch, Key, Offset, Partition, Producer, ProjectId, Record, Retention, TenantId, TimestampMs,
    TopicId,
};

pub struct Tee {
    pub log: Arc<EmbeddedLog>,
    pub witness: Arc<Witness>,
}

impl Engine for Tee {
    fn put_topic(&self, spec: TopicSpec) -> Result<(), LogError> {
        self.log.put_topic(spec)
    }

    fn drop_topic(&self, topic: TopicId) -> Result<(), LogError> {
        self.log.drop_topic(topic)
    }

    fn append(&self, topic: TopicId, at: Partition, records: Vec<Record>) -> Pending<Appended> {
        self.log.append(topic, at, records)
    }

    fn publish(
        &self,
        records: Vec<(TopicId, Partition, Record)>,
        together: Together,
    ) -> Pending<Vec<Placement>> {
        self.log.publish(records, together)
    }

    fn append_batch(
        &self,
        topic: TopicId,
        partition: Partition,
        batch: Batch,
        at: Option<Offset>,
    ) -> Pending<Appended> {
        self.log.append_batch(topic, partition, batch, at)
    }

    fn new_producer(&self) -> Producer {
        self.log.new_producer()
    }

    fn take_over(&self, producer: Producer) -> Pending<Producer> {
        self.log.take_over(producer)
    }

    fn producer_now(&self, id: i64) -> Option<Producer> {
        self.log.producer_now(id)
    }

    fn begin(&self, producer: Producer, within: Duration) -> Result<(), LogError> {
        self.log.begin(producer, within)
    }

    fn add(&self, producer: Producer, topic: TopicId, at: Partition) -> Result<(), LogError> {
        self.log.add(producer, topic, at)
    }

    fn append_in(
        &self,
        producer: Producer,
        topic: TopicId,
        at: Partition,
        records: Vec<Record>,
    ) -> Pending<Appended> {
        self.log.append_in(producer, topic, at, records)
    }

    fn end(&self, producer: Producer, end: End) -> Pending<Producer> {
        self.log.end(producer, end)
    }

    fn transact(&self, parts: Vec<(TopicId, Partition, Vec<Record>)>) -> Pending<Vec<Appended>> {
        self.log.transact(parts)
    }

    fn read(
        &self,
        topic: TopicId,
        partition: Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Pending<Vec<Arc<Batch>>> {
        self.log.read(topic, partition, from, bytes_max)
    }

    fn bounds(&self, topic: TopicId, partition: Partition) -> Result<Bounds, LogError> {
        self.log.bounds(topic, partition)
    }

    fn drop_before(&self, topic: TopicId, partition: Partition, before: Offset) -> Pending<Bounds> {
        self.log.drop_before(topic, partition, before)
    }

    fn newest_time(&self, topic: TopicId, partition: Partition) -> Pending<Option<TimestampMs>> {
        self.log.newest_time(topic, partition)
    }

    fn partition_bytes(&self, topic: TopicId, partition: Partition) -> Result<u64, LogError> {
        self.log.partition_bytes(topic, partition)
    }

    fn producers_of(
        &self,
        topic: TopicId,
        partition: Partition,
    ) -> Result<Vec<ProducerState>, LogError> {
        self.log.producers_of(topic, partition)
    }

    fn lost_behind(&self, topic: TopicId, partition: Partition, next: Offset) -> Option<Offset> {
        self.log.lost_behind(topic, partition, next)
    }

    fn offset_at(&self, topic: TopicId, at: Partition, time: TimestampMs) -> Pending<Offset> {
        self.log.offset_at(topic, at, time)
    }

    fn latest(&self, topic: TopicId, partition: Partition, key: Key) -> Pending<Option<Found>> {
        self.log.latest(topic, partition, key)
    }

    fn last_of_key(
        &self,
        topic: TopicId,
        partition: Partition,
        key: Key,
        count: usize,
    ) -> Pending<Vec<Found>> {
        self.log.last_of_key(topic, partition, key, count)
    }

    fn keys(&self, topic: TopicId, after: Option<Key>, limit: usize) -> Pending<(Vec<Key>, bool)> {
        self.log.keys(topic, after, limit)
    }

    fn wait(&self, topic: TopicId, beyond: Vec<(Partition, Offset)>) -> Pending<()> {
        self.log.wait(topic, beyond)
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        self.witness.pass_on_to(observer);
    }

    fn stored_bytes(&self, topic: TopicId) -> u64 {
        self.log.stored_bytes(topic)
    }

    fn tenant_bytes(&self, tenant: TenantId) -> u64 {
        self.log.tenant_bytes(tenant)
    }

    fn set_tenant_retention(&self, tenant: TenantId, bounds: Retention) {
        self.log.set_tenant_retention(tenant, bounds);
    }

    fn set_project_retention(&self, project: ProjectId, bounds: Retention) {
        self.log.set_project_retention(project, bounds);
    }

    fn health(&self) -> Health {
        self.log.health()
    }
}
