//! Projects as they were last read, and what to do when they changed. Tokens name a project before
//! anything is proven, so made-up ones are remembered and their number per second is bounded.

use crate::access::Meters;
use crate::cache::Cache;
use crate::key_check::Shared;
use crate::lists::ListTable;
use crate::liveness::{Holder, HolderKind};
use crate::refusal;
use crate::revocations::{Missing, Revocations};
use crate::secrets::Sealer;
use crate::settings::Settings;
use crate::snapshot::ProjectSnapshot;
use parking_lot::Mutex;
use port::{Change, Refusal};
use rules::{Gcra, Rate};
use std::sync::Arc;
use std::time::Duration;
use tenancy::{TenancyError, Verification};
use types::{ProjectId, TenantId};

/// Differences kept for `take_differences`; further ones are lost when nobody takes them.
const DIFFERENCES_MAX: usize = 20_000;
/// Attempts to read a project that keeps being changed meanwhile.
const READS_MAX: usize = 4;

pub(crate) struct Projects {
    shared: Shared,
    sealer: Sealer,
    lists: ListTable,
    meters: Arc<Meters>,
    known: Mutex<Cache<ProjectId, Arc<ProjectSnapshot>>>,
    unknown: Mutex<Cache<ProjectId, ()>>,
    differences: Mutex<Vec<Change>>,
    misses: Mutex<Gcra>,
    misses_rate: Rate,
    fresh_max: Duration,
    stale_max: Duration,
    unknown_max: Duration,
}

type Found = Option<Arc<ProjectSnapshot>>;

impl Projects {
    pub fn new(sealer: Sealer, shared: &Shared, settings: &Settings) -> Projects {
        Projects {
            shared: shared.clone(),
            sealer,
            lists: ListTable::new(Arc::clone(&shared.clock)),
            meters: Arc::new(Meters::new()),
            known: Mutex::new(Cache::new(settings.projects_max)),
            unknown: Mutex::new(Cache::new(settings.projects_max)),
            differences: Mutex::default(),
            misses: Mutex::default(),
            misses_rate: Rate::per_second(settings.unknown_projects_per_second_max),
            fresh_max: Duration::from_millis(settings.fresh_ms_max),
            stale_max: Duration::from_millis(settings.stale_ms_max),
            unknown_max: Duration::from_millis(settings.unknown_ms_max),
        }
    }

    /// What is remembered, however old, without asking anybody.
    pub fn remembered(&self, project: ProjectId) -> Found {
        self.known.lock().get(&project).map(|entry| Arc::clone(&entry.value))
    }

    /// The project as it was at most the configured time ago; `None` when there is none.
    pub async fn get(&self, project: ProjectId) -> Result<Found, Refusal> {
        self.get_within(project, self.fresh_max).await
    }

    async fn get_within(&self, project: ProjectId, age_max: Duration) -> Result<Found, Refusal> {
        if let Some(answer) = self.fresh(project, age_max) {
            return Ok(answer);
        }
        let _place = self.shared.gate.enter().await?;
        // Somebody may have read it while this one waited.
        if let Some(answer) = self.fresh(project, age_max) {
            return Ok(answer);
        }
        let is_unknown = self.remembered(project).is_none();
        let misses = *self.misses.lock();
        if is_unknown && misses.admits(self.misses_rate, 1, self.shared.clock.monotonic()).is_err()
        {
            return Err(refusal::too_many_waiting());
        }
        for _ in 0..READS_MAX {
            let epoch = self.shared.epoch.get();
            let now = self.shared.clock.monotonic();
            let found = match self.read(project).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%project, %error, "a project cannot be looked up");
                    let known = self.known.lock();
                    let stale = known.get(&project).filter(|e| e.age(now) < self.stale_max);
                    let stale = stale.map(|entry| Arc::clone(&entry.value));
                    return stale.map(Some).ok_or_else(refusal::database_silent);
                }
            };
            if self.keep(project, found.as_ref(), epoch, now) {
                return Ok(found);
            }
        }
        Err(refusal::too_many_waiting())
    }

    /// The project as it is now, with its lists: those of before when they are the same.
    async fn read(&self, project: ProjectId) -> Result<Found, TenancyError> {
        let directory = &*self.shared.directory;
        let Some(found) = directory.project(project).await? else { return Ok(None) };
        let before = self.remembered(project);
        let before = before.as_ref().and_then(|before| before.lists.as_ref());
        let whose = (found.tenant.id, project);
        let lists = self.lists.get(directory, whose, found.lists, before).await?;
        let revoked = self.revocations(&found).await?;
        let snapshot = ProjectSnapshot::new(found, lists, revoked, &self.meters, &self.sealer);
        Ok(Some(Arc::new(snapshot)))
    }

    /// The project's revocations: those of before when nothing came of late and none is over.
    async fn revocations(&self, found: &Verification) -> Result<Arc<Revocations>, TenancyError> {
        let (project, head) = (found.project.id, found.revocations);
        let known = self.remembered(project).map(|before| Arc::clone(&before.tokens.revoked));
        let known = known.unwrap_or_default();
        let now = self.shared.clock.now_ms();
        let after = match known.missing(head) {
            Missing::Nothing if !known.has_ended(now) => return Ok(known),
            Missing::Nothing => {
                return Ok(Arc::new(Revocations::new(head, Some(&known), &[], now)));
            }
            Missing::Since(version) => version,
            Missing::All => 0,
        };
        let directory = &self.shared.directory;
        let new = directory.revocations(found.tenant.id, project, after).await?;
        let before = (after > 0).then_some(&*known);
        Ok(Arc::new(Revocations::new(head, before, &new, now)))
    }

    fn fresh(&self, project: ProjectId, age_max: Duration) -> Option<Found> {
        let now = self.shared.clock.monotonic();
        let known = self.known.lock();
        if let Some(entry) = known.get(&project).filter(|entry| entry.age(now) < age_max) {
            return Some(Some(Arc::clone(&entry.value)));
        }
        drop(known);
        let unknown = self.unknown.lock();
        let missing = unknown.get(&project).filter(|entry| entry.age(now) < self.unknown_max);
        missing.map(|_| None)
    }

    /// `false` when something was changed since `epoch`; then nothing is kept.
    fn keep(
        &self,
        project: ProjectId,
        found: Option<&Arc<ProjectSnapshot>>,
        epoch: u64,
        now: Duration,
    ) -> bool {
        // Both locks, always in this order: a change that comes later expires what is put here.
        let (mut known, mut unknown) = (self.known.lock(), self.unknown.lock());
        if self.shared.epoch.get() != epoch {
            return false;
        }
        if let Some(before) = known.get(&project) {
            self.note_differences(&before.value, found.map(Arc::as_ref));
        }
        match found {
            Some(found) => {
                known.insert(project, Arc::clone(found), now);
                unknown.remove(&project);
            }
            None => {
                known.remove(&project);
                unknown.insert(project, (), now);
                // Refused only before asking; here the question has been asked already.
                let _ = self.misses.lock().take(self.misses_rate, 1, now);
            }
        }
        true
    }

    /// What is remembered of these projects no longer counts. The epoch must have been advanced.
    pub fn expire(&self, project: ProjectId) {
        self.known.lock().expire(&project);
        self.unknown.lock().clear();
    }

    /// The remembered projects of a tenant.
    pub fn of_tenant(&self, tenant: TenantId) -> Vec<ProjectId> {
        let known = self.known.lock();
        let of_tenant = known.iter().filter(|(_, entry)| entry.value.tenant == tenant);
        of_tenant.map(|(project, _)| *project).collect()
    }

    /// Reads the project again if it is due and ends the sessions of tokens whose key it no longer
    /// trusts; `true` when it ended some. It is due at half the time it is trusted for, like keys.
    pub async fn review(&self, project: ProjectId) -> Result<bool, Refusal> {
        let after = self.get_within(project, self.fresh_max / 2).await?;
        Ok(self.revoke_untrusted(project, after.as_deref()))
    }

    /// What turned out to be different since the last call, whoever read it.
    pub fn take_differences(&self) -> Vec<Change> {
        std::mem::take(&mut *self.differences.lock())
    }

    /// Equal ones are told once.
    fn note_differences(&self, before: &ProjectSnapshot, after: Option<&ProjectSnapshot>) {
        let is_standing_new = after.is_some_and(|after| {
            before.status != after.status
                || before.plan != after.plan
                || before.bounds != after.bounds
                || before.stop != after.stop
        });
        let is_project_new = after.is_none_or(|after| {
            before.limits != after.limits || before.list_versions() != after.list_versions()
        });
        let mut differences = self.differences.lock();
        for (is_new, change) in [
            (is_standing_new, Change::Tenant(before.tenant)),
            (is_project_new, Change::Project(before.project)),
        ] {
            let has_room = differences.len() < DIFFERENCES_MAX;
            if is_new && has_room && !differences.contains(&change) {
                differences.push(change);
            }
        }
    }

    fn revoke_untrusted(&self, project: ProjectId, now: Option<&ProjectSnapshot>) -> bool {
        let livenesses = &self.shared.livenesses;
        let ended = livenesses
            .in_use()
            .into_iter()
            .map(|(holder, _)| holder)
            .filter(|holder| holder.project == project && !self.is_trusted(&holder.kind, now))
            .filter(|holder| livenesses.revoke(holder))
            .count();
        ended > 0
    }

    /// Called after the holder's switch was taken: either the project remembered now still trusts
    /// it, or the change that ended this trust will find the switch.
    pub fn still_trusts(&self, holder: &Holder, proven: &ProjectSnapshot) -> bool {
        let remembered = self.remembered(holder.project);
        self.is_trusted(&holder.kind, Some(remembered.as_deref().unwrap_or(proven)))
    }

    fn is_trusted(&self, kind: &HolderKind, now: Option<&ProjectSnapshot>) -> bool {
        match (kind, now) {
            (HolderKind::ApiKey { .. }, _) => true,
            (_, None) => false,
            (HolderKind::SigningKey(key), Some(now)) => now.tokens.has_key(*key),
            (HolderKind::KeySet { url, key }, Some(now)) => {
                now.tokens.settings.jwks_url.as_deref() == Some(url)
                    && self.shared.key_sets.publishes(url, key)
            }
            (HolderKind::Operator | HolderKind::Platform, Some(_)) => true,
        }
    }
}
