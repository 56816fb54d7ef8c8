//! The whole round on a real store: a figure too high is told to a real endpoint, once, over a
//! restart of the worker; what the trail tells of raises alerts; what fails is tried again.

use crate::terms::{Comparison, EventTerms, Source, Terms};
use crate::worker::{AlertWorker, Figures, Parts};
use crate::{Config, seal_channel};
use identity::Secrets;
use mail::Mailer;
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use stdx::{Clock, Rng};
use tenancy::{
    Actor, AlertState, ChannelKind, NewAlertChannel, NewAlertRule, Options, Severity, Tenancy,
};
use testkit::clock::ManualClock;
use testkit::rng::SeededRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use webhooks::Courier;

/// Figures by hand.
#[derive(Default)]
struct Hand(Mutex<String>);

impl Figures for Hand {
    fn text(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        Box::pin(std::future::ready(self.0.lock().clone()))
    }
}

/// Answers with the given statuses one after the other, then 204; keeps what came.
async fn endpoint(mut statuses: Vec<u16>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let got: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&got);
    statuses.reverse();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut bytes = [0; 4096];
            loop {
                let text = String::from_utf8_lossy(&request).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head
                        .lines()
                        .filter_map(|line| {
                            line.to_ascii_lowercase()
                                .strip_prefix("content-length:")
                                .map(str::to_owned)
                        })
                        .find_map(|length| length.trim().parse::<usize>().ok())
                        .unwrap_or(0);
                    if body.len() >= length {
                        kept.lock().push(text);
                        break;
                    }
                }
                match stream.read(&mut bytes).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.extend_from_slice(&bytes[..count]),
                }
            }
            let status = statuses.pop().unwrap_or(204);
            let answer =
                format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, got)
}

struct Bench {
    parts: Parts,
    figures: Arc<Hand>,
    clock: Arc<ManualClock>,
    _dir: tempfile::TempDir,
}

async fn bench() -> Bench {
    let dir = tempfile::tempdir().expect("a writable temporary directory");
    let manual = ManualClock::shared(1_795_219_200_000);
    let clock: Arc<dyn Clock> = manual.clone();
    let rng: Arc<dyn Rng> = SeededRng::shared(3);
    let options = Options::sqlite(&dir.path().join("mainstem.db"));
    let tenancy = Tenancy::connect(&options, Arc::clone(&clock), Arc::clone(&rng)).await;
    let rules = webhooks::Config {
        allow_networks: vec!["127.0.0.0/8".parse().expect("a network")],
        plain_http_allowed: true,
        ..webhooks::Config::default()
    };
    let figures = Arc::new(Hand::default());
    let parts = Parts {
        tenancy: Arc::new(tenancy.expect("a fresh database")),
        figures: Arc::clone(&figures) as _,
        sealer: Arc::new(Secrets::from_bytes([7; 32]).sealer(Arc::clone(&rng))),
        courier: Arc::new(Courier::new(rules, Arc::clone(&clock)).expect("a client")),
        mailer: Mailer::none(),
        clock,
        rng,
        config: Config::default(),
    };
    Bench { parts, figures, clock: manual, _dir: dir }
}

impl Bench {
    async fn channel(&self, name: &str, kind: ChannelKind, address: &str) -> tenancy::AlertChannel {
        let (courier, sealer) = (&self.parts.courier, &self.parts.sealer);
        let sealed = seal_channel(name, kind, address, courier, sealer, &*self.parts.rng);
        let sealed = sealed.expect("a good address");
        let new = NewAlertChannel {
            name: name.to_owned(),
            kind,
            address: sealed.shown,
            sealed: sealed.sealed,
            severity_min: Severity::Warning,
        };
        let made = self.parts.tenancy.create_alert_channel(new, &Actor::operator()).await;
        made.expect("a channel")
    }

    async fn look(&self, worker: &mut AlertWorker) {
        self.clock.advance(Duration::from_secs(15));
        worker.round().await.expect("the database answers");
        worker.bring_due().await.expect("the database answers");
    }

    fn worker(&self) -> AlertWorker {
        AlertWorker::new(self.parts.clone())
    }
}

#[tokio::test]
async fn an_error_is_told_once_over_failures_and_restarts() {
    let bench = bench().await;
    let (url, got) = endpoint(vec![500]).await;
    bench.channel("ops", ChannelKind::Webhook, &url).await;
    let (slack, lines) = endpoint(vec![]).await;
    let shown = bench.channel("room", ChannelKind::Slack, &slack).await.address;
    assert!(!shown.contains("hook"), "a Slack address is a secret: {shown}");
    let mut worker = bench.worker();
    bench.look(&mut worker).await;
    *bench.figures.0.lock() = "mainstem_log_failed 1\n".to_owned();
    bench.look(&mut worker).await;
    // The endpoint failed; another process takes over.
    drop(worker);
    let mut worker = bench.worker();
    for _ in 0..8 {
        bench.look(&mut worker).await;
    }
    let told = |got: &Mutex<Vec<String>>, word: &str| {
        got.lock().iter().filter(|text| text.contains(word)).count()
    };
    assert_eq!(told(&got, "\"type\":\"alert.firing\""), 2, "a failure and a success");
    assert_eq!(told(&lines, "The log takes no more appends"), 1);
    let ids: std::collections::BTreeSet<String> = got
        .lock()
        .iter()
        .filter_map(|text| {
            text.lines().find(|line| line.starts_with("webhook-id:")).map(str::to_owned)
        })
        .collect();
    assert_eq!(ids.len(), 1, "the same message");
    assert!(got.lock().iter().all(|text| text.contains("webhook-signature: v1,")));
    *bench.figures.0.lock() = "mainstem_log_failed 0\n".to_owned();
    bench.look(&mut worker).await;
    assert_eq!(told(&got, "\"type\":\"alert.resolved\""), 1);
    let history = bench.parts.tenancy.alerts(None, None, None, 10).await.expect("alerts");
    assert_eq!(history.items.len(), 1);
    assert_eq!(history.items[0].state, AlertState::Resolved);
    let notices = bench.parts.tenancy.alert_notices(None, 10).await.expect("notices").items;
    assert!(notices.iter().all(|notice| notice.outcome.as_deref() == Some("sent")), "{notices:?}");
}

#[tokio::test]
async fn what_the_trail_tells_of_raises_an_alert() {
    let bench = bench().await;
    let tenancy = &bench.parts.tenancy;
    let mut worker = bench.worker();
    bench.look(&mut worker).await;
    let event = EventTerms {
        action: "node.*".to_owned(),
        outcome: None,
        tenant: None,
        count_min: 2,
        window_seconds: 60,
    };
    let terms = Terms {
        source: Source::Event(event),
        for_seconds: 0,
        repeat_seconds: 600,
        channels: None,
        summary: String::new(),
    };
    let new = NewAlertRule {
        name: "twice".to_owned(),
        terms: serde_json::to_value(&terms).expect("JSON"),
        severity: Severity::Warning,
        is_enabled: true,
    };
    let rule = tenancy.create_alert_rule(new, &Actor::operator()).await.expect("a rule").id;
    let note = async || {
        let by = Actor::system();
        let noted = tenancy.note("node.test", "node", serde_json::json!({}), &by).await;
        noted.expect("written");
    };
    note().await;
    bench.look(&mut worker).await;
    let open = async || {
        let found = tenancy.alerts(Some(AlertState::Firing), Some(rule), None, 10).await;
        found.expect("alerts").items.len()
    };
    assert_eq!(open().await, 0);
    note().await;
    bench.look(&mut worker).await;
    assert_eq!(open().await, 1);
    for _ in 0..5 {
        bench.look(&mut worker).await;
    }
    assert_eq!(open().await, 0, "the window has passed");
}

#[tokio::test]
async fn private_addresses_are_refused_unless_listed() {
    let bench = bench().await;
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let strict = Courier::new(webhooks::Config::default(), clock).expect("a client");
    let (sealer, rng) = (&bench.parts.sealer, &*bench.parts.rng);
    for address in ["https://127.0.0.1/x", "https://169.254.169.254/x", "http://example.org/x", "x"]
    {
        for kind in [ChannelKind::Webhook, ChannelKind::Slack] {
            let refused = seal_channel("a", kind, address, &strict, sealer, rng).err();
            assert_eq!(
                refused.and_then(|it| it.field_name().map(str::to_owned)).as_deref(),
                Some("address")
            );
        }
    }
    assert!(seal_channel("a", ChannelKind::Mail, "nobody", &strict, sealer, rng).is_err());
}

#[tokio::test]
async fn a_test_arrives_and_one_that_cannot_be_sent_is_given_up() {
    let bench = bench().await;
    let (url, got) = endpoint(vec![]).await;
    let good = bench.channel("ops", ChannelKind::Webhook, &url).await;
    let mail = bench.channel("mail", ChannelKind::Mail, "ops@example.org").await;
    for channel in [&good, &mail] {
        AlertWorker::test(&bench.parts, channel).await.expect("queued");
    }
    bench.worker().bring_due().await.expect("the database answers");
    assert!(got.lock()[0].contains("\"type\":\"alert.test\""));
    let notices = bench.parts.tenancy.alert_notices(None, 10).await.expect("notices").items;
    let outcome = |channel: &tenancy::AlertChannel| {
        let found = notices.iter().find(|notice| notice.channel == channel.id).expect("one");
        (found.outcome.clone().unwrap_or_default(), found.error.clone())
    };
    assert_eq!(outcome(&good), ("sent".to_owned(), None));
    assert_eq!(outcome(&mail).0, "given_up");
    assert!(Comparison::AtLeast.is_met(1.0, 1.0));
}
