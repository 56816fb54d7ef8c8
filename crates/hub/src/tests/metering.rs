//! Usage equals the log, whenever the process ends.

use super::{Base, Site, name, record};
use port::{Hub, Live, Recount};
use proptest::prelude::*;
use std::rc::Rc;
use tenancy::{UsageFilter, UsageMetric};
use types::{From, Scopes};

async fn used(site: &Site, metric: UsageMetric) -> u64 {
    let filter = UsageFilter { metric: Some(metric), ..UsageFilter::default() };
    let totals = site.tenancy.usage_totals(site.tenant, &filter).await.expect("totals");
    totals.iter().map(|total| total.quantity).sum()
}

/// Records and bytes of all the tenant's topics, as the log has them.
async fn in_log(site: &Site) -> (u64, u64) {
    let (mut records, mut bytes) = (0, 0);
    for topic in site.node.catalogue.all().iter().filter(|topic| !topic.name.is_internal()) {
        for partition in 0..topic.partitions() {
            let bounds = site.node.engine.bounds(topic.id, partition).expect("bounds");
            let mut next = bounds.start;
            while next < bounds.end {
                let read = site.node.engine.read(topic.id, partition, next, 1 << 20).await;
                for batch in read.expect("batches") {
                    records += u64::from(batch.count());
                    bytes += batch.records().map(|(.., it)| it.size() as u64).sum::<u64>();
                    next = batch.next_offset();
                }
            }
        }
    }
    (records, bytes)
}

/// The process dies without a word and another begins on what it left.
async fn restart(site: Site) -> Site {
    let Site { base, tenant, project } = site;
    let Ok(base) = Rc::try_unwrap(base) else { panic!("the base is shared") };
    let Base { disk, clock, dir, node, tenancy, authenticator } = base;
    disk.crash();
    drop((node, authenticator, tenancy));
    disk.restart();
    let base = Rc::new(Base::open_on(disk, clock, dir).await);
    Site { base, tenant, project }
}

fn run(test: impl AsyncFnOnce(Site)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let base = Rc::new(Base::open().await);
        let (tenant, project) = super::make_project(&base.tenancy, types::Limits::default()).await;
        test(Site { base, tenant, project }).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// **Feature: realtime-saas-platform, Property 19: published and delivered events are counted
    /// accurately per tenant and project** - whenever the process dies, and whether or not it had
    /// written its counts down.
    #[test]
    fn what_was_published_is_counted_once_over_any_crash(
        steps in prop::collection::vec((0u8..6, 1usize..5, 0usize..40), 1..12),
    ) {
        run(async |mut site| {
            let mut delivered = 0;
            for (step, count, size) in steps {
                match step {
                    0 => site = restart(site).await,
                    1 => site.node.write_usage().await.expect("written"),
                    2 => {
                        let who = site.caller((site.tenant, site.project), Scopes::all()).await;
                        let request = port::ReadRequest {
                            topic: name("t"),
                            from: From::Earliest,
                            key: None,
                            last: None,
                            limit: 100,
                            wait: std::time::Duration::ZERO,
                        };
                        if let Ok(answer) = site.node.read(&who, request).await {
                            delivered += answer.records.len() as u64;
                            site.node.write_usage().await.expect("written");
                        }
                    }
                    _ => {
                        let who = site.caller((site.tenant, site.project), Scopes::all()).await;
                        let topic = if step == 3 { "t" } else { "u" };
                        let record = record(&format!("k{count}"), &"x".repeat(size));
                        site.publish(&who, topic, vec![record; count]).await;
                    }
                }
            }
            let site = restart(site).await;
            let found = (
                used(&site, UsageMetric::EventsPublished).await,
                used(&site, UsageMetric::BytesPublished).await,
            );
            assert_eq!(found, in_log(&site).await);
            // What is not in the log is as exact as the last write.
            assert_eq!(used(&site, UsageMetric::EventsDelivered).await, delivered);
        });
    }
}

#[test]
fn what_was_counted_can_be_counted_again() {
    run(async |site| {
        let who = site.caller((site.tenant, site.project), Scopes::all()).await;
        site.publish(&who, "t", vec![record("a", "12"), record("b", "345")]).await;
        site.node.write_usage().await.expect("written");
        site.publish(&who, "t", vec![record("c", "6")]).await;
        site.node.write_usage().await.expect("written");
        let filter = UsageFilter::default();
        let page = site.tenancy.usage_ranges(site.tenant, &filter, None, 10).await.expect("ranges");
        let counted: u64 = page.items.iter().map(|it| it.records).sum();
        assert_eq!(counted, 3);
        let ranges = page.items.iter().map(|it| it.range).collect();
        let again = site.node.recount(ranges).await.expect("counted");
        let wanted: Vec<Recount> = page
            .items
            .iter()
            .map(|it| Recount::Whole { records: it.records, bytes: it.bytes })
            .collect();
        assert_eq!(again, wanted);
        let topic = name("t");
        site.node.delete_topic(&who, &topic).await.expect("deleted");
        let ranges = page.items.iter().map(|it| it.range).collect();
        let gone = site.node.recount(ranges).await.expect("counted");
        assert_eq!(gone, vec![Recount::Partly { records: 0, bytes: 0 }; page.items.len()]);
    });
}

#[test]
fn bytes_on_the_device_become_byte_hours() {
    run(async |site| {
        let who = site.caller((site.tenant, site.project), Scopes::all()).await;
        site.publish(&who, "t", vec![record("a", &"x".repeat(10_000))]).await;
        site.node.write_usage().await.expect("written");
        let stored = Live::stored_bytes(&*site.node, site.project);
        assert!(stored > 10_000, "{stored}");
        for _ in 0..240 {
            site.clock.advance(std::time::Duration::from_secs(15));
            site.node.write_usage().await.expect("written");
        }
        assert_eq!(used(&site, UsageMetric::StoredByteHours).await, stored);
    });
}
