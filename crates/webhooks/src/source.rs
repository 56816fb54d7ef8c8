//! Where an endpoint's records come from: its durable consumer, behind the little that the delivery
//! loop needs of it, so that the loop is tested without a log.

use crate::config::Config;
use identity::Authenticator;
use port::consumers::{ConsumerAddress, ConsumerInfo, Fetch, Leased, Settlement, Verdict};
use port::{Answer, Code, Consumers, Hub, Identity, Refusal};
use std::sync::Arc;
use std::time::Duration;
use tenancy::{Webhook, WebhookId};
use types::consumer::{Backoff, DELIVERIES_MAX, Ordering, Start};
use types::filter::{KeyPart, Level, TopicPart};
use types::{ConsumerConfig, ConsumerName, Filter, ProjectId, TopicName};

/// Bytes of one fetch.
const FETCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Beyond the endpoint's timeout: for settling, and for what waits its turn.
const LEASE_MARGIN_MS: u64 = 60_000;
/// Hundredths of the wait between attempts that are added at random.
const JITTER_PERCENT: u8 = 25;
/// Longest dead-letter topic made by the consumer's own rule.
const RULE_TOPIC_BYTES_MAX: usize = 200;

/// Records to deliver, and what became of them.
pub(crate) trait Source: Send + Sync {
    /// Makes the consumer what the webhook's definition asks for.
    fn prepare<'a>(&'a self, webhook: &'a Webhook) -> Answer<'a, ()>;
    /// At most so many; waits so long for a first one.
    fn fetch(&self, records_max: usize, wait: Duration) -> Answer<'_, Vec<Leased>>;
    fn settle(&self, token: String, verdict: Verdict) -> Answer<'_, ()>;
}

/// The consumer of a webhook is named after it.
pub(crate) fn address(id: WebhookId, filter: &Filter) -> Result<ConsumerAddress, Refusal> {
    let TopicPart::Exact(topic) = &filter.topic else {
        return Err(Refusal::new(Code::InvalidFilter, "a webhook is of one topic")
            .field("filter")
            .hint("`orders`, `orders/eu/#` or `$changes`; a webhook per topic"));
    };
    let name = ConsumerName::parse(&id.to_string()).map_err(|error| Refusal::internal(&error))?;
    Ok(ConsumerAddress { topic: topic.clone(), name })
}

/// The part of a filter after its topic, as consumers are told.
fn key_text(part: &KeyPart) -> Option<String> {
    match part {
        KeyPart::All => None,
        KeyPart::Exact(key) => Some(key.to_string()),
        KeyPart::Levels { levels, rest } => {
            let mut texts: Vec<&str> = levels
                .iter()
                .map(|level| match level {
                    Level::Exact(text) => &**text,
                    Level::One => "+",
                })
                .collect();
            if *rest {
                texts.push("#");
            }
            Some(texts.join("/"))
        }
    }
}

/// What the webhook asks of its consumer.
pub(crate) fn config(webhook: &Webhook, start: Start, config: &Config) -> ConsumerConfig {
    let dead = match &webhook.filter.topic {
        TopicPart::Exact(topic) if topic.as_str().len() > RULE_TOPIC_BYTES_MAX => {
            TopicName::parse(&format!("webhooks.{}.dead", webhook.id)).ok()
        }
        _ => None,
    };
    ConsumerConfig {
        start,
        filter: key_text(&webhook.filter.key),
        // A record that is tried again holds later ones of its key back, and no others.
        ordering: Ordering::Key,
        ack_wait_ms: u64::from(webhook.settings.timeout_ms) + LEASE_MARGIN_MS,
        deliveries_max: webhook.settings.attempts_max.min(DELIVERIES_MAX),
        backoff: Backoff {
            delays_ms: Vec::new(),
            delay_ms_min: config.retry_ms_min,
            delay_ms_max: config.retry_ms_max,
            jitter_percent: JITTER_PERCENT,
        },
        pending_max: 1_000,
        dead_letter_topic: dead,
    }
}

/// Consumers of a hub that has them.
pub(crate) fn consumers(hub: &dyn Hub) -> Result<&dyn Consumers, Refusal> {
    hub.consumers().ok_or_else(|| {
        Refusal::new(Code::Unsupported, "this server has no durable consumers to deliver from")
    })
}

/// The webhook's consumer in the hub, read as the platform.
pub(crate) struct HubSource {
    pub(crate) hub: Arc<dyn Hub>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) config: Config,
    pub(crate) project: ProjectId,
    pub(crate) at: ConsumerAddress,
}

impl HubSource {
    /// Nothing is delivered for a tenant that is suspended.
    async fn reader(&self) -> Result<Identity, Refusal> {
        if self.authenticator.fresh_snapshot(self.project).await?.is_suspended() {
            return Err(Refusal::new(Code::TenantSuspended, "the tenant is suspended"));
        }
        self.authenticator.platform(self.project).await
    }
}

/// Makes the consumer, or changes what a webhook's definition says of an existing one: where it
/// began stays.
pub(crate) async fn put(
    hub: &dyn Hub,
    who: &Identity,
    webhook: &Webhook,
    start: Start,
    settings: &Config,
) -> Result<ConsumerInfo, Refusal> {
    let at = address(webhook.id, &webhook.filter)?;
    let consumers = consumers(hub)?;
    let start = match consumers.get(who, &at).await {
        Ok(found) => found.config.start,
        Err(_) => start,
    };
    let (info, _) = consumers.put(who, &at, config(webhook, start, settings)).await?;
    Ok(info)
}

impl Source for HubSource {
    fn prepare<'a>(&'a self, webhook: &'a Webhook) -> Answer<'a, ()> {
        Box::pin(async move {
            let who = self.reader().await?;
            // One that is gone begins with what comes: nobody expects the whole past at once.
            put(&*self.hub, &who, webhook, Start::Latest, &self.config).await.map(|_| ())
        })
    }

    fn fetch(&self, records_max: usize, wait: Duration) -> Answer<'_, Vec<Leased>> {
        Box::pin(async move {
            let who = self.reader().await?;
            let fetch = Fetch { records_max, bytes_max: FETCH_BYTES_MAX, wait };
            consumers(&*self.hub)?.fetch(&who, &self.at, fetch).await
        })
    }

    fn settle(&self, token: String, verdict: Verdict) -> Answer<'_, ()> {
        Box::pin(async move {
            let who = self.authenticator.platform(self.project).await?;
            let settlement = Settlement { token, verdict };
            let settled = consumers(&*self.hub)?.settle(&who, &self.at, vec![settlement]).await?;
            match settled.into_iter().next() {
                Some(Err(refusal)) => Err(refusal),
                _ => Ok(()),
            }
        })
    }
}
