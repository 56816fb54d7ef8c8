//! Keys of encryption at rest for benches of the log alone: the same data key for everybody, since
//! making and wrapping one is not what is measured. It must not be used for anything that is kept.

use std::sync::Arc;
use storage::{DataKey, DataKeys, ExtentRef, KeyError, WRAPPED_BYTES, WrappedKey};
use types::TenantId;

struct FixedKeys;

/// Keys that are always there.
pub fn fixed_keys() -> Arc<dyn DataKeys> {
    Arc::new(FixedKeys)
}

impl DataKeys for FixedKeys {
    fn make(&self, tenant: TenantId, _: ExtentRef) -> Result<(DataKey, WrappedKey), KeyError> {
        let wrapped = WrappedKey { tenant, version: 1, nonce: [0; 12], bytes: [0; WRAPPED_BYTES] };
        Ok((DataKey::new([7; 32]), wrapped))
    }

    fn open(&self, _: ExtentRef, _: &WrappedKey) -> Result<DataKey, KeyError> {
        Ok(DataKey::new([7; 32]))
    }

    fn index_secret(&self, _: TenantId) -> Result<[u8; 16], KeyError> {
        Ok([7; 16])
    }

    fn epoch(&self) -> u64 {
        0
    }
}
