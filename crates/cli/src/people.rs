//! Users and roles from the terminal: what the admin API offers for them, as commands. Passwords
//! come from the environment or standard input, never from arguments, which others can see.

use crate::admin::Request;
use crate::conditions::{Conditions, attribute};
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
        #[command(flatten)]
        conditions: Conditions,
    },
    /// What was noted of a user in a tenant, or without `--tenant` in the installation, for
    /// conditions of roles to ask about. Shows it; with `--set` or `--clear` notes that and no
    /// more.
    Attributes {
        user: String,
        #[arg(long)]
        tenant: Option<String>,
        /// `department=ops`; may be repeated.
        #[arg(long = "set", value_parser = attribute, value_name = "NAME=VALUE")]
        noted: Vec<(String, Vec<String>)>,
        /// Forgets all of it.
        #[arg(long, conflicts_with = "noted")]
        clear: bool,
    },
    /// Whether a user may do something somewhere, from an address, at a time, and which role or
    /// condition decides it. What is not said is not known, and fulfils no condition.
    Explain {
        user: String,
        /// One of `mainstem roles permissions`.
        permission: String,
        #[arg(long)]
        tenant: Option<String>,
        #[arg(long, requires = "tenant")]
        project: Option<String>,
        #[arg(long)]
        address: Option<String>,
        #[arg(long)]
        tls: bool,
        /// Milliseconds since 1970; now when absent.
        #[arg(long)]
        at: Option<i64>,
        /// With a second factor or a passkey.
        #[arg(long)]
        strong_sign_in: bool,
        /// The last proof of who he is was so many minutes before.
        #[arg(long)]
        signed_in_minutes: Option<u32>,
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
        #[command(flatten)]
        conditions: Conditions,
    },
    /// Says under which circumstances a role counts, all of them anew; `users show` lists the
    /// bindings.
    Conditions {
        binding: String,
        #[command(flatten)]
        conditions: Conditions,
        /// It counts always.
        #[arg(
            long,
            conflicts_with = "role_conditions",
            required_unless_present = "role_conditions"
        )]
        none: bool,
        /// The `version` of the conditions that `users show` told: refused when they are others
        /// by now.
        #[arg(long)]
        at_version: Option<String>,
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
            Users::Invite { email, name, role, tenant, project, conditions } => {
                let fields = [
                    ("email", Some(json!(email))),
                    ("name", name.as_ref().map(|text| json!(text))),
                    ("role", Some(json!(role))),
                    ("tenant", tenant.as_ref().map(|id| json!(id))),
                    ("project", project.as_ref().map(|id| json!(id))),
                    ("conditions", conditions.given()),
                ];
                (Method::POST, "/v1/users/invite".to_owned(), Some(body(&fields)))
            }
            Users::Attributes { user, tenant, noted, clear } => {
                let place = tenant.as_ref().map(|id| format!("?tenant={}", segment(id)));
                let path = of(user, &format!("/attributes{}", place.unwrap_or_default()));
                match noted.is_empty() && !clear {
                    true => (Method::GET, path, None),
                    false => {
                        let wanted = noted.iter().map(|(name, of)| (name.clone(), of.join(",")));
                        let wanted: Map<String, Value> =
                            wanted.map(|(name, value)| (name, json!(value))).collect();
                        (Method::PUT, path, Some(json!({"attributes": wanted})))
                    }
                }
            }
            Users::Explain { user, .. } => {
                (Method::POST, of(user, "/explain"), Some(self.question()))
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

impl Users {
    /// What `explain` asks.
    fn question(&self) -> Value {
        let Users::Explain {
            user: _,
            permission,
            tenant,
            project,
            address,
            tls,
            at,
            strong_sign_in,
            signed_in_minutes,
        } = self
        else {
            return Value::Null;
        };
        let yes = |is: bool| is.then(|| json!(true));
        body(&[
            ("permission", Some(json!(permission))),
            ("tenant", tenant.as_ref().map(|id| json!(id))),
            ("project", project.as_ref().map(|id| json!(id))),
            ("address", address.as_ref().map(|text| json!(text))),
            ("tls", yes(*tls)),
            ("at", at.map(|ms| json!(ms))),
            ("strong_sign_in", yes(*strong_sign_in)),
            ("signed_in_minutes", signed_in_minutes.map(|minutes| json!(minutes))),
        ])
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
            Roles::Give { user, role, tenant, project, conditions } => {
                let fields = [
                    ("user", Some(json!(user))),
                    ("role", Some(json!(role))),
                    ("tenant", tenant.as_ref().map(|id| json!(id))),
                    ("project", project.as_ref().map(|id| json!(id))),
                    ("conditions", conditions.given()),
                ];
                (Method::POST, "/v1/role-bindings".to_owned(), Some(body(&fields)))
            }
            Roles::Conditions { binding, conditions, none: _, at_version } => {
                let path = format!("/v1/role-bindings/{}", segment(binding));
                let fields = [
                    ("conditions", Some(conditions.body())),
                    ("version", at_version.as_ref().map(|version| json!(version))),
                ];
                (Method::PATCH, path, Some(body(&fields)))
            }
            Roles::Take { binding } => {
                (Method::DELETE, format!("/v1/role-bindings/{}", segment(binding)), None)
            }
        }
    }
}
