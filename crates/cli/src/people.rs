//! Users and roles from the terminal: what the admin API offers for them, as commands. Passwords
//! come from the environment or standard input, never from arguments, which others can see.

use crate::admin::Request;
use crate::target::segment;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::io::BufRead;

#[derive(clap::Subcommand, Debug)]
pub enum Users {
    /// Creates the first user, who owns the installation. With the operator token, once.
    CreateOwner {
        #[arg(long)]
        email: String,
        #[arg(long)]
        name: String,
        /// Twelve characters or more; read from the first line of standard input when absent.
        #[arg(long, env = "MAINSTEM_PASSWORD", hide_env_values = true, hide = true)]
        password: Option<String>,
    },
    List {
        /// Only those with a role in this tenant.
        #[arg(long)]
        tenant: Option<String>,
    },
    Show {
        user: String,
    },
    /// Invites somebody by mail, with a role: everywhere, or with `--tenant` (and `--project`) only
    /// there. Without mail the answer holds the link.
    Invite {
        email: String,
        #[arg(long)]
        name: Option<String>,
        /// `owner`, `admin`, `developer`, `billing`, `support`, or the id of one that was made.
        #[arg(long)]
        role: String,
        #[arg(long)]
        tenant: Option<String>,
        #[arg(long, requires = "tenant")]
        project: Option<String>,
    },
    /// Removes the second factor of a user who lost it.
    RemoveSecondFactor {
        user: String,
    },
    /// Passkeys of a user.
    #[command(subcommand)]
    Passkeys(Passkeys),
    /// Ends the user's sessions; he cannot sign in again.
    Disable {
        user: String,
    },
    Enable {
        user: String,
    },
    /// With roles and sessions. The trail keeps what he did.
    Delete {
        user: String,
    },
    /// Lists the user's open sessions.
    Sessions {
        user: String,
    },
    /// Ends all sessions of the user at once.
    RevokeSessions {
        user: String,
    },
}

#[derive(clap::Subcommand, Debug)]
pub enum Passkeys {
    /// With their names, and when they were used last.
    List { user: String },
    /// Removes one that was lost. Refused when it is the user's last way to sign in.
    Remove { user: String, passkey: String },
}

#[derive(clap::Subcommand, Debug)]
pub enum Roles {
    /// The built-in ones and those that were made.
    List,
    /// What roles are made of.
    Permissions,
    /// Makes a role of permissions of your choice.
    Create {
        name: String,
        #[arg(long)]
        description: Option<String>,
        /// May be repeated.
        #[arg(long = "permission", required = true)]
        permissions: Vec<String>,
    },
    /// Replaces the permissions of a role that was made; counts at once for all who have it.
    Set {
        role: String,
        /// May be repeated.
        #[arg(long = "permission", required = true)]
        permissions: Vec<String>,
    },
    /// Deletes a role that nobody has.
    Delete { role: String },
    /// Gives a user a role: in the installation, or with `--tenant` (and `--project`) only there.
    Give {
        user: String,
        /// `owner`, `admin`, `developer`, `billing`, `support`, or the id of one that was made.
        role: String,
        #[arg(long)]
        tenant: Option<String>,
        #[arg(long, requires = "tenant")]
        project: Option<String>,
    },
    /// Takes a role away; `users show` lists the bindings.
    Take { binding: String },
}

fn user_path(user: &str) -> String {
    format!("/v1/users/{}", segment(user))
}

fn role_path(role: &str) -> String {
    format!("/v1/roles/{}", segment(role))
}

/// A body of those fields that have a value.
fn body(fields: &[(&str, Option<Value>)]) -> Value {
    let given =
        fields.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)));
    Value::Object(given.collect::<Map<String, Value>>())
}

/// The first line of standard input.
fn read_password() -> Result<String, String> {
    eprintln!("Password (twelve characters or more), then Enter; it is shown as you type:");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err("no password: write it to standard input, or set MAINSTEM_PASSWORD".to_owned()),
        password => Ok(password.to_owned()),
    }
}

impl Users {
    /// May wait for a password on standard input.
    pub(crate) fn request(&self) -> Result<Request, String> {
        let of = |user: &str, verb: &str| format!("{}{verb}", user_path(user));
        Ok(match self {
            Users::CreateOwner { email, name, password } => {
                let password = match password {
                    Some(password) => password.clone(),
                    None => read_password()?,
                };
                let body = json!({"email": email, "name": name, "password": password});
                (Method::POST, "/v1/setup".to_owned(), Some(body))
            }
            Users::List { tenant: None } => (Method::GET, "/v1/users".to_owned(), None),
            Users::List { tenant: Some(tenant) } => {
                (Method::GET, format!("/v1/users?tenant={}", segment(tenant)), None)
            }
            Users::Show { user } => (Method::GET, user_path(user), None),
            Users::Invite { email, name, role, tenant, project } => {
                let fields = [
                    ("email", Some(json!(email))),
                    ("name", name.as_ref().map(|text| json!(text))),
                    ("role", Some(json!(role))),
                    ("tenant", tenant.as_ref().map(|id| json!(id))),
                    ("project", project.as_ref().map(|id| json!(id))),
                ];
                (Method::POST, "/v1/users/invite".to_owned(), Some(body(&fields)))
            }
            Users::RemoveSecondFactor { user } => {
                (Method::DELETE, of(user, "/second-factor"), None)
            }
            Users::Passkeys(Passkeys::List { user }) => (Method::GET, of(user, "/passkeys"), None),
            Users::Passkeys(Passkeys::Remove { user, passkey }) => {
                let path = of(user, &format!("/passkeys/{}", segment(passkey)));
                (Method::DELETE, path, None)
            }
            Users::Disable { user } => (Method::POST, of(user, "/disable"), None),
            Users::Enable { user } => (Method::POST, of(user, "/enable"), None),
            Users::Delete { user } => (Method::DELETE, user_path(user), None),
            Users::Sessions { user } => (Method::GET, of(user, "/sessions"), None),
            Users::RevokeSessions { user } => (Method::POST, of(user, "/sessions/revoke"), None),
        })
    }
}

impl Roles {
    pub(crate) fn request(&self) -> Request {
        match self {
            Roles::List => (Method::GET, "/v1/roles".to_owned(), None),
            Roles::Permissions => (Method::GET, "/v1/permissions".to_owned(), None),
            Roles::Create { name, description, permissions } => {
                let fields = [
                    ("name", Some(json!(name))),
                    ("description", description.as_ref().map(|text| json!(text))),
                    ("permissions", Some(json!(permissions))),
                ];
                (Method::POST, "/v1/roles".to_owned(), Some(body(&fields)))
            }
            Roles::Set { role, permissions } => {
                (Method::PATCH, role_path(role), Some(json!({"permissions": permissions})))
            }
            Roles::Delete { role } => (Method::DELETE, role_path(role), None),
            Roles::Give { user, role, tenant, project } => {
                let fields = [
                    ("user", Some(json!(user))),
                    ("role", Some(json!(role))),
                    ("tenant", tenant.as_ref().map(|id| json!(id))),
                    ("project", project.as_ref().map(|id| json!(id))),
                ];
                (Method::POST, "/v1/role-bindings".to_owned(), Some(body(&fields)))
            }
            Roles::Take { binding } => {
                (Method::DELETE, format!("/v1/role-bindings/{}", segment(binding)), None)
            }
        }
    }
}
