//! Nothing crosses from one project to another.

use super::{Outlet, SHARD, collect, follow, make_project, name, on_shard, record, values};
use port::{Code, Hub, ReadRequest};
use proptest::prelude::*;
use std::time::Duration;
use types::{From, Key, Limits, Scopes};

fn read(from: From) -> ReadRequest {
    ReadRequest { topic: name("t"), from, key: None, last: None, limit: 1000, wait: Duration::ZERO }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// **Feature: realtime-saas-platform, Property 3: events stay within their tenant and project;
    /// nothing crosses a tenant boundary**
    #[test]
    fn tenants_never_mix(order in prop::collection::vec(any::<bool>(), 1..20)) {
        on_shard(async |site| {
            let mine = site.owner().await;
            let other = make_project(&site.tenancy, Limits::default()).await;
            let theirs = site.caller(other, Scopes::all()).await;
            let (here, there) = (Outlet::new(1000), Outlet::new(1000));
            let one = site.node.follow(&mine, follow("t", From::Earliest), SHARD, here.clone());
            let _one = one.await.expect("a subscription");
            let two = site.node.follow(&theirs, follow("+", From::Earliest), SHARD, there.clone());
            let _two = two.await.expect("a subscription");
            for is_mine in &order {
                let who = if *is_mine { &mine } else { &theirs };
                let value = if *is_mine { "mine" } else { "theirs" };
                site.publish(who, "t", vec![record("k", value)]).await;
            }
            let count = |is_mine: bool| order.iter().filter(|it| **it == is_mine).count();
            for (who, outlet, is_mine, value) in
                [(&mine, &here, true, "mine"), (&theirs, &there, false, "theirs")]
            {
                let live = values(&collect(outlet, count(is_mine)).await);
                assert!(live.iter().all(|got| got == value), "{live:?}");
                let stored = site.node.read(who, read(From::Earliest)).await;
                match stored {
                    Ok(answer) => assert_eq!(values(&answer.records), vec![value; count(is_mine)]),
                    Err(refusal) => {
                        assert_eq!((refusal.code(), count(is_mine)), (Code::TopicNotFound, 0));
                    }
                }
            }
        });
    }
}

#[test]
fn another_project_s_cursor_is_refused() {
    on_shard(async |site| {
        let mine = site.owner().await;
        let other = make_project(&site.tenancy, Limits::default()).await;
        let theirs = site.caller(other, Scopes::all()).await;
        site.publish(&mine, "t", vec![record("k", "1")]).await;
        site.publish(&theirs, "t", vec![record("k", "2")]).await;
        let cursor = site.node.read(&mine, read(From::Earliest)).await.unwrap().next_cursor;
        let stolen = read(From::Cursors(vec![cursor]));
        let refused = site.node.read(&theirs, stolen).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidCursor);
    });
}

#[test]
fn another_project_s_key_value_is_invisible() {
    on_shard(async |site| {
        let mine = site.owner().await;
        let other = make_project(&site.tenancy, Limits::default()).await;
        let theirs = site.caller(other, Scopes::all()).await;
        site.publish(&mine, "t", vec![record("k", "1")]).await;
        site.publish(&theirs, "t", vec![record("other", "2")]).await;
        let key = Key::new("k").unwrap();
        assert!(site.node.latest(&theirs, &name("t"), &key).await.unwrap().is_none());
        let keys = site.node.keys(&theirs, &name("t"), None, 10).await.unwrap().keys;
        assert_eq!(keys, [Key::new("other").unwrap()]);
    });
}
