//! The thin client: one request, its answer judged. What is uncertain is said to be, since trying
//! again is only safe where Stripe knows the request by name. The key is never in an error.

use crate::config::Config;
use crate::form;
use port::{Code, Refusal, metric};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use stdx::Rng;
use stdx::backoff::Backoff;

/// The version of the API whose answers are read here.
const API_VERSION: &str = "2025-04-30.basil";
/// Attempts of a call that somebody waits for, the first included.
const ATTEMPTS_MAX: u32 = 4;
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(200), max: Duration::from_secs(5) };
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Longest wait that Stripe may ask for.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answered {
    Done(Value),
    /// Carried out by nobody: the same request is refused again until something changes.
    Refused {
        status: u16,
        code: Option<String>,
        message: String,
    },
    /// Carried out by nobody: too many requests, or no connection was made.
    Later {
        after: Option<Duration>,
        message: String,
    },
    /// Perhaps carried out: an error of the server, or no answer in time.
    Uncertain {
        message: String,
    },
}

impl Answered {
    /// For people; never a secret.
    pub(crate) fn message(&self) -> String {
        match self {
            Answered::Done(_) => "done".to_owned(),
            Answered::Refused { status, code: Some(code), message } => {
                format!("{status} {code}: {message}")
            }
            Answered::Refused { status, code: None, message } => format!("{status}: {message}"),
            Answered::Later { message, .. } | Answered::Uncertain { message } => message.clone(),
        }
    }
}

pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    key: SecretString,
    timeout: Duration,
    rng: Arc<dyn Rng>,
}

/// A request that changes something.
pub(crate) struct Post<'a> {
    pub path: &'a str,
    pub fields: &'a [(&'a str, &'a str)],
    /// Stripe answers a repetition as it answered the first, errors of its own included.
    pub idempotency_key: &'a str,
}

impl Client {
    pub(crate) fn new(
        config: &Config,
        key: SecretString,
        rng: Arc<dyn Rng>,
    ) -> Result<Client, Refusal> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(Duration::from_secs(10))
            .build()
            .map_err(|error| Refusal::internal(&error))?;
        let url = config.api_url.trim_end_matches('/').to_owned();
        let timeout = Duration::from_millis(config.timeout_ms.into());
        Ok(Client { http, url, key, timeout, rng })
    }

    /// One attempt.
    pub(crate) async fn post(&self, post: &Post<'_>) -> Answered {
        let Ok(key) = HeaderValue::from_str(post.idempotency_key) else {
            return Answered::Refused {
                status: 0,
                code: None,
                message: "the idempotency key is not a header's text".to_owned(),
            };
        };
        let request = self
            .http
            .request(Method::POST, format!("{}{}", self.url, post.path))
            .header("idempotency-key", key)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form::body(post.fields));
        self.send(request).await
    }

    /// Tries again what may be tried again, for callers who wait.
    pub(crate) async fn post_patiently(&self, post: &Post<'_>) -> Result<Value, Refusal> {
        let mut attempt = 0;
        loop {
            let answered = self.post(post).await;
            match answered {
                Answered::Done(value) => return Ok(value),
                Answered::Refused { .. } => return Err(refused(&answered)),
                Answered::Later { .. } | Answered::Uncertain { .. }
                    if attempt + 1 < ATTEMPTS_MAX =>
                {
                    tokio::time::sleep(BACKOFF.wait(attempt, self.rng.as_ref())).await;
                    attempt += 1;
                }
                _ => return Err(silent(&answered)),
            }
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answered {
        let request = request
            .bearer_auth(self.key.expose_secret())
            .header("stripe-version", API_VERSION)
            .timeout(self.timeout);
        let answered = match request.send().await {
            Ok(response) => judge(response).await,
            Err(error) if error.is_connect() => {
                Answered::Later { after: None, message: "Stripe cannot be reached".to_owned() }
            }
            Err(error) if error.is_timeout() => {
                Answered::Uncertain { message: "no answer in time".to_owned() }
            }
            Err(_) => Answered::Uncertain { message: "the connection broke".to_owned() },
        };
        let outcome = match &answered {
            Answered::Done(_) => "done",
            Answered::Refused { .. } => "refused",
            Answered::Later { .. } => "later",
            Answered::Uncertain { .. } => "uncertain",
        };
        metrics::counter!(metric::STRIPE_REQUESTS, "outcome" => outcome).increment(1);
        answered
    }
}

async fn judge(mut response: reqwest::Response) -> Answered {
    let status = response.status().as_u16();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => {
                body.extend_from_slice(&chunk);
            }
            Ok(None) => break,
            // Cut in the middle: what was decided is in the status alone.
            Ok(Some(_)) | Err(_) => break,
        }
    }
    let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let text = |name: &str| value["error"][name].as_str().map(str::to_owned);
    let message = text("message").unwrap_or_else(|| format!("Stripe answered {status}"));
    match status {
        200..=299 if value.is_object() => Answered::Done(value),
        // Accepted, and the answer was lost on its way.
        200..=299 => Answered::Uncertain { message: "the answer was cut".to_owned() },
        // A conflict is another request with the same key, under way just now.
        409 | 429 => Answered::Later { after: after.map(|it| it.min(WAIT_MAX)), message },
        400..=499 => Answered::Refused { status, code: text("code"), message },
        _ => Answered::Uncertain { message },
    }
}

pub(crate) fn refused(answered: &Answered) -> Refusal {
    Refusal::new(Code::Conflict, format!("Stripe refuses it: {}", answered.message()))
}

pub(crate) fn silent(answered: &Answered) -> Refusal {
    Refusal::new(Code::NetworkError, format!("Stripe does not answer: {}", answered.message()))
        .retry_around(Duration::from_secs(5))
}
