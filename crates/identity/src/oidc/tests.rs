//! What a provider says of itself and of people, judged by tables. Whole sign-ins, with providers
//! that lie, are tested where they are reached, in `control`.

use super::discovery::{self, SecretPlace};
use super::id_token::{self, Expected, IdClaims};
use super::settings::OidcSettings;
use proptest::prelude::*;
use serde_json::{Value, json};

const ISSUER: &str = "https://login.example.org/realms/acme";

fn document() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://login.example.org/auth",
        "token_endpoint": "https://tokens.example.org/token",
        "jwks_uri": "https://login.example.org/keys",
    })
}

fn read(document: &Value) -> Result<discovery::Discovery, String> {
    let reach = OidcSettings::default().key_sets();
    discovery::read(document.to_string().as_bytes(), ISSUER, &reach)
}

#[test]
fn the_defaults_make_sense_and_nonsense_is_named() {
    OidcSettings::default().check().unwrap();
    for wrong in [
        OidcSettings { timeout_ms: 0, ..OidcSettings::default() },
        OidcSettings { answer_bytes_max: 10, ..OidcSettings::default() },
        OidcSettings { skew_ms: 3_600_000, ..OidcSettings::default() },
        OidcSettings { sign_in_ms_max: 0, ..OidcSettings::default() },
        OidcSettings { questions_max: 0, ..OidcSettings::default() },
    ] {
        assert!(wrong.check().unwrap_err().0.starts_with("oidc."));
    }
}

#[test]
fn issuers_are_where_a_server_may_go() {
    let listed = OidcSettings {
        allow_networks: vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.0/8".parse().unwrap()],
        ..OidcSettings::default()
    };
    let table = [
        ("https://login.example.org", true, true),
        ("https://login.example.org/", true, true),
        (ISSUER, true, true),
        ("https://10.1.2.3/x", false, true),
        ("http://127.0.0.1:9/x", false, true),
        ("https://169.254.169.254", false, false),
        ("https://[::1]", false, false),
        ("http://login.example.org", false, false),
        ("https://user@login.example.org", false, false),
        ("https://login.example.org?x=1", false, false),
        ("https://login.example.org#x", false, false),
        ("login.example.org", false, false),
        ("", false, false),
    ];
    for (issuer, anywhere, with_list) in table {
        let default = discovery::address(issuer, &OidcSettings::default().key_sets());
        assert_eq!(default.is_ok(), anywhere, "{issuer}: {default:?}");
        let found = discovery::address(issuer, &listed.key_sets());
        assert_eq!(found.is_ok(), with_list, "{issuer}: {found:?}");
    }
    let long = format!("https://login.example.org/{}", "x".repeat(2_000));
    assert!(discovery::address(&long, &listed.key_sets()).is_err());
    let found = discovery::address(&format!("{ISSUER}/"), &listed.key_sets()).unwrap();
    assert_eq!(found.as_str(), format!("{ISSUER}/.well-known/openid-configuration"));
}

#[test]
fn a_description_is_of_its_issuer_and_leads_nowhere_else() {
    let found = read(&document()).unwrap();
    assert_eq!((found.secret_place, found.names_itself), (SecretPlace::Header, false));
    let lies = [
        ("issuer", json!("https://login.example.org/realms/other")),
        ("issuer", json!(format!("{ISSUER}/"))),
        ("issuer", Value::Null),
        ("token_endpoint", json!("http://tokens.example.org/token")),
        ("token_endpoint", json!("https://127.0.0.1/token")),
        ("jwks_uri", json!("file:///etc/passwd")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("response_types_supported", json!(["token"])),
        ("id_token_signing_alg_values_supported", json!(["none", "HS256", "RS512"])),
        ("code_challenge_methods_supported", json!(["plain"])),
    ];
    for (name, value) in lies {
        let mut document = document();
        document[name] = value.clone();
        assert!(read(&document).is_err(), "{name} {value}");
    }
    let table = [
        (json!(["client_secret_post"]), SecretPlace::Body),
        (json!(["client_secret_post", "client_secret_basic"]), SecretPlace::Header),
        (json!(["private_key_jwt"]), SecretPlace::Header),
    ];
    for (methods, expected) in table {
        let mut document = document();
        document["token_endpoint_auth_methods_supported"] = methods;
        assert_eq!(read(&document).unwrap().secret_place, expected);
    }
}

fn claims(more: Value) -> IdClaims {
    let mut claims = json!({
        "iss": ISSUER, "sub": "s", "aud": "c", "exp": 1_300, "iat": 1_000, "nonce": "n",
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    serde_json::from_value(claims).expect("claims")
}

fn expected(proven_since: Option<i64>) -> Expected<'static> {
    Expected {
        issuer: ISSUER,
        client_id: "c",
        nonce: "n",
        now: 1_100_000,
        skew_ms: 60_000,
        proven_since,
    }
}

#[test]
fn a_fresh_proof_is_told_by_the_provider() {
    assert_eq!(id_token::check(&claims(json!({})), expected(None)), Ok(()));
    for (told, is_good) in [
        (json!({}), false),
        (json!({"auth_time": 900}), false),
        (json!({"auth_time": 1_050}), true),
        (json!({"auth_time": 1_090.5}), true),
    ] {
        let outcome = id_token::check(&claims(told.clone()), expected(Some(1_080_000)));
        assert_eq!(outcome.is_ok(), is_good, "{told}: {outcome:?}");
    }
}

#[test]
fn groups_and_addresses_are_found_where_the_provider_says_them() {
    let claims = claims(json!({
        "groups": ["a", 7, "b"],
        "one": "c",
        "realm_access": {"roles": ["d"]},
        "https://example.org/groups": ["e"],
        "email_verified": "true",
        "edov": 1,
        "no": false,
    }));
    let table: [(&str, &[&str]); 6] = [
        ("groups", &["a", "b"]),
        ("one", &["c"]),
        ("realm_access.roles", &["d"]),
        ("https://example.org/groups", &["e"]),
        ("realm_access", &[]),
        ("realm_access.roles.more", &[]),
    ];
    for (name, groups) in table {
        assert_eq!(id_token::groups(&claims, Some(name)), groups, "{name}");
    }
    assert!(id_token::groups(&claims, None).is_empty());
    for (name, is_verified) in
        [("email_verified", true), ("edov", true), ("no", false), ("none", false)]
    {
        assert_eq!(id_token::is_verified(&claims, name), is_verified, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever times a token claims: it counts only between its issue and its end, as far as
    /// clocks may differ, and no number makes the check panic.
    #[test]
    fn times_are_bounds(iat in any::<f64>(), exp in any::<f64>(), near in 0i64..2_000) {
        let text = |number: f64| json!(if number.is_finite() { number } else { 0.0 });
        let wild = claims(json!({"iat": text(iat), "exp": text(exp)}));
        let _ = id_token::check(&wild, expected(None));
        let issued = claims(json!({"iat": near, "exp": near + 300}));
        let is_good = id_token::check(&issued, expected(None)).is_ok();
        prop_assert_eq!(is_good, near <= 1_160 && near + 300 > 1_040);
    }
}
