//! Brings the trail to receivers outside: one task for each, which reads the topic from where the
//! receiver stands, sends, and writes down how far it has got only when the receiver has taken it.
//! So nothing is left out over restarts and failures; what was sent and not written down is sent
//! again, and its number tells.

mod file;
mod hook;
mod syslog;

use crate::config::{Config, Destination, Sink};
use crate::trail::{Entry, Trail, is_gone};
use file::FileWriter;
use hook::HookPoster;
use port::{Refusal, metric};
use std::sync::Arc;
use std::time::Duration;
use stdx::backoff::Backoff;
use stdx::{Clock, Rng};
use syslog::SyslogSender;
use tenancy::{AuditRecord, SinkPlace};
use tokio::sync::watch;
use webhooks::Courier;

/// Records of one step.
const STEP_RECORDS_MAX: usize = 200;
/// How long a step waits for a record when there is none.
const WAIT: Duration = Duration::from_secs(15);
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) };

/// A receiver that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("audit.sinks.{name}: {why}")]
pub struct BadSink {
    pub name: String,
    pub why: String,
}

/// The way to one receiver.
enum Way {
    Syslog(Box<SyslogSender>),
    File(FileWriter),
    Webhook(Box<HookPoster>),
}

impl Way {
    /// All of it, in order, or an error that a person understands. What was sent before the error
    /// may have been taken.
    async fn send(&mut self, records: &[AuditRecord]) -> Result<(), String> {
        match self {
            Way::Syslog(sender) => sender.send(records).await,
            Way::File(writer) => writer.write(records).await,
            Way::Webhook(poster) => poster.post(records).await,
        }
    }
}

/// Brings the trail to one receiver.
pub struct Shipper {
    name: String,
    way: Way,
    trail: Arc<Trail>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

impl std::fmt::Debug for Shipper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shipper").field("name", &self.name).finish_non_exhaustive()
    }
}

fn way(sink: &Sink, courier: &Arc<Courier>) -> Result<Way, String> {
    Ok(match &sink.to {
        Destination::Syslog(to) => Way::Syslog(Box::new(SyslogSender::new(to, sink.format)?)),
        Destination::File(to) => Way::File(FileWriter::new(to.clone(), sink.format)),
        Destination::Webhook(to) => {
            Way::Webhook(Box::new(HookPoster::new(to, Arc::clone(courier))?))
        }
    })
}

impl Shipper {
    /// One for each receiver of the configuration. Reads their secrets and certificates.
    pub fn all(
        config: &Config,
        trail: &Arc<Trail>,
        courier: &Arc<Courier>,
        clock: &Arc<dyn Clock>,
        rng: &Arc<dyn Rng>,
    ) -> Result<Vec<Shipper>, BadSink> {
        let shipper = |sink: &Sink| {
            let name = sink.name.clone();
            let way = way(sink, courier).map_err(|why| BadSink { name: name.clone(), why })?;
            let (trail, clock, rng) = (Arc::clone(trail), Arc::clone(clock), Arc::clone(rng));
            Ok(Shipper { name, way, trail, clock, rng })
        };
        config.sinks.iter().map(shipper).collect()
    }

    /// Ships until told to stop.
    pub async fn run(mut self, mut stopped: watch::Receiver<()>) {
        let mut failures = 0;
        loop {
            let step = tokio::select! {
                step = self.step(WAIT) => step,
                _ = stopped.changed() => return,
            };
            let Err(why) = step else {
                failures = 0;
                continue;
            };
            let sink = self.name.clone();
            metrics::counter!(metric::AUDIT_SHIP_FAILURES, "sink" => sink).increment(1);
            tracing::warn!(sink = self.name, why, "audit records wait to be shipped");
            let wait = BACKOFF.wait(failures, self.rng.as_ref()).max(BACKOFF.first);
            failures = failures.saturating_add(1);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stopped.changed() => return,
            }
        }
    }

    /// Sends what the receiver does not have, at most `STEP_RECORDS_MAX`; waits for something when
    /// there is nothing. Answers how many were sent.
    pub async fn step(&mut self, wait: Duration) -> Result<usize, String> {
        let said = |refusal: Refusal| refusal.to_string();
        let stored = self.trail.tenancy.sink_place(&self.name).await;
        let place = stored.map_err(|error| error.to_string())?.unwrap_or_default();
        let entries = self.entries(place, wait).await.map_err(said)?;
        let Some(last) = entries.last() else { return Ok(0) };
        let next_offset = last.offset + 1;
        let records: Vec<AuditRecord> = entries
            .iter()
            .filter_map(|entry| entry.record.clone().ok())
            .filter(|record| record.link.is_some_and(|link| link.sequence > place.sequence))
            .collect();
        self.note_gap(place, &records);
        if !records.is_empty() {
            self.way.send(&records).await?;
        }
        let newest = records.last().and_then(|record| record.link).map(|link| link.sequence);
        let sequence = newest.unwrap_or(place.sequence);
        let moved = SinkPlace { sequence, next_offset, at: self.clock.now_ms() };
        let kept = self.trail.tenancy.move_sink(&self.name, moved).await;
        kept.map_err(|error| error.to_string())?;
        let sink = self.name.clone();
        let count = records.len() as u64;
        metrics::counter!(metric::AUDIT_SHIPPED, "sink" => sink.clone()).increment(count);
        if let Ok(end) = self.trail.end().await {
            let lag = end.saturating_sub(next_offset) as f64;
            metrics::gauge!(metric::AUDIT_SHIP_LAG, "sink" => sink).set(lag);
        }
        Ok(records.len())
    }

    async fn entries(&self, place: SinkPlace, wait: Duration) -> Result<Vec<Entry>, Refusal> {
        let from = (place.next_offset > 0).then_some(place.next_offset);
        match self.trail.read(from, STEP_RECORDS_MAX, wait).await {
            Err(refusal) if from.is_some() && is_gone(&refusal) => {
                self.trail.read(None, STEP_RECORDS_MAX, wait).await
            }
            other => other,
        }
    }

    /// Retention took records that the receiver never got.
    fn note_gap(&self, place: SinkPlace, records: &[AuditRecord]) {
        let first = records.first().and_then(|record| record.link).map(|link| link.sequence);
        let lost = first.map_or(0, |first| first.saturating_sub(place.sequence + 1));
        // A new receiver begins with what is kept.
        if lost > 0 && place.sequence > 0 {
            let sink = self.name.clone();
            metrics::counter!(metric::AUDIT_SHIP_LOST, "sink" => sink).increment(lost);
            tracing::error!(sink = self.name, lost, "retention took audit records before shipping");
        }
    }
}
