//! What an operator may set about authentication. The doc comments are the manual.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long a record read from the database is trusted without asking again. With a database
    /// that several processes share, keep it at 1000 or less: it bounds how long a revocation made
    /// by another process goes unnoticed. A change made by this process counts at once.
    pub fresh_ms_max: u64,
    /// How long a record is still trusted when the database does not answer.
    pub stale_ms_max: u64,
    /// API keys remembered.
    pub keys_max: usize,
    /// Projects remembered.
    pub projects_max: usize,
    /// Unknown API keys remembered, so that repeating them costs no database work.
    pub unknown_keys_max: usize,
    /// How long an unknown API key is remembered as unknown.
    pub unknown_ms_max: u64,
    /// Tokens that name an unknown project, per second, before the database is spared. The same
    /// bounds ids of keys that are looked up for challenges (SCRAM).
    pub unknown_projects_per_second_max: u32,
    /// Questions to the database at one time.
    pub loads_max: usize,
    /// Requests that may wait for one of these questions; more are refused as overload.
    pub load_waiters_max: usize,
    /// Bytes of a token; a longer one is refused unread.
    pub token_bytes_max: usize,
    /// Difference of clocks allowed for when a token's times are checked.
    pub token_leeway_ms: u64,
    /// How far ahead a token's end (`exp`) may lie. A revocation that does not say when its token
    /// ends is kept for as long, at most ten years: lower it and raise it again only when no token
    /// outlives the time between.
    pub token_lifetime_ms_max: u64,
    /// Values of a token's `aud` that mean this platform, besides the project's own id.
    pub audiences: Vec<String>,
    pub jwks: JwksSettings,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JwksSettings {
    /// Bytes of a key set; a longer one is refused.
    pub body_bytes_max: usize,
    /// Keys of one set that are used; further ones are ignored.
    pub keys_max: usize,
    /// Key sets remembered.
    pub sets_max: usize,
    /// Time for the whole fetch.
    pub timeout_ms: u64,
    /// Age at which a set is fetched again.
    pub fresh_ms_max: u64,
    /// Age up to which a set is used when its source does not answer.
    pub stale_ms_max: u64,
    /// A token with an unknown key id makes the set be fetched again at most this often.
    pub unknown_key_interval_ms: u64,
    /// First wait after a failed fetch; it doubles with each further one.
    pub backoff_ms_first: u64,
    /// Longest wait after failed fetches.
    pub backoff_ms_max: u64,
    /// Whether key sets may be fetched from loopback, private and link-local addresses. Off, so
    /// that a tenant cannot make the server speak to its own network.
    pub private_addresses_allowed: bool,
    /// Networks that key sets may be fetched from besides public addresses: `10.0.0.0/8`.
    #[schemars(with = "Vec<String>")]
    pub allow_networks: Vec<types::acl::Network>,
    /// Whether key sets may be fetched without TLS from hosts other than loopback.
    pub plain_http_allowed: bool,
}

/// Ten years less a few days: revocations are kept for ten, leeway included.
pub const TOKEN_LIFETIME_MS_MAX: i64 = 3_650 * 86_400_000;

impl Settings {
    /// `token_lifetime_ms_max`, at most `TOKEN_LIFETIME_MS_MAX`.
    pub(crate) fn token_lifetime_ms(&self) -> i64 {
        i64::try_from(self.token_lifetime_ms_max).unwrap_or(i64::MAX).min(TOKEN_LIFETIME_MS_MAX)
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            fresh_ms_max: 1_000,
            stale_ms_max: 30_000,
            keys_max: 100_000,
            projects_max: 20_000,
            unknown_keys_max: 10_000,
            unknown_ms_max: 5_000,
            unknown_projects_per_second_max: 500,
            loads_max: 8,
            load_waiters_max: 1_024,
            token_bytes_max: 8 * 1024,
            token_leeway_ms: 30_000,
            token_lifetime_ms_max: 366 * 86_400_000,
            audiences: vec!["mainstem".to_owned()],
            jwks: JwksSettings::default(),
        }
    }
}

impl Default for JwksSettings {
    fn default() -> JwksSettings {
        JwksSettings {
            body_bytes_max: 256 * 1024,
            keys_max: 64,
            sets_max: 1_024,
            timeout_ms: 5_000,
            fresh_ms_max: 600_000,
            stale_ms_max: 86_400_000,
            unknown_key_interval_ms: 30_000,
            backoff_ms_first: 1_000,
            backoff_ms_max: 60_000,
            private_addresses_allowed: false,
            allow_networks: Vec::new(),
            plain_http_allowed: false,
        }
    }
}
