//! The look that the node takes by itself: it sets the figures that alerts watch, and drops what
//! was accepted until a day that is over.

use super::gather::{Look, Scope, look};
use crate::Control;
use port::{Refusal, metric};
use posture::Severity;
use std::time::Duration;
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
        self.control.tenancy.sweep_acceptances(look.at - KEPT_MS).await?;
        let took = self.control.clock.monotonic().saturating_sub(started);
        metrics::histogram!(metric::SECURITY_LOOK_SECONDS).record(took.as_secs_f64());
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
