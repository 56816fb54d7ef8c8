//! Passkeys and spent challenges: on both databases.

use super::{Store, on_each, operator};
use crate::{
    Actor, NewInvitation, NewPasskey, NewUser, PASSKEYS_MAX, Passkey, PasskeyAnswer, PasskeyUse,
    SpentChallenge, TenancyError, User,
};
use std::time::Duration;

async fn owner(store: &Store) -> User {
    let new = NewUser { email: "ann@example.org".to_owned(), name: "Ann".to_owned() };
    store.create_owner(new, "hash", &operator()).await.unwrap()
}

/// Somebody who was invited and has no password yet.
async fn guest(store: &Store) -> User {
    let wish = NewInvitation {
        email: "bob@example.org".to_owned(),
        name: "Bob".to_owned(),
        role: "support".to_owned(),
        tenant: None,
        project: None,
        conditions: None,
        token_hash: b"token".to_vec(),
        expires_at: i64::MAX,
    };
    store.invite_user(wish, &operator()).await.unwrap().user
}

fn challenge(store: &Store, hash: &str) -> SpentChallenge {
    use stdx::Clock;
    let expires_at = store.clock.now_ms() + 60_000;
    SpentChallenge { hash: hash.as_bytes().to_vec(), expires_at }
}

fn new(store: &Store, user: &User, name: &str) -> NewPasskey {
    NewPasskey {
        user: user.id,
        name: name.to_owned(),
        credential_id: format!("credential {name}").into_bytes(),
        public_key: b"key".to_vec(),
        transports: vec!["internal".to_owned(), "carrier-pigeon".to_owned(), "usb".to_owned()],
        count: 0,
        is_synced: false,
        challenge: challenge(store, &format!("to make {name}")),
    }
}

async fn answer(store: &Store, passkey: &Passkey, count: u32, hash: &str) -> PasskeyUse {
    let challenge = challenge(store, hash);
    let answer = PasskeyAnswer { passkey: passkey.id, count, is_synced: true, challenge };
    store.use_passkey(answer, &Actor::system()).await.unwrap()
}

async fn trail(store: &Store, action: &str) -> Vec<serde_json::Value> {
    let filter = crate::AuditFilter::default();
    let trail = store.audit_of_all_tenants(&filter, 500).await.unwrap();
    let found = trail.items.into_iter().filter(|record| record.action == action);
    found.map(|record| record.details).collect()
}

#[tokio::test]
async fn a_passkey_is_kept_named_and_removed() {
    on_each(async |store| {
        let (ann, by) = (owner(store).await, operator());
        let key = store.add_passkey(new(store, &ann, "laptop"), &by).await.unwrap();
        assert_eq!(key.transports, ["usb", "internal"], "only words that there are");
        let found = store.passkey_by_credential(&key.credential_id).await.unwrap().unwrap();
        assert_eq!((found.passkey.id, found.user.id), (key.id, ann.id));
        assert_eq!(found.public_key, b"key");
        assert!(store.passkey_by_credential(b"another").await.unwrap().is_none());
        // The same credential, or an answered challenge, makes no second one.
        let mut twice = new(store, &ann, "laptop");
        twice.challenge = challenge(store, "fresh");
        let twice = store.add_passkey(twice, &by).await;
        assert!(matches!(&twice, Err(TenancyError::Conflict { field: Some("credential"), .. })));
        let mut replayed = new(store, &ann, "telephone");
        replayed.challenge = challenge(store, "to make laptop");
        let replayed = store.add_passkey(replayed, &by).await;
        assert!(matches!(&replayed, Err(TenancyError::Conflict { field: Some("challenge"), .. })));
        let renamed = store.rename_passkey(ann.id, key.id, "work laptop", &by).await.unwrap();
        assert_eq!(renamed.name, "work laptop");
        assert!(store.rename_passkey(ann.id, key.id, "", &by).await.is_err());
        // Another user has no such passkey.
        let bob = guest(store).await;
        let stranger = store.rename_passkey(bob.id, key.id, "mine", &by).await;
        assert!(matches!(stranger, Err(TenancyError::NotFound { .. })));
        let stranger = store.remove_passkey(bob.id, key.id, &by).await;
        assert!(matches!(stranger, Err(TenancyError::NotFound { .. })));
        store.remove_passkey(ann.id, key.id, &by).await.unwrap();
        assert!(store.passkeys(ann.id).await.unwrap().is_empty());
        for action in ["passkey.register", "passkey.rename", "passkey.remove"] {
            assert_eq!(trail(store, action).await.len(), 1, "{action}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_counts_once_and_never_backwards() {
    on_each(async |store| {
        let (ann, by) = (owner(store).await, operator());
        let key = store.add_passkey(new(store, &ann, "stick"), &by).await.unwrap();
        assert_eq!(answer(store, &key, 3, "one").await, PasskeyUse::Done);
        assert_eq!(answer(store, &key, 4, "one").await, PasskeyUse::Replayed);
        for count in [0, 2, 3] {
            let other = format!("back to {count}");
            assert_eq!(answer(store, &key, count, &other).await, PasskeyUse::CountWentBack);
        }
        let refused = trail(store, "passkey.refuse").await;
        assert_eq!(refused.len(), 3);
        assert!(refused.iter().all(|details| details["reason"] == "count_went_back"));
        assert_eq!(answer(store, &key, 4, "two").await, PasskeyUse::Done);
        let now = &store.passkeys(ann.id).await.unwrap()[0];
        assert!(now.is_synced && now.used_at.is_some());
        // One that does not count says zero each time.
        let still = store.add_passkey(new(store, &ann, "synced"), &by).await.unwrap();
        assert_eq!(answer(store, &still, 0, "three").await, PasskeyUse::Done);
        assert_eq!(answer(store, &still, 0, "four").await, PasskeyUse::Done);
        // Of two at the same moment one counts.
        let both = tokio::join!(answer(store, &still, 0, "5"), answer(store, &still, 0, "5"));
        let both = [both.0, both.1];
        let done = both.iter().filter(|outcome| **outcome == PasskeyUse::Done).count();
        assert_eq!(done, 1, "{both:?}");
        store.remove_passkey(ann.id, still.id, &by).await.unwrap();
        assert_eq!(answer(store, &still, 0, "six").await, PasskeyUse::Gone);
        // What could not be answered any more is forgotten.
        store.clock.advance(Duration::from_secs(61));
        assert_eq!(answer(store, &key, 5, "one").await, PasskeyUse::Done);
    })
    .await;
}

#[tokio::test]
async fn a_user_has_so_many_and_keeps_the_last_way_in() {
    on_each(async |store| {
        let (ann, bob, by) = (owner(store).await, guest(store).await, operator());
        for number in 0..PASSKEYS_MAX {
            store.add_passkey(new(store, &ann, &format!("{number}")), &by).await.unwrap();
        }
        let more = store.add_passkey(new(store, &ann, "more"), &by).await;
        assert!(matches!(more, Err(TenancyError::Conflict { field: Some("passkeys"), .. })));
        // Bob has no password: of his passkeys one stays.
        let one = store.add_passkey(new(store, &bob, "one"), &by).await.unwrap();
        let two = store.add_passkey(new(store, &bob, "two"), &by).await.unwrap();
        store.remove_passkey(bob.id, one.id, &by).await.unwrap();
        let last = store.remove_passkey(bob.id, two.id, &by).await;
        assert!(matches!(last, Err(TenancyError::Conflict { field: Some("passkey"), .. })));
        // With the user they go.
        store.delete_user(bob.id, &by).await.unwrap();
        assert!(store.passkey_by_credential(&two.credential_id).await.unwrap().is_none());
    })
    .await;
}
