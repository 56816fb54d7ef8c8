//! The client library as a member of classic groups: three share a topic, one leaves, one is
//! killed, one comes back under its lasting name; and a member of another client is among them.

use super::Stand;
use super::library::{cluster, settings};
use crate::stand::within;
use kafka_client::admin::{Admin, GroupKind, NewTopic};
use kafka_client::consumer::{self, Commits, Consumer};
use kafka_client::producer::{self, Producer};
use kafka_client::{Cluster, Record};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const WAIT: Duration = Duration::from_millis(100);
const PARTITIONS: i32 = 6;
/// The shortest that the server lets a member ask for.
const SESSION_MS: u32 = 6_000;

fn options(instance: Option<&str>) -> consumer::Options {
    consumer::Options {
        commits: Commits::Every(Duration::from_secs(60)),
        group: Some(GroupKind::Classic),
        instance: instance.map(str::to_owned),
        session_ms: SESSION_MS,
        ..consumer::Options::default()
    }
}

async fn join(cluster: &Arc<Cluster>, instance: Option<&str>) -> Consumer {
    let joined = Consumer::subscribed(cluster, options(instance), "g", &["t"]).await;
    joined.expect("a member")
}

/// One record in each partition.
async fn publish(cluster: &Arc<Cluster>, value: &str) {
    let producer = Producer::open(cluster, producer::Options::default()).await.expect("opened");
    for partition in 0..PARTITIONS {
        producer.send_to("t", partition, Record::new("k", value.to_owned())).await.expect("taken");
    }
    producer.close().await.expect("closed");
}

/// Polls all until they have agreed on so many partitions each, none of which two have; answers
/// what came meanwhile.
async fn settle(members: &mut [Consumer], share: usize) -> Vec<String> {
    let mut found = Vec::new();
    let settled = async {
        loop {
            for member in members.iter_mut() {
                for message in member.poll(WAIT).await.expect("polled") {
                    let value = message.record.value.unwrap_or_default();
                    let value = String::from_utf8_lossy(&value);
                    found.push(format!("{value} {}", message.partition));
                }
            }
            let all: Vec<_> = members.iter().flat_map(Consumer::assignment).collect();
            let is_even = members.iter().all(|member| member.assignment().len() == share);
            let distinct: BTreeSet<_> = all.iter().collect();
            if is_even && distinct.len() == all.len() && all.len() == PARTITIONS as usize {
                return;
            }
        }
    };
    within("an agreement", settled).await;
    found
}

/// Polls until each partition's record of this value was read, by whoever has it.
async fn read_all(members: &mut [Consumer], value: &str, mut found: Vec<String>) {
    let wanted: Vec<String> = (0..PARTITIONS).map(|it| format!("{value} {it}")).collect();
    let reading = async {
        while found.len() < wanted.len() {
            for member in members.iter_mut() {
                for message in member.poll(WAIT).await.expect("polled") {
                    let value = message.record.value.unwrap_or_default();
                    let value = String::from_utf8_lossy(&value);
                    found.push(format!("{value} {}", message.partition));
                }
            }
        }
    };
    within("all records", reading).await;
    found.sort();
    assert_eq!(found, wanted, "each once");
}

async fn stage() -> (Stand, Arc<Cluster>) {
    let stand = Stand::new().await;
    let cluster = cluster(&stand).await;
    let admin = Admin::new(Arc::clone(&cluster));
    admin.create_topic(&NewTopic::new("t", PARTITIONS)).await.expect("made");
    (stand, cluster)
}

#[tokio::test]
async fn three_members_go_on_when_one_leaves_and_one_is_killed() {
    let (stand, cluster) = stage().await;
    let mut members = vec![join(&cluster, None).await, join(&cluster, None).await];
    // On a connection of its own, which ends with it.
    let other = Cluster::connect(settings(&stand.server.kafka, &stand.key));
    let other = within("a cluster", other).await.expect("it lets us in");
    members.push(join(&other, None).await);
    publish(&cluster, "first").await;
    let found = settle(&mut members, 2).await;
    read_all(&mut members, "first", found).await;
    let admin = Admin::new(Arc::clone(&cluster));
    let described = admin.describe_group("g").await.expect("asked").expect("a group");
    let shown = (described.kind, &*described.state, &*described.assignor);
    assert_eq!(shown, (GroupKind::Classic, "Stable", "range"));

    members.remove(0).close().await.expect("left");
    publish(&cluster, "second").await;
    let found = settle(&mut members, 3).await;
    read_all(&mut members, "second", found).await;
    // What was read by then counts, whoever falls silent after it.
    for member in &mut members {
        member.commit().await.expect("committed");
    }
    drop(members.remove(1));
    publish(&cluster, "third").await;
    let found = settle(&mut members, 6).await;
    read_all(&mut members, "third", found).await;
    members.remove(0).close().await.expect("left");
    let offsets = admin.committed("g").await.expect("asked");
    assert_eq!(offsets.values().map(|it| it.offset).collect::<Vec<_>>(), [3; 6]);
}

#[tokio::test]
async fn who_has_a_lasting_name_comes_back_to_its_partitions() {
    let (_stand, cluster) = stage().await;
    let mut members = vec![join(&cluster, Some("a")).await, join(&cluster, Some("b")).await];
    settle(&mut members, 3).await;
    let before = members[1].assignment();
    let rounds = members[0].member().expect("a member").epoch;
    members.remove(1).close().await.expect("gone for now");
    members.push(join(&cluster, Some("b")).await);
    settle(&mut members, 3).await;
    assert_eq!(members[1].assignment(), before);
    assert_eq!(members[0].member().expect("a member").epoch, rounds, "nobody was disturbed");
    // Two cannot have one name: who came later has it.
    let third = join(&cluster, Some("b")).await;
    let fenced = async {
        loop {
            if let Err(error) = members[1].poll(WAIT).await {
                return error;
            }
        }
    };
    let error = within("an error", fenced).await;
    assert_eq!(error.code(), Some(82), "FENCED_INSTANCE_ID: {error}");
    drop(third);
}
