//! Who shares a switch: all open sessions of one credential hold one `port::Liveness`, found here
//! by what the credential is, for as long as somebody holds it. Forgetting a cached record must
//! not forget the switch, else a later revocation would miss the sessions opened before.

use crate::jwks::KeyPrint;
use parking_lot::Mutex;
use port::Liveness;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tenancy::SigningKeyId;
use types::{KeyId, ProjectId};

/// What a set of sessions was opened with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    pub project: ProjectId,
    pub kind: HolderKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HolderKind {
    ApiKey {
        id: KeyId,
        lookup: Arc<str>,
    },
    /// Tokens signed by this key of the project.
    SigningKey(SigningKeyId),
    /// Tokens signed by this key of the key set at this URL.
    KeySet {
        url: Arc<str>,
        key: KeyPrint,
    },
    /// Whoever operates the installation.
    Operator,
    /// The platform's own work.
    Platform,
}

/// Entries below which dead ones are not looked for.
const PRUNE_MIN: usize = 1_024;

#[derive(Default)]
struct State {
    switches: HashMap<Holder, Weak<Liveness>>,
    prune_at: usize,
}

/// Bounded by the number of identities in use: dead entries are removed whenever their number
/// may have reached that of the living ones.
#[derive(Default)]
pub struct LivenessTable(Mutex<State>);

impl LivenessTable {
    /// The switch of this holder: the one in use, or a new one.
    pub fn get(&self, holder: Holder) -> Arc<Liveness> {
        let mut state = self.0.lock();
        if let Some(found) = state.switches.get(&holder).and_then(Weak::upgrade) {
            return found;
        }
        if state.switches.len() >= state.prune_at.max(PRUNE_MIN) {
            state.switches.retain(|_, switch| switch.strong_count() > 0);
            state.prune_at = state.switches.len() * 2;
        }
        let fresh = Arc::new(Liveness::default());
        state.switches.insert(holder, Arc::downgrade(&fresh));
        fresh
    }

    /// Ends the sessions of this holder. One that authenticates later gets a new switch. Answers
    /// whether anybody was there to notice.
    pub fn revoke(&self, holder: &Holder) -> bool {
        let removed = self.0.lock().switches.remove(holder);
        match removed.and_then(|switch| switch.upgrade()) {
            Some(switch) => {
                switch.revoke();
                true
            }
            None => false,
        }
    }

    /// Who has a switch in use now, with the switch.
    pub fn in_use(&self) -> Vec<(Holder, Arc<Liveness>)> {
        let state = self.0.lock();
        let living = state.switches.iter();
        living.filter_map(|(holder, switch)| Some((holder.clone(), switch.upgrade()?))).collect()
    }

    #[cfg(test)]
    pub fn entries(&self) -> usize {
        self.0.lock().switches.len()
    }
}
