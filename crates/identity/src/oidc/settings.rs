//! What an operator may set about providers that people sign in with. The doc comments are the
//! manual.

use crate::settings::JwksSettings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::acl::Network;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OidcSettings {
    /// Networks that providers may be in besides public addresses: `10.0.0.0/8`. None by default,
    /// so that a tenant cannot make the server speak to its own network.
    #[schemars(with = "Vec<String>")]
    pub allow_networks: Vec<Network>,
    /// Whether providers may be spoken to without TLS. Loopback needs it not, when it is listed in
    /// `allow_networks`.
    pub plain_http_allowed: bool,
    /// Time for a whole answer of a provider.
    pub timeout_ms: u64,
    /// Bytes of an answer; a longer one is refused.
    pub answer_bytes_max: usize,
    /// Difference of clocks allowed for.
    pub skew_ms: u64,
    /// How long somebody may take at the provider before he has to begin again.
    pub sign_in_ms_max: u64,
    /// How long what a provider says of itself is remembered.
    pub fresh_ms_max: u64,
    /// An ID token with an unknown key makes the provider's keys be fetched again at most so often.
    pub unknown_key_interval_ms: u64,
    /// Questions to providers at one time; more are refused as overload.
    pub questions_max: usize,
}

impl Default for OidcSettings {
    fn default() -> OidcSettings {
        OidcSettings {
            allow_networks: Vec::new(),
            plain_http_allowed: false,
            timeout_ms: 5_000,
            answer_bytes_max: 256 * 1024,
            skew_ms: 60_000,
            sign_in_ms_max: 10 * 60_000,
            fresh_ms_max: 10 * 60_000,
            unknown_key_interval_ms: 10_000,
            questions_max: 32,
        }
    }
}

impl OidcSettings {
    /// Names the setting that makes no sense, and why.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if !(100..=60_000).contains(&self.timeout_ms) {
            return Err(("oidc.timeout_ms", "100 ms to one minute"));
        }
        if !(1_024..=4 << 20).contains(&self.answer_bytes_max) {
            return Err(("oidc.answer_bytes_max", "1 KiB to 4 MiB"));
        }
        if self.skew_ms > 5 * 60_000 {
            return Err(("oidc.skew_ms", "five minutes at most"));
        }
        if !(60_000..=3_600_000).contains(&self.sign_in_ms_max) {
            return Err(("oidc.sign_in_ms_max", "one minute to one hour"));
        }
        if self.questions_max == 0 || self.questions_max > 1_024 {
            return Err(("oidc.questions_max", "1 to 1024 questions"));
        }
        Ok(())
    }

    /// The same for key sets, and for what URLs may name.
    pub(crate) fn key_sets(&self) -> JwksSettings {
        JwksSettings {
            body_bytes_max: self.answer_bytes_max,
            timeout_ms: self.timeout_ms,
            fresh_ms_max: self.fresh_ms_max,
            unknown_key_interval_ms: self.unknown_key_interval_ms,
            allow_networks: self.allow_networks.clone(),
            plain_http_allowed: self.plain_http_allowed,
            ..JwksSettings::default()
        }
    }
}
