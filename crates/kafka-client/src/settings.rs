//! Where the brokers are, and who we are: said by a program, or read from a file of properties as
//! Java's clients and librdkafka have them.

use crate::{Error, Result};
use secrecy::SecretString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stdx::backoff::Backoff;

/// Bytes of a file of settings at most.
const FILE_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Clone)]
pub struct Settings {
    /// `host:port` of brokers that tell of all others.
    pub bootstrap: Vec<String>,
    /// What brokers call us in their logs and quotas.
    pub client_id: String,
    pub tls: Option<Tls>,
    pub sasl: Option<Sasl>,
    /// How long a connection may take, signing in included.
    pub connect_ms_max: u64,
    /// How long an answer may take.
    pub request_ms_max: u64,
    /// The longest first wait before something is tried again; further ones are longer.
    pub retry_wait_ms: u64,
    /// How long something is tried again.
    pub retry_ms_max: u64,
    /// Requests of one connection that are not answered yet.
    pub in_flight_max: usize,
    /// Bytes of one answer.
    pub answer_bytes_max: usize,
}

#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Certificates to trust, as PEM; without them those that the system trusts.
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub enum Sasl {
    Plain { user: String, password: SecretString },
    ScramSha256 { user: String, password: SecretString },
    ScramSha512 { user: String, password: SecretString },
    OauthBearer { token: SecretString },
}

impl Settings {
    /// `bootstrap` is a list of `host:port` with commas.
    pub fn new(bootstrap: &str) -> Settings {
        let bootstrap = bootstrap.split(',').map(|one| one.trim().to_owned());
        Settings {
            bootstrap: bootstrap.filter(|one| !one.is_empty()).collect(),
            client_id: "mainstem".to_owned(),
            tls: None,
            sasl: None,
            connect_ms_max: 10_000,
            request_ms_max: 30_000,
            retry_wait_ms: 50,
            retry_ms_max: 60_000,
            in_flight_max: 32,
            answer_bytes_max: 128 * 1024 * 1024,
        }
    }

    pub(crate) fn backoff(&self) -> Backoff {
        /// How much longer than the first a wait becomes.
        const GROWTH_MAX: u32 = 20;
        let first = Duration::from_millis(self.retry_wait_ms.max(1));
        Backoff { first, max: first.saturating_mul(GROWTH_MAX) }
    }

    pub fn with_sasl(self, sasl: Sasl) -> Settings {
        Settings { sasl: Some(sasl), ..self }
    }

    pub fn with_tls(self, tls: Tls) -> Settings {
        Settings { tls: Some(tls), ..self }
    }

    /// Lays a file of properties over these settings; see [`Settings::with_properties`].
    ///
    /// # Errors
    /// When the file cannot be read, or says what is not understood.
    pub fn with_file(self, path: &Path, password: Option<&str>) -> Result<Settings> {
        let bad = |why: String| Error::Settings(format!("{}: {why}", path.display()));
        let size = std::fs::metadata(path).map_err(|error| bad(error.to_string()))?.len();
        if size > FILE_BYTES_MAX {
            return Err(bad(format!("it is larger than {FILE_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        self.with_properties(&text, password).map_err(|error| bad(error.to_string()))
    }

    /// `name=value` a line: `bootstrap.servers`, `client.id`, `security.protocol`,
    /// `sasl.mechanism`, `sasl.username`, `sasl.password`, `sasl.jaas.config`,
    /// `sasl.oauthbearer.token`, `ssl.ca.location` or a PEM as `ssl.truststore.location`,
    /// `request.timeout.ms`. Others are for other clients and passed over. A password that comes
    /// from elsewhere takes the place of the file's.
    ///
    /// # Errors
    /// When a value cannot be, or what is needed is missing. No error repeats a secret.
    pub fn with_properties(mut self, text: &str, password: Option<&str>) -> Result<Settings> {
        let mut said = Said::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                let name = line.split_whitespace().next().unwrap_or_default();
                return Err(Error::Settings(format!("`{name}` has no value")));
            };
            let value = value.trim();
            match name.trim() {
                "bootstrap.servers" | "metadata.broker.list" => {
                    self.bootstrap = Settings::new(value).bootstrap;
                }
                "client.id" => self.client_id = value.to_owned(),
                "security.protocol" => said.protocol = Some(value.to_ascii_uppercase()),
                "sasl.mechanism" | "sasl.mechanisms" => said.mechanism = Some(value.to_owned()),
                "sasl.username" => said.user = Some(value.to_owned()),
                "sasl.password" => said.password = Some(value.to_owned()),
                "sasl.oauthbearer.token" => said.token = Some(value.to_owned()),
                "sasl.jaas.config" => said.jaas(value),
                "ssl.ca.location" | "ssl.truststore.location" => {
                    said.ca_file = Some(PathBuf::from(value));
                }
                "request.timeout.ms" => {
                    let bad = |_| Error::Settings("`request.timeout.ms` is a number".to_owned());
                    self.request_ms_max = value.parse().map_err(bad)?;
                }
                _ => {}
            }
        }
        said.password = password.map(str::to_owned).or(said.password);
        said.apply(self)
    }
}

/// What a file says of security, before it is judged together.
#[derive(Default)]
struct Said {
    protocol: Option<String>,
    mechanism: Option<String>,
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
    ca_file: Option<PathBuf>,
}

impl Said {
    /// `...LoginModule required username="u" password="p";`
    fn jaas(&mut self, text: &str) {
        let part = |name: &str| {
            let (_, rest) = text.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        self.user = part("username").or(self.user.take());
        self.password = part("password").or(self.password.take());
    }

    fn apply(self, mut settings: Settings) -> Result<Settings> {
        let (is_tls, is_sasl) = match self.protocol.as_deref() {
            None => (settings.tls.is_some(), self.mechanism.is_some()),
            Some("PLAINTEXT") => (false, false),
            Some("SSL") => (true, false),
            Some("SASL_PLAINTEXT") => (false, true),
            Some("SASL_SSL") => (true, true),
            Some(other) => {
                return Err(Error::Settings(format!("`security.protocol` cannot be `{other}`")));
            }
        };
        if is_tls {
            settings.tls = Some(Tls { ca_file: self.ca_file.clone() });
        }
        if is_sasl {
            settings.sasl = Some(self.sasl()?);
        }
        Ok(settings)
    }

    fn sasl(self) -> Result<Sasl> {
        let missing = |name: &str| Error::Settings(format!("`{name}` is missing"));
        let mechanism = self.mechanism.unwrap_or_else(|| "PLAIN".to_owned());
        if mechanism.eq_ignore_ascii_case("OAUTHBEARER") {
            let token = self.token.ok_or_else(|| missing("sasl.oauthbearer.token"))?;
            return Ok(Sasl::OauthBearer { token: token.into() });
        }
        let user = self.user.ok_or_else(|| missing("sasl.username"))?;
        let password: SecretString = self.password.ok_or_else(|| missing("sasl.password"))?.into();
        match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => Ok(Sasl::Plain { user, password }),
            "SCRAM-SHA-256" => Ok(Sasl::ScramSha256 { user, password }),
            "SCRAM-SHA-512" => Ok(Sasl::ScramSha512 { user, password }),
            other => Err(Error::Settings(format!("`sasl.mechanism` cannot be `{other}`"))),
        }
    }
}
