//! Who is present, and who hears of it, with real connections and the real presence topic.

use super::{Outlet, SHARD, Site, collect, name, on_shard, peer, values};
use port::live::Quota;
use port::presence::{Entering, MemberData, PresenceAction};
use port::{
    Change, Connection, Feed, Follow, Hub, Identity, Lease, Live, PresenceAnswer, PresenceCall,
    PresenceCounts, Subscription,
};
use std::sync::Arc;
use std::time::Duration;
use types::{Filter, From, Scopes, SubscriptionTag, TopicName};

fn entering(member: &str) -> Entering {
    Entering { member: member.to_owned(), device: None, data: MemberData::Keep, lease: None }
}

fn enter(member: &str) -> PresenceCall {
    PresenceCall { action: PresenceAction::Enter(entering(member)), limit: 10 }
}

fn list() -> PresenceCall {
    PresenceCall { action: PresenceAction::List { after: None }, limit: 10 }
}

impl Site {
    async fn connect(&self, who: &Identity) -> Lease {
        let connection =
            Connection { protocol: "test", quota: Quota::Other, address: peer().address };
        self.node.open(who, connection, Feed::new()).await.expect("a lease")
    }

    async fn in_room(
        &self,
        who: &Identity,
        connection: Option<&Lease>,
        call: PresenceCall,
    ) -> PresenceAnswer {
        let key = types::Key::new("1").expect("a key");
        let answer = self.node.presence(who, connection, &name("room"), Some(&key), call).await;
        answer.expect("an answer")
    }

    async fn watch(&self, who: &Identity) -> (Arc<Outlet>, Subscription) {
        let outlet = Outlet::new(100);
        let watch = Follow {
            tag: SubscriptionTag(2),
            filter: Filter::key(TopicName::presence(), "room/1"),
            ..super::follow("room", From::Latest)
        };
        let subscription = self.node.follow(who, watch, SHARD, outlet.clone()).await;
        (outlet, subscription.expect("a subscription"))
    }

    /// The gathering window of changes is over.
    fn pass_window(&self) {
        self.clock.advance(Duration::from_millis(100));
        self.node.turn_presence();
    }
}

#[test]
fn entering_and_leaving_are_told_and_listed() {
    on_shard(async |site| {
        let who = site.owner().await;
        let (outlet, _subscription) = site.watch(&who).await;
        let (one, two) = (site.connect(&who).await, site.connect(&who).await);
        let there = site.in_room(&who, Some(&one), enter("ann")).await;
        assert_eq!(there.counts, PresenceCounts { members: 1, connections: 1 });
        let told = values(&collect(&outlet, 1).await);
        assert!(told[0].contains(r#""action":"enter","member":"ann""#), "{told:?}");
        let there = site.in_room(&who, Some(&two), enter("ann")).await;
        assert_eq!(there.counts, PresenceCounts { members: 1, connections: 2 });
        drop(one);
        let there = site.in_room(&who, Some(&two), list()).await;
        assert_eq!(there.members.len(), 1, "she is still here by the other connection");
        site.pass_window();
        let told = values(&collect(&outlet, 1).await);
        assert_eq!(told, [r#"{"changes":[],"members":1,"connections":1}"#]);
        drop(two);
        site.pass_window();
        let told = values(&collect(&outlet, 1).await);
        assert!(told[0].contains(r#""action":"leave","member":"ann""#), "{told:?}");
    });
}

#[test]
fn a_lease_outlives_its_connection_and_ends_by_itself() {
    on_shard(async |site| {
        let who = site.owner().await;
        let (outlet, _subscription) = site.watch(&who).await;
        let lease = Some(Duration::from_secs(5));
        let call = || {
            let entering = Entering { lease, ..entering("ann") };
            PresenceCall { action: PresenceAction::Enter(entering), limit: 0 }
        };
        let connection = site.connect(&who).await;
        let granted = site.in_room(&who, Some(&connection), call()).await.lease;
        assert_eq!(granted, lease);
        drop(connection);
        site.in_room(&who, None, call()).await;
        site.clock.advance(Duration::from_secs(4));
        assert_eq!(site.in_room(&who, None, call()).await.counts.connections, 2);
        site.clock.advance(Duration::from_secs(1));
        // The connection's device was not renewed, the other one was.
        let next = site.node.turn_presence();
        assert_eq!(site.in_room(&who, None, list()).await.counts.connections, 1);
        assert!(next.is_some(), "the keeper knows when to come again");
        site.clock.advance(Duration::from_secs(4));
        site.node.turn_presence();
        assert_eq!(site.in_room(&who, None, list()).await.counts.members, 0);
        let told = values(&collect(&outlet, 3).await);
        assert!(told.last().expect("told").contains(r#""action":"leave""#), "{told:?}");
    });
}

#[test]
fn a_suspended_tenant_is_present_nowhere() {
    on_shard(async |site| {
        let by = tenancy::Actor::system();
        let who = site.caller((site.tenant, site.project), Scopes::all()).await;
        let lease = Some(Duration::from_secs(60));
        let leased = Entering { lease, ..entering("ann") };
        let call = PresenceCall { action: PresenceAction::Enter(leased), limit: 0 };
        site.in_room(&who, None, call).await;
        site.tenancy.suspend_tenant(site.tenant, "unpaid", &by).await.expect("suspended");
        site.node.changed(Change::Tenant(site.tenant));
        let operator = site.authenticator.operator(site.project).await.expect("an operator");
        while site.in_room(&operator, None, list()).await.counts.members > 0 {
            tokio::task::yield_now().await;
        }
    });
}
