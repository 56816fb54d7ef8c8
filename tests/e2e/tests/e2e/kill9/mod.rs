//! SIGKILL at random moments under load: every acknowledged record is there after the restart, in
//! its place, in order, once. What was not acknowledged may be there or not, but never twice and
//! never out of order. Each round leaves a line in `target/kill9.log`; the seed repeats a run's
//! choices.

mod ledger;
mod load;

use crate::stand::admin::EVENT_SCOPES;
use crate::stand::binary::target_folder;
use crate::stand::server::{Home, Server};
use ledger::Ledger;
use load::{Publisher, Target, Transport};
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use stdx::Rng;
use testkit::rng::SeededRng;

const ROUNDS: &str = "MAINSTEM_KILL9_ROUNDS";
const SEED: &str = "MAINSTEM_KILL9_SEED";
const ROUNDS_DEFAULT: u64 = 100;
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
    (0..).zip(transports).map(|(id, transport)| Publisher::new(id, transport)).collect()
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
    let killing = async {
        tokio::time::sleep(wait).await;
        server.kill();
    };
    tokio::join!(loading, killing);
    wait
}

#[tokio::test]
async fn acknowledged_records_survive_kill_9() {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    let seed = number(SEED).unwrap_or(since_1970.as_millis() as u64);
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
    admin.topic(&room, load::TOPIC, PARTITIONS).await;
    let mut publishers = publishers();
    let mut ledger = Ledger::default();
    for number in 1..=rounds {
        let target = Target { url: server.url.clone(), secret: secret.clone() };
        let loaded = round(&mut server, &target, &mut publishers, &rng).await;
        let acked: Vec<_> =
            publishers.iter_mut().flat_map(|publisher| publisher.acked.drain(..)).collect();
        let restart = Instant::now();
        server = home.start();
        let restart = restart.elapsed();
        let found = ledger.read_on(&server.url, &secret).await;
        ledger.check_acked(&acked).unwrap_or_else(|wrong| {
            panic!("round {number} of seed {seed}: {wrong}");
        });
        note(format!(
            "round {number}: killed after {} ms, restarted in {} ms, acked {}, found {found}",
            loaded.as_millis(),
            restart.as_millis(),
            acked.len(),
        ));
    }
    // All of it once more from the beginning, after all those recoveries.
    let mut whole = Ledger::default();
    let found = whole.read_on(&server.url, &secret).await;
    assert!(whole.has_same_records_as(&ledger), "history changed (seed {seed})");
    note(format!("in the end: acked {}, found {found}", ledger.acked_count));
    assert!(ledger.acked_count > rounds, "the load was none: {}", ledger.acked_count);
    server.stop();
}
