//! The access lists of projects, compiled when they changed and shared until they do: those of the
//! installation and of a tenant by all whom they bind.

use crate::cache::Cache;
use crate::directory::Directory;
use parking_lot::Mutex;
use port::metric;
use rules::acl::{AccessRules, CompiledList, Groups, Tier};
use std::sync::Arc;
use std::time::Duration;
use stdx::Clock;
use tenancy::{ListOwner, ListVersions, TenancyError};
use types::{AccessList, ProjectId, TenantId};

/// Compiled lists remembered, besides those in use.
const LISTS_MAX: usize = 1_000;

/// What counts in one project.
#[derive(Debug)]
pub(crate) struct Lists {
    pub versions: ListVersions,
    pub rules: AccessRules,
}

/// A list in the versions that it was compiled from: those above it matter for its groups.
type Known = (ListVersions, Option<Arc<CompiledList>>);

pub(crate) struct ListTable {
    compiled: Mutex<Cache<ListOwner, Known>>,
    clock: Arc<dyn Clock>,
}

impl ListTable {
    pub fn new(clock: Arc<dyn Clock>) -> ListTable {
        ListTable { compiled: Mutex::new(Cache::new(LISTS_MAX)), clock }
    }

    /// The lists that count in a project in these versions; those in `before` when they are the
    /// same, so that what was remembered of them is not lost.
    pub async fn get(
        &self,
        directory: &dyn Directory,
        (tenant, project): (TenantId, ProjectId),
        versions: ListVersions,
        before: Option<&Arc<Lists>>,
    ) -> Result<Option<Arc<Lists>>, TenancyError> {
        if versions.is_none() {
            return Ok(None);
        }
        if let Some(same) = before.filter(|before| before.versions == versions) {
            return Ok(Some(Arc::clone(same)));
        }
        let none = ListVersions::default();
        let ListVersions { installation, tenant: of_tenant, .. } = versions;
        let wanted = [
            (Tier::Installation, ListOwner::Installation, ListVersions { installation, ..none }),
            (
                Tier::Tenant,
                ListOwner::Tenant(tenant),
                ListVersions { installation, tenant: of_tenant, ..none },
            ),
            (Tier::Project, ListOwner::Project(tenant, project), versions),
        ];
        let numbers = [installation, of_tenant, versions.project];
        let mut lists: Vec<Arc<CompiledList>> = Vec::with_capacity(wanted.len());
        for ((tier, owner, versions), number) in wanted.into_iter().zip(numbers) {
            if number == 0 {
                continue;
            }
            let groups = lists.last().map(|above| above.groups().clone()).unwrap_or_default();
            let found = self.one(directory, tier, owner, (versions, number), groups).await?;
            lists.extend(found);
        }
        // All that was there was removed again.
        if lists.is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(Lists { versions, rules: AccessRules::new(lists) })))
    }

    async fn one(
        &self,
        directory: &dyn Directory,
        tier: Tier,
        owner: ListOwner,
        (versions, number): (ListVersions, u64),
        above: Groups,
    ) -> Result<Option<Arc<CompiledList>>, TenancyError> {
        let known = self.compiled.lock().get(&owner).map(|entry| entry.value.clone());
        if let Some((_, list)) = known.filter(|(of, _)| *of == versions) {
            return Ok(list);
        }
        let found = directory.list(owner, number).await?;
        let compiled = match found {
            Some(list) => Some(self.compile(tier, list, above).await?),
            None => None,
        };
        let now = self.clock.monotonic();
        self.compiled.lock().insert(owner, (versions, compiled.clone()), now);
        Ok(compiled)
    }

    /// Off the threads that carry requests: a large list takes tens of milliseconds.
    async fn compile(
        &self,
        tier: Tier,
        list: AccessList,
        above: Groups,
    ) -> Result<Arc<CompiledList>, TenancyError> {
        let started = self.clock.monotonic();
        let work = move || Arc::new(CompiledList::new(tier, &list, &above));
        let compiled = tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| TenancyError::Database(error.to_string()))?;
        let took: Duration = self.clock.monotonic().saturating_sub(started);
        metrics::histogram!(metric::ACL_COMPILE_SECONDS).record(took.as_secs_f64());
        Ok(compiled)
    }
}
