//! How one member of a coordinated group comes from what it has to what it is to have: it gives up
//! first, and is given only what nobody else has any more (KIP-848, "Reconciliation").

use super::assign::{Assignor, Part, Parts};
use std::collections::BTreeMap;
use std::time::Duration;
use types::{TopicId, TopicName};

/// What stands between a member and its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Settled,
    /// It is to give up partitions, and has not said yet that it did.
    GivingUp,
    /// Some of what it is to have is still with others.
    Waiting,
}

/// A topic that a member is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribed {
    pub id: TopicId,
    pub name: TopicName,
    pub partitions: u32,
}

#[derive(Debug, Clone)]
pub struct Participant {
    pub instance: Option<String>,
    pub rack: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub names: Vec<String>,
    pub regex: Option<String>,
    pub assignor: Option<Assignor>,
    /// What its names and its expression stood for when they were last looked up.
    pub topics: BTreeMap<TopicId, Subscribed>,
    pub looked_up: Option<Duration>,
    pub epoch: i32,
    pub epoch_before: i32,
    pub progress: Progress,
    /// It may read them.
    pub assigned: Parts,
    /// It may still be reading them.
    pub revoking: Parts,
    /// How long it may take to give up.
    pub rebalance: Duration,
    /// It is given up when nothing was heard of it by then.
    pub expires: Duration,
    /// It is given up when it has not given up its partitions by then.
    pub revoke_by: Option<Duration>,
}

impl Participant {
    pub fn new() -> Participant {
        Participant {
            instance: None,
            rack: None,
            client_id: String::new(),
            client_host: String::new(),
            names: Vec::new(),
            regex: None,
            assignor: None,
            topics: BTreeMap::new(),
            looked_up: None,
            epoch: 0,
            epoch_before: 0,
            progress: Progress::Settled,
            assigned: Parts::new(),
            revoking: Parts::new(),
            rebalance: Duration::ZERO,
            expires: Duration::ZERO,
            revoke_by: None,
        }
    }

    /// All that nobody else may be given.
    pub fn held(&self) -> impl Iterator<Item = Part> {
        self.assigned.iter().chain(&self.revoking).copied()
    }

    /// Begins anew with nothing.
    pub fn restart(&mut self) {
        (self.epoch, self.epoch_before) = (0, 0);
        self.progress = Progress::Settled;
        self.assigned.clear();
        self.revoking.clear();
        self.revoke_by = None;
    }

    /// One step towards the target of that epoch. `owned` is what it says that it has, if it says
    /// so; `is_free` whether nobody else holds a partition.
    pub fn reconcile(
        &mut self,
        (target_epoch, target): (i32, &Parts),
        owned: Option<&Parts>,
        is_free: impl Fn(&Part) -> bool,
        now: Duration,
    ) {
        let may_have = |parts: &Parts| owned.is_none_or(|owned| !owned.is_disjoint(parts));
        let base = match self.progress {
            Progress::Settled if self.epoch == target_epoch => return,
            Progress::GivingUp if may_have(&self.revoking) => return,
            // What it gave up belongs to an epoch that is over for it with this.
            Progress::GivingUp => self.epoch.saturating_add(1).min(target_epoch),
            Progress::Settled | Progress::Waiting => self.epoch,
        };
        let keeps: Parts = self.assigned.intersection(target).copied().collect();
        let gives_up: Parts = self.assigned.difference(target).copied().collect();
        if !gives_up.is_empty() && may_have(&gives_up) {
            self.assigned = keeps;
            self.revoking = gives_up;
            self.progress = Progress::GivingUp;
            self.revoke_by = Some(now + self.rebalance);
            return self.enter(base);
        }
        let wanted = target.difference(&keeps);
        let (free, others): (Parts, Parts) = wanted.copied().partition(is_free);
        self.assigned = keeps.union(&free).copied().collect();
        self.revoking.clear();
        self.revoke_by = None;
        self.progress = if others.is_empty() { Progress::Settled } else { Progress::Waiting };
        self.enter(target_epoch);
    }

    fn enter(&mut self, epoch: i32) {
        if epoch != self.epoch {
            self.epoch_before = self.epoch;
            self.epoch = epoch;
        }
    }
}
