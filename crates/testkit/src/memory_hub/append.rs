//! Appends of the memory hub: checks, topics made by a first publish, counts.

use super::access::{check_address, check_record, check_scope};
use super::state::{Project, State, topic_not_found};
use super::topics::Topic;
use super::{Call, MemoryHub, Storage};
use port::{Code, Identity, Placed, Refusal};
use std::sync::Arc;
use types::limits::RECORDS_PER_APPEND_MAX;
use types::record::header;
use types::{Access, Durability, Header, Record, Scope, TopicConfig, TopicId, TopicName};

impl MemoryHub {
    pub(super) fn append_now(
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

    /// All checks of all parts, then all of them.
    pub(super) fn transact_now(
        &self,
        who: &Identity,
        parts: Vec<(TopicName, Vec<Record>)>,
    ) -> Result<Vec<Vec<Placed>>, Refusal> {
        let (placed, shards) = {
            let mut state = self.state();
            self.admit(&mut state, who, Call::Append)?;
            check_scope(who, Scope::EventsPublish)?;
            for (topic, records) in &parts {
                for (index, record) in records.iter().enumerate() {
                    let key = record.key.as_ref().map(|key| key.bytes().as_ref());
                    check_address(who, Access::Publish, topic, key)?;
                    check_record(&state.project(who.project())?.limits, index, record)?;
                }
            }
            let mut placed = Vec::with_capacity(parts.len());
            for (topic, records) in parts {
                placed.push(self.append_locked(&mut state, who, &topic, records)?);
            }
            (placed, state.touch(who.project()))
        };
        self.0.appended.notify_waiters();
        self.wake(&shards);
        Ok(placed)
    }

    pub(super) fn append_locked(
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
    pub(super) fn topic_or_new<'s>(
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

    pub(super) fn create(
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
}

pub(super) fn publisher_header(who: &Identity) -> Header {
    Header {
        name: bytes::Bytes::from_static(header::PUBLISHER.as_bytes()),
        value: bytes::Bytes::copy_from_slice(who.principal().0.as_bytes()),
    }
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
