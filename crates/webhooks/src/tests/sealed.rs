//! Secrets and headers: what is taken, and that nothing readable is stored.

use super::rng;
use crate::sealed::{self, CustomHeader};
use identity::{Sealer, Secrets};
use port::Refusal;
use secrecy::{ExposeSecret, SecretString};
use standard_webhooks::VerifyingKey;
use tenancy::{WebhookId, WebhookSigning};
use uuid::Uuid;

const ID: WebhookId = WebhookId(Uuid::from_u128(7));
const OTHER: WebhookId = WebhookId(Uuid::from_u128(8));

fn sealer() -> Sealer {
    Secrets::from_bytes([7; 32]).sealer(rng())
}

fn make(signing: WebhookSigning, brought: Option<&str>) -> Result<sealed::MadeSecret, Refusal> {
    let brought = brought.map(SecretString::from);
    sealed::make(&sealer(), ID, signing, brought.as_ref(), &*rng())
}

#[test]
fn secrets_are_made_or_brought_and_stored_sealed() {
    for signing in [WebhookSigning::Hmac, WebhookSigning::Ed25519] {
        let made = make(signing, None).expect("a secret");
        let shown = made.for_receiver.expose_secret();
        assert!(VerifyingKey::parse(shown).is_ok(), "what a receiver is shown checks signatures");
        let stored = String::from_utf8_lossy(&made.stored.sealed).into_owned();
        assert!(!stored.contains(&shown[8..]), "stored sealed");
        let key = sealed::open(&sealer(), ID, &made.stored.sealed).expect("opened again");
        assert_eq!(key.for_receiver().expose_secret(), shown);
        assert_eq!(made.stored.public_key.is_some(), signing == WebhookSigning::Ed25519);
        assert!(sealed::open(&sealer(), OTHER, &made.stored.sealed).is_err(), "for one webhook");
    }
    let brought = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let made = make(WebhookSigning::Hmac, Some(brought)).expect("a secret of one's own");
    assert_eq!(made.for_receiver.expose_secret(), brought);
    for bad in ["", "secret", "whsec_AAAA", "whpk_AAAA", "whsk_AAAA"] {
        let refusal = make(WebhookSigning::Hmac, Some(bad)).map(|_| ()).expect_err(bad);
        assert_eq!(refusal.field_name(), Some("secret"), "{bad}");
        assert!(!format!("{refusal}").contains("AAAA"), "a refusal quotes no secret");
    }
    assert!(make(WebhookSigning::Ed25519, Some(brought)).is_err(), "of the other kind");
}

#[test]
fn headers_are_checked_and_sealed() {
    let header = |name: &str, value: &str| CustomHeader { name: name.into(), value: value.into() };
    let good = [header("Authorization", "Bearer s3cret"), header("x-shop", "7")];
    let stored = sealed::seal_headers(&sealer(), ID, &good).unwrap().expect("something to store");
    assert!(!String::from_utf8_lossy(&stored).contains("s3cret"));
    assert_eq!(sealed::open_headers(&sealer(), ID, &stored).unwrap(), good);
    assert!(sealed::open_headers(&sealer(), OTHER, &stored).is_err());
    assert_eq!(sealed::seal_headers(&sealer(), ID, &[]).unwrap(), None);
    assert!(!format!("{:?}", good[0]).contains("s3cret"));
    let table = [
        header("", "x"),
        header("a b", "x"),
        header("host", "x"),
        header("Content-Length", "0"),
        header("webhook-id", "x"),
        header("Webhook-Signature", "x"),
        header("transfer-encoding", "chunked"),
        header("x", "a\r\nhost: evil"),
        header("x", &"v".repeat(5_000)),
    ];
    for bad in table {
        let name = bad.name.clone();
        let refusal = sealed::seal_headers(&sealer(), ID, &[bad]).expect_err(&name);
        assert_eq!(refusal.field_name(), Some("headers[0]"), "{name}");
    }
    let many: Vec<CustomHeader> = (0..33).map(|n| header(&format!("x-{n}"), "1")).collect();
    assert!(sealed::seal_headers(&sealer(), ID, &many).is_err());
}
