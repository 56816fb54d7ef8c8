//! The keys of encryption at rest from the terminal: asks the running server's admin API. What a
//! stopped server's keys need is not here: that takes the files themselves.

use crate::Outcome;
use crate::target::{Api, Target, segment};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A rotation reads every extent's keys and may ask a vault.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(600);

#[derive(clap::Subcommand, Debug)]
pub enum AtRest {
    /// The root key's id, tenants, their key versions and how many data keys are under each.
    Status {
        /// Only this tenant.
        tenant: Option<String>,
    },
    /// Puts the ring under a new root key: the one of `encryption.next`, or a new file in place
    /// of the old one, or the newest version of the vault's key.
    RotateRoot {
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Gives a tenant a new key and ends its old ones; its records stay readable all the while.
    RotateTenant {
        tenant: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Destroys a tenant's keys: nobody reads its records again. Cannot be undone.
    Shred {
        tenant: String,
        /// The tenant's id or name once more.
        #[arg(long)]
        confirm: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Writes the ring to a new file, still wrapped by its root key.
    Export { file: PathBuf },
    /// Adds what an export has and the ring lacks; shredded tenants stay shredded.
    Import { file: PathBuf },
}

const PATH: &str = "/v1/keys-at-rest";

impl AtRest {
    /// Asks the running server.
    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.admin().await?;
        let (path, body) = match self {
            AtRest::Status { tenant: None } => return print(&all(&api).await?),
            AtRest::Status { tenant: Some(tenant) } => {
                return print(&api.call(api.request(Method::GET, &of(tenant, ""))).await?);
            }
            AtRest::Export { file } => return export(&api, file).await,
            AtRest::Import { file } => {
                let bytes = std::fs::read(file).map_err(|error| about(file, &error))?;
                let request = api.request(Method::POST, &format!("{PATH}/import"));
                let request = request.header("content-type", "application/octet-stream");
                return print(
                    &api.call_waiting(request.body(bytes).timeout(CHANGE_TIME_MAX)).await?,
                );
            }
            AtRest::RotateRoot { reason } => {
                (format!("{PATH}/rotate-root"), json!({"reason": reason}))
            }
            AtRest::RotateTenant { tenant, reason } => {
                (of(tenant, "/rotate"), json!({"reason": reason}))
            }
            AtRest::Shred { tenant, confirm, reason } => {
                (of(tenant, "/shred"), json!({"confirm": confirm, "reason": reason}))
            }
        };
        let request = api.request(Method::POST, &path).json(&body);
        print(&api.call_waiting(request.timeout(CHANGE_TIME_MAX)).await?)
    }
}

fn of(tenant: &str, verb: &str) -> String {
    format!("{PATH}/tenants/{}{verb}", segment(tenant))
}

async fn all(api: &Api) -> Result<Value, String> {
    crate::admin::call(api, Method::GET, PATH, None).await
}

async fn export(api: &Api, file: &Path) -> Outcome {
    let request = api.request(Method::GET, &format!("{PATH}/export"));
    let bytes = api.fetch(request.timeout(CHANGE_TIME_MAX)).await?;
    write_new(file, &bytes)?;
    println!("{} ({} bytes): keep it away from the root key", file.display(), bytes.len());
    Ok(())
}

/// Never over another file: it may be the only copy of an older ring.
pub fn write_new(file: &Path, bytes: &[u8]) -> Outcome {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.create_new(true).write(true).mode(0o600).open(file);
    let written = opened.and_then(|mut opened| {
        opened.write_all(bytes)?;
        opened.sync_all()
    });
    written.map_err(|error| about(file, &error))
}

fn about(file: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", file.display())
}

/// As every admin command does.
pub fn print(answer: &Value) -> Outcome {
    let text = serde_json::to_string_pretty(answer).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}
