//! The subscriptions of one connection: which tag stands for which of the client's numbers. Tags
//! are never used twice in a row for one place, so an event that was under way when its
//! subscription ended finds nothing.

use crate::frame::SubId;
use port::feed::Fed;
use port::{Code, Credits, Refusal};
use std::any::Any;
use std::sync::Arc;
use types::SubscriptionTag;
use types::limits::SUBSCRIPTIONS_PER_CONNECTION_MAX;

/// Low bits of a tag are the place in the table, the others count its uses.
const PLACE_BITS: u32 = 10;
/// Each subscription may have a second entry, for presence.
const PLACES_MAX: usize = 2 * SUBSCRIPTIONS_PER_CONNECTION_MAX;
const _: () = assert!(PLACES_MAX <= 1 << PLACE_BITS);

/// Events kept at most for a subscription whose answer is not yet written. The hub may feed a
/// subscription a turn before the session hears that it exists, not longer.
pub const EARLY_EVENTS_MAX: usize = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Records,
    /// Changes of presence at the addresses the subscription of the same number follows.
    Presence,
    /// Only how many are there.
    PresenceCounts,
}

pub enum State {
    /// Asked of the hub, not answered to the client: what comes is kept in order.
    Starting(Vec<Fed>),
    /// Dropping the guard ends it.
    Open(#[allow(dead_code, reason = "held for its drop")] Box<dyn Any + Send + Sync>),
}

pub struct Entry {
    pub sub: SubId,
    pub kind: Kind,
    pub state: State,
    /// What few subscriptions have.
    pub extras: Option<Box<Extras>>,
}

/// The session's part of a shaped subscription.
pub struct Extras {
    /// Records that come together go in one frame.
    pub is_batched: bool,
    pub credits: Option<Arc<Credits>>,
}

#[derive(Default)]
struct Place {
    uses: u32,
    entry: Option<Entry>,
}

#[derive(Default)]
pub struct Subscriptions {
    places: Vec<Place>,
}

impl Subscriptions {
    /// Takes a place for a subscription that is about to be asked for.
    pub fn reserve(
        &mut self,
        sub: SubId,
        kind: Kind,
        subscriptions_max: usize,
    ) -> Result<SubscriptionTag, Refusal> {
        let records = || self.entries().filter(|entry| entry.kind == Kind::Records);
        if kind == Kind::Records && records().any(|entry| entry.sub == sub) {
            let message = format!("the subscription {sub} is open");
            return Err(Refusal::new(Code::Conflict, message)
                .field("sub")
                .hint("unsubscribe it first, or choose another number"));
        }
        if kind == Kind::Records && records().count() >= subscriptions_max {
            let message = format!("the connection has its {subscriptions_max} subscriptions open");
            return Err(Refusal::new(Code::ProjectLimitExceeded, message)
                .field("sub")
                .hint("unsubscribe one, use a wider filter, or open another connection"));
        }
        let free = self.places.iter().position(|place| place.entry.is_none());
        let index = free.unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() - 1
        });
        let uses_max = u32::MAX >> PLACE_BITS;
        // Just found or made, so it is there.
        let place = &mut self.places[index];
        place.uses = if place.uses == uses_max { 0 } else { place.uses + 1 };
        place.entry = Some(Entry { sub, kind, state: State::Starting(Vec::new()), extras: None });
        // Below `PLACES_MAX`: each number has at most two entries and their count is bounded.
        Ok(SubscriptionTag(place.uses << PLACE_BITS | index as u32))
    }

    pub fn get(&mut self, tag: SubscriptionTag) -> Option<&mut Entry> {
        self.place(tag)?.entry.as_mut()
    }

    pub fn remove(&mut self, tag: SubscriptionTag) -> Option<Entry> {
        self.place(tag)?.entry.take()
    }

    /// Ends everything under a number; answers whether there was something.
    pub fn remove_all(&mut self, sub: SubId) -> bool {
        let mut found = false;
        for place in &mut self.places {
            if place.entry.as_ref().is_some_and(|entry| entry.sub == sub) {
                place.entry = None;
                found = true;
            }
        }
        found
    }

    /// The subscription is answered; what came before is the caller's to send now.
    pub fn open(
        &mut self,
        tag: SubscriptionTag,
        guard: Box<dyn Any + Send + Sync>,
    ) -> Option<(SubId, Kind, Vec<Fed>)> {
        let entry = self.get(tag)?;
        match std::mem::replace(&mut entry.state, State::Open(guard)) {
            State::Starting(early) => Some((entry.sub, entry.kind, early)),
            State::Open(_) => Some((entry.sub, entry.kind, Vec::new())),
        }
    }

    /// What a client's subscription has beyond others; `None` when there is no such number.
    pub fn extras(&self, sub: SubId) -> Option<Option<&Extras>> {
        let mut entries = self.entries();
        let found = entries.find(|entry| entry.sub == sub && entry.kind == Kind::Records)?;
        Some(found.extras.as_deref())
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.places.iter().filter_map(|place| place.entry.as_ref())
    }

    fn place(&mut self, tag: SubscriptionTag) -> Option<&mut Place> {
        let index = tag.0 & ((1 << PLACE_BITS) - 1);
        let place = self.places.get_mut(usize::try_from(index).ok()?)?;
        (place.uses == tag.0 >> PLACE_BITS).then_some(place)
    }
}
