//! Topics as clients list, make and delete them.

use super::access::check_scope;
use super::state::topic_not_found;
use super::{Call, MemoryHub};
use port::{Code, Identity, Refusal, TopicInfo};
use types::filter::TopicPart;
use types::limits::PARTITIONS_MAX;
use types::{Scope, TopicConfig, TopicName};

impl MemoryHub {
    pub(super) fn topics_now(
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

    pub(super) fn put_topic_now(
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

    pub(super) fn delete_topic_now(&self, who: &Identity, name: &TopicName) -> Result<(), Refusal> {
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
}
