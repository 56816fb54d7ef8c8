//! Which bodies are believed.

use super::SECRET;
use crate::signature::{Unproven, verify};
use aws_lc_rs::hmac;
use proptest::prelude::*;

pub fn sign(secret: &str, at_s: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &[at_s.to_string().as_bytes(), b".", body].concat());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_known_answer() {
    // Made with Python's hmac module.
    let body = br#"{"id":"evt_1"}"#;
    let hex = sign("whsec_test_secret", 1_492_774_577, body);
    assert_eq!(hex.len(), 64);
    let header = format!("t=1492774577,v1={hex},v0=6ffbb59b");
    assert_eq!(verify("whsec_test_secret", &header, body, 1_492_774_577, 300), Ok(()));
}

#[test]
fn by_table() {
    let body = b"{}";
    let good = sign(SECRET, 1_000, body);
    let other = sign("whsec_other", 1_000, body);
    let check = |header: &str, now| verify(SECRET, header, body, now, 300);
    for (header, now, wanted) in [
        (format!("t=1000,v1={good}"), 1_000, Ok(())),
        (format!("t=1000,v1={good}"), 1_300, Ok(())),
        (format!("t=1000,v1={good}"), 1_301, Err(Unproven::Stale)),
        (format!("t=1000,v1={good}"), 699, Err(Unproven::Stale)),
        // While a secret is changed, both sign.
        (format!("t=1000,v1={other},v1={good}"), 1_000, Ok(())),
        (format!("t=1000,v1={other}"), 1_000, Err(Unproven::Wrong)),
        (format!("t=1001,v1={good}"), 1_000, Err(Unproven::Wrong)),
        (format!("t=1000,t=1001,v1={good}"), 1_000, Err(Unproven::Malformed)),
        (format!("v1={good}"), 1_000, Err(Unproven::Malformed)),
        ("t=1000".to_owned(), 1_000, Err(Unproven::Malformed)),
        (format!("t=1000,v0={good}"), 1_000, Err(Unproven::Malformed)),
        (format!("t=soon,v1={good}"), 1_000, Err(Unproven::Malformed)),
        (format!("t=1000,v1={}", &good[..62]), 1_000, Err(Unproven::Malformed)),
        (String::new(), 1_000, Err(Unproven::Malformed)),
    ] {
        assert_eq!(check(&header, now), wanted, "{header} at {now}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn no_header_panics_and_no_changed_body_passes(
        header in ".{0,200}", body in prop::collection::vec(any::<u8>(), 0..64), at in 0usize..64,
    ) {
        let _ = verify(SECRET, &header, &body, 0, 300);
        let good = format!("t=5,v1={}", sign(SECRET, 5, &body));
        prop_assert_eq!(verify(SECRET, &good, &body, 5, 300), Ok(()));
        let mut changed = body.clone();
        match changed.get_mut(at) {
            Some(byte) => *byte ^= 1,
            None => changed.push(0),
        }
        prop_assert_eq!(verify(SECRET, &good, &changed, 5, 300), Err(Unproven::Wrong));
    }
}
