//! Keys that sign tokens, as they are stored, verified with and issued with. The algorithm belongs
//! to the key, never to the token: a token whose header names another one is refused, so neither
//! `none` nor a public key abused as a shared secret gets anywhere.

use crate::grant_text::{self, GrantText};
use crate::refusal;
use crate::secrets::{NotSealedHere, Sealer};
use crate::token;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256};
use jsonwebtoken::{DecodingKey, EncodingKey};
use port::{Code, Refusal};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use serde::Serialize;
use std::fmt;
use stdx::Rng;
use types::{Grant, ProjectId, Scopes, TimestampMs};

/// Bytes of a shared secret at least (RFC 7518 section 3.2: the size of the hash).
pub const SHARED_SECRET_BYTES_MIN: usize = 32;
/// Bytes of a public key as PEM at most.
pub const PUBLIC_KEY_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a signing key's name.
pub const NAME_BYTES_MAX: usize = 64;

pub use tenancy::SigningAlgorithm as Algorithm;

pub const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

/// The algorithm of this name in a token's header (RFC 7518 section 3.1, RFC 8037 section 3.1).
pub fn algorithm_named(name: &str) -> Option<Algorithm> {
    ALGORITHMS.into_iter().find(|algorithm| algorithm.name() == name)
}

fn library(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    }
}

/// A signing key as it is stored: one byte of kind, then the bytes.
#[derive(Clone, PartialEq, Eq)]
pub enum Material {
    /// A sealed shared secret (HS256).
    SharedSecret(Vec<u8>),
    /// A public key as PEM, readable; the private half is kept by the project's owner.
    PublicKey(Vec<u8>),
    /// A sealed Ed25519 key pair (PKCS #8) made here, so that the server can issue tokens.
    KeyPair(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMaterial {
    #[error("the stored key has an unknown form")]
    Form,
    #[error("the stored key does not fit its algorithm")]
    Algorithm,
    #[error(transparent)]
    Sealed(#[from] NotSealedHere),
}

impl Material {
    pub fn encode(&self) -> Vec<u8> {
        let (kind, bytes) = match self {
            Material::SharedSecret(bytes) => (1, bytes),
            Material::PublicKey(bytes) => (2, bytes),
            Material::KeyPair(bytes) => (3, bytes),
        };
        std::iter::once(kind).chain(bytes.iter().copied()).collect()
    }

    pub fn decode(stored: &[u8]) -> Result<Material, BadMaterial> {
        match stored.split_first() {
            Some((1, bytes)) => Ok(Material::SharedSecret(bytes.to_vec())),
            Some((2, bytes)) => Ok(Material::PublicKey(bytes.to_vec())),
            Some((3, bytes)) => Ok(Material::KeyPair(bytes.to_vec())),
            _ => Err(BadMaterial::Form),
        }
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Material::SharedSecret(_) => "SharedSecret(hidden)",
            Material::PublicKey(_) => "PublicKey",
            Material::KeyPair(_) => "KeyPair(hidden)",
        })
    }
}

/// Sealed material opens only where it belongs.
fn place(project: ProjectId, name: &str) -> String {
    format!("signing_keys/{project}/{name}")
}

/// Verifies signatures of one algorithm.
#[derive(Clone)]
pub struct VerifyingKey {
    pub algorithm: Algorithm,
    key: DecodingKey,
}

impl VerifyingKey {
    pub(crate) fn new(algorithm: Algorithm, key: DecodingKey) -> VerifyingKey {
        VerifyingKey { algorithm, key }
    }

    pub fn open(
        sealer: &Sealer,
        project: ProjectId,
        name: &str,
        algorithm: Algorithm,
        material: &Material,
    ) -> Result<VerifyingKey, BadMaterial> {
        let key = match (material, algorithm) {
            (Material::SharedSecret(sealed), Algorithm::Hs256) => {
                let secret = sealer.open(&place(project, name), sealed)?;
                DecodingKey::from_secret(secret.expose_secret())
            }
            (Material::KeyPair(sealed), Algorithm::EdDsa) => {
                let pair = sealer.open(&place(project, name), sealed)?;
                let pair = Ed25519KeyPair::from_pkcs8(pair.expose_secret())
                    .map_err(|_| BadMaterial::Algorithm)?;
                DecodingKey::from_ed_der(pair.public_key().as_ref())
            }
            (Material::PublicKey(pem), _) => public_key(algorithm, pem)?,
            _ => return Err(BadMaterial::Algorithm),
        };
        Ok(VerifyingKey { algorithm, key })
    }

    /// Whether `signature` (base64url) is this key's over `input`. The algorithm is the key's.
    pub fn verifies(&self, input: &str, signature: &str) -> bool {
        let algorithm = library(self.algorithm);
        matches!(
            jsonwebtoken::crypto::verify(signature, input.as_bytes(), &self.key, algorithm),
            Ok(true)
        )
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.algorithm.name())
    }
}

/// Parses a PEM public key and proves that it is one of the algorithm and of sufficient size.
fn public_key(algorithm: Algorithm, pem: &[u8]) -> Result<DecodingKey, BadMaterial> {
    let bad = |_| BadMaterial::Algorithm;
    let key = match algorithm {
        Algorithm::Hs256 => return Err(BadMaterial::Algorithm),
        Algorithm::Rs256 => DecodingKey::from_rsa_pem(pem),
        Algorithm::Es256 => DecodingKey::from_ec_pem(pem),
        Algorithm::EdDsa => DecodingKey::from_ed_pem(pem),
    }
    .map_err(|_| BadMaterial::Algorithm)?;
    let bytes = key.try_get_as_bytes().map_err(|_| BadMaterial::Algorithm)?;
    match algorithm {
        Algorithm::Hs256 => return Err(BadMaterial::Algorithm),
        Algorithm::Rs256 => {
            ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, bytes).map_err(bad)?
        }
        Algorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes).map_err(bad)?,
        Algorithm::EdDsa => ParsedPublicKey::new(&ED25519, bytes).map_err(bad)?,
    };
    Ok(key)
}

/// 1-64 of `[A-Za-z0-9_-]`: it stands after a dot in a token's `kid`.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if fits {
        return Ok(());
    }
    Err(Refusal::new(Code::InvalidRequest, "the name of the signing key is not acceptable")
        .field("name")
        .hint("1 to 64 letters, digits, `_` and `-`"))
}

/// The material of a shared secret that the project's owner brings.
pub fn import_secret(
    sealer: &Sealer,
    project: ProjectId,
    name: &str,
    secret: &[u8],
) -> Result<Material, Refusal> {
    check_name(name)?;
    if secret.len() < SHARED_SECRET_BYTES_MIN {
        return Err(Refusal::new(Code::InvalidRequest, "the shared secret is too short")
            .field("secret")
            .hint(format!("at least {SHARED_SECRET_BYTES_MIN} random bytes")));
    }
    Ok(Material::SharedSecret(sealer.seal(&place(project, name), secret)))
}

/// The material of a public key (PEM, SubjectPublicKeyInfo) that the project's owner brings.
pub fn import_public_key(name: &str, algorithm: Algorithm, pem: &str) -> Result<Material, Refusal> {
    check_name(name)?;
    if pem.len() <= PUBLIC_KEY_BYTES_MAX && public_key(algorithm, pem.as_bytes()).is_ok() {
        return Ok(Material::PublicKey(pem.as_bytes().to_vec()));
    }
    Err(Refusal::new(
        Code::InvalidRequest,
        format!("this is not a public key for {}", algorithm.name()),
    )
    .field("public_key")
    .hint("PEM with `BEGIN PUBLIC KEY`: RSA of 2048 to 8192 bits, P-256 or Ed25519"))
}

/// A key that can issue tokens.
pub struct SigningKey {
    project: ProjectId,
    name: String,
    algorithm: Algorithm,
    key: EncodingKey,
    /// What the owner needs to issue tokens elsewhere: the shared secret; `None` for a key pair.
    pub shared_secret: Option<SecretBox<Vec<u8>>>,
}

impl SigningKey {
    /// Makes a new HS256 or EdDSA key and what is stored of it.
    pub fn generate(
        sealer: &Sealer,
        project: ProjectId,
        name: &str,
        algorithm: Algorithm,
        rng: &dyn Rng,
    ) -> Result<(SigningKey, Material), Refusal> {
        check_name(name)?;
        let mut seed = [0; 32];
        rng.fill(&mut seed);
        let material = match algorithm {
            Algorithm::Hs256 => Material::SharedSecret(sealer.seal(&place(project, name), &seed)),
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
                    .map_err(|error| Refusal::internal(&error))?;
                let pair = pair.to_pkcs8v1().map_err(|error| Refusal::internal(&error))?;
                Material::KeyPair(sealer.seal(&place(project, name), pair.as_ref()))
            }
            Algorithm::Rs256 | Algorithm::Es256 => return Err(cannot_issue(algorithm)),
        };
        let key = SigningKey::open(sealer, project, name, algorithm, &material)?;
        Ok((key, material))
    }

    /// Opens stored material for issuing; a public key alone is refused.
    pub fn open(
        sealer: &Sealer,
        project: ProjectId,
        name: &str,
        algorithm: Algorithm,
        material: &Material,
    ) -> Result<SigningKey, Refusal> {
        let open = |sealed: &[u8]| {
            sealer.open(&place(project, name), sealed).map_err(|error| Refusal::internal(&error))
        };
        let (key, shared_secret) = match (material, algorithm) {
            (Material::SharedSecret(sealed), Algorithm::Hs256) => {
                let secret = open(sealed)?;
                (EncodingKey::from_secret(secret.expose_secret()), Some(secret))
            }
            (Material::KeyPair(sealed), Algorithm::EdDsa) => {
                (EncodingKey::from_ed_der(open(sealed)?.expose_secret()), None)
            }
            _ => return Err(cannot_issue(algorithm)),
        };
        Ok(SigningKey { project, name: name.to_owned(), algorithm, key, shared_secret })
    }

    /// The `kid` of its tokens: it names the project too.
    pub fn kid(&self) -> String {
        token::kid(self.project, &self.name)
    }

    /// A signed token. Its times are whole seconds (RFC 7519 section 2), rounded so that it is not
    /// valid for longer than asked.
    pub fn issue(&self, new: &NewToken, now_ms: TimestampMs) -> Result<SecretString, Refusal> {
        let mut header = jsonwebtoken::Header::new(library(self.algorithm));
        header.kid = Some(self.kid());
        let claims = new.claims(self.project, now_ms)?;
        jsonwebtoken::encode(&header, &claims, &self.key)
            .map(SecretString::from)
            .map_err(|error| Refusal::internal(&error))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {})", self.kid(), self.algorithm.name())
    }
}

fn cannot_issue(algorithm: Algorithm) -> Refusal {
    Refusal::new(
        Code::InvalidRequest,
        format!("tokens cannot be issued here with this {} key", algorithm.name()),
    )
    .field("algorithm")
    .hint("issue tokens here with an HS256 key, or an EdDSA key that was made here")
}

/// What a token to be issued says.
#[derive(Debug, Clone)]
pub struct NewToken {
    pub subject: String,
    pub lifetime_ms: u64,
    /// `None`: the token says nothing, which means publishing and subscribing.
    pub scopes: Option<Scopes>,
    pub grants: Option<Vec<Grant>>,
}

#[derive(Serialize)]
struct ClaimsOut {
    sub: String,
    aud: String,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Scopes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<Vec<GrantText>>,
}

impl NewToken {
    fn claims(&self, project: ProjectId, now_ms: TimestampMs) -> Result<ClaimsOut, Refusal> {
        token::check_subject(&self.subject)
            .map_err(|why| refusal::invalid_token(why).field("subject"))?;
        let lifetime_ms = i64::try_from(self.lifetime_ms).unwrap_or(i64::MAX);
        let grants = self.grants.as_ref().map(|grants| grant_text::write(grants));
        Ok(ClaimsOut {
            sub: self.subject.clone(),
            aud: project.to_string(),
            iat: now_ms.div_euclid(1_000),
            exp: now_ms.saturating_add(lifetime_ms).div_euclid(1_000),
            scopes: self.scopes,
            grants,
        })
    }
}
