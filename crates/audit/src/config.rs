//! What an operator may set about the audit trail. The doc comments are the manual.

use crate::format::Format;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Receivers of the trail.
const SINKS_MAX: usize = 16;

/// The audit trail: how long it is kept, and who outside gets it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Days after which records go, the oldest first. The chain's last hash before them stays.
    pub retention_days: u32,
    /// Receivers outside, such as a SIEM. Each gets every record in order, at least once and over
    /// restarts; the number of a record tells repetitions.
    pub sinks: Vec<Sink>,
}

/// Somebody outside who gets the trail.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sink {
    /// Names the receiver for ever: under it is kept how far it has got. 1 to 40 of `a-z`, `0-9`
    /// and `-`.
    pub name: String,
    /// `json`: the record as it is in the log, one line; `cef`: ArcSight's Common Event Format.
    #[serde(default)]
    pub format: Format,
    /// Where to: one of `syslog`, `file`, `webhook`.
    pub to: Destination,
}

/// Where the trail goes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// A syslog server (RFC 5424).
    Syslog(SyslogSink),
    /// A file, a record a line.
    File(FileSink),
    /// An HTTP endpoint.
    Webhook(HookSink),
}

/// How syslog travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Octet-counted frames over TCP (RFC 6587).
    #[default]
    Tcp,
    /// The same over TLS (RFC 5425).
    Tls,
    /// A datagram a record (RFC 5426): may be lost on the way without anybody noticing.
    Udp,
}

/// A syslog server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyslogSink {
    /// `host:port`; usually 514, with TLS 6514.
    pub address: String,
    /// `tcp`, `tls` or `udp`.
    #[serde(default)]
    pub transport: Transport,
    /// With TLS: certificates (PEM) of who may have signed the server's, instead of those that the
    /// system trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// What the messages name as their host; `-` when absent.
    #[serde(default)]
    pub host: Option<String>,
}

/// A file that grows.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSink {
    /// Created when absent, readable by the owner only.
    pub path: PathBuf,
    /// A larger file is renamed to `path.1`, the one before to `path.2` and so on.
    #[serde(default = "file_mib")]
    pub mib_max: u32,
    /// Files that stay beside the growing one; the oldest goes.
    #[serde(default = "files_kept")]
    pub files_max: u32,
}

/// An endpoint that takes records as webhooks, signed by Standard Webhooks. The rules of
/// `webhooks` on addresses hold.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookSink {
    /// `https://host/path`.
    pub url: String,
    /// File that holds the signing secret, `whsec_...`.
    pub secret_file: PathBuf,
}

fn file_mib() -> u32 {
    100
}

fn files_kept() -> u32 {
    10
}

impl Default for Config {
    fn default() -> Config {
        Config { retention_days: 400, sinks: Vec::new() }
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=40).contains(&text.len()) && text.bytes().all(allowed)
}

impl Config {
    /// What cannot be meant: the key and why.
    pub fn check(&self) -> Result<(), (String, String)> {
        let bad = |key: String, why: &str| Err((key, why.to_owned()));
        if !(1..=36_500).contains(&self.retention_days) {
            return bad("retention_days".to_owned(), "1 to 36500 days");
        }
        if self.sinks.len() > SINKS_MAX {
            return bad("sinks".to_owned(), "at most 16");
        }
        for (index, sink) in self.sinks.iter().enumerate() {
            let key = |name: &str| format!("sinks.{index}.{name}");
            if !is_name(&sink.name) {
                return bad(key("name"), "1 to 40 of a-z, 0-9 and `-`");
            }
            if self.sinks.iter().take(index).any(|before| before.name == sink.name) {
                return bad(key("name"), "another receiver has this name");
            }
            match &sink.to {
                Destination::Syslog(syslog) => {
                    let port = syslog.address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
                    if !matches!(port, Some(Ok(1..))) {
                        return bad(key("to.syslog.address"), "expected `host:port`");
                    }
                }
                Destination::File(file) if file.mib_max == 0 => {
                    return bad(key("to.file.mib_max"), "at least 1");
                }
                Destination::File(file) if file.files_max > 1_000 => {
                    return bad(key("to.file.files_max"), "at most 1000");
                }
                Destination::Webhook(_) if sink.format == Format::Cef => {
                    return bad(key("format"), "a webhook takes `json`");
                }
                Destination::File(_) | Destination::Webhook(_) => {}
            }
        }
        Ok(())
    }

    /// How long a record stays.
    pub(crate) fn retention_ms(&self) -> i64 {
        i64::from(self.retention_days) * 24 * 3_600_000
    }
}
