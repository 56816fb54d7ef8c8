//! `mainstem bench`, every load once with small numbers: what it says happened did happen.

use crate::stand::admin::Key;
use crate::stand::cli;
use crate::stand::server::{Home, Server};
use crate::stand::shared;
use serde_json::{Value, json};

/// A key that may also make topics.
async fn key(server: &Server) -> Key {
    let admin = server.admin();
    let room = admin.room(&json!({})).await;
    admin.key(&room, &["events:publish", "events:subscribe", "admin:write"]).await
}

/// Runs a load, whose report must be one JSON object.
fn run(server: &Server, key: &Key, arguments: &[&str]) -> Value {
    let pid = server.pid().to_string();
    let more = ["--server-pid", pid.as_str(), "--json"];
    let arguments = [&["bench"], arguments, &more[..]].concat();
    let output = cli::run(&server.url, &key.secret, &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).expect("a report in JSON")
}

fn check_nothing_is_missing(report: &Value, what: &str) {
    for member in ["missing", "lost", "doubled"] {
        assert_eq!(report[member], 0, "{what}: {member} of {report}");
    }
    assert!(report["deliveries"].as_u64() > Some(0), "{what}: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fanout_counts_every_delivery() {
    let shared = shared::server();
    let server = &shared.server;
    let key = key(server).await;
    let even =
        ["fanout", "--subscribers", "20", "--topics", "4", "--rate", "400", "--seconds", "1"];
    let report = run(server, &key, &[&even[..], &["--clients", "2"]].concat());
    check_nothing_is_missing(&report, "at a rate");
    assert!(report["server"]["rss_bytes"].as_u64() > Some(0), "{report}");
    let full =
        ["fanout", "--subscribers", "5", "--rate", "0", "--seconds", "1", "--follow", "ws-bin"];
    let report = run(server, &key, &[&full[..], &["--durability", "ephemeral"]].concat());
    check_nothing_is_missing(&report, "at full rate");
}

#[tokio::test(flavor = "multi_thread")]
async fn pairs_deliver_over_every_protocol() {
    let shared = shared::server();
    let server = &shared.server;
    let key = key(server).await;
    let report = run(server, &key, &["pairs", "--rate", "50", "--seconds", "0.4"]);
    let pairs = report["pairs"].as_array().expect("a list");
    assert_eq!(pairs.len(), 12);
    for pair in pairs {
        let good =
            pair["missing"] == 0 && pair["doubled"] == 0 && pair["p50_ms"].as_f64() > Some(0.0);
        assert!(good && pair["deliveries"].as_u64() > Some(0), "{pair}");
    }
    let latency = ["latency", "--publish", "rest", "--follow", "sse", "--rate", "50"];
    let report = run(server, &key, &[&latency[..], &["--seconds", "0.5"]].concat());
    check_nothing_is_missing(&report, "latency");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_opened_held_and_spoken_to() {
    let shared = shared::server();
    let server = &shared.server;
    let key = key(server).await;
    let connect = ["connect", "--connections", "40", "--hold", "1", "--per-minute", "120"];
    let report = run(server, &key, &connect);
    assert_eq!((&report["connections"], &report["refused"]), (&json!(40), &json!(0)));
    check_nothing_is_missing(
        &json!({ "missing": report["held"]["missing"], "lost": 0,
        "doubled": report["held"]["doubled"], "deliveries": report["held"]["deliveries"] }),
        "held",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_storm_nothing_is_lost_or_doubled() {
    let shared = shared::server();
    let server = &shared.server;
    let key = key(server).await;
    for follow in ["ws-json", "ws-bin", "sse"] {
        let storm = ["storm", "--subscribers", "30", "--missed", "25", "--rate", "20"];
        let report =
            run(server, &key, &[&storm[..], &["--seconds", "0.5", "--follow", follow]].concat());
        check_nothing_is_missing(&report, follow);
        assert_eq!(report["back"], 30, "{report}");
        assert_eq!(report["missed_records"], 25, "{report}");
        assert!(report["caught_up_seconds"].is_number(), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_catch_up() {
    let shared = shared::server();
    let server = &shared.server;
    let key = key(server).await;
    let slow = ["slow-readers", "--subscribers", "10", "--percent", "20", "--seconds", "1"];
    let report = run(server, &key, &[&slow[..], &["--rate", "50", "--size", "20000"]].concat());
    assert_eq!(report["slow"], 2, "{report}");
    check_nothing_is_missing(
        &json!({ "missing": report["slow_missing"], "lost": report["slow_lost"],
        "doubled": report["slow_doubled"], "deliveries": report["slow_deliveries"] }),
        "slow",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loud_tenant_is_held_to_its_quota() {
    let home = Home::new(&json!({}));
    let server = home.start();
    let report_of = |arguments: &[&str]| {
        let mut command = cli::command(&server.url, "", arguments);
        command.env("MAINSTEM_ADMIN_URL", &server.admin_url);
        command.env("MAINSTEM_ADMIN_TOKEN", &home.admin_token);
        let output = command.output().expect("a command runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        serde_json::from_slice::<Value>(&output.stdout).expect("a report in JSON")
    };
    let tenants = ["bench", "tenants", "--tenants", "4", "--quota", "20", "--rate", "30"];
    let report = report_of(&[&tenants[..], &["--loud", "20", "--seconds", "1", "--json"]].concat());
    assert_eq!((&report["missing"], &report["others_refused"]), (&json!(0), &json!(0)), "{report}");
    let loud = &report["loud"];
    assert!(loud["refused"].as_u64() > loud["accepted"].as_u64(), "{report}");
    let listed = server.admin().done(reqwest::Method::GET, "/v1/tenants", &Value::Null).await;
    let listed = listed["tenants"].as_array().cloned().unwrap_or_default();
    let is_bench =
        |one: &&Value| one["name"].as_str().is_some_and(|name| name.starts_with("bench-"));
    let bench: Vec<&Value> = listed.iter().filter(is_bench).collect();
    assert_eq!(bench.len(), 4, "{listed:?}");
    assert!(bench.iter().all(|one| one["status"] == "suspended"), "afterwards: {bench:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_written_and_compared() {
    let shared = shared::server();
    let server = &shared.server;
    let key = key(server).await;
    let folder = tempfile::TempDir::with_prefix("mainstem-e2e-").expect("a temporary directory");
    let file = folder.path().join("report.json");
    let file = file.to_str().expect("a path of text");
    let publish = ["bench", "publish", "--connections", "2", "--seconds", "0.3", "--json", file];
    let output = cli::run(&server.url, &key.secret, &publish);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value =
        serde_json::from_slice(&std::fs::read(file).expect("the report")).expect("JSON");
    assert!(report["records"].as_u64() > Some(0) && report["refused"] == 0, "{report}");
    let compared = cli::run(&server.url, &key.secret, &["bench", "compare", file, file]);
    let table = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert!(table.contains("records_per_second") && table.contains("1.00"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_speaks_tls() {
    let folder = tempfile::TempDir::with_prefix("mainstem-e2e-").expect("a temporary directory");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, secret) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("a file");
    std::fs::write(&secret, made.signing_key.serialize_pem()).expect("a file");
    let files = json!({ "files": { "certificate": certificate, "key": secret } });
    let home = Home::new(&json!({ "edge": { "tls": files } }));
    let server = home.start();
    let trusting = reqwest::Client::builder().danger_accept_invalid_certs(true).build();
    let admin_url = server.admin_url.replacen("http", "https", 1);
    let admin = server.admin_over(&admin_url, trusting.expect("a client"));
    let room = admin.room(&json!({})).await;
    let key = admin.key(&room, &["events:publish", "events:subscribe", "admin:write"]).await;
    let port = server.authority().rsplit(':').next().expect("a port");
    let url = format!("https://localhost:{port}");
    let fanout = ["bench", "fanout", "--subscribers", "5", "--rate", "100", "--seconds", "0.5"];
    let mut command = cli::command(&url, &key.secret, &[&fanout[..], &["--json"]].concat());
    let output = command.env("SSL_CERT_FILE", &certificate).output().expect("a command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = serde_json::from_slice(&output.stdout).expect("a report in JSON");
    check_nothing_is_missing(&report, "over TLS");
    let stranger = cli::run(&url, &key.secret, &[&fanout[..], &["--json"]].concat());
    assert_eq!(stranger.status.code(), Some(1), "a certificate nobody trusts is refused");
}
