//! Webhooks: kept per project, with secrets that overlap, and gone with their project.

use super::{START_MS, on_each, operator};
use crate::{
    NewWebhook, NewWebhookSecret, TenancyError, WEBHOOKS_MAX, Webhook, WebhookPatch,
    WebhookSettings, WebhookSigning,
};
use std::time::Duration;
use types::{Filter, ProjectId, TenantId};

fn secret(byte: u8) -> NewWebhookSecret {
    NewWebhookSecret { sealed: vec![byte; 8], public_key: None }
}

fn new(store: &super::Store) -> NewWebhook {
    NewWebhook {
        id: store.new_webhook_id(),
        url: "https://user:pass@hooks.example.org/T0KEN?key=s3cret".into(),
        filter: Filter::parse("orders/eu/#").unwrap(),
        description: "shop".into(),
        is_enabled: true,
        signing: WebhookSigning::Hmac,
        settings: WebhookSettings::default(),
        sealed_headers: Some(vec![9; 4]),
        secret: secret(1),
    }
}

async fn made(store: &super::Store, tenant: TenantId, project: ProjectId) -> Webhook {
    store.create_webhook(tenant, project, new(store), &operator()).await.expect("a webhook")
}

#[tokio::test]
async fn kept_as_given_and_told_without_secrets() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let webhook = made(store, tenant, project).await;
        assert_eq!(store.webhook(tenant, project, webhook.id).await.unwrap(), webhook);
        assert_eq!(webhook.filter.to_string(), "orders/eu/#");
        assert_eq!(webhook.secrets.len(), 1);
        assert_eq!(store.all_webhooks().await.unwrap(), std::slice::from_ref(&webhook));
        assert_eq!(webhook.id.to_string().parse::<crate::WebhookId>().unwrap(), webhook.id);

        let pending = store.pending_events(&[], 10).await.unwrap();
        let told = pending.last().unwrap();
        assert_eq!(told.kind, "webhook.created");
        assert_eq!(told.payload["details"]["host"], "hooks.example.org");
        let text = told.payload.to_string();
        assert!(!text.contains("T0KEN") && !text.contains("s3cret") && !text.contains("pass"));
    })
    .await;
}

#[tokio::test]
async fn other_projects_do_not_see_it() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let (stranger, elsewhere) = store.scope("b").await;
        let id = made(store, tenant, project).await.id;
        let by = operator();
        for (tenant, project) in [(stranger, elsewhere), (stranger, project), (tenant, elsewhere)] {
            let gone = Err(TenancyError::NotFound { what: "webhook" });
            assert_eq!(store.webhook(tenant, project, id).await, gone);
            let patch = WebhookPatch { is_enabled: Some(false), ..WebhookPatch::default() };
            assert_eq!(store.update_webhook(tenant, project, id, patch, &by).await, gone);
            let rotated = store
                .rotate_webhook_secret(tenant, project, id, secret(2), Duration::ZERO, &by)
                .await;
            assert_eq!(rotated, gone);
            assert!(store.delete_webhook(tenant, project, id, &by).await.is_err());
            assert!(store.disable_webhook(tenant, project, id, "gone").await.is_err());
            assert!(store.webhooks(tenant, project, None, 10).await.unwrap().items.is_empty());
        }
        assert!(store.webhook(tenant, project, id).await.unwrap().is_enabled);
    })
    .await;
}

#[tokio::test]
async fn changed_disabled_and_deleted() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let id = made(store, tenant, project).await.id;
        let by = operator();
        store.disable_webhook(tenant, project, id, "answered 410").await.unwrap();
        store.disable_webhook(tenant, project, id, "again").await.unwrap();
        let found = store.webhook(tenant, project, id).await.unwrap();
        assert_eq!(found.disabled_reason.as_deref(), Some("answered 410"));
        assert!(store.all_webhooks().await.unwrap().is_empty());

        store.clock.advance(Duration::from_secs(5));
        let patch = WebhookPatch {
            is_enabled: Some(true),
            sealed_headers: Some(None),
            settings: Some(WebhookSettings { concurrency: 1, ..WebhookSettings::default() }),
            ..WebhookPatch::default()
        };
        let found = store.update_webhook(tenant, project, id, patch, &by).await.unwrap();
        assert!(found.is_enabled && found.disabled_reason.is_none());
        assert_eq!((found.settings.concurrency, found.sealed_headers), (1, None));
        assert_eq!(found.updated_at, START_MS + 5_000);

        let bad = WebhookSettings { attempts_max: 0, ..WebhookSettings::default() };
        let patch = WebhookPatch { settings: Some(bad), ..WebhookPatch::default() };
        let refused = store.update_webhook(tenant, project, id, patch, &by).await;
        assert!(matches!(refused, Err(TenancyError::Invalid { field: "attempts_max", .. })));

        store.delete_webhook(tenant, project, id, &by).await.unwrap();
        assert!(store.webhook(tenant, project, id).await.is_err());
        made(store, tenant, project).await;
        store.delete_project(tenant, project, &by).await.expect("webhooks go with it");
    })
    .await;
}

#[tokio::test]
async fn secrets_overlap_when_they_are_rotated() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let id = made(store, tenant, project).await.id;
        let by = operator();
        let hour = Duration::from_secs(3_600);
        let rotate = async |byte, overlap| {
            let rotated =
                store.rotate_webhook_secret(tenant, project, id, secret(byte), overlap, &by).await;
            let secrets = rotated.unwrap().secrets;
            secrets.into_iter().map(|it| (it.sealed[0], it.expires_at)).collect::<Vec<_>>()
        };
        let first = rotate(2, hour).await;
        assert_eq!(first, [(2, None), (1, Some(START_MS + 3_600_000))]);
        store.clock.advance(Duration::from_secs(60));
        let second = rotate(3, 24 * hour).await;
        let until = START_MS + 60_000 + 24 * 3_600_000;
        assert_eq!(second, [(3, None), (2, Some(until)), (1, Some(START_MS + 3_600_000))]);
        assert_eq!(rotate(4, Duration::ZERO).await, [(4, None)], "no overlap ends all before");
        for byte in 5..10 {
            rotate(byte, hour).await;
        }
        assert_eq!(rotate(10, hour).await.len(), crate::webhooks::WEBHOOK_SECRETS_MAX);
    })
    .await;
}

#[tokio::test]
async fn a_project_has_so_many() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        for _ in 0..WEBHOOKS_MAX {
            made(store, tenant, project).await;
        }
        let refused = store.create_webhook(tenant, project, new(store), &operator()).await;
        assert!(matches!(refused, Err(TenancyError::LimitReached { what: "webhooks", .. })));
        let page = store.webhooks(tenant, project, None, 30).await.unwrap();
        assert!(page.has_more);
        let rest = store.webhooks(tenant, project, Some(page.items[29].id), 1_000).await.unwrap();
        assert_eq!(rest.items.len(), 70);
    })
    .await;
}
