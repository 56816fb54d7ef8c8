//! The checks of what a node was configured with, and of the files its configuration names. The
//! facts are plain values, so that what a configuration says can be judged before it is served.

mod checks;

use crate::{Check, Finding, Severity};
pub(crate) use checks::ALL;
use checks::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use types::TimestampMs;
use types::acl::Network;

const DAY_MS: i64 = 24 * 3_600_000;
/// A certificate that ends sooner should be replaced now.
const CERTIFICATE_DAYS_MIN: i64 = 21;
/// And one that ends sooner than this is an emergency.
const CERTIFICATE_DAYS_LAST: i64 = 3;
/// Ninety days find what was done in the quarter before.
const AUDIT_DAYS_MIN: u32 = 90;
const PASSWORD_CHARS_MIN: usize = 12;
/// OWASP's Password Storage Cheat Sheet, argon2id: 19 MiB, two passes.
const PASSWORD_KIB_MIN: u32 = 19_456;
const PASSWORD_PASSES_MIN: u32 = 2;
const SESSION_MS_MAX: u64 = 30 * 24 * 3_600_000;
const ELEVATED_MS_MAX: u64 = 3_600_000;
const ACCOUNT_FAILURES_MAX: u32 = 20;
const ADDRESS_FAILURES_MAX: u32 = 200;
/// Where clouds tell a machine its secrets.
const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// One port that is listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    pub address: SocketAddr,
}

/// How connections are protected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tls {
    #[default]
    None,
    SelfSigned,
    Files {
        /// `None`: it could not be read.
        ends_at: Option<TimestampMs>,
        /// Permission bits of the key's file; `None`: it could not be looked at.
        key_mode: Option<u32>,
    },
}

/// Encryption at rest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encryption {
    pub is_enabled: bool,
    /// Of the root key's file; `None`: it comes from elsewhere, or is not made yet.
    pub root_mode: Option<u32>,
    /// The root key lies inside the data directory.
    pub is_root_beside_data: bool,
}

/// How letters leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mail {
    #[default]
    None,
    Folder,
    /// To a server elsewhere, without TLS.
    Plain,
    Protected,
}

/// A file that must be its owner's alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The key of the configuration that names it, or its name in the data directory.
    pub key: String,
    pub mode: u32,
}

/// What is known of a configuration and of the files it names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    pub now: TimestampMs,
    /// Made for a developer's machine by `mainstem dev`.
    pub is_dev: bool,
    pub public: Option<Listener>,
    pub admin: Option<Listener>,
    pub tls: Tls,
    pub encryption: Encryption,
    /// Files with secrets that others than their owner may read are among them.
    pub secrets: Vec<Secret>,
    /// Permission bits of the data directory; `None`: it is not there yet.
    pub data_dir_mode: Option<u32>,
    /// The operator's token stands in a configuration file.
    pub is_token_inline: bool,
    /// Minutes between backups that are made by themselves.
    pub backup_every_minutes: Option<u32>,
    /// Backups go to a folder on the disk that has the data.
    pub is_backup_beside_data: bool,
    pub address_rate: u32,
    pub connections_per_address_max: u32,
    pub webhooks_plain: bool,
    pub webhook_networks: Vec<String>,
    pub providers_plain: bool,
    pub provider_networks: Vec<String>,
    pub is_any_origin_allowed: bool,
    pub are_figures_public: bool,
    /// In the syntax of `RUST_LOG`.
    pub log: String,
    pub traces_url: Option<String>,
    pub audit_days: u32,
    /// Receivers of the trail, by name, and whether the way there can be read or lost.
    pub audit_receivers: Vec<(String, bool)>,
    pub mail: Mail,
    pub console_url: String,
    pub password_chars_min: usize,
    pub password_kib: u32,
    pub password_passes: u32,
    pub session_ms_max: u64,
    pub elevated_ms: u64,
    pub account_failures_max: u32,
    pub address_failures_max: u32,
    /// The address of a PostgreSQL server, without user and password.
    pub database: Option<String>,
    /// `sslmode` of the database's address.
    pub database_ssl: Option<String>,
    pub are_alerts_on: bool,
}

/// What is not as it should be.
pub fn findings(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    listeners(config, &mut found);
    certificate(config, &mut found);
    at_rest(config, &mut found);
    backups(config, &mut found);
    outward(config, &mut found);
    people(config, &mut found);
    watching(config, &mut found);
    found
}

fn is_open(listener: Option<Listener>) -> bool {
    listener.is_some_and(|it| !it.address.ip().is_loopback())
}

/// Whether whoever is on the Internet may reach it, as far as the address tells.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(own) => !(own.is_loopback() || own.is_private() || own.is_link_local()),
        IpAddr::V6(own) => {
            !(own.is_loopback() || own.is_unique_local() || own.is_unicast_link_local())
        }
    }
}

fn listeners(config: &Config, found: &mut Vec<Finding>) {
    let is_plain = config.tls == Tls::None;
    if is_plain && is_open(config.admin) {
        found.push(ADMIN_PLAIN.found("edge.admin_listen", at(config.admin, "without TLS")));
    }
    if is_plain && is_open(config.public) {
        found.push(PUBLIC_PLAIN.found("edge.listen", at(config.public, "without TLS")));
    }
    if config.admin.is_some_and(|it| is_public(it.address.ip())) {
        let text = at(config.admin, "which is more than an internal network");
        found.push(ADMIN_PUBLIC.found("edge.admin_listen", text));
    }
    if config.is_dev && (is_open(config.admin) || is_open(config.public)) {
        let listener = if is_open(config.public) { config.public } else { config.admin };
        found.push(DEV_PUBLIC.found("dev", at(listener, "in development mode")));
    }
    if is_open(config.public) && config.connections_per_address_max == 0 {
        let key = "edge.accept.connections_per_address_max";
        found.push(CONNECTIONS_UNBOUNDED.found(key, "one address may open every connection"));
    }
    if config.address_rate == 0 {
        let key = "admin.rate.address_per_second_max";
        found.push(ADMIN_RATE_OFF.found(key, "it is 0: there is no limit"));
    }
    if config.is_any_origin_allowed && is_open(config.public) {
        found.push(ORIGINS_ANY.found("edge.cors.origins", "`*` is among them"));
    }
    if config.are_figures_public {
        let severity = if is_open(config.public) { Severity::Warning } else { Severity::Info };
        let finding = FIGURES_PUBLIC.found("telemetry.metrics_public", "it is true");
        found.push(finding.with_severity(severity));
    }
}

fn at(listener: Option<Listener>, how: &str) -> String {
    // Asked of those that are there.
    let Some(listener) = listener else { return how.to_owned() };
    format!("it listens on {}, {how}", listener.address)
}

fn certificate(config: &Config, found: &mut Vec<Finding>) {
    let is_reached = is_open(config.public) || is_open(config.admin);
    match &config.tls {
        Tls::None => {}
        Tls::SelfSigned if is_reached => {
            let text = "it is made anew at each start, and nobody can know it";
            found.push(TLS_SELF_SIGNED.found("edge.tls", text));
        }
        Tls::SelfSigned => {}
        Tls::Files { ends_at, key_mode } => {
            let days = ends_at.map(|end| (end - config.now).div_euclid(DAY_MS));
            match days {
                Some(days) if days < CERTIFICATE_DAYS_MIN => {
                    let text = match days {
                        ..0 => "it has ended: clients refuse it".to_owned(),
                        days => format!("it ends in {days} days"),
                    };
                    let severity = match days {
                        ..=CERTIFICATE_DAYS_LAST => Severity::Critical,
                        _ => Severity::Warning,
                    };
                    let finding = CERTIFICATE_ENDS.found("edge.tls.files.certificate", text);
                    found.push(finding.with_severity(severity));
                }
                Some(_) => {}
                None => {
                    let text = "when it ends could not be read";
                    found.push(CERTIFICATE_ENDS.found("edge.tls.files.certificate", text));
                }
            }
            readable(&SECRET_READABLE, "edge.tls.files.key", *key_mode, found);
        }
    }
}

/// Whether others than a file's owner may read it.
fn readable(check: &'static Check, key: &str, mode: Option<u32>, found: &mut Vec<Finding>) {
    let Some(mode) = mode.filter(|mode| mode & 0o077 != 0) else { return };
    let text = format!("its mode is {:03o}: others than its owner reach it", mode & 0o777);
    found.push(check.found(key, text));
}

fn at_rest(config: &Config, found: &mut Vec<Finding>) {
    let encryption = &config.encryption;
    if !encryption.is_enabled {
        let text = "records lie readable on the disk and in backups";
        found.push(ENCRYPTION_OFF.found("encryption.enabled", text));
    }
    if encryption.is_enabled && encryption.is_root_beside_data {
        let text = "the root key lies in the data directory";
        found.push(ROOT_KEY_BESIDE_DATA.found("encryption.root", text));
    }
    readable(&SECRET_READABLE, "encryption.root.file", encryption.root_mode, found);
    for secret in &config.secrets {
        readable(&SECRET_READABLE, &secret.key, Some(secret.mode), found);
    }
    if let Some(mode) = config.data_dir_mode.filter(|mode| mode & 0o007 != 0) {
        let text =
            format!("its mode is {:03o}: every user of the machine reaches it", mode & 0o777);
        found.push(DATA_READABLE.found("data_dir", text));
    }
    if config.is_token_inline {
        found.push(TOKEN_INLINE.found("admin.token", "it stands in the configuration file"));
    }
    let is_far = |url: &String| !is_own_machine(host(url));
    if let Some(database) = config.database.as_ref().filter(|url| is_far(url)) {
        let ssl = config.database_ssl.as_deref().unwrap_or("prefer");
        if !matches!(ssl, "require" | "verify-ca" | "verify-full") {
            let text = format!("{database} is asked with sslmode={ssl}");
            found.push(DATABASE_PLAIN.found("database.url", text));
        }
    }
}

fn backups(config: &Config, found: &mut Vec<Finding>) {
    if config.backup_every_minutes.unwrap_or(0) == 0 {
        let text = "the server makes none by itself";
        found.push(BACKUPS_OFF.found("backup.every_minutes", text));
    }
    if config.is_backup_beside_data {
        let text = "they go to the disk that has the data";
        found.push(BACKUPS_BESIDE_DATA.found("backup.to", text));
    }
}

/// Host of `scheme://host:port/...`.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((inner, _)) => inner,
        None => host.split_once(':').map_or(host, |(host, _)| host),
    }
}

fn is_own_machine(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    // Nothing at all is a socket in the file system.
    host.is_empty() || host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Whether the server is one developer's: nobody but who is on this machine reaches it, and what
/// may be reached from it is this machine.
fn is_at_home(config: &Config, all: &[String]) -> bool {
    let own: Vec<Network> =
        ["127.0.0.0/8", "::1"].iter().filter_map(|text| text.parse().ok()).collect();
    let is_own = |text: &String| {
        text.parse::<Network>().is_ok_and(|network| own.iter().any(|own| own.covers(&network)))
    };
    config.is_dev && !is_open(config.public) && !is_open(config.admin) && all.iter().all(is_own)
}

/// The networks that let the server be turned against itself or its machine. Who is on the machine
/// already gains nothing by that: there it is only said.
fn networks(
    config: &Config,
    check: &'static Check,
    (key, all): (&str, &[String]),
    found: &mut Vec<Finding>,
) {
    if all.is_empty() {
        return;
    }
    let reaches = |address: IpAddr| {
        let within =
            |text: &String| text.parse::<Network>().is_ok_and(|network| network.contains(address));
        all.iter().any(within)
    };
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let is_own_reached = loopback.into_iter().any(reaches) || reaches(METADATA);
    let severity = match (is_own_reached, is_at_home(config, all)) {
        (true, true) => Severity::Info,
        (true, false) => Severity::Critical,
        (false, _) => check.severity,
    };
    let text = format!("allowed: {}", all.join(", "));
    found.push(check.found(key, text).with_severity(severity));
}

fn outward(config: &Config, found: &mut Vec<Finding>) {
    let key = "webhooks.allow_networks";
    networks(config, &WEBHOOKS_PRIVATE, (key, &config.webhook_networks), found);
    if config.webhooks_plain {
        found.push(WEBHOOKS_PLAIN.found("webhooks.plain_http_allowed", "it is true"));
    }
    let key = "people.oidc.allow_networks";
    networks(config, &PROVIDERS_PRIVATE, (key, &config.provider_networks), found);
    if config.providers_plain {
        found.push(PROVIDERS_PLAIN.found("people.oidc.plain_http_allowed", "it is true"));
    }
    let plain = |url: &&String| url.starts_with("http://") && !is_own_machine(host(url));
    if let Some(url) = config.traces_url.as_ref().filter(plain) {
        let text = format!("traces go to {} in plain text", host(url));
        found.push(TRACES_PLAIN.found("telemetry.otlp_url", text));
    }
    match config.mail {
        Mail::None => found.push(MAIL_NONE.found("mail", "no server for letters is set")),
        Mail::Folder => found.push(MAIL_FOLDER.found("mail.folder", "letters are files")),
        Mail::Plain => found.push(MAIL_PLAIN.found("mail.smtp.tls", "it is `none`")),
        Mail::Protected => {}
    }
}

fn people(config: &Config, found: &mut Vec<Finding>) {
    let console = &config.console_url;
    if console.starts_with("http://") && !is_own_machine(host(console)) {
        let text = format!("links in letters lead to {console}");
        found.push(CONSOLE_PLAIN.found("people.console_url", text));
    }
    if config.password_chars_min < PASSWORD_CHARS_MIN {
        let text = format!("{} characters are enough", config.password_chars_min);
        found.push(PASSWORD_SHORT.found("people.password_chars_min", text));
    }
    let is_cheap = config.password_kib < PASSWORD_KIB_MIN;
    if is_cheap || config.password_passes < PASSWORD_PASSES_MIN {
        let (kib, passes) = (config.password_kib, config.password_passes);
        let text = format!("{kib} KiB and {passes} passes");
        found.push(PASSWORD_CHEAP.found("people.password_cost", text));
    }
    if config.session_ms_max > SESSION_MS_MAX {
        let days = config.session_ms_max / (24 * 3_600_000);
        found.push(SESSION_LONG.found("people.session_ms_max", format!("it is {days} days")));
    }
    if config.elevated_ms > ELEVATED_MS_MAX {
        let minutes = config.elevated_ms / 60_000;
        found.push(ELEVATED_LONG.found("people.elevated_ms", format!("it is {minutes} minutes")));
    }
    let failures = [
        ("account_failures_max", config.account_failures_max, ACCOUNT_FAILURES_MAX),
        ("address_failures_max", config.address_failures_max, ADDRESS_FAILURES_MAX),
    ];
    for (key, value, max) in failures {
        if value > max {
            let key = format!("people.throttle.{key}");
            found.push(THROTTLE_LOOSE.found(key, format!("{value} attempts are free")));
        }
    }
}

fn watching(config: &Config, found: &mut Vec<Finding>) {
    let words = config.log.split([',', '=']).map(str::trim);
    if words.into_iter().any(|word| matches!(word, "debug" | "trace")) {
        found.push(LOG_DETAILED.found("telemetry.log", format!("it is `{}`", config.log)));
    }
    if config.audit_days < AUDIT_DAYS_MIN {
        let text = format!("records go after {} days", config.audit_days);
        found.push(AUDIT_SHORT.found("audit.retention_days", text));
    }
    if config.audit_receivers.is_empty() {
        found.push(AUDIT_ALONE.found("audit.sinks", "there is no receiver outside"));
    }
    for (name, is_weak) in &config.audit_receivers {
        if *is_weak {
            let text = format!("records go to `{name}` in plain text");
            found.push(AUDIT_PLAIN.found(format!("audit.sinks.{name}"), text));
        }
    }
    if !config.are_alerts_on {
        found.push(ALERTS_OFF.found("alerts.enabled", "it is false"));
    }
}
