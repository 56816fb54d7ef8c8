//! What Stripe's webhooks do: once, in their order, and only if they are Stripe's.

use super::signature::sign;
use super::{Rig, SECRET, START_MS};
use axum::body::Body;
use http::{Request, StatusCode};
use port::Change;
use proptest::prelude::*;
use serde_json::{Value, json};
use tenancy::{AuditFilter, Plan, TenantStatus};
use tower::ServiceExt;

fn event(id: &str, kind: &str, created_s: i64, mut object: Value) -> Value {
    object["customer"] = json!("cus_1");
    json!({"id": id, "type": kind, "created": created_s, "data": {"object": object}})
}

async fn send_signed(rig: &Rig, header: &str, body: &Value) -> StatusCode {
    let request = Request::post("/v1/billing/stripe/webhook").header("stripe-signature", header);
    let request = request.body(Body::from(body.to_string())).expect("a request");
    rig.billing.routes().oneshot(request).await.expect("routes do not fail").status()
}

async fn send(rig: &Rig, body: &Value) -> StatusCode {
    let at_s = START_MS / 1_000;
    let tag = sign(SECRET, at_s, body.to_string().as_bytes());
    send_signed(rig, &format!("t={at_s},v1={tag}"), body).await
}

async fn status(rig: &Rig) -> TenantStatus {
    rig.tenancy.tenant(rig.tenant).await.expect("a tenant").status
}

async fn told(rig: &Rig, action: &str) -> usize {
    let filter = AuditFilter { action: Some(action.into()), ..AuditFilter::default() };
    rig.tenancy.audit(rig.tenant, &filter, 100).await.expect("a trail").items.len()
}

#[tokio::test]
async fn a_failed_payment_begins_the_grace_and_a_payment_ends_it() {
    let rig = Rig::new("http://127.0.0.1:9").await;
    rig.subscribed().await;
    let failed = event("evt_1", "invoice.payment_failed", 100, json!({"id": "in_1"}));
    assert_eq!(send(&rig, &failed).await, StatusCode::OK);
    assert_eq!(status(&rig).await, TenantStatus::PastDue);
    assert_eq!(rig.live.0.lock().last(), Some(&Change::Tenant(rig.tenant)));
    // Sent again it does nothing more.
    assert_eq!(send(&rig, &failed).await, StatusCode::OK);
    assert_eq!(told(&rig, "payment.fail").await, 1);
    let paid = event("evt_2", "invoice.paid", 200, json!({"id": "in_1"}));
    assert_eq!(send(&rig, &paid).await, StatusCode::OK);
    assert_eq!(status(&rig).await, TenantStatus::Active);
    // What was overtaken on its way changes nothing.
    let late = event("evt_0", "invoice.payment_failed", 150, json!({"id": "in_1"}));
    assert_eq!(send(&rig, &late).await, StatusCode::OK);
    assert_eq!(status(&rig).await, TenantStatus::Active);
}

#[tokio::test]
async fn a_subscription_that_ends_moves_the_tenant_to_the_next_plan() {
    let rig = Rig::new("http://127.0.0.1:9").await;
    rig.subscribed().await;
    let other = event("evt_1", "customer.subscription.deleted", 1, json!({"id": "sub_old"}));
    send(&rig, &other).await;
    assert_eq!(rig.tenancy.tenant(rig.tenant).await.unwrap().plan, Plan::Pro);
    let ended = event("evt_2", "customer.subscription.deleted", 2, json!({"id": "sub_1"}));
    send(&rig, &ended).await;
    assert_eq!(rig.tenancy.tenant(rig.tenant).await.unwrap().plan, Plan::Free);
    assert_eq!(rig.tenancy.account(rig.tenant).await.unwrap().stripe_subscription_id, None);
}

#[tokio::test]
async fn what_is_not_signed_by_stripe_is_refused() {
    let rig = Rig::new("http://127.0.0.1:9").await;
    rig.subscribed().await;
    let failed = event("evt_1", "invoice.payment_failed", 100, json!({"id": "in_1"}));
    let text = failed.to_string();
    let at_s = START_MS / 1_000;
    for header in [
        format!("t={at_s},v1={}", sign("whsec_guess", at_s, text.as_bytes())),
        format!("t={},v1={}", at_s - 301, sign(SECRET, at_s - 301, text.as_bytes())),
        "t=1".to_owned(),
    ] {
        assert_eq!(send_signed(&rig, &header, &failed).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(status(&rig).await, TenantStatus::Active);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// **Feature: realtime-saas-platform, Property 22: failed payment triggers the kill switch and
    /// suspends access** - after the grace, whatever order and how often Stripe tells it in; and
    /// the newest news decides.
    #[test]
    fn the_newest_news_of_payments_decides(
        news in prop::collection::vec((any::<bool>(), 1i64..50), 1..8),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let rig = Rig::new("http://127.0.0.1:9").await;
            rig.subscribed().await;
            // No two of one second: between those Stripe itself has no order.
            let mut events: Vec<(bool, i64)> = news.clone();
            events.sort_by_key(|it| it.1);
            events.dedup_by_key(|it| it.1);
            let mut newest: Option<(bool, i64)> = None;
            let all = order.iter().map(|at| *at.get(&events)).chain(events.last().copied());
            for (is_paid, at) in all {
                let kind = if is_paid { "invoice.paid" } else { "invoice.payment_failed" };
                let body = event(&format!("evt_{at}"), kind, at, json!({"id": "in_1"}));
                assert_eq!(send(&rig, &body).await, StatusCode::OK);
                if newest.is_none_or(|(_, newest)| at > newest) {
                    newest = Some((is_paid, at));
                }
                let is_overdue = newest.is_some_and(|(is_paid, _)| !is_paid);
                let wanted =
                    if is_overdue { TenantStatus::PastDue } else { TenantStatus::Active };
                assert_eq!(status(&rig).await, wanted);
            }
            let by = tenancy::Actor::system();
            let is_overdue = newest.is_some_and(|(is_paid, _)| !is_paid);
            let suspended = rig.tenancy.end_grace(rig.tenant, &by).await.expect("ended");
            assert_eq!(suspended.is_some(), is_overdue);
            if is_overdue {
                assert_eq!(status(&rig).await, TenantStatus::Suspended);
                let paid = event("evt_last", "invoice.paid", 100, json!({"id": "in_1"}));
                send(&rig, &paid).await;
                assert_eq!(status(&rig).await, TenantStatus::Active);
            }
        });
    }
}
