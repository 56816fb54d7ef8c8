//! The data directory's troubles: a full disk, which refuses publishes and mends by itself when
//! space returns, and a second process, which is refused.

use crate::stand::admin::Key;
use crate::stand::got::{Got, Sent};
use crate::stand::server::{Home, Server, ended};
use crate::stand::small_disk::{Kind, SmallDisk};
use crate::stand::sse::Stream;
use crate::stand::ws::Client;
use crate::stand::{LOOK_EVERY, within};
use reqwest::{Client as Http, StatusCode};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What the small disk holds.
const DISK_MIB: u64 = 64;
const FREE_MIB_MIN: u64 = 8;

/// A disk that can be filled: a small one of its own, else a shared one in memory with a bound
/// near what is free now.
struct Disk {
    data: PathBuf,
    ballast: PathBuf,
    free_mib_min: u64,
    ballast_mib: u64,
    /// Dropped in this order: what is mounted before what it is mounted on.
    _mounted: Option<SmallDisk>,
    _folder: TempDir,
}

fn free_mib(path: &Path) -> u64 {
    let state = rustix::fs::statvfs(path).expect("a file system tells its space");
    (state.f_bavail * state.f_frsize) >> 20
}

impl Disk {
    fn new() -> Disk {
        let folder = TempDir::with_prefix("mainstem-e2e-disk-").expect("a temporary directory");
        if let Some(mounted) = SmallDisk::mount(folder.path(), Kind::Tmpfs, DISK_MIB) {
            return Disk {
                data: mounted.folder.join("data"),
                ballast: mounted.folder.join("ballast"),
                free_mib_min: FREE_MIB_MIN,
                ballast_mib: DISK_MIB,
                _mounted: Some(mounted),
                _folder: folder,
            };
        }
        let folder = TempDir::with_prefix_in("mainstem-e2e-", "/dev/shm").expect("memory is left");
        let free = free_mib(folder.path());
        Disk {
            data: folder.path().join("data"),
            ballast: folder.path().join("ballast"),
            free_mib_min: free.saturating_sub(DISK_MIB).max(1),
            ballast_mib: DISK_MIB,
            _mounted: None,
            _folder: folder,
        }
    }

    /// Leaves less than what must stay free.
    fn fill(&self) {
        let mut written = 0;
        let mut file = std::fs::File::create(&self.ballast).expect("a file");
        let piece = vec![1; 1 << 20];
        while written < self.ballast_mib && free_mib(&self.data) >= self.free_mib_min / 2 {
            if std::io::Write::write_all(&mut file, &piece).is_err() {
                return;
            }
            written += 1;
        }
    }

    fn free(&self) {
        std::fs::remove_file(&self.ballast).expect("the ballast is there");
    }
}

struct Answered {
    status: StatusCode,
    code: String,
}

async fn publish(server: &Server, key: &Key, data: Value) -> Answered {
    let view = Sent::json("disk", "key", data).view();
    let request = Http::new().post(format!("{}/v1/events", server.url));
    let answer = request.bearer_auth(&key.secret).json(&view).send().await.expect("an answer");
    let status = answer.status();
    let body: Value = answer.json().await.expect("JSON");
    let code = body["error"]["code"].as_str().unwrap_or_default().to_owned();
    Answered { status, code }
}

/// Publishes until it is refused; answers how many were stored.
async fn publish_until_full(server: &Server, key: &Key, first: u64) -> u64 {
    let bulk = "x".repeat(100_000);
    let mut next = first;
    loop {
        let answered = publish(server, key, json!({ "n": next, "bulk": bulk })).await;
        if answered.status != StatusCode::OK {
            assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answered.code);
            assert_eq!(answered.code, "STORAGE_FULL");
            return next;
        }
        next += 1;
        assert!(next < first + 1_000, "100 MB went onto a disk of 64 MiB");
    }
}

async fn readiness(server: &Server) -> StatusCode {
    let answer = Http::new().get(format!("{}/readyz", server.url)).send().await;
    answer.expect("an answer").status()
}

#[tokio::test]
async fn a_full_disk_refuses_publishes_and_mends_by_itself() {
    let disk = Disk::new();
    let settings = json!({
        "log": { "extent_mib": 1, "pool_extents": 1, "free_mib_min": disk.free_mib_min },
    });
    let folder = TempDir::with_prefix("mainstem-e2e-").expect("a temporary directory");
    let home = Home::at(folder, &disk.data, &settings);
    let mut server = home.start();
    let (_, key) = server.admin().furnished().await;
    let mut socket = Client::open(&server.url, &key.secret).await;
    socket.subscribe(1, "disk", "latest".into()).await;
    assert_eq!(publish(&server, &key, json!({ "n": 0 })).await.status, StatusCode::OK);
    disk.fill();
    let stored = within("a refusal", publish_until_full(&server, &key, 1)).await;
    // Refused over WebSocket, too, and the socket goes on.
    let request = json!({ "type": "publish", "topic": "disk", "data": "x".repeat(100_000) });
    let answer = socket.call(request).await.expect("an answer");
    assert_eq!(answer["error"]["code"], "STORAGE_FULL", "{answer}");
    // Reads go on: old ones, and those that are open.
    let query = "topics=disk&from=earliest";
    let mut stream = Stream::open(&server.url, &key.secret, query).await;
    for n in 0..stored {
        assert_eq!(stream.record().await.data()["n"], n);
        assert_eq!(socket.record().await.data()["n"], n);
    }
    disk.free();
    let mended = async {
        while publish(&server, &key, json!({ "n": stored })).await.status != StatusCode::OK {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        while readiness(&server).await != StatusCode::OK {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("publishing to go on", mended).await;
    assert_eq!(stream.record().await.data()["n"], stored);
    assert_eq!(socket.record().await.data()["n"], stored);
    drop((stream, socket));
    server.stop();
    let server = home.start();
    check_history(&server, &key, stored + 1).await;
}

/// Everything acknowledged is there after a restart, and nothing else.
async fn check_history(server: &Server, key: &Key, count: u64) {
    let query = "topics=disk&from=earliest";
    let mut stream = Stream::open(&server.url, &key.secret, query).await;
    let mut got: Vec<Got> = Vec::new();
    for _ in 0..count {
        got.push(stream.record().await);
    }
    let numbers: Vec<Value> = got.iter().map(|got| got.data()["n"].clone()).collect();
    assert_eq!(numbers, (0..count).map(Value::from).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_second_process_on_one_data_directory_is_refused() {
    let home = Home::new(&json!({}));
    let server = home.start();
    let (_, key) = server.admin().furnished().await;
    assert_eq!(publish(&server, &key, json!(1)).await.status, StatusCode::OK);
    let (mut command, log) = home.command();
    let mut second = command.spawn().expect("it starts");
    let status = tokio::task::spawn_blocking(move || ended(&mut second)).await.expect("its end");
    let said = std::fs::read_to_string(log).expect("what it said");
    assert_eq!(status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("mainstem: "), "{said}");
    assert!(last.contains("another process") || last.contains("in use"), "{said}");
    // The first one has noticed nothing.
    assert_eq!(publish(&server, &key, json!(2)).await.status, StatusCode::OK);
}
