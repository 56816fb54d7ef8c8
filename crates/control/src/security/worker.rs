//! The look that the node takes by itself: it sets the figures that alerts watch, writes down what
//! is odd in the last hour, and drops what was accepted until a day that is over.

use super::gather::{Look, Scope, look};
use super::window::{past, window};
use crate::Control;
use port::{Refusal, metric};
use posture::Severity;
use serde_json::json;
use std::time::Duration;
use tenancy::{Actor, AuditFilter};
use tokio::sync::watch;

/// Between two looks; what they find changes slowly.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The node has more urgent things to do when it starts.
const FIRST_AFTER: Duration = Duration::from_secs(5);
/// What was accepted stays so long after its end, for who looks why it is back.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// One per node.
pub struct SecurityWorker {
    control: Control,
}

impl SecurityWorker {
    pub fn new(control: &Control) -> SecurityWorker {
        SecurityWorker { control: control.clone() }
    }

    /// Looks again and again until told to stop.
    pub async fn run(self, mut stopped: watch::Receiver<()>) {
        let mut wait = FIRST_AFTER;
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stopped.changed() => return,
            }
            wait = LOOK_EVERY;
            if let Err(refusal) = self.turn().await {
                tracing::warn!(%refusal, "the security checks wait for the database");
            }
        }
    }

    /// One look at everything.
    pub async fn turn(&self) -> Result<(), Refusal> {
        let started = self.control.clock.monotonic();
        let look = look(&self.control, Scope::Installation).await?;
        measure(&look);
        self.tell_anomalies().await?;
        self.control.tenancy.sweep_acceptances(look.at - KEPT_MS).await?;
        let took = self.control.clock.monotonic().saturating_sub(started);
        metrics::histogram!(metric::SECURITY_LOOK_SECONDS).record(took.as_secs_f64());
        Ok(())
    }
}

/// What is odd is written down once in so long, as long as it goes on.
const TOLD_EVERY_MS: i64 = 6 * 3_600_000;
/// The last hour, and what may have been written late.
const WINDOW_MS: i64 = 65 * 60_000;
/// Of one look; who floods the trail is told of by the first of them.
const TOLD_MAX: usize = 50;

impl SecurityWorker {
    /// Writes into the trail what is odd and was not told lately, for alerts and for people.
    async fn tell_anomalies(&self) -> Result<(), Refusal> {
        let (control, now) = (&self.control, self.control.clock.now_ms());
        let window = window(control, None, (now - WINDOW_MS, now)).await?;
        let past = past(control, None, &window).await?;
        for anomaly in posture::anomalies(&window.events, &past).into_iter().take(TOLD_MAX) {
            let action = anomaly.rule.action;
            let told = AuditFilter {
                action: Some(action.to_owned()),
                target: Some(anomaly.subject.clone()),
                from: Some(now - TOLD_EVERY_MS),
                ..AuditFilter::default()
            };
            if !control.tenancy.audit_of_all_tenants(&told, 1).await?.items.is_empty() {
                continue;
            }
            let details = json!({
                "what": anomaly.what,
                "rule": anomaly.rule.rule,
                "count": anomaly.count,
                "met_at": anomaly.at,
            });
            let by = Actor::system();
            control.tenancy.note(action, &anomaly.subject, details, &by).await?;
            metrics::counter!(metric::SECURITY_ANOMALIES, "rule" => anomaly.rule.id).increment(1);
            tracing::warn!(rule = anomaly.rule.id, subject = anomaly.subject, "odd");
        }
        Ok(())
    }
}

fn measure(look: &Look) {
    let open = look.open();
    for severity in Severity::ALL {
        let labels = [("severity", severity.name())];
        metrics::gauge!(metric::SECURITY_FINDINGS, &labels).set(open.of(*severity) as f64);
    }
    metrics::gauge!(metric::SECURITY_ACCEPTED).set(look.accepted() as f64);
}
