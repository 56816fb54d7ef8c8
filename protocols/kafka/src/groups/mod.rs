//! The coordinator of consumer groups: every group of every project that was used, its members in
//! memory, its offsets kept in the log. Nothing runs by itself: whoever waits for a round, or asks
//! something, turns the group on.

mod assign;
mod coordinated;
mod group;
mod member;
mod offsets;
mod reconcile;

pub use assign::{Assignor, Parts};
#[cfg(test)]
pub use assign::{Part, Subscriber, assign};
pub use coordinated::{Beat, Coordinated, JOIN, LEAVE_FOR_NOW, Subscription, Told};
#[cfg(test)]
pub use coordinated::{LEAVE, Stage};
#[cfg(test)]
pub use group::State;
pub use group::{Group, Terms};
pub use member::{Candidate, Joined, Synced};
pub use offsets::{At, Committed, number};
pub use reconcile::Subscribed;

use crate::call::Call;
use crate::config::Config;
use crate::errors;
use offsets::Offsets;
use parking_lot::Mutex;
use port::{Batches, Refusal, metric};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use types::acl::Named;
use types::{Operation, ProjectId, Scope, TimestampMs};

/// Whoever waits looks again after so long, whatever he was told to wait for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOK_MIN: Duration = Duration::from_millis(1);
/// Bytes of a group's name: it is part of a key.
const GROUP_BYTES_MAX: usize = 1_000;
/// Groups that are read at the start at least, whatever the limit is now.
const KEPT_GROUPS_MAX: usize = 100_000;
/// A few groups are looked after so often, when the project's clients ask something.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
const SWEPT_AT_ONCE: usize = 20;
/// How often it is noted, while offsets would be kept, that a group is in use.
const NOTES_A_RETENTION: i64 = 8;

/// The groups of one project.
#[derive(Default)]
struct OfProject {
    groups: BTreeMap<String, Arc<Slot>>,
    /// Behind which group it goes on to be looked for what nobody uses any more.
    swept: Option<String>,
    sweep_at: Duration,
}

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
    both: Mutex<Both>,
    /// Read when they are first asked for; held while some are written.
    pub offsets: tokio::sync::Mutex<Offsets>,
    /// When it last had members, as far as this process has seen.
    used_at: AtomicI64,
    changed: Notify,
}

/// A group is of the kind that its members speak; without members it may become of the other.
pub struct Both {
    pub classic: Group,
    pub coordinated: Coordinated,
    /// Of which kind its last members were.
    pub is_coordinated: bool,
}

impl Both {
    fn turn(&mut self, now: Duration) {
        self.classic.turn(now);
        self.coordinated.turn(now);
    }

    pub fn has_members(&self) -> bool {
        !self.classic.members.is_empty() || !self.coordinated.members.is_empty()
    }

    fn is_unused(&self) -> bool {
        self.classic.is_unused() && self.coordinated.members.is_empty()
    }

    fn rounds(&self) -> u64 {
        self.classic.rounds + self.coordinated.rounds
    }

    pub fn state_name(&self) -> &'static str {
        match self.is_coordinated {
            true => self.coordinated.stage().name(),
            false => self.classic.state.name(),
        }
    }

    /// Who sets or asks for offsets, as a member or from outside.
    pub fn check_committer(
        &self,
        (member, instance): (&str, Option<&str>),
        epoch: i32,
        knows_epochs: bool,
    ) -> Result<(), i16> {
        if epoch < 0 && member.is_empty() {
            let is_closed = self.has_members() || !self.classic.may_commit_from_outside();
            return if is_closed { Err(errors::UNKNOWN_MEMBER_ID) } else { Ok(()) };
        }
        if self.coordinated.members.is_empty() {
            return self.classic.check_member(member, instance, epoch);
        }
        if !knows_epochs && self.coordinated.members.contains_key(member) {
            return Err(errors::UNSUPPORTED_VERSION);
        }
        self.coordinated.check_member(member, epoch)
    }
}

impl Slot {
    fn new(name: &str, config: &Config, offsets: Offsets) -> Slot {
        let ms = Duration::from_millis;
        let terms = Terms {
            members_max: config.members_max,
            session_min: ms(config.session_ms_min),
            session_max: ms(config.session_ms_max),
            first_wait: ms(config.first_rebalance_ms),
            consumer_session: ms(config.consumer_session_ms),
        };
        let both = Both {
            classic: Group::new(terms),
            coordinated: Coordinated::new(terms),
            is_coordinated: false,
        };
        Slot {
            name: name.to_owned(),
            both: Mutex::new(both),
            offsets: tokio::sync::Mutex::new(offsets),
            used_at: AtomicI64::new(0),
            changed: Notify::new(),
        }
    }

    /// Neither members nor offsets. Whoever asks must know that nobody else has the slot.
    fn is_vacant(&self, now: Duration) -> bool {
        let mut both = self.both.lock();
        both.turn(now);
        both.is_unused() && self.offsets.try_lock().is_ok_and(|offsets| offsets.is_vacant())
    }

    /// Forgets offsets that nobody has used for as long as they are kept. A group with members
    /// keeps all; that it has some is noted now and then, for the time after a restart.
    pub async fn expire(&self, call: &Call) -> Result<(), Refusal> {
        let minutes = call.desk.config.offset_retention_minutes;
        let kept_ms = i64::try_from(minutes.saturating_mul(60_000)).unwrap_or(i64::MAX);
        let note_ms = kept_ms / NOTES_A_RETENTION;
        let mut offsets = self.offsets.lock().await;
        if self.with_both(call, |both, _| both.has_members()) {
            return offsets.note_use(call, &self.name, note_ms).await;
        }
        // What was last noted may be late by the time between two notes.
        let oldest = call.clock.now_ms().saturating_sub(kept_ms).saturating_sub(note_ms);
        if self.used_at.load(Ordering::Relaxed) >= oldest {
            return Ok(());
        }
        let count = offsets.expire(call, &self.name, oldest).await?;
        metrics::counter!(metric::KAFKA_OFFSETS_EXPIRED).increment(count as u64);
        Ok(())
    }

    /// Does something with the classic group, at its present time.
    pub fn with<T>(&self, call: &Call, act: impl FnOnce(&mut Group, Duration) -> T) -> T {
        self.with_both(call, |both, now| act(&mut both.classic, now))
    }

    /// The same with either kind.
    pub fn with_both<T>(&self, call: &Call, act: impl FnOnce(&mut Both, Duration) -> T) -> T {
        let now = call.clock.monotonic();
        let mut both = self.both.lock();
        let before = both.rounds();
        both.turn(now);
        let answer = act(&mut both, now);
        both.turn(now);
        metrics::counter!(metric::KAFKA_REBALANCES).increment(both.rounds() - before);
        if both.has_members() {
            self.used_at.store(call.clock.now_ms(), Ordering::Relaxed);
        }
        drop(both);
        self.changed.notify_waiters();
        answer
    }

    /// Waits for an answer, and turns the group on meanwhile.
    pub async fn wait<T>(&self, call: &Call, mut answer: oneshot::Receiver<T>) -> Option<T> {
        loop {
            // Before the look, so that no change between it and the wait is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let due = self.both.lock().classic.next_due();
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

/// Refuses what the client may not do with the group, as its scopes and access lists say.
pub fn check(call: &Call, group: &str, operation: Operation) -> Result<(), i16> {
    let checked = call.check_name((Named::ConsumerGroup, group), operation);
    checked.map_err(|refusal| errors::of_group(&refusal))
}

pub fn may(call: &Call, group: &str, operation: Operation) -> bool {
    check(call, group, operation).is_ok()
}

fn check_name(name: &str) -> Result<(), i16> {
    let is_fine = !name.is_empty() && name.len() <= GROUP_BYTES_MAX && !name.contains('\0');
    if is_fine { Ok(()) } else { Err(errors::INVALID_GROUP_ID) }
}

impl Groups {
    /// Those whose groups were asked for since the start.
    pub fn projects(&self) -> Vec<ProjectId> {
        self.projects.lock().keys().copied().collect()
    }

    /// The group of this name for a member, made if there is none.
    pub async fn open(&self, call: &Call, name: &str) -> Result<Arc<Slot>, i16> {
        check(call, name, Operation::Read)?;
        self.reopen(call, name).await
    }

    /// The group of this name for whom was let in before, made if there is none.
    pub async fn reopen(&self, call: &Call, name: &str) -> Result<Arc<Slot>, i16> {
        if let Some(slot) = self.look_up(call, name).await? {
            return Ok(slot);
        }
        check_name(name)?;
        let now = call.clock.monotonic();
        let mut projects = self.projects.lock();
        let groups = &mut projects.entry(call.who.project()).or_default().groups;
        if let Some(slot) = groups.get(name) {
            return Ok(Arc::clone(slot));
        }
        if groups.len() >= call.desk.config.groups_max {
            groups.retain(|_, slot| !can_go(slot, now));
        }
        if groups.len() >= call.desk.config.groups_max {
            return Err(errors::GROUP_MAX_SIZE_REACHED);
        }
        let slot = Arc::new(Slot::new(name, &call.desk.config, Offsets::default()));
        groups.insert(name.to_owned(), Arc::clone(&slot));
        Ok(slot)
    }

    /// The group of this name for whom may do this with it.
    pub async fn find(
        &self,
        call: &Call,
        name: &str,
        operation: Operation,
    ) -> Result<Option<Arc<Slot>>, i16> {
        check(call, name, operation)?;
        self.look_up(call, name).await
    }

    async fn look_up(&self, call: &Call, name: &str) -> Result<Option<Arc<Slot>>, i16> {
        self.load(call).await?;
        self.sweep(call).await;
        let projects = self.projects.lock();
        Ok(projects.get(&call.who.project()).and_then(|it| it.groups.get(name)).cloned())
    }

    /// The groups of the project that the client may see, in the order of their names.
    pub async fn list(&self, call: &Call) -> Result<Vec<Arc<Slot>>, i16> {
        check_scope(call)?;
        self.load(call).await?;
        self.sweep(call).await;
        let projects = self.projects.lock();
        let groups = projects.get(&call.who.project());
        let all: Vec<_> = groups.into_iter().flat_map(|it| it.groups.values().cloned()).collect();
        drop(projects);
        Ok(all.into_iter().filter(|slot| may(call, &slot.name, Operation::Describe)).collect())
    }

    /// Forgets the group and its offsets, unless it has members.
    pub async fn delete(&self, call: &Call, name: &str) -> Result<(), i16> {
        let slot = self.find(call, name, Operation::Manage).await?;
        let slot = slot.ok_or(errors::GROUP_ID_NOT_FOUND)?;
        let mut offsets = slot.offsets.lock().await;
        if slot.with_both(call, |both, _| both.has_members()) {
            return Err(errors::NON_EMPTY_GROUP);
        }
        offsets.forget_all(call, name).await.map_err(|refusal| errors::of_group(&refusal))?;
        drop(offsets);
        // Whoever found it meanwhile goes on with it: it is empty, and goes with the next sweep.
        drop(slot);
        let now = call.clock.monotonic();
        let mut projects = self.projects.lock();
        if let Some(of_project) = projects.get_mut(&call.who.project()) {
            of_project.groups.retain(|known, slot| known != name || !can_go(slot, now));
        }
        Ok(())
    }

    /// Looks after a few groups: forgets offsets that are kept no longer, and groups of which
    /// nothing is left. What fails is tried again when their turn comes again.
    async fn sweep(&self, call: &Call) {
        let now = call.clock.monotonic();
        let some: Vec<Arc<Slot>> = {
            let mut projects = self.projects.lock();
            let Some(of_project) = projects.get_mut(&call.who.project()) else { return };
            if of_project.sweep_at > now {
                return;
            }
            of_project.sweep_at = now + SWEEP_EVERY;
            let after = of_project.swept.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let rest = of_project.groups.range::<str, _>((after, Bound::Unbounded));
            rest.take(SWEPT_AT_ONCE).map(|(_, slot)| Arc::clone(slot)).collect()
        };
        for slot in &some {
            if let Err(refusal) = slot.expire(call).await {
                tracing::debug!(group = slot.name, %refusal, "what it keeps was not looked at");
            }
        }
        let names: Vec<String> = some.iter().map(|slot| slot.name.clone()).collect();
        drop(some);
        let mut projects = self.projects.lock();
        let Some(of_project) = projects.get_mut(&call.who.project()) else { return };
        for name in &names {
            if of_project.groups.get(name).is_some_and(|slot| can_go(slot, now)) {
                of_project.groups.remove(name);
            }
        }
        // At the end it begins anew.
        of_project.swept = names.into_iter().next_back();
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
        let slot = |(name, used_at): (String, TimestampMs)| {
            let offsets = Offsets::kept(used_at);
            let slot = Arc::new(Slot::new(&name, &call.desk.config, offsets));
            (name, slot)
        };
        let groups = names.into_iter().map(slot).collect();
        let of_project = OfProject { groups, ..OfProject::default() };
        self.projects.lock().insert(project, of_project);
        Ok(())
    }

    async fn kept(&self, call: &Call) -> Result<Vec<(String, TimestampMs)>, Refusal> {
        let batches: &dyn Batches = call.batches()?;
        // More than the limit, which may have been higher before.
        let limit = call.desk.config.groups_max.max(KEPT_GROUPS_MAX);
        offsets::groups(batches, &call.who, limit).await
    }
}

/// Nothing is left of the group, and only the table has it. The caller holds the table's lock,
/// under which alone others come to have it.
fn can_go(slot: &Arc<Slot>, now: Duration) -> bool {
    Arc::strong_count(slot) == 1 && slot.is_vacant(now)
}
