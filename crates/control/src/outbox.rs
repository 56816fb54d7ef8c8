//! Brings what the control plane changed to the log: takes entries from the outbox in order,
//! appends them to the topic of changes of the project they are about, marks them. An entry that
//! was appended and not marked, because the process died in between, is appended again under the
//! same record id, which the log knows. It must not know what a change means.

use identity::Authenticator;
use port::{Code, Hub, Identity, Refusal, metric};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use stdx::backoff::Backoff;
use stdx::{Clock, Rng};
use tenancy::{Actor, EVENT_VERSION, EventId, OutboxEntry, SYSTEM, Tenancy, TenancyError};
use tokio::sync::watch;
use types::record::header;
use types::{Header, Key, ProjectId, Record, Retention, TenantId, TopicConfig, TopicName};

/// Entries of one turn.
const TURN_ENTRIES_MAX: usize = 256;
/// Entries of one append; with their details they stay far below the limit of one call.
const APPEND_ENTRIES_MAX: usize = 32;
/// Other nodes' changes are seen by looking again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Waits of a destination that refuses.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), max: Duration::from_secs(60) };
/// Destinations that wait at the same time; beyond it the oldest wait is given up early.
const STUCK_MAX: usize = 400;
/// Projects whose topic is known to exist; forgotten all at once when there are more.
const KNOWN_MAX: usize = 100_000;
/// Published entries stay in the outbox for so long, for people to look at.
const KEEP_MS: i64 = 24 * 3_600_000;
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const SWEEP_ENTRIES_MAX: usize = 500;
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// How long changes are kept in the log, unless an operator configures their topic otherwise.
const CHANGES_AGE_MS_MAX: u64 = 90 * 24 * 3_600_000;

/// A header of each change: the version of its form.
const VERSION_HEADER: &str = "event-version";
/// A header of each change: its type, so that readers choose without reading the value.
const TYPE_HEADER: &str = "event-type";

/// A destination that refused, and when it is tried again.
struct Stuck {
    failures: u32,
    retry_at: Duration,
}

/// What one turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    pub published: usize,
    /// There may be more to publish at once.
    pub has_more: bool,
}

/// Publishes the outbox. One per node.
pub struct OutboxWorker {
    tenancy: Arc<Tenancy>,
    authenticator: Arc<Authenticator>,
    hub: Arc<dyn Hub>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    stuck: HashMap<Option<ProjectId>, Stuck>,
    known: HashSet<ProjectId>,
    system: Option<ProjectId>,
    measured_at: Option<Duration>,
    swept_at: Option<Duration>,
}

impl OutboxWorker {
    pub fn new(control: &crate::Control) -> OutboxWorker {
        OutboxWorker {
            tenancy: Arc::clone(&control.tenancy),
            authenticator: Arc::clone(&control.authenticator),
            hub: Arc::clone(&control.hub),
            clock: Arc::clone(&control.clock),
            rng: Arc::clone(&control.rng),
            stuck: HashMap::new(),
            known: HashSet::new(),
            system: None,
            measured_at: None,
            swept_at: None,
        }
    }

    /// Publishes what comes until told to stop; the turn under way is finished.
    pub async fn run(mut self, mut stopped: watch::Receiver<()>) {
        let mut changes = self.tenancy.changes();
        let mut failures = 0;
        loop {
            changes.mark_unchanged();
            let wait = match self.turn().await {
                Ok(turn) => {
                    failures = 0;
                    if turn.has_more { Duration::ZERO } else { LOOK_EVERY }
                }
                Err(refusal) => {
                    tracing::warn!(%refusal, "changes wait in the outbox");
                    failures += 1;
                    BACKOFF.wait(failures, self.rng.as_ref()).max(BACKOFF.first)
                }
            };
            let is_woken = failures == 0;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = changes.changed(), if is_woken => {}
                _ = stopped.changed() => return,
            }
        }
    }

    /// One bounded batch, in order per destination. A destination that refuses keeps its entries
    /// and holds nobody else up; an error means that the database did not answer.
    pub async fn turn(&mut self) -> Result<Turn, Refusal> {
        let now = self.clock.monotonic();
        let skipped: Vec<Option<ProjectId>> =
            self.stuck.iter().filter(|(_, it)| it.retry_at > now).map(|(at, _)| *at).collect();
        let pending = self.tenancy.pending_events(&skipped, TURN_ENTRIES_MAX).await?;
        let has_more = pending.len() == TURN_ENTRIES_MAX;
        let mut turn = Turn { published: 0, has_more };
        for (destination, entries) in by_destination(pending) {
            match self.publish(destination, &entries, &mut turn.published).await {
                Ok(()) => {
                    self.stuck.remove(&destination);
                }
                Err(refusal) => self.put_off(destination, &refusal),
            }
        }
        self.sweep(now).await?;
        self.measure(now).await?;
        Ok(turn)
    }

    async fn publish(
        &mut self,
        destination: Option<ProjectId>,
        entries: &[OutboxEntry],
        published: &mut usize,
    ) -> Result<(), Refusal> {
        let tenant = entries.first().and_then(|entry| entry.tenant);
        let who = self.writer(tenant, destination).await?;
        self.make_topic(&who).await?;
        for chunk in entries.chunks(APPEND_ENTRIES_MAX) {
            let records = chunk.iter().map(record).collect::<Result<Vec<Record>, Refusal>>()?;
            self.hub.append(&who, &TopicName::changes(), records).await?;
            let ids: Vec<EventId> = chunk.iter().map(|entry| entry.id).collect();
            self.tenancy.mark_published(&ids).await?;
            *published += chunk.len();
            metrics::counter!(metric::OUTBOX_PUBLISHED).increment(chunk.len() as u64);
        }
        Ok(())
    }

    /// The platform in the project that a change is about; what is about a project that is gone, or
    /// about none, goes where operators look.
    async fn writer(
        &mut self,
        tenant: Option<TenantId>,
        project: Option<ProjectId>,
    ) -> Result<Identity, Refusal> {
        if let (Some(tenant), Some(project)) = (tenant, project) {
            match self.tenancy.project(tenant, project).await {
                Ok(_) => return self.authenticator.platform(project).await,
                Err(TenancyError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let system = match self.system {
            Some(system) => system,
            None => {
                let made = self.tenancy.bootstrap(SYSTEM, &Actor::system()).await?;
                *self.system.insert(made.project.id)
            }
        };
        self.authenticator.platform(system).await
    }

    /// An existing topic keeps what an operator configured.
    async fn make_topic(&mut self, who: &Identity) -> Result<(), Refusal> {
        if self.known.contains(&who.project()) {
            return Ok(());
        }
        let name = TopicName::changes();
        match self.hub.topic(who, &name).await {
            Ok(_) => {}
            Err(refusal) if refusal.code() == Code::TopicNotFound => {
                let retention =
                    Retention { age_ms_max: Some(CHANGES_AGE_MS_MAX), ..Retention::default() };
                let config = TopicConfig { retention, ..TopicConfig::default() };
                self.hub.put_topic(who, &name, config).await?;
            }
            Err(refusal) => return Err(refusal),
        }
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(who.project());
        Ok(())
    }

    fn put_off(&mut self, destination: Option<ProjectId>, refusal: &Refusal) {
        metrics::counter!(metric::OUTBOX_FAILURES).increment(1);
        if let Some(project) = destination {
            self.known.remove(&project);
        }
        if self.stuck.len() >= STUCK_MAX && !self.stuck.contains_key(&destination) {
            let first = self.stuck.iter().min_by_key(|(_, stuck)| stuck.retry_at);
            if let Some(first) = first.map(|(at, _)| *at) {
                self.stuck.remove(&first);
            }
        }
        let now = self.clock.monotonic();
        let stuck = self.stuck.entry(destination).or_insert(Stuck { failures: 0, retry_at: now });
        let wait = BACKOFF.wait(stuck.failures, self.rng.as_ref()).max(BACKOFF.first);
        stuck.failures = stuck.failures.saturating_add(1);
        stuck.retry_at = now + wait;
        let project = destination.map(|project| project.to_string());
        tracing::warn!(?project, %refusal, ?wait, "changes cannot be published yet");
    }

    async fn sweep(&mut self, now: Duration) -> Result<(), Refusal> {
        if self.swept_at.is_some_and(|at| now.saturating_sub(at) < SWEEP_EVERY) {
            return Ok(());
        }
        let before = self.clock.now_ms().saturating_sub(KEEP_MS);
        let swept = self.tenancy.sweep_outbox(before, SWEEP_ENTRIES_MAX).await?;
        // A full sweep goes on with the next turn.
        let over = self.tenancy.sweep_revocations().await?;
        let is_done = swept < SWEEP_ENTRIES_MAX as u64 && over == 0;
        self.swept_at = is_done.then_some(now);
        Ok(())
    }

    async fn measure(&mut self, now: Duration) -> Result<(), Refusal> {
        if self.measured_at.is_some_and(|at| now.saturating_sub(at) < MEASURE_EVERY) {
            return Ok(());
        }
        let backlog = self.tenancy.outbox_backlog().await?;
        let age_ms = backlog.oldest_at.map_or(0, |at| (self.clock.now_ms() - at).max(0));
        metrics::gauge!(metric::OUTBOX_PENDING).set(backlog.pending as f64);
        metrics::gauge!(metric::OUTBOX_AGE_SECONDS).set(age_ms as f64 / 1_000.0);
        self.measured_at = Some(now);
        Ok(())
    }
}

/// Groups entries by their project, each group in the order of the outbox.
fn by_destination(entries: Vec<OutboxEntry>) -> Vec<(Option<ProjectId>, Vec<OutboxEntry>)> {
    let mut groups: Vec<(Option<ProjectId>, Vec<OutboxEntry>)> = Vec::new();
    let mut places: HashMap<Option<ProjectId>, usize> = HashMap::new();
    for entry in entries {
        let place = *places.entry(entry.project).or_insert_with(|| {
            groups.push((entry.project, Vec::new()));
            groups.len() - 1
        });
        // The place was pushed before it was remembered.
        if let Some((_, group)) = groups.get_mut(place) {
            group.push(entry);
        }
    }
    groups
}

fn text_header(name: &'static str, value: String) -> Header {
    Header { name: name.into(), value: value.into() }
}

/// A change as the log has it; `docs/guides/control-events.md` describes it.
fn record(entry: &OutboxEntry) -> Result<Record, Refusal> {
    let noun = entry.kind.rsplit_once('.').map_or("", |(noun, _)| noun);
    let target = entry.payload["target"].as_str().unwrap_or_default();
    let key = Key::new(format!("{noun}/{target}")).map_err(|error| Refusal::internal(&error))?;
    let value = json!({
        "id": entry.id.to_string(),
        "type": entry.kind,
        "version": EVENT_VERSION,
        "at": entry.at,
        "tenant": entry.tenant.map(|id| id.to_string()),
        "project": entry.project.map(|id| id.to_string()),
        "actor": entry.payload["actor"],
        "target": entry.payload["target"],
        "details": entry.payload["details"],
    });
    let headers = [
        text_header(header::CONTENT_TYPE, "application/json".to_owned()),
        text_header(header::ID, entry.id.to_string()),
        text_header(TYPE_HEADER, entry.kind.clone()),
        text_header(VERSION_HEADER, EVENT_VERSION.to_string()),
    ];
    Ok(Record {
        key: Some(key),
        value: Some(value.to_string().into()),
        headers: headers.into_iter().collect(),
        timestamp: None,
    })
}
