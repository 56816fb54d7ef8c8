//! Webhooks from definition to delivery, on the real hub with its durable consumers: what is
//! published arrives, what never does is a dead letter and can be replayed, and nobody gets by
//! webhook what he could not read himself.

use super::receiver::{Receiver, Reply};
use super::{clock, loopback, rng};
use crate::config::Config;
use crate::judgement::Outcome;
use crate::{EndpointPatch, NewEndpoint, Parts, Webhooks};
use eventlog::EmbeddedLog;
use hub::Node;
use identity::{Authenticator, Environment, Secrets, Settings};
use port::consumers::Which;
use port::{Code, Credential, Hub, Identity, Peer, Refusal, RequestId, ShardId};
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::time::Duration;
use tenancy::{
    Actor, KeyMode, NewKey, NewProject, NewTenant, Options, Tenancy, Webhook, WebhookSettings,
    WebhookSigning,
};
use testkit::disk::SimDisk;
use tokio::sync::watch;
use types::consumer::Start;
use types::{Filter, Key, ProjectId, Record, Scope, Scopes, TenantId, TopicConfig, TopicName};

struct Rig {
    tenancy: Arc<Tenancy>,
    authenticator: Arc<Authenticator>,
    node: Arc<Node>,
    webhooks: Arc<Webhooks>,
    stop: watch::Sender<()>,
    _dir: tempfile::TempDir,
}

/// Quick to try again and quick to give up.
fn quick() -> Config {
    Config { retry_ms_min: 1, retry_ms_max: 5, breaker_failures: 1_000, ..loopback() }
}

async fn rig() -> Rig {
    let dir = tempfile::tempdir().expect("a writable temporary directory");
    let options = Options::sqlite(&dir.path().join("mainstem.db"));
    let (clock, rng) = (clock(), rng());
    let tenancy = Tenancy::connect(&options, Arc::clone(&clock), Arc::clone(&rng)).await;
    let tenancy = Arc::new(tenancy.expect("a fresh database"));
    let secrets = Secrets::from_bytes([7; 32]);
    let directory = Arc::clone(&tenancy) as _;
    let settings = Settings::default();
    let authenticator =
        Authenticator::new(directory, &secrets, settings, Arc::clone(&clock), Arc::clone(&rng));
    let authenticator = Arc::new(authenticator.expect("an authenticator"));
    let world = storage::World {
        disk: SimDisk::shared(7),
        clock: Arc::clone(&clock),
        rng: Arc::clone(&rng),
        keys: None,
    };
    let mut options = eventlog::Options::new("/log");
    options.store.extent_bytes = 1 << 20;
    options.store.free_bytes_min = 0;
    let (log, _) = EmbeddedLog::open(world, options, Vec::new()).expect("a log");
    let node = Node::start(hub::Parts {
        engine: log,
        tenancy: Arc::clone(&tenancy),
        authenticator: Arc::clone(&authenticator),
        cursor_key: secrets.cursor_key(),
        world: hub::World { clock: Arc::clone(&clock), rng: Arc::clone(&rng) },
        options: hub::Options {
            shards: 1,
            branches: 0,
            auto_create_topics: true,
            reconnect_ms_max: 1,
            presence: hub::PresenceSettings::default(),
            tenants: hub::TenantLimits::default(),
        },
    });
    let node = node.await.expect("a node");
    let webhooks = Webhooks::new(Parts {
        tenancy: Arc::clone(&tenancy),
        authenticator: Arc::clone(&authenticator),
        sealer: Arc::new(secrets.sealer(Arc::clone(&rng))),
        hub: Arc::clone(&node) as _,
        clock,
        rng,
        config: quick(),
    });
    let webhooks = webhooks.expect("a client");
    let (stop, stopped) = watch::channel(());
    tokio::spawn(Arc::clone(&webhooks).run(stopped));
    Rig { tenancy, authenticator, node, webhooks, stop, _dir: dir }
}

impl Rig {
    async fn project(&self) -> (TenantId, ProjectId) {
        let by = Actor::system();
        let tenant = NewTenant { name: "t".into(), ..NewTenant::default() };
        let tenant = self.tenancy.create_tenant(tenant, &by).await.expect("a tenant").id;
        let project = NewProject { name: "p".into(), ..NewProject::default() };
        (tenant, self.tenancy.create_project(tenant, project, &by).await.expect("a project").id)
    }

    async fn caller(&self, (tenant, project): (TenantId, ProjectId), scopes: Scopes) -> Identity {
        let key = self.authenticator.new_api_key(Environment::Test);
        let new = NewKey {
            name: "key".to_owned(),
            mode: KeyMode::Test,
            prefix: key.lookup.clone(),
            hash: key.hash.to_vec(),
            scopes,
            grants: None,
            rate_per_second: None,
            expires_at: None,
            verifier: None,
        };
        self.tenancy.create_key(tenant, project, new, &Actor::system()).await.expect("a key");
        let peer = Peer {
            address: ([127, 0, 0, 1], 1).into(),
            shard: ShardId(0),
            is_tls: false,
            request_id: RequestId("test".into()),
        };
        let credential = Credential::ApiKey(key.text.expose_secret().to_owned());
        self.node.authenticate(&peer, &credential).await.expect("a good key")
    }

    async fn publish(&self, who: &Identity, topic: &str, key: &str, value: &str) {
        let record = Record {
            key: Some(Key::new(key.to_owned()).expect("a key")),
            value: Some(value.to_owned().into()),
            ..Record::default()
        };
        let topic = TopicName::parse(topic).expect("a topic");
        self.node.append(who, &topic, vec![record]).await.expect("an append");
    }

    /// Looks until the webhook's state is as wanted.
    async fn until(&self, webhook: &Webhook, test: impl Fn(&crate::EndpointStatus) -> bool) {
        let looking = async {
            while !test(&self.webhooks.status(webhook).await) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), looking).await.expect("in time");
    }
}

fn new(receiver: &Receiver, filter: &str) -> NewEndpoint {
    NewEndpoint {
        url: receiver.url(),
        filter: Filter::parse(filter).expect("a filter"),
        description: String::new(),
        is_enabled: true,
        signing: WebhookSigning::Hmac,
        settings: WebhookSettings { attempts_max: 2, ..WebhookSettings::default() },
        headers: Vec::new(),
        secret: None,
        start: Start::Latest,
    }
}

fn dead(status: &crate::EndpointStatus) -> u64 {
    status.consumer.as_ref().map_or(0, |consumer| consumer.dead_letters)
}

#[tokio::test]
async fn what_is_published_arrives_in_order_of_its_key() {
    let rig = rig().await;
    let receiver = Receiver::start([Reply::Status(500)]).await;
    let owner = rig.caller(rig.project().await, Scopes::all()).await;
    rig.publish(&owner, "orders", "eu/1", "0").await;
    let new = new(&receiver, "orders/eu/#");
    let (webhook, secret) = rig.webhooks.create(&owner, new).await.expect("defined");
    for number in 1..=5 {
        rig.publish(&owner, "orders", "eu/1", &number.to_string()).await;
        rig.publish(&owner, "orders", "us/1", "not wanted").await;
    }
    let got = receiver.wait_for(6).await;
    let values: Vec<i64> =
        got.iter().map(|got| got.json()["data"]["data"].as_i64().expect("a number")).collect();
    assert_eq!(values, [1, 1, 2, 3, 4, 5], "the first was tried again and held the others back");
    assert!(got.iter().all(|got| got.is_signed_with(secret.expose_secret())));
    rig.until(&webhook, |status| status.consumer.as_ref().is_some_and(|it| it.lag == 0)).await;

    let (_, second) = rig
        .webhooks
        .rotate(&owner, webhook.id, None, Duration::from_secs(60))
        .await
        .expect("rotated");
    rig.publish(&owner, "orders", "eu/1", "6").await;
    // The new secret counts from when the loop has seen it.
    let mut count = 6;
    let both = loop {
        count += 1;
        let got = receiver.wait_for(count).await;
        let last = got.last().expect("one came").clone();
        if last.is_signed_with(second.expose_secret()) {
            break last;
        }
        rig.publish(&owner, "orders", "eu/1", "again").await;
    };
    assert!(both.is_signed_with(secret.expose_secret()), "the old one signs beside it");
    drop(rig.stop);
}

#[tokio::test]
async fn what_never_arrives_is_a_dead_letter_and_can_be_replayed() {
    let rig = rig().await;
    let receiver = Receiver::start(vec![Reply::Status(422); 6]).await;
    let owner = rig.caller(rig.project().await, Scopes::all()).await;
    rig.publish(&owner, "orders", "k", "0").await;
    let made = rig.webhooks.create(&owner, new(&receiver, "orders")).await;
    let (webhook, _) = made.expect("defined");
    for number in 1..=3 {
        rig.publish(&owner, "orders", &format!("k{number}"), &number.to_string()).await;
    }
    rig.until(&webhook, |status| dead(status) == 3).await;
    let found = rig.webhooks.dead_letters(&owner, webhook.id, None, 10).await.expect("letters");
    assert_eq!(found.letters.len(), 3);
    let letter = &found.letters[0];
    assert_eq!((letter.topic.as_str(), letter.deliveries), ("orders", 2));
    assert!(letter.reason.contains("422"), "{}", letter.reason);
    let status = rig.webhooks.status(&webhook).await;
    assert_eq!(status.last_error.expect("kept").outcome, Outcome::Refused);

    let one = Which::At(vec![(letter.delivery.partition, letter.delivery.offset)]);
    assert_eq!(rig.webhooks.replay(&owner, webhook.id, Some(one)).await, Ok(1));
    let got = receiver.wait_for(7).await;
    let offset = format!("_0_{}", letter.offset);
    assert!(got[6].header("webhook-id").ends_with(&offset), "the record's own id, in a replay too");
    let oldest = Which::Oldest(1);
    assert_eq!(rig.webhooks.purge(&owner, webhook.id, Some(oldest)).await, Ok(1));
    assert_eq!(rig.webhooks.replay(&owner, webhook.id, None).await, Ok(1));
    receiver.wait_for(8).await;
    rig.until(&webhook, |status| dead(status) == 0).await;
    drop(rig.stop);
}

#[tokio::test]
async fn changes_are_sent_as_events_of_their_own() {
    let rig = rig().await;
    let receiver = Receiver::start([]).await;
    let site = rig.project().await;
    let owner = rig.caller(site, Scopes::all()).await;
    let platform = rig.authenticator.platform(site.1).await.expect("the platform");
    let config = TopicConfig::default();
    rig.node.put_topic(&platform, &TopicName::changes(), config).await.expect("a topic");
    let made = rig.webhooks.create(&owner, new(&receiver, "$changes/key/#")).await;
    let (webhook, _) = made.expect("defined");
    rig.publish(&platform, "$changes", "topic/t", r#"{"type":"topic.created"}"#).await;
    rig.publish(&platform, "$changes", "key/1", r#"{"type":"key.revoked","target":"key_1"}"#).await;
    let got = receiver.wait_for(1).await;
    assert_eq!(got[0].json()["type"], "key.revoked");
    assert_eq!(got[0].json()["data"]["target"], "key_1");
    rig.until(&webhook, |status| status.consumer.as_ref().is_some_and(|it| it.lag == 0)).await;
    drop(rig.stop);
}

#[tokio::test]
async fn nobody_gets_by_webhook_what_he_could_not_read() {
    let rig = rig().await;
    let receiver = Receiver::start([]).await;
    let (site, other) = (rig.project().await, rig.project().await);
    let owner = rig.caller(site, Scopes::all()).await;
    rig.publish(&owner, "orders", "k", "0").await;
    let all = [Scope::AdminRead, Scope::AdminWrite, Scope::EventsSubscribe, Scope::EventsPublish];
    let only = async |lacking: Scope| {
        let scopes = all.iter().copied().filter(|scope| *scope != lacking).collect();
        rig.caller(site, scopes).await
    };
    for lacking in [Scope::AdminWrite, Scope::EventsSubscribe] {
        let who = only(lacking).await;
        let refused = rig.webhooks.create(&who, new(&receiver, "orders")).await;
        assert_eq!(refused.map(|_| ()).expect_err("refused").code(), Code::InsufficientScope);
    }
    let (webhook, _) = rig.webhooks.create(&owner, new(&receiver, "orders")).await.expect("made");
    let stranger = rig.caller(other, Scopes::all()).await;
    let gone = |found: Result<(), Refusal>| found.expect_err("not theirs").code() == Code::NotFound;
    assert!(gone(rig.webhooks.get(&stranger, webhook.id).await.map(|_| ())));
    assert!(gone(rig.webhooks.test(&stranger, webhook.id).await.map(|_| ())));
    assert!(gone(rig.webhooks.delete(&stranger, webhook.id).await));
    assert!(gone(rig.webhooks.replay(&stranger, webhook.id, None).await.map(|_| ())));
    let patch = EndpointPatch { is_enabled: Some(false), ..EndpointPatch::default() };
    assert!(gone(rig.webhooks.update(&stranger, webhook.id, patch).await.map(|_| ())));
    let reader = only(Scope::AdminWrite).await;
    assert!(rig.webhooks.get(&reader, webhook.id).await.is_ok());
    assert!(rig.webhooks.test(&reader, webhook.id).await.is_err(), "sending is a change");

    let table = [("nothing", Code::TopicNotFound), ("+", Code::InvalidFilter)];
    for (filter, code) in table {
        let refused = rig.webhooks.create(&owner, new(&receiver, filter)).await;
        assert_eq!(refused.map(|_| ()).expect_err(filter).code(), code);
    }
    let mut private = new(&receiver, "orders");
    private.url = "https://169.254.169.254/".into();
    let refused = rig.webhooks.create(&owner, private).await.map(|_| ()).expect_err("private");
    assert_eq!(refused.field_name(), Some("url"));
    drop(rig.stop);
}

#[tokio::test]
async fn disabled_deleted_and_tested() {
    let rig = rig().await;
    let receiver = Receiver::start([]).await;
    let owner = rig.caller(rig.project().await, Scopes::all()).await;
    rig.publish(&owner, "orders", "k", "0").await;
    let made = rig.webhooks.create(&owner, new(&receiver, "orders")).await;
    let (webhook, secret) = made.expect("defined");
    let patch = EndpointPatch { is_enabled: Some(false), ..EndpointPatch::default() };
    rig.webhooks.update(&owner, webhook.id, patch).await.expect("disabled");
    rig.until(&webhook, |status| status.breaker.is_none()).await;
    rig.publish(&owner, "orders", "k", "1").await;
    let attempt = rig.webhooks.test(&owner, webhook.id).await.expect("a test event");
    assert_eq!((attempt.outcome, attempt.status), (Outcome::Delivered, Some(204)));
    let got = receiver.wait_for(1).await;
    assert_eq!(got[0].json()["type"], "webhook.test");
    assert!(got[0].is_signed_with(secret.expose_secret()));
    let patch = EndpointPatch { is_enabled: Some(true), ..EndpointPatch::default() };
    rig.webhooks.update(&owner, webhook.id, patch).await.expect("enabled");
    let got = receiver.wait_for(2).await;
    assert_eq!(got[1].json()["data"]["data"], 1, "nothing was missed meanwhile");
    rig.webhooks.delete(&owner, webhook.id).await.expect("deleted");
    assert!(rig.webhooks.get(&owner, webhook.id).await.is_err());
    drop(rig.stop);
}
