//! Cursors come back unchanged, and nothing else is taken for one.

use super::{Outlet, SHARD, collect, follow, name, on_shard, record, values};
use crate::cursor::CursorSigner;
use aws_lc_rs::hmac;
use port::{Code, CursorMint, Hub, ReadRequest};
use proptest::prelude::*;
use std::time::Duration;
use types::{From, Position, Positions, ProjectId, TopicId};

fn signer(seed: u8) -> CursorSigner {
    CursorSigner::new(hmac::Key::new(hmac::HMAC_SHA256, &[seed; 32]))
}

fn project(number: u128) -> ProjectId {
    ProjectId(uuid::Uuid::from_u128(number))
}

fn positions() -> impl Strategy<Value = Positions> {
    prop::collection::vec((any::<u64>(), 0u32..1024, any::<u64>()), 0..20).prop_map(|all| {
        let position =
            |(topic, partition, next)| Position { topic: TopicId(topic), partition, next };
        all.into_iter().map(position).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_minted_opens_in_its_project_only(positions in positions(), other in 2u128..) {
        let signer = signer(1);
        let cursor = signer.mint(project(1), &positions);
        prop_assert_eq!(signer.open(project(1), &cursor), Ok(positions));
        let refused = signer.open(project(other), &cursor).unwrap_err();
        prop_assert_eq!(refused.code(), Code::InvalidCursor);
    }

    #[test]
    fn a_changed_cursor_is_refused(
        positions in positions(),
        at in any::<usize>(),
        to in "[A-Za-z0-9_-]",
    ) {
        let signer = signer(1);
        let cursor = signer.mint(project(1), &positions);
        let at = at % cursor.len();
        let changed = format!("{}{to}{}", &cursor[..at], &cursor[at + 1..]);
        prop_assume!(changed != cursor);
        prop_assert!(signer.open(project(1), &changed).is_err());
    }

    #[test]
    fn garbage_is_refused(text in any::<String>()) {
        prop_assert!(signer(1).open(project(1), &text).is_err());
    }
}

#[test]
fn another_installation_is_refused() {
    let cursor = signer(1).mint(project(1), &Positions::default());
    assert!(signer(2).open(project(1), &cursor).is_err());
}

/// A cursor of a topic that was deleted says nothing of the one that has its name now.
#[test]
fn a_topic_that_was_made_anew_is_told() {
    on_shard(async |site| {
        let who = site.owner().await;
        site.publish(&who, "t", vec![record("k", "old")]).await;
        let outlet = Outlet::new(10);
        let following = site.node.follow(&who, follow("t", From::Earliest), SHARD, outlet.clone());
        let subscription = following.await.expect("a subscription");
        let cursor = collect(&outlet, 1).await[0].cursor();
        drop(subscription);
        site.node.delete_topic(&who, &name("t")).await.expect("a deletion");
        site.publish(&who, "t", vec![record("k", "new")]).await;
        let outlet = Outlet::new(10);
        let from = From::Cursors(vec![cursor.clone()]);
        let following = site.node.follow(&who, follow("t", from.clone()), SHARD, outlet.clone());
        let _subscription = following.await.expect("a subscription");
        assert_eq!(values(&collect(&outlet, 1).await), ["new"]);
        assert_eq!(outlet.news().first().map(String::as_str), Some("gap 1 1 topic_gone"));
        // A bounded read cannot tell it beside its records.
        let request = ReadRequest {
            topic: name("t"),
            from,
            key: None,
            last: None,
            limit: 10,
            wait: Duration::ZERO,
        };
        let refused = site.node.read(&who, request).await.map(|_| ()).expect_err("another topic");
        assert_eq!(refused.code(), Code::HistoryLost);
    });
}
