//! Power failures at random points: nothing acknowledged comes again, nothing else is lost, the
//! committed position never goes back, and keys keep their order.

use super::{Plant, WAIT_MS, Worker, address, config, texts};
use crate::tests::{Site, make_project, record};
use port::Hub;
use port::consumers::{Fetch, Settlement, Verdict};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use types::consumer::Ordering;
use types::{ConsumerConfig, Limits, ProjectId, TenantId};

#[derive(Debug, Clone)]
enum Step {
    Publish(u8),
    /// Fetches so many and acknowledges those whose number is in the mask.
    Work {
        fetch: usize,
        mask: u16,
    },
    PassTime,
    /// Power fails now, or during the n-th change of the disk from now.
    Crash {
        after: Option<u64>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..6u8).prop_map(Step::Publish),
        5 => (1..9usize, any::<u16>()).prop_map(|(fetch, mask)| Step::Work { fetch, mask }),
        1 => Just(Step::PassTime),
        2 => prop::option::of(1..12u64).prop_map(|after| Step::Crash { after }),
    ]
}

/// What the outside knows for sure.
#[derive(Default)]
struct Known {
    published: BTreeSet<String>,
    /// Told that it is acknowledged.
    acknowledged: BTreeSet<String>,
    /// Asked to be acknowledged, and nobody was told how that ended.
    uncertain: BTreeSet<String>,
    count: usize,
    committed: BTreeMap<u32, u64>,
}

thread_local! {
    /// One node, crashed and started again, serves all cases of a test.
    static PLANT: RefCell<Option<Plant>> = const { RefCell::new(None) };
}

struct Scene {
    plant: Plant,
    scope: (TenantId, ProjectId),
    key: String,
    known: Known,
    is_ordered: bool,
}

impl Scene {
    fn new(is_ordered: bool) -> Scene {
        let plant = PLANT.take().unwrap_or_else(Plant::new);
        let (scope, key) = plant.run(async |base| {
            let scope = make_project(&base.tenancy, Limits::default()).await;
            let site = Site { base, tenant: scope.0, project: scope.1 };
            let ordering = if is_ordered { Ordering::Key } else { Ordering::None };
            let config = ConsumerConfig { ordering, deliveries_max: 1_000, ..config() };
            Worker::new(&site, 2, config).await;
            (scope, site.key(scope, types::Scopes::all()).await)
        });
        Scene { plant, scope, key, known: Known::default(), is_ordered }
    }

    /// Does as told; `false` when the disk failed under it.
    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let (scope, key, known) = (self.scope, self.key.clone(), &mut self.known);
        let is_ordered = self.is_ordered;
        self.plant.run(async |base| {
            let site = Site { base, tenant: scope.0, project: scope.1 };
            let who = site.prove(&key).await.expect("the database knows the key");
            let worker = Worker { site: &site, who, at: address("orders", "mail") };
            match *step {
                Step::Publish(count) => publish(&worker, known, count).await,
                Step::Work { fetch, mask } => work(&worker, known, fetch, mask, is_ordered).await?,
                Step::PassTime => worker.pass_ms(WAIT_MS + 200),
                Step::Crash { after: Some(after) } => {
                    site.disk.crash_at(site.disk.changes() + after);
                }
                Step::Crash { after: None } => site.disk.crash(),
            }
            Ok::<(), TestCaseError>(())
        })?;
        if self.plant.base().disk.is_crashed() {
            self.plant.crash();
        }
        Ok(())
    }
}

async fn publish(worker: &Worker<'_>, known: &mut Known, count: u8) {
    for _ in 0..count {
        known.count += 1;
        let text = known.count.to_string();
        let key = (known.count % 3).to_string();
        let topic = crate::tests::name("orders");
        let appended = worker.site.node.append(&worker.who, &topic, vec![record(&key, &text)]);
        if appended.await.is_ok() {
            known.published.insert(text);
        }
    }
}

async fn work(
    worker: &Worker<'_>,
    known: &mut Known,
    records_max: usize,
    mask: u16,
    is_ordered: bool,
) -> Result<(), TestCaseError> {
    let fetch = Fetch { records_max, bytes_max: 1 << 20, wait: Duration::ZERO };
    let Ok(got) = worker.all().fetch(&worker.who, &worker.at, fetch).await else {
        return Ok(());
    };
    let mut keys = BTreeSet::new();
    for one in &got {
        let text = texts(std::slice::from_ref(one)).remove(0);
        prop_assert!(!known.acknowledged.contains(&text), "{text} was acknowledged");
        if is_ordered {
            let key = one.delivery.record.key.clone();
            prop_assert!(keys.insert(key.clone()), "one of a key at a time");
            let number: usize = text.parse().expect("ours");
            let is_open = |earlier: &String| {
                let earlier: usize = earlier.parse().expect("ours");
                earlier < number && earlier % 3 == number % 3
            };
            let mut open = known.published.difference(&known.acknowledged);
            let earlier = open.find(|one| is_open(one) && !known.uncertain.contains(*one));
            prop_assert!(earlier.is_none(), "{text} before {earlier:?}");
        }
    }
    let mut is_sure = true;
    let chosen = got.iter().enumerate().filter(|(index, _)| mask & 1 << (index % 16) != 0);
    for (_, one) in chosen {
        let text = texts(std::slice::from_ref(one)).remove(0);
        known.uncertain.insert(text.clone());
        let settlement = Settlement { token: one.token.clone(), verdict: Verdict::Acknowledge };
        let settled = worker.all().settle(&worker.who, &worker.at, vec![settlement]).await;
        is_sure = settled.is_ok_and(|outcomes| outcomes[0].is_ok());
        if is_sure {
            known.acknowledged.insert(text);
        }
    }
    let Ok(info) = worker.all().get(&worker.who, &worker.at).await else {
        return Ok(());
    };
    for at in info.partitions {
        let sure = known.committed.entry(at.partition).or_default();
        prop_assert!(at.committed >= *sure, "{} after {sure}", at.committed);
        // After a settlement that succeeded all of it is on disk, and stays.
        if is_sure && mask & 1 != 0 && !got.is_empty() {
            *sure = at.committed;
        }
    }
    Ok(())
}

/// Everything that is left is delivered and acknowledged in the end.
fn drain(scene: &mut Scene) -> Result<BTreeSet<String>, TestCaseError> {
    let mut drained = BTreeSet::new();
    for _ in 0..400 {
        let before = scene.known.acknowledged.clone();
        scene.take(&Step::PassTime)?;
        scene.take(&Step::Work { fetch: 100, mask: u16::MAX })?;
        let new: Vec<String> = scene.known.acknowledged.difference(&before).cloned().collect();
        if new.is_empty() {
            break;
        }
        drained.extend(new);
    }
    Ok(drained)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_power_failure_loses_repeats_or_reorders(
        steps in prop::collection::vec(step(), 1..16),
        is_ordered in any::<bool>(),
    ) {
        let mut scene = Scene::new(is_ordered);
        for step in &steps {
            scene.take(step)?;
        }
        // A crash that was only planned does not come any more.
        scene.plant.crash();
        drain(&mut scene)?;
        let known = &scene.known;
        let lost: Vec<&String> = known
            .published
            .iter()
            .filter(|text| !known.acknowledged.contains(*text) && !known.uncertain.contains(*text))
            .collect();
        prop_assert!(lost.is_empty(), "never delivered: {lost:?}");
        PLANT.set(Some(scene.plant));
    }
}
