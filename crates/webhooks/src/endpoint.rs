//! One webhook at work: fetches as much as the endpoint may get now, sends, and settles each record
//! by what came of it. It must not know where records come from or who defined the webhook.

use crate::breaker::{Admission, Breaker, BreakerRule};
use crate::config::Config;
use crate::envelope;
use crate::journal::{Attempt, Journal};
use crate::judgement::Outcome;
use crate::pace::{Pace, Room};
use crate::sealed;
use crate::sender::{Answered, Request, Sender};
use crate::source::Source;
use futures_util::future::OptionFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{HeaderName, HeaderValue};
use identity::Sealer;
use parking_lot::Mutex;
use port::consumers::{Leased, Verdict};
use port::{Refusal, metric};
use standard_webhooks::SigningKey;
use std::sync::Arc;
use std::time::Duration;
use stdx::backoff::Backoff;
use stdx::{Clock, Rng};
use tenancy::{Tenancy, Webhook};
use tokio::sync::watch;
use types::TimestampMs;
use types::record::header;

/// How long a fetch waits for a first record.
const FETCH_WAIT: Duration = Duration::from_secs(20);
/// Longest time between two looks at what may go out; definitions change meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Waits after the log or the database refused.
const TROUBLE: Backoff =
    Backoff { first: Duration::from_millis(500), max: Duration::from_secs(30) };
/// What is under way when the loop ends may take so long; later its lease ends, and it is sent
/// again.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Longest pause that an endpoint gets when it asks for one.
const HOLD_MAX: Duration = Duration::from_secs(300);
/// Attempts to tell the consumer what became of a record; after them its lease runs out.
const SETTLE_ATTEMPTS_MAX: u32 = 5;

/// A webhook with its secrets opened.
pub(crate) struct Definition {
    pub(crate) webhook: Webhook,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    keys: Vec<(Option<TimestampMs>, SigningKey)>,
}

impl Definition {
    pub(crate) fn open(webhook: Webhook, sealer: &Sealer) -> Result<Definition, Refusal> {
        let keys = webhook
            .secrets
            .iter()
            .map(|it| Ok((it.expires_at, sealed::open(sealer, webhook.id, &it.sealed)?)))
            .collect::<Result<_, Refusal>>()?;
        let headers = match &webhook.sealed_headers {
            Some(stored) => sealed::open_headers(sealer, webhook.id, stored)?,
            None => Vec::new(),
        };
        Ok(Definition { headers: sealed::parse_headers(&headers)?, webhook, keys })
    }

    /// Those that still count: one, or several during a rotation.
    pub(crate) fn keys(&self, now: TimestampMs) -> Vec<&SigningKey> {
        let counts = |end: &Option<TimestampMs>| end.is_none_or(|end| now < end);
        self.keys.iter().filter(|(end, _)| counts(end)).map(|(_, key)| key).collect()
    }
}

/// What all webhooks share.
pub(crate) struct Tools {
    pub(crate) sender: Sender,
    pub(crate) tenancy: Arc<Tenancy>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) config: Config,
}

impl Tools {
    pub(crate) fn rule(&self) -> BreakerRule {
        BreakerRule {
            failures: self.config.breaker_failures,
            rest_min: Duration::from_millis(self.config.breaker_ms_min),
            rest_max: Duration::from_millis(self.config.breaker_ms_max),
        }
    }
}

/// What is known of a webhook on this node while it is enabled.
pub(crate) struct Endpoint {
    definition: Mutex<Arc<Definition>>,
    pub(crate) breaker: Mutex<Breaker>,
    pub(crate) pace: Mutex<Pace>,
    pub(crate) journal: Mutex<Journal>,
}

impl Endpoint {
    pub(crate) fn new(definition: Definition) -> Endpoint {
        Endpoint {
            definition: Mutex::new(Arc::new(definition)),
            breaker: Mutex::default(),
            pace: Mutex::default(),
            journal: Mutex::default(),
        }
    }

    pub(crate) fn definition(&self) -> Arc<Definition> {
        Arc::clone(&self.definition.lock())
    }

    /// From the next request on; another URL starts with a clean slate.
    pub(crate) fn redefine(&self, definition: Definition) {
        let mut current = self.definition.lock();
        if current.webhook.url != definition.webhook.url {
            *self.breaker.lock() = Breaker::default();
        }
        *current = Arc::new(definition);
    }
}

/// What the loop may do next.
enum Next {
    Fetch(usize),
    /// Nothing for this time.
    Wait(Duration),
    /// Until something under way is done.
    Full,
}

fn next(endpoint: &Endpoint, under_way: usize, now: Duration) -> Next {
    let settings = endpoint.definition().webhook.settings.clone();
    let free = match endpoint.breaker.lock().admit(now) {
        Admission::After(wait) => return Next::Wait(wait),
        Admission::Probe if under_way == 0 => 1,
        Admission::Probe => return Next::Full,
        Admission::All => (settings.concurrency as usize).saturating_sub(under_way),
    };
    if free == 0 {
        return Next::Full;
    }
    match endpoint.pace.lock().room(settings.rate_per_second, now) {
        Room::After(wait) => Next::Wait(wait),
        Room::For(0) => Next::Wait(LOOK_EVERY),
        Room::For(room) => Next::Fetch(room.min(free)),
    }
}

/// Delivers until told to stop.
pub(crate) async fn run(
    endpoint: Arc<Endpoint>,
    tools: Arc<Tools>,
    source: Arc<dyn Source>,
    mut stopped: watch::Receiver<()>,
) {
    let mut under_way = FuturesUnordered::new();
    let mut fetching = None;
    let mut prepared: Option<Webhook> = None;
    let mut troubles = 0;
    let mut rest = Duration::ZERO;
    loop {
        let mut wait = std::mem::take(&mut rest);
        if fetching.is_none() && wait.is_zero() {
            match next(&endpoint, under_way.len(), tools.clock.monotonic()) {
                Next::Fetch(count) => {
                    let webhook = endpoint.definition().webhook.clone();
                    let is_prepared = prepared.as_ref() == Some(&webhook);
                    fetching = Some(Box::pin(fetch(&*source, webhook, is_prepared, count)));
                }
                Next::Wait(time) => wait = time.max(Duration::from_millis(1)),
                Next::Full => wait = LOOK_EVERY,
            }
        }
        let is_waiting = fetching.is_none();
        tokio::select! {
            biased;
            _ = stopped.changed() => break,
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
            Some(fetched) = OptionFuture::from(fetching.as_mut()), if !is_waiting => {
                fetching = None;
                match fetched {
                    Ok((webhook, leased)) => {
                        troubles = 0;
                        prepared = Some(webhook);
                        take(&endpoint, &tools, leased.len());
                        for one in leased {
                            under_way.push(deliver(&endpoint, &tools, &*source, one));
                        }
                    }
                    Err(refusal) => {
                        rest = TROUBLE.wait(troubles, &*tools.rng).max(TROUBLE.first);
                        troubles = troubles.saturating_add(1);
                        prepared = None;
                        let webhook = endpoint.definition().webhook.id;
                        tracing::warn!(%webhook, %refusal, ?rest, "nothing to deliver from");
                    }
                }
            }
            () = tokio::time::sleep(wait.min(LOOK_EVERY)), if is_waiting => {}
        }
    }
    let finishing = async { while under_way.next().await.is_some() {} };
    if tokio::time::timeout(STOP_GRACE, finishing).await.is_err() {
        tracing::info!("a webhook's requests under way are left to their leases");
    }
}

/// Fetches for this definition, after the consumer was made what it asks for.
async fn fetch(
    source: &dyn Source,
    webhook: Webhook,
    is_prepared: bool,
    count: usize,
) -> Result<(Webhook, Vec<Leased>), Refusal> {
    if !is_prepared {
        source.prepare(&webhook).await?;
    }
    let leased = source.fetch(count, FETCH_WAIT).await?;
    Ok((webhook, leased))
}

fn take(endpoint: &Endpoint, tools: &Tools, count: usize) {
    let rate = endpoint.definition().webhook.settings.rate_per_second;
    endpoint.pace.lock().take(rate, count, tools.clock.monotonic());
}

async fn deliver(endpoint: &Endpoint, tools: &Tools, source: &dyn Source, leased: Leased) {
    let definition = endpoint.definition();
    let delivery = &leased.delivery;
    let message = envelope::message_id(delivery);
    let traceparent = delivery.record.header(header::TRACEPARENT);
    let traceparent = traceparent.and_then(|value| HeaderValue::from_bytes(value).ok());
    let mut attempt = Attempt {
        message: message.clone(),
        partition: Some(delivery.partition),
        offset: Some(delivery.offset),
        attempt: leased.deliveries,
        at: tools.clock.now_ms(),
        outcome: Outcome::Unreachable,
        status: None,
        error: None,
        answer: None,
        took_ms: 0,
    };
    let request = Request {
        url: &definition.webhook.url,
        message: &message,
        body: envelope::body(delivery),
        keys: definition.keys(attempt.at),
        headers: &definition.headers,
        traceparent,
        timeout: Duration::from_millis(u64::from(definition.webhook.settings.timeout_ms)),
    };
    let answered = send(endpoint, tools, request, &mut attempt).await;
    let verdict = judge(endpoint, tools, &definition.webhook, &answered).await;
    for try_number in 0..SETTLE_ATTEMPTS_MAX {
        match source.settle(leased.token.clone(), verdict.clone()).await {
            Ok(()) => return,
            Err(refusal) => {
                let webhook = definition.webhook.id;
                tracing::warn!(%webhook, %refusal, message, "a delivery is not settled yet");
                tokio::time::sleep(TROUBLE.wait(try_number, &*tools.rng)).await;
            }
        }
    }
}

/// Sends, measures and writes down.
pub(crate) async fn send(
    endpoint: &Endpoint,
    tools: &Tools,
    request: Request<'_>,
    attempt: &mut Attempt,
) -> Answered {
    let started = tools.clock.monotonic();
    let answered = tools.sender.send(request).await;
    let took = tools.clock.monotonic().saturating_sub(started);
    let outcome = answered.outcome.name();
    metrics::counter!(metric::WEBHOOK_ATTEMPTS, "outcome" => outcome).increment(1);
    metrics::histogram!(metric::WEBHOOK_SECONDS).record(took.as_secs_f64());
    attempt.outcome = answered.outcome;
    attempt.status = answered.status;
    attempt.error.clone_from(&answered.error);
    attempt.answer.clone_from(&answered.answer);
    attempt.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    endpoint.journal.lock().add(attempt.clone(), tools.config.attempts_kept);
    answered
}

/// What becomes of the record, and what the endpoint's breaker and pace learn.
async fn judge(
    endpoint: &Endpoint,
    tools: &Tools,
    webhook: &Webhook,
    answered: &Answered,
) -> Verdict {
    let now = tools.clock.monotonic();
    if answered.outcome.is_of_endpoint() {
        endpoint.breaker.lock().failed(now, &tools.rule());
    } else {
        endpoint.breaker.lock().succeeded();
    }
    if answered.outcome == Outcome::Delivered {
        return Verdict::Acknowledge;
    }
    if answered.outcome == Outcome::Gone {
        let reason = "the endpoint answered 410: it is gone for good";
        let (tenant, project) = (webhook.tenant, webhook.project);
        let disabled = tools.tenancy.disable_webhook(tenant, project, webhook.id, reason).await;
        if let Err(error) = disabled {
            tracing::warn!(webhook = %webhook.id, %error, "a gone webhook is not disabled yet");
        }
    }
    let wait_min = Duration::from_millis(tools.config.retry_ms_min);
    let delay = answered.retry_after.map(|wait| wait.max(wait_min));
    if let Some(wait) = answered.retry_after {
        endpoint.pace.lock().hold(wait.min(HOLD_MAX), now);
    }
    Verdict::Retry { delay, reason: Some(answered.reason()) }
}
