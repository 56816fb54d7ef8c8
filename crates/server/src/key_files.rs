//! The keys of encryption at rest, as a process opens them: for the server before its log, and for
//! commands while the server is stopped. It must not know what is in a key.

use crate::app::{StartError, World};
use crate::commands::client;
use crate::config::{self, Config, Source};
use cli::at_rest::{AtRest, print, write_new};
use cli::target::Target;
use eventlog::EmbeddedLog;
use keys::{Keyring, KeysError, SealedLog, TenantState, TenantStatus, Visit};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use stdx::disk::SystemDisk;
use storage::ExtentRef;
use types::TenantId;

/// A page of tenants, for the status of a stopped server.
const PAGE_TENANTS: usize = 1_000;

/// Opens the ring, or refuses for a reason an operator can act on. `None`: encryption is off.
pub async fn open(config: &Config, world: &World) -> Result<Option<Arc<Keyring>>, StartError> {
    let (config, world) = (config.clone(), world.clone());
    // Argon2 and a vault take their time: not on an async thread.
    let opening = tokio::task::spawn_blocking(move || open_now(&config, &world));
    let opened = opening.await.map_err(|error| StartError::Other(error.to_string()))?;
    Ok(opened?.map(Arc::new))
}

/// Gives the ring the log it is for, finishes what a stop interrupted, and makes keys for the
/// tenants that have topics and no keys yet.
pub async fn attach(
    keyring: Option<&Arc<Keyring>>,
    log: &Arc<EmbeddedLog>,
    tenants: Vec<TenantId>,
) -> Result<(), StartError> {
    let Some(keyring) = keyring.cloned() else { return Ok(()) };
    let log = Arc::new(Sealed(Arc::clone(log)));
    let attaching = tokio::task::spawn_blocking(move || {
        keyring.attach(log)?;
        if let Err(error) = keyring.prepare(&tenants) {
            // They are made on demand too; a disk that is full must not keep readers out.
            tracing::warn!(%error, "tenants' keys wait for their first records");
        }
        Ok::<_, KeysError>(())
    });
    Ok(attaching.await.map_err(|error| StartError::Other(error.to_string()))??)
}

/// The log as the ring sees it.
struct Sealed(Arc<EmbeddedLog>);

impl SealedLog for Sealed {
    fn each_key(&self, visit: &mut Visit<'_>) -> Result<(), String> {
        self.0.store().each_key(visit).map_err(|error| error.to_string())
    }

    fn extents(&self) -> Vec<ExtentRef> {
        self.0.store().extents()
    }

    fn forget_keys(&self) {
        self.0.keys_changed();
    }
}

fn open_now(config: &Config, world: &World) -> Result<Option<Keyring>, KeysError> {
    let dir = config.data_dir.join("keys");
    if !config.encryption.enabled {
        if dir.join("ring").exists() {
            let message = "the records in this data directory are sealed, and without their keys \
                           nothing can be read: set it to true";
            return Err(KeysError::Setting { key: "enabled".into(), message: message.into() });
        }
        tracing::warn!("encryption at rest is off: records lie on the disk as they are");
        return Ok(None);
    }
    let sources = config.encryption.sources(&config.data_dir, &|name| std::env::var(name).ok())?;
    let world = keys::World {
        disk: Arc::new(SystemDisk),
        clock: Arc::clone(&world.clock),
        rng: Arc::clone(&world.rng),
    };
    Keyring::open(world, &dir, sources).map(Some)
}

/// `mainstem keys-at-rest`.
#[derive(clap::Args, Debug)]
pub struct KeysAtRest {
    /// Works on the files of a stopped server instead of asking a running one. Not for
    /// `rotate-tenant`, which needs the log.
    #[arg(long, global = true)]
    offline: bool,
    /// With `--offline`: the server's configuration.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// With `--offline`: the data directory, instead of the configuration's.
    #[arg(long, global = true)]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: AtRest,
}

impl KeysAtRest {
    pub fn run(&self, target: &Target) -> Result<(), String> {
        if !self.offline {
            if self.config.is_some() || self.data.is_some() {
                return Err("--config and --data go with --offline only".to_owned());
            }
            return client(self.command.run(target));
        }
        let source = Source::with_environment(self.config.clone());
        let mut config = config::load(&source).map_err(|error| error.to_string())?;
        if let Some(data) = &self.data {
            config.data_dir.clone_from(data);
        }
        if !config.data_dir.is_dir() {
            return Err(format!("there is no data directory {}", config.data_dir.display()));
        }
        let keyring = open_now(&config, &World::system()).map_err(told)?;
        let keyring = keyring.ok_or("encryption at rest is off: there are no keys")?;
        self.offline(&keyring)
    }

    fn offline(&self, keyring: &Keyring) -> Result<(), String> {
        let answer = match &self.command {
            AtRest::Status { tenant } => status(keyring, tenant.as_deref())?,
            AtRest::RotateRoot { .. } => {
                let done = keyring.rotate_root().map_err(told)?;
                json!({
                    "from_id": done.from.to_string(),
                    "to_id": done.to.to_string(),
                    "source": done.kind.name(),
                    "advice": done.advice,
                })
            }
            AtRest::RotateTenant { .. } => {
                let text = "rotate-tenant wraps the log's keys anew: ask the running server";
                return Err(text.to_owned());
            }
            AtRest::Shred { tenant, confirm, .. } => {
                if tenant != confirm {
                    return Err("--confirm must repeat the tenant's id".to_owned());
                }
                let at = keyring.shred(id(tenant)?).map_err(told)?;
                json!({"tenant": tenant, "shredded_at": at})
            }
            AtRest::Export { file } => {
                write_new(file, &keyring.export().map_err(told)?)?;
                json!({"file": file})
            }
            AtRest::Import { file } => {
                let bytes = std::fs::read(file);
                let bytes = bytes.map_err(|error| format!("{}: {error}", file.display()))?;
                let done = keyring.import(&bytes).map_err(told)?;
                json!({
                    "tenants_added": done.tenants_added,
                    "versions_added": done.versions_added,
                    "data_keys_added": done.data_keys_added,
                    "shredded_kept": done.shredded_kept,
                    "shredded_added": done.shredded_added,
                    "conflicts": done.conflicts,
                })
            }
        };
        print(&answer)
    }
}

fn told(error: KeysError) -> String {
    match error {
        KeysError::NoLog => "there is no key ring in this data directory yet: the server makes \
                             one at its first start, or import an export"
            .to_owned(),
        error => error.to_string(),
    }
}

fn id(text: &str) -> Result<TenantId, String> {
    text.parse::<TenantId>().map_err(|error| format!("{text}: {error}"))
}

/// Without the log nobody knows how many data keys there are.
fn status(keyring: &Keyring, tenant: Option<&str>) -> Result<Value, String> {
    if let Some(tenant) = tenant {
        let tenant = id(tenant)?;
        let found = keyring.tenant_status(tenant).map_err(told)?;
        return Ok(of(&found.ok_or_else(|| told(KeysError::Unknown(tenant)))?));
    }
    let mut page = keyring.status(None, PAGE_TENANTS).map_err(told)?;
    let mut tenants: Vec<Value> = page.tenants.iter().map(of).collect();
    while page.has_more {
        let after = page.tenants.last().map(|last| last.tenant);
        page = keyring.status(after, PAGE_TENANTS).map_err(told)?;
        tenants.extend(page.tenants.iter().map(of));
    }
    Ok(json!({
        "root": {
            "source": page.root_kind.name(),
            "place": page.root_place,
            "id": page.root_id.to_string(),
            "is_next": page.is_next,
        },
        "sequence": page.sequence,
        "live_count": page.live_count,
        "shredded_count": page.shredded_count,
        "rotating_count": page.rotating_count,
        "tenants": tenants,
    }))
}

fn of(found: &TenantStatus) -> Value {
    let id = found.tenant.to_string();
    match &found.state {
        TenantState::Shredded { at } => {
            json!({"id": id, "state": "shredded", "shredded_at": at})
        }
        TenantState::Live { current, is_rotating, versions, rewrapped } => {
            let versions: Vec<Value> = versions
                .iter()
                .map(|found| json!({"version": found.version, "made_at": found.made_at}))
                .collect();
            json!({
                "id": id,
                "state": "live",
                "current_version": current,
                "is_rotating": is_rotating,
                "rewrapped_count": rewrapped,
                "versions": versions,
            })
        }
    }
}
