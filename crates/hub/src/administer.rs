//! What administrators do with the partitions of a topic: give up their beginnings, and ask what
//! they hold. It must not know how the log stores.

use crate::node::Node;
use crate::refusal::refusal_of;
use port::{Identity, PartitionInfo, ProducerState, Refusal};
use serde_json::json;
use std::sync::Arc;
use tenancy::Actor;
use types::{Offset, Partition, TimestampMs, TopicName};

impl Node {
    pub(crate) async fn drop_records(
        &self,
        who: &Identity,
        name: &TopicName,
        partition: Partition,
        before: Option<Offset>,
    ) -> Result<PartitionInfo, Refusal> {
        self.may_manage(who, name)?;
        if name.is_internal() {
            return Err(rules::grants::platform_only(name));
        }
        let topic = self.existing(who, name)?;
        let bounds = self.engine.bounds(topic.id, partition).map_err(refusal_of)?;
        let before = before.unwrap_or(bounds.end);
        let (who, name) = (who.clone(), name.clone());
        // To its end, so that what happened is in the trail whoever leaves meanwhile.
        self.to_the_end(move |node: Arc<Node>| async move {
            let dropped = node.engine.drop_before(topic.id, partition, before).await;
            let bounds = dropped.map_err(refusal_of)?;
            let (tenant, project) = (who.tenant(), who.project());
            let details = json!({ "partition": partition, "start": bounds.start });
            let (place, by) = ((tenant, project), Actor::from(&who));
            node.tenancy.note_topic(place, &name, "topic.drop_records", details, &by).await?;
            Ok(PartitionInfo { start: bounds.start, end: bounds.end })
        })
        .await
    }

    pub(crate) async fn find_newest(
        &self,
        who: &Identity,
        name: &TopicName,
        partition: Partition,
    ) -> Result<Option<(Offset, TimestampMs)>, Refusal> {
        let topic = self.readable(who, name)?;
        match self.engine.newest_time(topic.id, partition).await.map_err(refusal_of)? {
            Some(time) => self.find_time(who, name, partition, time).await,
            None => Ok(None),
        }
    }

    pub(crate) fn bytes_of_partitions(
        &self,
        who: &Identity,
        name: &TopicName,
    ) -> Result<Vec<u64>, Refusal> {
        self.may_see_topic(who, name)?;
        let topic = self.existing(who, name)?;
        let bytes = |it| self.engine.partition_bytes(topic.id, it).map_err(refusal_of);
        (0..topic.partitions()).map(bytes).collect()
    }

    pub(crate) fn producers_of(
        &self,
        who: &Identity,
        name: &TopicName,
        partition: Partition,
    ) -> Result<Vec<ProducerState>, Refusal> {
        let topic = self.readable(who, name)?;
        let found = self.engine.producers_of(topic.id, partition).map_err(refusal_of)?;
        let told = |known: eventlog::ProducerState| ProducerState {
            producer: known.producer,
            last_sequence: known.last_sequence,
            seen_at: known.seen_at,
            open_since: known.open_since,
        };
        Ok(found.into_iter().map(told).collect())
    }
}
