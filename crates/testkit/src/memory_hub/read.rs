//! Bounded reads of the memory hub; those that wait look again after each append.

use super::access::{check_address, check_scope};
use super::topics::Topic;
use super::{Call, MemoryHub};
use port::{Code, CursorMint, Delivery, Identity, Keys, ReadAnswer, ReadRequest, Refusal};
use std::sync::Arc;
use types::limits::READ_RECORDS_MAX;
use types::{Access, From, Key, Positions, Scope, TopicName};

impl MemoryHub {
    pub(super) async fn read_waiting(
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
    pub(super) fn read_now(
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

    pub(super) fn named(&self, who: &Identity, from: &From) -> Result<Positions, Refusal> {
        match from {
            From::Cursors(cursors) => self.0.mint.read_all(who.project(), cursors),
            From::Earliest | From::Latest | From::Offset(_) | From::Time(_) => {
                Ok(Positions::default())
            }
            From::Consumer(_) => {
                let message = "this hub has no durable consumers";
                Err(Refusal::new(Code::Unsupported, message).field("from"))
            }
        }
    }

    pub(super) fn with_topic<T>(
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

    pub(super) fn latest_now(
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

    pub(super) fn keys_now(
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
