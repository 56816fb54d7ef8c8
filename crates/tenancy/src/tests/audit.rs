//! The trail: one record per change, together with it or not at all.

use super::keys::new_key;
use super::{START_MS, on_each, operator};
use crate::{Actor, AuditFilter, ProjectPatch, TenantPatch, TokenSettings};
use types::{Limits, TenantId, TopicConfig, TopicName};

async fn actions(store: &super::Store, tenant: TenantId) -> Vec<String> {
    let page = store.audit(tenant, &AuditFilter::default(), 1_000).await.unwrap();
    page.items.into_iter().rev().map(|record| record.action).collect()
}

#[tokio::test]
async fn every_change_leaves_one_record_in_order() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let by = operator();
        let topic = TopicName::parse("t").unwrap();
        let config = TopicConfig::default();
        let pro = TenantPatch { plan: Some(crate::Plan::Pro), ..TenantPatch::default() };
        store.update_tenant(tenant, pro, &by).await.unwrap();
        store.suspend_tenant(tenant, "late", &by).await.unwrap();
        store.resume_tenant(tenant, None, &by).await.unwrap();
        let open = ProjectPatch { limits: Some(Limits::default()), ..ProjectPatch::default() };
        store.update_project(tenant, project, open, &by).await.unwrap();
        let key = store.create_key(tenant, project, new_key("k"), &by).await.unwrap();
        let second = std::time::Duration::from_secs(1);
        store.rotate_key(tenant, project, key.id, new_key("l"), second, &by).await.unwrap();
        store.revoke_key(tenant, project, key.id, &by).await.unwrap();
        let settings = TokenSettings::default();
        store.set_token_settings(tenant, project, &settings, &by).await.unwrap();
        store.create_topic(tenant, project, &topic, &config, &by).await.unwrap();
        store.delete_topic(tenant, project, &topic, &by).await.unwrap();
        store.delete_project(tenant, project, &by).await.unwrap();
        store.delete_tenant(tenant, &by).await.unwrap();
        let wanted = [
            "tenant.create",
            "project.create",
            "tenant.update",
            "tenant.suspend",
            "tenant.resume",
            "project.update",
            "key.create",
            "key.rotate",
            "key.revoke",
            "token_settings.set",
            "topic.create",
            "topic.delete",
            "project.delete",
            "tenant.delete",
        ];
        assert_eq!(actions(store, tenant).await, wanted);
    })
    .await;
}

#[tokio::test]
async fn refused_and_empty_changes_leave_none() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let by = operator();
        let before = actions(store, tenant).await;
        let dup = crate::NewProject { name: "a".into(), ..Default::default() };
        assert!(store.create_project(tenant, dup, &by).await.is_err());
        assert!(store.delete_tenant(tenant, &by).await.is_err());
        assert!(store.resume_tenant(tenant, None, &by).await.is_err());
        store.update_tenant(tenant, TenantPatch::default(), &by).await.unwrap();
        store.update_project(tenant, project, ProjectPatch::default(), &by).await.unwrap();
        let name = TopicName::parse("t").unwrap();
        let config = TopicConfig::default();
        store.create_topic(tenant, project, &name, &config, &by).await.unwrap();
        store.alter_topic(tenant, project, &name, &config, &by).await.unwrap();
        let mut wanted = before;
        wanted.push("topic.create".into());
        assert_eq!(actions(store, tenant).await, wanted);
    })
    .await;
}

#[tokio::test]
async fn the_trail_is_filtered_and_paged_newest_first() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let (other, _) = store.scope("b").await;
        let by = Actor::system();
        for prefix in ["k1", "k2", "k3"] {
            store.create_key(tenant, project, new_key(prefix), &by).await.unwrap();
        }
        let action = Some("key.create".into());
        let keys = AuditFilter { action, project: Some(project), ..AuditFilter::default() };
        let page = store.audit(tenant, &keys, 2).await.unwrap();
        assert!(page.has_more);
        let newest = &page.items[0];
        assert_eq!(newest.actor, "system");
        assert_eq!((newest.tenant, newest.project), (Some(tenant), Some(project)));
        assert_eq!((newest.at, &newest.details["prefix"]), (START_MS, &"k3".into()));
        assert!(newest.target.starts_with("key_"));
        assert!(!newest.details.to_string().contains("hash"));
        let rest = AuditFilter { before: Some(page.items[1].id), ..keys };
        let rest = store.audit(tenant, &rest, 2).await.unwrap();
        assert_eq!((rest.items[0].details["prefix"].as_str(), rest.has_more), (Some("k1"), false));

        assert_eq!(actions(store, other).await, ["tenant.create", "project.create"]);
        let all = store.audit_of_all_tenants(&AuditFilter::default(), 100).await.unwrap();
        assert_eq!(all.items.len(), 7);
        let text = newest.id.to_string();
        assert_eq!(text.parse::<crate::AuditId>().unwrap(), newest.id);
        assert!("key_1".parse::<crate::AuditId>().is_err());
    })
    .await;
}

#[tokio::test]
async fn a_part_of_the_chain_is_found_by_its_time_and_read_in_order() {
    on_each(async |store| {
        let by = operator();
        let (tenant, _) = store.scope("old").await;
        assert_eq!(store.audit_span(0, START_MS + 1).await.unwrap(), None, "no places yet");
        store.clock.advance(std::time::Duration::from_secs(10));
        let (other, _) = store.scope("new").await;
        store.suspend_tenant(tenant, "late", &by).await.unwrap();
        store.note_report(Some(other), serde_json::json!({}), &by).await.unwrap();
        store.clock.advance(std::time::Duration::from_secs(10));
        store.note_report(None, serde_json::json!({"sha256": "00"}), &by).await.unwrap();
        store.seal_audit(100).await.unwrap();
        let (second, third) = (START_MS + 10_000, START_MS + 20_000);
        let span = async |from, to| store.audit_span(from, to).await.unwrap();
        assert_eq!(span(0, START_MS).await, None);
        assert_eq!(span(START_MS, second).await, Some((1, 2)));
        assert_eq!(span(second, third).await, Some((3, 6)));
        assert_eq!(span(0, third + 1).await, Some((1, 7)));
        let read = async |tenant: Option<TenantId>, within: (u64, u64), limit: usize| {
            let filter = AuditFilter { from: Some(second), ..AuditFilter::default() };
            let page = store.audit_within(tenant, &filter, within, limit).await.unwrap();
            let actions = page.items.into_iter().map(|record| record.action);
            (actions.collect::<Vec<String>>(), page.has_more)
        };
        let all = ["tenant.create", "project.create", "tenant.suspend", "audit.report"];
        assert_eq!(read(None, (0, 6), 10).await, (all.map(str::to_owned).to_vec(), false));
        assert_eq!(read(None, (3, 6), 1).await, (vec!["project.create".to_owned()], true));
        let own = vec!["tenant.suspend".to_owned()];
        assert_eq!(read(Some(tenant), (0, 7), 10).await, (own, false));
        let (own, _) = read(Some(other), (2, 7), 10).await;
        assert_eq!(own, ["tenant.create", "project.create", "audit.report"]);
    })
    .await;
}
