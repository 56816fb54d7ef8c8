//! The root secret's file, what is derived from it, and sealing.

use crate::secrets::{Secrets, SecretsError};
use proptest::prelude::*;
use secrecy::ExposeSecret;
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use stdx::{Rng, SystemRng};
use testkit::rng::SeededRng;

#[test]
fn the_file_is_made_once_and_only_for_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret.key");
    let first = Secrets::load_or_create(&path, &SystemRng).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 32);
    assert_ne!(bytes, [0; 32]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = Secrets::load_or_create(&path, &SystemRng).unwrap();
    assert_eq!(first.derive("x").expose_secret(), again.derive("x").expose_secret());
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn unsuitable_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret.key");
    for length in [0, 31, 33, 5_000] {
        fs::write(&path, vec![1; length]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = Secrets::load_or_create(&path, &SystemRng).unwrap_err();
        assert!(matches!(error, SecretsError::Length(_)), "{length}: {error}");
    }
    fs::write(&path, [1; 32]).unwrap();
    for (mode, is_fine) in [
        (0o600, true),
        (0o400, true),
        (0o440, true),
        (0o644, false),
        (0o660, false),
        (0o602, false),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let outcome = Secrets::load_or_create(&path, &SystemRng);
        assert_eq!(outcome.is_ok(), is_fine, "{mode:o}");
    }
    let missing = dir.path().join("none").join("secret.key");
    assert!(matches!(
        Secrets::load_or_create(&missing, &SystemRng).unwrap_err(),
        SecretsError::File { .. }
    ));
}

#[test]
fn two_that_start_at_once_agree() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret.key");
    let derived: HashSet<[u8; 32]> = std::thread::scope(|scope| {
        let start = |_| scope.spawn(|| Secrets::load_or_create(&path, &SystemRng).unwrap());
        let threads: Vec<_> = (0..8).map(start).collect();
        threads.into_iter().map(|t| *t.join().unwrap().derive("x").expose_secret()).collect()
    });
    assert_eq!(derived.len(), 1);
}

#[test]
fn each_purpose_and_each_root_has_its_own_key() {
    let mut seen = HashSet::new();
    for root in 0..4 {
        let secrets = Secrets::from_bytes([root; 32]);
        for purpose in ["api key pepper", "cursor signing", "sealing", ""] {
            assert!(seen.insert(*secrets.derive(purpose).expose_secret()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What was sealed opens in its place and whole, and in no other way.
    #[test]
    fn sealed_secrets_open_only_unchanged_and_in_place(
        plain in proptest::collection::vec(any::<u8>(), 0..200),
        place in "[a-z/]{0,20}",
        seed in any::<u64>(),
        at in any::<proptest::sample::Index>(),
        flip in 1u8..,
        garbage in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let rng: std::sync::Arc<dyn Rng> = SeededRng::shared(seed);
        let sealer = Secrets::from_bytes([3; 32]).sealer(rng.clone());
        let sealed = sealer.seal(&place, &plain);
        let opened = sealer.open(&place, &sealed).unwrap();
        prop_assert_eq!(opened.expose_secret(), &plain);
        prop_assert_ne!(&sealer.seal(&place, &plain), &sealed, "nonces differ");
        let elsewhere = format!("{place}x");
        prop_assert!(sealer.open(&elsewhere, &sealed).is_err());
        prop_assert!(Secrets::from_bytes([4; 32]).sealer(rng).open(&place, &sealed).is_err());
        let at = at.index(sealed.len());
        prop_assert!(sealer.open(&place, &sealed[..at]).is_err());
        let mut changed = sealed;
        changed[at] ^= flip;
        prop_assert!(sealer.open(&place, &changed).is_err());
        prop_assert!(sealer.open(&place, &garbage).is_err());
    }
}
