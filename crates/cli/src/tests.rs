//! The pure parts: event parsing, paths, refusals.

mod approvals;
mod bench;
mod conditions;
mod kafka;
mod providers;
mod security;
mod session;
mod tokens;
mod transfer;

use crate::bench::progress::{self, Audience};
use crate::events::{Event, Reader};
use crate::target::{Target, refusal, segment};
use crate::webhooks::Webhooks;
use proptest::prelude::*;

fn event(id: Option<&str>, name: &str, data: &str) -> Event {
    Event { id: id.map(str::to_owned), name: name.to_owned(), data: data.to_owned() }
}

#[test]
fn events_are_read_as_the_standard_says() {
    let cases: &[(&str, Vec<Event>)] = &[
        ("data: a\n\n", vec![event(None, "", "a")]),
        ("id: 7\nevent: record\ndata: a\ndata: b\n\n", vec![event(Some("7"), "record", "a\nb")]),
        (": heartbeat\n\n", vec![]),
        ("data:a\r\n\r\ndata: b\n\n", vec![event(None, "", "a"), event(None, "", "b")]),
        ("event: x\n\ndata: a\n\n", vec![event(None, "", "a")]),
        ("data: unfinished\n", vec![]),
    ];
    for (text, expected) in cases {
        assert_eq!(Reader::default().push(text.as_bytes()).as_ref(), Ok(expected), "{text:?}");
    }
}

proptest! {
    #[test]
    fn pieces_do_not_matter(cut in 0usize..40) {
        let text = b"id: 1\ndata: one\n\nid: 2\ndata: two\n\n: c\n\n";
        let mut reader = Reader::default();
        let mut events = reader.push(&text[..cut.min(text.len())]).unwrap();
        events.extend(reader.push(&text[cut.min(text.len())..]).unwrap());
        prop_assert_eq!(events, vec![event(Some("1"), "", "one"), event(Some("2"), "", "two")]);
    }
}

#[test]
fn a_refusal_is_one_line() {
    let body = r#"{"error":{"code":"INVALID_TOPIC","message":"no","details":{"field":"topic",
        "hint":"use letters"},"request_id":"r"}}"#;
    assert_eq!(refusal(body).as_deref(), Some("INVALID_TOPIC: no (field topic); use letters"));
    assert_eq!(refusal("oops"), None);
}

#[test]
fn segments_are_escaped() {
    assert_eq!(segment("a/b c#+"), "a%2Fb%20c%23%2B");
}

#[test]
fn machines_see_no_progress() {
    let audience = Audience::of(true);
    let bars = [progress::bar(audience, 10, "records")];
    for bar in bars {
        assert!(bar.is_hidden());
        bar.inc(3);
        assert_eq!(bar.position(), 3, "it counts all the same");
    }
}

#[derive(clap::Parser)]
struct Line {
    /// As in the binary: its global options must not be taken for a command's own.
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    webhooks: Webhooks,
}

fn line(words: &[&str]) -> Result<Webhooks, clap::Error> {
    use clap::Parser;
    let words = std::iter::once("webhooks").chain(words.iter().copied());
    let line = Line::try_parse_from(words)?;
    assert_eq!(line.target.url, None, "nothing was said of the server");
    Ok(line.webhooks)
}

#[test]
fn webhook_commands_become_requests() {
    let table: &[(&[&str], &str, &str, &str)] = &[
        (&["list"], "GET", "/v1/webhooks", ""),
        (&["show", "whk_1"], "GET", "/v1/webhooks/whk_1", ""),
        (&["disable", "whk_1"], "PATCH", "/v1/webhooks/whk_1", r#"{"enabled":false}"#),
        (&["test", "whk_1"], "POST", "/v1/webhooks/whk_1/test", ""),
        (
            &["rotate-secret", "whk_1", "--overlap-ms", "5"],
            "POST",
            "/v1/webhooks/whk_1/rotate-secret",
            r#"{"overlap_ms":5}"#,
        ),
        (
            &["replay", "whk_1", "--all"],
            "POST",
            "/v1/webhooks/whk_1/dead-letters/replay",
            r#"{"all":true}"#,
        ),
        (
            &["purge", "whk_1", "--at", "7", "--at", "2:9"],
            "POST",
            "/v1/webhooks/whk_1/dead-letters/purge",
            r#"{"at":[{"partition":0,"offset":7},{"partition":2,"offset":9}]}"#,
        ),
        (
            &["replay", "whk_1", "--range", "7..9"],
            "POST",
            "/v1/webhooks/whk_1/dead-letters/replay",
            r#"{"from":7,"to":9}"#,
        ),
        (
            &["dead-letters", "whk/1", "--cursor", "a b"],
            "GET",
            "/v1/webhooks/whk%2F1/dead-letters?limit=20&cursor=a%20b",
            "",
        ),
    ];
    for (words, method, path, body) in table {
        let (found, at, sent) = line(words).expect("a command").request().expect("a request");
        assert_eq!((found.as_str(), at.as_str()), (*method, *path));
        assert_eq!(sent.map(|body| body.to_string()).unwrap_or_default(), *body);
    }
    for words in [&["replay", "whk_1"][..], &["replay", "whk_1", "--all", "--at", "1"]] {
        assert!(line(words).is_err(), "say which, and once: {words:?}");
    }
    let words = [
        "create",
        "https://h/",
        "orders",
        "--header",
        "X-A: 1",
        "--settings",
        "{\"timeout_ms\":5}",
    ];
    let (_, _, body) = line(&words).expect("a command").request().expect("a request");
    let body = body.expect("a definition");
    assert_eq!(body["headers"], serde_json::json!([{"name": "X-A", "value": "1"}]));
    assert_eq!((&body["timeout_ms"], &body["start"]), (&5.into(), &"latest".into()));
}

#[test]
fn a_signature_is_checked_without_a_server() {
    let words = [
        "verify",
        "--secret",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "--id",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "--timestamp",
        "1614265330",
        "--signature",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ];
    let Webhooks::Verify(mut verify) = line(&words).expect("a command") else {
        panic!("another command");
    };
    let (body, now_s) = (br#"{"test": 2432232314}"#, 1_900_000_000);
    assert_eq!(verify.check(body, now_s), Ok(()));
    assert!(verify.check(b"{}", now_s).expect_err("another body").contains("no signature fits"));
    verify.tolerance_s = Some(300);
    assert!(verify.check(body, now_s).expect_err("too old").contains("older"));
    assert_eq!(verify.check(body, 1_614_265_330), Ok(()));
}

#[test]
fn a_report_is_read_line_by_line() {
    let report = serde_json::json!({
        "total": {"done": 3, "refused": 1, "failed": 0},
        "sign_ins": {"done": 1, "refused": 0, "failed": 0},
        "suspicious_sign_ins": 0,
        "refused_credentials": 7,
        "key_changes": {"key.create": 2},
        "role_changes": {},
        "acts": {"operator": {"key.create": 2}},
        "refused": {"unknown": {"credential.check": 7}},
        "is_partial": true,
    });
    let text = crate::audit::sums_text(&report);
    for line in [
        "Refused credentials:  7",
        "  operator",
        "    credential.check               7",
        "Some groups are left out: narrow the time.",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

#[test]
fn a_compliance_report_is_for_its_owner_only_and_whole() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a writable temporary directory");
    let path = dir.path().join("report.md");
    std::fs::write(&path, "older and longer than the new one").expect("written");
    crate::audit::hand_out(b"# Report\n", Some(&path)).expect("written");
    assert_eq!(std::fs::read_to_string(&path).expect("there"), "# Report\n");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let nowhere = dir.path().join("no-such-folder/report.md");
    let failed = crate::audit::hand_out(b"x", Some(&nowhere)).expect_err("no folder");
    assert!(failed.contains("no-such-folder/report.md"), "{failed}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
}
