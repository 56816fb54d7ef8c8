//! What the security checks look at, of one tenant or of all: people with their roles, keys that
//! count, webhooks and access lists as they are in force, each in one bounded answer. It must not
//! judge, and answers no secret.

use crate::bindings::read as read_binding;
use crate::entity::{
    access_list, api_key, role_binding, second_factor, session, signing_key, user, webhook,
};
use crate::keys::read as read_key;
use crate::page::fetch_count;
use crate::projects::parse;
use crate::sessions::read as read_session;
use crate::users::read as read_user;
use crate::{
    ApiKey, Binding, ListOwner, Page, Result, Session, SessionId, SigningKeyId, Tenancy, User,
    WebhookId,
};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::SelectStatement;
use sea_orm::{Condition, QueryOrder, QuerySelect, QueryTrait};
use std::collections::{HashMap, HashSet};
use types::{AccessList, ProjectId, TenantId, TimestampMs};

/// Records of one kind that are looked at; what is beyond is said to be left out.
pub const SURVEY_MAX: usize = 10_000;
/// Access lists, of which each may be large.
pub const SURVEY_LISTS_MAX: usize = 1_000;

/// Somebody with what he may do, and how he proves who he is.
#[derive(Debug, Clone, PartialEq)]
pub struct SurveyedPerson {
    pub user: User,
    /// A password alone does not let him in.
    pub is_strong: bool,
    /// Of the place that was looked at.
    pub bindings: Vec<Binding>,
}

/// A key that checks tokens: its identifier, its name in tokens, and since when it is there.
pub type SurveyedSigningKey = (TenantId, ProjectId, SigningKeyId, String, TimestampMs);
/// Where records are delivered to.
pub type SurveyedWebhook = (TenantId, ProjectId, WebhookId, String);

fn limit() -> u64 {
    SURVEY_MAX as u64 + 1
}

/// Cuts what is more than wanted.
fn page<T>(mut items: Vec<T>) -> Page<T> {
    let has_more = items.len() > SURVEY_MAX;
    items.truncate(SURVEY_MAX);
    Page { items, has_more }
}

fn members(tenant: Option<TenantId>) -> SelectStatement {
    let mut rows = role_binding::Entity::find().select_only().column(role_binding::Column::UserId);
    if let Some(tenant) = tenant {
        rows = rows.filter(role_binding::Column::TenantId.eq(tenant.0));
    }
    rows.into_query()
}

impl Tenancy {
    /// Everybody with a role in the tenant, or with any at all.
    pub async fn surveyed_people(&self, tenant: Option<TenantId>) -> Result<Page<SurveyedPerson>> {
        let users = user::Entity::find()
            .filter(user::Column::Id.in_subquery(members(tenant)))
            .order_by_asc(user::Column::Id)
            .limit(limit())
            .all(self.reader())
            .await?;
        let mut bindings = role_binding::Entity::find();
        if let Some(tenant) = tenant {
            bindings = bindings.filter(role_binding::Column::TenantId.eq(tenant.0));
        }
        // Each user has `BINDINGS_MAX` at most.
        let bindings = bindings
            .order_by_asc(role_binding::Column::UserId)
            .order_by_asc(role_binding::Column::Id)
            .limit(limit() * crate::BINDINGS_MAX)
            .all(self.reader())
            .await?;
        let mut held: HashMap<Uuid, Vec<Binding>> = HashMap::new();
        for row in bindings {
            held.entry(row.user_id).or_default().push(read_binding(row));
        }
        let proven: HashSet<Uuid> = second_factor::Entity::find()
            .select_only()
            .column(second_factor::Column::UserId)
            .filter(second_factor::Column::ConfirmedAt.is_not_null())
            .filter(second_factor::Column::UserId.in_subquery(members(tenant)))
            .into_tuple::<Uuid>()
            .all(self.reader())
            .await?
            .into_iter()
            .collect();
        let people = users.into_iter().map(|row| {
            let is_strong = row.password.is_none() || proven.contains(&row.id);
            let bindings = held.remove(&row.id).unwrap_or_default();
            Ok(SurveyedPerson { is_strong, bindings, user: read_user(row)? })
        });
        Ok(page(people.collect::<Result<Vec<SurveyedPerson>>>()?))
    }

    /// Sessions that have not ended, of people with a role in the tenant or of everybody, in the
    /// order of identifiers. Those that are too old are among them: `Session::is_open` tells.
    pub async fn surveyed_sessions(
        &self,
        tenant: Option<TenantId>,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Page<(Session, User)>> {
        let mut rows = session::Entity::find().filter(session::Column::EndedAt.is_null());
        if tenant.is_some() {
            rows = rows.filter(session::Column::UserId.in_subquery(members(tenant)));
        }
        if let Some(after) = after {
            rows = rows.filter(session::Column::Id.gt(after.0));
        }
        let rows = rows.order_by_asc(session::Column::Id).limit(fetch_count(limit));
        let page = Page::collect(rows.all(self.reader()).await?, limit, read_session)?;
        let holders = page.items.iter().map(|session| session.user.0);
        let holders = user::Entity::find().filter(user::Column::Id.is_in(holders));
        let mut by_id = HashMap::new();
        for row in holders.all(self.reader()).await? {
            by_id.insert(row.id, read_user(row)?);
        }
        let items = page.items.into_iter().filter_map(|session| {
            let user = by_id.get(&session.user.0)?.clone();
            Some((session, user))
        });
        Ok(Page { has_more: page.has_more, items: items.collect() })
    }

    /// Keys that are neither revoked nor past their end.
    pub async fn surveyed_keys(
        &self,
        tenant: Option<TenantId>,
        now: TimestampMs,
    ) -> Result<Page<ApiKey>> {
        let lasts =
            |column: api_key::Column| Condition::any().add(column.is_null()).add(column.gt(now));
        let mut rows = api_key::Entity::find()
            .filter(api_key::Column::RevokedAt.is_null())
            .filter(lasts(api_key::Column::ExpiresAt))
            .filter(lasts(api_key::Column::GraceUntil));
        if let Some(tenant) = tenant {
            rows = rows.filter(api_key::Column::TenantId.eq(tenant.0));
        }
        let rows = rows.order_by_asc(api_key::Column::Id).limit(limit());
        let rows = rows.all(self.reader()).await?.into_iter().map(read_key);
        Ok(page(rows.collect::<Result<Vec<ApiKey>>>()?))
    }

    /// Keys that check tokens.
    pub async fn surveyed_signing_keys(
        &self,
        tenant: Option<TenantId>,
    ) -> Result<Page<SurveyedSigningKey>> {
        let mut rows = signing_key::Entity::find();
        if let Some(tenant) = tenant {
            rows = rows.filter(signing_key::Column::TenantId.eq(tenant.0));
        }
        let rows = rows.order_by_asc(signing_key::Column::Id).limit(limit());
        let rows = rows.all(self.reader()).await?.into_iter().map(|row| {
            let (tenant, project) = (TenantId(row.tenant_id), ProjectId(row.project_id));
            (tenant, project, SigningKeyId(row.id), row.kid, row.created_at)
        });
        Ok(page(rows.collect()))
    }

    /// Webhooks that deliver.
    pub async fn surveyed_webhooks(
        &self,
        tenant: Option<TenantId>,
    ) -> Result<Page<SurveyedWebhook>> {
        let mut rows = webhook::Entity::find().filter(webhook::Column::IsEnabled.eq(true));
        if let Some(tenant) = tenant {
            rows = rows.filter(webhook::Column::TenantId.eq(tenant.0));
        }
        let rows = rows.order_by_asc(webhook::Column::Id).limit(limit());
        let rows = rows.all(self.reader()).await?.into_iter().map(|row| {
            let (tenant, project) = (TenantId(row.tenant_id), ProjectId(row.project_id));
            (tenant, project, WebhookId(row.id), row.url)
        });
        Ok(page(rows.collect()))
    }

    /// Access lists as they are in force: the newest version of each that was not removed.
    pub async fn surveyed_lists(
        &self,
        tenant: Option<TenantId>,
    ) -> Result<Page<(ListOwner, AccessList)>> {
        let mut newest = access_list::Entity::find()
            .select_only()
            .column(access_list::Column::Owner)
            .column_as(access_list::Column::Version.max(), "newest");
        if let Some(tenant) = tenant {
            newest = newest.filter(access_list::Column::TenantId.eq(tenant.0));
        }
        let mut newest = newest
            .group_by(access_list::Column::Owner)
            .order_by_asc(access_list::Column::Owner)
            .limit(SURVEY_LISTS_MAX as u64 + 1)
            .into_tuple::<(String, i64)>()
            .all(self.reader())
            .await?;
        let has_more = newest.len() > SURVEY_LISTS_MAX;
        newest.truncate(SURVEY_LISTS_MAX);
        let mut items = Vec::new();
        for key in newest {
            let row = access_list::Entity::find_by_id(key).one(self.reader()).await?;
            let Some(row) = row else { continue };
            let Some(list) = row.list else { continue };
            let owner = match (row.tenant_id.map(TenantId), row.project_id.map(ProjectId)) {
                (None, _) => ListOwner::Installation,
                (Some(tenant), None) => ListOwner::Tenant(tenant),
                (Some(tenant), Some(project)) => ListOwner::Project(tenant, project),
            };
            items.push((owner, parse(list)?));
        }
        Ok(Page { items, has_more })
    }
}
