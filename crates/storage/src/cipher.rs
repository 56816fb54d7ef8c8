//! AES-256-GCM (NIST SP 800-38D) over the bodies of frames. It must not know where keys come from,
//! nor what is in a body.

use crate::{DataKey, KeyError};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

pub const TAG_BYTES: usize = 16;
pub const NONCE_BYTES: usize = NONCE_LEN;

/// A data key made ready for use, which costs more than sealing a small body with it.
pub struct Cipher(LessSafeKey);

/// Where a body lies: what is authenticated with it, and the number used once.
pub struct Place<'a> {
    pub nonce: [u8; NONCE_BYTES],
    /// The frame's header from its stream on and the key hashes, as they lie on disk.
    pub header: &'a [u8],
}

impl Cipher {
    pub fn new(key: &DataKey) -> Result<Cipher, KeyError> {
        let key = UnboundKey::new(&AES_256_GCM, key.bytes());
        let unavailable = |_| KeyError::Unavailable("the cipher refused a data key".to_owned());
        key.map(|key| Cipher(LessSafeKey::new(key))).map_err(unavailable)
    }

    /// Fills `out` with the sealed body and its tag; `out` is `TAG_BYTES` longer than the body.
    /// False when the cipher refused, which it does for wrong lengths only.
    #[must_use]
    pub fn seal(&self, place: &Place<'_>, body: &[u8], out: &mut [u8]) -> bool {
        let nonce = Nonce::assume_unique_for_key(place.nonce);
        let Some((sealed, tag)) = out.split_at_mut_checked(body.len()) else { return false };
        let aad = Aad::from(place.header);
        self.0.seal_out_of_place_scatter(nonce, aad, body, sealed, &[], tag).is_ok()
    }

    /// Makes a sealed body with its tag the body, which is `TAG_BYTES` shorter and lies where it
    /// lay; answers its length. `None` when a bit of it, of its place or of the key is not what it
    /// was: then `sealed` is of no use any more.
    pub fn open(&self, place: &Place<'_>, sealed: &mut [u8]) -> Option<usize> {
        let nonce = Nonce::assume_unique_for_key(place.nonce);
        let body = self.0.open_in_place(nonce, Aad::from(place.header), sealed).ok()?;
        Some(body.len())
    }
}
