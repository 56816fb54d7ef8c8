//! What people read, in each form.

use super::engine::{rule, terms};
use crate::notice::{body, letter, slack, webhook};
use crate::{Config, Terms};
use serde_json::json;
use std::collections::BTreeMap;
use tenancy::{Alert, AlertNotice, AlertState, Severity};

fn alert() -> Alert {
    Alert {
        id: "alt_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b".parse().expect("an id"),
        rule: rule(Severity::Critical).id,
        name: "Too many".to_owned(),
        severity: Severity::Critical,
        labels: BTreeMap::from([("tenant".to_owned(), "ten_1".to_owned())]),
        summary: "Look.".to_owned(),
        state: AlertState::Firing,
        value: 11.5,
        started_at: 1_795_219_200_000,
        fired_at: Some(1_795_219_200_000),
        seen_at: 1_795_219_200_000,
        resolved_at: None,
        notified_at: None,
    }
}

#[test]
fn letter_slack_and_webhook_say_the_same() {
    let config =
        Config { console_url: Some("https://ops.example.org/".into()), ..Config::default() };
    let body = body("firing", &alert(), &rule(Severity::Critical), &terms(0), &config);
    let (subject, text) = letter(&body);
    assert_eq!(subject, "[Mainstem] Firing: Too many (critical)");
    for part in [
        "mainstem_connections is above 10",
        "11.5",
        "tenant=ten_1",
        "2026-11-21T00:00:00Z",
        "Look.",
        "https://ops.example.org/alerts",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let slack = slack(&body);
    assert_eq!(slack["attachments"][0]["color"], "danger");
    assert_eq!(slack["text"], "Firing: Too many (critical)");
    let notice = AlertNotice {
        id: "aln_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b".parse().expect("an id"),
        alert: Some(alert().id),
        channel: "alc_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b".parse().expect("an id"),
        kind: "firing".to_owned(),
        body: body.clone(),
        attempts: 0,
        next_at: 0,
        ended_at: None,
        outcome: None,
        error: None,
        created_at: 1_795_219_200_000,
    };
    let sent = webhook(&notice);
    assert_eq!((&sent["type"], &sent["data"]), (&json!("alert.firing"), &body));
}

#[test]
fn terms_that_cannot_be_meant_are_refused_by_name() {
    let good = || serde_json::to_value(terms(0)).expect("JSON");
    let check = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = good();
        change(&mut value);
        let outcome = Terms::read(&value).and_then(|terms| terms.check());
        outcome.err().and_then(|refusal| refusal.field_name().map(str::to_owned))
    };
    assert_eq!(check(&|_| {}), None);
    let metric = |name: &'static str, value: serde_json::Value| {
        check(&move |terms| terms["source"]["metric"][name] = value.clone())
    };
    assert_eq!(metric("name", json!("nothing")).as_deref(), Some("terms.source.metric.name"));
    assert_eq!(metric("measure", json!("rate")).as_deref(), Some("terms.source.metric.measure"));
    assert_eq!(
        metric("window_seconds", json!(1)).as_deref(),
        Some("terms.source.metric.window_seconds")
    );
    assert_eq!(metric("unknown", json!(1)).as_deref(), Some("terms.source"));
    assert_eq!(
        check(&|terms| terms["repeat_seconds"] = json!(1)).as_deref(),
        Some("terms.repeat_seconds")
    );
    for rule in crate::built_in() {
        rule.terms.check().unwrap_or_else(|refusal| panic!("{}: {refusal}", rule.id));
    }
}
