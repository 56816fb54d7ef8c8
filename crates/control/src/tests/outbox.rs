//! The outbox's worker on the real store: every change reaches the log of its project once and in
//! order, whatever step the process died after.

use super::{Rig, last_part};
use crate::OutboxWorker;
use parking_lot::Mutex;
use port::{
    Answer, Closer, Code, Connection, Credential, Delivery, Follow, Hub, Identity, Keys, Lease,
    Peer, Placed, PresenceAnswer, PresenceCall, RateState, ReadAnswer, ReadRequest, Refusal, Shard,
    ShardId, Sink, Subscription, TopicInfo,
};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use types::record::header;
use types::{Key, ProjectId, Record, TopicConfig, TopicName};

/// What the log does with the next appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mood {
    #[default]
    Takes,
    /// Refuses this project's.
    Refuses(ProjectId),
    /// Takes them, but the answer is lost: as if the process had died right after the append.
    Forgets,
}

/// A log that knows record ids, as the real one does.
struct RigLog {
    inner: Arc<dyn Hub>,
    mood: Mutex<Mood>,
    seen: Mutex<HashSet<(ProjectId, String)>>,
    stored: Mutex<Vec<(ProjectId, String, Value)>>,
}

impl RigLog {
    fn store(&self, who: &Identity, records: Vec<Record>) -> Result<Vec<Placed>, Refusal> {
        let mood = *self.mood.lock();
        if mood == Mood::Refuses(who.project()) {
            return Err(Refusal::new(Code::StorageFull, "the disk is full"));
        }
        let text = |bytes: &bytes::Bytes| String::from_utf8(bytes.to_vec()).expect("text");
        let mut placed = Vec::new();
        for record in records {
            let id = text(record.header(header::ID).expect("an id for the log to know it by"));
            let is_duplicate = !self.seen.lock().insert((who.project(), id));
            if !is_duplicate {
                let value = serde_json::from_slice(&record.value.expect("a value")).expect("JSON");
                let key = text(record.key.expect("a key").bytes());
                self.stored.lock().push((who.project(), key, value));
            }
            placed.push(Placed { partition: 0, offset: 0, timestamp: 0, is_duplicate });
        }
        match mood {
            Mood::Forgets => Err(Refusal::new(Code::Draining, "the process is gone")),
            _ => Ok(placed),
        }
    }

    /// Types of the changes that a project's topic holds, in order.
    fn told(&self, project: ProjectId) -> Vec<String> {
        let stored = self.stored.lock();
        let own = stored.iter().filter(|(at, ..)| *at == project);
        own.map(|(_, _, value)| value["type"].as_str().expect("a type").to_owned()).collect()
    }
}

impl Hub for RigLog {
    fn authenticate<'a>(&'a self, peer: &'a Peer, it: &'a Credential) -> Answer<'a, Identity> {
        self.inner.authenticate(peer, it)
    }

    fn rate(&self, who: &Identity) -> Option<RateState> {
        self.inner.rate(who)
    }

    fn open<'a>(
        &'a self,
        who: &'a Identity,
        it: Connection,
        by: Arc<dyn Closer>,
    ) -> Answer<'a, Lease> {
        self.inner.open(who, it, by)
    }

    fn append<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        records: Vec<Record>,
    ) -> Answer<'a, Vec<Placed>> {
        assert_eq!(*topic, TopicName::changes());
        assert!(who.is_platform(), "nobody else writes changes");
        Box::pin(async { self.store(who, records) })
    }

    fn read<'a>(&'a self, who: &'a Identity, request: ReadRequest) -> Answer<'a, ReadAnswer> {
        self.inner.read(who, request)
    }

    fn latest<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        key: &'a Key,
    ) -> Answer<'a, Option<Arc<Delivery>>> {
        self.inner.latest(who, topic, key)
    }

    fn keys<'a>(
        &'a self,
        who: &'a Identity,
        topic: &'a TopicName,
        after: Option<Key>,
        limit: usize,
    ) -> Answer<'a, Keys> {
        self.inner.keys(who, topic, after, limit)
    }

    fn follow<'a>(
        &'a self,
        who: &'a Identity,
        follow: Follow,
        shard: ShardId,
        sink: Arc<dyn Sink>,
    ) -> Answer<'a, Subscription> {
        self.inner.follow(who, follow, shard, sink)
    }

    fn topics<'a>(
        &'a self,
        who: &'a Identity,
        after: Option<TopicName>,
        limit: usize,
    ) -> Answer<'a, Vec<TopicInfo>> {
        self.inner.topics(who, after, limit)
    }

    fn topic<'a>(&'a self, who: &'a Identity, name: &'a TopicName) -> Answer<'a, TopicInfo> {
        self.inner.topic(who, name)
    }

    fn put_topic<'a>(
        &'a self,
        who: &'a Identity,
        name: &'a TopicName,
        config: TopicConfig,
    ) -> Answer<'a, (TopicInfo, bool)> {
        self.inner.put_topic(who, name, config)
    }

    fn delete_topic<'a>(&'a self, who: &'a Identity, name: &'a TopicName) -> Answer<'a, ()> {
        self.inner.delete_topic(who, name)
    }

    fn presence<'a>(
        &'a self,
        who: &'a Identity,
        lease: Option<&'a Lease>,
        topic: &'a TopicName,
        key: Option<&'a Key>,
        call: PresenceCall,
    ) -> Answer<'a, PresenceAnswer> {
        self.inner.presence(who, lease, topic, key, call)
    }

    fn shard(&self, id: ShardId) -> Box<dyn Shard> {
        self.inner.shard(id)
    }
}

async fn rig() -> (Rig, Arc<RigLog>) {
    let mut rig = Rig::new().await;
    let log = Arc::new(RigLog {
        inner: Arc::clone(&rig.control.hub),
        mood: Mutex::default(),
        seen: Mutex::default(),
        stored: Mutex::default(),
    });
    rig.control.hub = Arc::clone(&log) as _;
    (rig, log)
}

/// Turns until nothing is left that can be published now.
async fn drain(worker: &mut OutboxWorker) -> usize {
    let mut published = 0;
    loop {
        let turn = worker.turn().await.expect("the database answers");
        published += turn.published;
        if turn.published == 0 {
            return published;
        }
    }
}

fn project_of(path: &str) -> ProjectId {
    last_part(path).parse().expect("a project's path")
}

#[tokio::test]
async fn changes_reach_the_topic_of_their_project_in_order() {
    let (rig, log) = rig().await;
    let (tenant, path) = rig.project("p").await;
    let project = project_of(&path);
    let body = json!({"name": "k", "scopes": ["events:publish"]});
    let key = rig.call("POST", &format!("{path}/keys"), body).await.ok(201);
    let revoke = format!("{path}/keys/{}/revoke", key["key"]["id"].as_str().unwrap());
    rig.call("POST", &revoke, json!({})).await.ok(200);
    rig.call("POST", &format!("{tenant}/suspend"), json!({"reason": "late"})).await.ok(200);

    let mut worker = OutboxWorker::new(&rig.control);
    drain(&mut worker).await;
    assert_eq!(log.told(project), ["project.created", "key.created", "key.revoked"]);
    let (_, address, value) = log.stored.lock()[2].clone();
    let (_, _, revoked) =
        log.stored.lock().iter().find(|it| it.2["type"] == "key.revoked").unwrap().clone();
    assert_eq!((&revoked["version"], &revoked["actor"]), (&json!(1), &json!("operator")));
    assert_eq!(revoked["target"], key["key"]["id"]);
    assert!(address.contains('/') && value["id"].as_str().unwrap().starts_with("evt_"));
    assert!(
        !log.stored
            .lock()
            .iter()
            .any(|it| it.2.to_string().contains(key["secret"].as_str().unwrap()))
    );

    let system = rig.tenancy.bootstrap(tenancy::SYSTEM, &tenancy::Actor::system()).await.unwrap();
    let told = log.told(system.project.id);
    let wanted = ["tenant.created", "tenant.suspended", "tenant.created", "project.created"];
    assert_eq!(told, wanted, "what belongs to no project is the operator's to read");
    assert_eq!(rig.tenancy.outbox_backlog().await.unwrap().pending, 0);
}

#[tokio::test]
async fn a_process_that_dies_between_append_and_mark_tells_nothing_twice() {
    let (rig, log) = rig().await;
    let (_, path) = rig.project("p").await;
    let project = project_of(&path);
    for round in 0..3 {
        let body = json!({"name": format!("k{round}"), "scopes": ["events:publish"]});
        rig.call("POST", &format!("{path}/keys"), body).await.ok(201);
        *log.mood.lock() = Mood::Forgets;
        let mut dying = OutboxWorker::new(&rig.control);
        assert_eq!(drain(&mut dying).await, 0);
        assert!(rig.tenancy.outbox_backlog().await.unwrap().pending > 0, "nothing is marked");
        *log.mood.lock() = Mood::Takes;
        let mut next = OutboxWorker::new(&rig.control);
        assert!(drain(&mut next).await > 0);
    }
    let wanted = ["project.created", "key.created", "key.created", "key.created"];
    assert_eq!(log.told(project), wanted);
    assert_eq!(rig.tenancy.outbox_backlog().await.unwrap().pending, 0);
}

#[tokio::test]
async fn one_that_refuses_waits_and_holds_nobody_up() {
    let (rig, log) = rig().await;
    let (_, stuck) = rig.project("stuck").await;
    let (_, other) = rig.project("other").await;
    let (stuck, other) = (project_of(&stuck), project_of(&other));
    *log.mood.lock() = Mood::Refuses(stuck);
    let mut worker = OutboxWorker::new(&rig.control);
    drain(&mut worker).await;
    assert_eq!((log.told(stuck).len(), log.told(other).len()), (0, 1));
    *log.mood.lock() = Mood::Takes;
    assert_eq!(worker.turn().await.unwrap().published, 0, "it is not asked before its time");
    rig.clock.advance(Duration::from_secs(60));
    assert_eq!(worker.turn().await.unwrap().published, 1);
    assert_eq!(log.told(stuck), ["project.created"]);
}

#[tokio::test]
async fn a_backlog_is_worked_off_in_bounded_turns() {
    let (rig, log) = rig().await;
    let (_, path) = rig.project("p").await;
    let (tenant, project) = {
        let parts: Vec<&str> = path.split('/').collect();
        (parts[3].parse().unwrap(), project_of(&path))
    };
    let by = tenancy::Actor::system();
    for round in 0..600 {
        let name = format!("p{round}");
        let patch = tenancy::ProjectPatch { name: Some(name), ..Default::default() };
        rig.tenancy.update_project(tenant, project, patch, &by).await.unwrap();
    }
    let mut worker = OutboxWorker::new(&rig.control);
    let first = worker.turn().await.unwrap();
    assert!(first.has_more && first.published <= 256, "{first:?}");
    drain(&mut worker).await;
    let names: Vec<Value> = log
        .stored
        .lock()
        .iter()
        .filter(|(at, _, value)| *at == project && value["type"] == "project.updated")
        .map(|(_, _, value)| value["details"]["name"].clone())
        .collect();
    let wanted: Vec<Value> = (0..600).map(|round| json!(format!("p{round}"))).collect();
    assert_eq!(names, wanted);
    // What is published long enough ago is dropped, what waits never is.
    rig.clock.advance(Duration::from_secs(25 * 3_600));
    worker.turn().await.unwrap();
    assert!(rig.tenancy.sweep_outbox(i64::MAX, 500).await.unwrap() < 500);
}

#[tokio::test]
async fn the_end_of_a_project_is_told_to_the_operator() {
    let (rig, log) = rig().await;
    let (_, path) = rig.project("p").await;
    let project = project_of(&path);
    rig.call("DELETE", &path, Value::Null).await.ok(204);
    drain(&mut OutboxWorker::new(&rig.control)).await;
    assert!(log.told(project).is_empty());
    let system = rig.tenancy.bootstrap(tenancy::SYSTEM, &tenancy::Actor::system()).await.unwrap();
    let told = log.told(system.project.id);
    assert!(told.contains(&"project.deleted".to_owned()), "{told:?}");
}
