//! What belongs to the node: bootstrap, configuration revisions, idempotent requests.

use super::{on_each, operator};
use crate::{Actor, RequestClaim, StoredAnswer, TenancyError};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn bootstrap_makes_its_things_once() {
    on_each(async |store| {
        let by = Actor::system();
        let first = store.bootstrap("demo", &by).await.unwrap();
        assert!(first.is_new);
        let second = store.bootstrap("demo", &by).await.unwrap();
        assert!(!second.is_new);
        assert_eq!((second.tenant, second.project), (first.tenant.clone(), first.project.clone()));
        let other = store.bootstrap("other", &by).await.unwrap();
        assert_ne!(other.tenant.id, first.tenant.id);
        assert_eq!(store.tenants(None, 10).await.unwrap().items.len(), 2);

        store.delete_project(first.tenant.id, first.project.id, &by).await.unwrap();
        let gone = store.bootstrap("demo", &by).await;
        assert!(matches!(gone, Err(TenancyError::Conflict { .. })), "{gone:?}");
    })
    .await;
}

#[tokio::test]
async fn configuration_can_be_traced_back() {
    on_each(async |store| {
        assert!(store.config_revision(None).await.unwrap().is_none());
        for number in 1..=4u64 {
            let config = json!({"number": number});
            let made = store.add_config_revision(&config, "edit", &operator()).await.unwrap();
            assert_eq!((made.revision, &made.config), (number, &config));
        }
        let newest = store.config_revision(None).await.unwrap().unwrap();
        assert_eq!((newest.revision, newest.actor.as_str()), (4, "operator"));
        let second = store.config_revision(Some(2)).await.unwrap().unwrap();
        assert_eq!(second.config, json!({"number": 2}));
        assert!(store.config_revision(Some(u64::MAX)).await.unwrap().is_none());
        let page = store.config_revisions(Some(4), 2).await.unwrap();
        let numbers: Vec<u64> = page.items.iter().map(|revision| revision.revision).collect();
        assert_eq!((numbers, page.has_more), (vec![3, 2], true));
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_is_answered_and_not_carried_out() {
    on_each(async |store| {
        let by = operator();
        let claim = || store.claim_request(&by, "k", b"print");
        assert_eq!(claim().await.unwrap(), RequestClaim::Fresh);
        assert_eq!(claim().await.unwrap(), RequestClaim::Busy);
        let answer = StoredAnswer { status: 201, body: json!({"id": "x"}) };
        store.answer_request(&by, "k", answer.clone()).await.unwrap();
        assert_eq!(claim().await.unwrap(), RequestClaim::Answered(answer));
        let reused = store.claim_request(&by, "k", b"other").await;
        assert_eq!(reused, Err(TenancyError::RequestReused));
        // Another actor's key of the same text is another key.
        let stranger = Actor::system();
        let fresh = store.claim_request(&stranger, "k", b"other").await.unwrap();
        assert_eq!(fresh, RequestClaim::Fresh);
        store.release_request(&stranger, "k").await.unwrap();
        let fresh = store.claim_request(&stranger, "k", b"third").await.unwrap();
        assert_eq!(fresh, RequestClaim::Fresh);
        // A day later it is forgotten.
        store.clock.advance(Duration::from_secs(24 * 3_600 + 1));
        assert_eq!(claim().await.unwrap(), RequestClaim::Fresh);
        for key in [String::new(), "k".repeat(256)] {
            assert!(store.claim_request(&by, &key, b"print").await.is_err());
        }
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_died_with_its_process_may_be_taken_over() {
    on_each(async |store| {
        let by = operator();
        let claim = || store.claim_request(&by, "k", b"print");
        assert_eq!(claim().await.unwrap(), RequestClaim::Fresh);
        store.clock.advance(Duration::from_secs(59));
        assert_eq!(claim().await.unwrap(), RequestClaim::Busy);
        store.clock.advance(Duration::from_secs(2));
        assert_eq!(claim().await.unwrap(), RequestClaim::Fresh);
        assert_eq!(claim().await.unwrap(), RequestClaim::Busy);
    })
    .await;
}

#[tokio::test]
async fn of_two_claims_at_once_one_wins() {
    on_each(async |store| {
        let by = operator();
        let (one, other) = tokio::join!(
            store.claim_request(&by, "k", b"print"),
            store.claim_request(&by, "k", b"print"),
        );
        let mut claims = [one.unwrap(), other.unwrap()];
        claims.sort_by_key(|claim| *claim != RequestClaim::Fresh);
        assert_eq!(claims, [RequestClaim::Fresh, RequestClaim::Busy]);
    })
    .await;
}
