//! Tenants: life, standing, names, and the order of lists.

use super::{START_MS, on_each, operator};
use crate::tenants::Word;
use crate::{KeyMode, NewTenant, Plan, SigningAlgorithm, TenancyError, TenantPatch};
use crate::{TenantStatus, UsageMetric};
use std::time::Duration;

#[tokio::test]
async fn a_tenant_lives_and_is_deleted() {
    on_each(async |store| {
        let new = NewTenant { name: "Acme".into(), plan: Plan::Pro, status: TenantStatus::Trial };
        let made = store.create_tenant(new, &operator()).await.unwrap();
        assert_eq!((made.plan.clone(), made.status), (Plan::Pro, TenantStatus::Trial));
        assert_eq!(made.created_at, START_MS);
        assert_eq!(store.tenant(made.id).await.unwrap(), made);

        let patch = TenantPatch {
            name: Some("Acme Ltd".into()),
            plan: Some(Plan::Enterprise),
            status: Some(TenantStatus::PastDue),
            stripe_customer_id: Some("cus_1".into()),
        };
        let changed = store.update_tenant(made.id, patch, &operator()).await.unwrap();
        assert_eq!(changed.name, "Acme Ltd");
        assert_eq!(
            (changed.plan.clone(), changed.status),
            (Plan::Enterprise, TenantStatus::PastDue)
        );
        assert_eq!(changed.stripe_customer_id.as_deref(), Some("cus_1"));
        assert_eq!(store.tenant(made.id).await.unwrap(), changed);

        store.delete_tenant(made.id, &operator()).await.unwrap();
        let gone = Err(TenancyError::NotFound { what: "tenant" });
        assert_eq!(store.tenant(made.id).await, gone);
        assert_eq!(store.update_tenant(made.id, TenantPatch::default(), &operator()).await, gone);
        assert!(store.delete_tenant(made.id, &operator()).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn suspension_has_a_reason_and_remembers_what_was_before() {
    on_each(async |store| {
        let tenant = store.new_tenant("a").await.id;
        let by = operator();
        let trial = TenantPatch { status: Some(TenantStatus::Trial), ..TenantPatch::default() };
        store.update_tenant(tenant, trial.clone(), &by).await.unwrap();

        assert!(store.suspend_tenant(tenant, "  ", &by).await.is_err());
        let suspended = store.suspend_tenant(tenant, "unpaid", &by).await.unwrap();
        assert_eq!(suspended.status, TenantStatus::Suspended);
        assert_eq!(suspended.status_reason.as_deref(), Some("unpaid"));
        // Again: a new reason, and the old status is not forgotten.
        let again = store.suspend_tenant(tenant, "abuse", &by).await.unwrap();
        assert_eq!(again.status_reason.as_deref(), Some("abuse"));

        let refused = store.update_tenant(tenant, trial, &by).await;
        assert!(matches!(refused, Err(TenancyError::Conflict { .. })), "{refused:?}");
        let suspend = TenantPatch { status: Some(TenantStatus::Suspended), ..Default::default() };
        assert!(store.update_tenant(tenant, suspend, &by).await.is_err());

        let resumed = store.resume_tenant(tenant, Some("paid"), &by).await.unwrap();
        assert_eq!(resumed.status, TenantStatus::Trial);
        assert_eq!(resumed.status_reason.as_deref(), Some("paid"));
        let twice = store.resume_tenant(tenant, None, &by).await;
        assert!(matches!(twice, Err(TenancyError::Conflict { .. })), "{twice:?}");
    })
    .await;
}

#[tokio::test]
async fn names_are_checked() {
    on_each(async |store| {
        for name in ["", "   ", "a\nb", &"x".repeat(129)] {
            let new = NewTenant { name: name.to_owned(), ..NewTenant::default() };
            let refused = store.create_tenant(new, &operator()).await;
            assert!(
                matches!(refused, Err(TenancyError::Invalid { field: "name", .. })),
                "{name:?}: {refused:?}"
            );
        }
        let new = NewTenant { name: "ä".repeat(64), ..NewTenant::default() };
        store.create_tenant(new, &operator()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_tenant_with_projects_stays() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let kept = store.delete_tenant(tenant, &operator()).await;
        assert!(matches!(kept, Err(TenancyError::Conflict { .. })), "{kept:?}");
        store.delete_project(tenant, project, &operator()).await.unwrap();
        store.delete_tenant(tenant, &operator()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn lists_go_page_by_page_in_the_order_of_making() {
    on_each(async |store| {
        let mut made = Vec::new();
        for index in 0..7 {
            made.push(store.new_tenant(&format!("t{index}")).await.id);
            if index == 3 {
                store.clock.advance(Duration::from_millis(1));
            }
            if index == 5 {
                // A clock that goes back does not disturb the order.
                store.clock.set_now_ms(START_MS - 10_000);
            }
        }
        let mut seen = Vec::new();
        let mut pages = 0;
        loop {
            let page = store.tenants(seen.last().copied(), 3).await.unwrap();
            pages += 1;
            seen.extend(page.items.iter().map(|tenant| tenant.id));
            if !page.has_more {
                break;
            }
            assert_eq!(page.items.len(), 3);
        }
        assert_eq!((seen, pages), (made, 3));
    })
    .await;
}

fn check_words<W: Word + PartialEq + std::fmt::Debug>(count: usize) {
    assert_eq!(W::ALL.len(), count);
    for &(value, word) in W::ALL {
        assert_eq!(value.word(), word);
        assert_eq!(W::read(word).unwrap(), value);
    }
    assert!(W::read("nonsense").is_err());
}

#[test]
fn words_cover_all_variants() {
    // An added variant breaks these matches, as a reminder of the table and of the count below.
    let _ = |status: TenantStatus| match status {
        TenantStatus::Active
        | TenantStatus::Trial
        | TenantStatus::PastDue
        | TenantStatus::Suspended => (),
    };
    let _ = |mode: KeyMode| match mode {
        KeyMode::Live | KeyMode::Test => (),
    };
    let _ = |algorithm: SigningAlgorithm| match algorithm {
        SigningAlgorithm::Hs256
        | SigningAlgorithm::Rs256
        | SigningAlgorithm::Es256
        | SigningAlgorithm::EdDsa => (),
    };
    let _ = |metric: UsageMetric| match metric {
        UsageMetric::EventsPublished
        | UsageMetric::EventsDelivered
        | UsageMetric::ConnectionSeconds
        | UsageMetric::ApiRequests
        | UsageMetric::BytesPublished
        | UsageMetric::BytesDelivered
        | UsageMetric::StoredByteHours => (),
    };
    check_words::<TenantStatus>(4);
    check_words::<KeyMode>(2);
    check_words::<SigningAlgorithm>(4);
    check_words::<UsageMetric>(7);
}
