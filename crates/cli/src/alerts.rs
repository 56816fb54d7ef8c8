//! `mainstem alerts`: what fires, the rules, who is told, what is silent.

use crate::Outcome;
use crate::admin::{call, object};
use crate::target::{Target, segment};
use crate::usage::print;
use reqwest::Method;
use serde_json::{Map, Value, json};

#[derive(clap::Subcommand, Debug)]
pub enum Alerts {
    /// Alerts, newest first.
    List {
        /// `pending`, `firing` or `resolved`.
        #[arg(long)]
        state: Option<String>,
        #[arg(long)]
        rule: Option<String>,
    },
    /// What people were told.
    Notices,
    /// The metrics that rules can watch.
    Metrics,
    /// Rules that watch figures and the audit trail.
    #[command(subcommand)]
    Rules(Rules),
    /// Who is told.
    #[command(subcommand)]
    Channels(Channels),
    /// What is not told for a while.
    #[command(subcommand)]
    Silences(Silences),
}

#[derive(clap::Subcommand, Debug)]
pub enum Rules {
    List,
    /// Makes a rule.
    Create {
        name: String,
        /// `info`, `warning` or `critical`.
        #[arg(long)]
        severity: String,
        /// JSON, for instance `{"source": {"metric": {"name": "mainstem_connections",
        /// "comparison": "above", "threshold": 10000}}, "for_seconds": 60}`.
        #[arg(long, value_parser = object)]
        terms: Value,
    },
    /// Changes what is given.
    Update {
        rule: String,
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        severity: Option<String>,
        #[arg(long, value_parser = object)]
        terms: Option<Value>,
    },
    Enable {
        rule: String,
    },
    Disable {
        rule: String,
    },
    Delete {
        rule: String,
    },
}

#[derive(clap::Subcommand, Debug)]
pub enum Channels {
    List,
    /// Adds somebody who is told. A webhook's signing secret is shown this once.
    Create {
        name: String,
        /// `mail`, `webhook` or `slack`.
        #[arg(long)]
        kind: String,
        /// A mail address, or a URL.
        #[arg(long)]
        address: String,
        /// Alerts below it are not told here.
        #[arg(long)]
        severity_min: Option<String>,
    },
    /// Sends a message that shows whether the channel works.
    Test {
        channel: String,
    },
    Enable {
        channel: String,
    },
    Disable {
        channel: String,
    },
    Delete {
        channel: String,
    },
}

#[derive(clap::Subcommand, Debug)]
pub enum Silences {
    List,
    /// Tells nobody of some alerts for a while.
    Create {
        /// Why, for people.
        reason: String,
        /// When it ends, in milliseconds since 1970.
        #[arg(long)]
        ends_at: i64,
        /// Only of this rule.
        #[arg(long)]
        rule: Option<String>,
        /// Only alerts that carry these, as JSON: `{"tenant": "ten_..."}`.
        #[arg(long, value_parser = object)]
        labels: Option<Value>,
    },
    Delete {
        silence: String,
    },
}

type Request = (Method, String, Option<Value>);

fn of(list: &str, id: &str) -> String {
    format!("/v1/alerts/{list}/{}", segment(id))
}

fn given(fields: &[(&str, Option<Value>)]) -> Value {
    let fields =
        fields.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)));
    Value::Object(fields.collect::<Map<String, Value>>())
}

impl Rules {
    fn request(&self) -> Request {
        let switch = |rule: &String, on: bool| {
            (Method::PATCH, of("rules", rule), Some(json!({"is_enabled": on})))
        };
        match self {
            Rules::List => (Method::GET, "/v1/alerts/rules".to_owned(), None),
            Rules::Create { name, severity, terms } => {
                let body = json!({"name": name, "severity": severity, "terms": terms});
                (Method::POST, "/v1/alerts/rules".to_owned(), Some(body))
            }
            Rules::Update { rule, name, severity, terms } => {
                let body = given(&[
                    ("name", name.clone().map(Value::from)),
                    ("severity", severity.clone().map(Value::from)),
                    ("terms", terms.clone()),
                ]);
                (Method::PATCH, of("rules", rule), Some(body))
            }
            Rules::Enable { rule } => switch(rule, true),
            Rules::Disable { rule } => switch(rule, false),
            Rules::Delete { rule } => (Method::DELETE, of("rules", rule), None),
        }
    }
}

impl Channels {
    fn request(&self) -> Request {
        let switch = |channel: &String, on: bool| {
            (Method::PATCH, of("channels", channel), Some(json!({"is_enabled": on})))
        };
        match self {
            Channels::List => (Method::GET, "/v1/alerts/channels".to_owned(), None),
            Channels::Create { name, kind, address, severity_min } => {
                let body = given(&[
                    ("name", Some(json!(name))),
                    ("kind", Some(json!(kind))),
                    ("address", Some(json!(address))),
                    ("severity_min", severity_min.clone().map(Value::from)),
                ]);
                (Method::POST, "/v1/alerts/channels".to_owned(), Some(body))
            }
            Channels::Test { channel } => {
                (Method::POST, format!("{}/test", of("channels", channel)), None)
            }
            Channels::Enable { channel } => switch(channel, true),
            Channels::Disable { channel } => switch(channel, false),
            Channels::Delete { channel } => (Method::DELETE, of("channels", channel), None),
        }
    }
}

impl Silences {
    fn request(&self) -> Request {
        match self {
            Silences::List => (Method::GET, "/v1/alerts/silences".to_owned(), None),
            Silences::Create { reason, ends_at, rule, labels } => {
                let body = given(&[
                    ("reason", Some(json!(reason))),
                    ("ends_at", Some(json!(ends_at))),
                    ("rule", rule.clone().map(Value::from)),
                    ("labels", labels.clone()),
                ]);
                (Method::POST, "/v1/alerts/silences".to_owned(), Some(body))
            }
            Silences::Delete { silence } => (Method::DELETE, of("silences", silence), None),
        }
    }
}

impl Alerts {
    fn request(&self) -> Request {
        match self {
            Alerts::List { state, rule } => {
                let parts = [("state", state), ("rule", rule)];
                let given = parts.iter().filter_map(|(name, value)| {
                    value.as_ref().map(|value| format!("{name}={}", segment(value)))
                });
                let query: Vec<String> = given.collect();
                let mark = if query.is_empty() { "" } else { "?" };
                (Method::GET, format!("/v1/alerts{mark}{}", query.join("&")), None)
            }
            Alerts::Notices => (Method::GET, "/v1/alerts/notices".to_owned(), None),
            Alerts::Metrics => (Method::GET, "/v1/alerts/metrics".to_owned(), None),
            Alerts::Rules(rules) => rules.request(),
            Alerts::Channels(channels) => channels.request(),
            Alerts::Silences(silences) => silences.request(),
        }
    }

    pub async fn run(&self, target: &Target) -> Outcome {
        let (method, path, body) = self.request();
        match call(&target.admin().await?, method, &path, body).await? {
            Value::Null => Ok(()),
            answer => print(&answer),
        }
    }
}
