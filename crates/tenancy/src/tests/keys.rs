//! API keys: lookup, rotation with grace, revocation.

use super::{START_MS, on_each, operator};
use crate::{KeyMode, NewKey, TenancyError};
use std::time::Duration;
use types::{KeyId, Scope, Scopes};

pub(super) fn new_key(prefix: &str) -> NewKey {
    NewKey {
        name: format!("key {prefix}"),
        mode: KeyMode::Live,
        prefix: prefix.to_owned(),
        hash: vec![0xff, 0, 1, 2],
        scopes: [Scope::EventsPublish, Scope::AdminRead].into_iter().collect(),
        grants: Some(serde_json::json!([{"filter": "orders/#", "access": "publish"}])),
        rate_per_second: Some(50),
        expires_at: None,
        verifier: None,
    }
}

#[tokio::test]
async fn a_key_is_found_by_its_prefix_with_all_that_bounds_it() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let made = store.create_key(tenant, project, new_key("abc"), &operator()).await.unwrap();
        let found = store.find_key_by_prefix("abc").await.unwrap().unwrap();
        assert_eq!(found.key, made);
        assert_eq!((found.tenant.id, found.project.id), (tenant, project));
        assert_eq!(found.key.hash, [0xff, 0, 1, 2]);
        assert_eq!(found.key.grants, new_key("abc").grants);
        assert!(found.key.scopes.has(Scope::AdminRead) && !found.key.scopes.has(Scope::AdminWrite));
        assert_eq!(found.key.rate_per_second, Some(50));
        assert!(store.find_key_by_prefix("ab").await.unwrap().is_none());
        assert!(store.find_key_by_prefix("").await.unwrap().is_none());
        assert_eq!(store.key(tenant, project, made.id).await.unwrap(), made);
        assert!(!format!("{made:?}").contains("255"), "a hash must not be printed");

        let twice = store.create_key(tenant, project, new_key("abc"), &operator()).await;
        assert!(matches!(twice, Err(TenancyError::Conflict { .. })), "{twice:?}");
    })
    .await;
}

#[tokio::test]
async fn bad_keys_are_refused_by_field() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let cases = [
            ("name", NewKey { name: String::new(), ..new_key("k") }),
            ("rate_per_second", NewKey { rate_per_second: Some(0), ..new_key("k") }),
            ("expires_at", NewKey { expires_at: Some(START_MS), ..new_key("k") }),
        ];
        for (wanted, new) in cases {
            let refused = store.create_key(tenant, project, new, &operator()).await;
            let Err(TenancyError::Invalid { field, .. }) = refused else { panic!("{refused:?}") };
            assert_eq!(field, wanted);
        }
        assert!(store.keys(tenant, project, None, 10).await.unwrap().items.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_replaced_key_counts_through_its_grace() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let by = operator();
        let expiring = NewKey { expires_at: Some(START_MS + 60_000), ..new_key("old") };
        let old = store.create_key(tenant, project, expiring, &by).await.unwrap();
        let grace = Duration::from_secs(30);
        let rotated =
            store.rotate_key(tenant, project, old.id, new_key("new"), grace, &by).await.unwrap();
        assert_eq!(rotated.new.rotated_from, Some(old.id));
        assert_eq!(rotated.old.grace_until, Some(START_MS + 30_000));
        assert_eq!(rotated.old.ends_at(), Some(START_MS + 30_000));
        assert!(rotated.old.is_usable(START_MS + 29_999));
        assert!(!rotated.old.is_usable(START_MS + 30_000));
        assert!(rotated.new.is_usable(i64::MAX));
        assert_eq!(store.find_key_by_prefix("old").await.unwrap().unwrap().key, rotated.old);

        let again = store.rotate_key(tenant, project, old.id, new_key("x"), grace, &by).await;
        assert!(matches!(again, Err(TenancyError::Conflict { .. })), "{again:?}");
        assert!(store.find_key_by_prefix("x").await.unwrap().is_none(), "all or nothing");
        // A grace longer than the old key's life does not prolong it.
        let long = Duration::from_secs(u64::MAX);
        let third = rotated.new.id;
        let rotated =
            store.rotate_key(tenant, project, third, new_key("third"), long, &by).await.unwrap();
        assert_eq!(rotated.old.grace_until, Some(i64::MAX));
    })
    .await;
}

#[tokio::test]
async fn a_failed_rotation_leaves_the_old_key_alone() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let by = operator();
        let old = store.create_key(tenant, project, new_key("old"), &by).await.unwrap();
        // The prefix of the new key is taken: the second half of the rotation fails.
        let grace = Duration::from_secs(1);
        let refused = store.rotate_key(tenant, project, old.id, new_key("old"), grace, &by).await;
        assert!(matches!(refused, Err(TenancyError::Conflict { .. })), "{refused:?}");
        assert_eq!(store.key(tenant, project, old.id).await.unwrap(), old);
    })
    .await;
}

#[tokio::test]
async fn revocation_is_for_ever_and_repeatable() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let by = operator();
        let key = store.create_key(tenant, project, new_key("k"), &by).await.unwrap();
        let revoked = store.revoke_key(tenant, project, key.id, &by).await.unwrap();
        assert_eq!(revoked.revoked_at, Some(START_MS));
        store.clock.advance(Duration::from_secs(5));
        assert_eq!(store.revoke_key(tenant, project, key.id, &by).await.unwrap(), revoked);
        assert!(!revoked.is_usable(START_MS));
        let grace = Duration::from_secs(1);
        let refused = store.rotate_key(tenant, project, key.id, new_key("n"), grace, &by).await;
        assert!(matches!(refused, Err(TenancyError::Conflict { .. })), "{refused:?}");
        let missing = store.revoke_key(tenant, project, KeyId(uuid::Uuid::nil()), &by).await;
        assert_eq!(missing, Err(TenancyError::NotFound { what: "key" }));
        let listed = store.keys(tenant, project, None, 10).await.unwrap();
        assert_eq!(listed.items, vec![revoked]);
        assert_eq!(Scopes::default(), Scopes::NONE);
    })
    .await;
}

/// What a key is checked with is written once, by whoever is first, and goes with nobody else.
#[tokio::test]
async fn what_a_key_is_checked_with_is_kept_once() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let made = store.create_key(tenant, project, new_key("abc"), &operator()).await.unwrap();
        assert_eq!(made.verifier, None);
        assert_eq!(store.find_key_prefix(made.id).await.unwrap().as_deref(), Some("abc"));
        let (other, _) = store.scope("b").await;
        assert!(!store.keep_key_verifier(other, made.id, vec![9]).await.unwrap());
        assert!(store.keep_key_verifier(tenant, made.id, vec![0, 255]).await.unwrap());
        assert!(!store.keep_key_verifier(tenant, made.id, vec![1]).await.unwrap());
        let found = store.find_key_by_prefix("abc").await.unwrap().expect("it is there").key;
        assert_eq!(found.verifier, Some(vec![0, 255]));
        let new = NewKey { verifier: Some(vec![3]), ..new_key("def") };
        let grace = Duration::from_secs(1);
        let made = store.rotate_key(tenant, project, made.id, new, grace, &operator()).await;
        assert_eq!(made.unwrap().new.verifier, Some(vec![3]));
        assert_eq!(store.find_key_prefix(KeyId(uuid::Uuid::nil())).await.unwrap(), None);
    })
    .await;
}
