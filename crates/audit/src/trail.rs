//! The topic of the trail: made with its retention, written and read as the platform itself. It
//! must not judge what it reads.

use identity::Authenticator;
use port::{Code, Delivery, Hub, Identity, ReadRequest, Refusal};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tenancy::{Actor, AuditBroken, AuditRecord, SYSTEM, Tenancy, audit_text, open_audit};
use tokio::sync::watch;
use types::record::header;
use types::{
    From, Header, Key, Offset, ProjectId, Record, Retention, TimestampMs, TopicConfig, TopicName,
};

/// The log keeps records so much longer than the index: an anchor always finds its record.
const MARGIN_MS: u64 = 7 * 24 * 3_600_000;
/// How long the log knows the ids of records: what was appended and not marked, because the process
/// died in between, is appended again and known again.
const IDS_MS: u64 = 30 * 24 * 3_600_000;
/// What the key says of records that belong to no tenant.
const INSTALLATION: &str = "installation";

/// What lies at one offset of the topic.
#[derive(Debug, Clone)]
pub struct Entry {
    pub offset: Offset,
    pub timestamp: TimestampMs,
    /// The record's text; empty where there is none.
    pub text: String,
    /// The record, unless its text is not an intact one.
    pub record: Result<AuditRecord, AuditBroken>,
}

/// The trail in the log.
pub struct Trail {
    pub(crate) tenancy: Arc<Tenancy>,
    authenticator: Arc<Authenticator>,
    hub: Arc<dyn Hub>,
    system: OnceLock<ProjectId>,
    /// Set when the node stops: nobody waits for records any more.
    is_closing: watch::Sender<bool>,
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trail").finish_non_exhaustive()
    }
}

fn text_header(name: &'static str, value: String) -> Header {
    Header { name: name.into(), value: value.into() }
}

/// A record as the log has it; `docs/guides/audit.md` describes it.
fn in_log(record: &AuditRecord) -> Result<Record, Refusal> {
    let link = record.link.as_ref();
    let link = link.ok_or_else(|| Refusal::internal(&"an audit record without its place"))?;
    let place = record.tenant.map_or_else(|| INSTALLATION.to_owned(), |id| id.to_string());
    let key = Key::new(place).map_err(|error| Refusal::internal(&error))?;
    let headers = [
        text_header(header::CONTENT_TYPE, "application/json".to_owned()),
        text_header(header::ID, record.id.to_string()),
        text_header("audit-action", record.action.clone()),
        text_header("audit-outcome", record.outcome.name().to_owned()),
    ];
    Ok(Record {
        key: Some(key),
        value: Some(audit_text(record, link).into()),
        headers: headers.into_iter().collect(),
        timestamp: None,
    })
}

fn entry(delivery: &Delivery) -> Entry {
    let value = delivery.record.value.as_deref().unwrap_or_default();
    let text = String::from_utf8_lossy(value).into_owned();
    let record = open_audit(&text);
    Entry { offset: delivery.offset, timestamp: delivery.timestamp, text, record }
}

impl Trail {
    pub fn new(
        tenancy: Arc<Tenancy>,
        authenticator: Arc<Authenticator>,
        hub: Arc<dyn Hub>,
    ) -> Trail {
        let is_closing = watch::Sender::new(false);
        Trail { tenancy, authenticator, hub, system: OnceLock::new(), is_closing }
    }

    /// The node stops: whoever waits for records is told, so that answers that go on end.
    pub fn close(&self) {
        self.is_closing.send_replace(true);
    }

    /// The platform in its own project.
    async fn platform(&self) -> Result<Identity, Refusal> {
        let system = match self.system.get() {
            Some(system) => *system,
            None => {
                let made = self.tenancy.bootstrap(SYSTEM, &Actor::system()).await?;
                *self.system.get_or_init(|| made.project.id)
            }
        };
        self.authenticator.platform(system).await
    }

    /// Makes the topic, or gives it this retention. Answers from where to where it reaches.
    pub(crate) async fn prepare(&self, retention_ms: i64) -> Result<(Offset, Offset), Refusal> {
        let who = self.platform().await?;
        let name = TopicName::audit();
        let age_ms = u64::try_from(retention_ms).unwrap_or_default().saturating_add(MARGIN_MS);
        let retention = Retention { age_ms_max: Some(age_ms), ..Retention::default() };
        let info = match self.hub.topic(&who, &name).await {
            Ok(info) if info.config.retention == retention => info,
            Ok(info) => {
                let config = TopicConfig { retention, ..info.config };
                self.hub.put_topic(&who, &name, config).await?.0
            }
            Err(refusal) if refusal.code() == Code::TopicNotFound => {
                let config = TopicConfig {
                    retention,
                    idempotency_window_ms: IDS_MS,
                    ..TopicConfig::default()
                };
                self.hub.put_topic(&who, &name, config).await?.0
            }
            Err(refusal) => return Err(refusal),
        };
        let only = info.partitions.first();
        Ok(only.map_or((0, 0), |partition| (partition.start, partition.end)))
    }

    /// Appends records that have their places, in order; answers their offsets.
    pub(crate) async fn append(&self, records: &[AuditRecord]) -> Result<Vec<Offset>, Refusal> {
        let who = self.platform().await?;
        let records = records.iter().map(in_log).collect::<Result<Vec<Record>, Refusal>>()?;
        let placed = self.hub.append(&who, &TopicName::audit(), records).await?;
        Ok(placed.into_iter().map(|placed| placed.offset).collect())
    }

    /// What lies at and behind an offset, at most `limit`; waits up to `wait` when there is
    /// nothing. Refuses with `INVALID_REQUEST` at `from` when retention took the offset.
    pub async fn read(
        &self,
        from: Option<Offset>,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Entry>, Refusal> {
        let who = self.platform().await?;
        let request = ReadRequest {
            topic: TopicName::audit(),
            from: from.map_or(From::Earliest, From::Offset),
            key: None,
            last: None,
            limit,
            wait,
        };
        let mut closing = self.is_closing.subscribe();
        let reading = self.hub.read(&who, request);
        let answer = if wait.is_zero() {
            reading.await?
        } else {
            tokio::select! {
                answer = reading => answer?,
                _ = closing.wait_for(|is_closing| *is_closing) => {
                    return Err(Refusal::new(Code::Draining, "the server is shutting down"));
                }
            }
        };
        Ok(answer.records.iter().map(|delivery| entry(delivery)).collect())
    }

    /// The offset behind the newest record.
    pub async fn end(&self) -> Result<Offset, Refusal> {
        let who = self.platform().await?;
        let info = self.hub.topic(&who, &TopicName::audit()).await?;
        Ok(info.partitions.first().map_or(0, |partition| partition.end))
    }

    /// Where a reader goes on who has had everything up to this number; `None` is the beginning.
    pub async fn behind(&self, sequence: u64) -> Result<Option<Offset>, Refusal> {
        let offset = self.tenancy.audit_offset(sequence).await?;
        Ok(offset.map(|offset| offset.saturating_add(1)))
    }
}

/// Whether a read failed because retention took the offset.
pub(crate) fn is_gone(refusal: &Refusal) -> bool {
    refusal.code() == Code::InvalidRequest && refusal.field_name() == Some("from")
}
