//! The catalogue's properties of API keys, on the real store.

use crate::tests::{Stage, World, by, patient};
use crate::{ApiKeyText, Settings};
use port::{Change, Code};
use proptest::prelude::*;
use rules::grants::check_address;
use rules::scopes;
use secrecy::ExposeSecret;
use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use types::{Access, Scope, Scopes, TopicName};

/// For the properties that leave the clock alone; the others have one each.
static STAGE: LazyLock<Stage> = LazyLock::new(|| Stage::new(patient()));
static ROTATION: LazyLock<Stage> = LazyLock::new(|| Stage::new(patient()));
static REVOCATION: LazyLock<Stage> = LazyLock::new(|| Stage::new(patient()));
/// Texts and lookup ids of all keys made by property 15.
static SEEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);

fn is_new(text: &str) -> bool {
    SEEN.lock().unwrap().get_or_insert_default().insert(text.to_owned())
}

fn any_scopes() -> impl Strategy<Value = Scopes> {
    proptest::sample::subsequence(Scope::ALL.to_vec(), 0..=5)
        .prop_map(|scopes| scopes.into_iter().collect())
}

fn advance(world: &World, by_ms: u64) {
    world.clock.advance(Duration::from_millis(by_ms));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// **Feature: realtime-saas-platform, Property 4: a key without publish permission is refused
    /// with the right error code**
    #[test]
    fn property_4_no_publishing_without_the_scope(scopes in any_scopes(), topic in "[a-z]{1,9}") {
        STAGE.run(async |world| {
            let (text, _) = world.new_key(scopes).await;
            let who = world.try_key(&text).await.unwrap();
            let topic = TopicName::parse(&topic).unwrap();
            let outcome = check_address(who.claims(), Access::Publish, &topic, None);
            match (scopes.has(Scope::EventsPublish), outcome) {
                (true, Ok(())) => {}
                (false, Err(refusal)) => {
                    assert_eq!(refusal.code(), Code::InsufficientScope);
                    assert!(refusal.message().contains("events:publish"));
                }
                (has_scope, outcome) => panic!("{has_scope} {outcome:?}"),
            }
        });
    }

    /// **Feature: realtime-saas-platform, Property 15: created API keys are cryptographically
    /// secure and carry the chosen scopes**
    #[test]
    fn property_15_new_keys_are_secure_and_scoped(scopes in any_scopes()) {
        STAGE.run(async |world| {
            let (text, stored) = world.new_key(scopes).await;
            let text = text.expose_secret();
            let parsed = ApiKeyText::parse(text).unwrap();
            let secret = text.rsplit('_').next().unwrap();
            // 43 of 62 digits are 256 bits; neither they nor the lookup id ever come again.
            assert_eq!(secret.len(), 43);
            assert!(is_new(secret) && is_new(parsed.lookup));
            // The store holds neither the text nor an unkeyed hash of it.
            use aws_lc_rs::digest;
            let plain = digest::digest(&digest::SHA256, text.as_bytes());
            assert_ne!(stored.hash, plain.as_ref());
            assert_eq!(stored.hash.len(), 32);
            let kept = world.store().key(world.tenant, world.project, stored.id).await.unwrap();
            let row = format!("{:?} {} {:?}", kept.hash, kept.prefix, kept.name);
            assert!(!row.contains(secret));
            let who = world.try_key_text(text).await.unwrap();
            assert_eq!(who.claims().scopes, scopes);
            assert_eq!(who.claims().key, Some(stored.id));
            assert_eq!((who.tenant(), who.project()), (world.tenant, world.project));
        });
    }

    /// **Feature: realtime-saas-platform, Property 16: key hashes are verified and scopes enforced
    /// on each use**
    #[test]
    fn property_16_hash_and_scopes_hold_on_each_use(
        scopes in any_scopes(), uses in 1usize..6, at in 0usize..64, to in "[0-9A-Za-z]",
    ) {
        STAGE.run(async |world| {
            let (text, _) = world.new_key(scopes).await;
            let mut forged = text.expose_secret().to_owned();
            let at = at.min(forged.len() - 1);
            forged.replace_range(at..=at, &to);
            for _ in 0..uses {
                let who = world.try_key(&text).await.unwrap();
                for scope in Scope::ALL {
                    let outcome = scopes::require(who.claims().scopes, scope);
                    assert_eq!(outcome.is_ok(), scopes.has(scope));
                }
                if forged != text.expose_secret() {
                    let refusal = world.try_key_text(&forged).await.unwrap_err();
                    assert_eq!(refusal.code(), Code::InvalidApiKey);
                }
            }
        });
    }

    /// **Feature: realtime-saas-platform, Property 17: a rotated key's predecessor works during the
    /// grace period, then fails**
    #[test]
    fn property_17_a_predecessor_works_until_its_grace_ends(
        grace_ms in 0u64..100_000, probes in proptest::collection::vec(0u64..40_000, 1..6),
        is_told in any::<bool>(),
    ) {
        ROTATION.run(async |world| {
            let (old_text, old) = world.new_key(Scopes::all()).await;
            let session = world.try_key(&old_text).await.unwrap();
            let (new_text, new) = world.key_parts(Scopes::all(), None);
            let grace = Duration::from_millis(grace_ms);
            let (tenant, project) = (world.tenant, world.project);
            world.store().rotate_key(tenant, project, old.id, new, grace, &by()).await.unwrap();
            if is_told {
                world.authenticator.changed(&Change::Key(old.id)).await;
            } else {
                // Another process rotated it: what is remembered grows too old.
                advance(world, patient().fresh_ms_max);
            }
            let mut gone_ms = if is_told { 0 } else { patient().fresh_ms_max };
            for probe in probes.iter().map(Some).chain([None]) {
                let step = probe.copied().unwrap_or(grace_ms.saturating_sub(gone_ms));
                advance(world, step);
                gone_ms += step;
                world.authenticator.refresh().await;
                let is_over = gone_ms >= grace_ms;
                match world.try_key(&old_text).await {
                    Ok(who) => {
                        assert!(!is_over);
                        assert!(who.claims().expires_at.is_some());
                    }
                    Err(refusal) => {
                        assert!(is_over);
                        assert_eq!(refusal.code(), Code::ExpiredApiKey);
                    }
                }
                assert_eq!(session.is_revoked(), is_over, "open sessions end with the grace");
                assert!(world.try_key(&new_text).await.is_ok());
            }
        });
    }

    /// **Feature: realtime-saas-platform, Property 18: a revoked key gives no access from that
    /// moment**
    #[test]
    fn property_18_a_revoked_key_gives_no_access(
        uses in 0usize..4, later_ms in proptest::collection::vec(0u64..10_000, 1..4),
    ) {
        REVOCATION.run(async |world| {
            let (text, key) = world.new_key(Scopes::all()).await;
            let (other_text, _) = world.new_key(Scopes::all()).await;
            let other = world.try_key(&other_text).await.unwrap();
            let mut sessions = Vec::new();
            for _ in 0..uses {
                sessions.push(world.try_key(&text).await.unwrap());
            }
            world.store().revoke_key(world.tenant, world.project, key.id, &by()).await.unwrap();
            world.authenticator.changed(&Change::Key(key.id)).await;
            assert!(sessions.iter().all(|session| session.is_revoked()));
            assert!(!other.is_revoked(), "only the revoked key's sessions end");
            for wait in later_ms {
                let refusal = world.try_key(&text).await.unwrap_err();
                assert_eq!(refusal.code(), Code::InvalidApiKey);
                advance(world, wait);
            }
        });
    }
}

#[test]
fn a_revocation_by_another_process_counts_within_a_second() {
    Stage::new(Settings::default()).run(async |world| {
        let (text, key) = world.new_key(Scopes::all()).await;
        let session = world.try_key(&text).await.unwrap();
        world.store().revoke_key(world.tenant, world.project, key.id, &by()).await.unwrap();
        assert!(!session.is_revoked());
        advance(world, 1_000);
        assert_eq!(world.authenticator.refresh().await, [Change::Key(key.id)]);
        assert!(session.is_revoked());
        assert_eq!(world.try_key(&text).await.unwrap_err().code(), Code::InvalidApiKey);
        // Without anybody looking, a request notices by itself.
        let (text, key) = world.new_key(Scopes::all()).await;
        world.try_key(&text).await.unwrap();
        world.store().revoke_key(world.tenant, world.project, key.id, &by()).await.unwrap();
        advance(world, 1_000);
        assert_eq!(world.try_key(&text).await.unwrap_err().code(), Code::InvalidApiKey);
    });
}

#[test]
fn open_sessions_end_within_a_second_however_rounds_and_reads_fall() {
    for offset_ms in (0..500).step_by(50) {
        Stage::new(Settings::default()).run(async |world| {
            let (text, key) = world.new_key(Scopes::all()).await;
            advance(world, offset_ms);
            let session = world.try_key(&text).await.unwrap();
            world.store().revoke_key(world.tenant, world.project, key.id, &by()).await.unwrap();
            // Rounds at 500 ms and 1000 ms of the clock: the second is the last that may matter.
            advance(world, 500 - offset_ms);
            world.authenticator.refresh().await;
            advance(world, 500);
            world.authenticator.refresh().await;
            assert!(session.is_revoked(), "{offset_ms}");
        });
    }
}
