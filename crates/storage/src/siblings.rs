//! Publishers who come abreast share a flush. Whoever was just answered mostly sends again at once;
//! a group that begins with the first of them has the others wait for a flush of their own, and all
//! of them go out of step. So the writer waits a moment for those it expects, a small part of what
//! a flush takes. It must not know who they are.

use crate::group::Arrivals;
use std::time::Duration;

/// Of what a commit takes.
const SHARE: u32 = 4;
const LONGEST: Duration = Duration::from_micros(500);
/// With so many bytes waiting a flush is worth it as it is.
const BYTES_MAX: usize = crate::GROUP_BYTES_MAX / 2;
/// The weight of the newest commit in what one takes, as a part.
const NEWEST: u32 = 8;

#[derive(Default)]
pub struct Siblings {
    /// How many the last group held, with those that came during its flush.
    abreast: u64,
    /// Appends that had come when groups were gathered: the last, and the one before.
    gathered: u64,
    gathered_before: u64,
    gathered_at: Duration,
    settled_at: Duration,
    /// What a commit takes, smoothed.
    took: Duration,
}

/// What is worth waiting for.
#[derive(Debug, PartialEq, Eq)]
pub struct Wait {
    /// Enough when so many have come since the beginning.
    pub appends: u64,
    pub longest: Duration,
}

impl Siblings {
    /// `None`: the group is gathered at once.
    pub fn wait(&self, arrivals: Option<Arrivals>, now: Duration) -> Option<Wait> {
        let Arrivals { appends, bytes } = arrivals?;
        let here = appends.saturating_sub(self.gathered);
        // After a rest nobody is expected.
        let is_fresh = now.saturating_sub(self.settled_at) < self.took;
        let longest = (self.took / SHARE).min(LONGEST);
        let is_worth_it = here > 0 && here < self.abreast && bytes < BYTES_MAX && is_fresh;
        is_worth_it.then(|| Wait { appends: self.gathered + self.abreast, longest })
    }

    /// What has come by now is gathered.
    pub fn gathers(&mut self, arrivals: Option<Arrivals>, now: Duration) {
        let Some(arrivals) = arrivals else { return };
        self.gathered_before = std::mem::replace(&mut self.gathered, arrivals.appends);
        self.gathered_at = now;
    }

    pub fn settled(&mut self, arrivals: Option<Arrivals>, now: Duration) {
        let Some(arrivals) = arrivals else { return };
        self.abreast = arrivals.appends.saturating_sub(self.gathered_before);
        let took = now.saturating_sub(self.gathered_at);
        self.took = (self.took * (NEWEST - 1) + took) / NEWEST;
        self.settled_at = now;
    }
}
