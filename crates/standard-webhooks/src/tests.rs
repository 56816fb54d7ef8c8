//! The specification's vector, both kinds of signature, and that nothing but the exact message of
//! the right age under the right key passes.

use crate::{
    BadSecret, BadSignature, Received, SigningKey, TOLERANCE_S, VerifyingKey, sign, verify,
};
use proptest::prelude::*;

/// Of the specification and its libraries' tests.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const AT_S: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn shared() -> SigningKey {
    SigningKey::parse(SECRET).expect("the specification's secret")
}

fn pair(byte: u8) -> SigningKey {
    SigningKey::from_private(&[byte; 32]).expect("any seed is one")
}

fn check(keys: &[VerifyingKey], signatures: &str, body: &[u8]) -> Result<(), BadSignature> {
    let timestamp = AT_S.to_string();
    let received = Received { id: ID, timestamp: &timestamp, signatures };
    verify(keys, received, body, AT_S, TOLERANCE_S)
}

#[test]
fn the_specifications_vector() {
    assert_eq!(sign(&[shared()], ID, AT_S, BODY), SIGNATURE);
    let key = VerifyingKey::parse(SECRET).unwrap();
    assert_eq!(check(&[key], SIGNATURE, BODY), Ok(()));
}

#[test]
fn several_signatures_during_a_rotation() {
    let made = sign(&[pair(1), shared()], ID, AT_S, BODY);
    assert!(made.starts_with("v1a,") && made.contains(" v1,"), "{made}");
    let public = pair(1).public_key().expect("a pair has a public key");
    assert!(public.starts_with("whpk_"));
    for text in [public.as_str(), SECRET] {
        let key = VerifyingKey::parse(text).unwrap();
        assert_eq!(check(&[key], &made, BODY), Ok(()), "{text}");
    }
    let other = VerifyingKey::parse(&pair(2).public_key().unwrap()).unwrap();
    assert_eq!(check(&[other], &made, BODY), Err(BadSignature::Mismatch));
    assert_eq!(check(&[], &made, BODY), Err(BadSignature::Mismatch));
}

#[test]
fn headers_of_strangers() {
    let keys = || vec![VerifyingKey::parse(SECRET).unwrap()];
    let table = [
        ("", BadSignature::NoSignature),
        ("v1", BadSignature::NoSignature),
        ("v1,%%%", BadSignature::NoSignature),
        ("v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", BadSignature::NoSignature),
        ("v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", BadSignature::Mismatch),
        ("v1,AAAA", BadSignature::Mismatch),
    ];
    for (signatures, wanted) in table {
        assert_eq!(check(&keys(), signatures, BODY), Err(wanted), "{signatures}");
    }
    let later = format!("v1,AAAA v9,x {SIGNATURE}");
    assert_eq!(check(&keys(), &later, BODY), Ok(()));
    let too_many = format!("{}{SIGNATURE}", "v1,AAAA ".repeat(crate::SIGNATURES_MAX));
    assert_eq!(check(&keys(), &too_many, BODY), Err(BadSignature::Mismatch));
    assert_eq!(check(&keys(), SIGNATURE, b"{}"), Err(BadSignature::Mismatch));
}

#[test]
fn the_age_of_a_message() {
    let key = || vec![VerifyingKey::parse(SECRET).unwrap()];
    let at = |now_s, timestamp: &str| {
        let received = Received { id: ID, timestamp, signatures: SIGNATURE };
        verify(&key(), received, BODY, now_s, TOLERANCE_S)
    };
    let text = AT_S.to_string();
    assert_eq!(at(AT_S + TOLERANCE_S, &text), Ok(()));
    assert_eq!(at(AT_S - TOLERANCE_S, &text), Ok(()));
    assert_eq!(at(AT_S + TOLERANCE_S + 1, &text), Err(BadSignature::TooOld));
    assert_eq!(at(AT_S - TOLERANCE_S - 1, &text), Err(BadSignature::TooNew));
    for bad in ["", "now", "1e9", "99999999999999999999"] {
        assert_eq!(at(AT_S, bad), Err(BadSignature::Timestamp), "{bad}");
    }
    assert_eq!(at(i64::MIN, &text), Err(BadSignature::TooNew));
    let received = Received { id: "", timestamp: &text, signatures: SIGNATURE };
    assert_eq!(verify(&key(), received, BODY, AT_S, TOLERANCE_S), Err(BadSignature::Id));
}

#[test]
fn secrets_in_text() {
    let table = [
        ("", BadSecret::Prefix),
        ("secret", BadSecret::Prefix),
        ("whsec_%", BadSecret::Base64),
        ("whsec_AAAA", BadSecret::SharedLength),
        ("whsk_AAAA", BadSecret::KeyLength),
        ("whpk_AAAA", BadSecret::PublicOnly),
    ];
    for (text, wanted) in table {
        assert_eq!(SigningKey::parse(text).map(|_| ()).unwrap_err(), wanted, "{text}");
    }
    assert_eq!(SigningKey::from_shared(&[0; 65]).map(|_| ()).unwrap_err(), BadSecret::SharedLength);
    // RFC 8032 section 7.1, test 1: the seed and its public key; another half is refused.
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let mut both: Vec<u8> = [seed, public].iter().flat_map(|text| hex(text)).collect();
    let key = SigningKey::from_private(&both).expect("both halves");
    assert_eq!(key.public_key(), SigningKey::from_private(&both[..32]).unwrap().public_key());
    both[40] ^= 1;
    assert_eq!(SigningKey::from_private(&both).map(|_| ()).unwrap_err(), BadSecret::Halves);
    assert!(!format!("{key:?} {:?}", shared()).contains("MfKQ"));
}

fn hex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("digits");
    (0..text.len()).step_by(2).map(digits).collect()
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_nothing_else(
        seed in any::<[u8; 32]>(),
        body in proptest::collection::vec(any::<u8>(), 0..64),
        flip in any::<prop::sample::Index>(),
        is_pair in any::<bool>(),
    ) {
        let key = match is_pair {
            true => SigningKey::from_private(&seed),
            false => SigningKey::from_shared(&seed),
        };
        let key = key.unwrap();
        use secrecy::ExposeSecret;
        let checking = VerifyingKey::parse(key.for_receiver().expose_secret()).unwrap();
        let made = sign(&[key], ID, AT_S, &body);
        let checking = [checking];
        prop_assert_eq!(check(&checking, &made, &body), Ok(()));
        let mut other = body.clone();
        if other.is_empty() {
            other.push(0);
        } else {
            let at = flip.index(other.len());
            other[at] ^= 1;
        }
        prop_assert_eq!(check(&checking, &made, &other), Err(BadSignature::Mismatch));
    }

    #[test]
    fn no_header_panics(id in ".*", timestamp in ".*", signatures in ".*", secret in ".*") {
        let keys = [VerifyingKey::parse(SECRET).unwrap()];
        let received = Received { id: &id, timestamp: &timestamp, signatures: &signatures };
        let _ = verify(&keys, received, BODY, AT_S, TOLERANCE_S);
        let _ = VerifyingKey::parse(&secret);
        let _ = VerifyingKey::parse(&format!("whsec_{secret}"));
    }
}
