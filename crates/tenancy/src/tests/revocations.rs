//! Tokens taken back: what is kept of them, for how long, how many, and who hears of which change.

use super::{START_MS, Store, on_each, operator};
use crate::migration::Migrator;
use crate::{
    Actor, NewRevocation, RevocationHead, RevocationKind, RevocationMark, TenancyError,
    TokenSettings,
};
use sea_orm::ConnectionTrait;
use sea_orm_migration::MigratorTrait;
use std::time::Duration;
use types::{ProjectId, TenantId};

const HOUR_MS: i64 = 3_600_000;

/// Of one token, for an hour.
pub(super) fn revocation(jti: &str) -> NewRevocation {
    NewRevocation {
        kind: RevocationKind::Jti,
        value: jti.to_owned(),
        issued_before: None,
        until: START_MS + HOUR_MS,
        reason: None,
    }
}

fn of_many(kind: RevocationKind, value: &str) -> NewRevocation {
    NewRevocation { kind, ..revocation(value) }
}

async fn head(store: &Store, project: ProjectId) -> RevocationHead {
    store.find_verification(project).await.unwrap().unwrap().revocations
}

async fn marks(store: &Store, (tenant, project): (TenantId, ProjectId), after: u64) -> Vec<String> {
    let found = store.revocation_marks(tenant, project, after).await.unwrap();
    found.into_iter().map(|mark| mark.value).collect()
}

#[tokio::test]
async fn each_change_is_told_once() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let by = operator();
        assert_eq!(head(store, project).await, RevocationHead::default());
        let first = store.revoke_tokens(tenant, project, revocation("a"), &by).await.unwrap();
        store.revoke_tokens(tenant, project, revocation("b"), &by).await.unwrap();
        assert_eq!(head(store, project).await, RevocationHead { version: 2, rebuilt: 0 });
        assert_eq!(marks(store, (tenant, project), 0).await, ["a", "b"]);
        assert_eq!(marks(store, (tenant, project), 1).await, ["b"]);
        store.withdraw_revocation(tenant, project, first.id, &by).await.unwrap();
        assert_eq!(head(store, project).await, RevocationHead { version: 3, rebuilt: 3 });
        assert_eq!(marks(store, (tenant, project), 0).await, ["b"]);
        let again = store.withdraw_revocation(tenant, project, first.id, &by).await;
        assert_eq!(again, Err(TenancyError::NotFound { what: "token revocation" }));
        // Replacing the settings of tokens leaves them alone.
        store.set_token_settings(tenant, project, &TokenSettings::default(), &by).await.unwrap();
        assert_eq!(head(store, project).await.version, 3);
        store.delete_project(tenant, project, &by).await.unwrap();
        assert!(store.revocations(tenant, project, None, 10).await.unwrap().items.is_empty());
    })
    .await;
}

#[tokio::test]
async fn taking_back_again_makes_it_wider() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let by = operator();
        let new = NewRevocation {
            issued_before: Some(START_MS - 5),
            reason: Some("lost phone".to_owned()),
            ..of_many(RevocationKind::Sub, "ann")
        };
        let first = store.revoke_tokens(tenant, project, new, &by).await.unwrap();
        assert_eq!(first.issued_before, Some(START_MS - 5));
        store.clock.advance(Duration::from_secs(1));
        let shorter =
            NewRevocation { until: START_MS + HOUR_MS - 1, ..of_many(RevocationKind::Sub, "ann") };
        let again = store.revoke_tokens(tenant, project, shorter, &Actor::system()).await.unwrap();
        assert_eq!((again.id, again.created_at), (first.id, first.created_at));
        assert_eq!(again.issued_before, Some(START_MS + 1_000), "now, when it is not said");
        assert_eq!(again.until, START_MS + HOUR_MS, "the later end");
        assert_eq!(again.reason.as_deref(), Some("lost phone"));
        assert_eq!(again.actor, "system");
        // Whoever knew it as it was hears of it again.
        let mark = RevocationMark {
            kind: RevocationKind::Sub,
            value: "ann".to_owned(),
            issued_before: Some(START_MS + 1_000),
            until: START_MS + HOUR_MS,
        };
        assert_eq!(store.revocation_marks(tenant, project, 1).await.unwrap(), [mark]);
        let listed = store.revocations(tenant, project, None, 10).await.unwrap();
        assert_eq!(listed.items, [again]);
        let actions: Vec<String> = store
            .audit(tenant, &crate::AuditFilter { project: Some(project), ..Default::default() }, 2)
            .await
            .unwrap()
            .items
            .into_iter()
            .map(|record| record.action)
            .collect();
        assert_eq!(actions, ["token.revoke", "token.revoke"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_over_is_forgotten() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let by = operator();
        let long = NewRevocation { until: START_MS + 2 * HOUR_MS, ..revocation("long") };
        store.revoke_tokens(tenant, project, long, &by).await.unwrap();
        store.revoke_tokens(tenant, project, revocation("short"), &by).await.unwrap();
        store.clock.advance(Duration::from_millis(HOUR_MS as u64 - 1));
        assert_eq!(marks(store, (tenant, project), 0).await.len(), 2);
        assert_eq!(store.sweep_revocations().await.unwrap(), 0);
        store.clock.advance(Duration::from_millis(1));
        assert_eq!(marks(store, (tenant, project), 0).await, ["long"]);
        assert_eq!(store.revocations(tenant, project, None, 10).await.unwrap().items.len(), 1);
        assert_eq!(store.sweep_revocations().await.unwrap(), 1);
        assert_eq!(store.sweep_revocations().await.unwrap(), 0);
        assert_eq!(marks(store, (tenant, project), 0).await, ["long"]);
        assert_eq!(head(store, project).await.version, 2, "nobody has to read anew");
    })
    .await;
}

#[tokio::test]
async fn what_fits_no_token_is_refused_by_field() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let many = |kind| of_many(kind, "x");
        let table = [
            ("jti", revocation("")),
            ("jti", revocation("a\0b")),
            ("jti", revocation(&"x".repeat(2_049))),
            ("fingerprint", many(RevocationKind::Fingerprint)),
            ("fingerprint", of_many(RevocationKind::Fingerprint, &"g".repeat(64))),
            ("issued_before", NewRevocation { issued_before: Some(1), ..revocation("a") }),
            (
                "issued_before",
                NewRevocation { issued_before: Some(START_MS + 1), ..many(RevocationKind::Sub) },
            ),
            (
                "issued_before",
                NewRevocation { issued_before: Some(-1), ..many(RevocationKind::Kid) },
            ),
            ("expires_at", NewRevocation { until: START_MS, ..revocation("a") }),
            ("expires_at", NewRevocation { until: i64::MAX, ..revocation("a") }),
            ("reason", NewRevocation { reason: Some("x".repeat(513)), ..revocation("a") }),
        ];
        for (wanted, new) in table {
            let outcome = store.revoke_tokens(tenant, project, new, &operator()).await;
            let Err(TenancyError::Invalid { field, .. }) = outcome else { panic!("{outcome:?}") };
            assert_eq!(field, wanted);
        }
        assert_eq!(head(store, project).await.version, 0);
    })
    .await;
}

/// The bound is counted in the database, so rows put there by hand stand for a long life.
#[tokio::test]
async fn a_project_holds_a_bounded_number() {
    use crate::entity::revocations::revocation as table;
    use sea_orm::{ActiveValue::Set, EntityTrait};
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let by = operator();
        for chunk in 0..20_u128 {
            let rows = (0..1_000_u128).map(|index| table::ActiveModel {
                id: Set(uuid::Uuid::from_u128(1 + chunk * 1_000 + index)),
                tenant_id: Set(tenant.0),
                project_id: Set(project.0),
                kind: Set("jti".to_owned()),
                value: Set(format!("{chunk}-{index}")),
                issued_before: Set(None),
                until: Set(START_MS + HOUR_MS),
                reason: Set(None),
                actor: Set("test".to_owned()),
                created_at: Set(START_MS),
                serial: Set(1),
            });
            let transaction = store.begin().await.unwrap();
            table::Entity::insert_many(rows).exec_without_returning(&transaction).await.unwrap();
            transaction.commit().await.unwrap();
        }
        let full = store.revoke_tokens(tenant, project, revocation("more"), &by).await;
        assert!(matches!(full, Err(TenancyError::LimitReached { max: 20_000, .. })), "{full:?}");
        // One that is there may be made wider, and what is over counts no more.
        let wider = NewRevocation { until: START_MS + 2 * HOUR_MS, ..revocation("0-0") };
        store.revoke_tokens(tenant, project, wider.clone(), &by).await.unwrap();
        store.clock.advance(Duration::from_millis(HOUR_MS as u64));
        store
            .revoke_tokens(tenant, project, NewRevocation { value: "more".into(), ..wider }, &by)
            .await
            .unwrap();
    })
    .await;
}

/// What the settings of tokens remembered until then is not lost.
#[tokio::test]
async fn revoked_subjects_of_before_move_here() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let (_, other) = store.scope("b").await;
        let backend = store.begin().await.unwrap();
        for statement in [
            "DROP TABLE token_revocations",
            "ALTER TABLE projects DROP COLUMN revocations_version",
            "ALTER TABLE projects DROP COLUMN revocations_rebuilt",
            "DELETE FROM seaql_migrations WHERE version = 'm0070_token_revocations'",
            &format!(
                "UPDATE projects SET token_settings = '{{\"audiences\":[\"app\"],\"revoked\":\
                 [{{\"subject\":\"ann''s\",\"before\":{START_MS}}}]}}' WHERE name = 'a'"
            ),
        ] {
            backend.execute_unprepared(statement).await.unwrap();
        }
        Migrator::up(&backend, None).await.unwrap();
        backend.commit().await.unwrap();
        let found = store.find_verification(project).await.unwrap().unwrap();
        assert_eq!(found.settings.audiences, ["app"]);
        assert_eq!(found.revocations, RevocationHead { version: 1, rebuilt: 0 });
        let listed = store.revocations(tenant, project, None, 10).await.unwrap().items;
        assert_eq!((listed[0].kind, listed[0].value.as_str()), (RevocationKind::Sub, "ann's"));
        assert_eq!(listed[0].issued_before, Some(START_MS));
        assert!(store.find_verification(other).await.unwrap().is_some());
    })
    .await;
}
