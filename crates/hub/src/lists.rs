//! Access lists that changed, or whose hours ended: what is open and was allowed is asked again,
//! and ends where it no longer is. New requests need none of this: each asks for itself.

use crate::node::Node;
use crate::presence::Holder;
use crate::shard::mailbox::Message;
use crate::watch::{Watch, why_ended};
use identity::ProjectSnapshot;
use parking_lot::Mutex;
use port::metric;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tenancy::ListVersions;
use types::{Operation, ProjectId, TimestampMs};

const MINUTE_MS: i64 = 60_000;

/// Under what the open subscriptions of a project were last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    versions: ListVersions,
    /// Of lists that hold at some times only.
    minute: Option<i64>,
}

#[derive(Default)]
pub struct Rulings(Mutex<HashMap<ProjectId, Asked>>);

impl Rulings {
    /// Whether the open subscriptions of a project are to be asked again; noted as done.
    fn is_due(&self, snapshot: &ProjectSnapshot, now: TimestampMs) -> bool {
        let has_times = snapshot.lists().is_some_and(|lists| lists.has_times());
        let asked = Asked {
            versions: snapshot.list_versions(),
            minute: has_times.then_some(now.div_euclid(MINUTE_MS)),
        };
        match self.0.lock().insert(snapshot.project, asked) {
            Some(before) => before != asked,
            // Admitted since it was last looked, perhaps under other lists.
            None => !asked.versions.is_none(),
        }
    }

    fn keep_only(&self, projects: &HashSet<ProjectId>) {
        self.0.lock().retain(|project, _| projects.contains(project));
    }
}

impl Node {
    /// Ends what access lists have come to forbid. Called with every round and every change.
    pub(crate) async fn sweep_lists(&self) {
        let mut projects = HashSet::new();
        for watch in self.watches() {
            watch.projects(&mut projects);
        }
        self.presence.rooms.lock().projects(&mut projects);
        self.rulings.keep_only(&projects);
        let now = self.world.clock.now_ms();
        let found = projects.into_iter().filter_map(|project| self.snapshot(project).ok());
        let due: Vec<_> = found.filter(|it| self.rulings.is_due(it, now)).collect();
        let Some(node) = self.this().filter(|_| !due.is_empty()) else { return };
        // Many subscriptions take a while: not on a thread that carries requests.
        let work = move || due.iter().for_each(|snapshot| node.ask_again(snapshot, now));
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "open subscriptions could not be asked again");
        }
    }

    fn watches(&self) -> impl Iterator<Item = &Arc<Watch>> {
        std::iter::once(&self.watch).chain(self.branches.iter().map(|slot| &slot.watch))
    }

    fn ask_again(&self, snapshot: &ProjectSnapshot, now: TimestampMs) {
        let forbidden = |watch: &Watch| {
            let numbers: HashSet<_> = watch.forbidden(snapshot, now).into_iter().collect();
            metrics::counter!(metric::ACL_ENDED).increment(numbers.len() as u64);
            Some(Arc::new(numbers)).filter(|numbers| !numbers.is_empty())
        };
        if let Some(numbers) = forbidden(&self.watch) {
            self.tell_all(|| Message::Forbidden(Arc::clone(&numbers), why_ended()));
        }
        for slot in &self.branches {
            if let Some(numbers) = forbidden(&slot.watch) {
                slot.mailbox.send(Message::Forbidden(numbers, why_ended()));
            }
        }
        self.end_presence(snapshot, now);
    }

    /// Whoever may not be present at an address any more leaves it.
    fn end_presence(&self, snapshot: &ProjectSnapshot, now: TimestampMs) {
        let mut present = HashSet::new();
        self.presence.rooms.lock().projects(&mut present);
        if !present.contains(&snapshot.project) {
            return;
        }
        let connected = self.connections.identities(snapshot.project);
        let mut rooms = self.presence.rooms.lock();
        rooms.end_forbidden(self.world.clock.monotonic(), snapshot.project, |at, holder| {
            let who = match holder {
                Holder::Lease(who) => Some(who),
                Holder::Connection(id) => connected.get(&id),
            };
            let key = at.key.as_ref().map(|key| &key.bytes()[..]);
            // Who has just connected was asked just now.
            who.is_none_or(|who| {
                let (claims, operation) = (who.claims(), Operation::Presence);
                snapshot.check_address(claims, operation, &at.topic, key, now).is_ok()
            })
        });
        self.tell_due(&mut rooms);
    }
}
