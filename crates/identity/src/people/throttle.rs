//! Slows guessing down: who failed too often waits, twice as long each time. Counted before the
//! attempt, so that many at the same moment do not slip through; what succeeds is taken back. Kept
//! in memory, of this process. It must not know what is guessed.

use super::settings::ThrottleSettings;
use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use stdx::Clock;

/// One second is the first wait, doubled at most so often.
const DOUBLINGS_MAX: u32 = 20;

/// Whose failures are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    name: [u8; 16],
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Account,
    Address,
}

fn name_of(text: &str) -> [u8; 16] {
    let mut name = [0; 16];
    name.copy_from_slice(&digest(&SHA256, text.as_bytes()).as_ref()[..16]);
    name
}

impl Subject {
    /// An account as it was typed, on a device it is used on, or on any other.
    pub(crate) fn account(email: &str, known_device: Option<&[u8]>) -> Subject {
        let device = known_device.map(|hash| format!("{hash:02x?}")).unwrap_or_default();
        Subject {
            name: name_of(&format!("{}\n{device}", email.to_lowercase())),
            kind: Kind::Account,
        }
    }

    pub(crate) fn address(address: &str) -> Subject {
        Subject { name: name_of(address), kind: Kind::Address }
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    failures: u32,
    /// No attempt before then.
    free_at: Duration,
    seen_at: Duration,
    /// Somebody was turned away since the last attempt.
    is_told: bool,
}

pub(crate) struct Throttle {
    settings: ThrottleSettings,
    clock: Arc<dyn Clock>,
    entries: Mutex<HashMap<Subject, Entry>>,
}

/// An attempt that has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub(crate) wait: Duration,
    /// The first refusal since the last attempt: what is worth a line in the trail.
    pub(crate) is_news: bool,
}

impl Throttle {
    pub(crate) fn new(settings: ThrottleSettings, clock: Arc<dyn Clock>) -> Throttle {
        Throttle { settings, clock, entries: Mutex::default() }
    }

    /// Counts an attempt as failed for each of the subjects, or tells how long to wait.
    pub(crate) fn admit(&self, subjects: &[Subject]) -> Result<(), Blocked> {
        let now = self.clock.monotonic();
        let mut entries = self.entries.lock();
        let mut blocked: Option<Blocked> = None;
        for subject in subjects {
            let Some(entry) = entries.get_mut(subject) else { continue };
            if entry.free_at > now {
                let is_news = !std::mem::replace(&mut entry.is_told, true);
                let wait = blocked.map_or(Duration::ZERO, |known| known.wait);
                blocked = Some(Blocked { wait: wait.max(entry.free_at - now), is_news });
            }
        }
        if let Some(blocked) = blocked {
            return Err(blocked);
        }
        for subject in subjects {
            self.make_room(&mut entries, now);
            let entry = entries.entry(*subject).or_insert(Entry {
                failures: 0,
                free_at: now,
                seen_at: now,
                is_told: false,
            });
            if now.saturating_sub(entry.seen_at) > self.memory() {
                entry.failures = 0;
            }
            entry.failures = entry.failures.saturating_add(1);
            entry.seen_at = now;
            entry.is_told = false;
            entry.free_at = now + self.step(subject.kind, entry.failures);
        }
        Ok(())
    }

    /// The attempt succeeded: the account starts anew, and its address has one failure less.
    pub(crate) fn forgive(&self, subjects: &[Subject]) {
        let now = self.clock.monotonic();
        let mut entries = self.entries.lock();
        for subject in subjects {
            match subject.kind {
                Kind::Account => {
                    entries.remove(subject);
                }
                Kind::Address => {
                    if let Some(entry) = entries.get_mut(subject) {
                        entry.failures = entry.failures.saturating_sub(1);
                        entry.free_at = now;
                    }
                }
            }
        }
    }

    fn memory(&self) -> Duration {
        Duration::from_millis(self.settings.memory_ms)
    }

    /// The wait after so many failures.
    fn step(&self, kind: Kind, failures: u32) -> Duration {
        let free = match kind {
            Kind::Account => self.settings.account_failures_max,
            Kind::Address => self.settings.address_failures_max,
        };
        match failures.checked_sub(free) {
            None => Duration::ZERO,
            Some(beyond) => {
                let wait = Duration::from_secs(1 << beyond.min(DOUBLINGS_MAX));
                wait.min(Duration::from_millis(self.settings.wait_ms_max))
            }
        }
    }

    fn make_room(&self, entries: &mut HashMap<Subject, Entry>, now: Duration) {
        if entries.len() < self.settings.entries_max {
            return;
        }
        let memory = self.memory();
        entries.retain(|_, entry| now.saturating_sub(entry.seen_at) <= memory);
        if entries.len() >= self.settings.entries_max {
            // Who failed least, and longest ago, loses least by being forgotten.
            let least = entries.iter().min_by_key(|(_, entry)| (entry.failures, entry.seen_at));
            if let Some(least) = least.map(|(subject, _)| *subject) {
                entries.remove(&least);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        self.entries.lock().len()
    }
}
