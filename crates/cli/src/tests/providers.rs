//! What the commands about providers send.

use crate::providers::{Oidc, rule};
use clap::Parser;
use reqwest::Method;
use serde_json::json;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Oidc,
}

fn request(line: &str) -> (Method, String, Option<serde_json::Value>) {
    let words = std::iter::once("oidc").chain(line.split(' '));
    let line = Line::try_parse_from(words).expect("a command");
    line.command.request().expect("a request")
}

#[test]
fn rules_name_group_role_and_place() {
    let table = [
        ("staff=support", Some(json!({"group": "staff", "role": "support"}))),
        ("*=billing@ten_1", Some(json!({"group": "*", "role": "billing", "tenant": "ten_1"}))),
        (
            "cn=a,dc=b=admin@ten_1/prj_2",
            Some(json!({
                "group": "cn=a,dc=b", "role": "admin", "tenant": "ten_1", "project": "prj_2",
            })),
        ),
        ("staff", None),
        ("=support", None),
        ("staff=", None),
    ];
    for (text, expected) in table {
        assert_eq!(rule(text).ok(), expected, "{text}");
    }
}

#[test]
fn only_what_is_given_is_sent() {
    let (method, path, body) =
        request("create Acme --issuer https://id.example --client-id c --rule g=support");
    assert_eq!((method, path.as_str()), (Method::POST, "/v1/identity-providers"));
    let rules = json!([{"group": "g", "role": "support"}]);
    let expected =
        json!({"name": "Acme", "issuer": "https://id.example", "client_id": "c", "rules": rules});
    assert_eq!(body, Some(expected));
    let (method, path, body) = request("update idp_1 --enabled false --domain example.org");
    assert_eq!((method, path.as_str()), (Method::PATCH, "/v1/identity-providers/idp_1"));
    assert_eq!(body, Some(json!({"is_enabled": false, "domains": ["example.org"]})));
    let (method, path, _) = request("test idp_1");
    assert_eq!((method, path.as_str()), (Method::POST, "/v1/identity-providers/idp_1/test"));
}
