//! The reference pages name everything there is.

use crate::config::reference;
use crate::protocols;

#[test]
fn every_option_is_in_the_reference() {
    let page = reference();
    for key in [
        "`data_dir`",
        "`edge.listen`",
        "`edge.http.head_ms_max`",
        "`identity.jwks.timeout_ms`",
        "`telemetry.log_format`",
        "`protocols.sse.heartbeat_ms`",
    ] {
        assert!(page.contains(key), "{key} is missing");
    }
    let undocumented: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| `") && line.ends_with("|  |")).collect();
    assert!(undocumented.is_empty(), "without a meaning: {undocumented:#?}");
}

#[test]
fn the_default_protocols_claim_without_clash() {
    let mounts = protocols::mount_all(&protocols::defaults()).expect("no clash");
    assert!(mounts.claims().count() > 8);
    assert!(!mounts.web_sockets.is_empty());
}
