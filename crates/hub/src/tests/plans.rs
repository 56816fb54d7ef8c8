//! What a plan allows is enforced where it is used, and never by more than it says.

use super::{name, on_shard, peer, record};
use port::live::Quota;
use port::{Change, Closer, Code, Connection, Hub, Live, Refusal};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tenancy::{Actor, Plan, Stop, TenantPatch};
use types::plan::{MetricTerms, Terms};
use types::{Record, Scopes, UsageMetric};

#[derive(Default)]
struct Ending(Mutex<Option<Code>>);

impl Closer for Ending {
    fn close(&self, why: Refusal) {
        self.0.lock().expect("no panic while held").get_or_insert(why.code());
    }
}

/// The site's tenant on a plan with these hard limits.
async fn bound(site: &super::Site, bounds: &[(UsageMetric, u64)]) {
    let by = Actor::system();
    let metric = |&(metric, max): &(UsageMetric, u64)| {
        (metric, MetricTerms { hard_max: Some(max), ..MetricTerms::default() })
    };
    let metrics: BTreeMap<_, _> = bounds.iter().map(metric).collect();
    let digits = site.tenant.to_string().replace("ten_", "");
    let plan = Plan::parse(&format!("p-{digits}")).expect("a name");
    let terms = Terms { metrics, ..Terms::default() };
    site.tenancy.put_plan(&plan, "bounded", &terms, &by).await.expect("a plan");
    let patch = TenantPatch { plan: Some(plan), ..TenantPatch::default() };
    site.tenancy.update_tenant(site.tenant, patch, &by).await.expect("moved");
    site.authenticator.changed(&Change::Tenant(site.tenant)).await;
}

fn records(count: usize) -> Vec<Record> {
    vec![record("k", "1"); count]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// **Feature: realtime-saas-platform, Property 21: beyond the plan's limit, further use is
    /// prevented** - several writers at once never pass it together, and nobody is refused what
    /// still fits when he asks alone.
    #[test]
    fn writers_together_never_pass_a_hard_limit(
        max in 1u64..60, batches in prop::collection::vec(1usize..8, 1..24),
    ) {
        on_shard(async |site| {
            let limits = types::Limits::default();
            let (tenant, project) = super::make_project(&site.tenancy, limits).await;
            let site = super::Site { base: site.base.clone(), tenant, project };
            bound(&site, &[(UsageMetric::EventsPublished, max)]).await;
            let who = site.owner().await;
            let appends = batches.iter().map(|count| {
                let (node, who, count) = (Arc::clone(&site.node), who.clone(), *count);
                async move {
                    match node.append(&who, &name("t"), records(count)).await {
                        Ok(placed) => placed.len() as u64,
                        Err(refusal) => {
                            assert_eq!(refusal.code(), Code::PlanLimitExceeded);
                            let field = refusal.field_name();
                            assert_eq!(field, Some("plan.events_published.hard_max"));
                            assert!(refusal.wait().is_some());
                            0
                        }
                    }
                }
            });
            let accepted: u64 = futures_util::future::join_all(appends).await.into_iter().sum();
            assert!(accepted <= max, "{accepted} of {max}");
            // Alone, one by one, exactly what is left fits.
            let mut alone = accepted;
            while site.node.append(&who, &name("t"), records(1)).await.is_ok() {
                alone += 1;
            }
            assert_eq!(alone, max);
        });
    }
}

#[test]
fn reading_asking_and_connecting_have_limits_of_their_own() {
    on_shard(async |site| {
        let who = site.caller((site.tenant, site.project), Scopes::all()).await;
        let key = site.key((site.tenant, site.project), Scopes::all()).await;
        site.publish(&who, "t", records(4)).await;
        bound(site, &[(UsageMetric::EventsDelivered, 4), (UsageMetric::ApiRequests, 3)]).await;
        let read = || port::ReadRequest {
            topic: name("t"),
            from: types::From::Earliest,
            key: None,
            last: None,
            limit: 100,
            wait: std::time::Duration::ZERO,
        };
        let connection =
            Connection { protocol: "test", quota: Quota::Other, address: peer().address };
        let ending = Arc::new(Ending::default());
        let _lease = site.node.open(&who, connection, ending.clone()).await.expect("room");
        assert_eq!(site.node.read(&who, read()).await.expect("read").records.len(), 4);
        let refused = site.node.read(&who, read()).await.expect_err("used up");
        assert_eq!(refused.field_name(), Some("plan.events_delivered.hard_max"));
        // Publishing goes on.
        site.publish(&who, "t", records(1)).await;
        let mut asked = 1;
        while site.prove(&key).await.is_ok() {
            asked += 1;
        }
        assert_eq!(asked, 3);
        assert!(ending.0.lock().unwrap().is_none(), "it follows nothing");
        bound_connecting(site).await;
        site.node.review().await;
        assert_eq!(*ending.0.lock().unwrap(), Some(Code::PlanLimitExceeded));
    });
}

async fn bound_connecting(site: &super::Site) {
    site.clock.advance(std::time::Duration::from_secs(2));
    site.node.sweep();
    bound(site, &[(UsageMetric::ConnectionSeconds, 1)]).await;
}

#[test]
fn a_stop_ends_use_until_its_time() {
    on_shard(async |site| {
        let who = site.caller((site.tenant, site.project), Scopes::all()).await;
        let by = Actor::system();
        let until = super::START_MS + 60_000;
        let stop = Stop { reason: "the budget `all` is used up".into(), until };
        site.tenancy.set_stop(site.tenant, Some(stop), &by).await.expect("stopped");
        site.authenticator.changed(&Change::Tenant(site.tenant)).await;
        let refused = site.node.append(&who, &name("t"), records(1)).await.expect_err("stopped");
        assert_eq!(refused.code(), Code::PlanLimitExceeded);
        assert_eq!(refused.wait(), Some(std::time::Duration::from_secs(60)));
        site.clock.advance(std::time::Duration::from_secs(60));
        site.publish(&who, "t", records(1)).await;
    });
}

#[test]
fn a_month_that_begins_sets_limits_back() {
    on_shard(async |site| {
        bound(site, &[(UsageMetric::EventsPublished, 2)]).await;
        let who = site.caller((site.tenant, site.project), Scopes::all()).await;
        site.publish(&who, "t", records(2)).await;
        let refused = site.node.append(&who, &name("t"), records(1)).await.expect_err("used up");
        // From the 21st to the first of December.
        let wait = refused.wait().expect("a time");
        assert_eq!(wait, std::time::Duration::from_secs(10 * 86_400));
        site.clock.advance(wait);
        site.publish(&who, "t", records(2)).await;
        site.node.append(&who, &name("t"), records(1)).await.expect_err("used up again");
        let months = site.node.months();
        let of_tenant = months.iter().find(|(tenant, _)| *tenant == site.tenant);
        assert_eq!(of_tenant.map(|(_, used)| used.events_published), Some(2));
        assert!(site.node.months().is_empty(), "nothing new");
    });
}

#[test]
fn deliveries_that_meet_a_limit_wake_the_node() {
    on_shard(async |site| {
        let who = site.caller((site.tenant, site.project), Scopes::all()).await;
        site.publish(&who, "t", records(3)).await;
        bound(site, &[(UsageMetric::EventsDelivered, 3)]).await;
        let read = port::ReadRequest {
            topic: name("t"),
            from: types::From::Earliest,
            key: None,
            last: None,
            limit: 100,
            wait: std::time::Duration::ZERO,
        };
        site.node.read(&who, read).await.expect("three fit");
        site.node.limit_is_met().await;
    });
}
