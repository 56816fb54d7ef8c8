//! What the commands about tokens send.

use crate::tokens::{Tokens, read_token};
use clap::Parser;
use reqwest::Method;
use serde_json::{Value, json};

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Tokens,
}

fn parsed(line: &str) -> Option<Tokens> {
    let words = std::iter::once("tokens").chain(line.split(' '));
    Line::try_parse_from(words).ok().map(|line| line.command)
}

fn request(line: &str) -> (Method, String, Option<Value>) {
    parsed(line).expect("a command").request().expect("a request")
}

#[test]
fn tokens_are_named_by_one_thing() {
    const ALL: &str = "/v1/tenants/t/projects/p/token-revocations";
    let table = [
        ("revoke t p --jti a", json!({"jti": "a"})),
        (
            "revoke t p --fingerprint ab --expires-at 7",
            json!({"fingerprint": "ab", "expires_at": 7}),
        ),
        (
            "revoke t p --sub ann --issued-before 5 --reason lost",
            json!({"sub": "ann", "issued_before": 5, "reason": "lost"}),
        ),
        ("revoke t p --kid p.k", json!({"kid": "p.k"})),
        ("revoke t p --iss https://id.example", json!({"iss": "https://id.example"})),
        ("revoke t p", Value::Null),
        ("revoke t p --jti a --sub b", Value::Null),
    ];
    for (line, body) in table {
        if body == Value::Null {
            assert!(parsed(line).is_none(), "{line}");
            continue;
        }
        assert_eq!(request(line), (Method::POST, ALL.to_owned(), Some(body)), "{line}");
    }
    assert_eq!(request("list t p"), (Method::GET, ALL.to_owned(), None));
    let (method, path, _) = request("unrevoke t p rev_1");
    assert_eq!((method, path), (Method::DELETE, format!("{ALL}/rev_1")));
}

#[test]
fn a_whole_token_is_the_first_line() {
    let table =
        [("a.b.c\nmore", Some("a.b.c")), (" a.b.c \r\n", Some("a.b.c")), ("\n", None), ("", None)];
    for (input, expected) in table {
        assert_eq!(read_token(input.as_bytes()).ok().as_deref(), expected, "{input:?}");
    }
}
