//! The coordinator of consumer groups: every group of every project that was used, its members in
//! memory, its offsets kept in the log. Nothing runs by itself: whoever waits for a round, or asks
//! something, turns the group on.

mod group;
mod member;
mod offsets;

pub use group::{Group, State, Terms};
pub use member::{Candidate, Joined, Synced};
pub use offsets::{At, Committed};

use crate::call::Call;
use crate::config::Config;
use crate::errors;
use offsets::Offsets;
use parking_lot::Mutex;
use port::{Batches, Refusal, metric};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use types::{ProjectId, Scope};

/// Whoever waits looks again after so long, whatever he was told to wait for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOK_MIN: Duration = Duration::from_millis(1);
/// Bytes of a group's name: it is part of a key.
const GROUP_BYTES_MAX: usize = 1_000;

type OfProject = BTreeMap<String, Arc<Slot>>;

#[derive(Default)]
pub struct Groups {
    /// A project is here with all the groups that are kept, or not at all.
    projects: Mutex<HashMap<ProjectId, OfProject>>,
    /// Held while a project's groups are read.
    loading: tokio::sync::Mutex<()>,
}

/// One group.
pub struct Slot {
    pub name: String,
    pub group: Mutex<Group>,
    /// Read when they are first asked for; held while some are written.
    pub offsets: tokio::sync::Mutex<Offsets>,
    changed: Notify,
}

impl Slot {
    fn new(name: &str, config: &Config) -> Slot {
        let ms = Duration::from_millis;
        let terms = Terms {
            members_max: config.members_max,
            session_min: ms(config.session_ms_min),
            session_max: ms(config.session_ms_max),
            first_wait: ms(config.first_rebalance_ms),
        };
        Slot {
            name: name.to_owned(),
            group: Mutex::new(Group::new(terms)),
            offsets: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Does something with the group, at its present time.
    pub fn with<T>(&self, call: &Call, act: impl FnOnce(&mut Group, Duration) -> T) -> T {
        let now = call.clock.monotonic();
        let mut group = self.group.lock();
        let before = group.rounds;
        let answer = act(&mut group, now);
        group.turn(now);
        metrics::counter!(metric::KAFKA_REBALANCES).increment(group.rounds - before);
        drop(group);
        self.changed.notify_waiters();
        answer
    }

    /// Waits for an answer, and turns the group on meanwhile.
    pub async fn wait<T>(&self, call: &Call, mut answer: oneshot::Receiver<T>) -> Option<T> {
        loop {
            // Before the look, so that no change between it and the wait is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let due = self.group.lock().next_due();
            let wait = due.map_or(LOOK_EVERY, |due| due.saturating_sub(call.clock.monotonic()));
            tokio::select! {
                biased;
                answer = &mut answer => return answer.ok(),
                () = changed => {}
                () = tokio::time::sleep(wait.clamp(LOOK_MIN, LOOK_EVERY)) => {
                    self.with(call, |_, _| ());
                }
            }
        }
    }
}

/// Who works with groups may read; nobody else learns which there are.
pub fn check_scope(call: &Call) -> Result<(), i16> {
    if call.who.claims().scopes.has(Scope::EventsSubscribe) {
        return Ok(());
    }
    Err(errors::GROUP_AUTHORIZATION_FAILED)
}

fn check_name(name: &str) -> Result<(), i16> {
    let is_fine = !name.is_empty() && name.len() <= GROUP_BYTES_MAX && !name.contains('\0');
    if is_fine { Ok(()) } else { Err(errors::INVALID_GROUP_ID) }
}

impl Groups {
    /// The group of this name, made if there is none.
    pub async fn open(&self, call: &Call, name: &str) -> Result<Arc<Slot>, i16> {
        check_scope(call)?;
        check_name(name)?;
        self.load(call).await?;
        let mut projects = self.projects.lock();
        let groups = projects.entry(call.who.project()).or_default();
        if let Some(slot) = groups.get(name) {
            return Ok(Arc::clone(slot));
        }
        if groups.len() >= call.desk.config.groups_max {
            return Err(errors::GROUP_MAX_SIZE_REACHED);
        }
        let slot = Arc::new(Slot::new(name, &call.desk.config));
        groups.insert(name.to_owned(), Arc::clone(&slot));
        Ok(slot)
    }

    pub async fn find(&self, call: &Call, name: &str) -> Result<Option<Arc<Slot>>, i16> {
        check_scope(call)?;
        self.load(call).await?;
        let projects = self.projects.lock();
        Ok(projects.get(&call.who.project()).and_then(|groups| groups.get(name)).cloned())
    }

    /// All groups of the project in the order of their names.
    pub async fn list(&self, call: &Call) -> Result<Vec<Arc<Slot>>, i16> {
        check_scope(call)?;
        self.load(call).await?;
        let projects = self.projects.lock();
        let groups = projects.get(&call.who.project());
        Ok(groups.into_iter().flat_map(|groups| groups.values().cloned()).collect())
    }

    /// Forgets the group and its offsets, unless it has members.
    pub async fn delete(&self, call: &Call, name: &str) -> Result<(), i16> {
        let slot = self.find(call, name).await?.ok_or(errors::GROUP_ID_NOT_FOUND)?;
        if slot.with(call, |group, _| group.state) != State::Empty {
            return Err(errors::NON_EMPTY_GROUP);
        }
        let mut offsets = slot.offsets.lock().await;
        offsets.forget_all(call, name).await.map_err(|refusal| errors::of_group(&refusal))?;
        let mut projects = self.projects.lock();
        if let Some(groups) = projects.get_mut(&call.who.project()) {
            groups.remove(name);
        }
        Ok(())
    }

    /// Reads which groups the project has, once.
    async fn load(&self, call: &Call) -> Result<(), i16> {
        let project = call.who.project();
        if self.projects.lock().contains_key(&project) {
            return Ok(());
        }
        let _one_at_a_time = self.loading.lock().await;
        if self.projects.lock().contains_key(&project) {
            return Ok(());
        }
        let names = self.kept(call).await.map_err(|refusal| errors::of_group(&refusal))?;
        let slot = |name: String| {
            let slot = Arc::new(Slot::new(&name, &call.desk.config));
            (name, slot)
        };
        let groups = names.into_iter().map(slot).collect();
        self.projects.lock().insert(project, groups);
        Ok(())
    }

    async fn kept(&self, call: &Call) -> Result<Vec<String>, Refusal> {
        let batches: &dyn Batches = call.batches()?;
        let limit = call.desk.config.groups_max;
        offsets::groups(batches, &call.who, limit).await
    }
}
