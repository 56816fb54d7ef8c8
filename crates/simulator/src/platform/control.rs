//! The control plane of a run: one tenant with a project, topics and consumers. The database is
//! filled once in each thread, always the same, and each run has a copy, so a run does not depend
//! on those before it.

use eventlog::TopicSpec;
use identity::{Authenticator, Environment, Secrets, Settings};
use port::{Credential, Hub, Identity, Peer, RequestId, ShardId};
use secrecy::ExposeSecret;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use tenancy::{
    Actor, ConsumerPlace, ConsumerTerms, KeyMode, NewKey, NewProject, NewTenant, Tenancy,
};
use testkit::clock::ManualClock;
use testkit::rng::SeededRng;
use tokio::runtime::Runtime;
use types::consumer::{Backoff, Ordering};
use types::{
    Cleanup, ConsumerConfig, ConsumerName, Durability, Limits, Scopes, TopicConfig, TopicName,
};

const NOW_MS: i64 = 1_795_219_200_000;
/// How long a delivery may stay unsettled.
const ACK_WAIT_MS: u64 = 5_000;
const CONSUMERS_MAX: usize = 10;

const DATABASE: &str = "metadata.sqlite";

thread_local! {
    static MADE: RefCell<Option<Rc<Template>>> = const { RefCell::new(None) };
}

/// What every run begins with; made once in each thread.
pub struct Template {
    pub key: String,
    /// The topics that are published to and followed.
    pub topics: Vec<(TopicName, TopicSpec)>,
    /// What the platform made for itself: states of consumers, dead letters.
    pub platform: Vec<TopicSpec>,
    dir: tempfile::TempDir,
}

/// The control plane of one run: the hub counts usage in it.
pub struct Control {
    pub runtime: Runtime,
    pub tenancy: Arc<Tenancy>,
    pub authenticator: Arc<Authenticator>,
    pub secrets: Secrets,
    pub template: Rc<Template>,
    _dir: tempfile::TempDir,
}

/// The names of the topics and consumers.
fn name(text: &str) -> TopicName {
    // Only called with the names below.
    TopicName::parse(text).expect("a topic's name")
}

fn consumer(text: &str) -> ConsumerName {
    ConsumerName::parse(text).expect("a consumer's name")
}

/// A simulation that cannot make its control plane cannot run: there is nobody to answer to.
fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime of one thread")
}

async fn open(dir: &Path, secrets: &Secrets) -> (Arc<Tenancy>, Arc<Authenticator>) {
    let (clock, rng) = (ManualClock::shared(NOW_MS), SeededRng::shared(7));
    let options = tenancy::Options::sqlite(&dir.join(DATABASE));
    let tenancy = Tenancy::connect(&options, clock.clone(), rng.clone()).await;
    let tenancy = Arc::new(tenancy.expect("a database"));
    let directory: Arc<dyn identity::Directory> = tenancy.clone();
    let authenticator = Authenticator::new(directory, secrets, Settings::default(), clock, rng);
    (tenancy, Arc::new(authenticator.expect("an authenticator")))
}

fn secrets() -> Secrets {
    Secrets::from_bytes([7; 32])
}

impl Template {
    /// This thread's.
    pub fn get() -> Rc<Template> {
        MADE.with(|made| {
            Rc::clone(made.borrow_mut().get_or_insert_with(|| Rc::new(Template::make())))
        })
    }

    fn make() -> Template {
        let dir = tempfile::tempdir().expect("a writable temporary directory");
        let (key, all) = runtime().block_on(async {
            let (tenancy, authenticator) = open(dir.path(), &secrets()).await;
            let key = fill(&tenancy, &authenticator).await.expect("a filled database");
            let all = tenancy.all_topics().await.expect("the topics");
            drop(authenticator);
            // Nobody else has it, so the file is whole when it is closed.
            let tenancy = Arc::try_unwrap(tenancy).expect("nobody else has it");
            tenancy.close().await.expect("a database that closes");
            (key, all)
        });
        let (mut topics, mut platform) = (Vec::new(), Vec::new());
        for topic in all {
            let spec = TopicSpec {
                id: topic.id,
                tenant: topic.tenant,
                project: topic.project,
                config: topic.config,
            };
            match TOPICS.contains(&topic.name.as_str()) {
                true => topics.push((topic.name, spec)),
                false => platform.push(spec),
            }
        }
        topics.sort_by_key(|(name, _)| TOPICS.iter().position(|it| *it == name.as_str()));
        Template { key, topics, platform, dir }
    }
}

impl Control {
    /// A copy of its own for a run.
    pub fn open() -> Control {
        let (template, secrets, runtime) = (Template::get(), secrets(), runtime());
        let dir = tempfile::tempdir().expect("a writable temporary directory");
        let from = template.dir.path().join(DATABASE);
        std::fs::copy(from, dir.path().join(DATABASE)).expect("a copy of the database");
        let (tenancy, authenticator) = runtime.block_on(open(dir.path(), &secrets));
        Control { runtime, tenancy, authenticator, secrets, template, _dir: dir }
    }

    /// The caller of everything, as a node knows him.
    pub fn prove(&self, node: &hub::Node) -> Result<Identity, port::Refusal> {
        let peer = Peer {
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            shard: ShardId(0),
            is_tls: false,
            request_id: RequestId("simulated".into()),
        };
        let credential = Credential::ApiKey(self.template.key.clone());
        self.runtime.block_on(node.authenticate(&peer, &credential))
    }
}

/// One durable, one that acknowledges before it stores.
const TOPICS: [&str; 2] = ["orders", "ticks"];
/// Consumers of the durable one.
const CONSUMERS: [&str; 2] = ["mail", "post"];

pub fn consumer_of(number: u64) -> ConsumerName {
    consumer(CONSUMERS[(number % 2) as usize])
}

fn terms(ordering: Ordering) -> ConsumerConfig {
    ConsumerConfig {
        ordering,
        ack_wait_ms: ACK_WAIT_MS,
        deliveries_max: 3,
        backoff: Backoff { delays_ms: vec![100, 1_000], jitter_percent: 20, ..Backoff::default() },
        pending_max: 30,
        ..ConsumerConfig::default()
    }
}

async fn fill(
    tenancy: &Tenancy,
    authenticator: &Authenticator,
) -> Result<String, tenancy::TenancyError> {
    let by = Actor::system();
    let new = NewTenant { name: "tenant".to_owned(), ..NewTenant::default() };
    let tenant = tenancy.create_tenant(new, &by).await?.id;
    let new = NewProject { name: "project".to_owned(), limits: Limits::default() };
    let project = tenancy.create_project(tenant, new, &by).await?.id;
    let key = authenticator.new_api_key(Environment::Test);
    let new = NewKey {
        name: "key".to_owned(),
        mode: KeyMode::Test,
        prefix: key.lookup.clone(),
        hash: key.hash.to_vec(),
        scopes: Scopes::all(),
        grants: None,
        rate_per_second: None,
        expires_at: None,
        verifier: None,
    };
    tenancy.create_key(tenant, project, new, &by).await?;
    let durable = TopicConfig { partitions: 2, ..TopicConfig::default() };
    let relaxed = TopicConfig { durability: Durability::Relaxed, ..TopicConfig::default() };
    let states = TopicConfig { cleanup: Cleanup::Compact, ..TopicConfig::default() };
    let orders = tenancy.create_topic(tenant, project, &name(TOPICS[0]), &durable, &by).await?;
    tenancy.create_topic(tenant, project, &name(TOPICS[1]), &relaxed, &by).await?;
    tenancy.create_topic(tenant, project, &TopicName::consumers(), &states, &by).await?;
    for (text, ordering) in CONSUMERS.into_iter().zip([Ordering::None, Ordering::Key]) {
        let dead = name(&format!("orders.{text}.dead"));
        tenancy.create_topic(tenant, project, &dead, &TopicConfig::default(), &by).await?;
        let (config, consumer) = (terms(ordering), consumer(text));
        let at = ConsumerPlace { topic: orders.id, topic_name: &orders.name, name: &consumer };
        let terms = ConsumerTerms { config: &config, dead_letter_topic: &dead };
        tenancy.create_consumer(tenant, project, at, terms, CONSUMERS_MAX, &by).await?;
    }
    Ok(key.text.expose_secret().to_owned())
}
