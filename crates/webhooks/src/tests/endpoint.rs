//! The loop of one webhook: what is fetched is sent, what is answered is settled, and an endpoint
//! that fails is left in peace.

use super::envelope::delivery;
use super::receiver::{Receiver, Reply};
use super::{clock, loopback, rng};
use crate::breaker::BreakerState;
use crate::config::Config;
use crate::endpoint::{self, Definition, Endpoint, Tools};
use crate::judgement::Outcome;
use crate::sealed;
use crate::sender::Sender;
use crate::source::Source;
use identity::{Sealer, Secrets};
use parking_lot::Mutex;
use port::consumers::{Leased, Verdict};
use port::{Answer, Code, Refusal};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tenancy::{
    Actor, NewProject, NewTenant, NewWebhook, Options, Tenancy, Webhook, WebhookSettings,
    WebhookSigning,
};
use tokio::sync::{Notify, watch};
use types::Filter;

/// Records by hand; what is tried again comes again at once.
#[derive(Default)]
struct Hand {
    ready: Mutex<VecDeque<Leased>>,
    under_way: Mutex<Vec<Leased>>,
    settled: Mutex<Vec<(String, Verdict)>>,
    prepared: Mutex<u32>,
    fetch_fails: Mutex<u32>,
    largest_fetch: Mutex<usize>,
    moved: Notify,
}

impl Hand {
    fn give(&self, records: impl IntoIterator<Item = Arc<port::Delivery>>) {
        let lease = Duration::from_secs(30);
        let leased = records.into_iter().map(|delivery| {
            let token = format!("t{}", delivery.offset);
            Leased { delivery, deliveries: 1, token, lease }
        });
        self.ready.lock().extend(leased);
        self.moved.notify_waiters();
    }

    fn take(&self, records_max: usize) -> Option<Result<Vec<Leased>, Refusal>> {
        let mut fails = self.fetch_fails.lock();
        if *fails > 0 {
            *fails -= 1;
            return Some(Err(Refusal::new(Code::StorageFailed, "no log")));
        }
        let mut ready = self.ready.lock();
        let count = ready.len().min(records_max);
        if count == 0 {
            return None;
        }
        let mut largest = self.largest_fetch.lock();
        *largest = (*largest).max(count);
        let leased: Vec<Leased> = ready.drain(..count).collect();
        self.under_way.lock().extend(leased.iter().cloned());
        Some(Ok(leased))
    }

    /// Waits until so many verdicts were given.
    async fn wait_for(&self, count: usize) -> Vec<(String, Verdict)> {
        let coming = async {
            loop {
                let moved = self.moved.notified();
                let settled = self.settled.lock().clone();
                if settled.len() >= count {
                    return settled;
                }
                moved.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), coming).await.expect("verdicts in time")
    }
}

impl Source for Hand {
    fn prepare<'a>(&'a self, _: &'a Webhook) -> Answer<'a, ()> {
        *self.prepared.lock() += 1;
        Box::pin(async { Ok(()) })
    }

    fn fetch(&self, records_max: usize, _: Duration) -> Answer<'_, Vec<Leased>> {
        Box::pin(async move {
            loop {
                let moved = self.moved.notified();
                if let Some(fetched) = self.take(records_max) {
                    return fetched;
                }
                moved.await;
            }
        })
    }

    fn settle(&self, token: String, verdict: Verdict) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut under_way = self.under_way.lock();
            let at = under_way.iter().position(|it| it.token == token).expect("it was leased");
            let mut leased = under_way.remove(at);
            if matches!(verdict, Verdict::Retry { .. }) {
                leased.deliveries += 1;
                self.ready.lock().push_back(leased);
            }
            self.settled.lock().push((token, verdict));
            self.moved.notify_waiters();
            Ok(())
        })
    }
}

struct Rig {
    tenancy: Arc<Tenancy>,
    sealer: Sealer,
    webhook: Webhook,
    endpoint: Arc<Endpoint>,
    hand: Arc<Hand>,
    stop: Option<watch::Sender<()>>,
    task: Option<tokio::task::JoinHandle<()>>,
    secret: String,
    _dir: tempfile::TempDir,
}

fn quick(config: Config) -> Config {
    Config { retry_ms_min: 1, breaker_ms_min: 200, breaker_ms_max: 400, ..config }
}

async fn defined(
    tenancy: &Tenancy,
    sealer: &Sealer,
    url: String,
    settings: WebhookSettings,
) -> (Webhook, String) {
    use secrecy::ExposeSecret;
    let by = Actor::system();
    let tenant = NewTenant { name: "t".into(), ..NewTenant::default() };
    let tenant = tenancy.create_tenant(tenant, &by).await.expect("a tenant").id;
    let project = NewProject { name: "p".into(), ..NewProject::default() };
    let project = tenancy.create_project(tenant, project, &by).await.expect("a project").id;
    let id = tenancy.new_webhook_id();
    let made = sealed::make(sealer, id, WebhookSigning::Hmac, None, &*rng()).expect("a secret");
    let secret = made.for_receiver.expose_secret().to_owned();
    let new = NewWebhook {
        id,
        url,
        filter: Filter::parse("orders").expect("a filter"),
        description: String::new(),
        is_enabled: true,
        signing: WebhookSigning::Hmac,
        settings,
        sealed_headers: None,
        secret: made.stored,
    };
    (tenancy.create_webhook(tenant, project, new, &by).await.expect("a webhook"), secret)
}

async fn rig(receiver: &Receiver, settings: WebhookSettings) -> Rig {
    let dir = tempfile::tempdir().expect("a writable temporary directory");
    let options = Options::sqlite(&dir.path().join("mainstem.db"));
    let tenancy = Tenancy::connect(&options, clock(), rng()).await.expect("a fresh database");
    let tenancy = Arc::new(tenancy);
    let sealer = Secrets::from_bytes([7; 32]).sealer(rng());
    let (webhook, secret) = defined(&tenancy, &sealer, receiver.url(), settings).await;
    let config = quick(loopback());
    let tools = Arc::new(Tools {
        sender: Sender::new(config.clone(), clock()).expect("a client"),
        tenancy: Arc::clone(&tenancy),
        clock: clock(),
        rng: rng(),
        config,
    });
    let definition = Definition::open(webhook.clone(), &sealer).expect("a definition");
    let endpoint = Arc::new(Endpoint::new(definition));
    let hand = Arc::new(Hand::default());
    let (stop, stopped) = watch::channel(());
    let source: Arc<dyn Source> = Arc::clone(&hand) as _;
    let task = tokio::spawn(endpoint::run(Arc::clone(&endpoint), tools, source, stopped));
    Rig {
        tenancy,
        sealer,
        webhook,
        endpoint,
        hand,
        stop: Some(stop),
        task: Some(task),
        secret,
        _dir: dir,
    }
}

impl Rig {
    async fn stop(&mut self) {
        self.stop.take();
        let task = self.task.take().expect("stopped once");
        tokio::time::timeout(Duration::from_secs(30), task).await.expect("in time").expect("clean");
    }
}

fn order(offset: u64) -> Arc<port::Delivery> {
    delivery("orders", offset, Some(&format!("k{offset}")), br#"{"total":1}"#)
}

#[tokio::test]
async fn records_are_sent_signed_and_acknowledged() {
    let receiver = Receiver::start([]).await;
    let mut rig = rig(&receiver, WebhookSettings::default()).await;
    rig.hand.give((0..10).map(order));
    let settled = rig.hand.wait_for(10).await;
    assert!(settled.iter().all(|(_, verdict)| *verdict == Verdict::Acknowledge));
    let got = receiver.got();
    assert_eq!(got.len(), 10);
    assert!(got.iter().all(|got| got.is_signed_with(&rig.secret)));
    let mut offsets: Vec<u64> =
        got.iter().map(|got| got.json()["data"]["offset"].as_u64().unwrap()).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..10).collect::<Vec<u64>>());
    assert!(*rig.hand.largest_fetch.lock() <= 4, "no more at once than configured");
    assert_eq!(*rig.hand.prepared.lock(), 1);
    assert_eq!(rig.endpoint.journal.lock().list().len(), 10);
    rig.stop().await;
}

#[tokio::test]
async fn what_fails_is_tried_again_under_the_same_id() {
    let busy = Reply::With(503, "retry-after: 2\r\n", "not now".to_owned());
    let receiver = Receiver::start([Reply::Status(500), Reply::Reset, busy]).await;
    let mut rig = rig(&receiver, WebhookSettings::default()).await;
    rig.hand.give([order(7)]);
    let settled = rig.hand.wait_for(4).await;
    let verdicts: Vec<&Verdict> = settled.iter().map(|(_, verdict)| verdict).collect();
    assert!(matches!(verdicts[0], Verdict::Retry { delay: None, reason: Some(_) }));
    assert!(matches!(verdicts[1], Verdict::Retry { delay: None, .. }));
    let two = Some(Duration::from_secs(2));
    assert!(matches!(verdicts[2], Verdict::Retry { delay, .. } if *delay == two));
    assert_eq!(*verdicts[3], Verdict::Acknowledge);
    let got = receiver.got();
    let ids: Vec<&str> = got.iter().map(|got| got.header("webhook-id")).collect();
    assert_eq!(ids, ["msg_00000000000000ff_0_7"; 4]);
    assert!(got.windows(2).all(|two| two[0].body == two[1].body), "byte for byte");
    let attempts = rig.endpoint.journal.lock().list();
    let outcomes: Vec<(Outcome, u32)> =
        attempts.iter().rev().map(|attempt| (attempt.outcome, attempt.attempt)).collect();
    let wanted = [
        (Outcome::Failed, 1),
        (Outcome::Unreachable, 2),
        (Outcome::Failed, 3),
        (Outcome::Delivered, 4),
    ];
    assert_eq!(outcomes, wanted);
    assert_eq!(attempts[1].answer.as_deref(), Some("not now"));
    rig.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled() {
    let receiver = Receiver::start([Reply::Status(410)]).await;
    let mut rig = rig(&receiver, WebhookSettings::default()).await;
    rig.hand.give([order(1)]);
    rig.hand.wait_for(1).await;
    let (tenant, project) = (rig.webhook.tenant, rig.webhook.project);
    let found = rig.tenancy.webhook(tenant, project, rig.webhook.id).await.expect("still there");
    assert!(!found.is_enabled);
    assert!(found.disabled_reason.expect("a reason").contains("410"));
    rig.stop().await;
}

#[tokio::test]
async fn a_failing_endpoint_rests_and_is_probed_until_it_is_back() {
    let receiver = Receiver::start(vec![Reply::Status(500); 7]).await;
    let settings = WebhookSettings { concurrency: 1, ..WebhookSettings::default() };
    let mut rig = rig(&receiver, settings).await;
    rig.hand.give((0..3).map(order));
    receiver.wait_for(5).await;
    rig.hand.wait_for(5).await;
    let view = rig.endpoint.breaker.lock().view(clock().monotonic());
    assert_eq!(view.failures, 5);
    assert_ne!(view.state, BreakerState::Closed, "five failures in a row");
    let started = tokio::time::Instant::now();
    let settled = rig.hand.wait_for(10).await;
    assert!(started.elapsed() >= Duration::from_millis(300), "two rests lay between");
    let delivered = settled.iter().filter(|(_, it)| *it == Verdict::Acknowledge).count();
    assert_eq!(delivered, 3, "and then all of it arrives");
    assert_eq!(rig.endpoint.breaker.lock().view(clock().monotonic()).state, BreakerState::Closed);
    rig.stop().await;
}

#[tokio::test]
async fn one_record_that_is_not_wanted_stops_no_others() {
    let receiver = Receiver::start(vec![Reply::Status(422); 12]).await;
    let settings = WebhookSettings { concurrency: 1, ..WebhookSettings::default() };
    let mut rig = rig(&receiver, settings).await;
    rig.hand.give([order(1)]);
    rig.hand.wait_for(13).await;
    assert_eq!(rig.endpoint.breaker.lock().view(clock().monotonic()).failures, 0);
    rig.stop().await;
}

#[tokio::test]
async fn another_definition_counts_from_the_next_request() {
    let (first, second) = (Receiver::start([]).await, Receiver::start([]).await);
    let mut rig = rig(&first, WebhookSettings::default()).await;
    rig.hand.give([order(1)]);
    first.wait_for(1).await;
    let patch = tenancy::WebhookPatch { url: Some(second.url()), ..Default::default() };
    let (tenant, project) = (rig.webhook.tenant, rig.webhook.project);
    let by = Actor::system();
    let webhook = rig.tenancy.update_webhook(tenant, project, rig.webhook.id, patch, &by).await;
    let definition = Definition::open(webhook.expect("changed"), &rig.sealer).expect("opened");
    rig.endpoint.redefine(definition);
    rig.hand.wait_for(1).await;
    rig.hand.give([order(2)]);
    let got = second.wait_for(1).await;
    assert_eq!(got[0].json()["data"]["offset"], 2);
    rig.stop().await;
}

#[tokio::test]
async fn a_log_that_refuses_is_asked_again() {
    let receiver = Receiver::start([]).await;
    let mut rig = rig(&receiver, WebhookSettings::default()).await;
    *rig.hand.fetch_fails.lock() = 1;
    rig.hand.moved.notify_waiters();
    rig.hand.give([order(1)]);
    rig.hand.wait_for(1).await;
    rig.stop().await;
}

#[tokio::test]
async fn stopping_waits_for_what_is_under_way_but_not_for_ever() {
    let receiver = Receiver::start([Reply::Hang]).await;
    let mut rig = rig(&receiver, WebhookSettings::default()).await;
    rig.hand.give([order(1)]);
    receiver.wait_for(1).await;
    rig.stop().await;
    assert!(rig.hand.settled.lock().is_empty(), "its lease ends, and it is sent again");
}
