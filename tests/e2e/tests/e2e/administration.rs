//! What an operator does to a running server and asks of it: its configuration by the commands,
//! over restarts; its log; and the bundle for whoever helps, in which no secret may be.

use crate::stand::admin::EVENT_SCOPES;
use crate::stand::binary::mainstem;
use crate::stand::server::{Home, Server};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output};

fn run(server: &Server, home: &Home, arguments: &[&str]) -> Output {
    let mut command = Command::new(mainstem());
    command.args(arguments).env_remove("RUST_LOG");
    command.env("MAINSTEM_ADMIN_URL", &server.admin_url);
    command.env("MAINSTEM_ADMIN_TOKEN", &home.admin_token);
    command.output().expect("a command runs")
}

/// What a command that must succeed prints.
#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file beside the data.
fn file(home: &Home, name: &str, text: &str) -> String {
    let path: PathBuf = home.data().with_file_name(name);
    std::fs::write(&path, text).expect("a file is written");
    path.to_str().expect("a path of text").to_owned()
}

#[tokio::test]
async fn a_configuration_is_edited_applied_and_taken_back() {
    let home = Home::new(&json!({ "telemetry": { "log": "info" } }));
    let mut server = home.start();
    let text = done(&run(&server, &home, &["config", "show", "--text"]));
    assert!(text.contains("log: info") && text.contains("token: \"***\""), "{text}");
    let shown: Value =
        serde_json::from_str(&done(&run(&server, &home, &["config", "show"]))).expect("JSON");
    let origin = |key: &str| {
        let all = shown["origins"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|it| it["key"] == key).map(|it| it["source"].clone())
    };
    assert_eq!(origin("telemetry.log"), Some(json!("file")));
    assert_eq!(origin("admin.token"), Some(json!("environment")));
    assert_eq!(origin("telemetry.trace_percent"), None);

    // Wrong in one place, told with its line.
    let bad = file(&home, "bad.yaml", &text.replace("log: info", "lgo: info"));
    let why = refused(&run(&server, &home, &["config", "validate", &bad]));
    assert!(why.contains("line ") && why.contains("`telemetry.lgo`"), "{why}");

    // What changes at once, and what waits.
    let wanted = text.replace("log: info", "log: debug").replace("tail_mib: 0", "tail_mib: 48");
    let wanted = file(&home, "wanted.yaml", &wanted);
    let told = done(&run(&server, &home, &["config", "diff", &wanted]));
    assert!(told.contains("telemetry.log: \"info\" -> \"debug\"\n"), "{told}");
    assert!(told.contains("log.tail_mib: 0 -> 48   (with the next start)"), "{told}");
    let apply = ["config", "apply", &wanted, "--note", "slow readers"];
    let why = refused(&run(&server, &home, &apply));
    assert!(why.contains("log.tail_mib") && why.contains("restart"), "{why}");
    done(&run(&server, &home, &[&apply[..], &["--when", "restart"]].concat()));
    let admin = server.admin();
    let now = admin.done(Method::GET, "/v1/config", &Value::Null).await;
    assert_eq!(now["config"]["telemetry"]["log"], "debug");
    assert_eq!((&now["config"]["log"]["tail_mib"], &now["revision"]), (&json!(0), &json!(1)));
    assert_eq!(now["pending"][0]["key"], "log.tail_mib");

    server.stop();
    server = home.start();
    let now = server.admin().done(Method::GET, "/v1/config", &Value::Null).await;
    assert_eq!(now["config"]["log"]["tail_mib"], 48);
    assert_eq!(
        (&now["pending"], &now["config"]["telemetry"]["log"]),
        (&json!([]), &json!("debug"))
    );

    // Back to a revision, and what the revisions say.
    let calm = file(
        &home,
        "calm.yaml",
        &done(&run(&server, &home, &["config", "show", "--text"]))
            .replace("log: debug", "log: warn"),
    );
    done(&run(&server, &home, &["config", "apply", &calm, "--note", "calm"]));
    let told = done(&run(&server, &home, &["config", "diff", "--revision", "1"]));
    assert!(told.contains("telemetry.log: \"warn\" -> \"debug\""), "{told}");
    done(&run(&server, &home, &["config", "rollback", "1", "--note", "not so calm"]));
    let history = done(&run(&server, &home, &["config", "history"]));
    let notes: Vec<&str> = history.lines().filter_map(|line| line.rsplit('\t').next()).collect();
    assert_eq!(notes, ["not so calm", "calm", "slow readers"]);
    let now = server.admin().done(Method::GET, "/v1/config", &Value::Null).await;
    assert_eq!(now["config"]["telemetry"]["log"], "debug");
    server.stop();
}

#[tokio::test]
async fn what_the_environment_says_and_secrets_are_not_set_here() {
    let home = Home::new(&json!({}));
    let server = home.start_with(&[("MAINSTEM__LOG__TAIL_MIB", "40")]);
    let admin = server.admin();
    let now = admin.done(Method::GET, "/v1/config", &Value::Null).await;
    let cases = [
        ("/log/tail_mib", json!(50), "log.tail_mib"),
        ("/admin/token", json!("another-token-of-the-operator"), "admin.token"),
        ("/data_dir", json!("/elsewhere"), "data_dir"),
        ("/log/extent_mib", json!(0), "log.extent_mib"),
    ];
    for (pointer, value, field) in cases {
        let mut wanted = now["config"].clone();
        *wanted.pointer_mut(pointer).expect("a key") = value;
        let body = json!({ "config": wanted, "when": "restart", "note": "try" });
        let (status, answer) = admin.call(Method::PUT, "/v1/config", &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert_eq!(answer["error"]["details"]["field"], field, "{answer}");
    }
    let after = admin.done(Method::GET, "/v1/config", &Value::Null).await;
    assert_eq!((&after["config"], &after["revision"]), (&now["config"], &Value::Null));
}

#[tokio::test]
async fn the_log_is_seen_and_its_level_changed_while_it_runs() {
    let home = Home::new(&json!({}));
    let server = home.start();
    let ready = done(&run(&server, &home, &["logs", "--text", "ready", "--level", "info"]));
    assert!(ready.contains("ready") && ready.contains("address="), "{ready}");
    done(&run(&server, &home, &["logs", "--set", "info,control=debug", "--note", "look closer"]));
    let changed = done(&run(&server, &home, &["logs", "--text", "configuration changed"]));
    assert!(changed.contains("log=\"info,control=debug\""), "{changed}");
    let why = refused(&run(&server, &home, &["logs", "--set", "=", "--note", "wrong"]));
    assert!(why.contains("telemetry.log") || why.contains("INVALID"), "{why}");
}

#[tokio::test]
async fn a_bundle_of_diagnostics_holds_no_secret() {
    let canaries = ["canary-webhook-secret-0123456789", "rk_test_canary0123456789abcdef"];
    let home = Home::new(&json!({ "billing": {
        "secret_key": canaries[1], "webhook_secret": canaries[0], "api_url": "http://127.0.0.1:9",
    }, "telemetry": { "log": "info,control=trace,identity=trace,hub=debug" } }));
    let server = home.start();
    let admin = server.admin();
    let room = admin.room(&json!({})).await;
    let key = admin.key(&room, EVENT_SCOPES).await;
    // Secrets in every place where a request has one, good and wrong.
    let guess = "ms_live_canaryguess0000000000000000000000000000000";
    for secret in [key.secret.as_str(), guess] {
        let request = Client::new().get(format!("{}/v1/topics", server.url)).bearer_auth(secret);
        request.send().await.expect("an answer");
        let url = format!("{}/v1/topics?access_token={secret}", server.url);
        Client::new().get(url).send().await.expect("an answer");
    }
    let bundle = home.data().with_file_name("bundle.json");
    let out = bundle.to_str().expect("a path of text");
    done(&run(&server, &home, &["diagnostics", "--out", out]));
    let text = std::fs::read_to_string(&bundle).expect("the bundle is there");
    let secrets = [&home.admin_token, &key.secret].map(String::as_str);
    for secret in secrets.into_iter().chain(canaries).chain([guess]) {
        assert!(!text.contains(secret), "{secret} is in the bundle");
    }
    let found: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(found["state"]["status"], "ready");
    assert_eq!(found["config"]["admin"]["token"], "***");
    let filled = ["metrics", "logs", "origins"].map(|name| found[name].as_array().map(Vec::len));
    assert!(filled.iter().all(|count| count.is_some_and(|count| count > 2)), "{filled:?}");
}
