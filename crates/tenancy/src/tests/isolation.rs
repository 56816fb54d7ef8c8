//! Tenants cannot see or touch each other's records through the store, whatever they ask for.

use super::keys::new_key;
use super::revocations::revocation;
use super::{Store, on_each, operator, sqlite};
use crate::{
    AuditFilter, NewKey, NewProject, NewSigningKey, ProjectPatch, SigningAlgorithm, TenancyError,
    TokenSettings, UsageFilter,
};
use port::Usage;
use proptest::prelude::*;
use std::time::Duration;
use types::{KeyId, ProjectId, TenantId, TopicConfig, TopicName};

struct Owned {
    tenant: TenantId,
    project: ProjectId,
    key: KeyId,
    signing_key: crate::SigningKeyId,
    revocation: crate::RevocationId,
    topic: TopicName,
}

fn signing_key(kid: &str) -> NewSigningKey {
    NewSigningKey { kid: kid.into(), algorithm: SigningAlgorithm::Hs256, material: vec![1] }
}

async fn own(store: &Store, name: &str) -> Owned {
    let (tenant, project) = store.scope(name).await;
    let by = operator();
    let topic = TopicName::parse(name).unwrap();
    let config = TopicConfig { schema: Some(true.into()), ..TopicConfig::default() };
    store.create_topic(tenant, project, &topic, &config, &by).await.unwrap();
    let used = Usage { api_requests: 1, ..Usage::default() };
    store.add_usage(0, &[(tenant, project, used)]).await.unwrap();
    Owned {
        tenant,
        project,
        key: store.create_key(tenant, project, new_key(name), &by).await.unwrap().id,
        signing_key: store
            .add_signing_key(tenant, project, signing_key(name), &by)
            .await
            .unwrap()
            .id,
        revocation: store.revoke_tokens(tenant, project, revocation(name), &by).await.unwrap().id,
        topic,
    }
}

fn is_absent<T: std::fmt::Debug>(outcome: crate::Result<T>) {
    assert!(matches!(outcome, Err(TenancyError::NotFound { .. })), "{outcome:?}");
}

/// Everything the store offers, asked by `stranger` for what is `mine`.
async fn ask(store: &Store, stranger: TenantId, mine: &Owned) {
    let by = operator();
    let project = mine.project;
    let second = Duration::from_secs(1);
    let config = TopicConfig::default();
    is_absent(store.project(stranger, project).await);
    is_absent(store.standing(stranger, project).await);
    let patch = ProjectPatch { name: Some("x".into()), limits: None };
    is_absent(store.update_project(stranger, project, patch, &by).await);
    is_absent(store.delete_project(stranger, project, &by).await);
    is_absent(store.create_key(stranger, project, new_key("stolen"), &by).await);
    is_absent(store.key(stranger, project, mine.key).await);
    let new: NewKey = new_key("stolen");
    is_absent(store.rotate_key(stranger, project, mine.key, new, second, &by).await);
    is_absent(store.revoke_key(stranger, project, mine.key, &by).await);
    is_absent(store.add_signing_key(stranger, project, signing_key("x"), &by).await);
    is_absent(store.remove_signing_key(stranger, project, mine.signing_key, &by).await);
    is_absent(store.token_settings(stranger, project).await);
    is_absent(store.set_token_settings(stranger, project, &TokenSettings::default(), &by).await);
    is_absent(store.revoke_tokens(stranger, project, revocation("stolen"), &by).await);
    is_absent(store.withdraw_revocation(stranger, project, mine.revocation, &by).await);
    assert!(store.revocations(stranger, project, None, 10).await.unwrap().items.is_empty());
    assert!(store.revocation_marks(stranger, project, 0).await.unwrap().is_empty());
    is_absent(store.create_topic(stranger, project, &mine.topic, &config, &by).await);
    is_absent(store.alter_topic(stranger, project, &mine.topic, &config, &by).await);
    is_absent(store.delete_topic(stranger, project, &mine.topic, &by).await);
    is_absent(store.topic(stranger, project, &mine.topic).await);
    is_absent(store.topic_schemas(stranger, project, &mine.topic, 0, 10).await);
    assert!(store.keys(stranger, project, None, 10).await.unwrap().items.is_empty());
    assert!(store.signing_keys(stranger, project, None, 10).await.unwrap().items.is_empty());
    assert!(store.topics(stranger, project, None, 10).await.unwrap().items.is_empty());
    let listed = store.projects(stranger, None, 100).await.unwrap().items;
    assert!(listed.iter().all(|listed| listed.id != project));
    let filter = UsageFilter { project: Some(project), ..UsageFilter::default() };
    assert!(store.usage(stranger, &filter, 10).await.unwrap().items.is_empty());
    assert!(store.usage_totals(stranger, &filter).await.unwrap().is_empty());
    let filter = AuditFilter { project: Some(project), ..AuditFilter::default() };
    assert!(store.audit(stranger, &filter, 10).await.unwrap().items.is_empty());
}

async fn check_untouched(store: &Store, mine: &Owned, name: &str) {
    let (tenant, project) = (mine.tenant, mine.project);
    assert_eq!(store.project(tenant, project).await.unwrap().name, name);
    assert!(store.key(tenant, project, mine.key).await.unwrap().revoked_at.is_none());
    assert_eq!(store.topic(tenant, project, &mine.topic).await.unwrap().schema_version, 1);
    assert_eq!(store.signing_keys(tenant, project, None, 10).await.unwrap().items.len(), 1);
    assert_eq!(store.revocations(tenant, project, None, 10).await.unwrap().items.len(), 1);
    assert!(store.find_key_by_prefix("stolen").await.unwrap().is_none());
}

#[tokio::test]
async fn a_stranger_gets_nothing_and_changes_nothing() {
    on_each(async |store| {
        let (mine, theirs) = (own(store, "mine").await, own(store, "theirs").await);
        ask(store, theirs.tenant, &mine).await;
        ask(store, mine.tenant, &theirs).await;
        // One's own tenant with a project that is another's: the pair must fit.
        ask(store, TenantId(uuid::Uuid::nil()), &mine).await;
        check_untouched(store, &mine, "mine").await;
        check_untouched(store, &theirs, "theirs").await;
    })
    .await;
}

#[tokio::test]
async fn two_projects_of_one_tenant_are_apart_too() {
    on_each(async |store| {
        let mine = own(store, "mine").await;
        let second = store.new_project(mine.tenant, "second", types::Limits::default()).await.id;
        let by = operator();
        is_absent(store.key(mine.tenant, second, mine.key).await);
        is_absent(store.revoke_key(mine.tenant, second, mine.key, &by).await);
        is_absent(store.topic(mine.tenant, second, &mine.topic).await);
        is_absent(store.remove_signing_key(mine.tenant, second, mine.signing_key, &by).await);
        check_untouched(store, &mine, "mine").await;
    })
    .await;
}

/// The database itself refuses a row that mixes two tenants, should the code above ever fail.
#[tokio::test]
async fn mixed_rows_are_refused_by_the_database() {
    use sea_orm::{ActiveValue::Set, EntityTrait};
    on_each(async |store| {
        let (mine, theirs) = (own(store, "mine").await, own(store, "theirs").await);
        let row = crate::entity::topic::ActiveModel {
            id: Set(1),
            tenant_id: Set(theirs.tenant.0),
            project_id: Set(mine.project.0),
            name: Set("mixed".into()),
            config: Set(serde_json::json!({})),
            schema_version: Set(0),
            created_at: Set(0),
            deleted_at: Set(None),
        };
        let change = store.begin().await.unwrap();
        let outcome =
            crate::entity::topic::Entity::insert(row).exec_without_returning(&change).await;
        assert!(outcome.is_err());
    })
    .await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// **Feature: realtime-saas-platform, Property 3: events stay within their tenant and project;
    /// nothing crosses a tenant boundary** (here: the records that decide where events go)
    #[test]
    fn lists_hold_only_ones_own(owners in prop::collection::vec(0usize..3, 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = sqlite().await;
            let by = operator();
            let mut tenants = Vec::new();
            for name in ["a", "b", "c"] {
                tenants.push(store.scope(name).await);
            }
            let mut counts = [0usize; 3];
            for (index, owner) in owners.into_iter().enumerate() {
                let (tenant, project) = tenants[owner];
                let name = TopicName::parse(&format!("t{index}")).unwrap();
                let config = TopicConfig::default();
                store.create_topic(tenant, project, &name, &config, &by).await.unwrap();
                let new = NewProject { name: format!("p{index}"), ..NewProject::default() };
                store.create_project(tenant, new, &by).await.unwrap();
                let new = new_key(&format!("k{index}"));
                store.create_key(tenant, project, new, &by).await.unwrap();
                counts[owner] += 1;
            }
            for (owner, (tenant, project)) in tenants.iter().enumerate() {
                let (tenant, project) = (*tenant, *project);
                let topics = store.topics(tenant, project, None, 100).await.unwrap().items;
                let keys = store.keys(tenant, project, None, 100).await.unwrap().items;
                let projects = store.projects(tenant, None, 100).await.unwrap().items;
                assert_eq!(topics.len(), counts[owner]);
                assert_eq!(keys.len(), counts[owner]);
                assert_eq!(projects.len(), counts[owner] + 1);
                assert!(topics.iter().all(|t| (t.tenant, t.project) == (tenant, project)));
                assert!(keys.iter().all(|k| (k.tenant, k.project) == (tenant, project)));
                assert!(projects.iter().all(|p| p.tenant == tenant));
                for (stranger, foreign) in &tenants {
                    if *stranger != tenant {
                        let none = store.topics(tenant, *foreign, None, 100).await.unwrap();
                        assert!(none.items.is_empty());
                    }
                }
            }
        });
    }
}
