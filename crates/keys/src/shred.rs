//! Shredding: every key of a tenant is destroyed at once, and a mark stays so that none is ever
//! made again. Nothing in the log is touched, and nothing in it can be read any more.

use crate::error::KeysError;
use crate::folder::Old;
use crate::keyring::{Keyring, NODE};
use crate::ring::{Slot, TENANTS_MAX};
use metrics::counter;
use port::metric;
use types::{TenantId, TimestampMs};

impl Keyring {
    /// Destroys the tenant's keys and index secret, durably on return, and answers when they were:
    /// a repeated call changes nothing. A tenant that never had keys gets the mark too. Blocking.
    ///
    /// What is beyond reach: copies of the ring made before, together with the root key they are
    /// under. `rotate_root` and destroying the old root key ends those.
    pub fn shred(&self, tenant: TenantId) -> Result<TimestampMs, KeysError> {
        if tenant == NODE {
            return Err(KeysError::Node);
        }
        let _one_at_a_time = self.operations.lock();
        let now = self.world.clock.now_ms();
        let known = self.look(|state| match state.ring.tenants.get(&tenant) {
            Some(Slot::Shredded { at }) => Some(*at),
            _ => None,
        })?;
        if let Some(at) = known {
            self.drop_table(tenant);
            return Ok(at);
        }
        self.change(&[tenant], Old::Overwritten, |ring, _| {
            if !ring.tenants.contains_key(&tenant) && ring.tenants.len() >= TENANTS_MAX {
                return Err(KeysError::Full(TENANTS_MAX));
            }
            ring.tenants.insert(tenant, Slot::Shredded { at: now });
            Ok(())
        })?;
        self.forget(tenant);
        counter!(metric::KEYS_SHREDDED).increment(1);
        tracing::warn!(%tenant, "the tenant's keys were shredded: its records are unreadable");
        Ok(now)
    }

    /// What is left of a tenant once the ring has lost it.
    pub(crate) fn forget(&self, tenant: TenantId) {
        self.recent.lock().forget(tenant);
        self.next_epoch();
        if let Some(log) = self.log.get() {
            log.forget_keys();
        }
        self.drop_table(tenant);
    }
}
