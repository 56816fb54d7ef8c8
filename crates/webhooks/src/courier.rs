//! Single requests to endpoints that the installation itself has chosen: alerts, the trail on its
//! way out. The same care as for tenants' webhooks, as to where it may connect and what it reads,
//! and the same signatures; trying again is the caller's.

use crate::config::Config;
use crate::judgement::Outcome;
use crate::sender::{Request, Sender};
use crate::target;
use bytes::Bytes;
use port::Refusal;
use standard_webhooks::SigningKey;
use std::sync::Arc;
use std::time::Duration;
use stdx::Clock;

/// One message.
pub struct Parcel<'a> {
    pub url: &'a str,
    /// Names the message for ever: the same in every attempt.
    pub message: &'a str,
    /// JSON.
    pub body: Bytes,
    /// `None`: not signed.
    pub key: Option<&'a SigningKey>,
    pub timeout: Duration,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDelivered {
    pub reason: String,
    /// Trying again does not help: the endpoint said no, or may not be connected to.
    pub is_final: bool,
    pub retry_after: Option<Duration>,
}

/// Brings messages. Cheap to share behind an `Arc`.
pub struct Courier {
    sender: Sender,
    config: Config,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier").finish_non_exhaustive()
    }
}

impl Courier {
    /// Under the rules of `webhooks` in the configuration. Fails only when the HTTP client cannot
    /// be made.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Courier, Refusal> {
        Ok(Courier { sender: Sender::new(config.clone(), clock)?, config })
    }

    /// Whether the URL is one that may be connected to, as far as it can be told without asking
    /// for its name's addresses.
    pub fn check(&self, url: &str) -> Result<(), Refusal> {
        target::check(url, &self.config).map(|_| ())
    }

    pub async fn bring(&self, parcel: Parcel<'_>) -> Result<(), NotDelivered> {
        let request = Request {
            url: parcel.url,
            message: parcel.message,
            body: parcel.body,
            keys: parcel.key.into_iter().collect(),
            headers: &[],
            traceparent: None,
            timeout: parcel.timeout,
        };
        let answered = self.sender.send(request).await;
        let is_final = match answered.outcome {
            Outcome::Delivered => return Ok(()),
            Outcome::Deferred | Outcome::Failed | Outcome::TimedOut | Outcome::Unreachable => false,
            Outcome::Gone | Outcome::Redirected | Outcome::Denied | Outcome::Refused => true,
            Outcome::Forbidden => true,
        };
        let reason = answered.reason();
        Err(NotDelivered { reason, is_final, retry_after: answered.retry_after })
    }
}
