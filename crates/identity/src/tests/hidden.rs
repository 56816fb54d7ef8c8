//! Secrets never show: not in debug output, not in refusals.

use crate::api_key::{ApiKeyText, KeyHasher};
use crate::signing::{Algorithm, NewToken, SigningKey};
use crate::tests::{World, patient};
use crate::{Environment, OperatorTokens, Secrets};
use port::Credential;
use secrecy::{ExposeSecret, SecretString};
use std::fmt::Debug;
use stdx::SystemRng;
use types::Scopes;

/// Text that must not occur, and the ways bytes may be printed.
fn forms(secret: &[u8]) -> Vec<String> {
    let decimal: Vec<String> = secret.iter().map(u8::to_string).collect();
    let hexadecimal: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![decimal.join(", "), hexadecimal, String::from_utf8_lossy(secret).into_owned()]
}

fn check(shown: &dyn Debug, secret: &[u8]) {
    for output in [format!("{shown:?}"), format!("{shown:#?}")] {
        let flat = output.replace([' ', '\n'], "");
        for form in forms(secret) {
            assert!(!output.contains(&form) && !flat.contains(&form.replace(' ', "")), "{output}");
        }
    }
}

#[tokio::test]
async fn debug_output_and_refusals_hide_secrets() {
    let root = *b"0123456789abcdef0123456789ABCDEF";
    let secrets = Secrets::from_bytes(root);
    check(&secrets, &root);
    check(&secrets.derive("x"), secrets.derive("x").expose_secret());
    check(&secrets.cursor_key(), secrets.derive("cursor signing").expose_secret());
    let hasher = KeyHasher::new(secrets.pepper());
    check(&hasher, secrets.derive("api key pepper").expose_secret());
    let key = hasher.generate(Environment::Live, &SystemRng);
    let text = key.text.expose_secret();
    let secret = text.rsplit('_').next().unwrap();
    check(&key, secret.as_bytes());
    check(&key, &key.hash);
    check(&ApiKeyText::parse(text), secret.as_bytes());
    check(&Credential::ApiKey(text.to_owned()), secret.as_bytes());
    let operator = SecretString::from("operator-token-of-32-characters!");
    let tokens = OperatorTokens::new(std::slice::from_ref(&operator)).unwrap();
    check(&tokens, operator.expose_secret().as_bytes());

    let world = World::open(patient()).await;
    let sealer = secrets.sealer(SystemRng::shared());
    check(&sealer, secrets.derive("sealing").expose_secret());
    let made =
        SigningKey::generate(&sealer, world.project, "main", Algorithm::Hs256, &SystemRng).unwrap();
    let shared = made.0.shared_secret.as_ref().unwrap().expose_secret().clone();
    check(&made, &shared);
    check(&made.1, &made.1.encode()[1..]);
    let new =
        NewToken { subject: "user".to_owned(), lifetime_ms: 1_000, scopes: None, grants: None };
    let token = made.0.issue(&new, super::START_MS).unwrap();
    check(&token, token.expose_secret().as_bytes());
    check(&Credential::Token(token.expose_secret().to_owned()), token.expose_secret().as_bytes());
    check(&crate::token::parse(token.expose_secret(), 9_000), token.expose_secret().as_bytes());

    let (good, _) = world.new_key(Scopes::all()).await;
    let who = world.try_key(&good).await.unwrap();
    let good_secret = good.expose_secret().rsplit('_').next().unwrap();
    check(&who, good_secret.as_bytes());
    check(who.claims(), good_secret.as_bytes());
    check(&world.authenticator, good_secret.as_bytes());
    check(&world.authenticator.snapshot(world.project), good_secret.as_bytes());
    let refusal = world.try_key(&key.text).await.unwrap_err();
    check(&refusal, secret.as_bytes());
    let refusal = world.try_token(token.expose_secret()).await.unwrap_err();
    check(&refusal, token.expose_secret().as_bytes());
}
