//! What strangers give as passkeys: keys, attestations and answers, none of which may panic or be
//! believed.

use webauthn::{AssertionAnswer, PublicKey, RegistrationAnswer, RelyingParty, challenge_of};

const CLIENT_DATA: &str =
    r#"{"type":"webauthn.KIND","challenge":"YQ","origin":"https://a.example"}"#;

fn client_data(kind: &str) -> Vec<u8> {
    CLIENT_DATA.replace("KIND", kind).into_bytes()
}

/// The Ed25519 key of RFC 8032 section 7.1, test 1, as COSE.
fn key() -> PublicKey {
    let point = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ];
    let head = [0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20];
    PublicKey::read(&[head.as_slice(), &point].concat()).expect("a key")
}

/// What an authenticator of this site says before anything of the input.
fn with_front(flags: u8, input: &[u8]) -> Vec<u8> {
    let hash = sha256(b"a.example");
    [hash.as_slice(), &[flags, 0, 0, 0, 1], input].concat()
}

fn sha256(text: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text).as_ref().to_vec()
}

#[test]
fn passkey_keys() {
    bolero::check!().with_iterations(20_000).for_each(|input: &[u8]| {
        let _ = PublicKey::read(input);
        let _ = challenge_of(input);
        let _ = RelyingParty::new(&String::from_utf8_lossy(input));
    });
}

#[test]
fn passkey_registrations() {
    let site = RelyingParty::new("https://a.example").expect("a site");
    bolero::check!().with_iterations(20_000).for_each(|input: &[u8]| {
        let data = with_front(0x45, input);
        let length = u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes();
        let front = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59";
        let attestation = [front.as_slice(), &length, &data].concat();
        for attestation in [attestation, input.to_vec()] {
            let answer = RegistrationAnswer { client_data: client_data("create"), attestation };
            if let Ok(made) = site.register(b"a", &answer) {
                PublicKey::read(&made.public_key).expect("what is kept can be read");
            }
        }
    });
}

#[test]
fn passkey_answers() {
    let site = RelyingParty::new("https://a.example").expect("a site");
    bolero::check!().with_iterations(20_000).for_each(|input: &[u8]| {
        // Made in here: what a test of bolero's keeps must be safe to unwind past.
        let key = key();
        let answers = [
            AssertionAnswer {
                client_data: client_data("get"),
                authenticator_data: with_front(0x85, input),
                signature: vec![0; 64],
            },
            AssertionAnswer {
                client_data: client_data("get"),
                authenticator_data: with_front(0x05, &[]),
                signature: input.to_vec(),
            },
            AssertionAnswer {
                client_data: input.to_vec(),
                authenticator_data: input.to_vec(),
                signature: input.to_vec(),
            },
        ];
        for answer in answers {
            assert!(site.assert(b"a", &key, &answer).is_err());
        }
    });
}
