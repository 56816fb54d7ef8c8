//! Registering and signing in, and each check by what it refuses.

use super::{CHALLENGE, ORIGIN, page, party};
use crate::{
    AUTHENTICATOR_DATA_BYTES_MAX, AssertionAnswer, PublicKey, Registered, RegistrationAnswer,
    Rejected, challenge_of,
};
use testkit::authenticator::{Created, PRESENT, Page, SoftPasskey, Used, VERIFIED};

fn registration(created: Created) -> RegistrationAnswer {
    RegistrationAnswer { client_data: created.client_data, attestation: created.attestation }
}

fn assertion(used: Used) -> AssertionAnswer {
    AssertionAnswer {
        client_data: used.client_data,
        authenticator_data: used.authenticator_data,
        signature: used.signature,
    }
}

fn register(passkey: &mut SoftPasskey, page: &Page) -> Result<Registered, Rejected> {
    party().register(CHALLENGE, &registration(passkey.create(page, CHALLENGE, b"ann")))
}

/// What the site says of an answer that was bent on its way.
#[track_caller]
fn check(bend: impl FnOnce(&mut AssertionAnswer), expected: Result<u32, Rejected>) {
    let mut passkey = SoftPasskey::es256();
    let key = PublicKey::read(&passkey.public_key()).expect("a key");
    let mut answer = assertion(passkey.get(&page(), CHALLENGE));
    bend(&mut answer);
    let found = party().assert(CHALLENGE, &key, &answer).map(|asserted| asserted.count);
    assert_eq!(found, expected);
}

#[test]
fn a_passkey_of_each_kind_registers_and_signs_in() {
    let (mut boasting, mut boasting_too) = (SoftPasskey::es256(), SoftPasskey::ed25519());
    (boasting.attests_itself, boasting_too.attests_itself) = (true, true);
    let plain = [SoftPasskey::es256(), SoftPasskey::ed25519(), SoftPasskey::rs256()];
    for mut passkey in plain.into_iter().chain([boasting, boasting_too]) {
        let made = register(&mut passkey, &page()).expect("registered");
        assert_eq!(made.credential_id, passkey.credential_id);
        assert_eq!((made.count, made.is_synced), (0, false));
        let key = PublicKey::read(&made.public_key).expect("its key");
        let answer = assertion(passkey.get(&page(), CHALLENGE));
        assert_eq!(challenge_of(&answer.client_data).expect("one"), CHALLENGE);
        let asserted = party().assert(CHALLENGE, &key, &answer).expect("signed in");
        assert_eq!(asserted.count, 1);
        // Not with the key of another.
        let other = PublicKey::read(&SoftPasskey::ed25519().public_key()).expect("a key");
        let refused = party().assert(CHALLENGE, &other, &answer);
        assert_eq!(refused, Err(Rejected::Signature));
    }
}

#[test]
fn a_passkey_in_a_backup_is_told_apart() {
    let mut passkey = SoftPasskey::es256();
    passkey.flags |= 0x18;
    assert!(register(&mut passkey, &page()).expect("registered").is_synced);
    passkey.flags = PRESENT | VERIFIED | 0x10;
    assert_eq!(register(&mut passkey, &page()), Err(Rejected::Flags));
}

#[test]
fn another_site_is_refused() {
    let pages = [
        (Page::new("https://evil.example.org", "console.example.org"), Rejected::WrongOrigin),
        (Page::new("http://console.example.org", "console.example.org"), Rejected::WrongOrigin),
        (Page::new(ORIGIN, "example.org"), Rejected::WrongParty),
        (Page { cross_origin: true, ..page() }, Rejected::CrossOrigin),
    ];
    for (page, why) in pages {
        let mut passkey = SoftPasskey::es256();
        assert_eq!(register(&mut passkey, &page), Err(why), "{page:?}");
        let key = PublicKey::read(&passkey.public_key()).expect("a key");
        let answer = assertion(passkey.get(&page, CHALLENGE));
        assert_eq!(party().assert(CHALLENGE, &key, &answer), Err(why), "{page:?}");
    }
}

#[test]
fn the_user_must_be_there_and_known() {
    for (flags, why) in [(VERIFIED, Rejected::NotPresent), (PRESENT, Rejected::NotVerified)] {
        let mut passkey = SoftPasskey::es256();
        passkey.flags = flags;
        assert_eq!(register(&mut passkey, &page()), Err(why));
        let key = PublicKey::read(&passkey.public_key()).expect("a key");
        let answer = assertion(passkey.get(&page(), CHALLENGE));
        assert_eq!(party().assert(CHALLENGE, &key, &answer), Err(why));
    }
}

#[test]
fn one_ceremony_is_not_the_other() {
    let mut passkey = SoftPasskey::es256();
    let created = passkey.create(&page(), CHALLENGE, b"ann");
    let used = passkey.get(&page(), CHALLENGE);
    let key = PublicKey::read(&passkey.public_key()).expect("a key");
    let mixed = AssertionAnswer { client_data: created.client_data, ..assertion(used.clone()) };
    assert_eq!(party().assert(CHALLENGE, &key, &mixed), Err(Rejected::WrongKind));
    let mixed =
        RegistrationAnswer { client_data: used.client_data, attestation: created.attestation };
    assert_eq!(party().register(CHALLENGE, &mixed), Err(Rejected::WrongKind));
    let answer = assertion(passkey.get(&page(), b"another challenge"));
    assert_eq!(party().assert(CHALLENGE, &key, &answer), Err(Rejected::WrongChallenge));
}

#[test]
fn nothing_of_an_answer_can_be_changed() {
    check(|_| {}, Ok(1));
    check(|answer| answer.signature[10] ^= 1, Err(Rejected::Signature));
    check(|answer| answer.signature.clear(), Err(Rejected::Signature));
    // The counter is signed.
    check(|answer| answer.authenticator_data[36] ^= 4, Err(Rejected::Signature));
    check(|answer| answer.authenticator_data.truncate(36), Err(Rejected::Malformed));
    check(|answer| answer.authenticator_data.push(0), Err(Rejected::Malformed));
    check(|answer| answer.client_data.push(b' '), Err(Rejected::Signature));
    check(|answer| answer.client_data.truncate(20), Err(Rejected::ClientData));
    check(|answer| answer.client_data = vec![b' '; 5_000], Err(Rejected::TooLarge));
    check(|answer| answer.signature = vec![0; 5_000], Err(Rejected::TooLarge));
    let long = |answer: &mut AssertionAnswer| {
        answer.authenticator_data = vec![0; AUTHENTICATOR_DATA_BYTES_MAX + 1];
    };
    check(long, Err(Rejected::TooLarge));
}

#[test]
fn a_self_attestation_is_checked() {
    let mut passkey = SoftPasskey::es256();
    passkey.attests_itself = true;
    let mut answer = registration(passkey.create(&page(), CHALLENGE, b"ann"));
    let object = answer.attestation.clone();
    let at = object.windows(3).position(|part| part == b"sig").expect("a signature") + 20;
    answer.attestation[at] ^= 1;
    assert_eq!(party().register(CHALLENGE, &answer), Err(Rejected::Signature));
    // A maker's statement that this site does not know.
    let at = object.windows(6).position(|part| part == b"packed").expect("a format");
    answer.attestation[at..at + 6].copy_from_slice(b"aple-x");
    assert_eq!(party().register(CHALLENGE, &answer), Err(Rejected::Attestation));
}

#[test]
fn a_key_that_is_none_is_refused() {
    let good = SoftPasskey::es256().public_key();
    let at = |part: &[u8]| good.windows(part.len()).position(|found| found == part).expect("it");
    let bent = |at: usize, byte: u8| {
        let mut key = good.clone();
        key[at] = byte;
        PublicKey::read(&key).map(|_| ()).expect_err("refused")
    };
    // Not on the curve; another curve; another algorithm; another type.
    assert_eq!(bent(good.len() - 1, good[good.len() - 1] ^ 1), Rejected::Key);
    assert_eq!(bent(at(&[0x20, 1]) + 1, 2), Rejected::Key);
    assert_eq!(bent(at(&[3, 0x26]) + 1, 0x29), Rejected::Algorithm);
    assert_eq!(bent(2, 1), Rejected::Key);
    assert_eq!(PublicKey::read(&[0xa0]).map(|_| ()), Err(Rejected::Algorithm));
    assert_eq!(PublicKey::read(&vec![0; 2_000]).map(|_| ()), Err(Rejected::TooLarge));
    // RSA with a modulus that is too short, or of zeros.
    for modulus in [vec![1; 128], vec![0; 256]] {
        let mut key = vec![0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59];
        key.extend((modulus.len() as u16).to_be_bytes());
        key.extend(&modulus);
        key.extend([0x21, 0x43, 1, 0, 1]);
        assert_eq!(PublicKey::read(&key).map(|_| ()), Err(Rejected::Key));
    }
}
