//! Projects: names, limits, and what their deletion takes along.

use super::keys::new_key;
use super::{on_each, operator};
use crate::{NewProject, NewSigningKey, ProjectPatch, SigningAlgorithm, TenancyError};
use types::{Limits, TopicConfig, TopicName};

#[tokio::test]
async fn limits_come_back_as_they_went() {
    on_each(async |store| {
        let tenant = store.new_tenant("a").await.id;
        let limits = Limits {
            connections_max: Some(u32::MAX),
            storage_bytes_max: Some(u64::MAX),
            publish_per_month_max: Some(1),
            ..Limits::default()
        };
        let made = store.new_project(tenant, "p", limits.clone()).await;
        assert_eq!(store.project(tenant, made.id).await.unwrap().limits, limits);

        let renamed = ProjectPatch { name: Some("q".into()), limits: None };
        let changed = store.update_project(tenant, made.id, renamed, &operator()).await.unwrap();
        assert_eq!((changed.name.as_str(), &changed.limits), ("q", &limits));
        let open = ProjectPatch { name: None, limits: Some(Limits::default()) };
        let changed = store.update_project(tenant, made.id, open, &operator()).await.unwrap();
        assert_eq!(changed.limits, Limits::default());
        let (owner, same) = store.standing(tenant, made.id).await.unwrap();
        assert_eq!((owner.id, same), (tenant, changed));
    })
    .await;
}

#[tokio::test]
async fn a_name_is_taken_within_its_tenant_only() {
    on_each(async |store| {
        let (one, _) = store.scope("p").await;
        let other = store.new_tenant("other").await.id;
        store.new_project(other, "p", Limits::default()).await;
        let new = NewProject { name: "p".into(), ..NewProject::default() };
        let taken = store.create_project(one, new, &operator()).await;
        assert!(
            matches!(taken, Err(TenancyError::Conflict { field: Some("name"), .. })),
            "{taken:?}"
        );
        let second = store.new_project(one, "q", Limits::default()).await.id;
        let patch = ProjectPatch { name: Some("p".into()), limits: None };
        let taken = store.update_project(one, second, patch, &operator()).await;
        assert!(
            matches!(taken, Err(TenancyError::Conflict { field: Some("name"), .. })),
            "{taken:?}"
        );
        let names: Vec<String> = store
            .projects(one, None, 10)
            .await
            .unwrap()
            .items
            .into_iter()
            .map(|p| p.name)
            .collect();
        assert_eq!(names, ["p", "q"]);
        let page = store.projects(one, None, 1).await.unwrap();
        assert!(page.has_more);
        let rest = store.projects(one, Some(page.items[0].id), 1).await.unwrap();
        assert_eq!((rest.items[0].id, rest.has_more), (second, false));
    })
    .await;
}

#[tokio::test]
async fn a_project_of_no_tenant_is_not_made() {
    on_each(async |store| {
        let (tenant, _) = store.scope("a").await;
        let missing = types::TenantId(uuid::Uuid::from_u128(1));
        let new = NewProject { name: "p".into(), ..NewProject::default() };
        let refused = store.create_project(missing, new, &operator()).await;
        assert_eq!(refused, Err(TenancyError::NotFound { what: "tenant" }));
        assert_eq!(store.projects(tenant, None, 10).await.unwrap().items.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn deletion_waits_for_topics_and_takes_keys_along() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let by = operator();
        let name = TopicName::parse("orders").unwrap();
        let config = TopicConfig {
            schema: Some(serde_json::json!({"type": "object"})),
            ..TopicConfig::default()
        };
        store.create_topic(tenant, project, &name, &config, &by).await.unwrap();
        let presence = TopicName::presence();
        let plain = TopicConfig::default();
        store.create_topic(tenant, project, &presence, &plain, &by).await.unwrap();
        store.create_key(tenant, project, new_key("k1"), &by).await.unwrap();
        let signing = NewSigningKey {
            kid: "a".into(),
            algorithm: SigningAlgorithm::Hs256,
            material: vec![1],
        };
        store.add_signing_key(tenant, project, signing, &by).await.unwrap();

        let kept = store.delete_project(tenant, project, &by).await;
        assert!(matches!(kept, Err(TenancyError::Conflict { .. })), "{kept:?}");
        assert!(store.find_key_by_prefix("k1").await.unwrap().is_some());

        store.delete_topic(tenant, project, &name, &by).await.unwrap();
        store.delete_project(tenant, project, &by).await.unwrap();
        assert!(store.find_key_by_prefix("k1").await.unwrap().is_none());
        assert!(store.find_verification(project).await.unwrap().is_none());
        assert!(store.all_topics().await.unwrap().is_empty());
        let gone = store.project(tenant, project).await;
        assert_eq!(gone, Err(TenancyError::NotFound { what: "project" }));
    })
    .await;
}
