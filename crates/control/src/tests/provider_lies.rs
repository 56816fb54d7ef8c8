//! A hostile provider, and people who come back with what is not theirs: nobody gets in.

use super::people::DEVICE;
use super::provider_sign_in::set_up;
use super::rig_provider::{FakeProvider, Signer, whole};
use super::{Rig, START_MS, text};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn an_id_token_that_is_not_right_opens_nothing() {
    let rig = Rig::new().await;
    let fake = FakeProvider::start(START_MS).await;
    let provider = set_up(&rig, &fake, json!({})).await;
    let now = START_MS / 1_000;
    let lies = [
        ("iss", json!("https://other.example")),
        ("iss", json!(format!("{}/", fake.issuer))),
        ("aud", json!("somebody else")),
        ("aud", json!([])),
        ("aud", json!(["mainstem+acme:1", "somebody else"])),
        ("azp", json!("somebody else")),
        ("exp", json!(now - 61)),
        ("exp", json!("soon")),
        ("iat", json!(now + 120)),
        ("iat", json!(now - 3_600)),
        ("iat", Value::Null),
        ("nbf", json!(now + 120)),
        ("nonce", json!("of another sign-in")),
        ("nonce", Value::Null),
        ("sub", Value::Null),
        ("sub", json!("")),
    ];
    for (name, value) in lies {
        fake.vouch("s-1", "bob@acme.example", &[]);
        fake.claim(name, value.clone());
        let answer = rig.come_by(&fake, &provider).await;
        let status = answer.status.as_u16();
        assert!(matches!(status, 400 | 401), "{name} {value}: {}", answer.body);
    }
    assert!(rig.get("/v1/users").await.ok(200)["users"].as_array().unwrap().is_empty());
    // Several audiences are fine when the token says whose it is.
    fake.vouch("s-1", "bob@acme.example", &[]);
    fake.claim("aud", json!(["mainstem+acme:1", "somebody else"]));
    fake.claim("azp", json!("mainstem+acme:1"));
    rig.come_by(&fake, &provider).await.ok(200);
}

#[tokio::test]
async fn a_signature_counts_by_a_published_key_only() {
    let rig = Rig::new().await;
    let fake = FakeProvider::start(START_MS).await;
    let provider = set_up(&rig, &fake, json!({})).await;
    fake.vouch("s-1", "bob@acme.example", &[]);
    rig.come_by(&fake, &provider).await.ok(200);
    let public = fake.manners.lock().keys[0].to_string().into_bytes();
    let forged = [Signer::None, Signer::Hs256(public), Signer::es256(), Signer::rs256()];
    for signer in forged {
        fake.manners.lock().signer = signer;
        rig.come_by(&fake, &provider).await.refused(401, "INVALID_TOKEN", "code");
    }
    // Keys are rotated: an unknown one is looked for once, and not again at once.
    let next = Signer::rs256();
    {
        let mut manners = fake.manners.lock();
        manners.keys = vec![next.public("second")];
        (manners.signer, manners.kid) = (next, "second".to_owned());
    }
    rig.come_by(&fake, &provider).await.refused(401, "INVALID_TOKEN", "code");
    rig.clock.advance(Duration::from_secs(11));
    rig.come_by(&fake, &provider).await.ok(200);
    assert_eq!(fake.manners.lock().asked["/keys"], 2);
    fake.manners.lock().kid = "third".to_owned();
    for _ in 0..5 {
        rig.come_by(&fake, &provider).await.refused(401, "INVALID_TOKEN", "code");
    }
    assert_eq!(fake.manners.lock().asked["/keys"], 2);
}

#[tokio::test]
async fn a_state_counts_once_in_its_time_in_its_browser() {
    let rig = Rig::new().await;
    let fake = FakeProvider::start(START_MS).await;
    let provider = set_up(&rig, &fake, json!({})).await;
    fake.vouch("s-1", "bob@acme.example", &[]);
    let over = (400, "INVALID_REQUEST", "state");
    let (code, state) = rig.there_and_back(&fake, &provider).await;
    rig.finish((&code, &state), DEVICE).await.ok(200);
    rig.finish((&code, &state), DEVICE).await.refused(over.0, over.1, over.2);
    // In another browser it is over for both.
    let (code, state) = rig.there_and_back(&fake, &provider).await;
    let other = "another browser's own text";
    rig.finish((&code, &state), other).await.refused(over.0, over.1, over.2);
    rig.finish((&code, &state), DEVICE).await.refused(over.0, over.1, over.2);
    // Somebody's code with one's own state (RFC 9700 section 4.5) fails by its challenge.
    let (_, mine) = rig.there_and_back(&fake, &provider).await;
    let (theirs, _) = rig.there_and_back(&fake, &provider).await;
    rig.finish((&theirs, &mine), DEVICE).await.refused(401, "INVALID_TOKEN", "code");
    let (code, state) = rig.there_and_back(&fake, &provider).await;
    let bent = format!("{}x", &state[..state.len() - 1]);
    for made_up in ["", "msp_", "msp_AAAA", bent.as_str()] {
        let answer = rig.finish((&code, made_up), DEVICE).await;
        assert_eq!(answer.status, 400, "{made_up}");
    }
    rig.clock.advance(Duration::from_secs(601));
    rig.finish((&code, &state), DEVICE).await.refused(over.0, over.1, over.2);
    // Another node takes whoever comes back.
    fake.at(START_MS + 601_000);
    let (code, state) = rig.there_and_back(&fake, &provider).await;
    let body = json!({"code": code, "state": state, "device": DEVICE}).to_string();
    let request = http::Request::post("/v1/auth/providers/finish").body(body.into()).unwrap();
    Rig::send(&rig.restarted(), request).await.ok(200);
    // Another issuer answers for this one (RFC 9207).
    let (code, state) = rig.there_and_back(&fake, &provider).await;
    let body =
        json!({"code": code, "state": state, "device": DEVICE, "iss": "https://other.example"});
    let mixed = rig.call_as("", "POST", "/v1/auth/providers/finish", body).await;
    mixed.refused(401, "INVALID_TOKEN", "code");
}

#[tokio::test]
async fn what_is_too_long_too_slow_or_elsewhere_is_not_read() {
    let rig = Rig::new().await;
    let fake = FakeProvider::start(START_MS).await;
    let provider = set_up(&rig, &fake, json!({})).await;
    fake.vouch("s-1", "bob@acme.example", &[]);
    let elsewhere = whole("302 Found", "Location: http://127.0.0.1:9/\r\n", "");
    let long = whole("200 OK", "", &format!("{{\"id_token\":\"{}\"}}", "x".repeat(300_000)));
    let longer_token = whole("200 OK", "", &format!("{{\"id_token\":\"{}\"}}", "x".repeat(70_000)));
    let rubbish = whole("200 OK", "", "<html>");
    for answer in [&elsewhere, &long, &longer_token, &rubbish] {
        fake.manners.lock().answers.insert("/token", answer.clone());
        let refused = rig.come_by(&fake, &provider).await;
        assert!(matches!(refused.status.as_u16(), 401 | 503), "{}", refused.body);
    }
    fake.manners.lock().answers.clear();
    fake.manners.lock().silent.push("/token");
    let refused = rig.come_by(&fake, &provider).await;
    refused.refused(503, "NETWORK_ERROR", "provider");
    assert!(refused.body.to_string().contains("too long"), "{}", refused.body);
    fake.manners.lock().silent.clear();
    // The description, once what is remembered is old; a failure is remembered for a moment.
    let described = "/.well-known/openid-configuration";
    let start = async || {
        rig.clock.advance(Duration::from_secs(700));
        let body = json!({"provider": provider["id"], "device": DEVICE});
        rig.call_as("", "POST", "/v1/auth/providers/start", body).await
    };
    for answer in [&elsewhere, &long, &rubbish] {
        fake.manners.lock().answers.insert(described, answer.clone());
        start().await.refused(503, "NETWORK_ERROR", "provider");
    }
    fake.manners.lock().answers.clear();
    for lie in [
        json!({"issuer": "https://other.example"}),
        json!({"issuer": format!("{}/", fake.issuer)}),
        json!({"token_endpoint": "http://192.0.2.1/token"}),
        json!({"jwks_uri": "https://10.0.0.1/keys"}),
        json!({"authorization_endpoint": "javascript:alert(1)"}),
        json!({"response_types_supported": ["id_token"]}),
        json!({"id_token_signing_alg_values_supported": ["HS256", "none"]}),
        json!({"code_challenge_methods_supported": ["plain"]}),
    ] {
        fake.manners.lock().document = lie.clone();
        let refused = start().await;
        assert_eq!(refused.code(), "NETWORK_ERROR", "{lie}: {}", refused.body);
        let path = format!("/v1/identity-providers/{}/test", text(&provider["id"]));
        let tried = rig.call("POST", &path, Value::Null).await.ok(200);
        assert_eq!(
            (&tried["is_good"], &tried["steps"][0]["is_good"]),
            (&json!(false), &json!(false))
        );
    }
    fake.manners.lock().document = json!({});
    start().await.ok(200);
}

/// Whoever runs a provider can make it say any address.
#[tokio::test]
async fn an_address_takes_over_no_account() {
    let rig = Rig::new().await;
    rig.owner().await;
    let fake = FakeProvider::start(START_MS).await;
    let (mine, theirs) = (rig.tenant("mine").await, rig.tenant("theirs").await);
    let provider = set_up(&rig, &fake, json!({"tenant": mine})).await;
    let give = async |user: &str, role: &str, tenant: &str| {
        let body = json!({"user": user, "role": role, "tenant": tenant});
        rig.call("POST", "/v1/role-bindings", body).await.ok(201);
    };
    let bob = rig.user("bob@theirs.example").await;
    give(&bob, "owner", &theirs).await;
    let both = rig.user("both@mine.example").await;
    give(&both, "support", &mine).await;
    give(&both, "support", &theirs).await;
    let none = rig.user("none@mine.example").await;
    let users = ["ann@example.org", "bob@theirs.example", "both@mine.example", "none@mine.example"];
    for (number, email) in users.iter().enumerate() {
        fake.vouch(&format!("s-{number}"), email, &[]);
        rig.come_by(&fake, &provider).await.refused(401, "INVALID_TOKEN", "account");
    }
    // The installation's provider links by address nobody either.
    let other = FakeProvider::start(START_MS).await;
    let general = set_up(&rig, &other, json!({})).await;
    other.vouch("s-1", "ann@example.org", &[]);
    rig.come_by(&other, &general).await.refused(401, "INVALID_TOKEN", "account");
    // One's own tenant's people are found, when the provider says that the address is theirs.
    give(&none, "support", &mine).await;
    fake.vouch("s-9", "none@mine.example", &[]);
    for unsure in [json!(false), json!("no"), Value::Null] {
        fake.claim("email_verified", unsure);
        rig.come_by(&fake, &provider).await.refused(401, "INVALID_TOKEN", "email");
    }
    fake.claim("email_verified", json!("true"));
    let access = rig.access_by(&fake, &provider).await;
    assert_eq!(rig.account(&access).await["user"]["id"], none.as_str());
    // What he gets elsewhere later is not this provider's to give.
    give(&none, "owner", &theirs).await;
    let (here, there) = (format!("/v1/tenants/{mine}"), format!("/v1/tenants/{theirs}"));
    rig.call_as(&access, "GET", &here, Value::Null).await.ok(200);
    rig.call_as(&access, "GET", &there, Value::Null).await.refused(
        403,
        "INSUFFICIENT_SCOPE",
        "permission",
    );
    assert!(!rig.trail("session.open").await.is_empty());
}
