//! Plans, accounts and budgets on both databases.

use super::{START_MS, Store, on_each, operator};
use crate::{
    AuditFilter, BudgetAction, Due, NewBudget, NewTenant, Plan, Stop, TenancyError, TenantPatch,
    TenantStatus,
};
use serde_json::json;
use types::UsageMetric;
use types::plan::{DAY_MS, Terms};

async fn on_plan(store: &Store, plan: Plan, status: TenantStatus) -> crate::Tenant {
    let new = NewTenant { name: "t".into(), plan, status };
    store.create_tenant(new, &operator()).await.expect("a tenant")
}

#[tokio::test]
async fn plans_are_made_changed_listed_and_archived() {
    on_each(async |store| {
        let by = operator();
        let gold = Plan::parse("gold").unwrap();
        let terms = Terms { base_minor: 9_900, ..Terms::default() };
        let (made, is_new) = store.put_plan(&gold, "Gold", &terms, &by).await.unwrap();
        assert!(is_new && made.terms == terms);
        let dearer = Terms { base_minor: 12_000, ..terms };
        let (changed, is_new) = store.put_plan(&gold, "Gold", &dearer, &by).await.unwrap();
        assert_eq!((changed.terms.base_minor, is_new), (12_000, false));
        let mut names = Vec::new();
        loop {
            let page = store.plans(names.last().map(String::as_str), 2).await.unwrap();
            names.extend(page.items.iter().map(|plan| plan.plan.name().to_owned()));
            if !page.has_more {
                break;
            }
        }
        assert_eq!(names, ["free", "pro", "enterprise", "gold"]);
        let tenant = on_plan(store, gold.clone(), TenantStatus::Active).await;
        assert_eq!(store.tenants_of_plan(&gold, None, 10).await.unwrap().items, [tenant.id]);
        store.archive_plan(&gold, &by).await.unwrap();
        let patch = TenantPatch { plan: Some(gold.clone()), ..TenantPatch::default() };
        let other = on_plan(store, Plan::Free, TenantStatus::Active).await;
        let refused = store.update_tenant(other.id, patch, &by).await.unwrap_err();
        assert!(matches!(refused, TenancyError::Conflict { field: Some("plan"), .. }));
        assert_eq!(store.allowance(&gold, tenant.id).await.unwrap().terms.base_minor, 12_000);
        let none = Plan::parse("none").unwrap();
        let new = NewTenant { name: "x".into(), plan: none, ..NewTenant::default() };
        let refused = store.create_tenant(new, &by).await.unwrap_err();
        assert!(matches!(refused, TenancyError::Invalid { field: "plan", .. }), "{refused}");
        let refused = store.put_plan(&Plan::Pro, "Pro", &terms_of_nothing(), &by).await;
        assert!(matches!(refused, Err(TenancyError::Conflict { .. })));
        for name in ["", "Gold", "a b", &"x".repeat(41)] {
            assert!(Plan::parse(name).is_err(), "{name}");
        }
    })
    .await;
}

fn terms_of_nothing() -> Terms {
    Terms::default()
}

#[tokio::test]
async fn a_trial_converts_by_itself() {
    on_each(async |store| {
        let by = operator();
        let tenant = on_plan(store, Plan::Pro, TenantStatus::Trial).await;
        let ends = store.account(tenant.id).await.unwrap().trial_ends_at.unwrap();
        assert_eq!(ends, START_MS + 14 * DAY_MS);
        assert_eq!(store.accounts_due(ends - 1).await.unwrap(), []);
        assert_eq!(store.accounts_due(ends).await.unwrap(), [(tenant.id, Due::TrialEnds)]);
        let ended = store.end_trial(tenant.id, &by).await.unwrap().unwrap();
        assert_eq!((ended.plan, ended.status), (Plan::Free, TenantStatus::Active));
        assert_eq!(store.end_trial(tenant.id, &by).await.unwrap(), None);
        assert_eq!(store.accounts_due(ends).await.unwrap(), []);
        // With a subscription it stays.
        let paying = on_plan(store, Plan::Pro, TenantStatus::Trial).await;
        let note = crate::SubscriptionNote {
            subscription: Some("sub_1".into()),
            status: "trialing".into(),
        };
        store.note_subscription(paying.id, &note, &by).await.unwrap();
        let ended = store.end_trial(paying.id, &by).await.unwrap().unwrap();
        assert_eq!((ended.plan, ended.status), (Plan::Pro, TenantStatus::Active));
    })
    .await;
}

#[tokio::test]
async fn an_overdue_payment_suspends_after_the_grace_and_a_payment_frees() {
    on_each(async |store| {
        let by = operator();
        let (tenant, project) = store.scope("a").await;
        let failed = store.payment_failed(tenant, json!({}), &by).await.unwrap();
        assert_eq!(failed.status, TenantStatus::PastDue);
        let grace = store.account(tenant).await.unwrap().grace_ends_at.unwrap();
        assert_eq!(grace, START_MS + 7 * DAY_MS);
        // A second failure does not begin it again.
        store.clock.advance(std::time::Duration::from_secs(3_600));
        store.payment_failed(tenant, json!({}), &by).await.unwrap();
        assert_eq!(store.account(tenant).await.unwrap().grace_ends_at, Some(grace));
        assert_eq!(store.accounts_due(grace).await.unwrap(), [(tenant, Due::GraceEnds)]);
        let suspended = store.end_grace(tenant, &by).await.unwrap().unwrap();
        assert_eq!(suspended.status, TenantStatus::Suspended);
        assert_eq!(store.end_grace(tenant, &by).await.unwrap(), None);
        let freed = store.payment_succeeded(tenant, json!({}), &by).await.unwrap();
        assert_eq!((freed.status, freed.status_reason), (TenantStatus::Active, None));
        // Whom an operator suspended, no payment frees.
        store.suspend_tenant(tenant, "abuse", &by).await.unwrap();
        let still = store.payment_succeeded(tenant, json!({}), &by).await.unwrap();
        assert_eq!(still.status, TenantStatus::Suspended);
        // The project is told.
        let told = store.pending_events(&[], 100).await.unwrap();
        let kinds: Vec<_> = told
            .iter()
            .filter(|event| event.project == Some(project))
            .map(|event| event.kind.as_str())
            .collect();
        assert!(kinds.contains(&"payment.failed") && kinds.contains(&"tenant.suspended"));
    })
    .await;
}

#[tokio::test]
async fn without_grace_a_failed_payment_suspends_at_once() {
    on_each(async |store| {
        let by = operator();
        let strict = Plan::parse("strict").unwrap();
        let terms = Terms { grace_days: 0, ..Terms::default() };
        store.put_plan(&strict, "Strict", &terms, &by).await.unwrap();
        let tenant = on_plan(store, strict, TenantStatus::Active).await;
        let now = store.payment_failed(tenant.id, json!({}), &by).await.unwrap();
        assert_eq!(now.status, TenantStatus::Suspended);
        let freed = store.payment_succeeded(tenant.id, json!({}), &by).await.unwrap();
        assert_eq!(freed.status, TenantStatus::Active);
    })
    .await;
}

#[tokio::test]
async fn notices_are_given_once_and_budgets_are_the_tenants_own() {
    on_each(async |store| {
        let by = operator();
        let (tenant, _) = store.scope("a").await;
        let (other, _) = store.scope("b").await;
        for wanted in [true, false] {
            let subject = "events_published/hard/80";
            let given = store.give_notice(tenant, START_MS, subject, json!({}), &by).await;
            assert_eq!(given.unwrap(), wanted);
        }
        assert_eq!(store.notices(tenant, START_MS).await.unwrap().len(), 1);
        assert!(store.notices(tenant, START_MS + 1).await.unwrap().is_empty());
        let filter = AuditFilter { action: Some("usage.warn".into()), ..AuditFilter::default() };
        assert_eq!(store.audit(tenant, &filter, 10).await.unwrap().items.len(), 1);
        let new = NewBudget {
            name: "all".into(),
            metric: Some(UsageMetric::BytesDelivered),
            amount: 5,
            action: BudgetAction::Stop,
        };
        let made = store.create_budget(tenant, new.clone(), &by).await.unwrap();
        assert_eq!(store.budgets(tenant).await.unwrap(), std::slice::from_ref(&made));
        let refused = store.delete_budget(other, made.id, &by).await.unwrap_err();
        assert_eq!(refused, TenancyError::NotFound { what: "budget" });
        let empty = NewBudget { amount: 0, ..new };
        assert!(store.create_budget(tenant, empty, &by).await.is_err());
        let stop = Stop { reason: "enough".into(), until: START_MS + 1 };
        store.set_stop(tenant, Some(stop.clone()), &by).await.unwrap();
        assert_eq!(store.account(tenant).await.unwrap().stop, Some(stop));
        store.set_stop(tenant, None, &by).await.unwrap();
        assert_eq!(store.account(tenant).await.unwrap().stop, None);
        store.delete_budget(tenant, made.id, &by).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_tenant_with_an_account_can_be_deleted() {
    on_each(async |store| {
        let tenant = on_plan(store, Plan::Pro, TenantStatus::Trial).await;
        store.delete_tenant(tenant.id, &operator()).await.unwrap();
    })
    .await;
}
