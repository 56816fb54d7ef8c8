//! Access lists and every version of them: who wrote it, when and why. What a list means is not
//! known here; whoever writes one has checked it.

use crate::audit::{Change, Entry};
use crate::entity::{access_list as table, project, tenant};
use crate::page::{PAGE_ITEMS_MAX, fetch_count};
use crate::projects::{parse, to_json};
use crate::{Actor, Page, Result, Tenancy, TenancyError};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::{Value, json};
use std::fmt;
use types::acl::LIST_BYTES_MAX;
use types::{AccessList, ProjectId, TenantId, TimestampMs};

/// Versions of one list that are kept; the oldest go first.
pub const LIST_VERSIONS_MAX: u64 = 100;
/// Bytes of a version's note.
const NOTE_BYTES_MAX: usize = 1_000;

/// Whose list it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListOwner {
    Installation,
    Tenant(TenantId),
    Project(TenantId, ProjectId),
}

impl ListOwner {
    fn tenant(self) -> Option<TenantId> {
        match self {
            ListOwner::Installation => None,
            ListOwner::Tenant(tenant) | ListOwner::Project(tenant, _) => Some(tenant),
        }
    }

    fn project(self) -> Option<ProjectId> {
        match self {
            ListOwner::Project(_, project) => Some(project),
            ListOwner::Installation | ListOwner::Tenant(_) => None,
        }
    }
}

impl fmt::Display for ListOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListOwner::Installation => f.write_str("installation"),
            ListOwner::Tenant(tenant) => write!(f, "{tenant}"),
            ListOwner::Project(_, project) => write!(f, "{project}"),
        }
    }
}

/// The newest versions of the lists that count in a project; 0 where there never was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct ListVersions {
    pub installation: u64,
    pub tenant: u64,
    pub project: u64,
}

impl ListVersions {
    /// Whether none of the lists was ever written.
    pub fn is_none(self) -> bool {
        self == ListVersions::default()
    }
}

/// What a version says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ListVersion {
    /// Counted from 1 without holes.
    pub version: u64,
    /// How many entries it has; 0 when the list was removed.
    pub entries: u64,
    /// There is no list since this version.
    pub is_removed: bool,
    pub actor: String,
    /// Why, in the words of whoever wrote it.
    pub note: String,
    pub at: TimestampMs,
}

/// A version to be written.
#[derive(Debug, Clone)]
pub struct NewListVersion {
    /// `None` removes the list.
    pub list: Option<AccessList>,
    /// The version it was made from, 0 when there was none: refused when it is not the newest.
    /// `None` replaces whatever there is.
    pub from: Option<u64>,
    pub note: String,
    /// For the audit trail: what is different, and how it came about.
    pub details: Value,
}

fn number(version: i64) -> Result<u64> {
    u64::try_from(version).map_err(|error| TenancyError::Corrupt(error.to_string()))
}

fn describe(row: &table::Model) -> Result<ListVersion> {
    Ok(ListVersion {
        version: number(row.version)?,
        entries: number(row.entries)?,
        is_removed: row.list.is_none(),
        actor: row.actor.clone(),
        note: row.note.clone(),
        at: row.at,
    })
}

fn read(row: table::Model) -> Result<(ListVersion, Option<AccessList>)> {
    Ok((describe(&row)?, row.list.map(parse).transpose()?))
}

fn of(owner: ListOwner) -> Select<table::Entity> {
    table::Entity::find().filter(table::Column::Owner.eq(owner.to_string()))
}

/// The owner's row, locked, so that versions of its list are written one after the other.
async fn lock(change: &Change<'_>, owner: ListOwner) -> Result<()> {
    let transaction = &change.transaction;
    match owner {
        ListOwner::Installation => Ok(()),
        ListOwner::Tenant(tenant) => {
            let found = tenant::Entity::find_by_id(tenant.0).lock_exclusive();
            let found = found.one(transaction).await?;
            found.map(|_| ()).ok_or(TenancyError::NotFound { what: "tenant" })
        }
        ListOwner::Project(tenant, project) => {
            crate::projects::locked(change, tenant, project).await.map(|_| ())
        }
    }
}

fn is_elsewhere(newest: u64) -> TenancyError {
    let message = format!("the list is at version {newest}: look at it again before you change it");
    TenancyError::conflict("version", message)
}

impl Tenancy {
    /// The newest version of a list, or the one named; `None` when there is no such version. The
    /// place is in what is given: the caller has checked it.
    pub async fn access_list(
        &self,
        owner: ListOwner,
        version: Option<u64>,
    ) -> Result<Option<(ListVersion, Option<AccessList>)>> {
        let mut rows = of(owner);
        if let Some(version) = version {
            let Ok(version) = i64::try_from(version) else { return Ok(None) };
            rows = rows.filter(table::Column::Version.eq(version));
        }
        let row = rows.order_by_desc(table::Column::Version).one(self.reader()).await?;
        row.map(read).transpose()
    }

    /// Newest first, older than `before`. The place is in what is given.
    pub async fn access_list_versions(
        &self,
        owner: ListOwner,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<ListVersion>> {
        let mut rows = of(owner);
        if let Some(before) = before {
            let before = i64::try_from(before).unwrap_or(i64::MAX);
            rows = rows.filter(table::Column::Version.lt(before));
        }
        let rows = rows.order_by_desc(table::Column::Version).limit(fetch_count(limit));
        Page::collect(rows.all(self.reader()).await?, limit, |row| describe(&row))
    }

    /// Writes the next version of a list. The place is in what is given; the caller has checked the
    /// list. Two that write at one moment from the same version: the later gets a conflict.
    pub async fn put_access_list(
        &self,
        owner: ListOwner,
        new: NewListVersion,
        by: &Actor,
    ) -> Result<ListVersion> {
        if new.note.len() > NOTE_BYTES_MAX || new.note.chars().any(char::is_control) {
            let rule = "at most 1000 bytes and no control characters";
            return Err(TenancyError::invalid("note", rule));
        }
        let list = new.list.as_ref().map(to_json).transpose()?;
        if list.as_ref().is_some_and(|list| list.to_string().len() > LIST_BYTES_MAX) {
            let rule = format!("a list has at most {LIST_BYTES_MAX} bytes");
            return Err(TenancyError::invalid("list", rule));
        }
        let change = self.change(by).await?;
        lock(&change, owner).await?;
        let newest = of(owner)
            .select_only()
            .column_as(table::Column::Version.max(), "version")
            .into_tuple::<Option<i64>>()
            .one(&change.transaction)
            .await?
            .flatten()
            .unwrap_or(0);
        if new.from.is_some_and(|from| i64::try_from(from) != Ok(newest)) {
            return Err(is_elsewhere(number(newest)?));
        }
        let entries = new.list.as_ref().map_or(0, |list| list.entries.len());
        let row = table::Model {
            owner: owner.to_string(),
            version: newest + 1,
            tenant_id: owner.tenant().map(|id| id.0),
            project_id: owner.project().map(|id| id.0),
            list,
            entries: i64::try_from(entries).unwrap_or(i64::MAX),
            actor: by.as_str().to_owned(),
            note: new.note,
            at: change.at,
        };
        table::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&change.transaction)
            .await
            .map_err(|error| match TenancyError::from(error) {
                TenancyError::Conflict { .. } => {
                    is_elsewhere(u64::try_from(newest + 1).unwrap_or(0))
                }
                other => other,
            })?;
        let oldest = row.version - i64::try_from(LIST_VERSIONS_MAX).unwrap_or(i64::MAX);
        table::Entity::delete_many()
            .filter(table::Column::Owner.eq(owner.to_string()))
            .filter(table::Column::Version.lte(oldest))
            .exec(&change.transaction)
            .await?;
        let made = describe(&row)?;
        let told = self.projects_told(&change, owner).await?;
        let action = if row.list.is_some() { "acl.update" } else { "acl.remove" };
        let details = json!({
            "version": made.version,
            "entries": made.entries,
            "note": made.note,
            "change": new.details,
        });
        let (tenant, project) = (owner.tenant(), owner.project());
        let entry = Entry { tenant, project, action, target: &owner, details };
        change.commit_told(entry, &told).await?;
        Ok(made)
    }

    /// A tenant's list is every one of its projects' as well: their followers of changes are told.
    async fn projects_told(&self, change: &Change<'_>, owner: ListOwner) -> Result<Vec<ProjectId>> {
        let ListOwner::Tenant(tenant) = owner else { return Ok(Vec::new()) };
        let ids = project::Entity::find()
            .select_only()
            .column(project::Column::Id)
            .filter(project::Column::TenantId.eq(tenant.0))
            .order_by_asc(project::Column::Id)
            .limit(PAGE_ITEMS_MAX as u64)
            .into_tuple::<Uuid>()
            .all(&change.transaction)
            .await?;
        Ok(ids.into_iter().map(ProjectId).collect())
    }

    /// The newest versions of the lists that count in a project.
    pub async fn access_list_heads(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<ListVersions> {
        let owners = [
            ListOwner::Installation,
            ListOwner::Tenant(tenant),
            ListOwner::Project(tenant, project),
        ];
        let names = owners.map(|owner| owner.to_string());
        let rows = table::Entity::find()
            .select_only()
            .column(table::Column::Owner)
            .column_as(table::Column::Version.max(), "version")
            .filter(table::Column::Owner.is_in(names.clone()))
            .group_by(table::Column::Owner)
            .into_tuple::<(String, i64)>()
            .all(self.reader())
            .await?;
        let newest = |name: &String| {
            let found = rows.iter().find(|(owner, _)| owner == name);
            found.map_or(Ok(0), |(_, version)| number(*version))
        };
        let [installation, tenant, project] = &names;
        Ok(ListVersions {
            installation: newest(installation)?,
            tenant: newest(tenant)?,
            project: newest(project)?,
        })
    }

    pub(crate) async fn delete_access_lists_of(
        &self,
        change: &Change<'_>,
        owner: ListOwner,
    ) -> Result<()> {
        table::Entity::delete_many()
            .filter(table::Column::Owner.eq(owner.to_string()))
            .exec(&change.transaction)
            .await?;
        Ok(())
    }
}
