//! Groups as administrators see and change them: by the admin API, and by `mainstem kafka groups`.

use super::Stand;
use super::client::Kafka;
use super::library::{cluster, settings};
use crate::figures::becomes;
use crate::stand::admin::Room;
use crate::stand::binary::mainstem;
use crate::stand::within;
use kafka::assignments::{Assignment, Parts, Subscription, write};
use kafka::messages::Api;
use kafka::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use kafka::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};
use kafka::messages::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use kafka_client::consumer::{self, Consumer};
use kafka_client::producer::{self, Producer};
use kafka_client::{Cluster, Record};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const WAIT: Duration = Duration::from_millis(200);

fn path(room: &Room, rest: &str) -> String {
    format!("/v1/tenants/{}/projects/{}/kafka/groups{rest}", room.tenant, room.project)
}

async fn ask(stand: &Stand, method: Method, rest: &str, body: &Value) -> (StatusCode, Value) {
    stand.server.admin().call(method, &path(&stand.room, rest), body).await
}

async fn look(stand: &Stand, name: &str) -> Value {
    let (status, group) = ask(stand, Method::GET, &format!("/{name}"), &Value::Null).await;
    assert_eq!(status, 200, "{group}");
    group
}

/// Ten records in each of two partitions.
async fn fill(cluster: &Arc<Cluster>) {
    let producer = Producer::open(cluster, producer::Options::default()).await.expect("opened");
    for index in 0..20 {
        let mut record = Record::new(format!("k{index}"), "v");
        record.timestamp_ms = Some(1_700_000_000_000 + i64::from(index / 2));
        producer.send_to("t", index % 2, record).await.expect("taken");
    }
    producer.close().await.expect("closed");
}

/// A member of `workers` that has read and committed everything.
async fn worker(cluster: &Arc<Cluster>) -> Consumer {
    let options = consumer::Options::default();
    let joined = Consumer::subscribed(cluster, options, "workers", &["t"]).await;
    let mut consumer = joined.expect("a member");
    let mut count = 0;
    while count < 20 {
        count += within("records", consumer.poll(WAIT)).await.expect("records").len();
    }
    consumer.commit().await.expect("committed");
    consumer
}

#[tokio::test]
async fn a_group_is_seen_with_its_members_and_put_elsewhere_when_they_are_gone() {
    let stand = Stand::new().await;
    stand.topic("t", 2).await;
    let cluster = cluster(&stand).await;
    fill(&cluster).await;
    let consumer = worker(&cluster).await;
    let group = look(&stand, "workers").await;
    assert_eq!((&group["kind"], &group["lag"]), (&json!("consumer"), &json!(0)));
    let member = &group["member_list"][0];
    assert_eq!((&member["address"], &member["partitions"]), (&json!("127.0.0.1"), &json!(2)));
    for part in group["partitions"].as_array().expect("partitions") {
        assert_eq!((&part["committed"], &part["end"]), (&json!(10), &json!(10)));
        assert_eq!(part["member"], member["id"]);
    }
    // Nobody takes a group away under its members.
    let latest = json!({"to": "earliest"});
    let (status, _) = ask(&stand, Method::POST, "/workers/reset", &latest).await;
    assert_eq!(status, 409);
    assert_eq!(ask(&stand, Method::DELETE, "/workers", &Value::Null).await.0, 409);
    consumer.close().await.expect("left");

    let group = look(&stand, "workers").await;
    assert_eq!((&group["state"], &group["members"]), (&json!("Empty"), &json!(0)));
    let table = [
        (json!({"to": "earliest"}), 0),
        (json!({"to": "offset:3"}), 3),
        (json!({"to": "offset:99"}), 10),
        (json!({"to": "time:1700000000007"}), 7),
        (json!({"to": "time:1900000000000"}), 10),
        (json!({"to": "latest", "topic": "t", "partitions": [0, 1]}), 10),
    ];
    for (wish, to) in table {
        let mut tried = wish.clone();
        tried["dry_run"] = json!(true);
        let before = look(&stand, "workers").await;
        let (status, told) = ask(&stand, Method::POST, "/workers/reset", &tried).await;
        assert_eq!(status, 200, "{told}");
        assert_eq!(look(&stand, "workers").await, before, "it was only tried");
        let (status, done) = ask(&stand, Method::POST, "/workers/reset", &wish).await;
        assert_eq!((status, &done["moves"]), (StatusCode::OK, &told["moves"]), "{wish}");
        for part in look(&stand, "workers").await["partitions"].as_array().expect("partitions") {
            assert_eq!(part["committed"], to, "{wish}");
        }
    }
    let none = json!({"to": "latest", "topic": "t", "partitions": [2]});
    let (status, refused) = ask(&stand, Method::POST, "/workers/reset", &none).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!("INVALID_REQUEST"))
    );
    // What was put back is read again.
    let back = json!({"to": "earliest"});
    assert_eq!(ask(&stand, Method::POST, "/workers/reset", &back).await.0, 200);
    worker(&cluster).await.close().await.expect("left");
    assert_eq!(ask(&stand, Method::DELETE, "/workers", &Value::Null).await.0, 204);
    assert_eq!(ask(&stand, Method::GET, "/workers", &Value::Null).await.0, 404);
    let trail = format!("/v1/audit?tenant={}&action=kafka_group.delete", stand.room.tenant);
    let trail = stand.server.admin().done(Method::GET, &trail, &Value::Null).await;
    assert_eq!(trail["records"][0]["target"], "workers");
}

#[tokio::test]
async fn how_far_a_group_is_behind_is_a_figure() {
    const FIGURE: &str = "mainstem_kafka_group_lag_records";
    let stand = Stand::new().await;
    stand.topic("t", 2).await;
    let cluster = cluster(&stand).await;
    fill(&cluster).await;
    worker(&cluster).await.close().await.expect("left");
    fill(&cluster).await;
    let project = format!("project=\"{}\"", stand.room.project);
    let labels = [&*project, "group=\"workers\"", "topic=\"t\""];
    becomes(&stand.server, FIGURE, &labels, 20.0).await;
    // A group that is no more is behind in nothing.
    assert_eq!(ask(&stand, Method::DELETE, "/workers", &Value::Null).await.0, 204);
    becomes(&stand.server, FIGURE, &labels, 0.0).await;
}

/// Joins `old` as its only member and takes partition 1 of `t`.
async fn classic(client: &mut Kafka) -> String {
    let mut request = JoinGroupRequest {
        group_id: "old".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            metadata: write(&Subscription { topics: vec!["t".to_owned()], ..Default::default() }),
        }],
        ..JoinGroupRequest::default()
    };
    let told: JoinGroupResponse = client.call(Api::JoinGroup, 5, &request).await;
    request.member_id.clone_from(&told.member_id);
    let told: JoinGroupResponse = client.call(Api::JoinGroup, 5, &request).await;
    assert_eq!(told.error_code, 0);
    let parts = Parts::from([("t".to_owned(), 1)]);
    let request = SyncGroupRequest {
        group_id: "old".to_owned(),
        generation_id: told.generation_id,
        member_id: told.member_id.clone(),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: told.member_id.clone(),
            assignment: write(&Assignment::of(&parts)),
        }],
        ..SyncGroupRequest::default()
    };
    let synced: SyncGroupResponse = client.call(Api::SyncGroup, 3, &request).await;
    assert_eq!(synced.error_code, 0);
    told.member_id
}

#[tokio::test]
async fn a_classic_group_is_seen_and_another_project_sees_neither() {
    let stand = Stand::new().await;
    stand.topic("t", 2).await;
    fill(&cluster(&stand).await).await;
    let mut client = stand.client().await;
    let member = classic(&mut client).await;
    let group = look(&stand, "old").await;
    let shown = (&group["kind"], &group["state"], &group["assignor"]);
    assert_eq!(shown, (&json!("classic"), &json!("Stable"), &json!("range")));
    assert_eq!(group["partitions"].as_array().map(Vec::len), Some(1), "{group}");
    let part = &group["partitions"][0];
    let shown = (&part["partition"], &part["member"], &part["committed"], &part["lag"]);
    assert_eq!(shown, (&json!(1), &json!(member), &Value::Null, &Value::Null));

    let admin = stand.server.admin();
    let other = admin.room(&json!({})).await;
    let seen = admin.done(Method::GET, &path(&other, ""), &Value::Null).await;
    assert_eq!(seen["groups"], json!([]));
    // By its project's name under another tenant there is nothing either.
    let crossed = Room { tenant: other.tenant.clone(), project: stand.room.project.clone() };
    for room in [&other, &crossed] {
        let (status, _) = admin.call(Method::GET, &path(room, "/old"), &Value::Null).await;
        assert_eq!(status, 404);
        let to = json!({"to": "latest"});
        let (status, _) = admin.call(Method::POST, &path(room, "/old/reset"), &to).await;
        assert_eq!(status, 404);
        let (status, _) = admin.call(Method::DELETE, &path(room, "/old"), &Value::Null).await;
        assert_eq!(status, 404);
    }
    let leaving = LeaveGroupRequest {
        group_id: "old".to_owned(),
        members: vec![MemberIdentity { member_id: member, ..MemberIdentity::default() }],
        ..LeaveGroupRequest::default()
    };
    let told: LeaveGroupResponse = client.call(Api::LeaveGroup, 3, &leaving).await;
    assert_eq!(told.error_code, 0);
    assert_eq!(look(&stand, "old").await["state"], "Empty");
}

#[tokio::test]
async fn groups_are_looked_after_from_the_terminal() {
    let stand = Stand::new().await;
    stand.topic("t", 2).await;
    let cluster = Cluster::connect(settings(&stand.server.kafka, &stand.key));
    let cluster = within("a cluster", cluster).await.expect("it lets us in");
    fill(&cluster).await;
    let files = tempfile::TempDir::with_prefix("groups-").expect("a directory");
    let text = format!(
        "bootstrap.servers={}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\n\
         sasl.username={}\nsasl.password={}\n",
        stand.server.kafka, stand.key.id, stand.key.secret
    );
    let file = files.path().join("settings");
    std::fs::write(&file, text).expect("written");
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(mainstem());
        command.args(["kafka", "groups"]).args(arguments).args(["--format", "json", "--config"]);
        command.arg(&file).env_remove("RUST_LOG").stdin(Stdio::null());
        let told = tokio::task::spawn_blocking(move || command.output());
        let told = told.await.expect("it ends").expect("it runs");
        let errors = String::from_utf8_lossy(&told.stderr).into_owned();
        let shown = serde_json::from_slice::<Value>(&told.stdout).unwrap_or_default();
        (told.status.success(), shown, errors)
    };
    let consumer = worker(&cluster).await;
    let (is_well, shown, errors) = run(&["describe", "workers"]).await;
    assert!(is_well, "{errors}");
    assert_eq!(
        (&shown["kind"], &shown["members"][0]["partitions"]),
        (&json!("consumer"), &json!(2))
    );
    assert_eq!(shown["partitions"][1]["lag"], 0);
    let (is_well, _, errors) = run(&["reset", "workers", "--to", "earliest"]).await;
    assert!(!is_well && errors.contains("stop them first"), "{errors}");
    consumer.close().await.expect("left");

    let dry =
        ["reset", "workers", "--to", "offset:4", "--topic", "t", "--partition", "1", "--dry-run"];
    let (is_well, moves, errors) = run(&dry).await;
    assert!(is_well, "{errors}");
    assert_eq!(moves, json!([{"topic": "t", "partition": 1, "from": 10, "to": 4}]));
    assert_eq!(run(&["describe", "workers"]).await.1["partitions"][1]["committed"], 10);
    assert!(run(&dry[..dry.len() - 1]).await.0);
    assert_eq!(run(&["describe", "workers"]).await.1["partitions"][1]["lag"], 6);
    let listed = run(&["list"]).await.1;
    assert_eq!((&listed[0]["name"], &listed[0]["state"]), (&json!("workers"), &json!("Empty")));
    assert!(run(&["delete", "workers"]).await.0);
    let (is_well, _, errors) = run(&["describe", "workers"]).await;
    assert!(!is_well && errors.contains("no group `workers`"), "{errors}");
    let (is_well, _, errors) = run(&["reset", "workers", "--to", "yesterday"]).await;
    assert!(!is_well && errors.contains("earliest, latest"), "{errors}");
}
