//! What people are told of an alert: a letter, Slack's JSON, a signed webhook. The same content in
//! three forms. Pure.

use crate::config::Config;
use crate::terms::{Source, Terms};
use serde_json::{Value, json};
use tenancy::{Alert, AlertChannel, AlertNotice, AlertRule, Severity};
use types::TimestampMs;

fn time(at: TimestampMs) -> String {
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    format!("{at:.0}")
}

/// What the rule's condition is, for people.
pub(crate) fn condition(terms: &Terms) -> String {
    match &terms.source {
        Source::Metric(metric) => {
            let words = metric.comparison.words();
            format!("{} is {words} {}", metric.name, metric.threshold)
        }
        Source::Event(event) => {
            let (count, seconds) = (event.count_min, event.window_seconds);
            format!("`{}` at least {count} times in {seconds} s", event.action)
        }
    }
}

/// Where people look at alerts.
fn link(config: &Config) -> Option<String> {
    let url = config.console_url.as_ref()?;
    Some(format!("{}/alerts", url.trim_end_matches('/')))
}

/// What is stored of a notice and sent, whatever the channel.
pub(crate) fn body(
    kind: &str,
    alert: &Alert,
    rule: &AlertRule,
    terms: &Terms,
    config: &Config,
) -> Value {
    json!({
        "kind": kind,
        "alert": alert.id.to_string(),
        "rule": rule.id.to_string(),
        "name": alert.name,
        "severity": alert.severity.name(),
        "state": alert.state.name(),
        "labels": alert.labels,
        "value": alert.value,
        "condition": condition(terms),
        "summary": alert.summary,
        "started_at": alert.started_at,
        "fired_at": alert.fired_at,
        "resolved_at": alert.resolved_at,
        "url": link(config),
    })
}

/// The body of a message that only shows that the channel works.
pub(crate) fn test_body(channel: &AlertChannel, now: TimestampMs, config: &Config) -> Value {
    json!({
        "kind": "test",
        "alert": null,
        "rule": null,
        "name": "A test of this channel",
        "severity": Severity::Info.name(),
        "state": "firing",
        "labels": {"channel": channel.name},
        "value": 0.0,
        "condition": "somebody asked for a test",
        "summary": "Nothing is wrong. Alerts of this installation will arrive here.",
        "started_at": now,
        "fired_at": now,
        "resolved_at": null,
        "url": link(config),
    })
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or_default()
}

fn headline(body: &Value) -> String {
    let word = match text(body, "kind") {
        "resolved" => "Resolved",
        "repeat" => "Still firing",
        "test" => "Test",
        _ => "Firing",
    };
    format!("{word}: {} ({})", text(body, "name"), text(body, "severity"))
}

fn labels(body: &Value) -> String {
    let pairs = body["labels"].as_object().into_iter().flatten();
    let pairs = pairs.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
    pairs.collect::<Vec<String>>().join(", ")
}

/// Subject and text of a letter.
pub(crate) fn letter(body: &Value) -> (String, String) {
    let mut lines = vec![headline(body), String::new()];
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("{name}: {value}"));
        }
    };
    line("Condition", text(body, "condition").to_owned());
    line("Value", body["value"].as_f64().map_or_else(String::new, |value| value.to_string()));
    line("Labels", labels(body));
    line("Since", body["started_at"].as_i64().map_or_else(String::new, time));
    line("Until", body["resolved_at"].as_i64().map_or_else(String::new, time));
    line("What to do", text(body, "summary").to_owned());
    line("Console", text(body, "url").to_owned());
    lines.push(String::new());
    (format!("[Mainstem] {}", headline(body)), lines.join("\n"))
}

/// As Slack's incoming webhooks take it, and what imitates them.
pub(crate) fn slack(body: &Value) -> Value {
    let color = match (text(body, "kind"), text(body, "severity")) {
        ("resolved", _) => "good",
        (_, "critical") => "danger",
        (_, "warning") => "warning",
        _ => "#439fe0",
    };
    let field = |title: &str, value: String| json!({"title": title, "value": value, "short": true});
    let mut fields = vec![field("Condition", text(body, "condition").to_owned())];
    let labels = labels(body);
    if !labels.is_empty() {
        fields.push(field("Labels", labels));
    }
    json!({
        "text": headline(body),
        "attachments": [{
            "color": color,
            "fallback": headline(body),
            "text": text(body, "summary"),
            "title_link": body["url"],
            "fields": fields,
            "ts": body["started_at"].as_i64().unwrap_or_default() / 1_000,
        }],
    })
}

/// The body of a signed request; `type` is `alert.firing`, `alert.resolved` and so on.
pub(crate) fn webhook(notice: &AlertNotice) -> Value {
    json!({
        "type": format!("alert.{}", notice.kind),
        "timestamp": time(notice.created_at),
        "data": notice.body,
    })
}
