//! What requests about webhooks carry. Unknown fields are refused by name, secrets never printed.

use port::consumers::{DEAD_LETTERS_MAX, Which};
use port::{Code, Refusal};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use std::time::Duration;
use tenancy::{WebhookSettings, WebhookSigning};
use types::consumer::Start;
use types::{Filter, Offset, Partition};
use utoipa::ToSchema;
use webhooks::{CustomHeader, EndpointPatch, NewEndpoint};

/// Old secrets sign beside a new one for a day, unless asked otherwise.
const OVERLAP_MS_DEFAULT: u64 = 24 * 3_600_000;

/// A header that each request carries.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookHeader)]
pub(crate) struct HeaderBody {
    name: String,
    /// Stored sealed and not shown again.
    value: String,
}

/// A webhook to be defined: `url` and `filter` are needed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateWebhook {
    /// `https://host/path`
    url: String,
    /// One topic, and which of its keys: `orders`, `orders/eu/#`, or `$changes` for what
    /// administrators change.
    filter: String,
    #[serde(default)]
    description: String,
    #[serde(default = "yes")]
    enabled: bool,
    /// `hmac` (the default) or `ed25519`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    signing: WebhookSigning,
    /// `whsec_...` or `whsk_...`; made here when absent.
    #[serde(default, deserialize_with = "hidden")]
    #[schema(value_type = Option<String>)]
    secret: Option<SecretString>,
    #[serde(default)]
    headers: Vec<HeaderBody>,
    /// How long one request may take: 100 to 60000, 15000 when absent.
    timeout_ms: Option<u32>,
    /// Requests at the same time, never two of one key: 1 to 64, 4 when absent.
    concurrency: Option<u32>,
    /// Requests per second at most; absent is no limit.
    rate_per_second: Option<u32>,
    /// Attempts before a record is a dead letter: 1 to 100, 12 when absent.
    attempts_max: Option<u32>,
    /// Where deliveries begin: `latest` (the default), `earliest`, `offset:N` or `time:<ms>`.
    #[schema(value_type = Option<String>)]
    start: Option<Start>,
}

fn yes() -> bool {
    true
}

/// Wiped from memory when dropped, and never printed.
fn hidden<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(SecretString::from))
}

/// Tells `null` from nothing.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::<u32>::deserialize(from).map(Some)
}

fn headers(bodies: Vec<HeaderBody>) -> Vec<CustomHeader> {
    let read = |body: HeaderBody| CustomHeader { name: body.name, value: body.value };
    bodies.into_iter().map(read).collect()
}

impl CreateWebhook {
    pub(crate) fn read(self) -> Result<NewEndpoint, Refusal> {
        let filter = Filter::parse(&self.filter).map_err(|error| {
            Refusal::new(Code::InvalidFilter, error.to_string())
                .field("filter")
                .hint("`orders`, `orders/eu/#` or `$changes`")
        })?;
        let usual = WebhookSettings::default();
        Ok(NewEndpoint {
            url: self.url,
            filter,
            description: self.description,
            is_enabled: self.enabled,
            signing: self.signing,
            settings: WebhookSettings {
                timeout_ms: self.timeout_ms.unwrap_or(usual.timeout_ms),
                concurrency: self.concurrency.unwrap_or(usual.concurrency),
                rate_per_second: self.rate_per_second,
                attempts_max: self.attempts_max.unwrap_or(usual.attempts_max),
            },
            headers: headers(self.headers),
            secret: self.secret,
            start: self.start.unwrap_or(Start::Latest),
        })
    }
}

/// Changes what is given; the filter and the kind of signature stay as they were made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateWebhook {
    url: Option<String>,
    description: Option<String>,
    enabled: Option<bool>,
    /// Replaces all custom headers.
    headers: Option<Vec<HeaderBody>>,
    timeout_ms: Option<u32>,
    concurrency: Option<u32>,
    /// `null` takes the limit away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    rate_per_second: Option<Option<u32>>,
    attempts_max: Option<u32>,
}

impl UpdateWebhook {
    pub(crate) fn changes_settings(&self) -> bool {
        self.timeout_ms.is_some()
            || self.concurrency.is_some()
            || self.rate_per_second.is_some()
            || self.attempts_max.is_some()
    }

    /// What is given over what was.
    pub(crate) fn settings(&self, old: WebhookSettings) -> WebhookSettings {
        WebhookSettings {
            timeout_ms: self.timeout_ms.unwrap_or(old.timeout_ms),
            concurrency: self.concurrency.unwrap_or(old.concurrency),
            rate_per_second: self.rate_per_second.unwrap_or(old.rate_per_second),
            attempts_max: self.attempts_max.unwrap_or(old.attempts_max),
        }
    }

    pub(crate) fn read(self, settings: Option<WebhookSettings>) -> EndpointPatch {
        EndpointPatch {
            url: self.url,
            description: self.description,
            is_enabled: self.enabled,
            settings,
            headers: self.headers.map(headers),
        }
    }
}

/// A new secret, brought or made here.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateSecret {
    #[serde(default, deserialize_with = "hidden")]
    #[schema(value_type = Option<String>)]
    pub(crate) secret: Option<SecretString>,
    /// How long the old secret signs beside the new one: a day when absent, at most 30.
    overlap_ms: Option<u64>,
}

impl RotateSecret {
    pub(crate) fn overlap(&self) -> Duration {
        Duration::from_millis(self.overlap_ms.unwrap_or(OVERLAP_MS_DEFAULT))
    }
}

/// A place in the dead-letter topic.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LetterPlace {
    #[serde(default)]
    partition: Partition,
    offset: Offset,
}

/// Which dead letters: exactly one of `all`, `at`, or `from` with `to`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChooseLetters {
    all: Option<bool>,
    /// Single ones, at most 1000.
    at: Option<Vec<LetterPlace>>,
    /// The partition of `from` and `to`; 0 when absent.
    partition: Option<Partition>,
    /// The first offset of a range.
    from: Option<Offset>,
    /// The last offset of the range, at most 1000 further.
    to: Option<Offset>,
}

impl ChooseLetters {
    /// `None` is all of them.
    pub(crate) fn read(self) -> Result<Option<Which>, Refusal> {
        let wrong = |field: &str, why: String| {
            let hint = r#"{"all": true}, {"at": [{"offset": 7}]} or {"from": 7, "to": 9}"#;
            Err(Refusal::new(Code::InvalidRequest, why).field(field).hint(hint))
        };
        let many = || format!("one call takes at most {DEAD_LETTERS_MAX} dead letters");
        match (self.all, self.at, self.from, self.to) {
            (Some(true), None, None, None) => Ok(None),
            (None, Some(at), None, None) if !at.is_empty() => {
                if at.len() > DEAD_LETTERS_MAX {
                    return wrong("at", many());
                }
                let places = at.into_iter().map(|it| (it.partition, it.offset)).collect();
                Ok(Some(Which::At(places)))
            }
            (None, None, Some(from), Some(to)) => {
                if to < from {
                    return wrong("to", "the range ends before it begins".to_owned());
                }
                if to - from >= DEAD_LETTERS_MAX as u64 {
                    return wrong("to", many());
                }
                let partition = self.partition.unwrap_or(0);
                Ok(Some(Which::At((from..=to).map(|offset| (partition, offset)).collect())))
            }
            _ => wrong("all", "say which dead letters".to_owned()),
        }
    }
}
