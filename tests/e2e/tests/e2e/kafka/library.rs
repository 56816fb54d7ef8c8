//! The client library against the server: every way to sign in, every codec, groups, transactions.

use super::Stand;
use crate::stand::admin::Key;
use crate::stand::token::Signer;
use crate::stand::within;
use kafka_client::admin::{Admin, At, Committed, NewTopic, Offsets};
use kafka_client::consumer::{self, Commits, Consumer};
use kafka_client::producer::{self, Producer};
use kafka_client::{Cluster, Error, Header, Packing, Record, Sasl, Settings, Tls};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const WAIT: Duration = Duration::from_millis(200);
const UNKNOWN_TOPIC: i16 = 3;
const PRODUCER_FENCED: i16 = 90;
const INVALID_PRODUCER_EPOCH: i16 = 47;

pub fn settings(address: &str, key: &Key) -> Settings {
    let (user, password) = (key.id.clone(), key.secret.clone().into());
    Settings::new(address).with_sasl(Sasl::Plain { user, password })
}

pub async fn cluster(stand: &Stand) -> Arc<Cluster> {
    let connected = Cluster::connect(settings(&stand.server.kafka, &stand.key));
    within("a cluster", connected).await.expect("it lets us in")
}

/// Reads until so many records have come.
async fn read(consumer: &mut Consumer, count: usize) -> Vec<consumer::Message> {
    let mut found = Vec::new();
    while found.len() < count {
        found.extend(within("records", consumer.poll(WAIT)).await.expect("records"));
    }
    found
}

fn places(topic: &str, partitions: i32) -> Vec<(String, i32)> {
    (0..partitions).map(|partition| (topic.to_owned(), partition)).collect()
}

fn value(message: &consumer::Message) -> String {
    String::from_utf8_lossy(message.record.value.as_deref().unwrap_or_default()).into_owned()
}

fn committed(offset: i64) -> Committed {
    Committed { offset, leader_epoch: -1, metadata: String::new() }
}

#[tokio::test]
async fn records_of_every_codec_come_back_as_they_were_sent() {
    let stand = Stand::new().await;
    let cluster = cluster(&stand).await;
    let admin = Admin::new(Arc::clone(&cluster));
    admin.create_topic(&NewTopic::new("t", 3)).await.expect("made");
    let mut sent = BTreeMap::new();
    for packing in
        [None, Some(Packing::Gzip), Some(Packing::Snappy), Some(Packing::Lz4), Some(Packing::Zstd)]
    {
        let options = producer::Options { packing, ..producer::Options::default() };
        let producer = Producer::open(&cluster, options).await.expect("a producer");
        let mut receipts = Vec::new();
        for index in 0..200 {
            let mut record = Record::new(format!("k{index}"), format!("{packing:?} {index}"));
            record.timestamp_ms = Some(1_700_000_000_000 + index);
            let name = "codec".to_owned();
            record.headers = vec![Header { name, value: Some(format!("{packing:?}").into()) }];
            let receipt = producer.send("t", record.clone()).await.expect("taken");
            receipts.push((receipt, record));
        }
        producer.flush().await.expect("flushed");
        for (receipt, record) in receipts {
            let place = receipt.await.expect("stored");
            sent.insert((place.partition, place.offset), record);
        }
        producer.close().await.expect("closed");
    }
    assert_eq!(sent.len(), 1_000, "each at a place of its own");
    let options = consumer::Options::default();
    let consumer = Consumer::assigned(&cluster, options, None, places("t", 3)).await;
    let mut consumer = consumer.expect("a consumer");
    let found = read(&mut consumer, 1_000).await;
    let found: BTreeMap<_, _> =
        found.into_iter().map(|it| ((it.partition, it.offset), it.record)).collect();
    assert_eq!(found, sent);
    // From a place in the middle of a batch.
    consumer.seek("t", 0, 7).await.expect("it is read");
    assert_eq!(read(&mut consumer, 1).await[0].offset, 7);
    assert!(admin.offset("t", 0, At::Time(1_700_000_000_000)).await.expect("asked").is_some());
    let unknown = Producer::open(&cluster, producer::Options::default()).await.expect("opened");
    assert_eq!(admin.delete_topic("none").await.expect_err("none").code(), Some(UNKNOWN_TOPIC));
    drop(unknown);
}

#[tokio::test]
async fn scram_and_wrong_passwords() {
    let stand = Stand::new().await;
    let (user, secret) = (stand.key.id.clone(), stand.key.secret.clone());
    let base = || Settings::new(&stand.server.kafka);
    for sasl in [
        Sasl::ScramSha256 { user: user.clone(), password: secret.clone().into() },
        Sasl::ScramSha512 { user: user.clone(), password: secret.clone().into() },
    ] {
        let cluster = within("a cluster", Cluster::connect(base().with_sasl(sasl))).await;
        Admin::new(cluster.expect("let in")).topics().await.expect("topics");
    }
    for sasl in [
        Sasl::ScramSha256 { user: user.clone(), password: "other".into() },
        Sasl::Plain { user: user.clone(), password: "other".into() },
        Sasl::OauthBearer { token: "a.b.c".into() },
    ] {
        let refused = within("an answer", Cluster::connect(base().with_sasl(sasl))).await;
        assert!(matches!(refused, Err(Error::SignIn(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn tls_and_tokens() {
    let Stand { mut home, mut server, room, .. } = Stand::new().await;
    let token = Signer::new(&server.admin(), &room).await.token(Duration::from_secs(600));
    server.stop();
    let folder = tempfile::TempDir::with_prefix("library-").expect("a folder");
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    let certificate = write("certificate.pem", made.cert.pem());
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    let other = write("other.pem", other.cert.pem());
    home.change(&json!({
        "edge": { "tls": { "files": {
            "certificate": certificate,
            "key": write("key.pem", made.signing_key.serialize_pem()),
        } } },
        "protocols": { "kafka": { "listeners": [{ "listen": "127.0.0.1:0", "tls": true }] } },
    }));
    let server = home.start();
    let connect = async |ca_file| {
        let sasl = Sasl::OauthBearer { token: token.clone().into() };
        let settings = Settings::new(&server.kafka).with_sasl(sasl);
        let settings = settings.with_tls(Tls { ca_file: Some(ca_file) });
        within("an answer", Cluster::connect(settings)).await
    };
    let cluster = connect(certificate).await.expect("trusted, and let in");
    Admin::new(cluster).topics().await.expect("asked");
    let distrusted = connect(other).await;
    assert!(matches!(distrusted, Err(Error::Unreachable { .. })), "{distrusted:?}");
}

#[tokio::test]
async fn members_share_partitions_and_hand_them_over() {
    let stand = Stand::new().await;
    let cluster = cluster(&stand).await;
    let admin = Admin::new(Arc::clone(&cluster));
    admin.create_topic(&NewTopic::new("t", 4)).await.expect("made");
    let producer = Producer::open(&cluster, producer::Options::default()).await.expect("opened");
    for index in 0..40 {
        let record = Record::new(format!("{index}"), format!("{index}"));
        producer.send_to("t", index % 4, record).await.expect("taken");
    }
    producer.flush().await.expect("flushed");
    let options = || consumer::Options {
        commits: Commits::Every(Duration::from_secs(60)),
        ..consumer::Options::default()
    };
    let join = async || {
        let joined = Consumer::subscribed(&cluster, options(), "g", &["t"]).await;
        joined.expect("joined")
    };
    let mut first = join().await;
    let found = read(&mut first, 40).await;
    assert_eq!(found.iter().map(value).collect::<BTreeSet<_>>().len(), 40);
    assert_eq!(first.assignment(), places("t", 4));
    let mut second = join().await;
    while first.assignment().len() != 2 || second.assignment().len() != 2 {
        for member in [&mut first, &mut second] {
            let again = within("a poll", member.poll(WAIT)).await.expect("polled");
            assert_eq!(again.len(), 0, "what was read is committed when it is handed over");
        }
    }
    first.close().await.expect("left");
    let offsets = admin.committed("g").await.expect("asked");
    assert_eq!(offsets.values().map(|it| it.offset).collect::<Vec<_>>(), [10; 4]);
    while second.assignment().len() != 4 {
        within("a poll", second.poll(WAIT)).await.expect("polled");
    }
    assert!(admin.commit("g", &offsets).await.is_err(), "who is no member does not commit");
    second.close().await.expect("left");
    let back = Offsets::from([(("t".to_owned(), 1), committed(3))]);
    admin.commit("g", &back).await.expect("nobody is there");
    let again = Consumer::assigned(&cluster, options(), Some("g"), places("t", 2)).await;
    let found = read(&mut again.expect("assigned"), 7).await;
    assert!(found.iter().all(|it| it.partition == 1 && it.offset >= 3), "{found:?}");
}

/// Passes on what both sides say, but for the name of a feature: whoever connects by it takes the
/// server for one of before KIP-890.
async fn forget(feature: &'static [u8], listener: TcpListener, server: String) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let server = TcpStream::connect(&server).await.expect("connected");
        connections.spawn(async move {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let answers = async {
                let mut bytes = vec![0; 64 * 1024];
                while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
                    let part = &mut bytes[..count];
                    while let Some(at) = part.windows(feature.len()).position(|it| it == feature) {
                        part[at..at + feature.len()].fill(b'x');
                    }
                    if to_client.write_all(part).await.is_err() {
                        return;
                    }
                }
            };
            // Ends with either side.
            tokio::select! {
                () = answers => {}
                _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
            }
        });
    }
}

#[tokio::test]
async fn a_transaction_counts_whole_or_not_at_all() {
    transact(&Stand::new().await, 2).await;
}

#[tokio::test]
async fn so_it_does_for_a_broker_that_ends_none_with_an_epoch() {
    let between = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = between.local_addr().expect("an address").to_string();
    let listener = json!({ "listen": "127.0.0.1:0", "advertised": address });
    let mut stand = Stand::with(json!({ "listeners": [listener] })).await;
    let server = std::mem::replace(&mut stand.server.kafka, address);
    let forgetting = tokio::spawn(forget(b"transaction.version", between, server));
    transact(&stand, 0).await;
    forgetting.abort();
}

/// `level` is that of `transaction.version` that the library sees.
async fn transact(stand: &Stand, level: i16) {
    let cluster = cluster(stand).await;
    let connection = cluster.any().await.expect("connected");
    assert_eq!(connection.feature("transaction.version"), level);
    let admin = Admin::new(Arc::clone(&cluster));
    admin.create_topic(&NewTopic::new("t", 2)).await.expect("made");
    let options = || producer::Options {
        transactional_id: Some("x".to_owned()),
        ..producer::Options::default()
    };
    let old = Producer::open(&cluster, options()).await.expect("opened");
    assert!(old.send("t", Record::new("k", "early")).await.is_err(), "nothing was begun");
    let member = producer::GroupMember::alone("g");
    for (number, is_kept) in [(0, true), (1, false), (2, true)] {
        old.begin().expect("begun");
        for partition in 0..2 {
            let record = Record::new("k", format!("{number}"));
            old.send_to("t", partition, record).await.expect("taken");
        }
        let offsets = Offsets::from([(("t".to_owned(), 0), committed(number + 1))]);
        old.send_offsets(&offsets, &member).await.expect("staged");
        if is_kept {
            old.commit().await.expect("committed");
        } else {
            old.abort().await.expect("aborted");
        }
    }
    old.begin().expect("begun");
    old.commit().await.expect("nothing in it");
    old.begin().expect("begun");
    let late = old.send_to("t", 0, Record::new("k", "late")).await.expect("taken");
    old.flush().await.expect("flushed");
    late.await.expect("stored");
    // Another takes the id over: what was open is given up, and who had it is told so.
    let new = Producer::open(&cluster, options()).await.expect("opened");
    let fenced = old.commit().await.expect_err("fenced");
    let codes = [Some(PRODUCER_FENCED), Some(INVALID_PRODUCER_EPOCH)];
    assert!(codes.contains(&fenced.code()), "{fenced}");
    new.begin().expect("begun");
    new.send_to("t", 0, Record::new("k", "new")).await.expect("taken");
    new.commit().await.expect("committed");
    let reader = consumer::Options::default();
    let reader = Consumer::assigned(&cluster, reader, None, places("t", 2)).await;
    let mut reader = reader.expect("assigned");
    let found = read(&mut reader, 5).await;
    let of = |partition| -> Vec<String> {
        found.iter().filter(|it| it.partition == partition).map(value).collect()
    };
    assert_eq!(
        (of(0), of(1)),
        (
            vec!["0".to_owned(), "2".to_owned(), "new".to_owned()],
            vec!["0".to_owned(), "2".to_owned()],
        )
    );
    let offsets = admin.committed("g").await.expect("asked");
    assert_eq!(offsets[&("t".to_owned(), 0)].offset, 3);
}
