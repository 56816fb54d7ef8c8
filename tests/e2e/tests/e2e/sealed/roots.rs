//! Other root keys, and the commands for a stopped server.

use super::{answer_of, ask, asked, offline, publish, read};
use crate::stand::server::Home;
use serde_json::json;

const PASSPHRASE: (&str, &str) = ("E2E_PASSPHRASE", "correct horse battery staple");
const HEX: (&str, &str) =
    ("MAINSTEM_ROOT_KEY", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");

#[tokio::test]
async fn from_a_file_to_a_passphrase_to_the_environment() {
    let mut home = Home::new(&json!({}));
    let mut server = home.start();
    let (_, key) = server.admin().furnished().await;
    publish(&server, &key, 0..5).await;
    let refused = |output: std::process::Output, expect: &str| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(expect), "{text}");
    };
    let passphrase = json!({ "source": "passphrase", "passphrase_env": PASSPHRASE.0 });
    server.stop();
    home.change(&json!({ "encryption": { "next": passphrase } }));
    server = home.start_with(&[PASSPHRASE]);
    let done = asked(&home, &server, &["rotate-root", "--reason", "no file any more"]);
    assert_eq!(done["source"], "passphrase", "{done}");
    refused(ask(&home, &server, &["rotate-root"]), "encryption.next");
    let status = asked(&home, &server, &["status"]);
    assert_eq!(status["root"]["is_next"], true, "{status}");
    publish(&server, &key, 5..10).await;
    server.stop();
    std::fs::remove_file(home.data().join("keys/root.key")).expect("is not needed any more");

    home.change(&json!({ "encryption": {
        "root": passphrase, "next": { "source": "environment" },
    } }));
    let output = home.refused();
    assert!(output.contains("E2E_PASSPHRASE is not set"), "{output}");
    server = home.start_with(&[PASSPHRASE, HEX]);
    assert_eq!(read(&server, &key).await.len(), 10);
    asked(&home, &server, &["rotate-root"]);
    server.stop();
    home.change(&json!({ "encryption": { "root": { "source": "environment" }, "next": null } }));
    server = home.start_with(&[HEX]);
    assert_eq!(read(&server, &key).await, (0..10).collect::<Vec<_>>());
    refused(ask(&home, &server, &["rotate-root"]), "encryption.next");
    assert!(!server.output().contains(PASSPHRASE.1) && !server.output().contains(HEX.1));
}

#[tokio::test]
async fn a_stopped_servers_keys_are_shown_rotated_exported_and_restored() {
    let home = Home::new(&json!({}));
    let mut server = home.start();
    let (room, key) = server.admin().furnished().await;
    publish(&server, &key, 0..5).await;
    let export = home.data().join("running.export");
    let export = export.to_string_lossy();
    let text = |output: std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(ask(&home, &server, &["export", &export]).status.success());
    assert!(text(ask(&home, &server, &["export", &export])).contains("exists"));
    let busy = text(offline(&home, &["status"]));
    assert!(busy.contains("in use by another process"), "{busy}");
    server.stop();

    let status = answer_of(&offline(&home, &["status"]));
    let tenants = status["tenants"].as_array().expect("tenants");
    assert!(tenants.iter().any(|tenant| tenant["id"] == room.tenant.as_str()), "{status}");
    let rotated = answer_of(&offline(&home, &["rotate-root"]));
    assert_ne!(rotated["from_id"], rotated["to_id"]);
    let refused = text(offline(&home, &["rotate-tenant", &room.tenant]));
    assert!(refused.contains("ask the running server"), "{refused}");
    let refused = text(offline(&home, &["import", &export]));
    assert!(refused.contains("under another root key"), "{refused}");
    let later = home.data().join("stopped.export");
    let later = later.to_string_lossy();
    answer_of(&offline(&home, &["export", &later]));

    std::fs::remove_file(home.data().join("keys/ring")).expect("the ring is lost");
    let output = home.refused();
    assert!(output.contains("ring is missing") || output.contains("keys/ring"), "{output}");
    let imported = answer_of(&offline(&home, &["import", &later]));
    assert_eq!(imported["tenants_added"], tenants.len(), "{imported}");
    server = home.start();
    assert_eq!(read(&server, &key).await, (0..5).collect::<Vec<_>>());
    publish(&server, &key, 5..6).await;
}
