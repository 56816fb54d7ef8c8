//! The memory hub without any protocol: the partner of faces that only go one way, and the proof
//! that the suite and the hub agree.

use crate::conformance::{
    Abilities, Aftermath, Face, Got, Page, Receipt, Sent, Soon, Start, Tail, Tailed, Told,
};
use crate::driven::{peer, prove};
use crate::memory_hub::MemoryHub;
use port::feed::Fed;
use port::live::{Connection, Quota};
use port::{Code, Delivery, Feed, Follow, Hub, Lease, ReadRequest, Refusal, ShardId, Subscription};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use types::{Filter, From, Header, Key, Record, SubscriptionTag, TopicName};

pub struct DirectFace {
    hub: MemoryHub,
}

impl DirectFace {
    pub fn new(hub: &MemoryHub) -> Arc<DirectFace> {
        Arc::new(DirectFace { hub: hub.clone() })
    }

    async fn publish_now(&self, secret: &str, records: Vec<Sent>) -> Result<Vec<Receipt>, Refusal> {
        let who = prove(&self.hub, secret).await?;
        let mut receipts = Vec::new();
        for sent in records {
            let topic = TopicName::parse(&sent.topic)
                .map_err(|bad| Refusal::new(Code::InvalidTopic, bad.to_string()))?;
            let placed = self.hub.append(&who, &topic, vec![record(sent)]).await?;
            let receipt = |placed: &port::Placed| Receipt {
                partition: placed.partition,
                offset: placed.offset,
            };
            receipts.extend(placed.iter().map(receipt));
        }
        Ok(receipts)
    }

    async fn follow_now(
        &self,
        secret: &str,
        filter: &str,
        start: Start,
    ) -> Result<DirectTail, Refusal> {
        let who = prove(&self.hub, secret).await?;
        let feed = Feed::new();
        let connection =
            Connection { protocol: "direct", quota: Quota::Other, address: peer().address };
        let lease = self.hub.open(&who, connection, feed.clone()).await?;
        let follow = Follow {
            tag: SubscriptionTag(1),
            filter: Filter::parse(filter)
                .map_err(|bad| Refusal::new(Code::InvalidFilter, bad.to_string()))?,
            from: from(start),
            latest_first: false,
            exclude_own: false,
            connection: Some(lease.id),
            shaping: None,
        };
        let subscription = self.hub.follow(&who, follow, ShardId(0), feed.clone()).await?;
        Ok(DirectTail { feed, subscription, last: BTreeMap::new(), _lease: lease })
    }
}

fn record(sent: Sent) -> Record {
    let id = sent.id.map(|id| Header { name: "ms-id".into(), value: id.into() });
    Record {
        key: sent.key.map(|key| Key::new(key).expect("tests use short keys")),
        value: Some(sent.data.into()),
        headers: id.into_iter().collect(),
        timestamp: None,
    }
}

fn from(start: Start) -> From {
    match start {
        Start::Earliest => From::Earliest,
        Start::Latest => From::Latest,
        Start::Offset(offset) => From::Offset(offset),
        Start::Cursors(cursors) => From::Cursors(cursors),
    }
}

fn got(delivery: &Delivery) -> Got {
    let value = delivery.record.value.as_deref().unwrap_or(b"null");
    Got {
        topic: delivery.origin.topic.to_string(),
        partition: delivery.partition,
        offset: delivery.offset,
        key: delivery.record.key.as_ref().and_then(Key::as_str).map(str::to_owned),
        data: serde_json::from_slice(value).unwrap_or_default(),
    }
}

fn told(refusal: Refusal) -> Told {
    Told {
        code: refusal.code().name().to_owned(),
        message: refusal.message().to_owned(),
        field: refusal.field_name().map(str::to_owned),
        retry_after_ms: refusal.wait().and_then(|wait| u64::try_from(wait.as_millis()).ok()),
        number: None,
    }
}

struct DirectTail {
    feed: Arc<Feed>,
    subscription: Subscription,
    last: BTreeMap<u32, String>,
    _lease: Lease,
}

impl Tail for DirectTail {
    fn next(&mut self) -> Soon<'_, Tailed> {
        Box::pin(async move {
            let fed = loop {
                match self.feed.next().await {
                    // It asked for nothing that brings these.
                    Fed::Records(..) | Fed::Progress(..) => {}
                    fed => break fed,
                }
            };
            match fed {
                Fed::Delivery(_, delivery) => {
                    self.last.insert(delivery.partition, delivery.cursor());
                    Tailed::Record(got(&delivery))
                }
                Fed::Records(..) | Fed::Progress(..) | Fed::CaughtUp(_) => Tailed::CaughtUp,
                Fed::Gap { .. } => Tailed::Gap,
                Fed::Ended(_, why) => Tailed::Ended(told(why)),
                Fed::Closed(why) if why.code() == Code::Draining => Tailed::Advice,
                Fed::Closed(_) => Tailed::Closed,
            }
        })
    }

    fn cursors(&self) -> Vec<String> {
        let start = std::iter::once(self.subscription.cursor.clone());
        start.chain(self.last.values().cloned()).collect()
    }
}

impl Face for DirectFace {
    fn name(&self) -> &'static str {
        "direct"
    }

    fn abilities(&self) -> Abilities {
        Abilities { publishes: true, follows: true, reads: true, holds_connection: true }
    }

    fn publish<'a>(
        &'a self,
        secret: &'a str,
        records: Vec<Sent>,
    ) -> Soon<'a, Result<Vec<Receipt>, Told>> {
        Box::pin(async move { self.publish_now(secret, records).await.map_err(told) })
    }

    fn follow<'a>(
        &'a self,
        secret: &'a str,
        filter: &'a str,
        start: Start,
    ) -> Soon<'a, Result<Box<dyn Tail>, Told>> {
        Box::pin(async move {
            let tail = self.follow_now(secret, filter, start).await.map_err(told)?;
            Ok(Box::new(tail) as Box<dyn Tail>)
        })
    }

    fn read<'a>(
        &'a self,
        secret: &'a str,
        topic: &'a str,
        start: Start,
        limit: usize,
    ) -> Soon<'a, Result<Page, Told>> {
        Box::pin(async move {
            let who = prove(&self.hub, secret).await.map_err(told)?;
            let request = ReadRequest {
                topic: TopicName::parse(topic).expect("tests use well-formed topic names"),
                from: from(start),
                key: None,
                last: None,
                limit,
                wait: Duration::ZERO,
            };
            let answer = self.hub.read(&who, request).await.map_err(told)?;
            Ok(Page {
                records: answer.records.iter().map(|delivery| got(delivery)).collect(),
                next_cursor: answer.next_cursor,
                is_end: answer.is_end,
            })
        })
    }

    /// There are no bytes here.
    fn hostile<'a>(&'a self, _secret: &'a str, _bytes: &'a [u8]) -> Soon<'a, Aftermath> {
        Box::pin(std::future::ready(Aftermath::Closed))
    }
}
