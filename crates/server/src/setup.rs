//! Facts for the security checks that only the server knows: what is configured, the modes of the
//! files that are named, the end of the certificate, the process and its clock. It must not judge.

use crate::app::World;
use crate::config::{Config, Loaded};
use crate::running::Running;
use audit::{Destination, Transport};
use control::Telling;
use keys::SourceKind;
use parking_lot::Mutex;
use posture::{Clocks, Encryption, Listener, Mail, Secret, Tls};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::ExposeSecret;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use types::TimestampMs;

/// A jump of the clock is told of for so long.
const JUMP_TOLD: Duration = Duration::from_secs(24 * 3_600);
/// Files in the data directory that hold secrets, where there are any.
const OWN_SECRETS: &[&str] = &["secret.key", "operator.token", "dev-credentials.json"];
/// A chain of certificates is not longer.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// What of a configuration is plain to see, without looking at any file.
pub fn stated(config: &Config) -> posture::Config {
    let (edge, people) = (&config.edge, &config.people);
    let database = config.database.url.as_ref().map(|url| shown(url.expose_secret()));
    let (database, database_ssl) = database.unwrap_or_default();
    posture::Config {
        public: Some(Listener { address: edge.listen }),
        admin: edge.admin_listen.map(|address| Listener { address }),
        tls: match &edge.tls {
            None => Tls::None,
            Some(edge::config::Tls::SelfSigned { .. }) => Tls::SelfSigned,
            Some(edge::config::Tls::Files { .. }) => Tls::Files { ends_at: None, key_mode: None },
        },
        encryption: Encryption { is_enabled: config.encryption.enabled, ..Encryption::default() },
        backup_every_minutes: config.backup.every_minutes,
        address_rate: config.admin.rate.address_per_second_max,
        connections_per_address_max: edge.accept.connections_per_address_max,
        webhooks_plain: config.webhooks.plain_http_allowed,
        webhook_networks: config.webhooks.allow_networks.iter().map(ToString::to_string).collect(),
        providers_plain: people.oidc.plain_http_allowed,
        provider_networks: people.oidc.allow_networks.iter().map(ToString::to_string).collect(),
        is_any_origin_allowed: edge.cors.origins.iter().any(|origin| origin == "*"),
        are_figures_public: config.telemetry.metrics_public,
        log: config.telemetry.log.clone(),
        traces_url: config.telemetry.otlp_url.clone(),
        audit_days: config.audit.retention_days,
        audit_receivers: config.audit.sinks.iter().map(receiver).collect(),
        mail: letters(&config.mail),
        console_url: people.console_url.clone(),
        password_chars_min: people.password_chars_min,
        password_kib: people.password_cost.memory_kib,
        password_passes: people.password_cost.passes,
        session_ms_max: people.session_ms_max,
        elevated_ms: people.elevated_ms,
        account_failures_max: people.throttle.account_failures_max,
        address_failures_max: people.throttle.address_failures_max,
        database,
        database_ssl,
        are_alerts_on: config.alerts.enabled,
        ..posture::Config::default()
    }
}

/// With the files that it names. Blocking.
pub fn facts(loaded: &Loaded, now: TimestampMs) -> posture::Config {
    let Loaded { config, layers } = loaded;
    let data_dir = &config.data_dir;
    let root = &config.encryption.root;
    let root_file = (root.source == SourceKind::File)
        .then(|| root.file.clone().unwrap_or_else(|| data_dir.join("keys").join("root.key")));
    let is_beside = |path: &Path| whole(path).starts_with(whole(data_dir));
    let is_inline = |value: &serde_json::Value| !value["admin"]["token"].is_null();
    let tls = match &config.edge.tls {
        Some(edge::config::Tls::Files { certificate, key }) => {
            Some(Tls::Files { ends_at: ends_at(certificate), key_mode: mode(key) })
        }
        _ => None,
    };
    let stated = stated(config);
    posture::Config {
        now,
        is_dev: layers.is_of_no_file(),
        tls: tls.unwrap_or(stated.tls),
        encryption: Encryption {
            root_mode: root_file.as_deref().and_then(mode),
            is_root_beside_data: root_file.as_deref().is_some_and(is_beside),
            ..stated.encryption
        },
        secrets: secrets(config),
        data_dir_mode: mode(data_dir),
        is_token_inline: layers.file.is_some() && is_inline(&layers.said),
        is_backup_beside_data: config.backup.to.as_deref().is_some_and(|to| {
            let place = to.strip_prefix("file://").unwrap_or(to);
            !place.contains("://") && device(Path::new(place)) == device(data_dir)
        }),
        ..stated
    }
}

/// A PostgreSQL address without user, password and options, and what it says of TLS.
fn shown(url: &str) -> (Option<String>, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://").filter(|(it, _)| it.starts_with("postgres"))
    else {
        return (None, None);
    };
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let mut pairs = options.split('&').filter_map(|pair| pair.split_once('='));
    let ssl = pairs.find(|(name, _)| matches!(*name, "sslmode" | "ssl-mode"));
    (Some(format!("{scheme}://{place}")), ssl.map(|(_, value)| value.to_owned()))
}

/// Whether what goes to a receiver of the trail can be read, or lost, on the way.
fn receiver(sink: &audit::Sink) -> (String, bool) {
    let is_near = |host: &str| {
        let host = host.trim_matches(['[', ']']);
        let address = host.parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    };
    let is_weak = match &sink.to {
        Destination::File(_) => false,
        Destination::Webhook(hook) => hook.url.starts_with("http://"),
        Destination::Syslog(syslog) => {
            let host = syslog.address.rsplit_once(':').map_or("", |(host, _)| host);
            syslog.transport != Transport::Tls && !is_near(host)
        }
    };
    (sink.name.clone(), is_weak)
}

fn letters(settings: &mail::MailSettings) -> Mail {
    let own = ["localhost", "127.0.0.1", "::1"];
    match (&settings.smtp, &settings.folder) {
        (_, Some(_)) => Mail::Folder,
        (None, None) => Mail::None,
        (Some(smtp), None) => match smtp.tls {
            mail::Tls::None if !own.contains(&smtp.host.as_str()) => Mail::Plain,
            _ => Mail::Protected,
        },
    }
}

/// Permission bits; `None`: there is no such file, or it cannot be looked at.
fn mode(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|found| found.mode())
}

/// The file system of a path, or of what is there of it.
fn device(path: &Path) -> Option<u64> {
    let there = whole(path);
    there.ancestors().find_map(|place| std::fs::metadata(place).ok()).map(|found| found.dev())
}

fn whole(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    std::fs::canonicalize(path).unwrap_or_else(|_| absolute())
}

fn secrets(config: &Config) -> Vec<Secret> {
    let named = |key: &str, path: Option<&PathBuf>| path.map(|path| (key.to_owned(), path.clone()));
    let smtp = config.mail.smtp.as_ref();
    let root = &config.encryption.root;
    let named = [
        named("admin.token_file", config.admin.token_file.as_ref()),
        named("mail.smtp.password_file", smtp.and_then(|smtp| smtp.password_file.as_ref())),
        named("billing.secret_key_file", config.billing.secret_key_file.as_ref()),
        named("billing.webhook_secret_file", config.billing.webhook_secret_file.as_ref()),
        named("encryption.root.passphrase_file", root.passphrase_file.as_ref()),
        named("encryption.root.vault.token_file", root.vault.token_file.as_ref()),
    ];
    let sinks = config.audit.sinks.iter().filter_map(|sink| match &sink.to {
        Destination::Webhook(hook) => Some((
            format!("audit.sinks.{}.to.webhook.secret_file", sink.name),
            hook.secret_file.clone(),
        )),
        _ => None,
    });
    let own = OWN_SECRETS.iter().map(|name| ((*name).to_owned(), config.data_dir.join(name)));
    let all = named.into_iter().flatten().chain(sinks).chain(own);
    all.filter_map(|(key, path)| mode(&path).map(|mode| Secret { key, mode })).collect()
}

/// When the first certificate of a PEM file ends.
fn ends_at(path: &Path) -> Option<TimestampMs> {
    let is_short = std::fs::metadata(path).is_ok_and(|found| found.len() <= PEM_BYTES_MAX);
    let pem = std::fs::read(path).ok().filter(|_| is_short)?;
    posture::not_after_ms(&CertificateDer::from_pem_slice(&pem).ok()?)
}

/// Whether the process is root's; not known where the kernel does not tell.
fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    // Real, effective, saved, and of the file system.
    line.and_then(|line| line.split_whitespace().nth(1)) == Some("0")
}

struct Seen {
    wall_ms: TimestampMs,
    passed: Duration,
    /// The last jump, and when it was seen.
    jump: Option<(i64, Duration)>,
}

/// The server as the security checks see it.
pub struct Setup {
    running: Arc<Running>,
    world: World,
    started_at: TimestampMs,
    seen: Mutex<Seen>,
}

impl Setup {
    pub fn new(running: &Arc<Running>, world: &World) -> Setup {
        let (started_at, passed) = (world.clock.now_ms(), world.clock.monotonic());
        let seen = Mutex::new(Seen { wall_ms: started_at, passed, jump: None });
        Setup { running: Arc::clone(running), world: world.clone(), started_at, seen }
    }

    /// How far the time of day went from the time that passed since the last look, of a day.
    fn jump_ms(&self) -> i64 {
        let (now, passed) = (self.world.clock.now_ms(), self.world.clock.monotonic());
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let mut seen = self.seen.lock();
        let clocks =
            Clocks { wall_ms: [seen.wall_ms, now], passed_ms: [ms(seen.passed), ms(passed)] };
        let jump = clocks.jump_ms();
        (seen.wall_ms, seen.passed) = (now, passed);
        let is_old = |at: Duration| passed.saturating_sub(at) > JUMP_TOLD;
        if seen.jump.is_none_or(|(known, at)| is_old(at) || jump.abs() > known.abs()) {
            seen.jump = Some((jump, passed));
        }
        seen.jump.map_or(0, |(jump, _)| jump)
    }
}

impl control::Setup for Setup {
    fn configuration(&self) -> Telling<'_, posture::Config> {
        let (loaded, now) = (self.running.in_force(), self.world.clock.now_ms());
        Box::pin(async move {
            let plain = stated(&loaded.config);
            // Files are looked at: not on an async thread.
            let looking = tokio::task::spawn_blocking(move || facts(&loaded, now));
            looking.await.unwrap_or(plain)
        })
    }

    fn running(&self) -> Telling<'_, posture::Running> {
        let running = posture::Running {
            clock_jump_ms: self.jump_ms(),
            backup_every_minutes: self.running.in_force().config.backup.every_minutes,
            started_at: self.started_at,
            is_root: is_root(),
            ..posture::Running::default()
        };
        Box::pin(std::future::ready(running))
    }
}
