//! Webhooks as others use them: defined, changed, tested, looked at; their dead letters; and the
//! rounds that keep the loops in step with the definitions. Every call takes who asks and checks
//! what he may: nobody gets records by webhook that he could not read himself.

use crate::breaker::BreakerView;
use crate::config::Config;
use crate::endpoint::{self, Definition, Endpoint, Tools};
use crate::journal::Attempt;
use crate::judgement::Outcome;
use crate::sealed::{self, CustomHeader, MadeSecret};
use crate::sender::{Request, Sender};
use crate::source::{self, consumers};
use crate::workers::{Ground, Workers};
use crate::{target, test_event};
use identity::{Authenticator, Sealer};
use port::consumers::{
    ConsumerAddress, ConsumerInfo, DEAD_LETTERS_MAX, DeadLetters, ReplayTo, Which,
};
use port::{Hub, Identity, Refusal, metric};
use rules::scopes;
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;
use stdx::{Clock, Rng};
use tenancy::{
    Actor, NewWebhook, Page, Tenancy, Webhook, WebhookId, WebhookPatch, WebhookSettings,
    WebhookSigning,
};
use tokio::sync::watch;
use types::consumer::Start;
use types::{Filter, Operation, Scope};

/// Definitions changed by other nodes are seen by looking again.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long after a change of this node's own.
const LOOK_AFTER: Duration = Duration::from_millis(50);
const MEASURE_EVERY: Duration = Duration::from_secs(15);
/// Webhooks whose backlog is added up; more would be a load of its own.
const MEASURED_MAX: usize = 500;
/// Calls for all dead letters of a webhook; each takes up to `DEAD_LETTERS_MAX`.
const ROUNDS_MAX: usize = 1_000;
/// Longest time that an old secret signs beside a new one.
const OVERLAP_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

/// What webhooks stand on.
pub struct Parts {
    pub tenancy: Arc<Tenancy>,
    pub authenticator: Arc<Authenticator>,
    pub sealer: Arc<Sealer>,
    pub hub: Arc<dyn Hub>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub config: Config,
}

/// A webhook to be defined.
#[derive(Debug)]
pub struct NewEndpoint {
    pub url: String,
    pub filter: Filter,
    pub description: String,
    pub is_enabled: bool,
    pub signing: WebhookSigning,
    pub settings: WebhookSettings,
    pub headers: Vec<CustomHeader>,
    /// `whsec_...` or `whsk_...`; `None` has one made.
    pub secret: Option<SecretString>,
    pub start: Start,
}

/// Changes what is `Some`.
#[derive(Debug, Default)]
pub struct EndpointPatch {
    pub url: Option<String>,
    pub description: Option<String>,
    pub is_enabled: Option<bool>,
    pub settings: Option<WebhookSettings>,
    pub headers: Option<Vec<CustomHeader>>,
}

/// How a webhook does.
#[derive(Debug, Clone)]
pub struct EndpointStatus {
    /// `None` while it is disabled.
    pub breaker: Option<BreakerView>,
    /// The newest attempt that failed, of those still in memory.
    pub last_error: Option<Attempt>,
    /// `None` where its consumer cannot be seen: the topic was deleted.
    pub consumer: Option<ConsumerInfo>,
}

/// All webhooks of this node.
pub struct Webhooks {
    tenancy: Arc<Tenancy>,
    sealer: Arc<Sealer>,
    authenticator: Arc<Authenticator>,
    hub: Arc<dyn Hub>,
    tools: Arc<Tools>,
    workers: Workers,
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks").finish_non_exhaustive()
    }
}

fn may(who: &Identity, scope: Scope) -> Result<(), Refusal> {
    scopes::require(who.claims().scopes, scope)
}

impl Webhooks {
    /// Fails only when the HTTP client cannot be made.
    pub fn new(parts: Parts) -> Result<Arc<Webhooks>, Refusal> {
        let tools = Tools {
            sender: Sender::new(parts.config.clone(), Arc::clone(&parts.clock))?,
            tenancy: Arc::clone(&parts.tenancy),
            clock: parts.clock,
            rng: parts.rng,
            config: parts.config,
        };
        Ok(Arc::new(Webhooks {
            tenancy: parts.tenancy,
            sealer: parts.sealer,
            authenticator: parts.authenticator,
            hub: parts.hub,
            tools: Arc::new(tools),
            workers: Workers::default(),
        }))
    }

    /// Delivers until told to stop; requests under way are given a short time.
    pub async fn run(self: Arc<Webhooks>, mut stopped: watch::Receiver<()>) {
        let mut changes = self.tenancy.changes();
        let mut measured_at = None;
        loop {
            changes.mark_unchanged();
            if let Err(refusal) = self.look().await {
                tracing::warn!(%refusal, "webhooks stay as they are known");
            }
            let now = self.tools.clock.monotonic();
            if measured_at.is_none_or(|at| now.saturating_sub(at) >= MEASURE_EVERY) {
                self.measure().await;
                measured_at = Some(now);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                // Changes come in bursts: one look for all of them.
                _ = changes.changed() => tokio::time::sleep(LOOK_AFTER).await,
                _ = stopped.changed() => break,
            }
        }
        self.workers.stop().await;
    }

    /// Brings the loops in step with the definitions.
    pub(crate) async fn look(&self) -> Result<(), Refusal> {
        let webhooks = self.tenancy.all_webhooks().await?;
        let ground = Ground {
            hub: Arc::clone(&self.hub),
            authenticator: Arc::clone(&self.authenticator),
            sealer: Arc::clone(&self.sealer),
            tools: Arc::clone(&self.tools),
        };
        self.workers.become_those_of(webhooks, &ground);
        Ok(())
    }

    async fn measure(&self) {
        self.workers.measure(&self.tools);
        let mut lag = 0;
        for definition in self.workers.some(MEASURED_MAX) {
            let consumer = self.consumer(&definition.webhook).await;
            lag += consumer.map_or(0, |info| info.lag + info.pending + info.retrying);
        }
        metrics::gauge!(metric::WEBHOOK_BACKLOG).set(lag as f64);
    }

    /// Where the records go is as good as reading them.
    async fn may_follow(&self, who: &Identity, filter: &Filter) -> Result<(), Refusal> {
        let snapshot = self.authenticator.fresh_snapshot(who.project()).await?;
        let now = self.tools.clock.now_ms();
        snapshot.check_filter(who.claims(), Operation::Subscribe, filter, now)
    }

    async fn consumer(&self, webhook: &Webhook) -> Result<ConsumerInfo, Refusal> {
        let at = source::address(webhook.id, &webhook.filter)?;
        let platform = self.authenticator.platform(webhook.project).await?;
        consumers(&*self.hub)?.get(&platform, &at).await
    }

    /// Defines a webhook; the secret is what its receiver must be given, and shown this once.
    pub async fn create(
        &self,
        who: &Identity,
        new: NewEndpoint,
    ) -> Result<(Webhook, SecretString), Refusal> {
        may(who, Scope::AdminWrite)?;
        self.may_follow(who, &new.filter).await?;
        target::check(&new.url, &self.tools.config)?;
        let id = self.tenancy.new_webhook_id();
        let at = source::address(id, &new.filter)?;
        let brought = new.secret.as_ref();
        let rng = &*self.tools.rng;
        let MadeSecret { stored, for_receiver } =
            sealed::make(&self.sealer, id, new.signing, brought, rng)?;
        let sealed_headers = sealed::seal_headers(&self.sealer, id, &new.headers)?;
        let (tenant, project) = (who.tenant(), who.project());
        let platform = self.authenticator.platform(project).await?;
        // A topic that does not exist is a slip of the pen more often than a wish.
        self.hub.topic(&platform, &at.topic).await?;
        let record = NewWebhook {
            id,
            url: new.url,
            filter: new.filter,
            description: new.description,
            is_enabled: new.is_enabled,
            signing: new.signing,
            settings: new.settings,
            sealed_headers,
            secret: stored,
        };
        let by = Actor::from(who);
        let webhook = self.tenancy.create_webhook(tenant, project, record, &by).await?;
        // From here on nothing that is published is missed.
        let made =
            source::put(&*self.hub, &platform, &webhook, new.start, &self.tools.config).await;
        if let Err(refusal) = made {
            self.tenancy.delete_webhook(tenant, project, id, &by).await?;
            return Err(refusal);
        }
        Ok((webhook, for_receiver))
    }

    pub async fn list(
        &self,
        who: &Identity,
        after: Option<WebhookId>,
        limit: usize,
    ) -> Result<Page<Webhook>, Refusal> {
        may(who, Scope::AdminRead)?;
        Ok(self.tenancy.webhooks(who.tenant(), who.project(), after, limit).await?)
    }

    pub async fn get(&self, who: &Identity, id: WebhookId) -> Result<Webhook, Refusal> {
        may(who, Scope::AdminRead)?;
        self.find(who, id).await
    }

    async fn find(&self, who: &Identity, id: WebhookId) -> Result<Webhook, Refusal> {
        Ok(self.tenancy.webhook(who.tenant(), who.project(), id).await?)
    }

    /// For somebody who was shown the webhook.
    pub async fn status(&self, webhook: &Webhook) -> EndpointStatus {
        let endpoint = self.workers.endpoint(webhook.id);
        let now = self.tools.clock.monotonic();
        EndpointStatus {
            breaker: endpoint.as_ref().map(|it| it.breaker.lock().view(now)),
            last_error: endpoint.as_ref().and_then(|it| it.journal.lock().last_error()),
            consumer: self.consumer(webhook).await.ok(),
        }
    }

    /// How hard the endpoint is tried, for whoever is about to change some of it.
    pub async fn settings(
        &self,
        who: &Identity,
        id: WebhookId,
    ) -> Result<WebhookSettings, Refusal> {
        may(who, Scope::AdminWrite)?;
        Ok(self.find(who, id).await?.settings)
    }

    /// Names of the custom headers; their values are not shown again.
    pub fn header_names(&self, webhook: &Webhook) -> Vec<String> {
        let Some(stored) = &webhook.sealed_headers else {
            return Vec::new();
        };
        let headers = sealed::open_headers(&self.sealer, webhook.id, stored).unwrap_or_default();
        headers.into_iter().map(|header| header.name).collect()
    }

    pub async fn update(
        &self,
        who: &Identity,
        id: WebhookId,
        patch: EndpointPatch,
    ) -> Result<Webhook, Refusal> {
        may(who, Scope::AdminWrite)?;
        let found = self.find(who, id).await?;
        self.may_follow(who, &found.filter).await?;
        if let Some(url) = &patch.url {
            target::check(url, &self.tools.config)?;
        }
        let seal = |headers: Vec<CustomHeader>| sealed::seal_headers(&self.sealer, id, &headers);
        let record = WebhookPatch {
            url: patch.url,
            description: patch.description,
            is_enabled: patch.is_enabled,
            settings: patch.settings,
            sealed_headers: patch.headers.map(seal).transpose()?,
        };
        let (tenant, project) = (who.tenant(), who.project());
        Ok(self.tenancy.update_webhook(tenant, project, id, record, &Actor::from(who)).await?)
    }

    /// A new secret signs from now on, the old ones beside it for `overlap`.
    pub async fn rotate(
        &self,
        who: &Identity,
        id: WebhookId,
        brought: Option<SecretString>,
        overlap: Duration,
    ) -> Result<(Webhook, SecretString), Refusal> {
        may(who, Scope::AdminWrite)?;
        if overlap > OVERLAP_MAX {
            return Err(Refusal::new(port::Code::InvalidRequest, "an overlap is at most 30 days")
                .field("overlap_ms"));
        }
        let found = self.find(who, id).await?;
        let rng = &*self.tools.rng;
        let made = sealed::make(&self.sealer, id, found.signing, brought.as_ref(), rng)?;
        let (tenant, project) = (who.tenant(), who.project());
        let by = Actor::from(who);
        let webhook = self
            .tenancy
            .rotate_webhook_secret(tenant, project, id, made.stored, overlap, &by)
            .await?;
        Ok((webhook, made.for_receiver))
    }

    /// The webhook, its place in the log and what waits for it. Dead letters stay in their topic.
    pub async fn delete(&self, who: &Identity, id: WebhookId) -> Result<(), Refusal> {
        may(who, Scope::AdminWrite)?;
        let found = self.find(who, id).await?;
        let (tenant, project) = (who.tenant(), who.project());
        self.tenancy.delete_webhook(tenant, project, id, &Actor::from(who)).await?;
        let at = source::address(id, &found.filter)?;
        let platform = self.authenticator.platform(project).await?;
        if let Err(refusal) = consumers(&*self.hub)?.delete(&platform, &at).await {
            // It went with its topic, or stays behind without harm.
            tracing::info!(webhook = %id, %refusal, "the webhook's consumer is not deleted");
        }
        Ok(())
    }

    /// Sends a test event now, also while the webhook is disabled, and answers what came of it.
    pub async fn test(&self, who: &Identity, id: WebhookId) -> Result<Attempt, Refusal> {
        may(who, Scope::AdminWrite)?;
        let found = self.find(who, id).await?;
        let now = self.tools.clock.now_ms();
        let (message, body) = test_event::make(id, now, &*self.tools.rng);
        let definition = Definition::open(found, &self.sealer)?;
        let mut attempt = Attempt {
            message: message.clone(),
            partition: None,
            offset: None,
            attempt: 1,
            at: now,
            outcome: Outcome::Unreachable,
            status: None,
            error: None,
            answer: None,
            took_ms: 0,
        };
        let timeout = u64::from(definition.webhook.settings.timeout_ms);
        let request = Request {
            url: &definition.webhook.url,
            message: &message,
            body,
            keys: definition.keys(now),
            headers: &definition.headers,
            traceparent: None,
            timeout: Duration::from_millis(timeout),
        };
        match self.workers.endpoint(id) {
            Some(known) => endpoint::send(&known, &self.tools, request, &mut attempt).await,
            None => {
                let once = Definition::open(definition.webhook.clone(), &self.sealer)?;
                endpoint::send(&Endpoint::new(once), &self.tools, request, &mut attempt).await
            }
        };
        Ok(attempt)
    }

    /// The newest attempts, newest first, of those still in memory on this node.
    pub async fn attempts(&self, who: &Identity, id: WebhookId) -> Result<Vec<Attempt>, Refusal> {
        self.get(who, id).await?;
        Ok(self.workers.endpoint(id).map_or_else(Vec::new, |it| it.journal.lock().list()))
    }

    async fn letters_of(
        &self,
        who: &Identity,
        id: WebhookId,
    ) -> Result<(Identity, ConsumerAddress), Refusal> {
        let found = self.find(who, id).await?;
        self.may_follow(who, &found.filter).await?;
        let platform = self.authenticator.platform(who.project()).await?;
        Ok((platform, source::address(id, &found.filter)?))
    }

    /// Records that were given up, oldest first.
    pub async fn dead_letters(
        &self,
        who: &Identity,
        id: WebhookId,
        cursor: Option<String>,
        limit: usize,
    ) -> Result<DeadLetters, Refusal> {
        may(who, Scope::AdminRead)?;
        let (platform, at) = self.letters_of(who, id).await?;
        consumers(&*self.hub)?.dead_letters(&platform, &at, cursor, limit).await
    }

    /// Delivers dead letters again, `None` all of them; answers how many.
    pub async fn replay(
        &self,
        who: &Identity,
        id: WebhookId,
        which: Option<Which>,
    ) -> Result<u64, Refusal> {
        self.settle_letters(who, id, which, Fate::Replay).await
    }

    /// Gives dead letters up for good, `None` all of them; answers how many.
    pub async fn purge(
        &self,
        who: &Identity,
        id: WebhookId,
        which: Option<Which>,
    ) -> Result<u64, Refusal> {
        self.settle_letters(who, id, which, Fate::Purge).await
    }

    /// All of them are as many as there were at first: what fails again meanwhile is left for
    /// next time.
    async fn settle_letters(
        &self,
        who: &Identity,
        id: WebhookId,
        which: Option<Which>,
        fate: Fate,
    ) -> Result<u64, Refusal> {
        may(who, Scope::AdminWrite)?;
        let (platform, at) = self.letters_of(who, id).await?;
        if let Some(which) = which {
            return self.meet(&platform, &at, which, fate).await;
        }
        let count = consumers(&*self.hub)?.get(&platform, &at).await?.dead_letters;
        let mut done = 0;
        for _ in 0..ROUNDS_MAX {
            let left = usize::try_from(count.saturating_sub(done)).unwrap_or(usize::MAX);
            if left == 0 {
                break;
            }
            let which = Which::Oldest(left.min(DEAD_LETTERS_MAX));
            match self.meet(&platform, &at, which, fate).await? {
                0 => break,
                more => done += more,
            }
        }
        Ok(done)
    }

    async fn meet(
        &self,
        platform: &Identity,
        at: &ConsumerAddress,
        which: Which,
        fate: Fate,
    ) -> Result<u64, Refusal> {
        let consumers = consumers(&*self.hub)?;
        match fate {
            Fate::Replay => consumers.replay(platform, at, which, ReplayTo::Consumer).await,
            Fate::Purge => consumers.purge(platform, at, which).await,
        }
    }
}

/// What becomes of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Replay,
    Purge,
}
