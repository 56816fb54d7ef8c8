//! How a record is written for those outside: JSON as in the log, CEF, and the syslog message
//! around either. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use tenancy::{AuditOutcome, AuditRecord, audit_text, canonical};
use types::TimestampMs;

/// Log audit (RFC 5424, table 1).
const FACILITY: u8 = 13;
/// RFC 5424 section 6.2.7.
const MESSAGE_ID_BYTES_MAX: usize = 32;
/// The number that IANA gives to examples; private ones may be told apart by it.
const STRUCTURED: &str = "mainstem@32473";
/// A datagram that no network along the way has to cut in pieces it may lose: longer records go
/// without their details.
pub const DATAGRAM_BYTES_MAX: usize = 8 * 1024;

/// The form of a record outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The record as it is in the log: JSON on one line, with its number and hash.
    #[default]
    Json,
    /// ArcSight's Common Event Format, version 0.
    Cef,
}

impl Format {
    pub fn line(self, record: &AuditRecord) -> String {
        match self {
            Format::Json => json(record),
            Format::Cef => cef(record),
        }
    }
}

fn json(record: &AuditRecord) -> String {
    match &record.link {
        Some(link) => audit_text(record, link),
        // Without a place there is nothing to tell it by; it comes when it has one.
        None => String::new(),
    }
}

/// RFC 3339 in UTC, to the millisecond.
fn time(at: TimestampMs) -> String {
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    format!("{at:.3}")
}

/// `\` and `|` (CEF, header).
fn header(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\r', '\n'], " ")
}

/// `\`, `=` and ends of lines (CEF, extension).
fn extension(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('=', "\\=");
    text.replace('\r', "\\r").replace('\n', "\\n")
}

fn cef(record: &AuditRecord) -> String {
    let severity = match record.outcome {
        AuditOutcome::Done => 3,
        AuditOutcome::Refused => 6,
        AuditOutcome::Failed => 7,
    };
    let action = header(&record.action);
    let version = env!("CARGO_PKG_VERSION");
    let mut line = format!("CEF:0|Mainstem|Mainstem|{version}|{action}|{action}|{severity}|");
    let link = record.link.as_ref();
    let fields = [
        ("rt", Some(record.at.to_string())),
        ("externalId", Some(record.id.to_string())),
        ("act", Some(record.action.clone())),
        ("outcome", Some(record.outcome.name().to_owned())),
        ("suser", Some(record.actor.clone())),
        ("src", record.address.clone()),
        ("cnt", Some(record.count.to_string())),
        ("cn1Label", Some("sequence".to_owned())),
        ("cn1", link.map(|link| link.sequence.to_string())),
        ("cs1Label", Some("target".to_owned())),
        ("cs1", Some(record.target.clone())),
        ("cs2Label", record.tenant.map(|_| "tenant".to_owned())),
        ("cs2", record.tenant.map(|id| id.to_string())),
        ("cs3Label", record.project.map(|_| "project".to_owned())),
        ("cs3", record.project.map(|id| id.to_string())),
        ("cs4Label", record.request.as_ref().map(|_| "request".to_owned())),
        ("cs4", record.request.clone()),
        ("cs5Label", Some("hash".to_owned())),
        ("cs5", link.map(|link| link.hash.to_string())),
        ("msg", Some(canonical(&record.details))),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (index, (name, value)) in given.enumerate() {
        let space = if index == 0 { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(line, "{space}{name}={}", extension(&value));
    }
    line
}

/// Printable ASCII without spaces, as RFC 5424 wants its header's fields; `-` for none.
fn name(text: &str, bytes_max: usize) -> String {
    let kept: String = text.chars().filter(char::is_ascii_graphic).take(bytes_max).collect();
    if kept.is_empty() { "-".to_owned() } else { kept }
}

/// `"`, `\` and `]` (RFC 5424 section 6.3.3).
fn parameter(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]")
}

/// One message (RFC 5424), without what delimits it on the wire.
pub fn syslog(record: &AuditRecord, format: Format, host: Option<&str>) -> String {
    let severity = match record.outcome {
        AuditOutcome::Done => 6,
        AuditOutcome::Refused => 4,
        AuditOutcome::Failed => 3,
    };
    let priority = FACILITY * 8 + severity;
    let host = name(host.unwrap_or_default(), 255);
    let action = name(&record.action, MESSAGE_ID_BYTES_MAX);
    let time = time(record.at);
    let mut message = format!("<{priority}>1 {time} {host} mainstem - {action} [{STRUCTURED}");
    let link = record.link.as_ref();
    let parameters = [
        ("sequence", link.map(|link| link.sequence.to_string())),
        ("hash", link.map(|link| link.hash.to_string())),
        ("actor", Some(record.actor.clone())),
        ("outcome", Some(record.outcome.name().to_owned())),
        ("tenant", record.tenant.map(|id| id.to_string())),
    ];
    for (name, value) in parameters.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        // Writing to a string cannot fail.
        let _ = write!(message, " {name}=\"{}\"", parameter(&value));
    }
    message.push_str("] ");
    message.push_str(&format.line(record));
    message
}

/// As `syslog`, short enough for a datagram: details that are too long are left out, which changes
/// the text that the hash was made of and so is said in it.
pub fn datagram(record: &AuditRecord, format: Format, host: Option<&str>) -> String {
    let whole = syslog(record, format, host);
    if whole.len() <= DATAGRAM_BYTES_MAX {
        return whole;
    }
    let details = serde_json::json!({"omitted": "longer than a datagram; the trail has them"});
    let mut short = syslog(&AuditRecord { details, ..record.clone() }, format, host);
    if short.len() > DATAGRAM_BYTES_MAX {
        let end = (0..=DATAGRAM_BYTES_MAX).rev().find(|&at| short.is_char_boundary(at));
        short.truncate(end.unwrap_or(0));
    }
    short
}
