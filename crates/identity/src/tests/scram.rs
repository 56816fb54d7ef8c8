//! Keys that are proven without being shown.

use super::{World, by, patient, peer};
use crate::scram::{ITERATIONS, Scram, Verifier};
use crate::{Authenticator, Settings};
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use port::challenges::Digest;
use port::{Code, Confirmed, Credential, Refusal, Response};
use secrecy::{ExposeSecret, SecretString};
use std::num::NonZeroU32;
use stdx::SystemRng;
use tenancy::NewKey;
use types::Scopes;

/// A client as RFC 5802 describes it, by the text of a key.
fn proof(digest: Digest, text: &str, salt: &[u8], message: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (stretching, hashing, signing) = match digest {
        Digest::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, &digest::SHA256, hmac::HMAC_SHA256),
        Digest::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, &digest::SHA512, hmac::HMAC_SHA512),
    };
    let sign =
        |key: &[u8], what: &[u8]| hmac::sign(&hmac::Key::new(signing, key), what).as_ref().to_vec();
    let mut salted = vec![0; hashing.output_len()];
    let rounds = NonZeroU32::new(ITERATIONS).expect("some");
    pbkdf2::derive(stretching, rounds, salt, text.as_bytes(), &mut salted);
    let client = sign(&salted, b"Client Key");
    let stored = digest::digest(hashing, &client);
    let signature = sign(stored.as_ref(), message);
    let proof = client.iter().zip(&signature).map(|(key, mask)| key ^ mask).collect();
    (proof, sign(&sign(&salted, b"Server Key"), message))
}

/// Asks for a challenge and answers it; what comes back must be signed as the client expects.
async fn sign_in(
    authenticator: &Authenticator,
    digest: Digest,
    name: &str,
    text: &str,
) -> Result<Confirmed, Refusal> {
    let challenge = authenticator.challenge(name).await?;
    let message = format!("n={name},r=a{}", challenge.nonce).into_bytes();
    let (proof, expected) = proof(digest, text, &challenge.salt, &message);
    let response = Response { digest, name: name.to_owned(), message, proof };
    let confirmed = authenticator.respond(&peer(), &response).await?;
    assert_eq!(confirmed.signature, expected);
    Ok(confirmed)
}

async fn new_key(world: &World) -> (SecretString, tenancy::ApiKey) {
    let made = world.authenticator.new_api_key(crate::Environment::Live);
    let (_, parts) = world.key_parts(Scopes::all(), None);
    let verifier = world.authenticator.verifier(&made).await;
    let new = NewKey { prefix: made.lookup.clone(), hash: made.hash.to_vec(), verifier, ..parts };
    let key = world.store().create_key(world.tenant, world.project, new, &by()).await;
    (made.text, key.expect("a key"))
}

/// RFC 7677, section 3.
#[test]
fn the_example_of_the_standard_is_confirmed() {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
    let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)h\
                   NlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpW\
                   Ua2RaTCAfuxFIlj)hNlF$k0";
    let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").expect("base64");
    let scram = Scram::new(&crate::Secrets::from_bytes([7; 32]), SystemRng::shared());
    let verifier = Verifier::of(&salt, b"pencil");
    let confirm = |digest, message: &str, proof: &[u8]| {
        scram.confirm(Some(&verifier), digest, message.as_bytes(), proof)
    };
    let signature = confirm(Digest::Sha256, message, &proof).expect("it is right");
    assert_eq!(STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert!(confirm(Digest::Sha256, &message.replace("user", "usex"), &proof).is_none());
    assert!(confirm(Digest::Sha256, message, &proof[1..]).is_none());
    assert!(confirm(Digest::Sha256, message, &[]).is_none());
    assert!(confirm(Digest::Sha512, message, &proof).is_none());
    let mut longer = proof.clone();
    longer.push(0);
    assert!(confirm(Digest::Sha256, message, &longer).is_none());
    assert!(scram.confirm(None, Digest::Sha256, message.as_bytes(), &proof).is_none());
    // Zeros are not the key of nobody.
    assert!(scram.confirm(None, Digest::Sha256, message.as_bytes(), &[0; 32]).is_none());
}

#[tokio::test]
async fn a_key_is_proven_as_if_it_were_shown() {
    let world = World::open(patient()).await;
    let (text, key) = new_key(&world).await;
    let (text, id) = (text.expose_secret().to_owned(), key.id.to_string());
    let shown = world.try_key_text(&text).await.expect("it counts");
    for digest in [Digest::Sha256, Digest::Sha512] {
        let who = sign_in(&world.authenticator, digest, &id, &text).await.expect("it counts").who;
        assert_eq!(who.claims().key, Some(key.id));
        assert_eq!(who.principal(), shown.principal());
        assert_eq!(who.project(), world.project);
        let wrong = sign_in(&world.authenticator, digest, &id, "ms_live_guessed").await;
        assert_eq!(wrong.unwrap_err().code(), Code::InvalidApiKey);
    }
    let who = sign_in(&world.authenticator, Digest::Sha256, &id, &text).await.expect("still").who;
    world.store().revoke_key(world.tenant, world.project, key.id, &by()).await.expect("revoked");
    world.authenticator.changed(&port::Change::Key(key.id)).await;
    assert!(who.is_revoked() && shown.is_revoked(), "they share the switch");
    let refused = sign_in(&world.authenticator, Digest::Sha256, &id, &text).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidApiKey);
}

#[tokio::test]
async fn a_token_is_proven_by_the_secret_of_its_name() {
    let world = World::open(patient()).await;
    let authenticator = &world.authenticator;
    let secret = |name| STANDARD.encode(authenticator.token_secret(name).expect("a secret").0);
    assert_eq!(secret("a"), secret("a"));
    for digest in [Digest::Sha256, Digest::Sha512] {
        let challenge = authenticator.challenge("a").await.expect("asked");
        let message = format!("n=a,r=b{}", challenge.nonce).into_bytes();
        for (text, is_right) in [(secret("a"), true), (secret("b"), false), (String::new(), false)]
        {
            let (proof, expected) = proof(digest, &text, &challenge.salt, &message);
            let (name, message) = ("a".to_owned(), message.clone());
            let response = Response { digest, name, message, proof };
            let told = authenticator.respond_by_token(&peer(), &response).await;
            match is_right {
                true => assert_eq!(told, Ok(expected)),
                false => assert_eq!(told.unwrap_err().code(), Code::InvalidToken),
            }
        }
    }
}

#[tokio::test]
async fn names_that_nobody_has_are_asked_as_others_are() {
    let world = World::open(patient()).await;
    let (_, key) = new_key(&world).await;
    let nobody = "key_00000000000000000000000000000001";
    for name in [&*key.id.to_string(), nobody, "admin", ""] {
        let [first, second] = [
            world.authenticator.challenge(name).await.expect("a challenge"),
            world.authenticator.challenge(name).await.expect("a challenge"),
        ];
        assert_eq!((&first.salt, first.iterations), (&second.salt, ITERATIONS), "{name}");
        assert_ne!(first.nonce, second.nonce);
        assert_eq!((first.salt.len(), first.nonce.len()), (16, 48));
        let refused = sign_in(&world.authenticator, Digest::Sha512, name, "ms_live_guess").await;
        let told = refused.unwrap_err();
        let key = world.try_key_text("ms_live_guess").await.unwrap_err();
        assert_eq!((told.code(), told.message()), (key.code(), key.message()));
    }
    // Known or not, a name is looked up once.
    let before = world.reads();
    world.authenticator.challenge(nobody).await.expect("a challenge");
    assert_eq!(world.reads(), before);
}

#[tokio::test]
async fn made_up_ids_ask_the_database_so_often_and_no_oftener() {
    let settings = Settings { unknown_projects_per_second_max: 3, ..patient() };
    let world = World::open(settings).await;
    let mut codes = Vec::new();
    for number in 0..10 {
        let asked = world.authenticator.challenge(&format!("key_{number:032x}")).await;
        codes.push(asked.map(|_| ()).map_err(|refusal| refusal.code()));
    }
    assert!(codes.iter().filter(|code| code.is_ok()).count() <= 4, "{codes:?}");
    assert_eq!(codes.last(), Some(&Err(Code::Overloaded)));
}

#[tokio::test]
async fn a_key_of_before_learns_it_when_it_is_shown() {
    let world = World::open(patient()).await;
    let (text, key) = world.new_key(Scopes::all()).await;
    let (text, id) = (text.expose_secret().to_owned(), key.id.to_string());
    let refused = sign_in(&world.authenticator, Digest::Sha256, &id, &text).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidApiKey);
    let salt = world.authenticator.challenge(&id).await.expect("a challenge").salt;
    let who = world.try_key_text(&text).await.expect("it counts");
    world.authenticator.learn(&who, &Credential::ApiKey(text.clone())).await;
    sign_in(&world.authenticator, Digest::Sha256, &id, &text).await.expect("from now on");
    let after = world.authenticator.challenge(&id).await.expect("a challenge").salt;
    assert_eq!(salt, after, "nobody can see that anything changed");
    // What is stored opens for no other key, and cannot be read.
    let stored = world.store().key(world.tenant, world.project, key.id).await.expect("a key");
    let sealed = stored.verifier.expect("it is stored");
    let scram = Scram::new(&world.secrets, SystemRng::shared());
    assert!(scram.open(&key.prefix, &sealed).is_ok());
    assert!(scram.open("000000000000", &sealed).is_err());
}
