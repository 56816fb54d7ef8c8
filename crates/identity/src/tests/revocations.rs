//! Tokens taken back: on the node that is told, on others within a second, in open sessions too,
//! and never one token too many.

use crate::tests::tokens::{Outside, claims, with};
use crate::tests::{START_MS, Stage, World, by, patient};
use crate::{Algorithm, Settings};
use port::{Change, Code, Identity};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Duration;
use tenancy::{NewRevocation, NewSigningKey, Revocation, RevocationKind};

const START_S: i64 = START_MS / 1_000;
const HOUR_MS: i64 = 3_600_000;

impl World {
    async fn take_back(&self, kind: RevocationKind, value: &str) -> Revocation {
        let new = NewRevocation {
            kind,
            value: value.to_owned(),
            issued_before: None,
            until: START_MS + HOUR_MS,
            reason: None,
        };
        self.take_back_as(new).await
    }

    async fn take_back_as(&self, new: NewRevocation) -> Revocation {
        let revoked = self.store().revoke_tokens(self.tenant, self.project, new, &by()).await;
        revoked.expect("a revocation")
    }

    async fn tell(&self) {
        self.authenticator.changed(&Change::Project(self.project)).await;
    }

    /// What the hub asks of every session again and again.
    fn is_over(&self, who: &Identity) -> bool {
        let snapshot = self.authenticator.snapshot(self.project).expect("in use");
        who.is_revoked() || snapshot.has_revoked(who.claims())
    }

    async fn is_refused(&self, token: &str) -> bool {
        match self.try_token(token).await {
            Ok(_) => false,
            Err(refusal) => {
                assert_eq!(refusal.code(), Code::InvalidToken, "{refusal}");
                true
            }
        }
    }
}

fn token(world: &World, key: &Outside, more: Value) -> String {
    let header = json!({"alg": "HS256", "kid": format!("{}.main", world.project)});
    let all = more.as_object().expect("claims").clone();
    let claims = all.into_iter().fold(claims(), |all, (name, value)| with(all, &name, value));
    key.token(header, claims)
}

async fn site(settings: Settings) -> (World, Outside) {
    let world = World::open(settings).await;
    let key = Outside::Hmac(vec![5; 32]);
    world.trust_outside("main", &key).await;
    (world, key)
}

#[tokio::test]
async fn a_taken_back_token_ends_its_sessions_and_no_others() {
    let (world, key) = site(patient()).await;
    let [first, second] =
        ["t-1", "t-2"].map(|jti| token(&world, &key, json!({"jti": jti, "iat": START_S - 9})));
    let (one, two) =
        (world.try_token(&first).await.unwrap(), world.try_token(&second).await.unwrap());
    let revoked = world.take_back(RevocationKind::Jti, "t-1").await;
    assert!(!world.is_over(&one), "nobody was told");
    world.tell().await;
    assert!(world.is_over(&one) && !world.is_over(&two));
    assert!(world.is_refused(&first).await && !world.is_refused(&second).await);
    world
        .store()
        .withdraw_revocation(world.tenant, world.project, revoked.id, &by())
        .await
        .unwrap();
    world.tell().await;
    assert!(!world.is_refused(&first).await);
    // The whole subject, but for what is issued from now on.
    world.take_back(RevocationKind::Sub, "user-7").await;
    world.tell().await;
    assert!(world.is_over(&one) && world.is_over(&two));
    let silent = token(&world, &key, json!({}));
    assert!(world.is_refused(&silent).await, "it does not say that it is newer");
    let fresh = token(&world, &key, json!({"iat": START_S}));
    assert!(!world.is_refused(&fresh).await);
}

#[tokio::test]
async fn another_process_knows_within_a_second() {
    let (world, key) = site(Settings::default()).await;
    let text = token(&world, &key, json!({"jti": "t-1"}));
    let session = world.try_token(&text).await.unwrap();
    world.take_back(RevocationKind::Jti, "t-1").await;
    // Twice in a second, as the owner promises to call it.
    world.clock.advance(Duration::from_millis(500));
    world.authenticator.refresh().await;
    assert!(world.is_over(&session));
    assert!(world.is_refused(&text).await);
}

#[tokio::test]
async fn only_what_is_new_is_read_and_what_is_over_is_forgotten() {
    let (world, key) = site(patient()).await;
    let [first, second] =
        ["t-1", "t-2"].map(|jti| token(&world, &key, json!({"jti": jti, "exp": START_S + 90_000})));
    world.take_back(RevocationKind::Jti, "t-1").await;
    world.tell().await;
    assert!(world.is_refused(&first).await && !world.is_refused(&second).await);
    let asked = world.door.revocations_after.lock().clone();
    assert_eq!(asked, [0]);
    world.take_back(RevocationKind::Jti, "t-2").await;
    world.tell().await;
    world.tell().await;
    assert!(world.is_refused(&first).await && world.is_refused(&second).await);
    assert_eq!(*world.door.revocations_after.lock(), [0, 1]);
    let held = || world.authenticator.snapshot(world.project).unwrap().tokens.revoked.len();
    assert_eq!(held(), 2);
    // These tokens were said to be over by then; they are not, and count again.
    world.clock.advance(Duration::from_millis(HOUR_MS as u64));
    world.tell().await;
    assert_eq!(held(), 0);
    assert!(!world.is_refused(&first).await);
    assert_eq!(*world.door.revocations_after.lock(), [0, 1], "forgotten without a question");
}

#[tokio::test]
async fn a_token_that_lives_too_long_is_refused() {
    let settings = Settings { token_lifetime_ms_max: 60_000, ..patient() };
    let (world, key) = site(settings).await;
    let ends = |seconds: f64| token(&world, &key, json!({"exp": START_S as f64 + seconds}));
    assert!(!world.is_refused(&ends(60.0)).await);
    for seconds in [60.01, 1e9, 1e300] {
        let refusal = world.try_token(&ends(seconds)).await.unwrap_err();
        assert!(refusal.to_string().contains("exp"), "{refusal}");
    }
    // So a revocation that says no end is kept for long enough.
    assert_eq!(world.authenticator.token_times().lifetime_ms_max, 60_000);
    let endless = Settings { token_lifetime_ms_max: u64::MAX, ..patient() };
    let (world, _) = site(endless).await;
    let times = world.authenticator.token_times();
    assert!(times.lifetime_ms_max < tenancy::REVOCATION_KEPT_MS_MAX);
}

#[tokio::test]
async fn a_signature_written_in_another_way_saves_nobody() {
    let (world, _) = site(patient()).await;
    let key = Outside::ecdsa();
    world.trust_outside("curve", &key).await;
    let header = json!({"alg": "ES256", "kid": format!("{}.curve", world.project)});
    // An ECDSA signature is a new one each time, over the same text.
    let [first, second] = [(), ()].map(|()| key.token(header.clone(), claims()));
    assert_ne!(first, second);
    let seen = world.authenticator.examine(&first).await.unwrap();
    assert_eq!(seen.jti, None);
    world.take_back(RevocationKind::Fingerprint, &seen.fingerprint).await;
    world.tell().await;
    assert!(world.is_refused(&first).await && world.is_refused(&second).await);
}

#[tokio::test]
async fn a_key_that_came_in_the_place_of_another_is_another() {
    let (world, key) = site(Settings::default()).await;
    let text = token(&world, &key, json!({"exp": START_S + 3_600}));
    let session = world.try_token(&text).await.unwrap();
    let (tenant, project) = (world.tenant, world.project);
    let keys = world.store().signing_keys(tenant, project, None, 10).await.unwrap().items;
    world.store().remove_signing_key(tenant, project, keys[0].id, &by()).await.unwrap();
    // By the same name, before anybody looked.
    let material = world.material("main", &Outside::Hmac(vec![6; 32])).encode();
    let new = NewSigningKey { kid: "main".to_owned(), algorithm: Algorithm::Hs256, material };
    world.store().add_signing_key(tenant, project, new, &by()).await.unwrap();
    assert!(!session.is_revoked());
    world.clock.advance(Duration::from_millis(500));
    world.authenticator.refresh().await;
    assert!(session.is_revoked());
    assert!(world.is_refused(&text).await);
}

/// A token of few subjects, keys and issuers, so that they meet often.
#[derive(Debug, Clone)]
struct Made {
    jti: Option<u8>,
    sub: u8,
    iss: Option<u8>,
    iat: Option<u8>,
    key: u8,
    mark: u8,
}

#[derive(Debug, Clone)]
struct Taken {
    kind: RevocationKind,
    value: u8,
    before: u8,
}

fn tokens() -> impl Strategy<Value = Vec<Made>> {
    let small = || prop::option::of(0_u8..3);
    let one = (small(), 0_u8..3, small(), small(), 0_u8..2, 0_u8..4);
    let made =
        one.prop_map(|(jti, sub, iss, iat, key, mark)| Made { jti, sub, iss, iat, key, mark });
    prop::collection::vec(made, 1..8)
}

fn revocations() -> impl Strategy<Value = Vec<Taken>> {
    let kinds = prop::sample::select(vec![
        RevocationKind::Jti,
        RevocationKind::Fingerprint,
        RevocationKind::Sub,
        RevocationKind::Kid,
        RevocationKind::Iss,
    ]);
    let one = (kinds, 0_u8..3, 0_u8..4);
    prop::collection::vec(one.prop_map(|(kind, value, before)| Taken { kind, value, before }), 0..6)
}

impl Made {
    fn text(&self, world: &World, keys: &[Outside; 2]) -> String {
        let mut claims = with(claims(), "sub", json!(format!("s{}", self.sub)));
        claims["mark"] = json!(self.mark);
        if let Some(jti) = self.jti {
            claims["jti"] = json!(format!("v{jti}"));
        }
        if let Some(iss) = self.iss {
            claims["iss"] = json!(format!("i{iss}"));
        }
        if let Some(iat) = self.iat {
            claims["iat"] = json!(START_S - 100 + i64::from(iat));
        }
        let kid = format!("{}.k{}", world.project, self.key);
        keys[usize::from(self.key)].token(json!({"alg": "HS256", "kid": kid}), claims)
    }

    /// What the rules say, told in another way than the code tells it.
    fn is_taken(&self, by: &Taken, own_print: bool) -> bool {
        let is_old = self.iat.is_none_or(|iat| iat < by.before);
        match by.kind {
            RevocationKind::Jti => self.jti == Some(by.value),
            RevocationKind::Fingerprint => own_print,
            RevocationKind::Sub => self.sub == by.value && is_old,
            RevocationKind::Kid => self.key == by.value && is_old,
            RevocationKind::Iss => self.iss == Some(by.value) && is_old,
        }
    }
}

impl Taken {
    fn value(&self, world: &World, tokens: &[String]) -> String {
        match self.kind {
            RevocationKind::Jti => format!("v{}", self.value),
            RevocationKind::Sub => format!("s{}", self.value),
            RevocationKind::Iss => format!("i{}", self.value),
            RevocationKind::Kid => format!("{}.k{}", world.project, self.value),
            RevocationKind::Fingerprint => {
                let token = &tokens[usize::from(self.value) % tokens.len()];
                crate::fingerprint(token.rsplit_once('.').expect("three parts").0)
            }
        }
    }

    async fn apply(&self, world: &World, value: &str) -> Revocation {
        let before = START_MS - 100_000 + i64::from(self.before) * 1_000;
        let new = NewRevocation {
            kind: self.kind,
            value: value.to_owned(),
            issued_before: self.kind.is_of_many().then_some(before),
            until: START_MS + HOUR_MS,
            reason: None,
        };
        world.take_back_as(new).await
    }
}

/// One world for all cases: making one for each would mostly test the disk.
static TAKEN: LazyLock<Stage> = LazyLock::new(|| Stage::new(patient()));

async fn reinstate_all(world: &World) {
    let (tenant, project) = (world.tenant, world.project);
    let held = world.store().revocations(tenant, project, None, 100).await.unwrap();
    for one in held.items {
        world.store().withdraw_revocation(tenant, project, one.id, &by()).await.unwrap();
    }
    world.tell().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// **Feature: realtime-saas-platform, Property 18: a revoked key gives no access from that
    /// moment on** (here: a revoked token is never accepted, in a session or anew, and every other
    /// token is)
    #[test]
    fn a_revoked_token_is_never_accepted_and_any_other_is(
        made in tokens(),
        taken in revocations(),
    ) {
        TAKEN.run(async |world| {
            reinstate_all(world).await;
            let keys = [Outside::Hmac(vec![1; 32]), Outside::Hmac(vec![2; 32])];
            let snapshot = world.authenticator.snapshot(world.project);
            if snapshot.is_none_or(|known| known.tokens.keys.is_empty()) {
                for (index, key) in keys.iter().enumerate() {
                    world.trust_outside(&format!("k{index}"), key).await;
                }
            }
            let texts: Vec<String> = made.iter().map(|one| one.text(world, &keys)).collect();
            let mut sessions = Vec::new();
            for text in &texts {
                sessions.push(world.try_token(text).await.expect("nothing is revoked yet"));
            }
            let prints: Vec<String> = taken.iter().map(|it| it.value(world, &texts)).collect();
            for (it, value) in taken.iter().zip(&prints) {
                it.apply(world, value).await;
                world.tell().await;
            }
            let print = |text: &String| crate::fingerprint(text.rsplit_once('.').unwrap().0);
            for ((one, text), session) in made.iter().zip(&texts).zip(&sessions) {
                let own = print(text);
                let wanted = taken
                    .iter()
                    .zip(&prints)
                    .any(|(it, value)| one.is_taken(it, *value == own));
                assert_eq!(world.is_refused(text).await, wanted, "{one:?} {taken:?}");
                assert_eq!(world.is_over(session), wanted, "{one:?} {taken:?}");
            }
            reinstate_all(world).await;
            for text in &texts {
                assert!(!world.is_refused(text).await, "nothing is revoked any more");
            }
        });
    }
}
