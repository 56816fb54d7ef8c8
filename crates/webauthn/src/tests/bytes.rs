//! CBOR by RFC 8949's own examples, and bytes from strangers: they are refused, never a panic.

use super::{CHALLENGE, page, party};
use crate::cbor::{Value, read_whole};
use crate::{AssertionAnswer, PublicKey, RegistrationAnswer, Rejected, challenge_of};
use proptest::prelude::*;
use testkit::authenticator::SoftPasskey;

#[test]
fn cbor_is_read_as_the_standard_writes_it() {
    let one = |number| Value::Integer(number);
    let table: &[(&[u8], Value<'_>)] = &[
        (&[0x00], one(0)),
        (&[0x17], one(23)),
        (&[0x18, 0x18], one(24)),
        (&[0x19, 0x03, 0xe8], one(1_000)),
        (&[0x1b, 0, 0, 0, 0xe8, 0xd4, 0xa5, 0x10, 0], one(1_000_000_000_000)),
        (&[0x20], one(-1)),
        (&[0x39, 0x03, 0xe7], one(-1_000)),
        (&[0xf4], Value::Boolean(false)),
        (&[0xf5], Value::Boolean(true)),
        (&[0xf6], Value::Null),
        (&[0x44, 1, 2, 3, 4], Value::Bytes(&[1, 2, 3, 4])),
        (&[0x64, b'I', b'E', b'T', b'F'], Value::Text("IETF")),
        (&[0x62, 0xc3, 0xbc], Value::Text("\u{fc}")),
        (&[0x83, 1, 2, 3], Value::Array(vec![one(1), one(2), one(3)])),
        (&[0xa2, 1, 2, 3, 4], Value::Map(vec![(one(1), one(2)), (one(3), one(4))])),
    ];
    for (text, value) in table {
        assert_eq!(read_whole(text).as_ref(), Ok(value), "{text:02x?}");
    }
}

#[test]
fn cbor_that_no_authenticator_writes_is_refused() {
    let table: &[&[u8]] = &[
        &[],
        &[0x18],
        &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x1c],
        &[0x5f, 0x41, 0, 0xff],
        &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x62, 0xc3, 0x28],
        &[0xa2, 1, 1, 1, 2],
        &[0xc0, 0x00],
        &[0xf9, 0x00, 0x00],
        &[0xff],
        &[0x00, 0x00],
        &[0x81; 64],
    ];
    for text in table {
        assert_eq!(read_whole(text), Err(Rejected::Malformed), "{text:02x?}");
    }
    // Many small items.
    let mut many = vec![0x99, 0x10, 0x00];
    many.extend([0; 0x1000]);
    assert_eq!(read_whole(&many), Err(Rejected::Malformed));
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..600)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any bytes, in every place where a stranger's bytes may stand.
    #[test]
    fn any_bytes_are_refused(bytes in any_bytes(), other in any_bytes()) {
        let mut passkey = SoftPasskey::ed25519();
        let key = PublicKey::read(&passkey.public_key()).expect("a key");
        let good = passkey.get(&page(), CHALLENGE);
        let whole = AssertionAnswer {
            client_data: good.client_data,
            authenticator_data: good.authenticator_data,
            signature: good.signature,
        };
        let _ = challenge_of(&bytes);
        let _ = PublicKey::read(&bytes);
        let _ = read_whole(&bytes);
        let bent = [
            AssertionAnswer { signature: bytes.clone(), ..whole.clone() },
            AssertionAnswer { authenticator_data: bytes.clone(), ..whole.clone() },
            AssertionAnswer { client_data: bytes.clone(), ..whole.clone() },
        ];
        for answer in bent {
            prop_assert!(party().assert(CHALLENGE, &key, &answer).is_err());
        }
        let created = passkey.create(&page(), CHALLENGE, &other);
        let answer = RegistrationAnswer { client_data: created.client_data, attestation: bytes };
        prop_assert!(party().register(CHALLENGE, &answer).is_err());
    }

    /// A genuine answer with one byte changed, or cut, is refused or says the same.
    #[test]
    fn a_changed_registration_is_no_other_ones(
        at in 0usize..400,
        flip in 1u8..,
        cut in 0usize..400,
    ) {
        let mut passkey = SoftPasskey::es256();
        passkey.attests_itself = true;
        let created = passkey.create(&page(), CHALLENGE, b"ann");
        let mut attestation = created.attestation.clone();
        let at = at % attestation.len();
        attestation[at] ^= flip;
        let client_data = created.client_data.clone();
        let answer = RegistrationAnswer { client_data, attestation };
        if let Ok(made) = party().register(CHALLENGE, &answer) {
            // Self attestation covers what is kept.
            prop_assert_eq!(made.credential_id, passkey.credential_id.clone());
            prop_assert_eq!(made.public_key, passkey.public_key());
        }
        let mut attestation = created.attestation;
        attestation.truncate(cut % attestation.len());
        let answer = RegistrationAnswer { client_data: created.client_data, attestation };
        prop_assert!(party().register(CHALLENGE, &answer).is_err());
    }
}
