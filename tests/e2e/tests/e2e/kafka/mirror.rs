//! `mainstem kafka mirror` and `verify`, from one project to another as from any Kafka.

use super::Stand;
use super::client::batch;
use super::library::{cluster, settings};
use crate::stand::admin::{Key, Room};
use crate::stand::binary::mainstem;
use crate::stand::within;
use kafka_client::admin::{AccessRule, Admin, Committed, NewTopic, Offsets};
use kafka_client::producer::{self, Producer};
use kafka_client::{Cluster, Header, Packing, Record};
use reqwest::Method;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use types::Batch;

/// A server with two projects, and a file of settings for each.
struct Move {
    stand: Stand,
    /// The target's project.
    room: Room,
    files: TempDir,
    source: Arc<Cluster>,
    target: Arc<Cluster>,
}

impl Move {
    async fn new() -> Move {
        let listener = json!({ "listen": "127.0.0.1:0", "security": "write" });
        let stand = Stand::with(json!({ "listeners": [listener] })).await;
        let admin = stand.server.admin();
        let room = admin.room(&json!({})).await;
        let key = admin.key(&room, &["events:publish", "events:subscribe", "admin:write"]).await;
        let files = TempDir::with_prefix("mirror-").expect("a directory");
        let write = |name: &str, key: &Key| {
            let text = format!(
                "bootstrap.servers={}\nsecurity.protocol=SASL_PLAINTEXT\n\
                 sasl.mechanism=SCRAM-SHA-256\nsasl.username={}\nsasl.password={}\n",
                stand.server.kafka, key.id, key.secret
            );
            std::fs::write(files.path().join(name), text).expect("written");
        };
        write("from", &stand.key);
        write("to", &key);
        let source = cluster(&stand).await;
        let target = Cluster::connect(settings(&stand.server.kafka, &key));
        let target = within("a cluster", target).await.expect("it lets us in");
        Move { stand, room, files, source, target }
    }

    /// In a list all is allowed of which nothing is said, so that it does not end with a rule.
    async fn begin_lists(&self) {
        for room in [&self.stand.room, &self.room] {
            let path = format!("/v1/acl?tenant={}&project={}", room.tenant, room.project);
            let list = json!({ "list": { "default": "allow", "entries": [] } });
            self.stand.server.admin().done(Method::PUT, &path, &list).await;
        }
    }

    /// Runs a command; answers its exit code and its report.
    async fn run(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut command = Command::new(mainstem());
        command.args(["kafka", arguments[0], "--format", "json", "--from-config"]);
        command.arg(self.files.path().join("from"));
        command.arg("--to-config").arg(self.files.path().join("to"));
        command.args(&arguments[1..]).env_remove("RUST_LOG").stdin(Stdio::null());
        let told = tokio::task::spawn_blocking(move || command.output());
        let told = told.await.expect("it ends").expect("it runs");
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        let errors = String::from_utf8_lossy(&told.stderr);
        let report = serde_json::from_str(&text);
        (told.status.code(), report.unwrap_or_else(|_| panic!("{text}{errors}")))
    }
}

fn records_of(report: &Value) -> u64 {
    let topics = report["topics"].as_object().expect("topics").values();
    let parts = topics.flat_map(|topic| topic["partitions"].as_object().expect("parts").values());
    parts.map(|part| part["records"].as_u64().expect("a count")).sum()
}

/// Records in every codec, tombstones, headers without a value, and transactions: 2 of 3 are kept.
async fn fill(cluster: &Arc<Cluster>) {
    for packing in [None, Some(Packing::Gzip), Some(Packing::Lz4), Some(Packing::Zstd)] {
        let options = producer::Options { packing, ..producer::Options::default() };
        let producer = Producer::open(cluster, options).await.expect("opened");
        for index in 0..50 {
            let mut record = Record::new(format!("k{}", index % 10), format!("{index}"));
            record.headers = vec![Header { name: "h".to_owned(), value: None }];
            record.timestamp_ms = Some(1_700_000_000_000 + index);
            if index % 5 == 4 {
                record.value = None;
            }
            producer.send("t", record).await.expect("taken");
        }
        producer.close().await.expect("closed");
    }
    let options = producer::Options {
        transactional_id: Some("x".to_owned()),
        ..producer::Options::default()
    };
    let producer = Producer::open(cluster, options).await.expect("opened");
    for number in 0..3 {
        producer.begin().expect("begun");
        for index in 0..10 {
            let record = Record::new(format!("k{index}"), format!("{number} {index}"));
            producer.send_to("paid", 0, record).await.expect("taken");
        }
        if number == 1 {
            producer.flush().await.expect("flushed");
            producer.abort().await.expect("aborted");
        } else {
            producer.commit().await.expect("committed");
        }
    }
}

#[tokio::test]
async fn a_project_is_copied_and_compared() {
    let moved = Move::new().await;
    let (source, target) =
        (Admin::new(Arc::clone(&moved.source)), Admin::new(Arc::clone(&moved.target)));
    let mut topic = NewTopic::new("t", 3);
    topic.settings.insert("retention.ms".to_owned(), "-1".to_owned());
    source.create_topic(&topic).await.expect("made");
    source.create_topic(&NewTopic::new("paid", 1)).await.expect("made");
    fill(&moved.source).await;
    let committed = Committed { offset: 7, leader_epoch: -1, metadata: "by hand".to_owned() };
    let offsets = Offsets::from([(("t".to_owned(), 1), committed)]);
    source.commit("g", &offsets).await.expect("committed");
    moved.begin_lists().await;
    let rule = AccessRule {
        resource_type: 2,
        resource_name: "t".to_owned(),
        pattern_type: 3,
        principal: "User:*".to_owned(),
        host: "*".to_owned(),
        operation: 3,
        permission_type: 3,
    };
    let of_group = AccessRule { resource_type: 3, resource_name: "g".to_owned(), ..rule.clone() };
    let rules = [rule, of_group];
    let told = source.add_access_rules(&rules).await.expect("an answer");
    assert!(told.iter().all(Result::is_ok), "{told:?}");

    let (code, told) = moved.run(&["verify"]).await;
    assert_eq!(code, Some(1), "nothing is there yet: {told}");
    let (code, told) = moved.run(&["mirror"]).await;
    assert_eq!((code, records_of(&told)), (Some(0), 220), "{told}");
    assert_eq!(told["access_rules"], json!(2), "{told}");
    let notices = told["notices"].to_string();
    assert!(notices.contains(&moved.stand.key.id) && notices.contains("passwords"), "{told}");
    assert_eq!(target.access_rules().await.expect("asked"), rules);
    let (code, told) = moved.run(&["verify"]).await;
    assert_eq!((code, records_of(&told)), (Some(0), 220), "{told}");
    let paid = &told["topics"]["paid"]["partitions"]["0"];
    assert_eq!(paid["source_digest"], paid["target_digest"]);
    assert_eq!(paid["target_end"], paid["source_end"], "what was given up is a gap here as well");
    assert!(paid["target_end"].as_u64() > Some(20), "{paid}");
    assert_eq!(target.committed("g").await.expect("asked"), offsets);
    let settings = target.settings("t").await.expect("asked");
    let retention = settings.iter().find(|it| it.name == "retention.ms").expect("it is there");
    assert_eq!(retention.value.as_deref(), Some("-1"));

    // It goes on where it stopped, and does nothing twice.
    let (code, told) = moved.run(&["mirror"]).await;
    assert_eq!((code, records_of(&told)), (Some(0), 0), "{told}");
    fill(&moved.source).await;
    let (code, _) = moved.run(&["verify"]).await;
    assert_eq!(code, Some(1), "something is missing");
    let (code, told) = moved.run(&["mirror", "--topic", "t"]).await;
    assert_eq!((code, records_of(&told)), (Some(0), 200), "{told}");
    let (code, told) = moved.run(&["mirror"]).await;
    assert_eq!((code, records_of(&told)), (Some(0), 20), "{told}");
    let (code, told) = moved.run(&["verify"]).await;
    assert_eq!((code, records_of(&told)), (Some(0), 440), "{told}");

    // Somebody else writes at the target: it is told, and nothing is put behind it.
    let producer = Producer::open(&moved.target, producer::Options::default()).await;
    let producer = producer.expect("opened");
    producer.send_to("paid", 0, Record::new("k", "stray")).await.expect("taken");
    producer.close().await.expect("closed");
    fill(&moved.source).await;
    let (code, told) = moved.run(&["mirror"]).await;
    assert_eq!(code, Some(1), "{told}");
    let problem = &told["topics"]["paid"]["partitions"]["0"]["problem"];
    assert!(problem.as_str().is_some_and(|text| text.contains("of its own")), "{told}");
}

/// Compaction has left holes at the source, within batches and between them.
#[tokio::test]
async fn a_compacted_topic_is_copied_with_its_holes() {
    let moved = Move::new().await;
    Admin::new(Arc::clone(&moved.source)).create_topic(&NewTopic::new("c", 1)).await.expect("made");
    let records = ["0", "1", "2", "3"].map(|value| ("k", value));
    for at in [10, 20] {
        let whole = Batch::parse(batch(&records, 1_700_000_000_000, None)).expect("a batch");
        let thinned = whole.thinned(|view| view.offset == 1).expect("records");
        let placed = producer::place(&moved.source, ("c", 0), thinned.bytes().clone(), at).await;
        assert_eq!(placed.expect("placed").base_offset, at);
    }
    let (code, told) = moved.run(&["mirror"]).await;
    assert_eq!((code, records_of(&told)), (Some(0), 2), "{told}");
    let (code, told) = moved.run(&["verify"]).await;
    assert_eq!((code, records_of(&told)), (Some(0), 2), "{told}");
    let part = &told["topics"]["c"]["partitions"]["0"];
    assert_eq!((&part["source_end"], &part["target_end"]), (&json!(24), &json!(24)));
    assert_eq!(part["source_digest"], part["target_digest"]);
}

#[tokio::test]
async fn what_cannot_be_done_is_told() {
    let moved = Move::new().await;
    Admin::new(Arc::clone(&moved.source)).create_topic(&NewTopic::new("t", 3)).await.expect("made");
    Admin::new(Arc::clone(&moved.target)).create_topic(&NewTopic::new("t", 2)).await.expect("made");
    let (code, told) = moved.run(&["mirror"]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told["problems"][0].as_str().is_some_and(|it| it.contains("3 partitions")), "{told}");
    let (code, told) = moved.run(&["verify", "--topic", "none"]).await;
    assert_eq!(code, Some(1), "{told}");
    let failing = |arguments: &[&str], password: &str| {
        let mut command = Command::new(mainstem());
        command.arg("kafka").args(arguments).env("MAINSTEM_KAFKA_FROM_PASSWORD", password);
        command.stdin(Stdio::null());
        let told = command.output().expect("it runs");
        (told.status.code(), String::from_utf8_lossy(&told.stderr).into_owned())
    };
    let (from, to) = (moved.files.path().join("from"), moved.files.path().join("to"));
    let (from, to) = (from.to_string_lossy().into_owned(), to.to_string_lossy().into_owned());
    let both = ["mirror", "--from-config", &from, "--to-config", &to];
    let wrong = failing(&both, "not the password");
    assert!(wrong.1.contains("signing in failed") && !wrong.1.contains("not the"), "{wrong:?}");
    let nowhere = failing(&["verify", "--to-config", &to], "");
    assert!(nowhere.1.contains("--from HOST:PORT"), "{nowhere:?}");
    assert!(wrong.0 != Some(0) && nowhere.0 != Some(0));
}
