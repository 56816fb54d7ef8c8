//! Patches: they bring back what they were made of, and bad ones bring nothing.

use crate::patch::{apply, make};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

#[test]
fn what_is_alike_is_copied() {
    let base = br#"{"symbol":"ABC","bid":10.25,"ask":10.27,"volume":1234567,"exchange":"XETRA"}"#;
    let next = br#"{"symbol":"ABC","bid":10.26,"ask":10.27,"volume":1234590,"exchange":"XETRA"}"#;
    let patch = make(base, next).expect("most of it is alike");
    assert!(patch.len() < 30, "{}", patch.len());
    assert_eq!(apply(base, &patch, 1_000).as_deref(), Some(&next[..]));
}

#[test]
fn what_is_not_shorter_is_no_patch() {
    assert_eq!(make(b"", b""), None);
    assert_eq!(make(b"something", b"entirely different words"), None);
    assert_eq!(make(b"", b"all of it is new"), None);
    assert_eq!(make(b"abcdefgh", b"abcdefgh").map(|patch| patch.len()), Some(2));
}

#[test]
fn bad_patches_are_refused() {
    let base = b"0123456789";
    for patch in [
        // Copies from behind the end, or beyond it.
        &[21, 11][..],
        &[23, 0],
        // More to insert than there is.
        &[4, b'a'],
        // A number that does not end, and one too long.
        &[0x80],
        &[0xff, 0xff, 0xff, 0xff, 0xff],
        // A copy without a place.
        &[3],
    ] {
        assert_eq!(apply(base, patch, 1_000), None, "{patch:?}");
    }
    assert_eq!(apply(base, &[21, 0], 9), None, "longer than allowed");
    assert_eq!(apply(base, &[21, 0], 10).as_deref(), Some(&base[..]));
}

/// Clients in other languages are tested with the same file.
#[test]
fn the_vectors_for_clients_are_what_is_made() {
    let text = include_str!("../../vectors/patch.json");
    let vectors: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let bytes =
        |text: &serde_json::Value| STANDARD.decode(text.as_str().expect("a text")).expect("base64");
    for good in vectors["good"].as_array().expect("a list") {
        let (base, target) = (good["base"].as_str().unwrap(), good["target"].as_str().unwrap());
        let patch = bytes(&good["patch_base64"]);
        assert_eq!(make(base.as_bytes(), target.as_bytes()).as_ref(), Some(&patch), "{base}");
        assert_eq!(apply(base.as_bytes(), &patch, 1 << 20), Some(target.as_bytes().to_vec()));
    }
    for bad in vectors["bad"].as_array().expect("a list") {
        let base = bad["base"].as_str().unwrap();
        assert_eq!(apply(base.as_bytes(), &bytes(&bad["patch_base64"]), 1 << 20), None, "{bad}");
    }
}

fn edited() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let piece = || prop::collection::vec(0u8..4, 0..40);
    let edit = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), piece());
    (prop::collection::vec(0u8..4, 0..200), prop::collection::vec(edit, 0..4)).prop_map(
        |(base, edits)| {
            let mut target = base.clone();
            for (from, to, piece) in edits {
                let (from, to) = (from.index(target.len() + 1), to.index(target.len() + 1));
                target.splice(from.min(to)..from.max(to), piece);
            }
            (base, target)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn a_patch_brings_back_its_target((base, target) in edited()) {
        if let Some(patch) = make(&base, &target) {
            prop_assert!(patch.len() < target.len());
            prop_assert_eq!(apply(&base, &patch, target.len()), Some(target));
        }
    }

    #[test]
    fn any_bytes_are_applied_or_refused(
        base in prop::collection::vec(any::<u8>(), 0..50),
        patch in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        if let Some(target) = apply(&base, &patch, 500) {
            prop_assert!(target.len() <= 500);
        }
    }
}
