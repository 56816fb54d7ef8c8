//! Usage windows: adding up, paging, totals.

use super::{START_MS, on_each, sqlite};
use crate::{USAGE_WINDOW_MS, UsageFilter, UsageMetric, UsageWindow};
use port::Usage;
use proptest::prelude::*;
use std::collections::BTreeMap;
use types::{ProjectId, TenantId};
use uuid::Uuid;

fn published(events_published: u64) -> Usage {
    Usage { events_published, ..Usage::default() }
}

#[tokio::test]
async fn counts_add_up_within_a_window() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let used = Usage {
            events_published: 5,
            events_delivered: 7,
            connection_seconds: 60,
            ..Usage::default()
        };
        // Twice in one call, and again later in the same window.
        let both = [(tenant, project, used), (tenant, project, published(1))];
        store.add_usage(START_MS, &both).await.unwrap();
        store.add_usage(START_MS + USAGE_WINDOW_MS - 1, &both).await.unwrap();
        store
            .add_usage(START_MS + USAGE_WINDOW_MS, &[(tenant, project, published(9))])
            .await
            .unwrap();
        store.add_usage(START_MS, &[]).await.unwrap();
        let page = store.usage(tenant, &UsageFilter::default(), 10).await.unwrap();
        let found: Vec<(UsageMetric, i64, u64)> = page
            .items
            .iter()
            .map(|window| (window.metric, window.window_start - START_MS, window.quantity))
            .collect();
        let mut wanted = vec![
            (UsageMetric::EventsPublished, 0, 12),
            (UsageMetric::EventsDelivered, 0, 14),
            (UsageMetric::ConnectionSeconds, 0, 120),
            (UsageMetric::EventsPublished, USAGE_WINDOW_MS, 9),
        ];
        wanted.sort_by_key(|(metric, at, _)| (*at, metric.name()));
        assert_eq!(found, wanted);

        let totals = store.usage_totals(tenant, &UsageFilter::default()).await.unwrap();
        let sum = |metric| totals.iter().find(|total| total.metric == metric).map(|t| t.quantity);
        assert_eq!(sum(UsageMetric::EventsPublished), Some(21));
        assert_eq!(sum(UsageMetric::ApiRequests), None);
        let first_hour = UsageFilter {
            project: Some(project),
            metric: Some(UsageMetric::EventsPublished),
            from: Some(START_MS),
            to: Some(START_MS + USAGE_WINDOW_MS),
            after: None,
        };
        let totals = store.usage_totals(tenant, &first_hour).await.unwrap();
        assert_eq!(totals.iter().map(|total| total.quantity).collect::<Vec<_>>(), [12]);
    })
    .await;
}

#[tokio::test]
async fn windows_are_paged_without_loss_or_repetition() {
    on_each(async |store| {
        let (tenant, first) = store.scope("a").await;
        let second = store.new_project(tenant, "b", types::Limits::default()).await.id;
        let used = Usage {
            events_published: 1,
            events_delivered: 2,
            connection_seconds: 3,
            api_requests: 4,
            ..Usage::default()
        };
        for hour in 0..3 {
            let at = START_MS + hour * USAGE_WINDOW_MS;
            store.add_usage(at, &[(tenant, first, used), (tenant, second, used)]).await.unwrap();
        }
        let all = store.usage(tenant, &UsageFilter::default(), 100).await.unwrap();
        assert_eq!((all.items.len(), all.has_more), (24, false));
        let mut seen: Vec<UsageWindow> = Vec::new();
        loop {
            let filter =
                UsageFilter { after: seen.last().map(UsageWindow::key), ..UsageFilter::default() };
            let page = store.usage(tenant, &filter, 5).await.unwrap();
            seen.extend(page.items);
            if !page.has_more {
                break;
            }
        }
        assert_eq!(seen, all.items);
    })
    .await;
}

#[tokio::test]
async fn many_rows_and_a_clock_before_1970_do_no_harm() {
    on_each(async |store| {
        let tenant = TenantId(Uuid::from_u128(9));
        let rows: Vec<_> =
            (0..2_500).map(|n| (tenant, ProjectId(Uuid::from_u128(n)), published(1))).collect();
        store.add_usage(-1, &rows).await.unwrap();
        let totals = store.usage_totals(tenant, &UsageFilter::default()).await.unwrap();
        assert_eq!(totals.len(), 2_500);
        let page = store.usage(tenant, &UsageFilter::default(), 1).await.unwrap();
        assert_eq!(page.items[0].window_start, -USAGE_WINDOW_MS);
    })
    .await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever is added, in whatever pieces, the totals are the sums per tenant, project, metric.
    #[test]
    fn totals_equal_what_was_added(
        adds in prop::collection::vec(
            (0u128..3, 0u128..3, 0i64..4, 0u64..1_000, 0u64..1_000),
            0..20,
        )
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = sqlite().await;
            let mut wanted: BTreeMap<(TenantId, ProjectId, UsageMetric), u64> = BTreeMap::new();
            for (tenant, project, hour, published, requests) in adds {
                let (tenant, project) =
                    (TenantId(Uuid::from_u128(tenant)), ProjectId(Uuid::from_u128(project)));
                let used = Usage {
                    events_published: published,
                    api_requests: requests,
                    ..Usage::default()
                };
                store.add_usage(hour * USAGE_WINDOW_MS, &[(tenant, project, used)]).await.unwrap();
                let counts = [
                    (UsageMetric::EventsPublished, published),
                    (UsageMetric::ApiRequests, requests),
                ];
                for (metric, count) in counts {
                    *wanted.entry((tenant, project, metric)).or_default() += count;
                }
            }
            let mut found = BTreeMap::new();
            for tenant in (0..3).map(|n| TenantId(Uuid::from_u128(n))) {
                for total in store.usage_totals(tenant, &UsageFilter::default()).await.unwrap() {
                    found.insert((tenant, total.project, total.metric), total.quantity);
                }
            }
            wanted.retain(|_, quantity| *quantity > 0);
            assert_eq!(found, wanted);
        });
    }
}
