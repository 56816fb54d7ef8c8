//! Rows of configuration: one change of a good one, and the finding that it makes.

use crate::configuration::*;
use crate::{Finding, Severity};
use std::collections::HashSet;

const NOW: i64 = 1_795_219_200_000;
const DAY: i64 = 24 * 3_600_000;

/// Nothing is wrong with it.
fn good() -> Config {
    let listener = |text: &str| Some(Listener { address: text.parse().expect("an address") });
    Config {
        now: NOW,
        public: listener("10.0.0.5:443"),
        admin: listener("10.0.0.5:8443"),
        tls: Tls::Files { ends_at: Some(NOW + 90 * DAY), key_mode: Some(0o100_600) },
        encryption: Encryption {
            is_enabled: true,
            root_mode: Some(0o100_600),
            is_root_beside_data: false,
        },
        secrets: vec![Secret { key: "secret.key".to_owned(), mode: 0o100_600 }],
        data_dir_mode: Some(0o040_700),
        backup_every_minutes: Some(60),
        address_rate: 20,
        connections_per_address_max: 1_000,
        log: "info,hub=warn".to_owned(),
        traces_url: Some("http://127.0.0.1:4318".to_owned()),
        audit_days: 400,
        audit_receivers: vec![("siem".to_owned(), false)],
        mail: Mail::Protected,
        console_url: "https://console.example.org".to_owned(),
        password_chars_min: 12,
        password_kib: 19_456,
        password_passes: 2,
        session_ms_max: 7 * 24 * 3_600_000,
        elevated_ms: 300_000,
        account_failures_max: 5,
        address_failures_max: 20,
        database: Some("postgres://db.example.org/mainstem".to_owned()),
        database_ssl: Some("verify-full".to_owned()),
        are_alerts_on: true,
        ..Config::default()
    }
}

fn changed(change: impl FnOnce(&mut Config)) -> Vec<Finding> {
    let mut config = good();
    change(&mut config);
    findings(&config)
}

#[test]
fn nothing_is_found_in_what_is_good() {
    assert_eq!(findings(&good()), []);
}

type Change = fn(&mut Config);

fn listen(text: &str) -> Option<Listener> {
    Some(Listener { address: text.parse().expect("an address") })
}

/// What is changed, the check that finds it, how bad it is, and of which key it speaks.
const ROWS: &[(Change, &str, Severity, &str)] = {
    use Severity::{Critical, Info, Warning};
    &[
        (|c| c.admin = listen("8.8.8.8:1"), "admin-public", Warning, "edge.admin_listen"),
        (|c| c.admin = listen("[::]:8081"), "admin-public", Warning, "edge.admin_listen"),
        (|c| c.is_dev = true, "dev-public", Critical, "dev"),
        (
            |c| c.connections_per_address_max = 0,
            "connections-unbounded",
            Info,
            "edge.accept.connections_per_address_max",
        ),
        (|c| c.address_rate = 0, "admin-rate-off", Critical, "admin.rate.address_per_second_max"),
        (|c| c.is_any_origin_allowed = true, "origins-any", Info, "edge.cors.origins"),
        (|c| c.are_figures_public = true, "figures-public", Warning, "telemetry.metrics_public"),
        (|c| c.tls = Tls::SelfSigned, "tls-self-signed", Warning, "edge.tls"),
        (|c| ends(c, Some(20)), "certificate-ends", Warning, "edge.tls.files.certificate"),
        (|c| ends(c, Some(3)), "certificate-ends", Critical, "edge.tls.files.certificate"),
        (|c| ends(c, Some(-1)), "certificate-ends", Critical, "edge.tls.files.certificate"),
        (|c| ends(c, None), "certificate-ends", Warning, "edge.tls.files.certificate"),
        (
            |c| c.tls = Tls::Files { ends_at: Some(NOW + 90 * DAY), key_mode: Some(0o100_640) },
            "secret-readable",
            Critical,
            "edge.tls.files.key",
        ),
        (
            |c| c.encryption.root_mode = Some(0o644),
            "secret-readable",
            Critical,
            "encryption.root.file",
        ),
        (|c| c.secrets[0].mode = 0o604, "secret-readable", Critical, "secret.key"),
        (|c| c.data_dir_mode = Some(0o755), "data-readable", Warning, "data_dir"),
        (
            |c| c.encryption = Encryption::default(),
            "encryption-off",
            Critical,
            "encryption.enabled",
        ),
        (
            |c| c.encryption.is_root_beside_data = true,
            "root-key-beside-data",
            Warning,
            "encryption.root",
        ),
        (|c| c.is_token_inline = true, "token-inline", Warning, "admin.token"),
        (|c| c.database_ssl = None, "database-plain", Critical, "database.url"),
        (
            |c| c.database_ssl = Some("prefer".to_owned()),
            "database-plain",
            Critical,
            "database.url",
        ),
        (|c| c.backup_every_minutes = None, "backups-off", Warning, "backup.every_minutes"),
        (|c| c.is_backup_beside_data = true, "backups-beside-data", Warning, "backup.to"),
        (
            |c| c.webhook_networks = vec!["10.1.0.0/16".to_owned()],
            "webhooks-private",
            Warning,
            "webhooks.allow_networks",
        ),
        (
            |c| c.webhook_networks = vec!["127.0.0.0/8".to_owned()],
            "webhooks-private",
            Critical,
            "webhooks.allow_networks",
        ),
        (
            |c| c.provider_networks = vec!["0.0.0.0/0".to_owned()],
            "providers-private",
            Critical,
            "people.oidc.allow_networks",
        ),
        (|c| c.webhooks_plain = true, "webhooks-plain", Warning, "webhooks.plain_http_allowed"),
        (
            |c| c.providers_plain = true,
            "providers-plain",
            Critical,
            "people.oidc.plain_http_allowed",
        ),
        (
            |c| c.traces_url = Some("http://otel.example.org:4318/v1".to_owned()),
            "traces-plain",
            Warning,
            "telemetry.otlp_url",
        ),
        (|c| c.mail = Mail::None, "mail-none", Info, "mail"),
        (|c| c.mail = Mail::Folder, "mail-folder", Warning, "mail.folder"),
        (|c| c.mail = Mail::Plain, "mail-plain", Warning, "mail.smtp.tls"),
        (
            |c| c.console_url = "http://console.example.org".to_owned(),
            "console-plain",
            Warning,
            "people.console_url",
        ),
        (|c| c.password_chars_min = 8, "password-short", Warning, "people.password_chars_min"),
        (|c| c.password_kib = 4_096, "password-cheap", Warning, "people.password_cost"),
        (|c| c.password_passes = 1, "password-cheap", Warning, "people.password_cost"),
        (|c| c.session_ms_max = 31 * 24 * 3_600_000, "session-long", Info, "people.session_ms_max"),
        (|c| c.elevated_ms = 3_600_001, "elevated-long", Warning, "people.elevated_ms"),
        (
            |c| c.account_failures_max = 21,
            "throttle-loose",
            Warning,
            "people.throttle.account_failures_max",
        ),
        (
            |c| c.address_failures_max = 201,
            "throttle-loose",
            Warning,
            "people.throttle.address_failures_max",
        ),
        (|c| c.log = "info, hub = debug".to_owned(), "log-detailed", Warning, "telemetry.log"),
        (|c| c.audit_days = 89, "audit-short", Warning, "audit.retention_days"),
        (|c| c.audit_receivers.clear(), "audit-alone", Info, "audit.sinks"),
        (|c| c.audit_receivers[0].1 = true, "audit-plain", Warning, "audit.sinks.siem"),
        (|c| c.are_alerts_on = false, "alerts-off", Warning, "alerts.enabled"),
    ]
};

fn ends(config: &mut Config, days: Option<i64>) {
    let ends_at = days.map(|days| NOW + days * DAY + 1);
    config.tls = Tls::Files { ends_at, key_mode: Some(0o600) };
}

#[test]
fn each_change_for_the_worse_is_found_alone() {
    for (change, id, severity, key) in ROWS {
        let found = changed(change);
        let told: Vec<_> =
            found.iter().map(|it| (it.check.id, it.severity, it.subject.as_str())).collect();
        assert_eq!(told, [(*id, *severity, *key)], "{id}");
    }
}

#[test]
fn without_tls_both_ports_are_plain_unless_they_stay_on_this_machine() {
    let ids = |found: Vec<Finding>| -> Vec<&str> { found.iter().map(|it| it.check.id).collect() };
    let plain = changed(|c| c.tls = Tls::None);
    assert_eq!(ids(plain), ["admin-plain", "public-plain"]);
    let own = changed(|c| {
        c.tls = Tls::None;
        (c.public, c.admin) = (listen("127.0.0.1:8080"), listen("[::1]:8081"));
        c.console_url = "http://localhost:8081".to_owned();
        (c.database, c.database_ssl) = (Some("postgres://u@[::1]:5432/m".to_owned()), None);
        (c.is_any_origin_allowed, c.connections_per_address_max) = (true, 0);
    });
    assert_eq!(ids(own), [""; 0]);
    let none = changed(|c| (c.admin, c.tls) = (None, Tls::None));
    assert_eq!(ids(none), ["public-plain"]);
}

#[test]
fn a_developers_own_machine_is_told_of_its_networks_and_nobody_elses() {
    let severities = |change: fn(&mut Config)| -> Vec<(&str, Severity)> {
        let found = changed(|config| {
            (config.is_dev, config.tls) = (true, Tls::None);
            (config.public, config.admin) = (listen("127.0.0.1:8080"), listen("[::1]:8081"));
            config.webhook_networks = vec!["127.0.0.0/8".to_owned(), "::1".to_owned()];
            config.provider_networks = config.webhook_networks.clone();
            change(config);
        });
        let networks = found.into_iter().filter(|it| it.check.id.ends_with("-private"));
        networks.map(|it| (it.check.id, it.severity)).collect()
    };
    let both = |severity| vec![("webhooks-private", severity), ("providers-private", severity)];
    assert_eq!(severities(|_| ()), both(Severity::Info));
    // Reached from elsewhere, served, or reaching further: as bad as ever.
    assert_eq!(severities(|c| c.public = listen("0.0.0.0:8080")), both(Severity::Critical));
    assert_eq!(severities(|c| c.admin = listen("10.0.0.5:8081")), both(Severity::Critical));
    assert_eq!(severities(|c| c.is_dev = false), both(Severity::Critical));
    for network in ["0.0.0.0/0", "126.0.0.0/7", "::/0", "169.254.169.254"] {
        let mut config = good();
        (config.is_dev, config.public, config.admin) = (true, listen("127.0.0.1:1"), None);
        config.webhook_networks = vec![network.to_owned()];
        let found = findings(&config);
        let found = found.iter().find(|it| it.check.id == "webhooks-private");
        assert_eq!(found.map(|it| it.severity), Some(Severity::Critical), "{network}");
    }
}

#[test]
fn every_check_of_the_configuration_has_a_row_and_a_name_of_its_own() {
    let rows = ROWS.iter().map(|(_, id, ..)| *id).chain(["admin-plain", "public-plain"]);
    let rows: HashSet<&str> = rows.collect();
    for check in crate::configuration::ALL {
        assert!(rows.contains(check.id), "{} is tried by no row", check.id);
    }
    let mut names = HashSet::new();
    for check in crate::checks() {
        let is_word = check.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(is_word && (1..=40).contains(&check.id.len()), "{}", check.id);
        assert!(names.insert(check.id), "{} is there twice", check.id);
        for text in [check.title, check.why, check.cure] {
            assert!(text.len() > 10 && !text.contains("  "), "{}: {text}", check.id);
        }
        assert_eq!(crate::check(check.id), Some(check));
    }
    let page = crate::reference();
    assert!(names.iter().all(|id| page.contains(&format!("### {id}\n"))));
}
