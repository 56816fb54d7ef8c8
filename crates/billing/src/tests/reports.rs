//! Each window is counted once, whatever Stripe does.

use super::fake::{Fake, MOODS, Mood};
use super::{HOUR_MS, Rig, START_MS};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use tenancy::{Actor, ReportState};
use types::Usage;

/// Turns until nothing waits any more; the clock goes on in between.
async fn settle(rig: &Rig) {
    for _ in 0..200 {
        rig.billing.turn().await.expect("a turn");
        if rig.tenancy.report_backlog().await.expect("a count").pending == 0 {
            return;
        }
        rig.clock.advance(Duration::from_secs(40));
    }
    panic!("reports wait for ever");
}

#[tokio::test]
async fn an_hour_is_reported_once_and_what_comes_late_as_its_own_part() {
    let fake = Fake::default();
    let rig = Rig::new(&fake.clone().serve().await).await;
    // Before it is billed, nothing is reported.
    rig.publish(START_MS - 2 * HOUR_MS, 1_000).await;
    rig.subscribed().await;
    rig.publish(START_MS + 1, 7).await;
    rig.billing.draft(24 * HOUR_MS).await.expect("drafted");
    settle(&rig).await;
    assert_eq!(fake.total("mainstem_events"), 0, "the hour is not over");
    rig.clock.advance(Duration::from_millis(HOUR_MS as u64 + 130_000));
    assert_eq!(rig.billing.draft(24 * HOUR_MS).await.expect("drafted"), 1);
    assert_eq!(rig.billing.draft(24 * HOUR_MS).await.expect("drafted"), 0);
    settle(&rig).await;
    rig.publish(START_MS + 2, 5).await;
    assert_eq!(rig.billing.draft(24 * HOUR_MS).await.expect("drafted"), 1);
    settle(&rig).await;
    let counted = fake.0.lock();
    let values: Vec<_> = counted.events.values().map(|it| (it.1.as_str(), it.2, it.3)).collect();
    let last_second = (START_MS + HOUR_MS - 1) / 1_000;
    assert_eq!(values, [("cus_1", 7, last_second), ("cus_1", 5, last_second)]);
    let names: Vec<_> = counted.events.keys().cloned().collect();
    let name = |part| format!("{}:events_published:{START_MS}:{part}", rig.tenant);
    assert_eq!(names, [name(0), name(1)]);
    assert!(names.iter().all(|name| name.len() <= 100));
}

#[tokio::test]
async fn what_may_have_been_counted_a_day_ago_waits_for_a_person() {
    let fake = Fake::default();
    let rig = Rig::new(&fake.clone().serve().await).await;
    rig.subscribed().await;
    rig.publish(START_MS, 7).await;
    rig.clock.advance(Duration::from_millis(HOUR_MS as u64 + 130_000));
    rig.billing.draft(24 * HOUR_MS).await.expect("drafted");
    fake.moods([Mood::CountsAndFails]);
    assert_eq!(rig.billing.turn().await.expect("a turn").waiting, 1);
    rig.clock.advance(Duration::from_secs(24 * 3_600));
    assert_eq!(rig.billing.turn().await.expect("a turn").stuck, 1);
    assert_eq!(fake.0.lock().requests, 1, "it is not sent again by itself");
    let stuck = Some(ReportState::Stuck);
    let page = rig.tenancy.reports(rig.tenant, stuck, None, 10).await.expect("reports");
    let by = Actor::operator();
    let identifier = &page.items[0].identifier;
    let sent = ReportState::Sent;
    rig.tenancy.settle_report(rig.tenant, identifier, sent, &by).await.expect("settled");
    let again = rig.tenancy.settle_report(rig.tenant, identifier, sent, &by).await;
    again.expect_err("it is settled");
    // One that was only ever refused is certain not to be counted, and sent however late.
    rig.publish(START_MS + 30 * HOUR_MS, 3).await;
    rig.clock.set_now_ms(START_MS + 31 * HOUR_MS + 130_000);
    rig.billing.draft(24 * HOUR_MS).await.expect("drafted");
    fake.moods([Mood::Refuses, Mood::TooMany]);
    rig.billing.turn().await.expect("a turn");
    rig.clock.advance(Duration::from_secs(30 * 3_600));
    rig.billing.turn().await.expect("a turn");
    rig.clock.advance(Duration::from_secs(30 * 3_600));
    settle(&rig).await;
    assert_eq!(fake.total("mainstem_events"), 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// **Feature: realtime-saas-platform, Property 20: collected metered usage is reported to
    /// Stripe correctly** - each window once, whatever Stripe answers, and late counts too.
    #[test]
    fn each_window_is_counted_once(
        uses in prop::collection::vec((0i64..4, 1u64..1_000, any::<bool>()), 1..8),
        moods in prop::collection::vec(0usize..MOODS.len(), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let fake = Fake::default();
            let rig = Rig::new(&fake.clone().serve().await).await;
            rig.subscribed().await;
            fake.moods(moods.iter().map(|at| MOODS[*at]));
            let mut wanted: BTreeMap<i64, u64> = BTreeMap::new();
            let mut delivered = 0;
            for (hour, count, is_late) in uses {
                if is_late {
                    // Whatever was used before is on its way when this comes.
                    rig.clock.advance(Duration::from_millis(HOUR_MS as u64));
                    rig.billing.draft(48 * HOUR_MS).await.expect("drafted");
                    rig.billing.turn().await.expect("a turn");
                }
                let at = START_MS + hour * HOUR_MS;
                let usage = Usage {
                    events_published: count,
                    events_delivered: 2 * count,
                    api_requests: 9,
                    ..Usage::default()
                };
                let rows = [(rig.tenant, rig.project, usage)];
                rig.tenancy.add_usage(at, &rows).await.expect("counted");
                *wanted.entry(at).or_default() += count;
                delivered += 2 * count;
            }
            rig.clock.advance(Duration::from_millis(9 * HOUR_MS as u64));
            rig.billing.draft(48 * HOUR_MS).await.expect("drafted");
            settle(&rig).await;
            assert_eq!(rig.tenancy.report_backlog().await.expect("a count").stuck, 0);
            let mut found: BTreeMap<i64, u64> = BTreeMap::new();
            for (meter, _, value, at_s) in fake.0.lock().events.values() {
                if meter == "mainstem_events" {
                    *found.entry(at_s * 1_000 / HOUR_MS * HOUR_MS).or_default() += value;
                }
            }
            assert_eq!(found, wanted);
            assert_eq!(fake.total("mainstem_deliveries"), delivered);
        });
    }
}
