//! Plans, accounts, budgets and what becomes due by itself; and usage counted again.

use super::{Rig, START_MS, last_part, text};
use crate::AccountsWorker;
use port::{Change, Recount};
use serde_json::{Value, json};
use std::time::Duration;
use tenancy::{UsageRange, UsageWrite};
use types::{LogRange, ProjectId, TenantId, TopicId, Usage};

fn ids(scope: &(String, String)) -> (TenantId, ProjectId) {
    (last_part(&scope.0).parse().unwrap(), last_part(&scope.1).parse().unwrap())
}

fn terms() -> Value {
    json!({
        "base_minor": 1_000,
        "metrics": {"events_published": {
            "included": 100, "hard_max": 1_000, "per": 10,
            "tiers": [{"up_to": 100, "price_minor": 5}, {"price_minor": 3}],
        }},
    })
}

#[tokio::test]
async fn a_plan_is_made_given_priced_and_archived() {
    let rig = Rig::new().await;
    let body = json!({"title": "Gold", "terms": terms()});
    let made = rig.call("PUT", "/v1/plans/gold", body.clone()).await.ok(201);
    assert_eq!((&made["plan"], &made["is_builtin"]), (&json!("gold"), &json!(false)));
    let scope = rig.project("a").await;
    let moved = rig.call("PATCH", &scope.0, json!({"plan": "gold"})).await.ok(200);
    assert_eq!(moved["plan"], "gold");
    let (tenant, project) = ids(&scope);
    rig.changes();
    // Changed terms are told to the node for each of its tenants.
    rig.call("PUT", "/v1/plans/gold", body).await.ok(200);
    assert_eq!(rig.changes(), [Change::Tenant(tenant)]);
    let used = Usage { events_published: 250, api_requests: 3, ..Usage::default() };
    rig.tenancy.add_usage(START_MS, &[(tenant, project, used)]).await.unwrap();
    // A third of November is left: from the 1st to the 21st are 20 of 30 days.
    let account = rig.get(&format!("{}/account", scope.0)).await.ok(200);
    let metric = account["metrics"].as_array().unwrap().iter();
    let metric = metric.clone().find(|it| it["metric"] == "events_published").unwrap().clone();
    assert_eq!(metric["used"], 250);
    assert_eq!(metric["forecast"], 375);
    // 150 beyond: 100 at 5 and 50 at 3 for each 10.
    assert_eq!(metric["amount_minor"], 65);
    assert_eq!(account["total_minor"], 1_065);
    // 275 beyond: 100 at 5 and 175 at 3.
    assert_eq!(account["forecast_minor"], 1_000 + 103);
    assert_eq!(account["projects"][0]["used"]["events_published"], 250);
    rig.call("DELETE", "/v1/plans/gold", Value::Null).await.ok(204);
    let other = rig.project("b").await;
    let refused = rig.call("PATCH", &other.0, json!({"plan": "gold"})).await;
    refused.refused(409, "CONFLICT", "plan");
    let refused = rig.call("PATCH", &other.0, json!({"plan": "silver"})).await;
    refused.refused(400, "INVALID_REQUEST", "plan");
    let listed = rig.get("/v1/plans").await.ok(200);
    let names: Vec<_> =
        listed["plans"].as_array().unwrap().iter().map(|plan| text(&plan["plan"])).collect();
    assert_eq!(names, ["free", "pro", "enterprise", "gold"]);
}

#[tokio::test]
async fn terms_that_contradict_themselves_are_refused_by_name() {
    let rig = Rig::new().await;
    for (change, field) in [
        (json!({"currency": "USD"}), "terms.currency"),
        (
            json!({"metrics": {"api_requests": {"included": 5, "hard_max": 4}}}),
            "terms.metrics.api_requests.hard_max",
        ),
        (json!({"after_trial": "nowhere"}), "terms.after_trial"),
    ] {
        let body = json!({"title": "X", "terms": change});
        let answer = rig.call("PUT", "/v1/plans/x", body).await;
        assert_eq!(answer.field(), field, "{}", answer.body);
    }
    let body = json!({"title": "X", "terms": {}});
    rig.call("PUT", "/v1/plans/pro", body.clone()).await.refused(409, "CONFLICT", "plan");
    rig.call("PUT", "/v1/plans/Gold", body).await.refused(400, "INVALID_REQUEST", "plan");
    rig.get("/v1/plans/none").await.refused(404, "NOT_FOUND", "");
}

#[tokio::test]
async fn warnings_are_told_once_and_a_budget_stops_and_goes_on() {
    let rig = Rig::new().await;
    rig.call("PUT", "/v1/plans/gold", json!({"title": "Gold", "terms": terms()})).await.ok(201);
    let scope = rig.project("a").await;
    rig.call("PATCH", &scope.0, json!({"plan": "gold"})).await.ok(200);
    let (tenant, _) = ids(&scope);
    let budget = json!({"name": "ceiling", "amount": 1_010, "action": "stop"});
    let budget = rig.call("POST", &format!("{}/budgets", scope.0), budget).await.ok(201);
    let mut worker = AccountsWorker::new(&rig.control);
    let mut used = async |published: u64| {
        let usage = Usage { events_published: published, ..Usage::default() };
        rig.live.months.lock().push((tenant, usage));
        worker.turn().await.expect("a turn");
        let trail = rig.get(&format!("/v1/audit?tenant={tenant}&action=usage.warn")).await;
        trail.ok(200)["records"].as_array().unwrap().len()
    };
    // The base price alone is 80 percent of the budget.
    assert_eq!(used(1).await, 1);
    assert_eq!(used(79).await, 1);
    assert_eq!(used(80).await, 2);
    assert_eq!(used(90).await, 2);
    assert_eq!(used(100).await, 3);
    rig.changes();
    // Twenty beyond cost ten: the budget is used up.
    assert_eq!(used(120).await, 4);
    assert_eq!(rig.changes(), [Change::Tenant(tenant)]);
    let account = rig.get(&format!("{}/account", scope.0)).await.ok(200);
    assert!(text(&account["stop_reason"]).contains("ceiling"), "{account}");
    assert_eq!(account["stop_until"], account["period_end"]);
    // The project hears of it too.
    let told = rig.tenancy.pending_events(&[], 100).await.unwrap();
    assert!(told.iter().any(|it| it.kind == "usage.warned" && it.project.is_some()));
    let path = format!("{}/budgets/{}", scope.0, text(&budget["id"]));
    rig.call("DELETE", &path, Value::Null).await.ok(204);
    let account = rig.get(&format!("{}/account", scope.0)).await.ok(200);
    assert_eq!(account["stop_reason"], Value::Null);
    rig.call("DELETE", &path, Value::Null).await.refused(404, "NOT_FOUND", "");
}

#[tokio::test]
async fn trials_and_graces_end_by_themselves() {
    let rig = Rig::new().await;
    let scope = rig.project("a").await;
    let trial = json!({"plan": "pro", "status": "trial"});
    rig.call("PATCH", &scope.0, trial).await.ok(200);
    let mut worker = AccountsWorker::new(&rig.control);
    worker.turn().await.unwrap();
    assert_eq!(rig.get(&scope.0).await.ok(200)["status"], "trial");
    rig.clock.advance(Duration::from_secs(14 * 86_400));
    rig.changes();
    worker.turn().await.unwrap();
    assert_eq!(rig.changes(), [Change::Tenant(ids(&scope).0)]);
    let tenant = rig.get(&scope.0).await.ok(200);
    assert_eq!((&tenant["status"], &tenant["plan"]), (&json!("active"), &json!("free")));
    rig.call("PATCH", &scope.0, json!({"status": "past_due"})).await.ok(200);
    rig.clock.advance(Duration::from_secs(7 * 86_400 - 1));
    worker.turn().await.unwrap();
    assert_eq!(rig.get(&scope.0).await.ok(200)["status"], "past_due");
    rig.clock.advance(Duration::from_secs(1));
    worker.turn().await.unwrap();
    let tenant = rig.get(&scope.0).await.ok(200);
    assert_eq!(tenant["status"], "suspended");
    assert!(text(&tenant["status_reason"]).contains("overdue"));
}

#[tokio::test]
async fn usage_is_counted_again_compared_and_repaired() {
    let rig = Rig::new().await;
    let scope = rig.project("a").await;
    let (tenant, project) = ids(&scope);
    let range = |from, to, records| UsageRange {
        tenant,
        project,
        window_start: 0,
        range: LogRange { topic: TopicId(7), partition: from as u32, from, to },
        records,
        bytes: records * 10,
    };
    let ranges = vec![range(0, 5, 5), range(100, 103, 3), range(200, 202, 2)];
    let usage = Usage { events_published: 10, bytes_published: 100, ..Usage::default() };
    let write = UsageWrite {
        sequence: 1,
        at: START_MS,
        usage: vec![(tenant, project, usage)],
        ranges,
        ..UsageWrite::default()
    };
    rig.tenancy.write_usage(&write).await.unwrap();
    // Tried again, it is known.
    rig.tenancy.write_usage(&write).await.unwrap();
    rig.live.counted.lock().extend([
        (0, Recount::Whole { records: 5, bytes: 50 }),
        (100, Recount::Whole { records: 4, bytes: 44 }),
        (200, Recount::Partly { records: 0, bytes: 0 }),
    ]);
    let path = format!("{}/usage/recompute", scope.0);
    let found = rig.call("POST", &path, json!({})).await.ok(200);
    assert_eq!((&found["ranges"], &found["differing"]), (&json!(3), &json!(1)));
    assert_eq!((&found["metered_records"], &found["log_records"]), (&json!(8), &json!(9)));
    assert_eq!(found["unverifiable_records"], 2);
    assert_eq!(found["differences"][0]["partition"], 100);
    let total = async || {
        let totals = rig.get(&format!("{}/usage/totals", scope.0)).await.ok(200);
        let all = totals["totals"].as_array().unwrap().iter();
        all.map(|it| it["quantity"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(total().await, [100, 10]);
    let repaired = rig.call("POST", &path, json!({"mode": "repair"})).await.ok(200);
    assert_eq!(repaired["repaired"], 1);
    assert_eq!(total().await, [114, 11]);
    let again = rig.call("POST", &path, json!({"mode": "verify"})).await.ok(200);
    assert_eq!(again["differing"], 0);
    let days = rig.get(&format!("{}/usage?step=day", scope.0)).await.ok(200);
    assert_eq!(days["windows"][1]["quantity"], 11);
    assert_eq!(days["windows"][1]["window_start"], START_MS);
}

#[tokio::test]
async fn without_stripe_its_routes_say_what_is_missing() {
    let rig = Rig::new().await;
    let scope = rig.project("a").await;
    let path = format!("{}/stripe/subscribe", scope.0);
    let answer = rig.call("POST", &path, Value::Null).await;
    assert_eq!(answer.field(), "billing.secret_key", "{}", answer.body);
    let reports = rig.get(&format!("{}/stripe/reports", scope.0)).await.ok(200);
    assert_eq!(reports["reports"], json!([]));
}
