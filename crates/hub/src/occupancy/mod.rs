//! Which addresses are occupied: somebody follows them or is present there. Only of topics that
//! ask for it (`TopicConfig::occupancy`), and only those who came since. What changes is told as
//! records of the project's occupancy topic, so that consumers and webhooks have it like the rest.
//!
//! This file is the state machine: who comes and goes, and times, in; what is to be told out. It
//! knows no clock and no log. An address is told as occupied at once, and as vacated when it has
//! been empty for a while: a client that reconnects does not flap.

mod tell;
#[cfg(test)]
mod tests;

pub use tell::{Occupancy, Occupant, topic_config};

use crate::presence::Address;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use types::TenantId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Occupied,
    Vacated,
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    pub at: Address,
    pub tenant: TenantId,
    pub event: Event,
}

struct Entry {
    tenant: TenantId,
    followers: u32,
    has_members: bool,
    /// What followers of the occupancy topic were told last; `None` before the first time.
    told: Option<Event>,
    /// Taken by whoever tells, and not answered yet: what changes meanwhile is looked at then.
    is_being_told: bool,
    due: Option<Duration>,
}

impl Entry {
    fn new(tenant: TenantId) -> Entry {
        Entry {
            tenant,
            followers: 0,
            has_members: false,
            told: None,
            is_being_told: false,
            due: None,
        }
    }

    fn is_occupied(&self) -> bool {
        self.followers > 0 || self.has_members
    }

    /// What is to be told, if it is not told yet.
    fn untold(&self) -> Option<Event> {
        match (self.is_occupied(), self.told) {
            (true, None | Some(Event::Vacated)) => Some(Event::Occupied),
            (false, Some(Event::Occupied)) => Some(Event::Vacated),
            (true, Some(Event::Occupied)) | (false, None | Some(Event::Vacated)) => None,
        }
    }
}

/// Who comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    FollowerCame,
    FollowerWent,
    Filled,
    Emptied,
}

pub struct Addresses {
    entries: HashMap<Address, Entry>,
    due: BTreeSet<(Duration, Address)>,
    vacated_after: Duration,
}

impl Addresses {
    pub fn new(vacated_after: Duration) -> Addresses {
        Addresses { entries: HashMap::new(), due: BTreeSet::new(), vacated_after }
    }

    pub fn step(&mut self, at: &Address, tenant: TenantId, step: Step, now: Duration) {
        let is_coming = matches!(step, Step::FollowerCame | Step::Filled);
        if !is_coming && !self.entries.contains_key(at) {
            return;
        }
        let entry = self.entries.entry(at.clone()).or_insert_with(|| Entry::new(tenant));
        match step {
            Step::FollowerCame => entry.followers += 1,
            Step::FollowerWent => entry.followers = entry.followers.saturating_sub(1),
            Step::Filled => entry.has_members = true,
            Step::Emptied => entry.has_members = false,
        }
        self.settle(at, now);
    }

    /// What was told before this node was started: whoever does not come back in time has gone.
    pub fn remember_occupied(&mut self, at: Address, tenant: TenantId, now: Duration) {
        let entry = self.entries.entry(at.clone()).or_insert_with(|| Entry::new(tenant));
        entry.told = Some(Event::Occupied);
        self.settle(&at, now);
    }

    /// Sets when there is something to tell of the address, or that there is not.
    fn settle(&mut self, at: &Address, now: Duration) {
        let Some(entry) = self.entries.get_mut(at).filter(|entry| !entry.is_being_told) else {
            return;
        };
        if let Some(due) = entry.due.take() {
            self.due.remove(&(due, at.clone()));
        }
        match entry.untold() {
            Some(Event::Occupied) => entry.due = Some(now),
            Some(Event::Vacated) => entry.due = Some(now + self.vacated_after),
            None if entry.is_occupied() => {}
            None => {
                self.entries.remove(at);
                return;
            }
        }
        if let Some(due) = entry.due {
            self.due.insert((due, at.clone()));
        }
    }

    pub fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    /// At most so many that are due. Each must be answered with `told` or `put_off`.
    pub fn take_due(&mut self, now: Duration, limit: usize) -> Vec<Turned> {
        let mut turned = Vec::new();
        while turned.len() < limit && self.due.first().is_some_and(|(due, _)| *due <= now) {
            let Some((_, at)) = self.due.pop_first() else { break };
            let Some(entry) = self.entries.get_mut(&at) else { continue };
            entry.due = None;
            if let Some(event) = entry.untold() {
                entry.is_being_told = true;
                turned.push(Turned { tenant: entry.tenant, event, at });
            }
        }
        turned
    }

    pub fn told(&mut self, turned: &Turned, now: Duration) {
        if let Some(entry) = self.entries.get_mut(&turned.at) {
            entry.told = Some(turned.event);
            entry.is_being_told = false;
            self.settle(&turned.at, now);
        }
    }

    /// It could not be told: again after this time, if it is still so.
    pub fn put_off(&mut self, turned: &Turned, until: Duration) {
        let Some(entry) = self.entries.get_mut(&turned.at) else { return };
        entry.is_being_told = false;
        if entry.untold().is_none() {
            self.settle(&turned.at, until);
        } else if entry.due.is_none() {
            entry.due = Some(until);
            self.due.insert((until, turned.at.clone()));
        }
    }

    /// The project is gone, and with it whoever would be told.
    pub fn forget(&mut self, project: types::ProjectId) {
        self.entries.retain(|at, _| at.project != project);
        self.due.retain(|(_, at)| at.project != project);
    }
}
