//! One request and its answer: signed, bounded in time and in what is read, redirects left alone.
//! It must not know what the answer means for the record.

use crate::config::Config;
use crate::judgement::{Outcome, retry_after};
use crate::target::{self, GuardedResolver, NOT_PUBLIC};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderName, HeaderValue};
use port::Refusal;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use standard_webhooks::{ID_HEADER, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER, sign};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use stdx::Clock;

const AGENT: &str = concat!("Mainstem-Webhooks/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Idle connections to one host, and how long they are kept.
const IDLE_PER_HOST_MAX: usize = 4;
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes of an error's text that are kept.
const ERROR_BYTES_MAX: usize = 512;

/// What is sent, and with what.
pub(crate) struct Request<'a> {
    pub(crate) url: &'a str,
    pub(crate) message: &'a str,
    pub(crate) body: Bytes,
    pub(crate) keys: Vec<&'a SigningKey>,
    pub(crate) headers: &'a [(HeaderName, HeaderValue)],
    pub(crate) traceparent: Option<HeaderValue>,
    pub(crate) timeout: Duration,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) error: Option<String>,
    pub(crate) answer: Option<String>,
}

impl Answered {
    fn without(outcome: Outcome, error: impl Into<String>) -> Answered {
        let mut error = error.into();
        truncate(&mut error, ERROR_BYTES_MAX);
        let error = Some(error);
        Answered { outcome, status: None, retry_after: None, error, answer: None }
    }

    /// One line for the dead letter.
    pub(crate) fn reason(&self) -> String {
        match (&self.error, self.status) {
            (Some(error), _) => error.clone(),
            (None, Some(status)) => format!("the endpoint answered {status}"),
            (None, None) => self.outcome.name().to_owned(),
        }
    }
}

/// Sends requests of all webhooks over one pool of connections.
pub(crate) struct Sender {
    client: Client,
    config: Config,
    clock: Arc<dyn Clock>,
}

impl Sender {
    pub(crate) fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Sender, Refusal> {
        let allowed = config.allow_networks.as_slice().into();
        let client = Client::builder()
            .dns_resolver(Arc::new(GuardedResolver { allowed }))
            // A redirect could lead where the URL may not.
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIME_MAX)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .pool_idle_timeout(IDLE_TIME_MAX)
            .build()
            .map_err(|error| Refusal::internal(&error))?;
        Ok(Sender { client, config, clock })
    }

    /// Never fails: what went wrong is what came back.
    pub(crate) async fn send(&self, request: Request<'_>) -> Answered {
        let target = match target::check(request.url, &self.config) {
            Ok(target) => target,
            Err(refusal) => return Answered::without(Outcome::Forbidden, refusal.message()),
        };
        let now_s = self.clock.now_ms().div_euclid(1_000);
        let is_signed = !request.keys.is_empty();
        let signature = sign(request.keys, request.message, now_s, &request.body);
        let mut sending = self
            .client
            .post(target.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header(ID_HEADER, request.message)
            .header(TIMESTAMP_HEADER, now_s);
        if is_signed {
            sending = sending.header(SIGNATURE_HEADER, signature);
        }
        if let Some(traceparent) = request.traceparent {
            sending = sending.header(types::record::header::TRACEPARENT, traceparent);
        }
        for (name, value) in request.headers {
            sending = sending.header(name, value);
        }
        let deadline = tokio::time::Instant::now() + request.timeout;
        match tokio::time::timeout_at(deadline, sending.body(request.body).send()).await {
            Ok(Ok(response)) => self.read(response, deadline).await,
            Ok(Err(error)) => failed(&error),
            Err(_) => {
                let waited = request.timeout.as_millis();
                Answered::without(Outcome::TimedOut, format!("no answer within {waited} ms"))
            }
        }
    }

    /// The status decides; of the body only the beginning is read, and a body that stalls or breaks
    /// changes nothing.
    async fn read(&self, mut response: Response, deadline: tokio::time::Instant) -> Answered {
        let status = response.status().as_u16();
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|value| retry_after(value, self.clock.now_ms()));
        let mut body = Vec::new();
        while body.len() < self.config.answer_bytes_max {
            match tokio::time::timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    let room = self.config.answer_bytes_max - body.len();
                    body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                }
                Ok(Ok(None) | Err(_)) | Err(_) => break,
            }
        }
        let answer = (!body.is_empty()).then(|| String::from_utf8_lossy(&body).into_owned());
        let outcome = Outcome::of_status(status);
        Answered { outcome, status: Some(status), retry_after: wait, error: None, answer }
    }
}

/// The client's error as one line with its causes; the URL, which may hold a secret, left out.
fn failed(error: &reqwest::Error) -> Answered {
    let mut causes = Vec::new();
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(inner) = cause {
        causes.push(inner.to_string());
        cause = inner.source();
    }
    // Each error of the chain often repeats the next one's text.
    causes.dedup_by(|later, earlier| earlier.contains(later.as_str()));
    let text = causes.join(": ");
    let outcome = match () {
        () if text.contains(NOT_PUBLIC) => Outcome::Forbidden,
        () if error.is_timeout() => Outcome::TimedOut,
        () => Outcome::Unreachable,
    };
    let text = if text.is_empty() { "the connection failed".to_owned() } else { text };
    Answered::without(outcome, text)
}

fn truncate(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
    }
}
