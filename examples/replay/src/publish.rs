//! Publishes batches through the public HTTP API and waits when the server says so. A record's id
//! makes every retry harmless: the server stores an id once.

use crate::dataset::Event;
use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use stdx::backoff::Backoff;
use stdx::{Rng, SystemRng};

const TRIES_MAX: u32 = 12;
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(200), max: Duration::from_secs(15) };
/// A longer advice is cut to this; the next answer repeats it if the server means it.
const ADVICE_MAX: Duration = Duration::from_secs(60);
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

pub struct Target {
    pub url: String,
    pub key: String,
    pub topic: String,
}

pub struct Publisher {
    target: Target,
    http: reqwest::Client,
    rng: Arc<dyn Rng>,
    retries: u64,
}

/// What an answer asks of the publisher.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    Done,
    /// Try again, after this long if the server said so.
    Again(Option<Duration>),
    Refused,
}

/// 429 and 503 carry advice; 502 and 504 come from what stands between. All else is final.
pub fn verdict(status: StatusCode, retry_after: Option<&str>) -> Verdict {
    match status.as_u16() {
        200..=299 => Verdict::Done,
        429 | 502 | 503 | 504 => {
            let seconds = retry_after.and_then(|text| text.trim().parse().ok());
            Verdict::Again(seconds.map(|s| Duration::from_secs(s).min(ADVICE_MAX)))
        }
        _ => Verdict::Refused,
    }
}

/// The body of one request. `run` and the event's own id make the record's id.
pub fn body(topic: &str, run: &str, batch: &[Event]) -> Value {
    let record = |event: &Event| {
        json!({
            "topic": topic,
            "key": event.key,
            "id": format!("{topic}:{run}:{}", event.id),
            "headers": { "source": "vega-datasets" },
            "data": event.data,
        })
    };
    Value::Array(batch.iter().map(record).collect())
}

impl Publisher {
    pub fn new(target: Target) -> Result<Publisher, String> {
        // The workspace's TLS provider is chosen here, since reqwest is built without one. A
        // second call in one process fails and changes nothing.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(ANSWER_WAIT_MAX)
            .build()
            .map_err(|error| error.to_string())?;
        let url = target.url.trim_end_matches('/').to_owned();
        let target = Target { url, ..target };
        Ok(Publisher { target, http, rng: Arc::new(SystemRng), retries: 0 })
    }

    pub fn retries(&self) -> u64 {
        self.retries
    }

    /// Creates the topic when it is missing. A key that may only publish cannot, and need not when
    /// somebody else has: the first publish will tell.
    pub async fn ensure_topic(&mut self) -> Result<(), String> {
        let url = format!("{}/v1/topics/{}", self.target.url, self.target.topic);
        let found = self.persist(|http| http.get(&url)).await?;
        if found.status() != StatusCode::NOT_FOUND {
            return match found.status() {
                StatusCode::UNAUTHORIZED => Err(refused(found).await),
                _ => Ok(()),
            };
        }
        let made = self.persist(|http| http.put(&url).json(&json!({ "partitions": 1 }))).await?;
        if made.status().is_success() { Ok(()) } else { Err(refused(made).await) }
    }

    pub async fn publish(&mut self, run: &str, batch: &[Event]) -> Result<(), String> {
        let url = format!("{}/v1/events", self.target.url);
        let records = body(&self.target.topic, run, batch);
        let answer = self.persist(|http| http.post(&url).json(&records)).await?;
        if answer.status().is_success() { Ok(()) } else { Err(refused(answer).await) }
    }

    /// Sends until the server gives a final answer, at most `TRIES_MAX` times.
    async fn persist(
        &mut self,
        request: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder,
    ) -> Result<Response, String> {
        let mut last = String::new();
        for attempt in 0..TRIES_MAX {
            let sent = request(&self.http).bearer_auth(&self.target.key).send().await;
            let advice = match sent {
                Ok(answer) => {
                    let header = answer.headers().get(RETRY_AFTER);
                    let header = header.and_then(|value| value.to_str().ok());
                    match verdict(answer.status(), header) {
                        Verdict::Again(advice) => {
                            last = format!("the server answers {}", answer.status());
                            advice
                        }
                        Verdict::Done | Verdict::Refused => return Ok(answer),
                    }
                }
                Err(error) => {
                    last = format!("{} does not answer: {error}", self.target.url);
                    None
                }
            };
            self.retries += 1;
            let backoff = BACKOFF.wait(attempt, self.rng.as_ref());
            // Jitter comes on top of advice too: everybody was told the same number.
            tokio::time::sleep(advice.map_or(backoff, |told| told + backoff / 4)).await;
        }
        Err(format!("{last}; gave up after {TRIES_MAX} tries"))
    }
}

/// The server's own words: every error carries a message, and a hint where there is one.
async fn refused(answer: Response) -> String {
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or_default();
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let message = text("/error/message");
    format!("{status} {} {message} {}", text("/error/code"), text("/error/details/hint"))
}
