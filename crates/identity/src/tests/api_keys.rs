//! The text of API keys.

use crate::api_key::{
    ApiKeyText, Environment, KeyHasher, LOOKUP_DIGITS, SECRET_DIGITS, TEXT_BYTES,
};
use crate::secrets::Secrets;
use proptest::prelude::*;
use secrecy::ExposeSecret;
use stdx::SystemRng;

fn hasher(root: u8) -> KeyHasher {
    KeyHasher::new(Secrets::from_bytes([root; 32]).pepper())
}

#[test]
fn a_new_key_has_the_documented_form() {
    for (environment, start) in [(Environment::Live, "ms_live_"), (Environment::Test, "ms_test_")] {
        let key = hasher(1).generate(environment, &SystemRng);
        let text = key.text.expose_secret();
        assert!(text.starts_with(start) && text.len() == TEXT_BYTES);
        let parsed = ApiKeyText::parse(text).unwrap();
        assert_eq!((parsed.environment, parsed.lookup), (environment, key.lookup.as_str()));
        assert_eq!(key.lookup.len(), LOOKUP_DIGITS);
        assert_eq!(text.rsplit('_').next().unwrap().len(), SECRET_DIGITS);
        assert_eq!(key.hash, hasher(1).hash(&key.text));
    }
}

#[test]
fn texts_that_are_no_keys() {
    let good = hasher(1).generate(Environment::Live, &SystemRng);
    let good = good.text.expose_secret();
    let check = |text: &str| assert!(ApiKeyText::parse(text).is_none(), "{text}");
    check("");
    check("ms_live_");
    check(&good.replace("ms_live_", "ms_prod_"));
    check(&good.replace("ms_live_", "MS_LIVE_"));
    check(&good[..good.len() - 1]);
    check(&format!("{good}x"));
    check(&format!("{}-", &good[..good.len() - 1]));
    check(&format!("{}_", &good[..good.len() - 1]));
    check(&format!("{}é", &good[..good.len() - 2]));
    check(&good.replacen('_', "-", 1));
}

#[test]
fn another_installation_neither_knows_nor_accepts_a_key() {
    let key = hasher(1).generate(Environment::Live, &SystemRng);
    let text = ApiKeyText::parse(key.text.expose_secret()).unwrap();
    assert!(hasher(1).is_own(&text) && hasher(1).matches(&text, &key.hash));
    assert!(!hasher(2).is_own(&text) && !hasher(2).matches(&text, &key.hash));
}

#[test]
fn digits_of_secrets_are_uniform() {
    let hasher = hasher(1);
    let mut counts = [0u32; 128];
    let keys = 2_000;
    for _ in 0..keys {
        let key = hasher.generate(Environment::Live, &SystemRng);
        let text = key.text.expose_secret();
        text.bytes().rev().take(SECRET_DIGITS).for_each(|byte| counts[usize::from(byte)] += 1);
    }
    let expected = f64::from(keys) * SECRET_DIGITS as f64 / 62.0;
    let used: Vec<f64> = counts.iter().filter(|&&n| n > 0).map(|&n| f64::from(n)).collect();
    assert_eq!(used.len(), 62, "every digit occurs");
    let chi_square: f64 = used.iter().map(|n| (n - expected).powi(2) / expected).sum();
    // 61 degrees of freedom: a fair source passes 130 once in a million runs.
    assert!(chi_square < 130.0, "{chi_square}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_parsing_panic(text in "\\PC{0,80}", cut in 0usize..80) {
        let _ = ApiKeyText::parse(&text);
        let key = hasher(1).generate(Environment::Test, &SystemRng);
        let near: String = key.text.expose_secret().chars().take(cut).chain(text.chars()).collect();
        if let Some(parsed) = ApiKeyText::parse(&near) {
            let is_whole = near == key.text.expose_secret();
            prop_assert_eq!(hasher(1).matches(&parsed, &key.hash), is_whole);
        }
    }
}
