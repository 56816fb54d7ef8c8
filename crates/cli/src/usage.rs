//! `mainstem usage`: what tenants consumed, and whether it is what the log says.

use crate::Outcome;
use crate::admin::{call, tenant_path};
use crate::target::Target;
use reqwest::Method;
use serde_json::{Map, Value, json};

#[derive(clap::Subcommand, Debug)]
pub enum Usage {
    /// Windows of a tenant, hour by hour or day by day.
    Show {
        tenant: String,
        #[arg(long)]
        project: Option<String>,
        /// `hour` or `day`.
        #[arg(long, default_value = "hour")]
        step: String,
        /// Windows that begin then or later, in milliseconds since 1970.
        #[arg(long)]
        from: Option<i64>,
        #[arg(long)]
        to: Option<i64>,
    },
    /// Sums per project and metric.
    Totals {
        tenant: String,
        #[arg(long)]
        from: Option<i64>,
        #[arg(long)]
        to: Option<i64>,
    },
    /// Counts the log again and compares with what was metered. Fails when they differ.
    Recompute(Recompute),
}

#[derive(clap::Args, Debug)]
pub struct Recompute {
    tenant: String,
    /// Only compares.
    #[arg(long, conflicts_with = "repair", required_unless_present = "repair")]
    verify: bool,
    /// Sets windows that differ to what the log says.
    #[arg(long)]
    repair: bool,
    #[arg(long)]
    project: Option<String>,
    /// Windows that begin then or later, in milliseconds since 1970.
    #[arg(long)]
    from: Option<i64>,
    #[arg(long)]
    to: Option<i64>,
}

fn query(parts: &[(&str, Option<String>)]) -> String {
    let given = parts.iter().filter_map(|(name, value)| {
        value.as_ref().map(|value| format!("{name}={}", crate::target::segment(value)))
    });
    let text: Vec<String> = given.collect();
    if text.is_empty() { String::new() } else { format!("?{}", text.join("&")) }
}

fn number(value: Option<i64>) -> Option<String> {
    value.map(|value| value.to_string())
}

impl Usage {
    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.admin().await?;
        let (path, parts) = match self {
            Usage::Show { tenant, project, step, from, to } => {
                let parts = vec![
                    ("step", Some(step.clone())),
                    ("project", project.clone()),
                    ("from", number(*from)),
                    ("to", number(*to)),
                    ("limit", Some("1000".to_owned())),
                ];
                (format!("{}/usage", tenant_path(tenant)), parts)
            }
            Usage::Totals { tenant, from, to } => {
                let parts = vec![("from", number(*from)), ("to", number(*to))];
                (format!("{}/usage/totals", tenant_path(tenant)), parts)
            }
            Usage::Recompute(command) => return command.run(target).await,
        };
        let answer = call(&api, Method::GET, &format!("{path}{}", query(&parts)), None).await?;
        print(&answer)
    }
}

impl Recompute {
    fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("mode".into(), json!(if self.repair { "repair" } else { "verify" }));
        let given = [
            ("project", self.project.as_ref().map(|project| json!(project))),
            ("from", self.from.map(|from| json!(from))),
            ("to", self.to.map(|to| json!(to))),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        body.extend(given);
        Value::Object(body)
    }

    async fn run(&self, target: &Target) -> Outcome {
        let api = target.admin().await?;
        let path = format!("{}/usage/recompute", tenant_path(&self.tenant));
        let request = api.request(Method::POST, &path).json(&self.body());
        // The log may be long.
        let answer = api.call_waiting(request).await?;
        print(&answer)?;
        let differing = answer["differing"].as_u64().unwrap_or_default();
        let repaired = answer["repaired"].as_u64().unwrap_or_default();
        match differing.saturating_sub(repaired) {
            0 => Ok(()),
            left => Err(format!("{left} ranges differ from the log")),
        }
    }
}

pub(crate) fn print(value: &Value) -> Outcome {
    println!("{}", serde_json::to_string_pretty(value).map_err(|error| error.to_string())?);
    Ok(())
}
