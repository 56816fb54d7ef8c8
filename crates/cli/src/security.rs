//! `mainstem security`: what the security checks find, what of it is accepted until a day, what
//! happens, and who is signed in.

use crate::target::{Api, Target, segment};
use crate::usage::print;
use reqwest::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::process::ExitCode;
use stdx::SystemClock;

/// Pages that are read: a look has at most so many findings.
const PAGES_MAX: usize = 200;
const DAY_MS: i64 = 24 * 3_600_000;
/// What `check` exits with when something of this severity is open.
const WARNING: u8 = 2;
const CRITICAL: u8 = 3;

#[derive(clap::Subcommand, Debug)]
pub enum Security {
    /// Looks now and prints what is found, the worst first. Exits with 3 when something critical is
    /// open, with 2 when a warning is, with 0 otherwise; with 1 when it could not look.
    Check {
        /// Only this tenant's.
        #[arg(long)]
        tenant: Option<String>,
        #[arg(long)]
        project: Option<String>,
        /// Only `critical`, `warning` or `info`.
        #[arg(long)]
        severity: Option<String>,
        /// What is accepted as well.
        #[arg(long)]
        all: bool,
        /// As JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// What happened lately, counted from the audit trail, and what of it is odd.
    Activity {
        #[arg(long)]
        tenant: Option<String>,
        /// The window, 1 to 168.
        #[arg(long, default_value_t = 24)]
        hours: u32,
    },
    /// Lists the sessions in force, each with the last that its user did.
    Sessions {
        /// Only of people with a role in this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// `next_cursor` of the page before.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Ends one session of a user.
    EndSession { user: String, session: String },
    /// Lists the checks there are.
    Checks,
    /// Accepts a finding until a day: it counts as open no more.
    Accept {
        /// As `check` names it.
        finding: String,
        /// The tenant where it was found; absent: the installation.
        #[arg(long)]
        tenant: Option<String>,
        /// Days until it counts again, 366 at most.
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// Why it may stay as it is.
        #[arg(long)]
        reason: String,
    },
    /// Lets an accepted finding count again.
    Reopen {
        /// The acceptance, `acp_...`.
        acceptance: String,
    },
}

/// `?a=x&b=y` of what is given.
fn query(parts: &[(&str, Option<&String>)]) -> String {
    let given = parts.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    let pairs: Vec<String> =
        given.map(|(name, value)| format!("{name}={}", segment(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

impl Security {
    pub async fn run(&self, target: &Target) -> Result<ExitCode, String> {
        let api = target.admin().await?;
        match self {
            Security::Check { tenant, project, severity, all, json } => {
                let state = if *all { "all" } else { "open" }.to_owned();
                let parts = [
                    ("tenant", tenant.as_ref()),
                    ("project", project.as_ref()),
                    ("severity", severity.as_ref()),
                    ("state", Some(&state)),
                ];
                let found = findings(&api, &query(&parts)).await?;
                match json {
                    true => print(&found)?,
                    false => std::print!("{}", findings_text(&found)),
                }
                return Ok(exit_code(&found));
            }
            Security::Activity { tenant, hours } => {
                let hours = hours.to_string();
                let parts = [("tenant", tenant.as_ref()), ("hours", Some(&hours))];
                get(&api, &format!("/v1/security/activity{}", query(&parts))).await?;
            }
            Security::Sessions { tenant, cursor } => {
                let parts = [("tenant", tenant.as_ref()), ("cursor", cursor.as_ref())];
                get(&api, &format!("/v1/security/sessions{}", query(&parts))).await?;
            }
            Security::EndSession { user, session } => {
                let (user, session) = (segment(user), segment(session));
                let path = format!("/v1/users/{user}/sessions/{session}");
                api.call(api.request(Method::DELETE, &path)).await?;
            }
            Security::Checks => get(&api, "/v1/security/checks").await?,
            Security::Accept { finding, tenant, days, reason } => {
                let until = SystemClock::shared().now_ms() + i64::from(*days) * DAY_MS;
                let mut body = json!({"finding": finding, "until": until, "reason": reason});
                if let Some(tenant) = tenant {
                    body["tenant"] = json!(tenant);
                }
                let request = api.request(Method::POST, "/v1/security/acceptances").json(&body);
                print(&api.call(request).await?)?;
            }
            Security::Reopen { acceptance } => {
                let path = format!("/v1/security/acceptances/{}", segment(acceptance));
                api.call(api.request(Method::DELETE, &path)).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn get(api: &Api, path: &str) -> Result<(), String> {
    print(&api.call(api.request(Method::GET, path)).await?)
}

/// All pages as one answer.
async fn findings(api: &Api, query: &str) -> Result<Value, String> {
    let first = format!("/v1/security/findings{query}&limit=1000");
    let mut whole = api.call(api.request(Method::GET, &first)).await?;
    for _ in 0..PAGES_MAX {
        let Some(cursor) = whole["next_cursor"].as_str() else { return Ok(whole) };
        let path = format!("{first}&cursor={}", segment(cursor));
        let mut page = api.call(api.request(Method::GET, &path)).await?;
        let more = page["findings"].take();
        whole["next_cursor"] = page["next_cursor"].take();
        if let (Some(all), Value::Array(more)) = (whole["findings"].as_array_mut(), more) {
            all.extend(more);
        }
    }
    Err("there are more findings than this command reads: name a severity".to_owned())
}

/// What is open decides, whatever was asked to be shown.
pub(crate) fn exit_code(found: &Value) -> ExitCode {
    let open = |severity: &str| found["open"][severity].as_u64().unwrap_or_default();
    match (open("critical"), open("warning")) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(WARNING),
        (_, _) => ExitCode::from(CRITICAL),
    }
}

/// Findings as people read them.
pub(crate) fn findings_text(found: &Value) -> String {
    let mut text = String::new();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for finding in found["findings"].as_array().into_iter().flatten() {
        let of = |name: &str| word(&finding[name]);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}: {} ({})", of("severity"), of("title"), of("check"));
        let _ = writeln!(text, "  {}: {}", of("subject"), of("found"));
        if let Some(tenant) = finding["tenant"].as_str() {
            let project = finding["project"].as_str().map(|it| format!(", project {it}"));
            let _ = writeln!(text, "  tenant {tenant}{}", project.unwrap_or_default());
        }
        let _ = writeln!(text, "  why: {}\n  cure: {}", of("why"), of("cure"));
        let _ = writeln!(text, "  finding: {}", of("id"));
        if finding["acceptance"].is_object() {
            let said = |name: &str| word(&finding["acceptance"][name]);
            let (actor, reason, id) = (said("actor"), said("reason"), said("id"));
            let _ = writeln!(text, "  accepted by {actor}: {reason} ({id})");
        }
        text.push('\n');
    }
    let open = |severity: &str| found["open"][severity].as_u64().unwrap_or_default();
    let (critical, warning, info) = (open("critical"), open("warning"), open("info"));
    let accepted = found["accepted"].as_u64().unwrap_or_default();
    let _ = writeln!(
        text,
        "open: {critical} critical, {warning} warnings, {info} hints; accepted: {accepted}"
    );
    if found["is_partial"] == true {
        text.push_str("Some records were not looked at: there are too many.\n");
    }
    text
}
