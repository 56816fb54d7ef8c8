//! Floods and failures: what bad credentials cost, and what happens when the database is silent.

use crate::Environment;
use crate::api_key::KeyHasher;
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::tests::{World, patient};
use futures_util::future::join_all;
use port::{Change, Code};
use secrecy::ExposeSecret;
use std::sync::atomic::Ordering;
use std::time::Duration;
use stdx::SystemRng;
use types::Scopes;

#[tokio::test]
async fn bad_keys_cost_no_database_work() {
    let world = World::open(patient()).await;
    let (text, _) = world.new_key(Scopes::all()).await;
    world.try_key(&text).await.unwrap();
    let before = world.reads();
    let strangers = KeyHasher::new(Secrets::from_bytes([9; 32]).pepper());
    for _ in 0..1_000 {
        let made_up = strangers.generate(Environment::Live, &SystemRng);
        assert_eq!(world.try_key(&made_up.text).await.unwrap_err().code(), Code::InvalidApiKey);
    }
    let mut wrong = text.expose_secret().to_owned();
    wrong.truncate(wrong.len() - 4);
    for n in 1_000..2_000 {
        assert!(world.try_key_text(&format!("{wrong}{n}")).await.is_err());
    }
    assert_eq!(world.reads(), before, "made-up keys and wrong secrets are refused by themselves");
    // A key of ours that is gone is asked for once, and again only after a while.
    let gone = world.authenticator.new_api_key(Environment::Live);
    for _ in 0..100 {
        assert!(world.try_key(&gone.text).await.is_err());
    }
    assert_eq!(world.reads(), before + 1);
}

#[tokio::test]
async fn a_good_key_is_read_once() {
    let world = World::open(patient()).await;
    let (text, _) = world.new_key(Scopes::all()).await;
    let crowd = join_all((0..100).map(|_| world.try_key(&text))).await;
    assert!(crowd.iter().all(Result::is_ok));
    // One of the key; one of its project, for each request that came before the first answer at
    // most, and the gate lets no more than eight of them ask.
    assert!(world.reads() <= 2 * Settings::default().loads_max, "{}", world.reads());
    let before = world.reads();
    join_all((0..100).map(|_| world.try_key(&text))).await;
    assert_eq!(world.reads(), before);
}

#[tokio::test]
async fn a_crowd_before_a_narrow_gate_is_refused_as_overload() {
    let settings = Settings { loads_max: 1, load_waiters_max: 2, ..patient() };
    let world = World::open(settings).await;
    let mut texts = Vec::new();
    for _ in 0..10 {
        texts.push(world.new_key(Scopes::all()).await.0);
    }
    let crowd = join_all(texts.iter().map(|text| world.try_key(text))).await;
    let refused: Vec<_> = crowd.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(!refused.is_empty() && refused.len() < 10);
    assert!(refused.iter().all(|r| r.code() == Code::Overloaded && r.wait().is_some()));
}

#[tokio::test]
async fn a_silent_database_is_bridged_for_a_while() {
    let world = World::open(Settings::default()).await;
    let (text, key) = world.new_key(Scopes::all()).await;
    let (unseen, _) = world.new_key(Scopes::all()).await;
    world.try_key(&text).await.unwrap();
    world.door.is_shut.store(true, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(29));
    assert!(world.try_key(&text).await.is_ok(), "what was read a while ago still counts");
    let refusal = world.try_key(&unseen).await.unwrap_err();
    assert_eq!(refusal.code(), Code::DatabaseConnectionError);
    assert!(refusal.wait().is_some());
    world.clock.advance(Duration::from_secs(2));
    let refusal = world.try_key(&text).await.unwrap_err();
    assert_eq!(refusal.code(), Code::DatabaseConnectionError, "but not for ever");
    world.door.is_shut.store(false, Ordering::SeqCst);
    let session = world.try_key(&text).await.unwrap();
    // A change whose record cannot be read: nothing old is served, and it is not forgotten.
    let by = crate::tests::by();
    world.store().revoke_key(world.tenant, world.project, key.id, &by).await.unwrap();
    world.door.is_shut.store(true, Ordering::SeqCst);
    world.authenticator.changed(&Change::Key(key.id)).await;
    let refusal = world.try_key(&text).await.unwrap_err();
    assert_eq!(refusal.code(), Code::DatabaseConnectionError);
    world.door.is_shut.store(false, Ordering::SeqCst);
    assert!(world.authenticator.refresh().await.contains(&Change::Key(key.id)));
    assert!(session.is_revoked());
}

#[tokio::test]
async fn tokens_that_name_made_up_projects_are_bounded() {
    let settings = Settings { unknown_projects_per_second_max: 5, ..patient() };
    let world = World::open(settings).await;
    let mut codes = Vec::new();
    for n in 0..50u128 {
        let project = types::ProjectId(uuid::Uuid::from_u128(n));
        let text = crate::tests::tokens::unsigned(&format!("{project}.main"));
        codes.push(world.try_token(&text).await.unwrap_err().code());
    }
    assert_eq!(codes.iter().filter(|code| **code == Code::InvalidToken).count(), 5);
    assert_eq!(codes.iter().filter(|code| **code == Code::Overloaded).count(), 45);
    assert_eq!(world.reads(), 5);
    // A known project is not affected.
    let (text, _) = world.new_key(Scopes::all()).await;
    world.authenticator.operator(world.project).await.err();
    world.clock.advance(Duration::from_secs(1));
    assert!(world.try_key(&text).await.is_ok());
}
