//! Signing in with what Kafka's clients have for it, and what ends a connection.

use super::Stand;
use super::client::{Kafka, fetch};
use super::tools::{in_background, is_here, kcat_with, signed_in_by};
use crate::stand::token::Signer;
use crate::stand::{PATIENCE, within};
use kafka::messages::Api;
use kafka::messages::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use kafka::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SASL_AUTHENTICATION_FAILED: i16 = 58;

/// What a client is told before it is known whether it is right.
async fn asked(client: &mut Kafka, mechanism: &str, user: &str) -> SaslAuthenticateResponse {
    let handshake = SaslHandshakeRequest { mechanism: mechanism.to_owned() };
    let told: SaslHandshakeResponse = client.call(Api::SaslHandshake, 1, &handshake).await;
    assert_eq!(told.error_code, 0);
    let auth_bytes = format!("n,,n={user},r=client").into();
    client.call(Api::SaslAuthenticate, 2, &SaslAuthenticateRequest { auth_bytes }).await
}

async fn answered(client: &mut Kafka, message: String) -> SaslAuthenticateResponse {
    let proof = SaslAuthenticateRequest { auth_bytes: message.into() };
    client.call(Api::SaslAuthenticate, 2, &proof).await
}

#[tokio::test]
async fn kcat_signs_in_by_scram() {
    if !is_here() {
        return;
    }
    let stand = Stand::new().await;
    stand.topic("t", 1).await;
    let address = stand.server.kafka.clone();
    let (id, secret) = (stand.key.id.clone(), stand.key.secret.clone());
    let short = ["-L", "-m", "3"];
    in_background(move || {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let right = signed_in_by(mechanism, &id, &secret);
            let (sent, why) = kcat_with(&address, &right, &["-P", "-t", "t"], mechanism);
            assert!(sent.is_some(), "{mechanism}: {why}");
            let wrong = signed_in_by(mechanism, &id, "ms_live_guessed");
            let (listed, why) = kcat_with(&address, &wrong, &short, "");
            assert!(listed.is_none() && why.contains("not valid"), "{mechanism}: {why}");
            let unknown = signed_in_by(mechanism, "key_00000000000000000000000000000000", &secret);
            let (listed, why) = kcat_with(&address, &unknown, &short, "");
            assert!(listed.is_none() && why.contains("not valid"), "{mechanism}: {why}");
        }
        let right = signed_in_by("SCRAM-SHA-512", &id, &secret);
        let read = ["-C", "-t", "t", "-o", "beginning", "-e", "-q"];
        let (read, why) = kcat_with(&address, &right, &read, "");
        assert_eq!(read.as_deref(), Some("SCRAM-SHA-256\nSCRAM-SHA-512\n"), "{why}");
    })
    .await;
}

#[tokio::test]
async fn strangers_are_asked_as_others_are_and_get_no_further() {
    let stand = Stand::new().await;
    let mut salts = Vec::new();
    for user in [&*stand.key.id, "key_00000000000000000000000000000007", "admin", "admin"] {
        let mut client = Kafka::stranger(&stand.server.kafka).await;
        let told = asked(&mut client, "SCRAM-SHA-256", user).await;
        assert_eq!((told.error_code, told.error_message), (0, None));
        let question = String::from_utf8(told.auth_bytes.to_vec()).expect("a text");
        let parts: Vec<&str> = question.split(',').collect();
        assert!(parts[0].starts_with("r=client") && parts[0].len() == 56, "{question}");
        assert_eq!(parts[2], "i=4096");
        salts.push(parts[1].to_owned());
        let told = answered(&mut client, format!("c=biws,{},p=AAAA", parts[0])).await;
        assert_eq!(told.error_code, SASL_AUTHENTICATION_FAILED);
        assert_eq!(told.error_message.as_deref(), Some("the API key is not valid"));
        assert_eq!(client.frame().await, None, "the connection ends");
    }
    assert_eq!(salts[2], salts[3], "asked again, the same");
    assert!(salts[0] != salts[1] && salts[1] != salts[2]);
    for (first, why) in [
        ("p=tls-unique,,n=u,r=r", "channel binding"),
        ("n,,n=u,r=r,tokenauth=true", "delegation tokens"),
        ("hello", "no message"),
    ] {
        let mut client = Kafka::stranger(&stand.server.kafka).await;
        let handshake = SaslHandshakeRequest { mechanism: "SCRAM-SHA-512".to_owned() };
        let _: SaslHandshakeResponse = client.call(Api::SaslHandshake, 1, &handshake).await;
        let told = answered(&mut client, first.to_owned()).await;
        assert_eq!(told.error_code, SASL_AUTHENTICATION_FAILED);
        assert!(told.error_message.unwrap_or_default().contains(why), "{first}");
        assert_eq!(client.frame().await, None);
    }
}

/// An operator without TLS wants no secrets on the wire.
#[tokio::test]
async fn a_listener_takes_the_mechanisms_it_is_given() {
    let listener = json!({ "listen": "127.0.0.1:0", "mechanisms": ["SCRAM-SHA-512"] });
    let stand = Stand::with(json!({ "listeners": [listener] })).await;
    let mut client = Kafka::stranger(&stand.server.kafka).await;
    let plain = SaslHandshakeRequest { mechanism: "PLAIN".to_owned() };
    let told: SaslHandshakeResponse = client.call(Api::SaslHandshake, 1, &plain).await;
    assert_eq!((told.error_code, told.mechanisms), (33, vec!["SCRAM-SHA-512".to_owned()]));
    assert_eq!(asked(&mut client, "SCRAM-SHA-512", &stand.key.id).await.error_code, 0);
}

/// A token that ends cuts its connection at that moment, whatever the client is waiting for.
#[tokio::test]
async fn a_token_that_ends_ends_its_connection() {
    let stand = Stand::of(&json!({
        "protocols": { "kafka": {} },
        "identity": { "token_leeway_ms": 0 },
    }))
    .await;
    stand.topic("t", 1).await;
    let signer = Signer::new(&stand.server.admin(), &stand.room).await;
    for mechanism in ["PLAIN", "OAUTHBEARER"] {
        let lifetime = Duration::from_secs(4);
        let token = signer.token(lifetime);
        let mut client = Kafka::stranger(&stand.server.kafka).await;
        let handshake = SaslHandshakeRequest { mechanism: mechanism.to_owned() };
        let _: SaslHandshakeResponse = client.call(Api::SaslHandshake, 1, &handshake).await;
        let message = match mechanism {
            "PLAIN" => format!("\0token\0{token}"),
            _ => format!("n,,\x01auth=Bearer {token}\x01\x01"),
        };
        let begun = Instant::now();
        let told = answered(&mut client, message).await;
        assert_eq!(told.error_code, 0, "{told:?}");
        let left = Duration::from_millis(told.session_lifetime_ms as u64);
        assert!(left <= lifetime && !left.is_zero(), "{left:?}");
        // It waits for records that do not come, far longer than it may stay.
        client.ask(Api::Fetch, 12, &fetch("t", 0, 0, 60_000)).await;
        assert_eq!(within("the end", client.frame()).await, None);
        let stayed = begun.elapsed();
        assert!(stayed + Duration::from_millis(50) >= left, "too early: {stayed:?} {left:?}");
        assert!(stayed < left + PATIENCE / 2, "too late: {stayed:?} {left:?}");
    }
}

/// A certificate of an authority, with the files that clients want.
struct Shown {
    certificate: PathBuf,
    key: PathBuf,
}

impl Shown {
    fn new(issuer: &Issuer<'_, KeyPair>, folder: &Path, name: &str, file: &str) -> Shown {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from(file.as_bytes().to_vec()));
        let pair = KeyPair::generate().expect("a key pair");
        let made = params.signed_by(&pair, issuer).expect("a certificate");
        let (certificate, key) =
            (folder.join(format!("{file}.pem")), folder.join(format!("{file}.key")));
        std::fs::write(&certificate, made.pem()).expect("a file");
        std::fs::write(&key, pair.serialize_pem()).expect("a file");
        Shown { certificate, key }
    }

    fn settings(&self) -> Vec<String> {
        vec![
            "security.protocol=SSL".to_owned(),
            "enable.ssl.certificate.verification=false".to_owned(),
            format!("ssl.certificate.location={}", self.certificate.display()),
            format!("ssl.key.location={}", self.key.display()),
        ]
    }
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params, KeyPair::generate().expect("a key pair"))
}

/// A list that takes back the certificate of this file.
fn revoked(issuer: &Issuer<'_, KeyPair>, file: &str) -> String {
    let serial_number = SerialNumber::from(file.as_bytes().to_vec());
    let revoked = RevokedCertParams {
        serial_number,
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2100, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer).expect("a list").pem().expect("a text")
}

#[tokio::test]
async fn a_certificate_stands_for_a_key_and_for_no_others() {
    if !is_here() {
        return;
    }
    let Stand { mut home, mut server, room, key } = Stand::new().await;
    let admin = server.admin();
    admin.topic(&room, "t", 1).await;
    let (_, foreign) = admin.furnished().await;
    let gone = admin.key(&room, &["events:publish", "events:subscribe"]).await;
    let path = room.path(&format!("keys/{}/revoke", gone.id));
    admin.done(reqwest::Method::POST, &path, &json!({})).await;
    server.stop();
    let folder = tempfile::TempDir::with_prefix("mainstem-e2e-").expect("a folder");
    let (params, pair) = authority("ours");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, params.self_signed(&pair).expect("a certificate").pem()).expect("a file");
    let issuer = Issuer::new(params, pair);
    let (params, pair) = authority("theirs");
    let theirs = Issuer::new(params, pair);
    let revocations = folder.path().join("crl.pem");
    std::fs::write(&revocations, revoked(&issuer, "taken-back")).expect("a file");
    let listener = json!({ "listen": "127.0.0.1:0", "tls": true, "client_certificates": {
        "ca": ca, "revoked": revocations, "projects": [room.project],
    } });
    home.change(&json!({
        "edge": { "tls": { "self_signed": { "names": ["localhost"] } } },
        "protocols": { "kafka": { "listeners": [listener] } },
    }));
    let server = home.start();
    let address = server.kafka.clone();
    let own = Shown::new(&issuer, folder.path(), &key.id, "own");
    let nobodies = [
        Shown::new(&issuer, folder.path(), "admin", "no-key"),
        Shown::new(&issuer, folder.path(), &foreign.id, "foreign"),
        Shown::new(&issuer, folder.path(), &gone.id, "gone"),
        Shown::new(&issuer, folder.path(), &key.id, "taken-back"),
        Shown::new(&theirs, folder.path(), &key.id, "of-theirs"),
    ];
    in_background(move || {
        let (sent, why) =
            kcat_with(&address, &own.settings(), &["-P", "-t", "t"], "by certificate");
        assert!(sent.is_some(), "{why}");
        let read = ["-C", "-t", "t", "-o", "beginning", "-e", "-q"];
        let (read, why) = kcat_with(&address, &own.settings(), &read, "");
        assert_eq!(read.as_deref(), Some("by certificate\n"), "{why}");
        for nobody in nobodies {
            let (listed, _) = kcat_with(&address, &nobody.settings(), &["-L", "-m", "3"], "");
            assert_eq!(listed, None, "{}", nobody.certificate.display());
        }
        // Without one, or with one that stands for nobody, there is SASL.
        let mut signed_in = signed_in_by("SCRAM-SHA-256", &key.id, &key.secret);
        signed_in[0] = "security.protocol=SASL_SSL".to_owned();
        signed_in.push("enable.ssl.certificate.verification=false".to_owned());
        let (listed, why) = kcat_with(&address, &signed_in, &["-L", "-m", "10"], "");
        assert!(listed.is_some(), "{why}");
    })
    .await;
    let output = server.output();
    assert!(output.contains("a Kafka connection ends"), "{output}");
}
