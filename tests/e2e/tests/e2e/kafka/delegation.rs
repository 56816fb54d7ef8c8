//! Delegation tokens: a key's second secret for a while.

use super::Stand;
use super::client::{Kafka, batch};
use crate::stand::admin::Key;
use crate::stand::within;
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kafka::messages::Api;
use kafka::messages::create_delegation_token::{
    CreatableRenewers, CreateDelegationTokenRequest, CreateDelegationTokenResponse,
};
use kafka::messages::describe_delegation_token::{
    DescribeDelegationTokenRequest, DescribeDelegationTokenResponse,
};
use kafka::messages::expire_delegation_token::{
    ExpireDelegationTokenRequest, ExpireDelegationTokenResponse,
};
use kafka::messages::renew_delegation_token::{
    RenewDelegationTokenRequest, RenewDelegationTokenResponse,
};
use kafka::messages::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use kafka::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use reqwest::Method;
use serde_json::json;
use std::num::NonZeroU32;

const SASL_AUTHENTICATION_FAILED: i16 = 58;
const DELEGATION_TOKEN_AUTH_DISABLED: i16 = 61;
const DELEGATION_TOKEN_NOT_FOUND: i16 = 62;
const DELEGATION_TOKEN_OWNER_MISMATCH: i16 = 63;
const DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: i16 = 64;
const DELEGATION_TOKEN_AUTHORIZATION_FAILED: i16 = 65;
const INVALID_PRINCIPAL_TYPE: i16 = 67;
const POLICY_VIOLATION: i16 = 44;
const WEEK_MS: i64 = 7 * 24 * 3_600_000;
const DAY_MS: i64 = 24 * 3_600_000;
const AT: i64 = 1_700_000_000_000;

async fn stand() -> Stand {
    let settings = json!({ "delegation_token_ms_max": WEEK_MS, "delegation_tokens_max": 3 });
    Stand::with(settings).await
}

async fn create(
    client: &mut Kafka,
    max_lifetime_ms: i64,
    renewers: &[&Key],
) -> CreateDelegationTokenResponse {
    let renewer = |key: &&Key| CreatableRenewers {
        principal_type: "User".to_owned(),
        principal_name: key.id.clone(),
    };
    let renewers = renewers.iter().map(renewer).collect();
    let request = CreateDelegationTokenRequest { max_lifetime_ms, renewers, ..Default::default() };
    client.call(Api::CreateDelegationToken, 3, &request).await
}

/// Answers the error and when it expires.
async fn renew(client: &mut Kafka, hmac: &[u8], renew_period_ms: i64) -> (i16, i64) {
    let request = RenewDelegationTokenRequest { hmac: hmac.to_vec().into(), renew_period_ms };
    let told: RenewDelegationTokenResponse =
        client.call(Api::RenewDelegationToken, 2, &request).await;
    (told.error_code, told.expiry_timestamp_ms)
}

async fn expire(client: &mut Kafka, hmac: &[u8], expiry_time_period_ms: i64) -> i16 {
    let hmac = hmac.to_vec().into();
    let request = ExpireDelegationTokenRequest { hmac, expiry_time_period_ms };
    let told: ExpireDelegationTokenResponse =
        client.call(Api::ExpireDelegationToken, 2, &request).await;
    told.error_code
}

/// Answers the error and the ids.
async fn listed(client: &mut Kafka) -> (i16, Vec<String>) {
    let request = DescribeDelegationTokenRequest { owners: None };
    let told: DescribeDelegationTokenResponse =
        client.call(Api::DescribeDelegationToken, 3, &request).await;
    (told.error_code, told.tokens.into_iter().map(|token| token.token_id).collect())
}

/// Signs in by SCRAM-SHA-256 as RFC 5802 computes it, with the extension of Kafka's clients.
async fn sign_in(address: &str, name: &str, password: &str) -> (Kafka, SaslAuthenticateResponse) {
    let mut client = Kafka::stranger(address).await;
    let handshake = SaslHandshakeRequest { mechanism: "SCRAM-SHA-256".to_owned() };
    let _: SaslHandshakeResponse = client.call(Api::SaslHandshake, 1, &handshake).await;
    let bare = format!("n={name},r=client,tokenauth=true");
    let asked = say(&mut client, format!("n,,{bare}")).await;
    if asked.error_code != 0 {
        return (client, asked);
    }
    let question = String::from_utf8(asked.auth_bytes.to_vec()).expect("a text");
    let parts: Vec<&str> = question.split(',').collect();
    let salt = STANDARD.decode(&parts[1][2..]).expect("a salt");
    let rounds = NonZeroU32::new(parts[2][2..].parse().expect("a number")).expect("some");
    let mut salted = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted);
    let sign = |key: &[u8], text: &[u8]| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
    };
    let unproven = format!("c=biws,{}", parts[0]);
    let message = format!("{bare},{question},{unproven}");
    let mut proof = sign(&salted, b"Client Key");
    let stored = digest::digest(&digest::SHA256, &proof);
    let signature = sign(stored.as_ref(), message.as_bytes());
    proof.iter_mut().zip(signature).for_each(|(byte, other)| *byte ^= other);
    let told = say(&mut client, format!("{unproven},p={}", STANDARD.encode(proof))).await;
    if told.error_code == 0 {
        let server = sign(&sign(&salted, b"Server Key"), message.as_bytes());
        let expected = format!("v={}", STANDARD.encode(server));
        assert_eq!(told.auth_bytes, expected, "the server knows the token's secret, too");
    }
    (client, told)
}

async fn say(client: &mut Kafka, message: String) -> SaslAuthenticateResponse {
    let request = SaslAuthenticateRequest { auth_bytes: message.into() };
    client.call(Api::SaslAuthenticate, 2, &request).await
}

#[tokio::test]
async fn whoever_has_a_token_is_its_key_until_the_token_or_the_key_ends() {
    let Stand { home, mut server, room, key } = stand().await;
    let admin = server.admin();
    admin.topic(&room, "t", 1).await;
    let mut owner = Kafka::signed_in(&server.kafka, &key).await;
    let made = create(&mut owner, -1, &[]).await;
    assert_eq!((made.error_code, &*made.principal_name), (0, &*key.id));
    assert_eq!(made.hmac.len(), 64);
    assert_eq!(made.max_timestamp_ms - made.issue_timestamp_ms, WEEK_MS);
    assert_eq!(made.expiry_timestamp_ms - made.issue_timestamp_ms, DAY_MS);
    let (name, secret) = (made.token_id.clone(), STANDARD.encode(&made.hmac));
    let (mut worker, told) = sign_in(&server.kafka, &name, &secret).await;
    assert_eq!(told.error_code, 0, "{told:?}");
    assert!((1..=DAY_MS).contains(&told.session_lifetime_ms), "{told:?}");
    let records = batch(&[("k", "v")], AT, None);
    assert_eq!(worker.produce("t", 0, records).await.error_code, 0);
    // A token makes no tokens and sees none.
    let denied = DELEGATION_TOKEN_REQUEST_NOT_ALLOWED;
    assert_eq!(create(&mut worker, -1, &[]).await.error_code, denied);
    assert_eq!(listed(&mut worker).await, (denied, vec![]));
    assert_eq!(renew(&mut worker, &made.hmac, -1).await, (denied, -1));
    assert_eq!(expire(&mut worker, &made.hmac, -1).await, denied);
    // What is not the token's secret, or no token's name.
    let other = name.replace(&name[name.len() - 4..], "0000");
    for (name, secret) in [(&*name, "guessed"), (&*other, &*secret), ("token", &*secret)] {
        let (_, told) = sign_in(&server.kafka, name, secret).await;
        assert_eq!(told.error_code, SASL_AUTHENTICATION_FAILED, "{name}");
    }
    // Not by the key's own secret either.
    let (_, told) = sign_in(&server.kafka, &key.id, &key.secret).await;
    assert_eq!(told.error_code, SASL_AUTHENTICATION_FAILED);
    // It is kept over a restart.
    server.stop();
    let server = home.start();
    let admin = server.admin();
    let (mut worker, told) = sign_in(&server.kafka, &name, &secret).await;
    assert_eq!(told.error_code, 0, "{told:?}");
    let mut owner = Kafka::signed_in(&server.kafka, &key).await;
    assert_eq!(listed(&mut owner).await, (0, vec![name.clone()]));
    // Revoking the key ends what came in by its token.
    let path = room.path(&format!("keys/{}/revoke", key.id));
    admin.done(Method::POST, &path, &json!({})).await;
    assert_eq!(within("the end", worker.frame()).await, None);
    let (_, told) = sign_in(&server.kafka, &name, &secret).await;
    assert_eq!(told.error_code, SASL_AUTHENTICATION_FAILED);
}

#[tokio::test]
async fn tokens_are_renewed_expired_and_shown_to_whom_they_belong() {
    let stand = stand().await;
    let admin = stand.server.admin();
    let friend = admin.key(&stand.room, &["events:publish"]).await;
    let other = admin.key(&stand.room, &["events:publish", "admin:write"]).await;
    let address = stand.server.kafka.clone();
    let mut owner = stand.client().await;
    let mut friends = Kafka::signed_in(&address, &friend).await;
    let mut others = Kafka::signed_in(&address, &other).await;
    let made = create(&mut owner, 2 * DAY_MS, &[&friend]).await;
    assert_eq!(made.max_timestamp_ms - made.issue_timestamp_ms, 2 * DAY_MS);
    let (hmac, secret) = (made.hmac.clone(), STANDARD.encode(&made.hmac));
    assert_eq!(listed(&mut owner).await, (0, vec![made.token_id.clone()]));
    assert_eq!(listed(&mut friends).await, (0, vec![]));
    assert_eq!(listed(&mut others).await, (0, vec![]));
    // Up to its end, by its key and whom that has named.
    let until = made.max_timestamp_ms;
    assert_eq!(renew(&mut friends, &hmac, 30 * DAY_MS).await, (0, until));
    let (error, expires_at) = renew(&mut owner, &hmac, -1).await;
    assert!(error == 0 && expires_at < until, "{error} {expires_at}");
    let mismatch = DELEGATION_TOKEN_OWNER_MISMATCH;
    assert_eq!(renew(&mut others, &hmac, -1).await, (mismatch, -1));
    assert_eq!(expire(&mut others, &hmac, -1).await, mismatch);
    assert_eq!(renew(&mut owner, b"guessed", -1).await, (DELEGATION_TOKEN_NOT_FOUND, -1));
    assert_eq!(sign_in(&address, &made.token_id, &secret).await.1.error_code, 0);
    assert_eq!(expire(&mut friends, &hmac, -1).await, 0);
    assert_eq!(listed(&mut owner).await, (0, vec![]));
    let (_, told) = sign_in(&address, &made.token_id, &secret).await;
    assert_eq!(told.error_code, SASL_AUTHENTICATION_FAILED);
    // For oneself only, and not without bounds.
    let foreign = CreateDelegationTokenRequest {
        owner_principal_type: Some("User".to_owned()),
        owner_principal_name: Some(friend.id.clone()),
        ..CreateDelegationTokenRequest::default()
    };
    let told: CreateDelegationTokenResponse =
        owner.call(Api::CreateDelegationToken, 3, &foreign).await;
    assert_eq!(told.error_code, DELEGATION_TOKEN_AUTHORIZATION_FAILED);
    let nobody = Key { id: "alice".to_owned(), secret: String::new() };
    assert_eq!(create(&mut owner, -1, &[&nobody]).await.error_code, INVALID_PRINCIPAL_TYPE);
    for error in [0, 0, 0, POLICY_VIOLATION] {
        assert_eq!(create(&mut others, -1, &[]).await.error_code, error);
    }
    // Another project's are its own.
    let (room, stranger) = admin.furnished().await;
    assert_ne!(room.project, stand.room.project);
    let mut stranger = Kafka::signed_in(&address, &stranger).await;
    assert_eq!(listed(&mut stranger).await, (0, vec![]));
    assert_eq!(create(&mut stranger, -1, &[]).await.error_code, 0);
}

#[tokio::test]
async fn none_are_given_out_where_the_server_was_not_told_to() {
    let stand = Stand::new().await;
    let mut client = stand.client().await;
    let disabled = DELEGATION_TOKEN_AUTH_DISABLED;
    assert_eq!(create(&mut client, -1, &[]).await.error_code, disabled);
    assert_eq!(listed(&mut client).await, (disabled, vec![]));
    let (_, told) = sign_in(&stand.server.kafka, "token", "secret").await;
    assert_eq!(told.error_code, SASL_AUTHENTICATION_FAILED);
}
