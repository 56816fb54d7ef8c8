//! `mainstem audit`: search the trail, follow it, check its chain, export it, add it up, report it.

use crate::Outcome;
use crate::events::Reader;
use crate::target::{Api, Target, refusal, segment};
use crate::usage::print;
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A walk over a large chain takes a while for each part of it.
const VERIFY_TIME_MAX: Duration = Duration::from_secs(300);
/// A report reads many records and checks a part of the chain.
const REPORT_TIME_MAX: Duration = Duration::from_secs(300);
/// Parts of a chain that are walked before the command gives up: a thousand million records.
const PARTS_MAX: usize = 10_000;

#[derive(clap::Subcommand, Debug)]
pub enum Audit {
    /// Searches the trail, newest first.
    List {
        #[command(flatten)]
        search: Search,
        /// Records at most.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Prints records as they are written, as JSON lines.
    Follow {
        #[command(flatten)]
        search: Search,
        /// The last number that was had: goes on behind it.
        #[arg(long)]
        after: Option<u64>,
    },
    /// Checks the chain of hashes and names the first broken link. Fails when there is one.
    Verify {
        /// The number of a record that was written down earlier.
        #[arg(long, requires = "hash")]
        sequence: Option<u64>,
        /// Its hash: the record must still be in the chain.
        #[arg(long, requires = "sequence")]
        hash: Option<String>,
    },
    /// Writes the records of a time to the standard output, one a line.
    Export {
        #[command(flatten)]
        search: Search,
        /// `jsonl`, `cef` or `syslog`.
        #[arg(long, default_value = "jsonl")]
        format: String,
    },
    /// Makes a compliance report: who has which access now; changes of access, approvals, elevated
    /// acts, refusals and configuration changes of a period; findings; the check of the trail's
    /// chain. Its SHA-256 is in the trail, as `audit.report`.
    Report {
        /// Where the period begins: `2026-10-01T00:00:00Z` (RFC 3339), or a day, `2026-10-01`.
        #[arg(long)]
        from: String,
        /// Where it ends, itself not in it; now when absent. 400 days later at most.
        #[arg(long)]
        to: Option<String>,
        /// Of this tenant; of the whole installation when absent.
        #[arg(long)]
        tenant: Option<String>,
        #[arg(long, value_enum, default_value_t = ReportFormat::Json)]
        format: ReportFormat,
        /// Written there, for its owner's eyes only; to the standard output when absent.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Adds up a time: sign-ins, refusals, changes of keys and roles, who did what.
    Sums {
        #[arg(long)]
        tenant: Option<String>,
        #[arg(long)]
        project: Option<String>,
        /// A moment in milliseconds since 1970.
        #[arg(long)]
        from: Option<i64>,
        #[arg(long)]
        to: Option<i64>,
        /// As JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

/// How a compliance report is written.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    Json,
    Markdown,
}

impl ReportFormat {
    fn word(self) -> String {
        match self {
            ReportFormat::Json => "json",
            ReportFormat::Markdown => "markdown",
        }
        .to_owned()
    }
}

/// What is wanted of the trail.
#[derive(clap::Args, Debug, Default)]
pub struct Search {
    #[arg(long)]
    tenant: Option<String>,
    #[arg(long)]
    project: Option<String>,
    /// `key.revoke`, or `key.*`.
    #[arg(long)]
    action: Option<String>,
    /// Who; may end in `*`.
    #[arg(long)]
    actor: Option<String>,
    /// What was acted upon; may end in `*`.
    #[arg(long)]
    target: Option<String>,
    /// `done`, `refused` or `failed`.
    #[arg(long)]
    outcome: Option<String>,
    /// Written at this moment or later, in milliseconds since 1970.
    #[arg(long)]
    from: Option<i64>,
    /// Written before this moment.
    #[arg(long)]
    to: Option<i64>,
}

impl Search {
    fn query(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("tenant", self.tenant.clone()),
            ("project", self.project.clone()),
            ("action", self.action.clone()),
            ("actor", self.actor.clone()),
            ("target", self.target.clone()),
            ("outcome", self.outcome.clone()),
            ("from", self.from.map(|at| at.to_string())),
            ("to", self.to.map(|at| at.to_string())),
        ]
    }
}

fn path(base: &str, parts: &[(&'static str, Option<String>)]) -> String {
    let given = parts.iter().filter_map(|(name, value)| {
        value.as_ref().map(|value| format!("{name}={}", segment(value)))
    });
    let query: Vec<String> = given.collect();
    if query.is_empty() { base.to_owned() } else { format!("{base}?{}", query.join("&")) }
}

impl Audit {
    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.admin().await?;
        match self {
            Audit::List { search, limit } => {
                let mut parts = search.query();
                parts.push(("limit", Some(limit.to_string())));
                let request = api.request(Method::GET, &path("/v1/audit", &parts));
                print(&api.call(request).await?)
            }
            Audit::Follow { search, after } => follow(&api, search, *after).await,
            Audit::Verify { sequence, hash } => verify(&api, *sequence, hash.clone()).await,
            Audit::Export { search, format } => {
                let mut parts = search.query();
                parts.push(("format", Some(format.clone())));
                copy(&api, &path("/v1/audit/export", &parts)).await
            }
            Audit::Report { from, to, tenant, format, output } => {
                let parts = [
                    ("from", Some(from.clone())),
                    ("to", to.clone()),
                    ("tenant", tenant.clone()),
                    ("format", Some(format.word())),
                ];
                let path = path("/v1/audit/compliance", &parts);
                let request = api.request(Method::GET, &path).timeout(REPORT_TIME_MAX);
                hand_out(&api.fetch(request).await?, output.as_deref())
            }
            Audit::Sums { tenant, project, from, to, json } => {
                let parts = [
                    ("tenant", tenant.clone()),
                    ("project", project.clone()),
                    ("from", from.map(|at| at.to_string())),
                    ("to", to.map(|at| at.to_string())),
                ];
                let request = api.request(Method::GET, &path("/v1/audit/report", &parts));
                let report = api.call(request).await?;
                if *json {
                    return print(&report);
                }
                print!("{}", sums_text(&report));
                Ok(())
            }
        }
    }
}

/// The answer, or the server's refusal as one line.
async fn open(request: reqwest::RequestBuilder, api: &Api) -> Result<reqwest::Response, String> {
    let answer = request.send().await;
    let answer = answer.map_err(|error| format!("{} does not answer: {error}", api.url))?;
    let status = answer.status();
    if status.is_success() && status != reqwest::StatusCode::ACCEPTED {
        return Ok(answer);
    }
    let text = answer.text().await.map_err(|error| error.to_string())?;
    if let Some(waiting) = crate::approvals::waiting(&text) {
        return Err(waiting);
    }
    Err(refusal(&text).unwrap_or_else(|| format!("{status}: {text}")))
}

async fn follow(api: &Api, search: &Search, after: Option<u64>) -> Outcome {
    let mut request = api.request(Method::GET, &path("/v1/audit/live", &search.query()));
    if let Some(after) = after {
        request = request.header("last-event-id", after);
    }
    let mut body = open(request, api).await?.bytes_stream();
    let mut reader = Reader::default();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| error.to_string())?;
        for event in reader.push(&piece)? {
            println!("{}", event.data);
        }
    }
    Err("the server ended the answer: the session ended, or it shuts down".to_owned())
}

/// To the standard output, or into a file that is there whole or not at all.
pub(crate) fn hand_out(bytes: &[u8], output: Option<&Path>) -> Outcome {
    let Some(path) = output else {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        return written.map_err(|error| error.to_string());
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut options = OpenOptions::new();
    let opened = options.create(true).truncate(true).write(true).mode(0o600).open(&beside);
    let written = opened
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // What is half written is of no use; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&beside);
        format!("cannot write {}: {error}", path.display())
    })?;
    println!("{} bytes in {}", bytes.len(), path.display());
    Ok(())
}

async fn copy(api: &Api, path: &str) -> Outcome {
    let mut body = open(api.request(Method::GET, path), api).await?.bytes_stream();
    let mut out = std::io::stdout().lock();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| format!("the export is not whole: {error}"))?;
        out.write_all(&piece).map_err(|error| error.to_string())?;
    }
    out.flush().map_err(|error| error.to_string())
}

async fn verify(api: &Api, sequence: Option<u64>, hash: Option<String>) -> Outcome {
    let (mut cursor, mut records, mut first) = (None, 0, None);
    for _ in 0..PARTS_MAX {
        let parts = [
            ("sequence", sequence.map(|number| number.to_string())),
            ("hash", hash.clone()),
            ("cursor", cursor),
        ];
        let request = api.request(Method::GET, &path("/v1/audit/verify", &parts));
        let found = api.call_waiting(request.timeout(VERIFY_TIME_MAX)).await?;
        records += found["records"].as_u64().unwrap_or_default();
        first = first.or(found["first"].as_u64());
        if !found["broken"].is_null() {
            print(&found["broken"])?;
            let number = &found["broken"]["sequence"];
            return Err(format!(
                "the chain is broken at record {number}, after {records} that hold"
            ));
        }
        cursor = found["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            let first = first.map_or_else(|| "-".to_owned(), |first| first.to_string());
            let (last, hash) = (&found["last"]["sequence"], &found["last"]["hash"]);
            println!("the chain holds: {records} records, from {first} to {last}");
            println!("last hash: {}", hash.as_str().unwrap_or("-"));
            return Ok(());
        }
    }
    Err("the chain is longer than this command walks".to_owned())
}

/// The sums as people read them.
pub(crate) fn sums_text(report: &Value) -> String {
    let mut text = String::new();
    let of = |name: &str, part: &str| report[name][part].as_u64().unwrap_or_default();
    let outcomes = |name: &str| {
        let (done, refused, failed) = (of(name, "done"), of(name, "refused"), of(name, "failed"));
        format!("{done} done, {refused} refused, {failed} failed")
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "All records:          {}", outcomes("total"));
    let _ = writeln!(text, "Sign-ins:             {}", outcomes("sign_ins"));
    let _ = writeln!(text, "Suspicious sign-ins:  {}", report["suspicious_sign_ins"]);
    let _ = writeln!(text, "Refused credentials:  {}", report["refused_credentials"]);
    for (title, name) in [("Changes of keys", "key_changes"), ("Changes of roles", "role_changes")]
    {
        let _ = writeln!(text, "\n{title}");
        for (action, count) in report[name].as_object().into_iter().flatten() {
            let _ = writeln!(text, "  {action:<32} {count}");
        }
    }
    for (title, name) in [("Done, by whom", "acts"), ("Refused, to whom", "refused")] {
        let _ = writeln!(text, "\n{title}");
        for (actor, actions) in report[name].as_object().into_iter().flatten() {
            let _ = writeln!(text, "  {actor}");
            for (action, count) in actions.as_object().into_iter().flatten() {
                let _ = writeln!(text, "    {action:<30} {count}");
            }
        }
    }
    if report["is_partial"] == true {
        let _ = writeln!(text, "\nSome groups are left out: narrow the time.");
    }
    text
}
