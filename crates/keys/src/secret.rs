//! 256 bits that nobody may see: on the heap, so that moving one leaves no copy behind, erased
//! when dropped, never printed and compared in constant time only.

use aws_lc_rs::constant_time;
use std::fmt;
use stdx::Rng;
use zeroize::Zeroizing;

pub(crate) const SECRET_BYTES: usize = 32;

#[derive(Clone)]
pub(crate) struct Secret(Box<Zeroizing<[u8; SECRET_BYTES]>>);

impl Secret {
    pub(crate) fn random(rng: &dyn Rng) -> Secret {
        let mut secret = Secret::zero();
        rng.fill(&mut secret.0[..]);
        secret
    }

    /// `None` when it is not 32 bytes.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Secret> {
        if bytes.len() != SECRET_BYTES {
            return None;
        }
        let mut secret = Secret::zero();
        secret.0.copy_from_slice(bytes);
        Some(secret)
    }

    /// For what is written in place: a derived key.
    pub(crate) fn filled<E>(fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Secret, E> {
        let mut secret = Secret::zero();
        fill(&mut secret.0[..])?;
        Ok(secret)
    }

    fn zero() -> Secret {
        Secret(Box::new(Zeroizing::new([0; SECRET_BYTES])))
    }

    pub(crate) fn bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        constant_time::verify_slices_are_equal(self.bytes(), other.bytes()).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
