//! Whom a worker may name in its calls: everybody the node has proven to it. The same claims under
//! the same switch are one number, so that a thousand connections of one key are one entry.

use crate::call::{Proven, Who};
use crate::wire::encode;
use port::{Identity, RateState};
use std::collections::HashMap;
use std::sync::Arc;

/// Claims as they cross, and the switch they stand under.
type Same = (Vec<u8>, usize);

struct Person {
    identity: Identity,
    same: Same,
    given: u64,
}

#[derive(Default)]
pub struct People {
    by_number: HashMap<Who, Person>,
    numbers: HashMap<Same, Who>,
    next: u64,
}

impl People {
    /// Gives the worker a number for somebody, or the one it has.
    pub fn give(&mut self, identity: Identity, rate: Option<RateState>) -> Proven {
        let claims = identity.claims().clone();
        // The switch is held by the entry: its address is nobody else's meanwhile.
        let same = (encode(&claims), Arc::as_ptr(identity.liveness()).addr());
        let who = *self.numbers.entry(same.clone()).or_insert_with(|| {
            self.next += 1;
            Who(self.next)
        });
        let person =
            self.by_number.entry(who).or_insert_with(|| Person { identity, same, given: 0 });
        person.given += 1;
        Proven { who, claims, rate }
    }

    pub fn get(&self, who: Who) -> Option<Identity> {
        self.by_number.get(&who).map(|person| person.identity.clone())
    }

    /// The worker has forgotten the number, which it had been given so often. Given again
    /// meanwhile, it stays.
    pub fn forgotten(&mut self, who: Who, given: u64) {
        let Some(person) = self.by_number.get_mut(&who) else {
            return;
        };
        person.given = person.given.saturating_sub(given);
        if person.given == 0
            && let Some(person) = self.by_number.remove(&who)
        {
            self.numbers.remove(&person.same);
        }
    }
}
