//! `mainstem approvals`: acts that wait for a second person. List and look at them, approve,
//! refuse, withdraw; say which acts wait. It must not decide who may: the server does.

use crate::Outcome;
use crate::admin::call;
use crate::target::{Api, Target, segment};
use crate::usage::print;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// How often an approved act is looked at until it is carried out, and how many times.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS_MAX: u32 = 120;

#[derive(clap::Subcommand, Debug)]
pub enum Approvals {
    /// Lists what waits, or waited: one's own, and what one may see of others'.
    List {
        /// `pending` (the default), `approved`, `running`, `done`, `failed`, `refused`, `expired`,
        /// `withdrawn`, `void`, with commas between them, or `any`.
        #[arg(long, default_value = "pending")]
        state: String,
        /// Only what names this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// Only what one asked for oneself.
        #[arg(long)]
        mine: bool,
    },
    /// Shows what was sent, what it is about, and who may decide.
    Show { approval: String },
    /// Approves it; it is carried out at once, and what came of it is shown.
    Approve {
        approval: String,
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Refuses it.
    Refuse {
        approval: String,
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Takes back what one asked for.
    Withdraw { approval: String },
    /// Shows the whole answer of what one asked for, with its secrets: once.
    Answer { approval: String },
    /// Lists the acts that can be made to wait.
    Acts,
    /// Which acts wait for a second person.
    Rules {
        #[command(subcommand)]
        command: Option<Rules>,
        /// Also this tenant's own.
        #[arg(long)]
        tenant: Option<String>,
    },
}

#[derive(clap::Subcommand, Debug)]
pub enum Rules {
    /// Makes an act wait: in the installation, or with `--tenant` only there.
    Add {
        act: String,
        #[arg(long)]
        tenant: Option<String>,
        /// How long it waits for somebody to decide; 24 when absent.
        #[arg(long)]
        hours: Option<u32>,
    },
    /// Lets one person do it again, once a second one has approved that.
    Remove {
        act: String,
        #[arg(long)]
        tenant: Option<String>,
    },
}

fn path(approval: &str) -> String {
    format!("/v1/approvals/{}", segment(approval))
}

fn rule_path(act: &str, tenant: Option<&String>) -> String {
    let place = tenant.map(|tenant| format!("?tenant={}", segment(tenant))).unwrap_or_default();
    format!("/v1/approval-rules/{}{place}", segment(act))
}

impl Approvals {
    pub(crate) fn request(&self) -> (Method, String, Option<Value>) {
        let comment = |text: &String| Some(json!({"comment": text}));
        match self {
            Approvals::List { state, tenant, mine } => {
                let mut query = Vec::new();
                if state != "any" {
                    query.push(format!("state={}", segment(state)));
                }
                query.extend(tenant.iter().map(|tenant| format!("tenant={}", segment(tenant))));
                query.extend(mine.then(|| "show=mine".to_owned()));
                (Method::GET, format!("/v1/approvals?{}", query.join("&")), None)
            }
            Approvals::Show { approval } => (Method::GET, path(approval), None),
            Approvals::Approve { approval, comment: text } => {
                (Method::POST, format!("{}/approve", path(approval)), comment(text))
            }
            Approvals::Refuse { approval, comment: text } => {
                (Method::POST, format!("{}/refuse", path(approval)), comment(text))
            }
            Approvals::Withdraw { approval } => {
                (Method::POST, format!("{}/withdraw", path(approval)), None)
            }
            Approvals::Answer { approval } => {
                (Method::POST, format!("{}/answer", path(approval)), None)
            }
            Approvals::Acts => (Method::GET, "/v1/approval-acts".to_owned(), None),
            Approvals::Rules { command: None, tenant } => {
                let place = tenant.as_ref().map(|tenant| format!("?tenant={}", segment(tenant)));
                let path = format!("/v1/approval-rules{}", place.unwrap_or_default());
                (Method::GET, path, None)
            }
            Approvals::Rules { command: Some(Rules::Add { act, tenant, hours }), .. } => {
                let body = hours.map_or_else(|| json!({}), |hours| json!({"hours": hours}));
                (Method::PUT, rule_path(act, tenant.as_ref()), Some(body))
            }
            Approvals::Rules { command: Some(Rules::Remove { act, tenant }), .. } => {
                (Method::DELETE, rule_path(act, tenant.as_ref()), None)
            }
        }
    }

    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.admin().await?;
        let (method, path, body) = self.request();
        let answer = call(&api, method, &path, body).await?;
        let answer = match self {
            Approvals::Approve { approval, .. } => carried_out(&api, approval, answer).await?,
            _ => answer,
        };
        match answer {
            Value::Null => Ok(()),
            answer => print(&answer),
        }
    }
}

/// Waits until what was approved is carried out, or is not going to be.
async fn carried_out(api: &Api, approval: &str, mut answer: Value) -> Result<Value, String> {
    for _ in 0..LOOKS_MAX {
        let is_under_way = matches!(answer["state"].as_str(), Some("approved" | "running"));
        if !is_under_way || answer["mode"] == "pass" {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        answer = call(api, Method::GET, &path(approval), None).await?;
    }
    Ok(answer)
}

/// One line for who did something that waits now; `None` for any other answer.
pub(crate) fn waiting(text: &str) -> Option<String> {
    let body: Value = serde_json::from_str(text).ok()?;
    if body["code"] != "APPROVAL_REQUIRED" {
        return None;
    }
    let approval = &body["approval"];
    let id = approval["id"].as_str()?;
    let people: Vec<&str> = body["approvers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["email"].as_str())
        .collect();
    let people = match people.as_slice() {
        [] => "an operator".to_owned(),
        people => people.join(", "),
    };
    let then = match approval["mode"].as_str() {
        Some("pass") => format!("; then repeat it with `--approval {id}`"),
        _ => String::new(),
    };
    let until = approval["expires_at"].as_i64().unwrap_or_default();
    Some(format!(
        "APPROVAL_REQUIRED: nothing was done yet: it waits for a second person as {id} until \
         {until} (milliseconds since 1970){then}. May approve: {people}. Follow it: `mainstem \
         approvals show {id}`; take it back: `mainstem approvals withdraw {id}`",
    ))
}
