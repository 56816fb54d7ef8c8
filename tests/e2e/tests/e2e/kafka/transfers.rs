//! A bank whose transfers are transactions, while the server and its clients are killed: what is
//! read is whole transfers, every one that was acknowledged and none that was given up.

use super::Stand;
use super::client::Kafka;
use super::transactions::{Bound, Speech, values};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::task::JoinSet;

const PARTITIONS: i32 = 3;
const TELLERS: usize = 4;
const KILLS: usize = 5;
/// Transfers that are read before each kill.
const PER_KILL: usize = 25;

/// Transfers by how far their teller knows.
#[derive(Default)]
struct Ledger {
    /// The end was asked for.
    asked: BTreeSet<String>,
    committed: BTreeSet<String>,
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().expect("no teller fails")
}

/// Moves money until it is killed. Every third transfer is given up.
async fn teller(client: Kafka, number: usize, round: usize, ledger: Arc<Mutex<Ledger>>) {
    let speech = if number.is_multiple_of(2) { Speech::Old } else { Speech::New };
    let mut bound = Bound::init(client, &format!("teller-{number}"), speech).await;
    for count in 0.. {
        let name = format!("{number}-{round}-{count}");
        let from = (number as i32 + count) % PARTITIONS;
        let to = (from + 1) % PARTITIONS;
        let (minus, plus) = (format!("{name}:-{count}"), format!("{name}:+{count}"));
        assert_eq!(bound.send("t", from, ("k", &minus)).await, 0, "{name}");
        assert_eq!(bound.send("t", to, ("k", &plus)).await, 0, "{name}");
        let is_commit = count % 3 != 2;
        if is_commit {
            lock(&ledger).asked.insert(name.clone());
        }
        assert_eq!(bound.end(is_commit).await, 0, "{name}");
        if is_commit {
            lock(&ledger).committed.insert(name);
        }
    }
}

/// Transfers as read: for each its amounts.
async fn transfers(client: &mut Kafka) -> BTreeMap<String, Vec<i64>> {
    let mut found: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for partition in 0..PARTITIONS {
        for value in values(client, "t", partition).await {
            let (name, amount) = value.split_once(':').expect("a transfer");
            found.entry(name.to_owned()).or_default().push(amount.parse().expect("an amount"));
        }
    }
    found
}

#[tokio::test]
async fn transfers_are_whole_whoever_is_killed() {
    let mut stand = Stand::new().await;
    stand.topic("t", PARTITIONS as u32).await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut read = 0;
    for round in 0..KILLS {
        let mut tellers = JoinSet::new();
        let mut handles = Vec::new();
        for number in 0..TELLERS {
            let client = stand.client().await;
            handles.push(tellers.spawn(teller(client, number, round, Arc::clone(&ledger))));
        }
        let mut reader = stand.client().await;
        let before = read;
        for half in 1..=2 {
            while read < before + PER_KILL * half {
                read = transfers(&mut reader).await.len();
            }
            if half == 1 {
                // Another one takes its place in the middle of whatever it does.
                let number = round % TELLERS;
                handles[number].abort();
                let client = stand.client().await;
                tellers.spawn(teller(client, number, round + KILLS, Arc::clone(&ledger)));
            }
        }
        // Nothing of this test runs between the two, so no teller sees the server go.
        stand.server.kill();
        tellers.abort_all();
        stand.server = stand.home.start();
        let found = transfers(&mut stand.client().await).await;
        read = found.len();
        let ledger = lock(&ledger);
        for name in &ledger.committed {
            assert!(found.contains_key(name), "{name} was acknowledged");
        }
        for (name, amounts) in &found {
            assert!(ledger.asked.contains(name), "{name} was never to be committed");
            assert_eq!((amounts.len(), amounts.iter().sum::<i64>()), (2, 0), "{name} is torn");
        }
    }
}
