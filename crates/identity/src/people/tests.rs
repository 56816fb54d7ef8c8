//! Passwords, tokens' texts and the throttle by themselves; signing in as a whole is tested where
//! it is reached, in `control`.

use super::password::{Passwords, Verdict, check_strength, stored_cost};
use super::session_text::SessionTexts;
use super::settings::{PasswordCost, PeopleSettings, ThrottleSettings};
use super::throttle::{Subject, Throttle};
use crate::Secrets;
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;
use tenancy::SessionId;
use testkit::clock::ManualClock;
use testkit::rng::SeededRng;
use uuid::Uuid;

fn cheap() -> PasswordCost {
    PasswordCost { memory_kib: 64, passes: 1, ..PasswordCost::default() }
}

fn text(password: &str) -> SecretString {
    SecretString::from(password)
}

#[test]
fn the_defaults_agree_with_each_other() {
    PeopleSettings::default().check().unwrap();
    let cost = PasswordCost::default();
    assert_eq!((cost.memory_kib, cost.passes), (19_456, 2), "OWASP's numbers");
    for wrong in [
        PeopleSettings { access_ms: 0, ..PeopleSettings::default() },
        PeopleSettings { idle_ms_max: u64::MAX, ..PeopleSettings::default() },
        PeopleSettings { password_chars_min: 4, ..PeopleSettings::default() },
    ] {
        assert!(wrong.check().is_err());
    }
}

#[tokio::test]
async fn a_password_is_stored_stretched_and_salted() {
    let passwords = Passwords::new(cheap(), SeededRng::shared(1));
    let one = passwords.hash(&text("correct horse")).await.unwrap();
    let two = passwords.hash(&text("correct horse")).await.unwrap();
    assert_ne!(one, two);
    assert!(one.starts_with("$argon2id$v=19$m=64,t=1,p=1$") && !one.contains("horse"));
    let check = async |word: &str, stored: Option<&str>| {
        passwords.check(&text(word), stored).await.unwrap()
    };
    assert_eq!(check("correct horse", Some(&one)).await, Verdict::Right);
    assert_eq!(check("correct hors", Some(&one)).await, Verdict::Wrong);
    assert_eq!(check("", Some(&two)).await, Verdict::Wrong);
    assert_eq!(check("correct horse", None).await, Verdict::Wrong);
    assert!(passwords.check(&text("x"), Some("$2y$10$nonsense")).await.is_err());
    // A dearer installation stores it anew.
    let dearer = PasswordCost { passes: 2, ..cheap() };
    let dearer = Passwords::new(dearer, SeededRng::shared(2));
    let Verdict::RightButOld(new) = dearer.check(&text("correct horse"), Some(&one)).await.unwrap()
    else {
        panic!("kept at the old cost")
    };
    assert_eq!(stored_cost(&new), Some((64, 2, 1)));
    assert_eq!(dearer.check(&text("correct horse"), Some(&new)).await.unwrap(), Verdict::Right);
    assert_eq!(dearer.check(&text("wrong"), Some(&one)).await.unwrap(), Verdict::Wrong);
}

#[test]
fn weak_passwords_are_refused() {
    let table = [
        ("four words in a row", true),
        ("Tr0ub4dor&3-and-more", true),
        ("elevenchars", false),
        ("abababababababab", false),
        ("password1234", false),
        ("Password-2026", false),
        ("qwertyuiop12", false),
        ("ann.lee-2026", false),
        ("my mail is ann.lee@example.org", false),
    ];
    for (password, expected) in table {
        let outcome = check_strength(&text(password), "ann.lee@example.org", 12);
        assert_eq!(outcome.is_ok(), expected, "{password}");
    }
    assert!(check_strength(&text(&"ab cd e".repeat(100)), "a@b", 12).is_err());
    // Where the address is not known.
    assert!(check_strength(&text("four words in a row"), "", 12).is_ok());
}

fn throttle() -> (Throttle, Arc<ManualClock>) {
    let clock = ManualClock::shared(0);
    let settings = ThrottleSettings {
        account_failures_max: 3,
        address_failures_max: 5,
        entries_max: 50,
        ..ThrottleSettings::default()
    };
    (Throttle::new(settings, clock.clone()), clock)
}

#[test]
fn waits_double_up_to_their_limit() {
    let (throttle, clock) = throttle();
    let account = [Subject::account("ann@example.org", None)];
    for _ in 0..3 {
        throttle.admit(&account).unwrap();
    }
    let mut expected = Duration::from_secs(1);
    for _ in 0..15 {
        let blocked = throttle.admit(&account).unwrap_err();
        assert_eq!(blocked.wait, expected);
        assert!(blocked.is_news);
        assert!(!throttle.admit(&account).unwrap_err().is_news);
        clock.advance(expected);
        throttle.admit(&account).unwrap();
        expected = (expected * 2).min(Duration::from_secs(900));
    }
    // A success, or an hour without any attempt, starts anew.
    throttle.forgive(&account);
    throttle.admit(&account).unwrap();
    for _ in 0..3 {
        clock.advance(Duration::from_secs(3_601));
        throttle.admit(&account).unwrap();
    }
}

#[test]
fn an_address_is_slowed_down_over_all_accounts() {
    let (throttle, _) = throttle();
    let mut refused = 0;
    for round in 0..20 {
        let account = Subject::account(&format!("user{round}@example.org"), None);
        let subjects = [account, Subject::address("192.0.2.0/24")];
        refused += usize::from(throttle.admit(&subjects).is_err());
    }
    assert_eq!(refused, 15);
}

#[test]
fn memory_is_bounded() {
    let (throttle, _) = throttle();
    let guarded = [Subject::account("ann@example.org", None)];
    for _ in 0..3 {
        throttle.admit(&guarded).unwrap();
    }
    for round in 0..500 {
        let _ = throttle.admit(&[Subject::account(&format!("{round}"), None)]);
    }
    assert!(throttle.entries() <= 50);
    // Who failed most is remembered longest.
    assert!(throttle.admit(&guarded).is_err());
}

fn texts(seed: u8) -> SessionTexts {
    SessionTexts::new(&Secrets::from_bytes([seed; 32]), SeededRng::shared(3))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What was made here opens here, and nothing else does: not bent, not cut, not another
    /// installation's, not one kind for the other.
    #[test]
    fn only_genuine_texts_open(id in any::<u128>(), until in 0..i64::MAX, flip in any::<usize>()) {
        let session = SessionId(Uuid::from_u128(id));
        let (mine, theirs) = (texts(1), texts(2));
        let access = mine.access(session, until).expose_secret().to_owned();
        prop_assert_eq!(mine.open_access(&access), Some((session, until)));
        prop_assert_eq!(theirs.open_access(&access), None);
        prop_assert!(mine.open_refresh(&access).is_none());
        let fresh = mine.fresh();
        let refresh = mine.refresh(&fresh, session, 7).expose_secret().to_owned();
        let opened = mine.open_refresh(&refresh).unwrap();
        prop_assert_eq!((opened.session, opened.generation), (session, 7));
        prop_assert_eq!(opened.hash, fresh.hash);
        prop_assert!(mine.open_access(&refresh.replace("msr_", "mss_")).is_none());
        let mut bent = access.into_bytes();
        let at = flip % bent.len();
        bent[at] = if bent[at] == b'x' { b'y' } else { b'x' };
        let bent = String::from_utf8(bent).unwrap();
        prop_assert_eq!(mine.open_access(&bent), None);
        prop_assert_eq!(mine.open_access(&bent[..at]), None);
    }
}
