//! What is said of each check of the configuration. It must not judge.

use crate::{Area, Check, Severity};

pub(super) static ADMIN_PLAIN: Check = Check {
    id: "admin-plain",
    area: Area::Configuration,
    severity: Severity::Critical,
    title: "The admin API is reached in plain text",
    why: "Passwords, operator tokens and session tokens can be read, and used, by whoever sees the \
          traffic.",
    cure: "Set `edge.tls`, or listen on 127.0.0.1 behind a proxy that speaks TLS \
          (`edge.admin_listen`).",
};

pub(super) static PUBLIC_PLAIN: Check = Check {
    id: "public-plain",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "The public port is reached in plain text",
    why: "API keys, tokens and records can be read by whoever sees the traffic.",
    cure: "Set `edge.tls`, or listen on 127.0.0.1 behind a proxy that speaks TLS (`edge.listen`).",
};

pub(super) static ADMIN_PUBLIC: Check = Check {
    id: "admin-public",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "The admin API listens where everybody may reach it",
    why: "Whoever reaches it may guess passwords and tokens, and try what the next hole allows.",
    cure: "Bind `edge.admin_listen` to an address of an internal network, or let a firewall or VPN \
          stand before it.",
};

pub(super) static DEV_PUBLIC: Check = Check {
    id: "dev-public",
    area: Area::Configuration,
    severity: Severity::Critical,
    title: "Development mode is reachable from elsewhere",
    why: "Its settings are for one developer: plain HTTP, webhooks to this machine, letters in a \
          folder, public figures.",
    cure: "Run `mainstem serve` with a configuration; keep `mainstem dev` on 127.0.0.1.",
};

pub(super) static CONNECTIONS_UNBOUNDED: Check = Check {
    id: "connections-unbounded",
    area: Area::Configuration,
    severity: Severity::Info,
    title: "One address may take every connection",
    why: "One client alone can use up `edge.accept.connections_max`, and nobody else gets in.",
    cure: "Set `edge.accept.connections_per_address_max`, unless a proxy stands before the port \
          and all clients have its address.",
};

pub(super) static ADMIN_RATE_OFF: Check = Check {
    id: "admin-rate-off",
    area: Area::Configuration,
    severity: Severity::Critical,
    title: "Nothing slows guessing at the admin API",
    why: "Tokens and passwords can be tried as fast as the machine answers.",
    cure: "Set `admin.rate.address_per_second_max`; the default is good.",
};

pub(super) static ORIGINS_ANY: Check = Check {
    id: "origins-any",
    area: Area::Configuration,
    severity: Severity::Info,
    title: "Every web page may use the public API",
    why: "A page that got hold of a key or a token can use it from its visitors' browsers.",
    cure: "List the origins of your applications in `edge.cors.origins`.",
};

pub(super) static FIGURES_PUBLIC: Check = Check {
    id: "figures-public",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "Figures are served on the public port",
    why: "They name tenants and tell what they use, to whoever asks.",
    cure: "Set `telemetry.metrics_public` to `false` and scrape the admin port.",
};

pub(super) static TLS_SELF_SIGNED: Check = Check {
    id: "tls-self-signed",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "The certificate is self-signed",
    why: "Clients can only ignore it, and then they cannot tell this server from somebody in \
          between.",
    cure: "Give a certificate of an authority that clients know: `edge.tls.files`.",
};

pub(super) static CERTIFICATE_ENDS: Check = Check {
    id: "certificate-ends",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "The certificate ends soon",
    why: "From that moment clients refuse to connect.",
    cure: "Renew it and put the files in place: they are read again by themselves.",
};

pub(super) static SECRET_READABLE: Check = Check {
    id: "secret-readable",
    area: Area::Configuration,
    severity: Severity::Critical,
    title: "A file with a secret can be read by others",
    why: "Whoever has an account on the machine, or gets one, can take the secret.",
    cure: "`chmod 600` the file, and make the account that runs the server its owner.",
};

pub(super) static DATA_READABLE: Check = Check {
    id: "data-readable",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "The data directory is open to every user of the machine",
    why: "The database in it holds hashes of passwords and keys, and everything that tenants \
          configured.",
    cure: "`chmod 700` the directory, and make the account that runs the server its owner.",
};

pub(super) static ENCRYPTION_OFF: Check = Check {
    id: "encryption-off",
    area: Area::Configuration,
    severity: Severity::Critical,
    title: "Records are not encrypted at rest",
    why: "A stolen disk, a lost backup or a shared volume gives every tenant's records away, and \
          no tenant can be shredded.",
    cure: "Set `encryption.enabled` to `true`; the key ring is made at the next start.",
};

pub(super) static ROOT_KEY_BESIDE_DATA: Check = Check {
    id: "root-key-beside-data",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "The root key lies beside what it protects",
    why: "Whoever copies the data directory has the records and the key that opens them.",
    cure: "Keep it elsewhere: `encryption.root.source` `vault`, `passphrase` or `environment`, or \
          a file on another volume; `mainstem keys-at-rest rotate-root` goes over to it.",
};

pub(super) static TOKEN_INLINE: Check = Check {
    id: "token-inline",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "The operator's token stands in the configuration file",
    why: "Configuration is copied, committed and shown around; this token may do everything.",
    cure: "Move it to a file (`admin.token_file`) or to `MAINSTEM__ADMIN__TOKEN`, and take a new \
          one.",
};

pub(super) static DATABASE_PLAIN: Check = Check {
    id: "database-plain",
    area: Area::Configuration,
    severity: Severity::Critical,
    title: "The database is asked without TLS for certain",
    why: "Whoever is in between can read, and change, everything that the control plane keeps.",
    cure: "Add `sslmode=verify-full` to `database.url`, or at least `sslmode=require`.",
};

pub(super) static BACKUPS_OFF: Check = Check {
    id: "backups-off",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "No backups are made by themselves",
    why: "What is lost with the disk is lost for good, unless somebody remembers to copy it.",
    cure: "Set `backup.to` and `backup.every_minutes`, or call `mainstem backup create` from a \
          timer.",
};

pub(super) static BACKUPS_BESIDE_DATA: Check = Check {
    id: "backups-beside-data",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "Backups lie on the disk that they are for",
    why: "A broken or stolen disk takes both.",
    cure: "Let `backup.to` name a directory on another disk, or `s3://bucket/prefix`.",
};

pub(super) static WEBHOOKS_PRIVATE: Check = Check {
    id: "webhooks-private",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "Tenants' webhooks may reach private networks",
    why: "A tenant can make the server ask addresses that he himself cannot reach; loopback and \
          the address of cloud metadata are the worst of them.",
    cure: "Empty `webhooks.allow_networks`, or list only the very hosts that are meant.",
};

pub(super) static WEBHOOKS_PLAIN: Check = Check {
    id: "webhooks-plain",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "Webhooks may go out in plain text",
    why: "Records of tenants leave readable and changeable on the way.",
    cure: "Set `webhooks.plain_http_allowed` to `false`.",
};

pub(super) static PROVIDERS_PRIVATE: Check = Check {
    id: "providers-private",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "Sign-in providers may be in private networks",
    why: "Who may set up a provider can make the server ask addresses inside of your network.",
    cure: "Empty `people.oidc.allow_networks`, or list only the very hosts that are meant.",
};

pub(super) static PROVIDERS_PLAIN: Check = Check {
    id: "providers-plain",
    area: Area::Configuration,
    severity: Severity::Critical,
    title: "Sign-in providers may be spoken to in plain text",
    why: "Somebody in between can answer in the provider's place, and sign in as anybody.",
    cure: "Set `people.oidc.plain_http_allowed` to `false`.",
};

pub(super) static TRACES_PLAIN: Check = Check {
    id: "traces-plain",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "Traces leave in plain text",
    why: "They tell who asks for what and when.",
    cure: "Give `telemetry.otlp_url` as `https://`, or run the collector on this machine.",
};

pub(super) static MAIL_NONE: Check = Check {
    id: "mail-none",
    area: Area::Configuration,
    severity: Severity::Info,
    title: "No letters can be sent",
    why: "Nobody is told of sign-ins from unknown devices, and nobody can choose another password \
          by himself.",
    cure: "Set `mail.smtp`.",
};

pub(super) static MAIL_FOLDER: Check = Check {
    id: "mail-folder",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "Letters with links to passwords are files in a folder",
    why: "Whoever reads the folder can choose other people's passwords.",
    cure: "Set `mail.smtp` and take `mail.folder` out: it is for development.",
};

pub(super) static MAIL_PLAIN: Check = Check {
    id: "mail-plain",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "Letters leave in plain text",
    why: "They hold links by which passwords are chosen.",
    cure: "Set `mail.smtp.tls` to `implicit` or `start_tls`.",
};

pub(super) static CONSOLE_PLAIN: Check = Check {
    id: "console-plain",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "Letters lead people to a console in plain text",
    why: "The password that they choose there can be read on the way, and passkeys do not work.",
    cure: "Serve the console over https and set `people.console_url` to that address.",
};

pub(super) static PASSWORD_SHORT: Check = Check {
    id: "password-short",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "Short passwords are taken",
    why: "Short passwords are guessed, and appear in every list.",
    cure: "Set `people.password_chars_min` to 12 or more.",
};

pub(super) static PASSWORD_CHEAP: Check = Check {
    id: "password-cheap",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "Stolen hashes of passwords are cheap to try",
    why: "OWASP asks for 19 MiB and two passes of argon2id, so that a stolen database is not a \
          list of passwords.",
    cure: "Raise `people.password_cost`; hashes are made anew as people sign in.",
};

pub(super) static SESSION_LONG: Check = Check {
    id: "session-long",
    area: Area::Configuration,
    severity: Severity::Info,
    title: "Sessions of administrators last very long",
    why: "A token that was copied once is good for that long.",
    cure: "Set `people.session_ms_max` to 30 days or less.",
};

pub(super) static ELEVATED_LONG: Check = Check {
    id: "elevated-long",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "A proof of identity counts very long",
    why: "What needs a fresh proof can be done from an unattended browser all that time.",
    cure: "Set `people.elevated_ms` to an hour or less; five minutes are the default.",
};

pub(super) static THROTTLE_LOOSE: Check = Check {
    id: "throttle-loose",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "Wrong passwords are hardly slowed",
    why: "So many attempts at each account are free before anything waits.",
    cure: "Lower `people.throttle`; the defaults are 5 for an account and 20 for an address.",
};

pub(super) static LOG_DETAILED: Check = Check {
    id: "log-detailed",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "The log tells more than it should in operation",
    why: "Details of requests of tenants end up in places that keep logs, and are read by people \
          who should not.",
    cure: "Set `telemetry.log` to `info`; `mainstem logs level` raises it for a while.",
};

pub(super) static AUDIT_SHORT: Check = Check {
    id: "audit-short",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "The audit trail is kept for a short time",
    why: "Break-ins are often found after months; then nothing tells what happened.",
    cure: "Set `audit.retention_days` to 90 or more.",
};

pub(super) static AUDIT_ALONE: Check = Check {
    id: "audit-alone",
    area: Area::Configuration,
    severity: Severity::Info,
    title: "The audit trail is kept on this machine alone",
    why: "Who owns the machine can write another trail; one that was sent elsewhere stays.",
    cure: "Name a receiver in `audit.sinks`, or write `mainstem audit verify`'s last hash down \
          elsewhere.",
};

pub(super) static AUDIT_PLAIN: Check = Check {
    id: "audit-plain",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "The audit trail leaves in plain text, or may be lost",
    why: "Whoever is in between can read, change or drop what the trail tells.",
    cure: "Use syslog with `transport: tls`, or a webhook with `https://`.",
};

pub(super) static ALERTS_OFF: Check = Check {
    id: "alerts-off",
    area: Area::Configuration,
    severity: Severity::Warning,
    title: "Nobody is told of what goes wrong",
    why: "Guessed passwords, failed backups and full disks are noticed when it is too late.",
    cure: "Set `alerts.enabled` to `true` and give a channel: `mainstem alerts channels`.",
};

/// All of them.
pub(crate) static ALL: &[&Check] = &[
    &ADMIN_PLAIN,
    &PUBLIC_PLAIN,
    &ADMIN_PUBLIC,
    &DEV_PUBLIC,
    &CONNECTIONS_UNBOUNDED,
    &ADMIN_RATE_OFF,
    &ORIGINS_ANY,
    &FIGURES_PUBLIC,
    &TLS_SELF_SIGNED,
    &CERTIFICATE_ENDS,
    &SECRET_READABLE,
    &DATA_READABLE,
    &ENCRYPTION_OFF,
    &ROOT_KEY_BESIDE_DATA,
    &TOKEN_INLINE,
    &DATABASE_PLAIN,
    &BACKUPS_OFF,
    &BACKUPS_BESIDE_DATA,
    &WEBHOOKS_PRIVATE,
    &WEBHOOKS_PLAIN,
    &PROVIDERS_PRIVATE,
    &PROVIDERS_PLAIN,
    &TRACES_PLAIN,
    &MAIL_NONE,
    &MAIL_FOLDER,
    &MAIL_PLAIN,
    &CONSOLE_PLAIN,
    &PASSWORD_SHORT,
    &PASSWORD_CHEAP,
    &SESSION_LONG,
    &ELEVATED_LONG,
    &THROTTLE_LOOSE,
    &LOG_DETAILED,
    &AUDIT_SHORT,
    &AUDIT_ALONE,
    &AUDIT_PLAIN,
    &ALERTS_OFF,
];
