//! The admin API from the terminal: tenants, projects, keys, topics.

use crate::Outcome;
use crate::people::{Roles, Users};
use crate::target::{Api, Target, segment};
use reqwest::Method;
use serde_json::{Map, Value, json};

#[derive(clap::Subcommand, Debug)]
pub enum Admin {
    /// Tenants: list, create, show, suspend, resume.
    #[command(subcommand)]
    Tenants(Tenants),
    /// Projects of a tenant.
    #[command(subcommand)]
    Projects(Projects),
    /// API keys of a project.
    #[command(subcommand)]
    Keys(Keys),
    /// Tokens of a project that are taken back.
    #[command(subcommand)]
    Tokens(crate::tokens::Tokens),
    /// Topics of a project.
    #[command(subcommand)]
    Topics(Topics),
    /// People who look after the installation or tenants in it.
    #[command(subcommand, alias = "user")]
    Users(Users),
    /// Roles: what they allow, and who has them where.
    #[command(subcommand)]
    Roles(Roles),
}

#[derive(clap::Subcommand, Debug)]
pub enum Tenants {
    List,
    Create {
        name: String,
        #[arg(long)]
        plan: Option<String>,
    },
    Show {
        tenant: String,
    },
    /// Ends the tenant's connections and refuses its credentials.
    Suspend {
        tenant: String,
        #[arg(long)]
        reason: String,
    },
    Resume {
        tenant: String,
    },
}

#[derive(clap::Subcommand, Debug)]
pub enum Projects {
    List {
        tenant: String,
    },
    Create {
        tenant: String,
        name: String,
        /// JSON, for instance `{"connections_max": 100}`.
        #[arg(long, value_parser = object)]
        limits: Option<Value>,
    },
    Show {
        tenant: String,
        project: String,
    },
}

#[derive(clap::Subcommand, Debug)]
pub enum Keys {
    List {
        tenant: String,
        project: String,
    },
    /// Makes a key; its secret is shown once.
    Create {
        tenant: String,
        project: String,
        name: String,
        /// May be repeated: `events:publish`, `events:subscribe`, `admin:read`, `admin:write`,
        /// `billing:read`.
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,
    },
    /// Makes a successor; the old key works for a grace period.
    Rotate {
        tenant: String,
        project: String,
        key: String,
        #[arg(long, default_value_t = 3_600_000)]
        grace_ms: u64,
    },
    /// Ends a key, and every connection it opened, at once.
    Revoke {
        tenant: String,
        project: String,
        key: String,
    },
}

#[derive(clap::Subcommand, Debug)]
pub enum Topics {
    List {
        tenant: String,
        project: String,
    },
    /// Creates a topic or changes its configuration.
    Put {
        tenant: String,
        project: String,
        topic: String,
        /// JSON, for instance `{"partitions": 4, "retention": {"age_ms_max": 86400000}}`.
        #[arg(long, value_parser = object, default_value = "{}")]
        config: Value,
    },
    Show {
        tenant: String,
        project: String,
        topic: String,
    },
    #[command(flatten)]
    Transfer(crate::transfer::Transfer),
    /// Deletes a topic and its records.
    Delete {
        tenant: String,
        project: String,
        topic: String,
    },
}

/// An argument that is a JSON object.
pub(crate) fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(Value::Object(fields)),
        Ok(_) => Err("expected a JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl Admin {
    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.admin().await?;
        let (method, path, body) = match self {
            Admin::Tenants(command) => command.request(),
            Admin::Projects(command) => command.request(),
            Admin::Keys(command) => command.request(),
            Admin::Tokens(command) => command.request()?,
            Admin::Topics(Topics::Transfer(transfer)) => return transfer.run(target).await,
            Admin::Topics(command) => command.request(),
            Admin::Users(command) => command.request()?,
            Admin::Roles(command) => command.request(),
        };
        let answer = call(&api, method, &path, body).await?;
        let text = serde_json::to_string_pretty(&answer).map_err(|error| error.to_string())?;
        if answer != Value::Null {
            println!("{text}");
        }
        Ok(())
    }
}

pub(crate) type Request = (Method, String, Option<Value>);

pub(crate) fn tenant_path(tenant: &str) -> String {
    format!("/v1/tenants/{}", segment(tenant))
}

pub(crate) fn project_path(tenant: &str, project: &str) -> String {
    format!("{}/projects/{}", tenant_path(tenant), segment(project))
}

impl Tenants {
    fn request(&self) -> Request {
        match self {
            Tenants::List => (Method::GET, "/v1/tenants".to_owned(), None),
            Tenants::Create { name, plan } => {
                let mut body = Map::new();
                body.insert("name".into(), json!(name));
                if let Some(plan) = plan {
                    body.insert("plan".into(), json!(plan));
                }
                (Method::POST, "/v1/tenants".to_owned(), Some(Value::Object(body)))
            }
            Tenants::Show { tenant } => (Method::GET, tenant_path(tenant), None),
            Tenants::Suspend { tenant, reason } => {
                let path = format!("{}/suspend", tenant_path(tenant));
                (Method::POST, path, Some(json!({"reason": reason})))
            }
            Tenants::Resume { tenant } => {
                (Method::POST, format!("{}/resume", tenant_path(tenant)), Some(json!({})))
            }
        }
    }
}

impl Projects {
    fn request(&self) -> Request {
        let all = |tenant: &str| format!("{}/projects", tenant_path(tenant));
        match self {
            Projects::List { tenant } => (Method::GET, all(tenant), None),
            Projects::Create { tenant, name, limits } => {
                let mut body = Map::new();
                body.insert("name".into(), json!(name));
                if let Some(limits) = limits {
                    body.insert("limits".into(), limits.clone());
                }
                (Method::POST, all(tenant), Some(Value::Object(body)))
            }
            Projects::Show { tenant, project } => {
                (Method::GET, project_path(tenant, project), None)
            }
        }
    }
}

impl Keys {
    fn request(&self) -> Request {
        let all = |tenant: &str, project: &str| format!("{}/keys", project_path(tenant, project));
        match self {
            Keys::List { tenant, project } => (Method::GET, all(tenant, project), None),
            Keys::Create { tenant, project, name, scopes } => {
                let body = json!({"name": name, "scopes": scopes});
                (Method::POST, all(tenant, project), Some(body))
            }
            Keys::Rotate { tenant, project, key, grace_ms } => {
                let path = format!("{}/{}/rotate", all(tenant, project), segment(key));
                (Method::POST, path, Some(json!({"grace_ms": grace_ms})))
            }
            Keys::Revoke { tenant, project, key } => {
                let path = format!("{}/{}/revoke", all(tenant, project), segment(key));
                (Method::POST, path, Some(json!({})))
            }
        }
    }
}

impl Topics {
    fn request(&self) -> Request {
        let all = |tenant: &str, project: &str| format!("{}/topics", project_path(tenant, project));
        let one = |tenant: &str, project: &str, topic: &str| {
            format!("{}/{}", all(tenant, project), segment(topic))
        };
        match self {
            Topics::List { tenant, project } => (Method::GET, all(tenant, project), None),
            Topics::Put { tenant, project, topic, config } => {
                (Method::PUT, one(tenant, project, topic), Some(config.clone()))
            }
            // Carried out by itself, since it is many requests.
            Topics::Transfer(transfer) => (Method::GET, transfer.path(), None),
            Topics::Show { tenant, project, topic } => {
                (Method::GET, one(tenant, project, topic), None)
            }
            Topics::Delete { tenant, project, topic } => {
                (Method::DELETE, one(tenant, project, topic), None)
            }
        }
    }
}

/// Follows the pages of a list to its end.
pub(crate) async fn call(
    api: &Api,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<Value, String> {
    /// Pages followed; a longer list is asked for with the API itself.
    const PAGES_MAX: usize = 1_000;
    let first = match body {
        Some(body) => api.request(method.clone(), path).json(&body),
        None => api.request(method.clone(), path),
    };
    let mut answer = api.call(first).await?;
    for _ in 0..PAGES_MAX {
        let Some(cursor) = answer["next_cursor"].as_str().map(segment) else {
            break;
        };
        let mark = if path.contains('?') { '&' } else { '?' };
        let next = format!("{path}{mark}cursor={cursor}");
        let next = api.call(api.request(Method::GET, &next)).await?;
        append(&mut answer, next);
    }
    Ok(answer)
}

/// Adds the lists of the next page to those of the same name, and takes its cursor over.
fn append(answer: &mut Value, next: Value) {
    let (Value::Object(answer), Value::Object(next)) = (answer, next) else {
        return;
    };
    for (name, value) in next {
        match (answer.get_mut(&name), value) {
            (Some(Value::Array(items)), Value::Array(more)) => items.extend(more),
            (_, value) => {
                answer.insert(name, value);
            }
        }
    }
}
