//! What the commands about roles under conditions, and about what is noted of people, send.

use crate::conditions::window;
use crate::people::{Roles, Users};
use clap::Parser;
use reqwest::Method;
use serde_json::{Value, json};

#[derive(Parser)]
enum Line {
    #[command(subcommand)]
    Roles(Roles),
    #[command(subcommand)]
    Users(Users),
}

fn request(words: &[&str]) -> (Method, String, Option<Value>) {
    let words = std::iter::once("mainstem").chain(words.iter().copied());
    match Line::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")) {
        Line::Roles(command) => command.request(),
        Line::Users(command) => command.request().expect("a request"),
    }
}

#[test]
fn hours_name_days_and_times() {
    let table = [
        ("08:00-18:00", Some(json!({"from": "08:00", "to": "18:00"}))),
        (
            "mon-wed,sat 22:00-06:00",
            Some(json!({"days": ["mon", "tue", "wed", "sat"], "from": "22:00", "to": "06:00"})),
        ),
        (
            "sat-mon 00:00-24:00",
            Some(json!({"days": ["sat", "sun", "mon"], "from": "00:00", "to": "24:00"})),
        ),
        ("monday 08:00-18:00", None),
        ("08:00", None),
    ];
    for (text, expected) in table {
        assert_eq!(window(text).ok(), expected, "{text}");
    }
}

#[test]
fn only_the_conditions_that_are_given_are_sent() {
    let bare = request(&["roles", "give", "usr_1", "support", "--tenant", "ten_1"]);
    let expected = json!({"user": "usr_1", "role": "support", "tenant": "ten_1"});
    assert_eq!(bare, (Method::POST, "/v1/role-bindings".to_owned(), Some(expected)));
    let words = [
        "roles",
        "conditions",
        "bnd_1",
        "--network",
        "10.0.0.0/8",
        "--network",
        "2001:db8::/32",
        "--hours",
        "mon-tue 08:00-18:00",
        "--zone",
        "Europe/Berlin",
        "--strong-sign-in",
        "--signed-in-minutes-max",
        "30",
        "--tls",
        "--attribute",
        "department=ops, legal",
    ];
    let (method, path, body) = request(&words);
    assert_eq!((method, path.as_str()), (Method::PATCH, "/v1/role-bindings/bnd_1"));
    let at = [&words[..], &["--at-version", "0190a5c3"]].concat();
    assert_eq!(request(&at).2.expect("a body")["version"], "0190a5c3");
    let expected = json!({"conditions": {
        "networks": ["10.0.0.0/8", "2001:db8::/32"],
        "hours": {
            "zone": "Europe/Berlin",
            "windows": [{"days": ["mon", "tue"], "from": "08:00", "to": "18:00"}],
        },
        "strong_sign_in": true,
        "signed_in_minutes_max": 30,
        "tls": true,
        "attributes": {"department": ["ops", "legal"]},
    }});
    assert_eq!(body, Some(expected));
    let (_, _, none) = request(&["roles", "conditions", "bnd_1", "--none"]);
    assert_eq!(none, Some(json!({"conditions": {}})));
    // Nothing said is not the same as no conditions.
    assert!(Line::try_parse_from(["mainstem", "roles", "conditions", "bnd_1"]).is_err());
    let both = ["mainstem", "roles", "conditions", "bnd_1", "--none", "--tls"];
    assert!(Line::try_parse_from(both).is_err());
}

#[test]
fn people_are_asked_about_and_noted() {
    let (method, path, body) =
        request(&["users", "attributes", "usr_1", "--tenant", "ten_1", "--set", "site=hq"]);
    let expected = "/v1/users/usr_1/attributes?tenant=ten_1";
    assert_eq!((method, path.as_str()), (Method::PUT, expected));
    assert_eq!(body, Some(json!({"attributes": {"site": "hq"}})));
    let (method, path, body) = request(&["users", "attributes", "usr_1"]);
    assert_eq!((method, path.as_str(), body), (Method::GET, "/v1/users/usr_1/attributes", None));
    let (_, _, body) = request(&["users", "attributes", "usr_1", "--clear"]);
    assert_eq!(body, Some(json!({"attributes": {}})));
    let words = [
        "users",
        "explain",
        "usr_1",
        "keys:write",
        "--tenant",
        "ten_1",
        "--address",
        "10.1.2.3",
        "--at",
        "1795219200000",
        "--tls",
        "--signed-in-minutes",
        "5",
    ];
    let (method, path, body) = request(&words);
    assert_eq!((method, path.as_str()), (Method::POST, "/v1/users/usr_1/explain"));
    let expected = json!({
        "permission": "keys:write", "tenant": "ten_1", "address": "10.1.2.3",
        "at": 1_795_219_200_000_i64, "tls": true, "signed_in_minutes": 5,
    });
    assert_eq!(body, Some(expected));
}
