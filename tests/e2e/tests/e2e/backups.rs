//! Backups of a running server by its own commands: made while publishers write, restored to the
//! end and to a moment, equal by hash; and what an interruption leaves.

use crate::stand::admin::Key;
use crate::stand::binary::mainstem;
use crate::stand::got::Sent;
use crate::stand::server::{Home, Server};
use crate::stand::ws::Client;
use crate::stand::{LOOK_EVERY, PATIENCE, within};
use reqwest::Client as Http;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tempfile::TempDir;

const TOPIC: &str = "ledger";

/// Data, backups and restored data side by side.
struct Place {
    folder: TempDir,
    home: Home,
}

impl Place {
    fn new(settings: &Value) -> Place {
        let folder = TempDir::with_prefix("mainstem-backup-").expect("a directory");
        let own = TempDir::with_prefix("mainstem-e2e-").expect("a directory");
        let home = Home::at(own, &folder.path().join("data"), settings);
        Place { folder, home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Runs `mainstem` beside the server.
    fn run(&self, server: Option<&Server>, arguments: &[&str]) -> Output {
        self.command(server, arguments).output().expect("a command runs")
    }

    fn command(&self, server: Option<&Server>, arguments: &[&str]) -> Command {
        let mut command = Command::new(mainstem());
        command.args(arguments).current_dir(self.folder.path()).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).env("MAINSTEM_ADMIN_TOKEN", &self.home.admin_token);
        if let Some(server) = server {
            command.env("MAINSTEM_ADMIN_URL", &server.admin_url);
        }
        command
    }

    fn restore(&self, into: &str, more: &[&str]) -> Output {
        let (from, to) = (self.text("backups"), self.text(into));
        let keys = self.text("data/keys");
        let mut arguments = vec!["backup", "restore", "--from", &from, "--data-dir", &to];
        if self.path("data/keys").is_dir() {
            arguments.extend(["--keys", &keys]);
        }
        arguments.extend(more);
        self.run(None, &arguments)
    }

    /// One line per partition: hash, name, offsets, count.
    fn hashes(&self, data: &str, more: &[&str]) -> Vec<String> {
        let data = self.text(data);
        let mut arguments = vec!["log", "verify", "--hash", "--data-dir", &data];
        arguments.extend(more);
        let output = good(&self.run(None, &arguments));
        output.lines().filter(|line| line.contains(TOPIC)).map(str::to_owned).collect()
    }
}

fn good(output: &Output) -> String {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn publish(url: &str, key: &str, from: u64, count: u64) {
    let sent = |n: u64| Sent::json(TOPIC, &format!("key/{}", n % 7), json!({ "n": n })).view();
    let views: Vec<Value> = (from..from + count).map(sent).collect();
    let request = Http::new().post(format!("{url}/v1/events")).bearer_auth(key).json(&views);
    let answer = within("a publish", request.send()).await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

async fn furnished(server: &Server) -> Key {
    let admin = server.admin();
    let (room, key) = admin.furnished().await;
    admin.topic(&room, TOPIC, 2).await;
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_restored_equals_its_source() {
    let place = Place::new(&json!({}));
    let mut server = place.home.start();
    let key = furnished(&server).await;
    publish(&server.url, &key.secret, 0, 200).await;
    let is_done = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..2)
        .map(|number| {
            let (url, secret) = (server.url.clone(), key.secret.clone());
            let is_done = Arc::clone(&is_done);
            tokio::spawn(async move {
                let mut from = 1_000_000 * (number + 1);
                while !is_done.load(Ordering::Relaxed) {
                    publish(&url, &secret, from, 20).await;
                    from += 20;
                }
            })
        })
        .collect();
    let to = place.text("backups");
    let first = good(&place.run(Some(&server), &["backup", "create", "--to", &to]));
    assert!(first.contains("full"), "{first}");
    let second = good(&place.run(Some(&server), &["backup", "create", "--to", &to]));
    assert!(second.contains("incremental"), "{second}");
    is_done.store(true, Ordering::Relaxed);
    for publisher in publishers {
        publisher.await.expect("published");
    }
    good(&place.run(Some(&server), &["backup", "create", "--to", &to]));
    let cursor = cursor_at_the_end(&server.url, &key.secret).await;
    server.stop();
    let listed = good(&place.run(None, &["backup", "list", "--from", &to]));
    assert_eq!(listed.lines().count(), 3, "{listed}");
    good(&place.run(None, &["backup", "verify", "--from", &to]));
    let source = place.hashes("data", &[]);
    assert_eq!(source.len(), 2, "{source:?}");
    good(&place.restore("restored", &[]));
    assert_eq!(place.hashes("restored", &[]), source);
    assert!(refused(&place.restore("restored", &[])).contains("not empty"));
    let point = format!("{TOPIC}/0=17");
    good(&place.restore("then", &["--to-offset", &point]));
    let then = place.hashes("data", &["--to-offset", &point]);
    assert_ne!(then, source);
    assert_eq!(place.hashes("then", &[]), then);
    let folder = TempDir::with_prefix("mainstem-e2e-").expect("a directory");
    let restored = Home::at(folder, &place.path("then"), &json!({})).start();
    let url = format!("{}/v1/topics/{TOPIC}/records?from=earliest&limit=1", restored.url);
    let answer = Http::new().get(url).bearer_auth(&key.secret).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "the old key opens the restored server");
    a_reader_of_lost_history_is_told(&restored.url, &key.secret, &cursor).await;
    publish(&restored.url, &key.secret, 0, 10).await;
}

/// The cursor is from after the moment that was restored.
async fn a_reader_of_lost_history_is_told(url: &str, secret: &str, cursor: &str) {
    let mut client = Client::open(url, secret).await;
    client.subscribe(1, TOPIC, cursor.into()).await;
    loop {
        let frame = client.next().await.expect("a gap before the end");
        if frame["type"] == "gap" && frame["partition"] == 0 {
            assert_eq!((&frame["reason"], &frame["from"]), (&json!("history_lost"), &json!(17)));
            return;
        }
    }
}

/// Behind all that is stored.
async fn cursor_at_the_end(url: &str, secret: &str) -> String {
    let url = format!("{url}/v1/topics/{TOPIC}/records?from=latest&limit=1");
    let answer = Http::new().get(url).bearer_auth(secret).send().await.expect("an answer");
    let page: Value = serde_json::from_str(&answer.text().await.expect("a page")).expect("JSON");
    page["next_cursor"].as_str().expect("a cursor").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_during_a_backup_goes_on_and_so_do_its_backups() {
    let place = Place::new(&json!({"backup": {"mib_per_second_max": 1}}));
    let mut server = place.home.start();
    let key = furnished(&server).await;
    let large = json!({"topic": TOPIC, "data": "x".repeat(500_000)});
    for _ in 0..12 {
        let request = Http::new().post(format!("{}/v1/events", server.url));
        let answer = request.bearer_auth(&key.secret).json(&large).send().await.expect("sent");
        assert_eq!(answer.status(), 200);
    }
    let to = place.text("backups");
    let create = ["backup", "create", "--to", &to, "--no-wait"];
    good(&place.run(Some(&server), &create));
    assert!(refused(&place.run(Some(&server), &create)).contains("under way"));
    let deadline = Instant::now() + PATIENCE;
    while count(&place.path("backups")) < 2 {
        assert!(Instant::now() < deadline, "no file of the backup appears");
        std::thread::sleep(LOOK_EVERY);
    }
    server.kill();
    let mut server = place.home.start();
    good(&place.run(Some(&server), &create));
    good(&place.run(Some(&server), &["backup", "cancel"]));
    server.stop();
    let listed = good(&place.run(None, &["backup", "list", "--from", &to]));
    assert!(listed.contains("no backups"), "{listed}");
    let mut server = place.home.start();
    good(&place.run(Some(&server), &["backup", "create", "--to", &to]));
    server.stop();
    let source = place.hashes("data", &[]);
    let (from, into) = (place.text("backups"), place.text("half"));
    let keys = place.text("data/keys");
    let mut arguments = vec!["backup", "restore", "--from", &from, "--data-dir", &into];
    if place.path("data/keys").is_dir() {
        arguments.extend(["--keys", &keys]);
    }
    let mut restoring = place.command(None, &arguments).spawn().expect("starts");
    while !place.path("half/restore.unfinished").exists() {
        assert!(Instant::now() < deadline + PATIENCE, "the restore does not begin");
        assert!(restoring.try_wait().expect("a child").is_none(), "it ended too soon to be killed");
    }
    restoring.kill().expect("killed");
    restoring.wait().expect("ended");
    if place.path("half/restore.unfinished").exists() {
        assert!(refused(&place.restore("half", &[])).contains("did not end"));
        let data_dir = format!("{{\"data_dir\": \"{into}\"}}");
        std::fs::write(place.path("half.json"), data_dir).expect("written");
        let output = place.run(None, &["serve", "--config", &place.text("half.json")]);
        assert!(refused(&output).contains("did not end"));
    }
    good(&place.restore("whole", &[]));
    assert_eq!(place.hashes("whole", &[]), source);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_topic_comes_back_equal_in_both_formats() {
    let place = Place::new(&json!({}));
    let mut server = place.home.start();
    let admin = server.admin();
    let (room, key) = admin.furnished().await;
    admin.topic(&room, TOPIC, 2).await;
    publish(&server.url, &key.secret, 0, 300).await;
    let transfer = |direction: &str, topic: &str, file: &str, more: &[&str]| {
        let way = if direction == "export" { "--to" } else { "--from" };
        let file = place.text(file);
        let (tenant, project) = (&room.tenant, &room.project);
        let mut arguments = vec!["topics", direction, tenant, project, topic, way, &file];
        arguments.extend(more);
        place.run(Some(&server), &arguments)
    };
    for format in ["ndjson", "batches"] {
        let (copy, file) = (format!("{TOPIC}-{format}"), format!("file.{format}"));
        admin.topic(&room, &copy, 2).await;
        let kind = ["--format", format];
        assert!(good(&transfer("export", TOPIC, &file, &kind)).contains("300 records"));
        let keep = [&kind[..], &["--keep-offsets"]].concat();
        good(&transfer("import", &copy, &file, &keep));
        let again = refused(&transfer("import", &copy, &file, &keep));
        assert!(again.contains("holds records"), "{again}");
        std::fs::write(place.path("broken"), "{}\n").expect("written");
        refused(&transfer("import", &copy, "broken", &kind));
    }
    server.stop();
    let mut hashes: Vec<String> = place
        .hashes("data", &[])
        .iter()
        .filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
        .collect();
    assert_eq!(hashes.len(), 6);
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 2, "three topics, two partitions, equal records");
}

fn count(dir: &Path) -> usize {
    std::fs::read_dir(dir).map_or(0, Iterator::count)
}
