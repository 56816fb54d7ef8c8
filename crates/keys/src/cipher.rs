//! The cryptography, all of it: AES-256-GCM (NIST SP 800-38D) under random 96-bit nonces, and keys
//! derived by HKDF-SHA256 (RFC 5869). Each use has a name of its own in the associated data or in
//! the derivation, so that nothing sealed for one purpose opens for another. It must not know where
//! keys come from.
//!
//! A random nonce may be drawn 2^32 times under one key before a repetition becomes likelier than
//! 2^-32. A tenant's key wraps one data key per extent, the ring key one key per tenant version:
//! neither comes near.

use crate::secret::{SECRET_BYTES, Secret};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use stdx::Rng;
use storage::{DataKey, ExtentRef, WrappedKey};
use types::TenantId;
use zeroize::Zeroizing;

pub(crate) const NONCE_BYTES: usize = 12;
pub(crate) const TAG_BYTES: usize = 16;
/// A nonce, a sealed key and its tag.
pub(crate) const SEALED_KEY_BYTES: usize = NONCE_BYTES + SECRET_BYTES + TAG_BYTES;
/// A nonce, a sealed index secret and its tag.
pub(crate) const SEALED_INDEX_BYTES: usize = NONCE_BYTES + INDEX_SECRET_BYTES + TAG_BYTES;
pub(crate) const INDEX_SECRET_BYTES: usize = 16;
pub(crate) const MAC_BYTES: usize = 32;

const SALT: &[u8] = b"mainstem keys at rest v1";

/// What a sealed thing is, so that it opens as nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// The ring key under a root key.
    Ring {
        root: &'a [u8; 16],
    },
    TenantKey {
        tenant: TenantId,
        version: u32,
    },
    IndexSecret {
        tenant: TenantId,
    },
    DataKey {
        tenant: TenantId,
        version: u32,
        extent: ExtentRef,
    },
}

impl Purpose<'_> {
    /// Every field has a fixed length, and no name is the beginning of another.
    fn associated(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        match self {
            Purpose::Ring { root } => {
                bytes.extend_from_slice(b"mainstem ring key\0");
                bytes.extend_from_slice(root);
            }
            Purpose::TenantKey { tenant, version } => {
                bytes.extend_from_slice(b"mainstem tenant key\0");
                bytes.extend_from_slice(tenant.0.as_bytes());
                bytes.extend_from_slice(&version.to_le_bytes());
            }
            Purpose::IndexSecret { tenant } => {
                bytes.extend_from_slice(b"mainstem index secret\0");
                bytes.extend_from_slice(tenant.0.as_bytes());
            }
            Purpose::DataKey { tenant, version, extent } => {
                bytes.extend_from_slice(b"mainstem data key\0");
                bytes.extend_from_slice(tenant.0.as_bytes());
                bytes.extend_from_slice(&version.to_le_bytes());
                bytes.extend_from_slice(&extent.id.0.to_le_bytes());
                bytes.extend_from_slice(&extent.generation.to_le_bytes());
            }
        }
        bytes
    }
}

fn key_of(key: &Secret) -> LessSafeKey {
    // Cannot fail: the algorithm takes keys of exactly as many bytes as a secret has.
    let key = UnboundKey::new(&AES_256_GCM, key.bytes()).expect("256 bits");
    LessSafeKey::new(key)
}

/// Nonce, ciphertext and tag, `N` bytes in all: 28 more than the plain ones.
pub(crate) fn seal<const N: usize>(
    key: &Secret,
    purpose: Purpose<'_>,
    plain: &[u8],
    rng: &dyn Rng,
) -> [u8; N] {
    assert_eq!(plain.len() + NONCE_BYTES + TAG_BYTES, N, "the layout fixes the size");
    let mut sealed = [0; N];
    let (nonce, rest) = sealed.split_at_mut(NONCE_BYTES);
    let (text, tag) = rest.split_at_mut(plain.len());
    rng.fill(nonce);
    text.copy_from_slice(plain);
    let mut fixed = [0; NONCE_BYTES];
    fixed.copy_from_slice(nonce);
    let nonce = Nonce::assume_unique_for_key(fixed);
    let associated = Aad::from(purpose.associated());
    // Cannot fail: only texts of 64 GiB do.
    let made = key_of(key).seal_in_place_separate_tag(nonce, associated, text).expect("short");
    tag.copy_from_slice(made.as_ref());
    sealed
}

/// `None` when it was sealed by another key, for another purpose, or changed since.
pub(crate) fn open(
    key: &Secret,
    purpose: Purpose<'_>,
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let mut text = Zeroizing::new(text.to_vec());
    let associated = Aad::from(purpose.associated());
    let plain_bytes = key_of(key).open_in_place(nonce, associated, &mut text).ok()?.len();
    text.truncate(plain_bytes);
    Some(text)
}

/// A key sealed under another.
pub(crate) fn open_key(key: &Secret, purpose: Purpose<'_>, sealed: &[u8]) -> Option<Secret> {
    Secret::from_slice(&open(key, purpose, sealed)?)
}

/// A tenant's key of one version, as it wraps data keys.
pub(crate) struct Wrapping<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) version: u32,
    pub(crate) key: &'a Secret,
}

impl Wrapping<'_> {
    fn purpose(&self, extent: ExtentRef) -> Purpose<'static> {
        Purpose::DataKey { tenant: self.tenant, version: self.version, extent }
    }

    pub(crate) fn wrap(&self, extent: ExtentRef, data: &DataKey, rng: &dyn Rng) -> WrappedKey {
        let sealed: [u8; SEALED_KEY_BYTES] =
            seal(self.key, self.purpose(extent), data.bytes(), rng);
        let mut wrapped = WrappedKey {
            tenant: self.tenant,
            version: self.version,
            nonce: [0; NONCE_BYTES],
            bytes: [0; SECRET_BYTES + TAG_BYTES],
        };
        let (nonce, bytes) = sealed.split_at(NONCE_BYTES);
        wrapped.nonce.copy_from_slice(nonce);
        wrapped.bytes.copy_from_slice(bytes);
        wrapped
    }

    pub(crate) fn unwrap(&self, extent: ExtentRef, wrapped: &WrappedKey) -> Option<DataKey> {
        let mut sealed = [0; SEALED_KEY_BYTES];
        let (nonce, bytes) = sealed.split_at_mut(NONCE_BYTES);
        nonce.copy_from_slice(&wrapped.nonce);
        bytes.copy_from_slice(&wrapped.bytes);
        let plain = open_key(self.key, self.purpose(extent), &sealed)?;
        Some(DataKey::new(*plain.bytes()))
    }
}

/// A key of its own for one use of another; `name` says which.
pub(crate) fn derive(key: &Secret, name: &'static [u8]) -> Secret {
    struct Length;
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            SECRET_BYTES
        }
    }
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(key.bytes());
    let derived = Secret::filled(|out| extracted.expand(&[name], Length)?.fill(out));
    // Cannot fail: HKDF gives up to 8160 bytes.
    derived.expect("32 bytes")
}

pub(crate) fn mac(key: &Secret, bytes: &[u8]) -> [u8; MAC_BYTES] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.bytes()), bytes);
    let mut out = [0; MAC_BYTES];
    out.copy_from_slice(tag.as_ref());
    out
}

/// In constant time.
pub(crate) fn is_mac(key: &Secret, bytes: &[u8], tag: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key.bytes()), bytes, tag).is_ok()
}
