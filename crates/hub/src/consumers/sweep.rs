//! What consumers need while nobody asks: leases end, dead letters are moved, figures are told.

use super::runtime::Runtime;
use crate::node::Node;
use metrics::gauge;
use port::metric::{CONSUMER_LAG, CONSUMER_PENDING};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Consumers with figures of their own; those beyond are left out, so that customers cannot swamp
/// the metrics store.
const LABELLED_MAX: usize = 500;
/// What was read ahead for a consumer is given up when nobody fetched for so long.
const IDLE_MS_MAX: i64 = 10_000;

impl Node {
    /// One round; called several times a second by the server's rounds.
    pub async fn sweep_consumers(&self) {
        for (index, runtime) in self.consumers.all().into_iter().enumerate() {
            self.bury_doomed(&runtime).await;
            let idle_ms = self.world.clock.now_ms() - runtime.active_ms.load(Ordering::Relaxed);
            if idle_ms > IDLE_MS_MAX
                && let Ok(mut lanes) = runtime.lanes.try_lock()
            {
                lanes.clear();
            }
            if index < LABELLED_MAX {
                self.tell_figures(&runtime);
            }
        }
    }

    fn tell_figures(&self, runtime: &Arc<Runtime>) {
        let name = runtime.defined.load().record.name.to_string();
        let labels = [
            ("tenant", runtime.topic.tenant.to_string()),
            ("topic", runtime.topic.name.to_string()),
            ("consumer", name),
        ];
        let (mut lag, mut pending) = (0, 0);
        let book = runtime.book.lock();
        for (partition, ledger) in book.ledgers() {
            let Ok(bounds) = self.engine.bounds(runtime.topic.id, partition) else {
                return;
            };
            let new = bounds.end.saturating_sub(ledger.next().max(bounds.start));
            lag += new + ledger.pending() as u64;
            pending += ledger.pending() as u64;
        }
        drop(book);
        gauge!(CONSUMER_LAG, &labels).set(lag as f64);
        gauge!(CONSUMER_PENDING, &labels).set(pending as f64);
    }
}
