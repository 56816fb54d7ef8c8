//! Tests of the hub on the real engine (over a simulated disk) and the real control plane (SQLite).

mod branch;
mod changes;
mod cleanup;
mod consumers;
mod cursors;
mod following;
mod index;
mod isolation;
mod limits;
mod lists;
mod metering;
mod once;
mod plans;
mod presence;
mod reading;
mod schemas;
mod security;
mod shaping;

use crate::{Node, Options, Parts, World};
use eventlog::EmbeddedLog;
use identity::{Authenticator, Environment, Secrets, Settings};
use port::sink::{Event, Room, Sink};
use port::{
    Credential, Delivery, Follow, Hub, Identity, Peer, Placed, Refusal, RequestId, ShardId,
};
use secrecy::ExposeSecret;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tenancy::{Actor, KeyMode, NewKey, NewProject, NewTenant, Tenancy};
use testkit::clock::ManualClock;
use testkit::disk::SimDisk;
use testkit::rng::SeededRng;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use types::{
    Filter, From, Key, Limits, ProjectId, Record, Scopes, SubscriptionTag, TenantId, TopicName,
};

/// 2026-11-21T00:00:00Z.
const START_MS: i64 = 1_795_219_200_000;
const SHARD: ShardId = ShardId(0);
const TAG: SubscriptionTag = SubscriptionTag(1);

/// A node and what it stands on. Opened once per test, whatever the number of its cases.
struct Base {
    node: Arc<Node>,
    tenancy: Arc<Tenancy>,
    authenticator: Arc<Authenticator>,
    clock: Arc<ManualClock>,
    disk: Arc<SimDisk>,
    dir: tempfile::TempDir,
}

/// A tenant and project of its own on that node.
struct Site {
    base: Rc<Base>,
    tenant: TenantId,
    project: ProjectId,
}

impl std::ops::Deref for Site {
    type Target = Base;
    fn deref(&self) -> &Base {
        &self.base
    }
}

impl Base {
    async fn open() -> Base {
        let dir = tempfile::tempdir().expect("a writable temporary directory");
        Base::open_on(SimDisk::shared(7), ManualClock::shared(START_MS), dir).await
    }

    /// A node on what an earlier one left.
    async fn open_on(disk: Arc<SimDisk>, clock: Arc<ManualClock>, dir: tempfile::TempDir) -> Base {
        // A node that is started again must not draw the numbers of the one before.
        let rng = SeededRng::shared(7 + disk.changes());
        let options = tenancy::Options::sqlite(&dir.path().join("metadata.sqlite"));
        let tenancy = Tenancy::connect(&options, clock.clone(), rng.clone()).await;
        let tenancy = Arc::new(tenancy.expect("a fresh database"));
        let secrets = Secrets::from_bytes([7; 32]);
        let authenticator = Authenticator::new(
            Arc::clone(&tenancy) as _,
            &secrets,
            Settings::default(),
            clock.clone(),
            rng.clone(),
        );
        let authenticator = Arc::new(authenticator.expect("an authenticator"));
        let world = storage::World {
            disk: disk.clone(),
            clock: clock.clone(),
            rng: rng.clone(),
            keys: None,
        };
        let mut options = eventlog::Options::new("/log");
        options.store.extent_bytes = 1 << 20;
        options.store.free_bytes_min = 0;
        options.maintain_interval = None;
        let spec = |topic: tenancy::Topic| eventlog::TopicSpec {
            id: topic.id,
            tenant: topic.tenant,
            project: topic.project,
            config: topic.config,
        };
        let topics = tenancy.all_topics().await.expect("topics").into_iter().map(spec).collect();
        let (log, _) = EmbeddedLog::open(world, options, topics).expect("a log");
        let node = Node::start(Parts {
            engine: log,
            tenancy: Arc::clone(&tenancy),
            authenticator: Arc::clone(&authenticator),
            cursor_key: secrets.cursor_key(),
            world: World { clock: clock.clone(), rng },
            options: Options {
                shards: 2,
                branches: 1,
                auto_create_topics: true,
                reconnect_ms_max: 5_000,
                presence: crate::PresenceSettings::default(),
                tenants: crate::TenantLimits::default(),
            },
        });
        let node = node.await.expect("a node");
        Base { node, tenancy, authenticator, clock, disk, dir }
    }
}

impl Site {
    /// Somebody with these scopes in this project.
    async fn caller(&self, project: (TenantId, ProjectId), scopes: Scopes) -> Identity {
        let text = self.key(project, scopes).await;
        self.prove(&text).await.expect("a good key")
    }

    async fn owner(&self) -> Identity {
        self.caller((self.tenant, self.project), Scopes::all()).await
    }

    async fn key(&self, (tenant, project): (TenantId, ProjectId), scopes: Scopes) -> String {
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
        key.text.expose_secret().to_owned()
    }

    async fn prove(&self, key: &str) -> Result<Identity, Refusal> {
        self.node.authenticate(&peer(), &Credential::ApiKey(key.to_owned())).await
    }

    async fn publish(&self, who: &Identity, topic: &str, records: Vec<Record>) -> Vec<Placed> {
        let topic = name(topic);
        self.node.append(who, &topic, records).await.expect("an append")
    }
}

async fn make_project(tenancy: &Tenancy, limits: Limits) -> (TenantId, ProjectId) {
    let by = Actor::system();
    let new = NewTenant { name: "tenant".to_owned(), ..NewTenant::default() };
    let tenant = tenancy.create_tenant(new, &by).await.expect("a tenant").id;
    let new = NewProject { name: "project".to_owned(), limits };
    let project = tenancy.create_project(tenant, new, &by).await.expect("a project").id;
    (tenant, project)
}

fn peer() -> Peer {
    Peer {
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        shard: SHARD,
        is_tls: false,
        request_id: RequestId("test".into()),
    }
}

fn name(text: &str) -> TopicName {
    TopicName::parse(text).expect("a topic name")
}

fn record(key: &str, value: &str) -> Record {
    Record {
        key: Some(Key::new(key.to_owned()).expect("a key")),
        value: Some(value.to_owned().into()),
        ..Record::default()
    }
}

fn follow(filter: &str, from: From) -> Follow {
    Follow {
        tag: TAG,
        filter: Filter::parse(filter).expect("a filter"),
        from,
        latest_first: false,
        exclude_own: false,
        connection: None,
        shaping: None,
    }
}

/// A connection that takes so many records and is then full until it is emptied.
struct Outlet {
    room: usize,
    state: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    waiting: VecDeque<Arc<Delivery>>,
    news: Vec<String>,
    /// What came in one frame each.
    frames: Vec<Vec<port::Sent>>,
    progress: Vec<port::Progress>,
    wakers: Vec<Waker>,
}

impl Outlet {
    fn new(room: usize) -> Arc<Outlet> {
        Arc::new(Outlet { room, state: Mutex::default() })
    }

    fn empty(&self) -> Vec<Arc<Delivery>> {
        let mut state = self.state.lock().expect("no panic while held");
        state.wakers.drain(..).for_each(Waker::wake);
        state.waiting.drain(..).collect()
    }

    fn frames(&self) -> Vec<Vec<port::Sent>> {
        std::mem::take(&mut self.state.lock().expect("no panic while held").frames)
    }

    fn progress(&self) -> Vec<port::Progress> {
        std::mem::take(&mut self.state.lock().expect("no panic while held").progress)
    }

    fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().expect("no panic while held").news)
    }
}

impl Sink for Outlet {
    fn push(&self, _tag: SubscriptionTag, event: Event<'_>) -> Room {
        let mut state = self.state.lock().expect("no panic while held");
        match event {
            Event::Delivery(delivery) => state.waiting.push_back(Arc::clone(delivery)),
            Event::Records(records) => {
                state.waiting.extend(records.iter().map(|sent| Arc::clone(&sent.delivery)));
                state.frames.push(records.to_vec());
            }
            Event::Progress(progress) => state.progress.push(progress.clone()),
            Event::CaughtUp => state.news.push("caught up".to_owned()),
            Event::Gap { from, to, why: port::Loss::Expired, .. } => {
                state.news.push(format!("gap {from} {to}"));
            }
            Event::Gap { from, to, why, .. } => {
                state.news.push(format!("gap {from} {to} {}", why.name()));
            }
            Event::Ended(why) => state.news.push(format!("ended {}", why.code().name())),
        }
        if state.waiting.len() >= self.room { Room::Full } else { Room::Free }
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock().expect("no panic while held");
        if state.waiting.len() < self.room {
            return Poll::Ready(());
        }
        state.wakers.push(cx.waker().clone());
        Poll::Pending
    }
}

/// A node with its shard 0 turning beside the test on the same thread, as the edge does it.
struct Stage {
    runtime: Runtime,
    local: LocalSet,
    base: Rc<Base>,
}

impl Stage {
    fn set() -> Rc<Stage> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (runtime, local) = (runtime.expect("a runtime"), LocalSet::new());
        let base = Rc::new(local.block_on(&runtime, Base::open()));
        let mut shard = base.node.shard(SHARD);
        local.spawn_local(async move {
            loop {
                std::future::poll_fn(|cx| shard.poll_turn(cx, 16)).await;
                tokio::task::yield_now().await;
            }
        });
        Rc::new(Stage { runtime, local, base })
    }
}

thread_local! {
    /// The test runner gives each test a thread of its own.
    static STAGE: RefCell<Option<Rc<Stage>>> = const { RefCell::new(None) };
}

/// Runs one case of a test in a fresh tenant and project.
fn on_shard<T>(test: impl AsyncFnOnce(&Site) -> T) -> T {
    let stage = STAGE.with(|held| Rc::clone(held.borrow_mut().get_or_insert_with(Stage::set)));
    stage.local.block_on(&stage.runtime, async {
        let (tenant, project) = make_project(&stage.base.tenancy, Limits::default()).await;
        let site = Site { base: Rc::clone(&stage.base), tenant, project };
        test(&site).await
    })
}

/// Empties the outlet until it has given so many records.
async fn collect(outlet: &Outlet, count: usize) -> Vec<Arc<Delivery>> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(outlet.empty());
        tokio::task::yield_now().await;
    }
    all
}

fn values(deliveries: &[Arc<Delivery>]) -> Vec<String> {
    let text = |delivery: &Arc<Delivery>| {
        String::from_utf8_lossy(delivery.record.value.as_deref().unwrap_or_default()).into_owned()
    };
    deliveries.iter().map(text).collect()
}
