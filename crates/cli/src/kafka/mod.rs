//! Looking after the groups of a Kafka cluster, and moving from one: its topics, records, groups
//! and access lists copied to another, and both compared. Both sides are spoken to as any Kafka
//! client does; secrets come from files and the environment only.

mod access;
pub(crate) mod compare;
pub(crate) mod copy;
mod groups;
mod look;
mod mirror;
mod report;
mod topics;
mod verify;

use crate::target::Target;
use kafka_client::admin::Admin;
use kafka_client::{Cluster, Settings};
use look::Groups;
use mirror::Mirror;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use verify::Verify;

const FROM_PASSWORD: &str = "MAINSTEM_KAFKA_FROM_PASSWORD";
const TO_PASSWORD: &str = "MAINSTEM_KAFKA_TO_PASSWORD";
const PASSWORD: &str = "MAINSTEM_KAFKA_PASSWORD";
/// What has gone wrong in part: the report says in which.
const DIFFERS: u8 = 1;

#[derive(clap::Subcommand, Debug)]
pub enum Kafka {
    /// Copies topics with their settings and records, groups' offsets and access lists; goes on
    /// where it stopped.
    Mirror(Mirror),
    /// Compares both sides and reports; ends with 1 when they differ.
    Verify(Verify),
    /// Groups of consumers: who reads what, and how far behind.
    #[command(subcommand)]
    Groups(Groups),
}

#[derive(clap::Args, Debug)]
pub struct Sides {
    /// Brokers of the source, `host:port`, with commas between them.
    #[arg(long, value_name = "HOST:PORT")]
    from: Option<String>,
    /// Settings of the source as Kafka's clients have them (`security.protocol`, ...); a password
    /// may stand in `MAINSTEM_KAFKA_FROM_PASSWORD` instead.
    #[arg(long, value_name = "FILE")]
    from_config: Option<PathBuf>,
    /// Brokers of the target; without it and its settings the `mainstem dev` beside.
    #[arg(long, value_name = "HOST:PORT")]
    to: Option<String>,
    /// Settings of the target; a password may stand in `MAINSTEM_KAFKA_TO_PASSWORD` instead.
    #[arg(long, value_name = "FILE")]
    to_config: Option<PathBuf>,
    /// Only this topic; may be given several times. Without it all but internal ones.
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// One cluster.
#[derive(clap::Args, Debug)]
pub struct Brokers {
    /// Brokers, `host:port`, with commas between them; without them and their settings the
    /// `mainstem dev` beside.
    #[arg(long, value_name = "HOST:PORT")]
    at: Option<String>,
    /// Settings as Kafka's clients have them (`security.protocol`, ...); a password may stand in
    /// `MAINSTEM_KAFKA_PASSWORD` instead.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Deserialize)]
struct DevCredentials {
    kafka: DevKafka,
}

#[derive(Deserialize)]
struct DevKafka {
    bootstrap: String,
    username: String,
    password: String,
    security_protocol: String,
    mechanism: String,
}

/// Both clusters.
pub(crate) struct Pair {
    pub source: Admin,
    pub target: Admin,
}

impl Kafka {
    pub async fn run(&self, target: &Target) -> Result<ExitCode, String> {
        let is_well = match self {
            Kafka::Mirror(mirror) => mirror.run(target).await?,
            Kafka::Verify(verify) => verify.run(target).await?,
            Kafka::Groups(groups) => groups.run(target).await.map(|()| true)?,
        };
        Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
    }
}

impl Brokers {
    async fn connect(&self, target: &Target) -> Result<Admin, String> {
        let settings = match (&self.at, &self.config) {
            (None, None) => beside(target, "--at")?,
            (at, config) => side((at, config), ("--at", "--config"), PASSWORD)?,
        };
        admin(settings, "the brokers").await
    }
}

impl Sides {
    async fn connect(&self, target: &Target) -> Result<Pair, String> {
        let from = (&self.from, &self.from_config);
        let from = side(from, ("--from", "--from-config"), FROM_PASSWORD)?;
        let to = match (&self.to, &self.to_config) {
            (None, None) => beside(target, "--to")?,
            given => side(given, ("--to", "--to-config"), TO_PASSWORD)?,
        };
        Ok(Pair {
            source: admin(from, "the source").await?,
            target: admin(to, "the target").await?,
        })
    }

    fn is_chosen(&self, topic: &str) -> bool {
        self.topics.is_empty() || self.topics.iter().any(|chosen| chosen == topic)
    }
}

async fn admin(settings: Settings, side: &str) -> Result<Admin, String> {
    let cluster = Cluster::connect(settings).await.map_err(|error| format!("{side}: {error}"))?;
    Ok(Admin::new(cluster))
}

fn side(
    (brokers, file): (&Option<String>, &Option<PathBuf>),
    (option, file_option): (&str, &str),
    password: &str,
) -> Result<Settings, String> {
    let mut settings = Settings::new(brokers.as_deref().unwrap_or_default());
    let secret = std::env::var(password).ok();
    if let Some(path) = file {
        settings =
            settings.with_file(path, secret.as_deref()).map_err(|error| error.to_string())?;
    }
    if let Some(brokers) = brokers {
        settings.bootstrap = Settings::new(brokers).bootstrap;
    }
    if settings.bootstrap.is_empty() {
        return Err(format!(
            "say where: {option} HOST:PORT, or `bootstrap.servers` in {file_option}"
        ));
    }
    Ok(settings)
}

/// The target that `mainstem dev` has told of.
fn beside(target: &Target, option: &str) -> Result<Settings, String> {
    let path: &Path = &target.credentials;
    let missing =
        |why: String| format!("say where: {option} HOST:PORT ({}: {why})", path.display());
    let bytes = std::fs::read(path).map_err(|error| missing(error.to_string()))?;
    let file: Result<DevCredentials, _> = serde_json::from_slice(&bytes);
    let DevKafka { bootstrap, username, password, security_protocol, mechanism } =
        file.map_err(|error| missing(error.to_string()))?.kafka;
    let text = format!(
        "security.protocol={security_protocol}\nsasl.mechanism={mechanism}\n\
         sasl.username={username}\n"
    );
    let settings = Settings::new(&bootstrap).with_properties(&text, Some(&password));
    settings.map_err(|error| missing(error.to_string()))
}
