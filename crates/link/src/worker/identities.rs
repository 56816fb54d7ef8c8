//! Who the owner has proven to this worker, by the number it gave them. Kept while somebody here
//! is them; a while later the owner is told that nobody is.

use crate::call::{Asker, Proven, Who};
use port::{Identity, Liveness, RateState, Refusal};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

struct Known {
    identity: Identity,
    /// How often the owner has given the number.
    given: u64,
    rate: Option<RateState>,
    /// Their requests are refused until then, on connections that carry several.
    exhausted: Option<(Instant, Refusal)>,
    /// Requests that no call has carried to the owner yet.
    requests: u64,
    /// Those of them that no call had carried at the last look either.
    left_over: u64,
    /// Nobody was them when it was last looked.
    is_idle: bool,
}

#[derive(Default)]
pub struct Identities {
    known: HashMap<Who, Known>,
    marks: HashMap<usize, Who>,
}

impl Identities {
    /// The identity behind what the owner answered. The owner looks at its own switch with every
    /// call, so this one is never switched off.
    pub fn take(&mut self, proven: Proven) -> Identity {
        let Proven { who, claims, rate } = proven;
        let known = self.known.entry(who).or_insert_with(|| {
            let identity = Identity::mint(claims, Arc::new(Liveness::default()));
            self.marks.insert(identity.mark(), who);
            Known {
                identity,
                given: 0,
                rate: None,
                exhausted: None,
                requests: 0,
                left_over: 0,
                is_idle: false,
            }
        });
        known.given += 1;
        known.rate = rate;
        known.is_idle = false;
        known.identity.clone()
    }

    /// Who asks: a request of theirs that was made and not counted is counted with the call.
    pub fn asker(&mut self, identity: &Identity) -> Option<Asker> {
        let who = self.who(identity)?;
        let known = self.known.get_mut(&who)?;
        let is_request = known.requests > 0;
        known.requests = known.requests.saturating_sub(1);
        known.left_over = known.left_over.saturating_sub(1);
        Some(Asker { who, is_request })
    }

    /// One more request of theirs, unless the owner said that their rate is used up.
    pub fn count_request(&mut self, identity: &Identity) -> Result<(), Refusal> {
        let who = self.who(identity);
        let Some(known) = who.and_then(|who| self.known.get_mut(&who)) else {
            return Ok(());
        };
        let left = known.exhausted.as_ref().and_then(|(until, why)| {
            until.checked_duration_since(Instant::now()).map(|left| (left, why))
        });
        if let Some((left, why)) = left {
            return Err(why.clone().retry_after(left));
        }
        known.requests += 1;
        Ok(())
    }

    /// Requests that asked the owner for nothing between the last look and this one, to be counted
    /// all the same; and whether others were made since, whose calls may be on their way.
    pub fn take_requests(&mut self) -> (Vec<(Who, u64)>, bool) {
        let (mut due, mut are_more) = (Vec::new(), false);
        for (&who, known) in self.known.iter_mut().filter(|(_, known)| known.requests > 0) {
            let left_over = std::mem::take(&mut known.left_over);
            known.requests -= left_over;
            known.left_over = known.requests;
            are_more |= known.requests > 0;
            if left_over > 0 {
                due.push((who, left_over));
            }
        }
        (due, are_more)
    }

    fn who(&self, identity: &Identity) -> Option<Who> {
        self.marks.get(&identity.mark()).copied()
    }

    /// As the owner told it when they were last proven.
    pub fn rate(&self, identity: &Identity) -> Option<RateState> {
        self.known.get(&self.who(identity)?)?.rate
    }

    /// Their rate is used up, as the owner says.
    pub fn exhausted(&mut self, who: Who, why: Refusal) {
        if let Some(known) = self.known.get_mut(&who) {
            known.exhausted = Some((Instant::now() + why.wait().unwrap_or_default(), why));
        }
    }

    /// Forgets those that nobody was at this look and the one before; answers how often each was
    /// given.
    pub fn take_forgotten(&mut self) -> Vec<(Who, u64)> {
        let mut forgotten = Vec::new();
        let marks = &mut self.marks;
        self.known.retain(|&who, known| {
            let was_idle = std::mem::replace(&mut known.is_idle, !known.identity.is_shared());
            if !(was_idle && known.is_idle) {
                return true;
            }
            marks.remove(&known.identity.mark());
            forgotten.push((who, known.given));
            false
        });
        forgotten
    }
}
