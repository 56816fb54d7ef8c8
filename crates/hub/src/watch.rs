//! Open subscriptions by number, so that those can be found and ended which an access list has
//! come to forbid. One table for the node's own shards and one for each branch, whose numbers are
//! those it asked under.

use identity::ProjectSnapshot;
use parking_lot::Mutex;
use port::{Code, Identity, Refusal};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::{Filter, ProjectId, TimestampMs};

/// Names an open subscription in its table.
pub type WatchNumber = u64;

/// Who follows what in one project.
type OfProject = HashMap<WatchNumber, (Identity, Filter)>;

#[derive(Default)]
pub struct Watch {
    open: Mutex<HashMap<ProjectId, OfProject>>,
    last: AtomicU64,
}

/// Keeps a subscription in its table.
pub struct Watched {
    watch: Arc<Watch>,
    project: ProjectId,
    number: WatchNumber,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut open = self.watch.open.lock();
        let Some(of_project) = open.get_mut(&self.project) else { return };
        let gone = of_project.remove(&self.number);
        if of_project.is_empty() {
            open.remove(&self.project);
        }
        drop(open);
        // Outside of the lock: it may be the last to hold the identity.
        drop(gone);
    }
}

impl Watch {
    /// A number that no other subscription of this table has had.
    pub fn number(&self) -> WatchNumber {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn enter(
        self: &Arc<Self>,
        number: WatchNumber,
        who: &Identity,
        filter: &Filter,
    ) -> Watched {
        let project = who.project();
        let subscription = (who.clone(), filter.clone());
        self.open.lock().entry(project).or_default().insert(number, subscription);
        Watched { watch: Arc::clone(self), project, number }
    }

    /// Those of a project that may not go on.
    pub fn forbidden(&self, snapshot: &ProjectSnapshot, now: TimestampMs) -> Vec<WatchNumber> {
        let open: Vec<(WatchNumber, Identity, Filter)> = {
            let open = self.open.lock();
            let of_project = open.get(&snapshot.project).into_iter().flatten();
            of_project.map(|(number, (who, what))| (*number, who.clone(), what.clone())).collect()
        };
        // Outside of the lock: subscriptions come and go meanwhile.
        let is_over = |who: &Identity, filter: &Filter| {
            crate::follow::check_follow(snapshot, who, filter, now).is_err()
        };
        let over = open.iter().filter(|(_, who, filter)| is_over(who, filter));
        over.map(|(number, ..)| *number).collect()
    }

    /// Adds the projects that somebody follows something of.
    pub fn projects(&self, into: &mut HashSet<ProjectId>) {
        into.extend(self.open.lock().keys());
    }
}

/// What whoever had such a subscription is told.
pub fn why_ended() -> Refusal {
    Refusal::new(Code::AddressForbidden, "the access list no longer allows this subscription")
        .field("filter")
        .hint("ask whoever manages the project's access list")
}
