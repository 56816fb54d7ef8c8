//! Devices that wait to be confirmed: on both databases.

use super::{Store, on_each, operator};
use crate::{
    DeviceAnswer, DeviceAsking, DeviceSignInId, DeviceWord, NewDeviceSignIn, NewUser, TenancyError,
    User,
};
use std::time::Duration;
use stdx::Clock;

async fn owner(store: &Store) -> User {
    let new = NewUser { email: "ann@example.org".to_owned(), name: "Ann".to_owned() };
    store.create_owner(new, "hash", &operator()).await.unwrap()
}

async fn start(store: &Store, code: &str) -> DeviceSignInId {
    let new = NewDeviceSignIn {
        user_code: code.to_owned(),
        secret_hash: code.as_bytes().to_vec(),
        device_hash: b"device".to_vec(),
        device: "a terminal".to_owned(),
        address: "192.0.2.7".to_owned(),
        expires_at: store.clock.now_ms() + 60_000,
    };
    store.start_device_sign_in(new).await.unwrap()
}

async fn ask_as(store: &Store, id: DeviceSignInId, code: &str, device: &[u8]) -> DeviceAnswer {
    let asking = DeviceAsking {
        id,
        secret_hash: code.as_bytes().to_vec(),
        device_hash: device.to_vec(),
        interval_ms: 5_000,
    };
    store.ask_device_sign_in(asking).await.unwrap()
}

async fn ask(store: &Store, id: DeviceSignInId, code: &str) -> DeviceAnswer {
    ask_as(store, id, code, b"device").await
}

#[tokio::test]
async fn a_device_is_confirmed_once_and_told_once() {
    on_each(async |store| {
        let (ann, by) = (owner(store).await, operator());
        let id = start(store, "BCDFGHJK").await;
        assert_eq!(ask(store, id, "BCDFGHJK").await, DeviceAnswer::Waiting);
        assert_eq!(ask(store, id, "BCDFGHJK").await, DeviceAnswer::TooSoon);
        store.clock.advance(Duration::from_secs(5));
        assert_eq!(ask(store, id, "BCDFGHJK").await, DeviceAnswer::Waiting);
        let shown = store.device_sign_in("BCDFGHJK").await.unwrap();
        assert_eq!((shown.device.as_str(), shown.address.as_str()), ("a terminal", "192.0.2.7"));
        let word = DeviceWord::Confirm;
        store.answer_device_sign_in(ann.id, "BCDFGHJK", word, &by).await.unwrap();
        let again = store.answer_device_sign_in(ann.id, "BCDFGHJK", word, &by).await;
        assert!(matches!(again, Err(TenancyError::NotFound { .. })));
        assert!(store.device_sign_in("BCDFGHJK").await.is_err());
        // Not to whom it does not belong.
        assert_eq!(ask(store, id, "another").await, DeviceAnswer::Gone);
        assert_eq!(ask_as(store, id, "BCDFGHJK", b"other").await, DeviceAnswer::Gone);
        let told = ask(store, id, "BCDFGHJK").await;
        assert!(matches!(told, DeviceAnswer::Confirmed { user, .. } if user.id == ann.id));
        assert_eq!(ask(store, id, "BCDFGHJK").await, DeviceAnswer::Gone);
    })
    .await;
}

#[tokio::test]
async fn a_device_is_refused_or_waits_in_vain() {
    on_each(async |store| {
        let (ann, by) = (owner(store).await, operator());
        let refused = start(store, "REFUSED").await;
        let word = DeviceWord::Refuse;
        store.answer_device_sign_in(ann.id, "REFUSED", word, &by).await.unwrap();
        assert_eq!(ask(store, refused, "REFUSED").await, DeviceAnswer::Refused);
        let late = start(store, "LATE").await;
        store.clock.advance(Duration::from_secs(60));
        assert_eq!(ask(store, late, "LATE").await, DeviceAnswer::Gone);
        let word = DeviceWord::Confirm;
        assert!(store.answer_device_sign_in(ann.id, "LATE", word, &by).await.is_err());
        // The same code may wait again once the old one is over.
        start(store, "LATE").await;
    })
    .await;
}
