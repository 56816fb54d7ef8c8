//! The outbox: an entry per change, together with it or not at all, in order, until it is marked.

use super::keys::new_key;
use super::{START_MS, on_each, operator};
use crate::{EventId, event_kind};
use std::time::Duration;
use types::{TopicConfig, TopicName};

async fn kinds(store: &super::Store) -> Vec<String> {
    let pending = store.pending_events(&[], 1_000).await.unwrap();
    pending.into_iter().map(|entry| entry.kind).collect()
}

#[test]
fn verbs_become_participles() {
    let table = [
        ("topic.create", "topic.created"),
        ("key.revoke", "key.revoked"),
        ("signing_key.add", "signing_key.added"),
        ("token_settings.set", "token_settings.set"),
        ("tenant.bootstrap", "tenant.created"),
        ("consumer.reset", "consumer.reset"),
        ("consumer.replay", "consumer.replayed"),
        ("policy.apply", "policy.applied"),
        ("tenant_key.shred", "tenant_key.shredded"),
    ];
    for (action, kind) in table {
        assert_eq!(event_kind(action), kind);
    }
}

#[tokio::test]
async fn every_change_leaves_an_entry_in_order() {
    on_each(async |store| {
        let mut changes = store.changes();
        let (tenant, project) = store.scope("a").await;
        assert!(changes.has_changed().unwrap(), "whoever publishes is woken");
        changes.mark_unchanged();
        let by = operator();
        let key = store.create_key(tenant, project, new_key("k"), &by).await.unwrap();
        store.clock.advance(Duration::from_secs(1));
        store.revoke_key(tenant, project, key.id, &by).await.unwrap();
        let name = TopicName::changes();
        store.create_topic(tenant, project, &name, &TopicConfig::default(), &by).await.unwrap();
        store.delete_project(tenant, project, &by).await.expect("internal topics hold nothing up");
        let wanted =
            ["tenant.created", "project.created", "key.created", "key.revoked", "project.deleted"];
        assert_eq!(kinds(store).await, wanted);

        let pending = store.pending_events(&[], 1_000).await.unwrap();
        let revoked = &pending[3];
        assert_eq!((revoked.tenant, revoked.project), (Some(tenant), Some(project)));
        assert_eq!(revoked.at, START_MS + 1_000);
        assert_eq!(revoked.payload["target"], key.id.to_string());
        assert_eq!(revoked.payload["actor"], "operator");
        assert!(!pending[2].payload.to_string().contains("hash"), "{}", pending[2].payload);
        let trail = store.audit(tenant, &crate::AuditFilter::default(), 100).await.unwrap();
        let record = trail.items.iter().find(|record| record.action == "key.revoke").unwrap();
        assert_eq!(record.id.0, revoked.id.0, "one number names the change in both");
    })
    .await;
}

#[tokio::test]
async fn a_change_that_fails_leaves_none() {
    on_each(async |store| {
        let (tenant, _) = store.scope("a").await;
        let before = kinds(store).await;
        let by = operator();
        let taken = crate::NewProject { name: "a".into(), ..Default::default() };
        assert!(store.create_project(tenant, taken, &by).await.is_err());
        assert!(store.delete_tenant(tenant, &by).await.is_err());
        assert_eq!(kinds(store).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_bootstrap_tells_of_two_things() {
    on_each(async |store| {
        let made = store.bootstrap("demo", &operator()).await.unwrap();
        store.bootstrap("demo", &operator()).await.unwrap();
        let pending = store.pending_events(&[], 10).await.unwrap();
        let told: Vec<_> = pending.iter().map(|entry| (&*entry.kind, entry.project)).collect();
        let project = Some(made.project.id);
        assert_eq!(told, [("tenant.created", None), ("project.created", project)]);
    })
    .await;
}

#[tokio::test]
async fn what_the_platform_made_for_itself_stays() {
    on_each(async |store| {
        let by = operator();
        let made = store.bootstrap(crate::SYSTEM, &by).await.unwrap();
        let (tenant, project) = (made.tenant.id, made.project.id);
        assert!(store.delete_project(tenant, project, &by).await.is_err());
        assert!(store.delete_tenant(tenant, &by).await.is_err());
        assert!(!store.bootstrap(crate::SYSTEM, &by).await.unwrap().is_new);
    })
    .await;
}

#[tokio::test]
async fn published_entries_are_marked_skipped_and_swept() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let (_, other) = store.scope("b").await;
        let by = operator();
        store.create_key(tenant, project, new_key("k"), &by).await.unwrap();
        let backlog = store.outbox_backlog().await.unwrap();
        assert_eq!((backlog.pending, backlog.oldest_at), (5, Some(START_MS)));

        let of = |found: Vec<crate::OutboxEntry>| -> Vec<_> {
            found.into_iter().map(|entry| entry.project).collect()
        };
        let skipped = store.pending_events(&[Some(project)], 10).await.unwrap();
        assert_eq!(of(skipped), [None, None, Some(other)]);
        let skipped = store.pending_events(&[None, Some(other)], 10).await.unwrap();
        assert_eq!(of(skipped), [Some(project), Some(project)]);
        let skipped = store.pending_events(&[None], 10).await.unwrap();
        assert_eq!(of(skipped), [Some(project), Some(other), Some(project)]);

        let first = store.pending_events(&[], 2).await.unwrap();
        let ids: Vec<EventId> = first.iter().map(|entry| entry.id).collect();
        store.mark_published(&ids).await.unwrap();
        assert_eq!(store.outbox_backlog().await.unwrap().pending, 3);
        assert_eq!(store.pending_events(&[], 10).await.unwrap().len(), 3);

        assert_eq!(store.sweep_outbox(START_MS, 10).await.unwrap(), 0, "not old enough");
        assert_eq!(store.sweep_outbox(START_MS + 1, 1).await.unwrap(), 1);
        assert_eq!(store.sweep_outbox(START_MS + 1, 10).await.unwrap(), 1);
        assert_eq!(store.sweep_outbox(i64::MAX, 10).await.unwrap(), 0, "pending ones stay");
    })
    .await;
}

#[tokio::test]
async fn details_beyond_the_limit_are_left_out() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let schema = serde_json::json!({"description": "x".repeat(300 * 1024)});
        let config = TopicConfig { schema: Some(schema), ..TopicConfig::default() };
        let name = TopicName::parse("t").unwrap();
        store.create_topic(tenant, project, &name, &config, &operator()).await.unwrap();
        let pending = store.pending_events(&[], 10).await.unwrap();
        let told = &pending.last().unwrap().payload;
        assert_eq!(told["target"], "t");
        assert!(told["details"]["omitted"].is_string(), "the log takes the event");
        assert!(told.to_string().len() < 1_000);
    })
    .await;
}
