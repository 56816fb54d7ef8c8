//! The keys that seal frames at rest, as the store sees them: it asks for one per tenant and
//! extent, keeps the wrapped form in the extent and never learns what wraps it. Who holds the root
//! key, how tenant keys rotate and how a tenant is shredded is the implementor's business.

use crate::ExtentId;
use std::fmt;
use types::TenantId;
use zeroize::Zeroizing;

pub const DATA_KEY_BYTES: usize = 32;
/// A data key and the tag of the wrapping.
pub const WRAPPED_BYTES: usize = DATA_KEY_BYTES + 16;

/// Gives the data keys that seal frames at rest: one per tenant and extent generation.
///
/// Called by the writer and by readers, so an answer must come from memory: no call waits for a
/// disk or a network.
pub trait DataKeys: Send + Sync + 'static {
    /// A fresh random data key for the tenant's frames in that extent, with the wrapped form that
    /// is stored in the extent. Called anew for the same extent when a commit was refused.
    fn make(&self, tenant: TenantId, extent: ExtentRef) -> Result<(DataKey, WrappedKey), KeyError>;

    /// The data key of a wrapped one found in the extent.
    fn open(&self, extent: ExtentRef, wrapped: &WrappedKey) -> Result<DataKey, KeyError>;

    /// The tenant's secret with which record keys are hashed for the indexes, so that a hash on
    /// disk tells nothing. It survives every rotation and dies with the tenant.
    fn index_secret(&self, tenant: TenantId) -> Result<[u8; 16], KeyError>;

    /// Rises whenever a tenant was shredded or keys changed: opened keys and plaintext kept from
    /// before are dropped. A tenant's first key is no change. Read on each use of a key, so it
    /// must cost no more than a load.
    fn epoch(&self) -> u64;
}

/// One use of an extent's file. A recycled file has the same number and another generation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ExtentRef {
    pub id: ExtentId,
    pub generation: u64,
}

/// A data key under its tenant's key: what is stored in the extent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrappedKey {
    pub tenant: TenantId,
    /// Version of the tenant's key that wraps it.
    pub version: u32,
    pub nonce: [u8; 12],
    /// The wrapped key and its tag.
    pub bytes: [u8; WRAPPED_BYTES],
}

/// 256 bits that seal one tenant's frames in one extent. Erased from memory when dropped, and
/// never shown.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; DATA_KEY_BYTES]>);

impl DataKey {
    pub fn new(bytes: [u8; DATA_KEY_BYTES]) -> DataKey {
        DataKey(Zeroizing::new(bytes))
    }

    pub fn bytes(&self) -> &[u8; DATA_KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// Why there is no key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// The tenant's keys were destroyed on purpose; nobody reads its records again.
    #[error("the keys of {0} were shredded")]
    Shredded(TenantId),
    /// The key ring has no such key, though nobody shredded it.
    #[error("version {version} of the key of {tenant} is not in the key ring")]
    Missing { tenant: TenantId, version: u32 },
    /// The wrapped key does not fit: another root key, another extent, or it was changed.
    #[error("a data key does not open: it belongs to another key ring or extent, or was changed")]
    Foreign,
    /// The ring cannot answer now.
    #[error("the key ring cannot be asked: {0}")]
    Unavailable(String),
}
