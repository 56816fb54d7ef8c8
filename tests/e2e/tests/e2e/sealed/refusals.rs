//! A start that cannot read what is there: refused with the file's name and what to do, and with
//! everything back in place it starts as if nothing had been.

use super::{publish, read};
use crate::stand::server::Home;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn wrong_missing_and_changed_keys_refuse_the_start() {
    let mut home = Home::new(&json!({}));
    let mut server = home.start();
    let (_, key) = server.admin().furnished().await;
    publish(&server, &key, 0..5).await;
    server.stop();
    let keys = home.data().join("keys");
    let (root, ring) = (keys.join("root.key"), keys.join("ring"));
    let (root_bytes, ring_bytes) =
        (std::fs::read(&root).expect("a root key"), std::fs::read(&ring).expect("a ring"));
    let refused = |what: &str, expect: &[&str]| {
        let output = home.refused();
        for text in expect {
            assert!(output.contains(text), "{what}: {output}");
        }
    };

    std::fs::write(&root, [7; 32]).expect("writes");
    refused("another root key", &["was made under another root key", "keys/ring"]);
    std::fs::remove_file(&root).expect("removes");
    refused("no root key", &["root.key is missing", "put the file back"]);
    assert!(!root.exists(), "no other is made");
    std::fs::write(&root, &root_bytes).expect("writes");
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o644)).expect("changes");
    refused("open to others", &["chmod 600"]);
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o600)).expect("changes");

    let mut changed = ring_bytes.clone();
    *changed.last_mut().expect("bytes") ^= 1;
    std::fs::write(&ring, &changed).expect("writes");
    refused("a changed ring", &["keys/ring", "import"]);
    std::fs::write(&ring, &ring_bytes[..ring_bytes.len() / 2]).expect("writes");
    refused("half a ring", &["keys/ring"]);
    std::fs::remove_file(&ring).expect("removes");
    refused("no ring", &["the key ring", "is missing"]);
    assert!(!ring.exists(), "no other is made");
    std::fs::remove_file(&root).expect("removes");
    refused("neither", &["is missing"]);
    assert!(!ring.exists() && !root.exists());
    std::fs::write(&ring, &ring_bytes).expect("writes");
    std::fs::write(&root, &root_bytes).expect("writes");
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o600)).expect("changes");

    home.change(&json!({ "encryption": { "enabled": false } }));
    let output = home.refused();
    assert!(output.contains("`encryption.enabled`"), "{output}");
    home.change(&json!({ "encryption": { "enabled": true } }));
    server = home.start();
    assert_eq!(read(&server, &key).await, (0..5).collect::<Vec<_>>());
}
