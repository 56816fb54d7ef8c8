//! Webhooks as the API shows them. It must not show a secret or the value of a custom header.

use bytes::BytesMut;
use port::Refusal;
use port::consumers::DeadLetter;
use serde::Serialize;
use serde_json::value::RawValue;
use tenancy::Webhook;
use types::{Offset, Partition, TimestampMs};
use utoipa::ToSchema;
use webhooks::{Attempt, BreakerState, EndpointStatus};

/// A secret as it is shown after the first time: when it came and when it goes.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookSecret)]
pub(crate) struct SecretView {
    /// `whpk_...`: what receivers of Ed25519 signatures check with.
    pub(crate) public_key: Option<String>,
    pub(crate) created_at: TimestampMs,
    /// Set when another took its place: it signs beside it until then.
    pub(crate) expires_at: Option<TimestampMs>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookStatus)]
pub(crate) struct StatusView {
    /// `closed` (requests go out), `open` (it rests), `half_open` (one request at a time), or
    /// `disabled`.
    pub(crate) breaker: &'static str,
    /// Failures of the endpoint in a row.
    pub(crate) failures: u32,
    /// How long it rests from now on.
    pub(crate) rests_ms: Option<u64>,
    /// Records not yet delivered; `null` when the topic is gone.
    pub(crate) lag: Option<u64>,
    /// Under way now.
    pub(crate) pending: Option<u64>,
    /// Failed before and waiting for their next attempt.
    pub(crate) retrying: Option<u64>,
    /// Held back by an earlier record of their key.
    pub(crate) held: Option<u64>,
    /// Given up, and neither replayed nor purged.
    pub(crate) dead_letters: Option<u64>,
    pub(crate) dead_letter_topic: Option<String>,
    /// The newest failed attempt that is still in memory.
    pub(crate) last_error: Option<AttemptView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(crate) struct WebhookView {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) filter: String,
    pub(crate) description: String,
    pub(crate) enabled: bool,
    /// Why the platform disabled it.
    pub(crate) disabled_reason: Option<String>,
    /// `hmac` or `ed25519`.
    pub(crate) signing: &'static str,
    /// Newest first.
    pub(crate) secrets: Vec<SecretView>,
    /// Names of the custom headers.
    pub(crate) headers: Vec<String>,
    pub(crate) timeout_ms: u32,
    pub(crate) concurrency: u32,
    pub(crate) rate_per_second: Option<u32>,
    pub(crate) attempts_max: u32,
    pub(crate) created_at: TimestampMs,
    pub(crate) updated_at: TimestampMs,
    pub(crate) status: StatusView,
}

impl WebhookView {
    pub(crate) fn new(headers: Vec<String>, webhook: Webhook, status: EndpointStatus) -> Self {
        let secret = |it: tenancy::WebhookSecret| SecretView {
            public_key: it.public_key,
            created_at: it.created_at,
            expires_at: it.expires_at,
        };
        WebhookView {
            id: webhook.id.to_string(),
            url: webhook.url,
            filter: webhook.filter.to_string(),
            description: webhook.description,
            enabled: webhook.is_enabled,
            disabled_reason: webhook.disabled_reason,
            signing: webhook.signing.name(),
            secrets: webhook.secrets.into_iter().map(secret).collect(),
            headers,
            timeout_ms: webhook.settings.timeout_ms,
            concurrency: webhook.settings.concurrency,
            rate_per_second: webhook.settings.rate_per_second,
            attempts_max: webhook.settings.attempts_max,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
            status: StatusView::from(status),
        }
    }
}

impl From<EndpointStatus> for StatusView {
    fn from(status: EndpointStatus) -> StatusView {
        let breaker = match status.breaker.map(|breaker| breaker.state) {
            None => "disabled",
            Some(BreakerState::Closed) => "closed",
            Some(BreakerState::Open) => "open",
            Some(BreakerState::HalfOpen) => "half_open",
        };
        let consumer = status.consumer.as_ref();
        StatusView {
            breaker,
            failures: status.breaker.map_or(0, |breaker| breaker.failures),
            rests_ms: status.breaker.and_then(|breaker| breaker.rests_ms),
            lag: consumer.map(|info| info.lag),
            pending: consumer.map(|info| info.pending),
            retrying: consumer.map(|info| info.retrying),
            held: consumer.map(|info| info.held),
            dead_letters: consumer.map(|info| info.dead_letters),
            dead_letter_topic: consumer.map(|info| info.dead_letter_topic.to_string()),
            last_error: status.last_error.map(Into::into),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookList {
    pub(crate) webhooks: Vec<WebhookView>,
    /// For the next page; `null` on the last.
    pub(crate) next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookWithSecret)]
pub(crate) struct SecretShown {
    #[serde(flatten)]
    pub(crate) webhook: WebhookView,
    /// What the receiver checks signatures with, shown this once: `whsec_...` or `whpk_...`.
    pub(crate) secret: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
pub(crate) struct AttemptView {
    /// `webhook-id` of the request.
    pub(crate) message: String,
    /// Where the record lies; `null` for a test event.
    pub(crate) partition: Option<Partition>,
    pub(crate) offset: Option<Offset>,
    /// Counted from 1.
    pub(crate) attempt: u32,
    pub(crate) at: TimestampMs,
    /// `delivered`, `gone`, `deferred`, `redirected`, `denied`, `refused`, `failed`, `timed_out`,
    /// `unreachable` or `forbidden`.
    pub(crate) outcome: &'static str,
    pub(crate) status: Option<u16>,
    /// Why there was no answer.
    pub(crate) error: Option<String>,
    /// The beginning of the answer's body.
    pub(crate) answer: Option<String>,
    pub(crate) took_ms: u64,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> AttemptView {
        AttemptView {
            message: attempt.message,
            partition: attempt.partition,
            offset: attempt.offset,
            attempt: attempt.attempt,
            at: attempt.at,
            outcome: attempt.outcome.name(),
            status: attempt.status,
            error: attempt.error,
            answer: attempt.answer,
            took_ms: attempt.took_ms,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookAttemptList)]
pub(crate) struct AttemptList {
    /// Newest first; those of this node since it was started.
    pub(crate) attempts: Vec<AttemptView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDeadLetter)]
pub(crate) struct DeadLetterView {
    /// Its place in the dead-letter topic, by which it is replayed and purged.
    pub(crate) partition: Partition,
    pub(crate) offset: Offset,
    pub(crate) reason: String,
    pub(crate) attempts: u32,
    /// Where the record was published.
    pub(crate) origin: OriginView,
    /// The record.
    #[schema(value_type = Object)]
    pub(crate) record: Box<RawValue>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDeadLetterOrigin)]
pub(crate) struct OriginView {
    pub(crate) topic: String,
    pub(crate) partition: Partition,
    pub(crate) offset: Offset,
    pub(crate) timestamp: TimestampMs,
}

impl DeadLetterView {
    pub(crate) fn new(letter: &DeadLetter) -> Result<DeadLetterView, Refusal> {
        let mut json = BytesMut::new();
        wire_http::write_record(&mut json, &letter.delivery);
        let record: Box<RawValue> =
            serde_json::from_slice(&json).map_err(|error| Refusal::internal(&error))?;
        Ok(DeadLetterView {
            partition: letter.delivery.partition,
            offset: letter.delivery.offset,
            reason: letter.reason.clone(),
            attempts: letter.deliveries,
            origin: OriginView {
                topic: letter.topic.clone(),
                partition: letter.partition,
                offset: letter.offset,
                timestamp: letter.timestamp,
            },
            record,
        })
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDeadLetterList)]
pub(crate) struct DeadLetterList {
    /// Oldest first.
    pub(crate) dead_letters: Vec<DeadLetterView>,
    /// For the next page; `null` on the last.
    pub(crate) next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookCount)]
pub(crate) struct CountView {
    /// How many dead letters it was done to.
    pub(crate) count: u64,
}
