//! Public keys of credentials as authenticators write them (COSE, RFC 9052 section 7, RFC 9053),
//! and what checks a signature with one. It must not know whose key it is.

use crate::{Rejected, SIGNATURE_BYTES_MAX, cbor};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};

/// The algorithms that are asked for, the best liked first (RFC 9053, RFC 8812): ES256, EdDSA, and
/// RS256, which many chips in older computers know only.
pub const ALGORITHMS: [i64; 3] = [ES256, EDDSA, RS256];

const ES256: i64 = -7;
const EDDSA: i64 = -8;
const RS256: i64 = -257;

/// Bytes of a key as it is written; RSA with 8192 bits has less.
const KEY_BYTES_MAX: usize = 1_280;
const COORDINATE_BYTES: usize = 32;
/// An uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

// Members of a key (RFC 9052 section 7.1, RFC 9053 section 7, RFC 8230 section 4).
const KEY_TYPE: i64 = 1;
const ALGORITHM: i64 = 3;
const CURVE: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;
const MODULUS: i64 = -1;
const EXPONENT: i64 = -2;

const TYPE_OCTET_PAIR: i64 = 1;
const TYPE_TWO_COORDINATES: i64 = 2;
const TYPE_RSA: i64 = 3;
const CURVE_P256: i64 = 1;
const CURVE_ED25519: i64 = 6;

/// What checks signatures of one credential.
#[derive(Debug)]
pub struct PublicKey(Kind);

#[derive(Debug)]
enum Kind {
    Es256(ParsedPublicKey),
    EdDsa(ParsedPublicKey),
    Rs256 { modulus: Vec<u8>, exponent: Vec<u8> },
}

impl PublicKey {
    /// Reads a key as the authenticator wrote it. A point that is not on its curve is refused.
    pub fn read(cose: &[u8]) -> Result<PublicKey, Rejected> {
        if cose.len() > KEY_BYTES_MAX {
            return Err(Rejected::TooLarge);
        }
        let map = cbor::read_whole(cose)?;
        let number = |key: i64| map.at(key).and_then(cbor::Value::integer);
        let bytes = |key: i64| map.at(key).and_then(cbor::Value::bytes).ok_or(Rejected::Key);
        let kind = match (number(ALGORITHM), number(KEY_TYPE)) {
            (Some(ES256), Some(TYPE_TWO_COORDINATES)) if number(CURVE) == Some(CURVE_P256) => {
                let (x, y) = (bytes(X)?, bytes(Y)?);
                if x.len() != COORDINATE_BYTES || y.len() != COORDINATE_BYTES {
                    return Err(Rejected::Key);
                }
                let point = [&[UNCOMPRESSED], x, y].concat();
                let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
                Kind::Es256(key.map_err(|_| Rejected::Key)?)
            }
            (Some(EDDSA), Some(TYPE_OCTET_PAIR)) if number(CURVE) == Some(CURVE_ED25519) => {
                let key = ParsedPublicKey::new(&ED25519, bytes(X)?);
                Kind::EdDsa(key.map_err(|_| Rejected::Key)?)
            }
            (Some(RS256), Some(TYPE_RSA)) => rsa(bytes(MODULUS)?, bytes(EXPONENT)?)?,
            (Some(ES256 | EDDSA | RS256), _) => return Err(Rejected::Key),
            _ => return Err(Rejected::Algorithm),
        };
        Ok(PublicKey(kind))
    }

    /// Its number among the algorithms of COSE.
    pub fn algorithm(&self) -> i64 {
        match self.0 {
            Kind::Es256(_) => ES256,
            Kind::EdDsa(_) => EDDSA,
            Kind::Rs256 { .. } => RS256,
        }
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Rejected> {
        if signature.len() > SIGNATURE_BYTES_MAX {
            return Err(Rejected::TooLarge);
        }
        let outcome = match &self.0 {
            Kind::Es256(key) | Kind::EdDsa(key) => key.verify_sig(message, signature),
            Kind::Rs256 { modulus, exponent } => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        };
        outcome.map_err(|_| Rejected::Signature)
    }
}

/// Numbers without leading zeros (RFC 8230 section 4).
fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Kind, Rejected> {
    let is_sound = matches!(modulus.len(), 256..=1024)
        && matches!(exponent.len(), 1..=4)
        && modulus.first() != Some(&0)
        && exponent.first() != Some(&0);
    if !is_sound {
        return Err(Rejected::Key);
    }
    Ok(Kind::Rs256 { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
}
