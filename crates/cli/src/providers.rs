//! Providers that people sign in with (OpenID Connect), from the terminal. A client's secret comes
//! from the environment or standard input, never from arguments, which others can see.

use crate::Outcome;
use crate::admin::{Request, call};
use crate::target::{Target, segment};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::io::BufRead;

const ALL: &str = "/v1/identity-providers";

#[derive(clap::Subcommand, Debug)]
pub enum Oidc {
    /// Lists the providers that people sign in with.
    List {
        /// Only those of this tenant.
        #[arg(long)]
        tenant: Option<String>,
    },
    Show {
        provider: String,
    },
    /// Sets a provider up. The answer holds the address to be registered there.
    Create {
        /// What people see: `Sign in with NAME`.
        name: String,
        /// Exactly as the provider writes it.
        #[arg(long)]
        issuer: String,
        /// Of this tenant; of the whole installation when absent.
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Changes what is given; the rest stays. Switched off, the provider's sessions end.
    Update {
        provider: String,
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Deletes a provider with its sessions and the roles its rules gave; accounts stay.
    Delete {
        provider: String,
    },
    /// Tries a provider out, and says what is wrong. Fails when something is.
    Test {
        provider: String,
    },
}

#[derive(clap::Args, Debug)]
pub struct Settings {
    #[arg(long)]
    client_id: Option<String>,
    /// Reads the client's secret from the first line of standard input.
    #[arg(long)]
    client_secret_stdin: bool,
    #[arg(long, env = "MAINSTEM_CLIENT_SECRET", hide_env_values = true, hide = true)]
    client_secret: Option<String>,
    /// Asked for besides `openid`; may be repeated. `email` and `profile` when absent.
    #[arg(long = "scope")]
    scopes: Vec<String>,
    /// Where an ID token lists groups: `groups`, `realm_access.roles`.
    #[arg(long)]
    groups_claim: Option<String>,
    /// Where an ID token says that the address is the person's own; `email_verified` when absent.
    #[arg(long)]
    verified_claim: Option<String>,
    /// `GROUP=ROLE`, `GROUP=ROLE@TENANT` or `GROUP=ROLE@TENANT/PROJECT`; may be repeated. `*` is
    /// everybody. All rules together replace those of before.
    #[arg(long = "rule", value_parser = rule)]
    rules: Vec<Value>,
    /// Only addresses of this domain are let in; may be repeated.
    #[arg(long = "domain")]
    domains: Vec<String>,
    /// Whether somebody unknown gets an account by signing in.
    #[arg(long)]
    admit_unknown: Option<bool>,
    /// Whether its people may sign in with a password too.
    #[arg(long)]
    password_allowed: Option<bool>,
    /// Whether the second factor of those who have one here is asked for besides.
    #[arg(long)]
    require_own_second_factor: Option<bool>,
    /// Whether it is switched on.
    #[arg(long)]
    enabled: Option<bool>,
    /// Whether it is offered to whoever types an address of its domains.
    #[arg(long)]
    offered: Option<bool>,
}

/// `builders=developer@ten_.../prj_...`
pub(crate) fn rule(text: &str) -> Result<Value, String> {
    const FORM: &str = "expected GROUP=ROLE, GROUP=ROLE@TENANT or GROUP=ROLE@TENANT/PROJECT";
    // A group may have a `=` in its name, a role has none.
    let (group, right) = text.rsplit_once('=').ok_or(FORM)?;
    let (role, place) = right.split_once('@').map_or((right, None), |(role, at)| (role, Some(at)));
    if group.is_empty() || role.is_empty() {
        return Err(FORM.to_owned());
    }
    let mut rule = json!({"group": group, "role": role});
    if let Some(place) = place {
        let (tenant, project) =
            place.split_once('/').map_or((place, None), |(tenant, at)| (tenant, Some(at)));
        rule["tenant"] = json!(tenant);
        if let Some(project) = project {
            rule["project"] = json!(project);
        }
    }
    Ok(rule)
}

fn read_secret() -> Result<String, String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err("no secret on standard input".to_owned()),
        secret => Ok(secret.to_owned()),
    }
}

impl Settings {
    fn fields(&self) -> Result<Map<String, Value>, String> {
        let secret = match self.client_secret_stdin {
            true => Some(read_secret()?),
            false => self.client_secret.clone(),
        };
        let text = |value: &Option<String>| value.as_ref().map(|text| json!(text));
        let flag = |value: Option<bool>| value.map(|flag| json!(flag));
        let list = |values: &[String]| (!values.is_empty()).then(|| json!(values));
        let fields = [
            ("client_id", text(&self.client_id)),
            ("client_secret", text(&secret)),
            ("scopes", list(&self.scopes)),
            ("groups_claim", text(&self.groups_claim)),
            ("verified_claim", text(&self.verified_claim)),
            ("rules", (!self.rules.is_empty()).then(|| json!(self.rules))),
            ("domains", list(&self.domains)),
            ("admits_unknown", flag(self.admit_unknown)),
            ("password_allowed", flag(self.password_allowed)),
            ("require_own_second_factor", flag(self.require_own_second_factor)),
            ("is_enabled", flag(self.enabled)),
            ("is_offered", flag(self.offered)),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(given.collect())
    }
}

fn path(provider: &str) -> String {
    format!("{ALL}/{}", segment(provider))
}

impl Oidc {
    /// May wait for a secret on standard input.
    pub(crate) fn request(&self) -> Result<Request, String> {
        Ok(match self {
            Oidc::List { tenant: None } => (Method::GET, ALL.to_owned(), None),
            Oidc::List { tenant: Some(tenant) } => {
                (Method::GET, format!("{ALL}?tenant={}", segment(tenant)), None)
            }
            Oidc::Show { provider } => (Method::GET, path(provider), None),
            Oidc::Create { name, issuer, tenant, settings } => {
                let mut body = settings.fields()?;
                body.insert("name".to_owned(), json!(name));
                body.insert("issuer".to_owned(), json!(issuer));
                if let Some(tenant) = tenant {
                    body.insert("tenant".to_owned(), json!(tenant));
                }
                (Method::POST, ALL.to_owned(), Some(Value::Object(body)))
            }
            Oidc::Update { provider, name, settings } => {
                let mut body = settings.fields()?;
                if let Some(name) = name {
                    body.insert("name".to_owned(), json!(name));
                }
                (Method::PATCH, path(provider), Some(Value::Object(body)))
            }
            Oidc::Delete { provider } => (Method::DELETE, path(provider), None),
            Oidc::Test { provider } => (Method::POST, format!("{}/test", path(provider)), None),
        })
    }

    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.admin().await?;
        let (method, path, body) = self.request()?;
        let answer = call(&api, method, &path, body).await?;
        if answer != Value::Null {
            let text = serde_json::to_string_pretty(&answer).map_err(|error| error.to_string())?;
            println!("{text}");
        }
        match answer["is_good"] == false && matches!(self, Oidc::Test { .. }) {
            true => Err("the provider cannot be used as it is".to_owned()),
            false => Ok(()),
        }
    }
}
