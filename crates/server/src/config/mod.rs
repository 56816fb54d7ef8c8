//! Everything an operator may set. The comments on the fields are the manual: the reference in the
//! docs and `mainstem config reference` are made from them. Unknown keys are refused.

mod advice;
mod collect;
pub mod layers;
mod load;
mod locate;
mod page;

pub use advice::advice;
pub use collect::Collect;
pub use layers::{Layers, Loaded};
pub use load::{ConfigError, Source, load, load_whole, parse_text, parse_value};
pub use page::reference;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where everything durable lies: the log, the embedded database, the root secret. One process
    /// at a time.
    pub data_dir: PathBuf,
    /// Processes that serve tenants' clients, 1 to 32. With 1 there is one process for everything.
    /// With more, so many workers share the public port, and the process that starts them has the
    /// log and the admin API: for more connections than one process may have open files.
    pub processes: u16,
    pub edge: edge::Config,
    pub admin: Admin,
    pub database: Database,
    pub log: Log,
    /// Encryption at rest.
    pub encryption: keys::Settings,
    pub topics: Topics,
    /// What every tenant may have open at most, all its projects together.
    pub tenants: hub::TenantLimits,
    /// Who is present where, and when an address counts as vacated.
    pub presence: hub::PresenceSettings,
    pub identity: identity::Settings,
    /// Users of the admin API and the console: passwords and sessions.
    pub people: identity::PeopleSettings,
    /// How letters reach users: invitations, links to choose another password, warnings.
    pub mail: mail::MailSettings,
    pub webhooks: webhooks::Config,
    /// Stripe: metered usage, subscriptions, webhooks.
    pub billing: billing::Config,
    pub audit: audit::Config,
    pub alerts: alerts::Config,
    pub telemetry: Telemetry,
    /// Backups that the server makes of itself.
    pub backup: backup::Settings,
    /// Settings per protocol, by its name; `false` switches one off.
    pub protocols: BTreeMap<String, serde_json::Value>,
}

/// Who may use the admin API.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Bearer token of the operator, 24 characters or more. Better given as a file, or as
    /// `MAINSTEM__ADMIN__TOKEN`. Where neither is given, the first start makes one in the file
    /// `operator.token` of the data directory.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<String>")]
    pub token: Option<SecretString>,
    /// File that holds the token.
    pub token_file: Option<PathBuf>,
    pub rate: control::RateSettings,
    pub approvals: control::ApprovalSettings,
}

/// Where tenants, projects, keys and topic definitions are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `postgres://user:password@host/database`; absent keeps them in SQLite in the data
    /// directory. Hidden in printed configurations.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<String>")]
    pub url: Option<SecretString>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Mebibytes of one extent file, 1 to 1024. One append takes at most half of one.
    pub extent_mib: u32,
    /// Free extents written ahead of need.
    pub pool_extents: u32,
    /// Mebibytes of the newest records kept in memory for readers, of all topics together; 0: a
    /// thirty-second part of the memory there is, but 32 to 512. They are taken as records come.
    pub tail_mib: u32,
    /// Mebibytes that may wait for the disk before appends are told to slow down.
    pub pending_mib: u32,
    /// Mebibytes of disk that stay free: appends are refused below.
    pub free_mib_min: u32,
    /// Mebibytes of memory for the ids of records, against duplicates: half for the newest, half
    /// for the filters of older ones in files. When it is used up, the oldest are forgotten early.
    pub ids_mib: u32,
    pub collect: Collect,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Topics {
    /// A topic comes into being when it is first published to or followed.
    pub auto_create: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// What is logged, in the syntax of `RUST_LOG`: `info`, or `warn,hub=debug`.
    pub log: String,
    /// How a line is written.
    pub log_format: LogFormat,
    /// Lines of the log kept in memory, for the log viewer and diagnostics; 0 keeps none.
    pub log_lines_max: u32,
    /// An OTLP collector (`http://host:4318`) that gets the traces; absent sends none.
    pub otlp_url: Option<String>,
    /// Of a hundred traces begun here, how many are sent.
    pub trace_percent: u8,
    /// Serves `/metrics` on the public port too; the admin port always has it.
    pub metrics_public: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Workers at most: each is one of the node's listeners, as each edge thread is.
const PROCESSES_MAX: u16 = 32;

/// Recent records are given one part in so many of the memory there is.
const TAIL_SHARE: u64 = 32;

/// Lines of the log that memory may be given for.
const LOG_LINES_MAX: u32 = 100_000;

impl Config {
    /// Processes that serve clients beside the one that has the log.
    pub fn workers(&self) -> u16 {
        if self.processes > 1 { self.processes } else { 0 }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data_dir: "data".into(),
            processes: 1,
            edge: edge::Config::default(),
            admin: Admin::default(),
            database: Database::default(),
            log: Log::default(),
            encryption: keys::Settings::default(),
            topics: Topics::default(),
            tenants: hub::TenantLimits::default(),
            presence: hub::PresenceSettings::default(),
            identity: identity::Settings::default(),
            people: identity::PeopleSettings::default(),
            mail: mail::MailSettings::default(),
            webhooks: webhooks::Config::default(),
            billing: billing::Config::default(),
            audit: audit::Config::default(),
            alerts: alerts::Config::default(),
            telemetry: Telemetry::default(),
            backup: backup::Settings::default(),
            protocols: crate::protocols::defaults(),
        }
    }
}

impl Log {
    /// Bytes of the newest records kept in memory on a machine with so many.
    pub fn tail_bytes_max(&self, memory_bytes: u64) -> u64 {
        match self.tail_mib {
            0 => (memory_bytes / TAIL_SHARE).clamp(32 << 20, 512 << 20),
            mib => u64::from(mib) << 20,
        }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log {
            extent_mib: 256,
            pool_extents: 1,
            tail_mib: 0,
            pending_mib: 64,
            free_mib_min: 256,
            ids_mib: 64,
            collect: Collect::default(),
        }
    }
}

impl Default for Topics {
    fn default() -> Topics {
        Topics { auto_create: true }
    }
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry {
            log: "info".into(),
            log_format: LogFormat::Json,
            log_lines_max: 2_000,
            otlp_url: None,
            trace_percent: 10,
            metrics_public: false,
        }
    }
}

impl Config {
    /// The audit trail and who is told of what it says.
    fn check_trail(&self) -> Result<(), ConfigError> {
        let about = |(key, why)| ConfigError::about(format!("audit.{key}"), why);
        self.audit.check().map_err(about)?;
        let about = |(key, why)| ConfigError::about(format!("alerts.{key}"), why);
        self.alerts.check().map_err(about)
    }

    /// Whether the settings agree with each other and with the protocols built in.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.edge.check().map_err(|error| ConfigError::about("edge", error))?;
        if !(1..=PROCESSES_MAX).contains(&self.processes) {
            let message = format!("it lies between 1 and {PROCESSES_MAX}");
            return Err(ConfigError::about("processes", message));
        }
        if !(1..=1024).contains(&self.log.extent_mib) {
            return Err(ConfigError::about("log.extent_mib", "an extent has 1 to 1024 MiB"));
        }
        self.log.collect.check()?;
        if self.log.pending_mib == 0 {
            let message = "room for records that wait must not be zero";
            return Err(ConfigError::about("log.pending_mib", message));
        }
        self.check_trail()?;
        self.webhooks
            .check()
            .map_err(|(key, why)| ConfigError::about(format!("webhooks.{key}"), why))?;
        self.people
            .check()
            .map_err(|(key, why)| ConfigError::about(format!("people.{key}"), why))?;
        self.billing
            .check()
            .map_err(|(key, why)| ConfigError::about(format!("billing.{key}"), why))?;
        self.presence
            .check()
            .map_err(|(key, why)| ConfigError::about(format!("presence.{key}"), why))?;
        if self.log.ids_mib == 0 {
            return Err(ConfigError::about("log.ids_mib", "memory for ids must not be zero"));
        }
        self.encryption.check().map_err(|error| match error {
            keys::KeysError::Setting { key, message } => {
                ConfigError::about(format!("encryption.{key}"), message)
            }
            error => ConfigError::about("encryption", error),
        })?;
        if self.telemetry.log_lines_max > LOG_LINES_MAX {
            let message = format!("at most {LOG_LINES_MAX} lines");
            return Err(ConfigError::about("telemetry.log_lines_max", message));
        }
        if self.telemetry.trace_percent > 100 {
            return Err(ConfigError::about("telemetry.trace_percent", "at most 100"));
        }
        if self.edge.admin_listen == Some(self.edge.listen) && self.edge.listen.port() != 0 {
            return Err(ConfigError::about(
                "edge.admin_listen",
                "the admin API must not share the tenants' address",
            ));
        }
        crate::protocols::mount_all(&self.protocols).map(|_| ())
    }
}
