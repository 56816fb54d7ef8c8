//! SIGKILL at random moments under load: every acknowledged record is there after the restart, in
//! its place, in order, once. What was not acknowledged may be there or not, but never twice and
//! never out of order; of a relaxed topic the newest may be gone, and never is another in their
//! place. Each round leaves a line in `target/kill9.log`; the seed repeats a run's
//! choices.

mod ledger;
mod load;
mod metered;

use crate::stand::admin::{Admin, EVENT_SCOPES, Room};
use crate::stand::binary::target_folder;
use crate::stand::server::{Home, Server};
use ledger::{Ledger, Promise};
use load::{DURABLE, Publisher, RELAXED, Target, Transport};
use reqwest::Method;
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use stdx::Rng;
use testkit::rng::SeededRng;

const ROUNDS: &str = "MAINSTEM_KILL9_ROUNDS";
const SEED: &str = "MAINSTEM_KILL9_SEED";
/// `cargo xtask kill9` runs 200.
const ROUNDS_DEFAULT: u64 = 25;
const PARTITIONS: u32 = 4;
/// How long a round's load may go on until the kill.
const LOAD_MS: std::ops::Range<u64> = 20..280;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

fn publishers() -> Vec<Publisher> {
    let transports = [
        Transport::WebSocket { in_flight_max: 8 },
        Transport::WebSocket { in_flight_max: 2 },
        Transport::WebSocket { in_flight_max: 1 },
        Transport::Http,
        Transport::Http,
    ];
    let durable = (0..).zip(transports).map(|(id, it)| Publisher::new(id, DURABLE, it));
    let relaxed = [Transport::WebSocket { in_flight_max: 4 }, Transport::Http];
    let relaxed = (5..).zip(relaxed).map(|(id, it)| Publisher::new(id, RELAXED, it));
    durable.chain(relaxed).collect()
}

/// Of the environment, else of the moment.
fn seed() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    number(SEED).unwrap_or(since_1970.as_millis() as u64)
}

async fn wait_and_kill(server: &mut Server, wait: Duration) {
    tokio::time::sleep(wait).await;
    server.kill();
}

/// Loads, kills at a random moment, and answers how long the load went on.
async fn round(
    server: &mut Server,
    target: &Target,
    publishers: &mut [Publisher],
    rng: &SeededRng,
) -> Duration {
    let span = LOAD_MS.end - LOAD_MS.start;
    let wait = Duration::from_millis(LOAD_MS.start + rng.next_u64() % span);
    let loading = async {
        let all = publishers.iter_mut().map(|publisher| publisher.run(target));
        futures_util::future::join_all(all).await
    };
    tokio::join!(loading, wait_and_kill(server, wait));
    wait
}

async fn make_relaxed(admin: &Admin, room: &Room) {
    let relaxed = json!({ "partitions": PARTITIONS, "durability": "relaxed" });
    let path = room.path(&format!("topics/{RELAXED}"));
    admin.done(Method::PUT, &path, &relaxed).await;
}

/// What is metered is what is in the log, range by range too.
async fn check_metered(server: &Server, room: &Room, in_log: u64) {
    let path = format!("/v1/tenants/{}/usage/recompute", room.tenant);
    let again = server.admin().done(Method::POST, &path, &json!({ "mode": "verify" })).await;
    assert_eq!((&again["differing"], &again["log_records"]), (&json!(0), &json!(in_log)));
}

#[tokio::test]
async fn acknowledged_records_survive_kill_9() {
    let seed = seed();
    let rounds = number(ROUNDS).unwrap_or(ROUNDS_DEFAULT);
    let path = target_folder().join("kill9.log");
    let mut log = File::create(&path).expect("a log file");
    let mut note = |line: String| writeln!(log, "{line}").expect("the log is written");
    println!("{SEED}={seed} {ROUNDS}={rounds}, log in {}", path.display());
    note(format!("seed {seed}, {rounds} rounds"));
    let rng = SeededRng::new(seed);
    // Small extents: kills also come while one is sealed and the next one begun.
    let home = Home::new(&json!({ "log": { "extent_mib": 1 } }));
    let mut server = home.start();
    let admin = server.admin();
    let room = admin.room(&json!({})).await;
    let secret = admin.key(&room, EVENT_SCOPES).await.secret;
    admin.topic(&room, DURABLE, PARTITIONS).await;
    make_relaxed(&admin, &room).await;
    let mut publishers = publishers();
    let mut durable = Ledger::new(DURABLE, Promise::Stored);
    let mut relaxed = Ledger::new(RELAXED, Promise::Accepted);
    let mut restarts = Vec::new();
    for number in 1..=rounds {
        let target = Target { url: server.url.clone(), secret: secret.clone() };
        let loaded = round(&mut server, &target, &mut publishers, &rng).await;
        let restart = Instant::now();
        server = home.start();
        let restart = restart.elapsed();
        restarts.push(restart);
        let mut told = Vec::new();
        for ledger in [&mut durable, &mut relaxed] {
            let of_topic = publishers.iter_mut().filter(|it| it.topic == ledger.topic());
            let acked: Vec<_> = of_topic.flat_map(|it| it.acked.drain(..)).collect();
            let found = ledger.read_on(&server.url, &secret).await;
            ledger.check_acked(&acked).unwrap_or_else(|wrong| {
                panic!("round {number} of seed {seed}: {wrong}");
            });
            told.push(format!("{}: acked {}, found {found}", ledger.topic(), acked.len()));
        }
        let metered = server.admin().used(&room, "events_published").await;
        assert_eq!(metered, durable.count() + relaxed.count(), "round {number} of seed {seed}");
        note(format!(
            "round {number}: killed after {} ms, restarted in {} ms; {}",
            loaded.as_millis(),
            restart.as_millis(),
            told.join("; "),
        ));
    }
    check_metered(&server, &room, durable.count() + relaxed.count()).await;
    // All of it once more from the beginning, after all those recoveries.
    for ledger in [&durable, &relaxed] {
        let mut whole = ledger.anew();
        whole.read_on(&server.url, &secret).await;
        assert!(whole.has_same_records_as(ledger), "history changed (seed {seed})");
    }
    assert!(durable.acked_count > rounds, "the load was none: {}", durable.acked_count);
    server.stop();
    restarts.sort_unstable();
    let slowest = restarts.last().map_or(0, Duration::as_millis);
    let median = restarts.get(restarts.len() / 2).map_or(0, Duration::as_millis);
    let line = format!(
        "{rounds} rounds: {} acknowledged and found, {} relaxed of which {} were lost with the \
         process; restarts {median} ms in the median, {slowest} ms at most",
        durable.acked_count, relaxed.acked_count, relaxed.lost_count,
    );
    println!("{line}");
    note(line);
}
