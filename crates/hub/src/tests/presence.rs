//! Who is present, and who hears of it.

use super::{Outlet, SHARD, collect, name, on_shard, peer, values};
use port::live::Quota;
use port::{Connection, Feed, Follow, Hub, PresenceCall};
use types::{Filter, From, SubscriptionTag, TopicName};

#[test]
fn entering_and_leaving_are_told_and_listed() {
    on_shard(async |site| {
        let who = site.owner().await;
        let outlet = Outlet::new(100);
        let watch = Follow {
            tag: SubscriptionTag(2),
            filter: Filter::key(TopicName::presence(), "room/1"),
            from: From::Latest,
            latest_first: false,
            exclude_own: false,
            connection: None,
            shaping: None,
        };
        let following = site.node.follow(&who, watch, SHARD, outlet.clone());
        let _subscription = following.await.expect("a subscription");
        let open = || {
            let connection =
                Connection { protocol: "test", quota: Quota::Other, address: peer().address };
            site.node.open(&who, connection, Feed::new()).expect("a lease")
        };
        let (one, two) = (open(), open());
        let key = types::Key::new("1").unwrap();
        let topic = name("room");
        let enter = || PresenceCall::Enter { member: "ann".to_owned(), data: None };
        for lease in [&one, &two] {
            let there = site.node.presence(&who, lease, &topic, Some(&key), enter()).await;
            assert_eq!(there.unwrap().len(), 1);
        }
        drop(one);
        let list = site.node.presence(&who, &two, &topic, Some(&key), PresenceCall::List).await;
        assert_eq!(list.unwrap().len(), 1, "she is still here by the other connection");
        drop(two);
        let told = values(&collect(&outlet, 2).await);
        assert!(told[0].contains(r#""action":"enter","member":"ann""#), "{told:?}");
        assert!(told[1].contains(r#""action":"leave","member":"ann""#), "{told:?}");
    });
}
