//! Signing in from a terminal as a person, by password or with a browser elsewhere; who one is;
//! proving it again; signing out. Secrets are asked for without showing them, or come from the
//! environment or a pipe, never from arguments, which others can see.

use crate::Outcome;
use crate::session::{Keep, Session};
use crate::target::{Api, Refused, Target};
use console::Term;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

/// Questions of a device at most; the server's ten minutes are over long before.
const POLLS_MAX: usize = 1_000;
/// Waits that a server may ask for between two of them.
const POLL_WAITS: std::ops::RangeInclusive<u64> = 10..=60_000;

/// Signs you in as a person; the commands of the admin API are then yours.
#[derive(clap::Args, Debug)]
pub struct Login {
    /// The admin API, `https://console.example.org`; as `--admin-url`.
    #[arg(long)]
    server: Option<String>,
    /// Shows a code to be confirmed on the console, in a browser anywhere: for passkeys and for
    /// sign-in at your provider.
    #[arg(long)]
    browser: bool,
    /// Your address; asked for when absent.
    #[arg(long, conflicts_with = "browser")]
    email: Option<String>,
}

/// Your own session from this terminal.
#[derive(clap::Subcommand, Debug)]
pub enum Own {
    Login(Login),
    /// Ends the session that `login` began.
    Logout,
    /// Tells who is signed in, where, and with which roles.
    Whoami,
    /// Proves again who you are, for acts that need a recent proof: it counts a few minutes.
    Elevate,
}

impl Own {
    pub async fn run(&self, target: &Target) -> Outcome {
        let keep = Keep::of_user()?;
        match self {
            Own::Login(login) => login.run(target, &keep).await,
            Own::Logout => log_out(&keep).await,
            Own::Whoami => who_am_i(&keep).await,
            Own::Elevate => elevate(&keep).await,
        }
    }
}

fn say(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}

fn read_line(name: &str) -> Result<String, String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(format!("no {name}")),
        text => Ok(text.to_owned()),
    }
}

fn ask(name: &str) -> Result<String, String> {
    eprint!("{name}: ");
    read_line(&name.to_lowercase())
}

/// Asks without showing what is typed, where there is a terminal.
fn ask_secret(name: &str) -> Result<String, String> {
    if !std::io::stdin().is_terminal() {
        return read_line(&name.to_lowercase());
    }
    eprint!("{name} (not shown): ");
    let line = Term::stderr().read_secure_line().map_err(|error| error.to_string())?;
    match line.as_str() {
        "" => Err(format!("no {}", name.to_lowercase())),
        _ => Ok(line),
    }
}

fn password() -> Result<String, String> {
    match std::env::var("MAINSTEM_PASSWORD") {
        Ok(given) if !given.is_empty() => Ok(given),
        _ => ask_secret("Password"),
    }
}

/// What this computer calls itself in the list of sessions.
fn device_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => "mainstem on a terminal".to_owned(),
        host => format!("mainstem on {host}"),
    }
}

impl Login {
    async fn run(&self, target: &Target, keep: &Keep) -> Outcome {
        let server = target.admin_server(self.server.as_deref());
        let api = Api::open(&server)?;
        let tokens = match self.browser {
            true => by_browser(&api, keep).await?,
            false => self.by_password(&api, keep).await?,
        };
        let session = Session::from_tokens(&api.url, &tokens)?;
        keep.save(&session)?;
        say(&format!("signed in at {} as {}", session.server, session.email))
    }

    async fn by_password(&self, api: &Api, keep: &Keep) -> Result<Value, String> {
        let email = match &self.email {
            Some(email) => email.clone(),
            None => ask("Email")?,
        };
        let mut body = json!({
            "email": email, "password": password()?,
            "device": keep.device()?, "device_name": device_name(),
        });
        match post(api, "/v1/auth/login", &body).await {
            Err(Refused::Told { field, .. }) if field == "code" => {
                body["code"] = json!(ask_secret("Code of the second factor")?);
                let again = post(api, "/v1/auth/login", &body).await;
                again.map(|(_, tokens)| tokens).map_err(Refused::into_line)
            }
            outcome => outcome.map(|(_, tokens)| tokens).map_err(Refused::into_line),
        }
    }
}

async fn post(api: &Api, path: &str, body: &Value) -> Result<(StatusCode, Value), Refused> {
    api.ask(api.request(Method::POST, path).json(body)).await
}

/// RFC 8628: the code is shown here and confirmed elsewhere.
async fn by_browser(api: &Api, keep: &Keep) -> Result<Value, String> {
    let device = keep.device()?;
    let asked = json!({"device": device, "device_name": device_name()});
    let (_, started) = post(api, "/v1/auth/device", &asked).await.map_err(Refused::into_line)?;
    let shown = |name: &str| started[name].as_str().unwrap_or_default().to_owned();
    say(&format!(
        "Open {} and confirm the code {}\n  (or open {})\nwaiting ...",
        shown("verification_url"),
        shown("user_code"),
        shown("verification_url_complete"),
    ))?;
    let body = json!({"device_code": started["device_code"], "device": device});
    let mut wait_ms = started["interval_ms"].as_u64();
    for _ in 0..POLLS_MAX {
        let wait = wait_ms.unwrap_or(5_000).clamp(*POLL_WAITS.start(), *POLL_WAITS.end());
        tokio::time::sleep(Duration::from_millis(wait)).await;
        match post(api, "/v1/auth/device/token", &body).await {
            Ok((StatusCode::ACCEPTED, waiting)) => wait_ms = waiting["interval_ms"].as_u64(),
            Ok((_, tokens)) => return Ok(tokens),
            // Asked too often: a little slower from now on (RFC 8628 section 3.5).
            Err(Refused::Told { code, .. }) if code == "RATE_LIMIT_EXCEEDED" => {
                wait_ms = wait_ms.map(|wait| wait.saturating_add(5_000));
            }
            Err(refused) => return Err(refused.into_line()),
        }
    }
    Err("nobody confirmed the code in time".to_owned())
}

async fn signed_in(keep: &Keep) -> Result<Api, String> {
    let session = keep.fresh().await?;
    Api::with_secret(&session.server, session.access_token)
}

async fn log_out(keep: &Keep) -> Outcome {
    if keep.load().is_none() {
        return say("nobody was signed in");
    }
    // Whatever the server says, this computer forgets.
    let ended = async {
        let api = signed_in(keep).await?;
        api.call(api.request(Method::POST, "/v1/auth/logout")).await
    };
    let ended = ended.await;
    keep.forget()?;
    match ended {
        Ok(_) => say("signed out"),
        Err(error) => say(&format!("signed out here; the server was not told: {error}")),
    }
}

async fn who_am_i(keep: &Keep) -> Outcome {
    let session = keep.fresh().await?;
    let api = Api::with_secret(&session.server, session.access_token)?;
    let account = api.call(api.request(Method::GET, "/v1/account")).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let user = &account["user"];
    let mut lines =
        vec![format!("{} <{}> at {}", text(&user["name"]), text(&user["email"]), api.url)];
    for role in account["roles"].as_array().into_iter().flatten() {
        let place = match (role["tenant"].as_str(), role["project"].as_str()) {
            (None, _) => "everywhere".to_owned(),
            (Some(tenant), None) => format!("in {tenant}"),
            (Some(tenant), Some(project)) => format!("in {tenant} {project}"),
        };
        lines.push(format!("  {} {place}", text(&role["role"])));
    }
    say(&lines.join("\n"))
}

async fn elevate(keep: &Keep) -> Outcome {
    let api = signed_in(keep).await?;
    let mut body = json!({"password": password()?});
    let outcome = match post(&api, "/v1/auth/elevate", &body).await {
        Err(Refused::Told { field, .. }) if field == "code" => {
            body["code"] = json!(ask_secret("Code of the second factor")?);
            post(&api, "/v1/auth/elevate", &body).await
        }
        outcome => outcome,
    };
    outcome.map_err(Refused::into_line)?;
    say("proved; it counts for a few minutes")
}
