//! An authenticator in software: makes passkeys and answers challenges with them as a browser and a
//! security key would (W3C Web Authentication Level 3). What it says can be bent, so that tests see
//! each check refuse. It must not know the code that checks it.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Somebody was there.
pub const PRESENT: u8 = 0x01;
/// And the authenticator knew him.
pub const VERIFIED: u8 = 0x04;
const HAS_CREDENTIAL: u8 = 0x40;

enum Key {
    Es256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

/// One passkey.
pub struct SoftPasskey {
    key: Key,
    pub credential_id: Vec<u8>,
    /// What the site calls the user; given back with each answer.
    pub user_handle: Vec<u8>,
    /// Signatures made; counted up before each.
    pub count: u32,
    pub flags: u8,
    /// Signs the attestation with the credential's own key instead of saying nothing.
    pub attests_itself: bool,
}

/// What a browser puts around it.
#[derive(Debug, Clone)]
pub struct Page {
    pub origin: String,
    /// The site's identifier, as the page asked for it.
    pub party: String,
    pub cross_origin: bool,
}

impl Page {
    pub fn new(origin: &str, party: &str) -> Page {
        Page { origin: origin.to_owned(), party: party.to_owned(), cross_origin: false }
    }

    fn client_data(&self, kind: &str, challenge: &[u8]) -> Vec<u8> {
        let members = json!({
            "type": kind,
            "challenge": encoded(challenge),
            "origin": self.origin,
            "crossOrigin": self.cross_origin,
            "other_keys_can_be_added_here": "do not compare clientDataJSON against a template",
        });
        members.to_string().into_bytes()
    }
}

/// What comes of making a credential.
#[derive(Debug, Clone)]
pub struct Created {
    pub credential_id: Vec<u8>,
    pub client_data: Vec<u8>,
    pub attestation: Vec<u8>,
}

/// What comes of using one.
#[derive(Debug, Clone)]
pub struct Used {
    pub credential_id: Vec<u8>,
    pub user_handle: Vec<u8>,
    pub client_data: Vec<u8>,
    pub authenticator_data: Vec<u8>,
    pub signature: Vec<u8>,
}

/// As browsers and these interfaces write bytes.
pub fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a member of the options that a site gave.
pub fn decoded(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap_or_default()).expect("base64url")
}

impl Created {
    /// `RegistrationResponseJSON`.
    pub fn json(&self) -> Value {
        json!({
            "id": encoded(&self.credential_id),
            "rawId": encoded(&self.credential_id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encoded(&self.client_data),
                "attestationObject": encoded(&self.attestation),
                "transports": ["internal"],
            },
        })
    }
}

impl Used {
    /// `AuthenticationResponseJSON`.
    pub fn json(&self) -> Value {
        json!({
            "id": encoded(&self.credential_id),
            "rawId": encoded(&self.credential_id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encoded(&self.client_data),
                "authenticatorData": encoded(&self.authenticator_data),
                "signature": encoded(&self.signature),
                "userHandle": encoded(&self.user_handle),
            },
        })
    }
}

/// A CBOR head: major type and length (RFC 8949 section 3).
fn head(major: u8, length: usize) -> Vec<u8> {
    let major = major << 5;
    match length {
        0..=23 => vec![major | length as u8],
        24..=255 => vec![major | 24, length as u8],
        _ => [&[major | 25], (length as u16).to_be_bytes().as_slice()].concat(),
    }
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    [head(2, bytes.len()), bytes.to_vec()].concat()
}

fn text(text: &str) -> Vec<u8> {
    [head(3, text.len()), text.as_bytes().to_vec()].concat()
}

fn integer(number: i64) -> Vec<u8> {
    match number {
        0.. => head(0, number as usize),
        _ => head(1, (-1 - number) as usize),
    }
}

fn map(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let inner = entries.iter().flat_map(|(key, value)| [key.as_slice(), value].concat());
    head(5, entries.len()).into_iter().chain(inner).collect()
}

impl SoftPasskey {
    fn with(key: Key) -> SoftPasskey {
        let mut credential_id = vec![0; 16];
        aws_lc_rs::rand::fill(&mut credential_id).expect("randomness");
        SoftPasskey {
            key,
            credential_id,
            user_handle: Vec::new(),
            count: 0,
            flags: PRESENT | VERIFIED,
            attests_itself: false,
        }
    }

    pub fn es256() -> SoftPasskey {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        SoftPasskey::with(Key::Es256(key))
    }

    pub fn ed25519() -> SoftPasskey {
        SoftPasskey::with(Key::Ed25519(Ed25519KeyPair::generate().expect("a key")))
    }

    /// Takes a moment.
    pub fn rs256() -> SoftPasskey {
        let key = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).expect("a key");
        SoftPasskey::with(Key::Rs256(key))
    }

    /// The public key as COSE.
    pub fn public_key(&self) -> Vec<u8> {
        let number = |key: i64, value: i64| (integer(key), integer(value));
        let member = |key: i64, value: &[u8]| (integer(key), bytes(value));
        match &self.key {
            Key::Es256(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (&point[1..33], &point[33..65]);
                let numbers = [number(1, 2), number(3, -7), number(-1, 1)];
                map(&[numbers.to_vec(), vec![member(-2, x), member(-3, y)]].concat())
            }
            Key::Ed25519(key) => {
                let numbers = [number(1, 1), number(3, -8), number(-1, 6)];
                map(&[numbers.to_vec(), vec![member(-2, key.public_key().as_ref())]].concat())
            }
            Key::Rs256(key) => {
                // `SEQUENCE { INTEGER modulus, INTEGER exponent }` (RFC 8017 appendix A.1.1), with
                // 2048 bits and 65537: the lengths are always these.
                let der = key.public_key().as_ref();
                let (modulus, exponent) = (&der[9..265], &der[267..270]);
                let numbers = [number(1, 3), number(3, -257)];
                map(&[numbers.to_vec(), vec![member(-1, modulus), member(-2, exponent)]].concat())
            }
        }
    }

    fn algorithm(&self) -> i64 {
        match self.key {
            Key::Es256(_) => -7,
            Key::Ed25519(_) => -8,
            Key::Rs256(_) => -257,
        }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.key {
            Key::Es256(key) => {
                key.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec()
            }
            Key::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Key::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let random = SystemRandom::new();
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("a signature");
                signature
            }
        }
    }

    fn data(&self, page: &Page, flags: u8) -> Vec<u8> {
        let party = digest(&SHA256, page.party.as_bytes());
        [party.as_ref(), &[flags], &self.count.to_be_bytes()].concat()
    }

    /// What an authenticator says of itself with a credential in it.
    pub fn data_with_credential(&self, page: &Page) -> Vec<u8> {
        let length = (self.credential_id.len() as u16).to_be_bytes();
        let data = self.data(page, self.flags | HAS_CREDENTIAL);
        [data.as_slice(), &[0; 16], &length, &self.credential_id, &self.public_key()].concat()
    }

    /// Makes this the user's passkey.
    pub fn create(&mut self, page: &Page, challenge: &[u8], user_handle: &[u8]) -> Created {
        self.user_handle = user_handle.to_vec();
        let client_data = page.client_data("webauthn.create", challenge);
        let data = self.data_with_credential(page);
        let (format, statement) = match self.attests_itself {
            false => ("none", map(&[])),
            true => {
                let signature = self.sign(&message(&data, &client_data));
                let algorithm = (text("alg"), integer(self.algorithm()));
                ("packed", map(&[algorithm, (text("sig"), bytes(&signature))]))
            }
        };
        let attestation = map(&[
            (text("fmt"), text(format)),
            (text("attStmt"), statement),
            (text("authData"), bytes(&data)),
        ]);
        Created { credential_id: self.credential_id.clone(), client_data, attestation }
    }

    /// Answers a challenge.
    pub fn get(&mut self, page: &Page, challenge: &[u8]) -> Used {
        self.count += 1;
        let client_data = page.client_data("webauthn.get", challenge);
        let authenticator_data = self.data(page, self.flags);
        let signature = self.sign(&message(&authenticator_data, &client_data));
        Used {
            credential_id: self.credential_id.clone(),
            user_handle: self.user_handle.clone(),
            client_data,
            authenticator_data,
            signature,
        }
    }
}

fn message(authenticator_data: &[u8], client_data: &[u8]) -> Vec<u8> {
    [authenticator_data, digest(&SHA256, client_data).as_ref()].concat()
}
