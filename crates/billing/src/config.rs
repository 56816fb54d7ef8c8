//! What the operator says about Stripe.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use types::UsageMetric;

/// Stripe. Without a secret key nothing is sent and no webhook is taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Stripe's secret key (`sk_live_...`, better a restricted `rk_live_...`). Better given as a
    /// file, or as `MAINSTEM__BILLING__SECRET_KEY`. Hidden in printed configurations.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<String>")]
    pub secret_key: Option<SecretString>,
    /// File that holds the secret key.
    pub secret_key_file: Option<PathBuf>,
    /// The webhook endpoint's signing secret (`whsec_...`). Hidden in printed configurations.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<String>")]
    pub webhook_secret: Option<SecretString>,
    /// File that holds the signing secret.
    pub webhook_secret_file: Option<PathBuf>,
    /// Where the API is; another one for tests.
    pub api_url: String,
    /// `event_name` of Stripe's meter for each metric that is billed: `{"events_published":
    /// "mainstem_events"}`. What is not named is not reported.
    #[schemars(with = "BTreeMap<String, String>")]
    pub meters: BTreeMap<UsageMetric, String>,
    /// Prices of a plan's subscription, by the plan's name.
    pub prices: BTreeMap<String, Vec<String>>,
    /// Seconds after the end of an hour until it is reported; counts that come later are reported
    /// as a part of their own.
    pub settle_seconds: u32,
    /// Milliseconds an answer of Stripe may take.
    pub timeout_ms: u32,
    /// Seconds by which a webhook's signature may be older or newer than the clock.
    pub tolerance_seconds: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            secret_key: None,
            secret_key_file: None,
            webhook_secret: None,
            webhook_secret_file: None,
            api_url: "https://api.stripe.com".to_owned(),
            meters: BTreeMap::new(),
            prices: BTreeMap::new(),
            settle_seconds: 120,
            timeout_ms: 20_000,
            tolerance_seconds: 300,
        }
    }
}

/// The secrets, read.
#[derive(Clone)]
pub struct Keys {
    pub secret_key: SecretString,
    /// `None`: no webhook is taken.
    pub webhook_secret: Option<SecretString>,
}

impl Config {
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if self.timeout_ms == 0 {
            return Err(("timeout_ms", "an answer takes time".to_owned()));
        }
        let is_https = self.api_url.starts_with("https://");
        let is_local = self.api_url.starts_with("http://127.0.0.1");
        if !is_https && !is_local {
            return Err(("api_url", "a secret key goes over https only".to_owned()));
        }
        match self.meters.values().find(|name| name.is_empty() || name.len() > 100) {
            Some(_) => Err(("meters", "a meter's event name has 1 to 100 bytes".to_owned())),
            None => Ok(()),
        }
    }

    /// Reads the secrets; `None` when billing is off.
    pub fn keys(&self) -> Result<Option<Keys>, (&'static str, String)> {
        let secret_key = read("secret_key_file", &self.secret_key, &self.secret_key_file)?;
        let webhook_secret =
            read("webhook_secret_file", &self.webhook_secret, &self.webhook_secret_file)?;
        Ok(secret_key.map(|secret_key| Keys { secret_key, webhook_secret }))
    }
}

fn read(
    field: &'static str,
    given: &Option<SecretString>,
    file: &Option<PathBuf>,
) -> Result<Option<SecretString>, (&'static str, String)> {
    let from_file = |path: &Path| {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| (field, format!("{}: {error}", path.display())))?;
        Ok(SecretString::from(text.trim()))
    };
    match (given, file) {
        (Some(given), _) => Ok(Some(given.clone())),
        (None, Some(path)) => from_file(path).map(Some),
        (None, None) => Ok(None),
    }
}
