//! A branch of the node: its followers get what the node's own would, whatever is told late,
//! missed, or told while a subscription is on its way.

use super::{Outlet, SHARD, Site, follow, name, on_shard, record};
use crate::branch::{Branch, News, Parts, Request, Trunk};
use identity::Secrets;
use port::{Code, Hub, Identity, Refusal, Subscription};
use proptest::prelude::*;
use std::sync::Arc;
use std::task::Poll;
use types::{From, TopicConfig};

/// A branch beside the node, with the news that have not reached it yet.
struct Far {
    branch: Branch,
    trunk: Trunk,
}

impl Far {
    fn new(site: &Site) -> Far {
        let branch = Branch::new(Parts {
            shards: 1,
            cursor_key: Secrets::from_bytes([7; 32]).cursor_key(),
            history: site.node.history(),
            clock: site.clock.clone(),
        });
        let mut shard = branch.shard(SHARD);
        tokio::task::spawn_local(async move {
            loop {
                std::future::poll_fn(|cx| shard.poll_turn(cx, 16)).await;
                tokio::task::yield_now().await;
            }
        });
        let trunk = site.node.trunk(0).expect("a place for a branch");
        Far { branch, trunk }
    }

    async fn news(&self) -> Vec<News> {
        std::future::poll_fn(|cx| match self.trunk.poll_news(cx) {
            Poll::Ready(news) => Poll::Ready(news),
            Poll::Pending => Poll::Ready(Vec::new()),
        })
        .await
    }

    /// Lets the branch hear what it was told so far.
    async fn hear(&self) {
        for news in self.news().await {
            self.branch.hear(news);
        }
    }

    async fn follow(
        &self,
        who: &Identity,
        filter: &str,
        from: From,
        sink: &Arc<Outlet>,
    ) -> Result<Subscription, Refusal> {
        let follow = follow(filter, from);
        self.trunk.follow(1, who, &follow).await;
        let mut request =
            Some(Request { who: who.clone(), follow, shard: SHARD, sink: sink.clone(), call: 1 });
        let mut attaching = None;
        for news in self.news().await {
            match (news, request.take()) {
                (News::Followed { outcome, .. }, Some(request)) => {
                    attaching = Some(self.branch.attach(outcome?, request)?);
                }
                (news, untaken) => {
                    request = untaken;
                    self.branch.hear(news);
                }
            }
        }
        attaching.expect("an answer").attached(()).await
    }

    /// Lets the branch hear and its shard turn until so many records have come.
    async fn collect(&self, outlet: &Outlet, count: usize) -> Vec<u64> {
        let mut offsets = Vec::new();
        while offsets.len() < count {
            self.hear().await;
            offsets.extend(outlet.empty().iter().map(|delivery| delivery.offset));
            tokio::task::yield_now().await;
        }
        offsets
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// **Feature: realtime-saas-platform, Property 7: every connected WebSocket subscribed to
    /// a topic gets each event of it in real time** (through a branch, also what it was not told)
    #[test]
    fn followers_of_a_branch_miss_nothing(
        before in 0..20u64,
        steps in prop::collection::vec((1..40u64, any::<bool>()), 1..8),
        room in 1..50usize,
        from_earliest in any::<bool>(),
    ) {
        on_shard(async |site| {
            let far = Far::new(site);
            let who = site.owner().await;
            for number in 0..before {
                site.publish(&who, "t", vec![record("k", &number.to_string())]).await;
            }
            let outlet = Outlet::new(room);
            let from = if from_earliest { From::Earliest } else { From::Latest };
            let start = if from_earliest { 0 } else { before };
            let following = far.follow(&who, "t/#", from, &outlet).await;
            let _subscription = following.expect("a subscription");
            let mut end = before;
            for (count, is_heard) in steps {
                // More at once than the mailbox keeps: some are missed, and read from the log.
                for _ in 0..count {
                    site.publish(&who, "t", vec![record("k", "more")]).await;
                }
                end += count;
                if is_heard {
                    far.hear().await;
                }
            }
            let offsets = far.collect(&outlet, (end - start) as usize).await;
            assert_eq!(offsets, (start..end).collect::<Vec<_>>());
        });
    }
}

#[test]
fn followers_of_a_whole_project_take_new_topics_in() {
    on_shard(async |site| {
        let far = Far::new(site);
        let who = site.owner().await;
        let outlet = Outlet::new(100);
        let following = far.follow(&who, "#", From::Latest, &outlet).await;
        let _subscription = following.expect("a subscription");
        site.publish(&who, "fresh", vec![record("k", "1")]).await;
        assert_eq!(far.collect(&outlet, 1).await, [0]);
        site.node.delete_topic(&who, &name("fresh")).await.expect("deleted");
        site.publish(&who, "fresh", vec![record("k", "2"), record("k", "3")]).await;
        assert_eq!(far.collect(&outlet, 2).await, [0, 1]);
    });
}

#[test]
fn deleted_topics_end_and_strangers_are_refused() {
    on_shard(async |site| {
        let far = Far::new(site);
        let who = site.owner().await;
        let outlet = Outlet::new(100);
        let config = TopicConfig::default();
        site.node.put_topic(&who, &name("t"), config).await.expect("a topic");
        let following = far.follow(&who, "t", From::Latest, &outlet).await;
        let _subscription = following.expect("a subscription");
        assert!(far.branch.take_unused().is_empty(), "somebody follows it");
        site.node.delete_topic(&who, &name("t")).await.expect("deleted");
        far.hear().await;
        while outlet.news() != ["ended TOPIC_NOT_FOUND"] {
            tokio::task::yield_now().await;
        }
        let stranger = site.caller((site.tenant, site.project), types::Scopes::NONE).await;
        let refused = far.follow(&stranger, "t", From::Latest, &outlet).await;
        assert_eq!(refused.err().map(|why| why.code()), Some(Code::InsufficientScope));
    });
}

#[test]
fn what_nobody_follows_is_left_and_joined_again() {
    on_shard(async |site| {
        let far = Far::new(site);
        let who = site.owner().await;
        let outlet = Outlet::new(100);
        let subscription = far.follow(&who, "t", From::Latest, &outlet).await;
        drop(subscription.expect("a subscription"));
        let unused = loop {
            let unused = far.branch.take_unused();
            if !unused.is_empty() {
                break unused;
            }
            tokio::task::yield_now().await;
        };
        unused.into_iter().for_each(|topic| far.trunk.leave(topic));
        site.publish(&who, "t", vec![record("k", "1")]).await;
        assert!(far.news().await.is_empty(), "nobody is told");
        let again = far.follow(&who, "t", From::Earliest, &outlet).await;
        let _subscription = again.expect("a subscription");
        site.publish(&who, "t", vec![record("k", "2")]).await;
        assert_eq!(far.collect(&outlet, 2).await, [0, 1]);
    });
}
