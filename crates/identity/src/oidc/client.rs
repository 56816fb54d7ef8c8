//! Asks providers: for their description, for an ID token against a code, for their keys. Redirects
//! are not followed, answers are bounded in size and time, and addresses are judged by what is
//! connected to. What a provider answers goes into no log.

use super::discovery::{self, Discovery, SecretPlace};
use super::id_token::{self, Expected, ID_TOKEN_BYTES_MAX, IdClaims};
use super::settings::OidcSettings;
use crate::cache::Cache;
use crate::jwks::KeySets;
use crate::jwks_target::GuardedResolver;
use crate::settings::JwksSettings;
use crate::signing::Algorithm;
use crate::token;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use port::{Code, Refusal};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use stdx::{Clock, Rng};
use tokio::sync::Semaphore;

/// Providers remembered.
const PROVIDERS_MAX: usize = 1_024;
/// How long a provider that failed is not asked again.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// What came of asking a provider for its description.
type Described = Result<Arc<Discovery>, String>;

pub struct OidcClient {
    client: Client,
    keys: KeySets,
    settings: OidcSettings,
    reach: JwksSettings,
    clock: Arc<dyn Clock>,
    known: Mutex<Cache<Arc<str>, Described>>,
    asking: Semaphore,
}

/// Who asks for an ID token, and with what.
pub struct Exchange<'a> {
    pub client_id: &'a str,
    pub secret: Option<&'a SecretString>,
    pub code: &'a SecretString,
    pub redirect: &'a str,
    pub verifier: &'a SecretString,
}

/// Why there is no ID token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExchangeError {
    /// In the provider's own word (RFC 6749 section 5.2): `invalid_grant`, `invalid_client`.
    Refused(String),
    Failed(String),
}

impl std::fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExchangeError::Refused(word) => write!(f, "the provider refuses with `{word}`"),
            ExchangeError::Failed(why) => f.write_str(why),
        }
    }
}

pub(crate) fn unreachable(why: impl Into<String>) -> Refusal {
    Refusal::new(Code::NetworkError, why)
        .field("provider")
        .hint("try again later; whoever looks after the provider can test it")
}

/// A word or two of what the provider wrote, fit to be shown.
fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic()).take(64).collect()
}

impl OidcClient {
    pub fn new(
        settings: OidcSettings,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<OidcClient, Refusal> {
        let reach = settings.key_sets();
        let client = Client::builder()
            .dns_resolver(Arc::new(GuardedResolver { settings: reach.clone() }))
            // A redirect could lead where the first URL may not.
            .redirect(Policy::none())
            .no_proxy()
            .timeout(Duration::from_millis(settings.timeout_ms))
            .build()
            .map_err(|error| Refusal::internal(&error))?;
        let keys = KeySets::new(reach.clone(), Arc::clone(&clock), rng)?;
        Ok(OidcClient {
            client,
            keys,
            reach,
            clock,
            known: Mutex::new(Cache::new(PROVIDERS_MAX)),
            asking: Semaphore::new(settings.questions_max),
            settings,
        })
    }

    pub(crate) fn reach(&self) -> &JwksSettings {
        &self.reach
    }

    pub(crate) fn skew_ms(&self) -> i64 {
        i64::try_from(self.settings.skew_ms).unwrap_or(i64::MAX)
    }

    /// What the issuer says of itself, remembered for a while; so are failures, for a moment.
    pub async fn discover(&self, issuer: &str) -> Result<Arc<Discovery>, Refusal> {
        let now = self.clock.monotonic();
        let fresh = Duration::from_millis(self.settings.fresh_ms_max);
        let known = self.known.lock().get(issuer).and_then(|entry| {
            let age_max = if entry.value.is_ok() { fresh } else { FAILED_FOR };
            (entry.age(now) < age_max).then(|| entry.value.clone())
        });
        let described = match known {
            Some(described) => described,
            None => self.discover_anew(issuer).await,
        };
        described.map_err(|why| unreachable(format!("the provider cannot be asked: {why}")))
    }

    /// Asks now, whatever is remembered; the error is in words for who looks after the provider.
    pub async fn discover_anew(&self, issuer: &str) -> Described {
        let described = self.describe(issuer).await.map(Arc::new);
        let now = self.clock.monotonic();
        self.known.lock().insert(issuer.into(), described.clone(), now);
        described
    }

    async fn describe(&self, issuer: &str) -> Result<Discovery, String> {
        let url = discovery::address(issuer, &self.reach)?;
        let (status, body) = self.ask(self.client.get(url)).await?;
        if status != StatusCode::OK {
            return Err(format!("the discovery document answers {}", status.as_u16()));
        }
        discovery::read(&body, issuer, &self.reach)
    }

    /// An answer within the limits, whatever its status but a redirect.
    async fn ask(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), String> {
        let _turn =
            self.asking.try_acquire().map_err(|_| "too many ask providers at the moment")?;
        let silent = |error: reqwest::Error| match error.is_timeout() {
            true => "it takes too long to answer".to_owned(),
            false => format!("it does not answer: {}", innermost(&error)),
        };
        let request = request.header(ACCEPT, "application/json");
        let mut response = request.send().await.map_err(silent)?;
        if response.status().is_redirection() {
            return Err("it leads elsewhere, and redirects are not followed".to_owned());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            if body.len() + chunk.len() > self.settings.answer_bytes_max {
                let max = self.settings.answer_bytes_max;
                return Err(format!("it answers with more than {max} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status(), body))
    }

    /// A code against an ID token (OpenID Connect Core 1.0 section 3.1.3). Nothing of the token is
    /// believed yet.
    pub async fn exchange(
        &self,
        at: &Discovery,
        wish: Exchange<'_>,
    ) -> Result<SecretString, ExchangeError> {
        #[derive(Deserialize)]
        struct Answer {
            id_token: Option<String>,
            error: Option<String>,
        }
        let failed = |why: &str| ExchangeError::Failed(why.to_owned());
        let request = self.exchange_request(at, wish);
        let (status, body) = self.ask(request).await.map_err(ExchangeError::Failed)?;
        let answer: Option<Answer> = serde_json::from_slice(&body).ok();
        match answer {
            Some(Answer { error: Some(error), .. }) => Err(ExchangeError::Refused(word(&error))),
            Some(Answer { id_token: Some(token), .. }) if status == StatusCode::OK => {
                Ok(token.into())
            }
            Some(_) if status == StatusCode::OK => Err(failed("the provider gives no ID token")),
            _ => {
                let why = format!("the token endpoint answers {}", status.as_u16());
                Err(ExchangeError::Failed(why))
            }
        }
    }

    fn exchange_request(&self, at: &Discovery, wish: Exchange<'_>) -> RequestBuilder {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", wish.code.expose_secret()),
            ("redirect_uri", wish.redirect),
            ("code_verifier", wish.verifier.expose_secret()),
        ];
        let mut request = self.client.post(at.token_endpoint.clone());
        match (wish.secret, at.secret_place) {
            (Some(secret), SecretPlace::Header) => {
                // RFC 6749 section 2.3.1: both are form-encoded first.
                let (id, secret) = (encoded(wish.client_id), encoded(secret.expose_secret()));
                let pair = STANDARD.encode(format!("{id}:{secret}"));
                request = request.header(AUTHORIZATION, format!("Basic {pair}"));
            }
            (Some(secret), SecretPlace::Body) => {
                form.push(("client_id", wish.client_id));
                form.push(("client_secret", secret.expose_secret()));
            }
            (None, _) => form.push(("client_id", wish.client_id)),
        }
        let form = form_of(&form);
        request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
    }

    /// Whether the ID token is to be believed: whose signature it carries, and what it says.
    pub async fn verify(
        &self,
        at: &Discovery,
        text: &SecretString,
        expected: Expected<'_>,
    ) -> Result<IdClaims, String> {
        let parsed = token::parse_as::<IdClaims>(text.expose_secret(), ID_TOKEN_BYTES_MAX)?;
        // Anybody can make one with a shared secret that is a public key.
        if parsed.algorithm == Algorithm::Hs256 {
            return Err("the ID token is not signed with RS256, ES256 or EdDSA".to_owned());
        }
        let kid = parsed.kid.as_deref();
        let key = self.keys.find(&at.jwks_uri, kid, parsed.algorithm).await;
        let found = key.map_err(|refusal| match refusal.code() {
            Code::NetworkError => "the provider's keys cannot be fetched".to_owned(),
            _ => "the ID token is signed by none of the provider's keys".to_owned(),
        })?;
        let key = found.key;
        let is_signed =
            key.algorithm == parsed.algorithm && key.verifies(parsed.input, parsed.signature);
        if !is_signed {
            return Err("the ID token's signature is wrong".to_owned());
        }
        id_token::check(&parsed.claims, expected)?;
        Ok(parsed.claims)
    }

    /// How many keys the provider publishes that ID tokens may be signed with.
    pub async fn count_keys(&self, at: &Discovery) -> Result<usize, String> {
        let request = self.client.get(&at.jwks_uri);
        let (status, body) = self.ask(request).await?;
        if status != StatusCode::OK {
            return Err(format!("the key set answers {}", status.as_u16()));
        }
        let keys = crate::jwks::read_set(&body, self.reach.keys_max);
        Ok(keys.ok_or("the key set is not readable")?.len())
    }
}

/// The cause beneath the client's own words, which repeat the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// `application/x-www-form-urlencoded`, as the URL standard writes it.
fn form_of(fields: &[(&str, &str)]) -> String {
    // Any address: only its query is used.
    let Ok(mut url) = Url::parse("http://localhost/") else { return String::new() };
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

fn encoded(text: &str) -> String {
    form_of(&[("", text)]).trim_start_matches('=').to_owned()
}
