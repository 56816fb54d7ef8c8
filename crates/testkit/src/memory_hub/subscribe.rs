//! How a subscription of the memory hub begins; `follow` is how it goes on.

use super::access::{check_filter, check_scope};
use super::follow::{FollowGuard, Follower, TakesTopic, ends};
use super::state::Project;
use super::{Call, MemoryHub};
use port::{Code, CursorMint, Delivery, Follow, Identity, Refusal, ShardId, Sink, Subscription};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use types::filter::{KeyPart, TopicPart};
use types::{From, Key, Positions, Scope};

impl MemoryHub {
    pub(super) fn follow_now(
        &self,
        who: &Identity,
        follow: Follow,
        shard: ShardId,
        sink: Arc<dyn Sink>,
    ) -> Result<Subscription, Refusal> {
        let (subscription, shards) = {
            let mut state = self.state();
            self.admit(&mut state, who, Call::Follow)?;
            check_scope(who, Scope::EventsSubscribe)?;
            check_filter(who, &follow.filter)?;
            if follow.shaping.is_some() {
                let message = "this hub keeps subscriptions as they come";
                return Err(Refusal::new(Code::Unsupported, message));
            }
            let named = self.named(who, &follow.from)?;
            let target = ends(&state, who, &follow.filter);
            let project = state.project(who.project())?;
            let start = starts(project, &follow, &named);
            let first = newest_of_key(project, &follow);
            state.followers_opened += 1;
            let id = state.followers_opened;
            let is_alive = Arc::new(AtomicBool::new(true));
            let follower = Follower {
                shard: shard.0,
                connection: follow.connection,
                tag: follow.tag,
                sink,
                who: who.clone(),
                filter: follow.filter,
                excludes_own: follow.exclude_own,
                first,
                next: start.iter().map(|p| ((p.topic, p.partition), p.next)).collect(),
                target: Some(target),
                ended: None,
                is_dirty: true,
                is_paused: false,
                is_alive: Arc::clone(&is_alive),
            };
            state.followers.insert(id, follower);
            let guard = Box::new(FollowGuard { hub: self.clone(), id, is_alive });
            let cursor = self.0.mint.mint(who.project(), &start);
            let subscription = Subscription { tag: follow.tag, start, cursor, guard };
            (subscription, BTreeSet::from([shard.0]))
        };
        self.wake(&shards);
        Ok(subscription)
    }
}

/// Where a subscription begins in each partition there is now.
fn starts(project: &Project, follow: &Follow, named: &Positions) -> Positions {
    let mut start = Positions::default();
    for (_, topic) in project.topics.iter().filter(|(name, _)| follow.filter.takes_topic(name)) {
        start.merge(&topic.resolve(&follow.from, named));
    }
    start
}

fn newest_of_key(project: &Project, follow: &Follow) -> Option<Arc<Delivery>> {
    let (TopicPart::Exact(name), KeyPart::Exact(key)) = (&follow.filter.topic, &follow.filter.key)
    else {
        return None;
    };
    if !follow.latest_first || follow.from != From::Latest {
        return None;
    }
    let key = Key::new(key.as_bytes().to_vec()).ok()?;
    let newest = project.topics.get(name)?.of_key(&key).next_back().cloned();
    newest.filter(|found| found.record.value.is_some())
}
