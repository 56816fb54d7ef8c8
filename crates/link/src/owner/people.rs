//! Whom a worker may name in its calls: everybody the node has proven to it. The same claims under
//! the same switch, presented at the same place, are one number, so that a thousand connections of
//! one key are one entry.

use crate::call::{Proven, Who};
use crate::wire::encode;
use port::{Identity, RateState, TokenMark};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What makes two proofs one. Two tokens may say the same and be taken back one by one, and access
/// lists may ask where a credential was presented: neither crosses to the worker.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Same {
    /// Claims as they cross.
    claims: Vec<u8>,
    switch: usize,
    marks: Option<Arc<[TokenMark]>>,
    address: Option<IpAddr>,
    is_tls: bool,
}

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
        let same = Same {
            claims: encode(&claims),
            switch: Arc::as_ptr(identity.liveness()).addr(),
            marks: claims.marks.clone(),
            address: claims.origin.map(|origin| origin.address),
            is_tls: claims.origin.is_some_and(|origin| origin.is_tls),
        };
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
