//! The data keys made lately. Between the moment a data key is made and the moment the store lists
//! it with its extent, only this list knows that it exists; a rotation that missed it would destroy
//! the one key that opens it. It must not keep a data key, only the wrapped form.

use std::collections::VecDeque;
use storage::{ExtentRef, WrappedKey};
use types::TenantId;

/// Extents whose keys are remembered. The store writes to one, and to a few more while it moves
/// cold records together; it lists the keys of an extent long before it begins so many others.
const EXTENTS_MAX: usize = 32;

#[derive(Default)]
pub(crate) struct Recent {
    extents: VecDeque<(ExtentRef, Vec<WrappedKey>)>,
}

impl Recent {
    pub(crate) fn add(&mut self, extent: ExtentRef, wrapped: WrappedKey) {
        if let Some((_, keys)) = self.extents.iter_mut().rev().find(|(known, _)| *known == extent) {
            keys.push(wrapped);
            return;
        }
        if self.extents.len() == EXTENTS_MAX {
            self.extents.pop_front();
        }
        self.extents.push_back((extent, vec![wrapped]));
    }

    pub(crate) fn of(&self, tenant: TenantId) -> Vec<(ExtentRef, WrappedKey)> {
        let all = self.extents.iter();
        let all = all.flat_map(|(extent, keys)| keys.iter().map(|key| (*extent, *key)));
        all.filter(|(_, key)| key.tenant == tenant).collect()
    }

    pub(crate) fn forget(&mut self, tenant: TenantId) {
        self.extents.iter_mut().for_each(|(_, keys)| keys.retain(|key| key.tenant != tenant));
    }
}
