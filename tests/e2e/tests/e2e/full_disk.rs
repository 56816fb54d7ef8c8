//! A real file system filled to the last byte, again and again, under load: while extents are
//! sealed and made, while the checkpoint is written, while retention and the collector work.
//! Publishers get `STORAGE_FULL` or an acknowledgement that holds; reads go on; as soon as there is
//! space publishes succeed; and after a kill nothing acknowledged is missing. Only root may mount.

use crate::stand::admin::Key;
use crate::stand::server::{Home, Server};
use crate::stand::small_disk::{Kind, SmallDisk};
use crate::stand::{LOOK_EVERY, within};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stdx::Rng;
use tempfile::TempDir;
use testkit::rng::SeededRng;

const DISK_MIB: u64 = 64;
/// The log itself stops at a megabyte; the ballast takes that one as well.
const FREE_MIB_MIN: u64 = 1;
const ROUNDS: u64 = 5;
const PUBLISHERS: u64 = 3;
/// Kept by retention, so that extents go back to the disk all the time.
const RETAINED_BYTES: u64 = 4 << 20;
const VALUE_BYTES: usize = 30_000;

#[derive(Default)]
struct Tally {
    /// By publisher: offset and number of what was acknowledged, in order.
    kept: BTreeMap<u64, Vec<(u64, u64)>>,
    acknowledged: u64,
    refused: u64,
}

/// Publishes until told to stop. Topic `kept-N` keeps everything, `passing` is cut by retention.
async fn publisher(id: u64, url: String, key: String, stop: Arc<AtomicBool>) -> Tally {
    let (client, mut tally) = (Client::new(), Tally::default());
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let is_kept = number % 4 == 0;
        let topic = if is_kept { format!("kept-{id}") } else { "passing".to_owned() };
        let bulk = "x".repeat(if is_kept { 500 } else { VALUE_BYTES });
        let record = json!({ "topic": topic, "key": "k", "data": { "n": number, "bulk": bulk } });
        let request = client.post(format!("{url}/v1/events")).bearer_auth(&key).json(&record);
        let answer = within("an answer", request.send()).await.expect("the server answers");
        let status = answer.status();
        let body: Value = answer.json().await.expect("JSON");
        if status == StatusCode::OK {
            tally.acknowledged += 1;
            let offset = body["offset"].as_u64().expect("an offset");
            if is_kept {
                tally.kept.entry(id).or_default().push((offset, number));
            }
            continue;
        }
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
        assert_eq!(body["error"]["code"], "STORAGE_FULL", "{body}");
        tally.refused += 1;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    tally
}

/// Takes space in random bites until none is left, waits, and gives it back.
async fn squeeze(disk: &SmallDisk, rng: &SeededRng) {
    let path = disk.folder.join("ballast");
    let mut file = std::fs::File::create(&path).expect("a file");
    loop {
        let bite = 1 + rng.next_u64() % (3 << 20);
        let piece = vec![1; bite.min(disk.free_bytes().max(1)) as usize];
        if file.write_all(&piece).is_err() || disk.free_bytes() < 8_192 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(rng.next_u64() % 40)).await;
    }
    tokio::time::sleep(Duration::from_millis(200 + rng.next_u64() % 400)).await;
    drop(file);
    std::fs::remove_file(path).expect("the ballast is there");
}

async fn read_kept(server: &Server, key: &Key, id: u64) -> BTreeMap<u64, u64> {
    let (client, mut found) = (Client::new(), BTreeMap::new());
    let mut from = "earliest".to_owned();
    loop {
        let url = format!("{}/v1/topics/kept-{id}/records?limit=1000&from={from}", server.url);
        let answer = client.get(url).bearer_auth(&key.secret).send();
        let answer = within("a page", answer).await.expect("the server answers");
        let page: Value = answer.json().await.expect("JSON");
        for record in page["records"].as_array().unwrap_or_else(|| panic!("{page}")) {
            let number = |value: &Value| value.as_u64().expect("a number");
            let offset = number(&record["offset"]);
            let before = found.insert(offset, number(&record["data"]["n"]));
            assert_eq!(before, None, "offset {offset} twice");
        }
        from = page["next_cursor"].as_str().expect("a cursor").to_owned();
        if page["end"] == true {
            return found;
        }
    }
}

async fn prepare(server: &Server) -> Key {
    let admin = server.admin();
    let (room, key) = admin.furnished().await;
    let retention = json!({ "partitions": 1, "retention": { "bytes_max": RETAINED_BYTES } });
    admin.done(Method::PUT, &room.path("topics/passing"), &retention).await;
    for id in 0..PUBLISHERS {
        admin.topic(&room, &format!("kept-{id}"), 1).await;
    }
    key
}

/// Publishing goes on within a moment once there is space.
async fn mends(server: &Server, key: &Key) {
    let record = json!({ "topic": "passing", "data": 1 });
    let mended = async {
        loop {
            let request = Client::new().post(format!("{}/v1/events", server.url));
            let answer = request.bearer_auth(&key.secret).json(&record).send().await;
            if answer.expect("an answer").status() == StatusCode::OK {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("publishing to go on", mended).await;
}

async fn fill_and_free(kind: Kind) {
    let folder = TempDir::with_prefix("mainstem-e2e-full-").expect("a temporary directory");
    let Some(disk) = SmallDisk::mount(folder.path(), kind, DISK_MIB) else {
        eprintln!("NOT RUN: a {kind:?} file system cannot be mounted here; run this as root");
        return;
    };
    let settings = json!({
        "log": { "extent_mib": 1, "pool_extents": 1, "free_mib_min": FREE_MIB_MIN },
    });
    let home = Home::at(
        TempDir::with_prefix("mainstem-e2e-").expect("a temporary directory"),
        Path::new(&disk.folder.join("data")),
        &settings,
    );
    let mut server = home.start();
    let key = prepare(&server).await;
    let rng = SeededRng::new(7);
    let mut kept: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    let (mut acknowledged, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |id| {
            let (url, secret) = (server.url.clone(), key.secret.clone());
            tokio::spawn(publisher(id, url, secret, Arc::clone(&stop)))
        };
        let publishers: Vec<_> = (0..PUBLISHERS).map(start).collect();
        squeeze(&disk, &rng).await;
        mends(&server, &key).await;
        stop.store(true, Ordering::Relaxed);
        for publisher in publishers {
            let tally = publisher.await.expect("a publisher ends well");
            acknowledged += tally.acknowledged;
            refused += tally.refused;
            tally.kept.into_iter().for_each(|(id, more)| kept.entry(id).or_default().extend(more));
        }
        // Every other round ends without a word.
        if round % 2 == 0 {
            server.kill();
        } else {
            server.stop();
        }
        server = home.start();
        for (id, records) in &kept {
            let found = read_kept(&server, &key, *id).await;
            for (offset, number) in records {
                assert_eq!(found.get(offset), Some(number), "{kind:?}, round {round}, {id}");
            }
        }
    }
    server.stop();
    let kept: usize = kept.values().map(Vec::len).sum();
    println!("{kind:?}: {acknowledged} acknowledged, {refused} refused, {kept} kept and found");
    assert!(refused > 0 && kept > 0, "the disk was never full, or nothing was kept");
}

#[tokio::test]
async fn a_full_ext4_loses_nothing_and_mends() {
    fill_and_free(Kind::Ext4).await;
}

#[tokio::test]
async fn a_full_tmpfs_loses_nothing_and_mends() {
    fill_and_free(Kind::Tmpfs).await;
}
