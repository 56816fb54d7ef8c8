//! What is metered equals what the log holds after any number of SIGKILLs: several tenants publish
//! at once over every way in, and after each restart the totals are the records of the log, which
//! are those that were acknowledged and those of calls that the kill cut; never another.

use super::ledger::{Ledger, Promise};
use super::load::{DURABLE, Publisher, RELAXED, Target, Transport};
use super::{PARTITIONS, SEED, make_relaxed, number, seed, wait_and_kill};
use crate::stand::admin::{Admin, EVENT_SCOPES, Room};
use crate::stand::binary::mainstem;
use crate::stand::server::{Home, Server};
use reqwest::Method;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use stdx::Rng;
use testkit::rng::SeededRng;

const ROUNDS: &str = "MAINSTEM_METERED_ROUNDS";
/// `cargo xtask nightly` runs 50.
const ROUNDS_DEFAULT: u64 = 3;
const TENANTS: u64 = 2;
/// How long a round's load may go on until the kill.
const LOAD_MS: std::ops::Range<u64> = 40..400;

/// One tenant: who publishes into its project, and what was found there.
struct Payer {
    room: Room,
    secret: String,
    publishers: Vec<Publisher>,
    ledgers: [Ledger; 2],
    /// Acknowledged with a place.
    acked: u64,
}

impl Payer {
    async fn new(admin: &Admin, index: u64) -> Payer {
        let room = admin.room(&json!({})).await;
        let secret = admin.key(&room, EVENT_SCOPES).await.secret;
        admin.topic(&room, DURABLE, PARTITIONS).await;
        make_relaxed(admin, &room).await;
        let ways = [
            (DURABLE, Transport::WebSocket { in_flight_max: 4 }),
            (DURABLE, Transport::Binary),
            (DURABLE, Transport::Http),
            (DURABLE, Transport::Raw),
            (RELAXED, Transport::WebSocket { in_flight_max: 2 }),
            (RELAXED, Transport::Binary),
        ];
        let publisher = |(id, (topic, way))| Publisher::new(index * 100 + id, topic, way);
        let publishers = (0..).zip(ways).map(publisher).collect();
        let stored = Ledger::new(DURABLE, Promise::Stored);
        let ledgers = [stored, Ledger::new(RELAXED, Promise::Accepted)];
        Payer { room, secret, publishers, ledgers, acked: 0 }
    }

    async fn publish(&mut self, url: &str) {
        let target = Target { url: url.to_owned(), secret: self.secret.clone() };
        let all = self.publishers.iter_mut().map(|publisher| publisher.run(&target));
        futures_util::future::join_all(all).await;
    }

    /// Reads on, and checks that everything acknowledged is there.
    async fn look(&mut self, server: &Server) {
        for ledger in &mut self.ledgers {
            ledger.read_on(&server.url, &self.secret).await;
            let of_topic = self.publishers.iter_mut().filter(|it| it.topic == ledger.topic());
            let acked: Vec<_> = of_topic.flat_map(|it| it.acked.drain(..)).collect();
            self.acked += acked.len() as u64;
            ledger.check_acked(&acked).unwrap_or_else(|wrong| panic!("{wrong}"));
        }
    }

    fn in_log(&self) -> u64 {
        self.ledgers.iter().map(Ledger::count).sum()
    }

    /// No fewer than were acknowledged and kept, no more than were sent.
    fn check_bounds(&self) {
        let sent: u64 = self.publishers.iter().map(Publisher::sent_count).sum();
        assert!(self.in_log() <= sent, "{} of {sent} that were sent", self.in_log());
        // What was acknowledged without a place: all of the durable topic is stored.
        let durable = self.publishers.iter().filter(|it| it.topic == DURABLE);
        let counted: u64 = durable.map(|it| it.counted).sum();
        let [stored, _] = &self.ledgers;
        assert!(stored.count() >= stored.acked_count + counted, "acknowledged ones are missing");
    }
}

/// The log, counted again by the server, tells what was metered: records and bytes.
async fn check_totals(admin: &Admin, payer: &Payer, round: u64) {
    let events = admin.used(&payer.room, "events_published").await;
    let path = format!("/v1/tenants/{}/usage/recompute", payer.room.tenant);
    let again = admin.done(Method::POST, &path, &json!({ "mode": "verify" })).await;
    let counts = payer.ledgers.each_ref().map(Ledger::count);
    assert_eq!(events, payer.in_log(), "round {round}: {counts:?} read; counted again: {again}");
    let zero = json!(0);
    let unlike = (&again["differing"], &again["unverifiable_records"]);
    assert_eq!(unlike, (&zero, &zero), "round {round}: {again}");
    assert_eq!(again["log_records"], events, "round {round}: {again}");
    let bytes = admin.used(&payer.room, "bytes_published").await;
    assert_eq!(again["log_bytes"], bytes, "round {round}: {again}");
}

/// As an operator asks: the command fails when anything differs.
fn verify_by_command(server: &Server, home: &Home, tenant: &str) {
    let mut command = Command::new(mainstem());
    command.args(["usage", "recompute", tenant, "--verify"]);
    command.env("MAINSTEM_ADMIN_URL", &server.admin_url);
    command.env("MAINSTEM_ADMIN_TOKEN", &home.admin_token);
    let output = command.output().expect("a command runs");
    assert!(output.status.success(), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found["differing"], 0, "{found}");
}

#[tokio::test]
async fn metered_totals_equal_the_log_after_kill_9() {
    let seed = seed();
    let rounds = number(ROUNDS).unwrap_or(ROUNDS_DEFAULT);
    println!("{SEED}={seed} {ROUNDS}={rounds}");
    let rng = SeededRng::new(seed);
    let home = Home::new(&json!({ "log": { "extent_mib": 1 } }));
    let mut server = home.start();
    let mut payers = Vec::new();
    for index in 0..TENANTS {
        payers.push(Payer::new(&server.admin(), index).await);
    }
    for round in 1..=rounds {
        let span = LOAD_MS.end - LOAD_MS.start;
        let wait = Duration::from_millis(LOAD_MS.start + rng.next_u64() % span);
        let url = server.url.clone();
        let loading = async {
            let all = payers.iter_mut().map(|payer| payer.publish(&url));
            futures_util::future::join_all(all).await
        };
        tokio::join!(loading, wait_and_kill(&mut server, wait));
        server = home.start();
        for payer in &mut payers {
            payer.look(&server).await;
            payer.check_bounds();
            check_totals(&server.admin(), payer, round).await;
        }
    }
    for payer in &payers {
        verify_by_command(&server, &home, &payer.room.tenant);
    }
    let (acked, known) = (
        payers.iter().map(|payer| payer.acked).sum::<u64>(),
        payers.iter().map(Payer::in_log).sum::<u64>(),
    );
    let unplaced = payers.iter().flat_map(|payer| &payer.publishers).map(|it| it.counted);
    let unplaced: u64 = unplaced.sum();
    assert!(acked > rounds && unplaced > 0, "the load was none: {acked}, {unplaced}");
    server.stop();
    println!(
        "{rounds} rounds: {} acknowledged, {known} in the log of {TENANTS} tenants and metered",
        acked + unplaced,
    );
}
