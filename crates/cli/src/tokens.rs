//! Tokens of a project that are taken back, from the terminal. A whole token comes from standard
//! input, never from arguments, which others can see.

use crate::admin::{Request, project_path};
use crate::target::segment;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::io::BufRead;

/// Bytes read from standard input: more than any token has.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

#[derive(clap::Subcommand, Debug)]
pub enum Tokens {
    /// Takes tokens back; sessions that stand on them end within a second.
    Revoke {
        tenant: String,
        project: String,
        #[command(flatten)]
        which: Which,
        /// With `--sub`, `--kid` and `--iss`: only tokens issued before, in milliseconds since
        /// 1970; now when absent.
        #[arg(long)]
        issued_before: Option<i64>,
        /// When the last of these tokens ends by itself, in milliseconds since 1970.
        #[arg(long)]
        expires_at: Option<i64>,
        /// Why, for the list and the audit trail.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Lists the revocations that are in force.
    List { tenant: String, project: String },
    /// Takes a revocation away: tokens that it alone refused count again.
    Unrevoke { tenant: String, project: String, revocation: String },
}

/// What the tokens are recognised by.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Reads a whole token from the first line of standard input; its `jti` is revoked, or without
    /// one its fingerprint.
    #[arg(long)]
    token_stdin: bool,
    /// One token, by its claim `jti`.
    #[arg(long)]
    jti: Option<String>,
    /// One token, by the SHA-256 of its text up to the second dot, in hexadecimal digits.
    #[arg(long)]
    fingerprint: Option<String>,
    /// All tokens of this subject.
    #[arg(long)]
    sub: Option<String>,
    /// All tokens whose header has this `kid`.
    #[arg(long)]
    kid: Option<String>,
    /// All tokens of this issuer.
    #[arg(long)]
    iss: Option<String>,
}

/// The first line, which must be there.
pub(crate) fn read_token(input: impl BufRead) -> Result<String, String> {
    let mut line = String::new();
    input.take(TOKEN_BYTES_MAX).read_line(&mut line).map_err(|error| error.to_string())?;
    match line.trim() {
        "" => Err("no token on standard input".to_owned()),
        token => Ok(token.to_owned()),
    }
}

impl Which {
    fn field(&self) -> Result<(&'static str, String), String> {
        if self.token_stdin {
            return Ok(("token", read_token(std::io::stdin().lock())?));
        }
        let named = [
            ("jti", &self.jti),
            ("fingerprint", &self.fingerprint),
            ("sub", &self.sub),
            ("kid", &self.kid),
            ("iss", &self.iss),
        ];
        let mut given = named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        given.next().ok_or_else(|| "say which tokens".to_owned())
    }
}

impl Tokens {
    /// May wait for a token on standard input.
    pub(crate) fn request(&self) -> Result<Request, String> {
        let all = |tenant: &str, project: &str| {
            format!("{}/token-revocations", project_path(tenant, project))
        };
        Ok(match self {
            Tokens::Revoke { tenant, project, which, issued_before, expires_at, reason } => {
                let (name, value) = which.field()?;
                let mut body = Map::from_iter([(name.to_owned(), json!(value))]);
                let more = [
                    ("issued_before", issued_before.map(|at| json!(at))),
                    ("expires_at", expires_at.map(|at| json!(at))),
                    ("reason", reason.as_ref().map(|why| json!(why))),
                ];
                let more = more.into_iter().filter_map(|(name, it)| Some((name.to_owned(), it?)));
                body.extend(more);
                (Method::POST, all(tenant, project), Some(Value::Object(body)))
            }
            Tokens::List { tenant, project } => (Method::GET, all(tenant, project), None),
            Tokens::Unrevoke { tenant, project, revocation } => {
                let path = format!("{}/{}", all(tenant, project), segment(revocation));
                (Method::DELETE, path, None)
            }
        })
    }
}
