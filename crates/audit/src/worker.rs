//! Brings audit records to the log: what was refused is written down, records get their places in
//! the chain, then they are appended in that order and marked. A record that was appended and not
//! marked, because the process died in between, is appended again under the same id, which the log
//! knows. It must not know what a record tells.

use crate::config::Config;
use crate::trail::{Entry, Trail};
use port::{Refusal, metric};
use std::sync::Arc;
use std::time::Duration;
use stdx::backoff::Backoff;
use stdx::{Clock, Rng};
use tenancy::{AuditId, AuditRecord, Told};
use tokio::sync::watch;
use types::Offset;

/// Records of one turn.
const TURN_RECORDS_MAX: usize = 256;
/// Records of one append; with their details they stay far below the limit of one call.
const APPEND_RECORDS_MAX: usize = 32;
/// What is refused is told by looking for it; other nodes' records are seen by looking again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), max: Duration::from_secs(30) };
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const SWEEP_RECORDS_MAX: usize = 1_000;
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// Incidents that wait for a database that does not answer; beyond it the oldest are given up,
/// which is said in the server's own log.
const HELD_MAX: usize = 4_096;
/// Records read back at once when the store has to learn from the log.
const READ_RECORDS_MAX: usize = 500;
/// Offsets that are looked through before where a record should be.
const SLACK: u64 = 64;

/// What one turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    pub published: usize,
    /// There may be more to publish at once.
    pub has_more: bool,
}

/// One per node.
pub struct AuditWorker {
    trail: Arc<Trail>,
    config: Config,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    held: Vec<Told>,
    /// The log and the store have been compared.
    is_ready: bool,
    swept_at: Option<Duration>,
    measured_at: Option<Duration>,
}

impl AuditWorker {
    pub fn new(
        trail: Arc<Trail>,
        config: Config,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> AuditWorker {
        let (swept_at, measured_at) = (None, None);
        let held = Vec::new();
        AuditWorker { trail, config, clock, rng, held, is_ready: false, swept_at, measured_at }
    }

    /// Works until told to stop; then writes down what was refused last.
    pub async fn run(mut self, mut stopped: watch::Receiver<()>) {
        let mut changes = self.trail.tenancy.changes();
        let mut failures = 0;
        loop {
            changes.mark_unchanged();
            let wait = match self.turn().await {
                Ok(turn) => {
                    failures = 0;
                    if turn.has_more { Duration::ZERO } else { LOOK_EVERY }
                }
                Err(refusal) => {
                    tracing::warn!(%refusal, "audit records wait to be brought to the log");
                    failures += 1;
                    BACKOFF.wait(failures, self.rng.as_ref()).max(BACKOFF.first)
                }
            };
            let is_woken = failures == 0;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = changes.changed(), if is_woken => {}
                _ = stopped.changed() => break,
            }
        }
        if let Err(refusal) = self.turn().await {
            tracing::warn!(%refusal, "the last audit records wait for the next start");
        }
    }

    /// One bounded step of everything.
    pub async fn turn(&mut self) -> Result<Turn, Refusal> {
        self.write_incidents().await?;
        if !self.is_ready {
            self.compare().await?;
            self.is_ready = true;
        }
        let sealed = self.trail.tenancy.seal_audit(TURN_RECORDS_MAX).await?;
        let published = self.publish().await?;
        let now = self.clock.monotonic();
        self.sweep(now).await?;
        self.measure(now).await?;
        let has_more = sealed == TURN_RECORDS_MAX || published == TURN_RECORDS_MAX;
        Ok(Turn { published, has_more })
    }

    async fn write_incidents(&mut self) -> Result<(), Refusal> {
        let tenancy = Arc::clone(&self.trail.tenancy);
        self.held.extend(tenancy.incidents().take(self.clock.now_ms()));
        let beyond = self.held.len().saturating_sub(HELD_MAX);
        if beyond > 0 {
            tracing::error!(count = beyond, "refusals are not in the audit trail: no database");
            self.held.drain(..beyond);
        }
        tenancy.note_incidents(&self.held).await?;
        self.held.clear();
        Ok(())
    }

    async fn publish(&self) -> Result<usize, Refusal> {
        let tenancy = &self.trail.tenancy;
        let waiting = tenancy.unpublished_audit(TURN_RECORDS_MAX).await?;
        for chunk in waiting.chunks(APPEND_RECORDS_MAX) {
            let offsets = self.trail.append(chunk).await?;
            let placed: Vec<(AuditId, Offset)> =
                chunk.iter().map(|record| record.id).zip(offsets).collect();
            tenancy.mark_audit_published(&placed).await?;
            for record in chunk {
                let outcome = record.outcome.name();
                metrics::counter!(metric::AUDIT_RECORDS, "outcome" => outcome).increment(1);
            }
        }
        Ok(waiting.len())
    }

    /// Once at the start: the log and the store agree, whichever of them was restored to an earlier
    /// moment.
    async fn compare(&self) -> Result<(), Refusal> {
        let tenancy = &self.trail.tenancy;
        let (start, end) = self.trail.prepare(self.config.retention_ms()).await?;
        let ends = tenancy.audit_ends().await?;
        let newest = match end {
            0 => 0,
            end if start >= end => return Ok(()),
            end => match self.newest(start, end).await? {
                Some(sequence) => sequence,
                // Nothing there is a record: what `verify` says of it is for people.
                None => return Ok(()),
            },
        };
        if newest > ends.head.sequence {
            let missing = newest - ends.head.sequence;
            tracing::warn!(missing, "the store learns audit records from the log");
            let from = end.saturating_sub(missing.saturating_add(SLACK)).max(start);
            self.learn(from, end, ends.head.sequence).await?;
        } else if newest < ends.published {
            let again = tenancy.unpublish_audit(newest).await?;
            tracing::warn!(again, "audit records are brought to the log again");
        }
        Ok(())
    }

    async fn newest(&self, start: Offset, end: Offset) -> Result<Option<u64>, Refusal> {
        let from = end.saturating_sub(SLACK).max(start);
        let entries = self.trail.read(Some(from), SLACK as usize, Duration::ZERO).await?;
        let numbers = entries.iter().filter_map(number);
        Ok(numbers.max())
    }

    async fn learn(&self, mut from: Offset, end: Offset, known: u64) -> Result<(), Refusal> {
        while from < end {
            let entries = self.trail.read(Some(from), READ_RECORDS_MAX, Duration::ZERO).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            from = last.offset + 1;
            let new: Vec<(AuditRecord, Offset)> = entries
                .into_iter()
                .filter_map(|entry| Some((entry.record.ok()?, entry.offset)))
                .filter(|(record, _)| record.link.is_some_and(|link| link.sequence > known))
                .collect();
            self.trail.tenancy.adopt_audit(&new).await?;
        }
        Ok(())
    }

    async fn sweep(&mut self, now: Duration) -> Result<(), Refusal> {
        if self.swept_at.is_some_and(|at| now.saturating_sub(at) < SWEEP_EVERY) {
            return Ok(());
        }
        let before = self.clock.now_ms().saturating_sub(self.config.retention_ms());
        let swept = self.trail.tenancy.sweep_audit(before, SWEEP_RECORDS_MAX).await?;
        // A full sweep goes on with the next turn.
        let is_done = swept < SWEEP_RECORDS_MAX as u64;
        self.swept_at = is_done.then_some(now);
        Ok(())
    }

    async fn measure(&mut self, now: Duration) -> Result<(), Refusal> {
        if self.measured_at.is_some_and(|at| now.saturating_sub(at) < MEASURE_EVERY) {
            return Ok(());
        }
        let pending = self.trail.tenancy.audit_backlog().await?;
        metrics::gauge!(metric::AUDIT_PENDING).set(pending as f64);
        self.measured_at = Some(now);
        Ok(())
    }
}

fn number(entry: &Entry) -> Option<u64> {
    let record = entry.record.as_ref().ok()?;
    record.link.map(|link| link.sequence)
}
