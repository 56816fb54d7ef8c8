//! Keys for records at rest, as a run needs them: one data key per tenant and extent, the same in
//! every run, wrapped in a way that is no secret. Whether real keys are kept well is tested where
//! they are made.

use std::sync::atomic::{AtomicU64, Ordering};
use storage::{DATA_KEY_BYTES, DataKey, DataKeys, ExtentRef, KeyError, WRAPPED_BYTES, WrappedKey};
use types::TenantId;

#[derive(Debug, Default)]
pub struct Ring {
    made: AtomicU64,
}

impl Ring {
    fn pad(tenant: TenantId) -> u8 {
        tenant.0.as_bytes()[15] ^ 0x5a
    }
}

impl DataKeys for Ring {
    fn make(&self, tenant: TenantId, _: ExtentRef) -> Result<(DataKey, WrappedKey), KeyError> {
        // Any byte does; two keys in a row are different.
        let number = self.made.fetch_add(1, Ordering::Relaxed) as u8;
        let mut bytes = [0; WRAPPED_BYTES];
        bytes.fill(number ^ Ring::pad(tenant));
        let wrapped = WrappedKey { tenant, version: 1, nonce: [0; 12], bytes };
        Ok((DataKey::new([number; DATA_KEY_BYTES]), wrapped))
    }

    fn open(&self, _: ExtentRef, wrapped: &WrappedKey) -> Result<DataKey, KeyError> {
        let number = wrapped.bytes[0] ^ Ring::pad(wrapped.tenant);
        Ok(DataKey::new([number; DATA_KEY_BYTES]))
    }

    fn index_secret(&self, tenant: TenantId) -> Result<[u8; 16], KeyError> {
        Ok([Ring::pad(tenant); 16])
    }

    fn epoch(&self) -> u64 {
        0
    }
}
