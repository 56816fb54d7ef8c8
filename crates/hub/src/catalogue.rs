//! The topics of all projects on this node, by name and by number.

use crate::topic::Topic;
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use types::{ProjectId, TopicId, TopicName};

#[derive(Default)]
pub struct Catalogue {
    by_name: RwLock<HashMap<ProjectId, BTreeMap<TopicName, Arc<Topic>>>>,
    by_id: RwLock<HashMap<TopicId, Arc<Topic>>>,
}

impl Catalogue {
    pub fn get(&self, project: ProjectId, name: &TopicName) -> Option<Arc<Topic>> {
        self.by_name.read().get(&project)?.get(name).cloned()
    }

    pub fn by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.by_id.read().get(&id).cloned()
    }

    /// In name order; internal topics are left out.
    pub fn list(
        &self,
        project: ProjectId,
        after: Option<&TopicName>,
        limit: usize,
    ) -> Vec<Arc<Topic>> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let by_name = self.by_name.read();
        let Some(topics) = by_name.get(&project) else {
            return Vec::new();
        };
        topics
            .range::<TopicName, _>((after, Bound::Unbounded))
            .map(|(_, topic)| topic)
            .filter(|topic| !topic.name.is_internal())
            .take(limit)
            .cloned()
            .collect()
    }

    /// The platform's own topics in a project.
    pub fn internal(&self, project: ProjectId) -> Vec<Arc<Topic>> {
        let by_name = self.by_name.read();
        let topics = by_name.get(&project).into_iter().flat_map(|topics| topics.values());
        topics.filter(|topic| topic.name.is_internal()).cloned().collect()
    }

    /// Every topic of this node.
    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.by_id.read().values().cloned().collect()
    }

    /// The topics of this name in all projects.
    pub fn all_named(&self, name: &TopicName) -> Vec<Arc<Topic>> {
        let by_name = self.by_name.read();
        by_name.values().filter_map(|topics| topics.get(name).cloned()).collect()
    }

    /// Internal topics are not counted.
    pub fn count(&self, project: ProjectId) -> usize {
        let own = |topics: &BTreeMap<TopicName, Arc<Topic>>| {
            topics.keys().filter(|name| !name.is_internal()).count()
        };
        self.by_name.read().get(&project).map_or(0, own)
    }

    pub fn insert(&self, topic: Arc<Topic>) {
        self.by_id.write().insert(topic.id, Arc::clone(&topic));
        self.by_name.write().entry(topic.project).or_default().insert(topic.name.clone(), topic);
    }

    pub fn remove(&self, topic: &Topic) {
        self.by_id.write().remove(&topic.id);
        let mut by_name = self.by_name.write();
        if let Some(topics) = by_name.get_mut(&topic.project) {
            topics.remove(&topic.name);
        }
    }
}
