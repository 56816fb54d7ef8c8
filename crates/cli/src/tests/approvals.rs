//! Acts that wait for a second person: what is asked of the server, and what people are told.

use crate::approvals::{Approvals, waiting};
use clap::Parser;
use serde_json::json;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Approvals,
}

/// The request that a command line makes.
fn asked(line: &str) -> String {
    let words = std::iter::once("approvals").chain(line.split(' '));
    let (method, path, body) = Line::parse_from(words).command.request();
    let body = body.map(|body| format!(" {body}")).unwrap_or_default();
    format!("{method} {path}{body}")
}

#[test]
fn commands_are_requests() {
    for (line, request) in [
        ("list", "GET /v1/approvals?state=pending"),
        ("list --state any --mine", "GET /v1/approvals?show=mine"),
        ("list --tenant ten_1", "GET /v1/approvals?state=pending&tenant=ten_1"),
        ("show apr_1", "GET /v1/approvals/apr_1"),
        ("approve apr_1 --comment ok", "POST /v1/approvals/apr_1/approve {\"comment\":\"ok\"}"),
        ("refuse apr_1", "POST /v1/approvals/apr_1/refuse {\"comment\":\"\"}"),
        ("withdraw apr_1", "POST /v1/approvals/apr_1/withdraw"),
        ("answer apr_1", "POST /v1/approvals/apr_1/answer"),
        ("acts", "GET /v1/approval-acts"),
        ("rules", "GET /v1/approval-rules"),
        ("rules --tenant ten_1", "GET /v1/approval-rules?tenant=ten_1"),
        ("rules add give_role --hours 2", "PUT /v1/approval-rules/give_role {\"hours\":2}"),
        ("rules remove give_role --tenant t/1", "DELETE /v1/approval-rules/give_role?tenant=t%2F1"),
    ] {
        assert_eq!(asked(line), request, "{line}");
    }
}

#[test]
fn what_waits_is_said_plainly_and_nothing_else_is_taken_for_it() {
    let approval = json!({"id": "apr_1", "mode": "pass", "expires_at": 5});
    let body = json!({"code": "APPROVAL_REQUIRED", "approval": approval,
        "approvers": [{"email": "bob@example.org"}]});
    let told = waiting(&body.to_string()).expect("it waits");
    for part in ["apr_1", "bob@example.org", "approvals show apr_1", "--approval apr_1"] {
        assert!(told.contains(part), "{told}");
    }
    for other in ["", "{}", "[1]", "{\"code\":\"OTHER\"}"] {
        assert_eq!(waiting(other), None);
    }
}
